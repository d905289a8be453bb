//! Blocks, compaction, retention and deletion, from the outside.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use reba_disk::FaultFs;
use reba_model::{Labels, Matcher, TimeRange};
use reba_storage::{
    AppendMode, Budget, FloatSample, MetricAppender, MetricQuerier, RejectReason, WriteBatch,
};
use reba_tsdb::{Tsdb, TsdbConfig};

const STEP: i64 = 5 * MINUTE;

fn times(hours: i64) -> Vec<i64> {
    (0..hours * HOUR / STEP).map(|i| T0 + i * STEP).collect()
}

fn fill(db: &Tsdb, n: usize, hours: i64) -> Vec<i64> {
    let times = times(hours);
    for t in &times {
        assert_eq!(write(db, n, *t).unwrap().appended, n);
        db.maintain(*t).unwrap();
    }
    times
}

fn blocks(db: &Tsdb) -> u64 {
    db.metrics().disk.blocks
}

#[test]
fn old_spans_move_to_blocks_and_nothing_changes_for_a_query() {
    let fs = FaultFs::new();
    let config = TsdbConfig { retention_ms: None, ..TsdbConfig::unbounded() };
    let db = open(&fs, config.clone());
    let times = fill(&db, 10, 7);
    assert_eq!(blocks(&db), 2);
    let m = db.metrics();
    assert_eq!(m.head.min_time, T0 + 4 * HOUR);
    assert_eq!(dump(&db), expected(10, times.clone()));
    drop(db);
    let db = open(&fs, config);
    assert_eq!(blocks(&db), 2);
    assert_eq!(dump(&db), expected(10, times.clone()));
    let some = TimeRange::new(T0 + HOUR, T0 + 5 * HOUR + 1);
    let inside: Vec<_> = times.into_iter().filter(|t| some.contains(*t)).collect();
    assert_eq!(dump_range(&db, some), expected(10, inside));
}

#[test]
fn small_blocks_are_merged_into_large_ones() {
    let fs = FaultFs::new();
    let db = open(&fs, TsdbConfig::unbounded());
    let times = fill(&db, 5, 40);
    // 2 h and 8 h and 32 h blocks: far fewer than the 19 that the head wrote.
    assert!(blocks(&db) <= 6, "{}", blocks(&db));
    assert_eq!(dump(&db), expected(5, times));
}

#[test]
fn retention_by_time_and_by_size_drops_the_oldest_blocks() {
    let fs = FaultFs::new();
    let config = TsdbConfig { retention_ms: Some(10 * HOUR), ..TsdbConfig::unbounded() };
    let db = open(&fs, config.clone());
    fill(&db, 5, 30);
    let oldest = db.metrics().disk.lowest_time;
    assert!((T0 + 18 * HOUR..=T0 + 20 * HOUR).contains(&oldest), "{}", (oldest - T0) / HOUR);
    assert!(db.metrics().disk.time_retentions > 0);
    drop(db);
    let db = open(&fs, TsdbConfig { retention_bytes: Some(1), ..config });
    db.maintain(T0 + 30 * HOUR).unwrap();
    assert_eq!(blocks(&db), 0);
    assert!(db.metrics().disk.size_retentions > 0);
    assert_eq!(dump(&db).len(), 5, "the head stays");
}

#[test]
fn series_that_vanish_leave_the_head_and_their_references_are_refused() {
    let fs = FaultFs::new();
    let db = open(&fs, TsdbConfig::unbounded());
    let old = batch(&db, 3, T0);
    db.append(&old, AppendMode::Partial).unwrap();
    let gone = old.floats[0].series;
    for t in times(6).into_iter().skip(1) {
        let other = Labels::from_pairs([("__name__", "other")]);
        let series = db.series_ref(&other).unwrap();
        let b = WriteBatch { floats: vec![FloatSample { series, t, v: 1.0 }], ..WriteBatch::default() };
        db.append(&b, AppendMode::Partial).unwrap();
        db.maintain(t).unwrap();
    }
    let m = db.metrics().head;
    assert_eq!((m.series, m.series_removed), (1, 3));
    let t = T0 + 6 * HOUR;
    let b = WriteBatch { floats: vec![FloatSample { series: gone, t, v: 1.0 }], ..WriteBatch::default() };
    let report = db.append(&b, AppendMode::Partial).unwrap();
    assert_eq!(report.rejected[0].reason, RejectReason::UnknownSeries);
    assert_eq!(dump(&db).len(), 4, "blocks still have them");
    // The slot is used again without mixing the two up, also after a crash.
    write(&db, 3, t).unwrap();
    let before = dump(&db);
    drop(db);
    assert_eq!(dump(&open(&fs, TsdbConfig::unbounded())), before);
}

#[test]
fn deleted_samples_stay_away_in_head_and_blocks_and_after_a_restart() {
    let fs = FaultFs::new();
    let db = open(&fs, TsdbConfig::unbounded());
    let times = fill(&db, 4, 7);
    let sets = vec![vec![Matcher::equal("pod", "pod-1")]];
    let range = TimeRange::new(T0 + HOUR, T0 + 6 * HOUR + 30 * MINUTE);
    assert!(db.delete_series(&sets, range).unwrap() > 0);
    let mut want = expected(4, times);
    want.get_mut(&series(1).to_string()).unwrap().retain(|s| !range.contains(s.0));
    assert_eq!(dump(&db), want);
    db.clean_tombstones().unwrap();
    assert_eq!(dump(&db), want);
    drop(db);
    let db = open(&fs, TsdbConfig::unbounded());
    assert_eq!(dump(&db), want);
    db.close().unwrap();
    drop(db);
    assert_eq!(dump(&open(&fs, TsdbConfig::unbounded())), want);
}

#[test]
fn late_samples_are_taken_within_the_window_and_merged() {
    let fs = FaultFs::new();
    let config =
        TsdbConfig { out_of_order_window_ms: 5 * HOUR, accept_past_ms: HOUR, ..TsdbConfig::unbounded() };
    let db = open(&fs, config.clone());
    let times = fill(&db, 2, 7);
    let r = db.series_ref(&series(0)).unwrap();
    let send = |db: &Tsdb, t: i64, v: f64| {
        let b = WriteBatch { floats: vec![FloatSample { series: r, t, v }], ..WriteBatch::default() };
        db.append(&b, AppendMode::Partial).unwrap().rejected.first().map(|r| r.reason)
    };
    let late: Vec<i64> = (0..20).map(|i| T0 + 3 * HOUR + i * STEP + 1000).collect();
    for t in late.iter().rev() {
        assert_eq!(send(&db, *t, 7.0), None);
    }
    assert_eq!(send(&db, late[3], 7.0), None, "the same again is no error");
    assert_eq!(send(&db, late[3], 8.0), Some(RejectReason::DuplicateTimestamp));
    assert_eq!(send(&db, T0 + HOUR, 8.0), Some(RejectReason::TooOld));
    let mut want = expected(2, times);
    let samples = want.get_mut(&series(0).to_string()).unwrap();
    samples.extend(late.iter().map(|t| (*t, 7.0)));
    samples.sort_by_key(|s| s.0);
    assert_eq!(dump(&db), want);
    drop(db);
    let db = open(&fs, config.clone());
    assert_eq!(dump(&db), want);
    // More data moves the head, and the late samples with it, into blocks.
    let more: Vec<i64> = (0..48).map(|i| T0 + 7 * HOUR + i * STEP).collect();
    for t in &more {
        write(&db, 2, *t).unwrap();
        db.maintain(*t).unwrap();
    }
    for i in 0..2 {
        want.get_mut(&series(i).to_string()).unwrap().extend(more.iter().map(|t| (*t, value(i, *t))));
    }
    assert_eq!(dump(&db), want);
    drop(db);
    assert_eq!(dump(&open(&fs, config)), want);
}

#[test]
fn names_and_values_come_from_head_and_blocks() {
    let fs = FaultFs::new();
    let db = open(&fs, TsdbConfig::unbounded());
    fill(&db, 12, 6);
    let all = TimeRange::ALL;
    let budget = Budget::unlimited();
    assert_eq!(db.label_names(&[], all, &budget).unwrap(), ["__name__", "instance", "job", "pod"]);
    assert_eq!(db.label_values("pod", &[], all, &budget).unwrap().len(), 12);
    let sets = vec![vec![Matcher::equal("instance", "10.0.0.3:9100")]];
    let values = db.label_values("pod", &sets, all, &budget).unwrap();
    assert_eq!(values.iter().collect::<Vec<_>>(), ["pod-10", "pod-3"]);
    assert_eq!(db.label_names(&sets, all, &budget).unwrap().len(), 4);
    assert_eq!(db.series(&sets, all, &budget).unwrap().len(), 2);
    let old = TimeRange::new(T0, T0 + HOUR);
    assert_eq!(db.series(&[], old, &budget).unwrap().len(), 12);
    assert!(db.series(&[], TimeRange::new(0, 1), &budget).unwrap().is_empty());
    let stats = db.stats(3);
    assert_eq!((stats.series, stats.series_by_metric[0].value), (12, 12));
}

#[test]
fn a_snapshot_opens_as_a_store_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let env = reba_disk::Env::real();
    let open = |p: &std::path::Path| Tsdb::open(&env, p, TsdbConfig::unbounded(), &|_, _| {}).unwrap();
    let db = open(dir.path());
    let times = fill(&db, 3, 7);
    db.snapshot("s1", true).unwrap();
    let copy = open(&dir.path().join("snapshots/s1"));
    assert_eq!(dump(&copy), expected(3, times));
    assert!(Tsdb::open(&env, dir.path(), TsdbConfig::unbounded(), &|_, _| {}).is_err(), "it is locked");
}

#[test]
fn series_that_come_and_go_do_not_pile_up_in_the_head() {
    let fs = FaultFs::new();
    let db = open(&fs, TsdbConfig::unbounded());
    let (live, replaced) = (2000, 200);
    let mut want = std::collections::BTreeMap::new();
    let mut most = 0;
    for i in 0..10 * 6 {
        let t = T0 + i * 10 * MINUTE;
        // A tenth of the series is replaced every ten minutes; each lives for a hundred.
        for k in 0..2 {
            let mut b = WriteBatch::default();
            for n in 0..live {
                let id = n + (i as usize) * replaced;
                let labels = series(id);
                let t = t + k * 5 * MINUTE;
                b.floats.push(FloatSample { series: db.series_ref(&labels).unwrap(), t, v: value(id, t) });
                want.entry(labels.to_string()).or_insert_with(Vec::new).push((t, value(id, t)));
            }
            db.append(&b, AppendMode::AllOrNothing).unwrap();
        }
        db.maintain(t).unwrap();
        most = most.max(db.metrics().head.series);
    }
    assert!(most < 2 * live as u64, "{most} series in the head at once");
    assert_eq!(dump(&db), want);
    drop(db);
    assert_eq!(dump(&open(&fs, TsdbConfig::unbounded())), want);
}

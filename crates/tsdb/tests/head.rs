//! The head and its log, from the outside.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use reba_disk::FaultFs;
use reba_model::Labels;
use reba_storage::{AppendMode, FloatSample, MetricAppender as _, RejectReason, WriteBatch};
use reba_tsdb::TsdbConfig;

#[test]
fn what_was_written_is_read_back_and_survives_without_a_clean_end() {
    let fs = FaultFs::new();
    let times: Vec<i64> = (0..500).map(|i| T0 + i * 15_000).collect();
    let db = open(&fs, TsdbConfig::unbounded());
    for t in &times {
        assert_eq!(write(&db, 20, *t).unwrap().appended, 20);
    }
    let want = expected(20, times);
    assert_eq!(dump(&db), want);
    drop(db);
    assert_eq!(dump(&open(&fs, TsdbConfig::unbounded())), want);
}

#[test]
fn a_checkpoint_takes_the_place_of_the_log_before_it() {
    let fs = FaultFs::new();
    let config =
        TsdbConfig { checkpoint_bytes: 10_000, sealed_memory_bytes: 1000, ..TsdbConfig::unbounded() };
    let db = open(&fs, config.clone());
    let times: Vec<i64> = (0..400).map(|i| T0 + i * 15_000).collect();
    for t in &times {
        write(&db, 30, *t).unwrap();
        db.maintain(*t).unwrap();
    }
    assert!(db.metrics().disk.checkpoints > 3);
    let want = expected(30, times.clone());
    assert_eq!(dump(&db), want);
    drop(db);
    let db = open(&fs, config.clone());
    assert_eq!(dump(&db), want);
    write(&db, 30, T0 + 400 * 15_000).unwrap();
    db.close().unwrap();
    drop(db);
    let all = times.into_iter().chain([T0 + 400 * 15_000]).collect::<Vec<_>>();
    // Another number of shards is no obstacle.
    let db = open(&fs, TsdbConfig { shards: 5, ..config });
    assert_eq!(dump(&db), expected(30, all));
}

#[test]
fn absurd_times_are_refused_and_gaps_of_ages_cost_nothing() {
    let fs = FaultFs::new();
    let config = TsdbConfig { out_of_order_window_ms: i64::MAX, ..TsdbConfig::unbounded() };
    let db = open(&fs, config.clone());
    let mut kept = Vec::new();
    let odd = [0, 1, T0, -T0, i64::MAX / 8, i64::MIN / 8, i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1];
    for t in odd {
        let report = write(&db, 2, t).unwrap();
        if report.rejected.is_empty() {
            kept.push(t);
        }
        db.maintain(t).unwrap();
    }
    kept.sort_unstable();
    assert_eq!(kept, [i64::MIN / 8, -T0, 0, 1, T0, i64::MAX / 8]);
    let times = |db: &reba_tsdb::Tsdb| {
        dump(db).values().map(|s| s.iter().map(|s| s.0).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    assert_eq!(times(&db), [kept.clone(), kept.clone()]);
    drop(db);
    assert_eq!(times(&open(&fs, config)), [kept.clone(), kept]);
}

#[test]
fn the_earliest_time_there_is_does_not_pass_for_what_a_new_series_has_already() {
    let db = open(&FaultFs::new(), TsdbConfig::unbounded());
    let series = db.series_ref(&Labels::from_pairs([("__name__", "new")])).unwrap();
    for v in [0.0, 1.0] {
        let floats = vec![FloatSample { series, t: i64::MIN, v }];
        let batch = WriteBatch { floats, ..WriteBatch::default() };
        let report = db.append(&batch, AppendMode::Partial).unwrap();
        let reasons: Vec<RejectReason> = report.rejected.iter().map(|r| r.reason).collect();
        assert_eq!((report.appended, reasons), (0, vec![RejectReason::TooOld]));
    }
}

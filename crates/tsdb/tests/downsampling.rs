//! Downsampled blocks, retention by rule, and clocks that leap, from the outside.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;

use common::*;
use proptest::prelude::*;
use reba_disk::FaultFs;
use reba_model::{Downsampler, Labels, Matcher, Rollup, STALE_NAN, SampleColumns, TimeRange};
use reba_storage::{Budget, MetricQuerier, SelectHints, SelectRequest};
use reba_tsdb::{DownsampleLevel, ImportBatch, RetentionRule, Tsdb, TsdbConfig};

const RES: i64 = 5 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn level(resolution_ms: i64, after_ms: i64, keep_ms: i64) -> DownsampleLevel {
    DownsampleLevel { resolution_ms, after_ms, keep_ms, matchers: Vec::new() }
}

/// Samples for a day, windows of five minutes of what is older than half a day.
fn config() -> TsdbConfig {
    TsdbConfig {
        retention_ms: Some(DAY),
        downsampling: vec![level(RES, 12 * HOUR, 10 * DAY)],
        ..TsdbConfig::unbounded()
    }
}

/// One sample a minute for `n` series, with maintenance.
fn fill(db: &Tsdb, n: usize, hours: std::ops::Range<i64>) -> Vec<i64> {
    let times: Vec<i64> = (hours.start * 60..hours.end * 60).map(|i| T0 + i * MINUTE).collect();
    for (i, t) in times.iter().enumerate() {
        write(db, n, *t).unwrap();
        if i % 20 == 0 {
            db.maintain(*t).unwrap();
        }
    }
    db.maintain(i64::MAX).unwrap();
    times
}

/// Everything as rollups, samples among them, by series.
fn read(db: &Tsdb, range: TimeRange, hints: &SelectHints) -> BTreeMap<String, Vec<Rollup>> {
    read_of(db, ".+", range, hints)
}

fn read_of(db: &Tsdb, name: &str, range: TimeRange, hints: &SelectHints) -> BTreeMap<String, Vec<Rollup>> {
    let matchers = [Matcher::new(reba_model::MatchOp::Regex, "__name__", name).unwrap()];
    let budget = Budget::unlimited();
    let request = SelectRequest { matchers: &matchers, range, hints, budget: &budget };
    let mut out = BTreeMap::new();
    for s in db.select(&request).unwrap() {
        let mut rollups = Vec::new();
        for chunk in &s.chunks {
            chunk.rollups_into(range, &mut rollups).unwrap();
        }
        assert!(rollups.windows(2).all(|w| w[0].last_t < w[1].first_t), "nothing overlaps");
        assert!(out.insert(s.labels.to_string(), rollups).is_none(), "a series comes once");
    }
    out
}

/// A request whose steps are so many windows long.
fn steps(windows: i64) -> SelectHints {
    SelectHints { step: windows * RES, ..SelectHints::default() }
}

fn rollups(samples: impl IntoIterator<Item = (i64, f64)>, resolution: i64) -> Vec<Rollup> {
    let mut d = Downsampler::new(resolution, 2 * HOUR);
    d.extend(samples.into_iter().map(|(t, v)| Rollup::sample(t, v)));
    d.finish()
}

fn of(i: usize, times: &[i64]) -> impl Iterator<Item = (i64, f64)> {
    times.iter().map(move |t| (*t, value(i, *t)))
}

fn count(rollups: &[Rollup]) -> u32 {
    rollups.iter().map(|r| r.count).sum()
}

#[test]
fn samples_that_go_leave_their_windows_behind_and_nothing_is_missing_or_double_at_the_seam() {
    let fs = FaultFs::new();
    let mut db = open(&fs, config());
    let times = fill(&db, 3, 0..72);
    let all = TimeRange::new(T0 + 1, T0 + 72 * HOUR);
    for again in [false, true] {
        if again {
            drop(db);
            db = open(&fs, config());
        }
        for (hints, what) in [(SelectHints::default(), "samples first"), (steps(6), "windows first")] {
            let found = read(&db, all, &hints);
            assert_eq!(found.len(), 3);
            for i in 0..3 {
                let rolled = &found[&series(i).to_string()];
                assert_eq!(count(rolled), times.len() as u32 - 1, "{what}: series {i}");
                assert!(rolled.len() < times.len() / 2, "{what}: {} of {}", rolled.len(), times.len());
                let sum: f64 = rolled.iter().map(|r| r.sum).sum();
                let want: f64 = of(i, &times[1..]).map(|s| s.1).sum();
                assert!((sum - want).abs() < 1e-6 * want, "{what}");
            }
        }
        // The newest day is there as it came, but a request for long steps gets windows of all but the newest half of it.
        let day = TimeRange::new(T0 + 50 * HOUR, T0 + 60 * HOUR - 1);
        let samples = read(&db, day, &SelectHints::default());
        assert!(samples.values().all(|s| s.len() == 600 && s.iter().all(|r| r.count == 1)));
        let windows = read(&db, TimeRange::new(T0 + 50 * HOUR, T0 + 56 * HOUR), &steps(6));
        assert!(windows.values().all(|s| s.iter().all(|r| r.count > 1 || r.last_t % (2 * HOUR) == 0)));
    }
}

#[test]
fn two_levels_stand_side_by_side_and_each_has_its_own_retention() {
    let fs = FaultFs::new();
    let levels = vec![level(RES, 4 * HOUR, 2 * DAY), level(12 * RES, 12 * HOUR, 30 * DAY)];
    let db = open(&fs, TsdbConfig { downsampling: levels, ..config() });
    let times = fill(&db, 1, 0..120);
    let all = TimeRange::new(T0 + 1, T0 + 120 * HOUR);
    let found = read(&db, all, &SelectHints::default()).remove(&series(0).to_string()).unwrap();
    assert_eq!(count(&found), times.len() as u32 - 1);
    let longest = |range: TimeRange| {
        found.iter().filter(|r| range.contains(r.last_t)).map(|r| r.last_t - r.first_t).max().unwrap()
    };
    let hours = |a: i64, b: i64| TimeRange::new(T0 + a * HOUR, T0 + b * HOUR - 1);
    assert_eq!(longest(hours(0, 64)), 59 * MINUTE, "only hours are left");
    assert_eq!(longest(hours(76, 88)), 4 * MINUTE, "of the second day there are windows of five minutes");
    assert_eq!(longest(hours(100, 120)), 0, "samples");
    let coarse = read(&db, hours(64, 104), &steps(60)).remove(&series(0).to_string()).unwrap();
    assert!(coarse.len() <= 60, "{}", coarse.len());
}

#[test]
fn rules_keep_series_for_their_time_and_the_index_forgets_the_others() {
    let fs = FaultFs::new();
    let rule = |pod: &str, keep_ms| RetentionRule { matchers: vec![Matcher::equal("pod", pod)], keep_ms };
    let rules = vec![rule("pod-1", 40 * HOUR), rule("pod-2", 4 * HOUR)];
    let db = open(&fs, TsdbConfig { retention_rules: rules.clone(), ..config() });
    fill(&db, 3, 0..48);
    let at = |hours: i64| {
        let range = TimeRange::new(T0 + hours * HOUR, T0 + (hours + 2) * HOUR - 1);
        read(&db, range, &SelectHints::default())
    };
    let samples = |found: &BTreeMap<String, Vec<Rollup>>, i: usize| {
        found.get(&series(i).to_string()).map(|r| r.iter().filter(|r| r.count == 1).count())
    };
    // Two hours before the end all are there; a day and a half before it only the first rule's samples.
    assert_eq!([0, 1, 2].map(|i| samples(&at(44), i)), [Some(120), Some(120), Some(120)]);
    let old = at(14);
    assert_eq!(samples(&old, 1), Some(120));
    assert_eq!(samples(&old, 2), None, "it was gone before it could be downsampled");
    assert!(samples(&old, 0).unwrap() < 20, "windows are left");
    assert_eq!(count(&old[&series(0).to_string()]), 120);
    assert_eq!(count(&at(2)[&series(1).to_string()]), 120, "windows outlive the rule");
    let budget = Budget::unlimited();
    let day = TimeRange::new(T0, T0 + 24 * HOUR);
    assert_eq!(db.series(&[], day, &budget).unwrap(), [series(0), series(1)]);
}

#[test]
fn only_what_a_level_names_is_downsampled() {
    let fs = FaultFs::new();
    let mut only = level(RES, 4 * HOUR, 30 * DAY);
    only.matchers = vec![Matcher::equal("pod", "pod-0")];
    let db = open(&fs, TsdbConfig { downsampling: vec![only], ..config() });
    let times = fill(&db, 2, 0..60);
    let found = read(&db, TimeRange::ALL, &steps(6));
    assert_eq!(count(&found[&series(0).to_string()]), times.len() as u32);
    let other = &found[&series(1).to_string()];
    assert!(other.iter().all(|r| r.count == 1) && other.len() < 30 * 60, "{}", other.len());
    let budget = Budget::unlimited();
    let old = TimeRange::new(T0, T0 + HOUR);
    assert_eq!(db.series(&[], old, &budget).unwrap(), [series(0)]);
    // Nothing of other series is looked for again and again.
    let before = db.metrics().disk.compactions;
    db.maintain(i64::MAX).unwrap();
    assert_eq!(db.metrics().disk.compactions, before);
}

#[test]
fn imported_samples_join_the_windows_of_their_time_and_twice_is_once() {
    let fs = FaultFs::new();
    let db = open(&fs, config());
    fill(&db, 1, 0..60);
    let old: Vec<i64> = (0..600).map(|i| T0 + 2 * HOUR + i * MINUTE + 30_000).collect();
    let import = |labels: &Labels, times: &[i64]| {
        let mut columns = SampleColumns::default();
        for t in times {
            columns.push(*t, 7.0);
        }
        db.import(ImportBatch::from([(labels.clone(), columns)])).unwrap();
        db.merge_imported().unwrap();
    };
    let other = Labels::from_pairs([("__name__", "imported")]);
    let range = TimeRange::new(T0 + 1, T0 + 14 * HOUR);
    for _ in 0..2 {
        import(&other, &old);
        let at_once = read_of(&db, "m", range, &SelectHints::default());
        assert_eq!(count(&at_once[&series(0).to_string()]), 14 * 60, "what was there stays to be seen");
        db.maintain(i64::MAX).unwrap();
        db.maintain(i64::MAX).unwrap();
        let found = read(&db, range, &SelectHints::default());
        assert!(found[&other.to_string()] == rollups(old.iter().map(|t| (*t, 7.0)), RES));
        assert_eq!(count(&found[&series(0).to_string()]), 14 * 60);
    }
    // A sample between windows whose samples are gone joins them, once its block is downsampled.
    import(&series(0), &[T0 + HOUR + 30_000]);
    for _ in 0..2 {
        db.maintain(i64::MAX).unwrap();
        db.maintain(i64::MAX).unwrap();
        let found = read(&db, range, &SelectHints::default());
        assert_eq!(count(&found[&series(0).to_string()]), 14 * 60 + 1);
    }
}

#[test]
fn what_is_deleted_is_in_no_sum_any_more() {
    let fs = FaultFs::new();
    let db = open(&fs, config());
    fill(&db, 2, 0..60);
    let sets = vec![vec![Matcher::equal("pod", "pod-1")]];
    let range = TimeRange::new(T0 + 2 * HOUR + 90_000, T0 + 50 * HOUR);
    db.delete_series(&sets, range).unwrap();
    for clean in [false, true] {
        if clean {
            db.clean_tombstones().unwrap();
            db.maintain(i64::MAX).unwrap();
        }
        for hints in [SelectHints::default(), steps(6)] {
            let found = read(&db, TimeRange::ALL, &hints);
            let left = &found[&series(1).to_string()];
            assert!(left.iter().all(|r| r.last_t < range.start || r.first_t > range.end));
            assert!(
                left.iter().any(|r| r.last_t < range.start) && left.iter().any(|r| r.first_t > range.end)
            );
            assert_eq!(count(&found[&series(0).to_string()]), 3600);
        }
    }
}

#[test]
fn a_leap_of_a_year_drops_nothing_and_does_when_it_has_lasted_a_day() {
    let fs = FaultFs::new();
    let db = open(&fs, TsdbConfig { downsampling: Vec::new(), ..config() });
    let mut times = fill(&db, 1, 0..30);
    let oldest = db.metrics().disk.lowest_time;
    assert!(oldest > T0, "retention works");
    times.retain(|t| *t >= oldest);
    let year = 365 * 24;
    let leapt = fill(&db, 1, year..year + 6);
    let have = dump(&db)[&series(0).to_string()].len();
    // What was in the head is in blocks now: one more of them is old enough.
    assert!(
        have >= times.len() + leapt.len() - 120,
        "six hours of a clock that leapt do not age what was there"
    );
    fill(&db, 1, year + 6..year + 40);
    assert!(db.metrics().disk.lowest_time >= T0 + year * HOUR, "the clock was right after all");
}

fn samples() -> impl Strategy<Value = Vec<(i64, f64)>> {
    // Mostly 15 s apart, gaps now and then, resets, staleness markers.
    let gap = prop_oneof![10 => Just(15_000i64), 2 => 1_000i64..400_000, 1 => 400_000i64..5_000_000];
    let value = prop_oneof![20 => (0u32..50).prop_map(f64::from), 1 => Just(STALE_NAN)];
    proptest::collection::vec((gap, value), 50..400).prop_map(|steps| {
        let mut t = T0;
        let mut total = 0.0;
        steps
            .into_iter()
            .map(|(gap, v)| {
                t += gap;
                // Large values are resets.
                if !v.is_nan() {
                    total = if v > 48.0 { v } else { total + v };
                }
                (t, if v.is_nan() { v } else { total })
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn windows_of_a_store_are_those_of_its_samples(all in samples(), cut in any::<prop::sample::Index>()) {
        let fs = FaultFs::new();
        let db = open(&fs, TsdbConfig { retention_ms: Some(12 * HOUR), ..config() });
        let labels = series(0);
        // In two imports, with maintenance between: windows of the second join those of the first.
        let cut = cut.index(all.len());
        for part in [&all[cut..], &all[..cut]] {
            let mut columns = SampleColumns::default();
            for (t, v) in part {
                columns.push(*t, *v);
            }
            db.import(ImportBatch::from([(labels.clone(), columns)])).unwrap();
        }
        // A newer sample makes them old.
        write(&db, 2, T0 + 5 * DAY).unwrap();
        db.maintain(i64::MAX).unwrap();
        db.maintain(i64::MAX).unwrap();
        prop_assert!(files(&fs, "blocks/").iter().any(|f| f.ends_with("index")));
        let found = read(&db, TimeRange::new(T0, T0 + 4 * DAY), &steps(6));
        let want = rollups(all.iter().copied(), RES);
        // Markers that follow one another are one, unless they stand in different blocks.
        let mut joined = Downsampler::new(RES, 2 * HOUR);
        joined.extend(found[&labels.to_string()].iter().copied());
        prop_assert!(joined.finish() == want);
    }
}

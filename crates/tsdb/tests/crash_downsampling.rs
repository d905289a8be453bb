//! Random writes, maintenance, failures, kills and power losses with downsampling on: every sample that was acknowledged
//! is counted exactly once, as a sample or in a window.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{collections::BTreeSet, time::Duration};

use common::*;
use proptest::prelude::*;
use reba_disk::{Fault, FaultFs, FaultKind, FaultOp, LogConfig};
use reba_model::{Matcher, Rollup, TimeRange};
use reba_storage::{Budget, MetricAppender, MetricQuerier, SelectHints, SelectRequest};
use reba_tsdb::{DownsampleLevel, Tsdb, TsdbConfig};

#[derive(Clone, Debug)]
enum Step {
    /// A sample, so many minutes after the one before.
    Write(i64),
    Maintain,
    Fail(Fault),
    Heal,
    Kill,
    PowerLoss(u64),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let op = prop_oneof![
        Just(FaultOp::Write),
        Just(FaultOp::Sync),
        Just(FaultOp::Create),
        Just(FaultOp::Rename),
        Just(FaultOp::SyncDir),
    ];
    let kind = prop_oneof![Just(FaultKind::Eio), Just(FaultKind::Enospc), Just(FaultKind::Torn)];
    let fault = (op, 0u64..20, kind, any::<bool>())
        .prop_map(|(op, after, kind, forever)| Step::Fail(Fault { op, after, kind, forever }));
    prop_oneof![
        30 => (1i64..40).prop_map(Step::Write),
        10 => Just(Step::Maintain),
        2 => fault,
        2 => Just(Step::Heal),
        1 => Just(Step::Kill),
        1 => any::<u64>().prop_map(Step::PowerLoss),
        1 => Just(Step::Close),
    ]
}

/// Samples for eight hours, windows of what is older than three, of five minutes and of an hour.
fn config() -> TsdbConfig {
    let level = |resolution_ms| DownsampleLevel {
        resolution_ms,
        after_ms: 3 * HOUR,
        keep_ms: i64::MAX,
        matchers: Vec::new(),
    };
    TsdbConfig {
        wal: LogConfig { fsync_interval: Duration::ZERO, segment_bytes: 1500 },
        checkpoint_bytes: 3000,
        sealed_memory_bytes: 60,
        retention_ms: Some(8 * HOUR),
        downsampling: vec![level(5 * MINUTE), level(HOUR)],
        ..TsdbConfig::unbounded()
    }
}

#[derive(Default)]
struct Model {
    acknowledged: BTreeSet<i64>,
    attempted: BTreeSet<i64>,
    now: i64,
}

impl Model {
    fn write(&mut self, db: &Tsdb, minutes: i64) {
        self.now += minutes * MINUTE;
        let t = T0 + self.now;
        if db.series_ref(&series(0)).is_err() {
            return;
        }
        self.attempted.insert(t);
        if write(db, 1, t).is_ok_and(|report| report.appended == 1) {
            self.acknowledged.insert(t);
        }
    }

    fn check(&self, db: &Tsdb) {
        for step in [0, 25 * MINUTE, 5 * HOUR] {
            let hints = SelectHints { step, ..SelectHints::default() };
            let rollups = rollups(db, &hints);
            let all: u32 = rollups.iter().map(|r| r.count).sum();
            let least = self.acknowledged.len() as u32;
            let most = self.attempted.len() as u32;
            assert!((least..=most).contains(&all), "{all} samples of {least} to {most}, step {step}");
            for r in &rollups {
                assert!(self.attempted.contains(&r.first_t) && self.attempted.contains(&r.last_t));
                assert_eq!((r.first, r.last), (value(0, r.first_t), value(0, r.last_t)));
                let inside = self.attempted.range(r.first_t..=r.last_t).count() as u32;
                let sure = self.acknowledged.range(r.first_t..=r.last_t).count() as u32;
                assert!((sure..=inside).contains(&r.count), "a window of {} samples", r.count);
            }
        }
    }
}

fn rollups(db: &Tsdb, hints: &SelectHints) -> Vec<Rollup> {
    let matchers = [Matcher::equal("__name__", "m")];
    let budget = Budget::unlimited();
    let request = SelectRequest { matchers: &matchers, range: TimeRange::ALL, hints, budget: &budget };
    let mut out = Vec::new();
    for chunk in db.select(&request).unwrap().iter().flat_map(|s| &s.chunks) {
        chunk.rollups_into(TimeRange::ALL, &mut out).unwrap();
    }
    assert!(out.windows(2).all(|w| w[0].last_t < w[1].first_t), "nothing is there twice");
    out
}

fn reopen(fs: &FaultFs) -> Tsdb {
    fs.heal();
    let db = open(fs, config());
    let disk = db.metrics().disk;
    assert_eq!((disk.quarantined, disk.wal_corruptions), (0, 0), "nothing is corrupt after a crash");
    db
}

/// `CRASH_CASES` runs more of them than every test run can afford.
fn cases() -> u32 {
    std::env::var("CRASH_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_acknowledged_sample_is_counted_once(steps in proptest::collection::vec(step(), 40..200)) {
        let mut fs = FaultFs::new();
        let mut db = open(&fs, config());
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Write(minutes) => model.write(&db, minutes),
                Step::Maintain => drop(db.maintain(i64::MAX)),
                Step::Fail(fault) => fs.inject(fault),
                Step::Heal => fs.heal(),
                Step::Kill => {
                    drop(db);
                    db = reopen(&fs);
                    model.check(&db);
                }
                Step::PowerLoss(seed) => {
                    fs = fs.power_loss(seed);
                    db = reopen(&fs);
                    model.check(&db);
                }
                Step::Close => {
                    drop(db.close());
                    drop(db);
                    db = reopen(&fs);
                    model.check(&db);
                }
            }
        }
        drop(db);
        let db = reopen(&fs);
        db.maintain(i64::MAX).unwrap();
        model.check(&db);
    }
}

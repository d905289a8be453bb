//! Random writes, maintenance, failures, kills and power losses: what was acknowledged is always there, and nothing is
//! there that was never written.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use common::*;
use proptest::prelude::*;
use reba_disk::{Fault, FaultFs, FaultKind, FaultOp, LogConfig};
use reba_storage::{AppendMode, FloatSample, MetricAppender, WriteBatch};
use reba_tsdb::{Tsdb, TsdbConfig};

#[derive(Clone, Debug)]
enum Step {
    /// Samples for the series of a mask, so many minutes after the ones before.
    Write(u8, i64),
    Maintain,
    Fail(Fault),
    /// Room for so many more bytes.
    Fill(u64),
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
    let fault = (op, 0u64..12, kind, any::<bool>())
        .prop_map(|(op, after, kind, forever)| Step::Fail(Fault { op, after, kind, forever }));
    prop_oneof![
        30 => (any::<u8>(), 1i64..40).prop_map(|(mask, minutes)| Step::Write(mask, minutes)),
        8 => Just(Step::Maintain),
        2 => fault,
        1 => (0u64..600).prop_map(Step::Fill),
        2 => Just(Step::Heal),
        1 => Just(Step::Kill),
        1 => any::<u64>().prop_map(Step::PowerLoss),
        1 => Just(Step::Close),
    ]
}

fn config() -> TsdbConfig {
    TsdbConfig {
        wal: LogConfig { fsync_interval: Duration::ZERO, segment_bytes: 1500 },
        checkpoint_bytes: 3000,
        sealed_memory_bytes: 60,
        ..TsdbConfig::unbounded()
    }
}

#[derive(Default)]
struct Model {
    acknowledged: BTreeMap<String, BTreeSet<i64>>,
    attempted: BTreeMap<String, BTreeSet<i64>>,
    now: i64,
}

impl Model {
    fn write(&mut self, db: &Tsdb, mask: u8, minutes: i64) {
        self.now += minutes * MINUTE;
        let t = T0 + self.now;
        let mut batch = WriteBatch::default();
        let mut names = Vec::new();
        for i in (0..8).filter(|i| mask >> i & 1 == 1) {
            let Ok(series) = db.series_ref(&series(i)) else { return };
            batch.floats.push(FloatSample { series, t, v: value(i, t) });
            names.push(common::series(i).to_string());
        }
        let result = db.append(&batch, AppendMode::AllOrNothing);
        for name in names {
            self.attempted.entry(name.clone()).or_default().insert(t);
            if let Ok(report) = &result {
                assert!(report.rejected.is_empty(), "{report:?}");
                self.acknowledged.entry(name).or_default().insert(t);
            }
        }
    }

    fn check(&self, db: &Tsdb) {
        let found = dump(db);
        let all: BTreeMap<String, Samples> = expected(8, (0..=self.now / MINUTE).map(|m| T0 + m * MINUTE));
        for (name, times) in &self.acknowledged {
            let have: BTreeSet<i64> = found.get(name).into_iter().flatten().map(|s| s.0).collect();
            let lost: Vec<&i64> = times.difference(&have).collect();
            assert!(lost.is_empty(), "{name} lost {lost:?}");
        }
        for (name, samples) in &found {
            let attempted = &self.attempted[name];
            for (t, v) in samples {
                assert!(attempted.contains(t), "{name} has a sample at {t} that was never written");
                let written = all[name].iter().find(|s| s.0 == *t).unwrap().1;
                assert_eq!(written, *v, "{name} at {t}");
            }
        }
    }
}

fn reopen(fs: &FaultFs) -> Tsdb {
    fs.heal();
    fs.set_capacity(u64::MAX);
    let db = open(fs, config());
    let disk = db.metrics().disk;
    assert_eq!((disk.quarantined, disk.wal_corruptions), (0, 0), "nothing is corrupt after a crash");
    db
}

/// `CRASH_CASES` runs more of them than every test run can afford.
fn cases() -> u32 {
    std::env::var("CRASH_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(96)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_ever_lost(steps in proptest::collection::vec(step(), 1..120)) {
        let mut fs = FaultFs::new();
        let mut db = open(&fs, config());
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Write(mask, minutes) => model.write(&db, mask, minutes),
                Step::Maintain => drop(db.maintain(i64::MAX)),
                Step::Fail(fault) => fs.inject(fault),
                Step::Fill(room) => fs.set_capacity(fs.used() + room),
                Step::Heal => {
                    fs.heal();
                    fs.set_capacity(u64::MAX);
                }
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
                    model.check(&db);
                    drop(db);
                    db = reopen(&fs);
                    model.check(&db);
                }
            }
        }
        model.check(&db);
        drop(db);
        model.check(&reopen(&fs));
    }
}

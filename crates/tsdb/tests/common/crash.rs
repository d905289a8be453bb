//! Random histories of a store: what a test does to it, among maintenance, failures of the disk, kills and power losses.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use proptest::{prelude::*, sample::select, strategy::Union};
use reba_disk::{Fault, FaultFs, FaultKind, FaultOp, LogConfig};
use reba_tsdb::{Tsdb, TsdbConfig};

use crate::common::open;

/// Far more than all files together ever need: whoever writes without end finds an end.
const ROOM: u64 = 4 << 20;

/// One step of a history; `A` is what its test does to the store.
#[derive(Clone, Debug)]
pub enum Step<A> {
    Act(A),
    Maintain,
    Fail(Fault),
    /// Room for so many more bytes.
    Fill(u64),
    Heal,
    Kill,
    PowerLoss(u64),
    Close,
}

/// What a test does, and what it knows of the store.
pub trait History {
    type Act: std::fmt::Debug;

    fn config() -> TsdbConfig;

    /// Does something to the store; without `healthy`, the disk may fail meanwhile.
    fn act(&mut self, act: Self::Act, db: &Tsdb, fs: &FaultFs, healthy: bool);

    /// Panics unless the store holds what it must, and nothing else.
    fn check(&self, db: &Tsdb);

    /// The same for what only a power loss may take.
    fn check_volatile(&self, _db: &Tsdb) {}
}

/// Files so small that a history has many of them.
pub fn config() -> TsdbConfig {
    TsdbConfig {
        wal: LogConfig { fsync_interval: Duration::ZERO, segment_bytes: 1500 },
        checkpoint_bytes: 3000,
        sealed_memory_bytes: 60,
        ..TsdbConfig::unbounded()
    }
}

/// Steps, most of them acts. One operation on the disk in twenty fails in some of `ops`.
pub fn steps<A: Clone + std::fmt::Debug + 'static>(
    act: impl Strategy<Value = A> + 'static,
    ops: &'static [FaultOp],
    count: std::ops::Range<usize>,
) -> impl Strategy<Value = Vec<Step<A>>> {
    let kind = select(&[FaultKind::Eio, FaultKind::Enospc, FaultKind::Torn]);
    let fault = (select(ops), 0u64..20, kind, any::<bool>())
        .prop_map(|(op, after, kind, forever)| Step::Fail(Fault { op, after, kind, forever }));
    let step = Union::new_weighted(vec![
        (36, act.prop_map(Step::Act).boxed()),
        (8, Just(Step::Maintain).boxed()),
        (2, fault.boxed()),
        (1, (0u64..900).prop_map(Step::Fill).boxed()),
        (2, Just(Step::Heal).boxed()),
        (1, Just(Step::Kill).boxed()),
        (1, any::<u64>().prop_map(Step::PowerLoss).boxed()),
        (1, Just(Step::Close).boxed()),
    ]);
    proptest::collection::vec(step, count)
}

/// What of a disk may fail while it is written to.
pub const WRITES: [FaultOp; 5] =
    [FaultOp::Write, FaultOp::Sync, FaultOp::Create, FaultOp::Rename, FaultOp::SyncDir];

/// `CRASH_CASES` runs more histories than every test run can afford.
pub fn cases(few: u32) -> ProptestConfig {
    let cases = std::env::var("CRASH_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(few);
    ProptestConfig { cases, max_shrink_iters: 400, ..ProptestConfig::default() }
}

/// Goes through a history, and looks at the store whenever it was opened again, and at the end.
pub fn run<H: History>(mut history: H, steps: Vec<Step<H::Act>>) {
    let mut fs = FaultFs::new();
    let mut db = open(&fs, H::config());
    let mut healthy = true;
    heal(&fs);
    for step in steps {
        healthy = match &step {
            Step::Fail(_) | Step::Fill(_) => false,
            Step::Act(_) | Step::Maintain => healthy,
            Step::Heal | Step::Kill | Step::PowerLoss(_) | Step::Close => true,
        };
        match step {
            Step::Act(act) => history.act(act, &db, &fs, healthy),
            Step::Maintain => drop(db.maintain(i64::MAX)),
            Step::Fail(fault) => fs.inject(fault),
            Step::Fill(room) => fs.set_capacity(fs.used() + room),
            Step::Heal => heal(&fs),
            Step::Kill => {
                drop(db);
                db = reopen::<H>(&fs);
                history.check(&db);
                history.check_volatile(&db);
            }
            Step::PowerLoss(seed) => {
                fs = fs.power_loss(seed);
                db = reopen::<H>(&fs);
                history.check(&db);
            }
            Step::Close => {
                drop(db.close());
                heal(&fs);
                history.check(&db);
                drop(db);
                db = reopen::<H>(&fs);
                history.check(&db);
                history.check_volatile(&db);
            }
        }
        assert!(fs.used() < ROOM / 2, "something writes without end");
    }
    heal(&fs);
    history.check(&db);
    drop(db);
    let db = reopen::<H>(&fs);
    history.check(&db);
    db.maintain(i64::MAX).unwrap();
    history.check(&db);
}

fn heal(fs: &FaultFs) {
    fs.heal();
    fs.set_capacity(ROOM);
}

fn reopen<H: History>(fs: &FaultFs) -> Tsdb {
    heal(fs);
    let db = open(fs, H::config());
    let disk = db.metrics().disk;
    assert_eq!((disk.quarantined, disk.wal_corruptions), (0, 0), "nothing is corrupt after a crash");
    db
}

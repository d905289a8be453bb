//! Any sequence of writes, deletions, flushes, merges, failures of every kind, kills and power losses: what was acknowledged is
//! there, once; what was deleted is not, ever again; nothing else is there.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{collections::BTreeMap, sync::Arc};

use common::{DAY, SECOND, T0, dump, durable, env_at};
use proptest::prelude::*;
use reba_columnar::{Columnar, ColumnarConfig};
use reba_disk::{Clock, Fault, FaultFs, FaultKind, FaultOp, ManualClock};
use reba_model::{Labels, LogBatch, Matcher, NanoRange, Tenant};
use reba_storage::{LogAdmin, LogAppender, LogRow};

/// Far more than all files together ever need: whoever writes without end finds an end.
const ROOM: u64 = 2 << 20;

#[derive(Clone, Debug)]
enum Step {
    /// Entries of streams, so many seconds back.
    Write(Vec<(u8, u8)>),
    /// Entries of a stream in a range, all or every other.
    Delete(u8, u8, u8, bool),
    Flush,
    Maintain,
    Wait(u8),
    Fail(Fault),
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
        Just(FaultOp::Read),
        Just(FaultOp::SyncDir),
    ];
    let kind = prop_oneof![Just(FaultKind::Eio), Just(FaultKind::Enospc), Just(FaultKind::Torn)];
    let fault = (op, 0u64..15, kind, any::<bool>()).prop_map(|(op, after, kind, forever)| Fault {
        op,
        after,
        kind,
        forever,
    });
    prop_oneof![
        12 => prop::collection::vec((0u8..4, 0u8..60), 1..15).prop_map(Step::Write),
        2 => (0u8..4, 0u8..60, 1u8..40, any::<bool>()).prop_map(|(s, f, n, h)| Step::Delete(s, f, n, h)),
        3 => Just(Step::Flush),
        4 => Just(Step::Maintain),
        2 => any::<u8>().prop_map(Step::Wait),
        2 => fault.prop_map(Step::Fail),
        1 => (0u64..6000).prop_map(Step::Fill),
        3 => Just(Step::Heal),
        2 => Just(Step::Kill),
        1 => any::<u64>().prop_map(Step::PowerLoss),
        1 => Just(Step::Close),
    ]
}

fn config() -> ColumnarConfig {
    ColumnarConfig { flush_bytes: 3000, memory_bytes: 20_000, ..durable() }
}

fn labels(stream: u8) -> Labels {
    Labels::from_pairs([("app", format!("s{stream}"))])
}

/// Two days, so that there are parts of both.
fn ns(back: u8) -> i64 {
    T0 - i64::from(back) * SECOND - if back.is_multiple_of(7) { DAY } else { 0 }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    There,
    /// Writing it failed: it may be there or not, until it is written again or the store is opened the next time.
    Open,
    /// Deleting it failed: it may still go, until the store is opened the next time.
    Doomed,
}

struct World {
    fs: FaultFs,
    clock: Arc<ManualClock>,
    db: Columnar,
    rows: BTreeMap<(u8, u8), Fact>,
}

impl World {
    fn write(&mut self, entries: &[(u8, u8)]) {
        let mut batch = LogBatch::default();
        for (stream, back) in entries {
            batch.begin_stream(labels(*stream));
            batch.push(ns(*back), &format!("line {back}"), [("k", "v")]).unwrap();
        }
        let done = self.db.append_logs(&Tenant::single(), &batch).is_ok();
        for row in entries {
            let fact = self.rows.entry(*row).or_insert(Fact::Open);
            if done && *fact == Fact::Open {
                *fact = Fact::There;
            }
        }
    }

    fn delete(&mut self, stream: u8, from: u8, len: u8, half: bool) {
        let meant = |row: &(u8, u8)| {
            row.0 == stream
                && (from..from.saturating_add(len)).contains(&row.1)
                && (!half || row.1.is_multiple_of(2))
        };
        let doomed = move |row: LogRow<'_>| {
            let back: u8 = row.line.strip_prefix("line ").unwrap().parse().unwrap();
            (from..from.saturating_add(len)).contains(&back) && (!half || back.is_multiple_of(2))
        };
        let matchers = [Matcher::equal("app", format!("s{stream}"))];
        let done = self.db.delete_logs(&Tenant::single(), &matchers, NanoRange::ALL, Some(&doomed));
        if done.is_ok() {
            self.rows.retain(|row, _| !meant(row));
        } else {
            self.rows.iter_mut().filter(|(row, _)| meant(row)).for_each(|(_, fact)| *fact = Fact::Doomed);
        }
    }

    fn check(&self) -> BTreeMap<(u8, u8), Fact> {
        let mut found = BTreeMap::new();
        for (stream, rows) in dump(&self.db) {
            let stream: u8 = stream.value("app")[1..].parse().unwrap();
            for (at, line, metadata) in rows {
                let back: u8 = line.strip_prefix("line ").unwrap().parse().unwrap();
                assert_eq!((at, metadata), (ns(back), vec![("k".into(), "v".into())]));
                assert!(
                    found.insert((stream, back), Fact::There).is_none(),
                    "{stream} {back} is there twice"
                );
                assert!(self.rows.contains_key(&(stream, back)), "{stream} {back} should not be there");
            }
        }
        for (row, fact) in &self.rows {
            assert!(*fact != Fact::There || found.contains_key(row), "{row:?} is missing");
        }
        found
    }

    fn reopen(&mut self) {
        self.fs.heal();
        self.fs.set_capacity(ROOM);
        self.db = Columnar::open(&env_at(&self.fs, &self.clock), "/data", config()).unwrap();
        // What is found counts from now on.
        self.rows = self.check();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Write(entries) => self.write(&entries),
            Step::Delete(stream, from, len, half) => self.delete(stream, from, len, half),
            Step::Flush => drop(self.db.flush_logs()),
            Step::Maintain => drop(self.db.maintain(self.clock.now_ms() + DAY / 1_000_000)),
            Step::Wait(seconds) => self.clock.advance(i64::from(seconds) * 1000),
            Step::Fail(fault) => self.fs.inject(fault),
            Step::Fill(room) => self.fs.set_capacity(self.fs.used() + room),
            Step::Heal => {
                self.fs.heal();
                self.fs.set_capacity(ROOM);
            }
            Step::Kill => self.reopen(),
            Step::PowerLoss(seed) => {
                self.fs = self.fs.power_loss(seed);
                self.reopen();
            }
            Step::Close => {
                drop(self.db.close());
                self.reopen();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nothing_acknowledged_is_lost_and_nothing_deleted_comes_back(steps in prop::collection::vec(step(), 1..80)) {
        let fs = FaultFs::new();
        fs.set_capacity(ROOM);
        let clock = Arc::new(ManualClock::new(T0 / 1_000_000));
        let db = Columnar::open(&env_at(&fs, &clock), "/data", config()).unwrap();
        let mut world = World { fs, clock, db, rows: BTreeMap::new() };
        for step in steps {
            world.step(step);
            world.check();
            prop_assert!(world.fs.used() < ROOM / 2, "something writes without end");
        }
        world.fs.heal();
        world.reopen();
    }
}

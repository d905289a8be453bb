//! Whatever happens in whatever order, the store has what the RAM store has.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{DAY, SECOND, T0, durable, env_at};
use proptest::prelude::*;
use reba_columnar::{Columnar, ColumnarConfig};
use reba_disk::{Clock, FaultFs, ManualClock};
use reba_model::{Labels, LogBatch, MatchOp, Matcher, NanoRange, Tenant};
use reba_storage::{Budget, LogAdmin, LogAppender, LogQuerier, LogRow};
use reba_testkit::{MemLogStore, log_rows};
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Step {
    /// Entries: stream, seconds back, text, metadata.
    Write(u8, Vec<(u8, u32, u8, bool)>),
    Delete(Selection),
    DeleteSome(Selection, u8),
    Read(Selection),
    Flush,
    Maintain,
    Wait(u32),
    Kill,
    PowerLoss(u64),
    Close,
}

#[derive(Clone, Debug)]
struct Selection {
    tenant: u8,
    matcher: u8,
    start: u32,
    len: u32,
}

fn selection() -> impl Strategy<Value = Selection> {
    (0u8..2, 0u8..6, 0u32..300_000, 0u32..300_000).prop_map(|(tenant, matcher, start, len)| Selection {
        tenant,
        matcher,
        start,
        len,
    })
}

fn step() -> impl Strategy<Value = Step> {
    // Near the present, so that entries come again; now and then days back.
    let back = prop_oneof![4 => 0u32..20, 1 => 0u32..200_000];
    let entry = (0u8..5, back, 0u8..4, any::<bool>());
    prop_oneof![
        8 => (0u8..2, prop::collection::vec(entry, 1..12)).prop_map(|(t, e)| Step::Write(t, e)),
        1 => selection().prop_map(Step::Delete),
        1 => (selection(), 0u8..4).prop_map(|(s, n)| Step::DeleteSome(s, n)),
        2 => selection().prop_map(Step::Read),
        3 => Just(Step::Flush),
        3 => Just(Step::Maintain),
        1 => (0u32..4000).prop_map(Step::Wait),
        1 => Just(Step::Kill),
        1 => any::<u64>().prop_map(Step::PowerLoss),
        1 => Just(Step::Close),
    ]
}

fn config() -> ColumnarConfig {
    ColumnarConfig { flush_bytes: 4000, ..durable() }
}

fn tenant(n: u8) -> Tenant {
    Tenant::new(["a", "b"][n as usize]).unwrap()
}

impl Selection {
    fn matchers(&self) -> Vec<Matcher> {
        let m = |op, name: &str, value: &str| Matcher::new(op, name, value).unwrap();
        match self.matcher {
            0 => vec![],
            1 => vec![m(MatchOp::Equal, "app", "s1")],
            2 => vec![m(MatchOp::NotEqual, "app", "s1")],
            3 => vec![m(MatchOp::Regex, "app", "s[0-2]")],
            4 => vec![m(MatchOp::Equal, "even", "yes"), m(MatchOp::NotRegex, "app", "s(0|2)")],
            _ => vec![m(MatchOp::Equal, "even", "")],
        }
    }

    fn range(&self) -> NanoRange {
        let start = T0 - i64::from(self.start) * SECOND;
        NanoRange::new(start, start + i64::from(self.len) * SECOND)
    }
}

fn batch(entries: &[(u8, u32, u8, bool)]) -> LogBatch {
    let mut batch = LogBatch::default();
    for (stream, back, text, with_metadata) in entries {
        let even = if stream % 2 == 0 { "yes" } else { "" };
        batch.begin_stream(Labels::from_pairs([("app", format!("s{stream}").as_str()), ("even", even)]));
        let metadata = with_metadata.then_some(("trace_id", "abc"));
        batch.push(T0 - i64::from(*back) * SECOND, &format!("line {text}"), metadata).unwrap();
    }
    batch
}

struct Pair {
    fs: FaultFs,
    clock: Arc<ManualClock>,
    db: Columnar,
    oracle: MemLogStore,
}

impl Pair {
    fn reopen(&mut self) {
        self.db = Columnar::open(&env_at(&self.fs, &self.clock), "/data", config()).unwrap();
    }

    fn check(&self) {
        for t in [tenant(0), tenant(1)] {
            let all = |store: &dyn LogQuerier| log_rows(store, &t, &[], NanoRange::ALL).unwrap();
            assert_eq!(all(&self.db), all(&self.oracle));
            let streams = |store: &dyn LogQuerier| {
                let infos = store.streams(&t, &[], NanoRange::ALL, &Budget::unlimited()).unwrap();
                infos.into_iter().map(|i| (i.labels, i.entries, i.bytes)).collect::<Vec<_>>()
            };
            let mut want = streams(&self.oracle);
            want.retain(|(_, entries, _)| *entries > 0);
            assert_eq!(streams(&self.db), want);
        }
    }

    fn read(&self, s: &Selection) {
        let found =
            |store: &dyn LogQuerier| log_rows(store, &tenant(s.tenant), &s.matchers(), s.range()).unwrap();
        assert_eq!(found(&self.db), found(&self.oracle));
    }

    fn delete(&self, s: &Selection, text: Option<u8>) {
        let line = text.map(|t| format!("line {t}"));
        let doomed = move |row: LogRow<'_>| line.as_ref().is_none_or(|l| l == row.line);
        let delete = |store: &dyn LogAdmin| {
            store
                .delete_logs(&tenant(s.tenant), &s.matchers(), s.range(), text.map(|_| &doomed as _))
                .unwrap()
        };
        assert_eq!(delete(&self.db), delete(&self.oracle));
        self.read(s);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Write(t, entries) => {
                let batch = batch(&entries);
                let write = |store: &dyn LogAppender| store.append_logs(&tenant(t), &batch).unwrap();
                assert_eq!(write(&self.db), write(&self.oracle));
            }
            Step::Delete(s) => self.delete(&s, None),
            Step::DeleteSome(s, text) => self.delete(&s, Some(text)),
            Step::Read(s) => self.read(&s),
            Step::Flush => self.db.flush_logs().unwrap(),
            Step::Maintain => drop(self.db.maintain(self.clock.now_ms() + DAY / 1_000_000).unwrap()),
            Step::Wait(seconds) => self.clock.advance(i64::from(seconds) * 1000),
            Step::Kill => self.reopen(),
            Step::PowerLoss(seed) => {
                self.fs = self.fs.power_loss(seed);
                self.reopen();
            }
            Step::Close => {
                self.db.close().unwrap();
                self.reopen();
                assert_eq!(self.db.metrics().memory_rows, 0);
            }
        }
    }
}

/// Takes the steps on both stores.
fn play(steps: impl IntoIterator<Item = Step>) {
    let fs = FaultFs::new();
    let clock = Arc::new(ManualClock::new(T0 / 1_000_000));
    let db = Columnar::open(&env_at(&fs, &clock), "/data", config()).unwrap();
    let mut pair = Pair { fs, clock, db, oracle: MemLogStore::default() };
    for step in steps {
        let checks = matches!(step, Step::Maintain | Step::Kill | Step::PowerLoss(_) | Step::Close);
        pair.step(step);
        if checks {
            pair.check();
        }
    }
    pair.check();
    let metrics = pair.db.metrics();
    assert_eq!((metrics.quarantined_parts, metrics.bad_blocks, metrics.wal_corruptions), (0, 0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_store_has_what_the_ram_store_has(steps in prop::collection::vec(step(), 1..60)) {
        play(steps);
    }
}

/// What a deletion removed came back, once: found by the test above.
#[test]
fn what_was_deleted_stays_deleted_when_the_power_fails_after_a_later_flush() {
    let deleted = Selection { tenant: 0, matcher: 0, start: 166_401, len: 1 };
    play([
        Step::Write(0, vec![(0, 166_401, 0, false)]),
        Step::Delete(deleted),
        Step::Kill,
        Step::Write(0, vec![(0, 0, 0, false)]),
        Step::Flush,
        Step::PowerLoss(1_578_628_692_942_603_221),
    ]);
}

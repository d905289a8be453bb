//! What is counted without being read is what is there, whatever has happened to the store.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use proptest::prelude::*;
use reba_columnar::{Columnar, ColumnarConfig, Periods, Retention};
use reba_disk::{Env, FaultFs, ManualClock};
use reba_logql::Grid;
use reba_model::{Labels, LogBatch, NanoRange, Tenant};
use reba_storage::{
    Budget, LogAdmin, LogAppender, LogCounter, LogHead, LogQuerier, LogRequest, LogWant, MetadataWant,
};
use reba_testkit::MemLogStore;

use crate::columns::{by_engine, compare, plainly};

const SECOND: i64 = 1_000_000_000;

/// Lines lie within so many seconds behind this one.
const SPAN: i64 = 200;
const START: i64 = 1_700_000_000;

#[derive(Clone, Debug)]
enum Step {
    /// Entries: stream, seconds, text, metadata.
    Write(Vec<(u8, i64, u8, u8)>),
    Delete(i64, i64),
    Flush,
    Maintain,
    /// Keep what is not older than so many seconds before the end.
    Retain(i64),
}

fn step() -> impl Strategy<Value = Step> {
    // Few texts, so that entries come again.
    let entry = (0u8..3, 0..SPAN, 0u8..3, 0u8..3);
    prop_oneof![
        6 => prop::collection::vec(entry, 1..40).prop_map(Step::Write),
        1 => (0..SPAN, 0..40i64).prop_map(|(from, len)| Step::Delete(from, len)),
        3 => Just(Step::Flush),
        1 => Just(Step::Maintain),
        1 => (0..SPAN).prop_map(Step::Retain),
    ]
}

fn batch(entries: &[(u8, i64, u8, u8)]) -> LogBatch {
    let mut batch = LogBatch::default();
    for (stream, second, text, metadata) in entries {
        batch.begin_stream(Labels::from_pairs([("app", format!("s{stream}").as_str())]));
        let line = "x".repeat(1 + 40 * usize::from(*text));
        let pairs = [("md", "some"), ("other", "é")];
        let pairs = pairs.into_iter().take(usize::from(*metadata));
        batch.push((START + second) * SECOND, &line, pairs).unwrap();
    }
    batch
}

const QUERIES: &[&str] = &[
    "sum(count_over_time({}[1m]))",
    "sum by (app) (count_over_time({}[5m]))",
    "sum by (app) (rate({} | app!=\"s1\" [30s] offset 10s))",
    "sum(bytes_over_time({}[40s]))",
    "sum by (app) (bytes_rate({app=~\"s[01]\"}[5m]))",
    "sum by (md) (bytes_over_time({}[1m]))",
];

fn check(store: &Arc<Columnar>, oracle: Option<&MemLogStore>) -> Result<(), TestCaseError> {
    let at = |second: i64| (START + second) * SECOND;
    for (first, last, step) in [(0, SPAN, 30), (10, 190, 7), (SPAN - 1, SPAN, 1), (40, 280, 40)] {
        let grid = Grid::range(at(first), at(last), step * SECOND).unwrap();
        for query in QUERIES {
            let got = by_engine(Arc::clone(store) as Arc<dyn LogQuerier>, query, grid);
            compare(query, &plainly(&**store, query, grid), &got, grid)?;
            if let Some(oracle) = oracle {
                compare(query, &plainly(oracle, query, grid), &got, grid)?;
            }
        }
    }
    Ok(())
}

fn open() -> (Arc<ManualClock>, Arc<Columnar>) {
    let clock = Arc::new(ManualClock::new((START + SPAN) * 1000));
    let env = Env { fs: Arc::new(FaultFs::new()), clock: Arc::clone(&clock) as _ };
    let config = ColumnarConfig { duplicate_reads: usize::MAX, ..ColumnarConfig::default() };
    (clock, Arc::new(Columnar::open(&env, "/data", config).unwrap()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_counted_by_heads_is_what_the_ram_store_has(steps in prop::collection::vec(step(), 1..12)) {
        let (_, store) = open();
        let (mut oracle, tenant) = (Some(MemLogStore::default()), Tenant::single());
        for step in steps {
            match step {
                Step::Write(entries) => {
                    store.append_logs(&tenant, &batch(&entries)).unwrap();
                    oracle.as_ref().map(|oracle| oracle.append_logs(&tenant, &batch(&entries)).unwrap());
                }
                Step::Delete(from, len) => {
                    let range = NanoRange::new((START + from) * SECOND, (START + from + len) * SECOND);
                    store.delete_logs(&tenant, &[], range, None).unwrap();
                    oracle.as_ref().map(|oracle| oracle.delete_logs(&tenant, &[], range, None).unwrap());
                }
                Step::Flush => store.flush_logs().unwrap(),
                Step::Maintain => drop(store.maintain((START + SPAN) * 1000).unwrap()),
                Step::Retain(seconds) => {
                    let keep = Some(Duration::from_secs(seconds.unsigned_abs()));
                    let periods = Periods { keep, ..Periods::default() };
                    store.set_retention(Retention { periods, ..Retention::default() });
                    while store.maintain((START + SPAN + 7200) * 1000).unwrap() {}
                    // From here on only the rows themselves tell what is there.
                    oracle = None;
                }
            }
        }
        check(&store, oracle.as_ref())?;
    }
}

/// Counts all it can.
#[derive(Default)]
struct All {
    counted: u64,
    seen: u64,
    line_bytes: u64,
}

impl LogCounter for All {
    fn wants_line_bytes(&self) -> bool {
        true
    }

    fn count(&mut self, head: &LogHead<'_>) -> bool {
        let Some(bytes) = head.line_bytes else { return false };
        self.counted += head.rows;
        self.line_bytes += bytes;
        true
    }

    fn visit(&mut self, block: reba_model::LogBlock) -> ControlFlow<()> {
        self.seen += block.times.len() as u64;
        ControlFlow::Continue(())
    }
}

#[test]
fn blocks_within_the_range_are_not_read_and_those_over_its_border_are() {
    let (_, store) = open();
    let entries: Vec<(u8, i64, u8, u8)> = (0..100).map(|i| ((i % 2) as u8, i, 2, 1)).collect();
    store.append_logs(&Tenant::single(), &batch(&entries)).unwrap();
    store.flush_logs().unwrap();
    let count = |end: i64| {
        let (tenant, budget) = (Tenant::single(), Arc::new(Budget::unlimited()));
        let metadata = MetadataWant::Names(Vec::new());
        let want = LogWant { lines: false, metadata, extract: None, conditions: Vec::new() };
        let range = NanoRange::new(START * SECOND, (START + end) * SECOND + 1);
        let request = LogRequest { tenant: &tenant, matchers: &[], range, want: &want, budget: &budget };
        let (mut all, mut read) = (All::default(), 0);
        for scan in store.scan_logs(&request).unwrap() {
            read += scan.run_counting(&mut all).unwrap().bytes_read;
        }
        (all.counted, all.seen, all.line_bytes, read > 0)
    };
    assert_eq!(count(99), (100, 0, 100 * 81, false));
    // The last row of one of the two streams is left out.
    assert_eq!(count(98), (50, 49, 50 * 81, true));
}

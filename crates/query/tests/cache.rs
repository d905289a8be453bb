//! Kept results are never stale and never partial: whatever is written, deleted and moved about in between, an engine
//! that keeps results answers as one that keeps none.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use proptest::prelude::*;
use reba_disk::{Env, FaultFs, ManualClock};
use reba_model::{Histogram, Labels, Matcher, STALE_NAN, SampleColumns, Span, TimeRange};
use reba_promql::syntax::ParseOptions;
use reba_query::{EngineConfig, ExecError, QueryData, QueryEngine, QueryOutput, RangeQuery};
use reba_storage::{AppendMode, FloatSample, MetricAppender, MetricQuerier, WriteBatch};
use reba_testkit::{MemConfig, MemStore};
use reba_tsdb::{ImportBatch, Tsdb, TsdbConfig};

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;

/// Where the data begins: a multiple of every step.
const START: i64 = 10_000 * MINUTE;

enum Store {
    Mem(Arc<MemStore>),
    Tsdb(Arc<Tsdb>),
}

impl Store {
    fn mem() -> Store {
        let config = MemConfig { out_of_order_window: 60 * MINUTE, ..MemConfig::default() };
        Store::Mem(Arc::new(MemStore::new(config)))
    }

    /// With blocks and a retention so short that data moves and goes all the time.
    fn tsdb() -> Store {
        let env = Env { fs: Arc::new(FaultFs::new()), clock: Arc::new(ManualClock::new(0)) };
        let config = TsdbConfig {
            block_range_ms: 5 * MINUTE,
            max_block_range_ms: 15 * MINUTE,
            retention_ms: Some(40 * MINUTE),
            out_of_order_window_ms: 20 * MINUTE,
            ..TsdbConfig::unbounded()
        };
        Store::Tsdb(Arc::new(Tsdb::open(&env, "/data", config, &|_, _| {}).unwrap()))
    }

    fn appender(&self) -> &dyn MetricAppender {
        match self {
            Store::Mem(store) => &**store,
            Store::Tsdb(store) => &**store,
        }
    }

    fn querier(&self) -> Arc<dyn MetricQuerier> {
        match self {
            Store::Mem(store) => Arc::clone(store) as Arc<dyn MetricQuerier>,
            Store::Tsdb(store) => Arc::clone(store) as Arc<dyn MetricQuerier>,
        }
    }

    fn write(&self, labels: &Labels, t: i64, v: f64) {
        let series = self.appender().series_ref(labels).unwrap();
        let batch = WriteBatch { floats: vec![FloatSample { series, t, v }], ..WriteBatch::default() };
        self.appender().append(&batch, AppendMode::Partial).unwrap();
    }

    fn write_histogram(&self, labels: &Labels, t: i64, n: f64) {
        let series = self.appender().series_ref(labels).unwrap();
        let h = Histogram {
            count: 3.0 * n,
            sum: 5.0 * n,
            positive_spans: vec![Span { offset: 0, length: 2 }],
            positive_buckets: vec![n, 2.0 * n],
            ..Histogram::default()
        };
        let batch = WriteBatch { histograms: vec![(series, t, Arc::new(h))], ..WriteBatch::default() };
        self.appender().append(&batch, AppendMode::Partial).unwrap();
    }

    fn delete(&self, matchers: &[Matcher], range: TimeRange) {
        match self {
            Store::Mem(store) => store.delete(matchers, range),
            Store::Tsdb(store) => {
                store.delete_series(&[matchers.to_vec()], range).unwrap();
            }
        }
    }

    /// Writes past the rules about order, where the store can.
    fn import(&self, labels: &Labels, t: i64, v: f64) {
        if let Store::Tsdb(store) = self {
            let columns = SampleColumns { t: vec![t], v: vec![v], h: Vec::new() };
            store.import(ImportBatch::from([(labels.clone(), columns)])).unwrap();
        }
    }

    fn maintain(&self, now: i64) {
        if let Store::Tsdb(store) = self {
            store.maintain(now).unwrap();
            store.merge_imported().unwrap();
        }
    }

    fn clean(&self) {
        if let Store::Tsdb(store) = self {
            store.clean_tombstones().unwrap();
        }
    }
}

fn labels(i: usize) -> Labels {
    let sets: [&[(&str, &str)]; 7] = [
        &[("__name__", "m_total"), ("job", "a"), ("host", "1")],
        &[("__name__", "m_total"), ("job", "a"), ("host", "2")],
        &[("__name__", "m_total"), ("job", "b"), ("host", "1")],
        &[("__name__", "n_total"), ("job", "a"), ("host", "1")],
        &[("__name__", "n_total"), ("job", "c"), ("host", "2"), ("Zone", "z")],
        &[("__name__", "b_bucket"), ("job", "a"), ("le", "1")],
        &[("__name__", "b_bucket"), ("job", "a"), ("le", "+Inf")],
    ];
    Labels::from_pairs(sets[i % sets.len()].iter().copied())
}

const QUERIES: [&str; 40] = [
    "m_total",
    "{host=\"1\"}",
    "rate(m_total[1m])",
    "sum(rate(m_total[90s]))",
    "sum by (job) (rate({__name__=~\"m_total|n_total\"}[1m]))",
    "avg by (host) (m_total * 0.1)",
    "topk(1, sum by (job) (m_total))",
    "bottomk(2, m_total)",
    "m_total / on (job, host) n_total",
    "sum by (job) (rate(m_total[1m])) / ignoring (host) group_left sum by (job) (n_total)",
    "m_total or n_total",
    "m_total and on (host) n_total",
    "m_total unless on (job) n_total",
    "histogram_quantile(0.5, sum by (le) (rate(b_bucket[1m])))",
    "histogram_quantile(0.9, b_bucket)",
    "max_over_time(rate(m_total[30s])[2m:15s])",
    "sum_over_time(sum(m_total)[2m:])",
    "m_total offset 1m",
    "m_total offset -1m",
    "sum(rate(m_total[1m] offset -30s)) + sum(n_total offset 2m)",
    "m_total @ end()",
    "sum(m_total @ start())",
    "m_total @ 600120",
    "max_over_time(m_total[1m] @ end())",
    "absent(n_total)",
    "absent_over_time(n_total{job=\"c\"}[30s])",
    "scalar(sum(m_total)) + time()",
    "count_values(\"v\", m_total)",
    "label_replace(m_total, \"host\", \"x\", \"job\", \"a\")",
    "sum(label_replace(m_total, \"host\", \"$1\", \"job\", \"(.*)\"))",
    "quantile(0.3, m_total)",
    "stddev(m_total) + hour()",
    "timestamp(m_total) - time()",
    "changes(m_total[2m]) > 1",
    "h",
    "rate(h[1m])",
    "sum(rate({job=\"a\"}[1m]))",
    "rate(m_total[1m] smoothed)",
    "sort(m_total)",
    "limitk(1, m_total)",
];

#[derive(Clone, Debug)]
enum Op {
    /// Time goes on by so many ticks of 5 s, then some series (bits) get a sample.
    Write {
        ticks: i64,
        series: u8,
        value: u16,
    },
    /// A sample so many ticks ago.
    Late {
        ticks: i64,
        series: usize,
        value: u16,
    },
    Stale {
        series: usize,
    },
    Histogram {
        ticks: i64,
    },
    Import {
        ticks: i64,
        series: usize,
        value: u16,
    },
    Delete {
        from: i64,
        ticks: i64,
        host: u8,
    },
    Maintain,
    Clean,
    /// `back`: steps between the end of the range and now; negative: the future.
    Query {
        query: usize,
        step: usize,
        count: i64,
        back: i64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    // Few queries a run, so that they come again.
    let query = (0usize..4, 0usize..2, prop_oneof![Just(1i64), Just(8), Just(30)], -2i64..6)
        .prop_map(|(query, step, count, back)| Op::Query { query, step, count, back });
    prop_oneof![
        12 => (0i64..4, any::<u8>(), 0u16..200).prop_map(|(ticks, series, value)| Op::Write { ticks, series, value }),
        3 => (0i64..120, 0usize..7, 0u16..200).prop_map(|(ticks, series, value)| Op::Late { ticks, series, value }),
        1 => (0usize..7).prop_map(|series| Op::Stale { series }),
        1 => (0i64..3).prop_map(|ticks| Op::Histogram { ticks }),
        1 => (0i64..400, 0usize..7, 0u16..200)
            .prop_map(|(ticks, series, value)| Op::Import { ticks, series, value }),
        1 => (0i64..200, 0i64..60, 0u8..3).prop_map(|(from, ticks, host)| Op::Delete { from, ticks, host }),
        2 => Just(Op::Maintain),
        1 => Just(Op::Clean),
        20 => query,
    ]
}

fn engine(store: &Store, result_cache_bytes: usize) -> QueryEngine {
    let config = EngineConfig {
        syntax: ParseOptions::all(),
        lookback_ms: MINUTE,
        subquery_step_ms: 10 * SECOND,
        result_cache_bytes,
        ..EngineConfig::default()
    };
    QueryEngine::new(store.querier(), config).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// An answer as text in which every bit counts.
fn written(answer: &Result<QueryOutput, ExecError>) -> String {
    let output = match answer {
        Ok(output) => output,
        Err(e) => return format!("{e:?}"),
    };
    let QueryData::Range { steps, series } = &output.data else { panic!("no range: {:?}", output.data) };
    let mut out = format!("{steps:?} {:?} {:?}\n", output.warnings, output.infos);
    for s in series {
        let bits: Vec<String> = s.column.v.iter().map(|v| format!("{v}/{:x}", v.to_bits())).collect();
        out += &format!("{} {} {bits:?} {:?}\n", s.labels, s.drop_name, s.column.h);
    }
    out
}

struct Run {
    store: Store,
    now: i64,
    cached: QueryEngine,
    plain: QueryEngine,
    runtime: tokio::runtime::Runtime,
}

impl Run {
    fn new(store: Store) -> Run {
        let (cached, plain) = (engine(&store, 1 << 20), engine(&store, 0));
        Run { store, now: START, cached, plain, runtime: runtime() }
    }

    fn apply(&mut self, op: &Op, queries: &[usize]) -> Result<(), TestCaseError> {
        match *op {
            Op::Write { ticks, series, value } => {
                self.now += ticks * 5 * SECOND;
                for i in (0..7).filter(|i| series >> i & 1 == 1) {
                    self.store.write(&labels(i), self.now, f64::from(value) * 0.7 + i as f64);
                }
            }
            Op::Late { ticks, series, value } => {
                self.store.write(&labels(series), self.now - ticks * 5 * SECOND, f64::from(value));
            }
            Op::Stale { series } => self.store.write(&labels(series), self.now, STALE_NAN),
            Op::Histogram { ticks } => {
                self.now += ticks * 5 * SECOND;
                let labels = Labels::from_pairs([("__name__", "h"), ("job", "a")]);
                self.store.write_histogram(&labels, self.now, (self.now / SECOND % 7) as f64);
            }
            Op::Import { ticks, series, value } => {
                self.store.import(&labels(series), self.now - ticks * 5 * SECOND, f64::from(value));
            }
            Op::Delete { from, ticks, host } => {
                let start = self.now - from * 5 * SECOND;
                let matchers = match host {
                    0 => vec![Matcher::equal("__name__", "m_total")],
                    n => vec![Matcher::equal("host", n.to_string())],
                };
                self.store.delete(&matchers, TimeRange::new(start, start + ticks * 5 * SECOND));
            }
            Op::Maintain => self.store.maintain(self.now),
            Op::Clean => self.store.clean(),
            Op::Query { query, step, count, back } => {
                let step = [10 * SECOND, 15 * SECOND][step];
                let end = (self.now.div_euclid(step) - back) * step;
                self.compare(QUERIES[queries[query]], end - count * step, end, step)?;
            }
        }
        Ok(())
    }

    fn compare(&self, query: &str, start: i64, end: i64, step: i64) -> Result<(), TestCaseError> {
        let ask = |engine: &QueryEngine| {
            let query = RangeQuery {
                query: query.to_owned(),
                start,
                end,
                step,
                timeout: None,
                lookback_delta: None,
                no_cache: false,
                per_step_stats: false,
            };
            written(&self.runtime.block_on(engine.range(query)))
        };
        prop_assert_eq!(ask(&self.cached), ask(&self.plain), "{} from {} to {}", query, start, end);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn kept_results_are_those_of_the_moment_over_the_ram_store(
        queries in proptest::collection::vec(0..QUERIES.len(), 4), ops in proptest::collection::vec(op(), 1..150),
    ) {
        let mut run = Run::new(Store::mem());
        for op in &ops {
            run.apply(op, &queries)?;
        }
    }

    #[test]
    fn kept_results_are_those_of_the_moment_over_the_embedded_store(
        queries in proptest::collection::vec(0..QUERIES.len(), 4), ops in proptest::collection::vec(op(), 1..150),
    ) {
        let mut run = Run::new(Store::tsdb());
        for op in &ops {
            run.apply(op, &queries)?;
        }
    }
}

#[test]
fn a_refresh_computes_the_newest_steps_only() {
    for store in [Store::mem(), Store::tsdb()] {
        let mut run = Run::new(store);
        let everything = Op::Write { ticks: 3, series: 255, value: 9 };
        (0..20).for_each(|_| run.apply(&everything, &[]).unwrap());
        let refresh = |run: &Run| {
            let end = run.now.div_euclid(15_000) * 15_000;
            run.compare("sum(rate(m_total[1m]))", end - 10 * 15_000, end, 15_000).unwrap();
        };
        refresh(&run);
        assert_eq!(run.cached.cache_totals().entries, 0, "what is asked once is not kept");
        refresh(&run);
        refresh(&run);
        let totals = run.cached.cache_totals();
        assert_eq!((totals.hits, totals.misses), (1, 2));
        assert_eq!((totals.steps_reused, totals.steps_computed), (11, 0), "nothing has changed");
        run.apply(&everything, &[]).unwrap();
        refresh(&run);
        let totals = run.cached.cache_totals();
        assert_eq!((totals.hits, totals.misses), (2, 2));
        assert_eq!((totals.steps_reused, totals.steps_computed), (21, 1));
        assert_eq!(run.plain.cache_totals(), reba_query::CacheTotals::default());
    }
}

#[test]
fn the_cache_keeps_to_its_size() {
    let mut run = Run::new(Store::mem());
    run.cached = engine(&run.store, 20_000);
    (0..20).for_each(|_| run.apply(&Op::Write { ticks: 3, series: 255, value: 9 }, &[]).unwrap());
    for round in 0..3 {
        for i in 0..50 {
            let query = format!("m_total + {i}");
            run.compare(&query, START, run.now.div_euclid(15_000) * 15_000, 15_000).unwrap();
        }
        let totals = run.cached.cache_totals();
        assert!(totals.bytes <= 20_000, "{totals:?}");
        assert_eq!(totals.entries > 5, round > 0, "{totals:?}");
    }
    let huge = format!("m_total{}", " ".repeat(30_000));
    for _ in 0..2 {
        run.compare(&huge, START, START + 15_000, 15_000).unwrap();
    }
    assert!(run.cached.cache_totals().bytes <= 20_000);
}

#[test]
fn who_wants_no_kept_result_gets_none() {
    let run = Run::new(Store::mem());
    run.store.write(&labels(0), START, 1.0);
    for _ in 0..4 {
        let query = RangeQuery {
            query: "m_total".to_owned(),
            start: START,
            end: START + MINUTE,
            step: SECOND,
            timeout: None,
            lookback_delta: None,
            no_cache: true,
            per_step_stats: false,
        };
        run.runtime.block_on(run.cached.range(query)).unwrap();
    }
    assert_eq!(run.cached.cache_totals(), reba_query::CacheTotals::default());
}

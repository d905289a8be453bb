//! The engine over the RAM store, and over stores that block, fail and panic.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reba_model::{Labels, Matcher, Series, Texts, TimeRange};
use reba_promql::syntax::ParseOptions;
use reba_query::{
    EngineConfig, ExecError, InstantQuery, QueryData, QueryEngine, QueryLimits, RangeQuery, Stage,
};
use reba_storage::{
    AppendMode, Budget, ExemplarSeries, FloatSample, MetricAppender, MetricQuerier, QueryError,
    SelectRequest, StoreStats, WriteBatch,
};
use reba_testkit::{MemConfig, MemStore};

/// Two jobs with a sample each 15 s from 0 to 600 s: the value is the second, times ten for `b`.
fn store() -> MemStore {
    let store = MemStore::new(MemConfig::default());
    for (job, factor) in [("a", 1.0), ("b", 10.0)] {
        let labels = Labels::from_pairs([("__name__", "seconds_total"), ("job", job)]);
        let series = store.series_ref(&labels).unwrap();
        let floats =
            (0..=40).map(|i| FloatSample { series, t: i * 15_000, v: i as f64 * 15.0 * factor }).collect();
        let batch = WriteBatch { floats, ..WriteBatch::default() };
        store.append(&batch, AppendMode::AllOrNothing).unwrap();
    }
    store
}

fn instant(query: &str) -> InstantQuery {
    InstantQuery {
        query: query.to_owned(),
        time: 600_000,
        timeout: None,
        lookback_delta: None,
        per_step_stats: false,
    }
}

fn range(query: &str) -> RangeQuery {
    let query = query.to_owned();
    RangeQuery {
        query,
        start: 300_000,
        end: 600_000,
        step: 60_000,
        timeout: None,
        lookback_delta: None,
        no_cache: false,
        per_step_stats: false,
    }
}

fn engine(limits: QueryLimits) -> QueryEngine {
    let config = EngineConfig { limits, cores: 2, syntax: ParseOptions::all(), ..EngineConfig::default() };
    QueryEngine::new(Arc::new(store()), config).unwrap()
}

/// What the store does when it is asked for series.
#[derive(Default)]
struct Odd {
    inner: MemStore,
    /// Waits until the query is cancelled or the door is open.
    blocks: bool,
    open: AtomicBool,
    panics: AtomicBool,
    fails: bool,
    selects: AtomicUsize,
    inside: AtomicUsize,
    most_inside: AtomicUsize,
    cancelled: AtomicUsize,
}

impl MetricQuerier for Odd {
    fn select(&self, request: &SelectRequest<'_>) -> Result<Vec<Series>, QueryError> {
        self.selects.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics.swap(false, Ordering::SeqCst), "the store has a bug");
        if self.fails {
            return Err(QueryError::Storage("block 7 is damaged".to_owned()));
        }
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_inside.fetch_max(inside, Ordering::SeqCst);
        while self.blocks && !self.open.load(Ordering::SeqCst) && !request.budget.is_cancelled() {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        self.inside.fetch_sub(1, Ordering::SeqCst);
        if request.budget.is_cancelled() {
            self.cancelled.fetch_add(1, Ordering::SeqCst);
        }
        request.budget.check()?;
        self.inner.select(request)
    }

    fn series(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<Labels>, QueryError> {
        self.inner.series(sets, range, budget)
    }

    fn label_names(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<String>, QueryError> {
        self.inner.label_names(sets, range, budget)
    }

    fn label_values(
        &self,
        name: &str,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Texts, QueryError> {
        self.inner.label_values(name, sets, range, budget)
    }

    fn exemplars(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<Vec<ExemplarSeries>, QueryError> {
        self.inner.exemplars(sets, range)
    }

    fn stats(&self, limit: usize) -> StoreStats {
        self.inner.stats(limit)
    }
}

fn odd_engine(odd: Odd, limits: QueryLimits) -> (Arc<Odd>, Arc<QueryEngine>) {
    let odd = Arc::new(odd);
    let config = EngineConfig { limits, ..EngineConfig::default() };
    let querier: Arc<dyn MetricQuerier> = odd.clone();
    (odd, Arc::new(QueryEngine::new(querier, config).unwrap()))
}

/// Waits, without sleeping for longer than needed, until something that other threads do has happened.
async fn until(happened: impl Fn() -> bool) {
    while !happened() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The floats of a range result by label `job`.
fn columns(data: &QueryData) -> Vec<(String, Vec<f64>)> {
    let QueryData::Range { series, .. } = data else { panic!("{data:?}") };
    series.iter().map(|s| (s.labels.value("job").to_owned(), s.column.v.clone())).collect()
}

#[tokio::test]
async fn samples_are_counted_for_each_step_where_that_is_wanted() {
    let engine = engine(QueryLimits::default());
    let asked = RangeQuery { end: 420_000, per_step_stats: true, ..range("sum(rate(seconds_total[1m]))") };
    // Two series with four samples a minute, whether the result was kept before or not.
    for _ in 0..2 {
        let output = engine.range(asked.clone()).await.unwrap();
        assert_eq!(output.samples_per_step, [(300_000, 8), (360_000, 8), (420_000, 8)]);
        assert_eq!(output.stats.total_samples, 24);
        let plain = engine.range(RangeQuery { per_step_stats: false, ..asked.clone() }).await.unwrap();
        assert!(plain.samples_per_step.is_empty());
    }
    let at_once =
        InstantQuery { per_step_stats: true, ..instant("seconds_total + on (job) seconds_total @ 0") };
    let output = engine.instant(at_once).await.unwrap();
    assert_eq!((output.samples_per_step, output.stats.total_samples), (vec![(600_000, 4)], 4));
}

#[tokio::test]
async fn an_instant_query_gives_what_its_type_says() {
    let engine = engine(QueryLimits::default());
    let data = engine.instant(instant("seconds_total{job=\"b\"}")).await.unwrap().data;
    let QueryData::Vector { t: 600_000, series } = &data else { panic!("{data:?}") };
    assert_eq!((series.len(), series[0].column.v[0]), (1, 6000.0));

    let data = engine.instant(instant("scalar(seconds_total{job='a'}) + 1")).await.unwrap().data;
    assert!(matches!(data, QueryData::Scalar { t: 600_000, v: 601.0 }), "{data:?}");

    let data = engine.instant(instant("'text'")).await.unwrap().data;
    assert!(matches!(&data, QueryData::String { v, .. } if v == "text"), "{data:?}");

    let data = engine.instant(instant("seconds_total[1m]")).await.unwrap().data;
    let QueryData::Matrix(series) = &data else { panic!("{data:?}") };
    assert_eq!(series[0].samples.t, [555_000, 570_000, 585_000, 600_000]);
    assert_eq!(data.result_type(), "matrix");
}

#[tokio::test]
async fn a_range_query_has_a_slot_for_each_step() {
    let engine = engine(QueryLimits::default());
    let output = engine.range(range("rate(seconds_total[1m])")).await.unwrap();
    let rounded: Vec<(String, Vec<f64>)> = columns(&output.data)
        .into_iter()
        .map(|(job, v)| (job, v.iter().map(|v| v.round()).collect()))
        .collect();
    assert_eq!(rounded, [("a".to_owned(), vec![1.0; 6]), ("b".to_owned(), vec![10.0; 6])]);
    assert_eq!(output.data.result_type(), "matrix");
    assert_eq!(output.stats.series, 2);
    assert!(output.stats.total_samples >= 2 * 6 * 4 && output.stats.peak_samples > 0);
    let timings = output.stats.timings;
    assert!(timings.exec_total >= timings.eval_total && timings.eval_total >= timings.inner_eval);

    let data = engine.range(range("time()")).await.unwrap().data;
    assert_eq!(columns(&data), [(String::new(), vec![300.0, 360.0, 420.0, 480.0, 540.0, 600.0])]);
}

#[tokio::test]
async fn offsets_subqueries_and_pinned_times_fetch_what_they_need() {
    let engine = engine(QueryLimits::default());
    for (query, expected) in [
        ("seconds_total{job='a'} offset 5m", 300.0),
        ("seconds_total{job='a'} @ 150", 150.0),
        ("sum_over_time(seconds_total{job='a'}[2m:1m] @ 300 offset 1m)", 180.0 + 240.0),
        ("max_over_time(idelta(seconds_total{job='b'}[1m])[5m:])", 150.0),
        ("count_over_time(seconds_total{job='a'}[step() + 30s])", 2.0),
    ] {
        let data = engine.instant(instant(query)).await.unwrap().data;
        let QueryData::Vector { series, .. } = &data else { panic!("{data:?}") };
        assert_eq!(series.len(), 1, "{query}");
        assert_eq!(series[0].column.v, [expected], "{query}");
    }
}

#[tokio::test]
async fn lookback_and_subquery_step_can_be_chosen() {
    let engine = engine(QueryLimits::default());
    let at = |time, lookback_delta| InstantQuery { time, lookback_delta, ..instant("seconds_total") };
    for (query, expected) in [
        (at(890_000, None), 2),
        (at(910_000, None), 0),
        (at(890_000, Some(60_000)), 0),
        (at(910_000, Some(600_000)), 2),
    ] {
        let data = engine.instant(query.clone()).await.unwrap().data;
        let QueryData::Vector { series, .. } = &data else { panic!("{data:?}") };
        assert_eq!(series.len(), expected, "{query:?}");
    }
    engine.set_subquery_step(30_000);
    let data = engine.instant(instant("count_over_time(seconds_total{job='a'}[5m:])")).await.unwrap().data;
    let QueryData::Vector { series, .. } = &data else { panic!("{data:?}") };
    assert_eq!(series[0].column.v, [10.0]);
}

#[tokio::test]
async fn a_result_that_is_too_large_names_the_limit() {
    let by_series = engine(QueryLimits { max_result_series: 1, ..QueryLimits::default() });
    let by_bytes = engine(QueryLimits { max_result_bytes: 250, ..QueryLimits::default() });
    let refused = |result: Result<_, ExecError>| result.unwrap_err().to_string();
    assert_eq!(
        refused(by_series.instant(instant("seconds_total")).await.map(|_| ())),
        "result of 2 exceeds limit `query.max_result_series` of 1"
    );
    by_series.instant(instant("sum(seconds_total)")).await.unwrap();
    let text = refused(by_bytes.range(range("seconds_total")).await.map(|_| ()));
    assert!(text.ends_with("exceeds limit `query.max_result_bytes` of 250"), "{text}");
    by_bytes.range(range("sum(seconds_total)")).await.unwrap();
}

#[tokio::test]
async fn the_latest_queries_are_measured() {
    let engine = engine(QueryLimits::default());
    assert!(engine.recent_timings().inner_eval[0].is_nan());
    engine.instant(instant("seconds_total")).await.unwrap();
    assert!(engine.recent_timings().inner_eval.iter().all(|s| *s > 0.0));
}

#[tokio::test]
async fn errors_are_told_apart() {
    let engine = engine(QueryLimits { max_samples: 50, max_series: 3, ..QueryLimits::default() });
    let error = |query: &'static str| {
        let engine = &engine;
        async move { engine.instant(instant(query)).await.unwrap_err() }
    };
    for (query, kind, text) in [
        ("1 +", ExecError::BadData as fn(String) -> ExecError, "1:4: parse error: unexpected end of input"),
        ("up[step() - 1h]", ExecError::BadData, "duration must be greater than 0"),
        (
            "label_replace(seconds_total, 'job', '', '', '')",
            ExecError::Execution,
            "vector cannot contain metrics with the same labelset",
        ),
        (
            "seconds_total[10m]",
            ExecError::Execution,
            "query processing would load too many samples into memory in query execution",
        ),
        (
            "seconds_total or {job=~'.+'}",
            ExecError::Execution,
            "query exceeded limit `query.max_series` of 3",
        ),
    ] {
        let error = error(query).await;
        assert_eq!(error, kind(text.to_owned()), "{query}");
    }
    let error = engine.range(range("seconds_total[1m]")).await.unwrap_err();
    assert!(matches!(error, ExecError::BadData(_)));
    assert_eq!(
        error.to_string(),
        "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector"
    );
    let backwards = RangeQuery { end: 0, ..range("1") };
    assert!(matches!(engine.range(backwards).await, Err(ExecError::BadData(_))));
    let still = RangeQuery { step: 0, ..range("1") };
    assert!(matches!(engine.range(still).await, Err(ExecError::BadData(_))));
    let totals = engine.totals();
    assert_eq!((totals.queries, totals.failed), (6, 6));
}

#[tokio::test]
async fn a_damaged_store_is_an_internal_error() {
    let (_, engine) = odd_engine(Odd { fails: true, ..Odd::default() }, QueryLimits::default());
    let error = engine.instant(instant("up")).await.unwrap_err();
    assert_eq!(error, ExecError::Internal("storage: block 7 is damaged".to_owned()));
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_no_thread_dies_of_it() {
    let limits = QueryLimits { max_concurrency: 1, ..QueryLimits::default() };
    let odd = Odd { inner: store(), ..Odd::default() };
    let (odd, engine) = odd_engine(odd, limits);
    for _ in 0..20 {
        odd.panics.store(true, Ordering::SeqCst);
        let error = engine.instant(instant("seconds_total")).await.unwrap_err();
        assert_eq!(error, ExecError::Internal("unexpected error: the store has a bug".to_owned()));
    }
    assert!(engine.instant(instant("seconds_total")).await.is_ok());
}

#[tokio::test]
async fn equal_selectors_are_fetched_once() {
    let (odd, engine) = odd_engine(Odd { inner: store(), ..Odd::default() }, QueryLimits::default());
    engine.instant(instant("rate(seconds_total[1m]) / rate(seconds_total[1m])")).await.unwrap();
    assert_eq!(odd.selects.load(Ordering::SeqCst), 1);
    engine.instant(instant("rate(seconds_total[1m]) / rate(seconds_total[2m])")).await.unwrap();
    assert_eq!(odd.selects.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_query_that_takes_too_long_times_out_and_stops() {
    let odd = Odd { blocks: true, ..Odd::default() };
    let limits = QueryLimits { timeout: Duration::from_millis(20), ..QueryLimits::default() };
    let (odd, engine) = odd_engine(odd, limits);
    let error = engine.instant(instant("up")).await.unwrap_err();
    assert_eq!(error, ExecError::Timeout(Stage::Evaluation));
    assert_eq!(error.to_string(), "query timed out in expression evaluation");
    until(|| odd.cancelled.load(Ordering::SeqCst) == 1 && engine.active_queries().is_empty()).await;

    let long = Some(Duration::from_secs(3600));
    let error = engine.instant(InstantQuery { timeout: long, ..instant("up") }).await.unwrap_err();
    assert!(matches!(error, ExecError::Timeout(_)), "nobody may ask for more than the engine allows");
    let none = Some(Duration::ZERO);
    let error = engine.instant(InstantQuery { timeout: none, ..instant("1") }).await.unwrap_err();
    assert_eq!(error.to_string(), "query timed out in query queue");
}

#[tokio::test]
async fn no_more_queries_run_than_allowed_and_the_others_wait_or_time_out() {
    let limits = QueryLimits { max_concurrency: 2, ..QueryLimits::default() };
    let odd = Odd { blocks: true, inner: store(), ..Odd::default() };
    let (odd, engine) = odd_engine(odd, limits);
    let ask = || {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move { engine.instant(instant("seconds_total")).await })
    };
    let first: Vec<_> = (0..5).map(|_| ask()).collect();
    until(|| odd.inside.load(Ordering::SeqCst) == 2 && engine.active_queries().len() == 5).await;
    assert_eq!(engine.active_queries().iter().filter(|q| q.running).count(), 2);

    let soon = Some(Duration::from_millis(5));
    let error = engine.instant(InstantQuery { timeout: soon, ..instant("1") }).await.unwrap_err();
    assert_eq!(error, ExecError::Timeout(Stage::Queue));
    // Questions about labels do not stand behind queries.
    let names = engine.label_names(vec![], TimeRange::ALL).await.unwrap();
    assert_eq!(names, ["__name__", "job"]);

    odd.open.store(true, Ordering::SeqCst);
    for query in first {
        query.await.unwrap().unwrap();
    }
    assert_eq!(odd.most_inside.load(Ordering::SeqCst), 2);
    assert!(engine.active_queries().is_empty());
}

#[tokio::test]
async fn a_query_stops_when_its_future_is_dropped() {
    let limits = QueryLimits { max_concurrency: 1, ..QueryLimits::default() };
    let odd = Odd { blocks: true, inner: store(), ..Odd::default() };
    let (odd, engine) = odd_engine(odd, limits);
    let query = {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move { engine.instant(instant("up")).await })
    };
    until(|| odd.inside.load(Ordering::SeqCst) == 1).await;
    query.abort();
    until(|| odd.cancelled.load(Ordering::SeqCst) == 1).await;
    odd.open.store(true, Ordering::SeqCst);
    assert!(engine.instant(instant("seconds_total")).await.is_ok(), "its slot is free again");
}

#[tokio::test]
async fn a_query_can_be_killed_by_its_id() {
    let (odd, engine) = odd_engine(Odd { blocks: true, ..Odd::default() }, QueryLimits::default());
    let query = {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move { engine.range(range("up")).await })
    };
    until(|| odd.inside.load(Ordering::SeqCst) == 1).await;
    let active = engine.active_queries();
    assert_eq!((active.len(), active[0].query.as_str(), active[0].running), (1, "up", true));
    assert!(engine.kill(active[0].id));
    let error = query.await.unwrap().unwrap_err();
    assert_eq!(error, ExecError::Canceled(Stage::Evaluation));
    assert_eq!(error.to_string(), "query was canceled in expression evaluation");
    until(|| !engine.kill(active[0].id)).await;
}

#[tokio::test]
async fn a_query_that_waits_can_be_killed_too() {
    let limits = QueryLimits { max_concurrency: 1, ..QueryLimits::default() };
    let (odd, engine) = odd_engine(Odd { blocks: true, ..Odd::default() }, limits);
    let ask = || {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move { engine.instant(instant("up")).await })
    };
    let first = ask();
    until(|| odd.inside.load(Ordering::SeqCst) == 1).await;
    let second = ask();
    until(|| engine.active_queries().len() == 2).await;
    let waiting = engine.active_queries().into_iter().find(|q| !q.running).unwrap();
    assert!(engine.kill(waiting.id));
    assert_eq!(second.await.unwrap().unwrap_err().to_string(), "query was canceled in query queue");
    odd.open.store(true, Ordering::SeqCst);
    assert!(first.await.unwrap().is_ok());
}

#[tokio::test]
async fn dropping_the_engine_stops_its_queries() {
    let (odd, engine) = odd_engine(Odd { blocks: true, ..Odd::default() }, QueryLimits::default());
    let query = {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move { engine.instant(instant("up")).await })
    };
    until(|| odd.inside.load(Ordering::SeqCst) == 1).await;
    query.abort();
    let _ = query.await;
    drop(Arc::into_inner(engine).expect("nobody else holds the engine"));
    assert_eq!(odd.inside.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_deepest_query_that_parses_fits_on_the_stack() {
    let engine = engine(QueryLimits::default());
    let queries = [
        format!("seconds_total{}", " or seconds_total".repeat(380)),
        format!("{}seconds_total{}", "(".repeat(100), ")".repeat(100)),
        format!("{}seconds_total{}", "abs(".repeat(100), ")".repeat(100)),
        format!("{}seconds_total{}", "sum(".repeat(100), ")".repeat(100)),
        format!("{}seconds_total", "-".repeat(100)),
        format!("{}1", "1 ^ ".repeat(60)),
        format!(
            "{}seconds_total[1m]{}",
            "max_over_time(".repeat(90),
            ")".to_owned() + &"[1m:30s])".repeat(89)
        ),
    ];
    for query in queries {
        let result = engine.range(range(&query)).await;
        assert!(result.is_ok(), "{query}: {result:?}");
    }
}

#[tokio::test]
async fn metadata_comes_from_the_store() {
    let engine = engine(QueryLimits::default());
    let all = vec![vec![Matcher::equal("__name__", "seconds_total")]];
    let series = engine.series(all.clone(), TimeRange::ALL).await.unwrap();
    assert_eq!(series.len(), 2);
    let jobs = engine.label_values("job".to_owned(), all.clone(), TimeRange::ALL).await.unwrap();
    assert_eq!(jobs.iter().collect::<Vec<_>>(), ["a", "b"]);
    assert!(engine.exemplars(all, TimeRange::ALL).await.unwrap().is_empty());
    assert_eq!(engine.stats(10).await.unwrap().series, 2);
}

#[tokio::test]
async fn annotations_come_as_texts() {
    let engine = engine(QueryLimits::default());
    let output =
        engine.instant(instant("quantile(2, seconds_total) + sum(rate(seconds_total[1m]))")).await.unwrap();
    assert_eq!(output.warnings, ["PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"]);
    assert!(output.infos.is_empty());
    let output = engine.instant(instant("rate(seconds[1m]) or rate(seconds_total[1m])")).await.unwrap();
    assert!(output.infos.is_empty(), "{:?}", output.infos);
}

#[tokio::test]
async fn labels_that_functions_make_are_bounded() {
    let engine = engine(QueryLimits { max_samples: 10_000, ..QueryLimits::default() });
    let nested = |inner: &str, times: usize| {
        let tail = r#", "x", "y$1$1$1$1$1$1$1$1$1$1", "x", "(.*)")"#;
        format!("{}{inner}{}", "label_replace(".repeat(times), tail.repeat(times))
    };
    let long = engine.instant(instant(&nested("vector(1)", 12))).await.unwrap_err().to_string();
    assert!(long.starts_with("label_replace() makes a label value of more than"), "{long}");
    // Shorter ones count as samples do: a hundred kilobytes in each of two series are more than 10,000 samples.
    let many = engine.instant(instant(&nested("seconds_total", 6))).await.unwrap_err().to_string();
    assert!(many.contains("too many samples"), "{many}");
    let join = format!(r#"label_join(seconds_total, "x", "{}", "job", "job")"#, "y".repeat(2 << 20));
    let long = engine.instant(instant(&join)).await.unwrap_err().to_string();
    assert!(long.starts_with("label_join() makes a label value of more than"), "{long}");
    assert!(engine.instant(instant(&nested("seconds_total", 3))).await.is_ok());
}

/// A store that says that it has names and values at hand.
struct AtHand(MemStore);

impl MetricQuerier for AtHand {
    fn select(&self, request: &SelectRequest<'_>) -> Result<Vec<Series>, QueryError> {
        self.0.select(request)
    }

    fn series(&self, s: &[Vec<Matcher>], range: TimeRange, b: &Budget) -> Result<Vec<Labels>, QueryError> {
        self.0.series(s, range, b)
    }

    fn label_names(
        &self,
        s: &[Vec<Matcher>],
        range: TimeRange,
        b: &Budget,
    ) -> Result<Vec<String>, QueryError> {
        self.0.label_names(s, range, b)
    }

    fn label_values(
        &self,
        name: &str,
        s: &[Vec<Matcher>],
        range: TimeRange,
        b: &Budget,
    ) -> Result<Texts, QueryError> {
        self.0.label_values(name, s, range, b)
    }

    fn exemplars(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<Vec<ExemplarSeries>, QueryError> {
        self.0.exemplars(sets, range)
    }

    fn stats(&self, limit: usize) -> StoreStats {
        self.0.stats(limit)
    }

    fn is_at_hand(&self) -> bool {
        true
    }
}

/// On which thread the engine asks a question that takes so long.
async fn asked_on(engine: &QueryEngine, key: u64, takes: Duration) -> Option<String> {
    let question = move |_: &dyn MetricQuerier, _: &Budget| {
        let since = Instant::now();
        while since.elapsed() < takes {
            std::hint::spin_loop();
        }
        Ok(std::thread::current().name().map(str::to_owned))
    };
    engine.ask_again(key, question).await.unwrap()
}

#[tokio::test]
async fn a_question_that_took_little_is_answered_where_it_is_asked_until_it_takes_long() {
    let engine = QueryEngine::new(Arc::new(AtHand(store())), EngineConfig::default()).unwrap();
    let here = std::thread::current().name().map(str::to_owned);
    assert_ne!(asked_on(&engine, 1, Duration::ZERO).await, here, "nobody knows yet what it takes");
    // On a busy machine even a question of nothing can take long: then it is asked elsewhere once more.
    let mut answered_here = false;
    for _ in 0..100 {
        answered_here = answered_here || asked_on(&engine, 1, Duration::ZERO).await == here;
    }
    assert!(answered_here);
    assert_ne!(asked_on(&engine, 2, Duration::from_millis(2)).await, here, "another question");
    assert_ne!(asked_on(&engine, 2, Duration::ZERO).await, here, "it took long the last time");

    let elsewhere = QueryEngine::new(Arc::new(store()), EngineConfig::default()).unwrap();
    for _ in 0..10 {
        assert_ne!(
            asked_on(&elsewhere, 1, Duration::ZERO).await,
            here,
            "the store may have to wait for others"
        );
    }
}

#[tokio::test]
async fn a_panic_in_a_quick_question_is_an_error_too() {
    let engine = QueryEngine::new(Arc::new(AtHand(store())), EngineConfig::default()).unwrap();
    for _ in 0..5 {
        asked_on(&engine, 1, Duration::ZERO).await;
    }
    let question = |_: &dyn MetricQuerier, _: &Budget| -> Result<(), ExecError> { panic!("a bug") };
    assert!(matches!(engine.ask_again(1, question).await, Err(ExecError::Internal(_))));
    asked_on(&engine, 1, Duration::ZERO).await;
}

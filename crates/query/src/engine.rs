//! The engine: who may run when, and for how long.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use reba_promql::eval::{PlanOptions, QueryTimes};
use reba_storage::{Budget, MetricQuerier};
use tokio::sync::{Notify, Semaphore};

use crate::{
    ActiveQuery, CacheTotals, EngineConfig, EngineTotals, ExecError, QueryLimits, QueryOutput, QueryStats,
    RecentTimings, Stage,
    active::{ActiveQueries, Registration},
    cache::ResultCache,
    helpers::Helpers,
    quick::Quick,
    recent::Recent,
    run::{Context, Task},
    slots::{Slots, caught},
    stats::Totals,
};

/// Questions about names and labels that run at the same time. They are short, and do not wait for queries.
const METADATA_SLOTS: usize = 4;

/// A query for one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstantQuery {
    /// PromQL.
    pub query: String,
    /// Unix milliseconds.
    pub time: i64,
    /// A deadline shorter than that of the engine.
    pub timeout: Option<Duration>,
    /// How far back instant selectors look, milliseconds; none or 0 means as the engine is configured.
    pub lookback_delta: Option<i64>,
    /// [`QueryOutput::samples_per_step`] is wanted.
    pub per_step_stats: bool,
}

/// A query for a range of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeQuery {
    /// PromQL.
    pub query: String,
    /// The first step, Unix milliseconds.
    pub start: i64,
    /// No step is later, Unix milliseconds.
    pub end: i64,
    /// Milliseconds between steps.
    pub step: i64,
    /// A deadline shorter than that of the engine.
    pub timeout: Option<Duration>,
    /// How far back instant selectors look, milliseconds; none or 0 means as the engine is configured.
    pub lookback_delta: Option<i64>,
    /// Everything is computed anew, and the result is not kept.
    pub no_cache: bool,
    /// [`QueryOutput::samples_per_step`] is wanted; then everything is computed anew, too.
    pub per_step_stats: bool,
}

/// Runs queries over one store.
///
/// Dropping it stops all queries and waits for its threads.
pub struct QueryEngine {
    shared: Arc<Shared>,
    subquery_step_ms: AtomicI64,
    active: Arc<ActiveQueries>,
    queries: Arc<Semaphore>,
    metadata: Arc<Semaphore>,
    slots: Slots,
}

/// A query of either kind.
struct Asked {
    query: String,
    times: QueryTimes,
    timeout: Option<Duration>,
    lookback_delta: Option<i64>,
    no_cache: bool,
    per_step_stats: bool,
}

/// What jobs take along to their thread.
struct Shared {
    store: Arc<dyn MetricQuerier>,
    config: EngineConfig,
    helpers: Helpers,
    totals: Totals,
    recent: Recent,
    quick: Quick,
    cache: Option<ResultCache>,
}

impl QueryEngine {
    /// Starts the engine's threads.
    pub fn new(store: Arc<dyn MetricQuerier>, config: EngineConfig) -> io::Result<Self> {
        let concurrency = config.limits.max_concurrency.max(1);
        Ok(QueryEngine {
            // How many may wait is bounded by the connections.
            slots: Slots::start(concurrency + METADATA_SLOTS, usize::MAX)?,
            shared: Arc::new(Shared {
                store,
                config,
                helpers: Helpers::new(config.cores),
                totals: Totals::default(),
                recent: Recent::default(),
                quick: Quick::default(),
                cache: (config.result_cache_bytes > 0).then(|| ResultCache::new(config.result_cache_bytes)),
            }),
            subquery_step_ms: AtomicI64::new(config.subquery_step_ms),
            active: Arc::default(),
            queries: Arc::new(Semaphore::new(concurrency)),
            metadata: Arc::new(Semaphore::new(METADATA_SLOTS)),
        })
    }

    /// Evaluates a query at one time.
    pub async fn instant(&self, query: InstantQuery) -> Result<QueryOutput, ExecError> {
        let InstantQuery { query, time, timeout, lookback_delta, per_step_stats } = query;
        let times = QueryTimes::Instant { t: time };
        self.query(Asked { query, times, timeout, lookback_delta, no_cache: true, per_step_stats }).await
    }

    /// Evaluates a query at each step of a range.
    pub async fn range(&self, query: RangeQuery) -> Result<QueryOutput, ExecError> {
        let RangeQuery { query, start, end, step, timeout, lookback_delta, no_cache, per_step_stats } = query;
        if step <= 0 {
            return Err(ExecError::BadData(
                "zero or negative query resolution step widths are not accepted. Try a positive integer"
                    .to_owned(),
            ));
        }
        if end < start {
            return Err(ExecError::BadData("end timestamp must not be before start time".to_owned()));
        }
        let times = QueryTimes::Range { start, end, step };
        let no_cache = no_cache || per_step_stats;
        self.query(Asked { query, times, timeout, lookback_delta, no_cache, per_step_stats }).await
    }

    /// Changes the step of subqueries that name none, milliseconds: a reload may change the evaluation interval.
    pub fn set_subquery_step(&self, ms: i64) {
        self.subquery_step_ms.store(ms, Ordering::Relaxed);
    }

    /// What the engine was told at its start.
    pub fn config(&self) -> &EngineConfig {
        &self.shared.config
    }

    /// The store that is asked.
    pub fn store(&self) -> &Arc<dyn MetricQuerier> {
        &self.shared.store
    }

    /// Queries that wait or run, oldest first.
    pub fn active_queries(&self) -> Vec<ActiveQuery> {
        self.active.list()
    }

    /// Stops a query, which then ends as canceled. Returns whether there was one.
    pub fn kill(&self, id: u64) -> bool {
        self.active.kill(id)
    }

    /// What all queries have cost so far.
    pub fn totals(&self) -> EngineTotals {
        self.shared.totals.snapshot()
    }

    /// How long the latest queries took.
    pub fn recent_timings(&self) -> RecentTimings {
        self.shared.recent.quantiles(Instant::now())
    }

    /// What is kept of results, and how often that helped; all zero without a cache.
    pub fn cache_totals(&self) -> CacheTotals {
        self.shared.cache.as_ref().map(ResultCache::totals).unwrap_or_default()
    }

    async fn query(&self, asked: Asked) -> Result<QueryOutput, ExecError> {
        let Asked { query, times, timeout, lookback_delta, no_cache, per_step_stats } = asked;
        let asked = Instant::now();
        let config = &self.shared.config;
        let limits = &config.limits;
        let budget = Arc::new(Budget::new(limits.max_series, limits.max_bytes));
        let killed = Arc::new(Notify::new());
        let registration = self.active.register(&query, times, &budget, asked, &killed);
        let plan = PlanOptions {
            lookback: lookback_delta.filter(|ms| *ms > 0).unwrap_or(config.lookback_ms),
            subquery_step: self.subquery_step_ms.load(Ordering::Relaxed).max(1),
        };
        let task = Task { query, times, plan, no_cache, per_step_stats };
        let timeout = timeout.map_or(limits.timeout, |t| t.min(limits.timeout));
        let shared = Arc::clone(&self.shared);
        let work = move |budget: &Arc<Budget>| shared.answer(&task, &registration, asked, budget);
        self.run(&self.queries, timeout, (budget, &killed), work).await
    }

    /// A question to the store itself, on a thread of the engine. It does not wait for queries, but has their deadline
    /// and their budget.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn MetricQuerier, &Budget) -> Result<T, ExecError> + Send + 'static,
    ) -> Result<T, ExecError> {
        let limits = &self.shared.config.limits;
        let budget = Arc::new(Budget::new(limits.max_series, limits.max_bytes));
        let store = Arc::clone(&self.shared.store);
        let work = move |budget: &Arc<Budget>| question(&*store, budget);
        self.run(&self.metadata, limits.timeout, (budget, &Notify::new()), work).await
    }

    /// As [`QueryEngine::ask`], for questions that come again and again: `key` stands for what decides how much there is to do.
    /// One that took little the last time is answered at once on the thread that asks, if the store has all it needs at hand;
    /// to wake another thread and to be woken by it takes longer than that.
    pub async fn ask_again<T: Send + 'static>(
        &self,
        key: u64,
        question: impl FnOnce(&dyn MetricQuerier, &Budget) -> Result<T, ExecError> + Send + 'static,
    ) -> Result<T, ExecError> {
        let shared = Arc::clone(&self.shared);
        let timed = move |store: &dyn MetricQuerier, budget: &Budget| {
            let start = Instant::now();
            let answer = question(store, budget);
            shared.quick.took(key, start.elapsed());
            answer
        };
        if !self.shared.store.is_at_hand() || !self.shared.quick.is_quick(key) {
            return self.ask(timed).await;
        }
        let limits = &self.shared.config.limits;
        let budget = Budget::new(limits.max_series, limits.max_bytes);
        caught(|| timed(&*self.shared.store, &budget))
    }

    /// Runs `work` once `lane` has room; a timeout of nothing is over before that.
    async fn run<T: Send + 'static>(
        &self,
        lane: &Arc<Semaphore>,
        timeout: Duration,
        (budget, killed): (Arc<Budget>, &Notify),
        work: impl FnOnce(&Arc<Budget>) -> Result<T, ExecError> + Send + 'static,
    ) -> Result<T, ExecError> {
        if timeout.is_zero() {
            return Err(ExecError::Timeout(Stage::Queue));
        }
        self.slots.run(lane, timeout, (budget, killed), work).await
    }
}

impl Shared {
    fn answer(
        &self,
        task: &Task,
        registration: &Registration,
        asked: Instant,
        budget: &Budget,
    ) -> Result<QueryOutput, ExecError> {
        registration.start();
        let mut stats = QueryStats::default();
        stats.timings.exec_queue = asked.elapsed();
        let context = Context { store: &*self.store, config: &self.config, helpers: &self.helpers, budget };
        let mut result = match &self.cache {
            Some(cache) => cache.answer(task, context, &mut stats),
            None => task.run(context, &mut stats).map(|(output, _)| output),
        };
        result = result.and_then(|output| check_size(output, &self.config.limits));
        if let Ok(output) = &mut result {
            output.stats.timings.exec_total = asked.elapsed();
        }
        self.totals.count(&stats, result.as_ref().err());
        self.recent.push(Instant::now(), &stats.timings);
        result
    }
}

/// Refuses results that are too large to be handed out.
fn check_size(output: QueryOutput, limits: &QueryLimits) -> Result<QueryOutput, ExecError> {
    let (series, bytes) = (output.data.series() as u64, output.data.bytes());
    for (name, found, limit) in [
        ("query.max_result_series", series, limits.max_result_series),
        ("query.max_result_bytes", bytes, limits.max_result_bytes),
    ] {
        if found > limit {
            let text = format!("result of {found} exceeds limit `{name}` of {limit}");
            return Err(ExecError::Execution(text));
        }
    }
    Ok(output)
}

impl Drop for QueryEngine {
    fn drop(&mut self) {
        self.active.kill_all();
    }
}

impl fmt::Debug for QueryEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryEngine").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

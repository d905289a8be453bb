//! The engine: who may run when, and for how long.

use std::{
    any::Any,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use reba_promql::eval::{PlanOptions, QueryTimes};
use reba_storage::{Budget, MetricQuerier};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout_at,
};

use crate::{
    ActiveQuery, CacheTotals, EngineConfig, EngineTotals, ExecError, QueryLimits, QueryOutput, QueryStats,
    RecentTimings, Stage,
    active::{ActiveQueries, Registration},
    cache::ResultCache,
    guard::CancelOnDrop,
    helpers::Helpers,
    pool::Pool,
    quick::Quick,
    recent::Recent,
    run::{Context, Task},
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
    pool: Pool,
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
            pool: Pool::start(concurrency + METADATA_SLOTS)?,
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
        let work = move |budget: &Budget| shared.answer(&task, &registration, asked, budget);
        self.run(&self.queries, timeout, budget, &killed, work).await
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
        let work = move |budget: &Budget| question(&*store, budget);
        self.run(&self.metadata, limits.timeout, budget, &Notify::new(), work).await
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

    /// Runs `work` on the pool once `slots` has room, and waits for it until the deadline. If the future is dropped,
    /// the deadline passes, or the query is killed, the budget is cancelled, and the slot is given back when the work
    /// has noticed.
    async fn run<T: Send + 'static>(
        &self,
        slots: &Arc<Semaphore>,
        timeout: Duration,
        budget: Arc<Budget>,
        killed: &Notify,
        work: impl FnOnce(&Budget) -> Result<T, ExecError> + Send + 'static,
    ) -> Result<T, ExecError> {
        if timeout.is_zero() {
            return Err(ExecError::Timeout(Stage::Queue));
        }
        let deadline = tokio::time::Instant::now() + timeout;
        let _guard = CancelOnDrop(Arc::clone(&budget));
        let slot = Arc::clone(slots).acquire_owned();
        let slot =
            stoppable(deadline, killed, Stage::Queue, slot).await?.map_err(|_| ExecError::shut_down())?;
        let (answer, answered) = oneshot::channel();
        let job = move || complete(slot, answer, || work(&budget));
        if !self.pool.submit(Box::new(job)) {
            return Err(ExecError::shut_down());
        }
        stoppable(deadline, killed, Stage::Evaluation, answered).await?.map_err(|_| ExecError::shut_down())?
    }
}

/// Waits for `what` until the deadline passes or somebody kills the query.
async fn stoppable<F: Future>(
    deadline: tokio::time::Instant,
    killed: &Notify,
    stage: Stage,
    what: F,
) -> Result<F::Output, ExecError> {
    tokio::select! {
        biased;
        () = killed.notified() => Err(ExecError::Canceled(stage)),
        done = timeout_at(deadline, what) => done.map_err(|_| ExecError::Timeout(stage)),
    }
}

/// Runs a job to its end: a panic becomes an error, and the slot is free before the answer is there, so that who
/// got it can ask again at once.
fn complete<T>(
    slot: OwnedSemaphorePermit,
    answer: oneshot::Sender<Result<T, ExecError>>,
    work: impl FnOnce() -> Result<T, ExecError>,
) {
    let result = caught(work);
    drop(slot);
    // Nobody may be waiting any more.
    let _ = answer.send(result);
}

/// A panic becomes an error.
fn caught<T>(work: impl FnOnce() -> Result<T, ExecError>) -> Result<T, ExecError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
}

fn panicked(panic: &(dyn Any + Send)) -> ExecError {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    tracing::error!(panic = text, "query panicked");
    ExecError::Internal(format!("unexpected error: {text}"))
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

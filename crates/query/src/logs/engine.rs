//! The engine: who may run when, and for how long.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use reba_logql::syntax::{Expr, LogExpr, parse};
use reba_model::{NanoRange, Tenant};
use reba_promql::eval::QueryTimes;
use reba_storage::{Budget, LogQuerier};
use tokio::sync::{Notify, Semaphore};

use super::{
    LogData, LogEngineConfig, LogError, LogLimits, LogOutput, LogStats, demoted, limits, metric, rows,
    scans::Context, tenants::Joining,
};
use crate::{
    active::{ActiveQueries, ActiveQuery, Registration},
    helpers::Helpers,
    slots::Slots,
};

/// Questions about streams that run at the same time. They are short, and do not wait for queries.
const INFO_SLOTS: usize = 4;

/// Which lines come first, and are kept if there are more than wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// The newest.
    #[default]
    Backward,
    /// The oldest.
    Forward,
}

/// How far a log query for one time looks back.
const INSTANT_LOOKBACK_NS: i64 = 30_000_000_000;

/// A query for one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstantLogQuery {
    /// Whose logs.
    pub tenant: Tenant,
    /// LogQL.
    pub query: String,
    /// Unix nanoseconds.
    pub ns: i64,
    /// Most lines of the answer.
    pub limit: usize,
    /// Which lines.
    pub direction: Direction,
    /// A deadline shorter than that of the engine.
    pub timeout: Option<Duration>,
}

/// A query for a range of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeLogQuery {
    /// Whose logs.
    pub tenant: Tenant,
    /// LogQL.
    pub query: String,
    /// Unix nanoseconds.
    pub start: i64,
    /// Unix nanoseconds; lines of that time no longer belong to the answer, values of metric queries do.
    pub end: i64,
    /// Nanoseconds between values of a metric query.
    pub step: i64,
    /// Fewest nanoseconds between lines of a log query; 0: all lines.
    pub interval: i64,
    /// Most lines of the answer.
    pub limit: usize,
    /// Which lines.
    pub direction: Direction,
    /// A deadline shorter than that of the engine.
    pub timeout: Option<Duration>,
}

/// Runs queries about logs over one store.
///
/// Dropping it waits for its threads.
pub struct LogQueryEngine {
    shared: Arc<Shared>,
    queries: Arc<Semaphore>,
    info: Arc<Semaphore>,
    active: Arc<ActiveQueries>,
    slots: Slots,
}

/// What jobs take along to their thread.
struct Shared {
    store: Arc<dyn LogQuerier>,
    config: LogEngineConfig,
    limits: ArcSwap<LimitsByTenant>,
    helpers: Helpers,
}

/// Limits in force: they change while queries run.
#[derive(Clone, Debug, Default)]
pub struct LimitsByTenant {
    /// For tenants that have none of their own.
    pub others: Arc<LogLimits>,
    /// For those that have.
    pub tenants: BTreeMap<Tenant, Arc<LogLimits>>,
}

impl LimitsByTenant {
    /// Of joined tenants those of the first one.
    fn of(&self, tenant: &Tenant) -> Arc<LogLimits> {
        let own = tenant.parts().next().and_then(|tenant| self.tenants.get(&tenant));
        Arc::clone(own.unwrap_or(&self.others))
    }
}

/// What is asked, apart from the query.
#[derive(Clone, Copy, Debug)]
pub(super) enum Times {
    Instant(i64),
    Range { start: i64, end: i64, step: i64, interval: i64 },
}

impl Times {
    /// As queries of metrics tell them.
    fn in_milliseconds(self) -> QueryTimes {
        let ms = |ns: i64| ns.div_euclid(1_000_000);
        match self {
            Times::Instant(ns) => QueryTimes::Instant { t: ms(ns) },
            Times::Range { start, end, step, .. } => {
                QueryTimes::Range { start: ms(start), end: ms(end), step: ms(step) }
            }
        }
    }
}

/// A query of either kind.
struct Asked {
    tenant: Tenant,
    query: String,
    times: Times,
    limit: usize,
    direction: Direction,
    /// Time of the question, Unix nanoseconds.
    now_ns: i64,
}

impl LogQueryEngine {
    /// Starts the engine's threads.
    pub fn new(store: Arc<dyn LogQuerier>, config: LogEngineConfig) -> io::Result<Self> {
        let concurrency = config.max_concurrency.max(1);
        let others = Arc::new(config.limits.clone());
        let limits = ArcSwap::from_pointee(LimitsByTenant { others, tenants: BTreeMap::new() });
        let store: Arc<dyn LogQuerier> = Arc::new(Joining(store));
        Ok(LogQueryEngine {
            slots: Slots::start(concurrency + INFO_SLOTS, config.max_queued)?,
            shared: Arc::new(Shared { store, helpers: Helpers::new(config.cores), config, limits }),
            queries: Arc::new(Semaphore::new(concurrency)),
            info: Arc::new(Semaphore::new(INFO_SLOTS)),
            active: Arc::default(),
        })
    }

    /// Evaluates a query at one time. `now_ns` is the time of the question, Unix nanoseconds.
    pub async fn instant(&self, query: InstantLogQuery, now_ns: i64) -> Result<LogOutput, LogError> {
        let InstantLogQuery { tenant, query, ns, limit, direction, timeout } = query;
        let asked = Asked { tenant, query, times: Times::Instant(ns), limit, direction, now_ns };
        self.query(asked, timeout).await
    }

    /// Evaluates a query over a range. `now_ns` is the time of the question, Unix nanoseconds.
    pub async fn range(&self, query: RangeLogQuery, now_ns: i64) -> Result<LogOutput, LogError> {
        let RangeLogQuery { tenant, query, start, end, step, interval, limit, direction, timeout } = query;
        if end <= start {
            return Err(LogError::bad("end timestamp must not be before or equal to start time"));
        }
        if interval < 0 {
            return Err(LogError::bad("interval must be >= 0"));
        }
        let times = Times::Range { start, end, step, interval };
        self.query(Asked { tenant, query, times, limit, direction, now_ns }, timeout).await
    }

    /// What the engine was told at its start.
    pub fn config(&self) -> &LogEngineConfig {
        &self.shared.config
    }

    /// The limits of a tenant's queries.
    pub fn limits_of(&self, tenant: &Tenant) -> Arc<LogLimits> {
        self.shared.limits.load().of(tenant)
    }

    /// Changes the limits, of queries that come from now on (configuration reload).
    pub fn set_limits(&self, limits: LimitsByTenant) {
        self.shared.limits.store(Arc::new(limits));
    }

    /// Makes a log query find labels that are stored as structured metadata, as queries of the engine do: for deletions.
    pub fn find_demoted(&self, tenant: &Tenant, log: &mut LogExpr) {
        demoted::move_in_log(log, &demoted::names(&self.shared.config.demoted, tenant));
    }

    /// The queries that run or wait, oldest first. Questions about streams are not among them.
    pub fn active_queries(&self) -> Vec<ActiveQuery> {
        self.active.list()
    }

    /// Stops the query that [`LogQueryEngine::active_queries`] names so; whether it was there.
    pub fn kill(&self, id: u64) -> bool {
        self.active.kill(id)
    }

    /// The store that is asked.
    pub fn store(&self) -> &Arc<dyn LogQuerier> {
        &self.shared.store
    }

    async fn query(&self, asked: Asked, timeout: Option<Duration>) -> Result<LogOutput, LogError> {
        let limits = self.limits_of(&asked.tenant);
        let limit = limits.timeout;
        let timeout = timeout.map_or(limit, |t| if limit.is_zero() { t } else { t.min(limit) });
        let since = Instant::now();
        let (budget, killed) = (budget(limits.max_bytes_read), Arc::new(Notify::new()));
        let times = asked.times.in_milliseconds();
        let registration = self.active.register(&asked.query, times, &budget, since, &killed);
        let shared = Arc::clone(&self.shared);
        let work = move |budget: &Arc<Budget>| {
            registration.start();
            let answer = shared.answer(&asked, &limits, since, budget);
            // As long as it runs it is listed, even if nobody waits for it any more.
            drop::<Registration>(registration);
            answer
        };
        self.slots.run(&self.queries, timeout, (budget, &killed), work).await
    }

    /// A question to the store itself, on a thread of the engine. It does not wait for queries, but has their deadline and their
    /// budget.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        tenant: Tenant,
        now_ns: i64,
        question: impl FnOnce(Context<'_>) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let (shared, limits) = (Arc::clone(&self.shared), self.limits_of(&tenant));
        let (timeout, budget, killed) = (limits.timeout, budget(limits.max_bytes_read), Notify::new());
        let work = move |budget: &Arc<Budget>| question(shared.context(&tenant, &limits, budget, now_ns));
        self.slots.run(&self.info, timeout, (budget, &killed), work).await
    }
}

/// What a query may read; 0: everything.
fn budget(max_bytes: u64) -> Arc<Budget> {
    Arc::new(Budget::new(u64::MAX, if max_bytes == 0 { u64::MAX } else { max_bytes }))
}

impl Shared {
    fn context<'a>(
        &'a self,
        tenant: &'a Tenant,
        limits: &'a LogLimits,
        budget: &'a Arc<Budget>,
        now_ns: i64,
    ) -> Context<'a> {
        let (store, config, helpers) = (&*self.store, &self.config, &self.helpers);
        Context { store, config, limits, helpers, budget, tenant, now_ns }
    }

    fn answer(
        &self,
        asked: &Asked,
        limits: &LogLimits,
        since: Instant,
        budget: &Arc<Budget>,
    ) -> Result<LogOutput, LogError> {
        let queue = since.elapsed();
        let start = Instant::now();
        let mut expr = parse(&asked.query)?;
        limits::check(limits, &asked.query, &expr)?;
        demoted::move_in(&mut expr, &demoted::names(&self.config.demoted, &asked.tenant));
        let context = self.context(&asked.tenant, limits, budget, asked.now_ns);
        let mut stats = LogStats::default();
        let data = match &expr {
            Expr::Metric(metric) => metric::answer(metric, asked.times, context, &mut stats)?,
            Expr::Log(log) => {
                let (range, interval) = match asked.times {
                    Times::Instant(ns) => (NanoRange::new(ns.saturating_sub(INSTANT_LOOKBACK_NS), ns), 0),
                    Times::Range { start, end, interval, .. } => (NanoRange::new(start, end), interval),
                };
                limits::check_entries(limits, asked.limit)?;
                let range = limits::visible(limits, range, asked.now_ns)?;
                let selection =
                    rows::Selection { range, interval, limit: asked.limit, direction: asked.direction };
                LogData::Streams(rows::answer(log, selection, context, &mut stats)?)
            }
        };
        stats.entries_returned = data.entries() as u64;
        (stats.queue, stats.exec) = (queue, start.elapsed());
        Ok(LogOutput { data, stats, warnings: budget.take_warnings() })
    }
}

impl fmt::Debug for LogQueryEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogQueryEngine").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

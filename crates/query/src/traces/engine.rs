//! The engine: what is asked, who may run when, and for how long.

use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use reba_model::{
    NanoRange, Tenant,
    spans::{Span, TraceId},
};
use reba_promql::eval::QueryTimes;
use reba_storage::{Budget, SpanQuerier};
use tokio::sync::{Notify, Semaphore};

use super::{
    InstantTraceMetrics, Parts, RangeTraceMetrics, SearchOutput, TagNames, TagNamesQuery, TagValues,
    TagValuesQuery, TraceEngineConfig, TraceError, TraceLimits, TraceLimitsByTenant, TraceMetricsOutput,
    TraceSearch, TraceStats, metrics, scans::Context, search, tags,
};
use crate::{
    active::{ActiveQueries, ActiveQuery, Registration},
    helpers::Helpers,
    slots::Slots,
};

/// Traces by id and questions about tags that run at the same time. They are short, and do not wait for queries.
const SHORT_SLOTS: usize = 4;

/// A question for one trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceById {
    /// Whose.
    pub tenant: Tenant,
    /// Which trace.
    pub id: TraceId,
    /// Near which time, if the asker knows.
    pub range: Option<NanoRange>,
}

/// One trace.
#[derive(Clone, Debug)]
pub struct TraceOutput {
    /// Its spans by start, without duplicates; none if there is no such trace.
    pub spans: Vec<Span>,
    /// What it cost.
    pub stats: TraceStats,
    /// What could not be had.
    pub warnings: Vec<String>,
}

/// Runs queries about traces over one store.
///
/// Dropping it waits for its threads.
pub struct TraceQueryEngine {
    shared: Arc<Shared>,
    slots: Slots,
    queries: Arc<Semaphore>,
    short: Arc<Semaphore>,
    active: Arc<ActiveQueries>,
}

/// What jobs take along to their thread.
struct Shared {
    store: Arc<dyn SpanQuerier>,
    config: TraceEngineConfig,
    limits: ArcSwap<TraceLimitsByTenant>,
    helpers: Helpers,
}

impl TraceQueryEngine {
    /// Starts the engine's threads.
    ///
    /// # Errors
    /// If the system has no threads.
    pub fn new(store: Arc<dyn SpanQuerier>, config: TraceEngineConfig) -> io::Result<Self> {
        let concurrency = config.max_concurrency.max(1);
        let others = Arc::new(config.limits.clone());
        let limits = ArcSwap::from_pointee(TraceLimitsByTenant { others, ..TraceLimitsByTenant::default() });
        Ok(TraceQueryEngine {
            slots: Slots::start(concurrency + SHORT_SLOTS, config.max_queued)?,
            shared: Arc::new(Shared { store, helpers: Helpers::new(config.cores), config, limits }),
            queries: Arc::new(Semaphore::new(concurrency)),
            short: Arc::new(Semaphore::new(SHORT_SLOTS)),
            active: Arc::default(),
        })
    }

    /// Finds a trace by its id.
    pub async fn trace(&self, asked: TraceById) -> Result<TraceOutput, TraceError> {
        let limits = self.limits_of(&asked.tenant);
        let (timeout, since, shared) = (limits.trace_timeout, Instant::now(), Arc::clone(&self.shared));
        let work = move |budget: &Arc<Budget>| {
            let (queue, start) = (since.elapsed(), Instant::now());
            let spans = shared.store.trace(&asked.tenant, asked.id, asked.range, budget)?;
            let mut stats = TraceStats { queue, exec: start.elapsed(), ..TraceStats::default() };
            (stats.traces, stats.spans) = (u64::from(!spans.is_empty()), spans.len() as u64);
            stats.store.bytes_read = budget.spent().1;
            Ok(TraceOutput { spans, stats, warnings: budget.take_warnings() })
        };
        self.slots.run(&self.short, timeout, (budget(&limits), &Notify::new()), work).await
    }

    /// Searches traces, the newest first.
    pub async fn search(&self, asked: TraceSearch) -> Result<SearchOutput, TraceError> {
        self.search_in_parts(asked, None).await
    }

    /// Searches traces, the newest first; tells of some as soon as they are known, and in the end of the others.
    pub async fn search_in_parts(
        &self,
        asked: TraceSearch,
        parts: Option<Parts<SearchOutput>>,
    ) -> Result<SearchOutput, TraceError> {
        let (tenant, query, range) = (asked.tenant.clone(), asked.query.clone(), asked.range);
        let work = move |context: Context<'_>| search::answer(&asked, parts.as_ref(), context);
        self.query(&tenant, &query, range, work).await
    }

    /// Evaluates a query for series over a range.
    pub async fn metrics_range(&self, asked: RangeTraceMetrics) -> Result<TraceMetricsOutput, TraceError> {
        self.metrics_range_in_parts(asked, None).await
    }

    /// Evaluates a query for series over a range; tells how they stand on the way, without exemplars.
    pub async fn metrics_range_in_parts(
        &self,
        asked: RangeTraceMetrics,
        parts: Option<Parts<TraceMetricsOutput>>,
    ) -> Result<TraceMetricsOutput, TraceError> {
        let (tenant, query) = (asked.tenant.clone(), asked.query.clone());
        let range = NanoRange::new(asked.start_ns, asked.end_ns);
        let work = move |context: Context<'_>| metrics::range(&asked, parts.as_ref(), context);
        self.query(&tenant, &query, Some(range), work).await
    }

    /// Evaluates a query for series to one value each.
    pub async fn metrics_instant(
        &self,
        asked: InstantTraceMetrics,
    ) -> Result<TraceMetricsOutput, TraceError> {
        self.metrics_instant_in_parts(asked, None).await
    }

    /// Evaluates a query for series to one value each; tells how they stand on the way.
    pub async fn metrics_instant_in_parts(
        &self,
        asked: InstantTraceMetrics,
        parts: Option<Parts<TraceMetricsOutput>>,
    ) -> Result<TraceMetricsOutput, TraceError> {
        let (tenant, query) = (asked.tenant.clone(), asked.query.clone());
        let range = NanoRange::new(asked.start_ns, asked.end_ns);
        let work = move |context: Context<'_>| metrics::instant(&asked, parts.as_ref(), context);
        self.query(&tenant, &query, Some(range), work).await
    }

    /// Names that a query can use, by scope.
    pub async fn tag_names(&self, asked: TagNamesQuery) -> Result<TagNames, TraceError> {
        self.tag_names_in_parts(asked, None).await
    }

    /// Names that a query can use, by scope; tells of some as soon as they are found, and in the end of the others.
    pub async fn tag_names_in_parts(
        &self,
        asked: TagNamesQuery,
        parts: Option<Parts<TagNames>>,
    ) -> Result<TagNames, TraceError> {
        let tenant = asked.tenant.clone();
        self.ask(tenant, move |context| tags::names(&asked, parts.as_ref(), context)).await
    }

    /// Values of a name.
    pub async fn tag_values(&self, asked: TagValuesQuery) -> Result<TagValues, TraceError> {
        self.tag_values_in_parts(asked, None).await
    }

    /// Values of a name; tells of some as soon as they are found, and in the end of the others.
    pub async fn tag_values_in_parts(
        &self,
        asked: TagValuesQuery,
        parts: Option<Parts<TagValues>>,
    ) -> Result<TagValues, TraceError> {
        let tenant = asked.tenant.clone();
        self.ask(tenant, move |context| tags::values(&asked, parts.as_ref(), context)).await
    }

    /// What the engine was told at its start.
    pub fn config(&self) -> &TraceEngineConfig {
        &self.shared.config
    }

    /// The limits of a tenant's queries.
    pub fn limits_of(&self, tenant: &Tenant) -> Arc<TraceLimits> {
        self.shared.limits.load().of(tenant)
    }

    /// Changes the limits, of queries that come from now on (configuration reload).
    pub fn set_limits(&self, limits: TraceLimitsByTenant) {
        self.shared.limits.store(Arc::new(limits));
    }

    /// The searches and queries for series that run or wait, oldest first.
    pub fn active_queries(&self) -> Vec<ActiveQuery> {
        self.active.list()
    }

    /// Stops the query that [`TraceQueryEngine::active_queries`] names so; whether it was there.
    pub fn kill(&self, id: u64) -> bool {
        self.active.kill(id)
    }

    /// The store that is asked.
    pub fn store(&self) -> &Arc<dyn SpanQuerier> {
        &self.shared.store
    }

    async fn query<T: Send + 'static>(
        &self,
        tenant: &Tenant,
        query: &str,
        range: Option<NanoRange>,
        question: impl FnOnce(Context<'_>) -> Result<T, TraceError> + Send + 'static,
    ) -> Result<T, TraceError> {
        let limits = self.limits_of(tenant);
        let (budget, killed, since) = (budget(&limits), Arc::new(Notify::new()), Instant::now());
        let registration = self.active.register(query, times(range), &budget, since, &killed);
        let (shared, tenant, timeout) = (Arc::clone(&self.shared), tenant.clone(), limits.timeout);
        let work = move |budget: &Arc<Budget>| {
            registration.start();
            let answer = question(shared.context(&tenant, &limits, budget, since.elapsed()));
            // As long as it runs it is listed, even if nobody waits for it any more.
            drop::<Registration>(registration);
            answer
        };
        self.slots.run(&self.queries, timeout, (budget, &killed), work).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        tenant: Tenant,
        question: impl FnOnce(Context<'_>) -> Result<T, TraceError> + Send + 'static,
    ) -> Result<T, TraceError> {
        let (shared, limits, since) = (Arc::clone(&self.shared), self.limits_of(&tenant), Instant::now());
        let (timeout, budget) = (limits.timeout, budget(&limits));
        let work =
            move |budget: &Arc<Budget>| question(shared.context(&tenant, &limits, budget, since.elapsed()));
        self.slots.run(&self.short, timeout, (budget, &Notify::new()), work).await
    }
}

/// What a query may read.
fn budget(limits: &TraceLimits) -> Arc<Budget> {
    let max_bytes = if limits.max_bytes_read == 0 { u64::MAX } else { limits.max_bytes_read };
    Arc::new(Budget::new(u64::MAX, max_bytes))
}

/// The times of a query, as they are listed.
fn times(range: Option<NanoRange>) -> QueryTimes {
    let ms = |ns: i64| ns.div_euclid(1_000_000);
    let range = range.unwrap_or(NanoRange::new(0, 0));
    QueryTimes::Range { start: ms(range.start), end: ms(range.end), step: 0 }
}

impl Shared {
    fn context<'a>(
        &'a self,
        tenant: &'a Tenant,
        limits: &'a TraceLimits,
        budget: &'a Arc<Budget>,
        queue: Duration,
    ) -> Context<'a> {
        let (store, config, helpers) = (&*self.store, &self.config, &self.helpers);
        Context { store, config, limits, helpers, budget, tenant, queue, since: Instant::now() }
    }
}

impl fmt::Debug for TraceQueryEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceQueryEngine").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

//! What the engine for traces may use.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use reba_model::Tenant;

/// Limits of queries about traces. A duration or number of 0 means no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceLimits {
    /// The longest that a search, a question about tags or a query for series may take (`querier.search.query_timeout`).
    pub timeout: Duration,
    /// The longest that finding a trace may take (`querier.trace_by_id.query_timeout`).
    pub trace_timeout: Duration,
    /// Length of the time range of a search (`query_frontend.search.max_duration`, `max_search_duration`).
    pub max_search_range: Duration,
    /// Length of the time range of a query for series (`query_frontend.metrics.max_duration`).
    pub max_metrics_range: Duration,
    /// Traces of an answer (`query_frontend.search.max_result_limit`).
    pub max_traces: usize,
    /// Bytes that one query may read.
    pub max_bytes_read: u64,
    /// Bytes of the names or values of an answer (`max_bytes_per_tag_values_query`); more are left out.
    pub max_tag_bytes: usize,
    /// Exemplars of an answer (`query_frontend.metrics.max_exemplars`).
    pub max_exemplars: usize,
    /// Series of an answer (`query_frontend.metrics.max_response_series`); more are left out.
    pub max_series: usize,
    /// Values that a query for series may hold, series times steps.
    pub max_points: usize,
}

impl Default for TraceLimits {
    /// Upstream's defaults; ours where it has none, or one that hides stored data.
    fn default() -> Self {
        TraceLimits {
            timeout: Duration::from_secs(30),
            trace_timeout: Duration::from_secs(10),
            max_search_range: Duration::from_secs(168 * 3600),
            max_metrics_range: Duration::ZERO,
            max_traces: 0,
            max_bytes_read: 0,
            max_tag_bytes: 5_000_000,
            max_exemplars: 100,
            max_series: 1_000,
            max_points: 10_000_000,
        }
    }
}

/// Limits in force: they change while queries run.
#[derive(Clone, Debug, Default)]
pub struct TraceLimitsByTenant {
    /// For tenants that have none of their own.
    pub others: Arc<TraceLimits>,
    /// For those that have.
    pub tenants: BTreeMap<Tenant, Arc<TraceLimits>>,
}

impl TraceLimitsByTenant {
    pub(super) fn of(&self, tenant: &Tenant) -> Arc<TraceLimits> {
        Arc::clone(self.tenants.get(tenant).unwrap_or(&self.others))
    }
}

/// Everything the engine is told at its start.
#[derive(Clone, Debug)]
pub struct TraceEngineConfig {
    /// Limits of queries.
    pub limits: TraceLimits,
    /// Queries that run at the same time; more wait. At least 1.
    pub max_concurrency: usize,
    /// Queries that wait; more are refused.
    pub max_queued: usize,
    /// Processor cores that queries may use at once. At least 1.
    pub cores: usize,
    /// Whether a regular expression must match the whole text, as it must from upstream's 2.7 on.
    pub anchored_regex: bool,
}

impl Default for TraceEngineConfig {
    /// Upstream's defaults, on one core.
    fn default() -> Self {
        TraceEngineConfig {
            limits: TraceLimits::default(),
            max_concurrency: 20,
            max_queued: 2000,
            cores: 1,
            anchored_regex: false,
        }
    }
}

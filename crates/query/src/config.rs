//! What an engine may use, and which language it speaks.

use std::time::Duration;

use reba_promql::syntax::ParseOptions;

/// Limits of queries, each against one way in which a query can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// The longest that a query may take, its time in the queue included.
    pub timeout: Duration,
    /// Queries that run at the same time; more wait in the queue. At least 1.
    pub max_concurrency: usize,
    /// Samples that one query may hold in memory at once.
    pub max_samples: usize,
    /// Series that one query may fetch.
    pub max_series: u64,
    /// Bytes of chunks that one query may fetch.
    pub max_bytes: u64,
    /// Series in a result.
    pub max_result_series: u64,
    /// Bytes that a result takes when it is written down, about (24 a point, and its labels).
    pub max_result_bytes: u64,
}

impl Default for QueryLimits {
    /// Upstream's defaults, and for what it does not limit: five million series, 8 GiB of chunks; results of a million
    /// series, 1 GiB.
    fn default() -> Self {
        QueryLimits {
            timeout: Duration::from_secs(120),
            max_concurrency: 20,
            max_samples: 50_000_000,
            max_series: 5_000_000,
            max_bytes: 8 << 30,
            max_result_series: 1_000_000,
            max_result_bytes: 1 << 30,
        }
    }
}

/// Everything an engine is told at its start.
#[derive(Clone, Copy, Debug)]
pub struct EngineConfig {
    /// Limits of queries.
    pub limits: QueryLimits,
    /// How far back an instant selector looks, milliseconds.
    pub lookback_ms: i64,
    /// The step of subqueries that name none, milliseconds (`global.evaluation_interval`).
    pub subquery_step_ms: i64,
    /// Which experimental parts of PromQL are accepted.
    pub syntax: ParseOptions,
    /// Metric names go at the end of a query only (`promql-delayed-name-removal`).
    pub delayed_name_removal: bool,
    /// Counters are told by their label `__type__` (`type-and-unit-labels`).
    pub type_and_unit_labels: bool,
    /// Processor cores that evaluations may use at once. At least 1.
    pub cores: usize,
    /// Bytes of results of range queries that are kept for the next query; 0: none are.
    pub result_cache_bytes: usize,
}

impl Default for EngineConfig {
    /// Upstream's defaults, on one core, with no result kept.
    fn default() -> Self {
        EngineConfig {
            limits: QueryLimits::default(),
            lookback_ms: 300_000,
            subquery_step_ms: 60_000,
            syntax: ParseOptions::default(),
            delayed_name_removal: false,
            type_and_unit_labels: false,
            cores: 1,
            result_cache_bytes: 0,
        }
    }
}

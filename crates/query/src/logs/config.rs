//! What the engine for logs may use.

use std::{sync::Arc, time::Duration};

use reba_model::GoRegex;
use reba_storage::DemotedLabels;

/// Limits of queries about logs, as `limits_config` of upstream names them. A duration or number of 0 means no limit.
#[derive(Clone, Debug)]
pub struct LogLimits {
    /// Series in the answer of a metric query (`max_query_series`). Unlike upstream, aggregations may see more than they answer.
    pub max_query_series: usize,
    /// Length of the time range of a query (`max_query_length`).
    pub max_query_length: Duration,
    /// How far into the past queries see (`max_query_lookback`).
    pub max_query_lookback: Duration,
    /// Length of the window of a range aggregation (`max_query_range`).
    pub max_query_range: Duration,
    /// Lines in an answer (`max_entries_limit_per_query`).
    pub max_entries: usize,
    /// Bytes that one query may read (`max_query_bytes_read`).
    pub max_bytes_read: u64,
    /// The longest that a query may take, its time in the queue included (`query_timeout`).
    pub timeout: Duration,
    /// Labels that a selector must name (`required_labels`).
    pub required_labels: Vec<String>,
    /// Fewest matchers of a selector (`minimum_labels_number`).
    pub minimum_labels: usize,
    /// Whether a selector must have a matcher that does not match the empty text.
    pub require_selector: bool,
    /// Queries that nobody may ask (`blocked_queries`).
    pub blocked: Vec<BlockedQuery>,
    /// Series in an answer about volumes (`volume_max_series`).
    pub volume_max_series: usize,
    /// Followers at the same time (`max_concurrent_tail_requests`).
    pub max_tails: usize,
    /// Bytes that one metric query may hold of samples and series.
    pub max_memory: usize,
}

impl Default for LogLimits {
    /// Upstream's defaults, and 2 GiB of memory.
    fn default() -> Self {
        LogLimits {
            max_query_series: 500,
            max_query_length: Duration::from_secs(721 * 3600),
            max_query_lookback: Duration::ZERO,
            max_query_range: Duration::ZERO,
            max_entries: 5000,
            max_bytes_read: 0,
            timeout: Duration::from_secs(60),
            required_labels: Vec::new(),
            minimum_labels: 0,
            require_selector: false,
            blocked: Vec::new(),
            volume_max_series: 1000,
            max_tails: 10,
            max_memory: 2 << 30,
        }
    }
}

/// Kinds of queries that can be blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockedKind {
    /// Answers with lines (`filter`, where it has line filters, and `limited`, where it has none, in upstream).
    Log,
    /// Answers with numbers (`metric`).
    Metric,
}

/// A query that nobody may ask.
#[derive(Clone, Debug)]
pub struct BlockedQuery {
    /// What the text must be.
    pub pattern: BlockedPattern,
    /// Only these kinds; empty: all.
    pub kinds: Vec<BlockedKind>,
}

/// How the text of a blocked query is recognised.
#[derive(Clone, Debug)]
pub enum BlockedPattern {
    /// This text, blanks around it aside.
    Text(String),
    /// The expression matches somewhere.
    Regex(Arc<GoRegex>),
    /// Every query.
    All,
}

/// Everything the engine is told at its start.
#[derive(Clone, Debug)]
pub struct LogEngineConfig {
    /// Limits of queries.
    pub limits: LogLimits,
    /// Queries that run at the same time; more wait. At least 1.
    pub max_concurrency: usize,
    /// Queries that wait; more are refused.
    pub max_queued: usize,
    /// Processor cores that queries may use at once. At least 1.
    pub cores: usize,
    /// Whether metric queries for a range are moved to multiples of their step, as upstream does when it splits them.
    pub align_to_step: bool,
    /// Labels that are stored as structured metadata: selectors look for them there.
    pub demoted: Arc<DemotedLabels>,
}

impl Default for LogEngineConfig {
    /// Upstream's defaults, on one core.
    fn default() -> Self {
        LogEngineConfig {
            limits: LogLimits::default(),
            max_concurrency: 10,
            max_queued: 2048,
            cores: 1,
            align_to_step: true,
            demoted: Arc::default(),
        }
    }
}

//! `limits_config`: what a tenant may do.

use reba_model::Matcher;
use serde::{Deserialize, Serialize};

use super::{Size, Span, otlp::OtlpLabels};

/// Limits of one tenant, as `limits_config` names them. A number, size or duration of 0 is no limit. The defaults are those of
/// upstream's 2.9.3, but for what its description says of Reba.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// `local` and `global` are the same for one process.
    pub ingestion_rate_strategy: String,
    /// Mebibytes of lines a second.
    pub ingestion_rate_mb: f64,
    /// Mebibytes that may come at once.
    pub ingestion_burst_size_mb: f64,
    /// Bytes of a label's name.
    pub max_label_name_length: usize,
    /// Bytes of a label's value.
    pub max_label_value_length: usize,
    /// Labels of a stream.
    pub max_label_names_per_series: usize,
    /// Whether entries older than the maximum are refused.
    pub reject_old_samples: bool,
    /// How old an entry may be.
    pub reject_old_samples_max_age: Span,
    /// How far ahead of our clock an entry may be.
    pub creation_grace_period: Span,
    /// Bytes of a line.
    pub max_line_size: Size,
    /// Whether a longer line is cut instead of refused.
    pub max_line_size_truncate: bool,
    /// Whether an entry of the same time as the one before it in its stream, with another line, gets the next nanosecond.
    pub increment_duplicate_timestamp: bool,
    /// Whether entries get `detected_level` as structured metadata (3.x).
    pub discover_log_levels: bool,
    /// Labels, the first of which that a stream has becomes its `service_name` (3.x). Reba: none, as in 2.9.
    pub discover_service_name: Vec<String>,
    /// Streams at a time; the smaller of this and the global one counts.
    pub max_streams_per_user: usize,
    /// Streams at a time.
    pub max_global_streams_per_user: usize,
    /// Bytes of lines a second in one stream.
    pub per_stream_rate_limit: Size,
    /// Bytes that may come at once in one stream.
    pub per_stream_rate_limit_burst: Size,
    /// Reba: structured metadata is always taken.
    pub allow_structured_metadata: bool,
    /// Bytes of an entry's metadata.
    pub max_structured_metadata_size: Size,
    /// Pairs of an entry's metadata.
    pub max_structured_metadata_entries_count: usize,
    /// Reba: labels that are stored as structured metadata, since they have a value for every request. Selectors still match them.
    pub high_cardinality_labels: Vec<String>,
    /// Reba: so does any other label with more different values than this in an hour.
    pub high_cardinality_values_per_hour: usize,
    /// What becomes of OTLP's attributes.
    pub otlp_config: OtlpLabels,
    /// Series in the answer of a metric query.
    pub max_query_series: usize,
    /// How far into the past queries see.
    pub max_query_lookback: Span,
    /// Length of a query's range.
    pub max_query_length: Span,
    /// Length of the window of a range aggregation.
    pub max_query_range: Span,
    /// Followers at a time.
    pub max_concurrent_tail_requests: usize,
    /// Lines in an answer.
    pub max_entries_limit_per_query: usize,
    /// How long a query may take.
    pub query_timeout: Span,
    /// Bytes that one query may read.
    pub max_query_bytes_read: Size,
    /// Reba: on.
    pub volume_enabled: bool,
    /// Series in an answer about volumes.
    pub volume_max_series: usize,
    /// How long entries are kept; 0 is for ever.
    pub retention_period: Span,
    /// Streams that are kept for another time.
    pub retention_stream: Vec<StreamRetention>,
    /// Whether entries can be deleted: `disabled`, `filter-only` or `filter-and-delete`.
    pub deletion_mode: String,
    /// Labels that a selector must name.
    pub required_labels: Vec<String>,
    /// Fewest matchers of a selector.
    pub minimum_labels_number: usize,
    /// Queries that nobody may ask.
    pub blocked_queries: Vec<BlockedQuery>,
    /// Rules of a group.
    pub ruler_max_rules_per_rule_group: usize,
    /// Groups of a tenant.
    pub ruler_max_rule_groups_per_tenant: usize,
    /// How far behind now rules are evaluated.
    pub ruler_evaluation_delay_duration: Span,
}

/// Names of labels that have a value for every request, user or event.
const HIGH_CARDINALITY: [&str; 14] = [
    "trace_id",
    "traceid",
    "traceID",
    "traceId",
    "span_id",
    "spanid",
    "spanID",
    "spanId",
    "request_id",
    "requestId",
    "correlation_id",
    "user_id",
    "session_id",
    "event_id",
];

impl Default for Limits {
    fn default() -> Self {
        Limits {
            ingestion_rate_strategy: "global".to_owned(),
            ingestion_rate_mb: 4.0,
            ingestion_burst_size_mb: 6.0,
            max_label_name_length: 1024,
            max_label_value_length: 2048,
            max_label_names_per_series: 30,
            reject_old_samples: true,
            reject_old_samples_max_age: Span::hours(168),
            creation_grace_period: Span::minutes(10),
            max_line_size: Size(0),
            max_line_size_truncate: false,
            increment_duplicate_timestamp: false,
            discover_log_levels: true,
            discover_service_name: Vec::new(),
            max_streams_per_user: 0,
            max_global_streams_per_user: 5000,
            per_stream_rate_limit: Size(3 << 20),
            per_stream_rate_limit_burst: Size(15 << 20),
            allow_structured_metadata: true,
            max_structured_metadata_size: Size(64 << 10),
            max_structured_metadata_entries_count: 128,
            high_cardinality_labels: HIGH_CARDINALITY.map(str::to_owned).to_vec(),
            high_cardinality_values_per_hour: 200,
            otlp_config: OtlpLabels::default(),
            max_query_series: 500,
            max_query_lookback: Span::ZERO,
            max_query_length: Span::hours(721),
            max_query_range: Span::ZERO,
            max_concurrent_tail_requests: 10,
            max_entries_limit_per_query: 5000,
            query_timeout: Span::minutes(1),
            max_query_bytes_read: Size(0),
            volume_enabled: true,
            volume_max_series: 1000,
            retention_period: Span::ZERO,
            retention_stream: Vec::new(),
            deletion_mode: "filter-and-delete".to_owned(),
            required_labels: Vec::new(),
            minimum_labels_number: 0,
            blocked_queries: Vec::new(),
            ruler_max_rules_per_rule_group: 0,
            ruler_max_rule_groups_per_tenant: 0,
            ruler_evaluation_delay_duration: Span::ZERO,
        }
    }
}

impl Limits {
    /// Streams that may be active at a time; 0 is any number.
    pub fn max_streams(&self) -> usize {
        match (self.max_streams_per_user, self.max_global_streams_per_user) {
            (0, limit) | (limit, 0) => limit,
            (a, b) => a.min(b),
        }
    }

    /// The first value that makes no sense: its key, and why.
    pub(super) fn fault(&self) -> Option<(String, String)> {
        let one_of = |key: &str, value: &str, allowed: &[&str]| {
            (!allowed.contains(&value))
                .then(|| (key.to_owned(), format!("{value:?} is none of {}", allowed.join(", "))))
        };
        let rate = |key: &str, value: f64| {
            (!value.is_finite() || value < 0.0).then(|| (key.to_owned(), "must not be negative".to_owned()))
        };
        rate("ingestion_rate_mb", self.ingestion_rate_mb)
            .or_else(|| rate("ingestion_burst_size_mb", self.ingestion_burst_size_mb))
            .or_else(|| {
                one_of("ingestion_rate_strategy", &self.ingestion_rate_strategy, &["local", "global"])
            })
            .or_else(|| {
                one_of(
                    "deletion_mode",
                    &self.deletion_mode,
                    &["disabled", "filter-only", "filter-and-delete"],
                )
            })
            .or_else(|| fault_of_list("retention_stream", &self.retention_stream, StreamRetention::fault))
            .or_else(|| fault_of_list("blocked_queries", &self.blocked_queries, BlockedQuery::fault))
            .or_else(|| self.otlp_config.fault().map(|(key, why)| (format!("otlp_config.{key}"), why)))
    }
}

/// The first fault of the items of a list, with the path of the key.
pub(super) fn fault_of_list<T>(
    key: &str,
    items: &[T],
    fault: impl Fn(&T) -> Option<(&'static str, String)>,
) -> Option<(String, String)> {
    let mut faults = items.iter().enumerate().filter_map(|(i, item)| Some((i, fault(item)?)));
    let (i, (inner, why)) = faults.next()?;
    Some((format!("{key}[{i}].{inner}"), why))
}

/// Streams that are kept for another time. Of the rules that match a stream those of the highest priority count, and of these
/// the one that keeps it for the shortest time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamRetention {
    /// Matchers in braces.
    pub selector: String,
    /// Which rule counts.
    pub priority: i32,
    /// How long; at least a day.
    pub period: Span,
}

impl StreamRetention {
    /// The matchers; none if the selector is malformed, which a configuration that was read does not have.
    pub fn matchers(&self) -> Vec<Matcher> {
        reba_logql::syntax::parse_matchers(&self.selector).unwrap_or_default()
    }

    fn fault(&self) -> Option<(&'static str, String)> {
        if let Err(e) = reba_logql::syntax::parse_matchers(&self.selector) {
            return Some(("selector", e.to_string()));
        }
        let short = self.period < Span::hours(24);
        short.then(|| ("period", "retention period must be >= 24h".to_owned()))
    }
}

/// A query that nobody may ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockedQuery {
    /// Its text, or an expression for it; empty: every query.
    pub pattern: String,
    /// Whether the pattern is an expression.
    pub regex: bool,
    /// Upstream's hash of its text, which Reba does not know.
    pub hash: u32,
    /// Only these kinds, with commas between them: `metric`, `filter`, `limited`.
    pub types: String,
}

impl BlockedQuery {
    fn fault(&self) -> Option<(&'static str, String)> {
        let fault = self.regex.then(|| reba_model::GoRegex::search(&self.pattern).err());
        fault.flatten().map(|e| ("pattern", e.to_string()))
    }
}

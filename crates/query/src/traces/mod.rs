//! Runs queries about traces: what lies between a text somebody typed and an answer, apart from TraceQL itself.
//!
//! [`TraceQueryEngine`] works out what a store may leave out (`want`), takes the store's scans on as many threads as are free,
//! and has `reba-traceql` evaluate what they find. It is for traces what [`LogQueryEngine`](crate::logs::LogQueryEngine) is for
//! logs: the deadline, the queue, the client that leaves.

mod config;
mod engine;
mod error;
mod found;
mod metrics;
mod parts;
mod scans;
mod search;
mod stats;
mod tags;
mod want;

pub use config::{TraceEngineConfig, TraceLimits, TraceLimitsByTenant};
pub use engine::{TraceById, TraceOutput, TraceQueryEngine};
pub use error::TraceError;
pub use metrics::{InstantTraceMetrics, RangeTraceMetrics, TraceMetricsOutput};
pub use parts::Parts;
pub use reba_traceql::{
    Exemplar, MetricSeries, ServiceStats, SpanMatch, SpansetMatch, TraceMatch, prom_labels, syntax::Static,
};
pub use search::{SearchOutput, TraceSearch};
pub use stats::TraceStats;
pub use tags::{TagNames, TagNamesQuery, TagScope, TagValue, TagValues, TagValuesQuery};

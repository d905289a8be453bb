//! Runs queries about logs: what lies between a text somebody typed and an answer, apart from LogQL itself.
//!
//! [`LogQueryEngine`] takes a query as text, works out what a store may leave out (`plan`), takes the store's scans on as many
//! threads as are free, and has `reba-logql` evaluate the rows. It is for logs what [`QueryEngine`](crate::QueryEngine) is for
//! metrics: the deadline, the queue, the client that leaves. [`LogTails`] hands rows on while they are written.

mod config;
mod demoted;
mod detect;
mod engine;
mod error;
mod info;
mod limits;
mod metric;
mod output;
mod patterns;
mod plan;
mod rows;
mod scans;
mod stats;
mod tail;
mod tenants;

pub use config::{BlockedKind, BlockedPattern, BlockedQuery, LogEngineConfig, LogLimits};
pub use detect::{
    DetectedField, DetectedFields, DetectedLabel, FieldType, FieldsQuery, MAX_VALUES as MAX_FIELD_VALUES,
};
pub use engine::{Direction, InstantLogQuery, LimitsByTenant, LogQueryEngine, RangeLogQuery};
pub use error::LogError;
pub use info::{StoredStats, VolumeBy, VolumeQuery};
pub use output::{Line, LineLabels, LogData, LogOutput, MatrixSeries, StreamView};
pub use patterns::{LinePattern, PatternsQuery};
pub use rows::deletion_filter;
pub use stats::LogStats;
pub use tail::{Dropped, LogTails, Tail, TailFrame};

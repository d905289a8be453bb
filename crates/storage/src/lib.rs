//! The contracts between producers, engines and readers of telemetry.
//!
//! Engines return data, never answers: a store may return more than was asked for, never less, and the
//! evaluators filter again. Every engine passes the same suite (`reba-testkit`), with the RAM store as the oracle.
//!
//! The metric traits are plain functions on purpose (`docs/adr/0003-synchronous-store-traits.md`): the embedded engine
//! works at memory speed, and callers run on the query pool or on a blocking thread, never on the runtime's workers.
//!
//! This crate knows no engine, no query language and no SQL.

mod admin;
mod append;
mod changes;
mod demoted;
mod logs;
mod query;
mod spans;
mod state;

pub use admin::{AdminError, MetricAdmin};
pub use append::{
    AppendError, AppendMode, AppendReport, FloatSample, MetricAppender, RejectReason, Rejection, SeriesRef,
    WriteBatch,
};
pub use changes::{ChangeLog, Generation, NoteAtEnd};
pub use demoted::{DemotedLabels, NamesByTenant, SaveNames};
pub use logs::{
    Comparison, Condition, Extract, LineParser, LogAdmin, LogAppender, LogCounter, LogHead, LogQuerier,
    LogReport, LogRequest, LogRow, LogScan, LogWant, MetadataWant, RowFilter, ScanStats, StreamInfo,
    TextTest, ValueForm,
};
pub use query::{
    Budget, BudgetError, ExemplarSeries, MetricQuerier, QueryError, SelectHints, SelectRequest, StoreStats,
    TopEntry,
};
pub use spans::{
    AttributeScope, SpanAdmin, SpanAppender, SpanCondition, SpanDetails, SpanField, SpanNeed, SpanQuerier,
    SpanReport, SpanRequest, SpanRows, SpanScan, SpanTest, SpanValue, SpanWant,
};
pub use state::{DOCUMENT_LIMIT, Document, HISTORY_KEPT, StateChange, StateError, StateStore};

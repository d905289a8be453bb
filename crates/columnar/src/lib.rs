//! The embedded record engine: log entries ([`Columnar`]) and spans ([`SpanStore`]).
//!
//! Rows go to the write-ahead log and to a table in memory; from there to immutable parts, each of one tenant and one day of
//! UTC; small parts are merged. What is live stands in a manifest that is replaced atomically. The engine has no threads:
//! its owner calls [`Columnar::maintain`] or [`SpanStore::maintain`], and whoever fills the table in memory writes it.

mod admin;
pub mod block;
mod catalog;
mod config;
mod day;
mod delete;
mod duplicates;
mod error;
mod flush;
mod maintain;
mod manifest;
mod memory;
mod merge;
mod metrics;
mod part;
mod recover;
mod retention;
mod scan;
mod snapshot;
pub mod spans;
mod state;
mod store;
mod varint;
mod wal;

pub use config::{ColumnarConfig, Periods, Retention, StreamPeriod};
pub use error::ColumnarError;
pub use metrics::ColumnarMetrics;
pub use spans::SpanStore;
pub use store::Columnar;

//! Runs queries: fetch, threads, limits, timeout, cancellation, statistics.
//!
//! [`QueryEngine`] takes a query as text, works out which series it needs, fetches them from the store it was given,
//! and has `reba-promql` evaluate them, all on its own threads. It is the one place where a query meets time: the
//! deadline, the queue, the client that leaves.
//!
//! This crate knows no HTTP, and not which engine stores the data.

mod active;
mod cache;
mod config;
mod engine;
mod error;
mod guard;
mod helpers;
pub mod logs;
mod metadata;
mod output;
mod pool;
mod quick;
mod recent;
mod run;
mod slots;
mod stats;
pub mod traces;

pub use active::ActiveQuery;
pub use cache::CacheTotals;
pub use config::{EngineConfig, QueryLimits};
pub use engine::{InstantQuery, QueryEngine, RangeQuery};
pub use error::{ExecError, Stage};
pub use output::{QueryData, QueryOutput};
pub use recent::{QUANTILES, RecentTimings};
pub use stats::{EngineTotals, QueryStats, QueryTimings};

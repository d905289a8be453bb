//! Runs a query plan: fetch, CPU pool, limits, timeout, cancellation, statistics.

mod types;

pub use types::{ActiveQuery, ExecError, InstantQuery, QueryOptions, QueryOutput, QueryStats, RangeQuery};

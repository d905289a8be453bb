//! What a caller asks for and what it gets.

use std::time::Duration;

use reba_promql::eval::value::{Steps, Value};
use thiserror::Error;

/// Settings of one query that differ from the engine's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryOptions {
    /// Deadline; the engine's if it is shorter.
    pub timeout: Option<Duration>,
    /// How far back an instant selector looks, in milliseconds.
    pub lookback_ms: Option<i64>,
}

/// A query at one moment.
#[derive(Clone, Debug)]
pub struct InstantQuery {
    /// The expression.
    pub expr: String,
    /// Unix milliseconds.
    pub time: i64,
    /// Settings.
    pub options: QueryOptions,
}

/// A query at every step of a range.
#[derive(Clone, Debug)]
pub struct RangeQuery {
    /// The expression.
    pub expr: String,
    /// First step, Unix milliseconds.
    pub start: i64,
    /// No step is later, Unix milliseconds.
    pub end: i64,
    /// Milliseconds between steps, above zero.
    pub step: i64,
    /// Settings.
    pub options: QueryOptions,
}

/// Where the time of a query went, in seconds, and what it read: upstream's `stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QueryStats {
    /// Waiting for a place among the running queries.
    pub queue_seconds: f64,
    /// Parsing, planning and fetching.
    pub preparation_seconds: f64,
    /// Evaluating.
    pub evaluation_seconds: f64,
    /// Sorting the result.
    pub sort_seconds: f64,
    /// From the call to the result.
    pub total_seconds: f64,
    /// Samples that were read, each step counted.
    pub total_samples: u64,
    /// Samples that were held at once, at most.
    pub peak_samples: u64,
}

/// The answer of a query.
#[derive(Clone, Debug)]
pub struct QueryOutput {
    /// The value; a vector has a slot for each of `steps`.
    pub value: Value,
    /// The steps (one for an instant query).
    pub steps: Steps,
    /// Annotations, with positions, at most ten of each.
    pub warnings: Vec<String>,
    /// As `warnings`.
    pub infos: Vec<String>,
    /// Costs.
    pub stats: QueryStats,
}

/// Why there is no answer. The variants are the API's error types.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ExecError {
    /// The expression or a parameter is wrong (400).
    #[error("{0}")]
    BadData(String),
    /// The evaluation failed, or a limit was reached (422).
    #[error("{0}")]
    Execution(String),
    /// The client left, or somebody killed the query (499).
    #[error("{0}")]
    Canceled(String),
    /// The deadline passed, while waiting or while evaluating (503).
    #[error("{0}")]
    Timeout(String),
    /// Stored data could not be read, or a fault of ours (500).
    #[error("{0}")]
    Internal(String),
}

/// A query that runs or waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveQuery {
    /// Its number, for `QueryEngine::kill`.
    pub id: u64,
    /// The expression.
    pub expr: String,
    /// When it came, Unix milliseconds.
    pub started_ms: i64,
}

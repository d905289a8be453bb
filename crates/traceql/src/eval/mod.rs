//! From spans to answers.

mod algebra;
mod cells;
mod compare;
mod metrics;
mod node;
mod search;
mod spanset;
mod structural;
mod value;

use thiserror::Error;

pub use cells::Grid;
pub use metrics::{Exemplar, MetricSeries, MetricsEval, MetricsLimits, prom_labels};
pub use search::{Search, ServiceStats, SpanMatch, SpansetMatch, TraceMatch};

/// What the language leaves to whoever runs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvalOptions {
    /// Whether a regular expression must match the whole text, as it must from upstream's 2.7 on.
    pub anchored_regex: bool,
    /// Spans shown of each spanset; 0 for all.
    pub spans_per_spanset: usize,
}

/// Why a query cannot be evaluated.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EvalError {
    /// The language has it, nobody evaluates it. Validation finds these before.
    #[error("{0} not yet supported")]
    Unsupported(String),
    /// A regular expression does not compile.
    #[error("{0}")]
    Regex(String),
    /// A structural operator beside `by()`.
    #[error("spanset operators are not supported for multiple spansets per trace. consider using coalesce()")]
    ManySpansets,
    /// A query for series where traces are asked for, or the other way round.
    #[error("{0}")]
    WrongKind(&'static str),
    /// The times make no grid.
    #[error("{0}")]
    Grid(&'static str),
}

#[cfg(test)]
mod tests;

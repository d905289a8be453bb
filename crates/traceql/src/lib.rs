//! TraceQL: parse, print, and evaluate over spans already fetched.
//!
//! Times and durations are `i64` nanoseconds, as those of spans are.

mod eval;
mod numbers;
mod plan;
pub mod syntax;
mod trace;
pub mod units;

pub use eval::{
    EvalError, EvalOptions, Exemplar, Grid, MetricSeries, MetricsEval, MetricsLimits, Search, ServiceStats,
    SpanMatch, SpansetMatch, TraceMatch, prom_labels,
};
pub use plan::{Condition, FetchPlan, SpanNeed};
pub use trace::{Nested, Trace};

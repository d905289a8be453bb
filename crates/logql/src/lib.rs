//! LogQL: parse, print, and evaluate over rows already fetched.
//!
//! Durations of the language are `i64` nanoseconds, as the times of entries are.

mod eval;
pub mod pipeline;
pub mod syntax;
pub mod units;

pub use eval::{
    Answer, EvalError, Grid, GridSeries, RangeEval, RangeOptions, evaluate, range_aggregations, wanted_labels,
};

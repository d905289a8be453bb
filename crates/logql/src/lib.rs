//! LogQL: parse, print, and evaluate over rows already fetched.
//!
//! Durations of the language are `i64` nanoseconds, as the times of entries are.

mod eval;
pub mod pipeline;
pub mod syntax;
pub mod units;

pub use eval::{
    Answer, EvalError, ExtractNeeds, Grid, GridSeries, Parsed, RangeEval, RangeOptions, RowNeeds, evaluate,
    extremes_wanted, leaves, pushed_grouping, range_aggregations, wanted_labels,
};

//! TraceQL: parse, print, and evaluate over spans already fetched.
//!
//! Times and durations are `i64` nanoseconds, as those of spans are.

mod numbers;
pub mod syntax;
pub mod units;

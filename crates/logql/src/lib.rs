//! LogQL: parse, print, and evaluate over rows already fetched.
//!
//! Durations of the language are `i64` nanoseconds, as the times of entries are.

pub mod syntax;
pub mod units;

//! The embedded record engine: log entries now, spans to come.

pub mod block;

//! Brings metrics in and out: OpenMetrics with timestamps, and the blocks of a Prometheus.
//!
//! What is read goes out in [`Batch`]es of bounded size, to whoever stores them; what is written comes from any
//! [`reba_storage::MetricQuerier`]. This crate knows no engine. Start at [`openmetrics`] and [`prometheus`].

mod batch;
pub mod openmetrics;
pub mod prometheus;

pub use batch::{Batch, ImportError, Imported, Report, Sink};

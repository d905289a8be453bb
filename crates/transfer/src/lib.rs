//! Brings data in and out: OpenMetrics with timestamps, the blocks of a Prometheus, and backups of a whole data folder.
//!
//! What is read goes out in [`Batch`]es of bounded size, to whoever stores them; what is written comes from any
//! [`reba_storage::MetricQuerier`]. A [`backup`] is files with checksums. This
//! crate knows no engine. Start at [`openmetrics`] and [`prometheus`].

pub mod backup;
mod batch;
pub mod openmetrics;
pub mod prometheus;

pub use batch::{Batch, ImportError, Imported, Report, Sink};

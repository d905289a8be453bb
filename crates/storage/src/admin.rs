//! What an administrator may do to a metric store.

use reba_model::{Matcher, TimeRange};
use thiserror::Error;

/// Why it was not done; the text is for the person who asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct AdminError(pub String);

/// Deleting and copying. Calls read and write files, and may take long.
pub trait MetricAdmin: Send + Sync {
    /// Deletes the samples in `range` of every series that matches any of `sets`, durably; no query sees them any more.
    /// Their space is freed later.
    fn delete_series(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<(), AdminError>;

    /// Frees the space of deleted samples.
    fn clean_tombstones(&self) -> Result<(), AdminError>;

    /// Makes a copy of the store, with or without its newest data, under `name` in its folder `snapshots`.
    fn snapshot(&self, name: &str, with_head: bool) -> Result<(), AdminError>;
}

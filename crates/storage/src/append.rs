//! Writing metrics.

use std::{fmt, num::NonZeroU64, sync::Arc};

use reba_model::{Exemplar, Histogram, Labels};
use thiserror::Error;

/// A handle to a series inside one store, valid until the store drops the series.
///
/// Producers keep it beside whatever identifies the series on their side (a line of an exposition, the bytes of a
/// label set), so that a sample of a known series costs no look-up by labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesRef(pub NonZeroU64);

/// One float of one series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FloatSample {
    /// The series.
    pub series: SeriesRef,
    /// Unix milliseconds.
    pub t: i64,
    /// The value; the staleness marker is a value like any other.
    pub v: f64,
}

/// What is written together: a scrape, a remote-write request, the results of one rule.
///
/// A query sees either all or nothing of a batch. Producers reuse the batch for the next write.
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    /// Floats.
    pub floats: Vec<FloatSample>,
    /// Native histograms.
    pub histograms: Vec<(SeriesRef, i64, Arc<Histogram>)>,
    /// Exemplars.
    pub exemplars: Vec<(SeriesRef, Exemplar)>,
}

impl WriteBatch {
    /// Empties the batch, keeping its memory.
    pub fn clear(&mut self) {
        self.floats.clear();
        self.histograms.clear();
        self.exemplars.clear();
    }

    /// How many samples (floats and histograms) the batch holds.
    pub fn samples(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }

    /// Whether nothing is in the batch.
    pub fn is_empty(&self) -> bool {
        self.samples() == 0 && self.exemplars.is_empty()
    }
}

/// What happens to the good samples of a batch that also has bad ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendMode {
    /// They are written; the bad ones are reported (scrapes, rules).
    Partial,
    /// Nothing is written (remote write 1.0 as upstream does it).
    AllOrNothing,
}

/// Why one sample was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// Older than the newest sample of its series, and no out-of-order window admits it.
    OutOfOrder,
    /// The series has another value at this time already.
    DuplicateTimestamp,
    /// Older than everything the store still accepts.
    TooOld,
    /// Too far in the future.
    OutOfBounds,
    /// The reference names no series any more: ask for it anew by its labels and try again.
    UnknownSeries,
    /// Exemplar only: older than the newest one of its series.
    ExemplarOutOfOrder,
    /// Histogram only: counts, spans or bounds contradict each other.
    InvalidHistogram,
}

impl fmt::Display for RejectReason {
    /// Upstream's words, which senders match on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RejectReason::OutOfOrder => "out of order sample",
            RejectReason::DuplicateTimestamp => "duplicate sample for timestamp",
            RejectReason::TooOld => "too old sample",
            RejectReason::OutOfBounds => "out of bounds",
            RejectReason::UnknownSeries => "unknown series reference",
            RejectReason::ExemplarOutOfOrder => "out of order exemplar",
            RejectReason::InvalidHistogram => "invalid histogram",
        })
    }
}

/// One sample that was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Index into `floats`, or `floats.len()` + index into `histograms`, or the sum of both + index into `exemplars`.
    pub index: usize,
    /// Why.
    pub reason: RejectReason,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendReport {
    /// Samples (floats and histograms) that are now in the store; an exact duplicate counts as written.
    pub appended: usize,
    /// Samples and exemplars that are not, by rising index.
    pub rejected: Vec<Rejection>,
}

/// Why a batch as a whole could not be written.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AppendError {
    /// The disk is full; what was written before is safe and queries go on. Answer 503, the sender tries again.
    #[error("storage is full: {0}")]
    Full(String),
    /// A write or fsync failed; the store takes no more data until it is restarted, for it cannot promise anything.
    #[error("storage failed and is read-only until restart: {0}")]
    Poisoned(String),
    /// A limit on series was reached.
    #[error("limit `{limit}` reached: {value}")]
    Limit {
        /// The limit's name, as it is spelt in the configuration.
        limit: &'static str,
        /// Its value.
        value: u64,
    },
    /// The store is shutting down.
    #[error("storage is shutting down")]
    Closed,
}

impl AppendError {
    /// Whether the same batch may succeed later.
    pub fn is_retryable(&self) -> bool {
        !matches!(self, AppendError::Limit { .. })
    }
}

/// The write half of a metric store. Calls may block for the write-ahead log.
pub trait MetricAppender: Send + Sync {
    /// The reference of the series with exactly these labels (not empty), created if there is none.
    fn series_ref(&self, labels: &Labels) -> Result<SeriesRef, AppendError>;

    /// Writes a batch. When this returns, what the report counts as appended survives the death of the process.
    fn append(&self, batch: &WriteBatch, mode: AppendMode) -> Result<AppendReport, AppendError>;
}

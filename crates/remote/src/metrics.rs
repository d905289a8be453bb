//! What can be said of a receiver.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Counters of one receiver. The field names are those of upstream's metrics (`prometheus_remote_storage_…`).
#[derive(Debug, Default)]
pub struct RemoteMetrics {
    /// Floats in requests, each attempt.
    pub samples_total: AtomicU64,
    /// Native histograms in requests, each attempt.
    pub histograms_total: AtomicU64,
    /// Exemplars in requests, each attempt.
    pub exemplars_total: AtomicU64,
    /// Floats that the receiver refused for good.
    pub samples_failed_total: AtomicU64,
    /// Native histograms that the receiver refused for good.
    pub histograms_failed_total: AtomicU64,
    /// Exemplars that the receiver refused for good.
    pub exemplars_failed_total: AtomicU64,
    /// Floats that were sent again.
    pub samples_retried_total: AtomicU64,
    /// Native histograms that were sent again.
    pub histograms_retried_total: AtomicU64,
    /// Exemplars that were sent again.
    pub exemplars_retried_total: AtomicU64,
    /// Samples of series that relabelling drops.
    pub dropped_series: AtomicU64,
    /// Samples older than `sample_age_limit`.
    pub dropped_old: AtomicU64,
    /// Segments of the queue that went unsent, for it was full.
    pub segments_missed: AtomicU64,
    /// Samples of the window that is being sent.
    pub pending: AtomicU64,
    /// Requests at a time.
    pub shards: AtomicU64,
    /// Bytes of bodies, compressed, each attempt.
    pub bytes_total: AtomicU64,
    /// Requests, each attempt.
    pub requests: AtomicU64,
    /// Microseconds that they took.
    pub request_micros: AtomicU64,
    /// Entries of metadata in requests.
    pub metadata_total: AtomicU64,
    /// Entries of metadata that did not arrive.
    pub metadata_failed_total: AtomicU64,
    /// Bytes of bodies of metadata, compressed.
    pub metadata_bytes_total: AtomicU64,
    /// Unix milliseconds of the newest sample that arrived; 0: none yet.
    pub highest_sent_ms: AtomicI64,
}

/// How many of each kind something holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) floats: u64,
    pub(crate) histograms: u64,
    pub(crate) exemplars: u64,
}

impl Counts {
    pub(crate) fn all(self) -> u64 {
        self.floats + self.histograms + self.exemplars
    }

    /// What is left of this after `other`.
    pub(crate) fn minus(self, other: Counts) -> Counts {
        Counts {
            floats: self.floats.saturating_sub(other.floats),
            histograms: self.histograms.saturating_sub(other.histograms),
            exemplars: self.exemplars.saturating_sub(other.exemplars),
        }
    }
}

impl RemoteMetrics {
    pub(crate) fn sent(&self, n: Counts) {
        add([&self.samples_total, &self.histograms_total, &self.exemplars_total], n);
    }

    pub(crate) fn failed(&self, n: Counts) {
        add([&self.samples_failed_total, &self.histograms_failed_total, &self.exemplars_failed_total], n);
    }

    pub(crate) fn retried(&self, n: Counts) {
        add([&self.samples_retried_total, &self.histograms_retried_total, &self.exemplars_retried_total], n);
    }
}

fn add(counters: [&AtomicU64; 3], n: Counts) {
    for (counter, n) in counters.into_iter().zip([n.floats, n.histograms, n.exemplars]) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

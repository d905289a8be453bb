//! What queries about traces cost.

use std::time::Duration;

use reba_storage::ScanStats;

/// What a query about traces cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceStats {
    /// Scans there were.
    pub scans: u64,
    /// Scans that were run; the others could not add to the answer.
    pub scans_run: u64,
    /// Scans that have ended, run or not: all of them, unless this is told while some still run.
    pub scans_done: u64,
    /// What the store did.
    pub store: ScanStats,
    /// Traces that were evaluated.
    pub traces: u64,
    /// Spans that were evaluated.
    pub spans: u64,
    /// Waiting for others.
    pub queue: Duration,
    /// Everything else.
    pub exec: Duration,
}

impl TraceStats {
    /// Adds what another thread did. Times stay.
    pub fn add(&mut self, other: &TraceStats) {
        self.scans += other.scans;
        self.scans_run += other.scans_run;
        self.scans_done += other.scans_done;
        self.store.add(other.store);
        self.traces += other.traces;
        self.spans += other.spans;
    }
}

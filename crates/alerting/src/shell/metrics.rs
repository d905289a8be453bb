//! What is counted about notifications, as Alertmanager counts it.

use std::collections::BTreeMap;

use crate::notification::FailureReason;

/// Upper bounds of `alertmanager_notification_latency_seconds`.
pub const LATENCY_BUCKETS: [f64; 5] = [1.0, 5.0, 10.0, 15.0, 20.0];

/// Failures by reason.
pub type FailureCounts = BTreeMap<FailureReason, u64>;

/// What is counted about notifications.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// By kind of integration (label `integration`).
    pub integrations: BTreeMap<&'static str, IntegrationMetrics>,
    /// Alerts that were taken or refused, and how long that took together, seconds.
    pub processed: (u64, f64),
    /// Writes to the state store.
    pub saves: u64,
    /// Writes that failed; they are tried again.
    pub save_errors: u64,
    /// Documents written.
    pub saved_documents: u64,
}

/// What is counted about the notifications of one kind of integration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IntegrationMetrics {
    /// Notifications that were begun (`alertmanager_notifications_total`).
    pub notifications: u64,
    /// Those that did not arrive before the group's next tick (`…_failed_total`), by `reason`.
    pub failed: FailureCounts,
    /// Tries (`alertmanager_notification_requests_total`).
    pub requests: u64,
    /// Tries that failed (`…_requests_failed_total`).
    pub requests_failed: u64,
    /// Tries by how long they took: one count for each of [`LATENCY_BUCKETS`], not cumulated, and one for those beyond.
    pub latency: [u64; LATENCY_BUCKETS.len() + 1],
    /// How long they took together, seconds.
    pub latency_sum: f64,
}

impl IntegrationMetrics {
    /// Counts a try that took so long.
    pub(super) fn observe(&mut self, took_ms: i64) {
        let seconds = took_ms as f64 / 1000.0;
        let bucket = LATENCY_BUCKETS.iter().position(|bound| seconds <= *bound);
        self.latency[bucket.unwrap_or(LATENCY_BUCKETS.len())] += 1;
        self.latency_sum += seconds;
    }
}

//! What discovery counts about itself.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::config::KubernetesRole;

/// What is counted over all sections.
#[derive(Debug, Default)]
pub struct DiscoveryMetrics {
    /// Files that could not be read or parsed.
    pub file_read_errors: AtomicU64,
    /// Faults of our own, after each of which a task of a source started anew.
    pub faults: AtomicU64,
    /// Times that the groups of a section changed.
    pub updates: AtomicU64,
    /// Requests to Consul that failed.
    pub consul_failures: AtomicU64,
    /// Requests to Consul for its services.
    pub consul_catalog: RefreshMetrics,
    /// Requests to Consul for the instances of a service.
    pub consul_health: RefreshMetrics,
    /// Names that were looked up.
    pub dns_lookups: AtomicU64,
    /// Names that could not be looked up.
    pub dns_lookup_failures: AtomicU64,
    /// Refreshes of what DNS records name.
    pub dns: RefreshMetrics,
    /// Refreshes of the containers of Docker daemons.
    pub docker: RefreshMetrics,
    /// Refreshes of lists from HTTP servers.
    pub http: RefreshMetrics,
    /// Watches of Kubernetes that failed.
    pub kubernetes_failures: AtomicU64,
    /// Objects of Kubernetes that came, went and changed, by role.
    pub(crate) kubernetes_events: [[AtomicU64; 3]; KubernetesRole::ALL.len()],
}

/// What is counted of a kind of source that is asked again and again.
#[derive(Debug, Default)]
pub struct RefreshMetrics {
    /// Refreshes, failed ones too.
    pub count: AtomicU64,
    /// Refreshes that failed.
    pub failures: AtomicU64,
    micros: AtomicU64,
}

impl DiscoveryMetrics {
    /// Objects of Kubernetes by role and by what happened to them, by upstream's names for it.
    pub fn kubernetes_events(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        KubernetesRole::ALL.into_iter().flat_map(|role| {
            let counts = &self.kubernetes_events[role as usize];
            let named = ["add", "delete", "update"].into_iter().zip(counts);
            named.map(move |(event, n)| (role.name(), event, n.load(Ordering::Relaxed)))
        })
    }

    /// What is counted of each mechanism, by upstream's names for them.
    pub fn refreshes(&self) -> impl Iterator<Item = (&'static str, &RefreshMetrics)> {
        [("dns", &self.dns), ("docker", &self.docker), ("http", &self.http)].into_iter()
    }
}

impl RefreshMetrics {
    pub(crate) fn observe(&self, took: Duration, failed: bool) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.failures.fetch_add(u64::from(failed), Ordering::Relaxed);
        self.micros.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
    }

    /// Seconds that all refreshes took together.
    pub fn seconds(&self) -> f64 {
        self.micros.load(Ordering::Relaxed) as f64 / 1e6
    }
}

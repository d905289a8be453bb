//! What scraping counts about itself.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;

/// Counters of all pools, read by whoever exposes them.
#[derive(Debug, Default)]
pub struct ScrapeMetrics {
    /// `prometheus_target_scrape_pools_total`
    pub pools: AtomicU64,
    /// `prometheus_target_scrape_pools_failed_total`
    pub pools_failed: AtomicU64,
    /// `prometheus_target_scrape_pool_reloads_total`
    pub pool_reloads: AtomicU64,
    /// `prometheus_target_scrape_pool_reloads_failed_total`
    pub pool_reloads_failed: AtomicU64,
    /// `prometheus_target_scrape_pool_exceeded_target_limit_total`
    pub exceeded_target_limit: AtomicU64,
    /// `prometheus_target_scrape_pool_exceeded_label_limits_total`
    pub exceeded_label_limits: AtomicU64,
    /// `prometheus_target_scrapes_exceeded_body_size_limit_total`
    pub exceeded_body_size_limit: AtomicU64,
    /// `prometheus_target_scrapes_exceeded_sample_limit_total`
    pub exceeded_sample_limit: AtomicU64,
    /// `prometheus_target_scrapes_sample_duplicate_timestamp_total`
    pub duplicate_timestamp: AtomicU64,
    /// `prometheus_target_scrapes_sample_out_of_order_total`
    pub out_of_order: AtomicU64,
    /// `prometheus_target_scrapes_sample_out_of_bounds_total`
    pub out_of_bounds: AtomicU64,
    /// `prometheus_target_scrapes_exemplar_out_of_order_total`
    pub exemplar_out_of_order: AtomicU64,
    /// `reba_ingest_scrapes_total`
    pub scrapes: AtomicU64,
    /// `reba_ingest_scrape_failures_total`
    pub scrape_failures: AtomicU64,
    intervals: Mutex<BTreeMap<Duration, Summary>>,
    pools_by_job: Mutex<BTreeMap<String, PoolMetrics>>,
}

/// What is counted for each job.
#[derive(Clone, Debug, Default)]
pub struct PoolMetrics {
    /// `prometheus_target_scrape_pool_targets`
    pub targets: u64,
    /// `prometheus_target_scrape_pool_target_limit`
    pub target_limit: u64,
    /// `prometheus_target_scrape_pool_sync_total`
    pub syncs: u64,
    /// `prometheus_target_sync_failed_total`
    pub failed_targets: u64,
    /// `prometheus_target_sync_length_seconds`
    pub sync_length: Summary,
}

/// The last observations, their count and sum.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many observations there were.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    last: VecDeque<f64>,
}

/// Enough for the 99th percentile of what happened lately.
const KEPT: usize = 512;

impl Summary {
    fn observe(&mut self, v: f64) {
        self.count += 1;
        self.sum += v;
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(v);
    }

    /// The value below which the share `q` of the last observations lies; NaN if there are none.
    pub fn quantile(&self, q: f64) -> f64 {
        let mut sorted: Vec<f64> = self.last.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let at = (q * sorted.len() as f64).ceil() as usize;
        sorted.get(at.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl ScrapeMetrics {
    /// The observed lengths of each configured interval (`prometheus_target_interval_length_seconds`), in seconds.
    pub fn interval_lengths(&self) -> BTreeMap<Duration, Summary> {
        self.intervals.lock().clone()
    }

    /// The counters of each job.
    pub fn by_job(&self) -> BTreeMap<String, PoolMetrics> {
        self.pools_by_job.lock().clone()
    }

    pub(crate) fn observe_interval(&self, interval: Duration, seconds: f64) {
        self.intervals.lock().entry(interval).or_default().observe(seconds);
    }

    pub(crate) fn observe_sync(&self, job: &str, targets: u64, limit: u64, failed: u64, seconds: f64) {
        let mut jobs = self.pools_by_job.lock();
        let pool = jobs.entry(job.to_owned()).or_default();
        pool.targets = targets;
        pool.target_limit = limit;
        pool.syncs += 1;
        pool.failed_targets += failed;
        pool.sync_length.observe(seconds);
    }

    pub(crate) fn forget_job(&self, job: &str) {
        self.pools_by_job.lock().remove(job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_last_observations() {
        let mut s = Summary::default();
        assert!(s.quantile(0.5).is_nan());
        for v in 0..1000 {
            s.observe(f64::from(v));
        }
        assert_eq!((s.count, s.quantile(0.5), s.quantile(1.0)), (1000, 743.0, 999.0));
    }
}

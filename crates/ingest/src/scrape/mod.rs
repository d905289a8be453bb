//! Scraping: from target groups to batches of samples.
//!
//! A [`ScrapeManager`] runs a pool for each job, a pool runs a loop for each target. A loop sleeps to the target's next
//! point of time, fetches the page on the runtime, and hands it to a blocking thread that parses it ([`page`]), adds
//! `up` and its like, and writes everything as one batch.

mod failure_log;
mod grid;
mod metrics;
pub mod page;
mod pool;
mod report;
mod request;
mod run;
mod sources;
mod status;
mod target;
mod threads;
mod work;

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use reba_http::{ProxyEnv, SharedMemory};
use reba_storage::MetricAppender;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    failure_log::FailureLogs,
    pool::{Job, Pool, Pools},
    threads::ScrapeThreads,
    work::Scratches,
};
pub use self::{
    metrics::{PoolMetrics, ScrapeMetrics, Summary},
    run::Clock,
    status::{Health, LastScrape, PoolStatus, TargetMetadata, TargetStatus},
    target::{Sorted, Target, sort},
};
use crate::{
    config::{Config, ScrapeConfig},
    discovery::DiscoveryMetrics,
};

/// What the binary decides about scraping.
#[derive(Clone)]
pub struct ScrapeOptions {
    /// Sets installations that scrape the same targets apart in time.
    pub seed: u64,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Proxies of the environment, for jobs that ask for them.
    pub proxies: ProxyEnv,
    /// Whether an address without a port gets that of its scheme.
    pub default_port: bool,
    /// How many pages are parsed at a time; the number of cores.
    pub cpus: usize,
    /// Bytes that the pages of all targets may take together, those that are read and those that are kept to be compared
    /// with the next ones; of each target 256 KiB are not counted.
    pub max_page_bytes: u64,
    /// The time.
    pub clock: Clock,
}

impl fmt::Debug for ScrapeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScrapeOptions").field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// Why a configuration cannot be applied; the one before stays.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("scrape pool {pool:?}: {reason}")]
pub struct ApplyError {
    /// The job.
    pub pool: String,
    /// What is wrong.
    pub reason: String,
}

/// What all pools share.
pub(crate) struct Shared {
    pub options: ScrapeOptions,
    pub store: Arc<dyn MetricAppender>,
    pub metrics: Arc<ScrapeMetrics>,
    pub discovery_metrics: Arc<DiscoveryMetrics>,
    pub cpu: Arc<Semaphore>,
    pub scratches: Arc<Scratches>,
    pub threads: ScrapeThreads,
    pub memory: SharedMemory,
    pub failure_logs: Mutex<FailureLogs>,
    pub shutdown: CancellationToken,
    pub tracker: TaskTracker,
}

/// Scrapes the targets of all jobs. Clones are handles to the same one.
#[derive(Clone)]
pub struct ScrapeManager {
    shared: Arc<Shared>,
    pools: Arc<Mutex<Pools>>,
}

impl fmt::Debug for ScrapeManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScrapeManager").field("pools", &self.pool_names()).finish_non_exhaustive()
    }
}

impl ScrapeManager {
    /// A manager without jobs that writes to `store`.
    pub fn new(store: Arc<dyn MetricAppender>, options: ScrapeOptions) -> Self {
        let cpus = options.cpus.clamp(1, 1024);
        let shared = Shared {
            memory: SharedMemory::new(options.max_page_bytes),
            options,
            store,
            metrics: Arc::default(),
            discovery_metrics: Arc::default(),
            cpu: Arc::new(Semaphore::new(cpus)),
            scratches: Arc::new(Scratches::new(4 * cpus)),
            threads: ScrapeThreads::start(cpus),
            failure_logs: Mutex::default(),
            shutdown: CancellationToken::new(),
            tracker: TaskTracker::new(),
        };
        ScrapeManager { shared: Arc::new(shared), pools: Arc::default() }
    }

    /// Makes the running jobs those of `config`, all or nothing. Jobs that did not change are not touched; targets of
    /// a job that changed keep what is known about them. Must be called within a tokio runtime.
    pub fn apply_config(&self, config: &Config) -> Result<(), ApplyError> {
        let mut pools = self.pools.lock();
        self.open_failure_logs(config)?;
        let mut changed = Vec::new();
        for job in config.jobs() {
            if pools.get(&job.job_name).is_some_and(|p| *p.config() == *job) {
                continue;
            }
            let new = Job::new(job, &self.shared).map_err(|reason| {
                let metrics = &self.shared.metrics;
                let is_reload = pools.contains_key(&job.job_name);
                metrics::add(if is_reload { &metrics.pool_reloads_failed } else { &metrics.pools_failed }, 1);
                ApplyError { pool: job.job_name.clone(), reason }
            })?;
            changed.push(new);
        }
        pools.retain(|name, _| {
            let stays = config.jobs().any(|j| j.job_name == *name);
            if !stays {
                self.shared.metrics.forget_job(name);
            }
            stays
        });
        for job in changed {
            let name = job.config.job_name.clone();
            if let Some(pool) = pools.get(&name) {
                metrics::add(&self.shared.metrics.pool_reloads, 1);
                pool.reload(job);
            } else {
                metrics::add(&self.shared.metrics.pools, 1);
                pools.insert(name, Pool::start(job, Arc::clone(&self.shared)));
            }
        }
        Ok(())
    }

    fn open_failure_logs(&self, config: &Config) -> Result<(), ApplyError> {
        let paths = config.jobs().filter_map(|j| j.scrape_failure_log_file.as_deref());
        self.shared.failure_logs.lock().reopen(paths).map_err(|(path, reason)| {
            let of = |j: &&ScrapeConfig| j.scrape_failure_log_file.as_deref() == Some(&path);
            let pool = config.jobs().find(of).map(|j| j.job_name.clone()).unwrap_or_default();
            ApplyError { pool, reason }
        })
    }

    /// Names of the jobs, sorted.
    pub fn pool_names(&self) -> Vec<String> {
        self.pools.lock().keys().cloned().collect()
    }

    /// The targets of all jobs, ordered by job.
    pub fn targets(&self) -> Vec<PoolStatus> {
        self.pools.lock().iter().map(|(name, pool)| pool.status(name)).collect()
    }

    /// What scraping counts about itself.
    pub fn metrics(&self) -> &Arc<ScrapeMetrics> {
        &self.shared.metrics
    }

    /// What discovery counts about itself.
    pub fn discovery_metrics(&self) -> &Arc<DiscoveryMetrics> {
        &self.shared.discovery_metrics
    }

    /// Stops everything at once, without staleness markers: after a restart the series go on.
    pub async fn shutdown(&self) {
        self.shared.shutdown.cancel();
        self.shared.tracker.close();
        self.shared.tracker.wait().await;
        self.pools.lock().clear();
    }
}

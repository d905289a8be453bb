//! What is known about targets: the data of `/api/v1/targets` and `/api/v1/targets/metadata`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use reba_model::{Labels, Metadata};

use super::Target;

/// How a target fared last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Not scraped yet.
    #[default]
    Unknown,
    /// The last scrape succeeded.
    Up,
    /// The last scrape failed.
    Down,
}

impl Health {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Up => "up",
            Health::Down => "down",
        }
    }
}

/// Metadata of the metric families of a target, by name.
pub type TargetMetadata = Arc<BTreeMap<String, Metadata>>;

/// The last scrape of a target.
#[derive(Clone, Debug, Default)]
pub struct LastScrape {
    /// How it ended.
    pub health: Health,
    /// Why it failed; empty if it did not.
    pub error: String,
    /// When it began, Unix milliseconds; `None` before the first.
    pub at: Option<i64>,
    /// How long it took.
    pub duration: Duration,
}

/// An active target.
#[derive(Clone, Debug)]
pub struct TargetStatus {
    /// The job.
    pub pool: String,
    /// Labels, URL, interval.
    pub target: Arc<Target>,
    /// The last scrape.
    pub last: LastScrape,
    /// What the target says about its metrics.
    pub metadata: TargetMetadata,
}

/// All targets of a job.
#[derive(Clone, Debug, Default)]
pub struct PoolStatus {
    /// The job.
    pub name: String,
    /// Targets that are scraped, sorted by URL.
    pub active: Vec<TargetStatus>,
    /// Discovered labels of targets that relabelling dropped, as many as are kept.
    pub dropped: Vec<Labels>,
    /// How many were dropped.
    pub dropped_count: usize,
}

/// The state that a target's loop and the API share.
#[derive(Debug)]
pub(crate) struct TargetState {
    pub pool: String,
    pub target: Arc<Target>,
    last: Arc<Mutex<LastScrape>>,
    metadata: Arc<Mutex<TargetMetadata>>,
}

impl TargetState {
    pub fn new(pool: &str, target: Target) -> Self {
        TargetState {
            pool: pool.to_owned(),
            target: Arc::new(target),
            last: Arc::default(),
            metadata: Arc::default(),
        }
    }

    /// The state of the loop that takes over: it shares what the old one still finds out.
    pub fn successor(&self, target: Target) -> Self {
        TargetState {
            pool: self.pool.clone(),
            target: Arc::new(target),
            last: Arc::clone(&self.last),
            metadata: Arc::clone(&self.metadata),
        }
    }

    pub fn status(&self) -> TargetStatus {
        TargetStatus {
            pool: self.pool.clone(),
            target: Arc::clone(&self.target),
            last: self.last.lock().clone(),
            metadata: Arc::clone(&self.metadata.lock()),
        }
    }

    pub fn report(&self, last: LastScrape) {
        *self.last.lock() = last;
    }

    pub fn set_metadata(&self, metadata: TargetMetadata) {
        *self.metadata.lock() = metadata;
    }
}

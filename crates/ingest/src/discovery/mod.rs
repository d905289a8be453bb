//! Discovery: where targets come from.
//!
//! [`start`] runs the discovery of one section (a job, or a set of Alertmanagers) and hands out its target groups as a
//! watched value: whoever is slow misses states in between, never the last one, and nothing queues up.

pub mod file;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use reba_model::Labels;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{DiscoveryConfig, StaticGroup};

/// The label of a target's address.
pub const ADDRESS_LABEL: &str = "__address__";

/// Targets that share labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGroup {
    /// Where the group comes from: an index, or a file and an index.
    pub source: String,
    /// Labels of all its targets.
    pub labels: Labels,
    /// Labels of each; [`ADDRESS_LABEL`] is among them.
    pub targets: Vec<Labels>,
}

/// All groups of one section.
pub type TargetGroups = Arc<Vec<TargetGroup>>;

/// What is counted over all sections.
#[derive(Debug, Default)]
pub struct DiscoveryMetrics {
    /// Files that could not be read or parsed.
    pub file_read_errors: AtomicU64,
    /// Times that the groups of a section changed.
    pub updates: AtomicU64,
}

impl TargetGroup {
    pub(crate) fn from_static(group: &StaticGroup, source: String) -> Self {
        TargetGroup {
            source,
            labels: Labels::from_pairs(&group.labels),
            targets: group
                .targets
                .iter()
                .map(|t| Labels::from_pairs([(ADDRESS_LABEL, t.as_str())]))
                .collect(),
        }
    }
}

/// The groups that the configuration names itself.
pub(crate) fn static_groups(config: &DiscoveryConfig) -> Vec<TargetGroup> {
    let group = |(i, g): (usize, &StaticGroup)| TargetGroup::from_static(g, i.to_string());
    config.statics.iter().enumerate().map(group).collect()
}

/// Starts the discovery of one section. The value is right from the start as far as the section's own targets go;
/// files are read at once, but by a task. It ends with `cancel` or when nobody watches any more.
pub fn start(
    config: &DiscoveryConfig,
    metrics: Arc<DiscoveryMetrics>,
    cancel: CancellationToken,
) -> watch::Receiver<TargetGroups> {
    let statics = static_groups(config);
    let (sender, receiver) = watch::channel(Arc::new(statics.clone()));
    if !config.files.is_empty() {
        let watcher = file::Watcher::new(config.files.clone());
        tokio::spawn(watch_files(watcher, statics, sender, metrics, cancel));
    }
    receiver
}

async fn watch_files(
    mut watcher: file::Watcher,
    statics: Vec<TargetGroup>,
    sender: watch::Sender<TargetGroups>,
    metrics: Arc<DiscoveryMetrics>,
    cancel: CancellationToken,
) {
    let mut ticks = tokio::time::interval(watcher.poll_interval());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = sender.closed() => return,
            _ = ticks.tick() => {}
        }
        let work = tokio::task::spawn_blocking(move || {
            let refresh = watcher.refresh();
            (watcher, refresh)
        });
        let Ok((back, refresh)) = work.await else { return };
        watcher = back;
        for e in &refresh.errors {
            metrics.file_read_errors.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(error = %e, "reading targets from file failed, the last good ones stay");
        }
        if refresh.changed {
            metrics.updates.fetch_add(1, Ordering::Relaxed);
            let groups: Vec<TargetGroup> = statics.iter().cloned().chain(watcher.groups()).collect();
            sender.send_replace(Arc::new(groups));
        }
    }
}

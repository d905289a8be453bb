//! Where the sources of one section put what they found.

use std::sync::{Arc, atomic::Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{DiscoveryMetrics, TargetGroup, TargetGroups};

/// The groups of all sources of a section, joined in a fixed order.
pub(crate) struct Board {
    sender: watch::Sender<TargetGroups>,
    /// The groups by source; none before a source has answered for the first time.
    parts: Mutex<Vec<Option<Vec<TargetGroup>>>>,
    pub metrics: Arc<DiscoveryMetrics>,
}

/// The place of one source.
pub(crate) struct Slot {
    board: Arc<Board>,
    index: usize,
}

impl Board {
    /// A board with the groups that the configuration names itself.
    pub fn new(
        statics: Vec<TargetGroup>,
        metrics: Arc<DiscoveryMetrics>,
    ) -> (Arc<Self>, watch::Receiver<TargetGroups>) {
        let (sender, receiver) = watch::channel(Arc::new(statics.clone()));
        (Arc::new(Board { sender, parts: Mutex::new(vec![Some(statics)]), metrics }), receiver)
    }

    /// Whether every source has answered at least once.
    pub fn is_complete(&self) -> bool {
        self.parts.lock().iter().all(Option::is_some)
    }

    /// A place behind all others.
    pub fn slot(self: &Arc<Self>) -> Slot {
        let mut parts = self.parts.lock();
        parts.push(None);
        Slot { board: Arc::clone(self), index: parts.len() - 1 }
    }
}

impl Slot {
    /// Replaces the groups of this source. Watchers hear of the first ones, and of others if they differ.
    pub fn publish(&self, groups: Vec<TargetGroup>) {
        let mut parts = self.board.parts.lock();
        let Some(part) = parts.get_mut(self.index) else { return };
        if part.as_ref() == Some(&groups) {
            return;
        }
        *part = Some(groups);
        self.board.metrics.updates.fetch_add(1, Ordering::Relaxed);
        let all: Vec<TargetGroup> = parts.iter().flatten().flatten().cloned().collect();
        self.board.sender.send_replace(Arc::new(all));
    }

    /// What is counted.
    pub fn metrics(&self) -> &DiscoveryMetrics {
        &self.board.metrics
    }

    /// The same for who keeps it.
    pub fn metrics_handle(&self) -> Arc<DiscoveryMetrics> {
        Arc::clone(&self.board.metrics)
    }

    /// Waits until nobody watches any more.
    pub async fn closed(&self) {
        self.board.sender.closed().await;
    }
}

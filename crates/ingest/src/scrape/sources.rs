//! What discovery says of the targets of a job, over a reload that changes whom it asks.

use std::{future::pending, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Shared;
use crate::{
    config::ScrapeConfig,
    discovery::{self, Board, DiscoveryOptions, TargetGroup, TargetGroups},
};

/// The running sources of a job; they end when this is dropped.
pub(crate) struct Sources {
    board: Arc<Board>,
    groups: watch::Receiver<TargetGroups>,
    before: Option<Before>,
    _stop: DropGuard,
}

/// What the sources found that a reload has replaced: it counts until all new ones have answered, lest a slow one
/// loses its targets at every reload.
struct Before {
    groups: Vec<TargetGroup>,
    until: Instant,
}

/// A new source that does not answer for so long has no right to the targets of the one before it.
const PATIENCE: Duration = Duration::from_secs(300);

impl Sources {
    /// Starts the sources of a job.
    pub fn start(config: &ScrapeConfig, shared: &Shared) -> Self {
        let options = DiscoveryOptions {
            user_agent: shared.options.user_agent.clone(),
            proxies: shared.options.proxies.clone(),
            ..DiscoveryOptions::default()
        };
        let stop = CancellationToken::new();
        let metrics = Arc::clone(&shared.discovery_metrics);
        let (board, groups) = discovery::start_on_board(&config.discovery, &options, metrics, &stop);
        Sources { board, groups, before: None, _stop: stop.drop_guard() }
    }

    /// The sources of a job whose configuration has changed from `before` to `now`.
    pub fn reload(mut self, before: &ScrapeConfig, now: &ScrapeConfig, shared: &Shared) -> Self {
        if before.discovery == now.discovery {
            return self;
        }
        // The targets that the configuration names itself stand first; what is gone of them is meant to be gone.
        let found = self.groups().iter().skip(before.discovery.statics.len()).cloned().collect();
        let mut new = Sources::start(now, shared);
        new.before = Some(Before { groups: found, until: Instant::now() + PATIENCE });
        new
    }

    /// Waits until the groups are others than before.
    pub async fn changed(&mut self) {
        let until = self.before.as_ref().map(|b| b.until);
        let deadline = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => pending().await,
            }
        };
        tokio::select! {
            result = self.groups.changed() => if result.is_err() {
                pending::<()>().await;
            },
            () = deadline => self.before = None,
        }
    }

    /// All groups that count now.
    pub fn groups(&mut self) -> TargetGroups {
        if self.board.is_complete() {
            self.before = None;
        }
        let now = self.groups.borrow_and_update().clone();
        match &self.before {
            Some(before) => Arc::new(now.iter().chain(&before.groups).cloned().collect()),
            None => now,
        }
    }
}

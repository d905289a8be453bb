//! Sources that are asked for all their targets again and again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use reba_http::HttpError;
use thiserror::Error;
use tokio::time::MissedTickBehavior;

use super::{
    DiscoveryMetrics, TargetGroup, board::Slot, dns::DnsSource, docker::DockerSource, http::HttpSource,
    metrics::RefreshMetrics,
};

/// More targets of one source are an accident.
pub(crate) const MAX_TARGETS: usize = 100_000;

/// A longer answer of one source is an accident.
pub(crate) const MAX_BODY_BYTES: u64 = 64 << 20;

/// A source that watches tells what changes no more often than this, so that a busy one costs little.
pub(crate) const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// Why a source could not be asked; what it said before stays.
#[derive(Debug, Error)]
pub(crate) enum SourceError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// An answer that says it failed.
    #[error("server returned HTTP status {0}")]
    Status(StatusCode),
    /// An answer that cannot be read, or a request that cannot be made.
    #[error("{0}")]
    Unusable(String),
    /// An answer with too many targets.
    #[error("more than {MAX_TARGETS} targets")]
    TooManyTargets,
}

/// A source of any kind that is polled.
pub(crate) enum Polled {
    Dns(DnsSource),
    Docker(DockerSource),
    Http(HttpSource),
}

impl Polled {
    fn mechanism(&self) -> &'static str {
        match self {
            Polled::Dns(_) => "dns",
            Polled::Docker(_) => "docker",
            Polled::Http(_) => "http",
        }
    }

    fn interval(&self) -> Duration {
        match self {
            Polled::Dns(s) => s.interval(),
            Polled::Docker(s) => s.interval(),
            Polled::Http(s) => s.interval(),
        }
    }

    fn metrics<'a>(&self, all: &'a DiscoveryMetrics) -> &'a RefreshMetrics {
        match self {
            Polled::Dns(_) => &all.dns,
            Polled::Docker(_) => &all.docker,
            Polled::Http(_) => &all.http,
        }
    }

    async fn refresh(&mut self, metrics: &DiscoveryMetrics) -> Result<Vec<TargetGroup>, SourceError> {
        let groups = match self {
            Polled::Dns(s) => s.refresh(metrics).await,
            Polled::Docker(s) => s.refresh().await?,
            Polled::Http(s) => s.refresh().await?,
        };
        if groups.iter().map(|g| g.targets.len()).sum::<usize>() > MAX_TARGETS {
            return Err(SourceError::TooManyTargets);
        }
        Ok(groups)
    }
}

/// Asks at once, and then at every interval.
pub(crate) async fn run(mut source: Polled, slot: Arc<Slot>) {
    let mut ticks = tokio::time::interval(source.interval().max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let began = Instant::now();
        let result = source.refresh(slot.metrics()).await;
        source.metrics(slot.metrics()).observe(began.elapsed(), result.is_err());
        match result {
            Ok(groups) => slot.publish(groups),
            Err(e) => {
                let mechanism = source.mechanism();
                tracing::warn!(mechanism, error = %e, "refreshing targets failed, the last good ones stay");
            }
        }
    }
}

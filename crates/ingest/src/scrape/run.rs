//! The loop of one target.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    failure_log::FailureLog,
    grid::Grid,
    request::{ScrapeError, Scraper},
    status::{Health, LastScrape, TargetState},
    work::{Fetched, Outcome, Plan, Scratches, Work},
};

/// Unix nanoseconds, from wherever the caller takes them.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

const NANOS_PER_MS: i64 = 1_000_000;

/// Why a loop is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Another loop goes on with its work.
    HandOver,
    /// The target is gone: its series are to go stale.
    Remove,
}

/// Everything that a loop needs.
pub(crate) struct Loop {
    pub state: Arc<TargetState>,
    pub scraper: Arc<Scraper>,
    pub plan: Arc<Plan>,
    pub grid: Grid,
    pub clock: Clock,
    /// How many pages are worked on at a time.
    pub cpu: Arc<Semaphore>,
    pub scratches: Arc<Scratches>,
    /// Set while the pool fails all its targets.
    pub forced_error: Arc<RwLock<Option<String>>>,
    /// Where failed scrapes are told.
    pub failure_log: Option<Arc<FailureLog>>,
    /// The process ends: no markers.
    pub shutdown: CancellationToken,
}

impl Loop {
    /// Scrapes until told to stop; takes over from `previous` if there is one. Returns the work for a successor.
    pub async fn run(
        self,
        mut stop: oneshot::Receiver<Stop>,
        previous: Option<JoinHandle<Option<Work>>>,
    ) -> Option<Work> {
        let mut work = match previous {
            Some(previous) => previous.await.ok().flatten().unwrap_or_default(),
            None => Work::default(),
        };
        let mut last = self.state.status().last.at.map(|t| self.grid.point(t));
        let mut began: Option<Instant> = None;
        loop {
            let due = self.grid.next(last, self.now_ms());
            let reason = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return None,
                reason = &mut stop => Some(reason.unwrap_or(Stop::Remove)),
                () = self.sleep_until(due) => None,
            };
            match reason {
                Some(Stop::HandOver) => return Some(work),
                Some(Stop::Remove) => return self.end(work, last).await,
                None => {}
            }
            let (start, now) = (Instant::now(), self.now_ms());
            // Where the clock was set forward while we slept, this scrape is that of the newest point: no second one.
            last = Some(due.max(self.grid.point(now)));
            if let Some(before) = began.replace(start) {
                let length = start.duration_since(before).as_secs_f64();
                self.plan.metrics.observe_interval(self.state.target.interval, length);
            }
            work = tokio::select! {
                () = self.shutdown.cancelled() => return None,
                work = self.scrape(work, self.grid.stamp(due, now), start) => work?,
            };
        }
    }

    fn now_ms(&self) -> i64 {
        (self.clock)().div_euclid(NANOS_PER_MS)
    }

    async fn sleep_until(&self, due_ms: i64) {
        let left = due_ms.saturating_mul(NANOS_PER_MS).saturating_sub((self.clock)());
        tokio::time::sleep(Duration::from_nanos(left.max(0) as u64)).await;
    }

    async fn scrape(&self, mut work: Work, t: i64, began: Instant) -> Option<Work> {
        work.begin(self.scratches.take(), &self.plan);
        let forced = self.forced_error.read().clone();
        let fetched = match forced {
            Some(text) => Err(ScrapeError::Forced(text)),
            None => self.scraper.fetch(&self.state.target, &mut work.scratch.buffer).await,
        };
        let (mut work, outcome) = match self.absorb(work, fetched, t, began).await {
            Ok(done) => done,
            Err(reason) => {
                tracing::error!(reason, pool = %self.state.pool, "scrape died, its cache is lost");
                return Some(Work::default());
            }
        };
        self.scratches.put(std::mem::take(&mut work.scratch));
        if let Some(ScrapeError::Append(e)) = &outcome.error {
            tracing::warn!(error = %e, pool = %self.state.pool, url = %self.state.target.url, "appending scrape failed");
        }
        if let Some(samples) = outcome.fell_behind {
            let (pool, url) = (&self.state.pool, &self.state.target.url);
            tracing::warn!(%pool, %url, samples, "samples are out of order: was the clock set back?");
        }
        if let (Some(log), Some(e)) = (&self.failure_log, &outcome.error) {
            log.write(t, &self.state.pool, &self.state.target.url.to_string(), &e.to_string());
        }
        self.state.set_metadata(outcome.metadata);
        self.state.report(LastScrape {
            health: if outcome.error.is_none() { Health::Up } else { Health::Down },
            error: outcome.error.map(|e| e.to_string()).unwrap_or_default(),
            at: Some(t),
            duration: outcome.duration,
        });
        Some(work)
    }

    /// Takes the page in: here if that is quick, else on a thread for blocking work. The error says how it died.
    async fn absorb(
        &self,
        mut work: Work,
        fetched: Fetched,
        t: i64,
        began: Instant,
    ) -> Result<(Work, Outcome), String> {
        if work.is_light(&fetched) {
            let taken = catch_unwind(AssertUnwindSafe(move || {
                let outcome = work.absorb(fetched, t, began, &self.plan);
                (work, outcome)
            }));
            return taken.map_err(|_| "panic".to_owned());
        }
        // The semaphore is never closed; without a permit there would only be more contention.
        let permit = Arc::clone(&self.cpu).acquire_owned().await.ok();
        let plan = Arc::clone(&self.plan);
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let outcome = work.absorb(fetched, t, began, &plan);
            (work, outcome)
        });
        done.await.map_err(|e| e.to_string())
    }

    /// Waits a little more than two intervals, in which the target may come back, and marks its series as stale.
    async fn end(&self, mut work: Work, last: Option<i64>) -> Option<Work> {
        let last = last?;
        let interval = self.state.target.interval;
        let stale_at = self.grid.next(Some(last), self.now_ms());
        let wait = async {
            self.sleep_until(stale_at).await;
            tokio::time::sleep(interval + interval / 10).await;
        };
        tokio::select! {
            () = self.shutdown.cancelled() => return None,
            () = wait => {}
        }
        let plan = Arc::clone(&self.plan);
        let done = tokio::task::spawn_blocking(move || work.end(stale_at, &plan)).await;
        if let Ok(Err(e)) = done {
            tracing::warn!(error = %e, pool = %self.state.pool, "writing staleness markers failed");
        }
        None
    }
}

//! One receiver: reads a window of the queue, sends it by shards, and moves on when all of it is done with.
//!
//! The samples of a series are in one shard, and the requests of a shard follow one another, so a receiver sees each
//! series in order. Between two windows nothing is under way: that is where the number of shards may change, and all that
//! a crash can repeat is one window.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::future::join_all;
use reba_disk::{Dir, DiskError};
use tokio::{sync::watch, time::Instant};

use crate::{
    follow::{Follower, Item, Value},
    position::Window,
    queue::{Place, Queue},
    request::Sender,
};

/// Batches that come within this time are read together.
const GATHER: Duration = Duration::from_millis(20);

/// Pause after the queue could not be read.
const UNREADABLE: Duration = Duration::from_secs(1);

/// A receiver at work.
pub(crate) struct Shipping {
    pub(crate) sender: Sender,
    pub(crate) queue: Arc<Queue>,
    /// `None` while somebody else has it.
    pub(crate) follower: Option<Follower>,
    pub(crate) positions: Dir,
    /// The name of its position.
    pub(crate) name: String,
    pub(crate) shards: usize,
}

impl Shipping {
    /// Sends until the sender is stopped. `unfinished` ends where a window ended that may have been sent in part.
    pub(crate) async fn run(mut self, mut unfinished: Option<Place>) {
        let mut changed = self.queue.watch();
        loop {
            let start = self.place();
            let Some((items, full)) = self.window(&mut changed, start, unfinished).await else {
                // What was read since then is not sent. A window that may have been sent in part stays written down.
                if unfinished.is_none() {
                    self.remember(Window::empty(start, self.shards)).await;
                }
                return;
            };
            unfinished = None;
            let end = self.place();
            let window = Window { start, end, shards: self.shards };
            self.remember(window).await;
            self.sender.metrics.shards.store(self.shards as u64, Ordering::Relaxed);
            if !self.send(items).await {
                // The window stays written down, and is sent again.
                return;
            }
            self.queue.needs(&self.name, end.segment);
            self.adapt(full);
        }
    }

    fn place(&self) -> Place {
        self.follower.as_ref().map_or(Place { segment: 0, offset: 0 }, Follower::place)
    }

    fn target(&self) -> usize {
        self.shards.saturating_mul(self.per_request())
    }

    fn per_request(&self) -> usize {
        usize::try_from(self.sender.config.queue_config.max_samples_per_send).unwrap_or(1).max(1)
    }

    /// More shards while the queue holds full windows, fewer when it does not.
    fn adapt(&mut self, full: bool) {
        let limit = |n: i64| usize::try_from(n).unwrap_or(1).max(1);
        let queue = &self.sender.config.queue_config;
        let wanted = if full { self.shards * 2 } else { self.shards - self.shards / 4 };
        self.shards = wanted.clamp(limit(queue.min_shards), limit(queue.max_shards));
    }

    /// The next window, from `start` on: what is in it, and whether the queue held enough at once. Waits for the deadline of
    /// a batch if there is less than enough; `None` when the sender is to stop, whatever was read before.
    async fn window(
        &mut self,
        changed: &mut watch::Receiver<u64>,
        start: Place,
        until: Option<Place>,
    ) -> Option<(Vec<Item>, bool)> {
        let enough = self.target();
        let mut items = Vec::new();
        let mut deadline: Option<Instant> = None;
        while !self.sender.stop.is_cancelled() {
            changed.mark_unchanged();
            match self.read(items, enough, until).await? {
                (more, Ok(())) => items = more,
                (more, Err(error)) => {
                    items = more;
                    tracing::error!(%error, "the remote write queue cannot be read");
                    tokio::select! {
                        () = tokio::time::sleep(UNREADABLE) => continue,
                        () = self.sender.stop.cancelled() => return None,
                    }
                }
            }
            // Where everything is filtered out, the queue must still be given back.
            let passed = items.is_empty() && self.place().segment > start.segment;
            if items.len() >= enough || until.is_some() || passed {
                return Some((items, deadline.is_none() && until.is_none()));
            }
            if !items.is_empty() && deadline.is_none() {
                deadline =
                    Some(Instant::now() + self.sender.config.queue_config.batch_send_deadline.as_std());
            }
            let over = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => return Some((items, false)),
                _ = changed.changed() => tokio::time::sleep(GATHER).await,
                () = self.sender.stop.cancelled() => return None,
            }
        }
        None
    }

    /// Reads on a thread that may wait for the disk.
    async fn read(
        &mut self,
        mut items: Vec<Item>,
        enough: usize,
        until: Option<Place>,
    ) -> Option<(Vec<Item>, Result<(), DiskError>)> {
        let mut follower = self.follower.take()?;
        let read = tokio::task::spawn_blocking(move || {
            let result = follower.read(&mut items, enough, until);
            (follower, items, result)
        });
        let (mut follower, mut items, result) = read.await.ok()?;
        let m = &self.sender.metrics;
        m.dropped_series.fetch_add(std::mem::take(&mut follower.filtered), Ordering::Relaxed);
        let missed = std::mem::take(&mut follower.missed);
        if missed > 0 {
            m.segments_missed.fetch_add(missed, Ordering::Relaxed);
            tracing::error!(
                url = %self.sender.config.url, segments = missed,
                "remote write fell too far behind: the queue was full, and its oldest samples are not sent"
            );
        }
        self.follower = Some(follower);
        self.select(&mut items);
        Some((items, result))
    }

    /// Leaves out what the configuration does not want.
    fn select(&self, items: &mut Vec<Item>) {
        let config = &self.sender.config;
        let limit = config.queue_config.sample_age_limit.0;
        let oldest = if limit > 0 { (self.sender.clock)().saturating_sub(limit) } else { i64::MIN };
        let mut old = 0;
        items.retain(|item| {
            let (wanted, t) = match &item.value {
                Value::Float(t, _) => (true, *t),
                Value::Histogram(t, _) => (config.send_native_histograms, *t),
                Value::Exemplar(_) => (config.send_exemplars, i64::MAX),
            };
            old += u64::from(wanted && t < oldest);
            wanted && t >= oldest
        });
        self.sender.metrics.dropped_old.fetch_add(old, Ordering::Relaxed);
    }

    /// Sends a window; `false` if the sender was stopped before all of it was done with.
    async fn send(&self, items: Vec<Item>) -> bool {
        let pending = &self.sender.metrics.pending;
        pending.store(items.len() as u64, Ordering::Relaxed);
        let mut shards: Vec<Vec<Item>> = vec![Vec::new(); self.shards];
        for item in items {
            let shard = (item.labels.hash64() % self.shards as u64) as usize;
            shards[shard].push(item);
        }
        let done = join_all(shards.into_iter().map(|items| self.send_shard(items))).await;
        pending.store(0, Ordering::Relaxed);
        done.into_iter().all(|d| d)
    }

    async fn send_shard(&self, items: Vec<Item>) -> bool {
        for some in items.chunks(self.per_request()) {
            let body = match self.sender.encode(some) {
                Ok(body) => body,
                Err(error) => {
                    tracing::error!(%error, "remote write: a request cannot be encoded, and is dropped");
                    continue;
                }
            };
            if !self.sender.deliver(body).await {
                return false;
            }
        }
        true
    }

    /// Writes down what is about to be sent.
    async fn remember(&self, window: Window) {
        let (positions, name) = (self.positions.clone(), self.name.clone());
        let written = tokio::task::spawn_blocking(move || window.write(&positions, &name)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the position of remote write cannot be written; after a crash more is sent twice");
        }
    }
}

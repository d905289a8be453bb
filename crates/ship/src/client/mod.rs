//! Who gets the entries: stores in our own process, and others over HTTP through a queue on disk.

mod push;
mod queue;
mod reject;
mod send;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rand::Rng;
use reba_model::{Labels, LogBatch, Tenant};
use reba_storage::LogAppender;
use tokio_util::sync::CancellationToken;

pub use push::encode;
pub(crate) use queue::{Queue, QueueError};
pub(crate) use reject::Rejects;
pub(crate) use send::sender;

use crate::{config::Backoff, entry::Entry, metrics::Counters};

/// Bytes of text in one batch of a store.
const STORE_BATCH: usize = 4 << 20;

/// Entries of one tenant, grouped by stream.
type Streams<'a> = BTreeMap<Labels, Vec<&'a Entry>>;

/// The entries by tenant and stream. `external` are labels of streams that have none of the name.
fn by_tenant<'a>(
    entries: &'a [Entry],
    default: Option<&Tenant>,
    external: &Labels,
) -> BTreeMap<Option<Tenant>, Streams<'a>> {
    let mut out: BTreeMap<Option<Tenant>, Streams<'a>> = BTreeMap::new();
    for entry in entries {
        let own = entry.tenant.as_deref().filter(|t| !t.is_empty()).and_then(|t| Tenant::new(t).ok());
        let tenant = own.or_else(|| default.cloned());
        let mut labels = entry.labels.clone();
        if external.iter().any(|(n, _)| labels.get(n).is_none()) {
            let mut builder = external.to_builder();
            for (name, value) in &entry.labels {
                builder.set(name, value);
            }
            labels = builder.build();
        }
        out.entry(tenant).or_default().entry(labels).or_default().push(entry);
    }
    out
}

/// One client.
pub(crate) enum Client {
    /// A store in our own process.
    Store { name: String, appender: Arc<dyn LogAppender>, tenant: Option<Tenant>, external: Labels },
    /// Any other, behind its queue.
    Remote { queue: Arc<Queue>, tenant: Option<Tenant>, external: Labels },
}

impl Client {
    /// Writes entries durably, and waits for as long as that takes; `false` if it was stopped before.
    pub fn write(&self, entries: &[Entry], counters: &Counters, stop: &CancellationToken) -> bool {
        match self {
            Client::Store { name, appender, tenant, external } => {
                for (tenant, streams) in by_tenant(entries, tenant.as_ref(), external) {
                    let tenant = tenant.unwrap_or_else(Tenant::single);
                    for batch in batches(&streams) {
                        if !append(appender.as_ref(), &tenant, &batch, (name, counters), stop) {
                            return false;
                        }
                    }
                }
            }
            Client::Remote { queue, tenant, external } => {
                for (tenant, streams) in by_tenant(entries, tenant.as_ref(), external) {
                    if !queue_all(queue, tenant.as_ref(), &streams, stop) {
                        return false;
                    }
                }
            }
        }
        true
    }
}

/// The streams as batches that a store takes.
fn batches(streams: &Streams<'_>) -> Vec<LogBatch> {
    let mut out = vec![LogBatch::default()];
    for (labels, entries) in streams {
        let mut begun = false;
        for entry in entries {
            if out.last().is_some_and(|b| b.text_bytes() > STORE_BATCH) {
                out.push(LogBatch::default());
                begun = false;
            }
            let Some(batch) = out.last_mut() else { continue };
            if !begun {
                batch.begin_stream(labels.clone());
                begun = true;
            }
            let metadata = entry.metadata.iter().map(|(n, v)| (n.as_str(), v.as_str()));
            // A batch is a thousand times smaller than what would be too much for it.
            let _ = batch.push(entry.ns, &entry.line, metadata);
        }
    }
    out.retain(|b| !b.is_empty());
    out
}

fn append(
    appender: &dyn LogAppender,
    tenant: &Tenant,
    batch: &LogBatch,
    (name, counters): (&str, &Counters),
    stop: &CancellationToken,
) -> bool {
    let backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_secs(10), retries: None };
    let mut pauses = Pauses::new(backoff);
    loop {
        match appender.append_logs(tenant, batch) {
            Ok(report) => {
                counters.add("promtail_sent_entries_total", &[("host", name)], report.appended as u64);
                return true;
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "the log store takes nothing; sources wait");
                counters.add("promtail_batch_retries_total", &[("host", name)], 1);
                let pause = pauses.next(&mut rand::rng()).unwrap_or(backoff.max);
                if wait(stop, pause) {
                    return false;
                }
            }
            Err(error) => {
                tracing::error!(%error, entries = batch.len(), "the log store refuses entries for good");
                let labels = [("host", name), ("reason", "ingester_error")];
                counters.add("promtail_dropped_entries_total", &labels, batch.len() as u64);
                return true;
            }
        }
    }
}

fn queue_all(
    queue: &Queue,
    tenant: Option<&Tenant>,
    streams: &Streams<'_>,
    stop: &CancellationToken,
) -> bool {
    let mut pauses =
        Pauses::new(Backoff { min: Duration::from_millis(100), max: Duration::from_secs(5), retries: None });
    let records = queue::records(tenant, streams);
    let mut next = 0;
    while next < records.len() {
        match queue.push(&records[next]) {
            Ok(()) => next += 1,
            // That is the back-pressure: sources wait until there is room.
            Err(QueueError::Full) => {
                if wait(stop, Duration::from_millis(100)) {
                    return false;
                }
            }
            Err(QueueError::Disk(error)) => {
                tracing::error!(%error, "the queue cannot be written; sources wait");
                let pause = pauses.next(&mut rand::rng()).unwrap_or(Duration::from_secs(5));
                if wait(stop, pause) {
                    return false;
                }
            }
        }
    }
    true
}

/// Waits in a thread; `true` if it was stopped.
pub(crate) fn wait(stop: &CancellationToken, pause: Duration) -> bool {
    const SLICE: Duration = Duration::from_millis(100);
    let mut left = pause;
    while !left.is_zero() && !stop.is_cancelled() {
        let slice = left.min(SLICE);
        std::thread::sleep(slice);
        left -= slice;
    }
    stop.is_cancelled()
}

/// Pauses that double, each somewhere between its half and itself.
#[derive(Clone, Debug)]
pub(crate) struct Pauses {
    backoff: Backoff,
    attempts: u32,
}

impl Pauses {
    pub fn new(backoff: Backoff) -> Self {
        Pauses { backoff, attempts: 0 }
    }

    /// The pause before the next attempt; none if there is to be none.
    pub fn next(&mut self, dice: &mut impl Rng) -> Option<Duration> {
        self.attempts += 1;
        if self.backoff.retries.is_some_and(|most| self.attempts >= most) {
            return None;
        }
        let factor = 2u32.saturating_pow(self.attempts - 1);
        let pause = self.backoff.min.saturating_mul(factor).min(self.backoff.max);
        Some(pause.mul_f64(dice.random_range(0.5..=1.0)))
    }
}

/// How many streams there may be.
#[derive(Debug, Default)]
pub(crate) struct StreamLimit {
    most: usize,
    seen: Mutex<std::collections::HashSet<u64>>,
}

impl StreamLimit {
    pub fn new(most: usize) -> Self {
        StreamLimit { most, seen: Mutex::default() }
    }

    /// Whether an entry of this stream is taken.
    pub fn admits(&self, labels: &Labels) -> bool {
        if self.most == 0 {
            return true;
        }
        let mut seen = self.seen.lock();
        let hash = labels.hash64();
        seen.contains(&hash) || (seen.len() < self.most && seen.insert(hash))
    }
}

#[cfg(test)]
mod tests;

//! What is remembered of a tenant from push to push: how fast it sends, its active streams, how many values its labels have.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use reba_model::Labels;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    metrics::Counters,
    rate::{Bucket, Rate},
    stream::Stream,
};

/// How often streams that are not active any more are looked for.
const SWEEP_NS: i64 = 60_000_000_000;

/// Distinct values of a label are counted in an hour.
const HOUR_NS: i64 = 3_600_000_000_000;

/// Labels of a tenant whose values are counted.
const MAX_COUNTED_LABELS: usize = 1000;

/// A tenant.
#[derive(Debug)]
pub(super) struct TenantState {
    /// Goes into the keys of its cached streams.
    salt: u64,
    /// Changes when another label is stored as metadata: streams have to be looked at anew.
    epoch: AtomicU64,
    bucket: Mutex<Bucket>,
    streams: Mutex<ActiveStreams>,
    values: Mutex<HashMap<String, Distinct>>,
    pub(super) counters: Counters,
    used_ns: AtomicI64,
}

/// An active stream.
#[derive(Debug, Default)]
pub(super) struct Active {
    seen_ns: AtomicI64,
    /// It is not one any more.
    gone: AtomicBool,
    bucket: Mutex<Bucket>,
}

#[derive(Debug, Default)]
struct ActiveStreams {
    all: HashMap<Labels, Arc<Active>>,
    swept_ns: i64,
}

/// Hashes of the values of a label in one hour.
#[derive(Debug, Default)]
struct Distinct {
    since_ns: i64,
    hashes: HashSet<u64>,
}

impl Active {
    /// Takes so many bytes of its rate.
    pub(super) fn take(&self, now_ns: i64, bytes: usize, rate: Rate) -> bool {
        self.bucket.lock().take(now_ns, bytes, rate)
    }
}

impl TenantState {
    pub(super) fn new(name: &str) -> Self {
        TenantState {
            salt: xxh3_64(name.as_bytes()),
            epoch: AtomicU64::new(0),
            bucket: Mutex::default(),
            streams: Mutex::default(),
            values: Mutex::default(),
            counters: Counters::default(),
            used_ns: AtomicI64::new(i64::MIN),
        }
    }

    /// Goes into the keys of cached streams: another one for another tenant, other limits, other labels that are metadata.
    pub(super) fn salt(&self, generation: u64) -> u64 {
        let epoch = self.epoch.load(Ordering::Acquire);
        self.salt ^ generation.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ epoch.wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
    }

    pub(super) fn turn_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn used(&self, now_ns: i64) {
        self.used_ns.store(now_ns, Ordering::Relaxed);
    }

    pub(super) fn used_since(&self, ns: i64) -> bool {
        self.used_ns.load(Ordering::Relaxed) >= ns
    }

    /// Takes so many bytes of the tenant's rate; if there are not as many, says in how many seconds to try again.
    pub(super) fn take(&self, now_ns: i64, bytes: usize, rate: Rate) -> Result<(), u32> {
        let mut bucket = self.bucket.lock();
        if bucket.take(now_ns, bytes, rate) { Ok(()) } else { Err(bucket.wait_s(bytes, rate)) }
    }

    /// The stream's place among the active ones; none if there are too many.
    pub(super) fn activate(
        &self,
        stream: &Stream,
        now_ns: i64,
        idle_ns: i64,
        most: usize,
    ) -> Option<Arc<Active>> {
        let mut known = stream.active.lock();
        if let Some(active) = known.as_ref().filter(|a| !a.gone.load(Ordering::Relaxed)) {
            active.seen_ns.store(now_ns, Ordering::Relaxed);
            return Some(Arc::clone(active));
        }
        let active = self.streams.lock().activate(&stream.labels, now_ns, idle_ns, most)?;
        active.seen_ns.store(now_ns, Ordering::Relaxed);
        *known = Some(Arc::clone(&active));
        Some(active)
    }

    /// How many streams are active.
    pub(super) fn active(&self) -> usize {
        self.streams.lock().all.len()
    }

    /// Whether a label has more than `most` values in this hour, with this one.
    pub(super) fn has_too_many_values(&self, name: &str, value: &str, now_ns: i64, most: usize) -> bool {
        if most == 0 {
            return false;
        }
        let mut labels = self.values.lock();
        if !labels.contains_key(name) {
            if labels.len() >= MAX_COUNTED_LABELS {
                return false;
            }
            labels.insert(name.to_owned(), Distinct::default());
        }
        let Some(distinct) = labels.get_mut(name) else { return false };
        if now_ns.saturating_sub(distinct.since_ns) >= HOUR_NS {
            *distinct = Distinct { since_ns: now_ns, hashes: HashSet::new() };
        }
        if distinct.hashes.len() <= most {
            distinct.hashes.insert(xxh3_64(value.as_bytes()));
        }
        distinct.hashes.len() > most
    }
}

impl ActiveStreams {
    fn activate(&mut self, labels: &Labels, now_ns: i64, idle_ns: i64, most: usize) -> Option<Arc<Active>> {
        if let Some(active) = self.all.get(labels) {
            return Some(Arc::clone(active));
        }
        let full = most != 0 && self.all.len() >= most;
        // When it is full, a second is often enough: the sweep takes as long as there are streams.
        if now_ns.saturating_sub(self.swept_ns) >= if full { SWEEP_NS / 60 } else { SWEEP_NS } {
            self.sweep(now_ns.saturating_sub(idle_ns));
            self.swept_ns = now_ns;
        }
        if most != 0 && self.all.len() >= most {
            return None;
        }
        let active = Arc::<Active>::default();
        self.all.insert(labels.clone(), Arc::clone(&active));
        Some(active)
    }

    fn sweep(&mut self, before_ns: i64) {
        self.all.retain(|_, active| {
            let stays = active.seen_ns.load(Ordering::Relaxed) >= before_ns;
            active.gone.store(!stays, Ordering::Relaxed);
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(name: &str) -> Stream {
        Stream::new(&[("app".to_owned(), name.to_owned())], |_, _| false)
    }

    #[test]
    fn a_stream_without_entries_gives_its_place_to_another() {
        let tenant = TenantState::new("t");
        let (a, b, idle) = (stream("a"), stream("b"), 10 * SWEEP_NS);
        let now = 1000 * SWEEP_NS;
        assert!(tenant.activate(&a, now, idle, 1).is_some());
        assert!(tenant.activate(&b, now, idle, 1).is_none());
        assert!(tenant.activate(&a, now + idle, idle, 1).is_some());
        assert!(tenant.activate(&b, now + idle + 1, idle, 1).is_none());
        assert!(tenant.activate(&b, now + 2 * idle + 1, idle, 1).is_some());
        assert!(
            tenant.activate(&a, now + 2 * idle + 2, idle, 1).is_none(),
            "it remembers a place that is gone"
        );
        assert_eq!(tenant.active(), 1);
    }

    #[test]
    fn values_are_counted_by_the_hour() {
        let tenant = TenantState::new("t");
        let many = |i: usize, now| tenant.has_too_many_values("a", &i.to_string(), now, 3);
        assert!((0..3).all(|i| !many(i, HOUR_NS)) && !many(0, HOUR_NS));
        assert!(many(3, HOUR_NS) && !tenant.has_too_many_values("b", "3", HOUR_NS, 3));
        assert!(!many(4, 2 * HOUR_NS));
        assert!(!tenant.has_too_many_values("a", "9", HOUR_NS, 0));
    }
}

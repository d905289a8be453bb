//! The entries by what they answer; the least recently used go first.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use reba_promql::eval::QueryTimes;

use super::entry::Entry;
use crate::run::Task;

/// What an entry answers. Queries are told apart by their text as it was sent: a panel sends the same text each time, and
/// no two texts can be taken for each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    query: Arc<str>,
    step: i64,
    /// The steps' distance from multiples of the step.
    phase: i64,
    lookback: i64,
    subquery_step: i64,
}

impl Key {
    /// `None` if the task is none whose result is kept.
    pub(super) fn of(task: &Task) -> Option<Key> {
        let QueryTimes::Range { start, step, .. } = task.times else { return None };
        (!task.no_cache && step > 0).then(|| Key {
            query: Arc::from(task.query.as_str()),
            step,
            phase: start.rem_euclid(step),
            lookback: task.plan.lookback,
            subquery_step: task.plan.subquery_step,
        })
    }
}

/// What the cache has done so far, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheTotals {
    /// Queries that were answered from it, wholly or up to their newest steps.
    pub hits: u64,
    /// Queries that could have been, but were not.
    pub misses: u64,
    /// Steps taken from it.
    pub steps_reused: u64,
    /// Steps computed for queries that were answered from it.
    pub steps_computed: u64,
    /// Bytes held, about.
    pub bytes: u64,
    /// Results held.
    pub entries: u64,
}

/// Results that are kept, up to a number of bytes.
#[derive(Debug)]
pub(crate) struct ResultCache {
    max_bytes: usize,
    table: Mutex<Table>,
    hits: AtomicU64,
    misses: AtomicU64,
    steps_reused: AtomicU64,
    steps_computed: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    slots: HashMap<Key, Slot>,
    /// Keys by when they were last used.
    by_use: BTreeMap<u64, Key>,
    clock: u64,
    bytes: usize,
    /// Hashes of keys that were asked for once, or lately.
    seen: HashSet<u64>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Slot {
    entry: Arc<Entry>,
    used: u64,
    bytes: usize,
}

/// Keys that are remembered as asked for. Forgetting one costs one more computation.
const MAX_SEEN: usize = 4096;

/// One result takes at most this share of the cache.
const MAX_SHARE: usize = 4;

/// What a key and its places in two maps take besides its text.
const SLOT_BYTES: usize = 256;

impl ResultCache {
    pub(crate) fn new(max_bytes: usize) -> Self {
        ResultCache {
            max_bytes,
            table: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            steps_reused: AtomicU64::new(0),
            steps_computed: AtomicU64::new(0),
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        let mut table = self.table.lock();
        let used = table.tick();
        let Table { slots, by_use, .. } = &mut *table;
        let slot = slots.get_mut(key)?;
        if let Some(key) = by_use.remove(&slot.used) {
            by_use.insert(used, key);
        }
        slot.used = used;
        Some(Arc::clone(&slot.entry))
    }

    /// Whether a result is worth keeping: its query has come before. What is asked once would only push out the rest.
    pub(super) fn is_wanted(&self, key: &Key) -> bool {
        let mut table = self.table.lock();
        let hash = table.hasher.hash_one(key);
        if table.seen.len() >= MAX_SEEN {
            table.seen.clear();
        }
        !table.seen.insert(hash)
    }

    pub(super) fn put(&self, key: Key, entry: Entry) {
        let bytes = entry.bytes() + key.query.len() + SLOT_BYTES;
        let mut table = self.table.lock();
        table.remove(&key);
        if bytes > self.max_bytes / MAX_SHARE {
            return;
        }
        table.bytes += bytes;
        let used = table.tick();
        table.by_use.insert(used, key.clone());
        table.slots.insert(key, Slot { entry: Arc::new(entry), used, bytes });
        while table.bytes > self.max_bytes {
            let Some(key) = table.by_use.first_key_value().map(|(_, key)| key.clone()) else { return };
            table.remove(&key);
        }
    }

    pub(super) fn remove(&self, key: &Key) {
        self.table.lock().remove(key);
    }

    pub(super) fn count_hit(&self, reused: usize, computed: usize) {
        self.hits.fetch_add(1, Ordering::Relaxed);
        self.steps_reused.fetch_add(reused as u64, Ordering::Relaxed);
        self.steps_computed.fetch_add(computed as u64, Ordering::Relaxed);
    }

    pub(super) fn count_miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn totals(&self) -> CacheTotals {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let table = self.table.lock();
        CacheTotals {
            hits: get(&self.hits),
            misses: get(&self.misses),
            steps_reused: get(&self.steps_reused),
            steps_computed: get(&self.steps_computed),
            bytes: table.bytes as u64,
            entries: table.slots.len() as u64,
        }
    }
}

impl Table {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn remove(&mut self, key: &Key) {
        if let Some(slot) = self.slots.remove(key) {
            self.by_use.remove(&slot.used);
            self.bytes -= slot.bytes;
        }
    }
}

//! Series by the raw bytes of what identifies them on the wire, for all that is pushed.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hash, Hasher},
};

use parking_lot::Mutex;
use reba_storage::SeriesRef;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Parts with a lock of their own, so that requests hardly wait for each other.
const SHARDS: usize = 16;

/// A seeded 128-bit hash. Two halves rather than a `u128`, whose alignment would add eight bytes to each entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key([u64; 2]);

impl Key {
    /// Its bytes, to be part of what another key is made of.
    pub(crate) fn bytes(self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..8].copy_from_slice(&self.0[0].to_le_bytes());
        out[8..].copy_from_slice(&self.0[1].to_le_bytes());
        out
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[1]);
    }
}

/// Takes half of a [`Key`] as it is: it is a hash already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*b);
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

type Map<V> = HashMap<Key, V, BuildHasherDefault<Hashed>>;

/// A generation ends when its entries have been used so often on average: often enough to move them once is cheap, seldom enough
/// that a series must have been absent from that many requests to be forgotten.
const USES: usize = 64;

/// A generation has at least so many uses.
const LEAST_USES: usize = 4096;

/// Two generations: what was not used during the young one goes with the old one. So the cache is as large as the number of
/// series that are sent, whatever comes and goes.
#[derive(Debug)]
struct Shard<V> {
    young: Map<V>,
    old: Map<V>,
    /// Uses of the young generation.
    uses: usize,
}

impl<V> Default for Shard<V> {
    fn default() -> Self {
        Shard { young: Map::default(), old: Map::default(), uses: 0 }
    }
}

/// Remembers the reference of label sets, or whatever else they were made into, by a 128-bit hash of their encoded bytes. The bytes themselves are not kept,
/// for they would cost more memory than the series; two of a billion label sets share a hash with a
/// probability of 10^-21.
#[derive(Debug)]
pub(crate) struct SeriesCache<V = SeriesRef> {
    shards: Vec<Mutex<Shard<V>>>,
    /// Most entries of one generation of a shard.
    limit: usize,
    seed: u64,
}

impl<V: Clone> SeriesCache<V> {
    pub(crate) fn new(max_series: usize, seed: u64) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        SeriesCache { shards, limit: (max_series / SHARDS / 2).max(1), seed }
    }

    pub(crate) fn key(&self, raw: &[u8]) -> Key {
        self.salted_key(raw, 0)
    }

    /// A key that is the same only for the same bytes and the same salt.
    pub(crate) fn salted_key(&self, raw: &[u8], salt: u64) -> Key {
        let hash = xxh3_128_with_seed(raw, self.seed ^ salt);
        Key([(hash >> 64) as u64, hash as u64])
    }

    fn shard(&self, key: Key) -> &Mutex<Shard<V>> {
        &self.shards[key.0[0] as usize % SHARDS]
    }

    pub(crate) fn get(&self, key: Key) -> Option<V> {
        let mut shard = self.shard(key).lock();
        if let Some(series) = shard.young.get(&key).cloned() {
            shard.uses += 1;
            if shard.uses >= LEAST_USES + USES * shard.young.len() {
                shard.turn();
            }
            return Some(series);
        }
        let series = shard.old.remove(&key)?;
        shard.insert(key, series.clone(), self.limit);
        Some(series)
    }

    pub(crate) fn insert(&self, key: Key, series: V) {
        self.shard(key).lock().insert(key, series, self.limit);
    }

    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            *shard.lock() = Shard::default();
        }
    }
}

impl<V> Shard<V> {
    fn insert(&mut self, key: Key, series: V, limit: usize) {
        if self.young.len() >= limit {
            self.turn();
        }
        self.young.insert(key, series);
    }

    fn turn(&mut self) {
        self.old = std::mem::take(&mut self.young);
        self.uses = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let cache = SeriesCache::new(64, 7);
        let series = |i: u64| SeriesRef(NonZeroU64::new(i + 1).unwrap());
        let key = |i: u64| cache.key(&i.to_le_bytes());
        for i in 0..10_000 {
            cache.insert(key(i), series(i));
            assert_eq!(cache.get(key(0)).unwrap_or(series(0)), series(0));
            assert_eq!(cache.get(key(i)), Some(series(i)));
        }
        let len = |shard: &Mutex<Shard<SeriesRef>>| {
            let shard = shard.lock();
            shard.young.len() + shard.old.len()
        };
        let kept = cache.shards.iter().map(len).sum::<usize>();
        assert!(kept <= 64 + SHARDS, "{kept}");
        cache.clear();
        assert_eq!(cache.get(key(9_999)), None);
    }

    #[test]
    fn what_is_sent_no_more_is_forgotten_although_there_is_room() {
        let cache = SeriesCache::new(1_000_000, 7);
        let series = |i: u64| SeriesRef(NonZeroU64::new(i + 1).unwrap());
        let key = |i: u64| cache.key(&i.to_le_bytes());
        let keys: Vec<Key> = (0..2_000).map(key).collect();
        for (i, key) in (0..).zip(&keys) {
            cache.insert(*key, series(i));
        }
        let (used, unused) = keys.split_at(1_000);
        for _ in 0..2_000 {
            for (i, key) in (0..).zip(used) {
                assert_eq!(cache.get(*key), Some(series(i)));
            }
        }
        assert!(unused.iter().all(|key| cache.get(*key).is_none()));
    }
}

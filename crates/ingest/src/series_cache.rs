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

type Map = HashMap<Key, SeriesRef, BuildHasherDefault<Hashed>>;

/// Two generations: what was not used since the young one was last full goes with the old one.
#[derive(Debug, Default)]
struct Shard {
    young: Map,
    old: Map,
}

/// Remembers the reference of label sets by a 128-bit hash of their encoded bytes. The bytes themselves are not kept,
/// for they would cost more memory than the series; two of a billion label sets share a hash with a
/// probability of 10^-21.
#[derive(Debug)]
pub(crate) struct SeriesCache {
    shards: Vec<Mutex<Shard>>,
    /// Most entries of one generation of a shard.
    limit: usize,
    seed: u64,
}

impl SeriesCache {
    pub(crate) fn new(max_series: usize, seed: u64) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        SeriesCache { shards, limit: (max_series / SHARDS / 2).max(1), seed }
    }

    pub(crate) fn key(&self, raw: &[u8]) -> Key {
        let hash = xxh3_128_with_seed(raw, self.seed);
        Key([(hash >> 64) as u64, hash as u64])
    }

    fn shard(&self, key: Key) -> &Mutex<Shard> {
        &self.shards[key.0[0] as usize % SHARDS]
    }

    pub(crate) fn get(&self, key: Key) -> Option<SeriesRef> {
        let mut shard = self.shard(key).lock();
        if let Some(series) = shard.young.get(&key) {
            return Some(*series);
        }
        let series = shard.old.remove(&key)?;
        shard.insert(key, series, self.limit);
        Some(series)
    }

    pub(crate) fn insert(&self, key: Key, series: SeriesRef) {
        self.shard(key).lock().insert(key, series, self.limit);
    }

    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            *shard.lock() = Shard::default();
        }
    }
}

impl Shard {
    fn insert(&mut self, key: Key, series: SeriesRef, limit: usize) {
        if self.young.len() >= limit {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, series);
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
        let len = |shard: &Mutex<Shard>| {
            let shard = shard.lock();
            shard.young.len() + shard.old.len()
        };
        let kept = cache.shards.iter().map(len).sum::<usize>();
        assert!(kept <= 64 + SHARDS, "{kept}");
        cache.clear();
        assert_eq!(cache.get(key(9_999)), None);
    }
}

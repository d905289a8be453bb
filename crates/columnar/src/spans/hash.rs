//! Hashing of what comes from outside: fast, and with a seed that nobody outside knows.

use std::hash::{BuildHasher, Hasher, RandomState};

use reba_model::spans::TraceId;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Makes hashers of one seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Self {
        Seeded(RandomState::new().hash_one(0u8))
    }
}

impl BuildHasher for Seeded {
    type Hasher = Xxh;

    fn build_hasher(&self) -> Xxh {
        Xxh(self.0)
    }
}

/// xxHash3 of each piece, with the hash so far as its seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Xxh(u64);

impl Hasher for Xxh {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u8(&mut self, n: u8) {
        self.0 = self.0.rotate_left(8) ^ u64::from(n);
    }

    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        // Two rounds of a multiplication whose halves are added (as in wyhash).
        let mixed = u128::from(self.0 ^ n ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xa076_1d64_78bd_642f);
        self.0 = (mixed >> 64) as u64 ^ mixed as u64;
    }

    fn write_i64(&mut self, n: i64) {
        self.write_u64(n as u64);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What a trace is found by in the index of a part: 40 bits of a hash, since ids need not be evenly spread.
pub(crate) fn of_trace(id: TraceId) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&id.0) >> 24
}

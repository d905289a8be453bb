//! A limit on the memory that bodies take together.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use thiserror::Error;

/// Memory that many bodies share. Clones share it too.
#[derive(Clone, Debug)]
pub struct SharedMemory {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: u64,
    used: AtomicU64,
}

/// The shared memory is used up.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("limit of {limit} bytes for all bodies together reached")]
pub struct MemoryExceeded {
    /// The limit in bytes.
    pub limit: u64,
}

/// A part of the shared memory, given back when dropped. The default holds nothing of nothing: it has no limit.
#[derive(Debug, Default)]
pub struct HeldMemory {
    of: Option<SharedMemory>,
    free: u64,
    charged: u64,
}

impl SharedMemory {
    /// So many bytes.
    pub fn new(limit: u64) -> Self {
        SharedMemory { inner: Arc::new(Inner { limit, used: AtomicU64::new(0) }) }
    }

    /// Begins to hold memory, of which the first `free` bytes are not counted: what is small, or was there before, is
    /// never refused because of what others hold.
    pub fn hold(&self, free: u64) -> HeldMemory {
        HeldMemory { of: Some(self.clone()), free, charged: 0 }
    }

    /// Bytes that are counted now.
    pub fn used(&self) -> u64 {
        self.inner.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> Result<(), MemoryExceeded> {
        let Inner { limit, used } = &*self.inner;
        let more = |now: u64| now.checked_add(bytes).filter(|sum| sum <= limit);
        let taken = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.map(drop).map_err(|_| MemoryExceeded { limit: *limit })
    }
}

impl HeldMemory {
    /// Whether it counts towards a limit.
    pub fn is_limited(&self) -> bool {
        self.of.is_some()
    }

    /// Holds `bytes` from now on, more or less than before. If there are not so many, it holds what it held.
    pub fn resize(&mut self, bytes: u64) -> Result<(), MemoryExceeded> {
        let Some(of) = &self.of else { return Ok(()) };
        let wanted = bytes.saturating_sub(self.free);
        if wanted > self.charged {
            of.take(wanted - self.charged)?;
        } else {
            of.inner.used.fetch_sub(self.charged - wanted, Ordering::Relaxed);
        }
        self.charged = wanted;
        Ok(())
    }
}

impl Drop for HeldMemory {
    fn drop(&mut self) {
        if let Some(of) = &self.of {
            of.inner.used.fetch_sub(self.charged, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_together_stays_within_the_limit_and_comes_back() {
        let memory = SharedMemory::new(100);
        let (mut a, mut b) = (memory.hold(10), memory.hold(0));
        a.resize(70).unwrap();
        assert_eq!((memory.used(), b.resize(41)), (60, Err(MemoryExceeded { limit: 100 })));
        b.resize(40).unwrap();
        assert_eq!((memory.used(), a.resize(71).is_err()), (100, true));
        a.resize(20).unwrap();
        assert_eq!(memory.used(), 50);
        drop(b);
        a.resize(5).unwrap();
        assert_eq!((memory.used(), a.resize(u64::MAX).is_err()), (0, true));
        assert!(HeldMemory::default().resize(u64::MAX).is_ok());
    }
}

//! A clock that moves only when it is told to.

use std::sync::atomic::{AtomicI64, Ordering};

/// A simulated clock, Unix milliseconds. Shared by reference between a test and what it tests.
#[derive(Debug, Default)]
pub struct SimClock {
    now: AtomicI64,
}

impl SimClock {
    /// A clock that stands at `now`.
    pub fn new(now: i64) -> Self {
        SimClock { now: AtomicI64::new(now) }
    }

    /// The time.
    pub fn now(&self) -> i64 {
        self.now.load(Ordering::SeqCst)
    }

    /// Moves by so many milliseconds and returns the new time.
    pub fn advance(&self, ms: i64) -> i64 {
        self.now.fetch_add(ms, Ordering::SeqCst) + ms
    }

    /// Jumps to a time, which may lie in the past.
    pub fn set(&self, now: i64) {
        self.now.store(now, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_until_it_is_moved() {
        let clock = SimClock::new(1_000);
        assert_eq!((clock.now(), clock.advance(500), clock.now()), (1_000, 1_500, 1_500));
        clock.set(-1);
        assert_eq!(clock.now(), -1);
    }
}

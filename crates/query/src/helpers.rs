//! Cores that a query may use besides its own thread.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use reba_promql::eval::Executor;

/// Spreads pieces of work over so many helpers as are free: all queries together never use more helpers than there
/// are cores besides the first. A query that finds none works alone.
///
/// A helper lives for one batch of pieces. To start one costs some 15 µs, and a batch is at least a hundred series.
#[derive(Debug)]
pub(crate) struct Helpers {
    total: usize,
    free: AtomicUsize,
}

impl Helpers {
    /// Helpers for a machine of so many cores.
    pub(crate) fn new(cores: usize) -> Self {
        let total = cores.saturating_sub(1);
        Helpers { total, free: AtomicUsize::new(total) }
    }

    /// Takes up to `wanted` helpers.
    fn take(&self, wanted: usize) -> Taken<'_> {
        let mut count = 0;
        let grant = |free: usize| {
            count = free.min(wanted);
            Some(free - count)
        };
        // The closure always gives a value.
        let _ = self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grant);
        Taken { from: self, count }
    }
}

/// Helpers in use; dropping it gives them back, in a panic too.
struct Taken<'a> {
    from: &'a Helpers,
    count: usize,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.from.free.fetch_add(self.count, Ordering::Relaxed);
    }
}

impl Executor for Helpers {
    fn run(&self, pieces: usize, work: &(dyn Fn(usize) + Sync)) {
        let helpers = self.take(self.total.min(pieces.saturating_sub(1)));
        if helpers.count == 0 {
            return (0..pieces).for_each(work);
        }
        let next = AtomicUsize::new(0);
        let drain = || {
            loop {
                let piece = next.fetch_add(1, Ordering::Relaxed);
                if piece >= pieces {
                    return;
                }
                work(piece);
            }
        };
        thread::scope(|scope| {
            for _ in 0..helpers.count {
                // If the system refuses a thread, this one does the work.
                let _ = thread::Builder::new().name("query-helper".to_owned()).spawn_scoped(scope, drain);
            }
            drain();
        });
    }

    fn width(&self) -> usize {
        self.total + 1
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn ran_once(helpers: &Helpers, pieces: usize) {
        let runs: Vec<AtomicUsize> = (0..pieces).map(|_| AtomicUsize::new(0)).collect();
        helpers.run(pieces, &|i| {
            runs[i].fetch_add(1, Ordering::Relaxed);
        });
        assert!(runs.iter().all(|n| n.load(Ordering::Relaxed) == 1));
    }

    #[test]
    fn every_piece_runs_once_with_any_number_of_helpers() {
        for cores in [1, 2, 5] {
            let helpers = Helpers::new(cores);
            for pieces in [0, 1, 3, 100] {
                ran_once(&helpers, pieces);
            }
            assert_eq!(helpers.free.load(Ordering::Relaxed), cores - 1);
        }
    }

    #[test]
    fn helpers_are_shared_and_come_back_after_a_panic() {
        let helpers = Helpers::new(3);
        let first = helpers.take(1);
        let second = helpers.take(5);
        assert_eq!((first.count, second.count, helpers.take(1).count), (1, 1, 0));
        ran_once(&helpers, 10);
        drop((first, second));
        let panicked = catch_unwind(AssertUnwindSafe(|| helpers.run(8, &|i| assert!(i != 5, "piece 5"))));
        assert!(panicked.is_err());
        assert_eq!(helpers.free.load(Ordering::Relaxed), 2);
    }
}

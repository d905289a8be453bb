//! Work that may be spread over threads, which the caller owns.

use std::sync::OnceLock;

use super::error::EvalError;

/// Runs pieces of work. The query crate implements it on its pool.
pub trait Executor: Sync {
    /// Calls `work(i)` once for each `i` in `0..pieces`, in any order, perhaps at the same time; returns when all have
    /// returned.
    fn run(&self, pieces: usize, work: &(dyn Fn(usize) + Sync));

    /// How many pieces may run at the same time; at least 1.
    fn width(&self) -> usize;
}

/// Runs everything on the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inline;

impl Executor for Inline {
    fn run(&self, pieces: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..pieces).for_each(work);
    }

    fn width(&self) -> usize {
        1
    }
}

/// Runs the pieces on so many scoped threads.
#[derive(Clone, Copy, Debug)]
pub struct Threads(pub usize);

impl Executor for Threads {
    fn run(&self, pieces: usize, work: &(dyn Fn(usize) + Sync)) {
        let next = std::sync::atomic::AtomicUsize::new(0);
        let drain = || {
            loop {
                let i = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if i >= pieces {
                    return;
                }
                work(i);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.0.min(pieces) {
                scope.spawn(drain);
            }
            drain();
        });
    }

    fn width(&self) -> usize {
        self.0.max(1)
    }
}

/// Items that are worth another thread.
const MIN_SHARED: usize = 128;

/// Items in a piece at least. Helpers come late to the first pieces: the smaller these are, the more is left to them.
const MIN_PIECE: usize = 16;

/// Applies `f` to consecutive pieces of `items`, whose results come back in the order of the items. The first error in
/// that order wins.
pub(super) fn map_pieces<T: Sync, R: Send + Sync>(
    executor: &dyn Executor,
    items: &[T],
    f: impl Fn(&[T]) -> Result<R, EvalError> + Sync,
) -> Result<Vec<R>, EvalError> {
    // Four pieces a thread even out series of different lengths.
    let pieces = (executor.width() * 4).min(items.len() / MIN_PIECE);
    if executor.width() == 1 || items.len() < MIN_SHARED {
        return Ok(vec![f(items)?]);
    }
    let slots: Vec<OnceLock<Result<R, EvalError>>> = (0..pieces).map(|_| OnceLock::new()).collect();
    executor.run(pieces, &|i| {
        let (from, to) = (items.len() * i / pieces, items.len() * (i + 1) / pieces);
        // A piece that ran twice would be the executor's mistake: the first result stays.
        let _ = slots[i].set(f(&items[from..to]));
    });
    slots.into_iter().map(|slot| slot.into_inner().unwrap_or(Err(EvalError::Cancelled))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_in_order_from_any_number_of_threads() {
        let items: Vec<usize> = (0..1000).collect();
        for executor in [&Inline as &dyn Executor, &Threads(3)] {
            let parts = map_pieces(executor, &items, |part| Ok(part.to_vec())).unwrap();
            assert_eq!(parts.concat(), items);
        }
    }

    #[test]
    fn an_error_in_one_piece_is_the_error_of_all() {
        let items: Vec<usize> = (0..1000).collect();
        let failed = map_pieces(&Threads(4), &items, |part| {
            if part.contains(&700) { Err(EvalError::Cancelled) } else { Ok(()) }
        });
        assert_eq!(failed, Err(EvalError::Cancelled));
    }
}

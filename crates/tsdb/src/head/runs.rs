//! Runs of pair ids: the labels of each series, one behind the other on large pages.

use super::pairs::PairId;

/// Ids on one page; a longer run gets a page of its own.
const PAGE: usize = 1 << 14;
const PAGE_BITS: u32 = PAGE.trailing_zeros();

/// Where a run begins.
pub(crate) type RunAt = u32;

#[derive(Debug, Default)]
struct Page {
    ids: Vec<PairId>,
    /// How many of the ids belong to runs that are in use.
    live: usize,
}

/// All runs of a shard.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    pages: Vec<Page>,
    /// Pages without ids, to be used again.
    free: Vec<u32>,
    /// The page that takes the next run.
    open: usize,
    live: usize,
}

impl Runs {
    #[inline]
    pub(crate) fn get(&self, at: RunAt, len: usize) -> &[PairId] {
        let start = at as usize % PAGE;
        self.pages
            .get((at >> PAGE_BITS) as usize)
            .and_then(|p| p.ids.get(start..start + len))
            .unwrap_or_default()
    }

    pub(crate) fn push(&mut self, ids: &[PairId]) -> RunAt {
        if self.pages.get(self.open).is_none_or(|p| p.ids.len() + ids.len() > PAGE) {
            let fresh = Page { ids: Vec::with_capacity(ids.len().max(PAGE)), live: 0 };
            self.open = match self.free.pop() {
                Some(page) => page as usize,
                None => {
                    self.pages.push(Page::default());
                    self.pages.len() - 1
                }
            };
            self.pages[self.open] = fresh;
        }
        let page = &mut self.pages[self.open];
        let at = ((self.open as u32) << PAGE_BITS) | page.ids.len() as u32;
        page.ids.extend_from_slice(ids);
        page.live += ids.len();
        self.live += ids.len();
        at
    }

    /// Forgets a run. A page goes when its last one does: series that came together mostly leave together.
    pub(crate) fn remove(&mut self, at: RunAt, len: usize) {
        let number = at >> PAGE_BITS;
        let Some(page) = self.pages.get_mut(number as usize) else { return };
        page.live -= len;
        self.live -= len;
        if page.live == 0 && len > 0 {
            page.ids = Vec::new();
            if number as usize == self.open {
                // It would begin anew at its first id, which is as good as any.
                page.ids = Vec::with_capacity(PAGE);
            } else {
                self.free.push(number);
            }
        }
    }

    /// Whether more than a quarter of the memory is of no use, and it is enough to care.
    pub(crate) fn is_sparse(&self) -> bool {
        let used: usize = self.pages.iter().map(|p| p.ids.len()).sum();
        used > 4 * PAGE && used - self.live > used / 4
    }

    /// Bytes of memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.pages.iter().map(|p| p.ids.capacity() * size_of::<PairId>() + size_of::<Page>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_kept_apart_and_pages_without_any_are_used_again() {
        let mut runs = Runs::default();
        let run = |i: u32| [i, i + 1, i + 2];
        let places: Vec<RunAt> = (0..20_000).map(|i| runs.push(&run(i))).collect();
        let nines = vec![9; 40_000];
        let long = runs.push(&nines);
        assert_eq!(runs.get(long, 40_000), nines);
        for (i, at) in places.iter().enumerate() {
            assert_eq!(runs.get(*at, 3), run(i as u32));
        }
        let before = runs.memory_bytes();
        for at in &places[..15_000] {
            runs.remove(*at, 3);
        }
        assert!(runs.memory_bytes() < before && !runs.is_sparse());
        let again: Vec<RunAt> = (0..15_000).map(|i| runs.push(&run(i))).collect();
        assert!(runs.memory_bytes() <= before + 5 * PAGE);
        for (i, at) in again.iter().chain(&places[15_000..]).enumerate() {
            assert_eq!(runs.get(*at, 3), run(i as u32));
        }
        for at in again.iter().step_by(2).chain(places[15_000..].iter().step_by(2)) {
            runs.remove(*at, 3);
        }
        assert!(runs.is_sparse());
    }
}

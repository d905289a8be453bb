//! Growing lists that never move: a list that doubles wastes up to half of its memory, and copies all of it under a lock.

use std::ops::{Index, IndexMut};

/// Items on one page.
const PAGE: usize = 512;

/// A list in pages.
#[derive(Debug)]
pub(crate) struct Pages<T> {
    pages: Vec<Vec<T>>,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Pages { pages: Vec::new() }
    }
}

impl<T> Pages<T> {
    pub(crate) fn len(&self) -> usize {
        self.pages.last().map_or(0, |last| (self.pages.len() - 1) * PAGE + last.len())
    }

    pub(crate) fn push(&mut self, item: T) {
        match self.pages.last_mut().filter(|p| p.len() < PAGE) {
            Some(page) => page.push(item),
            None => {
                let mut page = Vec::with_capacity(PAGE);
                page.push(item);
                self.pages.push(page);
            }
        }
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.pages.get(at / PAGE)?.get(at % PAGE)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.pages.get_mut(at / PAGE)?.get_mut(at % PAGE)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pages.iter_mut().flatten()
    }

    /// Bytes of memory, without what the items own.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.pages.len() * PAGE * size_of::<T>()
    }
}

impl<T> Index<usize> for Pages<T> {
    type Output = T;

    #[inline]
    fn index(&self, at: usize) -> &T {
        &self.pages[at / PAGE][at % PAGE]
    }
}

impl<T> IndexMut<usize> for Pages<T> {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.pages[at / PAGE][at % PAGE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_where_they_are() {
        let mut list = Pages::default();
        for i in 0..3 * PAGE + 5 {
            list.push(i);
            assert_eq!((list.len(), list[i]), (i + 1, i));
        }
        list[PAGE] = 7;
        assert_eq!(list.get(PAGE), Some(&7));
        assert_eq!(list.get(3 * PAGE + 5), None);
        assert_eq!(list.iter().count(), 3 * PAGE + 5);
        assert_eq!(list.memory_bytes(), 4 * PAGE * size_of::<usize>());
    }
}

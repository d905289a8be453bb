//! Which places of a source are done with.
//!
//! A reader marks what it has read; entries carry the mark through the pipeline, are joined, dropped or written. When nobody
//! holds the marks of anything read up to a place, that place may be written down as the position to go on from: nothing before
//! it can be lost any more.

use std::{collections::VecDeque, sync::Arc};

use crate::entry::Mark;

/// The places of one source, in the order in which they were read.
#[derive(Debug)]
pub(crate) struct Track<P> {
    open: VecDeque<(Arc<()>, P)>,
    done: P,
}

impl<P: Clone> Track<P> {
    /// A source that is read from `start` on.
    pub fn new(start: P) -> Self {
        Track { open: VecDeque::new(), done: start }
    }

    /// The mark of what has been read now, which ends at `place`.
    pub fn mark(&mut self, place: P) -> Mark {
        let token = Arc::new(());
        let mark = Mark::of(&token);
        self.open.push_back((token, place));
        mark
    }

    /// The place up to which everything is done with.
    pub fn done(&mut self) -> &P {
        while self.open.front().is_some_and(|(token, _)| Arc::strong_count(token) == 1) {
            if let Some((_, place)) = self.open.pop_front() {
                self.done = place;
            }
        }
        &self.done
    }

    /// Whether nothing is under way.
    pub fn is_idle(&mut self) -> bool {
        self.done();
        self.open.is_empty()
    }

    /// Starts anew, with nothing under way that counts.
    pub fn restart(&mut self, at: P) {
        self.open.clear();
        self.done = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_done_with_only_when_everything_before_it_is() {
        let mut track = Track::new(0);
        let (a, b, c) = (track.mark(10), track.mark(20), track.mark(30));
        drop(b);
        assert_eq!(*track.done(), 0);
        let copy = a.clone();
        drop(a);
        assert_eq!(*track.done(), 0);
        drop(copy);
        assert_eq!(*track.done(), 20);
        assert!(!track.is_idle());
        drop(c);
        assert_eq!(*track.done(), 30);
        assert!(track.is_idle());
    }
}

//! Names and values found so far: each once, within limits, and which of them a reader of parts knows already.

use std::{collections::BTreeSet, ops::ControlFlow};

use parking_lot::Mutex;

use super::{Parts, TagScope, TagValue, TraceStats, scans::Onlooker};

/// What can be found.
pub(super) trait Thing: Ord + Clone + Send {
    /// Bytes of its text.
    fn bytes(&self) -> usize;
}

impl Thing for TagValue {
    fn bytes(&self) -> usize {
        self.value.len()
    }
}

impl Thing for (TagScope, String) {
    fn bytes(&self) -> usize {
        self.1.len()
    }
}

/// Distinct things within limits.
#[derive(Clone)]
pub(super) struct Distinct<T> {
    all: BTreeSet<T>,
    told: BTreeSet<T>,
    most: usize,
    max_bytes: usize,
    room: Room,
    /// Whether some were left out.
    pub(super) truncated: bool,
}

impl<T: Thing> Distinct<T> {
    /// At most `limit` of them, of at most so many bytes; 0 for no limit.
    pub(super) fn new(limit: usize, max_bytes: usize) -> Self {
        let most = if limit == 0 { usize::MAX } else { limit };
        Distinct {
            all: BTreeSet::new(),
            told: BTreeSet::new(),
            most,
            max_bytes,
            room: Room::new(max_bytes),
            truncated: false,
        }
    }

    pub(super) fn contains(&self, thing: &T) -> bool {
        self.all.contains(thing)
    }

    /// Adds one; breaks once there is no room.
    pub(super) fn insert(&mut self, thing: T) -> ControlFlow<()> {
        if self.all.contains(&thing) {
            return ControlFlow::Continue(());
        }
        if self.all.len() >= self.most || !self.room.take(thing.bytes()) {
            self.truncated = true;
            return ControlFlow::Break(());
        }
        self.all.insert(thing);
        ControlFlow::Continue(())
    }

    pub(super) fn merge(&mut self, other: Distinct<T>) {
        self.truncated |= other.truncated;
        for thing in other.all {
            if self.insert(thing).is_break() {
                return;
            }
        }
    }

    /// Those that were not told before.
    fn news(&mut self) -> Vec<T> {
        let news: Vec<T> = self.all.difference(&self.told).cloned().collect();
        self.told.extend(news.iter().cloned());
        news
    }

    /// In order, without those that were told.
    pub(super) fn rest(self) -> Vec<T> {
        let Distinct { all, told, .. } = self;
        all.into_iter().filter(|thing| !told.contains(thing)).collect()
    }
}

/// Bytes that are left.
#[derive(Clone)]
struct Room(usize);

impl Room {
    /// 0: as many as there may be.
    fn new(bytes: usize) -> Self {
        Room(if bytes == 0 { usize::MAX } else { bytes })
    }

    fn take(&mut self, bytes: usize) -> bool {
        match self.0.checked_sub(bytes) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }
}

/// Tells a reader of parts of things, each once.
pub(super) struct Teller<'a, T, A> {
    parts: Option<&'a Parts<A>>,
    found: Mutex<Distinct<T>>,
    answer: &'a Answer<'a, T, A>,
}

/// Makes a part of things, whether some were left out, and what was done so far.
type Answer<'a, T, A> = dyn Fn(Vec<T>, bool, TraceStats) -> A + Sync + 'a;

impl<'a, T: Thing, A> Teller<'a, T, A> {
    /// Tells of what `found` admits.
    pub(super) fn new(parts: Option<&'a Parts<A>>, found: Distinct<T>, answer: &'a Answer<'a, T, A>) -> Self {
        Teller { parts, found: Mutex::new(found), answer }
    }

    /// Something to look on with, if anybody reads parts.
    pub(super) fn onlooker(&self) -> Option<&dyn Onlooker> {
        self.parts.is_some().then_some(self as &dyn Onlooker)
    }

    /// Takes what a thread has found, if it is time for a part.
    pub(super) fn hand_over(&self, own: &mut Distinct<T>) {
        if self.parts.is_some_and(Parts::is_due) {
            let fresh = Distinct::new(if own.most == usize::MAX { 0 } else { own.most }, own.max_bytes);
            self.found.lock().merge(std::mem::replace(own, fresh));
        }
    }

    /// Adds one thing, and tells of it if it is time for a part; breaks once there is no room.
    pub(super) fn insert(&self, thing: T) -> ControlFlow<()> {
        let mut found = self.found.lock();
        if found.contains(&thing) {
            return ControlFlow::Continue(());
        }
        found.insert(thing)?;
        drop(found);
        // Nobody knows how much is still to come.
        self.tell(TraceStats { scans: 1, ..TraceStats::default() });
        ControlFlow::Continue(())
    }

    fn tell(&self, stats: TraceStats) {
        let Some(parts) = self.parts else { return };
        parts.offer(|| {
            let mut found = self.found.lock();
            let (news, truncated) = (found.news(), found.truncated);
            (self.answer)(news, truncated, stats)
        });
    }

    /// Everything that was found here.
    pub(super) fn into_found(self) -> Distinct<T> {
        self.found.into_inner()
    }
}

impl<T: Thing, A> Onlooker for Teller<'_, T, A> {
    fn ended(&self, _scan: usize, stats: TraceStats) {
        self.tell(stats);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> (TagScope, String) {
        (TagScope::Span, text.to_owned())
    }

    #[test]
    fn things_are_told_once_and_never_beyond_the_limits() {
        let mut found = Distinct::new(3, 0);
        assert!(found.insert(name("b")).is_continue() && found.insert(name("d")).is_continue());
        assert_eq!(found.news(), [name("b"), name("d")]);
        assert!(found.insert(name("a")).is_continue() && found.insert(name("b")).is_continue());
        assert!(found.insert(name("c")).is_break() && found.truncated);
        assert_eq!(found.rest(), [name("a")]);
        let mut short = Distinct::new(0, 3);
        assert!(short.insert(name("ab")).is_continue() && short.insert(name("cd")).is_break());
        assert!(short.insert(name("e")).is_continue());
        let mut both = Distinct::new(0, 0);
        both.merge(short);
        assert!(both.truncated);
        assert_eq!(both.rest(), [name("ab"), name("e")]);
    }
}

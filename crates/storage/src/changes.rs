//! What changed in a store since when: so that results of queries can be kept and never be stale.

use std::{collections::VecDeque, fmt};

use parking_lot::Mutex;

/// A moment in the history of a store; later moments are greater. Means nothing to another store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(u64);

/// Says for any moment in the past how far back the samples have changed since.
///
/// A store notes every change that a query could see, whatever its cause: samples that came (in order or late), were
/// deleted, imported, thinned out or dropped, blocks that took the place of others. It does so **before anybody can see
/// the change without it**: while it holds the locks that readers need, or, for changes that take long, once more after
/// their end and before they are acknowledged ([`ChangeLog::note_at_end`]).
///
/// So whoever asks for the generation first, reads then, and later finds that nothing older than T has changed since,
/// knows that what was read before T would be read again.
#[derive(Default)]
pub struct ChangeLog(Mutex<Marks>);

#[derive(Default)]
struct Marks {
    generation: u64,
    /// Both parts rise from mark to mark: of two changes only the later one matters if it goes further back.
    marks: VecDeque<Mark>,
}

/// All changes up to `generation`, and after that of the mark before, are of `oldest` or later.
#[derive(Clone, Copy)]
struct Mark {
    generation: u64,
    oldest: i64,
}

/// Times are rounded down to this, milliseconds: samples come in time, and one mark a second is plenty.
const GRAIN_MS: i64 = 1000;

/// Marks that are kept; the older half loses every second one when there are more. That only makes answers about the
/// distant past more careful.
const MAX_MARKS: usize = 4096;

impl ChangeLog {
    /// A log of a store that nobody has read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a change of samples, none of which is older than `oldest` (Unix milliseconds).
    pub fn note(&self, oldest: i64) {
        self.0.lock().note(oldest);
    }

    /// Notes a change when the guard is dropped, however the work in between ended.
    #[must_use = "the change is noted when this is dropped"]
    pub fn note_at_end(&self, oldest: i64) -> NoteAtEnd<'_> {
        NoteAtEnd { log: self, oldest }
    }

    /// This moment.
    pub fn generation(&self) -> Generation {
        Generation(self.0.lock().generation)
    }

    /// This moment, and the time before which nothing has changed since `then`; `None` if nothing has at all.
    pub fn since(&self, then: Generation) -> (Generation, Option<i64>) {
        let marks = self.0.lock();
        let next = marks.marks.partition_point(|m| m.generation <= then.0);
        (Generation(marks.generation), marks.marks.get(next).map(|m| m.oldest))
    }
}

impl Marks {
    fn note(&mut self, oldest: i64) {
        let oldest = oldest.div_euclid(GRAIN_MS).saturating_mul(GRAIN_MS);
        self.generation += 1;
        while self.marks.back().is_some_and(|m| m.oldest >= oldest) {
            self.marks.pop_back();
        }
        self.marks.push_back(Mark { generation: self.generation, oldest });
        if self.marks.len() > MAX_MARKS {
            self.thin_out();
        }
    }

    /// Unites pairs of marks in the older half.
    fn thin_out(&mut self) {
        let half = self.marks.len() / 2;
        let mut kept: VecDeque<Mark> = VecDeque::with_capacity(self.marks.len());
        for i in (0..half).step_by(2) {
            let later = self.marks[(i + 1).min(half - 1)];
            kept.push_back(Mark { generation: later.generation, oldest: self.marks[i].oldest });
        }
        kept.extend(self.marks.range(half..));
        self.marks = kept;
    }
}

impl fmt::Debug for ChangeLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeLog").field("generation", &self.generation()).finish_non_exhaustive()
    }
}

/// Notes a change when it is dropped.
#[derive(Debug)]
pub struct NoteAtEnd<'a> {
    log: &'a ChangeLog,
    oldest: i64,
}

impl Drop for NoteAtEnd<'_> {
    fn drop(&mut self) {
        self.log.note(self.oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_change_since_a_moment_is_remembered() {
        let log = ChangeLog::new();
        let start = log.generation();
        assert_eq!(log.since(start), (start, None));
        log.note(10_500);
        let first = log.generation();
        log.note(20_000);
        let second = log.generation();
        assert_eq!(log.since(start).1, Some(10_000), "times are rounded down");
        assert_eq!(log.since(first).1, Some(20_000));
        assert_eq!(log.since(second).1, None);
        log.note(5_000);
        assert_eq!(log.since(start).1, Some(5_000));
        assert_eq!(log.since(second), (log.generation(), Some(5_000)));
    }

    #[test]
    fn a_guard_notes_its_change_when_it_goes() {
        let log = ChangeLog::new();
        let start = log.generation();
        let guard = log.note_at_end(i64::MIN);
        assert_eq!(log.since(start).1, None);
        drop(guard);
        assert_eq!(log.since(start).1, Some(i64::MIN));
    }

    #[test]
    fn many_changes_take_bounded_memory_and_are_never_forgotten() {
        let log = ChangeLog::new();
        let mut history = Vec::new();
        for i in 0..50_000i64 {
            let oldest = i * 1000 - (i % 977) * 300;
            let before = log.generation();
            log.note(oldest);
            history.push((before, oldest));
        }
        assert!(log.0.lock().marks.len() <= MAX_MARKS);
        let mut truth = i64::MAX;
        for (before, oldest) in history.into_iter().rev() {
            truth = truth.min(oldest);
            let said = log.since(before).1.unwrap();
            assert!(said <= truth, "{said} is later than {truth}");
        }
    }
}

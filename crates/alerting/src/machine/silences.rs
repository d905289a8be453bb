//! Silences that people make, that schedules make, and that end by themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rand::Rng as _;
use reba_model::Matcher;

use super::Machine;
use crate::{
    UNTIL_RESOLVED_HOLD_MS,
    event::{RecurringChange, SilenceChange, What},
    saved::Stale,
    silence::{
        Changed, PostedRecurring, PostedSilence, RecurringSilence, Silence, SilenceError, SilenceState, uuid,
    },
};

/// How long before its beginning the silence of a schedule is made: long enough to be seen, and to be ended by hand.
const RECURRING_AHEAD_MS: i64 = 24 * 3_600_000;

/// How often schedules are looked at, and silences that last until their alerts are resolved.
const CHECK_MS: i64 = 15_000;

/// The schedules, and what is known of silences that end by themselves.
#[derive(Clone, Debug, Default)]
pub(super) struct Recurring {
    by_id: BTreeMap<String, Slot>,
    /// Since when no firing alert matches a silence that lasts until its alerts are resolved.
    quiet_since: BTreeMap<String, i64>,
    next_check_ms: i64,
}

#[derive(Clone, Debug)]
struct Slot {
    recurring: Arc<RecurringSilence>,
    /// The silence that it makes next.
    next: Option<(i64, i64)>,
}

/// A schedule with the silence that it makes next.
#[derive(Clone, Debug, PartialEq)]
pub struct RecurringView {
    /// The schedule.
    pub recurring: Arc<RecurringSilence>,
    /// Beginning and end of its next silence, Unix milliseconds.
    pub next: Option<(i64, i64)>,
}

impl Recurring {
    pub fn restore(&mut self, recurring: RecurringSilence, now_ms: i64) {
        let next = recurring.next(now_ms);
        self.by_id.insert(recurring.id.clone(), Slot { recurring: Arc::new(recurring), next });
    }

    /// Has schedules, and silences that end by themselves, looked at with the next poll.
    pub fn check_at_once(&mut self) {
        self.next_check_ms = 0;
    }

    pub fn get(&self, id: &str) -> Option<&Arc<RecurringSilence>> {
        self.by_id.get(id).map(|slot| &slot.recurring)
    }
}

impl Machine {
    /// Makes a silence, or changes one; returns its id. One that cannot be changed as asked is ended, and another takes its place.
    pub fn set_silence(&mut self, posted: &PostedSilence, now_ms: i64) -> Result<String, SilenceError> {
        let limits = self.options.silence_limits();
        let random = &mut self.random;
        let changed = self.silences.set(posted, || uuid(random.random()), now_ms, &limits)?;
        let id = changed.last().map(|(_, silence)| silence.id.clone()).ok_or(SilenceError::NotFound)?;
        self.note(changed, now_ms);
        self.recurring.check_at_once();
        Ok(id)
    }

    /// Ends a silence. One that has ended already is left as it is.
    pub fn expire_silence(&mut self, id: &str, now_ms: i64) -> Result<(), SilenceError> {
        let limits = self.options.silence_limits();
        let changed = self.silences.expire(id, SilenceChange::Expired, now_ms, &limits)?;
        self.note(changed.into_iter().collect(), now_ms);
        Ok(())
    }

    /// The silence of this id, whatever its state.
    pub fn silence(&self, id: &str) -> Option<Arc<Silence>> {
        self.silences.get(id).cloned()
    }

    /// Silences that have each of these matchers: active ones (the soonest end first), pending ones (the soonest beginning first),
    /// expired ones (the latest end first).
    pub fn silence_list(&self, filter: &[Matcher], now_ms: i64) -> Vec<Arc<Silence>> {
        self.silences.list(filter, now_ms)
    }

    /// How many silences there are in each state.
    pub fn silence_counts(&self, now_ms: i64) -> BTreeMap<SilenceState, usize> {
        let mut counts: BTreeMap<_, _> = SilenceState::ALL.into_iter().map(|state| (state, 0)).collect();
        for silence in self.silences.all() {
            *counts.entry(silence.state(now_ms)).or_default() += 1;
        }
        counts
    }

    /// Makes a schedule of silences, or replaces one; returns its id. Silences that it has made already stay as they are.
    pub fn set_recurring(&mut self, posted: &PostedRecurring, now_ms: i64) -> Result<String, SilenceError> {
        let old = posted.id.as_deref().filter(|id| !id.is_empty());
        if let Some(id) = old
            && self.recurring.get(id).is_none()
        {
            return Err(SilenceError::NotFound);
        }
        let (count, limit) = (self.recurring.by_id.len(), self.options.max_recurring);
        if old.is_none() && count >= limit {
            return Err(SilenceError::TooManyRecurring { count, limit });
        }
        let id = old.map_or_else(|| uuid(self.random.random()), str::to_owned);
        let recurring = RecurringSilence::new(posted, id.clone(), now_ms, self.options.max_silence_bytes)?;
        self.recurring.restore(recurring, now_ms);
        self.unsaved.mark(Stale::Recurring(id.clone()));
        if let Some(recurring) = self.recurring.get(&id).cloned() {
            self.event(now_ms, What::Recurring { change: RecurringChange::Set, recurring });
        }
        self.recurring.check_at_once();
        Ok(id)
    }

    /// Removes a schedule, and ends those of its silences that have not begun.
    pub fn delete_recurring(&mut self, id: &str, now_ms: i64) -> Result<(), SilenceError> {
        let slot = self.recurring.by_id.remove(id).ok_or(SilenceError::NotFound)?;
        self.unsaved.mark(Stale::Recurring(id.to_owned()));
        self.event(now_ms, What::Recurring { change: RecurringChange::Deleted, recurring: slot.recurring });
        let made = self
            .silences
            .all()
            .filter(|s| s.recurring.as_deref() == Some(id) && s.state(now_ms) == SilenceState::Pending);
        let made: Vec<String> = made.map(|s| s.id.clone()).collect();
        for silence in made {
            self.expire_silence(&silence, now_ms)?;
        }
        Ok(())
    }

    /// The schedules, by id.
    pub fn recurring_list(&self) -> Vec<RecurringView> {
        let views = self.recurring.by_id.values();
        views.map(|slot| RecurringView { recurring: slot.recurring.clone(), next: slot.next }).collect()
    }

    /// When schedules and silences that end by themselves want to be looked at.
    pub(super) fn next_silence_work(&self) -> Option<i64> {
        let is_there = !self.recurring.by_id.is_empty()
            || self.silences.all().any(|s| s.until_resolved && s.ends_at_ms > self.recurring.next_check_ms);
        is_there.then_some(self.recurring.next_check_ms)
    }

    /// Lets time pass for silences.
    pub(super) fn advance_silences(&mut self, now_ms: i64) {
        let changed = self.silences.advance(now_ms, &self.options.silence_limits());
        self.note(changed, now_ms);
        if now_ms >= self.recurring.next_check_ms {
            self.recurring.next_check_ms = now_ms.saturating_add(CHECK_MS);
            self.make_recurring(now_ms);
            self.end_resolved(now_ms);
        }
    }

    /// Makes the silences of schedules whose time is near.
    fn make_recurring(&mut self, now_ms: i64) {
        let near = now_ms.saturating_add(RECURRING_AHEAD_MS);
        let due =
            self.recurring.by_id.iter().filter(|(_, slot)| slot.next.is_some_and(|(start, _)| start <= near));
        let due: Vec<String> = due.map(|(id, _)| id.clone()).collect();
        for id in due {
            self.make_one(&id, now_ms);
        }
    }

    fn make_one(&mut self, id: &str, now_ms: i64) {
        let new_id = uuid(self.random.random());
        let limits = self.options.silence_limits();
        let Some(slot) = self.recurring.by_id.get_mut(id) else { return };
        let Some((start, end)) = slot.next.filter(|(_, end)| *end > now_ms) else {
            slot.next = slot.recurring.next(now_ms);
            return;
        };
        let from = &slot.recurring;
        let silence = Silence {
            id: new_id,
            matchers: from.matchers.clone(),
            starts_at_ms: start.max(now_ms),
            ends_at_ms: end,
            updated_at_ms: now_ms,
            created_by: from.created_by.clone(),
            comment: from.comment.clone(),
            until_resolved: false,
            has_matched: false,
            recurring: Some(id.to_owned()),
        };
        match self.silences.add(silence, now_ms, &limits) {
            Ok(changed) => {
                let made = RecurringSilence { last_start_ms: Some(start), ..RecurringSilence::clone(from) };
                slot.next = made.next(now_ms);
                slot.recurring = Arc::new(made);
                // Both are written in one transaction.
                self.unsaved.mark(Stale::Recurring(id.to_owned()));
                self.note(vec![changed], now_ms);
            }
            Err(error) => tracing::warn!(recurring = id, %error, "cannot make the silence of a schedule"),
        }
    }

    /// Ends silences whose alerts are resolved.
    fn end_resolved(&mut self, now_ms: i64) {
        let waiting =
            self.silences.all().filter(|s| s.until_resolved && s.state(now_ms) == SilenceState::Active);
        let waiting: Vec<String> = waiting.map(|s| s.id.clone()).collect();
        if waiting.is_empty() {
            self.recurring.quiet_since.clear();
            return;
        }
        let mut matched = BTreeSet::new();
        for stored in self.alerts.values_mut().filter(|s| s.firing) {
            self.silences.catch_up(&mut stored.candidates, &stored.alert.labels, now_ms);
            let active = self.silences.active(&stored.candidates, now_ms);
            matched.extend(active.filter(|s| s.until_resolved).map(|s| s.id.clone()));
        }
        self.recurring.quiet_since.retain(|id, _| waiting.contains(id) && !matched.contains(id));
        for id in &matched {
            if self.silences.note_match(id) {
                self.unsaved.mark(Stale::Silence(id.clone()));
            }
        }
        for id in waiting.into_iter().filter(|id| !matched.contains(id)) {
            if !self.silences.get(&id).is_some_and(|s| s.has_matched) {
                continue;
            }
            let since = *self.recurring.quiet_since.entry(id.clone()).or_insert(now_ms);
            if now_ms.saturating_sub(since) >= UNTIL_RESOLVED_HOLD_MS {
                let limits = self.options.silence_limits();
                let changed = self.silences.expire(&id, SilenceChange::AlertsResolved, now_ms, &limits);
                self.note(changed.ok().flatten().into_iter().collect(), now_ms);
            }
        }
    }

    /// Remembers what to save and what to tell of silences.
    fn note(&mut self, changed: Vec<Changed>, now_ms: i64) {
        for (change, silence) in changed {
            // That time has passed is seen from the silence itself.
            if !matches!(change, SilenceChange::Started | SilenceChange::Ended) {
                self.unsaved.mark(Stale::Silence(silence.id.clone()));
            }
            self.event(now_ms, What::Silence { change, silence });
        }
    }
}

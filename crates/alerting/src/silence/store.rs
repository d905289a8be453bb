//! All silences, by id and by what happens to them next.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use reba_model::{GoRegex, Labels, Matcher};

use super::{PostedSilence, Silence, SilenceError, SilenceState, check, regex_states};
use crate::event::SilenceChange;

/// What silences may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SilenceLimits {
    /// How many there may be, expired ones included.
    pub max_silences: usize,
    /// Bytes of one.
    pub max_bytes: usize,
    /// How long one is kept after its end, milliseconds.
    pub retention_ms: i64,
}

/// A silence that has changed, and how.
pub(crate) type Changed = (SilenceChange, Arc<Silence>);

/// The silences.
#[derive(Clone, Debug, Default)]
pub(crate) struct Silences {
    by_id: BTreeMap<String, Arc<Silence>>,
    /// When each begins, ends or is forgotten, whichever comes next.
    edges: BTreeSet<(i64, String)>,
    /// Ids in the order in which their matchers became known.
    known: BTreeMap<u64, String>,
    /// The last number in `known` that was given out.
    version: u64,
    /// What all regular expressions compile to.
    regex_states: usize,
}

/// The silences that match an alert and are not over, as far as they have been looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Candidates {
    version: u64,
    ids: Vec<String>,
}

impl Silences {
    /// Takes one that was saved.
    pub fn restore(&mut self, silence: Silence, now_ms: i64, limits: &SilenceLimits) {
        self.put(Arc::new(silence), now_ms, limits);
    }

    /// Makes a silence or changes one, and says how the silences concerned changed; the last of them is the one asked for.
    ///
    /// One that exists is changed in place if its matchers stay the same and the past is not touched; otherwise it is ended and
    /// another takes its place. Nothing changes if the new one is refused.
    pub fn set(
        &mut self,
        posted: &PostedSilence,
        new_id: impl FnOnce() -> String,
        now_ms: i64,
        limits: &SilenceLimits,
    ) -> Result<Vec<Changed>, SilenceError> {
        check(&posted.matchers, &[&posted.created_by, &posted.comment], limits.max_bytes)?;
        if posted.ends_at_ms <= posted.starts_at_ms {
            return Err(SilenceError::Reversed);
        }
        if posted.ends_at_ms < now_ms {
            return Err(SilenceError::EndInPast);
        }
        let old = posted.id.as_deref().filter(|id| !id.is_empty());
        let old = old.map(|id| self.by_id.get(id).cloned().ok_or(SilenceError::NotFound)).transpose()?;
        if let Some(old) = &old
            && can_update(old, posted, now_ms)
        {
            let silence = Silence {
                starts_at_ms: posted.starts_at_ms,
                has_matched: old.has_matched,
                recurring: old.recurring.clone(),
                ..new_silence(posted, old.id.clone(), now_ms)
            };
            return Ok(vec![(SilenceChange::Updated, self.put(Arc::new(silence), now_ms, limits))]);
        }
        self.check_room(&posted.matchers, limits)?;
        let mut changed = Vec::new();
        if let Some(old) = old {
            changed.extend(self.expire(&old.id, SilenceChange::Expired, now_ms, limits)?);
        }
        let silence = new_silence(posted, new_id(), now_ms);
        changed.push((SilenceChange::Created, self.put(Arc::new(silence), now_ms, limits)));
        Ok(changed)
    }

    /// Takes a silence as it is, for a schedule.
    pub fn add(
        &mut self,
        silence: Silence,
        now_ms: i64,
        limits: &SilenceLimits,
    ) -> Result<Changed, SilenceError> {
        self.check_room(&silence.matchers, limits)?;
        Ok((SilenceChange::Created, self.put(Arc::new(silence), now_ms, limits)))
    }

    /// Whether there is room for another silence.
    fn check_room(&self, matchers: &[Matcher], limits: &SilenceLimits) -> Result<(), SilenceError> {
        if self.by_id.len() >= limits.max_silences {
            return Err(SilenceError::TooMany { count: self.by_id.len(), limit: limits.max_silences });
        }
        let states = self.regex_states + regex_states(matchers);
        if states > GoRegex::MAX_TOGETHER {
            let (limit, name) = (GoRegex::MAX_TOGETHER, "MAX_TOGETHER");
            return Err(SilenceError::RegexTooLarge { states, limit, name });
        }
        Ok(())
    }

    /// Ends a silence. One that has ended already stays as it is.
    pub fn expire(
        &mut self,
        id: &str,
        why: SilenceChange,
        now_ms: i64,
        limits: &SilenceLimits,
    ) -> Result<Option<Changed>, SilenceError> {
        let old = self.by_id.get(id).ok_or(SilenceError::NotFound)?;
        let starts_at_ms = match old.state(now_ms) {
            SilenceState::Expired => return Ok(None),
            SilenceState::Active => old.starts_at_ms,
            SilenceState::Pending => now_ms,
        };
        let ended =
            Silence { starts_at_ms, ends_at_ms: now_ms, updated_at_ms: now_ms, ..Silence::clone(old) };
        Ok(Some((why, self.put(Arc::new(ended), now_ms, limits))))
    }

    /// Remembers that an alert has matched a silence that lasts until its alerts are resolved. Whether that is news.
    pub fn note_match(&mut self, id: &str) -> bool {
        match self.by_id.get_mut(id) {
            Some(silence) if silence.until_resolved && !silence.has_matched => {
                Arc::make_mut(silence).has_matched = true;
                true
            }
            _ => false,
        }
    }

    /// Lets time pass: silences that begin, end, or ended so long ago that they are forgotten.
    pub fn advance(&mut self, now_ms: i64, limits: &SilenceLimits) -> Vec<Changed> {
        let mut changed = Vec::new();
        while let Some((at_ms, id)) = self.edges.first().cloned()
            && at_ms <= now_ms
        {
            self.edges.pop_first();
            let Some(silence) = self.by_id.get(&id).cloned() else { continue };
            match silence.state(now_ms) {
                SilenceState::Expired if silence.ends_at_ms.saturating_add(limits.retention_ms) <= now_ms => {
                    self.by_id.remove(&id);
                    self.regex_states -= regex_states(&silence.matchers);
                    changed.push((SilenceChange::Forgotten, silence));
                }
                SilenceState::Expired => {
                    if at_ms == silence.ends_at_ms {
                        changed.push((SilenceChange::Ended, silence.clone()));
                    }
                    self.schedule(&silence, now_ms, limits);
                }
                SilenceState::Active => {
                    changed.push((SilenceChange::Started, silence.clone()));
                    self.schedule(&silence, now_ms, limits);
                }
                SilenceState::Pending => self.schedule(&silence, now_ms, limits),
            }
        }
        if changed.iter().any(|(change, _)| *change == SilenceChange::Forgotten) {
            self.known.retain(|_, id| self.by_id.contains_key(id));
        }
        changed
    }

    /// When [`Silences::advance`] has something to do next.
    pub fn next_edge(&self) -> Option<i64> {
        self.edges.first().map(|(at_ms, _)| *at_ms)
    }

    /// Brings `candidates` of an alert up to date. Only silences that are new since the last time are matched.
    pub fn catch_up(&self, candidates: &mut Candidates, labels: &Labels, now_ms: i64) {
        let alive =
            |id: &String| self.by_id.get(id).is_some_and(|s| s.state(now_ms) != SilenceState::Expired);
        candidates.ids.retain(alive);
        if candidates.version < self.version {
            let new = self.known.range(candidates.version + 1..).map(|(_, id)| id);
            let matching =
                new.filter(|id| alive(id) && self.by_id.get(*id).is_some_and(|s| s.matches(labels)));
            candidates.ids.extend(matching.cloned());
            candidates.version = self.version;
        }
    }

    /// Those of `candidates` that hold now.
    pub fn active<'a>(
        &'a self,
        candidates: &'a Candidates,
        now_ms: i64,
    ) -> impl Iterator<Item = &'a Arc<Silence>> {
        let found = candidates.ids.iter().filter_map(|id| self.by_id.get(id));
        found.filter(move |s| s.state(now_ms) == SilenceState::Active)
    }

    pub fn get(&self, id: &str) -> Option<&Arc<Silence>> {
        self.by_id.get(id)
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Silence>> {
        self.by_id.values()
    }

    /// Silences that have these matchers: active ones (the soonest end first), pending ones (the soonest beginning first), expired
    /// ones (the latest end first).
    pub fn list(&self, filter: &[Matcher], now_ms: i64) -> Vec<Arc<Silence>> {
        let mut found: Vec<_> = self.by_id.values().filter(|s| s.has_matchers(filter)).cloned().collect();
        found.sort_by_cached_key(|s| {
            let state = s.state(now_ms);
            let time = match state {
                SilenceState::Active => s.ends_at_ms,
                SilenceState::Pending => s.starts_at_ms,
                SilenceState::Expired => s.ends_at_ms.saturating_neg(),
            };
            (state, time, s.id.clone())
        });
        found
    }

    fn put(&mut self, silence: Arc<Silence>, now_ms: i64, limits: &SilenceLimits) -> Arc<Silence> {
        match self.by_id.insert(silence.id.clone(), silence.clone()) {
            Some(old) => {
                let forgotten = old.ends_at_ms.saturating_add(limits.retention_ms);
                for time in [old.starts_at_ms, old.ends_at_ms, forgotten] {
                    self.edges.remove(&(time, old.id.clone()));
                }
            }
            // The matchers of a silence never change.
            None => {
                self.regex_states += regex_states(&silence.matchers);
                self.version += 1;
                self.known.insert(self.version, silence.id.clone());
            }
        }
        self.schedule(&silence, now_ms, limits);
        silence
    }

    fn schedule(&mut self, silence: &Silence, now_ms: i64, limits: &SilenceLimits) {
        let at_ms = match silence.state(now_ms) {
            SilenceState::Pending => silence.starts_at_ms,
            SilenceState::Active => silence.ends_at_ms,
            SilenceState::Expired => silence.ends_at_ms.saturating_add(limits.retention_ms),
        };
        self.edges.insert((at_ms, silence.id.clone()));
    }
}

fn new_silence(posted: &PostedSilence, id: String, now_ms: i64) -> Silence {
    Silence {
        id,
        matchers: posted.matchers.clone(),
        starts_at_ms: posted.starts_at_ms.max(now_ms),
        ends_at_ms: posted.ends_at_ms,
        updated_at_ms: now_ms,
        created_by: posted.created_by.clone(),
        comment: posted.comment.clone(),
        until_resolved: posted.until_resolved,
        has_matched: false,
        recurring: None,
    }
}

/// Whether a silence can be changed in place. A beginning that is past may only be named again, to the second.
fn can_update(old: &Silence, new: &PostedSilence, now_ms: i64) -> bool {
    let second = |ms: i64| ms.div_euclid(1000);
    old.matchers == new.matchers
        && match old.state(now_ms) {
            SilenceState::Active => {
                second(old.starts_at_ms) == second(new.starts_at_ms) && new.ends_at_ms >= now_ms
            }
            SilenceState::Pending => new.starts_at_ms >= now_ms,
            SilenceState::Expired => false,
        }
}

//! Silences: who keeps which alerts silent, and for how long.

mod recurring;
mod store;

use reba_model::{GoRegex, Labels, Matcher};
use thiserror::Error;

pub use recurring::{PostedRecurring, RecurringSilence, Schedule, ScheduleSection};
pub(crate) use store::{Candidates, Changed, SilenceLimits, Silences};

/// Keeps alerts silent that match it, for a time. Changes nothing about the alerts themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// A UUID.
    pub id: String,
    /// All must match; in the order in which they were given, never empty.
    pub matchers: Vec<Matcher>,
    /// From when on, Unix milliseconds.
    pub starts_at_ms: i64,
    /// Until when, Unix milliseconds, excluded.
    pub ends_at_ms: i64,
    /// When it was made or changed, Unix milliseconds.
    pub updated_at_ms: i64,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// Whether it ends as soon as all alerts that it kept silent are resolved, and have been so for
    /// [`crate::UNTIL_RESOLVED_HOLD_MS`].
    pub until_resolved: bool,
    /// Whether a firing alert has matched it since it began. Only kept for those that last until their alerts are resolved.
    pub has_matched: bool,
    /// The schedule that made it.
    pub recurring: Option<String>,
}

/// Where a silence is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SilenceState {
    /// It holds.
    Active,
    /// It has not begun.
    Pending,
    /// It is over, and kept for reference.
    Expired,
}

impl SilenceState {
    /// All states, in the order in which lists have them.
    pub const ALL: [SilenceState; 3] = [SilenceState::Active, SilenceState::Pending, SilenceState::Expired];

    /// As the API and metrics say it.
    pub fn as_str(self) -> &'static str {
        match self {
            SilenceState::Active => "active",
            SilenceState::Pending => "pending",
            SilenceState::Expired => "expired",
        }
    }
}

impl Silence {
    /// Where it is in its life.
    pub fn state(&self, now_ms: i64) -> SilenceState {
        if now_ms < self.starts_at_ms {
            SilenceState::Pending
        } else if now_ms < self.ends_at_ms {
            SilenceState::Active
        } else {
            SilenceState::Expired
        }
    }

    /// Whether its matchers match, whatever its state.
    pub fn matches(&self, labels: &Labels) -> bool {
        Matcher::all(&self.matchers, labels)
    }

    /// Whether it has each of these matchers, as they are: that is how lists of silences are filtered.
    pub fn has_matchers(&self, filter: &[Matcher]) -> bool {
        filter.iter().all(|wanted| self.matchers.contains(wanted))
    }
}

/// A silence as somebody asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostedSilence {
    /// The one to change; none to make a new one.
    pub id: Option<String>,
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// From when on, Unix milliseconds; a time that is past means now.
    pub starts_at_ms: i64,
    /// Until when, Unix milliseconds.
    pub ends_at_ms: i64,
    /// Who asks.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// Whether it ends as soon as its alerts are resolved, at `ends_at_ms` at the latest.
    pub until_resolved: bool,
}

/// Why a silence was not made, changed or ended.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SilenceError {
    /// There is none of this id.
    #[error("silence not found")]
    NotFound,
    /// It has no matcher.
    #[error("at least one matcher required")]
    NoMatchers,
    /// It would match alerts that have none of its labels.
    #[error("at least one matcher must not match the empty string")]
    MatchesEmpty,
    /// A matcher has no label name.
    #[error("invalid label name {0:?}")]
    LabelName(String),
    /// It would end before it begins.
    #[error("start time must be before end time")]
    Reversed,
    /// It would have ended already.
    #[error("end time can't be in the past")]
    EndInPast,
    /// There are too many.
    #[error("exceeded maximum number of silences: {count} (limit: {limit}, max_silences)")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many may be.
        limit: usize,
    },
    /// There are too many schedules.
    #[error("exceeded maximum number of recurring silences: {count} (limit: {limit}, max_recurring)")]
    TooManyRecurring {
        /// How many there are.
        count: usize,
        /// How many may be.
        limit: usize,
    },
    /// It is too large.
    #[error("silence exceeded maximum size: {bytes} bytes (limit: {limit} bytes, max_silence_bytes)")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
    /// Its regular expressions, or those of all silences, are too large.
    #[error("regular expressions compile to {states} states (limit: {limit}, {name})")]
    RegexTooLarge {
        /// How many states they would have.
        states: usize,
        /// How many they may have.
        limit: usize,
        /// The limit's name.
        name: &'static str,
    },
    /// The schedule of a recurring silence makes no sense.
    #[error("{0}")]
    Schedule(String),
    /// It holds, but would be forgotten if Reba ended now.
    #[error("the silence holds, but could not be saved: {0}")]
    NotSaved(String),
}

/// What every silence needs of its matchers and its size.
fn check(matchers: &[Matcher], texts: &[&str], max_bytes: usize) -> Result<(), SilenceError> {
    if matchers.is_empty() {
        return Err(SilenceError::NoMatchers);
    }
    if let Some(m) = matchers.iter().find(|m| m.name.is_empty()) {
        return Err(SilenceError::LabelName(m.name.clone()));
    }
    if matchers.iter().all(Matcher::matches_empty) {
        return Err(SilenceError::MatchesEmpty);
    }
    let matcher_bytes: usize = matchers.iter().map(|m| m.name.len() + m.value.len()).sum();
    let bytes = matcher_bytes + texts.iter().map(|t| t.len()).sum::<usize>();
    if bytes > max_bytes {
        return Err(SilenceError::TooLarge { bytes, limit: max_bytes });
    }
    let states = regex_states(matchers);
    if states > MAX_SILENCE_STATES {
        let (limit, name) = (MAX_SILENCE_STATES, "MAX_SILENCE_STATES");
        return Err(SilenceError::RegexTooLarge { states, limit, name });
    }
    Ok(())
}

/// States that the regular expressions of one silence may compile to, some 30 bytes each.
const MAX_SILENCE_STATES: usize = 50_000;

/// States of all expressions of a silence.
fn regex_states(matchers: &[Matcher]) -> usize {
    matchers.iter().filter_map(Matcher::regex).map(GoRegex::size).sum()
}

/// A random UUID (version 4) from 16 random bytes.
pub(crate) fn uuid(random: u128) -> String {
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_of_version_four() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}

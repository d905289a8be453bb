//! Recurring silences: a schedule that makes ordinary silences, so that everything which knows silences knows these, too.

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use reba_model::Matcher;
use serde::{Deserialize, Serialize};

use super::{SilenceError, check};
use crate::config::{Millis, TimeInterval, TimeIntervalSection, minute_of_day, zone};

/// How long one silence of a schedule may last.
const MAX_DURATION_MS: i64 = 31 * 24 * 3_600_000;

/// How many days ahead the next silence is looked for: the 29th of February comes back after eight years at the latest.
const MAX_LOOK_AHEAD_DAYS: i32 = 9 * 366;

/// When a schedule makes a silence: on these days, at this time, for so long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleSection {
    /// The time of day, `HH:MM`.
    pub at: String,
    /// How long, `2h`; it may go past midnight.
    pub duration: String,
    /// `monday:friday`; any if none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weekdays: Option<Vec<String>>,
    /// `1:5`, `-1`; any if none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_of_month: Option<Vec<String>>,
    /// `may:august`; any if none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub months: Option<Vec<String>>,
    /// The time zone, by its name; UTC if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// A checked schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    section: ScheduleSection,
    minute: i32,
    duration_ms: i64,
    days: TimeInterval,
    zone: TimeZone,
}

impl Schedule {
    /// Checks a schedule.
    pub fn new(section: ScheduleSection) -> Result<Self, String> {
        let minute = minute_of_day(&section.at)?;
        if minute >= 24 * 60 {
            return Err("a silence begins at 23:59 at the latest".to_owned());
        }
        let duration_ms = reba_model::duration::parse(&section.duration).map_err(|e| e.to_string())?;
        if !(60_000..=MAX_DURATION_MS).contains(&duration_ms) {
            let max = Millis(MAX_DURATION_MS);
            return Err(format!(
                "a silence of a schedule lasts from 1m to {max}, not {}",
                Millis(duration_ms)
            ));
        }
        let days = TimeInterval::new(&TimeIntervalSection {
            weekdays: section.weekdays.clone(),
            days_of_month: section.days_of_month.clone(),
            months: section.months.clone(),
            ..TimeIntervalSection::default()
        })?;
        let zone = zone(section.location.as_deref())?;
        Ok(Schedule { section, minute, duration_ms, days, zone })
    }

    /// The schedule as it was written.
    pub fn section(&self) -> &ScheduleSection {
        &self.section
    }

    /// The first silence that begins after `after_ms` (if given) and ends after `now_ms`: its beginning and its end, Unix milliseconds.
    pub fn next(&self, after_ms: Option<i64>, now_ms: i64) -> Option<(i64, i64)> {
        let from = Timestamp::from_millisecond(now_ms.checked_sub(self.duration_ms)?).ok()?;
        let mut date = from.to_zoned(self.zone.clone()).date();
        for _ in 0..MAX_LOOK_AHEAD_DAYS {
            if self.days.has_date(date)
                && let Some(start) = self.start_on(date)
            {
                let end = start + self.duration_ms;
                if end > now_ms && after_ms.is_none_or(|after| start > after) {
                    return Some((start, end));
                }
            }
            date = date.checked_add(1.day()).ok()?;
        }
        None
    }

    /// Where the clocks jump over the time, the silence begins as much later.
    fn start_on(&self, date: Date) -> Option<i64> {
        let (hour, minute) = (self.minute / 60, self.minute % 60);
        let at = date.at(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0);
        Some(at.to_zoned(self.zone.clone()).ok()?.timestamp().as_millisecond())
    }
}

/// A schedule of silences.
#[derive(Clone, Debug, PartialEq)]
pub struct RecurringSilence {
    /// A UUID.
    pub id: String,
    /// The matchers of its silences.
    pub matchers: Vec<Matcher>,
    /// When.
    pub schedule: Schedule,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// When it was made or changed, Unix milliseconds.
    pub updated_at_ms: i64,
    /// The beginning of the last silence that it made, Unix milliseconds.
    pub last_start_ms: Option<i64>,
}

/// A schedule as somebody asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostedRecurring {
    /// The one to replace; none to make a new one.
    pub id: Option<String>,
    /// The matchers of its silences.
    pub matchers: Vec<Matcher>,
    /// When.
    pub schedule: ScheduleSection,
    /// Who asks.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

impl RecurringSilence {
    /// Checks a schedule that somebody asks for.
    pub(crate) fn new(
        posted: &PostedRecurring,
        id: String,
        now_ms: i64,
        max_bytes: usize,
    ) -> Result<Self, SilenceError> {
        check(&posted.matchers, &[&posted.created_by, &posted.comment], max_bytes)?;
        let schedule = Schedule::new(posted.schedule.clone()).map_err(SilenceError::Schedule)?;
        Ok(RecurringSilence {
            id,
            matchers: posted.matchers.clone(),
            schedule,
            created_by: posted.created_by.clone(),
            comment: posted.comment.clone(),
            updated_at_ms: now_ms,
            last_start_ms: None,
        })
    }

    /// The silence that it makes next: beginning and end, Unix milliseconds.
    pub fn next(&self, now_ms: i64) -> Option<(i64, i64)> {
        self.schedule.next(self.last_start_ms, now_ms)
    }
}

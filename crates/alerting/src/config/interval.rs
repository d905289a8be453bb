//! Time intervals: when a route is mute, or when it may speak.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::sections::{TimeIntervalSection, TimesSection};

/// The latest minute of a day, as the end of a range.
const MINUTES_OF_DAY: i32 = 24 * 60;

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A range of numbers, both ends included.
type Range = (i32, i32);

/// A checked interval. A list that is empty holds at any time.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeInterval {
    /// Minutes of the day, the end excluded.
    times: Vec<Range>,
    /// From Sunday, which is 0.
    weekdays: Vec<Range>,
    /// From 1, or from -1 backwards from the end of the month.
    days_of_month: Vec<Range>,
    /// From 1.
    months: Vec<Range>,
    years: Vec<Range>,
    zone: TimeZone,
}

impl TimeInterval {
    /// Checks an interval. The error says what is wrong, in upstream's words.
    pub fn new(section: &TimeIntervalSection) -> Result<Self, String> {
        Ok(TimeInterval {
            times: section.times.iter().flatten().map(times).collect::<Result<_, _>>()?,
            weekdays: each(section.weekdays.as_deref(), weekdays)?,
            days_of_month: each(section.days_of_month.as_deref(), days_of_month)?,
            months: each(section.months.as_deref(), months)?,
            years: each(section.years.as_deref(), years)?,
            zone: zone(section.location.as_deref())?,
        })
    }

    /// Whether a moment (Unix milliseconds) lies within the interval.
    pub fn contains(&self, now_ms: i64) -> bool {
        let Ok(now) = Timestamp::from_millisecond(now_ms) else { return false };
        let now = now.to_zoned(self.zone.clone());
        let minute = i32::from(now.hour()) * 60 + i32::from(now.minute());
        self.has_date(now.date())
            && (self.times.is_empty() || self.times.iter().any(|(a, b)| (*a..*b).contains(&minute)))
    }

    /// Whether a day belongs to the interval, whatever the time.
    pub(crate) fn has_date(&self, date: Date) -> bool {
        within(&self.weekdays, i32::from(date.weekday().to_sunday_zero_offset()))
            && within(&self.months, i32::from(date.month()))
            && within(&self.years, i32::from(date.year()))
            && (self.days_of_month.is_empty()
                || self.days_of_month.iter().any(|r| has_day_of_month(*r, date)))
    }
}

fn within(ranges: &[Range], n: i32) -> bool {
    ranges.is_empty() || ranges.iter().any(|(a, b)| (*a..=*b).contains(&n))
}

/// A range that begins behind the end of the month is skipped, one that ends there is cut.
fn has_day_of_month((begin, end): Range, date: Date) -> bool {
    let days = i32::from(date.days_in_month());
    let from_end = |n: i32| if n < 0 { days + n + 1 } else { n };
    let (begin, end) = (from_end(begin), from_end(end));
    begin <= days && (begin..=end).contains(&i32::from(date.day()))
}

/// Looks a time zone up by its name.
pub(crate) fn zone(name: Option<&str>) -> Result<TimeZone, String> {
    match name {
        None | Some("" | "UTC") => Ok(TimeZone::UTC),
        Some("Local") => Ok(TimeZone::system()),
        Some(name) => TimeZone::get(name).map_err(|_| format!("unknown time zone {name}")),
    }
}

fn each(list: Option<&[String]>, read: fn(&str) -> Result<Range, String>) -> Result<Vec<Range>, String> {
    list.unwrap_or_default().iter().map(|text| read(&text.to_lowercase())).collect()
}

fn times(section: &TimesSection) -> Result<Range, String> {
    let TimesSection { start_time, end_time } = section;
    if start_time.is_empty() || end_time.is_empty() {
        return Err("both start and end times must be provided".to_owned());
    }
    let (start, end) = (minute_of_day(start_time)?, minute_of_day(end_time)?);
    if start >= end {
        return Err("start time cannot be equal or greater than end time".to_owned());
    }
    Ok((start, end))
}

/// `HH:MM`, two digits each, up to `24:00`.
pub(crate) fn minute_of_day(text: &str) -> Result<i32, String> {
    let bad = || format!("couldn't parse timestamp {text}, invalid format");
    let two = |s: &str| -> Option<i32> {
        (s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit())).then(|| s.parse().ok()).flatten()
    };
    let (hour, minute) = text.split_once(':').ok_or_else(bad)?;
    match (two(hour), two(minute)) {
        (Some(h @ 0..=23), Some(m @ 0..=59)) => Ok(h * 60 + m),
        (Some(24), Some(0)) => Ok(MINUTES_OF_DAY),
        _ => Err(bad()),
    }
}

/// `a` or `a:b`.
fn range(text: &str, member: impl Fn(&str) -> Result<i32, String>) -> Result<Range, String> {
    match text.split_once(':') {
        None => member(text).map(|n| (n, n)),
        Some((_, b)) if b.contains(':') => Err(format!("couldn't parse range {text}, invalid format")),
        Some((a, b)) => Ok((member(a)?, member(b)?)),
    }
}

fn number(text: &str) -> Result<i32, String> {
    text.parse().map_err(|_| format!("{text:?} is not a valid number"))
}

fn weekdays(text: &str) -> Result<Range, String> {
    let member = |s: &str| {
        let place = WEEKDAYS.iter().position(|d| *d == s);
        place.map(|n| n as i32).ok_or_else(|| format!("{s} is not a valid weekday"))
    };
    let (begin, end) = range(text, member)?;
    if begin > end { Err("start day cannot be before end day".to_owned()) } else { Ok((begin, end)) }
}

fn months(text: &str) -> Result<Range, String> {
    let member = |s: &str| match MONTHS.iter().position(|m| *m == s) {
        Some(n) => Ok(n as i32 + 1),
        None => s.parse().map_err(|_| format!("{s} is not a valid month")),
    };
    let (begin, end) = range(text, member)?;
    if begin > end {
        return Err(format!("end month {end} is before start month {begin}"));
    }
    Ok((begin, end))
}

fn years(text: &str) -> Result<Range, String> {
    let (begin, end) = range(text, number)?;
    if begin > end {
        return Err(format!("end year {end} is before start year {begin}"));
    }
    Ok((begin, end))
}

fn days_of_month(text: &str) -> Result<Range, String> {
    let (begin, end) = range(text, number)?;
    for n in [begin, end] {
        if n == 0 || !(-31..=31).contains(&n) {
            return Err(format!("{n} is not a valid day of the month: out of range"));
        }
    }
    if begin < 0 && end > 0 {
        return Err("end day must be negative if start day is negative".to_owned());
    }
    // What can be said of every month: the shortest has 28 days.
    let at_least = |n: i32| if n < 0 { 28 + n } else { n };
    if at_least(begin) > at_least(end) {
        return Err(format!("end day {end} is always before start day {begin}"));
    }
    Ok((begin, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn interval(edit: impl FnOnce(&mut TimeIntervalSection)) -> Result<TimeInterval, String> {
        let mut section = TimeIntervalSection::default();
        edit(&mut section);
        TimeInterval::new(&section)
    }

    fn list(text: &str) -> Option<Vec<String>> {
        (!text.is_empty()).then(|| vec![text.to_owned()])
    }

    fn hours(from: &str, to: &str) -> Vec<TimesSection> {
        vec![TimesSection { start_time: from.to_owned(), end_time: to.to_owned() }]
    }

    #[test]
    fn the_examples_of_upstream_hold() {
        let saturday = ms("2023-11-18T23:59:00Z");
        let last = ms("2023-11-30T12:00:00Z");
        for (interval, want) in [
            (interval(|_| {}), (true, true)),
            (interval(|s| s.weekdays = list("Saturday")), (true, false)),
            (interval(|s| s.times = Some(hours("18:00", "24:00"))), (true, false)),
            (interval(|s| s.days_of_month = list("-1")), (false, true)),
            (interval(|s| s.days_of_month = list("31")), (false, false)),
            (interval(|s| s.days_of_month = list("29:31")), (false, true)),
            (interval(|s| s.months = list("october:11")), (true, true)),
            (interval(|s| s.years = list("2024:2025")), (false, false)),
        ] {
            let interval = interval.unwrap();
            assert_eq!((interval.contains(saturday), interval.contains(last)), want, "{interval:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for broken in [
            interval(|s| s.weekdays = list("saturday:sunday")),
            interval(|s| s.weekdays = list("6")),
            interval(|s| s.times = Some(hours("22:00", "06:00"))),
            interval(|s| s.times = Some(hours("6:00", "07:00"))),
            interval(|s| s.times = Some(hours("06:00", "24:01"))),
            interval(|s| s.times = Some(hours("", "24:00"))),
            interval(|s| s.days_of_month = list("0")),
            interval(|s| s.days_of_month = list("-3:5")),
            interval(|s| s.days_of_month = list("20:-15")),
            interval(|s| s.days_of_month = list("1:2:3")),
            interval(|s| s.months = list("may:april")),
            interval(|s| s.years = list("x")),
            interval(|s| s.location = Some("Middle/Earth".to_owned())),
        ] {
            assert!(broken.is_err(), "{broken:?}");
        }
    }

    #[test]
    fn an_interval_follows_its_zone_through_the_change_of_the_clocks() {
        let office = interval(|s| {
            s.times = Some(hours("09:00", "17:00"));
            s.weekdays = list("monday:friday");
            s.location = Some("Europe/Berlin".to_owned());
        })
        .unwrap();
        // Winter is one hour ahead of UTC, summer two.
        for (time, want) in [
            ("2026-01-12T07:59:00Z", false),
            ("2026-01-12T08:00:00Z", true),
            ("2026-01-12T15:59:59Z", true),
            ("2026-01-12T16:00:00Z", false),
            ("2026-07-13T06:59:00Z", false),
            ("2026-07-13T07:00:00Z", true),
            ("2026-07-12T08:00:00Z", false),
        ] {
            assert_eq!(office.contains(ms(time)), want, "{time}");
        }
    }
}

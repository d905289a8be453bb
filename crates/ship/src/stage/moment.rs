//! `timestamp`: when a line was written, read from the line.

use std::{collections::HashMap, sync::OnceLock};

use jiff::{Timestamp as Instant, tz::TimeZone};
use reba_model::Labels;
use reba_template::{Time, TimeFields};

use super::{Context, Flow};
use crate::entry::Entry;

/// Label sets whose last time is kept for `fudge`.
const MAX_FUDGED: usize = 10_000;

/// How a time is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Format {
    /// Whole units since 1970 (with a fraction for seconds); how many nanoseconds one has.
    Unix(i64),
    /// A layout of Go.
    Layout(String),
    /// Whatever it looks like.
    Auto,
}

const RFC3339: &str = "2006-01-02T15:04:05Z07:00";

/// Layouts of lines whose format nobody has said, with the name they are counted under.
const GUESSES: [(&str, &str); 6] = [
    ("RFC3339", RFC3339),
    ("date_time", "2006-01-02 15:04:05Z07:00"),
    ("date_time", "2006-01-02 15:04:05"),
    ("RFC3164", "Jan _2 15:04:05"),
    ("CLF", "02/Jan/2006:15:04:05 -0700"),
    ("RFC1123", "Mon, 02 Jan 2006 15:04:05 MST"),
];

impl Format {
    /// The format of a name or a layout.
    pub fn parse(text: &str) -> Self {
        let layout = match text {
            "Unix" => return Format::Unix(1_000_000_000),
            "UnixMs" => return Format::Unix(1_000_000),
            "UnixUs" => return Format::Unix(1_000),
            "UnixNs" => return Format::Unix(1),
            "auto" => return Format::Auto,
            "ANSIC" => "Mon Jan _2 15:04:05 2006",
            "UnixDate" => "Mon Jan _2 15:04:05 MST 2006",
            "RubyDate" => "Mon Jan 02 15:04:05 -0700 2006",
            "RFC822" => "02 Jan 06 15:04 MST",
            "RFC822Z" => "02 Jan 06 15:04 -0700",
            "RFC850" => "Monday, 02-Jan-06 15:04:05 MST",
            "RFC1123" => "Mon, 02 Jan 2006 15:04:05 MST",
            "RFC1123Z" => "Mon, 02 Jan 2006 15:04:05 -0700",
            "RFC3339" => RFC3339,
            "RFC3339Nano" => "2006-01-02T15:04:05.999999999Z07:00",
            layout => layout,
        };
        Format::Layout(layout.to_owned())
    }

    /// Unix nanoseconds; `now_ns` tells the year where the text has none.
    fn read(&self, text: &str, zone: &TimeZone, now_ns: i64) -> Option<i64> {
        match self {
            Format::Unix(unit) => unix(text, *unit),
            Format::Layout(layout) => by_layout(layout, text, zone, now_ns),
            Format::Auto => guess(text, zone, now_ns).map(|(ns, _)| ns),
        }
    }
}

/// Units since 1970, which may have a fraction.
fn unix(text: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let negative = whole.starts_with('-');
    let whole: i64 = whole.parse().ok()?;
    if fraction.len() > 18 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = if fraction.is_empty() { 0 } else { fraction.parse::<i64>().ok()? };
    let scale = 10i128.pow(fraction.len() as u32);
    let part = i64::try_from(i128::from(digits) * i128::from(unit) / scale).ok()?;
    whole.checked_mul(unit)?.checked_add(if negative { -part } else { part })
}

fn by_layout(layout: &str, text: &str, zone: &TimeZone, now_ns: i64) -> Option<i64> {
    let mut fields = TimeFields::parse(layout, text).ok()?;
    if fields.year.is_none() {
        fields.year = Some(likely_year(fields.month.unwrap_or(1), now_ns)?);
    }
    i64::try_from(fields.moment(zone)?.unix_nanos()).ok()
}

/// This year, but last year for December read in January, and next year for January read in December.
fn likely_year(month: i8, now_ns: i64) -> Option<i16> {
    let now = Instant::from_nanosecond(i128::from(now_ns)).ok()?.to_zoned(TimeZone::UTC);
    Some(match (month, now.month()) {
        (12, 1) => now.year() - 1,
        (1, 12) => now.year() + 1,
        _ => now.year(),
    })
}

/// The time of a text of unknown format, with the name of what it looks like.
pub(crate) fn guess(text: &str, zone: &TimeZone, now_ns: i64) -> Option<(i64, &'static str)> {
    let text = text.trim();
    let digits = text.split('.').next().unwrap_or_default();
    if digits.len() >= 9 && digits.bytes().all(|b| b.is_ascii_digit()) {
        let (unit, name) = match digits.len() {
            9..=11 => (1_000_000_000, "Unix"),
            12..=14 => (1_000_000, "UnixMs"),
            15..=17 => (1_000, "UnixUs"),
            _ => (1, "UnixNs"),
        };
        return unix(text, unit).map(|ns| (ns, name));
    }
    GUESSES.iter().find_map(|(name, layout)| Some((by_layout(layout, text, zone, now_ns)?, *name)))
}

/// `timestamp`
#[derive(Debug)]
pub(crate) struct Timestamp {
    pub source: String,
    pub formats: Vec<Format>,
    pub zone: TimeZone,
    /// Whether a failure takes the last time of the stream and a nanosecond.
    pub fudge: bool,
    pub last: HashMap<Labels, (i64, u64)>,
    pub uses: u64,
    pub warned: OnceLock<()>,
}

impl Timestamp {
    /// A stage that reads RFC 3339 and leaves what is none alone.
    pub fn rfc3339(source: &str) -> Self {
        Timestamp::new(source, vec![Format::Layout(RFC3339.to_owned())], TimeZone::UTC, false)
    }

    pub fn new(source: &str, formats: Vec<Format>, zone: TimeZone, fudge: bool) -> Self {
        let source = source.to_owned();
        Timestamp { source, formats, zone, fudge, last: HashMap::new(), uses: 0, warned: OnceLock::new() }
    }

    pub fn apply(&mut self, entry: &mut Entry, cx: &mut Context<'_>) -> Flow {
        let text = entry.extracted.text(&self.source);
        if let Some(ns) = text.as_deref().and_then(|t| self.read(t, cx)) {
            entry.ns = ns;
            self.remember(entry);
            return Flow::Next;
        }
        if self.fudge
            && let Some((last, _)) = self.last.get(&entry.labels)
        {
            entry.ns = last.saturating_add(1);
            self.remember(entry);
        }
        Flow::Missed
    }

    fn read(&self, text: &str, cx: &mut Context<'_>) -> Option<i64> {
        if let Some(ns) = self.formats.iter().find_map(|f| f.read(text, &self.zone, cx.now_ns)) {
            return Some(ns);
        }
        let (ns, name) = guess(text, &self.zone, cx.now_ns)?;
        cx.counters.timestamp_fallback(cx.job, name);
        if self.warned.set(()).is_ok() {
            tracing::warn!(
                job = cx.job, source = %self.source, looks_like = name,
                "times are not in the format that the configuration names; they are read as what they look like"
            );
        }
        Some(ns)
    }

    fn remember(&mut self, entry: &Entry) {
        if !self.fudge {
            return;
        }
        self.uses += 1;
        if self.last.len() >= MAX_FUDGED && !self.last.contains_key(&entry.labels) {
            let long_ago = self.uses.saturating_sub(MAX_FUDGED as u64 / 2);
            self.last.retain(|_, (_, used)| *used > long_ago);
        }
        self.last.insert(entry.labels.clone(), (entry.ns, self.uses));
    }
}

/// The zone of a name; `None` if there is none of that name.
pub(crate) fn zone(name: &str) -> Option<TimeZone> {
    match name {
        "" | "UTC" => Some(TimeZone::UTC),
        "Local" => Some(TimeZone::system()),
        name => TimeZone::get(name).ok(),
    }
}

/// Unix nanoseconds of a time of syslog, of either form; the old one is taken for UTC.
pub(crate) fn syslog_ns(text: &str, now_ns: i64) -> Option<i64> {
    moment_ns(text).or_else(|| by_layout("Jan _2 15:04:05", text, &TimeZone::UTC, now_ns))
}

/// Unix nanoseconds of a time of Docker or CRI.
pub(crate) fn moment_ns(text: &str) -> Option<i64> {
    i64::try_from(Time::parse(RFC3339, text, None).ok()?.unix_nanos()).ok()
}

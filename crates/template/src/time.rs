//! Go's `time.Time` and `time.Duration` as templates see them.

use std::fmt::Write as _;

use jiff::{Timestamp, Zoned, tz::TimeZone};

use crate::value::{Object, Value};

/// A `time.Time`.
#[derive(Clone, Debug)]
pub struct Time(Zoned);

/// A `time.Duration`, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duration(pub i64);

impl Time {
    /// A moment in UTC; `None` outside the years -9999 to 9999.
    pub fn from_unix_ms(ms: i64) -> Option<Self> {
        Some(Time(Timestamp::from_millisecond(ms).ok()?.to_zoned(TimeZone::UTC)))
    }

    /// The same moment in another time zone.
    pub fn in_zone(&self, zone: TimeZone) -> Self {
        Time(self.0.with_time_zone(zone))
    }

    pub(crate) fn from_zoned(zoned: Zoned) -> Self {
        Time(zoned)
    }

    /// The moment a value of a template is, if it is one.
    pub fn of(value: &Value) -> Option<Self> {
        let ns = other_time(value)?;
        Some(Time(Timestamp::from_nanosecond(ns).ok()?.to_zoned(TimeZone::UTC)))
    }

    /// Unix nanoseconds.
    pub fn unix_nanos(&self) -> i128 {
        self.unix_ns()
    }

    fn unix_ns(&self) -> i128 {
        self.0.timestamp().as_nanosecond()
    }

    fn plus(&self, d: Duration) -> Option<Self> {
        let moment = Timestamp::from_nanosecond(self.unix_ns() + i128::from(d.0)).ok()?;
        Some(Time(moment.to_zoned(self.0.time_zone().clone())))
    }

    /// Formats by a layout of Go: `2006-01-02T15:04:05Z07:00`.
    pub fn format(&self, layout: &str) -> String {
        let mut out = String::new();
        let mut rest = layout;
        while !rest.is_empty() {
            let (verb, len) = next_verb(rest);
            if verb.is_empty() {
                let c = rest.chars().next().map_or(1, char::len_utf8);
                out.push_str(&rest[..c]);
                rest = &rest[c..];
                continue;
            }
            self.write_verb(&mut out, verb, &rest[..len]);
            rest = &rest[len..];
        }
        out
    }

    fn write_verb(&self, out: &mut String, verb: &str, text: &str) {
        let t = &self.0;
        let hour12 = if t.hour() % 12 == 0 { 12 } else { t.hour() % 12 };
        let month = MONTHS[(t.month() as usize).clamp(1, 12) - 1];
        let weekday = WEEKDAYS[t.weekday().to_sunday_zero_offset() as usize % 7];
        let written = match verb {
            "January" => write!(out, "{month}"),
            "Jan" => write!(out, "{}", &month[..3]),
            "01" => write!(out, "{:02}", t.month()),
            "1" => write!(out, "{}", t.month()),
            "Monday" => write!(out, "{weekday}"),
            "Mon" => write!(out, "{}", &weekday[..3]),
            "MST" => write!(out, "{}", self.zone_name()),
            "2006" => write!(out, "{:04}", t.year()),
            "06" => write!(out, "{:02}", t.year().rem_euclid(100)),
            "002" => write!(out, "{:03}", t.day_of_year()),
            "__2" => write!(out, "{:>3}", t.day_of_year()),
            "02" => write!(out, "{:02}", t.day()),
            "_2" => write!(out, "{:>2}", t.day()),
            "2" => write!(out, "{}", t.day()),
            "15" => write!(out, "{:02}", t.hour()),
            "03" => write!(out, "{hour12:02}"),
            "3" => write!(out, "{hour12}"),
            "04" => write!(out, "{:02}", t.minute()),
            "4" => write!(out, "{}", t.minute()),
            "05" => write!(out, "{:02}", t.second()),
            "5" => write!(out, "{}", t.second()),
            "PM" => write!(out, "{}", if t.hour() >= 12 { "PM" } else { "AM" }),
            "pm" => write!(out, "{}", if t.hour() >= 12 { "pm" } else { "am" }),
            "fraction" => write!(out, "{}", fraction(t.subsec_nanosecond() as u32, text)),
            zone => write!(out, "{}", offset(t.offset().seconds(), zone)),
        };
        // Writing to a text cannot fail.
        debug_assert!(written.is_ok());
    }

    fn zone_name(&self) -> String {
        self.0.time_zone().to_offset_info(self.0.timestamp()).abbreviation().to_owned()
    }
}

pub(crate) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(crate) const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Layout elements, longer ones before their beginnings.
const VERBS: [&str; 33] = [
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "2006",
    "002",
    "__2",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "15",
    "PM",
    "pm",
    "-07:00:00",
    "-070000",
    "-07:00",
    "-0700",
    "-07",
    "Z07:00:00",
    "Z070000",
    "Z07:00",
    "Z0700",
    "Z07",
    "_2",
    "1",
    "2",
    "3",
    "4",
    "5",
];

/// The layout element that `s` begins with, and its length; an empty one if it begins with plain text.
pub(crate) fn next_verb(s: &str) -> (&'static str, usize) {
    if let Some(digits) = s.strip_prefix(['.', ',']) {
        let zeros = digits.bytes().take_while(|b| *b == b'0').count();
        let nines = digits.bytes().take_while(|b| *b == b'9').count();
        let n = zeros.max(nines);
        if n > 0 && !digits[n..].starts_with(|c: char| c.is_ascii_digit()) {
            return ("fraction", n + 1);
        }
        return ("", 0);
    }
    // `_2006` is a blank and a year.
    if s.starts_with("_2006") {
        return ("", 0);
    }
    match VERBS.iter().find(|v| s.starts_with(**v)) {
        // `Jan` and `Mon` inside longer lower-case words are plain text.
        Some(v @ (&"Jan" | &"Mon")) if s[v.len()..].starts_with(|c: char| c.is_ascii_lowercase()) => ("", 0),
        Some(v) => (v, v.len()),
        None => ("", 0),
    }
}

fn fraction(nanos: u32, text: &str) -> String {
    let digits = format!("{nanos:09}");
    let n = (text.len() - 1).min(9);
    let (point, body) = (&text[..1], &digits[..n]);
    if text.as_bytes().get(1) == Some(&b'0') {
        return format!("{point}{body}{}", "0".repeat((text.len() - 1 - n).min(9)));
    }
    let body = body.trim_end_matches('0');
    if body.is_empty() { String::new() } else { format!("{point}{body}") }
}

fn offset(seconds: i32, verb: &str) -> String {
    if verb.starts_with('Z') && seconds == 0 {
        return "Z".to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let s = seconds.unsigned_abs();
    let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
    match &verb[1..] {
        "07" => format!("{sign}{h:02}"),
        "0700" => format!("{sign}{h:02}{m:02}"),
        "070000" => format!("{sign}{h:02}{m:02}{s:02}"),
        "07:00:00" => format!("{sign}{h:02}:{m:02}:{s:02}"),
        _ => format!("{sign}{h:02}:{m:02}"),
    }
}

/// How `time.Time` prints itself.
const STRING_LAYOUT: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

impl Object for Time {
    fn type_name(&self) -> &'static str {
        "time.Time"
    }

    fn text(&self) -> Option<String> {
        Some(self.format(STRING_LAYOUT))
    }

    fn method(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        let t = &self.0;
        let int = |n: i64| Value::Int(n);
        let ns = self.unix_ns();
        let no_args = match name {
            "String" => Value::from(self.format(STRING_LAYOUT)),
            "UTC" => Value::object(self.in_zone(TimeZone::UTC)),
            "Unix" => int(ns.div_euclid(1_000_000_000) as i64),
            "UnixMilli" => int(ns.div_euclid(1_000_000) as i64),
            "UnixMicro" => int(ns.div_euclid(1_000) as i64),
            "UnixNano" => int(ns as i64),
            "Year" => int(i64::from(t.year())),
            "Month" => Value::object(Named(
                "time.Month",
                MONTHS[(t.month() as usize).clamp(1, 12) - 1],
                t.month().into(),
            )),
            "Day" => int(i64::from(t.day())),
            "Hour" => int(i64::from(t.hour())),
            "Minute" => int(i64::from(t.minute())),
            "Second" => int(i64::from(t.second())),
            "Nanosecond" => int(i64::from(t.subsec_nanosecond())),
            "YearDay" => int(i64::from(t.day_of_year())),
            "Weekday" => {
                let day = t.weekday().to_sunday_zero_offset();
                Value::object(Named("time.Weekday", WEEKDAYS[day as usize % 7], day.into()))
            }
            "IsZero" => Value::Bool(ns == ZERO_TIME_NS),
            _ => return self.method_with_argument(name, args),
        };
        Some(if args.is_empty() { Ok(no_args) } else { Err(wrong_count(0, args)) })
    }
}

/// Go's zero time, the first of January of the year 1.
const ZERO_TIME_NS: i128 = -62_135_596_800_000_000_000;

fn wrong_count(want: usize, args: &[Value]) -> String {
    format!("wrong number of args: want {want} got {}", args.len())
}

impl Time {
    fn method_with_argument(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        if !matches!(name, "Format" | "Add" | "Sub" | "Before" | "After" | "Equal") {
            return None;
        }
        let [arg] = args else { return Some(Err(wrong_count(1, args))) };
        let wrong = |expected: &str| {
            Err(format!("wrong type for value; expected {expected}; got {}", arg.type_name()))
        };
        Some(match name {
            "Format" => match arg.as_str() {
                Some(layout) => Ok(Value::from(self.format(&layout))),
                None => wrong("string"),
            },
            "Add" => match arg.plain() {
                Value::Int(ns) => {
                    self.plus(Duration(ns)).map(Value::object).ok_or_else(|| "time out of range".to_owned())
                }
                _ => wrong("time.Duration"),
            },
            _ => match other_time(arg) {
                Some(other) => {
                    let ns = self.unix_ns();
                    Ok(match name {
                        "Before" => Value::Bool(ns < other),
                        "After" => Value::Bool(ns > other),
                        "Equal" => Value::Bool(ns == other),
                        _ => {
                            let clamped = (ns - other).clamp(i64::MIN.into(), i64::MAX.into());
                            Value::object(Duration(clamped as i64))
                        }
                    })
                }
                None => wrong("time.Time"),
            },
        })
    }
}

/// The moment of another time, through the methods every object has.
fn other_time(value: &Value) -> Option<i128> {
    let Value::Object(object) = value else { return None };
    if object.type_name() != "time.Time" {
        return None;
    }
    match object.method("UnixNano", &[]) {
        Some(Ok(Value::Int(ns))) => Some(ns.into()),
        _ => None,
    }
}

/// A number with a name (`time.Month`, `time.Weekday`).
struct Named(&'static str, &'static str, i64);

impl Object for Named {
    fn type_name(&self) -> &'static str {
        self.0
    }

    fn underlying(&self) -> Value {
        Value::Int(self.2)
    }

    fn text(&self) -> Option<String> {
        Some(self.1.to_owned())
    }

    fn method(&self, name: &str, _args: &[Value]) -> Option<Result<Value, String>> {
        (name == "String").then(|| Ok(Value::from(self.1)))
    }
}

impl Duration {
    /// As Go prints a duration: `1h2m3.5s`, `1.5ms`, `0s`.
    pub fn format(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let ns = self.0.unsigned_abs();
        let with_fraction = |whole: u64, rest: u64, digits: usize| {
            let fraction = format!("{rest:0digits$}");
            let fraction = fraction.trim_end_matches('0');
            if fraction.is_empty() { whole.to_string() } else { format!("{whole}.{fraction}") }
        };
        if ns == 0 {
            return "0s".to_owned();
        }
        let body = if ns < 1_000 {
            format!("{ns}ns")
        } else if ns < 1_000_000 {
            format!("{}µs", with_fraction(ns / 1_000, ns % 1_000, 3))
        } else if ns < 1_000_000_000 {
            format!("{}ms", with_fraction(ns / 1_000_000, ns % 1_000_000, 6))
        } else {
            let seconds = ns / 1_000_000_000;
            let (h, m) = (seconds / 3600, seconds / 60 % 60);
            let s = with_fraction(seconds % 60, ns % 1_000_000_000, 9);
            match (h, m) {
                (0, 0) => format!("{s}s"),
                (0, m) => format!("{m}m{s}s"),
                (h, m) => format!("{h}h{m}m{s}s"),
            }
        };
        format!("{sign}{body}")
    }
}

impl Object for Duration {
    fn type_name(&self) -> &'static str {
        "time.Duration"
    }

    fn underlying(&self) -> Value {
        Value::Int(self.0)
    }

    fn text(&self) -> Option<String> {
        Some(self.format())
    }

    fn method(&self, name: &str, _args: &[Value]) -> Option<Result<Value, String>> {
        let ns = self.0 as f64;
        Some(Ok(match name {
            "String" => Value::from(self.format()),
            "Hours" => Value::Float(ns / 3.6e12),
            "Minutes" => Value::Float(ns / 6e10),
            "Seconds" => Value::Float(ns / 1e9),
            "Milliseconds" => Value::Int(self.0 / 1_000_000),
            "Microseconds" => Value::Int(self.0 / 1_000),
            "Nanoseconds" => Value::Int(self.0),
            _ => return None,
        }))
    }
}

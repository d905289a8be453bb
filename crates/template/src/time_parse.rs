//! Reading a time by a layout of Go, as `time.Parse` does.

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::{Offset, TimeZone},
};
use reba_model::float::go_quote;

use crate::time::{MONTHS, Time, WEEKDAYS, next_verb};

/// What a text says about a moment; what it does not say is `None`, and the caller knows better what to make of that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeFields {
    /// Year.
    pub year: Option<i16>,
    /// 1 to 12.
    pub month: Option<i8>,
    /// Day of the month.
    pub day: Option<i8>,
    /// Day of the year, from 1.
    pub year_day: Option<i16>,
    /// 0 to 23, afternoons added already.
    pub hour: i8,
    /// Minute.
    pub minute: i8,
    /// Second.
    pub second: i8,
    /// Nanoseconds of the second.
    pub nanosecond: i32,
    /// Seconds east of Greenwich.
    pub offset: Option<i32>,
    /// `UTC`, `CAT`, …
    pub zone: Option<String>,
}

impl TimeFields {
    /// Reads `text` by `layout`.
    ///
    /// # Errors
    /// In Go's words: which part of the text is not what the layout says.
    pub fn parse(layout: &str, text: &str) -> Result<Self, String> {
        let mut reader = Reader { layout, whole: text, rest: text, fields: TimeFields::default(), pm: None };
        reader.read()?;
        reader.finish()
    }

    /// The moment, in `zone` where the text names none that is known; the year 0 and the first of January where it is silent.
    pub fn moment(&self, zone: &TimeZone) -> Option<Time> {
        let year = self.year.unwrap_or(0);
        let date = match (self.year_day, self.month, self.day) {
            (Some(day), None, None) => {
                Date::new(year, 1, 1).ok()?.checked_add(jiff::Span::new().days(i64::from(day) - 1)).ok()?
            }
            (_, month, day) => Date::new(year, month.unwrap_or(1), day.unwrap_or(1)).ok()?,
        };
        let time = jiff::civil::Time::new(self.hour, self.minute, self.second, self.nanosecond).ok()?;
        let zone = match (self.offset, self.zone.as_deref()) {
            (Some(seconds), _) => TimeZone::fixed(Offset::from_seconds(seconds).ok()?),
            (None, Some("UTC" | "GMT" | "Z")) => TimeZone::UTC,
            _ => zone.clone(),
        };
        Some(Time::from_zoned(DateTime::from_parts(date, time).to_zoned(zone).ok()?))
    }
}

impl Time {
    /// Reads `text` by `layout`, in the zone of that name if the text has none, else in UTC.
    pub fn parse(layout: &str, text: &str, zone: Option<&str>) -> Result<Self, String> {
        let zone = match zone {
            None | Some("" | "UTC") => TimeZone::UTC,
            Some("Local") => TimeZone::system(),
            Some(name) => TimeZone::get(name).map_err(|_| format!("unknown time zone {name}"))?,
        };
        let out_of_range = || format!("parsing time {}: out of range", go_quote(text));
        TimeFields::parse(layout, text)?.moment(&zone).ok_or_else(out_of_range)
    }

    /// A moment in UTC.
    pub fn from_unix_ns(ns: i64) -> Option<Self> {
        Timestamp::from_nanosecond(i128::from(ns)).ok().map(|t| Time::from_zoned(t.to_zoned(TimeZone::UTC)))
    }
}

struct Reader<'a> {
    layout: &'a str,
    whole: &'a str,
    rest: &'a str,
    fields: TimeFields,
    pm: Option<bool>,
}

impl Reader<'_> {
    fn fail<T>(&self, element: &str) -> Result<T, String> {
        let (whole, layout) = (go_quote(self.whole), go_quote(self.layout));
        let (rest, element) = (go_quote(self.rest), go_quote(element));
        Err(format!("parsing time {whole} as {layout}: cannot parse {rest} as {element}"))
    }

    fn read(&mut self) -> Result<(), String> {
        let mut layout = self.layout;
        while !layout.is_empty() {
            let (verb, len) = next_verb(layout);
            if verb.is_empty() {
                let c = layout.chars().next().map_or(1, char::len_utf8);
                let literal = &layout[..c];
                if literal == " " {
                    self.rest = self.rest.trim_start_matches(' ');
                } else if let Some(rest) = self.rest.strip_prefix(literal) {
                    self.rest = rest;
                } else {
                    return self.fail(literal);
                }
                layout = &layout[c..];
                continue;
            }
            let behind = &layout[len..];
            if self.element(verb, behind).is_none() {
                return self.fail(&layout[..len]);
            }
            layout = behind;
        }
        if self.rest.is_empty() {
            return Ok(());
        }
        let (whole, rest) = (go_quote(self.whole), go_quote(self.rest));
        Err(format!("parsing time {whole}: extra text: {rest}"))
    }

    /// Between `least` and `most` digits.
    fn digits(&mut self, least: usize, most: usize) -> Option<i64> {
        let n = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if n < least {
            return None;
        }
        let value = self.rest[..n].parse().ok()?;
        self.rest = &self.rest[n..];
        Some(value)
    }

    /// One of the names, or its first three letters; which one.
    fn name(&mut self, names: &[&str], short: bool) -> Option<usize> {
        let len = |name: &str| if short { 3 } else { name.len() };
        let at = names.iter().position(|name| {
            self.rest.get(..len(name)).is_some_and(|t| t.eq_ignore_ascii_case(&name[..len(name)]))
        })?;
        self.rest = &self.rest[len(names[at])..];
        Some(at)
    }

    fn element(&mut self, verb: &str, behind: &str) -> Option<()> {
        match verb {
            "2006" => self.fields.year = Some(self.digits(4, 4)? as i16),
            "06" => {
                let year = self.digits(2, 2)? as i16;
                self.fields.year = Some(if year >= 69 { 1900 + year } else { 2000 + year });
            }
            "January" => self.fields.month = Some(self.name(&MONTHS, false)? as i8 + 1),
            "Jan" => self.fields.month = Some(self.name(&MONTHS, true)? as i8 + 1),
            "01" => self.fields.month = Some(self.digits(2, 2)? as i8),
            "1" => self.fields.month = Some(self.digits(1, 2)? as i8),
            "Monday" => drop(self.name(&WEEKDAYS, false)?),
            "Mon" => drop(self.name(&WEEKDAYS, true)?),
            "02" => self.fields.day = Some(self.digits(2, 2)? as i8),
            "_2" | "2" => {
                self.rest = self.rest.strip_prefix(' ').filter(|_| verb == "_2").unwrap_or(self.rest);
                self.fields.day = Some(self.digits(1, 2)? as i8);
            }
            "002" | "__2" => {
                self.rest = self.rest.trim_start_matches(' ');
                self.fields.year_day = Some(self.digits(1, 3)? as i16);
            }
            "15" => self.fields.hour = self.digits(1, 2)? as i8,
            "03" => self.fields.hour = self.digits(2, 2)? as i8,
            "3" => self.fields.hour = self.digits(1, 2)? as i8,
            "04" => self.fields.minute = self.digits(2, 2)? as i8,
            "4" => self.fields.minute = self.digits(1, 2)? as i8,
            "05" | "5" => {
                self.fields.second = self.digits(if verb == "05" { 2 } else { 1 }, 2)? as i8;
                // A fraction may follow the seconds even where the layout has none.
                if next_verb(behind).0 != "fraction" {
                    self.fraction();
                }
            }
            "fraction" => self.fraction(),
            "PM" | "pm" => {
                let word = self.rest.get(..2)?;
                self.pm = Some(match word.to_ascii_lowercase().as_str() {
                    "pm" => true,
                    "am" => false,
                    _ => return None,
                });
                self.rest = &self.rest[2..];
            }
            "MST" => self.zone_name()?,
            zone => self.offset(zone)?,
        }
        Some(())
    }

    /// `.123`, if it is there.
    fn fraction(&mut self) {
        let Some(digits) = self.rest.strip_prefix(['.', ',']) else { return };
        let n = digits.bytes().take_while(u8::is_ascii_digit).count();
        if n == 0 {
            return;
        }
        let nine = format!("{:0<9}", &digits[..n.min(9)]);
        self.fields.nanosecond = nine.parse().unwrap_or(0);
        self.rest = &digits[n..];
    }

    fn zone_name(&mut self) -> Option<()> {
        let n = self.rest.bytes().take_while(u8::is_ascii_uppercase).count();
        let signed = self.rest.get(n..)?;
        if n == 0 && signed.starts_with(['+', '-']) {
            return self.offset("-07");
        }
        if !(1..=5).contains(&n) {
            return None;
        }
        self.fields.zone = Some(self.rest[..n].to_owned());
        self.rest = signed;
        Some(())
    }

    fn offset(&mut self, verb: &str) -> Option<()> {
        if verb.starts_with('Z')
            && let Some(rest) = self.rest.strip_prefix('Z')
        {
            self.fields.offset = Some(0);
            self.rest = rest;
            return Some(());
        }
        let sign = match self.rest.bytes().next()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.rest = &self.rest[1..];
        let mut seconds = self.digits(2, 2)? * 3600;
        for (part, unit) in verb[1..].split(':').skip(1).zip([60, 1]) {
            self.rest = self.rest.strip_prefix(':')?;
            seconds += self.digits(part.len(), 2)? * unit;
        }
        if verb.ends_with("0700") || verb.ends_with("070000") {
            seconds += self.digits(2, 2)? * 60;
        }
        if verb.ends_with("070000") {
            seconds += self.digits(2, 2)?;
        }
        self.fields.offset = Some(sign * seconds as i32);
        Some(())
    }

    fn finish(mut self) -> Result<TimeFields, String> {
        let f = &mut self.fields;
        match self.pm {
            Some(true) if f.hour < 12 => f.hour += 12,
            Some(false) if f.hour == 12 => f.hour = 0,
            _ => {}
        }
        let what = match f {
            _ if f.month.is_some_and(|m| !(1..=12).contains(&m)) => "month",
            _ if f.day.is_some_and(|d| !(1..=31).contains(&d)) => "day",
            _ if f.year_day.is_some_and(|d| !(1..=366).contains(&d)) => "day-of-year",
            _ if !(0..24).contains(&f.hour) => "hour",
            _ if !(0..60).contains(&f.minute) => "minute",
            _ if !(0..60).contains(&f.second) => "second",
            _ => return Ok(self.fields),
        };
        Err(format!("parsing time {}: {what} out of range", go_quote(self.whole)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unix_ns(layout: &str, text: &str) -> Result<i128, String> {
        Time::parse(layout, text, None).map(|t| t.unix_nanos())
    }

    #[test]
    fn texts_are_read_by_gos_layouts() {
        let base = 1_700_000_000_000_000_000;
        for (layout, text, expected) in [
            ("2006-01-02T15:04:05Z07:00", "2023-11-14T22:13:20Z", base),
            ("2006-01-02T15:04:05Z07:00", "2023-11-14T22:13:20.5Z", base + 500_000_000),
            ("2006-01-02T15:04:05Z07:00", "2023-11-15T00:13:20+02:00", base),
            ("2006-01-02 15:04:05.000", "2023-11-14 22:13:20.123", base + 123_000_000),
            ("2006-01-02 15:04:05,000", "2023-11-14 22:13:20,123", base + 123_000_000),
            ("02/Jan/2006:15:04:05 -0700", "14/Nov/2023:22:13:20 +0000", base),
            ("Mon Jan _2 15:04:05 MST 2006", "Tue Nov 14 22:13:20 UTC 2023", base),
            ("Monday, 02-Jan-06 03:04:05 PM MST", "Tuesday, 14-Nov-23 10:13:20 PM GMT", base),
            ("2006 002 15:04:05", "2023 318 22:13:20", base),
        ] {
            assert_eq!(unix_ns(layout, text), Ok(expected), "{text} by {layout}");
        }
        let kigali = Time::parse("2006-01-02 15:04:05", "2023-11-15 00:13:20", Some("Africa/Kigali"));
        assert_eq!(kigali.unwrap().unix_nanos(), base);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert_eq!(
            unix_ns("2006-01-02", "2023-x1-02"),
            Err(r#"parsing time "2023-x1-02" as "2006-01-02": cannot parse "x1-02" as "01""#.to_owned())
        );
        assert_eq!(
            unix_ns("2006-01-02", "2023-13-02"),
            Err(r#"parsing time "2023-13-02": month out of range"#.to_owned())
        );
        assert_eq!(unix_ns("2006", "2023x"), Err(r#"parsing time "2023x": extra text: "x""#.to_owned()));
        let fields = TimeFields::parse("Jan _2 15:04:05", "Nov  2 22:13:20").unwrap();
        assert_eq!((fields.year, fields.month, fields.day, fields.hour), (None, Some(11), Some(2), 22));
    }

    proptest! {
        #[test]
        fn a_printed_time_reads_back_as_itself(ns in 0i64..4_000_000_000_000_000_000) {
            for layout in ["2006-01-02T15:04:05.999999999Z07:00", "Mon, 02 Jan 2006 15:04:05.000000000 -0700"] {
                let text = Time::from_unix_ns(ns).unwrap().format(layout);
                prop_assert_eq!(unix_ns(layout, &text), Ok(i128::from(ns)));
            }
        }

        #[test]
        fn no_text_makes_the_reader_panic(layout in "[0-9JanMosT:Z.,_ -]{0,30}", text in "[0-9a-zA-Z:+.,é -]{0,30}") {
            let _ = unix_ns(&layout, &text);
        }
    }
}

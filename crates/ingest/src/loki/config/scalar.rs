//! Durations and sizes as Loki's configuration spells them.

use std::{fmt, time::Duration};

use reba_logql::units;
use reba_model::duration;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration, written `30m`, `7d` or `1h30m0s`; never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// No time, which means "no limit" nearly everywhere.
    pub const ZERO: Span = Span(Duration::ZERO);

    /// So many seconds.
    pub const fn seconds(s: u64) -> Self {
        Span(Duration::from_secs(s))
    }

    /// So many minutes.
    pub const fn minutes(m: u64) -> Self {
        Span::seconds(m * 60)
    }

    /// So many hours.
    pub const fn hours(h: u64) -> Self {
        Span::minutes(h * 60)
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// The same as a standard duration.
    pub fn as_std(self) -> Duration {
        self.0
    }

    /// In nanoseconds, as many as there can be of them.
    pub fn as_ns(self) -> i64 {
        i64::try_from(self.0.as_nanos()).unwrap_or(i64::MAX)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let ns = units::query_duration(text.trim())?;
        u64::try_from(ns)
            .map(|ns| Span(Duration::from_nanos(ns)))
            .map_err(|_| "must not be negative".to_owned())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX);
        f.write_str(&duration::format(ms))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Span::parse(&String::deserialize(d)?).map_err(de::Error::custom)
    }
}

/// A number of bytes, written `4MB`, `4MiB` or plainly; units are powers of 1024, as upstream has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const UNITS: [(&str, u32); 6] = [("k", 10), ("m", 20), ("g", 30), ("t", 40), ("p", 50), ("e", 60)];

impl Size {
    /// Whether it is nothing, which means "no limit".
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// As a number of bytes in memory.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
        let (number, unit) = (&lower[..digits], lower[digits..].trim());
        let prefix = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(unit);
        let shift = match prefix {
            "" => 0,
            _ => {
                UNITS
                    .iter()
                    .find(|(name, _)| *name == prefix)
                    .ok_or_else(|| format!("unknown unit {unit}"))?
                    .1
            }
        };
        let number: f64 = number.parse().map_err(|_| format!("{text:?} is no size such as 4MB"))?;
        let bytes = number * (1u64 << shift) as f64;
        if bytes < u64::MAX as f64 { Ok(Size(bytes as u64)) } else { Err(format!("{text:?} is too large")) }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |shift: u32| self.0 > 0 && self.0.trailing_zeros() >= shift;
        match UNITS.iter().rev().find(|(_, shift)| fits(*shift)) {
            Some((unit, shift)) => write!(f, "{}{}B", self.0 >> shift, unit.to_ascii_uppercase()),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Size::parse(&String::deserialize(d)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_powers_of_1024_with_or_without_a_unit() {
        for (text, bytes) in [
            ("4MB", 4 << 20),
            ("4MiB", 4 << 20),
            ("4194304", 4 << 20),
            ("256kb", 256 << 10),
            ("1.5k", 1536),
            ("0", 0),
            ("10B", 10),
        ] {
            assert_eq!(Size::parse(text), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "MB", "-1", "4XB", "1..2", "99999EB"] {
            assert!(Size::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_taken_in_both_spellings() {
        for (text, seconds) in
            [("720h", 2_592_000), ("30d", 2_592_000), ("1h30m0s", 5400), ("0", 0), ("1.5h", 5400)]
        {
            assert_eq!(Span::parse(text), Ok(Span::seconds(seconds)), "{text}");
        }
        assert!(Span::parse("-5m").is_err() && Span::parse("5").is_err() && Span::parse("").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn both_come_back_as_they_were_printed(bytes in 0u64..(1 << 50), ms in 0u64..(1 << 40)) {
            prop_assert_eq!(Size::parse(&Size(bytes).to_string()), Ok(Size(bytes)));
            let span = Span(Duration::from_millis(ms));
            prop_assert_eq!(Span::parse(&span.to_string()), Ok(span));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,20}") {
            let _ = (Size::parse(&text), Span::parse(&text));
        }
    }
}

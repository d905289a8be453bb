//! Durations and sizes as the configuration spells them.

use std::{fmt, str::FromStr, time::Duration};

use reba_model::duration;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration in milliseconds, written `1m30s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub i64);

impl Millis {
    /// So many seconds.
    pub const fn seconds(s: i64) -> Self {
        Millis(s * 1000)
    }

    /// Whether it is nothing, which upstream takes for "not set".
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// The same as a standard duration.
    pub fn as_std(self) -> Duration {
        Duration::from_millis(self.0.max(0) as u64)
    }

    /// This, or `default` if it is zero.
    pub(crate) fn or(self, default: Millis) -> Millis {
        if self.is_zero() { default } else { self }
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&duration::format(self.0))
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        duration::parse(&text).map(Millis).map_err(de::Error::custom)
    }
}

/// A size in bytes, written `15MB` (which is 15 times 1024 squared, as upstream has it) or `1GiB512KiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const PREFIXES: [(&str, u32); 7] =
    [("", 0), ("K", 10), ("M", 20), ("G", 30), ("T", 40), ("P", 50), ("E", 60)];

impl ByteSize {
    /// Whether it is nothing, which means "no limit".
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl FromStr for ByteSize {
    type Err = String;

    /// Reads a sum of numbers with units; only `0` needs no unit.
    fn from_str(s: &str) -> Result<Self, String> {
        if s == "0" {
            return Ok(ByteSize(0));
        }
        let mut total = 0.0f64;
        let mut rest = s.strip_prefix('+').unwrap_or(s);
        if rest.is_empty() {
            return Err(format!("units: invalid {s}"));
        }
        while !rest.is_empty() {
            let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (number, after) = rest.split_at(number_end);
            let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
            let (unit, after) = after.split_at(unit_end);
            let number: f64 = number.parse().map_err(|_| format!("units: invalid {s}"))?;
            let prefix = unit.strip_suffix("iB").or_else(|| unit.strip_suffix('B'));
            let shift = prefix
                .and_then(|p| PREFIXES.iter().find(|(name, _)| *name == p))
                .filter(|(name, _)| !(name.is_empty() && unit == "iB"))
                .ok_or_else(|| format!("units: unknown unit {unit} in {s}"))?;
            total += number * (1u64 << shift.1) as f64;
            rest = after;
        }
        if total < i64::MAX as f64 { Ok(ByteSize(total as u64)) } else { Err(format!("units: overflow {s}")) }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0B");
        }
        for (prefix, shift) in PREFIXES.iter().rev() {
            let n = (self.0 >> shift) & 1023;
            if n > 0 {
                write!(f, "{n}{prefix}{}", if *shift > 0 { "iB" } else { "B" })?;
            }
        }
        Ok(())
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_powers_of_two_whatever_the_unit_says() {
        for (text, bytes, back) in [
            ("15MB", 15 << 20, "15MiB"),
            ("1GiB512KiB", (1 << 30) + (512 << 10), "1GiB512KiB"),
            ("1.5KB", 1536, "1KiB512B"),
            ("0", 0, "0B"),
            ("100B", 100, "100B"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, back));
        }
        for text in ["", "100", "5kB", "-1MB", "MB", "1iB", "99999EB", "1..2MB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn sizes_round_trip(n in 0u64..(1 << 53)) {
            prop_assert_eq!(ByteSize(n).to_string().parse::<ByteSize>(), Ok(ByteSize(n)));
        }

        #[test]
        fn any_text_never_panics(s in ".{0,20}") {
            let _ = s.parse::<ByteSize>();
        }
    }
}

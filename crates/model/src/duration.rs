//! Durations as Prometheus writes them: `1d2h3m4s5ms`.

use thiserror::Error;

/// Why a text is no duration.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DurationError {
    /// Nothing was given.
    #[error("empty duration string")]
    Empty,
    /// Not of the form `1d2h3m`.
    #[error("not a valid duration string: {0:?}")]
    Invalid(String),
    /// More than an `i64` of nanoseconds holds (292 years).
    #[error("duration out of range")]
    OutOfRange,
}

/// Units in the order in which they must stand, with their milliseconds.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The longest duration upstream can hold: an `i64` of nanoseconds.
const MAX_MS: i64 = i64::MAX / 1_000_000;

/// Reads a duration into milliseconds. `0` needs no unit; units stand in falling order, each at most once; no sign.
pub fn parse(s: &str) -> Result<i64, DurationError> {
    let invalid = || DurationError::Invalid(s.to_owned());
    match s {
        "" => return Err(DurationError::Empty),
        "0" => return Ok(0),
        _ => {}
    }
    let mut rest = s;
    let mut total: i64 = 0;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_lowercase).count();
        let (number, unit) = (&rest[..digits], &rest[digits..digits + letters]);
        let at = UNITS.iter().position(|(u, _)| *u == unit).ok_or_else(invalid)?;
        if digits == 0 || at < next_unit {
            return Err(invalid());
        }
        let n: i64 = number.parse().map_err(|_| DurationError::OutOfRange)?;
        total = n
            .checked_mul(UNITS[at].1)
            .and_then(|ms| total.checked_add(ms))
            .filter(|ms| *ms <= MAX_MS)
            .ok_or(DurationError::OutOfRange)?;
        next_unit = at + 1;
        rest = &rest[digits + letters..];
    }
    Ok(total)
}

/// Writes milliseconds the way upstream does: `0s`, `1m30s`, `1d`; weeks and years only where nothing remains. A
/// negative value gets a leading minus.
pub fn format(ms: i64) -> String {
    use std::fmt::Write as _;
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    if ms < 0 {
        out.push('-');
    }
    let mut rest = ms.unsigned_abs();
    for (i, (unit, size)) in UNITS.iter().enumerate() {
        let size = *size as u64;
        let exact_only = i < 2;
        if exact_only && !rest.is_multiple_of(size) {
            continue;
        }
        let n = rest / size;
        if n > 0 {
            let _ = write!(out, "{n}{unit}");
            rest -= n * size;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_and_written_as_upstream_does() {
        for (text, ms, back) in [
            ("0", 0, "0s"),
            ("0w", 0, "0s"),
            ("1m30s", 90_000, "1m30s"),
            ("90s", 90_000, "1m30s"),
            ("7d", 604_800_000, "1w"),
            ("8d", 691_200_000, "8d"),
            ("10y", 315_360_000_000, "10y"),
            ("1h500ms", 3_600_500, "1h500ms"),
        ] {
            assert_eq!(parse(text), Ok(ms));
            assert_eq!(format(ms), back);
        }
        for text in ["1", "1y1m1d", "-1w", "1.5d", "d", "", "1M", "294y", "1s1s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn printing_round_trips(ms in 0..MAX_MS) {
            prop_assert_eq!(parse(&format(ms)), Ok(ms));
        }

        #[test]
        fn any_text_never_panics(s in ".{0,40}") {
            let _ = parse(&s);
        }
    }
}

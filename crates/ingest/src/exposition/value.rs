//! Numbers in pages.

use reba_model::{NORMAL_NAN_BITS, float};

/// Reads a value as Go's `ParseFloat` does, without hexadecimal and `_`; a number too large for a float is no value.
/// Every NaN becomes the normal one.
#[inline]
pub(super) fn parse_value(text: &[u8]) -> Option<f64> {
    // Most values are short integers.
    if (1..=15).contains(&text.len()) && text.iter().all(u8::is_ascii_digit) {
        return Some(text.iter().fold(0u64, |n, b| n * 10 + u64::from(b - b'0')) as f64);
    }
    let unsigned = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-"));
    match unsigned.unwrap_or(text).first()? {
        b'0'..=b'9' | b'.' => {
            let v: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
            v.is_finite().then_some(v)
        }
        b'i' | b'I' => float::parse_go(std::str::from_utf8(text).ok()?),
        b'n' | b'N' if unsigned.is_none() && text.eq_ignore_ascii_case(b"nan") => {
            Some(f64::from_bits(NORMAL_NAN_BITS))
        }
        _ => None,
    }
}

/// Reads seconds with fractions as milliseconds, cut off towards zero.
pub(super) fn parse_seconds(text: &[u8]) -> Option<i64> {
    let v = parse_value(text)?;
    // `as` stops at the ends of the range, where upstream's conversion is undefined.
    v.is_finite().then_some((v * 1000.0) as i64)
}

/// A float as OpenMetrics wants it in the labels `le` and `quantile`: always with a point or an exponent.
pub fn format_openmetrics_float(v: f64) -> String {
    if v == 0.0 {
        return "0.0".to_owned();
    }
    let scientific = format!("{:e}", v.abs());
    let exponent: i32 = scientific.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    // Go's FormatFloat with 'g' and the shortest precision.
    let plain = !v.is_finite() || (-4..6).contains(&exponent);
    let mut s = if plain { float::format_f(v) } else { float::format_e(v) };
    if v.is_finite() && !s.contains(['e', '.']) {
        s.push_str(".0");
    }
    s
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_that_upstream_reads() {
        for (s, v) in [
            ("1", 1.0),
            ("-0", -0.0),
            ("+5", 5.0),
            ("1e3", 1000.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("+Inf", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
            ("iNfinity", f64::INFINITY),
            ("123456789012345678", 123_456_789_012_345_678.0),
            ("1e-400", 0.0),
        ] {
            assert_eq!(parse_value(s.as_bytes()).map(f64::to_bits), Some(v.to_bits()), "{s}");
        }
        assert_eq!(parse_value(b"NaN").map(f64::to_bits), Some(NORMAL_NAN_BITS));
        for s in
            ["", "+", "-nan", "0x1p3", "1_000", "1p3", "1e400", "infin", "1 ", "a", "+-1", "1e", "\u{661}"]
        {
            assert_eq!(parse_value(s.as_bytes()), None, "{s}");
        }
        assert_eq!(parse_seconds(b"1.5"), Some(1500));
        assert_eq!(parse_seconds(b"-1.5"), Some(-1500));
        assert_eq!(parse_seconds(b"NaN"), None);
    }

    #[test]
    fn bounds_are_printed_with_point_or_exponent() {
        for (v, s) in [
            (1.0, "1.0"),
            (0.0, "0.0"),
            (-1.0, "-1.0"),
            (0.25, "0.25"),
            (100_000.0, "100000.0"),
            (1e6, "1e+06"),
            (123_456_789.0, "1.23456789e+08"),
            (0.00001, "1e-05"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(format_openmetrics_float(v), s);
        }
    }
}

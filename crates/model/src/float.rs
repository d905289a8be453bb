//! Numbers and strings in the exact form that upstream (Go) prints them.

/// The shortest decimal that reads back as `v`, never with an exponent: Go's `FormatFloat(v, 'f', -1, 64)`.
pub fn format_f(v: f64) -> String {
    if let Some(s) = special(v) {
        return s.to_owned();
    }
    let s = format!("{v}");
    if !may_be_tie(v, s.as_bytes()) {
        return s;
    }
    let s = scientific(v);
    let (mantissa, exp) = s.split_once('e').unwrap_or((&s, "0"));
    without_exponent(mantissa, exp.parse().unwrap_or(0))
}

/// The shortest decimal that reads back as `v`, with an exponent if it is below -4 or at least 6 (a million is
/// `1e+06`): Go's `%v` and `FormatFloat(v, 'g', -1, 64)`.
pub fn format_g(v: f64) -> String {
    with_exponent_unless(v, |exp| (-4..6).contains(&exp))
}

/// The number inside a sample of the JSON API: an exponent only below 1e-6 or from 1e21 on.
pub fn format_json(v: f64) -> String {
    let abs = v.abs();
    if abs != 0.0 && !(1e-6..1e21).contains(&abs) { format_e(v) } else { format_f(v) }
}

/// Appends what [`format_json`] returns, in most cases without allocating.
pub fn push_json(out: &mut Vec<u8>, v: f64) {
    // From here to there it comes without an exponent, only that whole numbers end in `.0`.
    if (1e-5..1e15).contains(&v.abs()) {
        let mut buffer = zmij::Buffer::new();
        let plain = buffer.format_finite(v).as_bytes();
        let plain = plain.strip_suffix(b".0").unwrap_or(plain);
        if !may_be_tie(v, plain) {
            return out.extend_from_slice(plain);
        }
    }
    out.extend_from_slice(format_json(v).as_bytes());
}

/// Whether another decimal of as many digits as `plain`, the shortest form of `v`, may be just as near.
///
/// The point between two decimals with `n` digits behind the point has `n + 1`, of which the last is a five; a double with `k`
/// binary digits behind the point has exactly `k` decimal ones. Whole numbers below 2^53 are printed in full.
fn may_be_tie(v: f64, plain: &[u8]) -> bool {
    if v.abs() >= 9_007_199_254_740_992.0 {
        return true;
    }
    if plain.len() <= TIE_DIGITS || v == 0.0 {
        return false;
    }
    let (bits, shift) = (v.to_bits(), f64::MANTISSA_DIGITS - 1);
    let exponent = (bits >> shift & 0x7ff) as i64;
    let mantissa = bits & ((1 << shift) - 1) | u64::from(exponent > 0) << shift;
    // `v` is the mantissa times two to the power of `exponent - 1075`.
    let binary = 1075 - exponent.max(1) - i64::from(mantissa.trailing_zeros());
    let decimal = plain.iter().rev().position(|b| *b == b'.').unwrap_or(0) as i64;
    binary == decimal + 1
}

/// Shortest decimal with an exponent of at least two digits: Go's `FormatFloat(v, 'e', -1, 64)`.
pub fn format_e(v: f64) -> String {
    with_exponent_unless(v, |_| false)
}

/// Two decimals of fewer digits are never equally near to one double (`f64::DIGITS` is 15).
const TIE_DIGITS: usize = 16;

/// The shortest decimal that reads back as the finite `v`, as `1.25e-7`. Where two are equally near, Go takes the even
/// one, and Rust the larger.
pub fn scientific(v: f64) -> String {
    let s = format!("{v:e}");
    let digits = s.bytes().take_while(|b| *b != b'e').filter(u8::is_ascii_digit).count();
    if digits < TIE_DIGITS {
        return s;
    }
    // Rounding to a given number of digits is exact, and takes the even one.
    let even = format!("{v:.*e}", digits - 1);
    if even.parse() == Ok(v) { even } else { s }
}

/// `d.ddd` times ten to the power of `exp`, written out.
fn without_exponent(mantissa: &str, exp: i32) -> String {
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |m| ("-", m));
    let digits = mantissa.replace('.', "");
    if exp < 0 {
        return format!("{sign}0.{}{digits}", "0".repeat((-exp - 1) as usize));
    }
    let whole = exp as usize + 1;
    if digits.len() <= whole {
        return format!("{sign}{digits}{}", "0".repeat(whole - digits.len()));
    }
    format!("{sign}{}.{}", &digits[..whole], &digits[whole..])
}

fn special(v: f64) -> Option<&'static str> {
    if v.is_nan() {
        Some("NaN")
    } else if v == f64::INFINITY {
        Some("+Inf")
    } else if v == f64::NEG_INFINITY {
        Some("-Inf")
    } else {
        None
    }
}

fn with_exponent_unless(v: f64, plain: impl Fn(i32) -> bool) -> String {
    if let Some(s) = special(v) {
        return s.to_owned();
    }
    let s = scientific(v);
    let (mantissa, exp) = s.split_once('e').unwrap_or((&s, "0"));
    let exp: i32 = exp.parse().unwrap_or(0);
    if plain(exp) {
        return without_exponent(mantissa, exp);
    }
    let sign = if exp < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exp.abs())
}

/// Reads a float as Go's `ParseFloat(s, 64)` does for the forms that metrics use: decimal, `Inf`, `NaN`,
/// signs, any case, hexadecimal floats; no surrounding blanks.
pub fn parse_go(s: &str) -> Option<f64> {
    let (neg, body) = match s.as_bytes().first()? {
        b'+' => (false, &s[1..]),
        b'-' => (true, &s[1..]),
        _ => (false, s),
    };
    let first = *body.as_bytes().first()?;
    let v = if first.is_ascii_digit() || first == b'.' {
        if body.len() > 1 && first == b'0' && matches!(body.as_bytes()[1], b'x' | b'X') {
            parse_hex(&body[2..])?
        } else {
            body.parse().ok()?
        }
    } else if body.eq_ignore_ascii_case("inf") || body.eq_ignore_ascii_case("infinity") {
        f64::INFINITY
    } else if body.eq_ignore_ascii_case("nan") {
        return Some(f64::from_bits(crate::NORMAL_NAN_BITS));
    } else {
        return None;
    };
    Some(if neg { -v } else { v })
}

/// `1f.8p-3`: hexadecimal mantissa, binary exponent (required, as in Go).
fn parse_hex(s: &str) -> Option<f64> {
    let (mantissa, exp) = s.split_once(['p', 'P'])?;
    let (int, frac) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if int.is_empty() && frac.is_empty() {
        return None;
    }
    let mut v = 0.0f64;
    for c in int.chars().chain(frac.chars()) {
        v = v * 16.0 + f64::from(c.to_digit(16)?);
    }
    let exp: i32 = exp.parse().ok()?;
    Some(v * 2f64.powi(exp.saturating_sub(4 * frac.len() as i32)))
}

/// A string in double quotes with Go's escapes (`strconv.Quote`).
pub fn go_quote(s: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(s.len() + 2);
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\x0b' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c if c.is_ascii() || is_printable(c) => out.push(c),
            c if (c as u32) < 0x10000 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => {
                let _ = write!(out, "\\U{:08x}", c as u32);
            }
        }
    }
    out.push('"');
    out
}

/// Whether Go prints the character as it is: letters, marks, numbers, punctuation, symbols. The standard library
/// escapes the same ones when it debugs a text, but for marks, and those only at the start of the text.
fn is_printable(c: char) -> bool {
    let mut text = [b'a'; 5];
    let len = 1 + c.encode_utf8(&mut text[1..]).len();
    std::str::from_utf8(&text[..len]).is_ok_and(|text| text.escape_debug().count() == 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_go_prints_them() {
        for (v, f, g, json) in [
            (0.0, "0", "0", "0"),
            (-0.0, "-0", "-0", "-0"),
            (1e21, "1000000000000000000000", "1e+21", "1e+21"),
            (1e20, "100000000000000000000", "1e+20", "100000000000000000000"),
            (1e6, "1000000", "1e+06", "1000000"),
            (123456.0, "123456", "123456", "123456"),
            (1e-5, "0.00001", "1e-05", "0.00001"),
            (1e-7, "0.0000001", "1e-07", "1e-07"),
            (123456.789, "123456.789", "123456.789", "123456.789"),
            (f64::INFINITY, "+Inf", "+Inf", "+Inf"),
            (f64::NAN, "NaN", "NaN", "NaN"),
        ] {
            assert_eq!((format_f(v).as_str(), format_g(v).as_str(), format_json(v).as_str()), (f, g, json));
        }
        assert_eq!(format_e(1.0), "1e+00");
        assert_eq!(format_e(1.5e300), "1.5e+300");
    }

    #[test]
    fn of_two_equally_near_decimals_the_even_one_is_printed() {
        for (v, f, g) in [
            (-1_238_955_660_982_649.0 - 0.25, "-1238955660982649.2", "-1.2389556609826492e+15"),
            (-821_506_816_795_647.0 - 0.25, "-821506816795647.2", "-8.215068167956472e+14"),
            (205_916_165_675.0 + 0.828_125, "205916165675.82812", "2.0591616567582812e+11"),
            (9_007_199_254_740_992.0, "9007199254740992", "9.007199254740992e+15"),
        ] {
            assert_eq!((format_f(v).as_str(), format_g(v).as_str()), (f, g));
        }
    }

    proptest::proptest! {
        #[test]
        fn the_short_way_to_print_a_number_prints_the_same(bits in proptest::prelude::any::<u64>(), whole in -(1i64 << 60)..(1i64 << 60), shift in 0..60) {
            for v in [f64::from_bits(bits), whole as f64, whole as f64 / (1i64 << shift) as f64, whole as f64 / 1e9] {
                let mut out = b"x".to_vec();
                push_json(&mut out, v);
                proptest::prop_assert_eq!(std::str::from_utf8(&out[1..]), Ok(&*format_json(v)));
                if v.is_finite() {
                    let s = scientific(v);
                    let (mantissa, exp) = s.split_once('e').unwrap();
                    proptest::prop_assert_eq!(format_f(v), without_exponent(mantissa, exp.parse().unwrap()));
                }
            }
        }

        #[test]
        fn printed_numbers_read_back(bits in proptest::prelude::any::<u64>(), whole in -(1i64 << 60)..(1i64 << 60), shift in 0..40) {
            for v in [f64::from_bits(bits), whole as f64, whole as f64 / (1i64 << shift) as f64] {
                for text in [format_f(v), format_g(v), format_e(v), format_json(v)] {
                    let back = parse_go(&text).unwrap();
                    proptest::prop_assert!(back == v || v.is_nan(), "{} as {}", v, text);
                }
                // Never longer than Rust's own shortest form.
                if v.is_finite() {
                    let rusts = v.to_string();
                    proptest::prop_assert!(format_f(v).len() <= rusts.len());
                }
            }
        }
    }

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (s, v) in [
            ("1", 1.0),
            ("+Inf", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
            ("0x1p-2", 0.25),
            (".5", 0.5),
            ("1e3", 1000.0),
        ] {
            assert_eq!(parse_go(s), Some(v), "{s}");
        }
        assert!(parse_go("nan").unwrap().is_nan());
        for s in ["", " 1", "1 ", "0x", "1_000", "abc", "+", "--1", "infx"] {
            assert_eq!(parse_go(s), None, "{s}");
        }
    }

    #[test]
    fn quoting_escapes_what_go_escapes() {
        assert_eq!(go_quote("a\"b\\c\nd\u{1}é"), "\"a\\\"b\\\\c\\nd\\x01é\"");
        assert_eq!(go_quote("e\u{301}\u{a0}\u{200b}\u{10ffff}'"), "\"e\u{301}\\u00a0\\u200b\\U0010ffff'\"");
    }
}

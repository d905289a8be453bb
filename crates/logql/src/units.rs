//! Durations and sizes: in queries, and in the values of labels. Errors are in the words of Go's library, which upstream
//! passes on and people search for.

use reba_model::{duration, float};

/// Units of Go's durations, with their nanoseconds. Those of two letters come first.
const GO_UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];

/// Reads a duration as Go's `time.ParseDuration` does (`1h30m`, `1.5h`, `-5s`), in nanoseconds.
pub fn go_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", float::go_quote(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0f64;
    let mut exact: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let number = &rest[..digits];
        let letters =
            rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len() - digits);
        let unit = &rest[digits..digits + letters];
        if !number.bytes().any(|b| b.is_ascii_digit()) || number.matches('.').count() > 1 {
            return Err(invalid());
        }
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", float::go_quote(text)));
        }
        let Some((_, size)) = GO_UNITS.iter().find(|(u, _)| *u == unit) else {
            let (unit, text) = (float::go_quote(unit), float::go_quote(text));
            return Err(format!("time: unknown unit {unit} in duration {text}"));
        };
        match number.parse::<i64>() {
            Ok(n) => exact += i128::from(n) * *size as i128,
            Err(_) => total += number.parse::<f64>().map_err(|_| invalid())? * size,
        }
        rest = &rest[digits + letters..];
    }
    let sum = exact + total as i128;
    let sum = if negative { -sum } else { sum };
    i64::try_from(sum).map_err(|_| invalid())
}

/// Reads a duration of the language: Prometheus' form (`1d2h`) or Go's (`1.5h`), in nanoseconds.
pub fn query_duration(text: &str) -> Result<i64, String> {
    match duration::parse(text) {
        Ok(ms) => ms.checked_mul(1_000_000).ok_or_else(|| "duration out of range".to_owned()),
        Err(_) => {
            go_duration(text).map_err(|_| format!("not a valid duration string: {}", float::go_quote(text)))
        }
    }
}

/// A duration as people write it in queries: `1h30m`.
pub fn format_duration(ns: i64) -> String {
    match ns % 1_000_000 {
        0 => reba_model::duration::format(ns / 1_000_000),
        _ => format_go_duration(ns),
    }
}

/// Writes nanoseconds as Go's `Duration.String` does: `1h30m0s`, `1.5s`, `20ms`.
pub fn format_go_duration(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let n = ns.unsigned_abs();
    let decimals = |value: u64, size: u64| {
        let (whole, rest) = (value / size, value % size);
        let width = size.ilog10() as usize;
        match format!("{rest:0width$}").trim_end_matches('0') {
            _ if rest == 0 => format!("{whole}"),
            fraction => format!("{whole}.{fraction}"),
        }
    };
    match n {
        0 => "0s".to_owned(),
        n if n < 1_000 => format!("{sign}{n}ns"),
        n if n < 1_000_000 => format!("{sign}{}µs", decimals(n, 1_000)),
        n if n < 1_000_000_000 => format!("{sign}{}ms", decimals(n, 1_000_000)),
        n => {
            let (minutes, seconds) = (n / 60_000_000_000, n % 60_000_000_000);
            let seconds = decimals(seconds, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, m) => format!("{sign}{m}m{seconds}s"),
                (h, m) => format!("{sign}{h}h{m}m{seconds}s"),
            }
        }
    }
}

/// Reads a size (`5MB`, `1 KiB`, `2,048`), in bytes: decimal units are powers of 1000, binary ones (`Ki`) of 1024, case does not
/// matter, fractions are cut off.
pub fn byte_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ',')).unwrap_or(text.len());
    let number = text[..digits].replace(',', "");
    let value: f64 = number
        .parse()
        .map_err(|_| format!("strconv.ParseFloat: parsing {}: invalid syntax", float::go_quote(&number)))?;
    let unit = text[digits..].trim().to_ascii_lowercase();
    let scale = match unit.as_str() {
        "" | "b" => 1.0,
        "kb" | "k" => 1e3,
        "mb" | "m" => 1e6,
        "gb" | "g" => 1e9,
        "tb" | "t" => 1e12,
        "pb" | "p" => 1e15,
        "eb" | "e" => 1e18,
        "kib" | "ki" => 1024.0,
        "mib" | "mi" => 1024f64.powi(2),
        "gib" | "gi" => 1024f64.powi(3),
        "tib" | "ti" => 1024f64.powi(4),
        "pib" | "pi" => 1024f64.powi(5),
        "eib" | "ei" => 1024f64.powi(6),
        unit => return Err(format!("unhandled size name: {unit}")),
    };
    let bytes = value * scale;
    if bytes >= u64::MAX as f64 {
        return Err(format!("too large: {text}"));
    }
    Ok(bytes as u64)
}

/// Writes a size as upstream prints it: `5MB`, `1.5kB`; units are powers of 1000.
pub fn format_byte_size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 10 {
        return format!("{bytes}B");
    }
    let exponent = (bytes.ilog10() / 3) as usize;
    let value = bytes as f64 / 1000f64.powi(exponent as i32);
    let value = (value * 10.0 + 0.5).floor() / 10.0;
    if value < 10.0 {
        format!("{value:.1}{}", UNITS[exponent])
    } else {
        format!("{value:.0}{}", UNITS[exponent])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let s = 1_000_000_000;
        for (text, ns) in
            [("0", 0), ("1s", s), ("1h30m", 5400 * s), ("1.5h", 5400 * s), ("-5s", -5 * s), ("250ms", s / 4)]
        {
            assert_eq!(go_duration(text), Ok(ns), "{text}");
        }
        assert_eq!(go_duration("15"), Err("time: missing unit in duration \"15\"".to_owned()));
        assert_eq!(go_duration("1d"), Err("time: unknown unit \"d\" in duration \"1d\"".to_owned()));
        assert_eq!(go_duration("abc"), Err("time: invalid duration \"abc\"".to_owned()));
        assert_eq!(query_duration("1d"), Ok(86_400 * s));
        assert_eq!(query_duration("5minutes"), Err("not a valid duration string: \"5minutes\"".to_owned()));
    }

    #[test]
    fn sizes_are_read_with_decimal_and_binary_units() {
        for (text, bytes) in
            [("1KB", 1000), ("1KiB", 1024), ("2Kb", 2000), ("2,048", 2048), ("1.5B", 1), ("5 MB", 5_000_000)]
        {
            assert_eq!(byte_size(text), Ok(bytes), "{text}");
        }
        assert_eq!(byte_size("1XB"), Err("unhandled size name: xb".to_owned()));
        assert_eq!(byte_size("x"), Err("strconv.ParseFloat: parsing \"\": invalid syntax".to_owned()));
    }

    proptest! {
        #[test]
        fn a_printed_duration_reads_back_as_itself(ns in any::<i64>()) {
            prop_assume!(ns != i64::MIN);
            let close = go_duration(&format_go_duration(ns)).unwrap().abs_diff(ns) <= ns.unsigned_abs() >> 52;
            prop_assert!(close);
        }

        #[test]
        fn no_text_makes_the_readers_panic(text in ".*") {
            let _ = go_duration(&text);
            let _ = query_duration(&text);
            let _ = byte_size(&text);
        }
    }
}

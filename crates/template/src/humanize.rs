//! Numbers for people: the `humanize` functions of Prometheus.

use reba_model::float::{go_quote, parse_go};

use crate::{
    number,
    print::sprintf,
    time::{Duration, Time},
    value::Value,
};

/// A number, or a text that is one.
pub(crate) fn to_float(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(v) => Ok(*v),
        Value::Int(i) => Ok(*i as f64),
        Value::String(s) => {
            let failed = |why: &str| Err(format!("strconv.ParseFloat: parsing {}: {why}", go_quote(s)));
            match parse_go(s) {
                Some(v) if v.is_infinite() && s.bytes().any(|b| b.is_ascii_digit()) => {
                    failed("value out of range")
                }
                Some(v) => Ok(v),
                None => failed("invalid syntax"),
            }
        }
        Value::Object(o) if o.type_name() == "time.Duration" => match o.underlying() {
            Value::Int(ns) => Ok(ns as f64 / 1e9),
            _ => Err("can't convert time.Duration to float".to_owned()),
        },
        other => Err(format!("can't convert {} to float", other.type_name())),
    }
}

/// `%.4g`
fn four_digits(v: f64) -> String {
    sprintf("%.4g", &[Value::Float(v)], 64).unwrap_or_default()
}

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const LARGE_1024: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

fn scale_down(mut v: f64, base: f64, prefixes: &[&'static str]) -> (f64, &'static str) {
    let mut prefix = "";
    for p in prefixes {
        if v.abs() < base {
            break;
        }
        prefix = p;
        v /= base;
    }
    (v, prefix)
}

fn scale_up(mut v: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for p in SMALL {
        if v.abs() >= 1.0 {
            break;
        }
        prefix = p;
        v *= 1000.0;
    }
    (v, prefix)
}

/// `1234567` is `1.235M`, `0.12` is `120m`.
pub(crate) fn humanize(v: f64) -> String {
    if v == 0.0 || !v.is_finite() {
        return four_digits(v);
    }
    let (v, prefix) = if v.abs() >= 1.0 { scale_down(v, 1000.0, &LARGE) } else { scale_up(v) };
    four_digits(v) + prefix
}

/// `1048576` is `1Mi`.
pub(crate) fn humanize_1024(v: f64) -> String {
    if v.abs() <= 1.0 || !v.is_finite() {
        return four_digits(v);
    }
    let (v, prefix) = scale_down(v, 1024.0, &LARGE_1024);
    four_digits(v) + prefix
}

/// Seconds as `1d 2h 3m 4s`; below a minute with four digits, below a second with a prefix.
pub(crate) fn humanize_duration(v: f64) -> String {
    if !v.is_finite() {
        return four_digits(v);
    }
    if v == 0.0 {
        return four_digits(v) + "s";
    }
    if v.abs() < 1.0 {
        let (v, prefix) = scale_up(v);
        return format!("{}{prefix}s", four_digits(v));
    }
    let sign = if v < 0.0 { "-" } else { "" };
    let v = v.abs();
    let whole = v as i64;
    let (days, hours, minutes, seconds) = (whole / 86400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", four_digits(v)),
        (0, 0, m) => format!("{sign}{m}m {seconds}s"),
        (0, h, m) => format!("{sign}{h}h {m}m {seconds}s"),
        (d, h, m) => format!("{sign}{d}d {h}h {m}m {seconds}s"),
    }
}

/// `0.1234567` is `12.35%`.
pub(crate) fn humanize_percentage(v: f64) -> String {
    four_digits(v * 100.0) + "%"
}

/// Seconds since the epoch as Go prints a time in UTC.
pub(crate) fn humanize_timestamp(v: f64) -> Result<String, String> {
    if !v.is_finite() {
        return Ok(four_digits(v));
    }
    to_time(v).map(|t| crate::value::Object::text(&t).unwrap_or_default())
}

/// Seconds since the epoch as a time, to the millisecond.
pub(crate) fn to_time(v: f64) -> Result<Time, String> {
    if !v.is_finite() {
        return Err("value is NaN or Inf".to_owned());
    }
    let ns = v * 1e9;
    if ns >= i64::MAX as f64 || ns < i64::MIN as f64 {
        let text = number::shortest(v);
        return Err(format!(
            "{text} cannot be represented as a nanoseconds timestamp since it overflows int64"
        ));
    }
    Time::from_unix_ms(ns as i64 / 1_000_000).ok_or_else(|| "time out of range".to_owned())
}

/// Seconds as a duration.
pub(crate) fn to_duration(v: f64) -> Duration {
    Duration((v * 1e9) as i64)
}

//! Times as Grafana writes and reads them.

use jiff::{Timestamp, ToSpan as _, civil::Weekday, tz::TimeZone};

/// Unix milliseconds as RFC 3339 with seconds.
pub(super) fn iso(ms: i64) -> String {
    let at = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How long ago something was, as people say it.
pub(super) fn age(now_ms: i64, ms: i64) -> String {
    let seconds = now_ms.saturating_sub(ms) / 1000;
    match seconds {
        _ if ms == 0 => "never".to_owned(),
        ..60 => "< 1 minute".to_owned(),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Longest text of a time that is looked at.
const MAX_TEXT: usize = 64;

/// A time of a query: Unix milliseconds, RFC 3339, or `now-1h/d`. Rounding (`/d`) goes up for the end of a range; days begin in UTC.
pub(super) fn parse(text: &str, now_ms: i64, round_up: bool) -> Option<i64> {
    let text = text.trim();
    if text.len() > MAX_TEXT {
        return None;
    }
    if let Ok(ms) = text.parse::<i64>() {
        return Some(ms);
    }
    let Some(mut rest) = text.strip_prefix("now") else {
        return text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
    };
    let mut at = Timestamp::from_millisecond(now_ms).ok()?.to_zoned(TimeZone::UTC);
    while !rest.is_empty() {
        let sign = rest.chars().next()?;
        rest = &rest[sign.len_utf8()..];
        if sign == '/' {
            let unit = rest.chars().next()?;
            rest = &rest[unit.len_utf8()..];
            at = round(&at, unit, round_up)?;
            continue;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let n: i32 = if digits == 0 { 1 } else { rest[..digits].parse().ok()? };
        let unit = rest[digits..].chars().next()?;
        rest = &rest[digits + unit.len_utf8()..];
        let span = span(n, unit)?;
        at = match sign {
            '-' => at.checked_sub(span).ok()?,
            '+' => at.checked_add(span).ok()?,
            _ => return None,
        };
    }
    Some(at.timestamp().as_millisecond())
}

fn span(n: i32, unit: char) -> Option<jiff::Span> {
    let zero = jiff::Span::new();
    match unit {
        's' => zero.try_seconds(n),
        'm' => zero.try_minutes(n),
        'h' => zero.try_hours(n),
        'd' => zero.try_days(n),
        'w' => zero.try_weeks(n),
        'M' => zero.try_months(n),
        'Q' => zero.try_months(i64::from(n) * 3),
        'y' => zero.try_years(n),
        _ => return None,
    }
    .ok()
}

/// The beginning of the unit that `at` lies in, or its last millisecond.
fn round(at: &jiff::Zoned, unit: char, up: bool) -> Option<jiff::Zoned> {
    let day = at.start_of_day().ok()?;
    let hour = |at: &jiff::Zoned| at.with().minute(0).second(0).subsec_nanosecond(0).build().ok();
    let start = match unit {
        's' => at.with().subsec_nanosecond(0).build().ok()?,
        'm' => at.with().second(0).subsec_nanosecond(0).build().ok()?,
        'h' => hour(at)?,
        'd' => day,
        'w' => day.checked_sub(i64::from(day.weekday().since(Weekday::Sunday)).days()).ok()?,
        'M' => day.with().day(1).build().ok()?,
        'Q' => day.with().day(1).month((at.month() - 1) / 3 * 3 + 1).build().ok()?,
        'y' => day.with().day(1).month(1).build().ok()?,
        _ => return None,
    };
    if !up {
        return Some(start);
    }
    start.checked_add(span(1, unit)?).ok()?.checked_sub(1.millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ages_are_short_texts() {
        let now = 1_795_444_245_123;
        for (ms, want) in [(0, "never"), (now, "< 1 minute"), (now - 125_000, "2m"), (now - 90_000_000, "1d")]
        {
            assert_eq!(age(now, ms), want);
        }
    }

    #[test]
    fn times_are_read_as_in_grafana() {
        // 2026-11-23T14:30:45.123Z, a Monday.
        let now = 1_795_444_245_123;
        let at = |text: &str, up| parse(text, now, up).map(iso);
        for (text, up, want) in [
            ("now", false, "2026-11-23T14:30:45Z"),
            ("now-1h", false, "2026-11-23T13:30:45Z"),
            ("now-1d/d", false, "2026-11-22T00:00:00Z"),
            ("now-1d/d", true, "2026-11-22T23:59:59Z"),
            ("now/w", false, "2026-11-22T00:00:00Z"),
            ("now/M", true, "2026-11-30T23:59:59Z"),
            ("now/Q", false, "2026-10-01T00:00:00Z"),
            ("now-1d-2h+5m", false, "2026-11-22T12:35:45Z"),
            ("1000", false, "1970-01-01T00:00:01Z"),
            ("2026-01-01T00:00:00Z", false, "2026-01-01T00:00:00Z"),
        ] {
            assert_eq!(at(text, up).as_deref(), Some(want), "{text}");
        }
        for text in ["now-", "now-1", "now*2h", "now-1x", "yesterday", "now-99999999999999y", ""] {
            assert_eq!(parse(text, now, false), None, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_text_never_panics(text in "now[-+/0-9smhdwMQyé]{0,20}", now in any::<i64>()) {
            let _ = parse(&text, now, true);
            let _ = iso(now);
        }
    }
}

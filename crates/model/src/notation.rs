//! One line of a script or of a rule's unit test: a series and its values, `metric{a="b"} 1+2x3 _ stale {{schema:0 count:1}}`.

use std::sync::Arc;

use thiserror::Error;

use crate::{
    Histogram, Labels, LabelsBuilder, METRIC_NAME, STALE_NAN, duration, float::parse_go, parse_notation,
};

/// Values that one item may stand for.
const MAX_REPEAT: usize = 1_000_000;

/// Why a line is not understood.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NotationError {
    /// The series is malformed.
    #[error("malformed series {0:?}")]
    Series(String),
    /// A value is malformed.
    #[error("malformed values at {0:?}")]
    Value(String),
}

/// One value of a series at one step.
#[derive(Clone, Debug, PartialEq)]
pub enum SeriesValue {
    /// None (`_`).
    Omitted,
    /// A float, perhaps the staleness marker (`stale`).
    Float(f64),
    /// A histogram, and whether its counter reset hint was given.
    Histogram(Arc<Histogram>, bool),
}

/// A line of a script.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesLine {
    /// The series.
    pub labels: Labels,
    /// Its values, one a step.
    pub values: Vec<SeriesValue>,
}

/// A series, and for each of its values the offset of its start in milliseconds, if it has one.
pub type StartTimes = (Labels, Vec<Option<i64>>);

/// Reads a series and its values.
pub fn parse_series(line: &str) -> Result<SeriesLine, NotationError> {
    let line = line.trim();
    let (labels, mut rest) = parse_labels(line)?;
    let mut values = Vec::new();
    loop {
        let trimmed = rest.trim_start();
        if trimmed.is_empty() {
            return Ok(SeriesLine { labels, values });
        }
        if trimmed.len() == rest.len() {
            return Err(NotationError::Value(rest.to_owned()));
        }
        rest = parse_item(trimmed, &mut values).ok_or_else(|| NotationError::Value(trimmed.to_owned()))?;
    }
}

/// Reads a line of start timestamps, `metric{a="b"}@st -1mx3`: the series, and for each value the offset of its start
/// from its time in milliseconds. `None` if it is no such line.
pub fn parse_start_times(line: &str) -> Option<Result<StartTimes, NotationError>> {
    let (metric, rest) = line.trim().split_once([' ', '\t'])?;
    let metric = metric.strip_suffix("@st")?;
    let parse = || {
        let (labels, _) = parse_labels(metric)?;
        let mut offsets = Vec::new();
        for item in rest.split_whitespace() {
            parse_start(item, &mut offsets).ok_or_else(|| NotationError::Value(item.to_owned()))?;
        }
        Ok((labels, offsets))
    };
    Some(parse())
}

fn parse_start(item: &str, out: &mut Vec<Option<i64>>) -> Option<()> {
    let (body, times) = match item.split_once('x') {
        Some((body, times)) => (body, repeat(times)?),
        None => (item, 0),
    };
    if body == "_" {
        out.extend(std::iter::repeat_n(None, times.max(1)));
        return Some(());
    }
    let step_at = body[1..].find(['+', '-']).map(|i| i + 1);
    let (base, step) = match step_at {
        Some(i) => (signed_duration(&body[..i])?, signed_duration(&body[i..])?),
        None => (signed_duration(body)?, 0),
    };
    out.extend((0..=times as i64).map(|i| Some(base + i * step)));
    Some(())
}

fn signed_duration(s: &str) -> Option<i64> {
    let (sign, body) = match s.strip_prefix('-') {
        Some(body) => (-1, body),
        None => (1, s.strip_prefix('+').unwrap_or(s)),
    };
    duration::parse(body).ok().map(|ms| sign * ms)
}

/// Reads `metric{a="b", "c.d"='e'}`; returns the labels and the rest of the line.
fn parse_labels(line: &str) -> Result<(Labels, &str), NotationError> {
    let fail = || NotationError::Series(line.to_owned());
    let name_end = line.find(|c: char| c == '{' || c.is_whitespace()).unwrap_or(line.len());
    let (name, mut rest) = line.split_at(name_end);
    let mut labels = LabelsBuilder::new();
    labels.set(METRIC_NAME, name);
    if name.is_empty() && !rest.starts_with('{') {
        return Err(fail());
    }
    if rest.starts_with("{{") || !rest.starts_with('{') {
        return Ok((labels.build(), rest));
    }
    rest = rest[1..].trim_start();
    while !rest.starts_with('}') {
        let (label, after) = if rest.starts_with(['"', '\'', '`']) {
            quoted(rest).ok_or_else(fail)?
        } else {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).ok_or_else(fail)?;
            (rest[..end].to_owned(), &rest[end..])
        };
        let after = after.trim_start();
        match after.strip_prefix('=') {
            Some(after) => {
                let (value, after) = quoted(after.trim_start()).ok_or_else(fail)?;
                labels.set(&label, &value);
                rest = after;
            }
            // A quoted name on its own is the metric's.
            None => {
                labels.set(METRIC_NAME, &label);
                rest = after;
            }
        }
        rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with('}') => {}
            None => return Err(fail()),
        }
    }
    Ok((labels.build(), &rest[1..]))
}

/// Reads a string in any of Go's quotes; returns it and what follows.
pub fn quoted(s: &str) -> Option<(String, &str)> {
    let quote = s.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    if quote == '`' {
        return s[1..].split_once('`').map(|(text, rest)| (text.to_owned(), rest));
    }
    let mut out = String::new();
    let mut chars = s.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        match c {
            c if c == quote => return Some((out, &s[i + 1..])),
            '\\' => {
                let (_, escape) = chars.next()?;
                let digits = match escape {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    _ => 0,
                };
                if digits > 0 {
                    let hex: String = (0..digits).map_while(|_| chars.next().map(|(_, c)| c)).collect();
                    out.push(u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32)?);
                    continue;
                }
                out.push(match escape {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'a' => '\x07',
                    'b' => '\x08',
                    'f' => '\x0c',
                    'v' => '\x0b',
                    '\\' | '"' | '\'' => escape,
                    _ => return None,
                });
            }
            c => out.push(c),
        }
    }
    None
}

/// Reads one item; returns what follows.
fn parse_item<'a>(s: &'a str, out: &mut Vec<SeriesValue>) -> Option<&'a str> {
    if s.starts_with("{{") {
        return parse_histograms(s, out);
    }
    let end = s.find(char::is_whitespace).unwrap_or(s.len());
    let (item, rest) = s.split_at(end);
    if let Some(times) = item.strip_prefix('_') {
        let n = if times.is_empty() { 1 } else { repeat(times.strip_prefix('x')?)? };
        out.extend(std::iter::repeat_n(SeriesValue::Omitted, n));
        return Some(rest);
    }
    let (first, suffix) = number(item)?;
    let (step, suffix) = if suffix.starts_with(['+', '-']) { number(suffix)? } else { (0.0, suffix) };
    let times = match suffix.strip_prefix('x') {
        Some(times) => repeat(times)?,
        None if suffix.is_empty() && item.len() == end => 0,
        None => return None,
    };
    let mut value = first;
    for _ in 0..=times {
        out.push(SeriesValue::Float(value));
        if step != 0.0 {
            value += step;
        }
    }
    Some(rest)
}

fn repeat(s: &str) -> Option<usize> {
    s.parse().ok().filter(|n| *n <= MAX_REPEAT)
}

/// Reads a number with an optional sign, or `stale`; returns what follows.
fn number(s: &str) -> Option<(f64, &str)> {
    if let Some(rest) = s.strip_prefix("stale") {
        return Some((STALE_NAN, rest));
    }
    let body = s.trim_start_matches(['+', '-']);
    let sign = s.len() - body.len();
    let word = body.bytes().take_while(u8::is_ascii_alphabetic).count();
    // The `x` of a repetition may follow `NaN` or `Inf`.
    let word = body[..word].find('x').unwrap_or(word);
    let len = if word > 0 {
        word
    } else {
        let digits =
            |s: &str| s.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.' || *b == b'_').count();
        let mut len = digits(body);
        if body[len..].starts_with(['e', 'E']) {
            let signed = usize::from(body[len + 1..].starts_with(['+', '-']));
            let exponent = digits(&body[len + 1 + signed..]);
            if exponent > 0 {
                len += 1 + signed + exponent;
            }
        }
        len
    };
    let v = parse_go(&s[..sign + len])?;
    Some((v, &s[sign + len..]))
}

/// `{{…}}`, `{{…}}x3`, `{{…}}+{{…}}x3`
fn parse_histograms<'a>(s: &'a str, out: &mut Vec<SeriesValue>) -> Option<&'a str> {
    let (first, mut hint, read) = parse_notation(s).ok()?;
    let mut rest = &s[read..];
    let mut step = None;
    if let Some(sign) = rest.chars().next().filter(|c| matches!(c, '+' | '-')) {
        let (h, step_hint, read) = parse_notation(&rest[1..]).ok()?;
        rest = &rest[1 + read..];
        hint = step_hint;
        step = Some((sign, h));
    }
    let times = match rest.strip_prefix('x') {
        Some(times) => {
            let end = times.find(char::is_whitespace).unwrap_or(times.len());
            rest = &times[end..];
            repeat(&times[..end])?
        }
        None if step.is_some() => return None,
        None => 0,
    };
    let mut current = Arc::new(first);
    out.push(SeriesValue::Histogram(Arc::clone(&current), hint));
    for _ in 0..times {
        if let Some((sign, step)) = &step {
            let mut next = Histogram::clone(&current);
            let combined = if *sign == '+' { next.add(step) } else { next.sub(step) };
            combined.ok()?;
            current = Arc::new(next);
        }
        out.push(SeriesValue::Histogram(Arc::clone(&current), hint));
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(line: &str) -> Vec<Option<f64>> {
        let values = parse_series(line).unwrap().values;
        values
            .into_iter()
            .map(|v| match v {
                SeriesValue::Float(v) => Some(v),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn items_expand_as_upstream_expands_them() {
        assert_eq!(
            floats("m 1+2x3 _ 7x1"),
            [1.0, 3.0, 5.0, 7.0]
                .map(Some)
                .into_iter()
                .chain([None, Some(7.0), Some(7.0)])
                .collect::<Vec<_>>()
        );
        assert_eq!(
            floats("m -1-0.5x2 _x2 1e3"),
            [Some(-1.0), Some(-1.5), Some(-2.0), None, None, Some(1000.0)]
        );
        assert_eq!(floats("m Inf -Infx1"), [f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY].map(Some));
        assert!(floats("m NaNx1").iter().all(|v| v.unwrap().is_nan()));
        assert!(floats("m stale")[0].is_some_and(crate::is_stale_nan));
    }

    #[test]
    fn series_may_have_quoted_names_and_any_quotes() {
        let line = parse_series(r#"{"a.b", 'c d'='x"y', e=`z`} 1"#).unwrap();
        assert_eq!(line.labels, Labels::from_pairs([("__name__", "a.b"), ("c d", "x\"y"), ("e", "z")]));
        assert!(parse_series("m{a=b} 1").is_err() && parse_series("m{a=\"b\" 1").is_err());
        assert!(parse_series("m 1y").is_err() && parse_series("m 1+x3").is_err());
    }

    #[test]
    fn histograms_may_grow() {
        let line = parse_series("m {{count:1 sum:2}}+{{count:1 sum:3}}x2 {{}}").unwrap();
        let counts: Vec<f64> = line
            .values
            .iter()
            .map(|v| match v {
                SeriesValue::Histogram(h, _) => h.count,
                _ => panic!("no histogram"),
            })
            .collect();
        assert_eq!(counts, [1.0, 2.0, 3.0, 0.0]);
    }

    #[test]
    fn start_times_are_offsets() {
        let (labels, offsets) = parse_start_times(r#"m{a="b"}@st _ -1m-1mx2 30s"#).unwrap().unwrap();
        assert_eq!(labels.value("a"), "b");
        assert_eq!(offsets, [None, Some(-60_000), Some(-120_000), Some(-180_000), Some(30_000)]);
        assert!(parse_start_times("m 1 2").is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in "[a-z]{0,3}(\\{[a-z\"=,]{0,6}\\})?( [0-9x+_.{}:a-z-]{0,9}){0,3}") {
            let _ = parse_series(&line);
            let _ = parse_start_times(&line);
        }
    }
}

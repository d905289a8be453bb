//! Labels out of the bytes of a series that was parsed before.

use std::borrow::Cow;

use reba_model::{LabelsBuilder, MAX_SERIES_LABELS, METRIC_NAME, MetricType, float};
use thiserror::Error;

use super::{ParseError, scan::Scan, value::format_openmetrics_float};

/// Why labels cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LabelsError {
    /// The bytes are no series: they did not come from a parser.
    #[error(transparent)]
    Syntax(#[from] ParseError),
    /// A name is no UTF-8.
    #[error("invalid metric name or label names: {0}")]
    Name(String),
    /// A label is there twice.
    #[error("label name {0:?} is not unique: invalid sample")]
    Duplicate(String),
    /// There are more than [`MAX_SERIES_LABELS`].
    #[error("more than {MAX_SERIES_LABELS} labels in one series")]
    TooMany,
}

/// Resolves `\\`, `\n` and, if wanted, `\"`; other backslashes stay.
pub(super) fn unescape(text: &str, quotes: bool) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', text.as_bytes()) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len());
    out.push_str(&text[..first]);
    let mut rest = &text[first..];
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (resolved, len) = match rest.as_bytes().get(at + 1) {
            Some(b'\\') => ("\\", 2),
            Some(b'n') => ("\n", 2),
            Some(b'"') if quotes => ("\"", 2),
            _ => ("\\", 1),
        };
        out.push_str(resolved);
        rest = &rest[at + len..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Reads name and labels out of the bytes of a series ([`super::TextSample::series`]) into `out`, which is cleared
/// first. The bounds of histograms and the quantiles of summaries (`kind` is the type that the page gives last before
/// the series) get the form that OpenMetrics wants, whichever they have. Returns the names of labels that stand there
/// with an empty value, which `out` does not show.
pub fn series_labels(
    series: &[u8],
    kind: MetricType,
    out: &mut LabelsBuilder,
) -> Result<Vec<String>, LabelsError> {
    out.clear();
    let mut empty = Vec::new();
    let mut scan = Scan::new(series);
    let name = scan.name(true);
    if !name.is_empty() {
        set(out, METRIC_NAME, &text(name)?)?;
    }
    scan.skip_blanks();
    if scan.eat(b'{') {
        pairs(&mut scan, |name, value| match value {
            None => set(out, METRIC_NAME, &name),
            Some(value) if value.is_empty() => {
                empty.push(name.into_owned());
                Ok(())
            }
            Some(value) => set(out, &name, &normal_bound(kind, &name, value)),
        })?;
    }
    Ok(empty)
}

/// Reads the labels of an exemplar ([`super::TextExemplar::labels`]) into `out`, which is cleared first. Their names
/// and values hold `limit` characters at most together, else nothing is read: `false`.
pub fn exemplar_labels(labels: &[u8], limit: usize, out: &mut LabelsBuilder) -> Result<bool, LabelsError> {
    out.clear();
    let mut scan = Scan::new(labels);
    scan.eat(b'{');
    let mut characters = 0;
    pairs(&mut scan, |name, value| {
        let value = value.unwrap_or_default();
        characters += name.chars().count() + value.chars().count();
        set(out, &name, &value)
    })?;
    if characters > limit {
        out.clear();
    }
    Ok(characters <= limit)
}

fn text(bytes: &[u8]) -> Result<Cow<'_, str>, LabelsError> {
    match std::str::from_utf8(bytes) {
        Ok(s) => Ok(unescape(s, true)),
        Err(_) => Err(LabelsError::Name(String::from_utf8_lossy(bytes).into_owned())),
    }
}

fn set(out: &mut LabelsBuilder, name: &str, value: &str) -> Result<(), LabelsError> {
    if !out.value(name).is_empty() {
        return Err(LabelsError::Duplicate(name.to_owned()));
    }
    out.set(name, value);
    Ok(())
}

fn normal_bound<'a>(kind: MetricType, name: &str, value: Cow<'a, str>) -> Cow<'a, str> {
    let bound = matches!((kind, name), (MetricType::Histogram, "le") | (MetricType::Summary, "quantile"));
    match bound.then(|| float::parse_go(&value)).flatten() {
        Some(v) => Cow::Owned(format_openmetrics_float(v)),
        None => value,
    }
}

/// Walks over pairs of name and value, and over metric names in quotes, which have no value.
fn pairs<'a>(
    scan: &mut Scan<'a>,
    mut found: impl FnMut(Cow<'a, str>, Option<Cow<'a, str>>) -> Result<(), LabelsError>,
) -> Result<(), LabelsError> {
    let mut count = 0;
    loop {
        scan.skip_blanks();
        if scan.eat(b'}') || scan.peek().is_none() {
            return Ok(());
        }
        if scan.eat(b',') {
            continue;
        }
        count += 1;
        if count > MAX_SERIES_LABELS {
            return Err(LabelsError::TooMany);
        }
        let name = if scan.peek() == Some(b'"') { scan.quoted(true)? } else { scan.name(false) };
        scan.skip_blanks();
        if !scan.eat(b'=') {
            if name.is_empty() {
                return Err(scan.error("expected label name").into());
            }
            found(text(name)?, None)?;
            continue;
        }
        scan.skip_blanks();
        let value = scan.quoted(true)?;
        found(text(name)?, Some(text(value)?))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(series: &str, kind: MetricType) -> Result<String, LabelsError> {
        let mut b = LabelsBuilder::new();
        series_labels(series.as_bytes(), kind, &mut b)?;
        Ok(b.build().to_string())
    }

    #[test]
    fn names_in_quotes_escapes_and_bounds_are_resolved() {
        use MetricType::{Gauge, Histogram, Summary};
        for (series, kind, labels) in [
            ("up", Gauge, r#"{__name__="up"}"#),
            (r#"a {b="c" , d="e\n\"\\\x",}"#, Gauge, r#"{__name__="a", b="c", d="e\n\"\\\\x"}"#),
            (r#"{"my metric","k.x"="1"}"#, Gauge, r#"{__name__="my metric", "k.x"="1"}"#),
            (r#"b{le="1"}"#, Histogram, r#"{__name__="b", le="1.0"}"#),
            (r#"b{le="1"}"#, Gauge, r#"{__name__="b", le="1"}"#),
            (r#"b{quantile=".5",x=""}"#, Summary, r#"{__name__="b", quantile="0.5"}"#),
        ] {
            assert_eq!(read(series, kind).as_deref(), Ok(labels));
        }
        assert_eq!(read(r#"a{b="1",b="2"}"#, Gauge), Err(LabelsError::Duplicate("b".into())));
    }

    #[test]
    fn a_million_labels_are_refused_at_once() {
        // Falling names are the worst order for a list that is kept sorted; empty values are not even kept.
        for value in ["1", ""] {
            let pairs: Vec<String> = (0..1_000_000).rev().map(|i| format!("l{i:07}=\"{value}\"")).collect();
            let series = format!("a{{{}}}", pairs.join(","));
            assert_eq!(read(&series, MetricType::Gauge), Err(LabelsError::TooMany));
        }
    }

    #[test]
    fn exemplars_with_too_many_characters_are_dropped() {
        let mut b = LabelsBuilder::new();
        assert_eq!(exemplar_labels(br#"{trace_id="abc"}"#, 128, &mut b), Ok(true));
        assert_eq!(b.value("trace_id"), "abc");
        let long = format!("{{a=\"{}\"}}", "é".repeat(128));
        assert_eq!(exemplar_labels(long.as_bytes(), 128, &mut b), Ok(false));
        assert!(b.is_empty());
    }
}

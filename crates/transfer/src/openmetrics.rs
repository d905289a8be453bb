//! OpenMetrics with timestamps: text that Prometheus and Reba both read.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use reba_disk::Mapped;
use reba_ingest::exposition::{Event, TextParser, TextSample, series_labels};
use reba_model::{
    LabelsBuilder, METRIC_NAME, Matcher, MetricType, SampleColumns, Series, TimeRange, float,
    is_legacy_label_name, is_legacy_metric_name, is_stale_nan,
};
use reba_storage::{Budget, MetricQuerier, QueryError, SelectHints, SelectRequest};
use thiserror::Error;

use crate::batch::{Batcher, ImportError, Imported, Report, Sink};

/// How often progress is told, in samples.
const SAMPLES_PER_REPORT: u64 = 100_000;

/// Reads a file of OpenMetrics whose samples all have timestamps, and hands them to `sink`. The whole file is checked
/// before the first sample goes out. `report` counts bytes.
pub fn import(path: &Path, sink: Sink<'_>, report: Report<'_>) -> Result<Imported, ImportError> {
    let fail = |e: io::Error| ImportError::Source(format!("{}: {e}", path.display()));
    let page = File::open(path).and_then(|file| Mapped::map(&file)).map_err(fail)?;
    let place = path.display().to_string();
    let exemplars = check(&page, &place)?;
    let mut imported = Imported::default();
    if exemplars > 0 {
        imported.remarks.push(format!("{place}: {exemplars} exemplars were passed over"));
    }
    let mut batcher = Batcher::new(sink, &mut imported);
    let mut labels = LabelsBuilder::new();
    let mut known: Option<(&[u8], reba_model::Labels)> = None;
    let total = page.len() as u64;
    let mut n = 0u64;
    each_sample(&page, &place, |sample, kind, begin| {
        // Lines of one series stand together, so that its labels are read once.
        let same = known.as_ref().is_some_and(|(series, _)| *series == sample.series);
        if !same {
            series_labels(sample.series, kind, &mut labels)
                .map_err(|e| error_at(&page, &place, begin, &e.to_string()))?;
            known = Some((sample.series, labels.build()));
        }
        n += 1;
        if n.is_multiple_of(SAMPLES_PER_REPORT) {
            report(begin as u64, total);
        }
        match (&known, sample.t) {
            (Some((_, labels)), Some(t)) => batcher.float(labels, t, sample.v),
            _ => Ok(()),
        }
    })?;
    batcher.finish()?;
    report(total, total);
    Ok(imported)
}

/// Makes sure that the file can be imported; counts the exemplars.
fn check(page: &[u8], place: &str) -> Result<u64, ImportError> {
    let mut exemplars = 0;
    let mut labels = LabelsBuilder::new();
    let mut last: &[u8] = &[];
    each_sample(page, place, |sample, kind, begin| {
        exemplars += u64::from(sample.exemplar.is_some());
        if sample.t.is_none() {
            return Err(error_at(page, place, begin, "a sample without a timestamp"));
        }
        if last != sample.series {
            series_labels(sample.series, kind, &mut labels)
                .map_err(|e| error_at(page, place, begin, &e.to_string()))?;
            last = sample.series;
        }
        Ok(())
    })?;
    Ok(exemplars)
}

fn error_at(page: &[u8], place: &str, begin: usize, reason: &str) -> ImportError {
    let line = 1 + memchr::memchr_iter(b'\n', &page[..begin]).count();
    ImportError::Source(format!("{place}: line {line}: {reason}"))
}

/// Goes through the samples with their types and places.
fn each_sample<'a>(
    page: &'a [u8],
    place: &str,
    mut use_it: impl FnMut(&TextSample<'a>, MetricType, usize) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let mut parser = TextParser::openmetrics(page);
    let mut kind = MetricType::Unknown;
    loop {
        let begin = parser.position();
        match parser.next_event() {
            Ok(Some(Event::Type { kind: next, .. })) => kind = next,
            Ok(Some(Event::Sample(sample))) => use_it(&sample, kind, begin)?,
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(e) => return Err(ImportError::Source(format!("{place}: {e}"))),
        }
    }
}

/// What was exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Series with at least one sample.
    pub series: u64,
    /// Samples.
    pub samples: u64,
    /// Native histograms, for which OpenMetrics has no form.
    pub histograms_left_out: u64,
    /// Staleness markers, for which it has none either.
    pub markers_left_out: u64,
}

/// Why an export stopped.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The store could not answer.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The text could not be written.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// Writes the samples in `range` of every series that matches any of `sets` (of every series if there are none), sorted by
/// name and labels, each series by time. Types and help texts are not stored, so that the families have none.
pub fn export(
    store: &dyn MetricQuerier,
    sets: &[Vec<Matcher>],
    range: TimeRange,
    out: &mut dyn Write,
) -> Result<Exported, ExportError> {
    let (hints, budget) = (SelectHints::default(), Budget::unlimited());
    let mut all: Vec<Series> = Vec::new();
    for matchers in sets {
        all.extend(store.select(&SelectRequest { matchers, range, hints: &hints, budget: &budget })?);
    }
    all.sort_by(|a, b| (a.labels.metric_name(), &a.labels).cmp(&(b.labels.metric_name(), &b.labels)));
    all.dedup_by(|a, b| a.labels == b.labels);
    let mut exported = Exported::default();
    let mut columns = SampleColumns::default();
    for series in &all {
        series.read_into(range, &mut columns).map_err(QueryError::from)?;
        exported.histograms_left_out += columns.h.len() as u64;
        let name = series_text(series);
        let before = exported.samples;
        for (t, v) in columns.t.iter().zip(&columns.v) {
            if is_stale_nan(*v) {
                exported.markers_left_out += 1;
                continue;
            }
            writeln!(out, "{name} {} {}", float::format_g(*v), seconds(*t))?;
            exported.samples += 1;
        }
        exported.series += u64::from(exported.samples > before);
    }
    writeln!(out, "# EOF")?;
    Ok(exported)
}

/// Name and labels; names that are not of the old form stand in quotes.
fn series_text(series: &Series) -> String {
    let quote = |text: &str| {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("\"{text}\"")
    };
    let metric = series.labels.metric_name();
    let legacy = is_legacy_metric_name(metric);
    let mut parts = Vec::new();
    if !legacy && !metric.is_empty() {
        parts.push(quote(metric));
    }
    for (name, value) in series.labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
        let name = if is_legacy_label_name(name) { name.to_owned() } else { quote(name) };
        parts.push(format!("{name}={}", quote(value)));
    }
    let labels = if parts.is_empty() && legacy { String::new() } else { format!("{{{}}}", parts.join(",")) };
    format!("{}{labels}", if legacy { metric } else { "" })
}

/// A time in seconds. Readers multiply it by a thousand as a float and cut it off, which may lose a millisecond: where it
/// would, half a millisecond is added.
fn seconds(t: i64) -> String {
    let sign = if t < 0 { "-" } else { "" };
    let (whole, part) = (t.unsigned_abs() / 1000, t.unsigned_abs() % 1000);
    let text = if part == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part:03}") };
    let read = |text: &str| text.parse::<f64>().map(|s| (s * 1000.0) as i64);
    if read(&text) == Ok(t) { text } else { format!("{sign}{whole}.{part:03}5") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_reader_gets_the_millisecond_that_was_written(t in -4_000_000_000_000i64..40_000_000_000_000) {
            let read = (seconds(t).parse::<f64>().unwrap() * 1000.0) as i64;
            prop_assert_eq!(read, t, "{}", seconds(t));
        }

        #[test]
        fn any_page_is_read_or_refused(page in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = check(&page, "page");
        }
    }
}

//! Writes a rule's result, and markers for the series that were in the result before and are no more.

use std::collections::{BTreeMap, HashMap};

use reba_model::{Labels, STALE_NAN};
use reba_storage::{
    AppendError, AppendMode, AppendReport, FloatSample, MetricAppender, RejectReason, SeriesRef, WriteBatch,
};

use crate::querier::{RuleSample, SampleValue};

/// The series of a result, with their references in the store.
pub(crate) type SeriesSet = HashMap<Labels, SeriesRef>;

/// What became of a result.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The series that are written now; they go stale when they are missing next time.
    pub series: SeriesSet,
    /// How many samples the store refused, by reason.
    pub rejected: BTreeMap<String, usize>,
}

impl Written {
    /// The error that a rule shows for refused samples, the most frequent one.
    pub fn error(&self) -> Option<String> {
        self.rejected.iter().max_by_key(|(_, n)| **n).map(|(reason, _)| reason.clone())
    }
}

/// Writes `samples` at `t`, and markers for `previous` series that are not among them, all in one batch.
pub(crate) fn write_result(
    appender: &dyn MetricAppender,
    previous: &SeriesSet,
    samples: &[RuleSample],
    t: i64,
) -> Result<Written, AppendError> {
    let mut write = Write::default();
    for sample in samples {
        let known = previous.get(&sample.labels).copied();
        let series = known.map_or_else(|| appender.series_ref(&sample.labels), Ok)?;
        write.push(series, &sample.labels, &sample.value, t);
    }
    let current: std::collections::HashSet<&Labels> = samples.iter().map(|s| &s.labels).collect();
    for (labels, series) in previous.iter().filter(|(labels, _)| !current.contains(labels)) {
        write.push_marker(*series, labels, t);
    }
    write.finish(appender)
}

/// Ends series whose rule is gone.
pub(crate) fn write_markers(
    appender: &dyn MetricAppender,
    series: &[Labels],
    t: i64,
) -> Result<(), AppendError> {
    let mut write = Write::default();
    for labels in series {
        let reference = appender.series_ref(labels)?;
        write.push_marker(reference, labels, t);
    }
    write.finish(appender).map(|_| ())
}

/// A batch with the labels of its samples.
#[derive(Default)]
struct Write<'a> {
    batch: WriteBatch,
    floats: Vec<Entry<'a>>,
    histograms: Vec<Entry<'a>>,
}

struct Entry<'a> {
    labels: &'a Labels,
    series: SeriesRef,
    marker: bool,
}

impl<'a> Write<'a> {
    fn push(&mut self, series: SeriesRef, labels: &'a Labels, value: &SampleValue, t: i64) {
        let entry = Entry { labels, series, marker: false };
        match value {
            SampleValue::Float(v) => {
                self.batch.floats.push(FloatSample { series, t, v: *v });
                self.floats.push(entry);
            }
            SampleValue::Histogram(h) => {
                self.batch.histograms.push((series, t, h.clone()));
                self.histograms.push(entry);
            }
        }
    }

    fn push_marker(&mut self, series: SeriesRef, labels: &'a Labels, t: i64) {
        self.batch.floats.push(FloatSample { series, t, v: STALE_NAN });
        self.floats.push(Entry { labels, series, marker: true });
    }

    fn finish(mut self, appender: &dyn MetricAppender) -> Result<Written, AppendError> {
        if self.batch.is_empty() {
            return Ok(Written::default());
        }
        let mut report = appender.append(&self.batch, AppendMode::Partial)?;
        if self.renew_unknown(appender, &report)? {
            // The store had dropped series that were known from the last evaluation. Samples that were written the first
            // time are exact repetitions now, which the store takes.
            report = appender.append(&self.batch, AppendMode::Partial)?;
        }
        let mut reasons: HashMap<usize, RejectReason> = HashMap::new();
        reasons.extend(report.rejected.iter().map(|r| (r.index, r.reason)));
        let mut written = Written::default();
        for (i, entry) in self.floats.iter().chain(&self.histograms).enumerate() {
            match reasons.get(&i) {
                // Another rule may write the series now: that is no fault.
                _ if entry.marker => {}
                None => {
                    written.series.insert(entry.labels.clone(), entry.series);
                }
                Some(reason) => *written.rejected.entry(reason.to_string()).or_default() += 1,
            }
        }
        Ok(written)
    }

    /// Asks for new references where the store knows the old ones no more. Returns whether there were any.
    fn renew_unknown(
        &mut self,
        appender: &dyn MetricAppender,
        report: &AppendReport,
    ) -> Result<bool, AppendError> {
        let mut renewed = false;
        for rejection in report.rejected.iter().filter(|r| r.reason == RejectReason::UnknownSeries) {
            let floats = self.floats.len();
            if let Some(entry) = self.floats.get_mut(rejection.index) {
                entry.series = appender.series_ref(entry.labels)?;
                self.batch.floats[rejection.index].series = entry.series;
                renewed = true;
            } else if let Some(entry) = self.histograms.get_mut(rejection.index - floats) {
                entry.series = appender.series_ref(entry.labels)?;
                self.batch.histograms[rejection.index - floats].0 = entry.series;
                renewed = true;
            }
        }
        Ok(renewed)
    }
}

//! Samples on their way into a store, some millions at a time.

use std::collections::BTreeMap;

use reba_model::{HistogramSample, Labels, SampleColumns, TimeRange};
use thiserror::Error;

/// Series with samples in any order; of samples at one time the last one counts.
pub type Batch = BTreeMap<Labels, SampleColumns>;

/// Takes a batch for good; the error is for the person who imports.
pub type Sink<'a> = &'a mut dyn FnMut(Batch) -> Result<(), String>;

/// Told now and then how much of the work is done, and how much there is.
pub type Report<'a> = &'a mut dyn FnMut(u64, u64);

/// Why an import stopped. What was given to the sink before is imported, and importing it again does no harm.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The source cannot be read; the text names file and place.
    #[error("{0}")]
    Source(String),
    /// The sink refused a batch.
    #[error("{0}")]
    Store(String),
}

/// What was imported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Floats.
    pub floats: u64,
    /// Native histograms.
    pub histograms: u64,
    /// First and last time, if there is any sample.
    pub range: Option<TimeRange>,
    /// What could not come along, for the person who imports.
    pub remarks: Vec<String>,
}

impl Imported {
    /// All samples.
    pub fn samples(&self) -> u64 {
        self.floats + self.histograms
    }
}

/// Memory of a batch before it is handed over: about eight million floats.
const BATCH_BYTES: usize = 128 << 20;

/// Collects samples and hands them to the sink.
pub(crate) struct Batcher<'a, 'b> {
    sink: Sink<'a>,
    pending: Batch,
    bytes: usize,
    limit: usize,
    imported: &'b mut Imported,
}

impl<'a, 'b> Batcher<'a, 'b> {
    pub(crate) fn new(sink: Sink<'a>, imported: &'b mut Imported) -> Self {
        Batcher { sink, pending: Batch::new(), bytes: 0, limit: BATCH_BYTES, imported }
    }

    /// Adds one float.
    pub(crate) fn float(&mut self, labels: &Labels, t: i64, v: f64) -> Result<(), ImportError> {
        self.series(labels).push(t, v);
        self.bytes += 16;
        self.imported.floats += 1;
        self.saw(t, t);
        self.flush_if_full()
    }

    /// Adds samples of one series, and empties `columns`.
    pub(crate) fn columns(
        &mut self,
        labels: &Labels,
        columns: &mut SampleColumns,
    ) -> Result<(), ImportError> {
        if columns.is_empty() {
            return Ok(());
        }
        self.bytes += columns.t.len() * 16 + columns.h.iter().map(histogram_bytes).sum::<usize>();
        self.imported.floats += columns.t.len() as u64;
        self.imported.histograms += columns.h.len() as u64;
        for t in columns.t.iter().copied().chain(columns.h.iter().map(|s| s.t)) {
            self.saw(t, t);
        }
        let series = self.series(labels);
        series.t.append(&mut columns.t);
        series.v.append(&mut columns.v);
        series.h.append(&mut columns.h);
        self.flush_if_full()
    }

    /// Hands over what is left.
    pub(crate) fn finish(mut self) -> Result<(), ImportError> {
        self.flush()
    }

    fn series(&mut self, labels: &Labels) -> &mut SampleColumns {
        if !self.pending.contains_key(labels) {
            self.bytes += labels.memory_bytes() + 200;
            self.pending.insert(labels.clone(), SampleColumns::default());
        }
        self.pending.entry(labels.clone()).or_default()
    }

    fn saw(&mut self, start: i64, end: i64) {
        let range = TimeRange::new(start, end);
        self.imported.range = Some(self.imported.range.map_or(range, |r| r.union(range)));
    }

    fn flush_if_full(&mut self) -> Result<(), ImportError> {
        if self.bytes >= self.limit { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ImportError> {
        self.bytes = 0;
        if self.pending.is_empty() {
            return Ok(());
        }
        (self.sink)(std::mem::take(&mut self.pending)).map_err(ImportError::Store)
    }
}

fn histogram_bytes(sample: &HistogramSample) -> usize {
    let h = &sample.h;
    200 + 8 * (h.positive_buckets.len() + h.negative_buckets.len() + h.custom_values.len())
        + 8 * (h.positive_spans.len() + h.negative_spans.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_batch_is_handed_over_and_nothing_is_lost() {
        let (mut batches, mut imported) = (Vec::new(), Imported::default());
        let mut sink = |batch: Batch| {
            batches.push(batch);
            Ok(())
        };
        let mut batcher = Batcher { limit: 1000, ..Batcher::new(&mut sink, &mut imported) };
        let labels = Labels::from_pairs([("__name__", "a")]);
        for t in 0..200 {
            batcher.float(&labels, t, t as f64).unwrap();
        }
        batcher.finish().unwrap();
        assert!(batches.len() > 3);
        let times: Vec<i64> = batches.iter().flat_map(|b| b[&labels].t.clone()).collect();
        assert_eq!(times, (0..200).collect::<Vec<_>>());
        assert_eq!((imported.samples(), imported.range), (200, Some(TimeRange::new(0, 199))));
    }
}

//! Taking in samples of any age, past the head.

use std::collections::{BTreeMap, BTreeSet};

use reba_disk::DiskError;
use reba_model::{HistogramSample, Labels, SampleColumns};

use crate::{
    Tsdb, TsdbError,
    block::{BlockMeta, BlockWriter, Packing},
    head::{is_acceptable_time, span_start},
};

/// Series with their samples, in any order.
pub type ImportBatch = BTreeMap<Labels, SampleColumns>;

impl Tsdb {
    /// Writes samples of any age to blocks of their own, durably. Of samples of one series at one time the one that came
    /// last wins, also over what an earlier call wrote; what the store got otherwise is kept beside it until compaction,
    /// where what was imported wins.
    ///
    /// The blocks have the span of those that the head writes and are marked as overlapping, whatever else there is:
    /// compaction of the two never covers a span that the head still holds. Call [`Tsdb::merge_imported`] at the end, and
    /// every few batches.
    pub fn import(&self, batch: ImportBatch) -> Result<u64, TsdbError> {
        let _state = self.maintenance.lock();
        let range = self.config.block_range_ms;
        let mut series: Vec<Pending> = Vec::with_capacity(batch.len());
        let mut spans = BTreeSet::new();
        for (labels, columns) in batch {
            let pending = Pending::new(labels, columns);
            for t in pending.times() {
                if !is_acceptable_time(t) {
                    return Err(TsdbError::Refused { reason: format!("a sample's time is {t} ms") });
                }
                spans.insert(span_start(t, range));
            }
            series.push(pending);
        }
        self.write_imported(&mut series, &spans)
    }

    /// One block for each span; returns how many samples were written.
    fn write_imported(&self, series: &mut [Pending], spans: &BTreeSet<i64>) -> Result<u64, TsdbError> {
        let mut written = 0;
        for start in spans {
            let meta = self.block_from(*start, true);
            let number = meta.number;
            let block =
                self.write_imported_span(series, meta).inspect_err(|_| self.blocks.give_up(number))?;
            if let Some(meta) = block {
                written += meta.samples;
                self.blocks.add(&meta)?;
            }
        }
        Ok(written)
    }

    fn write_imported_span(
        &self,
        series: &mut [Pending],
        meta: BlockMeta,
    ) -> Result<Option<BlockMeta>, DiskError> {
        let end = meta.max_time;
        let mut writer = BlockWriter::new(&self.blocks.dir, meta, Packing::Repack)?;
        let mut columns = SampleColumns::default();
        for one in series {
            one.take_before(end, &mut columns);
            writer.encode(&columns)?;
            writer.end_series(&one.labels);
        }
        writer.finish()
    }

    /// Merges the blocks that imports have written with those of the same span.
    pub fn merge_imported(&self) -> Result<(), TsdbError> {
        let _state = self.maintenance.lock();
        self.compact()
    }
}

/// What is left of a series: sorted by time, times unique.
struct Pending {
    labels: Labels,
    columns: SampleColumns,
    /// How many floats and histograms are written.
    floats: usize,
    histograms: usize,
}

impl Pending {
    fn new(labels: Labels, mut columns: SampleColumns) -> Self {
        sort_floats(&mut columns);
        sort_histograms(&mut columns.h);
        Pending { labels, columns, floats: 0, histograms: 0 }
    }

    fn times(&self) -> impl Iterator<Item = i64> {
        self.columns.t.iter().copied().chain(self.columns.h.iter().map(|s| s.t))
    }

    /// Moves the samples before `end` to `out`, which is cleared first.
    fn take_before(&mut self, end: i64, out: &mut SampleColumns) {
        out.clear();
        let (t, h) = (&self.columns.t[self.floats..], &self.columns.h[self.histograms..]);
        let floats = t.iter().take_while(|t| **t < end).count();
        let histograms = h.iter().take_while(|s| s.t < end).count();
        out.t.extend_from_slice(&t[..floats]);
        out.v.extend_from_slice(&self.columns.v[self.floats..self.floats + floats]);
        out.h.extend_from_slice(&h[..histograms]);
        self.floats += floats;
        self.histograms += histograms;
    }
}

fn sort_floats(columns: &mut SampleColumns) {
    if columns.t.is_sorted_by(|a, b| a < b) {
        return;
    }
    let mut samples: Vec<(i64, f64)> = columns.t.drain(..).zip(columns.v.drain(..)).collect();
    samples.sort_by_key(|s| s.0);
    for (t, v) in samples {
        if columns.t.last() == Some(&t) {
            columns.t.pop();
            columns.v.pop();
        }
        columns.push(t, v);
    }
}

fn sort_histograms(samples: &mut Vec<HistogramSample>) {
    if samples.is_sorted_by(|a, b| a.t < b.t) {
        return;
    }
    samples.sort_by_key(|s| s.t);
    let mut sorted: Vec<HistogramSample> = Vec::with_capacity(samples.len());
    for sample in samples.drain(..) {
        if sorted.last().is_some_and(|last| last.t == sample.t) {
            sorted.pop();
        }
        sorted.push(sample);
    }
    *samples = sorted;
}

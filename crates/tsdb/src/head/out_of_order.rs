//! Samples that came late: kept sorted beside the in-order chunks of their series until blocks are written.

use std::sync::Arc;

use reba_model::{Chunk, Histogram, HistogramSample, RawColumns, TimeRange};

/// Late samples of one series. The window bounds how many there can be.
#[derive(Debug, Default)]
pub(crate) struct OutOfOrder {
    /// Sorted by time, times unique.
    floats: Vec<(i64, f64)>,
    histograms: Vec<HistogramSample>,
}

/// What became of a late sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    Yes,
    Duplicate,
    Conflict,
}

impl OutOfOrder {
    pub(crate) fn insert(&mut self, t: i64, v: f64) -> Inserted {
        match self.floats.binary_search_by_key(&t, |s| s.0) {
            Ok(at) if self.floats[at].1.to_bits() == v.to_bits() => Inserted::Duplicate,
            Ok(_) => Inserted::Conflict,
            Err(at) => {
                self.floats.insert(at, (t, v));
                Inserted::Yes
            }
        }
    }

    pub(crate) fn insert_histogram(&mut self, t: i64, h: Arc<Histogram>) -> Inserted {
        match self.histograms.binary_search_by_key(&t, |s| s.t) {
            Ok(at) if *self.histograms[at].h == *h => Inserted::Duplicate,
            Ok(_) => Inserted::Conflict,
            Err(at) => {
                self.histograms.insert(at, HistogramSample { t, h });
                Inserted::Yes
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
    }

    pub(crate) fn floats(&self) -> &[(i64, f64)] {
        &self.floats
    }

    pub(crate) fn histograms(&self) -> &[HistogramSample] {
        &self.histograms
    }

    pub(crate) fn times(&self) -> impl Iterator<Item = i64> {
        self.floats.iter().map(|s| s.0).chain(self.histograms.iter().map(|s| s.t))
    }

    pub(crate) fn range(&self) -> Option<TimeRange> {
        let floats = self.floats.first().zip(self.floats.last()).map(|(a, b)| TimeRange::new(a.0, b.0));
        let hists =
            self.histograms.first().zip(self.histograms.last()).map(|(a, b)| TimeRange::new(a.t, b.t));
        [floats, hists].into_iter().flatten().reduce(|a, b| a.union(b))
    }

    /// The samples in `range` as a chunk.
    pub(crate) fn chunk(&self, range: TimeRange) -> Option<Chunk> {
        let inside = self.floats.iter().filter(|s| range.contains(s.0));
        let (t, v) = inside.copied().unzip();
        let h: Vec<_> = self.histograms.iter().filter(|s| range.contains(s.t)).cloned().collect();
        let chunk = Chunk::raw_columns(RawColumns { t, v, h });
        (chunk.samples() > 0).then_some(chunk)
    }

    /// Takes out the samples before `t`.
    pub(crate) fn split_before(&mut self, t: i64) -> OutOfOrder {
        let floats = self.floats.partition_point(|s| s.0 < t);
        let histograms = self.histograms.partition_point(|s| s.t < t);
        OutOfOrder {
            floats: self.floats.drain(..floats).collect(),
            histograms: self.histograms.drain(..histograms).collect(),
        }
    }

    /// Puts samples back.
    pub(crate) fn absorb(&mut self, other: OutOfOrder) {
        for (t, v) in other.floats {
            self.insert(t, v);
        }
        for s in other.histograms {
            self.insert_histogram(s.t, s.h);
        }
    }
}

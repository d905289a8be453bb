//! Samples, series and exemplars.

use std::{cmp::Ordering, sync::Arc};

use crate::{Chunk, ChunkError, Histogram, Labels};

/// A closed range of time, `[start, end]`, in Unix milliseconds; empty when `end < start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// First millisecond that belongs to the range.
    pub start: i64,
    /// Last millisecond that belongs to the range.
    pub end: i64,
}

impl TimeRange {
    /// All of time.
    pub const ALL: TimeRange = TimeRange { start: i64::MIN, end: i64::MAX };

    /// The range `[start, end]`.
    pub fn new(start: i64, end: i64) -> Self {
        TimeRange { start, end }
    }

    /// Whether `t` lies in the range.
    #[inline]
    pub fn contains(&self, t: i64) -> bool {
        self.start <= t && t <= self.end
    }

    /// Whether the two ranges share a millisecond.
    #[inline]
    pub fn overlaps(&self, other: TimeRange) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// The smallest range that holds both.
    pub fn union(&self, other: TimeRange) -> TimeRange {
        TimeRange { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// One float at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Unix milliseconds.
    pub t: i64,
    /// The value.
    pub v: f64,
}

/// One native histogram at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramSample {
    /// Unix milliseconds.
    pub t: i64,
    /// The histogram, shared since evaluation copies points around.
    pub h: Arc<Histogram>,
}

/// An example observation, usually with a trace id among its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// The exemplar's own labels.
    pub labels: Labels,
    /// The observed value.
    pub value: f64,
    /// Unix milliseconds.
    pub t: i64,
}

/// Decoded samples of one series, as columns.
///
/// Floats and histograms stand apart, each sorted by time with unique times; a series rarely has both, and
/// no time occurs in both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SampleColumns {
    /// Times of the floats.
    pub t: Vec<i64>,
    /// Values of the floats; same length as `t`.
    pub v: Vec<f64>,
    /// Histogram samples.
    pub h: Vec<HistogramSample>,
}

impl SampleColumns {
    /// Removes all samples, keeping the memory for the next series.
    pub fn clear(&mut self) {
        self.t.clear();
        self.v.clear();
        self.h.clear();
    }

    /// How many samples of either kind there are.
    pub fn len(&self) -> usize {
        self.t.len() + self.h.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a float; times must rise.
    #[inline]
    pub fn push(&mut self, t: i64, v: f64) {
        self.t.push(t);
        self.v.push(v);
    }
}

/// One series with the chunks that an engine found for a request.
#[derive(Clone, Debug)]
pub struct Series {
    /// Labels, metric name included.
    pub labels: Labels,
    /// Chunks sorted by their first time. They may overlap (samples that came out of order); at equal times the
    /// sample of the chunk that stands later in the list wins.
    pub chunks: Vec<Chunk>,
}

impl Series {
    /// Decodes the samples inside `range` into `out`, which is cleared first.
    ///
    /// Staleness markers are samples like any other here. Cost: linear, plus a sort if chunks overlap.
    pub fn read_into(&self, range: TimeRange, out: &mut SampleColumns) -> Result<(), ChunkError> {
        out.clear();
        let mut last_max = i64::MIN;
        let mut overlapping = false;
        for chunk in self.chunks.iter().filter(|c| c.range().overlaps(range)) {
            overlapping |= chunk.range().start <= last_max && last_max != i64::MIN;
            last_max = last_max.max(chunk.range().end);
            chunk.decode_into(range, out)?;
        }
        if overlapping {
            merge_overlap(out);
        }
        Ok(())
    }
}

/// Sorts by time and keeps the last of samples with equal times (a float and a histogram at one time: the
/// histogram goes).
fn merge_overlap(out: &mut SampleColumns) {
    let mut floats: Vec<(i64, f64)> = out.t.iter().copied().zip(out.v.iter().copied()).collect();
    floats.sort_by_key(|s| s.0);
    out.t.clear();
    out.v.clear();
    for (t, v) in floats {
        if out.t.last() == Some(&t) {
            out.v.pop();
            out.v.push(v);
        } else {
            out.push(t, v);
        }
    }
    let mut hists = std::mem::take(&mut out.h);
    hists.sort_by_key(|s| s.t);
    for s in hists {
        match out.h.last().map_or(Ordering::Less, |l| l.t.cmp(&s.t)) {
            Ordering::Equal => {
                out.h.pop();
                out.h.push(s);
            }
            _ if out.t.binary_search(&s.t).is_err() => out.h.push(s),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_chunks_are_merged_and_the_later_chunk_wins() {
        let chunk = |ts: &[i64], v: f64| Chunk::raw(ts.to_vec(), vec![v; ts.len()]);
        let s = Series {
            labels: Labels::empty(),
            chunks: vec![chunk(&[10, 20, 30], 1.0), chunk(&[15, 20], 2.0), chunk(&[40], 3.0)],
        };
        let mut out = SampleColumns::default();
        s.read_into(TimeRange::new(11, 40), &mut out).unwrap();
        assert_eq!(out.t, [15, 20, 30, 40]);
        assert_eq!(out.v, [2.0, 2.0, 1.0, 3.0]);
    }
}

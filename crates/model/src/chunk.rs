//! Chunks: a run of samples of one series, compressed or not.

use std::sync::Arc;

use thiserror::Error;

use crate::{HistogramSample, SampleColumns, TimeRange};

/// Why a chunk could not be decoded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ChunkError {
    /// The bytes end before the data does.
    #[error("chunk is truncated at byte {at}")]
    Truncated {
        /// Offset in the chunk.
        at: usize,
    },
    /// The bytes contradict themselves.
    #[error("chunk is corrupt at byte {at}: {what}")]
    Corrupt {
        /// Offset in the chunk.
        at: usize,
        /// What was found.
        what: &'static str,
    },
}

/// Samples as plain columns: what a store in memory and tests hand out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawColumns {
    /// Times of the floats, rising.
    pub t: Vec<i64>,
    /// Values of the floats.
    pub v: Vec<f64>,
    /// Histograms, times rising.
    pub h: Vec<HistogramSample>,
}

/// A run of samples of one series, cheap to clone.
#[derive(Clone, Debug)]
pub struct Chunk {
    range: TimeRange,
    samples: u32,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Raw(Arc<RawColumns>),
}

impl Chunk {
    /// A chunk of floats that are not compressed. `t` must rise and be as long as `v`.
    pub fn raw(t: Vec<i64>, v: Vec<f64>) -> Self {
        Self::raw_columns(RawColumns { t, v, h: Vec::new() })
    }

    /// A chunk of samples that are not compressed.
    pub fn raw_columns(columns: RawColumns) -> Self {
        let first = [columns.t.first().copied(), columns.h.first().map(|s| s.t)];
        let last = [columns.t.last().copied(), columns.h.last().map(|s| s.t)];
        let start = first.into_iter().flatten().min().unwrap_or(0);
        let end = last.into_iter().flatten().max().unwrap_or(-1);
        let samples = (columns.t.len() + columns.h.len()) as u32;
        Chunk { range: TimeRange { start, end }, samples, body: Body::Raw(Arc::new(columns)) }
    }

    /// Times of the first and the last sample.
    pub fn range(&self) -> TimeRange {
        self.range
    }

    /// How many samples the chunk holds.
    pub fn samples(&self) -> u32 {
        self.samples
    }

    /// Appends the samples that lie in `range` to `out`.
    pub fn decode_into(&self, range: TimeRange, out: &mut SampleColumns) -> Result<(), ChunkError> {
        match &self.body {
            Body::Raw(c) => {
                let from = c.t.partition_point(|t| *t < range.start);
                let to = c.t.partition_point(|t| *t <= range.end);
                if from < to {
                    out.t.extend_from_slice(&c.t[from..to]);
                    out.v.extend_from_slice(&c.v[from..to]);
                }
                out.h.extend(c.h.iter().filter(|s| range.contains(s.t)).cloned());
                Ok(())
            }
        }
    }
}

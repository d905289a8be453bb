//! Chunks: a run of samples of one series, compressed or not.
//!
//! | form | who writes it | what it is for |
//! |---|---|---|
//! | raw columns | the RAM store, tests, computed series | nothing to decode |
//! | open ([`OpenChunk`]) | a head, sample by sample | cheap append, small in memory |
//! | packed ([`encode_floats`], or [`encode_values`] with a shared [`encode_times`]) | sealing, blocks | size, and decoding by the page |
//! | histograms ([`encode_histograms`]) | sealing, blocks | native histograms |
//! | rollups ([`encode_rollups`]) | downsampled blocks | floats of long ago, by the window |
//!
//! The bytes are described in `docs/format/chunk.md`.

mod bits;
mod bytes;
mod floats;
mod histograms;
mod ints;
mod open;
mod open_reader;
mod pack;
mod reader;
mod rollups;
mod times;
mod values;

use std::sync::Arc;

use thiserror::Error;

use self::reader::Reader;
pub use self::{
    bytes::ChunkBytes, floats::encode_floats, histograms::encode_histograms, open::OpenChunk,
    rollups::encode_rollups, times::encode_times, values::encode_values,
};
use crate::{HistogramSample, Rollup, Sample, SampleColumns, TimeRange};

/// Most samples that one encoded chunk may hold; longer runs are split by the writer. It bounds what corrupt bytes
/// can make a reader allocate.
pub const MAX_CHUNK_SAMPLES: usize = 1 << 16;

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

/// A run of samples of one series, cheap to clone. An encoded chunk holds either floats, or histograms, or rollups.
#[derive(Clone, Debug)]
pub struct Chunk {
    range: TimeRange,
    samples: u32,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Raw(Arc<RawColumns>),
    Encoded(ChunkBytes),
    /// A column of values beside a column of times that other chunks may use too.
    Columns {
        times: ChunkBytes,
        values: ChunkBytes,
    },
    /// Decoded rollups in windows of so many milliseconds.
    Rollups {
        resolution: i64,
        rollups: Arc<Vec<Rollup>>,
    },
}

impl Chunk {
    /// A chunk of floats that are not compressed. `t` must rise and be as long as `v`.
    pub fn raw(t: Vec<i64>, v: Vec<f64>) -> Self {
        Self::raw_columns(RawColumns { t, v, h: Vec::new() })
    }

    /// A chunk of one sample.
    pub fn one(sample: Sample) -> Self {
        let range = TimeRange { start: sample.t, end: sample.t };
        Chunk::known(range, 1, ChunkBytes::from(open::one(sample).as_slice()))
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

    /// A chunk of rollups in windows of `resolution` milliseconds. They must not overlap, and rise in time.
    pub fn rollups(resolution: i64, rollups: Vec<Rollup>) -> Self {
        let start = rollups.first().map_or(0, |r| r.first_t);
        let end = rollups.last().map_or(-1, |r| r.last_t);
        let samples = rollups.len() as u32;
        let body = Body::Rollups { resolution, rollups: Arc::new(rollups) };
        Chunk { range: TimeRange { start, end }, samples, body }
    }

    /// A chunk over bytes that [`encode_floats`], [`encode_histograms`], [`encode_rollups`] or [`OpenChunk::snapshot`] wrote. Reads the
    /// header only: damage further back shows when the samples are decoded.
    pub fn from_bytes(bytes: ChunkBytes) -> Result<Self, ChunkError> {
        let data = bytes.as_slice();
        let (range, samples) = match data.first() {
            Some(&open::TAG) => open_reader::head(data)?,
            Some(&floats::TAG) => floats::head(data).map(|h| (h.range, h.n as u32))?,
            Some(&histograms::TAG) => histograms::head(data).map(|h| (h.range, h.n as u32))?,
            Some(&rollups::TAG) => rollups::head(data).map(|(h, _)| (h.range, h.n as u32))?,
            Some(_) => return Err(ChunkError::Corrupt { at: 0, what: "unknown kind of chunk" }),
            None => return Err(ChunkError::Truncated { at: 0 }),
        };
        Ok(Self::known(range, samples, bytes))
    }

    /// A chunk of floats whose times ([`encode_times`]) stand apart from its values ([`encode_values`]), so that
    /// series scraped together share one column of times. Both must hold equally many samples.
    pub fn from_columns(times: ChunkBytes, values: ChunkBytes) -> Result<Self, ChunkError> {
        let head = times::read_head(&mut Reader::new(times.as_slice()))?;
        Ok(Chunk { range: head.range, samples: head.n as u32, body: Body::Columns { times, values } })
    }

    /// A chunk over encoded bytes whose header is known already.
    fn known(range: TimeRange, samples: u32, bytes: ChunkBytes) -> Self {
        Chunk { range, samples, body: Body::Encoded(bytes) }
    }

    /// The encoded bytes of a chunk that stands alone: what [`Chunk::from_bytes`] reads.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Encoded(bytes) => Some(bytes.as_slice()),
            Body::Raw(_) | Body::Columns { .. } | Body::Rollups { .. } => None,
        }
    }

    /// The encoded values of a chunk whose times stand apart.
    pub fn value_bytes(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Columns { values, .. } => Some(values.as_slice()),
            Body::Raw(_) | Body::Encoded(_) | Body::Rollups { .. } => None,
        }
    }

    /// Times of the first and the last sample.
    pub fn range(&self) -> TimeRange {
        self.range
    }

    /// How many samples the chunk holds, or how many rollups.
    pub fn samples(&self) -> u32 {
        self.samples
    }

    /// Whether there are histograms among the samples.
    pub fn has_histograms(&self) -> bool {
        match &self.body {
            Body::Raw(c) => !c.h.is_empty(),
            Body::Encoded(bytes) => bytes.as_slice().first() == Some(&histograms::TAG),
            Body::Columns { .. } | Body::Rollups { .. } => false,
        }
    }

    /// Milliseconds of the windows of a downsampled chunk; `None` for samples as they came.
    pub fn resolution(&self) -> Option<i64> {
        match &self.body {
            Body::Rollups { resolution, .. } => Some(*resolution),
            Body::Encoded(bytes) if bytes.as_slice().first() == Some(&rollups::TAG) => {
                rollups::head(bytes.as_slice()).ok().map(|(_, resolution)| resolution)
            }
            _ => None,
        }
    }

    /// Appends the rollups that overlap `range` to `out`, whole as they are. Floats of a chunk that is not downsampled
    /// are rollups of one sample; histograms are left out.
    pub fn rollups_into(&self, range: TimeRange, out: &mut Vec<Rollup>) -> Result<(), ChunkError> {
        match &self.body {
            Body::Rollups { rollups, .. } => {
                let from = rollups.partition_point(|r| r.last_t < range.start);
                let to = rollups.partition_point(|r| r.first_t <= range.end);
                out.extend_from_slice(rollups.get(from..to).unwrap_or_default());
                Ok(())
            }
            Body::Encoded(bytes) if bytes.as_slice().first() == Some(&rollups::TAG) => {
                rollups::decode(bytes.as_slice(), range, out)
            }
            _ => {
                let mut columns = SampleColumns::default();
                self.decode_into(range, &mut columns)?;
                out.extend(columns.t.into_iter().zip(columns.v).map(|(t, v)| Rollup::sample(t, v)));
                Ok(())
            }
        }
    }

    /// Appends the samples that lie in `range` to `out`: of rollups the first and the last sample of each, as they were,
    /// and staleness markers. Decodes only the pages that overlap the range. After an error `out` may hold a part of them.
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
            Body::Encoded(bytes) => {
                let data = bytes.as_slice();
                match data.first() {
                    Some(&(open::TAG | open::TAIL_TAG)) => open_reader::decode(data, range, out),
                    Some(&floats::TAG) => floats::decode(data, range, out),
                    Some(&rollups::TAG) => {
                        let mut found = Vec::new();
                        rollups::decode(data, range, &mut found)?;
                        rollups::samples(&found, range, out);
                        Ok(())
                    }
                    _ => histograms::decode(data, range, out),
                }
            }
            Body::Rollups { rollups, .. } => {
                rollups::samples(rollups, range, out);
                Ok(())
            }
            Body::Columns { times, values } => {
                let (mut times, mut values) = (Reader::new(times.as_slice()), Reader::new(values.as_slice()));
                floats::decode_columns(&mut times, &mut values, range, out)
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! One series of the head: its open chunk, its sealed chunks, and what it accepts.

use std::sync::Arc;

use reba_model::{
    Chunk, Histogram, HistogramSample, OpenChunk, RawColumns, TimeRange, encode_floats, encode_histograms,
};
use reba_storage::RejectReason;

use super::{chunk_files::ChunkLocation, out_of_order::OutOfOrder};

/// What times the head accepts at the moment; the same for a whole batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// In-order samples must not be older.
    pub(crate) min: i64,
    /// Samples older than the newest of their series must not be older than this; `i64::MAX`: none are accepted.
    pub(crate) out_of_order_min: i64,
    /// No sample may be newer.
    pub(crate) max: i64,
    /// Chunks do not cross multiples of this.
    pub(crate) block_range: i64,
}

/// What to do with a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Append,
    /// The very same sample is there already.
    Duplicate,
    OutOfOrder,
    Reject(RejectReason),
}

/// A chunk that takes no more samples.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) range: TimeRange,
    pub(crate) data: SealedData,
}

#[derive(Clone, Debug)]
pub(crate) enum SealedData {
    Memory(Arc<[u8]>),
    File(ChunkLocation),
}

/// What few series have.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    /// Native histograms of the open chunk; while there are any, the chunk of floats is empty.
    pub(crate) histograms: Vec<HistogramSample>,
    pub(crate) out_of_order: OutOfOrder,
    /// Late samples that are being written to a block at the moment.
    pub(crate) flushing: OutOfOrder,
}

impl Rare {
    fn late_range(&self) -> Option<TimeRange> {
        [self.out_of_order.range(), self.flushing.range()].into_iter().flatten().reduce(|a, b| a.union(b))
    }

    fn is_empty(&self) -> bool {
        self.histograms.is_empty() && self.out_of_order.is_empty() && self.flushing.is_empty()
    }
}

/// Memory that sealing reuses.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    t: Vec<i64>,
    v: Vec<f64>,
    bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct HeadSeries {
    /// The pairs of labels: a part of the shard's arena.
    pub(crate) pairs_at: u32,
    pub(crate) pairs_len: u16,
    /// Tells a reference to an earlier series in this slot from one to this; zero: the slot is free.
    pub(crate) generation: u32,
    /// Hash of the labels.
    pub(crate) hash: u64,
    pub(crate) open: OpenChunk,
    pub(crate) sealed: Vec<Sealed>,
    /// Newest in-order sample; `i64::MIN` if there was none. The bits of a histogram are those of [`HISTOGRAM`].
    pub(crate) last_t: i64,
    last_bits: u64,
    pub(crate) rare: Option<Box<Rare>>,
}

/// No float is stored with these bits: other NaNs are made normal before they get here.
const HISTOGRAM: u64 = 0xffff_ffff_ffff_ffff;

/// Histograms in a chunk.
const MAX_HISTOGRAMS: usize = 60;

impl HeadSeries {
    pub(crate) fn new(hash: u64, generation: u32) -> Self {
        HeadSeries {
            pairs_at: 0,
            pairs_len: 0,
            generation,
            hash,
            open: OpenChunk::new(),
            sealed: Vec::new(),
            last_t: i64::MIN,
            last_bits: 0,
            rare: None,
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.generation != 0
    }

    /// What to do with a float at `t`, if the newest sample is the series' own or `(t, bits)` as given by `last`.
    #[inline]
    pub(crate) fn judge(last: (i64, u64), t: i64, bits: u64, bounds: &Bounds) -> Verdict {
        if t > bounds.max {
            return Verdict::Reject(RejectReason::OutOfBounds);
        }
        if t > last.0 {
            if t >= bounds.min {
                return Verdict::Append;
            }
        } else if t == last.0 && t != i64::MIN {
            let same = bits == last.1 && bits != HISTOGRAM;
            return if same { Verdict::Duplicate } else { Verdict::Reject(RejectReason::DuplicateTimestamp) };
        }
        if bounds.out_of_order_min != i64::MAX {
            return if t >= bounds.out_of_order_min {
                Verdict::OutOfOrder
            } else {
                Verdict::Reject(RejectReason::TooOld)
            };
        }
        Verdict::Reject(if t < bounds.min { RejectReason::TooOld } else { RejectReason::OutOfOrder })
    }

    /// The newest in-order sample: what [`HeadSeries::judge`] compares with.
    #[inline]
    pub(crate) fn last(&self) -> (i64, u64) {
        (self.last_t, self.last_bits)
    }

    /// Milliseconds between the newest two samples in order, if both are floats of the open chunk.
    pub(crate) fn interval(&self) -> Option<i64> {
        self.open.interval().filter(|_| self.open.last().is_some_and(|s| s.t == self.last_t))
    }

    /// Whether the newest in-order sample is this very histogram.
    pub(crate) fn is_last_histogram(&self, t: i64, h: &Histogram) -> bool {
        let newest = self.rare.as_ref().and_then(|r| r.histograms.last());
        self.last_t == t && newest.is_some_and(|n| n.t == t && *n.h == *h)
    }

    /// Appends a float whose verdict is [`Verdict::Append`]. Returns the bytes that sealing took, if it came to it.
    #[inline]
    pub(crate) fn append(&mut self, t: i64, v: f64, block_range: i64, scratch: &mut Scratch) -> usize {
        let mut sealed = 0;
        if self.last_t != i64::MIN && t.div_euclid(block_range) != self.last_t.div_euclid(block_range) {
            sealed += self.seal(scratch);
        }
        if self.rare.as_ref().is_some_and(|r| !r.histograms.is_empty()) {
            sealed += self.seal(scratch);
        }
        if !self.open.append(t, v) {
            sealed += self.seal(scratch);
            let fits = self.open.append(t, v);
            debug_assert!(fits, "an empty chunk takes a sample");
        }
        self.last_t = t;
        self.last_bits = v.to_bits();
        sealed
    }

    /// Appends a histogram whose verdict is [`Verdict::Append`].
    pub(crate) fn append_histogram(
        &mut self,
        t: i64,
        h: Arc<Histogram>,
        bounds: &Bounds,
        s: &mut Scratch,
    ) -> usize {
        let crosses = self.last_t != i64::MIN
            && t.div_euclid(bounds.block_range) != self.last_t.div_euclid(bounds.block_range);
        let full = self.rare.as_ref().is_some_and(|r| r.histograms.len() >= MAX_HISTOGRAMS);
        let sealed = if crosses || full || !self.open.is_empty() { self.seal(s) } else { 0 };
        self.rare.get_or_insert_default().histograms.push(HistogramSample { t, h });
        self.last_t = t;
        self.last_bits = HISTOGRAM;
        sealed
    }

    /// Closes the open chunk, if it has samples; returns the bytes it takes now.
    pub(crate) fn seal(&mut self, scratch: &mut Scratch) -> usize {
        let Scratch { t, v, bytes } = scratch;
        if !self.open.is_empty() {
            t.clear();
            v.clear();
            bytes.clear();
            self.open.read_into(t, v);
            self.open.clear();
            encode_floats(t, v, bytes);
            let range = TimeRange::new(t.first().copied().unwrap_or(0), t.last().copied().unwrap_or(-1));
            self.push_sealed(range, bytes);
            return bytes.len();
        }
        let Some(rare) = self.rare.as_mut() else { return 0 };
        let histograms = std::mem::take(&mut rare.histograms);
        let mut rest = histograms.as_slice();
        let mut total = 0;
        while let Some(first) = rest.first() {
            bytes.clear();
            let n = encode_histograms(rest, bytes).clamp(1, rest.len());
            self.push_sealed(TimeRange::new(first.t, rest[n - 1].t), bytes);
            total += bytes.len();
            rest = &rest[n..];
        }
        total
    }

    fn push_sealed(&mut self, range: TimeRange, bytes: &[u8]) {
        if self.sealed.len() == self.sealed.capacity() {
            self.sealed.reserve_exact(2);
        }
        self.sealed.push(Sealed { range, data: SealedData::Memory(Arc::from(bytes)) });
    }

    /// Takes over the samples of another slot.
    pub(crate) fn adopt(&mut self, other: &mut HeadSeries) {
        std::mem::swap(&mut self.open, &mut other.open);
        std::mem::swap(&mut self.sealed, &mut other.sealed);
        std::mem::swap(&mut self.rare, &mut other.rare);
        (self.last_t, self.last_bits) = (other.last_t, other.last_bits);
    }

    /// Forgets all samples.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
        self.sealed.clear();
        self.rare = None;
        self.restore_last(i64::MIN, 0);
    }

    /// Restores the newest in-order sample from what a checkpoint says.
    pub(crate) fn restore_last(&mut self, t: i64, bits: u64) {
        self.last_t = t;
        self.last_bits = bits;
    }

    /// Times of the samples in the open chunk; `None` if it is empty.
    pub(crate) fn open_range(&self) -> Option<TimeRange> {
        let histogram = || self.rare.as_ref()?.histograms.first().map(|s| s.t);
        self.open.start().or_else(histogram).map(|start| TimeRange::new(start, self.last_t))
    }

    /// The open chunk as readers see it.
    pub(crate) fn open_chunk(&self) -> Option<Chunk> {
        if let Some(chunk) = self.open.snapshot() {
            return Some(chunk);
        }
        let h = self.rare.as_ref()?.histograms.clone();
        (!h.is_empty()).then(|| Chunk::raw_columns(RawColumns { h, ..RawColumns::default() }))
    }

    /// The open chunk for readers who want the samples from `start` on.
    pub(crate) fn open_chunk_from(&self, start: i64) -> Option<Chunk> {
        if self.open.is_empty() { self.open_chunk() } else { self.open.snapshot_from(start) }
    }

    /// A chunk with the newest sample in `range`, if that is easily told.
    pub(crate) fn newest_in(&self, range: TimeRange) -> Option<Chunk> {
        if self.rare.is_some() {
            return None;
        }
        let newest = self.open.newest_until(range.end).filter(|s| s.t >= range.start)?;
        Some(Chunk::one(newest))
    }

    /// Histograms of the open chunk.
    pub(crate) fn open_histograms(&self) -> &[HistogramSample] {
        self.rare.as_ref().map_or(&[], |r| &r.histograms)
    }

    /// The range of everything the series holds, in order or not.
    pub(crate) fn range(&self) -> Option<TimeRange> {
        let sealed = self.sealed.first().map(|s| TimeRange::new(s.range.start, self.last_t));
        let late = self.rare.as_ref().and_then(|r| r.late_range());
        [sealed, self.open_range(), late].into_iter().flatten().reduce(|a, b| a.union(b))
    }

    /// Whether there are samples that came late.
    pub(crate) fn has_late(&self) -> bool {
        self.rare.as_ref().is_some_and(|r| r.late_range().is_some())
    }

    /// Whether a sample may lie in `range`.
    #[inline]
    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        let in_order = self.last_t >= range.start
            && self.last_t != i64::MIN
            && self.sealed.first().map_or_else(
                || self.open_range().is_some_and(|r| r.start <= range.end),
                |s| s.range.start <= range.end,
            );
        in_order || self.rare.as_ref().and_then(|r| r.late_range()).is_some_and(|r| r.overlaps(range))
    }

    /// Drops all in-order samples before `t`, which is a multiple of the block range.
    pub(crate) fn truncate(&mut self, t: i64) {
        self.sealed.retain(|s| s.range.end >= t);
        if self.open_range().is_some_and(|r| r.end < t) {
            self.open.clear();
            if let Some(rare) = &mut self.rare {
                rare.histograms.clear();
            }
        }
        if self.rare.as_ref().is_some_and(|r| r.is_empty()) {
            self.rare = None;
        }
    }

    pub(crate) fn chunk_count(&self) -> u64 {
        self.sealed.len() as u64 + u64::from(self.open_range().is_some())
    }
}

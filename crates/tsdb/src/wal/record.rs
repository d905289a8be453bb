//! Records: a frame of the log (or of a checkpoint) is a list of them, applied together.

use std::collections::HashMap;

use reba_model::{Exemplar, HistogramSample, Labels, PackedPair, TimeRange, encode_histograms};

use super::FloatEncoder;
use crate::{
    head::{ChunkLocation, HeadSeries, Sealed, SealedData, Shard},
    varint::{Reader, put_bytes, put_i64, put_u64},
};

const SERIES: u8 = 1;
const FLOATS: u8 = 2;
const HISTOGRAM: u8 = 3;
const EXEMPLAR: u8 = 4;
const DELETE: u8 = 5;
const CHUNKS: u8 = 6;
const SHARDS: u8 = 7;
const LATE_FLOATS: u8 = 8;
const LATE_HISTOGRAM: u8 = 9;
const CUT: u8 = 10;

/// Collects the records of one frame.
#[derive(Debug, Default)]
pub(crate) struct RecordWriter {
    frame: Vec<u8>,
    body: Vec<u8>,
}

impl RecordWriter {
    pub(crate) fn clear(&mut self) {
        self.frame.clear();
    }

    pub(crate) fn frame(&self) -> &[u8] {
        &self.frame
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frame.is_empty()
    }

    /// Appends the records of another frame.
    pub(crate) fn extend(&mut self, other: &RecordWriter) {
        self.frame.extend_from_slice(&other.frame);
    }

    fn record(&mut self, kind: u8, shard: usize, body: &[u8]) {
        self.frame.push(kind);
        put_u64(&mut self.frame, shard as u64);
        put_bytes(&mut self.frame, body);
    }

    /// How many shards there are: the first record of a checkpoint.
    pub(crate) fn shards(&mut self, shards: usize) {
        self.record(SHARDS, shards, &[]);
    }

    /// Slots and labels of series. Their pairs are written once each.
    pub(crate) fn series(&mut self, index: usize, shard: &Shard, slots: &[u32]) {
        let mut local = HashMap::new();
        let mut texts = Vec::new();
        let mut refs = Vec::new();
        let mut n = 0u64;
        for slot in slots {
            let Some(series) = shard.get(*slot) else { continue };
            n += 1;
            put_u64(&mut refs, u64::from(*slot));
            let ids = shard.pair_ids(series);
            put_u64(&mut refs, ids.len() as u64);
            for id in ids {
                let next = local.len() as u64;
                let at = *local.entry(*id).or_insert_with(|| {
                    put_bytes(&mut texts, shard.pairs.get(*id).packed().as_bytes());
                    next
                });
                put_u64(&mut refs, at);
            }
        }
        if n == 0 {
            return;
        }
        self.body.clear();
        put_u64(&mut self.body, local.len() as u64);
        self.body.extend_from_slice(&texts);
        put_u64(&mut self.body, n);
        self.body.extend_from_slice(&refs);
        let body = std::mem::take(&mut self.body);
        self.record(SERIES, index, &body);
        self.body = body;
    }

    /// Floats that a [`FloatEncoder`] wrote.
    pub(crate) fn floats(&mut self, shard: usize, encoded: &[u8]) {
        if !encoded.is_empty() {
            self.record(FLOATS, shard, encoded);
        }
    }

    /// Floats older than the newest of their series.
    pub(crate) fn late_floats(&mut self, shard: usize, encoded: &[u8]) {
        if !encoded.is_empty() {
            self.record(LATE_FLOATS, shard, encoded);
        }
    }

    pub(crate) fn histogram(&mut self, shard: usize, slot: u32, late: bool, sample: &HistogramSample) {
        let mut body = Vec::new();
        put_u64(&mut body, u64::from(slot));
        let encoded = encode_histograms(std::slice::from_ref(sample), &mut body);
        debug_assert_eq!(encoded, 1, "one histogram fits into a chunk");
        self.record(if late { LATE_HISTOGRAM } else { HISTOGRAM }, shard, &body);
    }

    pub(crate) fn exemplar(&mut self, shard: usize, slot: u32, e: &Exemplar) {
        let mut body = Vec::new();
        put_u64(&mut body, u64::from(slot));
        put_i64(&mut body, e.t);
        body.extend_from_slice(&e.value.to_bits().to_le_bytes());
        put_bytes(&mut body, e.labels.as_packed().as_bytes());
        self.record(EXEMPLAR, shard, &body);
    }

    /// The samples of a series in a range are deleted.
    pub(crate) fn delete(&mut self, shard: usize, slot: u32, range: TimeRange) {
        let mut body = Vec::new();
        put_u64(&mut body, u64::from(slot));
        put_i64(&mut body, range.start);
        put_i64(&mut body, range.end);
        self.record(DELETE, shard, &body);
    }

    /// The samples of a series from a time on are in a block, and it goes on as if they had never come.
    pub(crate) fn cut(&mut self, shard: usize, slot: u32, from: i64) {
        let mut body = Vec::new();
        put_u64(&mut body, u64::from(slot));
        put_i64(&mut body, from);
        self.record(CUT, shard, &body);
    }

    /// The in-order chunks of a series (checkpoints only). Sealed chunks still in memory are written in full.
    pub(crate) fn chunks(&mut self, shard: usize, slot: u32, series: &HeadSeries) {
        let mut body = Vec::new();
        put_u64(&mut body, u64::from(slot));
        // Histograms of the open chunk follow as samples, which must be newer than the newest.
        let histograms = series.open_histograms();
        let last = histograms.first().map_or(series.last(), |h| (h.t.saturating_sub(1), 0));
        put_i64(&mut body, last.0);
        body.extend_from_slice(&last.1.to_le_bytes());
        put_u64(&mut body, series.sealed.len() as u64);
        for sealed in &series.sealed {
            put_sealed(&mut body, sealed);
        }
        let open = series.open_chunk();
        put_bytes(&mut body, open.as_ref().and_then(|c| c.as_bytes()).unwrap_or_default());
        self.record(CHUNKS, shard, &body);
        for sample in histograms {
            self.histogram(shard, slot, false, sample);
        }
    }

    /// Late samples of a series (checkpoints only), as if they came again.
    pub(crate) fn out_of_order(&mut self, shard: usize, slot: u32, series: &HeadSeries) {
        let Some(rare) = &series.rare else { return };
        for late in [&rare.flushing, &rare.out_of_order] {
            let mut encoded = Vec::new();
            let mut encoder = FloatEncoder::default();
            for (t, v) in late.floats() {
                encoder.push(slot, t, v, &mut encoded);
            }
            self.late_floats(shard, &encoded);
            for sample in late.histograms() {
                self.histogram(shard, slot, true, &sample);
            }
        }
    }
}

fn put_sealed(body: &mut Vec<u8>, sealed: &Sealed) {
    put_i64(body, sealed.range.start);
    put_u64(body, sealed.range.end.wrapping_sub(sealed.range.start) as u64);
    match &sealed.data {
        SealedData::Memory(bytes) => {
            put_u64(body, 0);
            put_bytes(body, bytes);
        }
        SealedData::File(at) => {
            put_u64(body, u64::from(at.file));
            put_u64(body, at.offset);
            put_u64(body, u64::from(at.len));
        }
    }
}

/// One record as it was read.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    Shards(usize),
    Series(SeriesSection<'a>),
    Floats(Reader<'a>),
    LateFloats(Reader<'a>),
    Histogram { slot: u32, late: bool, chunk: &'a [u8] },
    Exemplar { slot: u32, exemplar: Exemplar },
    Delete { slot: u32, range: TimeRange },
    Cut { slot: u32, from: i64 },
    Chunks(ChunkState<'a>),
}

/// New series.
#[derive(Debug)]
pub(crate) struct SeriesSection<'a> {
    pub(crate) pairs: Vec<PackedPair<'a>>,
    count: usize,
    rest: Reader<'a>,
}

impl<'a> SeriesSection<'a> {
    fn read(mut r: Reader<'a>) -> Option<Self> {
        let n = r.count()?;
        let mut pairs = Vec::with_capacity(n);
        for _ in 0..n {
            let text = r.str()?;
            let pair = PackedPair::read(text, 0)?;
            if pair.packed.len() != text.len() || pair.value.is_empty() {
                return None;
            }
            pairs.push(pair);
        }
        let count = r.count()?;
        Some(SeriesSection { pairs, count, rest: r })
    }

    /// Calls `each` with slot and indexes into `pairs` of every series; `None` if the bytes make no sense.
    pub(crate) fn each(&self, mut each: impl FnMut(u32, &[u32])) -> Option<()> {
        let mut r = self.rest;
        let mut ids = Vec::new();
        for _ in 0..self.count {
            let slot = r.u32().filter(|s| *s < MAX_SLOT)?;
            ids.clear();
            for _ in 0..r.count()? {
                ids.push(r.u32().filter(|i| (*i as usize) < self.pairs.len())?);
            }
            let names =
                ids.windows(2).all(|w| self.pairs[w[0] as usize].name < self.pairs[w[1] as usize].name);
            if !names {
                return None;
            }
            each(slot, &ids);
        }
        Some(())
    }
}

/// No shard has more slots: it bounds what damaged bytes can make recovery allocate.
const MAX_SLOT: u32 = 1 << 28;

/// The chunks of a series in a checkpoint.
#[derive(Debug)]
pub(crate) struct ChunkState<'a> {
    pub(crate) slot: u32,
    pub(crate) last_t: i64,
    pub(crate) last_bits: u64,
    pub(crate) sealed: Vec<Sealed>,
    pub(crate) open: &'a [u8],
}

impl<'a> ChunkState<'a> {
    fn read(mut r: Reader<'a>) -> Option<Self> {
        let slot = r.u32()?;
        let last_t = r.i64()?;
        let last_bits = r.f64()?.to_bits();
        let mut sealed = Vec::new();
        for _ in 0..r.count()? {
            let start = r.i64()?;
            let end = start.wrapping_add(r.u64()? as i64);
            let data = match r.u32()? {
                0 => SealedData::Memory(r.bytes()?.into()),
                file => SealedData::File(ChunkLocation { file, offset: r.u64()?, len: r.u32()? }),
            };
            sealed.push(Sealed { range: TimeRange::new(start, end), data });
        }
        Some(ChunkState { slot, last_t, last_bits, sealed, open: r.bytes()? })
    }
}

/// Calls `each` with the shard and every record of a frame. `false`: the frame contradicts itself, or `each` said
/// that a record does.
pub(crate) fn each_record<'a>(
    frame: &'a [u8],
    each: &mut dyn FnMut(usize, Record<'a>) -> Option<()>,
) -> bool {
    let mut r = Reader(frame);
    let mut step = || -> Option<bool> {
        if r.is_empty() {
            return Some(false);
        }
        let kind = r.u8()?;
        let shard = r.u32()? as usize;
        let body = Reader(r.bytes()?);
        each(shard, read_record(kind, shard, body)?)?;
        Some(true)
    };
    loop {
        match step() {
            Some(true) => {}
            Some(false) => return true,
            None => return false,
        }
    }
}

fn read_record(kind: u8, shard: usize, mut body: Reader<'_>) -> Option<Record<'_>> {
    Some(match kind {
        SHARDS => Record::Shards(shard),
        SERIES => Record::Series(SeriesSection::read(body)?),
        FLOATS => Record::Floats(body),
        LATE_FLOATS => Record::LateFloats(body),
        HISTOGRAM => Record::Histogram { slot: body.u32()?, late: false, chunk: body.0 },
        LATE_HISTOGRAM => Record::Histogram { slot: body.u32()?, late: true, chunk: body.0 },
        EXEMPLAR => {
            let slot = body.u32()?;
            let t = body.i64()?;
            let value = body.f64()?;
            let labels = Labels::from_packed(body.str()?)?;
            Record::Exemplar { slot, exemplar: Exemplar { labels, value, t } }
        }
        DELETE => {
            let slot = body.u32()?;
            Record::Delete { slot, range: TimeRange::new(body.i64()?, body.i64()?) }
        }
        CUT => Record::Cut { slot: body.u32()?, from: body.i64()? },
        CHUNKS => Record::Chunks(ChunkState::read(body)?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(data in proptest::collection::vec(any::<u8>(), 0..200), kind in 1u8..11) {
            let mut frame = vec![kind, 0];
            put_bytes(&mut frame, &data);
            each_record(&frame, &mut |_, record| {
                if let Record::Series(s) = record {
                    s.each(|_, _| {})?;
                }
                Some(())
            });
        }
    }
}

//! Building the head again from a checkpoint and the log behind it.

use parking_lot::RwLockWriteGuard;
use reba_model::{Chunk, ChunkBytes, OpenChunk, SampleColumns, TimeRange};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Head, Shard,
    ahead::newest_of,
    pairs::PairId,
    series::{Bounds, Sealed, SealedData},
    shard_of_target,
};
use crate::{
    varint::Reader,
    wal::{ChunkState, FloatDecoder, Record, SeriesSection, each_record},
};

/// A slot that no series has.
const NOWHERE: u32 = u32::MAX;

/// What recovery found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecoveryCounts {
    pub(crate) samples: u64,
    /// Samples that are in the checkpoint already.
    pub(crate) repeated: u64,
    /// Samples of series whose own record is lost, or names the wrong shard.
    pub(crate) orphans: u64,
    /// Chunks that could not be read.
    pub(crate) bad_chunks: u64,
}

/// Applies frames to one shard of the head. Several can work at a time, each on its own shard.
pub(crate) struct Recovery<'a> {
    head: &'a Head,
    /// The shard whose records are applied; those of the others are passed over.
    index: usize,
    shard: RwLockWriteGuard<'a, Shard>,
    /// From slots in the log to slots in the head: the same, unless a series stands in the log twice.
    moved: std::collections::HashMap<u32, u32>,
    pub(crate) counts: RecoveryCounts,
    packed: String,
    /// The shard's ids of the pairs of a record.
    ids: Vec<PairId>,
    pairs: Vec<PairId>,
}

impl<'a> Recovery<'a> {
    pub(crate) fn new(head: &'a Head, index: usize) -> Self {
        Recovery {
            head,
            index,
            shard: head.shards[index].write(),
            moved: std::collections::HashMap::new(),
            counts: RecoveryCounts::default(),
            packed: String::new(),
            ids: Vec::new(),
            pairs: Vec::new(),
        }
    }

    /// Applies a frame; `false` if it contradicts itself.
    pub(crate) fn apply(&mut self, frame: &[u8]) -> bool {
        each_record(frame, &mut |shard, record| {
            if shard != self.index { Some(()) } else { self.record(record) }
        })
    }

    /// Finishes the shard.
    pub(crate) fn finish(mut self) -> RecoveryCounts {
        self.shard.collect_free();
        self.head.series.fetch_add(self.shard.len() as u64, std::sync::atomic::Ordering::Relaxed);
        if let Some(newest) = newest_of(&self.shard) {
            self.head.saw(newest);
        }
        self.counts
    }

    fn record(&mut self, record: Record<'_>) -> Option<()> {
        match record {
            Record::Shards(_) => {}
            Record::Series(section) => self.series(&section)?,
            Record::Floats(r) => self.floats(r, false)?,
            Record::LateFloats(r) => self.floats(r, true)?,
            Record::Histogram { slot, late, chunk } => self.histogram(slot, late, chunk),
            Record::Exemplar { slot, exemplar } => {
                let slot = self.target(slot);
                if let Some(series) = self.shard.get(slot) {
                    let labels = self.shard.labels(series, &mut self.packed);
                    self.head.exemplars.lock().add(labels, &exemplar);
                }
            }
            Record::Delete { slot, range } => {
                let slot = self.target(slot);
                if self.head.delete_from(&mut self.shard, slot, range).is_err() {
                    self.counts.bad_chunks += 1;
                }
            }
            Record::Cut { slot, from } => {
                let slot = self.target(slot);
                if let Some((series, _)) = self.shard.get_mut(slot) {
                    series.cut(from);
                    self.shard.recount_sealed();
                }
            }
            Record::Chunks(state) => self.chunks(state),
        }
        Some(())
    }

    #[inline]
    fn target(&self, slot: u32) -> u32 {
        if self.moved.is_empty() { slot } else { self.moved.get(&slot).copied().unwrap_or(slot) }
    }

    fn series(&mut self, section: &SeriesSection<'_>) -> Option<()> {
        self.pairs.clear();
        self.pairs.extend(section.pairs.iter().map(|p| self.shard.pairs.intern(*p)));
        section.each(|slot, ids| {
            self.packed.clear();
            self.packed.extend(ids.iter().map(|i| section.pairs[*i as usize].packed));
            let hash = xxh3_64(self.packed.as_bytes());
            self.moved.remove(&slot);
            let known = self.shard.find_packed(hash, &self.packed);
            if known == Some(slot) {
                return;
            }
            self.evict(slot, section);
            if !self.is_own(hash, ids, section) {
                self.moved.insert(slot, NOWHERE);
                return;
            }
            if let Some(known) = known {
                self.moved.insert(slot, known);
                return;
            }
            self.ids.clear();
            self.ids.extend(ids.iter().map(|i| self.pairs[*i as usize]));
            self.shard.place(slot, hash, &self.ids);
        })
    }

    /// Whether a series belongs into this shard. In another, it would not be found when its next samples come, and would be
    /// there twice.
    fn is_own(&self, hash: u64, ids: &[u32], section: &SeriesSection<'_>) -> bool {
        let value = |name: &str| {
            ids.iter().map(|i| &section.pairs[*i as usize]).find(|p| p.name == name).map(|p| p.value)
        };
        let job = value("job").unwrap_or_default();
        shard_of_target(value("instance"), job, hash, self.head.shards.len()) == self.index
    }

    /// Takes a slot from the series that had it: it was freed and used again behind a checkpoint that was lost. If that series
    /// stayed, its next samples would be logged under a number that means another.
    fn evict(&mut self, slot: u32, section: &SeriesSection<'_>) {
        if self.shard.get(slot).is_none() {
            return;
        }
        self.shard.remove(&std::iter::once(slot).collect());
        drop(self.shard.take_freed());
        for to in self.moved.values_mut().filter(|to| **to == slot) {
            *to = NOWHERE;
        }
        // Their pairs may have gone with it.
        self.pairs.clear();
        self.pairs.extend(section.pairs.iter().map(|p| self.shard.pairs.intern(*p)));
    }

    fn floats(&mut self, mut r: Reader<'_>, late: bool) -> Option<()> {
        let mut decoder = FloatDecoder::default();
        let block_range = self.head.block_range;
        while !r.is_empty() {
            let (slot, t, v) = decoder.next(&mut r)?;
            let slot = self.target(slot);
            let Some((series, scratch)) = self.shard.get_mut(slot) else {
                self.counts.orphans += 1;
                continue;
            };
            self.counts.samples += 1;
            if late {
                series.rare.get_or_insert_default().out_of_order.insert(t, v);
            } else if t > series.last_t {
                let sealed = series.append(t, v, block_range, scratch);
                self.shard.sealed_bytes += sealed as u64;
            } else {
                self.counts.repeated += 1;
            }
        }
        Some(())
    }

    fn histogram(&mut self, slot: u32, late: bool, chunk: &[u8]) {
        let slot = self.target(slot);
        let mut columns = SampleColumns::default();
        let decoded = Chunk::from_bytes(ChunkBytes::from(chunk))
            .and_then(|c| c.decode_into(TimeRange::ALL, &mut columns));
        let Some((series, scratch)) = self.shard.get_mut(slot) else {
            self.counts.orphans += 1;
            return;
        };
        if decoded.is_err() {
            self.counts.bad_chunks += 1;
            return;
        }
        for s in columns.h {
            self.counts.samples += 1;
            if late {
                series.rare.get_or_insert_default().out_of_order.insert_histogram(s.t, s.h);
            } else if s.t > series.last_t {
                self.shard.sealed_bytes +=
                    series.append_histogram(s.t, s.h, &any_time(self.head.block_range), scratch) as u64;
                return;
            } else {
                self.counts.repeated += 1;
            }
        }
    }

    /// The chunks of a series in a checkpoint: the series is new, so its chunks are these and no others.
    fn chunks(&mut self, state: ChunkState<'_>) {
        let slot = self.target(state.slot);
        let open = if state.open.is_empty() { Ok(OpenChunk::new()) } else { OpenChunk::resume(state.open) };
        self.counts.bad_chunks += u64::from(open.is_err());
        let known = |s: &Sealed| match s.data {
            SealedData::Memory(_) => true,
            SealedData::File(at) => self.head.files.contains(at),
        };
        let before = state.sealed.len();
        let sealed: Vec<Sealed> = state.sealed.into_iter().filter(known).collect();
        self.counts.bad_chunks += (before - sealed.len()) as u64;
        let Some((series, _)) = self.shard.get_mut(slot) else {
            self.counts.orphans += open.map_or(0, |o| o.len() as u64);
            return;
        };
        if series.last_t != i64::MIN {
            return;
        }
        let in_memory = |s: &Sealed| if let SealedData::Memory(b) = &s.data { b.len() } else { 0 };
        let bytes: usize = sealed.iter().map(in_memory).sum();
        series.sealed = sealed;
        series.open = open.unwrap_or_default();
        series.restore_last(state.last_t, state.last_bits);
        // Samples to come are newer than all that is there, whatever the record says of the newest.
        let open = series.open.last().map(|s| (s.t, s.v.to_bits()));
        let sealed = series.sealed.iter().map(|s| (s.range.end, 0));
        if let Some((t, bits)) = open.into_iter().chain(sealed).max().filter(|(t, _)| *t > state.last_t) {
            self.counts.bad_chunks += 1;
            series.restore_last(t, bits);
        }
        self.shard.sealed_bytes += bytes as u64;
    }
}

fn any_time(block_range: i64) -> Bounds {
    Bounds { min: i64::MIN, out_of_order_min: i64::MAX, max: i64::MAX, block_range }
}

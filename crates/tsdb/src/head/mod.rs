//! The head: the newest hours of every series, in memory.
//!
//! Series are spread over shards; each shard is under one lock with its own index (`docs/adr/0002-head-locking.md`).

mod ahead;
mod append;
mod chunk_files;
mod delete;
mod exemplars;
mod idle;
mod out_of_order;
mod pages;
mod pairs;
mod query;
mod recover;
mod runs;
mod series;
mod shard;
mod source;
mod stats;

use std::{
    collections::BTreeSet,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use reba_model::{Chunk, Exemplar, Labels, SampleColumns, TimeRange};
use reba_storage::{AppendError, ChangeLog, SeriesRef};
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64;

pub(crate) use append::AppendScratch;
pub(crate) use chunk_files::{ChunkFiles, ChunkLocation};
pub(crate) use exemplars::Exemplars;
pub(crate) use idle::IdleSeries;
pub(crate) use query::chunk_bytes;
pub(crate) use recover::Recovery;
pub(crate) use series::{HeadSeries, Sealed, SealedData};
pub(crate) use shard::Shard;
pub(crate) use source::{Part, ShardSource};

use crate::{config::TsdbConfig, wal::RecordWriter};

/// So many fit into a mask of 64 bits.
pub(crate) const MAX_SHARDS: usize = 64;

/// The start of the span of a block that holds `t`.
pub(crate) fn span_start(t: i64, block_range: i64) -> i64 {
    t.div_euclid(block_range) * block_range
}

/// Times beyond these (seventy million years) are refused, so that arithmetic on times never overflows.
const EARLIEST: i64 = i64::MIN / 4;
const LATEST: i64 = i64::MAX / 4;

/// Whether a sample may have this time.
pub(crate) fn is_acceptable_time(t: i64) -> bool {
    (EARLIEST..=LATEST).contains(&t)
}

/// Most labels of a series; their number is kept in 16 bits.
const MAX_LABELS: usize = u16::MAX as usize;

/// Counters that only grow.
#[derive(Debug, Default)]
pub(crate) struct HeadCounters {
    pub(crate) floats: AtomicU64,
    pub(crate) histograms: AtomicU64,
    pub(crate) exemplars: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) out_of_order_appended: AtomicU64,
    pub(crate) rejected_out_of_order: AtomicU64,
    pub(crate) rejected_duplicate: AtomicU64,
    pub(crate) rejected_too_old: AtomicU64,
    pub(crate) rejected_out_of_bounds: AtomicU64,
    pub(crate) series_created: AtomicU64,
    pub(crate) series_removed: AtomicU64,
    pub(crate) series_not_found: AtomicU64,
    pub(crate) truncations: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) shards: Vec<RwLock<Shard>>,
    pub(crate) files: ChunkFiles,
    pub(crate) exemplars: Mutex<Exemplars>,
    pub(crate) counters: HeadCounters,
    pub(crate) block_range: i64,
    accept_past: i64,
    accept_future: i64,
    pub(crate) out_of_order_window: AtomicI64,
    max_series: u64,
    series: AtomicU64,
    /// Newest sample; `i64::MIN` while the head is empty.
    max_t: AtomicI64,
    /// Everything older stands in blocks.
    min_valid: AtomicI64,
    /// A read found a chunk that cannot be read.
    damaged: AtomicBool,
    /// What changed when; shared with the blocks.
    pub(crate) changes: Arc<ChangeLog>,
}

/// What a [`SeriesRef`] is made of: a generation (24 bits, not zero), a shard (8 bits), a slot (32 bits).
pub(crate) fn reference(generation: u32, shard: usize, slot: u32) -> Option<SeriesRef> {
    let raw = (u64::from(generation) << 40) | ((shard as u64) << 32) | u64::from(slot);
    NonZeroU64::new(raw).map(SeriesRef)
}

#[inline]
pub(crate) fn parts(r: SeriesRef) -> (u32, usize, u32) {
    let raw = r.0.get();
    ((raw >> 40) as u32, (raw >> 32 & 0xff) as usize, raw as u32)
}

/// The series of one target are in one shard, so that a scrape takes one lock: the shard follows from `job` and
/// `instance` if there is an instance, else from all labels.
fn shard_of(labels: &Labels, hash: u64, shards: usize) -> usize {
    shard_of_target(labels.get("instance"), labels.value("job"), hash, shards)
}

/// The same by what counts: the values of `instance` and `job` (empty without one), and the hash of all labels.
pub(super) fn shard_of_target(instance: Option<&str>, job: &str, hash: u64, shards: usize) -> usize {
    let key = match instance {
        Some(instance) => xxh3_64(instance.as_bytes()) ^ xxh3_64(job.as_bytes()).rotate_left(32),
        None => hash,
    };
    // The high bits: the low ones choose the bucket of the table within the shard.
    ((u128::from(key) * shards as u128) >> 64) as usize
}

impl Head {
    pub(crate) fn new(config: &TsdbConfig, shards: usize, files: ChunkFiles) -> Self {
        Head {
            shards: (0..shards).map(|_| RwLock::default()).collect(),
            files,
            exemplars: Mutex::new(Exemplars::new(config.max_exemplars)),
            counters: HeadCounters::default(),
            block_range: config.block_range_ms,
            accept_past: config.accept_past_ms,
            accept_future: config.accept_future_ms,
            out_of_order_window: AtomicI64::new(config.out_of_order_window_ms),
            max_series: config.max_series,
            series: AtomicU64::new(0),
            max_t: AtomicI64::new(i64::MIN),
            min_valid: AtomicI64::new(i64::MIN),
            damaged: AtomicBool::new(false),
            changes: Arc::default(),
        }
    }

    /// The labels of a series, if it is still there.
    pub(crate) fn labels_of(&self, series: SeriesRef) -> Option<Labels> {
        let (generation, shard, slot) = parts(series);
        let shard = self.shards.get(shard)?.read();
        let found = shard.get(slot).filter(|s| s.generation == generation)?;
        Some(shard.labels(found, &mut String::new()))
    }

    /// The same head with another number of shards.
    pub(crate) fn reshard(self, shards: usize) -> Self {
        let new: Vec<RwLock<Shard>> = (0..shards).map(|_| RwLock::default()).collect();
        let mut text = String::new();
        for old in &self.shards {
            let mut old = old.write();
            for slot in 0..old.slot_count() {
                let Some(series) = old.get(slot) else { continue };
                let (hash, labels) = (series.hash, old.labels(series, &mut text));
                let mut shard = new[shard_of(&labels, hash, shards)].write();
                let place = shard.create(hash, &labels);
                if let Some(((to, _), (from, _))) = shard.get_mut(place).zip(old.get_mut(slot)) {
                    to.adopt(from);
                }
            }
        }
        Head { shards: new, ..self }
    }

    /// The reference of the series with these labels, made if there is none.
    pub(crate) fn series_ref(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        let hash = labels.hash64();
        let index = shard_of(labels, hash, self.shards.len());
        let lock = &self.shards[index];
        let closed = AppendError::Closed;
        {
            let shard = lock.read();
            if let Some(slot) = shard.find(hash, labels) {
                return shard.get(slot).and_then(|s| reference(s.generation, index, slot)).ok_or(closed);
            }
        }
        let mut shard = lock.write();
        let slot = match shard.find(hash, labels) {
            Some(slot) => slot,
            None => {
                if self.max_series > 0 && self.series.load(Ordering::Relaxed) >= self.max_series {
                    return Err(AppendError::Limit { limit: "metrics.max_series", value: self.max_series });
                }
                if labels.len() > MAX_LABELS {
                    return Err(AppendError::Limit { limit: "labels of a series", value: MAX_LABELS as u64 });
                }
                self.series.fetch_add(1, Ordering::Relaxed);
                self.counters.series_created.fetch_add(1, Ordering::Relaxed);
                shard.create(hash, labels)
            }
        };
        shard.get(slot).and_then(|s| reference(s.generation, index, slot)).ok_or(closed)
    }

    /// Read locks of all shards, taken in the order in which appends take theirs: a batch is seen whole or not at
    /// all.
    pub(crate) fn snapshot(&self) -> Vec<RwLockReadGuard<'_, Shard>> {
        self.shards.iter().map(|s| s.read()).collect()
    }

    pub(crate) fn series_count(&self) -> u64 {
        self.series.load(Ordering::Relaxed)
    }

    pub(crate) fn max_time(&self) -> i64 {
        self.max_t.load(Ordering::Acquire)
    }

    pub(crate) fn min_valid(&self) -> i64 {
        self.min_valid.load(Ordering::Acquire)
    }

    /// Says that blocks hold everything before `t`.
    pub(crate) fn set_min_valid(&self, t: i64) {
        self.min_valid.fetch_max(t, Ordering::AcqRel);
    }

    pub(crate) fn saw(&self, t: i64) {
        self.max_t.fetch_max(t, Ordering::AcqRel);
    }

    /// Time of the oldest sample; `i64::MAX` if there is none. Walks all series.
    pub(crate) fn min_time(&self) -> i64 {
        let oldest = |s: &HeadSeries| s.range().map(|r| r.start);
        let of_shard = |s: &RwLock<Shard>| s.read().iter().filter_map(|(_, s)| oldest(s)).min();
        self.shards.iter().filter_map(of_shard).min().unwrap_or(i64::MAX)
    }

    /// Bytes of sealed chunks in memory.
    pub(crate) fn sealed_bytes(&self) -> u64 {
        self.shards.iter().map(|s| s.read().sealed_bytes).sum()
    }

    /// Moves the sealed chunks that are in memory to a file. Appends go on meanwhile.
    pub(crate) fn flush_sealed(&self) -> Result<(), reba_disk::DiskError> {
        let mut found = Vec::new();
        for (index, lock) in self.shards.iter().enumerate() {
            for (slot, series) in lock.read().iter() {
                for sealed in &series.sealed {
                    if let SealedData::Memory(bytes) = &sealed.data {
                        found.push((index, slot, Arc::clone(bytes)));
                    }
                }
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        let locations = self.files.write(found.iter().map(|f| &*f.2))?;
        for ((index, slot, bytes), location) in found.into_iter().zip(locations) {
            let mut shard = self.shards[index].write();
            let Some((series, _)) = shard.get_mut(slot) else { continue };
            let here = |s: &&mut Sealed| matches!(&s.data, SealedData::Memory(b) if Arc::ptr_eq(b, &bytes));
            if let Some(sealed) = series.sealed.iter_mut().find(here) {
                sealed.data = SealedData::File(location);
                shard.sealed_bytes = shard.sealed_bytes.saturating_sub(bytes.len() as u64);
            }
        }
        Ok(())
    }

    /// Drops all in-order samples before `t` (a multiple of the block range) and the series that have none left.
    pub(crate) fn truncate(&self, t: i64) {
        self.set_min_valid(t);
        // What was in the head may have hidden what is in blocks.
        let _noted = self.changes.note_at_end(i64::MIN);
        for lock in &self.shards {
            let mut shard = lock.write();
            let mut dead = RoaringBitmap::new();
            for slot in 0..shard.slot_count() {
                let Some((series, _)) = shard.get_mut(slot) else { continue };
                series.truncate(t);
                // A series without samples was just made, unless it has had one.
                if series.range().is_none() && series.last_t != i64::MIN && series.last_t < t {
                    dead.insert(slot);
                }
            }
            self.series.fetch_sub(dead.len(), Ordering::Relaxed);
            self.counters.series_removed.fetch_add(dead.len(), Ordering::Relaxed);
            shard.remove(&dead);
            shard.recount_sealed();
        }
        self.counters.truncations.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the late samples before `t` apart so that they can be written to blocks: queries go on seeing them, and
    /// what comes meanwhile is kept separate. Returns the starts of the blocks they belong to.
    pub(crate) fn start_flush(&self, t: i64) -> BTreeSet<i64> {
        let mut spans = BTreeSet::new();
        for lock in &self.shards {
            let mut shard = lock.write();
            for slot in 0..shard.slot_count() {
                let Some(rare) = shard.get_mut(slot).and_then(|(s, _)| s.rare.as_mut()) else { continue };
                rare.flushing = rare.out_of_order.split_before(t);
                spans.extend(rare.flushing.times().map(|t| span_start(t, self.block_range)));
            }
        }
        spans
    }

    /// Drops what was set apart if it is in blocks now, else takes it back.
    pub(crate) fn end_flush(&self, written: bool) {
        for lock in &self.shards {
            let mut shard = lock.write();
            for slot in 0..shard.slot_count() {
                let Some(rare) = shard.get_mut(slot).and_then(|(s, _)| s.rare.as_mut()) else { continue };
                let late = std::mem::take(&mut rare.flushing);
                if !written {
                    rare.out_of_order.absorb(late);
                }
            }
        }
    }

    /// Removes files that no sealed chunk stands in any more.
    pub(crate) fn remove_unused_files(&self) -> Result<(), reba_disk::DiskError> {
        let mut used = BTreeSet::new();
        for shard in &self.shards {
            for (_, series) in shard.read().iter() {
                for sealed in &series.sealed {
                    if let SealedData::File(at) = &sealed.data {
                        used.insert(at.file);
                    }
                }
            }
        }
        self.files.retain(|n| used.contains(&n))
    }

    /// All exemplars as records, a frame for every thousand.
    pub(crate) fn exemplar_records(&self) -> Vec<RecordWriter> {
        let mut out = Vec::new();
        let mut records = RecordWriter::default();
        // Appends take the lock of a shard, then this one: it must not be held while a shard is looked at.
        let all: Vec<(Labels, Exemplar)> =
            self.exemplars.lock().iter().map(|(l, e)| (l.clone(), e.clone())).collect();
        for (n, (labels, exemplar)) in all.iter().enumerate() {
            let hash = labels.hash64();
            let index = shard_of(labels, hash, self.shards.len());
            if let Some(slot) = self.shards[index].read().find(hash, labels) {
                records.exemplar(index, slot, exemplar);
            }
            if n % 1000 == 999 {
                out.push(std::mem::take(&mut records));
            }
        }
        out.push(records);
        out
    }

    /// The chunk behind a sealed chunk's entry.
    pub(crate) fn sealed_chunk(&self, sealed: &Sealed) -> Result<Chunk, reba_model::ChunkError> {
        let chunk = match &sealed.data {
            SealedData::Memory(bytes) => Chunk::from_bytes(Arc::clone(bytes).into()),
            SealedData::File(at) => self.files.chunk(*at),
        };
        chunk.inspect_err(|_| self.damaged.store(true, Ordering::Relaxed))
    }

    /// Drops the chunks that cannot be read, if a read found one; returns how many.
    pub(crate) fn drop_damaged(&self) -> u64 {
        if !self.damaged.swap(false, Ordering::Relaxed) {
            return 0;
        }
        let _noted = self.changes.note_at_end(i64::MIN);
        let mut dropped = 0;
        for lock in &self.shards {
            let mut shard = lock.write();
            for slot in 0..shard.slot_count() {
                let Some((series, _)) = shard.get_mut(slot) else { continue };
                let before = series.sealed.len();
                series.sealed.retain(|s| self.sealed_chunk(s).is_ok());
                dropped += (before - series.sealed.len()) as u64;
            }
        }
        self.damaged.store(false, Ordering::Relaxed);
        dropped
    }

    /// The in-order or late sample of a series at `t`, if the head has one.
    pub(crate) fn at(&self, series: &HeadSeries, t: i64) -> SampleColumns {
        let range = TimeRange::new(t, t);
        let (mut chunks, mut columns) = (Vec::new(), SampleColumns::default());
        // A damaged chunk shows when it is queried; here it only means that nothing is known.
        if self.chunks(series, range, &mut chunks).is_ok() {
            for chunk in chunks {
                if chunk.decode_into(range, &mut columns).is_err() {
                    break;
                }
            }
        }
        columns
    }

    /// Chunks of a series that may hold samples in `range`, by start, late ones last.
    pub(crate) fn chunks(
        &self,
        series: &HeadSeries,
        range: TimeRange,
        out: &mut Vec<Chunk>,
    ) -> Result<(), reba_model::ChunkError> {
        for sealed in series.sealed.iter().filter(|s| s.range.overlaps(range)) {
            out.push(self.sealed_chunk(sealed)?);
        }
        if series.open_range().is_some_and(|r| r.overlaps(range)) {
            out.extend(series.open_chunk_from(range.start));
        }
        if let Some(rare) = &series.rare {
            out.extend(rare.flushing.chunk(range));
            out.extend(rare.out_of_order.chunk(range));
        }
        Ok(())
    }
}

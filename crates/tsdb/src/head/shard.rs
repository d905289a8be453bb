//! A shard of the head: its series, their labels, and the index over them. Everything in here is under one lock.

use std::convert::Infallible;

use hashbrown::HashTable;
use reba_model::Labels;
use roaring::RoaringBitmap;

use super::{
    pages::Pages,
    pairs::{PairId, PairTable},
    runs::Runs,
    series::{HeadSeries, Scratch, Sealed, SealedData},
};
use crate::matching::LabelIndex;

#[derive(Debug, Default)]
pub(crate) struct Shard {
    slots: Pages<HeadSeries>,
    /// Pair ids of all series, one run each.
    runs: Runs,
    pub(crate) pairs: PairTable,
    by_labels: HashTable<u32>,
    /// Slots that may be used again.
    free: Vec<u32>,
    /// Slots that are free, but named in the log behind the newest checkpoint.
    freed_since_checkpoint: Vec<u32>,
    generation: u32,
    /// New series that the log does not know yet.
    pub(crate) unlogged: Vec<u32>,
    live: usize,
    pub(crate) scratch: Scratch,
    /// Bytes of sealed chunks in memory.
    pub(crate) sealed_bytes: u64,
}

impl Shard {
    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Option<&HeadSeries> {
        self.slots.get(slot as usize).filter(|s| s.is_live())
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<(&mut HeadSeries, &mut Scratch)> {
        let series = self.slots.get_mut(slot as usize).filter(|s| s.is_live())?;
        Some((series, &mut self.scratch))
    }

    /// Series that are in use, with their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &HeadSeries)> {
        self.slots.iter().enumerate().filter(|(_, s)| s.is_live()).map(|(i, s)| (i as u32, s))
    }

    /// One more than the highest slot.
    pub(crate) fn slot_count(&self) -> u32 {
        self.slots.len() as u32
    }

    /// How many series are in use.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    pub(crate) fn pair_ids(&self, series: &HeadSeries) -> &[PairId] {
        self.runs.get(series.pairs_at, usize::from(series.pairs_len))
    }

    pub(crate) fn labels(&self, series: &HeadSeries, scratch: &mut String) -> Labels {
        let pairs = self.pair_ids(series).iter().map(|id| self.pairs.get(*id).packed());
        Labels::from_packed_pairs(pairs, scratch)
    }

    /// The slot of the series with these labels.
    pub(crate) fn find(&self, hash: u64, labels: &Labels) -> Option<u32> {
        self.find_packed(hash, labels.as_packed())
    }

    pub(crate) fn find_packed(&self, hash: u64, packed: &str) -> Option<u32> {
        let same = |slot: &u32| {
            let series = &self.slots[*slot as usize];
            series.hash == hash && self.has_labels(series, packed)
        };
        self.by_labels.find(hash, same).copied()
    }

    fn has_labels(&self, series: &HeadSeries, mut packed: &str) -> bool {
        for id in self.pair_ids(series) {
            match packed.strip_prefix(self.pairs.get(*id).packed()) {
                Some(rest) => packed = rest,
                None => return false,
            }
        }
        packed.is_empty()
    }

    /// Makes a series in a free slot. The caller has made sure that there is none with these labels.
    pub(crate) fn create(&mut self, hash: u64, labels: &Labels) -> u32 {
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        let ids: Vec<PairId> = labels.packed_pairs().map(|p| self.pairs.intern(p)).collect();
        self.place(slot, hash, &ids);
        self.unlogged.push(slot);
        slot
    }

    /// Makes a series with these pairs in a certain slot, which must be free.
    pub(crate) fn place(&mut self, slot: u32, hash: u64, ids: &[PairId]) {
        while self.slots.len() <= slot as usize {
            self.slots.push(HeadSeries::new(0, 0));
        }
        self.generation = (self.generation % GENERATIONS) + 1;
        for id in ids {
            self.pairs.postings_mut(*id).insert(slot);
        }
        let mut series = HeadSeries::new(hash, self.generation);
        series.pairs_at = self.runs.push(ids);
        series.pairs_len = ids.len() as u16;
        self.slots[slot as usize] = series;
        let slots = &self.slots;
        self.by_labels.insert_unique(hash, slot, |s| slots[*s as usize].hash);
        self.live += 1;
    }

    /// Rebuilds the list of free slots (after recovery).
    pub(crate) fn collect_free(&mut self) {
        self.free =
            (0..self.slots.len() as u32).rev().filter(|s| !self.slots[*s as usize].is_live()).collect();
    }

    /// Removes series. Their slots are used again only after the next checkpoint: until then the log may still name
    /// them.
    pub(crate) fn remove(&mut self, dead: &RoaringBitmap) {
        if dead.is_empty() {
            return;
        }
        let mut touched = RoaringBitmap::new();
        for slot in dead {
            let series = &self.slots[slot as usize];
            let hash = series.hash;
            touched.extend(self.pair_ids(series).iter().copied());
            self.runs.remove(series.pairs_at, usize::from(series.pairs_len));
            if let Ok(entry) = self.by_labels.find_entry(hash, |s| *s == slot) {
                entry.remove();
            }
            self.slots[slot as usize] = HeadSeries::new(0, 0);
            self.freed_since_checkpoint.push(slot);
        }
        self.live -= dead.len() as usize;
        self.unlogged.retain(|s| !dead.contains(*s));
        self.pairs.remove_series(dead, &touched);
        if self.runs.is_sparse() {
            self.compact_runs();
        }
        if self.by_labels.len() < self.by_labels.capacity() / 4 {
            let slots = &self.slots;
            self.by_labels.shrink_to(2 * self.by_labels.len(), |s| slots[*s as usize].hash);
        }
    }

    /// Counts the bytes of sealed chunks in memory anew.
    pub(crate) fn recount_sealed(&mut self) {
        let bytes = |s: &Sealed| if let SealedData::Memory(b) = &s.data { b.len() as u64 } else { 0 };
        self.sealed_bytes = self.iter().flat_map(|(_, s)| &s.sealed).map(bytes).sum();
    }

    fn compact_runs(&mut self) {
        let mut runs = Runs::default();
        for series in self.slots.iter_mut().filter(|s| s.is_live()) {
            series.pairs_at = runs.push(self.runs.get(series.pairs_at, usize::from(series.pairs_len)));
        }
        self.runs = runs;
    }

    /// Slots freed so far; hand them to [`Shard::reuse`] when a checkpoint without them is durable.
    pub(crate) fn take_freed(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.freed_since_checkpoint)
    }

    pub(crate) fn reuse(&mut self, slots: Vec<u32>) {
        self.free.extend(slots);
    }

    /// Gives freed slots back to wait for another checkpoint.
    pub(crate) fn keep_freed(&mut self, slots: Vec<u32>) {
        self.freed_since_checkpoint.extend(slots);
    }

    /// Bytes that index and series occupy, without sealed chunks.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let of_series = |s: &HeadSeries| s.open.heap_bytes() + s.sealed.capacity() * size_of::<Sealed>();
        let series: usize = self.iter().map(|(_, s)| of_series(s)).sum();
        let tables = self.slots.memory_bytes() + self.runs.memory_bytes() + 5 * self.by_labels.capacity();
        (series + tables) as u64 + self.pairs.memory_bytes()
    }
}

/// Generations of a slot wrap here; see [`super::reference`].
pub(crate) const GENERATIONS: u32 = (1 << 24) - 1;

impl LabelIndex for Shard {
    type Error = Infallible;

    fn all(&self) -> RoaringBitmap {
        self.iter().map(|(slot, _)| slot).collect()
    }

    fn equal(&self, name: &str, value: &str) -> Result<RoaringBitmap, Infallible> {
        let pair = Labels::from_sorted([(name, value)]);
        let id = self.pairs.find(pair.as_packed());
        Ok(id.map(|id| self.pairs.get(id).postings.to_bitmap()).unwrap_or_default())
    }

    fn union_where(
        &self,
        name: &str,
        prefix: &str,
        accepts: &mut dyn FnMut(&str) -> bool,
        out: &mut RoaringBitmap,
    ) -> Result<(), Infallible> {
        for id in self.pairs.values_of(name) {
            let pair = self.pairs.get(*id);
            if pair.value().starts_with(prefix) && accepts(pair.value()) {
                pair.postings.add_to(out);
            }
        }
        Ok(())
    }
}

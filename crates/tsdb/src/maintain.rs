//! What is due from time to time: blocks from the head, compaction, retention, checkpoints.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use reba_disk::{Dir, DiskError};
use reba_model::{Matcher, TimeRange};
use roaring::RoaringBitmap;

use crate::{
    Tsdb, TsdbError,
    block::{Block, BlockMeta, BlockWriter, Packing, SeriesSource, Windows, WriteError, merge},
    checkpoint, compact,
    head::{IdleSeries, Part, ShardSource, span_start},
    leap::Watch,
};

/// What maintenance remembers.
#[derive(Debug, Default)]
pub(crate) struct Maintenance {
    /// Bytes of the log that were there when the store was opened and are not in a checkpoint yet.
    left_behind: u64,
    /// Bytes written to the log when the last checkpoint was taken.
    logged_at_checkpoint: u64,
    /// Start of the oldest data in the head when it was last looked for.
    pub(crate) oldest: Option<i64>,
    /// Newest sample when idle series were last looked for.
    looked_for_idle: i64,
    /// Which blocks retention by rules has looked at, and at which age.
    pub(crate) trimmed: BTreeMap<u64, i64>,
    /// Blocks of which nothing is to be downsampled to a resolution.
    pub(crate) nothing_to_roll: BTreeSet<(u64, i64)>,
    watch: Watch,
    /// The disk was full: blocks and checkpoints are not tried again before.
    not_before: Option<Duration>,
    /// The head did not get older by what was written to blocks: not tried again before.
    head_not_before: Option<Duration>,
}

impl Maintenance {
    pub(crate) fn new(left_behind: u64) -> Self {
        Maintenance { left_behind, ..Maintenance::default() }
    }

    /// Whether the last attempt to write blocks found no room.
    pub(crate) fn disk_is_full(&self) -> bool {
        self.not_before.is_some()
    }
}

/// A block whose data goes into another.
#[derive(Debug)]
pub(crate) struct Parent {
    pub(crate) block: Arc<Block>,
    /// Numbers of the series that do not go along.
    pub(crate) left_out: RoaringBitmap,
    /// The new block takes its place.
    pub(crate) replaced: bool,
}

impl Parent {
    /// All of a block, to be replaced.
    pub(crate) fn whole(block: &Arc<Block>) -> Self {
        Parent { block: Arc::clone(block), left_out: RoaringBitmap::new(), replaced: true }
    }
}

/// Blocks to be written as one, with the samples in `[start, end)`.
#[derive(Debug)]
pub(crate) struct Merge {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) group: Vec<Parent>,
    /// Milliseconds of the windows to downsample to; 0: not at all.
    pub(crate) resolution: i64,
}

impl Merge {
    /// A block written anew.
    pub(crate) fn of_one(parent: Parent) -> Self {
        let (start, end) = (parent.block.meta.min_time, parent.block.meta.max_time);
        let resolution = parent.block.meta.resolution;
        Merge { start, end, group: vec![parent], resolution }
    }
}

/// Writing a block only to find that it does not fit is work that need not be done every second.
const FULL_DISK_PAUSE: Duration = Duration::from_secs(30);

/// So long the head is left alone after it kept, or got anew, what had just been written to a block.
const HEAD_PAUSE: Duration = Duration::from_secs(60);

/// How often idle series are looked for, in time of the data.
const LOOK_FOR_IDLE_MS: i64 = 2 * 60_000;

/// Idle series are moved when they are more than this and more than one in [`IDLE_SHARE`].
const MIN_IDLE: usize = 500;
const IDLE_SHARE: u64 = 16;

impl Tsdb {
    /// Does what is due: fsync, checkpoint, blocks, compaction, retention. Call it every second from one thread; it
    /// may take long, and appends and queries go on meanwhile. `now_ms` bounds what retention believes of the newest
    /// sample, so that neither a clock nor a sender that is ahead drops data early.
    pub fn maintain(&self, now_ms: i64) -> Result<(), TsdbError> {
        let mut state = self.maintenance.lock();
        self.log.sync_if_due()?;
        self.blocks.try_to_settle();
        self.blocks.quarantine_damaged()?;
        let lost = self.head.drop_damaged();
        if lost > 0 {
            self.blocks.quarantined.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                chunks = lost,
                "chunks of the head cannot be read and are dropped; the rest keeps working"
            );
        }
        // Retention first: it may be what makes room for the rest.
        let now = self.settled_now(now_ms, &state);
        self.retain(now, &state)?;
        let clock = self.env.clock.monotonic();
        if state.not_before.is_some_and(|t| clock < t) {
            return Ok(());
        }
        let result = self.write_what_is_due(now_ms, now, &mut state);
        let full = matches!(&result, Err(TsdbError::Disk(e)) if e.is_full());
        state.not_before = full.then(|| clock + FULL_DISK_PAUSE);
        result
    }

    fn write_what_is_due(&self, now_ms: i64, now: i64, state: &mut Maintenance) -> Result<(), TsdbError> {
        let trusted = self.trusts_clock(&mut state.watch);
        if self.head.sealed_bytes() >= self.config.sealed_memory_bytes {
            self.head.flush_sealed()?;
        }
        let moved = self.move_future(now_ms)?
            || trusted && self.write_head_blocks(now_ms, state)?
            || self.move_idle_series(state)?;
        let logged = self.log.stats().written_bytes - state.logged_at_checkpoint + state.left_behind;
        if moved || logged >= self.config.checkpoint_bytes {
            self.checkpoint(state)?;
        }
        self.compact()?;
        self.trim(now, state)?;
        self.downsample(now, state)
    }

    /// Refuses further writes, takes a checkpoint so that the next start is quick, and makes everything durable.
    pub fn close(&self) -> Result<(), TsdbError> {
        self.closed.store(true, Ordering::SeqCst);
        let mut state = self.maintenance.lock();
        self.log.sync()?;
        self.checkpoint(&mut state)
    }

    fn checkpoint(&self, state: &mut Maintenance) -> Result<(), TsdbError> {
        let logged = self.log.stats().written_bytes;
        if let Err(e) = checkpoint::write(&self.head, &self.log, &self.checkpoints) {
            self.counters.checkpoints_failed.fetch_add(1, Ordering::Relaxed);
            return Err(e.into());
        }
        state.logged_at_checkpoint = logged;
        state.left_behind = 0;
        self.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Moves spans of the head that are wholly in the past to blocks; whether there was one.
    fn write_head_blocks(&self, now_ms: i64, state: &mut Maintenance) -> Result<bool, TsdbError> {
        let range = self.config.block_range_ms;
        let newest = self.head.max_time().min(now_ms.saturating_add(self.config.accept_future_ms));
        if newest == i64::MIN {
            return Ok(false);
        }
        let clock = self.env.clock.monotonic();
        if state.head_not_before.is_some_and(|t| clock < t) {
            return Ok(false);
        }
        state.head_not_before = None;
        let due = |oldest: i64| newest.saturating_sub(span_start(oldest, range)) >= range + range / 2;
        let mut written: Option<i64> = None;
        loop {
            // The oldest sample is looked for only when the one found last is far behind.
            if state.oldest.is_some_and(|o| !due(o)) {
                return Ok(written.is_some());
            }
            let oldest = self.head.min_time();
            state.oldest = Some(oldest);
            if oldest == i64::MAX || !due(oldest) {
                return Ok(written.is_some());
            }
            let from = span_start(oldest, range);
            if written.is_some_and(|last| from <= last) {
                // Late samples that came meanwhile, or a chunk that should have gone: written at once, again and again, it
                // would fill the disk.
                tracing::warn!(
                    from,
                    "the head has samples of a span that was just written; they wait for a minute"
                );
                state.head_not_before = Some(clock + HEAD_PAUSE);
                return Ok(true);
            }
            self.head_to_blocks(from, from + range)?;
            written = Some(from);
        }
    }

    /// Writes the in-order samples of `[from, to)` and the late samples before `to`, and drops them from the head.
    fn head_to_blocks(&self, from: i64, to: i64) -> Result<(), TsdbError> {
        self.head.set_min_valid(to);
        let late = self.head.start_flush(to);
        let result = self.write_blocks_of_head(from, late);
        self.head.end_flush(result.is_ok());
        result?;
        self.head.truncate(to);
        Ok(())
    }

    fn write_blocks_of_head(&self, from: i64, mut spans: BTreeSet<i64>) -> Result<(), TsdbError> {
        spans.insert(from);
        for start in spans {
            // `from` is the oldest in-order sample's span: what is before is late. Where blocks cover the span already,
            // the new one overlaps them until they are compacted.
            let part = if start < from { Part::Late } else { Part::All };
            let overlaps = part == Part::Late || self.blocks.end().is_some_and(|e| e > start);
            self.write_span(start, part, None, overlaps)?;
        }
        Ok(())
    }

    /// Writes `part` of the head's samples in the span from `start` on to a block: those of all series, or `among` some.
    pub(crate) fn write_span(
        &self,
        start: i64,
        part: Part,
        among: Option<&IdleSeries>,
        overlaps: bool,
    ) -> Result<(), TsdbError> {
        let span = TimeRange::new(start, start.saturating_add(self.config.block_range_ms - 1));
        let sources = (0..self.head.shards.len())
            .map(|i| Box::new(ShardSource::new(&self.head, i, span, part, among)) as Box<dyn SeriesSource>);
        let meta = self.block_from(start, overlaps);
        self.write_block(meta, Packing::Copy, sources.collect(), &[])
    }

    /// What a block that is to be written says of itself: it covers the span from `start` on, of which there may be other
    /// blocks if it `overlaps`.
    pub(crate) fn block_from(&self, start: i64, overlaps: bool) -> BlockMeta {
        BlockMeta {
            version: 1,
            number: self.blocks.next_number(),
            min_time: start,
            max_time: start.saturating_add(self.config.block_range_ms),
            level: 1,
            out_of_order: overlaps,
            ..BlockMeta::default()
        }
    }

    /// Moves series that get no more samples to blocks early; whether there were enough of them.
    ///
    /// Their blocks are marked as overlapping, since the head writes the same span later; compaction merges the two.
    fn move_idle_series(&self, state: &mut Maintenance) -> Result<bool, TsdbError> {
        let newest = self.head.max_time();
        // Either way: what was ahead may have been moved away.
        if newest.saturating_sub(state.looked_for_idle).saturating_abs() < LOOK_FOR_IDLE_MS {
            return Ok(false);
        }
        state.looked_for_idle = newest;
        let idle = self.head.idle_series();
        if idle.len() < MIN_IDLE || (idle.len() as u64) < self.head.series_count() / IDLE_SHARE {
            return Ok(false);
        }
        for start in &idle.spans {
            self.write_span(*start, Part::All, Some(&idle), true)?;
        }
        self.head.remove_idle(&idle);
        Ok(true)
    }

    /// Merges sources into a block and takes it up.
    pub(crate) fn write_block(
        &self,
        meta: BlockMeta,
        packing: Packing,
        mut sources: Vec<Box<dyn SeriesSource + '_>>,
        parents: &[Parent],
    ) -> Result<(), TsdbError> {
        let begin = self.env.clock.monotonic();
        let number = meta.number;
        let between = || {
            if let Err(error) = self.log.sync_if_due() {
                tracing::debug!(%error, "the log could not be synced during compaction");
            }
        };
        let write = || -> Result<Option<BlockMeta>, WriteError> {
            let mut writer = BlockWriter::new(&self.blocks.dir, meta, packing)?;
            merge(&mut sources, &mut writer, &between)?;
            Ok(writer.finish()?)
        };
        let written = write().map_err(|e| match e {
            WriteError::Disk(e) => e.into(),
            WriteError::Chunk(e) => {
                // It is not known which of them is damaged: reading them finds out.
                for parent in parents {
                    parent.block.look_for_damage();
                }
                TsdbError::Corrupt {
                    path: self.blocks.dir.path().display().to_string(),
                    reason: e.to_string(),
                }
            }
        });
        let written = written.inspect_err(|_| {
            self.counters.compactions_failed.fetch_add(1, Ordering::Relaxed);
            self.blocks.give_up(number);
        })?;
        let parents: Vec<u64> = parents.iter().filter(|p| p.replaced).map(|p| p.block.meta.number).collect();
        match written {
            Some(meta) => self.blocks.add(&meta)?,
            None => self.blocks.replace(&parents, None),
        }
        let elapsed = self.env.clock.monotonic().saturating_sub(begin);
        self.counters.compactions.fetch_add(1, Ordering::Relaxed);
        self.counters.last_compaction_ms.store(elapsed.as_millis() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Merges small blocks into larger ones until nothing is left to merge.
    pub(crate) fn compact(&self) -> Result<(), TsdbError> {
        let by_retention = self.config.retention_ms.map_or(i64::MAX, |r| r / 10);
        let longest = self.config.max_block_range_ms.min(by_retention).max(self.config.block_range_ms);
        let ranges = compact::ranges(self.config.block_range_ms, longest);
        loop {
            let blocks = self.blocks.all();
            let metas: Vec<BlockMeta> =
                blocks.iter().filter(|b| b.meta.is_raw()).map(|b| b.meta.clone()).collect();
            let Some((start, end, numbers)) = compact::plan(&metas, &ranges) else { return Ok(()) };
            let group =
                blocks.iter().filter(|b| numbers.contains(&b.meta.number)).map(Parent::whole).collect();
            self.merge_blocks(Merge { start, end, group, resolution: 0 })?;
        }
    }

    /// Merges blocks into one, which takes the place of those it replaces; whether that came about. It does not if a block
    /// turns out to be damaged, which is then set aside.
    pub(crate) fn merge_blocks(&self, merge: Merge) -> Result<bool, TsdbError> {
        let Merge { start, end, mut group, resolution } = merge;
        // Late samples, and what was written later, win. What is downsampled already is older than any sample.
        group.sort_by_key(|p| (p.block.meta.is_raw(), p.block.meta.out_of_order, p.block.meta.number));
        let metas = || group.iter().map(|p| &p.block.meta);
        let meta = BlockMeta {
            version: if resolution == 0 { 1 } else { 2 },
            number: self.blocks.next_number(),
            min_time: start,
            max_time: end,
            level: metas().map(|m| m.level).max().unwrap_or(0) + 1,
            parents: group.iter().filter(|p| p.replaced).map(|p| p.block.meta.number).collect(),
            out_of_order: resolution == 0 && metas().all(|m| m.out_of_order),
            late: if resolution == 0 { metas().map(BlockMeta::late).max().unwrap_or(0) } else { 0 },
            partial: group.iter().any(|p| p.block.meta.partial || !p.left_out.is_empty()),
            resolution,
            ..BlockMeta::default()
        };
        let mut sources: Vec<Box<dyn SeriesSource>> = Vec::new();
        for parent in &group {
            match parent.block.source(parent.left_out.clone()) {
                Ok(source) => sources.push(Box::new(source)),
                Err(WriteError::Disk(e)) => return Err(e.into()),
                Err(WriteError::Chunk(e)) => {
                    parent.block.set_damaged(e.to_string());
                    self.blocks.quarantine_damaged()?;
                    return Ok(false);
                }
            }
        }
        let packing = match resolution {
            0 => Packing::Repack,
            _ => Packing::Rollups(Windows { resolution, span: self.config.block_range_ms }),
        };
        let written = self.write_block(meta, packing, sources, &group);
        // With none of them damaged the same merge would be tried, and fail, without end.
        if matches!(written, Err(TsdbError::Corrupt { .. }))
            && group.iter().any(|p| p.block.damage().is_some())
        {
            self.blocks.quarantine_damaged()?;
            return Ok(false);
        }
        written.map(|()| true)
    }

    /// Bytes of blocks, log, checkpoint and chunks of the head.
    pub(crate) fn disk_bytes(&self) -> Result<u64, DiskError> {
        Ok(self.blocks.bytes() + self.head.files.size() + self.wal.size()? + self.checkpoints.size()?)
    }

    /// Deletes the samples in `range` of all series that match any of `sets`; returns how many samples (in the head)
    /// and series (in blocks) were touched. Space is freed when blocks are compacted, or by
    /// [`Tsdb::clean_tombstones`]. What cannot be read does not keep the rest: that is deleted for good before the error.
    pub fn delete_series(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<u64, TsdbError> {
        let mut state = self.maintenance.lock();
        self.log.ready()?;
        // A block that is not known now would bring them back when it is found at the next start.
        self.blocks.settle_all()?;
        // The log may still tell of samples that are in blocks by now: read again, it would bring back what is deleted there.
        self.checkpoint(&mut state)?;
        let _noted = self.blocks.changes.note_at_end(range.start);
        let corrupt = |path: &str, e: &dyn std::fmt::Display| TsdbError::Corrupt {
            path: path.to_owned(),
            reason: e.to_string(),
        };
        let mut seq = None;
        let in_head = self.head.delete(sets, range, |records| seq = Some(self.log.push(records.frame())));
        if let Some(seq) = seq {
            self.log.commit(seq)?;
        }
        let mut touched = in_head.map_err(|e| corrupt("head", &e));
        for block in self.blocks.overlapping(range) {
            let in_block = block.delete(sets, range).map_err(|e| corrupt(&block.meta.name(), &e));
            touched = touched.and_then(|before| Ok(before + in_block?));
        }
        touched
    }

    /// Writes the blocks with deleted samples anew without them.
    pub fn clean_tombstones(&self) -> Result<(), TsdbError> {
        let _state = self.maintenance.lock();
        for block in self.blocks.all().iter().filter(|b| b.has_tombstones()) {
            self.merge_blocks(Merge::of_one(Parent::whole(block)))?;
        }
        Ok(())
    }

    /// Makes a copy of the store under `name` in its folder `snapshots`, out of hard links; with the head, it is first
    /// written down as a checkpoint. The copy is opened like any store.
    pub fn snapshot(&self, name: &str, with_head: bool) -> Result<(), TsdbError> {
        let mut state = self.maintenance.lock();
        if with_head {
            self.checkpoint(&mut state)?;
        }
        let to = self.dir.subdir("snapshots")?.subdir(name)?;
        let blocks = to.subdir("blocks")?;
        for block in self.blocks.all().iter() {
            link_all(&block.dir, &blocks.subdir(&block.meta.name())?)?;
        }
        if with_head {
            for part in ["checkpoint", "head"] {
                link_all(&self.dir.existing(part), &to.subdir(part)?)?;
            }
        }
        Ok(to.sync()?)
    }
}

fn link_all(from: &Dir, to: &Dir) -> Result<(), DiskError> {
    for entry in from.list()?.into_iter().filter(|e| !e.is_dir) {
        from.hard_link(&entry.name, to)?;
    }
    to.sync()
}

#[cfg(test)]
mod tests {
    use reba_disk::{Env, FaultFs, ManualClock};
    use reba_model::Labels;
    use reba_storage::{AppendMode, FloatSample, MetricAppender, WriteBatch};

    use super::*;
    use crate::TsdbConfig;

    #[test]
    fn a_head_that_keeps_what_was_written_does_not_fill_the_disk_with_blocks() {
        const MINUTE: i64 = 60_000;
        let (fs, clock) = (FaultFs::new(), Arc::new(ManualClock::new(0)));
        let env = Env { fs: Arc::new(fs.clone()), clock: Arc::clone(&clock) as _ };
        let db = Tsdb::open(&env, "/data", TsdbConfig::unbounded(), &|_, _| {}).unwrap();
        let series = db.series_ref(&Labels::from_pairs([("__name__", "m")])).unwrap();
        for i in 0..600 {
            let floats = vec![FloatSample { series, t: i * MINUTE, v: i as f64 }];
            db.append(&WriteBatch { floats, ..WriteBatch::default() }, AppendMode::Partial).unwrap();
        }
        // A chunk that says it reaches into the far future never leaves the head: so did one that lay in two blocks.
        for shard in &db.head.shards {
            if let Some((series, _)) = shard.write().get_mut(0) {
                series.sealed[0].range.end = i64::MAX / 8;
            }
        }
        // Blocks without end end here.
        fs.set_capacity(fs.used() + (1 << 20));
        for _ in 0..5 {
            db.maintain(i64::MAX).unwrap();
            assert!(db.blocks.all().len() <= 2, "{} blocks", db.blocks.all().len());
        }
        let number = db.blocks.next_number();
        clock.advance(HEAD_PAUSE.as_millis() as i64);
        db.maintain(i64::MAX).unwrap();
        assert!(db.blocks.next_number() > number + 1, "it is tried again");
    }
}

//! Downsampling: blocks of rollups beside, and later in the place of, blocks of samples.
//!
//! A block of samples that has reached the age of a level is written once more, downsampled. Both stay until the retention
//! of either is over. Whether a query gets one or the other is decided in [`choose`].

mod choose;
mod read;

pub(crate) use read::select;

use std::sync::Arc;

use reba_model::Matcher;
use roaring::RoaringBitmap;

use crate::{
    Tsdb, TsdbError,
    block::{Block, BlockMeta},
    compact,
    maintain::{Maintenance, Merge, Parent},
};

/// What is kept of floats when their samples are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownsampleLevel {
    /// Milliseconds of a window.
    pub resolution_ms: i64,
    /// Age from which samples are downsampled, in milliseconds.
    pub after_ms: i64,
    /// Age at which the result goes, in milliseconds.
    pub keep_ms: i64,
    /// Series that are downsampled; empty: all.
    pub matchers: Vec<Matcher>,
}

impl Tsdb {
    /// The level of a resolution.
    pub(crate) fn level(&self, resolution: i64) -> Option<&DownsampleLevel> {
        self.config.downsampling.iter().find(|l| l.resolution_ms == resolution)
    }

    /// Blocks of one resolution.
    fn of_resolution(&self, resolution: i64) -> Vec<Arc<Block>> {
        self.blocks.all().iter().filter(|b| b.meta.resolution == resolution).cloned().collect()
    }

    /// Whether a block of samples has an age of which a level wants something, and the level does not have it.
    pub(crate) fn must_roll(
        &self,
        block: &Block,
        level: &DownsampleLevel,
        now: i64,
        state: &Maintenance,
    ) -> bool {
        let meta = &block.meta;
        // Younger spans may get in-order samples yet.
        let range = self.config.block_range_ms;
        let after = level.after_ms.max(range + range / 2);
        let end = now.saturating_sub(after).min(state.oldest.unwrap_or(i64::MAX));
        meta.max_time <= end
            && meta.max_time > now.saturating_sub(level.keep_ms)
            && !state.nothing_to_roll.contains(&(meta.number, level.resolution_ms))
            && !is_rolled(meta, self.of_resolution(level.resolution_ms).iter().map(|b| &b.meta))
    }

    /// Downsamples what is due, and merges what is downsampled into larger blocks.
    pub(crate) fn downsample(&self, now: i64, state: &mut Maintenance) -> Result<(), TsdbError> {
        for level in &self.config.downsampling {
            while let Some(block) =
                self.of_resolution(0).iter().find(|b| self.must_roll(b, level, now, state))
            {
                self.roll(block, level)?;
                if self.must_roll(block, level, now, state) {
                    // No series of it is wanted, or it has gone.
                    state.nothing_to_roll.insert((block.meta.number, level.resolution_ms));
                }
            }
            self.compact_level(level)?;
        }
        let blocks = self.blocks.all();
        state.nothing_to_roll.retain(|(number, _)| blocks.iter().any(|b| b.meta.number == *number));
        Ok(())
    }

    /// Downsamples the span of a block, and of the blocks of the level that it overlaps, which are replaced: what they hold
    /// may be all that is left of that span.
    fn roll(&self, block: &Arc<Block>, level: &DownsampleLevel) -> Result<(), TsdbError> {
        let (mut start, mut end) = (block.meta.min_time, block.meta.max_time);
        let mut group = Vec::new();
        for old in self.of_resolution(level.resolution_ms) {
            if old.meta.range().overlaps(block.meta.range()) {
                start = start.min(old.meta.min_time);
                end = end.max(old.meta.max_time);
                group.push(Parent::whole(&old));
            }
        }
        for raw in self.of_resolution(0) {
            if raw.meta.min_time < end && start < raw.meta.max_time {
                match self.not_wanted(&raw, level) {
                    Ok(left_out) => group.push(Parent { block: raw, left_out, replaced: false }),
                    Err(_) => return Ok(self.blocks.quarantine_damaged()?),
                }
            }
        }
        self.merge_blocks(Merge { start, end, group, resolution: level.resolution_ms }).map(drop)
    }

    /// Numbers of the series of a block that are not downsampled: those that the level does not name, and those that a
    /// rule keeps for a time too short to reach its age.
    fn not_wanted(&self, block: &Block, level: &DownsampleLevel) -> Result<RoaringBitmap, TsdbError> {
        let mut out = self.kept_for_at_most(block, level.after_ms.saturating_sub(1))?;
        if !level.matchers.is_empty() {
            let wanted = block.matching(&level.matchers).map_err(|e| TsdbError::Corrupt {
                path: block.dir.path().display().to_string(),
                reason: e.to_string(),
            })?;
            out |= block.every() - wanted;
        }
        Ok(out)
    }

    /// Merges downsampled blocks, once they have all that there is of their spans: a new number says that they do.
    fn compact_level(&self, level: &DownsampleLevel) -> Result<(), TsdbError> {
        let longest = self.config.max_block_range_ms.min(level.keep_ms / 10).max(self.config.block_range_ms);
        let ranges = compact::ranges(self.config.block_range_ms, longest);
        loop {
            let blocks = self.of_resolution(level.resolution_ms);
            let metas: Vec<BlockMeta> = blocks.iter().map(|b| b.meta.clone()).collect();
            let Some((start, end, numbers)) = compact::plan(&metas, &ranges) else { return Ok(()) };
            let is_late = |raw: &Arc<Block>| metas.iter().any(|m| is_late_for(&raw.meta, m));
            if self.of_resolution(0).iter().any(is_late) {
                return Ok(());
            }
            let group =
                blocks.iter().filter(|b| numbers.contains(&b.meta.number)).map(Parent::whole).collect();
            self.merge_blocks(Merge { start, end, group, resolution: level.resolution_ms })?;
        }
    }
}

/// Whether a block of samples holds late ones that came after a downsampled block was written.
fn is_late_for(raw: &BlockMeta, rolled: &BlockMeta) -> bool {
    raw.range().overlaps(rolled.range()) && raw.late() > rolled.number
}

/// Whether blocks of one resolution, by start of their span, have all of a block of samples.
fn is_rolled<'a>(raw: &BlockMeta, level: impl Iterator<Item = &'a BlockMeta>) -> bool {
    let mut covered = raw.min_time;
    for rolled in level.filter(|m| m.range().overlaps(raw.range())) {
        if is_late_for(raw, rolled) || rolled.min_time > covered {
            return false;
        }
        covered = covered.max(rolled.max_time);
    }
    covered >= raw.max_time
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u64, min_time: i64, max_time: i64) -> BlockMeta {
        BlockMeta { number, min_time, max_time, ..BlockMeta::default() }
    }

    #[test]
    fn a_block_is_downsampled_when_its_span_is_covered_and_nothing_late_came_since() {
        let raw = block(9, 0, 40);
        assert!(!is_rolled(&raw, [].iter()));
        assert!(!is_rolled(&raw, [block(3, 0, 20)].iter()));
        assert!(!is_rolled(&raw, [block(3, 0, 20), block(4, 30, 40)].iter()));
        assert!(is_rolled(&raw, [block(3, 0, 20), block(4, 20, 60)].iter()));
        let late = BlockMeta { late: 4, ..raw };
        assert!(!is_rolled(&late, [block(3, 0, 20), block(5, 20, 60)].iter()));
        assert!(is_rolled(&late, [block(5, 0, 20), block(6, 20, 60)].iter()));
        let imported = BlockMeta { out_of_order: true, ..block(9, 0, 20) };
        assert!(!is_rolled(&imported, [block(5, 0, 20)].iter()));
    }
}

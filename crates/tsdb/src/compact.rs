//! Which blocks to merge, and which to drop: decisions without files.

use crate::block::BlockMeta;

/// Each size of blocks is so many of the one before.
const FACTOR: i64 = 4;

/// Sizes of blocks, rising: the first is what the head writes.
pub(crate) fn ranges(block_range: i64, longest: i64) -> Vec<i64> {
    let mut out = vec![block_range];
    let mut next = block_range.saturating_mul(FACTOR);
    while next <= longest {
        out.push(next);
        next = next.saturating_mul(FACTOR);
    }
    out
}

/// The span and the blocks of the most useful merge; `None` if nothing needs to be merged.
///
/// Blocks that overlap (late samples) come first. Then, from small sizes to large, windows aligned to the size that
/// lie wholly before the newest data and hold at least two blocks.
pub(crate) fn plan(blocks: &[BlockMeta], ranges: &[i64]) -> Option<(i64, i64, Vec<u64>)> {
    let mut sorted: Vec<&BlockMeta> = blocks.iter().collect();
    sorted.sort_by_key(|b| (b.min_time, b.max_time));
    overlapping(&sorted).or_else(|| ranges.iter().skip(1).find_map(|r| window(&sorted, *r)))
}

fn overlapping(sorted: &[&BlockMeta]) -> Option<(i64, i64, Vec<u64>)> {
    for (i, first) in sorted.iter().enumerate() {
        let mut end = first.max_time;
        let mut group = vec![first.number];
        for b in sorted[i + 1..].iter().take_while(|b| b.min_time < first.max_time) {
            end = end.max(b.max_time);
            group.push(b.number);
        }
        if group.len() > 1 {
            return Some((first.min_time, end, group));
        }
    }
    None
}

fn window(sorted: &[&BlockMeta], range: i64) -> Option<(i64, i64, Vec<u64>)> {
    let newest = sorted.iter().filter(|b| !b.out_of_order).map(|b| b.max_time).max()?;
    let mut i = 0;
    while i < sorted.len() {
        let start = sorted[i].min_time.div_euclid(range) * range;
        let end = start + range;
        let group: Vec<&&BlockMeta> =
            sorted[i..].iter().take_while(|b| b.min_time < end).filter(|b| b.max_time <= end).collect();
        if group.len() > 1 && newest >= end {
            return Some((start, end, group.iter().map(|b| b.number).collect()));
        }
        i += sorted[i..].iter().take_while(|b| b.min_time < end).count().max(1);
    }
    None
}

/// The oldest blocks that must go so that `total` bytes shrink to `limit`; `blocks` are by age, with their bytes.
pub(crate) fn oversize(blocks: &[(u64, u64)], mut total: u64, limit: u64) -> Vec<u64> {
    let mut out = Vec::new();
    for (number, bytes) in blocks {
        if total <= limit {
            break;
        }
        total = total.saturating_sub(*bytes);
        out.push(*number);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u64, min_time: i64, max_time: i64) -> BlockMeta {
        BlockMeta { number, min_time, max_time, ..BlockMeta::default() }
    }

    #[test]
    fn a_window_is_merged_once_newer_data_exists() {
        let ranges = ranges(10, 200);
        assert_eq!(ranges, [10, 40, 160]);
        let mut blocks: Vec<_> = (0..3).map(|i| block(i, i as i64 * 10, i as i64 * 10 + 10)).collect();
        assert_eq!(plan(&blocks, &ranges), None);
        blocks.push(block(3, 30, 40));
        assert_eq!(plan(&blocks, &ranges), Some((0, 40, vec![0, 1, 2, 3])));
        // A gap does not hold it back.
        let gap = [block(1, 0, 10), block(2, 20, 30), block(3, 50, 60)];
        assert_eq!(plan(&gap, &ranges), Some((0, 40, vec![1, 2])));
    }

    #[test]
    fn overlapping_blocks_are_merged_first() {
        let blocks = [block(1, 0, 40), block(2, 10, 20), block(3, 40, 50)];
        assert_eq!(plan(&blocks, &ranges(10, 200)), Some((0, 40, vec![1, 2])));
    }

    #[test]
    fn only_what_is_too_much_is_dropped() {
        assert_eq!(oversize(&[(1, 100), (2, 100), (3, 100)], 300, 150), [1, 2]);
        assert!(oversize(&[(1, 100)], 100, 150).is_empty());
    }
}

//! What is dropped: blocks that are too old or too many, and series that a rule keeps for a shorter time.

use std::sync::{Arc, atomic::Ordering};

use reba_model::Matcher;
use roaring::RoaringBitmap;

use crate::{
    Tsdb, TsdbError,
    block::Block,
    compact,
    maintain::{Maintenance, Merge, Parent},
};

const DAY_MS: i64 = 24 * 3_600_000;

/// How long the samples of some series are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRule {
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// Milliseconds.
    pub keep_ms: i64,
}

/// The moment that ages are measured from: the newest time of the data at which there is a day of data behind it, without
/// gaps of more than a day being counted; of less data in all, the oldest stretch.
///
/// A clock that is a year ahead stamps samples a year ahead. Measured from them everything else would be too old at once.
/// After such a leap (or after a long pause) nothing ages before a day of data is there.
fn settled(mut spans: Vec<(i64, i64)>, now: i64) -> Option<i64> {
    spans.retain(|(start, _)| *start <= now);
    spans.sort_unstable();
    let mut stretches: Vec<(i64, i64)> = Vec::new();
    for (start, end) in spans {
        let end = end.min(now);
        match stretches.last_mut() {
            Some(last) if start.saturating_sub(last.1) <= DAY_MS => last.1 = last.1.max(end),
            _ => stretches.push((start, end)),
        }
    }
    let mut data = 0i64;
    let enough = stretches.iter().rev().find(|(start, end)| {
        data = data.saturating_add(end.saturating_sub(*start));
        data >= DAY_MS
    });
    enough.or(stretches.first()).map(|s| s.1)
}

impl Tsdb {
    /// The moment that ages are measured from; see [`settled`]. `i64::MIN` if there is no data.
    pub(crate) fn settled_now(&self, now_ms: i64, state: &Maintenance) -> i64 {
        let mut spans: Vec<(i64, i64)> = self
            .blocks
            .all()
            .iter()
            .filter(|b| b.meta.is_raw() && !b.meta.out_of_order)
            .map(|b| (b.meta.min_time, b.meta.max_time))
            .collect();
        let newest = self.head.max_time();
        if newest != i64::MIN {
            // What lies between the two is not known.
            spans.extend(state.oldest.map(|t| (t, t)));
            spans.push((newest, newest));
        }
        settled(spans, now_ms).unwrap_or(i64::MIN)
    }

    fn default_keep(&self) -> i64 {
        self.config.retention_ms.unwrap_or(i64::MAX)
    }

    /// Drops blocks that are too old or too many.
    pub(crate) fn retain(&self, now: i64, state: &Maintenance) -> Result<(), TsdbError> {
        let blocks = self.blocks.all();
        if blocks.is_empty() {
            return Ok(());
        }
        let longest = self.config.retention_rules.iter().map(|r| r.keep_ms).max().unwrap_or(0);
        let longest = longest.max(self.default_keep());
        self.blocks.samples_from.store(now.saturating_sub(self.default_keep()), Ordering::Relaxed);
        let is_expired = |b: &Arc<Block>| {
            let keep = match b.meta.resolution {
                0 => longest,
                resolution => self.level(resolution).map_or(self.default_keep(), |l| l.keep_ms),
            };
            b.meta.max_time <= now.saturating_sub(keep) && !self.is_held(b, now, state)
        };
        let old: Vec<u64> = blocks.iter().filter(|b| is_expired(b)).map(|b| b.meta.number).collect();
        self.counters.time_retentions.fetch_add(old.len() as u64, Ordering::Relaxed);
        self.blocks.replace(&old, None);
        if let Some(limit) = self.config.retention_bytes {
            let by_age: Vec<(u64, u64)> =
                self.blocks.all().iter().map(|b| (b.meta.number, b.bytes)).collect();
            let old = compact::oversize(&by_age, self.disk_bytes()?, limit);
            self.counters.size_retentions.fetch_add(old.len() as u64, Ordering::Relaxed);
            self.blocks.replace(&old, None);
        }
        Ok(())
    }

    /// Whether samples are to be downsampled before they may go. If the disk is full they are held for a tenth of the
    /// retention, a day at least; then its room counts more.
    fn is_held(&self, block: &Block, now: i64, state: &Maintenance) -> bool {
        let keep = self.default_keep();
        let grace = (keep / 10).max(DAY_MS);
        let is_overdue = now.saturating_sub(block.meta.max_time) >= keep.saturating_add(grace);
        block.meta.is_raw()
            && !(is_overdue && state.disk_is_full())
            && self.config.downsampling.iter().any(|level| self.must_roll(block, level, now, state))
    }

    /// Writes blocks anew without the series whose time is over.
    pub(crate) fn trim(&self, now: i64, state: &mut Maintenance) -> Result<(), TsdbError> {
        if self.config.retention_rules.is_empty() {
            return Ok(());
        }
        let blocks = self.blocks.all();
        state.trimmed.retain(|number, _| blocks.iter().any(|b| b.meta.number == *number));
        for block in blocks.iter().filter(|b| b.meta.is_raw()) {
            let age = now.saturating_sub(block.meta.max_time);
            let keeps = self.config.retention_rules.iter().map(|r| r.keep_ms).chain(self.config.retention_ms);
            let Some(passed) = keeps.filter(|k| *k <= age).max() else { continue };
            let number = block.meta.number;
            if state.trimmed.get(&number).is_some_and(|t| *t >= passed) || self.is_held(block, now, state) {
                continue;
            }
            let Ok(left_out) = self.kept_for_at_most(block, age) else { continue };
            if !left_out.is_empty() {
                tracing::debug!(block = number, series = left_out.len(), "series are dropped for their age");
                let block = Arc::clone(block);
                self.merge_blocks(Merge::of_one(Parent { block, left_out, replaced: true }))?;
                self.counters.time_retentions.fetch_add(1, Ordering::Relaxed);
            }
            state.trimmed.insert(number, passed);
        }
        Ok(())
    }

    /// Numbers of the series of a block that are kept for at most `age` milliseconds. An error has marked the block as
    /// damaged.
    pub(crate) fn kept_for_at_most(&self, block: &Block, age: i64) -> Result<RoaringBitmap, TsdbError> {
        let mut over = RoaringBitmap::new();
        let mut ruled = RoaringBitmap::new();
        for rule in &self.config.retention_rules {
            let found = block.matching(&rule.matchers).map_err(|e| TsdbError::Corrupt {
                path: block.dir.path().display().to_string(),
                reason: e.to_string(),
            })?;
            if rule.keep_ms <= age {
                over |= &found - &ruled;
            }
            ruled |= found;
        }
        if self.default_keep() <= age {
            over |= block.every() - ruled;
        }
        Ok(over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_leaps_does_not_age_everything_at_once() {
        let year = 365 * DAY_MS;
        let month = (0, 30 * DAY_MS);
        let now = 30 * DAY_MS;
        assert_eq!(settled(vec![], now), None);
        assert_eq!(settled(vec![month], now), Some(now));
        // What the clock does not know yet does not count; nor what it leapt to, before a day of it is there.
        assert_eq!(settled(vec![month, (now, now + year)], now), Some(now));
        let leapt = |hours: i64| (now + year, now + year + hours * 3_600_000);
        assert_eq!(settled(vec![month, leapt(3)], 2 * year), Some(now));
        assert_eq!(settled(vec![month, leapt(3), (2 * year, 2 * year)], 3 * year), Some(now));
        assert_eq!(settled(vec![month, leapt(24)], 2 * year), Some(now + year + DAY_MS));
        // Little data in all, and a program that runs for some hours a week.
        assert_eq!(settled(vec![(0, 7)], now), Some(7));
        let weekly = |i: i64| (i * 7 * DAY_MS, i * 7 * DAY_MS + DAY_MS / 2);
        assert_eq!(settled((0..10).map(weekly).collect(), year), Some(weekly(8).1));
    }
}

//! Series that get no more samples: with much churn they would fill the head for hours, so they leave it early.

use std::{
    collections::{BTreeSet, HashMap},
    sync::atomic::Ordering,
};

use reba_model::STALE_NAN_BITS;
use roaring::RoaringBitmap;

use super::{Head, HeadSeries, span_start};

/// A series that ended with a staleness marker is idle after this time: no query for the present finds it any more.
const STALE_IDLE_MS: i64 = 5 * 60_000;

/// Any other series is idle when so many of its samples did not come, but not before [`STALE_IDLE_MS`], and after this time at
/// the latest.
const MISSED_SAMPLES: i64 = 20;
const IDLE_MS: i64 = 30 * 60_000;

/// Idle series, for each the time of its newest sample when it was found.
#[derive(Debug, Default)]
pub(crate) struct IdleSeries {
    pub(super) shards: Vec<HashMap<u32, i64>>,
    /// The starts of the blocks that their samples belong to.
    pub(crate) spans: BTreeSet<i64>,
}

impl IdleSeries {
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(HashMap::len).sum()
    }

    pub(crate) fn contains(&self, shard: usize, slot: u32) -> bool {
        self.shards[shard].contains_key(&slot)
    }
}

fn is_idle(series: &HeadSeries, newest: i64) -> bool {
    let (last, bits) = series.last();
    let after = match series.interval() {
        _ if bits == STALE_NAN_BITS => STALE_IDLE_MS,
        Some(interval) => interval.saturating_mul(MISSED_SAMPLES).clamp(STALE_IDLE_MS, IDLE_MS),
        None => IDLE_MS,
    };
    last != i64::MIN && last < newest.saturating_sub(after) && !series.has_late()
}

impl Head {
    pub(crate) fn idle_series(&self) -> IdleSeries {
        let newest = self.max_time();
        let mut out = IdleSeries::default();
        for lock in &self.shards {
            let shard = lock.read();
            let mut idle = HashMap::new();
            for (slot, series) in shard.iter().filter(|(_, s)| is_idle(s, newest)) {
                // Chunks do not cross the borders of blocks.
                let starts =
                    series.sealed.iter().map(|s| s.range).chain(series.open_range()).map(|r| r.start);
                out.spans.extend(starts.map(|t| span_start(t, self.block_range)));
                idle.insert(slot, series.last_t);
            }
            out.shards.push(idle);
        }
        out
    }

    /// Drops those that have got no sample since; their samples are in a block now.
    pub(crate) fn remove_idle(&self, idle: &IdleSeries) {
        let _noted = self.changes.note_at_end(idle.spans.first().copied().unwrap_or(i64::MIN));
        for (lock, idle) in self.shards.iter().zip(&idle.shards) {
            let mut shard = lock.write();
            let unchanged =
                |slot: u32, last: i64| shard.get(slot).is_some_and(|s| s.last_t == last && !s.has_late());
            let dead: RoaringBitmap =
                idle.iter().filter(|(slot, last)| unchanged(**slot, **last)).map(|(slot, _)| *slot).collect();
            self.series.fetch_sub(dead.len(), Ordering::Relaxed);
            self.counters.series_removed.fetch_add(dead.len(), Ordering::Relaxed);
            shard.remove(&dead);
            shard.recount_sealed();
        }
    }
}

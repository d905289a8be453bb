//! Samples from a future that was none: a clock was ahead and is right again.
//!
//! A series takes samples in order only, so that one sample of next year would keep it shut for a year. Such samples are
//! moved to a block, and the series goes on behind what it had before.

use std::{collections::HashMap, sync::atomic::Ordering};

use super::{Head, HeadSeries, IdleSeries, Shard, span_start};
use crate::wal::RecordWriter;

impl Head {
    /// Series with samples at `t` or later, and the starts of the blocks those samples belong to. Chunks do not cross `t`,
    /// which is a multiple of the block range.
    pub(crate) fn series_ahead(&self, t: i64) -> IdleSeries {
        let mut out = IdleSeries::default();
        for lock in &self.shards {
            let shard = lock.read();
            let mut ahead = HashMap::new();
            for (slot, series) in shard.iter().filter(|(_, s)| s.last_t >= t) {
                let starts =
                    series.sealed.iter().map(|s| s.range).chain(series.open_range()).map(|r| r.start);
                out.spans.extend(starts.filter(|s| *s >= t).map(|s| span_start(s, self.block_range)));
                ahead.insert(slot, series.last_t);
            }
            out.shards.push(ahead);
        }
        out
    }

    /// Forgets the samples from `t` on of those series, which stand in blocks now, unless there are new ones; says so to
    /// the log.
    pub(crate) fn forget_ahead(&self, ahead: &IdleSeries, t: i64, logged: impl FnOnce(&RecordWriter)) {
        let mut records = RecordWriter::default();
        let _noted = self.changes.note_at_end(t);
        let mut guards: Vec<_> = self.shards.iter().map(|s| s.write()).collect();
        for (index, (shard, ahead)) in guards.iter_mut().zip(&ahead.shards).enumerate() {
            for (slot, last) in ahead {
                let Some((series, _)) = shard.get_mut(*slot).filter(|(s, _)| s.last_t == *last) else {
                    continue;
                };
                series.cut(t);
                records.cut(index, *slot, t);
            }
            shard.recount_sealed();
        }
        let newest = guards.iter().filter_map(|s| newest_of(s)).max().unwrap_or(i64::MIN);
        self.max_t.store(newest, Ordering::Release);
        if !records.is_empty() {
            logged(&records);
        }
    }
}

/// Time of the newest sample of a shard.
pub(super) fn newest_of(shard: &Shard) -> Option<i64> {
    shard.iter().map(|(_, s)| s.last_t).max()
}

impl HeadSeries {
    /// Forgets the samples from `t` on, as if they had never come. Chunks do not cross `t`.
    pub(crate) fn cut(&mut self, t: i64) {
        if self.open_range().is_some_and(|r| r.start >= t) {
            self.open.clear();
            if let Some(rare) = &mut self.rare {
                rare.histograms.clear();
            }
        }
        self.sealed.retain(|s| s.range.start < t);
        if self.last_t >= t {
            let newest = self.open.last().map(|s| (s.t, s.v.to_bits()));
            let sealed = || self.sealed.last().map(|s| (s.range.end, 0));
            let (t, bits) = newest.or_else(sealed).unwrap_or((i64::MIN, 0));
            self.restore_last(t, bits);
        }
    }
}

//! Deleting samples from the head.

use reba_model::{Chunk, Matcher, SampleColumns, TimeRange};

use super::{Head, Shard, series::Bounds};
use crate::{matching::resolve, wal::RecordWriter};

impl Head {
    /// Deletes the samples in `range` of the series that match any of `sets`, and says to the log what was deleted, also
    /// when a series cannot be read: it stays whole, the others are done, and then comes the error.
    pub(crate) fn delete(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        logged: impl FnOnce(&RecordWriter),
    ) -> Result<u64, reba_model::ChunkError> {
        let mut records = RecordWriter::default();
        let mut deleted = Ok(0);
        let mut guards: Vec<_> = self.shards.iter().map(|s| s.write()).collect();
        self.changes.note(range.start);
        for (index, shard) in guards.iter_mut().enumerate() {
            let mut slots = roaring::RoaringBitmap::new();
            for set in sets {
                let Ok(found) = resolve(&**shard, set);
                slots |= found;
            }
            for slot in slots {
                if !shard.get(slot).is_some_and(|s| s.overlaps(range)) {
                    continue;
                }
                match self.delete_from(shard, slot, range) {
                    Ok(n) => {
                        records.delete(index, slot, range);
                        deleted = deleted.map(|before| before + n);
                    }
                    Err(e) => deleted = deleted.and(Err(e)),
                }
            }
        }
        if !records.is_empty() {
            logged(&records);
        }
        deleted
    }

    /// Rewrites a series without the samples in `range`; returns how many went. One that cannot be read stays as it is.
    pub(crate) fn delete_from(
        &self,
        shard: &mut Shard,
        slot: u32,
        range: TimeRange,
    ) -> Result<u64, reba_model::ChunkError> {
        let Some(series) = shard.get(slot) else { return Ok(0) };
        let last = series.last();
        let mut chunks: Vec<Chunk> = Vec::new();
        for sealed in &series.sealed {
            chunks.push(self.sealed_chunk(sealed)?);
        }
        chunks.extend(series.open_chunk());
        // Late samples are never being written to a block here: maintenance and deletion exclude each other.
        let late = series.rare.as_ref().and_then(|r| r.out_of_order.chunk(TimeRange::ALL));
        let (mut all, mut late_all) = (SampleColumns::default(), SampleColumns::default());
        for chunk in &chunks {
            chunk.decode_into(TimeRange::ALL, &mut all)?;
        }
        if let Some(late) = &late {
            late.decode_into(TimeRange::ALL, &mut late_all)?;
        }
        let before = all.len() + late_all.len();
        let bounds = Bounds {
            min: i64::MIN,
            out_of_order_min: i64::MAX,
            max: i64::MAX,
            block_range: self.block_range,
        };
        let Some((series, scratch)) = shard.get_mut(slot) else { return Ok(0) };
        series.clear();
        let mut kept = 0;
        let mut sealed = 0;
        for (t, v) in all.t.iter().zip(&all.v).filter(|s| !range.contains(*s.0)) {
            sealed += series.append(*t, *v, self.block_range, scratch);
            kept += 1;
        }
        for s in all.h.into_iter().filter(|s| !range.contains(s.t)) {
            sealed += series.append_histogram(s.t, s.h, &bounds, scratch);
            kept += 1;
        }
        if late.is_some() {
            let out = &mut series.rare.get_or_insert_default().out_of_order;
            for (t, v) in late_all.t.iter().zip(&late_all.v).filter(|s| !range.contains(*s.0)) {
                out.insert(*t, *v);
                kept += 1;
            }
            for s in late_all.h.into_iter().filter(|s| !range.contains(s.t)) {
                out.insert_histogram(s.t, s.h);
                kept += 1;
            }
        }
        // A chunk lies in one block, also when the newest sample, now deleted, was in a later one.
        let span = |t: i64| t.div_euclid(self.block_range);
        if series.open_range().is_some_and(|r| span(r.start) != span(last.0)) {
            sealed += series.seal(scratch);
        }
        series.sealed.sort_by_key(|s| s.range.start);
        // What was deleted is not accepted again in order.
        series.restore_last(last.0, last.1);
        shard.sealed_bytes += sealed as u64;
        Ok((before - kept) as u64)
    }
}

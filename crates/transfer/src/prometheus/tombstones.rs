//! What was deleted from a block.

use std::collections::HashMap;

use reba_model::{SampleColumns, TimeRange};

use super::cursor::{Bad, Cursor};

const MAGIC: u32 = 0x0130_ba30;
const VERSION: u8 = 1;

/// Deleted ranges by series.
#[derive(Debug, Default)]
pub(super) struct Tombstones(HashMap<u64, Vec<TimeRange>>);

impl Tombstones {
    pub(super) fn read(data: &[u8]) -> Result<Self, Bad> {
        let (body, checksum) =
            data.len().checked_sub(4).map(|n| data.split_at(n)).ok_or(Bad("file ends too early"))?;
        let mut body = Cursor(body);
        if body.u32()? != MAGIC {
            return Err(Bad("these are no tombstones of Prometheus"));
        }
        if body.u8()? != VERSION {
            return Err(Bad("the tombstones have another version than 1"));
        }
        Cursor(checksum).checksum_of(body.0)?;
        let mut all: HashMap<u64, Vec<TimeRange>> = HashMap::new();
        while !body.0.is_empty() {
            let series = body.uvarint()?;
            let range = TimeRange::new(body.varint()?, body.varint()?);
            all.entry(series).or_default().push(range);
        }
        Ok(Tombstones(all))
    }

    /// Removes the deleted samples of a series, and those outside of `block`.
    pub(super) fn strike(&self, series: u32, block: TimeRange, columns: &mut SampleColumns) {
        let dead = self.0.get(&u64::from(series)).map_or(&[][..], Vec::as_slice);
        let lives = |t: i64| block.contains(t) && !dead.iter().any(|r| r.contains(t));
        if columns.t.iter().chain(columns.h.iter().map(|s| &s.t)).all(|t| lives(*t)) {
            return;
        }
        let kept: Vec<(i64, f64)> =
            columns.t.drain(..).zip(columns.v.drain(..)).filter(|(t, _)| lives(*t)).collect();
        for (t, v) in kept {
            columns.push(t, v);
        }
        columns.h.retain(|s| lives(s.t));
    }
}

//! What was deleted from a block and is still in its chunks.

use std::collections::BTreeMap;

use reba_disk::{Dir, DiskError, next_frame, push_frame};
use reba_model::{SampleColumns, TimeRange};

use super::TOMBSTONES;
use crate::varint::{Reader, put_i64, put_u64};

/// Deleted ranges by series of the block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tombstones(BTreeMap<u32, Vec<TimeRange>>);

impl Tombstones {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn add(&mut self, series: u32, range: TimeRange) {
        self.0.entry(series).or_default().push(range);
    }

    pub(crate) fn get(&self, series: u32) -> &[TimeRange] {
        self.0.get(&series).map_or(&[], Vec::as_slice)
    }

    /// The file is one frame: for each series its number, the number of ranges and their ends.
    pub(crate) fn save(&self, dir: &Dir) -> Result<(), DiskError> {
        let mut body = Vec::new();
        for (series, ranges) in &self.0 {
            put_u64(&mut body, u64::from(*series));
            put_u64(&mut body, ranges.len() as u64);
            for range in ranges {
                put_i64(&mut body, range.start);
                put_i64(&mut body, range.end);
            }
        }
        let mut frame = Vec::new();
        push_frame(&mut frame, &body);
        dir.write_atomic(TOMBSTONES, &frame)
    }

    /// Reads the file; there is none as long as nothing was deleted.
    pub(crate) fn load(dir: &Dir) -> Result<Self, DiskError> {
        let data = match dir.read(TOMBSTONES) {
            Ok(data) => data,
            Err(e) if e.is_not_found() => return Ok(Self::default()),
            Err(e) => return Err(e),
        };
        let corrupt = |what: &str| DiskError::Corrupt {
            path: dir.join(TOMBSTONES).display().to_string(),
            at: 0,
            what: what.to_owned(),
        };
        let body = match next_frame(&data, 0) {
            Ok(frame) => frame.map_or(&[][..], |f| f.0),
            Err(e) => return Err(corrupt(&e.to_string())),
        };
        Self::parse(Reader(body)).ok_or_else(|| corrupt("malformed"))
    }

    fn parse(mut r: Reader<'_>) -> Option<Self> {
        let mut out = Tombstones::default();
        while !r.is_empty() {
            let series = r.u32()?;
            for _ in 0..r.count()? {
                out.add(series, TimeRange::new(r.i64()?, r.i64()?));
            }
        }
        Some(out)
    }
}

/// Removes the samples that lie in any of `ranges`.
pub(crate) fn strike(columns: &mut SampleColumns, ranges: &[TimeRange]) {
    let dead = |t: i64| ranges.iter().any(|r| r.contains(t));
    let mut kept = 0;
    for i in 0..columns.t.len() {
        if !dead(columns.t[i]) {
            columns.t[kept] = columns.t[i];
            columns.v[kept] = columns.v[i];
            kept += 1;
        }
    }
    columns.t.truncate(kept);
    columns.v.truncate(kept);
    columns.h.retain(|s| !dead(s.t));
}

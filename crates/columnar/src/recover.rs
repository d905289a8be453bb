//! Reading the log back into the table.

use reba_disk::{
    Dir, DiskError, Env, SegmentEnd, read_segment, repair_segment, segment_name, segments, sync_segment,
};

use crate::{catalog::Opened, duplicates::Duplicates, memory::Table, state::Rows as _, wal};

/// What recovery found.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) table: Table,
    pub(crate) next_seq: u64,
    pub(crate) corruptions: u64,
}

/// Reads the batches that are in no part. Segments that only hold others are removed.
pub(crate) fn replay(
    wal: &Dir,
    opened: &Opened,
    duplicates: &Duplicates,
    env: &Env,
) -> Result<Recovered, DiskError> {
    let mut out = Recovered { table: Table::default(), next_seq: opened.flushed_seq + 1, corruptions: 0 };
    out.corruptions =
        read_log(wal, opened.first_segment, &mut |frame| apply(frame, opened, duplicates, &mut out))?;
    if !out.table.is_empty() {
        out.table.since = Some(env.clock.monotonic());
    }
    Ok(out)
}

/// Reads the frames of the log from a segment on; `each` says whether one makes sense. Older segments are removed. Returns how
/// many segments are corrupt.
pub(crate) fn read_log(
    wal: &Dir,
    first_segment: u64,
    each: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<u64, DiskError> {
    let mut corruptions = 0;
    let (old, numbers): (Vec<u64>, Vec<u64>) = segments(wal)?.into_iter().partition(|n| *n < first_segment);
    for number in old {
        wal.remove_file(&segment_name(number))?;
    }
    for number in &numbers {
        let end = read_segment(wal, *number, &mut *each)?;
        corruptions += u64::from(report(wal, *number, end, numbers.last() == Some(number))?);
    }
    if let Some(last) = numbers.last()
        && segments(wal)?.contains(last)
    {
        // What was read here counts as recovered from now on: a power loss later must not take it back.
        sync_segment(wal, *last)?;
    }
    Ok(corruptions)
}

/// Applies a frame; `false` if it contradicts itself.
fn apply(frame: &[u8], opened: &Opened, duplicates: &Duplicates, out: &mut Recovered) -> bool {
    match wal::seq_of(frame) {
        Some(seq) if seq <= opened.flushed_seq => return true,
        Some(_) => {}
        None => return false,
    }
    let Some(record) = wal::decode(frame) else { return false };
    let known = if opened.rebuilt {
        duplicates.find(opened.parts.of(&record.tenant), &record.batch, usize::MAX)
    } else {
        vec![false; record.batch.len()]
    };
    out.table.restore(&record.tenant, &record.batch, known);
    out.table.last_seq = out.table.last_seq.max(record.seq);
    out.next_seq = out.next_seq.max(record.seq + 1);
    true
}

/// Says once what is wrong with a segment and repairs it if it can be; whether it is corrupt.
fn report(wal: &Dir, number: u64, end: SegmentEnd, is_last: bool) -> Result<bool, DiskError> {
    let file = wal.join(&segment_name(number)).display().to_string();
    match end {
        SegmentEnd::Clean => Ok(false),
        SegmentEnd::Torn { at } if is_last => {
            tracing::warn!(
                file,
                at,
                "the log ends inside a batch that was never acknowledged; it is cut there"
            );
            repair_segment(wal, number, at)?;
            Ok(false)
        }
        SegmentEnd::Torn { at } | SegmentEnd::Corrupt { at } => {
            tracing::error!(file, at, "the log is corrupt here; the rest of this file is skipped");
            Ok(true)
        }
    }
}

//! Checkpoints: the whole head in one file, so that the log before it can go. And reading everything back.
//!
//! The file has the format of a log segment (`docs/format/wal.md`) and the number of the first segment that must be
//! read after it. Series are written while appends go on: a sample that is both in the checkpoint and in the log
//! behind it is recognised by its time when it is read again.

use reba_disk::{
    Dir, DiskError, Log, SegmentEnd, push_frame, read_segment, repair_segment, segment_header, segment_name,
    segments, sync_segment,
};

use crate::{
    head::{Head, MAX_SHARDS, Recovery},
    wal::{Record, RecordWriter, each_record},
};

/// Series in one frame of a checkpoint: appends wait no longer than it takes to copy these.
const SERIES_PER_FRAME: usize = 1024;

/// Writes a checkpoint and removes what it makes superfluous.
pub(crate) fn write(head: &Head, log: &Log, dir: &Dir) -> Result<(), DiskError> {
    head.flush_sealed()?;
    let number = log.rotate()?;
    let freed: Vec<Vec<u32>> = head.shards.iter().map(|s| s.write().take_freed()).collect();
    let written = write_file(head, dir, number);
    for (shard, slots) in head.shards.iter().zip(freed) {
        let mut shard = shard.write();
        if written.is_ok() { shard.reuse(slots) } else { shard.keep_freed(slots) }
    }
    if let Err(e) = written {
        // What is half written would only take space, which may be what was missing.
        dir.remove_unfinished()?;
        return Err(e);
    }
    for old in segments(dir)?.into_iter().filter(|n| *n < number) {
        dir.remove_file(&segment_name(old))?;
    }
    log.remove_before(number)?;
    head.remove_unused_files()
}

fn write_file(head: &Head, dir: &Dir, number: u64) -> Result<(), DiskError> {
    let name = segment_name(number);
    let tmp = format!("{name}.tmp");
    let mut w = dir.writer(&tmp)?;
    w.write(&segment_header(number))?;
    let mut records = RecordWriter::default();
    let mut frame = Vec::new();
    let mut put = |records: &mut RecordWriter| {
        frame.clear();
        push_frame(&mut frame, records.frame());
        records.clear();
        w.write(&frame)
    };
    records.shards(head.shards.len());
    put(&mut records)?;
    for (index, lock) in head.shards.iter().enumerate() {
        let slots: Vec<u32> = lock.read().iter().map(|(s, _)| s).collect();
        for some in slots.chunks(SERIES_PER_FRAME) {
            let shard = lock.read();
            records.series(index, &shard, some);
            for slot in some {
                if let Some(series) = shard.get(*slot) {
                    records.chunks(index, *slot, series);
                    records.out_of_order(index, *slot, series);
                }
            }
            drop(shard);
            put(&mut records)?;
        }
    }
    for frame in head.exemplar_records() {
        records.extend(&frame);
        put(&mut records)?;
    }
    w.finish()?;
    dir.publish(&tmp, &name)
}

/// What opening found in the log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Replayed {
    pub(crate) corruptions: u64,
    pub(crate) samples: u64,
}

/// The files to read: the newest checkpoint, if there is one, and the segments behind it.
pub(crate) fn files(wal: &Dir, checkpoints: &Dir) -> Result<Vec<(Dir, u64)>, DiskError> {
    checkpoints.remove_unfinished()?;
    checkpoints.sync()?;
    let mut files: Vec<(Dir, u64)> = Vec::new();
    let newest = segments(checkpoints)?.last().copied();
    files.extend(newest.map(|n| (checkpoints.clone(), n)));
    let from = newest.unwrap_or(0);
    files.extend(segments(wal)?.into_iter().filter(|n| *n >= from).map(|n| (wal.clone(), n)));
    Ok(files)
}

/// The number of the newest checkpoint: segments before it are not read again, so none may be written.
pub(crate) fn first_segment(checkpoints: &Dir) -> Result<u64, DiskError> {
    Ok(segments(checkpoints)?.last().copied().unwrap_or(1))
}

/// Fills the head from those files. `progress` is called with the files done and their number.
pub(crate) fn replay(
    head: &Head,
    files: &[(Dir, u64)],
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Replayed, DiskError> {
    let mut out = Replayed::default();
    let ends = replay_shards(head, files, progress)?;
    for (i, ((dir, number), end)) in files.iter().zip(ends.ends).enumerate() {
        let last = i + 1 == files.len();
        out.corruptions += u64::from(report(dir, *number, end, last)?);
    }
    if let Some((dir, number)) = files.last()
        && segments(dir)?.contains(number)
    {
        // What was read here counts as recovered from now on: a power loss later must not take it back.
        sync_segment(dir, *number)?;
    }
    out.samples = ends.samples;
    Ok(out)
}

/// The number of shards that the log was written with: the first record of the first file.
pub(crate) fn shards_of(files: &[(Dir, u64)]) -> Result<Option<usize>, DiskError> {
    let Some((dir, number)) = files.first() else { return Ok(None) };
    let mut found = None;
    read_segment(dir, *number, |frame| {
        each_record(frame, &mut |_, record| {
            if let Record::Shards(n) = record {
                found = Some(n);
            }
            None
        });
        false
    })?;
    Ok(found.filter(|n| (1..=MAX_SHARDS).contains(n)))
}

struct Ends {
    ends: Vec<SegmentEnd>,
    samples: u64,
}

/// Every shard reads all files on a thread of its own and takes what is its own.
fn replay_shards(
    head: &Head,
    files: &[(Dir, u64)],
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Ends, DiskError> {
    let one = |index: usize| -> Result<Ends, DiskError> {
        let mut recovery = Recovery::new(head, index);
        let mut ends = Vec::new();
        for (done, (dir, number)) in files.iter().enumerate() {
            ends.push(read_segment(dir, *number, |frame| recovery.apply(frame))?);
            if index == 0 {
                progress(done as u64 + 1, files.len() as u64);
            }
        }
        let counts = recovery.finish();
        if counts.orphans > 0 || counts.bad_chunks > 0 {
            tracing::error!(
                shard = index,
                samples_of_lost_series = counts.orphans,
                unreadable_chunks = counts.bad_chunks,
                "the log has gaps"
            );
        }
        Ok(Ends { ends, samples: counts.samples })
    };
    let results: Vec<Result<Ends, DiskError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..head.shards.len()).map(|i| scope.spawn(move || one(i))).collect();
        threads.into_iter().map(join).collect()
    });
    let mut all = Ends { ends: vec![SegmentEnd::Clean; files.len()], samples: 0 };
    for result in results {
        let shard = result?;
        all.samples += shard.samples;
        for (worst, end) in all.ends.iter_mut().zip(shard.ends) {
            if *worst == SegmentEnd::Clean {
                *worst = end;
            }
        }
    }
    Ok(all)
}

fn join(thread: std::thread::ScopedJoinHandle<'_, Result<Ends, DiskError>>) -> Result<Ends, DiskError> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Says once what is wrong with a file and repairs it if it can be; whether it is corrupt.
fn report(dir: &Dir, number: u64, end: SegmentEnd, last: bool) -> Result<bool, DiskError> {
    let file = dir.join(&segment_name(number)).display().to_string();
    match end {
        SegmentEnd::Clean => Ok(false),
        SegmentEnd::Torn { at } if last => {
            tracing::warn!(
                file,
                at,
                "the log ends inside a frame that was never acknowledged; it is cut there"
            );
            repair_segment(dir, number, at)?;
            Ok(false)
        }
        SegmentEnd::Torn { at } | SegmentEnd::Corrupt { at } => {
            tracing::error!(file, at, "the log is corrupt here; the rest of this file is skipped");
            Ok(true)
        }
    }
}

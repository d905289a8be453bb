//! Samples are deleted, and then the process dies or goes on.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::*;
use reba_disk::{Fault, FaultFs, FaultKind, FaultOp, LogConfig};
use reba_model::{Matcher, TimeRange};
use reba_tsdb::{Tsdb, TsdbConfig, TsdbError};

const N: usize = 2;

/// What the tests below delete.
const DELETED: TimeRange = TimeRange { start: T0 + 20 * MINUTE, end: T0 + 50 * MINUTE };

/// Takes late samples, and syncs before every answer.
fn taking_late() -> TsdbConfig {
    TsdbConfig {
        out_of_order_window_ms: 12 * HOUR,
        wal: LogConfig { fsync_interval: Duration::ZERO, ..LogConfig::default() },
        ..TsdbConfig::unbounded()
    }
}

/// Half a day of samples, some of which come late; their times in order.
fn fill(db: &Tsdb) -> Vec<i64> {
    let in_order: Vec<i64> = (0..12 * 12).map(|i| T0 + i * 5 * MINUTE).collect();
    let late: Vec<i64> = (0..12).map(|i| T0 + i * HOUR / 2 + MINUTE).collect();
    for t in in_order.iter().chain(&late) {
        write(db, N, *t).unwrap();
    }
    let mut all = [in_order, late].concat();
    all.sort_unstable();
    all
}

fn delete(db: &Tsdb) -> Result<u64, TsdbError> {
    db.delete_series(&[vec![Matcher::equal("job", "test")]], DELETED)
}

/// Opens what is on the disk now, and after power losses: nothing that was deleted is there, and all the rest.
fn assert_deleted(fs: &FaultFs, times: &[i64], case: &str) {
    let kept: Vec<i64> = times.iter().copied().filter(|t| !DELETED.contains(*t)).collect();
    let want = expected(N, kept);
    for seed in 0..2 {
        let fs = fs.power_loss(seed);
        assert!(dump(&open(&fs, taking_late())) == want, "{case}, power loss {seed}");
    }
    assert!(dump(&open(fs, taking_late())) == want, "{case}");
}

fn faults() -> impl Iterator<Item = Fault> {
    // So many of each are there in a maintenance.
    let ops = [(FaultOp::SyncDir, 40), (FaultOp::Rename, 20), (FaultOp::Read, 30), (FaultOp::Create, 20)];
    ops.into_iter().flat_map(|(op, many)| {
        (0..many).flat_map(move |after| {
            [false, true].map(|forever| Fault { op, after, kind: FaultKind::Eio, forever })
        })
    })
}

#[test]
fn deleted_samples_stay_deleted_whatever_failed_while_their_blocks_were_written_and_merged() {
    let mut deletions = 0;
    for fault in faults() {
        let fs = FaultFs::new();
        let db = open(&fs, taking_late());
        let times = fill(&db);
        fs.inject(fault);
        drop(db.maintain(i64::MAX));
        fs.heal();
        // The log may be poisoned: then nothing is deleted.
        if delete(&db).is_err() {
            continue;
        }
        deletions += 1;
        drop(db.clean_tombstones());
        drop(db);
        assert_deleted(&fs, &times, &format!("{fault:?}"));
    }
    assert!(deletions > 150, "{deletions}");
}

#[test]
fn a_deletion_on_a_failing_disk_fails_or_lasts() {
    let mut deletions = 0;
    for fault in faults() {
        let fs = FaultFs::new();
        let db = open(&fs, taking_late());
        let times = fill(&db);
        fs.inject(fault);
        drop(db.maintain(i64::MAX));
        let done = delete(&db).is_ok();
        drop(db);
        fs.heal();
        if done {
            deletions += 1;
            assert_deleted(&fs, &times, &format!("{fault:?}"));
        } else {
            let found = dump(&open(&fs, taking_late()));
            let kept: Vec<i64> = times.into_iter().filter(|t| !DELETED.contains(*t)).collect();
            let rest = |samples: &Samples| samples.iter().filter(|s| !DELETED.contains(s.0)).count();
            assert!(found.values().all(|s| rest(s) == kept.len()), "{fault:?}: the rest is there");
        }
    }
    assert!(deletions > 50, "{deletions}");
}

#[test]
fn a_block_that_could_not_be_read_at_the_start_does_not_bring_back_what_is_deleted_meanwhile() {
    let fs = FaultFs::new();
    let db = open(&fs, taking_late());
    let times = fill(&db);
    db.maintain(i64::MAX).unwrap();
    drop(db);
    let all = open(&fs, taking_late()).metrics().disk.blocks;
    let mut left_out = 0;
    for after in 0..40 {
        let fs = fs.power_loss(after);
        fs.inject(Fault { op: FaultOp::Read, after, kind: FaultKind::Eio, forever: false });
        let Ok(db) = Tsdb::open(&env(&fs), "/data", taking_late(), &|_, _| {}) else { continue };
        let found = db.metrics().disk;
        left_out += u64::from(found.blocks < all);
        assert_eq!(found.quarantined, all - found.blocks, "after {after}");
        // While it still cannot be read, nothing is deleted; then it is taken up again.
        if found.blocks < all {
            fs.inject(Fault { op: FaultOp::Read, after: 0, kind: FaultKind::Eio, forever: true });
            delete(&db).unwrap_err();
        }
        fs.heal();
        delete(&db).unwrap();
        assert_eq!(db.metrics().disk.blocks, all, "after {after}");
        drop(db);
        assert_deleted(&fs, &times, &format!("after {after}"));
    }
    assert!(left_out > 3, "{left_out}");
}

#[test]
fn late_samples_that_the_log_still_has_stay_deleted_from_their_block() {
    let mut deletions = 0;
    for after in 0..40 {
        let fs = FaultFs::new();
        let db = open(&fs, taking_late());
        let times = fill(&db);
        fs.inject(Fault { op: FaultOp::Rename, after, kind: FaultKind::Eio, forever: false });
        let failed = db.maintain(i64::MAX).is_err();
        fs.heal();
        let disk = db.metrics().disk;
        // Blocks are written, and there is no checkpoint: the log tells of their samples at the next start.
        if failed && disk.blocks > 0 && disk.checkpoints == 0 {
            delete(&db).unwrap();
            deletions += 1;
            drop(db);
            assert_deleted(&fs, &times, &format!("after {after}"));
        }
    }
    assert!(deletions > 0);
}

#[test]
fn the_files_of_chunks_that_a_checkpoint_names_outlast_a_start_that_has_no_use_for_them() {
    let fs = FaultFs::new();
    let config = TsdbConfig { sealed_memory_bytes: 1, ..TsdbConfig::unbounded() };
    let db = open(&fs, config.clone());
    let times: Vec<i64> = (0..500).map(|i| T0 + i * 10_000).collect();
    for t in &times {
        write(&db, 1, *t).unwrap();
    }
    // The deletion stands in the log behind a checkpoint which names chunks that it replaces.
    delete(&db).unwrap();
    drop(db);
    assert!(!files(&fs, ".chunks").is_empty());
    let kept: Vec<i64> = times.into_iter().filter(|t| !DELETED.contains(*t)).collect();
    for start in 0..3 {
        assert_eq!(dump(&open(&fs, config.clone())), expected(1, kept.clone()), "start {start}");
    }
}

#[test]
fn maintenance_ends_after_the_newest_samples_were_deleted_back_into_the_block_before() {
    for restart in [false, true] {
        let fs = FaultFs::new();
        let mut db = open(&fs, TsdbConfig::unbounded());
        let kept: Vec<i64> = (0..10).map(|i| T0 + i * MINUTE).collect();
        for t in &kept {
            write(&db, 3, *t).unwrap();
        }
        write(&db, 3, T0 + 2 * HOUR + MINUTE).unwrap();
        db.delete_series(&[vec![Matcher::equal("job", "test")]], TimeRange::new(T0 + HOUR, i64::MAX))
            .unwrap();
        if restart {
            drop(db);
            db = open(&fs, TsdbConfig::unbounded());
        }
        // What comes next is in the later block, and what was kept in the earlier one.
        let later: Vec<i64> = (2..60).map(|i| T0 + 2 * HOUR + i * 5 * MINUTE).collect();
        for t in &later {
            write(&db, 3, *t).unwrap();
        }
        // Whoever writes blocks without end runs into this.
        fs.set_capacity(fs.used() + (1 << 20));
        db.maintain(i64::MAX).unwrap();
        assert!(db.metrics().disk.blocks <= 3, "{} blocks", db.metrics().disk.blocks);
        let want = expected(3, kept.into_iter().chain(later).collect::<Vec<_>>());
        assert_eq!(dump(&db), want);
        drop(db);
        assert_eq!(dump(&open(&fs, TsdbConfig::unbounded())), want);
    }
}

#[test]
fn what_a_deletion_did_before_and_after_it_met_a_damaged_chunk_stays_deleted() {
    const SERIES: usize = 4;
    let fs = FaultFs::new();
    let config = TsdbConfig { sealed_memory_bytes: 1, ..taking_late() };
    let db = open(&fs, config.clone());
    let times: Vec<i64> = (0..500).map(|i| T0 + i * 10_000).collect();
    for t in &times {
        write(&db, SERIES, *t).unwrap();
    }
    db.maintain(i64::MAX).unwrap();
    // Writes a checkpoint that names the chunks, and deletes nothing.
    db.delete_series(&[vec![Matcher::equal("job", "another")]], DELETED).unwrap();
    drop(db);
    let kept = times.iter().filter(|t| !DELETED.contains(**t)).count();
    let mut broken_off = 0;
    for (file, part) in files(&fs, ".chunks").iter().flat_map(|f| (0..12).map(move |part| (f, part))) {
        let fs = fs.power_loss(0);
        fs.corrupt(file.as_ref(), (len(&fs, file) * part / 12) as usize, 1).unwrap();
        let db = open(&fs, config.clone());
        if delete(&db).is_ok() {
            continue;
        }
        broken_off += 1;
        // As it goes on, and as it is after a crash now.
        let crashed = open(&fs.power_loss(1), config.clone());
        for db in [db, crashed] {
            delete(&db).unwrap_err();
            // Drops what cannot be read, which is seen by now.
            db.maintain(i64::MAX).unwrap();
            let found = dump(&db);
            assert_eq!(found.len(), SERIES);
            let done = found.values().filter(|s| s.len() == kept && !s.iter().any(|s| DELETED.contains(s.0)));
            assert_eq!(done.count(), SERIES - 1, "{file}, {part}/12: all but the damaged one");
        }
    }
    assert!(broken_off > 4, "{broken_off}");
}

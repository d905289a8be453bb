//! fsync fails: nothing can be promised any more.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::*;
use reba_disk::{Fault, FaultFs, FaultKind, FaultOp, LogConfig};
use reba_storage::AppendError;
use reba_tsdb::TsdbConfig;

fn durable() -> TsdbConfig {
    TsdbConfig {
        wal: LogConfig { fsync_interval: Duration::ZERO, ..LogConfig::default() },
        ..TsdbConfig::unbounded()
    }
}

#[test]
fn after_a_failed_fsync_the_store_takes_nothing_until_it_is_opened_again() {
    let fs = FaultFs::new();
    let db = open(&fs, durable());
    write(&db, 3, T0).unwrap();
    fs.inject(Fault { op: FaultOp::Sync, after: 0, kind: FaultKind::Eio, forever: false });
    assert!(matches!(write(&db, 3, T0 + 1000), Err(AppendError::Poisoned(_))));
    for i in 2..5 {
        // fsync would succeed now, and say nothing about what it failed to write before.
        assert!(matches!(write(&db, 3, T0 + i * 1000), Err(AppendError::Poisoned(_))));
    }
    assert!(dump(&db).values().all(|s| s.contains(&(T0, s[0].1))), "queries go on");
    drop(db);
    let db = open(&fs, durable());
    assert!(dump(&db).values().all(|s| s[0].0 == T0));
    write(&db, 3, T0 + 10_000).unwrap();
}

#[test]
fn with_an_fsync_before_every_answer_a_power_loss_costs_nothing_acknowledged() {
    for seed in 0..60 {
        let fs = FaultFs::new();
        let config = TsdbConfig { checkpoint_bytes: 2000, sealed_memory_bytes: 200, ..durable() };
        let db = open(&fs, config.clone());
        let times: Vec<i64> = (0..40 + seed as i64 * 10).map(|i| T0 + i * 2 * MINUTE).collect();
        for (i, t) in times.iter().enumerate() {
            write(&db, 3, *t).unwrap();
            if (i as u64 + seed).is_multiple_of(7) {
                db.maintain(*t).unwrap();
            }
        }
        let after = open(&fs.power_loss(seed), config);
        assert_eq!(dump(&after), expected(3, times), "seed {seed}");
        assert_eq!(after.metrics().disk.wal_corruptions, 0, "seed {seed}");
        assert_eq!(after.metrics().disk.quarantined, 0, "seed {seed}");
    }
}

#[test]
fn power_lost_in_the_middle_of_maintenance_costs_nothing_acknowledged() {
    for op in [FaultOp::Write, FaultOp::Sync, FaultOp::Create, FaultOp::Rename, FaultOp::SyncDir] {
        for after in 0..20 {
            let fs = FaultFs::new();
            let config = TsdbConfig { sealed_memory_bytes: 200, ..durable() };
            let db = open(&fs, config.clone());
            let times: Vec<i64> = (0..7 * 6).map(|i| T0 + i * 10 * MINUTE).collect();
            for t in &times {
                write(&db, 3, *t).unwrap();
            }
            fs.inject(Fault { op, after, kind: FaultKind::Torn, forever: true });
            let done = db.maintain(i64::MAX).is_ok();
            let survivor = fs.power_loss(after);
            assert_eq!(dump(&open(&survivor, config)), expected(3, times), "{op:?} {after}");
            if done {
                break;
            }
        }
    }
}

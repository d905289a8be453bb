//! The head and its log, from the outside.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use reba_disk::FaultFs;
use reba_tsdb::TsdbConfig;

#[test]
fn what_was_written_is_read_back_and_survives_without_a_clean_end() {
    let fs = FaultFs::new();
    let times: Vec<i64> = (0..500).map(|i| T0 + i * 15_000).collect();
    let db = open(&fs, TsdbConfig::unbounded());
    for t in &times {
        assert_eq!(write(&db, 20, *t).unwrap().appended, 20);
    }
    let want = expected(20, times);
    assert_eq!(dump(&db), want);
    drop(db);
    assert_eq!(dump(&open(&fs, TsdbConfig::unbounded())), want);
}

#[test]
fn a_checkpoint_takes_the_place_of_the_log_before_it() {
    let fs = FaultFs::new();
    let config =
        TsdbConfig { checkpoint_bytes: 10_000, sealed_memory_bytes: 1000, ..TsdbConfig::unbounded() };
    let db = open(&fs, config.clone());
    let times: Vec<i64> = (0..400).map(|i| T0 + i * 15_000).collect();
    for t in &times {
        write(&db, 30, *t).unwrap();
        db.maintain(*t).unwrap();
    }
    assert!(db.metrics().disk.checkpoints > 3);
    let want = expected(30, times.clone());
    assert_eq!(dump(&db), want);
    drop(db);
    let db = open(&fs, config.clone());
    assert_eq!(dump(&db), want);
    write(&db, 30, T0 + 400 * 15_000).unwrap();
    db.close().unwrap();
    drop(db);
    let all = times.into_iter().chain([T0 + 400 * 15_000]).collect::<Vec<_>>();
    // Another number of shards is no obstacle.
    let db = open(&fs, TsdbConfig { shards: 5, ..config });
    assert_eq!(dump(&db), expected(30, all));
}

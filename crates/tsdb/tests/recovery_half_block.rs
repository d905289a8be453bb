//! The process died while a block was written, or between publishing it and removing what it replaces.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::*;
use reba_disk::{Fault, FaultFs, FaultKind, FaultOp, Fs};
use reba_tsdb::{Tsdb, TsdbConfig};

fn fill(db: &Tsdb, hours: i64) -> Vec<i64> {
    let times: Vec<i64> = (0..hours * 12).map(|i| T0 + i * 5 * MINUTE).collect();
    for t in &times {
        write(db, 4, *t).unwrap();
    }
    times
}

#[test]
fn an_unfinished_block_is_removed_and_its_data_is_still_in_the_log() {
    // Every operation of writing blocks fails once; then the process is killed.
    for op in [FaultOp::Write, FaultOp::Sync, FaultOp::Create, FaultOp::Rename, FaultOp::SyncDir] {
        for after in 0..25 {
            let fs = FaultFs::new();
            let db = open(&fs, TsdbConfig::unbounded());
            let times = fill(&db, 7);
            fs.inject(Fault { op, after, kind: FaultKind::Torn, forever: true });
            let failed = db.maintain(i64::MAX).is_err();
            let before = dump(&db);
            assert_eq!(before, expected(4, times.clone()), "{op:?} {after}");
            drop(db);
            fs.heal();
            let db = open(&fs, TsdbConfig::unbounded());
            assert_eq!(dump(&db), expected(4, times.clone()), "{op:?} {after}");
            assert!(files(&fs, ".tmp").is_empty(), "{op:?} {after}");
            db.maintain(i64::MAX).unwrap();
            assert_eq!(dump(&db), expected(4, times), "{op:?} {after}");
            if !failed {
                break;
            }
        }
    }
}

#[test]
fn a_block_whose_data_was_merged_into_another_is_removed() {
    let fs = FaultFs::new();
    let db = open(&fs, TsdbConfig::unbounded());
    let times = fill(&db, 12);
    // Blocks are made and merged, but the merged ones cannot be removed: here, they come back.
    db.maintain(i64::MAX).unwrap();
    let merged = files(&fs, "meta.json");
    let text = String::from_utf8(fs.read(Path::new(&merged[1])).unwrap()).unwrap();
    assert!(text.contains("\"level\": 2"), "{text}");
    let (from, to) = ("/data/blocks/0000000006", "/data/blocks/0000000002");
    assert!(fs.list(Path::new(to)).is_err(), "it is gone");
    fs.create_dir_all(Path::new(to)).unwrap();
    for entry in fs.list(Path::new(from)).unwrap() {
        let data = String::from_utf8(fs.read(Path::new(&format!("{from}/{}", entry.name))).unwrap());
        let mut file = fs.create(Path::new(&format!("{to}/{}", entry.name))).unwrap();
        match data {
            Ok(text) => file.append(text.replace("\"number\": 6", "\"number\": 2").as_bytes()).unwrap(),
            Err(e) => file.append(e.as_bytes()).unwrap(),
        }
    }
    drop(db);
    let db = open(&fs, TsdbConfig::unbounded());
    assert!(fs.list(Path::new(to)).is_err(), "it is gone again");
    assert_eq!(dump(&db), expected(4, times));
}

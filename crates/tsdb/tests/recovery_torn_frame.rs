//! The process died inside a write: the last frame of the log is torn.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use reba_disk::FaultFs;
use reba_tsdb::TsdbConfig;

#[test]
fn wherever_the_last_frame_is_torn_all_before_it_is_there() {
    let times = [T0, T0 + 15_000, T0 + 30_000];
    let build = || {
        let fs = FaultFs::new();
        let db = open(&fs, TsdbConfig::unbounded());
        let mut ends = Vec::new();
        for t in times {
            write(&db, 5, t).unwrap();
            ends.push(len(&fs, &files(&fs, "/wal/")[0]));
        }
        (fs, ends)
    };
    let (_, ends) = build();
    for at in ends[1]..ends[2] {
        let (fs, _) = build();
        let segment = files(&fs, "/wal/")[0].clone();
        cut(&fs, &segment, at);
        let db = open(&fs, TsdbConfig::unbounded());
        assert_eq!(dump(&db), expected(5, times[..2].to_vec()), "cut at {at}");
        assert_eq!(db.metrics().disk.wal_corruptions, 0, "a torn tail is no corruption");
        // What is written next is not hidden behind the torn frame.
        write(&db, 5, T0 + 45_000).unwrap();
        drop(db);
        let db = open(&fs, TsdbConfig::unbounded());
        assert_eq!(dump(&db), expected(5, vec![T0, T0 + 15_000, T0 + 45_000]));
        assert_eq!(db.metrics().disk.wal_corruptions, 0, "it was cut off for good");
    }
}

#[test]
fn a_segment_without_even_a_header_is_no_obstacle() {
    for len in 0..16 {
        let fs = FaultFs::new();
        write(&open(&fs, TsdbConfig::unbounded()), 3, T0).unwrap();
        drop(open(&fs, TsdbConfig::unbounded()));
        cut(&fs, files(&fs, "/wal/").last().unwrap(), len);
        assert_eq!(dump(&open(&fs, TsdbConfig::unbounded())), expected(3, [T0]));
    }
}

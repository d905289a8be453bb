//! Files of a block are missing.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::*;
use reba_disk::{FaultFs, Fs};
use reba_model::TimeRange;
use reba_tsdb::TsdbConfig;

#[test]
fn a_block_without_one_of_its_files_is_set_aside_and_the_rest_works() {
    for file in ["index", "chunks", "meta.json"] {
        let fs = FaultFs::new();
        let db = open(&fs, TsdbConfig::unbounded());
        let times: Vec<i64> = (0..7 * 12).map(|i| T0 + i * 5 * MINUTE).collect();
        for t in &times {
            write(&db, 4, *t).unwrap();
            db.maintain(*t).unwrap();
        }
        drop(db);
        let doomed = files(&fs, file)[0].clone();
        fs.remove_file(Path::new(&doomed)).unwrap();
        let db = open(&fs, TsdbConfig::unbounded());
        let m = db.metrics().disk;
        assert_eq!((m.quarantined, m.blocks), (1, 1), "{file}");
        assert_eq!(files(&fs, ".quarantined").len(), 2, "what is left of it is kept for inspection");
        let rest = TimeRange::new(T0 + 2 * HOUR, i64::MAX);
        let kept: Vec<i64> = times.into_iter().filter(|t| rest.contains(*t)).collect();
        assert_eq!(dump(&db), expected(4, kept), "{file}");
        drop(db);
        assert_eq!(open(&fs, TsdbConfig::unbounded()).metrics().disk.quarantined, 0, "said once");
    }
}

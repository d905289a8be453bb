//! Samples are deleted, and then the process dies or goes on.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use reba_disk::FaultFs;
use reba_model::{Matcher, TimeRange};
use reba_tsdb::TsdbConfig;

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

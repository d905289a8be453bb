//! The disk fills up, and has space again later.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use reba_disk::FaultFs;
use reba_storage::AppendError;
use reba_tsdb::TsdbConfig;

#[test]
fn a_full_disk_refuses_writes_keeps_answering_and_recovers_by_itself() {
    for room in [0, 1, 50, 100, 150, 1000] {
        let fs = FaultFs::new();
        let db = open(&fs, TsdbConfig::unbounded());
        let mut acknowledged = Vec::new();
        for i in 0..100 {
            write(&db, 5, T0 + i * 1000).unwrap();
            acknowledged.push(T0 + i * 1000);
        }
        fs.set_capacity(fs.used() + room);
        let mut t = T0 + 100_000;
        let refused = loop {
            match write(&db, 5, t) {
                Ok(_) => acknowledged.push(t),
                Err(e) => break e,
            }
            t += 1000;
        };
        assert!(matches!(refused, AppendError::Full(_)) && refused.is_retryable(), "{refused:?}");
        for _ in 0..3 {
            assert!(matches!(write(&db, 5, t + 500), Err(AppendError::Full(_))));
            assert!(db.maintain(t).is_ok() || fs.used() > 0, "maintenance may fail, but must not panic");
        }
        assert!(dump(&db).values().all(|s| s.len() >= acknowledged.len()), "queries go on");
        fs.set_capacity(u64::MAX);
        // The sender tries the refused batch again.
        write(&db, 5, t).unwrap();
        acknowledged.push(t);
        write(&db, 5, t + 1000).unwrap();
        acknowledged.push(t + 1000);
        db.maintain(t).unwrap();
        let check = |found: std::collections::BTreeMap<String, Samples>| {
            let want = expected(5, acknowledged.clone());
            assert_eq!(found.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>());
            for (labels, samples) in want {
                assert!(samples.iter().all(|s| found[&labels].contains(s)), "room {room}");
            }
        };
        check(dump(&db));
        drop(db);
        check(dump(&open(&fs, TsdbConfig::unbounded())));
    }
}

#[test]
fn a_store_opens_on_a_full_disk_only_to_say_so_and_loses_nothing() {
    let fs = FaultFs::new();
    write(&open(&fs, TsdbConfig::unbounded()), 5, T0).unwrap();
    fs.set_capacity(fs.used());
    let opened = reba_tsdb::Tsdb::open(&env(&fs), "/data", TsdbConfig::unbounded(), &|_, _| {});
    if let Ok(db) = opened {
        assert!(matches!(write(&db, 5, T0 + 1000), Err(AppendError::Full(_))));
        assert_eq!(dump(&db), expected(5, [T0]));
    }
    fs.set_capacity(u64::MAX);
    assert_eq!(dump(&open(&fs, TsdbConfig::unbounded())), expected(5, [T0]));
}

//! Appends, queries and maintenance at the same time.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use common::*;
use reba_disk::FaultFs;
use reba_model::TimeRange;
use reba_tsdb::TsdbConfig;

const N: usize = 40;

#[test]
fn a_query_sees_every_acknowledged_batch_whole_while_data_moves_to_blocks() {
    let fs = FaultFs::new();
    let config = TsdbConfig { checkpoint_bytes: 5000, sealed_memory_bytes: 100, ..TsdbConfig::unbounded() };
    let db = open(&fs, config.clone());
    let (done, newest) = (AtomicBool::new(false), AtomicI64::new(i64::MIN));
    let times: Vec<i64> = (0..600).map(|i| T0 + i * 2 * MINUTE).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for t in &times {
                write(&db, N, *t).unwrap();
                newest.store(*t, Ordering::SeqCst);
            }
            done.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                db.maintain(i64::MAX).unwrap();
            }
        });
        while !done.load(Ordering::SeqCst) {
            let acknowledged = newest.load(Ordering::SeqCst);
            let range = TimeRange::new(T0.max(acknowledged.saturating_sub(8 * HOUR)), i64::MAX);
            let found = dump_range(&db, range);
            let last: Vec<i64> = found.values().map(|s| s.last().unwrap().0).collect();
            if acknowledged == i64::MIN {
                continue;
            }
            assert_eq!(found.len(), N);
            assert!(last.iter().all(|t| *t == last[0] && *t >= acknowledged), "{acknowledged} {last:?}");
            for (labels, samples) in &found {
                let gap = samples.windows(2).find(|w| w[1].0 - w[0].0 != 2 * MINUTE);
                assert!(gap.is_none(), "{labels}: {gap:?}");
                assert_eq!(samples[0].0, range.start, "{labels}");
            }
        }
    });
    assert_eq!(dump(&db), expected(N, times.clone()));
    drop(db);
    assert_eq!(dump(&open(&fs, config)), expected(N, times));
}

//! Killed, torn, full, rotten, failed: nothing acknowledged is lost, nothing wrong is answered, and the rest goes on.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{path::Path, sync::Arc};

use common::*;
use reba_columnar::{Columnar, ColumnarConfig};
use reba_disk::{Fault, FaultFs, FaultKind, FaultOp, Fs as _, ManualClock};
use reba_model::{NanoRange, Tenant};
use reba_storage::{AppendError, Budget, LogAdmin, LogQuerier, LogRequest, LogWant};
use reba_testkit::{LogRows, log_rows};

const N: usize = 4;

fn times(n: i64) -> Vec<i64> {
    (0..n).map(|i| T0 + i * SECOND).collect()
}

/// A table so small that it is written every few batches.
fn busy() -> ColumnarConfig {
    ColumnarConfig { flush_bytes: 3000, ..durable() }
}

/// Parts, merged ones among them, and a log behind them.
fn build(fs: &FaultFs, config: ColumnarConfig) -> Vec<i64> {
    let db = open(fs, config);
    let times = times(60);
    for ns in &times {
        write(&db, N, *ns).unwrap();
        if (ns - T0) % (7 * SECOND) == 0 && *ns < T0 + 40 * SECOND {
            db.maintain(T0 / 1_000_000).unwrap();
        }
    }
    let m = db.metrics();
    assert!(m.parts > 1 && m.merges > 0 && m.memory_rows > 0, "{m:?}");
    times
}

/// Whether all rows are ones that were written, each once.
fn is_true(found: &LogRows, want: &LogRows) -> bool {
    found.iter().all(|(labels, rows)| {
        let is_unique = rows.windows(2).all(|w| w[0] != w[1]);
        is_unique && want.get(labels).is_some_and(|all| rows.iter().all(|r| all.binary_search(r).is_ok()))
    })
}

#[test]
fn a_kill_at_any_moment_costs_nothing_acknowledged() {
    let fs = FaultFs::new();
    let mut written = Vec::new();
    for (i, ns) in times(40).into_iter().enumerate() {
        let db = open(&fs, busy());
        write(&db, N, ns).unwrap();
        written.push(ns);
        if i % 5 == 4 {
            db.maintain(T0 / 1_000_000).unwrap();
        }
        assert_eq!(dump(&db), expected(N, written.clone()), "start {i}");
    }
}

#[test]
fn power_lost_at_any_step_of_a_flush_or_merge_costs_nothing_acknowledged() {
    for op in [FaultOp::Write, FaultOp::Sync, FaultOp::Create, FaultOp::Rename, FaultOp::SyncDir] {
        for after in 0..40 {
            let fs = FaultFs::new();
            let db = open(&fs, durable());
            let times = times(5);
            for ns in &times {
                write(&db, N, *ns).unwrap();
                if *ns != times[4] {
                    db.flush_logs().unwrap();
                }
            }
            fs.inject(Fault { op, after, kind: FaultKind::Torn, forever: true });
            let done = db.flush_logs().is_ok() && db.maintain(T0 / 1_000_000).is_ok();
            assert_eq!(dump(&db), expected(N, times.clone()), "queries go on: {op:?} {after}");
            for seed in 0..4 {
                let after_loss = open(&fs.power_loss(seed), durable());
                assert_eq!(dump(&after_loss), expected(N, times.clone()), "{op:?} {after} {seed}");
                assert_eq!(after_loss.metrics().quarantined_parts, 0, "{op:?} {after} {seed}");
            }
            if done {
                assert!(db.metrics().merges > 0, "{op:?} {after}");
                break;
            }
            assert!(after < 39, "{op:?} never succeeds");
        }
    }
}

#[test]
fn a_deletion_is_whole_or_not_at_all_and_stays() {
    for op in [FaultOp::Write, FaultOp::Sync, FaultOp::Create, FaultOp::Rename, FaultOp::SyncDir] {
        for after in 0..60 {
            let fs = FaultFs::new();
            let db = open(&fs, durable());
            let times: Vec<i64> = (0..3).map(|i| T0 - i * DAY).collect();
            for ns in &times {
                write(&db, N, *ns).unwrap();
            }
            fs.inject(Fault { op, after, kind: FaultKind::Torn, forever: true });
            let doomed = |row: reba_storage::LogRow<'_>| row.stream.value("pod") == "pod-1";
            let done = db.delete_logs(&Tenant::single(), &[], NanoRange::ALL, Some(&doomed));
            let (whole, mut without) = (expected(N, times.clone()), expected(N, times.clone()));
            without.remove(&stream(1));
            match &done {
                Ok(n) => assert_eq!((*n, dump(&db)), (3, without.clone())),
                Err(_) => assert_eq!(dump(&db), whole),
            }
            for seed in 0..4 {
                let found = dump(&open(&fs.power_loss(seed), durable()));
                let is_right = found == without || done.is_err() && found == whole;
                assert!(is_right, "{op:?} {after} {seed}: {found:?}");
            }
            if done.is_ok() {
                break;
            }
            assert!(after < 59, "{op:?} never succeeds");
        }
    }
}

#[test]
fn a_torn_batch_at_the_end_of_the_log_is_cut_off() {
    let fs = FaultFs::new();
    let db = open(&fs, config());
    for ns in times(3) {
        write(&db, N, ns).unwrap();
    }
    drop(db);
    let segment = files(&fs, "/wal/").pop().unwrap();
    let size = len(&fs, &segment);
    fs.open(segment.as_ref()).unwrap().set_len(size - 5).unwrap();
    let db = open(&fs, config());
    assert_eq!(dump(&db), expected(N, times(2)));
    assert_eq!(db.metrics().wal_corruptions, 0);
    write(&db, N, T0 + 10 * SECOND).unwrap();
    drop(db);
    let found = dump(&open(&fs, config()));
    assert_eq!(found, expected(N, [times(2), vec![T0 + 10 * SECOND]].concat()));
}

#[test]
fn damage_in_the_middle_of_the_log_costs_the_rest_of_that_segment_and_is_counted() {
    let fs = FaultFs::new();
    let mut config = config();
    config.wal.segment_bytes = 2000;
    let db = open(&fs, config.clone());
    let times = times(60);
    for ns in &times {
        write(&db, N, *ns).unwrap();
    }
    drop(db);
    let segments = files(&fs, "/wal/");
    assert!(segments.len() > 3);
    fs.corrupt(Path::new(&segments[1]), 700, 4).unwrap();
    let db = open(&fs, config);
    assert_eq!(db.metrics().wal_corruptions, 1);
    let (found, want) = (dump(&db), expected(N, times));
    assert!(is_true(&found, &want));
    assert!(found.values().all(|rows| (30..60).contains(&rows.len())), "later segments are read");
}

#[test]
fn after_a_failed_fsync_the_store_takes_nothing_until_it_is_opened_again() {
    let fs = FaultFs::new();
    let db = open(&fs, durable());
    write(&db, N, T0).unwrap();
    fs.inject(Fault { op: FaultOp::Sync, after: 0, kind: FaultKind::Eio, forever: false });
    for i in 1..5 {
        // fsync would succeed again, and say nothing about what it failed to write before.
        assert!(matches!(write(&db, N, T0 + i * SECOND), Err(AppendError::Poisoned(_))));
    }
    let found = dump(&db);
    assert!(expected(N, [T0]).iter().all(|(l, rows)| found[l].contains(&rows[0])), "queries go on");
    drop(db);
    let db = open(&fs, durable());
    assert!(dump(&db).values().all(|rows| rows[0].0 == T0));
    write(&db, N, T0 + 10 * SECOND).unwrap();
}

#[test]
fn a_full_disk_refuses_writes_keeps_answering_and_recovers_by_itself() {
    for room in [0, 1, 50, 100, 1000, 4000, 20_000] {
        let fs = FaultFs::new();
        let clock = Arc::new(ManualClock::new(T0 / 1_000_000));
        let config = ColumnarConfig { flush_bytes: 4000, memory_bytes: 12_000, ..config() };
        let db = Columnar::open(&env_at(&fs, &clock), "/data", config.clone()).unwrap();
        let mut acknowledged = times(10);
        for ns in &acknowledged {
            write(&db, N, *ns).unwrap();
        }
        fs.set_capacity(fs.used() + room);
        let mut ns = T0 + 100 * SECOND;
        let refused = loop {
            match write(&db, N, ns) {
                Ok(_) => acknowledged.push(ns),
                Err(e) => break e,
            }
            ns += SECOND;
        };
        assert!(matches!(refused, AppendError::Full(_)) && refused.is_retryable(), "{refused:?}");
        let before = fs.used();
        for _ in 0..20 {
            assert!(matches!(write(&db, N, ns + 500), Err(AppendError::Full(_))));
            drop(db.maintain(T0 / 1_000_000));
            clock.advance(1000);
        }
        assert!(fs.used() <= before + 4000, "failed attempts pile up: {before} {}", fs.used());
        let has_all = |found: &LogRows, times: &[i64]| {
            let want = expected(N, times.to_vec());
            want.iter().all(|(labels, rows)| rows.iter().all(|r| found[labels].contains(r)))
        };
        assert!(has_all(&dump(&db), &acknowledged), "queries go on");
        fs.set_capacity(u64::MAX);
        clock.advance(60_000);
        for _ in 0..3 {
            write(&db, N, ns).unwrap();
            acknowledged.push(ns);
            ns += SECOND;
            db.maintain(T0 / 1_000_000).unwrap();
        }
        assert!(has_all(&dump(&db), &acknowledged), "room {room}");
        drop(db);
        assert!(has_all(&dump(&open(&fs, config)), &acknowledged), "room {room}");
    }
}

#[test]
fn a_flipped_bit_in_any_file_never_gives_a_wrong_row_and_never_stops_the_store() {
    let fs = FaultFs::new();
    let want = expected(N, build(&fs, busy()));
    let all = files(&fs, "");
    for part in ["/wal/", ".part", "/manifest"] {
        assert!(all.iter().any(|f| f.contains(part)), "there is a file of every kind: {part} in {all:?}");
    }
    for path in all.iter().filter(|p| !p.ends_with("lock")) {
        let size = len(&fs, path);
        for k in 0..10 {
            let fs = FaultFs::new();
            build(&fs, busy());
            let offset = (size * k / 10 + k).min(size - 1) as usize;
            fs.corrupt(Path::new(path), offset, 1 << (k % 8)).unwrap();
            let db = open(&fs, busy());
            let found = dump(&db);
            assert!(is_true(&found, &want), "{path} at {offset}");
            assert!(!found.is_empty(), "the rest keeps working: {path} at {offset}");
            let streams = db.streams(&Tenant::single(), &[], NanoRange::ALL, &Budget::unlimited()).unwrap();
            assert_eq!(streams.len(), N, "{path} at {offset}");
            // What a query could not read is set aside, and then there is nothing more to say.
            for _ in 0..4 {
                db.maintain(T0 / 1_000_000).unwrap_or_else(|e| panic!("{path} at {offset}: {e}"));
            }
            let healed = dump(&db);
            assert!(is_true(&healed, &want), "{path} at {offset}");
            let budget = Arc::new(Budget::unlimited());
            let (tenant, everything) = (Tenant::single(), LogWant::everything());
            let request = LogRequest {
                tenant: &tenant,
                matchers: &[],
                range: NanoRange::ALL,
                want: &everything,
                budget: &budget,
            };
            for scan in db.scan_logs(&request).unwrap() {
                scan.run(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
            }
            assert_eq!(budget.take_warnings(), [""; 0], "{path} at {offset}");
            write(&db, N, T0 + 1000 * SECOND).unwrap();
            drop(db);
            let again = dump(&open(&fs, busy()));
            assert!(again.values().all(|rows| rows.last().unwrap().0 == T0 + 1000 * SECOND));
        }
    }
}

#[test]
fn one_lost_manifest_costs_nothing_and_without_any_everything_is_found_again() {
    for names in [vec!["manifest"], vec!["manifest.copy"], vec!["manifest", "manifest.copy"]] {
        let fs = FaultFs::new();
        let want = expected(N, build(&fs, busy()));
        for name in &names {
            fs.remove_file(Path::new(&format!("/data/{name}"))).unwrap();
        }
        assert_eq!(dump(&open(&fs, busy())), want, "{names:?}");
        let fs = FaultFs::new();
        build(&fs, busy());
        for name in &names {
            fs.corrupt(Path::new(&format!("/data/{name}")), 12, 8).unwrap();
        }
        assert_eq!(dump(&open(&fs, busy())), want, "{names:?}");
    }
}

#[test]
fn a_part_that_cannot_be_read_for_now_is_there_again_later() {
    let fs = FaultFs::new();
    let want = expected(N, build(&fs, busy()));
    // The manifests are read first.
    fs.inject(Fault { op: FaultOp::Read, after: 2, kind: FaultKind::Eio, forever: false });
    let db = open(&fs, busy());
    let found = dump(&db);
    assert!(found != want && is_true(&found, &want));
    write(&db, N, T0 - DAY).unwrap();
    db.flush_logs().unwrap();
    drop(db);
    let found = dump(&open(&fs, busy()));
    assert!(want.iter().all(|(labels, rows)| rows.iter().all(|r| found[labels].contains(r))));
}

#[test]
fn two_stores_cannot_have_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    let env = reba_disk::Env::real();
    let db = Columnar::open(&env, dir.path(), config()).unwrap();
    let second = Columnar::open(&env, dir.path(), config());
    assert!(matches!(second, Err(reba_columnar::ColumnarError::Locked { .. })));
    write(&db, N, T0).unwrap();
    db.flush_logs().unwrap();
    write(&db, N, T0 + 1).unwrap();
    drop(db);
    let db = Columnar::open(&env, dir.path(), config()).unwrap();
    assert_eq!(log_rows(&db, &Tenant::single(), &[], NanoRange::ALL).unwrap(), expected(N, [T0, T0 + 1]));
}

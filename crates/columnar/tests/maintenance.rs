//! Merges, retention, queries that run meanwhile, and crowds of streams.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use common::*;
use reba_columnar::{Columnar, ColumnarConfig, Periods, Retention, StreamPeriod};
use reba_disk::{FaultFs, ManualClock};
use reba_model::{Labels, LogBatch, MatchOp, Matcher, NanoRange, Tenant};
use reba_storage::{
    Budget, LogAdmin, LogAppender, LogQuerier, LogReport, LogRequest, LogScan, LogWant, QueryError,
};
use reba_testkit::log_rows;

const DAY_MS: i64 = DAY / 1_000_000;
const T0_MS: i64 = T0 / 1_000_000;

fn days(n: u64) -> Duration {
    Duration::from_secs(86_400 * n)
}

fn scans(db: &Columnar, range: NanoRange, budget: &Arc<Budget>) -> Vec<Box<dyn LogScan>> {
    let (tenant, want) = (Tenant::single(), LogWant::everything());
    let request = LogRequest { tenant: &tenant, matchers: &[], range, want: &want, budget };
    db.scan_logs(&request).unwrap()
}

fn maintain_until_done(db: &Columnar, now_ms: i64) {
    while db.maintain(now_ms).unwrap() {}
}

#[test]
fn small_parts_of_a_day_become_one_and_blocks_grow() {
    let fs = FaultFs::new();
    let db = open(&fs, config());
    let times: Vec<i64> = (0..60).map(|i| T0 + i * SECOND).collect();
    for ns in &times {
        write(&db, 3, *ns).unwrap();
        db.flush_logs().unwrap();
    }
    write(&db, 3, T0 - DAY).unwrap();
    db.flush_logs().unwrap();
    assert_eq!((db.metrics().parts, db.metrics().blocks), (61, 183));
    maintain_until_done(&db, T0_MS);
    let m = db.metrics();
    assert!(m.parts <= 5 && m.merges >= 4, "{m:?}");
    maintain_until_done(&db, T0_MS + 2 * DAY_MS);
    assert_eq!((db.metrics().parts, db.metrics().blocks), (2, 6));
    let all: Vec<i64> = times.into_iter().chain([T0 - DAY]).collect();
    assert_eq!(dump(&db), expected(3, all.clone()));
    assert_eq!(files(&fs, ".part").len(), 2, "files of merged parts are gone");
    drop(db);
    assert_eq!(dump(&open(&fs, config())), expected(3, all));
}

#[test]
fn a_merge_leaves_out_what_is_there_twice() {
    let db = open(&FaultFs::new(), ColumnarConfig { duplicate_reads: 0, ..config() });
    for _ in 0..4 {
        assert_eq!(write(&db, 3, T0).unwrap(), LogReport { appended: 3, duplicates: 0 });
        write(&db, 3, T0 + 1).unwrap();
        db.flush_logs().unwrap();
    }
    maintain_until_done(&db, T0_MS);
    assert_eq!(dump(&db), expected(3, [T0, T0 + 1]));
}

#[test]
fn a_query_sees_every_row_once_while_tables_are_written_and_parts_merged() {
    let db = open(&FaultFs::new(), ColumnarConfig { flush_bytes: 4000, ..config() });
    let (written, done) = (AtomicI64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..400 {
                write(&db, 3, T0 + i).unwrap();
                written.store(i + 1, Ordering::SeqCst);
            }
            done.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                db.maintain(T0_MS + 2 * DAY_MS).unwrap();
            }
        });
        while !done.load(Ordering::SeqCst) {
            let at_least = written.load(Ordering::SeqCst);
            let found = dump(&db);
            for rows in found.values() {
                let seen: BTreeSet<i64> = rows.iter().map(|r| r.0).collect();
                assert_eq!(seen.len(), rows.len(), "each once");
                assert!((T0..T0 + at_least).all(|ns| seen.contains(&ns)), "none is missing");
            }
        }
    });
    assert_eq!(dump(&db), expected(3, T0..T0 + 400));
    assert!(db.metrics().merges > 0 && db.metrics().flushes > 3);
}

#[test]
fn writers_that_bring_the_same_at_the_same_time_store_it_once() {
    let db = open(&FaultFs::new(), ColumnarConfig { flush_bytes: 3000, ..config() });
    let appended = AtomicI64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for i in 0..100 {
                    let report = write(&db, 3, T0 + i).unwrap();
                    appended.fetch_add(report.appended as i64, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(appended.load(Ordering::SeqCst), 300);
    assert_eq!(dump(&db), expected(3, T0..T0 + 100));
}

#[test]
fn streams_go_when_their_time_is_over() {
    let fs = FaultFs::new();
    let clock = Arc::new(ManualClock::new(T0_MS));
    let db = Columnar::open(&env_at(&fs, &clock), "/data", config()).unwrap();
    let other = Tenant::new("other").unwrap();
    let rule = |pod: &str, priority, keep| StreamPeriod {
        matchers: vec![Matcher::new(MatchOp::Regex, "pod", pod).unwrap()],
        priority,
        keep: days(keep),
    };
    db.set_retention(Retention {
        periods: Periods { keep: Some(days(10)), rules: vec![rule("pod-[01]", 1, 3), rule("pod-1", 2, 20)] },
        tenants: [(other.clone(), Periods { keep: Some(days(1)), rules: Vec::new() })].into(),
        max_bytes: None,
    });
    write(&db, 3, T0).unwrap();
    db.append_logs(&other, &batch(1, T0)).unwrap();
    db.flush_logs().unwrap();
    // A clock that runs on, so that nothing has leapt.
    let pods = |day: i64| {
        while clock_ms(&clock) < T0_MS + day * DAY_MS + 60_000 {
            clock.advance(60_000 * 30);
            db.maintain(clock_ms(&clock)).unwrap();
        }
        let of_other = log_rows(&db, &other, &[], NanoRange::ALL).unwrap().len();
        let pods: Vec<String> = dump(&db).keys().map(|l| l.value("pod").to_owned()).collect();
        (pods.join(" "), of_other)
    };
    assert_eq!(pods(0), ("pod-0 pod-1 pod-2".into(), 1));
    assert_eq!(pods(2), ("pod-0 pod-1 pod-2".into(), 0));
    assert_eq!(pods(4), ("pod-1 pod-2".into(), 0));
    assert_eq!(pods(11), ("pod-1".into(), 0));
    assert_eq!(pods(21), (String::new(), 0));
    assert_eq!((db.metrics().parts, files(&fs, ".part").len()), (0, 0));
}

fn clock_ms(clock: &ManualClock) -> i64 {
    reba_disk::Clock::now_ms(clock)
}

#[test]
fn a_clock_that_leaps_drops_nothing_at_once() {
    let clock = Arc::new(ManualClock::new(T0_MS));
    let keep =
        Retention { periods: Periods { keep: Some(days(10)), rules: Vec::new() }, ..Retention::default() };
    let config = ColumnarConfig { retention: keep, ..config() };
    let db = Columnar::open(&env_at(&FaultFs::new(), &clock), "/data", config).unwrap();
    write(&db, 3, T0).unwrap();
    db.flush_logs().unwrap();
    db.maintain(T0_MS).unwrap();
    db.maintain(T0_MS + 365 * DAY_MS).unwrap();
    assert_eq!(db.metrics().parts, 1);
    clock.advance(16 * 60_000);
    db.maintain(T0_MS + 365 * DAY_MS + 16 * 60_000).unwrap();
    assert_eq!(db.metrics().parts, 0, "it stays that way: it is true");
}

#[test]
fn the_oldest_parts_go_when_there_is_too_much() {
    let fs = FaultFs::new();
    let db = open(&fs, config());
    for day in 0..6 {
        for i in 0..50 {
            write(&db, 3, T0 - day * DAY + i).unwrap();
        }
        db.flush_logs().unwrap();
    }
    let one = db.metrics().part_bytes / 6;
    db.set_retention(Retention { max_bytes: Some(one * 3 + one / 2), ..Retention::default() });
    db.maintain(T0_MS).unwrap();
    let left: BTreeSet<i64> = dump(&db).values().flatten().map(|r| (T0 + 49 - r.0) / DAY).collect();
    assert_eq!(left, [0, 1, 2].into());
}

#[test]
fn a_crowd_of_streams_costs_little_more_than_its_bytes() {
    let fs = FaultFs::new();
    let db = open(&fs, ColumnarConfig { flush_bytes: 2 << 20, ..config() });
    let n = 12_000u64;
    let mut raw = 0;
    for chunk in 0..30 {
        let mut batch = LogBatch::default();
        for i in chunk * (n / 30)..(chunk + 1) * (n / 30) {
            let trace =
                format!("{:032x}", u128::from(i).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
            batch.begin_stream(Labels::from_pairs([("app", "api"), ("trace_id", &trace)]));
            let line =
                format!(r#"{{"level":"info","msg":"request served","ms":{},"trace_id":"{trace}"}}"#, i % 97);
            raw += line.len() + trace.len() + 16;
            batch.push(T0 + i as i64, &line, []).unwrap();
        }
        db.append_logs(&Tenant::single(), &batch).unwrap();
    }
    db.flush_logs().unwrap();
    maintain_until_done(&db, T0_MS + 2 * DAY_MS);
    let m = db.metrics();
    assert_eq!((m.part_rows, m.parts), (n, 1));
    assert!(m.part_bytes < 2 * raw as u64, "{} bytes of parts for {raw}", m.part_bytes);
    let wanted = Matcher::equal("trace_id", format!("{:032x}", 0));
    let found = log_rows(&db, &Tenant::single(), &[wanted], NanoRange::ALL).unwrap();
    assert_eq!(found.len(), 1);
    let all = db.streams(&Tenant::single(), &[], NanoRange::ALL, &Budget::unlimited()).unwrap();
    assert_eq!(all.len() as u64, n);
}

#[test]
fn scans_are_of_bounded_size_and_keep_the_budget() {
    let db = open(&FaultFs::new(), config());
    let mut batch = LogBatch::default();
    for i in 0..400 {
        batch.begin_stream(stream(i));
        batch.push(T0 + i as i64 * SECOND, "x", []).unwrap();
    }
    db.append_logs(&Tenant::single(), &batch).unwrap();
    db.flush_logs().unwrap();
    let budget = Arc::new(Budget::unlimited());
    let all = scans(&db, NanoRange::ALL, &budget);
    assert!(all.len() > 10);
    // Each covers a stretch of time of its own: the newest rows need no other scan.
    let mut ranges: Vec<NanoRange> = all.iter().map(|s| s.range()).collect();
    ranges.sort_by_key(|r| r.start);
    assert!(ranges.windows(2).all(|w| w[0].end <= w[1].start), "{ranges:?}");
    let few = Arc::new(Budget::new(1, 10));
    let failed = scans(&db, NanoRange::ALL, &few)
        .into_iter()
        .find_map(|s| s.run(&mut |_| ControlFlow::Continue(())).err());
    assert!(matches!(failed, Some(QueryError::Budget(_))), "{failed:?}");
    budget.cancel();
    let cancelled = all.into_iter().next().unwrap().run(&mut |_| ControlFlow::Continue(()));
    assert!(matches!(cancelled, Err(QueryError::Budget(_))));
}

#[test]
fn a_reader_keeps_what_it_has_while_parts_go() {
    let fs = FaultFs::new();
    let db = open(&fs, config());
    write(&db, 3, T0).unwrap();
    db.flush_logs().unwrap();
    write(&db, 3, T0 + 1).unwrap();
    let budget = Arc::new(Budget::unlimited());
    let before = scans(&db, NanoRange::ALL, &budget);
    assert_eq!(db.delete_logs(&Tenant::single(), &[], NanoRange::ALL, None).unwrap(), 6);
    assert!(dump(&db).is_empty() && files(&fs, ".part").is_empty());
    let mut rows = 0;
    for scan in before {
        scan.run(&mut |block| {
            rows += block.times.len();
            ControlFlow::Continue(())
        })
        .unwrap();
    }
    assert_eq!(rows, 6);
}

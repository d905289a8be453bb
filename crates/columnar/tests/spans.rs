//! The span store: killed, torn, full, rotten, failed. Nothing acknowledged is lost, nothing wrong is answered, the rest goes on.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, ops::ControlFlow, path::Path, sync::Arc, time::Duration};

use reba_columnar::{ColumnarConfig, ColumnarError, Retention, SpanStore};
use reba_disk::{Env, Fault, FaultFs, FaultKind, FaultOp, Fs as _, LogConfig, ManualClock};
use reba_model::{
    NanoRange, Tenant,
    spans::{
        AttributeValue, Attributes, Resource, Span, SpanBatch, SpanEvent, SpanId, SpanKind, SpanStatus,
        TraceId,
    },
};
use reba_storage::{
    AppendError, Budget, SpanAdmin, SpanAppender, SpanQuerier, SpanReport, SpanRequest, SpanRows, SpanWant,
};

const SECOND: i64 = 1_000_000_000;
const T0: i64 = 1_700_000_000 * SECOND;
const T0_MS: i64 = T0 / 1_000_000;

type Dump = BTreeMap<(TraceId, SpanId), Span>;

fn env(fs: &FaultFs, clock: &Arc<ManualClock>) -> Env {
    Env { fs: Arc::new(fs.clone()), clock: Arc::clone(clock) as _ }
}

fn open_with(fs: &FaultFs, config: ColumnarConfig) -> Result<SpanStore, ColumnarError> {
    SpanStore::open(&env(fs, &Arc::new(ManualClock::new(T0_MS))), "/data", config)
}

fn open(fs: &FaultFs, config: ColumnarConfig) -> SpanStore {
    open_with(fs, config).unwrap()
}

fn config() -> ColumnarConfig {
    SpanStore::default_config()
}

/// An fsync before every answer.
fn durable() -> ColumnarConfig {
    ColumnarConfig { wal: LogConfig { fsync_interval: Duration::ZERO, ..LogConfig::default() }, ..config() }
}

/// A table so small that it is written every few batches.
fn busy() -> ColumnarConfig {
    ColumnarConfig { flush_bytes: 3500, ..durable() }
}

/// Batch `n`: a trace of its own, and one more span of a trace that five batches share.
fn batch(n: i64) -> Vec<Span> {
    let span = |trace: u64, id: u64, parent: u64| Span {
        trace_id: TraceId((u128::from(trace) << 32).to_be_bytes()),
        span_id: SpanId(id.to_be_bytes()),
        parent_id: SpanId(parent.to_be_bytes()),
        name: format!("call-{}", id % 3),
        kind: SpanKind::Server,
        status: if n % 4 == 0 { SpanStatus::Error } else { SpanStatus::Unset },
        start_ns: T0 + n * SECOND + id as i64,
        end_ns: T0 + n * SECOND + 5000,
        attributes: Attributes(vec![
            ("n".to_owned(), AttributeValue::Int(n)),
            ("text".to_owned(), AttributeValue::Str(format!("value {n} of {id}"))),
        ]),
        events: vec![SpanEvent { ns: T0, name: "e".to_owned(), attributes: Attributes::default() }],
        resource: Arc::new(Resource {
            attributes: Attributes(vec![(
                "service.name".to_owned(),
                AttributeValue::Str(format!("service-{}", trace % 2)),
            )]),
        }),
        ..Span::default()
    };
    let n64 = n as u64;
    vec![span(n64 + 1000, 1, 0), span(n64 + 1000, 2, 1), span(n64 / 5, 10 + n64, 10)]
}

fn write(db: &SpanStore, n: i64) -> Result<SpanReport, AppendError> {
    db.append_spans(&Tenant::single(), &SpanBatch::of(&batch(n)).unwrap())
}

fn scan(db: &SpanStore, whole_traces: bool) -> (Vec<Span>, Vec<String>) {
    let (tenant, budget) = (Tenant::single(), Arc::new(Budget::unlimited()));
    let want = SpanWant { whole_traces, ..SpanWant::everything() };
    let request = SpanRequest { tenant: &tenant, range: NanoRange::ALL, want: &want, budget: &budget };
    let (mut out, mut seen) = (Vec::new(), std::collections::HashSet::new());
    for scan in db.scan_spans(&request).unwrap() {
        scan.run(&mut |rows| {
            match rows {
                SpanRows::Spans(spans) => out.extend(spans),
                SpanRows::Trace { spans, again } => {
                    let is_new = spans.first().is_some_and(|span| seen.insert(span.trace_id));
                    assert!(is_new || again, "a trace that is not marked comes once");
                    out.extend(if is_new { spans } else { Vec::new() });
                }
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    }
    (out, budget.take_warnings())
}

/// Everything, each span once, as both kinds of scans and the index tell it.
fn dump(db: &SpanStore) -> Dump {
    let by_key = |spans: Vec<Span>| {
        let n = spans.len();
        let map: Dump = spans.into_iter().map(|s| ((s.trace_id, s.span_id), s)).collect();
        assert_eq!(map.len(), n, "each span comes once");
        map
    };
    let all = by_key(scan(db, false).0);
    assert_eq!(by_key(scan(db, true).0), all, "whole traces have the same spans");
    all
}

fn expected(numbers: impl IntoIterator<Item = i64>) -> Dump {
    numbers.into_iter().flat_map(batch).map(|s| ((s.trace_id, s.span_id), s)).collect()
}

fn is_true(found: &Dump, want: &Dump) -> bool {
    found.iter().all(|(key, span)| want.get(key) == Some(span))
}

fn files(fs: &FaultFs, part: &str) -> Vec<String> {
    fn walk(fs: &FaultFs, dir: &str, out: &mut Vec<String>) {
        for entry in fs.list(dir.as_ref()).unwrap() {
            let path = format!("{dir}/{}", entry.name);
            if entry.is_dir { walk(fs, &path, out) } else { out.push(path) }
        }
    }
    let mut out = Vec::new();
    walk(fs, "/data", &mut out);
    out.retain(|p| p.contains(part));
    out
}

/// Parts, merged ones among them, and a log behind them.
fn build(fs: &FaultFs, config: ColumnarConfig) -> Dump {
    let db = open(fs, config);
    for n in 0..60 {
        write(&db, n).unwrap();
        if n % 7 == 0 && n < 40 {
            db.maintain(T0_MS).unwrap();
        }
    }
    let m = db.metrics();
    assert!(m.parts > 1 && m.merges > 0 && m.memory_rows > 0, "{m:?}");
    expected(0..60)
}

#[test]
fn a_kill_at_any_moment_costs_nothing_acknowledged() {
    let fs = FaultFs::new();
    for n in 0..40 {
        let db = open(&fs, busy());
        write(&db, n).unwrap();
        if n % 5 == 4 {
            db.maintain(T0_MS).unwrap();
        }
        assert_eq!(dump(&db), expected(0..=n), "start {n}");
    }
}

#[test]
fn a_copy_has_what_was_written_before_it_and_nothing_of_what_came_later() {
    let fs = FaultFs::new();
    let db = open(&fs, config());
    for n in 0..12 {
        write(&db, n).unwrap();
    }
    db.snapshot("one").unwrap();
    write(&db, 12).unwrap();
    let clock = Arc::new(ManualClock::new(T0_MS));
    let copy = SpanStore::open(&env(&fs, &clock), "/data/snapshots/one", config()).unwrap();
    assert_eq!(dump(&copy), expected(0..12));
    assert_eq!(dump(&db), expected(0..13));
}

#[test]
fn the_same_span_twice_is_stored_once_wherever_the_first_one_is() {
    let fs = FaultFs::new();
    let db = open(&fs, config());
    let twice = SpanReport { appended: 0, duplicates: 3 };
    for n in 0..8 {
        assert_eq!(write(&db, n).unwrap(), SpanReport { appended: 3, duplicates: 0 });
        assert_eq!(write(&db, n).unwrap(), twice, "in memory");
        db.flush_spans().unwrap();
        assert_eq!(write(&db, n).unwrap(), twice, "in a part");
    }
    db.maintain(T0_MS).unwrap();
    assert!(db.metrics().merges > 0);
    for n in 0..8 {
        assert_eq!(write(&db, n).unwrap(), twice, "in a merged part");
    }
    drop(db);
    let db = open(&fs, config());
    assert_eq!(write(&db, 3).unwrap(), twice, "after a start");
    assert_eq!(dump(&db), expected(0..8));
}

#[test]
fn power_lost_at_any_step_of_a_flush_or_merge_costs_nothing_acknowledged() {
    for op in [FaultOp::Write, FaultOp::Sync, FaultOp::Create, FaultOp::Rename, FaultOp::SyncDir] {
        for after in 0..40 {
            let fs = FaultFs::new();
            let db = open(&fs, durable());
            for n in 0..5 {
                write(&db, n).unwrap();
                if n != 4 {
                    db.flush_spans().unwrap();
                }
            }
            fs.inject(Fault { op, after, kind: FaultKind::Torn, forever: true });
            let done = db.flush_spans().is_ok() && db.maintain(T0_MS).is_ok();
            assert_eq!(dump(&db), expected(0..5), "queries go on: {op:?} {after}");
            for seed in 0..3 {
                let after_loss = open(&fs.power_loss(seed), durable());
                assert_eq!(dump(&after_loss), expected(0..5), "{op:?} {after} {seed}");
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
fn a_torn_batch_at_the_end_of_the_log_is_cut_off() {
    let fs = FaultFs::new();
    let db = open(&fs, config());
    (0..3).for_each(|n| assert_eq!(write(&db, n).unwrap().appended, 3));
    drop(db);
    let segment = files(&fs, "/wal/").pop().unwrap();
    let size = fs.read(segment.as_ref()).unwrap().len() as u64;
    fs.open(segment.as_ref()).unwrap().set_len(size - 5).unwrap();
    let db = open(&fs, config());
    assert_eq!((dump(&db), db.metrics().wal_corruptions), (expected(0..2), 0));
    write(&db, 9).unwrap();
    drop(db);
    assert_eq!(dump(&open(&fs, config())), expected([0, 1, 9]));
}

#[test]
fn damage_in_the_middle_of_the_log_costs_the_rest_of_that_segment_and_is_counted() {
    let fs = FaultFs::new();
    let mut config = config();
    config.wal.segment_bytes = 2000;
    let db = open(&fs, config.clone());
    (0..60).for_each(|n| assert_eq!(write(&db, n).unwrap().appended, 3));
    drop(db);
    let segments = files(&fs, "/wal/");
    assert!(segments.len() > 3);
    fs.corrupt(Path::new(&segments[1]), 700, 4).unwrap();
    let db = open(&fs, config);
    assert_eq!(db.metrics().wal_corruptions, 1);
    let found = dump(&db);
    assert!(
        is_true(&found, &expected(0..60)) && found.len() > 120,
        "later segments are read: {}",
        found.len()
    );
}

#[test]
fn after_a_failed_fsync_the_store_takes_nothing_until_it_is_opened_again() {
    let fs = FaultFs::new();
    let db = open(&fs, durable());
    write(&db, 0).unwrap();
    fs.inject(Fault { op: FaultOp::Sync, after: 0, kind: FaultKind::Eio, forever: false });
    for n in 1..5 {
        assert!(matches!(write(&db, n), Err(AppendError::Poisoned(_))));
    }
    assert!(is_true(&expected([0]), &dump(&db)), "queries go on");
    drop(db);
    let db = open(&fs, durable());
    assert!(is_true(&expected([0]), &dump(&db)));
    write(&db, 9).unwrap();
}

#[test]
fn a_full_disk_refuses_writes_keeps_answering_and_recovers_by_itself() {
    for room in [0, 50, 1000, 20_000] {
        let fs = FaultFs::new();
        let clock = Arc::new(ManualClock::new(T0_MS));
        let config = ColumnarConfig { flush_bytes: 6000, memory_bytes: 20_000, ..config() };
        let db = SpanStore::open(&env(&fs, &clock), "/data", config.clone()).unwrap();
        let mut acknowledged: Vec<i64> = (0..10).collect();
        for n in &acknowledged {
            assert_eq!(write(&db, *n).unwrap().appended, 3);
        }
        fs.set_capacity(fs.used() + room);
        let mut n = 100;
        let refused = loop {
            match write(&db, n) {
                Ok(_) => acknowledged.push(n),
                Err(e) => break e,
            }
            n += 1;
        };
        assert!(matches!(refused, AppendError::Full(_)) && refused.is_retryable(), "{refused:?}");
        for _ in 0..20 {
            drop(db.maintain(T0_MS));
            clock.advance(1000);
        }
        assert!(is_true(&expected(acknowledged.clone()), &dump(&db)), "queries go on");
        fs.set_capacity(u64::MAX);
        clock.advance(60_000);
        for _ in 0..3 {
            write(&db, n).unwrap();
            acknowledged.push(n);
            n += 1;
            db.maintain(T0_MS).unwrap();
        }
        assert!(is_true(&expected(acknowledged.clone()), &dump(&db)), "room {room}");
        drop(db);
        assert!(is_true(&expected(acknowledged), &dump(&open(&fs, config))), "room {room}");
    }
}

#[test]
fn a_flipped_bit_in_any_file_never_gives_a_wrong_span_and_never_stops_the_store() {
    let fs = FaultFs::new();
    let want = build(&fs, busy());
    let all = files(&fs, "");
    for path in all.iter().filter(|p| !p.ends_with("lock")) {
        let size = fs.read(path.as_ref()).unwrap().len();
        for k in 0..6 {
            let fs = FaultFs::new();
            build(&fs, busy());
            let offset = (size * k / 6 + k).min(size - 1);
            fs.corrupt(Path::new(path), offset, 1 << (k % 8)).unwrap();
            let db = open(&fs, busy());
            let found = dump(&db);
            assert!(is_true(&found, &want) && !found.is_empty(), "{path} at {offset}");
            // What a query could not read is set aside, and then there is nothing more to say.
            for _ in 0..4 {
                db.maintain(T0_MS).unwrap_or_else(|e| panic!("{path} at {offset}: {e}"));
            }
            let (_, warnings) = scan(&db, true);
            assert!(is_true(&dump(&db), &want) && warnings.is_empty(), "{path} at {offset}: {warnings:?}");
            write(&db, 200).unwrap();
            drop(db);
            assert!(is_true(&expected([200]), &dump(&open(&fs, busy()))), "{path} at {offset}");
        }
    }
}

#[test]
fn one_lost_manifest_costs_nothing_and_without_any_everything_is_found_again() {
    for names in [vec!["manifest"], vec!["manifest", "manifest.copy"]] {
        let fs = FaultFs::new();
        let want = build(&fs, busy());
        for name in &names {
            fs.remove_file(Path::new(&format!("/data/{name}"))).unwrap();
        }
        assert_eq!(dump(&open(&fs, busy())), want, "{names:?}");
    }
}

#[test]
fn old_parts_are_dropped_by_time_and_by_size() {
    let fs = FaultFs::new();
    let clock = Arc::new(ManualClock::new(T0_MS));
    let db = SpanStore::open(&env(&fs, &clock), "/data", config()).unwrap();
    write(&db, 0).unwrap();
    db.flush_spans().unwrap();
    db.maintain(T0_MS).unwrap();
    let (hour, mut now) = (3_600_000, T0_MS);
    for _ in 0..7 * 24 {
        assert_eq!(dump(&db), expected([0]), "kept for a week");
        now += hour;
        clock.advance(hour);
        db.maintain(now).unwrap();
    }
    clock.advance(hour);
    db.maintain(now + hour).unwrap();
    assert_eq!((dump(&db).len(), db.metrics().parts_expired), (0, 1));
    write(&db, 1).unwrap();
    db.flush_spans().unwrap();
    db.set_retention(Retention { max_bytes: Some(10), ..Retention::default() });
    db.maintain(now + hour).unwrap();
    assert_eq!(dump(&db).len(), 0);
}

#[test]
fn a_trace_of_a_hundred_thousand_spans_and_an_attribute_of_ten_megabytes_are_survived() {
    let fs = FaultFs::new();
    let db = open(&fs, config());
    let id = TraceId([5; 16]);
    let span = |n: u64| Span {
        trace_id: id,
        span_id: SpanId((n + 1).to_be_bytes()),
        // Circles: every tenth span is its own ancestor.
        parent_id: SpanId(if n.is_multiple_of(10) { n + 2 } else { n }.to_be_bytes()),
        name: "step".to_owned(),
        start_ns: T0 + n as i64,
        end_ns: T0,
        ..Span::default()
    };
    for piece in 0..20 {
        let spans: Vec<Span> = (piece * 5000..(piece + 1) * 5000).map(span).collect();
        db.append_spans(&Tenant::single(), &SpanBatch::of(&spans).unwrap()).unwrap();
    }
    let large = AttributeValue::Str("x".repeat(10 << 20));
    let one = Span {
        attributes: Attributes(vec![("large".to_owned(), large)]),
        trace_id: TraceId([6; 16]),
        ..span(0)
    };
    db.append_spans(&Tenant::single(), &SpanBatch::of([&one]).unwrap()).unwrap();
    db.flush_spans().unwrap();
    let budget = Budget::unlimited();
    let trace = |id| db.trace(&Tenant::single(), id, None, &budget).unwrap();
    assert_eq!(trace(id).len(), 100_000);
    assert_eq!(trace(TraceId([6; 16])), [one]);
    assert_eq!(scan(&db, true).0.len(), 100_001);
    let again: Vec<Span> = (0..100).map(span).collect();
    let report = db.append_spans(&Tenant::single(), &SpanBatch::of(&again).unwrap()).unwrap();
    assert_eq!(report.duplicates, 100);
}

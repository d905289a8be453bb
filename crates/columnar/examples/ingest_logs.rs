//! Measures the store alone: CPU of appending, flushing and merging, bytes on disk, memory, some reads.
//!
//! `cargo run --release -p reba-columnar --example ingest_logs -- [MEGABYTES] [STREAMS] [ENTRIES-PER-BATCH]`
//!
//! With more streams than entries every entry has a stream of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::{ops::ControlFlow, sync::Arc, time::Instant};

use reba_columnar::{Columnar, ColumnarConfig};
use reba_disk::{Clock, Env, ManualClock, RealFs};
use reba_model::{Labels, LogBatch, Matcher, NanoRange, Tenant};
use reba_storage::{Budget, Condition, LogAdmin, LogAppender, LogQuerier, LogRequest, LogWant, TextTest};

/// CPU seconds of this process.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn memory(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// A line as a service writes it.
fn line(rng: &mut Rng, trace: &str, at: i64) -> String {
    let levels = ["info", "info", "info", "info", "info", "debug", "warn", "error"];
    let level = levels[rng.below(8) as usize];
    let (user, ms) = (rng.below(50_000), rng.below(2_000_000) as f64 / 1000.0);
    let span = format!("{:016x}", rng.next());
    let head = format!(
        r#"{{"level":"{level}","time":{at},"trace_id":"{trace}","span_id":"{span}","user_id":"u{user}","msg":""#
    );
    let message = match rng.below(6) {
        0 => format!("payment of {} RWF accepted for order {}", rng.below(1_000_000), rng.below(10_000_000)),
        1 => format!("cache miss for key session:{:08x}", rng.next() as u32),
        2 => format!("request to http://wallet.internal/v1/accounts/{user} took {ms} ms"),
        3 => "retrying after connection reset by peer".to_owned(),
        4 => format!("driver {} moved to cell {:06x}", rng.below(9000), rng.below(1 << 24)),
        _ => "request served".to_owned(),
    };
    let (status, path) = ([200, 200, 200, 201, 404, 500][rng.below(6) as usize], rng.below(40));
    format!(
        r#"{head}{message}","method":"GET","path":"/api/v1/resource/{path}","status":{status},"duration_ms":{ms}}}"#
    )
}

fn stream(i: u64) -> Labels {
    let (service, pod) = (format!("service-{}", i % 40), format!("pod-{i:x}"));
    Labels::from_pairs([("app", service.as_str()), ("pod", &pod), ("namespace", "easymo"), ("env", "prod")])
}

fn fill(db: &Columnar, clock: &ManualClock, megabytes: u64, streams: u64, per_batch: u64) -> (u64, f64) {
    let (mut rng, mut raw, mut spent, mut rows) = (Rng(88_172_645_463_325_252), 0u64, 0.0, 0u64);
    let mut batch = LogBatch::default();
    let mut trace = String::new();
    while raw < megabytes << 20 {
        batch.clear();
        for _ in 0..per_batch {
            let ns = clock.now_ms() * 1_000_000 + (rows % per_batch) as i64 * 1000;
            if rows.is_multiple_of(5) {
                trace = format!("{:016x}{:016x}", rng.next(), rng.next());
            }
            let line = line(&mut rng, &trace, ns / 1_000_000);
            raw += line.len() as u64;
            let number = if streams > 1_000_000 { rows } else { rng.below(streams) };
            batch.begin_stream(stream(number));
            batch.push(ns, &line, []).unwrap();
            rows += 1;
        }
        clock.advance(20);
        // What it costs to make the lines is not the store's.
        let before = cpu();
        db.append_logs(&Tenant::single(), &batch).unwrap();
        if rows.is_multiple_of(per_batch * 50) {
            while db.maintain(clock.now_ms()).unwrap() {}
        }
        spent += cpu() - before;
    }
    (raw, spent)
}

fn read(db: &Columnar, what: &str, matchers: &[Matcher], want: &LogWant) {
    let (tenant, budget) = (Tenant::single(), Arc::new(Budget::unlimited()));
    let request = LogRequest { tenant: &tenant, matchers, range: NanoRange::ALL, want, budget: &budget };
    let (start, before) = (Instant::now(), cpu());
    let (mut rows, mut stats) = (0, reba_storage::ScanStats::default());
    for scan in db.scan_logs(&request).unwrap() {
        stats.add(
            scan.run(&mut |block| {
                rows += block.times.len();
                ControlFlow::Continue(())
            })
            .unwrap(),
        );
    }
    println!(
        "{what}: {rows} rows, {:.0} ms, {:.2} s CPU, {} of {} blocks skipped, {} MB read",
        start.elapsed().as_secs_f64() * 1e3,
        cpu() - before,
        stats.blocks_skipped,
        stats.blocks,
        stats.bytes_read >> 20
    );
}

fn main() {
    let arg = |n: usize, default: u64| std::env::args().nth(n).map_or(default, |a| a.parse().unwrap());
    let (megabytes, streams, per_batch) = (arg(1, 256), arg(2, 120), arg(3, 1000));
    let dir = std::env::temp_dir().join(format!("reba-columnar-{}", std::process::id()));
    let clock = Arc::new(ManualClock::new(1_763_885_000_000));
    let env = Env { fs: Arc::new(RealFs), clock: Arc::clone(&clock) as _ };
    let db = Columnar::open(&env, &dir, ColumnarConfig::default()).unwrap();
    let (raw, spent) = fill(&db, &clock, megabytes, streams, per_batch);
    let mib = raw as f64 / f64::from(1 << 20);
    let m = db.metrics();
    println!(
        "append with flushes and merges: {:.1} MB per CPU second, {} flushes, {} merges of {} MB",
        mib / spent,
        m.flushes,
        m.merges,
        m.merged_bytes >> 20
    );
    println!(
        "memory: {} MB anonymous, {} MB files, {} MB peak",
        memory("RssAnon"),
        memory("RssFile"),
        memory("VmHWM")
    );
    let before = cpu();
    db.flush_logs().unwrap();
    while db.maintain(clock.now_ms() + 2 * 86_400_000).unwrap() {}
    let m = db.metrics();
    println!(
        "rest: {:.2} s CPU; then {} parts, {} rows, {} blocks, {:.1} bytes a row, {:.4} of raw",
        cpu() - before,
        m.parts,
        m.part_rows,
        m.blocks,
        m.part_bytes as f64 / m.part_rows as f64,
        m.part_bytes as f64 / raw as f64
    );
    let everything = LogWant::everything();
    read(&db, "everything", &[], &everything);
    let needle = LogWant {
        conditions: vec![Condition::Line(TextTest::Contains("cell 00abcd".into()))],
        ..LogWant::everything()
    };
    read(&db, "a needle", &[], &needle);
    read(&db, "one stream", &[Matcher::equal("pod", "pod-7")], &everything);
    let start = Instant::now();
    let found = db.streams(&Tenant::single(), &[], NanoRange::ALL, &Budget::unlimited()).unwrap();
    println!("{} streams listed in {:.1} ms", found.len(), start.elapsed().as_secs_f64() * 1e3);
    drop(db);
    let start = Instant::now();
    drop(Columnar::open(&env, &dir, ColumnarConfig::default()).unwrap());
    println!("opened in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    std::fs::remove_dir_all(&dir).unwrap();
}

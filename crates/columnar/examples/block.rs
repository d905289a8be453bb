//! How fast and how small blocks are: `cargo run --release -p reba-columnar --example block [streams]`.
//!
//! The lines are those of microservices that log JSON: 17 members, of which trace and span ids, users, addresses and durations
//! are different in nearly every line. Times are CPU time of the thread.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{fmt::Write as _, hint::black_box, sync::Arc, time::Instant};

use reba_columnar::block::{Block, Encoder, Pairs, ReadCost, Reading, Rows};
use reba_model::{Column, GoRegex, Labels, NanoRange};
use reba_storage::{Comparison, Condition, Extract, LineParser, LogWant, MetadataWant, TextTest, ValueForm};

/// Small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * ((self.next() >> 11) as f64 / (1u64 << 53) as f64).max(1e-12).ln()
    }
}

struct Stream {
    times: Vec<i64>,
    lines: Vec<String>,
}

const ROUTES: [&str; 6] = ["users", "orders", "carts", "payments", "items", "sessions"];

fn message(r: &mut Random, level: usize, needle: bool) -> String {
    if needle {
        return "zebra crossing detected in reconciliation".to_owned();
    }
    let (a, b) = (r.below(100_000_000), r.below(5000));
    match (level, r.below(7)) {
        (3, n) if n < 3 => format!(
            "unhandled error\\n  at Handler.run (handler.js:{}:{})\\n  at process (queue.js:{})",
            b % 900,
            b % 80,
            b % 300
        ),
        (3, _) => format!("upstream request failed after {b}ms: connection reset by peer"),
        (_, 0) => format!("request completed in {b}ms"),
        (_, 1) => format!("order_id={a} accepted"),
        (_, 2) => format!("cache miss for key user:{a}:profile"),
        (_, 3) => format!("published event seq={a} to topic orders-{}", b % 12),
        (_, 4) => "session refreshed".to_owned(),
        (_, 5) => format!("retrying call attempt={} backoff={b}ms", b % 5),
        _ => format!("query returned {} rows in {}.{:03}ms", b, b % 97, a % 1000),
    }
}

fn stream(service: usize, rows: usize, r: &mut Random) -> Stream {
    let (mut times, mut lines) = (Vec::new(), Vec::new());
    let mut ns = 1_790_000_000_000_000_000i64;
    let names = ["debug", "info", "warn", "error"];
    for i in 0..rows {
        ns += (r.exponential(550_000.0) as i64).max(1) * 1000;
        let level = match r.below(100) {
            0..=9 => 0,
            10..=91 => 1,
            92..=98 => 2,
            _ => 3,
        };
        let status = [200, 200, 200, 201, 204, 304, 404, 500][r.below(8) as usize];
        let seconds = ns / 1_000_000_000 - 1_790_000_000;
        let mut line = String::new();
        let _ = write!(
            line,
            r#"{{"time":"2026-09-21T{:02}:{:02}:{:02}.{:06}Z","level":"{}","service":"svc-{service}","namespace":"shop","pod":"svc-{service}-7c9d8f6b5-x2k4z","caller":"internal/http/server.go:{}","trace_id":"{:016x}{:016x}","span_id":"{:016x}","method":"{}","path":"/api/v1/{}/{}","status":{status},"duration_ms":{:.3},"bytes":{},"user_id":"u{:07}","client_ip":"10.{}.{}.{}","region":"eu-central-1","message":"{}"}}"#,
            13 + seconds / 3600 % 8,
            seconds / 60 % 60,
            seconds % 60,
            ns / 1000 % 1_000_000,
            names[level],
            r.below(40) + 20,
            r.next(),
            r.next(),
            r.next(),
            ["GET", "GET", "GET", "POST", "PUT"][r.below(5) as usize],
            ROUTES[r.below(6) as usize],
            r.below(1_000_000),
            r.exponential(90.0),
            r.below(60_000),
            r.below(2_000_000),
            r.below(4),
            r.below(256),
            r.below(256),
            message(r, level, service == 3 && i % 2000 == 77),
        );
        times.push(ns);
        lines.push(line);
    }
    Stream { times, lines }
}

/// CPU time of the thread, in seconds; of the clock where the system does not tell.
fn cpu(start: Instant) -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let ns = stat.and_then(|s| s.split(' ').next()?.parse::<f64>().ok());
    ns.map_or_else(|| start.elapsed().as_secs_f64(), |ns| ns / 1e9)
}

fn timed<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let before = cpu(start);
    let result = run();
    (result, cpu(start) - before)
}

fn main() {
    let streams: usize = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(40);
    let mut random = Random(7);
    let data: Vec<Stream> = (0..streams).map(|s| stream(s % 20, 4500, &mut random)).collect();
    let raw: usize = data.iter().flat_map(|s| &s.lines).map(String::len).sum();
    let rows: usize = data.iter().map(|s| s.lines.len()).sum();
    println!("{streams} blocks, {rows} lines, {:.1} MB, {} B a line", raw as f64 / 1e6, raw / rows);

    let (blocks, seconds) = timed(|| {
        let mut encoder = Encoder::default();
        let mut encode_one = |s: &Stream| {
            let lines: Vec<&str> = s.lines.iter().map(String::as_str).collect();
            let metadata: Vec<Pairs<'_>> = vec![&[]; lines.len()];
            let mut bytes = Vec::new();
            encoder.encode(&Rows { times: &s.times, lines: &lines, metadata: &metadata }, &mut bytes);
            bytes
        };
        data.iter().map(&mut encode_one).collect::<Vec<_>>()
    });
    let packed: usize = blocks.iter().map(Vec::len).sum();
    println!("encode  {:7.1} MB/CPU-s", raw as f64 / 1e6 / seconds);
    println!("size    {:7.2} B a line, {:.2}x", packed as f64 / rows as f64, raw as f64 / packed as f64);
    let ((), seconds) = timed(|| {
        for b in &blocks {
            drop(black_box(Block::open(b).unwrap().rows(&mut Reading::default())));
        }
    });
    println!("decode  {:7.1} MB/CPU-s (all rows, owned)", raw as f64 / 1e6 / seconds);
    for (name, bytes) in Block::open(&blocks[0]).unwrap().sizes() {
        println!("  {name:<16} {:6.2} B a line", bytes as f64 / data[0].lines.len() as f64);
    }
    let scan = |name: &str, want: LogWant| query(name, &blocks, raw, &want);
    let nothing =
        || LogWant { lines: false, metadata: MetadataWant::Names(Vec::new()), ..LogWant::everything() };
    let line = |text: &str| vec![Condition::Line(TextTest::Contains(text.to_owned()))];
    let json = |name: &str, test: TextTest| {
        vec![Condition::Label { name: name.to_owned(), parser: Some(LineParser::Json), test }]
    };
    let number = |name: &str, comparison, value| Condition::Number {
        name: name.to_owned(),
        parser: Some(LineParser::Json),
        comparison,
        value,
    };
    let extract = |names: &[(&str, ValueForm)]| {
        let names = names.iter().map(|(n, f)| ((*n).to_owned(), *f)).collect();
        Some(Extract { parser: LineParser::Json, names, errors: true })
    };
    let id = &data[1].lines[5];
    let id = id[id.find("trace_id").unwrap() + 11..][..32].to_owned();
    scan("everything", LogWant::everything());
    scan("needle", LogWant { conditions: line("zebra crossing"), ..LogWant::everything() });
    scan("needle, absent", LogWant { conditions: line("walrus"), ..LogWant::everything() });
    scan("inner substring", LogWant { conditions: line("rder_id=8372"), ..LogWant::everything() });
    scan("\"level\":\"error\"", LogWant { conditions: line("\"level\":\"error\""), ..LogWant::everything() });
    scan("trace id, line", LogWant { conditions: line(&id), ..LogWant::everything() });
    let equals = TextTest::Equals(id);
    scan("trace id, json", LogWant { conditions: json("trace_id", equals), ..LogWant::everything() });
    let equals = TextTest::Equals("u0012345".to_owned());
    scan("user id, json", LogWant { conditions: json("user_id", equals), ..LogWant::everything() });
    let regex = TextTest::Matches(Arc::new(GoRegex::search("order_id=8372[0-9]{4}").unwrap()));
    scan("message =~", LogWant { conditions: json("message", regex), ..nothing() });
    scan("count by level", LogWant { extract: extract(&[("level", ValueForm::Text)]), ..nothing() });
    let slow = vec![
        number("status", Comparison::GreaterOrEqual, 500.0),
        number("duration_ms", Comparison::Greater, 900.0),
    ];
    let by = extract(&[("service", ValueForm::Text)]);
    scan("status>=500, slow", LogWant { conditions: slow, extract: by, ..nothing() });
    let duration = extract(&[("service", ValueForm::Text), ("duration_ms", ValueForm::Number)]);
    scan("p99 of duration", LogWant { extract: duration, ..nothing() });
    scan("users", LogWant { extract: extract(&[("user_id", ValueForm::Text)]), ..nothing() });
}

fn query(name: &str, blocks: &[Vec<u8>], raw: usize, want: &LogWant) {
    let stream = Labels::empty();
    let mut best = f64::INFINITY;
    let (mut rows, mut skipped, mut sum) = (0, 0, 0.0);
    let mut cost = ReadCost::default();
    let mut reading = Reading::default();
    for _ in 0..5 {
        (rows, skipped, sum, reading.cost) = (0, 0, 0.0, ReadCost::default());
        let ((), seconds) = timed(|| {
            for bytes in blocks {
                let block = Block::open(bytes).unwrap();
                if !block.may_match(&stream, &want.conditions, &mut reading) {
                    skipped += 1;
                    continue;
                }
                let Some(read) = block.read(&stream, NanoRange::ALL, want, &mut reading).unwrap() else {
                    continue;
                };
                rows += read.times.len();
                for column in read.extracted.iter().flatten() {
                    if let Column::Number { values, .. } = column {
                        sum += values.iter().sum::<f64>();
                    }
                }
                black_box(&read);
            }
        });
        best = best.min(seconds);
        cost = reading.cost;
    }
    black_box(sum);
    println!(
        "{name:<18} {:8.2} CPU-ms, {:8.1} for 1.2 GB; {rows:7} rows, {skipped:3} blocks skipped, {:6.2} MB read",
        best * 1e3,
        best * 1e3 * 1.2e9 / raw as f64,
        cost.bytes_read as f64 / 1e6
    );
}

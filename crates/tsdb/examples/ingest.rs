//! Measures the store alone: samples per CPU-second, bytes per sample, memory per series, restart, queries.
//!
//! `cargo run --release -p reba-tsdb --example ingest -- [SERIES] [SAMPLES-PER-SERIES] [PER-REQUEST] [STEP-SECONDS] [JITTER-MS]`
//!
//! Jitter moves all samples of one target and one time together, as a late scrape does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::too_many_lines)]

use std::{sync::Arc, time::Instant};

use reba_disk::{Clock, Env, ManualClock, RealFs};
use reba_model::{Labels, Matcher, SampleColumns, TimeRange};
use reba_storage::{
    AppendMode, Budget, FloatSample, MetricAppender, MetricQuerier, SelectHints, SelectRequest, SeriesRef,
    WriteBatch,
};
use reba_tsdb::{Tsdb, TsdbConfig};

/// CPU seconds of this process.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn rss_anon_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn labels(i: usize) -> Labels {
    let (target, k) = (i / 1000, i % 1000);
    let (instance, pod, node) = (
        format!("10.0.{}.{}:9100", target / 250, target % 250),
        format!("svc-{target}-abcde"),
        format!("node-{}", target / 10),
    );
    let id = format!("/kubepods/burstable/pod{target:08x}/{k:04x}");
    let (name, extra) = match k {
        0..500 => ("container_cpu_usage_seconds_total", ("id", id)),
        500..525 => ("http_requests_total", ("route_status", format!("{}", k - 500))),
        525..575 => ("http_request_duration_seconds_bucket", ("le_route", format!("{}", k - 525))),
        575..675 => ("kube_info", ("item", format!("{}", k - 575))),
        675..775 => ("container_memory_bytes", ("container", format!("c{}", k - 675))),
        775..850 => ("temperature_celsius", ("sensor", format!("s{}", k - 775))),
        850..950 => ("network_bytes_total", ("device", format!("eth{}", k - 850))),
        _ => ("rare_events_total", ("kind", format!("k{}", k - 950))),
    };
    Labels::from_pairs([
        ("__name__", name),
        ("job", "kubernetes-pods"),
        ("instance", &instance),
        ("cluster", "production-eu-west-1"),
        ("region", "eu-west-1"),
        ("namespace", if target % 2 == 0 { "payments" } else { "rides" }),
        ("node", &node),
        ("pod", &pod),
        (extra.0, &extra.1),
    ])
}

struct Rng(u64);

impl Rng {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The next value of a series: the high-entropy mix of the benchmark.
fn step(k: usize, v: f64, rng: &mut Rng) -> f64 {
    match k {
        0..500 => ((v + 15.0 * 0.27 * (0.7 + 0.6 * rng.unit())) * 1e6).round() / 1e6,
        500..525 => v + (rng.unit() * 8.0).floor(),
        525..575 => v + (rng.unit() * 4.0).floor(),
        575..675 => 1.0,
        675..775 if rng.unit() < 0.66 => (v + ((rng.unit() * 512.0).floor() - 256.0) * 4096.0).max(0.0),
        775..850 => ((v + rng.unit() * 2.0 - 1.0) * 100.0).round() / 100.0,
        850..950 => v + (rng.unit() * 3e7).floor(),
        950..1000 if rng.unit() < 0.005 => v + 1.0,
        _ => v,
    }
}

fn dir_size(path: &std::path::Path) -> u64 {
    std::fs::read_dir(path).map_or(0, |d| {
        d.flatten()
            .map(
                |e| if e.path().is_dir() { dir_size(&e.path()) } else { e.metadata().map_or(0, |m| m.len()) },
            )
            .sum()
    })
}

fn main() {
    let args: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let get = |i: usize, default: usize| args.get(i).copied().unwrap_or(default);
    let (n, samples, per_request, step_s) = (get(0, 20_000), get(1, 160), get(2, 1), get(3, 15) as i64);
    let jitter = get(4, 0) as u64;
    let dir = tempfile::tempdir().unwrap();
    let start = 1_700_000_000_000 / 7_200_000 * 7_200_000;
    let clock = Arc::new(ManualClock::new(start));
    let env = Env { fs: Arc::new(RealFs), clock: clock.clone() };
    let config = TsdbConfig { accept_future_ms: i64::MAX, ..TsdbConfig::default() };
    let db = Tsdb::open(&env, dir.path(), config.clone(), &|_, _| {}).unwrap();

    let (c, base) = (cpu(), rss_anon_kib());
    let refs: Vec<SeriesRef> = (0..n).map(|i| db.series_ref(&labels(i)).unwrap()).collect();
    println!("{n} series made: {:.2} µs each (labels built included)", (cpu() - c) * 1e6 / n as f64);

    let mut rng = Rng(42);
    let mut values: Vec<f64> = (0..n).map(|_| (rng.unit() * 1e6).floor()).collect();
    let (mut append_cpu, mut maintain_cpu, mut written) = (0.0, 0.0, 0u64);
    let wall = Instant::now();
    for round in 0..samples / per_request {
        let t0 = start + (round * per_request) as i64 * step_s * 1000;
        let mut requests = Vec::new();
        for first in (0..n).step_by(2000 / per_request) {
            let mut batch = WriteBatch::default();
            for i in first..(first + 2000 / per_request).min(n) {
                for j in 0..per_request {
                    let scrape = ((i / 1000) * 7919 + (round * per_request + j) * 104_729) as u64;
                    let late = if jitter > 0 {
                        (scrape.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % jitter
                    } else {
                        0
                    };
                    values[i] = step(i % 1000, values[i], &mut rng);
                    let t = t0 + j as i64 * step_s * 1000 + (i / 1000) as i64 * 7 + late as i64;
                    batch.floats.push(FloatSample { series: refs[i], t, v: values[i] });
                }
            }
            requests.push(batch);
        }
        clock.advance(step_s * 1000 * per_request as i64);
        let c = cpu();
        for batch in &requests {
            let report = db.append(batch, AppendMode::AllOrNothing).unwrap();
            assert_eq!(report.appended, batch.floats.len(), "{:?}", report.rejected.first());
            written += report.appended as u64;
        }
        append_cpu += cpu() - c;
        let c = cpu();
        db.maintain(clock.now_ms()).unwrap();
        maintain_cpu += cpu() - c;
    }
    let elapsed = wall.elapsed().as_secs_f64();
    println!("{written} samples in {elapsed:.1} s wall (generator included)");
    println!("append: {:.2} M samples/CPU-s", written as f64 / append_cpu.max(0.01) / 1e6);
    println!(
        "with maintenance: {:.2} M samples/CPU-s",
        written as f64 / (append_cpu + maintain_cpu).max(0.01) / 1e6
    );
    let m = db.metrics();
    println!("log: {:.2} bytes/sample", m.disk.wal.written_bytes as f64 / written as f64);
    println!("anonymous memory: {:.0} bytes/series", (rss_anon_kib() - base) as f64 * 1024.0 / n as f64);
    println!("head says: {} bytes/series, {} chunks", m.head.memory_bytes / n as u64, m.head.chunks);
    let in_blocks = dir_size(&dir.path().join("blocks"));
    let share = written as f64 * (m.head.min_time - start) as f64 / (m.head.max_time - start + 1) as f64;
    println!(
        "blocks: {} with {:.3} bytes/sample; all files {} kB",
        m.disk.blocks,
        in_blocks as f64 / share.max(1.0),
        dir_size(dir.path()) / 1024
    );
    for part in ["index", "chunks"] {
        let size: u64 = std::fs::read_dir(dir.path().join("blocks"))
            .unwrap()
            .flatten()
            .map(|b| std::fs::metadata(b.path().join(part)).map_or(0, |m| m.len()))
            .sum();
        println!("  {part}: {:.3} bytes/sample", size as f64 / share.max(1.0));
    }
    let end = m.head.max_time;
    query(
        &db,
        "rate over the last hour, half of the series",
        "container_cpu_usage_seconds_total",
        TimeRange::new(end - 3_900_000, end),
    );
    query(
        &db,
        "instant, half of the series",
        "container_cpu_usage_seconds_total",
        TimeRange::new(end - 300_000, end),
    );
    query(&db, "everything of half of the series", "container_cpu_usage_seconds_total", TimeRange::ALL);
    let c = Instant::now();
    let found = db.label_values("id", &[], TimeRange::ALL, &Budget::unlimited()).unwrap().len();
    println!("label_values of {found}: {:.1} ms", c.elapsed().as_secs_f64() * 1e3);

    drop(db);
    for kind in ["as after SIGKILL", "after a clean end"] {
        let (c, wall) = (cpu(), Instant::now());
        let db = Tsdb::open(&env, dir.path(), config.clone(), &|_, _| {}).unwrap();
        println!("restart {kind}: {:.3} s wall, {:.2} CPU-s", wall.elapsed().as_secs_f64(), cpu() - c);
        db.close().unwrap();
    }
}

fn query(db: &Tsdb, what: &str, metric: &str, range: TimeRange) {
    let matchers = [Matcher::equal("__name__", metric)];
    let (mut best, mut best_select, mut series, mut samples) = (f64::MAX, f64::MAX, 0, 0);
    for _ in 0..3 {
        let begin = Instant::now();
        let request = SelectRequest {
            matchers: &matchers,
            range,
            hints: &SelectHints::default(),
            budget: &Budget::unlimited(),
        };
        let found = db.select(&request).unwrap();
        let select = begin.elapsed().as_secs_f64();
        let mut columns = SampleColumns::default();
        (series, samples) = (found.len(), 0);
        for s in &found {
            s.read_into(range, &mut columns).unwrap();
            samples += columns.len();
        }
        best = best.min(begin.elapsed().as_secs_f64());
        best_select = best_select.min(select);
    }
    println!(
        "{what}: {series} series, {samples} samples: select {:.1} ms + decode {:.1} ms ({:.1} ns/sample)",
        best_select * 1e3,
        (best - best_select) * 1e3,
        (best - best_select) * 1e9 / samples.max(1) as f64
    );
}

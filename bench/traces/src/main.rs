//! Reba's traces beside Tempo: the same spans, the same questions, one run, ratios.
//!
//! The unit of ingest is the CPU-second of the server process (user + system, from /proc): it survives a noisy machine, which wall
//! time does not.

mod data;
mod server;
mod wire;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, bail};
use bench_common::machine;
use clap::Parser;
use data::{Generator, NEEDLE, Truth};
use server::Server;

/// What to measure, and how much of it.
#[derive(Debug, Parser)]
#[command(max_term_width = 110)]
struct Args {
    /// Divides the amount of data: 1 is 5 million spans.
    #[arg(long, default_value_t = 1)]
    shrink: u64,
    /// Seed of all data.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Where servers keep their data while they are measured.
    #[arg(long, default_value = "target/bench-traces")]
    scratch: PathBuf,
    /// Reba's binary.
    #[arg(long, env = "REBA", default_value = "target/release/reba")]
    reba: PathBuf,
    /// Tempo's binary; without it, it is left out.
    #[arg(long, env = "TEMPO")]
    tempo: Option<PathBuf>,
}

const SPANS: u64 = 5_000_000;

/// Traces that begin in each second of the data, and how many are sent together.
const PER_SECOND: u64 = 500;
const TOGETHER: usize = 60;

/// Requests on their way at the same time.
const IN_FLIGHT: usize = 4;

/// Traces asked for by their id; how often each search is asked.
const BY_ID: usize = 500;
const ROUNDS: usize = 5;

/// Name, query and how many traces it must find of the newest twenty; `None`: the servers must agree.
const SEARCHES: [(&str, &str, Option<usize>); 8] = [
    ("attribute equality", "{ span.user.id = \"user-needle\" }", Some(1)),
    ("duration", "{ duration > 2.5s }", None),
    ("status", "{ status = error }", Some(20)),
    ("regex", "{ span.url.path =~ \".*/9999[0-4].*\" }", None),
    (
        "structural",
        "{ resource.service.name = \"gateway\" } >> { resource.service.name = \"shipping\" && status = error }",
        None,
    ),
    ("aggregate", "{ resource.service.name = \"orders\" } | count() > 3", None),
    ("nothing found", "{ span.user.id = \"nobody\" }", Some(0)),
    ("wide range", "{ name = \"SELECT orders\" && duration > 600ms }", None),
];

/// Name and query for series; whether its points together are all spans there are.
const SERIES: [(&str, &str, bool); 4] = [
    ("count of all by service", "{} | count_over_time() by (resource.service.name)", true),
    ("rate of failures by name", "{ status = error } | rate() by (name)", false),
    ("quantile by service", "{} | quantile_over_time(duration, .9) by (resource.service.name)", false),
    (
        "histogram of a service",
        "{ resource.service.name = \"orders\" } | histogram_over_time(duration)",
        false,
    ),
];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]
async fn main() -> Result<()> {
    let args = Args::parse();
    std::fs::create_dir_all(&args.scratch)?;
    println!("{}", machine::line());
    let mut columns: Vec<(&str, BTreeMap<String, f64>)> = Vec::new();
    if args.reba.exists() {
        let server = Server::reba(&args.reba, &args.scratch).await?;
        columns.push(("reba", measure(&server, &args).await?));
    } else {
        bail!("there is no {}", args.reba.display());
    }
    match &args.tempo {
        Some(binary) => {
            let server = Server::tempo(binary, &args.scratch).await?;
            columns.push(("tempo", measure(&server, &args).await?));
        }
        None => eprintln!("tempo: TEMPO names no binary, skipped"),
    }
    println!("{}", table(&columns));
    Ok(())
}

/// Feeds a server and asks it.
async fn measure(server: &Server, args: &Args) -> Result<BTreeMap<String, f64>> {
    let spans = SPANS / args.shrink.max(1);
    let mut out = BTreeMap::new();
    let seconds = spans / 8 / PER_SECOND;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let start_ns = now - (seconds + 120) * 1_000_000_000;
    let idle = server.usage()?.cpu;
    let (truth, ids) = feed(server, Generator::new(args.seed, start_ns, PER_SECOND), spans).await?;
    // What is still to be written and put in order is part of the work.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let usage = server.usage()?;
    out.insert("1 spans a CPU-second".to_owned(), truth.spans as f64 / (usage.cpu - idle).max(0.01));
    out.insert("2 bytes a span on disk".to_owned(), server.disk() as f64 / truth.spans as f64);
    out.insert("3 peak memory, MB".to_owned(), usage.peak / 1e6);
    let mut times = Vec::new();
    for id in &ids {
        let began = Instant::now();
        let (status, body) = server.queries.get(&format!("/api/traces/{id}")).await?;
        if status != 200 || body.is_empty() {
            bail!("{}: trace {id} is answered with {status}", server.name);
        }
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    out.insert("4 trace by id, median ms".to_owned(), times[times.len() / 2]);
    out.insert("5 trace by id, p99 ms".to_owned(), times[times.len() * 99 / 100]);
    let (from, to) = (start_ns / 1_000_000_000, now / 1_000_000_000 + 60);
    for (name, query, expected) in SEARCHES {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let path = format!("/api/search?q={}&limit=20&start={from}&end={to}", escaped(query));
            let began = Instant::now();
            let (status, body) = server.queries.get(&path).await?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
            let answer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let found = answer["traces"].as_array().map_or(0, Vec::len);
            if status != 200 || expected.is_some_and(|n| n != found) {
                bail!("{}: {query} is answered with {status}, {found} traces", server.name);
            }
        }
        times.sort_by(f64::total_cmp);
        out.insert(format!("6 {name}, ms"), times[ROUNDS / 2]);
    }
    series(server, (from, to), &truth, &mut out).await?;
    Ok(out)
}

/// Asks for series over the whole range.
async fn series(
    server: &Server,
    (from, to): (u64, u64),
    truth: &Truth,
    out: &mut BTreeMap<String, f64>,
) -> Result<()> {
    for (name, query, is_all) in SERIES {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let query = escaped(query);
            let path = format!("/api/metrics/query_range?q={query}&start={from}&end={to}&step=30s");
            let began = Instant::now();
            let (status, body) = server.queries.get(&path).await?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
            let answer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let lines = answer["series"].as_array().map_or(&[][..], Vec::as_slice);
            let points = lines.iter().filter_map(|line| line["samples"].as_array()).flatten();
            let sum: f64 = points.filter_map(|point| point["value"].as_f64()).sum();
            let is_wrong = status != 200 || sum <= 0.0 || (is_all && sum != truth.spans as f64);
            // A peer that counts otherwise is measured all the same.
            if is_wrong && (status != 200 || server.name == "reba") {
                bail!("{}: {query} is answered with {status}, {sum} in all", server.name);
            }
        }
        times.sort_by(f64::total_cmp);
        out.insert(format!("7 {name}, ms"), times[ROUNDS / 2]);
    }
    Ok(())
}

/// Sends spans; returns what they were, and ids of some traces.
async fn feed(server: &Server, mut generator: Generator, spans: u64) -> Result<(Truth, Vec<String>)> {
    let mut ids = Vec::new();
    let mut tasks: tokio::task::JoinSet<Result<()>> = tokio::task::JoinSet::new();
    let every = (spans / 8 / BY_ID as u64).max(1);
    let (mut traces, mut has_needle) = (0u64, false);
    while generator.truth.spans < spans {
        let mut batch = Vec::new();
        for _ in 0..TOGETHER {
            let is_needle = !has_needle && generator.truth.spans > spans / 2;
            has_needle |= is_needle;
            let trace = generator.trace(is_needle.then_some(NEEDLE));
            if traces.is_multiple_of(every) && ids.len() < BY_ID {
                ids.extend(trace.first().map(|span| format!("{:032x}", u128::from_be_bytes(span.trace_id))));
            }
            traces += 1;
            batch.extend(trace);
        }
        let message = wire::request(&batch);
        if tasks.len() >= IN_FLIGHT
            && let Some(done) = tasks.join_next().await
        {
            done??;
        }
        let client = server.spans.clone();
        tasks.spawn(async move {
            client.call("/opentelemetry.proto.collector.trace.v1.TraceService/Export", &message).await
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok((generator.truth, ids))
}

/// A query as it stands in a path.
fn escaped(text: &str) -> String {
    let byte = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn table(columns: &[(&str, BTreeMap<String, f64>)]) -> String {
    let mut out = String::from("| what |");
    for (name, _) in columns {
        let _ = write!(out, " {name} |");
    }
    out.push_str(" ratio |\n|---|");
    (0..=columns.len()).for_each(|_| out.push_str("---|"));
    let rows = columns.first().map(|(_, figures)| figures.keys().cloned().collect::<Vec<_>>());
    for row in rows.unwrap_or_default() {
        let _ = write!(out, "\n| {} |", row.get(2..).unwrap_or_default());
        let values: Vec<f64> = columns.iter().filter_map(|(_, figures)| figures.get(&row).copied()).collect();
        for value in &values {
            let _ = write!(out, " {value:.2} |");
        }
        let ratio = values.get(1).map_or("-".to_owned(), |peer| format!("{:.2}", values[0] / peer));
        let _ = write!(out, " {ratio} |");
    }
    out
}

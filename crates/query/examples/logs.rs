//! What log queries cost within the process: `cargo run --release -p reba-query --example logs -- [MEGABYTES] [ONLY] [TIMES]`.
//!
//! The lines are those of `bench/logs`, in a store of their own in the folder for temporary files; `ONLY` is a part of a query's
//! name. Every line says CPU and wall milliseconds (medians), and what the answer came to.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::panic)]

#[path = "../../../bench/logs/src/data.rs"]
#[allow(dead_code)]
mod data;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use data::{Generator, INNER, NEEDLE, REGEX, Truth, WORDS, streams};
use reba_columnar::{Columnar, ColumnarConfig};
use reba_disk::{Clock, Env, ManualClock, RealFs};
use reba_model::{Labels, LogBatch, Tenant};
use reba_query::logs::{Direction, InstantLogQuery, LogData, LogEngineConfig, LogQueryEngine, RangeLogQuery};
use reba_storage::{LogAdmin, LogAppender};

const START_NS: i64 = 1_790_000_000_000_000_000;
const LINE_BYTES: u64 = 450;

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

fn fill(db: &Columnar, clock: &ManualClock, megabytes: u64) -> (Truth, i64) {
    let labels: Vec<Labels> = streams()
        .iter()
        .map(|s| {
            Labels::from_pairs([
                ("namespace", s.namespace.as_str()),
                ("pod", &s.pod),
                ("service", &s.service),
            ])
        })
        .collect();
    let mut generator = Generator::new(42, START_NS, megabytes * 1_000_000 / LINE_BYTES);
    let (mut batch, mut spent, mut merging, mut end) = (LogBatch::default(), 0.0, 0.0, 0);
    let mut requests = 0u64;
    while generator.truth.bytes < megabytes * 1_000_000 {
        let mut by_stream: BTreeMap<usize, Vec<(i64, String)>> = BTreeMap::new();
        let before = generator.truth.bytes;
        while generator.truth.bytes - before < 1 << 20 {
            let line = generator.next_line();
            end = line.ns;
            by_stream.entry(line.stream).or_default().push((line.ns, line.text.to_owned()));
        }
        batch.clear();
        for (stream, lines) in by_stream {
            batch.begin_stream(labels[stream].clone());
            for (ns, line) in &lines {
                batch.push(*ns, line, []).unwrap();
            }
        }
        clock.advance(50);
        let before = cpu();
        db.append_logs(&Tenant::single(), &batch).unwrap();
        spent += cpu() - before;
        requests += 1;
        if requests.is_multiple_of(20) {
            let before = cpu();
            while db.maintain(clock.now_ms()).unwrap() {}
            merging += cpu() - before;
        }
    }
    let before = cpu();
    db.flush_logs().unwrap();
    spent += cpu() - before;
    let before = cpu();
    while db.maintain(clock.now_ms()).unwrap() {}
    merging += cpu() - before;
    let mb = generator.truth.bytes as f64 / 1e6;
    let m = db.metrics();
    println!(
        "{mb:.0} MB, {} lines; append and flush {spent:.2} CPU-s ({:.0} MB/CPU-s), merges {merging:.2} CPU-s, together {:.0} MB/CPU-s",
        generator.truth.lines,
        mb / spent,
        mb / (spent + merging)
    );
    println!(
        "{} flushes, {} merges of {} MB; peak {} MB",
        m.flushes,
        m.merges,
        m.merged_bytes >> 20,
        memory("VmHWM")
    );
    println!(
        "{} parts, {} blocks, {:.1} bytes a line, {:.2}x",
        m.parts,
        m.blocks,
        m.part_bytes as f64 / m.part_rows as f64,
        mb * 1e6 / m.part_bytes as f64
    );
    (generator.truth, end)
}

struct Question {
    name: &'static str,
    query: String,
    step: Option<i64>,
    /// What the answer should come to, if that is known.
    right: Option<u64>,
}

fn questions(truth: &Truth, seconds: i64) -> Vec<Question> {
    let all = "{namespace=~\".+\"}";
    let q = |name, query: String, right| Question { name, query, step: None, right };
    vec![
        q("L1 needle", format!("{all} |= `{NEEDLE}`"), Some(truth.needles)),
        q(
            "L1b inner substring",
            format!("sum(count_over_time({all} |= `{INNER}` [{seconds}s]))"),
            Some(truth.inner),
        ),
        q(
            "L2 trace_id after json",
            format!("{all} | json | trace_id=`{}`", truth.trace.0),
            Some(truth.trace.1),
        ),
        Question {
            step: Some(60_000_000_000),
            ..q("L3 count by level", format!("sum by (level) (count_over_time({all} | json [1m]))"), None)
        },
        q("L4 regex", format!("sum(count_over_time({all} |~ `{REGEX}` [{seconds}s]))"), Some(truth.regex)),
        q(
            "L4b regex on a label",
            format!("sum(count_over_time({all} | json | message=~`{REGEX} .*` [{seconds}s]))"),
            Some(truth.regex),
        ),
        q(
            "L5 json, filter, aggregate",
            format!(
                "sum by (service) (count_over_time({all} | json | status >= 500 | duration_ms > 900 [{seconds}s]))"
            ),
            Some(truth.slow),
        ),
        q(
            "L6 p99 by service",
            format!("quantile_over_time(0.99, {all} | json | unwrap duration_ms [{seconds}s]) by (service)"),
            None,
        ),
        q("L7 last 100 errors", "{service=\"svc-03\"} | json | level=`error`".to_owned(), Some(100)),
        q(
            "L8 top users",
            format!("topk(10, sum by (user_id) (count_over_time({all} | json [{seconds}s])))"),
            None,
        ),
        q(
            "three words",
            format!(
                "sum(count_over_time({all} |= `{}` |= `{}` |= `{}` [{seconds}s]))",
                WORDS[0], WORDS[1], WORDS[2]
            ),
            Some(truth.words),
        ),
        q("L9 count all", format!("sum(count_over_time({all} [{seconds}s]))"), Some(truth.lines)),
    ]
}

fn total(data: &LogData) -> f64 {
    match data {
        LogData::Streams(lines) => lines.len() as f64,
        LogData::Vector { samples, .. } => samples.iter().map(|(_, v)| v).sum(),
        LogData::Matrix(series) => series.iter().flat_map(|s| &s.points).map(|(_, v)| v).sum(),
        LogData::Scalar { value, .. } => *value,
    }
}

async fn ask(engine: &LogQueryEngine, question: &Question, end: i64) -> (f64, String) {
    let is_log = question.query.starts_with('{');
    let (query, tenant) = (question.query.clone(), Tenant::single());
    let (limit, direction, timeout) = (100, Direction::Backward, None);
    let output = if is_log || question.step.is_some() {
        let (start, end) = (START_NS, end + 1);
        let step = question.step.unwrap_or(1_000_000_000);
        engine
            .range(
                RangeLogQuery { tenant, query, start, end, step, interval: 0, limit, direction, timeout },
                end,
            )
            .await
    } else {
        engine.instant(InstantLogQuery { tenant, query, ns: end, limit, direction, timeout }, end).await
    };
    let output = output.unwrap();
    let store = output.stats.store;
    let stats = format!(
        "{} of {} blocks skipped, {:.1} MB read, {} lines seen",
        store.blocks_skipped,
        store.blocks,
        store.bytes_read as f64 / 1e6,
        output.stats.lines
    );
    (total(&output.data), stats)
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let megabytes = args.get(1).map_or(300, |a| a.parse().unwrap());
    let only = args.get(2).cloned().unwrap_or_default();
    let times: usize = args.get(3).map_or(7, |a| a.parse().unwrap());
    let dir = std::env::temp_dir().join(format!("reba-log-queries-{}", std::process::id()));
    let clock = Arc::new(ManualClock::new(START_NS / 1_000_000));
    let env = Env { fs: Arc::new(RealFs), clock: Arc::clone(&clock) as _ };
    let db = Arc::new(Columnar::open(&env, &dir, ColumnarConfig::default()).unwrap());
    let (truth, end) = fill(&db, &clock, megabytes);
    let mut config = LogEngineConfig { cores: 2, ..LogEngineConfig::default() };
    config.limits.max_query_series = 0;
    let engine = LogQueryEngine::new(Arc::clone(&db) as _, config).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let scale = 1.2e9 / truth.bytes as f64;
    for question in questions(&truth, (end - START_NS) / 1_000_000_000 + 2) {
        if !question.name.contains(only.as_str()) {
            continue;
        }
        let (answer, stats) = runtime.block_on(ask(&engine, &question, end));
        let (began, before) = (Instant::now(), cpu());
        let mut walls = Vec::new();
        while walls.len() < times || (began.elapsed().as_millis() < 400 && walls.len() < 400) {
            let started = Instant::now();
            runtime.block_on(ask(&engine, &question, end));
            walls.push(started.elapsed().as_secs_f64() * 1e3);
        }
        let spent = (cpu() - before) * 1e3 / walls.len() as f64;
        walls.sort_by(f64::total_cmp);
        println!(
            "{:<28} {:8.2} CPU-ms ({:8.1} for 1.2 GB) {:8.2} ms; {answer} {}; {stats}",
            question.name,
            spent,
            spent * scale,
            walls[walls.len() / 2],
            match question.right {
                Some(right) if (right as f64 - answer).abs() > 0.5 => format!("WRONG, should be {right}"),
                Some(_) => "right".to_owned(),
                None => String::new(),
            },
        );
    }
    println!("memory: {} MB anonymous, {} MB files", memory("RssAnon"), memory("RssFile"));
    drop(engine);
    drop(db);
    std::fs::remove_dir_all(&dir).unwrap();
}

//! Measures the evaluator: `cargo run --release -p reba-promql --example eval [series] [threads]`.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::time::Instant;

use reba_model::{Chunk, ChunkBytes, Labels, Series, encode_floats};
use reba_promql::{
    eval::{EvalOptions, Plan, PlanOptions, QueryTimes, Threads, eval, value::Value},
    syntax::{ParseOptions, parse},
};

/// Eight hours of counters scraped every 15 seconds.
fn counters(count: usize) -> Vec<Series> {
    let samples = 8 * 240;
    (0..count)
        .map(|i| {
            let labels = Labels::from_pairs([
                ("__name__", "http_requests_total"),
                ("instance", &format!("10.0.0.{}:9090", i % 100)),
                ("job", &format!("service-{}", i % 13)),
                ("status_code", &format!("{}", 200 + i % 7)),
                ("route", &format!("/api/v1/thing/{i}")),
            ]);
            let step = (i % 17 + 1) as f64;
            let t: Vec<i64> = (0..samples).map(|k| k * 15_000).collect();
            let v: Vec<f64> = (0..samples).map(|k| (k % 1000) as f64 * step).collect();
            Series { labels, chunks: t.chunks(240).zip(v.chunks(240)).map(|(t, v)| sealed(t, v)).collect() }
        })
        .collect()
}

fn sealed(t: &[i64], v: &[f64]) -> Chunk {
    let mut bytes = Vec::new();
    encode_floats(t, v, &mut bytes);
    Chunk::from_bytes(ChunkBytes::from(bytes.as_slice())).unwrap()
}

fn main() {
    let mut args = std::env::args().skip(1).map(|a| a.parse::<usize>().unwrap());
    let count = args.next().unwrap_or(5_000);
    let threads = Threads(args.next().unwrap_or(1));
    let mut series = counters(count);
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    let range = QueryTimes::Range { start: 0, end: 8 * 3_600_000, step: 120_000 };
    let instant = QueryTimes::Instant { t: 4 * 3_600_000 };
    for (query, times) in [
        ("http_requests_total", range),
        ("rate(http_requests_total[5m])", range),
        ("sum(rate(http_requests_total[5m]))", range),
        ("sum by (job) (rate(http_requests_total[5m]))", range),
        ("topk(10, rate(http_requests_total[5m]))", range),
        ("sum(http_requests_total) / count(http_requests_total)", range),
        ("http_requests_total / ignoring (x) http_requests_total", range),
        ("max_over_time(rate(http_requests_total[5m])[30m:1m])", range),
        ("quantile by (job) (0.95, rate(http_requests_total[5m]))", range),
        ("sum by (job) (rate(http_requests_total[5m]))", instant),
        ("http_requests_total", instant),
    ] {
        let expr = parse(query, ParseOptions::all()).unwrap();
        let plan = Plan::new(&expr, times, PlanOptions::default()).unwrap();
        let fetched: Vec<Vec<Series>> = plan.selectors().iter().map(|_| series.clone()).collect();
        let options = EvalOptions { executor: &threads, ..EvalOptions::default() };
        let mut best = f64::INFINITY;
        let mut found = 0;
        for _ in 0..3 {
            let start = Instant::now();
            let out = eval(&plan, &fetched, &options).unwrap();
            best = best.min(start.elapsed().as_secs_f64());
            found = match out.value {
                Value::Vector(v) => v.len(),
                _ => 1,
            };
        }
        let kind = if plan.is_instant() { "instant" } else { "range" };
        println!("{:9.2} ms  {found:6} series  {kind:7} {query}", best * 1000.0);
    }
}

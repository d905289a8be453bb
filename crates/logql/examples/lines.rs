//! How fast lines go through pipelines: `cargo run --release -p reba-logql --example lines [LINES]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)]

use std::{ops::ControlFlow, sync::Arc, time::Instant};

use reba_logql::{Grid, RangeEval, RangeOptions, leaves, syntax::parse_metric};
use reba_model::{Labels, LogBatch, LogBlock, Tenant};
use reba_storage::{Budget, LogAppender, LogQuerier, LogRequest, LogWant};
use reba_testkit::MemLogStore;

const QUERIES: &[&str] = &[
    r#"sum(count_over_time({env="prod"} [1h]))"#,
    r#"sum(count_over_time({env="prod"} |= "timeout" [1h]))"#,
    r#"sum by (level) (count_over_time({env="prod"} | json [1h]))"#,
    r#"sum(count_over_time({env="prod"} | json | level="error" [1h]))"#,
    r#"sum by (route) (count_over_time({env="prod"} | json | level="error" | status >= 500 [1h]))"#,
    r#"quantile_over_time(0.99, {env="prod"} | json | unwrap took_ms [1h]) by (service)"#,
    r#"sum(count_over_time({env="prod"} | json | trace_id="0123456789abcdef" [1h]))"#,
    r#"sum by (service) (count_over_time({env="prod"} | json | line_format "{{.msg}}" |= "order" [1h]))"#,
];

fn main() {
    let count: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let store = MemLogStore::default();
    let mut batch = LogBatch::default();
    let mut bytes = 0;
    for service in 0..4u64 {
        let service = format!("service-{service}");
        batch.begin_stream(Labels::from_pairs([
            ("app", "shop"),
            ("env", "prod"),
            ("host", "node-1"),
            ("service", service.as_str()),
        ]));
        for i in 0..count / 4 {
            let random = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (i << 7);
            let level = if random.is_multiple_of(20) { "error" } else { "info" };
            let line = format!(
                r#"{{"time":"2026-11-23T10:00:00.{:03}Z","level":"{level}","pid":4711,"hostname":"node-1","trace_id":"{random:016x}","span_id":"{:08x}","request_id":"req-{random:x}","user_id":"user-{}","event":"order.placed","route":"/api/v1/orders","method":"POST","status":{},"took_ms":{}.{},"msg":"order placed for customer, everything went as it should","items":[1,2,3],"ctx":{{"region":"eu-west","attempt":{}}}}}"#,
                i % 1000,
                random >> 32,
                random % 10_000,
                if level == "error" { 503 } else { 200 },
                random % 900,
                random % 10,
                random % 3,
            );
            bytes += line.len();
            batch.push((i * 3_000_000) as i64, &line, []).unwrap();
        }
    }
    store.append_logs(&Tenant::single(), &batch).unwrap();
    drop(batch);
    println!("{count} lines of {} bytes", bytes as u64 / count);
    let blocks = blocks(&store);
    for query in QUERIES {
        let expr = parse_metric(query).unwrap();
        let (aggregation, around) = leaves(&expr)[0];
        let start = Instant::now();
        let grid = Grid::instant(3_600_000_000_000);
        let mut eval = RangeEval::new(aggregation, grid, RangeOptions::of(around, aggregation)).unwrap();
        for block in &blocks {
            eval.feed_line_by_line(block).unwrap();
        }
        let series = eval.finish().unwrap().len();
        let seconds = start.elapsed().as_secs_f64();
        let (rate, each) = (bytes as f64 / 1e6 / seconds, seconds * 1e9 / count as f64);
        println!("{rate:8.0} MB/s {each:6.0} ns/line {series:4} series  {query}");
    }
}

fn blocks(store: &MemLogStore) -> Vec<LogBlock> {
    let (tenant, want, budget) = (Tenant::single(), LogWant::everything(), Arc::new(Budget::unlimited()));
    let range = reba_model::NanoRange::ALL;
    let request = LogRequest { tenant: &tenant, matchers: &[], range, want: &want, budget: &budget };
    let mut blocks = Vec::new();
    for scan in store.scan_logs(&request).unwrap() {
        scan.run(&mut |block| {
            blocks.push(block);
            ControlFlow::Continue(())
        })
        .unwrap();
    }
    blocks
}

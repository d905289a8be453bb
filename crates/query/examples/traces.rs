//! Writes spans and asks for them within one process: what to profile.
//!
//!     cargo run --release -p reba-query --example traces -- FOLDER [SPANS]
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs, dead_code)]

#[path = "../../../bench/traces/src/data.rs"]
mod data;

use std::{fs, sync::Arc, time::Instant};

use data::{Generator, NEEDLE, Value};
use reba_columnar::SpanStore;
use reba_disk::Env;
use reba_model::{
    Tenant,
    spans::{
        AttributeValue, Attributes, InstrumentationScope, Resource, SpanBatch, SpanHead, SpanId, SpanKind,
        SpanStatus, TraceId, ValueRef,
    },
};
use reba_query::traces::{RangeTraceMetrics, TraceById, TraceEngineConfig, TraceQueryEngine, TraceSearch};
use reba_storage::{SpanAdmin, SpanAppender};

const T0: u64 = 1_700_000_000_000_000_000;
const PER_SECOND: u64 = 2000;

const SEARCHES: [(&str, &str); 10] = [
    ("attribute equality", "{ span.user.id = `user-needle` }"),
    ("duration", "{ duration > 2.9s }"),
    ("status", "{ status = error }"),
    ("regex", "{ span.url.path =~ `.*/99999[0-4].*` }"),
    (
        "structural",
        "{ resource.service.name = `gateway` } >> { resource.service.name = `risk` && status = error }",
    ),
    ("aggregate", "{ status = error } | count() > 3"),
    ("nothing found", "{ span.user.id = `nobody` }"),
    ("wide range", "{ name = `SELECT orders` && duration > 700ms }"),
    ("service", "{ resource.service.name = `payments` && duration > 1s }"),
    ("everything", "{}"),
];

fn add(batch: &mut SpanBatch, spans: &[data::Span]) {
    for span in spans {
        batch.begin_group(
            &resource(span),
            &InstrumentationScope { name: "io.opentelemetry".into(), ..Default::default() },
        );
        let mut writer = batch.span();
        for (name, value) in &span.attributes {
            writer.attribute(
                name,
                match value {
                    Value::Text(text) => ValueRef::Str(text),
                    Value::Int(n) => ValueRef::Int(*n),
                    Value::Bool(b) => ValueRef::Bool(*b),
                },
            );
        }
        if let Some((ns, text)) = &span.exception {
            writer.event(*ns as i64, "exception");
            writer.attribute("exception.message", ValueRef::Str(text));
            writer.end();
        }
        let head = SpanHead {
            trace_id: TraceId(span.trace_id),
            span_id: SpanId(span.span_id.to_be_bytes()),
            parent_id: SpanId(span.parent_id.to_be_bytes()),
            start_ns: span.start_ns as i64,
            end_ns: span.end_ns as i64,
            kind: SpanKind::ALL[usize::from(span.kind)],
            status: if span.failed { SpanStatus::Error } else { SpanStatus::Unset },
            name: &span.name,
            ..SpanHead::default()
        };
        writer.finish(&head).unwrap();
    }
}

fn resource(span: &data::Span) -> Resource {
    let value = |value| match value {
        Value::Text(text) => AttributeValue::Str(text),
        Value::Int(n) => AttributeValue::Int(n),
        Value::Bool(b) => AttributeValue::Bool(b),
    };
    let pairs = data::resource(span.service, span.pod).into_iter();
    Resource { attributes: Attributes(pairs.map(|(name, v)| (name.to_owned(), value(v))).collect()) }
}

fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status
        .lines()
        .filter(|l| l.starts_with("VmHWM") || l.starts_with("RssAnon"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("a folder");
    let spans: u64 = arguments.next().map_or(1_000_000, |n| n.parse().unwrap());
    let _ = fs::remove_dir_all(&folder);
    let store = Arc::new(SpanStore::open(&Env::real(), &folder, SpanStore::default_config()).unwrap());
    let mut generator = Generator::new(42, T0, PER_SECOND);
    let tenant = Tenant::single();
    let (mut ids, mut spent, mut bytes) = (Vec::new(), 0.0, 0u64);
    let mut batch = SpanBatch::default();
    while generator.truth.spans < spans {
        batch.clear();
        let is_middle = generator.truth.spans < spans / 2 && generator.truth.spans + 600 > spans / 2;
        for n in 0..60 {
            let trace = generator.trace((is_middle && n == 0).then_some(NEEDLE));
            if ids.len() < 2000 && generator.truth.spans % 97 < 3 {
                ids.push(TraceId(trace[0].trace_id));
            }
            add(&mut batch, &trace);
        }
        bytes += batch.byte_len() as u64;
        let before = cpu_ns();
        store.append_spans(&tenant, &batch).unwrap();
        spent += cpu_ns() - before;
    }
    let before = cpu_ns();
    store.flush_spans().unwrap();
    while store.maintain((T0 / 1_000_000) as i64).unwrap() {}
    spent += cpu_ns() - before;
    let m = store.metrics();
    let n = generator.truth.spans as f64;
    println!(
        "{n} spans, {:.0} B each in memory; {:.0} a CPU-second, {:.1} B each on disk, {} parts, {} blocks; {}",
        bytes as f64 / n,
        n / spent,
        m.part_bytes as f64 / n,
        m.parts,
        m.blocks,
        memory()
    );
    let engine = TraceQueryEngine::new(store, TraceEngineConfig::default()).unwrap();
    ask(&engine, &tenant, &ids, n).await;
}

/// Asks for traces by id, and all questions.
async fn ask(engine: &TraceQueryEngine, tenant: &Tenant, ids: &[TraceId], n: f64) {
    let mut times = Vec::new();
    for id in ids {
        let start = Instant::now();
        let asked = TraceById { tenant: tenant.clone(), id: *id, range: None };
        assert!(!engine.trace(asked).await.unwrap().spans.is_empty());
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "trace by id: median {:.2} ms, p99 {:.2} ms",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
    for round in ["cold", "warm"] {
        for (name, query) in SEARCHES {
            let (before, start) = (cpu(), Instant::now());
            let asked = TraceSearch {
                tenant: tenant.clone(),
                query: query.to_owned(),
                range: None,
                limit: 20,
                spans_per_spanset: 3,
                min_duration_ns: None,
                max_duration_ns: None,
            };
            let output = engine.search(asked).await.unwrap();
            println!(
                "{round} {name}: {:.1} ms, {:.2} CPU-s, {} traces, {} of {} blocks, {} evaluated",
                start.elapsed().as_secs_f64() * 1e3,
                cpu() - before,
                output.traces.len(),
                output.stats.store.blocks,
                output.stats.scans,
                output.stats.traces
            );
        }
    }
    for query in [
        "{} | rate() by (resource.service.name)",
        "{ status = error } | rate()",
        "{} | quantile_over_time(duration, .99)",
    ] {
        let start = Instant::now();
        let end_ns = (T0 + (n as u64 / 8 / PER_SECOND + 60) * 1_000_000_000) as i64;
        let asked = RangeTraceMetrics {
            tenant: tenant.clone(),
            query: query.to_owned(),
            start_ns: T0 as i64,
            end_ns,
            step_ns: 60_000_000_000,
            exemplars: 0,
        };
        let output = engine.metrics_range(asked).await.unwrap();
        println!("{query}: {:.1} ms, {} series", start.elapsed().as_secs_f64() * 1e3, output.series.len());
    }
}

/// CPU time of this thread, in seconds.
fn cpu_ns() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

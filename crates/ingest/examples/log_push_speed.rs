//! How fast pushes of logs are decoded and checked: `cargo run --release -p reba-ingest --example log_push_speed [SECONDS]`.
//!
//! A push of 1 MiB of realistic lines in JSON, in JSON with escapes, in protobuf and in OTLP, without a store.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reba_ingest::{
    loki::{
        LokiReceiver, PushHead,
        config::{LokiConfig, Variables},
        limits::TenantLimits,
    },
    wire::{put_bytes_field, put_fixed64_field, put_varint_field},
};
use reba_model::{LogBatch, Tenant};
use reba_storage::{AppendError, LogAppender, LogReport};

const NOW: i64 = 1_700_000_000_000_000_000;

/// Takes everything, keeps nothing.
struct Nowhere;

impl LogAppender for Nowhere {
    fn append_logs(&self, _: &Tenant, batch: &LogBatch) -> Result<LogReport, AppendError> {
        Ok(LogReport { appended: batch.len(), duplicates: 0 })
    }
}

/// Lines of about 250 bytes in ten streams, a mebibyte of them.
fn streams(line: impl Fn(usize) -> String) -> Vec<(String, Vec<(i64, String)>)> {
    let lines: Vec<(i64, String)> =
        (0..4200).map(|i| (NOW - 5_000_000_000 + i as i64 * 1000, line(i))).collect();
    let names = ["service", "env", "host"];
    let labels = |n: usize| names.map(|name| format!("\"{name}\":\"{name}-{n}\"")).join(",");
    lines.chunks(420).enumerate().map(|(n, lines)| (labels(n), lines.to_vec())).collect()
}

fn json_line(i: usize) -> String {
    format!(
        r#"{{"level":30,"time":{},"pid":17,"hostname":"agent-core-1","trace_id":"{:032x}","span_id":"{i:016x}","user_id":"u-{}","event":"order.created","duration_ms":{},"msg":"request completed for order {i}"}}"#,
        NOW / 1_000_000,
        i * 7919,
        i % 1000,
        i % 350
    )
}

fn plain_line(i: usize) -> String {
    format!(
        "ts=2023-11-14T22:13:20Z level=info caller=server.go:{} msg=request trace_id={:032x} method=GET path=/api/v1/orders/{i} \
         status=200 bytes={} duration={}ms user=u-{} agent=curl/8.4.0 region=eu-west-1 zone=b",
        i % 900,
        i * 7919,
        i * 31 % 9000,
        i % 350,
        i % 1000
    )
}

fn json(streams: &[(String, Vec<(i64, String)>)]) -> Vec<u8> {
    let one = |(labels, lines): &(String, Vec<(i64, String)>)| {
        let lines: Vec<String> = lines
            .iter()
            .map(|(ns, line)| format!("[\"{ns}\",{}]", serde_json::Value::from(line.as_str())))
            .collect();
        format!("{{\"stream\":{{{labels}}},\"values\":[{}]}}", lines.join(","))
    };
    format!("{{\"streams\":[{}]}}", streams.iter().map(one).collect::<Vec<_>>().join(",")).into_bytes()
}

fn protobuf(streams: &[(String, Vec<(i64, String)>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (labels, lines) in streams {
        let selector =
            format!("{{{}}}", labels.replace("\":", "=").replace(",\"", ",").trim_start_matches('"'));
        let mut stream = Vec::new();
        put_bytes_field(1, selector.as_bytes(), &mut stream);
        for (ns, line) in lines {
            let (mut time, mut entry) = (Vec::new(), Vec::new());
            put_varint_field(1, (ns / 1_000_000_000) as u64, &mut time);
            put_varint_field(2, (ns % 1_000_000_000) as u64, &mut time);
            put_bytes_field(1, &time, &mut entry);
            put_bytes_field(2, line.as_bytes(), &mut entry);
            put_bytes_field(2, &entry, &mut stream);
        }
        put_bytes_field(1, &stream, &mut out);
    }
    snap::raw::Encoder::new().compress_vec(&out).unwrap()
}

fn otlp(streams: &[(String, Vec<(i64, String)>)]) -> Vec<u8> {
    let field = |number, bytes: &[u8]| {
        let mut out = Vec::new();
        put_bytes_field(number, bytes, &mut out);
        out
    };
    let attribute = |number, name: &str, value: &str| {
        field(number, &[field(1, name.as_bytes()), field(2, &field(1, value.as_bytes()))].concat())
    };
    let mut out = Vec::new();
    for (n, (_, lines)) in streams.iter().enumerate() {
        let mut scope = Vec::new();
        for (ns, line) in lines {
            let mut record = Vec::new();
            put_fixed64_field(1, *ns as u64, &mut record);
            put_varint_field(2, 9, &mut record);
            put_bytes_field(5, &field(1, line.as_bytes()), &mut record);
            record.extend(attribute(6, "http.route", "/api/v1/orders/:id"));
            put_bytes_field(9, &[7; 16], &mut record);
            put_bytes_field(2, &record, &mut scope);
        }
        let resource = field(1, &attribute(1, "service.name", &format!("service-{n}")));
        put_bytes_field(1, &[resource, field(2, &scope)].concat(), &mut out);
    }
    out
}

fn main() {
    let seconds = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(2);
    let limits = "limits_config: {ingestion_rate_mb: 0, per_stream_rate_limit: 0}";
    for (name, levels) in [("with detected_level", true), ("without", false)] {
        let text = format!("{}, discover_log_levels: {levels}}}", limits.trim_end_matches('}'));
        let config =
            LokiConfig::parse(&text, std::path::Path::new("loki.yml"), &Variables::default()).unwrap().0;
        let limits = Arc::new(TenantLimits::new(&config));
        let receiver = LokiReceiver::new(Arc::new(Nowhere), limits, Arc::new(|| NOW), 7);
        let (plain, escaped) = (streams(plain_line), streams(json_line));
        let bodies = [
            ("JSON, plain lines", Some("application/json"), json(&plain), &plain),
            ("JSON, lines in JSON", Some("application/json"), json(&escaped), &escaped),
            ("protobuf, plain lines", None, protobuf(&plain), &plain),
            ("protobuf, lines in JSON", None, protobuf(&escaped), &escaped),
            ("OTLP", Some("application/x-protobuf"), otlp(&escaped), &escaped),
        ];
        println!("{name}:");
        for (form, content_type, body, streams) in &bodies {
            let bytes: usize = streams.iter().flat_map(|(_, lines)| lines).map(|(_, line)| line.len()).sum();
            let head = PushHead { content_type: *content_type, content_encoding: None };
            let (start, mut times) = (Instant::now(), 0u32);
            while start.elapsed() < Duration::from_secs(seconds) {
                match *form {
                    "OTLP" => drop(receiver.push_otlp(&Tenant::single(), head, body).unwrap()),
                    _ => receiver.push(&Tenant::single(), head, body).unwrap(),
                }
                times += 1;
            }
            let rate = bytes as f64 * f64::from(times) / start.elapsed().as_secs_f64() / 1e6;
            println!("  {form:24} {rate:7.0} MB of lines a second ({} bytes a request)", body.len());
        }
    }
}

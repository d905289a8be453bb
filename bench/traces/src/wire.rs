//! OTLP in protobuf, written by hand: `ExportTraceServiceRequest`.

use crate::data::{Span, Value, resource};

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn fixed64(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn attribute(out: &mut Vec<u8>, field: u64, name: &str, value: &Value) {
    let mut any = Vec::new();
    match value {
        Value::Text(text) => bytes(&mut any, 1, text.as_bytes()),
        Value::Bool(b) => number(&mut any, 2, u64::from(*b)),
        Value::Int(n) => number(&mut any, 3, *n as u64),
    }
    let mut pair = Vec::new();
    bytes(&mut pair, 1, name.as_bytes());
    bytes(&mut pair, 2, &any);
    bytes(out, field, &pair);
}

fn span(span: &Span) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    bytes(&mut out, 1, &span.trace_id);
    bytes(&mut out, 2, &span.span_id.to_be_bytes());
    if span.parent_id != 0 {
        bytes(&mut out, 4, &span.parent_id.to_be_bytes());
    }
    bytes(&mut out, 5, span.name.as_bytes());
    number(&mut out, 6, u64::from(span.kind));
    fixed64(&mut out, 7, span.start_ns);
    fixed64(&mut out, 8, span.end_ns);
    span.attributes.iter().for_each(|(name, value)| attribute(&mut out, 9, name, value));
    if let Some((ns, text)) = &span.exception {
        let mut event = Vec::new();
        fixed64(&mut event, 1, *ns);
        bytes(&mut event, 2, b"exception");
        attribute(&mut event, 3, "exception.message", &Value::Text(text.clone()));
        bytes(&mut out, 11, &event);
    }
    if span.failed {
        let mut status = Vec::new();
        number(&mut status, 3, 2);
        bytes(&mut out, 15, &status);
    }
    out
}

/// Spans as their services would send them: those of one pod together.
pub fn request(spans: &[Span]) -> Vec<u8> {
    let mut sorted: Vec<&Span> = spans.iter().collect();
    sorted.sort_by_key(|span| (span.service, span.pod));
    let mut out = Vec::new();
    for group in sorted.chunk_by(|a, b| (a.service, a.pod) == (b.service, b.pod)) {
        let Some(first) = group.first() else { continue };
        let mut of_resource = Vec::new();
        for (name, value) in resource(first.service, first.pod) {
            attribute(&mut of_resource, 1, name, &value);
        }
        let mut scope = Vec::new();
        bytes(&mut scope, 1, b"io.opentelemetry.spring");
        let mut of_scope = Vec::new();
        bytes(&mut of_scope, 1, &scope);
        for one in group {
            bytes(&mut of_scope, 2, &span(one));
        }
        let mut batch = Vec::new();
        bytes(&mut batch, 1, &of_resource);
        bytes(&mut batch, 2, &of_scope);
        bytes(&mut out, 1, &batch);
    }
    out
}

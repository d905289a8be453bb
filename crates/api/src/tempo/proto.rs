//! Answers in protobuf: `tempopb` by field numbers. A `tempopb.Trace` is what OTLP calls `TracesData`.

use reba_ingest::wire::{put_bytes_field, put_double_field, put_fixed64_field, put_varint, put_varint_field};
use reba_model::spans::{AttributeValue, Attributes, InstrumentationScope, Resource, Span};
use reba_query::traces::{
    MetricSeries, SearchOutput, SpanMatch, SpansetMatch, Static, TagNames, TagValues, TraceMatch,
    TraceMetricsOutput, TraceStats, prom_labels,
};

use super::{id, json, trace::ByResource};

/// Appends a message in a field.
fn put_message(number: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let mut message = Vec::new();
    write(&mut message);
    put_bytes_field(number, &message, out);
}

/// Appends a text, unless it is empty.
fn put_text(number: u32, text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        put_bytes_field(number, text.as_bytes(), out);
    }
}

/// Appends a number, unless it is 0.
fn put_number(number: u32, x: u64, out: &mut Vec<u8>) {
    if x != 0 {
        put_varint_field(number, x, out);
    }
}

fn put_time(number: u32, ns: i64, out: &mut Vec<u8>) {
    if ns != 0 {
        put_fixed64_field(number, ns as u64, out);
    }
}

/// A `Trace`.
pub fn trace(groups: &[ByResource<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for group in groups {
        put_message(1, &mut out, |out| {
            put_bytes_field(1, &resource(group.resource), out);
            for (scope, spans) in &group.scopes {
                put_message(2, out, |out| {
                    put_message(1, out, |out| put_scope(scope, out));
                    for span in spans {
                        put_message(2, out, |out| put_span(span, out));
                    }
                });
            }
        });
    }
    out
}

/// A `TraceByIDResponse`.
pub fn trace_v2(groups: &[ByResource<'_>], bytes_read: u64, message: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes_field(1, &trace(groups), &mut out);
    put_message(2, &mut out, |out| put_number(1, bytes_read, out));
    put_number(3, u64::from(!message.is_empty()), &mut out);
    put_text(4, message, &mut out);
    out
}

/// A `Resource`: equal bytes for equal resources.
pub fn resource(resource: &Resource) -> Vec<u8> {
    let mut out = Vec::new();
    put_attributes(1, &resource.attributes, &mut out);
    out
}

fn put_scope(scope: &InstrumentationScope, out: &mut Vec<u8>) {
    put_text(1, &scope.name, out);
    put_text(2, &scope.version, out);
    put_attributes(3, &scope.attributes, out);
}

fn put_span(span: &Span, out: &mut Vec<u8>) {
    put_bytes_field(1, &span.trace_id.0, out);
    put_bytes_field(2, &span.span_id.0, out);
    put_text(3, &span.trace_state, out);
    if !span.parent_id.is_none() {
        put_bytes_field(4, &span.parent_id.0, out);
    }
    put_text(5, &span.name, out);
    put_number(6, span.kind as u64, out);
    put_time(7, span.start_ns, out);
    put_time(8, span.end_ns, out);
    put_attributes(9, &span.attributes, out);
    put_number(10, u64::from(span.extra.dropped_attributes), out);
    for event in &span.events {
        put_message(11, out, |out| {
            put_time(1, event.ns, out);
            put_text(2, &event.name, out);
            put_attributes(3, &event.attributes, out);
        });
    }
    put_number(12, u64::from(span.extra.dropped_events), out);
    for link in &span.links {
        put_message(13, out, |out| {
            put_bytes_field(1, &link.trace_id.0, out);
            put_bytes_field(2, &link.span_id.0, out);
            put_text(3, &link.trace_state, out);
            put_attributes(4, &link.attributes, out);
        });
    }
    put_number(14, u64::from(span.extra.dropped_links), out);
    put_message(15, out, |out| {
        put_text(2, &span.status_message, out);
        put_number(3, span.status as u64, out);
    });
    if span.extra.flags != 0 {
        put_varint(16 << 3 | 5, out);
        out.extend_from_slice(&span.extra.flags.to_le_bytes());
    }
}

fn put_attributes(number: u32, attributes: &Attributes, out: &mut Vec<u8>) {
    for (name, value) in attributes.iter() {
        put_message(number, out, |out| {
            put_text(1, name, out);
            put_message(2, out, |out| put_value(value, out));
        });
    }
}

/// An `AnyValue`. Values are nested no deeper than the receiver lets them be.
fn put_value(value: &AttributeValue, out: &mut Vec<u8>) {
    match value {
        AttributeValue::Str(text) => put_bytes_field(1, text.as_bytes(), out),
        AttributeValue::Bool(x) => put_varint_field(2, u64::from(*x), out),
        AttributeValue::Int(x) => put_varint_field(3, *x as u64, out),
        AttributeValue::Float(x) => put_double_field(4, *x, out),
        AttributeValue::Array(values) => put_message(5, out, |out| {
            for value in values {
                put_message(1, out, |out| put_value(value, out));
            }
        }),
        AttributeValue::Map(map) => put_message(6, out, |out| put_attributes(1, map, out)),
        AttributeValue::Bytes(bytes) => put_bytes_field(7, bytes, out),
    }
}

/// A `KeyValue` of a value of the language.
fn put_static(number: u32, name: &str, value: &Static, out: &mut Vec<u8>) {
    put_message(number, out, |out| {
        put_text(1, name, out);
        put_message(2, out, |out| put_value(&json::attribute_value(value), out));
    });
}

/// A `SearchResponse`.
pub fn search(output: &SearchOutput) -> Vec<u8> {
    let mut out = Vec::new();
    for found in &output.traces {
        put_message(1, &mut out, |out| put_trace_match(found, out));
    }
    put_message(2, &mut out, |out| put_search_stats(&output.stats, out));
    out
}

fn put_search_stats(stats: &TraceStats, out: &mut Vec<u8>) {
    put_number(1, stats.traces, out);
    put_number(2, stats.store.bytes_read, out);
    put_number(3, stats.scans, out);
    put_jobs([4, 5], stats, out);
    put_number(7, stats.spans, out);
}

/// How many scans have ended, of how many. Equal numbers tell that nothing more will come; without a scan there was one job.
fn put_jobs([completed, total]: [u32; 2], stats: &TraceStats, out: &mut Vec<u8>) {
    let open = stats.scans.saturating_sub(stats.scans_done);
    put_number(completed, stats.scans.max(1) - open, out);
    put_number(total, stats.scans.max(1), out);
}

fn put_trace_match(found: &TraceMatch, out: &mut Vec<u8>) {
    put_text(1, &id::trimmed(found.trace_id), out);
    put_text(2, &found.root_service, out);
    put_text(3, &found.root_name, out);
    put_number(4, found.start_ns as u64, out);
    put_number(5, u64::from(json::duration_ms(found.duration_ns)), out);
    if let Some(first) = found.spansets.first() {
        put_message(6, out, |out| put_spanset(first, out));
    }
    for spanset in &found.spansets {
        put_message(7, out, |out| put_spanset(spanset, out));
    }
    for (service, stats) in &found.services {
        put_message(8, out, |out| {
            put_text(1, service, out);
            put_message(2, out, |out| {
                put_number(1, u64::from(stats.spans), out);
                put_number(2, u64::from(stats.errors), out);
            });
        });
    }
}

fn put_spanset(spanset: &SpansetMatch, out: &mut Vec<u8>) {
    for span in &spanset.spans {
        put_message(1, out, |out| put_span_match(span, out));
    }
    put_number(2, spanset.matched as u64, out);
    for (name, value) in &spanset.attributes {
        put_static(3, name, value, out);
    }
}

fn put_span_match(span: &SpanMatch, out: &mut Vec<u8>) {
    put_text(1, &span.span_id.to_string(), out);
    put_text(2, &span.name, out);
    put_number(3, span.start_ns as u64, out);
    put_number(4, span.duration_ns.max(0) as u64, out);
    for (name, value) in &span.attributes {
        put_static(5, name, value, out);
    }
}

fn put_tag_stats(number: u32, stats: &TraceStats, out: &mut Vec<u8>) {
    put_message(number, out, |out| {
        put_number(1, stats.store.bytes_read, out);
        // `MetadataMetrics`: totalJobs, completedJobs.
        put_jobs([3, 2], stats, out);
    });
}

/// A `SearchTagsResponse`.
pub fn tag_names(output: &TagNames) -> Vec<u8> {
    let mut out = Vec::new();
    for name in json::all_names(output) {
        put_bytes_field(1, name.as_bytes(), &mut out);
    }
    put_tag_stats(2, &output.stats, &mut out);
    out
}

/// A `SearchTagsV2Response`.
pub fn tag_names_by_scope(output: &TagNames) -> Vec<u8> {
    let mut out = Vec::new();
    for (scope, names) in &output.scopes {
        put_message(1, &mut out, |out| {
            put_text(1, scope.as_str(), out);
            for name in names {
                put_bytes_field(2, name.as_bytes(), out);
            }
        });
    }
    put_tag_stats(2, &output.stats, &mut out);
    out
}

/// A `SearchTagValuesResponse`.
pub fn tag_values(output: &TagValues) -> Vec<u8> {
    let mut out = Vec::new();
    output.values.iter().for_each(|v| put_bytes_field(1, v.value.as_bytes(), &mut out));
    put_tag_stats(2, &output.stats, &mut out);
    out
}

/// A `SearchTagValuesV2Response`.
pub fn typed_tag_values(output: &TagValues) -> Vec<u8> {
    let mut out = Vec::new();
    for value in &output.values {
        put_message(1, &mut out, |out| {
            put_text(1, value.kind, out);
            put_text(2, &value.value, out);
        });
    }
    put_tag_stats(2, &output.stats, &mut out);
    out
}

/// A `QueryRangeResponse`.
pub fn series(output: &TraceMetricsOutput) -> Vec<u8> {
    let mut out = Vec::new();
    for series in &output.series {
        put_message(1, &mut out, |out| put_series(series, &output.times, out));
    }
    put_message(2, &mut out, |out| put_search_stats(&output.stats, out));
    if let Some(message) = json::incomplete(output) {
        put_number(3, 1, &mut out);
        put_text(4, &message, &mut out);
    }
    out
}

fn put_series(series: &MetricSeries, times: &[i64], out: &mut Vec<u8>) {
    for (name, value) in &series.labels {
        put_static(1, name, value, out);
    }
    for (ns, value) in json::samples(series, times) {
        put_message(2, out, |out| {
            put_double_field(1, value, out);
            put_varint_field(2, (ns / 1_000_000) as u64, out);
        });
    }
    put_text(3, &prom_labels(&series.labels), out);
    for exemplar in &series.exemplars {
        put_message(4, out, |out| {
            put_static(1, "trace:id", &Static::Str(exemplar.trace_id.to_string()), out);
            put_static(1, "span:id", &Static::Str(exemplar.span_id.to_string()), out);
            put_double_field(2, exemplar.value, out);
            put_varint_field(3, (exemplar.ns / 1_000_000) as u64, out);
        });
    }
}

/// A `QueryInstantResponse`.
pub fn values(output: &TraceMetricsOutput) -> Vec<u8> {
    let mut out = Vec::new();
    for series in &output.series {
        let Some((_, value)) = json::samples(series, &output.times).last() else { continue };
        put_message(1, &mut out, |out| {
            for (name, label) in &series.labels {
                put_static(1, name, label, out);
            }
            put_double_field(2, value, out);
            put_text(3, &prom_labels(&series.labels), out);
        });
    }
    put_message(2, &mut out, |out| put_search_stats(&output.stats, out));
    out
}

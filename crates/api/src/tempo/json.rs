//! Answers as JSON in the form of protobuf's mapping: whole numbers of 64 bits are texts, bytes are base64, zeros are left out.

use std::{collections::BTreeSet, io::Write as _};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reba_model::{
    float,
    spans::{AttributeValue, Attributes, Span, SpanKind, SpanStatus},
};
use reba_query::traces::{
    MetricSeries, SearchOutput, SpansetMatch, Static, TagNames, TagScope, TagValues, TraceMatch,
    TraceMetricsOutput, TraceStats, prom_labels,
};

use super::{id, trace::ByResource};
use crate::json::{write_list, write_string};

/// An object in the making.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

/// Writes an object.
fn object(out: &mut Vec<u8>, fields: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    fields(&mut Object { out, first: true });
    out.push(b'}');
}

impl Object<'_> {
    /// Begins a field whose value the caller writes.
    fn field(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        write_string(self.out, name);
        self.out.push(b':');
        self.out
    }

    /// A text, unless it is empty.
    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            write_string(self.field(name), value);
        }
    }

    /// A number of 64 bits, unless it is 0.
    fn long(&mut self, name: &str, value: i64) {
        if value != 0 {
            let _ = write!(self.field(name), "\"{value}\"");
        }
    }

    /// A number of 32 bits, unless it is 0.
    fn int(&mut self, name: &str, value: u64) {
        if value != 0 {
            let _ = write!(self.field(name), "{value}");
        }
    }

    /// Bytes.
    fn bytes(&mut self, name: &str, value: &[u8]) {
        let _ = write!(self.field(name), "\"{}\"", BASE64_STANDARD.encode(value));
    }

    /// A list, unless it is empty.
    fn list<T>(&mut self, name: &str, items: &[T], mut write: impl FnMut(&mut Vec<u8>, &T)) {
        if !items.is_empty() {
            write_list(self.field(name), items, |out, item| {
                write(out, item);
                true
            });
        }
    }

    fn attributes(&mut self, attributes: &Attributes) {
        self.list("attributes", &attributes.0, |out, (key, value)| write_attribute(out, key, value));
    }
}

/// `{"batches": …}`
pub fn trace_v1(groups: &[ByResource<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    object(&mut out, |o| o.list("batches", groups, write_group));
    out
}

/// `{"trace": {"resourceSpans": …}, …}`
pub fn trace_v2(groups: &[ByResource<'_>], bytes_read: u64, message: &str) -> Vec<u8> {
    let mut out = Vec::new();
    object(&mut out, |o| {
        object(o.field("trace"), |o| o.list("resourceSpans", groups, write_group));
        object(o.field("metrics"), |o| o.long("inspectedBytes", bytes_read as i64));
        o.text("status", if message.is_empty() { "COMPLETE" } else { "PARTIAL" });
        o.text("message", message);
    });
    out
}

fn write_group(out: &mut Vec<u8>, group: &ByResource<'_>) {
    object(out, |o| {
        object(o.field("resource"), |o| o.attributes(&group.resource.attributes));
        o.list("scopeSpans", &group.scopes, |out, (scope, spans)| {
            object(out, |o| {
                object(o.field("scope"), |o| {
                    o.text("name", &scope.name);
                    o.text("version", &scope.version);
                    o.attributes(&scope.attributes);
                });
                o.list("spans", spans, |out, span| write_span(out, span));
            });
        });
    });
}

fn write_span(out: &mut Vec<u8>, span: &Span) {
    object(out, |o| {
        o.bytes("traceId", &span.trace_id.0);
        o.bytes("spanId", &span.span_id.0);
        o.text("traceState", &span.trace_state);
        if !span.parent_id.is_none() {
            o.bytes("parentSpanId", &span.parent_id.0);
        }
        o.text("name", &span.name);
        if span.kind != SpanKind::Unspecified {
            o.text("kind", kind_name(span.kind));
        }
        o.long("startTimeUnixNano", span.start_ns);
        o.long("endTimeUnixNano", span.end_ns);
        o.attributes(&span.attributes);
        o.int("droppedAttributesCount", u64::from(span.extra.dropped_attributes));
        o.list("events", &span.events, |out, event| {
            object(out, |o| {
                o.long("timeUnixNano", event.ns);
                o.text("name", &event.name);
                o.attributes(&event.attributes);
            });
        });
        o.int("droppedEventsCount", u64::from(span.extra.dropped_events));
        o.list("links", &span.links, |out, link| {
            object(out, |o| {
                o.bytes("traceId", &link.trace_id.0);
                o.bytes("spanId", &link.span_id.0);
                o.text("traceState", &link.trace_state);
                o.attributes(&link.attributes);
            });
        });
        o.int("droppedLinksCount", u64::from(span.extra.dropped_links));
        object(o.field("status"), |o| {
            o.text("message", &span.status_message);
            match span.status {
                SpanStatus::Unset => {}
                SpanStatus::Ok => o.text("code", "STATUS_CODE_OK"),
                SpanStatus::Error => o.text("code", "STATUS_CODE_ERROR"),
            }
        });
        o.int("flags", u64::from(span.extra.flags));
    });
}

/// OpenTelemetry's name of a kind.
fn kind_name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "SPAN_KIND_UNSPECIFIED",
        SpanKind::Internal => "SPAN_KIND_INTERNAL",
        SpanKind::Server => "SPAN_KIND_SERVER",
        SpanKind::Client => "SPAN_KIND_CLIENT",
        SpanKind::Producer => "SPAN_KIND_PRODUCER",
        SpanKind::Consumer => "SPAN_KIND_CONSUMER",
    }
}

fn write_attribute(out: &mut Vec<u8>, key: &str, value: &AttributeValue) {
    object(out, |o| {
        o.text("key", key);
        write_value(o.field("value"), value);
    });
}

/// Values are nested no deeper than the receiver lets them be.
fn write_value(out: &mut Vec<u8>, value: &AttributeValue) {
    object(out, |o| match value {
        AttributeValue::Str(text) => write_string(o.field("stringValue"), text),
        AttributeValue::Bool(x) => {
            let _ = write!(o.field("boolValue"), "{x}");
        }
        AttributeValue::Int(x) => {
            let _ = write!(o.field("intValue"), "\"{x}\"");
        }
        AttributeValue::Float(x) => write_double(o.field("doubleValue"), *x),
        AttributeValue::Array(values) => {
            object(o.field("arrayValue"), |o| o.list("values", values, write_value));
        }
        AttributeValue::Map(map) => object(o.field("kvlistValue"), |o| {
            o.list("values", &map.0, |out, (key, value)| write_attribute(out, key, value));
        }),
        AttributeValue::Bytes(bytes) => o.bytes("bytesValue", bytes),
    });
}

/// A number; one that JSON has not as a text.
fn write_double(out: &mut Vec<u8>, x: f64) {
    let text = match x {
        _ if x.is_finite() => float::format_json(x),
        _ if x.is_nan() => "\"NaN\"".to_owned(),
        _ if x > 0.0 => "\"Infinity\"".to_owned(),
        _ => "\"-Infinity\"".to_owned(),
    };
    out.extend_from_slice(text.as_bytes());
}

/// A value of the language, as people read it.
pub fn static_text(value: &Static) -> String {
    match value {
        Static::Nil => "nil".to_owned(),
        Static::Int(x) => x.to_string(),
        Static::Float(x) => float::format_g(*x),
        Static::Str(text) => text.clone(),
        Static::Bool(x) => x.to_string(),
        Static::Duration(ns) => reba_logql::units::format_go_duration(*ns),
        Static::Status(status) => status.as_str().to_owned(),
        Static::Kind(kind) => kind.as_str().to_owned(),
        Static::Many(values) => values.iter().map(static_text).collect::<Vec<_>>().join(","),
    }
}

fn write_static(out: &mut Vec<u8>, key: &str, value: &Static) {
    write_attribute(out, key, &attribute_value(value));
}

/// A value of the language as an attribute has it; of several a list, unless there is only one.
pub fn attribute_value(value: &Static) -> AttributeValue {
    match value {
        Static::Int(x) => AttributeValue::Int(*x),
        Static::Float(x) => AttributeValue::Float(*x),
        Static::Bool(x) => AttributeValue::Bool(*x),
        Static::Many(values) => match values.as_slice() {
            [one] => attribute_value(one),
            several => AttributeValue::Array(several.iter().map(attribute_value).collect()),
        },
        other => AttributeValue::Str(static_text(other)),
    }
}

/// Milliseconds of a duration, as an answer to a search has them.
pub fn duration_ms(ns: i64) -> u32 {
    u32::try_from((ns / 1_000_000).max(0)).unwrap_or(u32::MAX)
}

/// The answer to a search.
pub fn search(output: &SearchOutput) -> Vec<u8> {
    let mut out = Vec::new();
    object(&mut out, |o| {
        write_list(o.field("traces"), &output.traces, |out, found| {
            write_match(out, found);
            true
        });
        write_search_stats(o.field("metrics"), &output.stats);
    });
    out
}

fn write_search_stats(out: &mut Vec<u8>, stats: &TraceStats) {
    object(out, |o| {
        o.int("inspectedTraces", stats.traces);
        o.long("inspectedBytes", stats.store.bytes_read as i64);
        o.long("inspectedSpans", stats.spans as i64);
        o.int("totalBlocks", stats.scans);
        o.int("completedJobs", stats.scans.max(1));
        o.int("totalJobs", stats.scans.max(1));
    });
}

fn write_match(out: &mut Vec<u8>, found: &TraceMatch) {
    object(out, |o| {
        o.text("traceID", &id::trimmed(found.trace_id));
        o.text("rootServiceName", &found.root_service);
        o.text("rootTraceName", &found.root_name);
        o.long("startTimeUnixNano", found.start_ns);
        o.int("durationMs", u64::from(duration_ms(found.duration_ns)));
        if let Some(first) = found.spansets.first() {
            write_spanset(o.field("spanSet"), first);
        }
        o.list("spanSets", &found.spansets, write_spanset);
        object(o.field("serviceStats"), |o| {
            for (service, stats) in &found.services {
                object(o.field(service), |o| {
                    o.int("spanCount", u64::from(stats.spans));
                    o.int("errorCount", u64::from(stats.errors));
                });
            }
        });
    });
}

fn write_spanset(out: &mut Vec<u8>, spanset: &SpansetMatch) {
    object(out, |o| {
        o.list("spans", &spanset.spans, |out, span| {
            object(out, |o| {
                o.text("spanID", &span.span_id.to_string());
                o.text("name", &span.name);
                o.long("startTimeUnixNano", span.start_ns);
                o.long("durationNanos", span.duration_ns.max(0));
                o.list("attributes", &span.attributes, |out, (key, value)| write_static(out, key, value));
            });
        });
        o.int("matched", spanset.matched as u64);
        o.list("attributes", &spanset.attributes, |out, (key, value)| write_static(out, key, value));
    });
}

/// Names of all scopes together, sorted.
pub fn all_names(output: &TagNames) -> Vec<&str> {
    let attributes = output.scopes.iter().filter(|(scope, _)| *scope != TagScope::Intrinsic);
    let mut names: BTreeSet<&str> =
        attributes.flat_map(|(_, names)| names.iter().map(String::as_str)).collect();
    if let [(TagScope::Intrinsic, only)] = output.scopes.as_slice() {
        names.extend(only.iter().map(String::as_str));
    }
    names.into_iter().collect()
}

/// `{"tagNames": […]}`
pub fn tag_names(output: &TagNames) -> Vec<u8> {
    let mut out = Vec::new();
    object(&mut out, |o| {
        write_texts(o.field("tagNames"), all_names(output));
        write_tag_stats(o.field("metrics"), &output.stats);
    });
    out
}

/// `{"scopes": […]}`
pub fn tag_names_by_scope(output: &TagNames) -> Vec<u8> {
    let mut out = Vec::new();
    object(&mut out, |o| {
        write_list(o.field("scopes"), &output.scopes, |out, (scope, names)| {
            object(out, |o| {
                o.text("name", scope.as_str());
                write_texts(o.field("tags"), names.iter().map(String::as_str));
            });
            true
        });
        write_tag_stats(o.field("metrics"), &output.stats);
    });
    out
}

/// `{"tagValues": […]}`
pub fn tag_values(output: &TagValues) -> Vec<u8> {
    let mut out = Vec::new();
    object(&mut out, |o| {
        write_texts(o.field("tagValues"), output.values.iter().map(|v| v.value.as_str()));
        write_tag_stats(o.field("metrics"), &output.stats);
    });
    out
}

/// `{"tagValues": [{"type": …}, …]}`
pub fn typed_tag_values(output: &TagValues) -> Vec<u8> {
    let mut out = Vec::new();
    object(&mut out, |o| {
        write_list(o.field("tagValues"), &output.values, |out, value| {
            object(out, |o| {
                o.text("type", value.kind);
                write_string(o.field("value"), &value.value);
            });
            true
        });
        write_tag_stats(o.field("metrics"), &output.stats);
    });
    out
}

fn write_tag_stats(out: &mut Vec<u8>, stats: &TraceStats) {
    object(out, |o| o.long("inspectedBytes", stats.store.bytes_read as i64));
}

fn write_texts<'a>(out: &mut Vec<u8>, texts: impl IntoIterator<Item = &'a str>) {
    write_list(out, texts, |out, text| {
        write_string(out, text);
        true
    });
}

/// Times and values of a series; steps without a value are left out.
pub fn samples(series: &MetricSeries, times: &[i64]) -> impl Iterator<Item = (i64, f64)> {
    let points = times.iter().zip(&series.points);
    points.filter_map(|(ns, value)| value.filter(|v| !v.is_nan()).map(|v| (*ns, v)))
}

/// Why an answer with series is not all of it, if it is not.
pub fn incomplete(output: &TraceMetricsOutput) -> Option<String> {
    if output.truncated {
        return Some(
            "there are more series than query_frontend.metrics.max_response_series allows".to_owned(),
        );
    }
    (!output.warnings.is_empty()).then(|| output.warnings.join("\n"))
}

fn write_labels(o: &mut Object<'_>, series: &MetricSeries) {
    write_list(o.field("labels"), &series.labels, |out, (name, value)| {
        write_static(out, name, value);
        true
    });
}

/// The answer to a query for series.
pub fn series(output: &TraceMetricsOutput) -> Vec<u8> {
    let mut out = Vec::new();
    object(&mut out, |o| {
        write_list(o.field("series"), &output.series, |out, series| {
            object(out, |o| {
                write_labels(o, series);
                write_list(o.field("samples"), samples(series, &output.times), |out, (ns, value)| {
                    let _ = write!(out, "{{\"timestampMs\":\"{}\",\"value\":", ns / 1_000_000);
                    write_double(out, value);
                    out.push(b'}');
                    true
                });
                o.text("promLabels", &prom_labels(&series.labels));
                write_exemplars(o, series);
            });
            true
        });
        write_search_stats(o.field("metrics"), &output.stats);
        if let Some(message) = incomplete(output) {
            o.text("status", "PARTIAL");
            o.text("message", &message);
        }
    });
    out
}

fn write_exemplars(o: &mut Object<'_>, series: &MetricSeries) {
    o.list("exemplars", &series.exemplars, |out, exemplar| {
        object(out, |o| {
            let labels = [
                ("trace:id", Static::Str(exemplar.trace_id.to_string())),
                ("span:id", Static::Str(exemplar.span_id.to_string())),
            ];
            o.list("labels", &labels, |out, (name, value)| write_static(out, name, value));
            write_double(o.field("value"), exemplar.value);
            o.long("timestampMs", exemplar.ns / 1_000_000);
        });
    });
}

/// The answer to a query for one value of each series.
pub fn values(output: &TraceMetricsOutput) -> Vec<u8> {
    let mut out = Vec::new();
    object(&mut out, |o| {
        write_list(o.field("series"), &output.series, |out, series| {
            let Some((_, value)) = samples(series, &output.times).last() else { return false };
            object(out, |o| {
                write_labels(o, series);
                o.text("promLabels", &prom_labels(&series.labels));
                write_double(o.field("value"), value);
            });
            true
        });
        write_search_stats(o.field("metrics"), &output.stats);
    });
    out
}

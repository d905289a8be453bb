//! Jaeger's spans: Thrift's binary protocol over HTTP, and protobuf over gRPC.

mod proto;
mod thrift;

use std::sync::Arc;

use reba_model::spans::{AttributeValue, Attributes, Resource, Span, SpanEvent, SpanId, SpanLink, TraceId};

pub(super) use self::{proto::read as from_protobuf, thrift::read as from_thrift};
use super::foreign::{resource, settle};

/// A tag: a name and a value.
type Tag = (String, AttributeValue);

/// Who made spans.
#[derive(Debug, Default)]
struct Process {
    service: String,
    tags: Vec<Tag>,
}

/// Another span that one refers to.
#[derive(Debug, Default)]
struct Reference {
    trace_id: TraceId,
    span_id: SpanId,
    follows: bool,
}

/// A span as Jaeger has it; times in nanoseconds.
#[derive(Debug, Default)]
struct Jaeger {
    trace_id: TraceId,
    span_id: SpanId,
    parent_id: SpanId,
    name: String,
    start_ns: i64,
    duration_ns: i64,
    references: Vec<Reference>,
    tags: Vec<Tag>,
    logs: Vec<(i64, Vec<Tag>)>,
}

impl Process {
    fn resource(self) -> Arc<Resource> {
        Arc::new(resource(&self.service, self.tags))
    }
}

impl Jaeger {
    fn span(self, resource: Arc<Resource>) -> Span {
        let mut span = Span {
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent_id: self.parent_id,
            name: self.name,
            start_ns: self.start_ns,
            end_ns: self.start_ns.saturating_add(self.duration_ns),
            resource,
            ..Span::default()
        };
        for reference in self.references {
            let is_parent = !reference.follows && reference.trace_id == span.trace_id;
            if is_parent && (span.parent_id.is_none() || span.parent_id == reference.span_id) {
                span.parent_id = reference.span_id;
                continue;
            }
            let kind = if reference.follows { "follows_from" } else { "child_of" };
            let kind = ("opentracing.ref_type".to_owned(), AttributeValue::Str(kind.to_owned()));
            span.links.push(SpanLink {
                trace_id: reference.trace_id,
                span_id: reference.span_id,
                trace_state: String::new(),
                attributes: Attributes(vec![kind]),
            });
        }
        span.events = self.logs.into_iter().map(event).collect();
        settle(&mut span, self.tags);
        span
    }
}

/// A log: its field `event`, or `message`, says what happened.
fn event((ns, mut fields): (i64, Vec<Tag>)) -> SpanEvent {
    let says = |name: &str| fields.iter().position(|(key, _)| key == name);
    let name = match says("event").or_else(|| says("message")).map(|at| fields.remove(at)) {
        Some((_, AttributeValue::Str(text))) => text,
        Some((key, value)) => {
            fields.push((key.clone(), value));
            key
        }
        None => String::new(),
    };
    SpanEvent { ns, name, attributes: Attributes(fields) }
}

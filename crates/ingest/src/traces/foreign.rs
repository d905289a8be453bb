//! What Zipkin's and Jaeger's spans have in common on their way to OpenTelemetry's.

use std::sync::Arc;

use reba_model::spans::{
    AttributeValue, Attributes, InstrumentationScope, Resource, Span, SpanBatch, SpanHead, SpanKind,
    SpanStatus,
};

use super::{TraceError, incoming::Tally};

/// Takes out of a span's tags what OpenTelemetry has places for.
pub(super) fn settle(span: &mut Span, mut tags: Vec<(String, AttributeValue)>) {
    let mut scope = InstrumentationScope::default();
    tags.retain_mut(|(key, value)| match (key.as_str(), value) {
        ("span.kind", AttributeValue::Str(kind)) => {
            let known = SpanKind::ALL.into_iter().find(|k| k.as_str() == kind.as_str());
            span.kind = known.unwrap_or(span.kind);
            known.is_none()
        }
        ("error", AttributeValue::Bool(failed)) => {
            if *failed && span.status == SpanStatus::Unset {
                span.status = SpanStatus::Error;
            }
            !*failed
        }
        ("error", AttributeValue::Str(text)) => {
            // Zipkin's tag says what went wrong; its presence says that something did.
            if text != "false" {
                span.status = SpanStatus::Error;
                if text != "true" && span.status_message.is_empty() {
                    span.status_message = std::mem::take(text);
                }
            }
            false
        }
        ("otel.status_code", AttributeValue::Str(code)) => {
            span.status = match code.as_str() {
                "OK" => SpanStatus::Ok,
                "ERROR" => SpanStatus::Error,
                _ => span.status,
            };
            false
        }
        ("otel.status_description", AttributeValue::Str(text)) => {
            span.status_message = std::mem::take(text);
            false
        }
        ("w3c.tracestate", AttributeValue::Str(text)) => {
            span.trace_state = std::mem::take(text);
            false
        }
        ("otel.scope.name" | "otel.library.name", AttributeValue::Str(text)) => {
            scope.name = std::mem::take(text);
            false
        }
        ("otel.scope.version" | "otel.library.version", AttributeValue::Str(text)) => {
            scope.version = std::mem::take(text);
            false
        }
        _ => true,
    });
    span.attributes = Attributes(tags);
    if scope != InstrumentationScope::default() {
        span.scope = Arc::new(scope);
    }
}

/// A resource with the name of a service and more.
pub(super) fn resource(service: &str, mut more: Vec<(String, AttributeValue)>) -> Resource {
    more.retain(|(key, _)| key != Resource::SERVICE_NAME);
    let name = (Resource::SERVICE_NAME.to_owned(), AttributeValue::Str(service.to_owned()));
    more.insert(0, name);
    Resource { attributes: Attributes(more) }
}

/// Writes spans into a batch. Each counts as if it had taken `bytes`.
pub(super) fn write(
    spans: Vec<Span>,
    bytes: usize,
    out: &mut SpanBatch,
    tally: &mut Tally<'_>,
) -> Result<(), TraceError> {
    let mut source: Option<(Arc<Resource>, Arc<InstrumentationScope>)> = None;
    for mut span in spans {
        let head = SpanHead {
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent_id: span.parent_id,
            status: span.status,
            ..SpanHead::default()
        };
        if !tally.admits(&head, bytes) {
            continue;
        }
        if source.as_ref().is_none_or(|(r, s)| *r != span.resource || *s != span.scope) {
            out.begin_group(&span.resource, &span.scope);
            source = Some((Arc::clone(&span.resource), Arc::clone(&span.scope)));
        }
        tally.cut_all(&mut span.attributes);
        span.events.iter_mut().for_each(|event| tally.cut_all(&mut event.attributes));
        out.push(&span).map_err(|_| TraceError::BatchFull)?;
    }
    Ok(())
}

/// Microseconds as nanoseconds.
pub(super) fn from_us(us: i64) -> i64 {
    us.saturating_mul(1000)
}

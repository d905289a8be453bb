//! `/api/traces/{id}` and `/api/v2/traces/{id}`

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use reba_model::{
    NanoRange, Tenant,
    spans::{InstrumentationScope, Resource, Span},
};
use reba_query::traces::{TraceById, TraceOutput};

use super::{TempoApi, id, json, params::Form, proto, tenant::Owner};
use crate::loki::{Answer, Refusal, blocking};

/// The `Content-Type` of answers in protobuf.
pub const PROTOBUF: &str = "application/protobuf";

/// Spans of one resource, by scope; both in the order of their first span.
pub struct ByResource<'a> {
    /// What made them.
    pub resource: &'a Resource,
    /// The libraries that made them.
    pub scopes: Vec<(&'a InstrumentationScope, Vec<&'a Span>)>,
}

/// `/api/traces/{id}`: 404 without a word if there is none.
pub async fn v1(
    State(api): State<Arc<TempoApi>>,
    Owner(tenant): Owner,
    Path(id): Path<String>,
    headers: HeaderMap,
    form: Form,
) -> Answer {
    let output = find(&api, tenant, &id, &form).await?;
    if output.spans.is_empty() {
        return Ok(StatusCode::NOT_FOUND.into_response());
    }
    let in_json = |output: &TraceOutput| json::trace_v1(&by_resource(&output.spans));
    answer(&headers, output, in_json, |output| proto::trace(&by_resource(&output.spans))).await
}

/// `/api/v2/traces/{id}`: an empty trace if there is none.
pub async fn v2(
    State(api): State<Arc<TempoApi>>,
    Owner(tenant): Owner,
    Path(id): Path<String>,
    headers: HeaderMap,
    form: Form,
) -> Answer {
    let output = find(&api, tenant, &id, &form).await?;
    answer(&headers, output, in_json, in_protobuf).await
}

fn in_json(output: &TraceOutput) -> Vec<u8> {
    json::trace_v2(&by_resource(&output.spans), output.stats.store.bytes_read, &output.warnings.join("\n"))
}

/// A `TraceByIDResponse`.
pub fn in_protobuf(output: &TraceOutput) -> Vec<u8> {
    proto::trace_v2(&by_resource(&output.spans), output.stats.store.bytes_read, &output.warnings.join("\n"))
}

/// `/api/traces/`
pub async fn nothing() -> Refusal {
    Refusal::bad("please provide a traceID")
}

/// Finds a trace; one that is not there has no spans.
async fn find(api: &TempoApi, tenant: Tenant, text: &str, form: &Form) -> Result<TraceOutput, Refusal> {
    let id = id::parse(text).map_err(Refusal::bad)?;
    // Hints to upstream's index; a trace may reach beyond them.
    let range = form.seconds()?.map(widened);
    Ok(api.engine.trace(TraceById { tenant, id, range }).await?)
}

/// Senders round times, and traces begin a little before what is looked at.
fn widened(range: NanoRange) -> NanoRange {
    const HOUR_NS: i64 = 3_600_000_000_000;
    NanoRange::new(range.start.saturating_sub(HOUR_NS), range.end.saturating_add(HOUR_NS))
}

/// Whether an answer should be in protobuf.
fn wants_protobuf(headers: &HeaderMap) -> bool {
    let kinds = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
    kinds.flat_map(|v| v.split(',')).any(|kind| kind.split(';').next().unwrap_or("").trim() == PROTOBUF)
}

/// Writes an answer where threads may block: a trace may have a hundred thousand spans.
pub async fn answer<T: Send + 'static>(
    headers: &HeaderMap,
    output: T,
    in_json: fn(&T) -> Vec<u8>,
    in_protobuf: fn(&T) -> Vec<u8>,
) -> Answer {
    let protobuf = wants_protobuf(headers);
    let write = if protobuf { in_protobuf } else { in_json };
    let body = blocking(move || Ok(write(&output))).await?;
    let kind = if protobuf { PROTOBUF } else { "application/json" };
    Ok::<Response, Refusal>(([(header::CONTENT_TYPE, kind)], body).into_response())
}

/// Puts spans of one resource and one scope together.
pub fn by_resource(spans: &[Span]) -> Vec<ByResource<'_>> {
    let mut groups: Vec<ByResource<'_>> = Vec::new();
    // Spans share their sources; where they do not, equal ones are found by what they look like.
    let mut places: HashMap<(*const Resource, *const InstrumentationScope), (usize, usize)> = HashMap::new();
    let mut alike: HashMap<Vec<u8>, usize> = HashMap::new();
    for span in spans {
        let source = (Arc::as_ptr(&span.resource), Arc::as_ptr(&span.scope));
        let (group, scope) = *places.entry(source).or_insert_with(|| {
            let group = *alike.entry(proto::resource(&span.resource)).or_insert_with(|| {
                groups.push(ByResource { resource: &span.resource, scopes: Vec::new() });
                groups.len() - 1
            });
            let scopes = groups.get_mut(group).map(|g| &mut g.scopes);
            let scope = scopes.map_or(0, |scopes| {
                scopes.iter().position(|(scope, _)| **scope == *span.scope).unwrap_or_else(|| {
                    scopes.push((&span.scope, Vec::new()));
                    scopes.len() - 1
                })
            });
            (group, scope)
        });
        if let Some((_, spans)) = groups.get_mut(group).and_then(|g| g.scopes.get_mut(scope)) {
            spans.push(span);
        }
    }
    groups
}

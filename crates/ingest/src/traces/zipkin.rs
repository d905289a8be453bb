//! Zipkin's spans, version 2, in JSON and in protobuf.

use std::{collections::BTreeMap, sync::Arc};

use reba_model::spans::{AttributeValue, Attributes, Resource, Span, SpanEvent, SpanId, SpanKind, TraceId};
use serde::Deserialize;

use super::{
    TraceError,
    foreign::{from_us, resource, settle},
};
use crate::{
    otlp::json::fault,
    wire::{Field, Fields, WireError},
};

/// A span as Zipkin has it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Zipkin {
    trace_id: String,
    id: String,
    parent_id: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    timestamp: Option<i64>,
    duration: Option<i64>,
    local_endpoint: Option<Endpoint>,
    remote_endpoint: Option<Endpoint>,
    annotations: Option<Vec<Annotation>>,
    tags: Option<BTreeMap<String, Option<String>>>,
    shared: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Endpoint {
    service_name: Option<String>,
    ipv4: Option<String>,
    ipv6: Option<String>,
    port: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Annotation {
    timestamp: i64,
    value: String,
}

/// Reads a list of spans in JSON.
pub(super) fn from_json(text: &[u8]) -> Result<Vec<Span>, TraceError> {
    let spans: Vec<Zipkin> = serde_json::from_slice(text).map_err(|e| {
        let fault = fault(text, &e);
        TraceError::Malformed { offset: fault.offset, reason: fault.reason }
    })?;
    Ok(convert(spans))
}

/// Reads a `ListOfSpans` in protobuf.
pub(super) fn from_protobuf(message: &[u8]) -> Result<Vec<Span>, TraceError> {
    let mut fields = Fields::new(message);
    let mut spans = Vec::new();
    loop {
        let offset = message.len() - fields.left();
        let wrong = |e: WireError| TraceError::Malformed { offset, reason: format!("Span: {e}") };
        let Some(field) = fields.next() else { return Ok(convert(spans)) };
        let field = field.map_err(wrong)?;
        if field.number == 1 {
            spans.push(read(field.bytes().map_err(wrong)?).map_err(wrong)?);
        }
    }
}

fn read(message: &[u8]) -> Result<Zipkin, WireError> {
    const KINDS: [&str; 5] = ["", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"];
    let mut span = Zipkin::default();
    let text = |field: Field<'_>| field.string().map(str::to_owned);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => span.trace_id = hex(field.bytes()?),
            2 => span.parent_id = Some(hex(field.bytes()?)),
            3 => span.id = hex(field.bytes()?),
            4 => {
                let kind = usize::try_from(field.varint()?).ok().and_then(|n| KINDS.get(n));
                span.kind = kind.map(|k| (*k).to_owned());
            }
            5 => span.name = Some(text(field)?),
            6 => span.timestamp = Some(field.fixed64()? as i64),
            7 => span.duration = Some(field.varint()? as i64),
            8 => span.local_endpoint = Some(endpoint(field.bytes()?)?),
            9 => span.remote_endpoint = Some(endpoint(field.bytes()?)?),
            10 => span.annotations.get_or_insert_default().push(annotation(field.bytes()?)?),
            11 => {
                let (mut key, mut value) = (String::new(), String::new());
                for part in Fields::new(field.bytes()?) {
                    let part = part?;
                    match part.number {
                        1 => key = text(part)?,
                        2 => value = text(part)?,
                        _ => {}
                    }
                }
                span.tags.get_or_insert_default().insert(key, Some(value));
            }
            13 => span.shared = Some(field.varint()? != 0),
            _ => {}
        }
    }
    Ok(span)
}

fn endpoint(message: &[u8]) -> Result<Endpoint, WireError> {
    let mut end = Endpoint::default();
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => end.service_name = Some(field.string()?.to_owned()),
            2 => {
                let ip: Option<[u8; 4]> = field.bytes()?.try_into().ok();
                end.ipv4 = ip.map(|ip| std::net::Ipv4Addr::from(ip).to_string());
            }
            3 => {
                let ip: Option<[u8; 16]> = field.bytes()?.try_into().ok();
                end.ipv6 = ip.map(|ip| std::net::Ipv6Addr::from(ip).to_string());
            }
            4 => end.port = Some(field.varint()? as i64),
            _ => {}
        }
    }
    Ok(end)
}

fn annotation(message: &[u8]) -> Result<Annotation, WireError> {
    let mut out = Annotation::default();
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => out.timestamp = field.fixed64()? as i64,
            2 => field.string()?.clone_into(&mut out.value),
            _ => {}
        }
    }
    Ok(out)
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    crate::otlp::common::push_hex(bytes, &mut out);
    out
}

fn convert(spans: Vec<Zipkin>) -> Vec<Span> {
    let mut sources: BTreeMap<String, Arc<Resource>> = BTreeMap::new();
    let mut shared: BTreeMap<(TraceId, String, SpanId), SpanId> = BTreeMap::new();
    let mut out: Vec<Span> = Vec::with_capacity(spans.len());
    for zipkin in spans {
        let service = zipkin.local_endpoint.as_ref().and_then(|e| e.service_name.clone()).unwrap_or_default();
        let source =
            sources.entry(service.clone()).or_insert_with(|| Arc::new(resource(&service, Vec::new())));
        let is_shared = zipkin.shared == Some(true);
        let mut span = one(zipkin, Arc::clone(source));
        if is_shared && span.kind == SpanKind::Server {
            // The client's span has this id: the server's gets one of its own, below it.
            let own = id_below(span.span_id);
            shared.insert((span.trace_id, service, span.span_id), own);
            (span.parent_id, span.span_id) = (span.span_id, own);
        }
        out.push(span);
    }
    for span in &mut out {
        let key = (span.trace_id, span.resource.service_name().to_owned(), span.parent_id);
        if let Some(own) = shared.get(&key).filter(|own| **own != span.span_id) {
            span.parent_id = *own;
        }
    }
    out
}

/// The id of a server's span that shares that of its client: always the same.
fn id_below(id: SpanId) -> SpanId {
    SpanId((xxhash_rust::xxh3::xxh3_64(&id.0) | 1).to_be_bytes())
}

fn one(zipkin: Zipkin, resource: Arc<Resource>) -> Span {
    let start_ns = from_us(zipkin.timestamp.unwrap_or(0));
    let mut span = Span {
        // Ids that are none become zero, which is refused with a reason.
        trace_id: TraceId::from_hex(&zipkin.trace_id).unwrap_or_default(),
        span_id: SpanId::from_hex(&zipkin.id).unwrap_or_default(),
        parent_id: zipkin.parent_id.and_then(|id| SpanId::from_hex(&id)).unwrap_or_default(),
        name: zipkin.name.unwrap_or_default(),
        kind: match zipkin.kind.as_deref() {
            Some("CLIENT") => SpanKind::Client,
            Some("SERVER") => SpanKind::Server,
            Some("PRODUCER") => SpanKind::Producer,
            Some("CONSUMER") => SpanKind::Consumer,
            _ => SpanKind::Internal,
        },
        start_ns,
        end_ns: start_ns.saturating_add(from_us(zipkin.duration.unwrap_or(0))),
        resource,
        ..Span::default()
    };
    let events = zipkin.annotations.unwrap_or_default().into_iter();
    span.events = events
        .map(|a| SpanEvent { ns: from_us(a.timestamp), name: a.value, attributes: Attributes::default() })
        .collect();
    let text = |value: Option<String>| AttributeValue::Str(value.unwrap_or_default());
    let mut tags: Vec<(String, AttributeValue)> =
        zipkin.tags.unwrap_or_default().into_iter().map(|(k, v)| (k, text(v))).collect();
    for (end, prefix) in [(zipkin.local_endpoint, "net.host"), (zipkin.remote_endpoint, "net.peer")] {
        let Some(end) = end else { continue };
        if let (Some(service), "net.peer") = (end.service_name, prefix) {
            tags.push(("peer.service".to_owned(), AttributeValue::Str(service)));
        }
        if let Some(ip) = end.ipv4.or(end.ipv6) {
            tags.push((format!("{prefix}.ip"), AttributeValue::Str(ip)));
        }
        if let Some(port) = end.port.filter(|port| *port != 0) {
            tags.push((format!("{prefix}.port"), AttributeValue::Int(port)));
        }
    }
    settle(&mut span, tags);
    span
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reba_model::spans::SpanStatus;

    use super::*;

    const PAIR: &str = r#"[
      {"traceId": "5af7183fb1d4cf5f", "id": "6b221d5bc9e6496c", "kind": "CLIENT", "name": "get /",
       "timestamp": 1556604172355737, "duration": 1431,
       "localEndpoint": {"serviceName": "front", "ipv4": "1.2.3.4"},
       "remoteEndpoint": {"serviceName": "back", "port": 80},
       "annotations": [{"timestamp": 1556604172355800, "value": "foo"}], "tags": {"http.path": "/", "error": "500"}},
      {"traceId": "5af7183fb1d4cf5f", "id": "6b221d5bc9e6496c", "kind": "SERVER", "shared": true,
       "localEndpoint": {"serviceName": "back"}},
      {"traceId": "5af7183fb1d4cf5f", "id": "1", "parentId": "6b221d5bc9e6496c",
       "localEndpoint": {"serviceName": "back"}}]"#;

    #[test]
    fn a_shared_id_becomes_a_parent_and_a_child() {
        let spans = from_json(PAIR.as_bytes()).unwrap();
        let [client, server, inner] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!(client.trace_id.to_string(), "00000000000000005af7183fb1d4cf5f");
        assert_eq!((client.start_ns, client.duration_ns()), (1_556_604_172_355_737_000, 1_431_000));
        assert_eq!((client.status, client.status_message.as_str()), (SpanStatus::Error, "500"));
        assert_eq!(client.attributes.text("peer.service"), Some("back"));
        assert_eq!(client.attributes.text("net.host.ip"), Some("1.2.3.4"));
        assert_eq!((client.events[0].name.as_str(), client.attributes.get("error")), ("foo", None));
        assert_eq!((server.parent_id, server.resource.service_name()), (client.span_id, "back"));
        assert_ne!(server.span_id, client.span_id);
        assert_eq!(inner.parent_id, server.span_id);
    }

    #[test]
    fn a_fault_has_its_place() {
        let error = from_json(b"[{\"traceId\": 7}]").unwrap_err().to_string();
        assert!(error.starts_with("byte 13: invalid type: integer `7`"), "{error}");
        let error = from_protobuf(&[0x0a, 2, 0x0a]).unwrap_err().to_string();
        assert_eq!(error, "byte 0: Span: protobuf message ends inside a field");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (from_protobuf(&bytes), from_json(&bytes));
        }
    }
}

//! Spans of an `ExportTraceServiceRequest`, which has the form of a `TracesData` and of Tempo's `Trace`, too.

use reba_model::spans::{
    AttributeValue, Attributes, InstrumentationScope, Resource, SpanBatch, SpanHead, SpanId, SpanKind,
    SpanStatus, SpanWriter, TraceId, ValueRef,
};

use super::{
    TraceError,
    incoming::{MAX_BUILT, Tally},
};
use crate::{
    otlp::{
        MAX_DEPTH, OtlpError,
        common::{Attribute, Value, submessages, values},
        schema,
    },
    wire::{Fields, WireError},
};

/// Why the walk ends before its end.
#[derive(Debug)]
enum Fault {
    /// The bytes are no message.
    Wire(WireError),
    /// There is too much in one attribute, resource or scope.
    TooMany,
    /// The batch is full.
    Full,
}

impl From<WireError> for Fault {
    fn from(e: WireError) -> Self {
        Fault::Wire(e)
    }
}

/// Writes the spans of a request in protobuf into a batch.
pub(super) fn read(message: &[u8], out: &mut SpanBatch, tally: &mut Tally<'_>) -> Result<(), TraceError> {
    walk(message, out, tally).map_err(|fault| match fault {
        Fault::TooMany => TraceError::TooManyValues { limit: MAX_BUILT },
        Fault::Full => TraceError::BatchFull,
        Fault::Wire(e) => {
            let found = schema::locate(message, &schema::TRACES_REQUEST);
            let (offset, reason) =
                found.map_or_else(|| (0, e.to_string()), |(at, name, e)| (at, format!("{name}: {e}")));
            TraceError::Otlp(OtlpError::Malformed { offset, reason })
        }
    })
}

fn walk(message: &[u8], out: &mut SpanBatch, tally: &mut Tally<'_>) -> Result<(), Fault> {
    for of_resource in submessages(message, 1) {
        let of_resource = of_resource?;
        let mut resource = Resource::default();
        for part in submessages(of_resource, 1) {
            resource = Resource { attributes: attributes(part?, 1, tally)? };
        }
        // 1000 is where libraries had their spans before they were scopes; the message looks alike.
        for number in [2, 1000] {
            for of_scope in submessages(of_resource, number) {
                let of_scope = of_scope?;
                let mut scope = InstrumentationScope::default();
                for part in submessages(of_scope, 1) {
                    scope = read_scope(part?, tally)?;
                }
                out.begin_group(&resource, &scope);
                spans(of_scope, out, tally)?;
            }
        }
    }
    Ok(())
}

fn spans(of_scope: &[u8], out: &mut SpanBatch, tally: &mut Tally<'_>) -> Result<(), Fault> {
    for message in submessages(of_scope, 2) {
        match span(message?, out.span(), tally) {
            // One span that nobody can read is no reason to lose the others.
            Err(Fault::Wire(WireError::Depth)) => {
                tally.refused.invalid(format!("attribute values are nested in more than {MAX_DEPTH} others"));
            }
            result => result?,
        }
    }
    Ok(())
}

fn read_scope(message: &[u8], tally: &mut Tally<'_>) -> Result<InstrumentationScope, Fault> {
    let mut scope = InstrumentationScope::default();
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => field.string()?.clone_into(&mut scope.name),
            2 => field.string()?.clone_into(&mut scope.version),
            _ => {}
        }
    }
    scope.attributes = attributes(message, 3, tally)?;
    Ok(scope)
}

/// Writes a span, unless it is refused.
fn span(message: &[u8], mut out: SpanWriter<'_>, tally: &mut Tally<'_>) -> Result<(), Fault> {
    let mut head = SpanHead::default();
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => match field.bytes()?.try_into() {
                Ok(id) => head.trace_id = TraceId(id),
                Err(_) => {
                    wrong_id("trace ids must be 128 bit", field.bytes()?, tally);
                    return Ok(());
                }
            },
            2 => match field.bytes()?.try_into() {
                Ok(id) => head.span_id = SpanId(id),
                Err(_) => {
                    wrong_id("span ids must be 64 bit", field.bytes()?, tally);
                    return Ok(());
                }
            },
            3 => head.trace_state = field.string()?,
            // What has not eight bytes names no span.
            4 => head.parent_id = field.bytes()?.try_into().map_or(SpanId::NONE, SpanId),
            5 => head.name = field.string()?,
            6 => head.kind = of(&SpanKind::ALL, field.varint()?),
            7 => head.start_ns = time(field.fixed64()?),
            8 => head.end_ns = time(field.fixed64()?),
            9 => attribute(field.bytes()?, &mut out, tally)?,
            10 => head.extra.dropped_attributes = field.varint()? as u32,
            11 => event(field.bytes()?, &mut out, tally)?,
            12 => head.extra.dropped_events = field.varint()? as u32,
            13 => link(field.bytes()?, &mut out, tally)?,
            14 => head.extra.dropped_links = field.varint()? as u32,
            15 => (head.status, head.status_message) = status(field.bytes()?)?,
            16 => head.extra.flags = field.fixed32()?,
            _ => {}
        }
    }
    if tally.admits(&head, message.len()) { out.finish(&head).map_err(|_| Fault::Full) } else { Ok(()) }
}

fn wrong_id(rule: &str, id: &[u8], tally: &mut Tally<'_>) {
    tally.refused.invalid(format!("{rule}, received {} bits", id.len() * 8));
}

fn event(message: &[u8], out: &mut SpanWriter<'_>, tally: &mut Tally<'_>) -> Result<(), Fault> {
    let (mut ns, mut name) = (0, "");
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => ns = time(field.fixed64()?),
            2 => name = field.string()?,
            _ => {}
        }
    }
    out.event(ns, name);
    for part in submessages(message, 3) {
        attribute(part?, out, tally)?;
    }
    out.end();
    Ok(())
}

fn link(message: &[u8], out: &mut SpanWriter<'_>, tally: &mut Tally<'_>) -> Result<(), Fault> {
    let (mut trace_id, mut span_id, mut trace_state) = (TraceId::default(), SpanId::NONE, "");
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => trace_id = field.bytes()?.try_into().map_or(TraceId::default(), TraceId),
            2 => span_id = field.bytes()?.try_into().map_or(SpanId::NONE, SpanId),
            3 => trace_state = field.string()?,
            _ => {}
        }
    }
    out.link(trace_id, span_id, trace_state);
    for part in submessages(message, 4) {
        attribute(part?, out, tally)?;
    }
    out.end();
    Ok(())
}

fn status(message: &[u8]) -> Result<(SpanStatus, &str), Fault> {
    let (mut code, mut text) = (SpanStatus::Unset, "");
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            2 => text = field.string()?,
            3 => code = of(&SpanStatus::ALL, field.varint()?),
            _ => {}
        }
    }
    Ok((code, text))
}

/// Writes an attribute of a span, an event or a link, cut where it is too long.
fn attribute(message: &[u8], out: &mut SpanWriter<'_>, tally: &mut Tally<'_>) -> Result<(), Fault> {
    let Attribute { key, value } = Attribute::read(message)?;
    let value = match value {
        // A value of no kind: the name is all there is to keep.
        Value::Empty => ValueRef::Str(""),
        Value::Text(text) => ValueRef::Str(tally.cut_text(text)),
        Value::Bool(x) => ValueRef::Bool(x),
        Value::Int(x) => ValueRef::Int(x),
        Value::Double(x) => ValueRef::Float(x),
        Value::Bytes(bytes) => ValueRef::Bytes(tally.cut_bytes(bytes)),
        Value::List(_) | Value::Map(_) => {
            let mut built = owned(value, 0, tally)?;
            tally.cut(&mut built);
            out.attribute(key, ValueRef::from(&built));
            return Ok(());
        }
    };
    out.attribute(key, value);
    Ok(())
}

/// The attributes in a repeated field of a message, cut where they are too long.
fn attributes(message: &[u8], number: u32, tally: &mut Tally<'_>) -> Result<Attributes, Fault> {
    let mut all = Vec::new();
    for part in submessages(message, number) {
        let Attribute { key, value } = Attribute::read(part?)?;
        all.push((key.to_owned(), owned(value, 0, tally)?));
    }
    let mut all = Attributes(all);
    tally.cut_all(&mut all);
    Ok(all)
}

fn owned(value: Value<'_>, depth: usize, tally: &mut Tally<'_>) -> Result<AttributeValue, Fault> {
    if depth > MAX_DEPTH {
        return Err(WireError::Depth.into());
    }
    tally.built += 1;
    if tally.built > MAX_BUILT {
        return Err(Fault::TooMany);
    }
    Ok(match value {
        Value::Empty => AttributeValue::Str(String::new()),
        Value::Text(text) => AttributeValue::Str(text.to_owned()),
        Value::Bool(x) => AttributeValue::Bool(x),
        Value::Int(x) => AttributeValue::Int(x),
        Value::Double(x) => AttributeValue::Float(x),
        Value::Bytes(bytes) => AttributeValue::Bytes(bytes.to_vec()),
        Value::List(list) => {
            let mut all = Vec::new();
            for part in values(list) {
                all.push(owned(Value::read(part?)?, depth + 1, tally)?);
            }
            AttributeValue::Array(all)
        }
        Value::Map(map) => {
            let mut all = Vec::new();
            for part in values(map) {
                let Attribute { key, value } = Attribute::read(part?)?;
                all.push((key.to_owned(), owned(value, depth + 1, tally)?));
            }
            AttributeValue::Map(Attributes(all))
        }
    })
}

/// A time of the wire; what lies behind the year 2262 is that year.
fn time(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

/// One of a list by its number, the first for numbers that nobody knows.
fn of<T: Copy + Default>(all: &[T], number: u64) -> T {
    usize::try_from(number).ok().and_then(|n| all.get(n).copied()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use reba_model::spans::Span;

    use super::{super::tenant::Gate, *};
    use crate::{
        otlp::json::to_protobuf,
        wire::{put_bytes_field, put_fixed64_field, put_varint_field},
    };

    const REQUEST: &str = r#"{"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "api"}}]},
        "scopeSpans": [{"scope": {"name": "lib", "version": "1"}, "spans": [
          {"traceId": "0102030405060708090A0B0C0D0E0F10", "spanId": "0102030405060708", "parent_span_id": "",
           "name": "GET /", "kind": 2, "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": 1700000000000000500,
           "attributes": [{"key": "n", "value": {"intValue": "7"}},
                          {"key": "l", "value": {"arrayValue": {"values": [{"boolValue": true}]}}}],
           "events": [{"timeUnixNano": "1700000000000000001", "name": "e"}],
           "links": [{"traceId": "0102030405060708090a0b0c0d0e0f11", "spanId": "0102030405060709"}],
           "status": {"code": "STATUS_CODE_ERROR", "message": "no"}, "unknown": [1]},
          {"traceId": "01", "spanId": "0102030405060708"},
          {"traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "0000000000000000"}]}]}]}"#;

    /// The spans, how many were refused, and why.
    fn take(message: &[u8]) -> (Vec<Span>, u64, String) {
        let (gate, mut batch) = (Gate::open(), SpanBatch::default());
        let mut tally = Tally::new(0, &gate);
        read(message, &mut batch, &mut tally).unwrap();
        let spans = batch.groups().flat_map(|group| {
            let (resource, scope) = group.origin().unwrap();
            let (resource, scope) = (Arc::new(resource), Arc::new(scope));
            group.spans().map(move |span| span.to_span(&resource, &scope)).collect::<Vec<_>>()
        });
        (spans.collect(), tally.refused.count, tally.refused.reason())
    }

    fn refusal(message: &[u8]) -> String {
        let gate = Gate::open();
        read(message, &mut SpanBatch::default(), &mut Tally::new(0, &gate)).unwrap_err().to_string()
    }

    #[test]
    fn a_span_in_json_comes_out_with_all_it_has() {
        let (spans, refused, why) = take(&to_protobuf(REQUEST.as_bytes(), &schema::TRACES_REQUEST).unwrap());
        let [span] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!(span.trace_id.to_string(), "0102030405060708090a0b0c0d0e0f10");
        assert_eq!((span.name.as_str(), span.kind, span.duration_ns()), ("GET /", SpanKind::Server, 500));
        assert_eq!((span.status, span.status_message.as_str()), (SpanStatus::Error, "no"));
        assert!(span.parent_id.is_none());
        assert_eq!(span.attributes.get("l"), Some(&AttributeValue::Array(vec![AttributeValue::Bool(true)])));
        assert_eq!((span.events[0].name.as_str(), span.events[0].ns), ("e", 1_700_000_000_000_000_001));
        assert_eq!(span.links[0].span_id.to_string(), "0102030405060709");
        assert_eq!((span.resource.service_name(), span.scope.name.as_str()), ("api", "lib"));
        let reason = "trace ids must be 128 bit, received 8 bits\nspan ids must be 64 bit, received 0 bits";
        assert_eq!((refused, why.as_str()), (2, reason));
    }

    #[test]
    fn a_fault_names_its_byte() {
        let mut span = Vec::new();
        put_fixed64_field(5, 1, &mut span);
        let (mut scope, mut resource, mut request) = (Vec::new(), Vec::new(), Vec::new());
        put_bytes_field(2, &span, &mut scope);
        put_bytes_field(2, &scope, &mut resource);
        put_bytes_field(1, &resource, &mut request);
        assert_eq!(refusal(&request), "byte 6: Span: protobuf field 5 has the wrong wire type");
    }

    #[test]
    fn values_nested_too_deeply_cost_their_span_and_no_other() {
        let mut value = Vec::new();
        for _ in 0..100 {
            let mut list = Vec::new();
            put_bytes_field(1, &value, &mut list);
            value.clear();
            put_bytes_field(5, &list, &mut value);
        }
        let mut deep = Vec::new();
        put_bytes_field(2, &value, &mut deep);
        let ids = |out: &mut Vec<u8>| {
            put_bytes_field(1, &[1; 16], out);
            put_bytes_field(2, &[1; 8], out);
        };
        let (mut bad, mut good) = (Vec::new(), Vec::new());
        ids(&mut bad);
        put_bytes_field(9, &deep, &mut bad);
        ids(&mut good);
        put_varint_field(6, 99, &mut good);
        let (mut scope, mut resource, mut request) = (Vec::new(), Vec::new(), Vec::new());
        put_bytes_field(2, &bad, &mut scope);
        put_bytes_field(2, &good, &mut scope);
        put_bytes_field(2, &scope, &mut resource);
        put_bytes_field(1, &resource, &mut request);
        let (spans, refused, _) = take(&request);
        assert_eq!((spans.len(), refused, spans[0].kind), (1, 1, SpanKind::Unspecified));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let gate = Gate::open();
            let _ = read(&bytes, &mut SpanBatch::default(), &mut Tally::new(8, &gate));
        }

        #[test]
        fn a_request_cut_anywhere_is_answered(cut in 0usize..500) {
            let message = to_protobuf(REQUEST.as_bytes(), &schema::TRACES_REQUEST).unwrap();
            let gate = Gate::open();
            let cut = &message[..cut.min(message.len())];
            let _ = read(cut, &mut SpanBatch::default(), &mut Tally::new(0, &gate));
        }
    }
}

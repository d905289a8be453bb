//! `jaeger.api_v2.PostSpansRequest`

use std::sync::Arc;

use reba_model::spans::{AttributeValue, Span, SpanId, TraceId};

use super::{Jaeger, Process, Reference, Tag};
use crate::{
    otlp::common::submessages,
    traces::TraceError,
    wire::{Field, Fields, WireError},
};

/// Reads a `PostSpansRequest`.
pub(in crate::traces) fn read(message: &[u8]) -> Result<Vec<Span>, TraceError> {
    request(message)
        .map_err(|e| TraceError::Malformed { offset: 0, reason: format!("PostSpansRequest: {e}") })
}

fn request(message: &[u8]) -> Result<Vec<Span>, WireError> {
    let mut out = Vec::new();
    for batch in submessages(message, 1) {
        let batch = batch?;
        let mut common = Process::default();
        for part in submessages(batch, 2) {
            common = process(part?)?;
        }
        let common = common.resource();
        for part in submessages(batch, 1) {
            let (span, own) = span(part?)?;
            let resource = own.map_or_else(|| Arc::clone(&common), Process::resource);
            out.push(span.span(resource));
        }
    }
    Ok(out)
}

fn span(message: &[u8]) -> Result<(Jaeger, Option<Process>), WireError> {
    let (mut span, mut own) = (Jaeger::default(), None);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => span.trace_id = trace_id(field.bytes()?),
            2 => span.span_id = span_id(field.bytes()?),
            3 => field.string()?.clone_into(&mut span.name),
            4 => span.references.push(reference(field.bytes()?)?),
            6 => span.start_ns = time(field.bytes()?)?,
            7 => span.duration_ns = time(field.bytes()?)?,
            8 => span.tags.push(tag(field.bytes()?)?),
            9 => span.logs.push(log(field.bytes()?)?),
            10 => own = Some(process(field.bytes()?)?),
            _ => {}
        }
    }
    Ok((span, own))
}

/// Ids of other lengths become zero, which is refused with a reason.
fn trace_id(bytes: &[u8]) -> TraceId {
    bytes.try_into().map_or(TraceId::default(), TraceId)
}

fn span_id(bytes: &[u8]) -> SpanId {
    bytes.try_into().map_or(SpanId::NONE, SpanId)
}

fn process(message: &[u8]) -> Result<Process, WireError> {
    let mut out = Process::default();
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => field.string()?.clone_into(&mut out.service),
            2 => out.tags.push(tag(field.bytes()?)?),
            _ => {}
        }
    }
    Ok(out)
}

fn reference(message: &[u8]) -> Result<Reference, WireError> {
    let mut out = Reference::default();
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => out.trace_id = trace_id(field.bytes()?),
            2 => out.span_id = span_id(field.bytes()?),
            3 => out.follows = field.varint()? == 1,
            _ => {}
        }
    }
    Ok(out)
}

fn log(message: &[u8]) -> Result<(i64, Vec<Tag>), WireError> {
    let (mut ns, mut tags) = (0, Vec::new());
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => ns = time(field.bytes()?)?,
            2 => tags.push(tag(field.bytes()?)?),
            _ => {}
        }
    }
    Ok((ns, tags))
}

fn tag(message: &[u8]) -> Result<Tag, WireError> {
    let (mut key, mut kind, mut values) = (String::new(), 0, [const { None }; 5]);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => field.string()?.clone_into(&mut key),
            2 => kind = field.varint()?,
            n @ 3..=7 => {
                let value = value(field)?;
                if let Some(place) = values.get_mut(n as usize - 3) {
                    *place = Some(value);
                }
            }
            _ => {}
        }
    }
    // Protobuf leaves out zeros: the type says of what.
    let value = usize::try_from(kind).ok().and_then(|kind| values.get_mut(kind)).and_then(Option::take);
    let value = value.unwrap_or_else(|| match kind {
        1 => AttributeValue::Bool(false),
        2 => AttributeValue::Int(0),
        3 => AttributeValue::Float(0.0),
        4 => AttributeValue::Bytes(Vec::new()),
        _ => AttributeValue::Str(String::new()),
    });
    Ok((key, value))
}

fn value(field: Field<'_>) -> Result<AttributeValue, WireError> {
    Ok(match field.number {
        4 => AttributeValue::Bool(field.varint()? != 0),
        5 => AttributeValue::Int(field.varint()? as i64),
        6 => AttributeValue::Float(field.double()?),
        7 => AttributeValue::Bytes(field.bytes()?.to_vec()),
        _ => AttributeValue::Str(field.string()?.to_owned()),
    })
}

/// A `Timestamp` or a `Duration` in nanoseconds.
fn time(message: &[u8]) -> Result<i64, WireError> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => seconds = field.varint()? as i64,
            2 => nanos = field.varint()? as i64,
            _ => {}
        }
    }
    Ok(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{put_bytes_field, put_varint_field};

    #[test]
    fn spans_have_the_process_of_their_batch_or_their_own() {
        let named = |name: &[u8]| {
            let mut process = Vec::new();
            put_bytes_field(1, name, &mut process);
            process
        };
        let (mut falsity, mut first, mut second) = (Vec::new(), Vec::new(), Vec::new());
        put_bytes_field(1, b"flag", &mut falsity);
        put_varint_field(2, 1, &mut falsity);
        for span in [&mut first, &mut second] {
            put_bytes_field(1, &[1; 16], span);
            put_bytes_field(2, &[2; 8], span);
        }
        put_bytes_field(8, &falsity, &mut first);
        put_bytes_field(10, &named(b"own"), &mut second);
        let (mut batch, mut request) = (Vec::new(), Vec::new());
        put_bytes_field(1, &first, &mut batch);
        put_bytes_field(1, &second, &mut batch);
        put_bytes_field(2, &named(b"common"), &mut batch);
        put_bytes_field(1, &batch, &mut request);
        let spans = read(&request).unwrap();
        let names: Vec<&str> = spans.iter().map(|s| s.resource.service_name()).collect();
        assert_eq!(names, ["common", "own"]);
        assert_eq!(spans[0].attributes.get("flag"), Some(&AttributeValue::Bool(false)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}

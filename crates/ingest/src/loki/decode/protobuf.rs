//! `PushRequest` of logproto. Fields that are not known are passed over.

use std::borrow::Cow;

use super::{LabelsText, Pairs, PushFault, PushSink};
use crate::wire::{Field, Fields, WireError};

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// Hands over a push in protobuf. Texts that are no UTF-8 come with a mark in the place of what is none.
pub fn push_protobuf(body: &[u8], sink: &mut impl PushSink) -> Result<(), PushFault> {
    let mut pairs = Pairs::default();
    let mut fields = Fields::new(body);
    let mut number = 0;
    loop {
        let at = body.len() - fields.left();
        let Some(field) = fields.next() else { return Ok(()) };
        let field = field.map_err(|e| PushFault::new(at, e.to_string()))?;
        if field.number != 1 {
            continue;
        }
        let message = field.bytes().map_err(|e| PushFault::new(at, e.to_string()).in_stream(number))?;
        let start = body.len() - fields.left() - message.len();
        stream(message, start, &mut pairs, sink).map_err(|e| e.in_stream(number))?;
        number += 1;
    }
}

/// One `StreamAdapter`, which begins at byte `start`.
fn stream(
    message: &[u8],
    start: usize,
    pairs: &mut Pairs,
    sink: &mut impl PushSink,
) -> Result<(), PushFault> {
    let mut fields = Fields::new(message);
    let (mut begun, mut number) = (false, 0);
    loop {
        let at = start + message.len() - fields.left();
        let Some(field) = fields.next() else { break };
        let field = field.map_err(|e| PushFault::new(at, e.to_string()))?;
        let wrong = |e: WireError| PushFault::new(at, e.to_string());
        match field.number {
            1 if !begun => {
                sink.stream(LabelsText::Selector(&text(&field).map_err(wrong)?));
                begun = true;
            }
            2 => {
                if !begun {
                    // Labels behind the entries, which no writer does.
                    sink.stream(LabelsText::Selector(&labels_behind(fields.clone()).map_err(wrong)?));
                    begun = true;
                }
                let of_entry = |e: WireError| wrong(e).in_entry(number);
                let (ns, line) = entry(field.bytes().map_err(of_entry)?, pairs).map_err(of_entry)?;
                let pushed = sink.entry(ns, &line, pairs);
                pushed.map_err(|e| PushFault::new(at, e.to_string()))?;
                number += 1;
            }
            _ => {}
        }
    }
    if !begun {
        sink.stream(LabelsText::Selector(""));
    }
    Ok(())
}

/// The labels among the fields that are left.
fn labels_behind(fields: Fields<'_>) -> Result<Cow<'_, str>, WireError> {
    for field in fields {
        let field = field?;
        if field.number == 1 {
            return text(&field);
        }
    }
    Ok(Cow::Borrowed(""))
}

/// Time and line of an `EntryAdapter`, and its metadata in `pairs`.
fn entry<'a>(message: &'a [u8], pairs: &mut Pairs) -> Result<(i64, Cow<'a, str>), WireError> {
    pairs.clear();
    let (mut ns, mut line) = (0, Cow::Borrowed(""));
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => ns = timestamp(field.bytes()?)?,
            2 => line = text(&field)?,
            3 => pair(field.bytes()?, pairs)?,
            _ => {}
        }
    }
    Ok((ns, line))
}

/// A `google.protobuf.Timestamp`; one out of range is the nearest that is not.
fn timestamp(message: &[u8]) -> Result<i64, WireError> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => seconds = field.varint()? as i64,
            2 => nanos = field.varint()? as i64,
            _ => {}
        }
    }
    Ok(seconds.saturating_mul(SECOND).saturating_add(nanos))
}

/// A `LabelPairAdapter`.
fn pair(message: &[u8], out: &mut Pairs) -> Result<(), WireError> {
    let (mut name, mut value) = (Cow::Borrowed(""), Cow::Borrowed(""));
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => name = text(&field)?,
            2 => value = text(&field)?,
            _ => {}
        }
    }
    out.push(&name, &value);
    Ok(())
}

/// A string field; upstream takes any bytes.
#[inline]
fn text<'a>(field: &Field<'a>) -> Result<Cow<'a, str>, WireError> {
    Ok(String::from_utf8_lossy(field.bytes()?))
}

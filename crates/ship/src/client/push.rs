//! The wire of pushes: `PushRequest` in protobuf.
//!
//! Messages of this kind can be put one behind another and are one message again, which is how the queue makes requests.

use std::fmt::Write as _;

use reba_ingest::wire::{Fields, WireError};
use reba_model::{Labels, float::go_quote};

use crate::entry::Entry;

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn varint_len(n: u64) -> usize {
    (64 - (n | 1).leading_zeros() as usize).div_ceil(7)
}

/// A field of bytes: its number, its length, itself.
fn bytes(out: &mut Vec<u8>, number: u32, data: &[u8]) {
    varint(out, u64::from(number << 3 | 2));
    varint(out, data.len() as u64);
    out.extend_from_slice(data);
}

fn number(out: &mut Vec<u8>, number: u32, value: i64) {
    if value != 0 {
        varint(out, u64::from(number << 3));
        varint(out, value as u64);
    }
}

/// The labels as the selector that the wire wants.
fn selector(labels: &Labels) -> String {
    let mut out = String::from("{");
    for (i, (name, value)) in labels.iter().enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        let _ = write!(out, "{separator}{name}={}", go_quote(value));
    }
    out.push('}');
    out
}

/// Appends a stream with its entries to a request.
pub fn encode<'a>(out: &mut Vec<u8>, labels: &Labels, entries: impl IntoIterator<Item = &'a Entry>) {
    let (mut stream, mut body, mut part) = (Vec::new(), Vec::new(), Vec::new());
    bytes(&mut stream, 1, selector(labels).as_bytes());
    for entry in entries {
        body.clear();
        part.clear();
        number(&mut part, 1, entry.ns.div_euclid(1_000_000_000));
        number(&mut part, 2, entry.ns.rem_euclid(1_000_000_000));
        bytes(&mut body, 1, &part);
        bytes(&mut body, 2, entry.line.as_bytes());
        for (name, value) in &entry.metadata {
            part.clear();
            bytes(&mut part, 1, name.as_bytes());
            bytes(&mut part, 2, value.as_bytes());
            bytes(&mut body, 3, &part);
        }
        bytes(&mut stream, 2, &body);
    }
    out.reserve(stream.len() + 1 + varint_len(stream.len() as u64));
    bytes(out, 1, &stream);
}

/// One entry of a request, as it is told of when it is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pushed<'a> {
    pub labels: &'a str,
    pub ns: i64,
    pub line: &'a str,
    pub metadata: Vec<(&'a str, &'a str)>,
}

/// Hands over the entries of a request.
pub(super) fn decode<'a>(request: &'a [u8], mut each: impl FnMut(Pushed<'a>)) -> Result<(), WireError> {
    for stream in Fields::new(request) {
        let stream = stream?;
        if stream.number != 1 {
            continue;
        }
        let mut labels = "";
        for field in Fields::new(stream.bytes()?) {
            let field = field?;
            match field.number {
                1 => labels = field.string()?,
                2 => each(entry(labels, field.bytes()?)?),
                _ => {}
            }
        }
    }
    Ok(())
}

fn entry<'a>(labels: &'a str, message: &'a [u8]) -> Result<Pushed<'a>, WireError> {
    let mut out = Pushed { labels, ns: 0, line: "", metadata: Vec::new() };
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => {
                for part in Fields::new(field.bytes()?) {
                    let part = part?;
                    let unit = if part.number == 1 { 1_000_000_000 } else { 1 };
                    out.ns = out.ns.wrapping_add((part.varint()? as i64).wrapping_mul(unit));
                }
            }
            2 => out.line = field.string()?,
            3 => {
                let (mut name, mut value) = ("", "");
                for part in Fields::new(field.bytes()?) {
                    let part = part?;
                    if part.number == 1 { name = part.string()? } else { value = part.string()? }
                }
                out.metadata.push((name, value));
            }
            _ => {}
        }
    }
    Ok(out)
}

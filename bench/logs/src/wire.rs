//! Bodies of pushes, written by hand: the benchmark must not share code with what it measures.

use std::fmt::Write as _;

use anyhow::Result;
use bytes::Bytes;

use crate::data::{Generator, Stream, streams};

/// Bytes of lines in one body.
const BODY_BYTES: u64 = 1 << 20;

/// The form of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Loki's, protobuf in snappy.
    Protobuf,
    /// Loki's, JSON.
    Json,
    /// A JSON object a line (VictoriaLogs).
    Lines,
}

impl Form {
    /// Where it is sent.
    pub fn path(self) -> &'static str {
        match self {
            Form::Protobuf | Form::Json => "/loki/api/v1/push",
            Form::Lines => {
                "/insert/jsonline?_stream_fields=namespace,service,pod&_time_field=time&_msg_field=message"
            }
        }
    }

    /// What it is.
    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Form::Protobuf => &[("content-type", "application/x-protobuf")],
            Form::Json => &[("content-type", "application/json")],
            Form::Lines => &[("content-type", "application/stream+json")],
        }
    }
}

/// The next mebibyte of lines as a body, how many lines there are, and the time of the last.
pub fn body(generator: &mut Generator, form: Form) -> Result<(Bytes, u64, i64)> {
    let streams = streams();
    let mut by_stream: Vec<Vec<(i64, String)>> = vec![Vec::new(); streams.len()];
    let mut out = Vec::new();
    let (bytes, lines) = (generator.truth.bytes, generator.truth.lines);
    let mut last = 0;
    while generator.truth.bytes - bytes < BODY_BYTES {
        let line = generator.next_line();
        last = line.ns;
        if form == Form::Lines {
            out.extend_from_slice(line.text.as_bytes());
            out.push(b'\n');
        } else {
            by_stream[line.stream].push((line.ns, line.text.to_owned()));
        }
    }
    let count = generator.truth.lines - lines;
    let filled = streams.iter().zip(&by_stream).filter(|(_, lines)| !lines.is_empty());
    let out = match form {
        Form::Lines => out,
        Form::Json => json(filled).into_bytes(),
        Form::Protobuf => snap::raw::Encoder::new().compress_vec(&protobuf(filled))?,
    };
    Ok((Bytes::from(out), count, last))
}

type Entries = Vec<(i64, String)>;

fn json<'a>(filled: impl Iterator<Item = (&'a Stream, &'a Entries)>) -> String {
    let mut out = String::from(r#"{"streams":["#);
    for (i, (stream, entries)) in filled.enumerate() {
        let comma = if i > 0 { "," } else { "" };
        // Writing to a text cannot fail.
        let _ = write!(
            out,
            r#"{comma}{{"stream":{{"namespace":"{}","pod":"{}","service":"{}"}},"values":["#,
            stream.namespace, stream.pod, stream.service
        );
        for (n, (ns, line)) in entries.iter().enumerate() {
            let _ = write!(out, r#"{}["{ns}",""#, if n > 0 { "," } else { "" });
            for c in line.chars() {
                if matches!(c, '"' | '\\') {
                    out.push('\\');
                }
                out.push(c);
            }
            out.push_str("\"]");
        }
        out.push_str("]}");
    }
    out.push_str("]}");
    out
}

fn protobuf<'a>(filled: impl Iterator<Item = (&'a Stream, &'a Entries)>) -> Vec<u8> {
    let (mut out, mut of_stream, mut entry, mut time) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (stream, entries) in filled {
        of_stream.clear();
        let labels = format!(
            r#"{{namespace="{}", pod="{}", service="{}"}}"#,
            stream.namespace, stream.pod, stream.service
        );
        bytes_field(&mut of_stream, 1, labels.as_bytes());
        for (ns, line) in entries {
            time.clear();
            number_field(&mut time, 1, ns.div_euclid(1_000_000_000) as u64);
            number_field(&mut time, 2, ns.rem_euclid(1_000_000_000) as u64);
            entry.clear();
            bytes_field(&mut entry, 1, &time);
            bytes_field(&mut entry, 2, line.as_bytes());
            bytes_field(&mut of_stream, 2, &entry);
        }
        bytes_field(&mut out, 1, &of_stream);
    }
    out
}

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn number_field(out: &mut Vec<u8>, field: u32, n: u64) {
    varint(out, u64::from(field << 3));
    varint(out, n);
}

fn bytes_field(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    varint(out, u64::from(field << 3 | 2));
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

//! Remote read: the messages by which one Prometheus asks another for samples.
//!
//! A question is a snappy block with a protobuf `ReadRequest`. The answer is either one snappy block with all samples, or
//! a stream of frames with chunks in Prometheus' own format, which costs the answering side hardly any memory.

mod answer;

use reba_model::{GoRegex, HistogramSample, Labels, MatchOp, Matcher, RegexError, SampleColumns, TimeRange};
use thiserror::Error;

pub use self::answer::{AnswerError, Answered, Frames, question, read_samples};
use crate::{
    crc32c::crc32c,
    prometheus_chunk::encode,
    remote_write::encode_histogram,
    wire::{Fields, WireError, put_bytes_field, put_double_field, put_varint, put_varint_field},
};

/// Most bytes of a question after decompression. It holds a few matchers.
const MAX_QUESTION: usize = 4 << 20;

/// Most selectors of a question; Prometheus sends one.
const MAX_QUERIES: usize = 100;

/// One selector of a question.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadQuery {
    /// Which series.
    pub matchers: Vec<Matcher>,
    /// Which samples.
    pub range: TimeRange,
}

/// How an answer may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseType {
    /// All samples in one message.
    Samples,
    /// A stream of frames with chunks.
    StreamedXorChunks,
}

/// A question.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadRequest {
    /// Its selectors.
    pub queries: Vec<ReadQuery>,
    /// What the asker understands, best first, types unknown here left out. Never empty.
    pub accepted: Vec<ResponseType>,
}

/// Why bytes are no question that can be answered.
#[derive(Clone, Debug, Error)]
pub enum ReadError {
    /// No snappy block.
    #[error("snappy: {0}")]
    Snappy(#[from] snap::Error),
    /// Too long.
    #[error("read request of {0} bytes after decompression exceeds the limit of {MAX_QUESTION}")]
    TooLarge(usize),
    /// Too many selectors.
    #[error("read request with more queries than the limit of {MAX_QUERIES}")]
    TooManyQueries,
    /// No message.
    #[error(transparent)]
    Protobuf(#[from] WireError),
    /// A matcher of a kind that does not exist.
    #[error("invalid matcher type")]
    MatcherType,
    /// The regular expressions would take too much memory.
    #[error("regular expressions are too large")]
    RegexSize,
    /// A regular expression does not compile.
    #[error(transparent)]
    Regex(#[from] RegexError),
    /// The asker understands nothing that can be sent.
    #[error(
        "server does not support any of the requested response types: {0:?}; supported: SAMPLES, STREAMED_XOR_CHUNKS"
    )]
    ResponseTypes(Vec<u64>),
}

impl ReadRequest {
    /// Reads the body of a request.
    pub fn decode(body: &[u8]) -> Result<Self, ReadError> {
        let len = snap::raw::decompress_len(body)?;
        if len > MAX_QUESTION {
            return Err(ReadError::TooLarge(len));
        }
        let message = snap::raw::Decoder::new().decompress_vec(body)?;
        let (mut queries, mut types, mut regex_size) = (Vec::new(), Vec::new(), 0);
        for field in Fields::new(&message) {
            let field = field?;
            match field.number {
                1 if queries.len() == MAX_QUERIES => return Err(ReadError::TooManyQueries),
                1 => queries.push(query(field.bytes()?, &mut regex_size)?),
                2 => field.varints(&mut types)?,
                _ => {}
            }
        }
        let known = |t: &u64| match t {
            0 => Some(ResponseType::Samples),
            1 => Some(ResponseType::StreamedXorChunks),
            _ => None,
        };
        let mut accepted: Vec<ResponseType> = types.iter().filter_map(known).collect();
        if types.is_empty() {
            // Older askers know one type only, and do not say so.
            accepted.push(ResponseType::Samples);
        }
        if accepted.is_empty() {
            return Err(ReadError::ResponseTypes(types));
        }
        Ok(ReadRequest { queries, accepted })
    }
}

/// Reads a selector; `regex_size` adds up what its regular expressions take.
fn query(message: &[u8], regex_size: &mut usize) -> Result<ReadQuery, ReadError> {
    let mut out = ReadQuery { matchers: Vec::new(), range: TimeRange::new(0, 0) };
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => out.range.start = field.varint()? as i64,
            2 => out.range.end = field.varint()? as i64,
            3 => {
                let matcher = matcher(field.bytes()?)?;
                *regex_size += matcher.regex().map_or(0, GoRegex::size);
                if *regex_size > GoRegex::MAX_TOGETHER {
                    return Err(ReadError::RegexSize);
                }
                out.matchers.push(matcher);
            }
            _ => {}
        }
    }
    Ok(out)
}

fn matcher(message: &[u8]) -> Result<Matcher, ReadError> {
    let (mut op, mut name, mut value) = (0, "", "");
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => op = field.varint()?,
            2 => name = field.string()?,
            3 => value = field.string()?,
            _ => {}
        }
    }
    let op = match op {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        _ => return Err(ReadError::MatcherType),
    };
    Ok(Matcher::new(op, name, value)?)
}

fn put_labels(labels: &Labels, out: &mut Vec<u8>) {
    let mut pair = Vec::new();
    for (name, value) in labels {
        pair.clear();
        put_bytes_field(1, name.as_bytes(), &mut pair);
        put_bytes_field(2, value.as_bytes(), &mut pair);
        put_bytes_field(1, &pair, out);
    }
}

/// A `ReadResponse`, which holds all samples.
#[derive(Debug, Default)]
pub struct ReadResponse {
    message: Vec<u8>,
    result: Vec<u8>,
}

impl ReadResponse {
    /// An empty answer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series to the answer to the current selector.
    pub fn series(&mut self, labels: &Labels, samples: &SampleColumns) {
        let (mut series, mut part) = (Vec::new(), Vec::new());
        put_labels(labels, &mut series);
        for (t, v) in samples.t.iter().zip(&samples.v) {
            part.clear();
            put_double_field(1, *v, &mut part);
            put_varint_field(2, *t as u64, &mut part);
            put_bytes_field(2, &part, &mut series);
        }
        for HistogramSample { t, h } in &samples.h {
            part.clear();
            encode_histogram(*t, h, &mut part);
            put_bytes_field(4, &part, &mut series);
        }
        put_bytes_field(1, &series, &mut self.result);
    }

    /// Ends the answer to a selector. There is one for each, in their order.
    pub fn end_query(&mut self) {
        put_bytes_field(1, &self.result, &mut self.message);
        self.result.clear();
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.message.len() + self.result.len()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The body of the answer: the message as a snappy block.
    pub fn body(&self) -> Result<Vec<u8>, snap::Error> {
        snap::raw::Encoder::new().compress_vec(&self.message)
    }
}

/// Writes the samples of a series as frames of a streamed answer, each about `max_bytes` at most: the length as a varint,
/// the CRC-32C, big-endian, and a `ChunkedReadResponse`. Nothing for a series without samples.
pub fn put_frames(labels: &Labels, samples: &SampleColumns, query: u64, max_bytes: usize, out: &mut Vec<u8>) {
    let mut head = Vec::new();
    put_labels(labels, &mut head);
    let mut series = head.clone();
    let mut part = Vec::new();
    for chunk in encode(samples) {
        part.clear();
        put_varint_field(1, chunk.first as u64, &mut part);
        put_varint_field(2, chunk.last as u64, &mut part);
        put_varint_field(3, u64::from(chunk.encoding), &mut part);
        put_bytes_field(4, &chunk.data, &mut part);
        if series.len() > head.len() && series.len() + part.len() > max_bytes {
            put_frame(&series, query, out);
            series.truncate(head.len());
        }
        put_bytes_field(2, &part, &mut series);
    }
    if series.len() > head.len() {
        put_frame(&series, query, out);
    }
}

fn put_frame(series: &[u8], query: u64, out: &mut Vec<u8>) {
    let mut message = Vec::with_capacity(series.len() + 16);
    put_bytes_field(1, series, &mut message);
    put_varint_field(2, query, &mut message);
    put_varint(message.len() as u64, out);
    out.extend_from_slice(&crc32c(&message).to_be_bytes());
    out.extend_from_slice(&message);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::read_varint;

    /// Matchers, start, end.
    type Asked<'a> = (&'a [(u64, &'a str, &'a str)], i64, i64);

    fn body(queries: &[Asked<'_>], types: &[u64]) -> Vec<u8> {
        let mut m = Vec::new();
        for (matchers, start, end) in queries {
            let mut q = Vec::new();
            put_varint_field(1, *start as u64, &mut q);
            put_varint_field(2, *end as u64, &mut q);
            for (op, name, value) in *matchers {
                let mut p = Vec::new();
                put_varint_field(1, *op, &mut p);
                put_bytes_field(2, name.as_bytes(), &mut p);
                put_bytes_field(3, value.as_bytes(), &mut p);
                put_bytes_field(3, &p, &mut q);
            }
            put_bytes_field(1, &q, &mut m);
        }
        for t in types {
            put_varint_field(2, *t, &mut m);
        }
        snap::raw::Encoder::new().compress_vec(&m).unwrap()
    }

    #[test]
    fn a_question_is_read() {
        let q = ReadRequest::decode(&body(&[(&[(0, "a", "b"), (3, "c", "d.*")], -5, 10)], &[1, 0])).unwrap();
        assert_eq!(q.accepted, [ResponseType::StreamedXorChunks, ResponseType::Samples]);
        let matchers = [Matcher::equal("a", "b"), Matcher::new(MatchOp::NotRegex, "c", "d.*").unwrap()];
        assert_eq!(q.queries, [ReadQuery { matchers: matchers.to_vec(), range: TimeRange::new(-5, 10) }]);
    }

    #[test]
    fn types_are_negotiated() {
        let accepted = |types: &[u64]| ReadRequest::decode(&body(&[], types)).map(|q| q.accepted);
        assert_eq!(accepted(&[]).unwrap(), [ResponseType::Samples]);
        assert_eq!(accepted(&[7, 0]).unwrap(), [ResponseType::Samples]);
        assert!(accepted(&[7]).unwrap_err().to_string().contains("does not support any"));
    }

    #[test]
    fn questions_are_bounded() {
        let declared = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        assert!(matches!(ReadRequest::decode(&declared), Err(ReadError::TooLarge(_))));
        let many = vec![(&[(0, "a", "b")][..], 0, 1); MAX_QUERIES + 1];
        assert!(matches!(ReadRequest::decode(&body(&many, &[])), Err(ReadError::TooManyQueries)));
        let large: Vec<_> = (0..100).map(|_| (2, "a", r"\pL{40}")).collect();
        assert!(ReadRequest::decode(&body(&[(&large[..5], 0, 1)], &[])).is_ok());
        assert!(matches!(ReadRequest::decode(&body(&[(&large, 0, 1)], &[])), Err(ReadError::RegexSize)));
        let bad = body(&[(&[(2, "a", "(")], 0, 1)], &[]);
        assert!(matches!(ReadRequest::decode(&bad), Err(ReadError::Regex(_))));
        assert!(matches!(
            ReadRequest::decode(&body(&[(&[(9, "a", "b")], 0, 1)], &[])),
            Err(ReadError::MatcherType)
        ));
    }

    /// Index of the query, labels as bytes, samples.
    type Frame = (u64, Vec<u8>, Vec<(i64, f64)>);

    fn read_frames(mut bytes: &[u8]) -> Vec<Frame> {
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let len = read_varint(&mut bytes).unwrap() as usize;
            let (crc, rest) = bytes.split_first_chunk::<4>().unwrap();
            let (message, rest) = rest.split_at(len);
            assert_eq!(u32::from_be_bytes(*crc), crc32c(message));
            bytes = rest;
            let mut frame: Frame = (0, Vec::new(), Vec::new());
            for field in Fields::new(message).map(Result::unwrap) {
                if field.number == 2 {
                    frame.0 = field.varint().unwrap();
                    continue;
                }
                for part in Fields::new(field.bytes().unwrap()).map(Result::unwrap) {
                    if part.number == 1 {
                        frame.1.extend_from_slice(part.bytes().unwrap());
                        continue;
                    }
                    let data = Fields::new(part.bytes().unwrap()).map(Result::unwrap).find(|f| f.number == 4);
                    let mut columns = SampleColumns::default();
                    crate::prometheus_chunk::decode(1, data.unwrap().bytes().unwrap(), &mut columns).unwrap();
                    frame.2.extend(columns.t.into_iter().zip(columns.v));
                }
            }
            out.push(frame);
        }
        out
    }

    #[test]
    fn a_long_series_is_cut_into_frames_of_bounded_size() {
        let labels = Labels::from_pairs([("__name__", "a")]);
        let t: Vec<i64> = (0..10_000).map(|i| i * 15_000).collect();
        let v: Vec<f64> = t.iter().map(|t| (*t as f64).sqrt()).collect();
        let mut out = Vec::new();
        let samples = SampleColumns { t, v, h: Vec::new() };
        put_frames(&labels, &samples, 3, 5000, &mut out);
        let frames = read_frames(&out);
        assert!(frames.len() > 10, "{}", frames.len());
        assert!(out.len() / frames.len() <= 5000);
        let all: Vec<(i64, f64)> = frames.iter().flat_map(|f| f.2.clone()).collect();
        assert_eq!(all, samples.t.into_iter().zip(samples.v).collect::<Vec<_>>());
        assert!(frames.iter().all(|f| f.0 == 3 && f.1 == frames[0].1));
        out.clear();
        put_frames(&labels, &SampleColumns::default(), 0, 5000, &mut out);
        assert!(out.is_empty());
    }

    proptest! {
        #[test]
        fn any_body_is_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ReadRequest::decode(&bytes);
            let _ = ReadRequest::decode(&snap::raw::Encoder::new().compress_vec(&bytes).unwrap());
        }
    }
}

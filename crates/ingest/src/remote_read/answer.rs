//! The asking side of remote read: a question, and answers of both kinds.

use std::sync::Arc;

use reba_model::{
    Chunk, HistogramSample, Labels, LabelsBuilder, MAX_SERIES_LABELS, MatchOp, Matcher, RawColumns,
    SampleColumns, Series, TimeRange,
};
use reba_storage::SelectHints;
use thiserror::Error;

use crate::{
    crc32c::crc32c,
    prometheus_chunk::{self, BadChunk},
    remote_write::decode_histogram,
    wire::{Fields, WireError, put_bytes_field, put_varint_field, read_varint},
};

/// Why an answer cannot be understood.
#[derive(Clone, Debug, Error)]
pub enum AnswerError {
    /// No snappy block.
    #[error("snappy: {0}")]
    Snappy(#[from] snap::Error),
    /// Too many bytes.
    #[error("answer of {len} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// How many.
        len: u64,
        /// What is allowed.
        limit: u64,
    },
    /// No message.
    #[error(transparent)]
    Protobuf(#[from] WireError),
    /// No chunk.
    #[error(transparent)]
    Chunk(#[from] BadChunk),
    /// A frame was damaged on its way.
    #[error("checksum of a frame does not match")]
    Checksum,
    /// The stream ended inside a frame.
    #[error("answer ends inside a frame")]
    Truncated,
    /// A series with more labels than we take.
    #[error("series with more than {MAX_SERIES_LABELS} labels")]
    TooManyLabels,
}

/// A series of an answer, and how many bytes its samples took on the way.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The series.
    pub series: Series,
    /// Bytes.
    pub bytes: usize,
}

/// The body of a question for one selector. Streamed chunks are preferred, and samples are understood.
pub fn question(matchers: &[Matcher], range: TimeRange, hints: &SelectHints) -> Result<Vec<u8>, snap::Error> {
    let (mut query, mut part) = (Vec::new(), Vec::new());
    put_varint_field(1, range.start as u64, &mut query);
    put_varint_field(2, range.end as u64, &mut query);
    for m in matchers {
        part.clear();
        let op = match m.op {
            MatchOp::Equal => 0,
            MatchOp::NotEqual => 1,
            MatchOp::Regex => 2,
            MatchOp::NotRegex => 3,
        };
        put_varint_field(1, op, &mut part);
        put_bytes_field(2, m.name.as_bytes(), &mut part);
        put_bytes_field(3, m.value.as_bytes(), &mut part);
        put_bytes_field(3, &part, &mut query);
    }
    part.clear();
    put_varint_field(1, hints.step as u64, &mut part);
    put_bytes_field(2, hints.function.as_bytes(), &mut part);
    put_varint_field(3, range.start as u64, &mut part);
    put_varint_field(4, range.end as u64, &mut part);
    for label in &hints.grouping {
        put_bytes_field(5, label.as_bytes(), &mut part);
    }
    put_varint_field(6, u64::from(hints.by), &mut part);
    put_varint_field(7, hints.range as u64, &mut part);
    put_bytes_field(4, &part, &mut query);
    let mut message = Vec::new();
    put_bytes_field(1, &query, &mut message);
    put_bytes_field(2, &[1, 0], &mut message);
    snap::raw::Encoder::new().compress_vec(&message)
}

/// Reads an answer with all samples in one message of at most `limit` bytes. Calls `each` with every series.
pub fn read_samples<E: From<AnswerError>>(
    body: &[u8],
    limit: u64,
    mut each: impl FnMut(Answered) -> Result<(), E>,
) -> Result<(), E> {
    let len = snap::raw::decompress_len(body).map_err(AnswerError::from)?;
    if len as u64 > limit {
        return Err(AnswerError::TooLarge { len: len as u64, limit }.into());
    }
    let message = snap::raw::Decoder::new().decompress_vec(body).map_err(AnswerError::from)?;
    for result in of_field(&message, 1) {
        for series in of_field(result?, 1) {
            each(time_series(series?)?)?;
        }
    }
    Ok(())
}

/// The messages of a repeated field.
fn of_field(message: &[u8], number: u32) -> impl Iterator<Item = Result<&[u8], AnswerError>> {
    Fields::new(message).filter_map(move |field| match field {
        Ok(field) if field.number == number => Some(field.bytes().map_err(Into::into)),
        Ok(_) => None,
        Err(e) => Some(Err(e.into())),
    })
}

fn time_series(message: &[u8]) -> Result<Answered, AnswerError> {
    let mut labels = LabelsBuilder::new();
    let mut columns = SampleColumns::default();
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => label(field.bytes()?, &mut labels)?,
            2 => {
                let (mut t, mut v) = (0, 0.0);
                for part in Fields::new(field.bytes()?) {
                    let part = part?;
                    match part.number {
                        1 => v = part.double()?,
                        2 => t = part.varint()? as i64,
                        _ => {}
                    }
                }
                columns.push(t, v);
            }
            4 => {
                let (t, h) = decode_histogram(field.bytes()?)?;
                columns.h.push(HistogramSample { t, h: Arc::new(h) });
            }
            _ => {}
        }
    }
    Ok(answered(labels.build(), columns, message.len()))
}

fn label(message: &[u8], labels: &mut LabelsBuilder) -> Result<(), AnswerError> {
    let (mut name, mut value) = ("", "");
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => name = field.string()?,
            2 => value = field.string()?,
            _ => {}
        }
    }
    if labels.len() >= MAX_SERIES_LABELS {
        return Err(AnswerError::TooManyLabels);
    }
    labels.set(name, value);
    Ok(())
}

/// Puts samples in the order that a chunk must have, whatever the order they came in; histograms that cannot be are left out.
fn answered(labels: Labels, mut columns: SampleColumns, bytes: usize) -> Answered {
    if !columns.t.is_sorted_by(|a, b| a < b) {
        let mut pairs: Vec<(i64, f64)> = columns.t.drain(..).zip(columns.v.drain(..)).collect();
        pairs.sort_by_key(|(t, _)| *t);
        pairs.dedup_by_key(|(t, _)| *t);
        (columns.t, columns.v) = pairs.into_iter().unzip();
    }
    let floats = &columns.t;
    columns.h.retain(|s| s.h.validate().is_ok() && floats.binary_search(&s.t).is_err());
    columns.h.sort_by_key(|s| s.t);
    columns.h.dedup_by_key(|s| s.t);
    let SampleColumns { t, v, h } = columns;
    let mut chunks = Vec::new();
    if !t.is_empty() || !h.is_empty() {
        chunks.push(Chunk::raw_columns(RawColumns { t, v, h }));
    }
    Answered { series: Series { labels, chunks }, bytes }
}

/// Cuts a streamed answer into frames: put in what comes, take out series.
#[derive(Debug)]
pub struct Frames {
    buffer: Vec<u8>,
    /// Most bytes of a frame.
    limit: u64,
}

impl Frames {
    /// Frames of at most `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Frames { buffer: Vec::new(), limit }
    }

    /// Adds bytes, and calls `each` with the series of every frame that is now complete. A series may come in several
    /// frames, one after the other.
    pub fn push<E: From<AnswerError>>(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Answered) -> Result<(), E>,
    ) -> Result<(), E> {
        self.buffer.extend_from_slice(bytes);
        let mut rest = self.buffer.as_slice();
        while let Some((message, behind)) = frame(rest, self.limit)? {
            for series in of_field(message, 1) {
                each(chunked_series(series?)?)?;
            }
            rest = behind;
        }
        let taken = self.buffer.len() - rest.len();
        self.buffer.drain(..taken);
        Ok(())
    }

    /// Whether the stream may end here.
    pub fn end(&self) -> Result<(), AnswerError> {
        if self.buffer.is_empty() { Ok(()) } else { Err(AnswerError::Truncated) }
    }
}

/// A message, and what is behind it.
type Split<'a> = (&'a [u8], &'a [u8]);

/// The first frame; `None` if not all of it is there.
fn frame(bytes: &[u8], limit: u64) -> Result<Option<Split<'_>>, AnswerError> {
    let mut rest = bytes;
    let len = match read_varint(&mut rest) {
        Ok(len) => len,
        Err(WireError::Truncated) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    if len > limit {
        return Err(AnswerError::TooLarge { len, limit });
    }
    let Some((checksum, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let Some((message, behind)) = rest.split_at_checked(len as usize) else { return Ok(None) };
    if crc32c(message) != u32::from_be_bytes(*checksum) {
        return Err(AnswerError::Checksum);
    }
    Ok(Some((message, behind)))
}

fn chunked_series(message: &[u8]) -> Result<Answered, AnswerError> {
    let mut labels = LabelsBuilder::new();
    let mut columns = SampleColumns::default();
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => label(field.bytes()?, &mut labels)?,
            2 => {
                let (mut encoding, mut data) = (0, &[][..]);
                for part in Fields::new(field.bytes()?) {
                    let part = part?;
                    match part.number {
                        3 => encoding = part.varint()?,
                        4 => data = part.bytes()?,
                        _ => {}
                    }
                }
                prometheus_chunk::decode(encoding as u8, data, &mut columns)?;
            }
            _ => {}
        }
    }
    Ok(answered(labels.build(), columns, message.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reba_model::Histogram;

    use super::{super::*, *};

    #[test]
    fn a_question_is_understood_by_the_other_side() {
        let matchers = [Matcher::equal("a", "b"), Matcher::new(MatchOp::NotRegex, "c", "d.*").unwrap()];
        let hints = SelectHints { function: "rate".to_owned(), ..SelectHints::default() };
        let body = question(&matchers, TimeRange::new(-5, 10), &hints).unwrap();
        let read = ReadRequest::decode(&body).unwrap();
        assert_eq!(read.queries, [ReadQuery { matchers: matchers.to_vec(), range: TimeRange::new(-5, 10) }]);
        assert_eq!(read.accepted, [ResponseType::StreamedXorChunks, ResponseType::Samples]);
    }

    fn read_all(answered: Vec<Answered>) -> Vec<(Labels, SampleColumns)> {
        let read = |a: Answered| {
            let mut columns = SampleColumns::default();
            a.series.read_into(TimeRange::ALL, &mut columns).unwrap();
            (a.series.labels, columns)
        };
        answered.into_iter().map(read).collect()
    }

    #[test]
    fn samples_come_back_as_they_were_sent() {
        let labels = Labels::from_pairs([("__name__", "a")]);
        let h = Arc::new(Histogram { count: 3.0, zero_count: 3.0, sum: 1.0, ..Histogram::default() });
        let samples =
            SampleColumns { t: vec![1, 2], v: vec![0.5, -1.0], h: vec![HistogramSample { t: 3, h }] };
        let mut response = ReadResponse::new();
        response.series(&labels, &samples);
        response.end_query();
        let mut all = Vec::new();
        let body = response.body().unwrap();
        read_samples::<AnswerError>(&body, 1000, |a| {
            all.push(a);
            Ok(())
        })
        .unwrap();
        assert_eq!(read_all(all), [(labels, samples)]);
        assert!(matches!(
            read_samples::<AnswerError>(&body, 3, |_| Ok(())),
            Err(AnswerError::TooLarge { .. })
        ));
    }

    fn stream(bytes: &[u8], piece: usize) -> Result<Vec<Answered>, AnswerError> {
        let (mut frames, mut all) = (Frames::new(5000), Vec::new());
        for bytes in bytes.chunks(piece) {
            frames.push(bytes, |a| {
                all.push(a);
                Ok::<_, AnswerError>(())
            })?;
        }
        frames.end().map(|()| all)
    }

    #[test]
    fn a_stream_is_read_in_pieces_of_any_size() {
        let labels = Labels::from_pairs([("__name__", "a")]);
        let t: Vec<i64> = (0..1000).map(|i| i * 15_000).collect();
        let v: Vec<f64> = t.iter().map(|t| (*t as f64).sqrt()).collect();
        let mut out = Vec::new();
        let samples = SampleColumns { t: t.clone(), v: v.clone(), h: Vec::new() };
        put_frames(&labels, &samples, 0, 2000, &mut out);
        for piece in [1, 7, out.len()] {
            let parts = read_all(stream(&out, piece).unwrap());
            assert!(parts.len() > 2 && parts.iter().all(|(l, _)| *l == labels));
            let read: Vec<(i64, f64)> =
                parts.iter().flat_map(|(_, c)| c.t.iter().copied().zip(c.v.iter().copied())).collect();
            assert_eq!(read, t.iter().copied().zip(v.iter().copied()).collect::<Vec<_>>());
        }
        assert!(matches!(stream(&out[..out.len() - 1], 100), Err(AnswerError::Truncated)));
        let last = out.len() - 1;
        out[last] ^= 1;
        assert!(matches!(stream(&out, 100), Err(AnswerError::Checksum)));
        assert!(matches!(stream(&[0xff, 0xff, 0x7f], 3), Err(AnswerError::TooLarge { .. })));
    }

    #[test]
    fn histograms_are_streamed_between_floats() {
        let h = |t: i64, count: f64| {
            let h = Histogram { count, zero_count: count, sum: 1.5, ..Histogram::default() };
            HistogramSample { t, h: Arc::new(h) }
        };
        let samples =
            SampleColumns { t: vec![1, 5], v: vec![0.5, -1.0], h: vec![h(2, 3.0), h(4, 2.5), h(6, 1.0)] };
        let mut out = Vec::new();
        let labels = Labels::from_pairs([("__name__", "a")]);
        put_frames(&labels, &samples, 0, 1 << 20, &mut out);
        assert_eq!(read_all(stream(&out, 10).unwrap()), [(labels, samples)]);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = stream(&bytes, 50);
            let _ = chunked_series(&bytes);
            let _ = time_series(&bytes);
            let body = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
            let _ = read_samples::<AnswerError>(&body, 1000, |_| Ok(()));
        }
    }
}

//! A stand-in for the packed codec, without compression, until that lands: the functions stay as they are.

use std::sync::Arc;

use crate::{ChunkError, CounterResetHint, Histogram, HistogramSample, SampleColumns, Span, TimeRange};

const FLOATS: u8 = 1;
const HISTOGRAMS: u8 = 2;

/// Appends a chunk of floats that stands alone to `out`. `t` must rise and be as long as `v`; at most
/// [`crate::MAX_CHUNK_SAMPLES`] samples.
pub fn encode_floats(t: &[i64], v: &[f64], out: &mut Vec<u8>) {
    out.push(FLOATS);
    encode_times(t, out);
    encode_values(v, out);
}

/// Appends a column of times, to be shared by chunks of [`crate::Chunk::from_columns`]. The times must rise.
pub fn encode_times(t: &[i64], out: &mut Vec<u8>) {
    out.extend((t.len() as u32).to_le_bytes());
    out.extend(t.iter().flat_map(|t| t.to_le_bytes()));
}

/// Appends a column of values; its length is that of the column of times it is used with.
pub fn encode_values(v: &[f64], out: &mut Vec<u8>) {
    out.extend(v.iter().flat_map(|v| v.to_bits().to_le_bytes()));
}

/// Appends a chunk of histograms, times rising, to `out`.
pub fn encode_histograms(h: &[HistogramSample], out: &mut Vec<u8>) {
    out.push(HISTOGRAMS);
    out.extend((h.len() as u32).to_le_bytes());
    for s in h {
        out.extend(s.t.to_le_bytes());
    }
    for s in h {
        let mut f = |x: u64| out.extend(x.to_le_bytes());
        f(s.h.schema as i64 as u64);
        f(s.h.hint as u64);
        for x in [s.h.zero_threshold, s.h.zero_count, s.h.count, s.h.sum] {
            f(x.to_bits());
        }
        for spans in [&s.h.positive_spans, &s.h.negative_spans] {
            f(spans.len() as u64);
            for span in spans {
                f(i64::from(span.offset) as u64);
                f(u64::from(span.length));
            }
        }
        for list in [&s.h.positive_buckets, &s.h.negative_buckets, &s.h.custom_values] {
            f(list.len() as u64);
            for x in list {
                f(x.to_bits());
            }
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn u64(&mut self) -> Result<u64, ChunkError> {
        let b = self.bytes.get(self.at..).and_then(|b| b.first_chunk::<8>());
        let b = b.ok_or(ChunkError::Truncated { at: self.at })?;
        self.at += 8;
        Ok(u64::from_le_bytes(*b))
    }

    fn count(&mut self) -> Result<usize, ChunkError> {
        let n = self.u64()?;
        if n > self.bytes.len() as u64 / 8 {
            return Err(ChunkError::Corrupt { at: self.at, what: "count" });
        }
        Ok(n as usize)
    }

    fn floats(&mut self) -> Result<Vec<f64>, ChunkError> {
        (0..self.count()?).map(|_| self.u64().map(f64::from_bits)).collect()
    }

    fn spans(&mut self) -> Result<Vec<Span>, ChunkError> {
        (0..self.count()?)
            .map(|_| Ok(Span { offset: self.u64()? as i32, length: self.u64()? as u32 }))
            .collect()
    }
}

pub(super) fn header(bytes: &[u8]) -> Result<(TimeRange, u32), ChunkError> {
    match bytes.first() {
        Some(&(FLOATS | HISTOGRAMS)) => times_header(&bytes[1..]),
        Some(_) => Err(ChunkError::Corrupt { at: 0, what: "unknown kind of chunk" }),
        None => Err(ChunkError::Truncated { at: 0 }),
    }
}

pub(super) fn times_header(bytes: &[u8]) -> Result<(TimeRange, u32), ChunkError> {
    let t = times(bytes)?;
    let range = TimeRange::new(t.first().copied().unwrap_or(0), t.last().copied().unwrap_or(-1));
    Ok((range, t.len() as u32))
}

fn times(bytes: &[u8]) -> Result<Vec<i64>, ChunkError> {
    let n = bytes.first_chunk::<4>().ok_or(ChunkError::Truncated { at: 0 })?;
    let n = u32::from_le_bytes(*n) as usize;
    let body = bytes[4..].get(..n * 8).ok_or(ChunkError::Truncated { at: bytes.len() })?;
    Ok(body.chunks_exact(8).filter_map(|b| b.first_chunk()).map(|b| i64::from_le_bytes(*b)).collect())
}

pub(super) fn decode(bytes: &[u8], range: TimeRange, out: &mut SampleColumns) -> Result<(), ChunkError> {
    header(bytes)?;
    let t = times(&bytes[1..])?;
    let rest = 5 + t.len() * 8;
    if bytes[0] == FLOATS {
        return decode_columns(&bytes[1..], &bytes[rest..], range, out);
    }
    let mut r = Reader { bytes, at: rest };
    for t in t {
        let h = Histogram {
            schema: r.u64()? as i32,
            hint: match r.u64()? {
                1 => CounterResetHint::CounterReset,
                2 => CounterResetHint::NotCounterReset,
                3 => CounterResetHint::Gauge,
                _ => CounterResetHint::Unknown,
            },
            zero_threshold: f64::from_bits(r.u64()?),
            zero_count: f64::from_bits(r.u64()?),
            count: f64::from_bits(r.u64()?),
            sum: f64::from_bits(r.u64()?),
            positive_spans: r.spans()?,
            negative_spans: r.spans()?,
            positive_buckets: r.floats()?,
            negative_buckets: r.floats()?,
            custom_values: r.floats()?,
        };
        if range.contains(t) {
            out.h.push(HistogramSample { t, h: Arc::new(h) });
        }
    }
    Ok(())
}

pub(super) fn decode_columns(
    times_bytes: &[u8],
    values: &[u8],
    range: TimeRange,
    out: &mut SampleColumns,
) -> Result<(), ChunkError> {
    let t = times(times_bytes)?;
    let mut r = Reader { bytes: values, at: 0 };
    for t in t {
        let v = f64::from_bits(r.u64()?);
        if range.contains(t) {
            out.push(t, v);
        }
    }
    Ok(())
}

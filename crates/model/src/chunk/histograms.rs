//! Chunks of native histograms.
//!
//! The layout (schema, zero threshold, spans, custom bounds) stands once for a run of histograms that share it, and
//! then every bucket is a column over the run: a bucket that nothing falls into costs two bytes a run.

use std::sync::Arc;

use super::{
    ChunkError,
    reader::{Reader, put_varint, put_zigzag},
    times::{TimesHead, decode_times, encode_times, read_head},
    values::{decode_values, encode_values},
};
use crate::{CounterResetHint, Histogram, HistogramSample, SampleColumns, Span, TimeRange};

/// First byte of a chunk of histograms.
pub(super) const TAG: u8 = 3;

/// Most histograms in a chunk.
const MAX_HISTOGRAMS: usize = 1024;

/// Most numbers (histograms × columns) in a chunk: what corrupt bytes can make a reader allocate. One histogram may
/// pass it alone, for it then has that many bytes.
const MAX_CELLS: usize = 1 << 20;

/// In the head byte of a run, above the two bits of the hint: the layout is that of the run before.
const SAME_LAYOUT: u8 = 4;

/// Columns beside the buckets: zero count, count, sum.
const FIXED_COLUMNS: usize = 3;

/// Appends a chunk of histograms, times rising, to `out`, and returns how many of `h` it took: all that fit into one
/// chunk, at least one unless `h` is empty. The caller goes on with the rest in a chunk of its own.
#[must_use = "the histograms that did not fit need another chunk"]
pub fn encode_histograms(h: &[HistogramSample], out: &mut Vec<u8>) -> usize {
    let n = how_many(h);
    let h = &h[..n];
    out.push(TAG);
    let t: Vec<i64> = h.iter().map(|s| s.t).collect();
    encode_times(&t, out);
    let mut before: Option<&Histogram> = None;
    for run in h.chunk_by(|a, b| a.h.hint == b.h.hint && same_layout(&a.h, &b.h)) {
        let layout = &*run[0].h;
        let same = before.is_some_and(|b| same_layout(b, layout));
        put_varint(run.len() as u64, out);
        out.push(hint_code(layout.hint) | if same { SAME_LAYOUT } else { 0 });
        if !same {
            put_layout(layout, out);
        }
        put_columns(run, out);
        before = Some(layout);
    }
    n
}

fn how_many(h: &[HistogramSample]) -> usize {
    let mut cells = 0;
    h.iter()
        .take(MAX_HISTOGRAMS)
        .take_while(|s| {
            let first = cells == 0;
            cells += columns(&s.h);
            first || cells <= MAX_CELLS
        })
        .count()
}

fn columns(h: &Histogram) -> usize {
    FIXED_COLUMNS + h.positive_buckets.len() + h.negative_buckets.len()
}

fn same_layout(a: &Histogram, b: &Histogram) -> bool {
    let bits =
        |v: &[f64], w: &[f64]| v.len() == w.len() && v.iter().zip(w).all(|(a, b)| a.to_bits() == b.to_bits());
    a.schema == b.schema
        && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && a.positive_buckets.len() == b.positive_buckets.len()
        && a.negative_buckets.len() == b.negative_buckets.len()
        && bits(&a.custom_values, &b.custom_values)
}

fn hint_code(hint: CounterResetHint) -> u8 {
    match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::CounterReset => 1,
        CounterResetHint::NotCounterReset => 2,
        CounterResetHint::Gauge => 3,
    }
}

fn hint_of(code: u8) -> CounterResetHint {
    match code & 3 {
        0 => CounterResetHint::Unknown,
        1 => CounterResetHint::CounterReset,
        2 => CounterResetHint::NotCounterReset,
        _ => CounterResetHint::Gauge,
    }
}

fn put_layout(h: &Histogram, out: &mut Vec<u8>) {
    put_zigzag(i64::from(h.schema), out);
    out.extend_from_slice(&h.zero_threshold.to_bits().to_le_bytes());
    for (spans, buckets) in
        [(&h.positive_spans, &h.positive_buckets), (&h.negative_spans, &h.negative_buckets)]
    {
        put_varint(spans.len() as u64, out);
        for span in spans {
            put_zigzag(i64::from(span.offset), out);
            put_varint(u64::from(span.length), out);
        }
        put_varint(buckets.len() as u64, out);
    }
    put_varint(h.custom_values.len() as u64, out);
    for bound in &h.custom_values {
        out.extend_from_slice(&bound.to_bits().to_le_bytes());
    }
}

fn put_columns(run: &[HistogramSample], out: &mut Vec<u8>) {
    let mut column = Vec::with_capacity(run.len());
    let mut put = |of: &dyn Fn(&Histogram) -> f64| {
        column.clear();
        column.extend(run.iter().map(|s| of(&s.h)));
        encode_values(&column, out);
    };
    put(&|h| h.zero_count);
    put(&|h| h.count);
    put(&|h| h.sum);
    for i in 0..run[0].h.positive_buckets.len() {
        put(&|h| h.positive_buckets[i]);
    }
    for i in 0..run[0].h.negative_buckets.len() {
        put(&|h| h.negative_buckets[i]);
    }
}

pub(super) fn head(bytes: &[u8]) -> Result<TimesHead, ChunkError> {
    let mut r = Reader::new(bytes);
    r.u8()?;
    let head = read_head(&mut r)?;
    if head.n > MAX_HISTOGRAMS { Err(r.corrupt("too many histograms")) } else { Ok(head) }
}

/// Appends the histograms in `range`.
pub(super) fn decode(bytes: &[u8], range: TimeRange, out: &mut SampleColumns) -> Result<(), ChunkError> {
    let n = head(bytes)?.n;
    let mut r = Reader::new(bytes);
    r.u8()?;
    let mut times = Vec::new();
    // Columns follow the times without a length of their own, so the whole column is read.
    decode_times(&mut r, TimeRange::ALL, &mut times)?;
    let mut layout = None;
    let (mut done, mut cells) = (0, 0);
    while done < n {
        let len = r.count(n - done, "a run longer than the chunk")?;
        if len == 0 {
            return Err(r.corrupt("a run without histograms"));
        }
        let code = r.u8()?;
        if code & SAME_LAYOUT == 0 {
            layout = Some(read_layout(&mut r)?);
        }
        let Some(layout) = &layout else { return Err(r.corrupt("a first run without layout")) };
        cells += len * columns(layout);
        if cells > MAX_CELLS && n > 1 {
            return Err(r.corrupt("too many buckets"));
        }
        let template = Histogram { hint: hint_of(code), ..layout.clone() };
        let times = times.get(done..done + len).unwrap_or_default();
        read_run(&mut r, &template, times, range, out)?;
        done += len;
    }
    Ok(())
}

/// A histogram with everything but counts; its buckets are zeros.
fn read_layout(r: &mut Reader<'_>) -> Result<Histogram, ChunkError> {
    let mut h = Histogram { schema: r.zigzag()? as i32, ..Histogram::default() };
    h.zero_threshold = f64::from_bits(r.u64()?);
    for positive in [true, false] {
        // A span takes two bytes at least, and a bucket's column as well.
        let spans = r.count(r.left() / 2, "more spans than bytes")?;
        let spans = (0..spans)
            .map(|_| Ok(Span { offset: r.zigzag()? as i32, length: r.varint()? as u32 }))
            .collect::<Result<Vec<_>, ChunkError>>()?;
        let buckets = vec![0.0; r.count(r.left() / 2, "more buckets than bytes")?];
        if positive {
            (h.positive_spans, h.positive_buckets) = (spans, buckets);
        } else {
            (h.negative_spans, h.negative_buckets) = (spans, buckets);
        }
    }
    let bounds = r.count(r.left() / 8, "more bounds than bytes")?;
    h.custom_values = (0..bounds).map(|_| r.u64().map(f64::from_bits)).collect::<Result<_, _>>()?;
    Ok(h)
}

fn read_run(
    r: &mut Reader<'_>,
    template: &Histogram,
    times: &[i64],
    range: TimeRange,
    out: &mut SampleColumns,
) -> Result<(), ChunkError> {
    let n = times.len();
    // All columns, one behind the other; a histogram is one number of each.
    let mut cells = Vec::with_capacity((n * columns(template)).min(MAX_CELLS));
    for _ in 0..columns(template) {
        decode_values(r, n, 0, n, &mut cells)?;
    }
    let positive = template.positive_buckets.len();
    for (i, &t) in times.iter().enumerate().filter(|(_, t)| range.contains(**t)) {
        let cell = |column: usize| cells[column * n + i];
        let mut h = template.clone();
        (h.zero_count, h.count, h.sum) = (cell(0), cell(1), cell(2));
        for (k, b) in h.positive_buckets.iter_mut().enumerate() {
            *b = cell(FIXED_COLUMNS + k);
        }
        for (k, b) in h.negative_buckets.iter_mut().enumerate() {
            *b = cell(FIXED_COLUMNS + positive + k);
        }
        out.h.push(HistogramSample { t, h: Arc::new(h) });
    }
    Ok(())
}

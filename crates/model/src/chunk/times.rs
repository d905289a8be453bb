//! Columns of times.

use super::{
    ChunkError, MAX_CHUNK_SAMPLES,
    ints::{PAGE, PageHead, decode_page, decode_steady, encode_page, encode_steady, steady_step},
    reader::{Reader, put_varint, put_zigzag},
};
use crate::TimeRange;

const FORM_LINE: u8 = 0;
const FORM_PAGES: u8 = 1;

const HEAD: PageHead = PageHead { tag: 0, marked: false };

/// What a column of times says before the times.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimesHead {
    /// How many times there are.
    pub(super) n: usize,
    /// First and last; empty without times.
    pub(super) range: TimeRange,
}

/// Appends a column of times, to be shared by chunks of [`crate::Chunk::from_columns`]. The times must rise;
/// at most [`MAX_CHUNK_SAMPLES`].
pub fn encode_times(t: &[i64], out: &mut Vec<u8>) {
    debug_assert!(t.windows(2).all(|w| w[0] < w[1]), "times must rise");
    debug_assert!(t.len() <= MAX_CHUNK_SAMPLES, "too many samples");
    put_varint(t.len() as u64, out);
    let (Some(&first), Some(&last)) = (t.first(), t.last()) else { return };
    put_zigzag(first, out);
    put_varint(last.wrapping_sub(first) as u64, out);
    if t.len() <= PAGE {
        return encode_time_page(t, out);
    }
    if let Some(step) = steady_step(t) {
        out.push(FORM_LINE);
        return encode_steady(0, step, HEAD, out);
    }
    out.push(FORM_PAGES);
    let mut pages = Vec::with_capacity(t.len());
    let mut before = first;
    for page in t.chunks(PAGE) {
        let start = pages.len();
        encode_time_page(page, &mut pages);
        put_varint(page[0].wrapping_sub(before) as u64, out);
        put_varint((pages.len() - start) as u64, out);
        before = page[0];
    }
    out.extend_from_slice(&pages);
}

/// Times of a page stand relative to its first.
fn encode_time_page(t: &[i64], out: &mut Vec<u8>) {
    let mut x = [0; PAGE];
    for (x, t_i) in x.iter_mut().zip(t) {
        *x = t_i.wrapping_sub(t[0]);
    }
    encode_page(&x[..t.len()], HEAD, out);
}

pub(super) fn read_head(r: &mut Reader<'_>) -> Result<TimesHead, ChunkError> {
    let n = r.count(MAX_CHUNK_SAMPLES, "too many samples")?;
    if n == 0 {
        return Ok(TimesHead { n, range: TimeRange { start: 0, end: -1 } });
    }
    let start = r.zigzag()?;
    let end = start.wrapping_add(r.varint()? as i64);
    if end < start || (n == 1) != (end == start) {
        return Err(r.corrupt("times that do not rise"));
    }
    Ok(TimesHead { n, range: TimeRange { start, end } })
}

/// Appends the times in `range` to `out`, and returns which of the column they are: `from..to`.
pub(super) fn decode_times(
    r: &mut Reader<'_>,
    range: TimeRange,
    out: &mut Vec<i64>,
) -> Result<(usize, usize), ChunkError> {
    let head = read_head(r)?;
    if head.n == 0 || !head.range.overlaps(range) || range.end < range.start {
        return Ok((0, 0));
    }
    if head.n <= PAGE {
        return decode_time_page(r, head.n, head.range, range, out);
    }
    match r.u8()? {
        FORM_LINE => decode_line(r, head, range, out),
        FORM_PAGES => decode_pages(r, head, range, out),
        _ => Err(r.corrupt("unknown form of a column")),
    }
}

fn decode_line(
    r: &mut Reader<'_>,
    head: TimesHead,
    range: TimeRange,
    out: &mut Vec<i64>,
) -> Result<(usize, usize), ChunkError> {
    let (_, _, step) = decode_steady(r)?;
    let start = head.range.start;
    if step <= 0 || i128::from(start) + i128::from(step) * (head.n as i128 - 1) != i128::from(head.range.end)
    {
        return Err(r.corrupt("times that do not rise"));
    }
    // How many times lie below a bound: both bounds are clamped into the column first, so nothing overflows.
    let below = |t: i128| ((t - i128::from(start) + i128::from(step) - 1) / i128::from(step)) as usize;
    let from = below(i128::from(range.start.max(start)));
    let to = below(i128::from(range.end.min(head.range.end)) + 1);
    out.extend((from..to).map(|i| start.wrapping_add(step.wrapping_mul(i as i64))));
    Ok((from, to.max(from)))
}

fn decode_pages(
    r: &mut Reader<'_>,
    head: TimesHead,
    range: TimeRange,
    out: &mut Vec<i64>,
) -> Result<(usize, usize), ChunkError> {
    // The skip list: where and with which time each page begins.
    let pages = head.n.div_ceil(PAGE);
    let mut list = Vec::with_capacity(pages);
    let (mut start, mut offset) = (head.range.start, 0);
    for i in 0..pages {
        let rise = r.varint()? as i64;
        if rise < 0 || (i > 0 && rise == 0) || start.checked_add(rise).is_none() {
            return Err(r.corrupt("times that do not rise"));
        }
        start += rise;
        list.push((start, offset));
        offset += r.count(PAGE * 32, "a page of times too long")?;
    }
    let first = list.partition_point(|(start, _)| *start <= range.start).saturating_sub(1);
    r.skip(list[first].1)?;
    let (mut from, mut to) = (first * PAGE, first * PAGE);
    for (i, (start, _)) in list.iter().enumerate().skip(first) {
        if *start > range.end {
            break;
        }
        let n = (head.n - i * PAGE).min(PAGE);
        let end = list.get(i + 1).map_or(i64::MAX, |next| next.0 - 1);
        let (a, b) = decode_time_page(r, n, TimeRange::new(*start, end), range, out)?;
        if i == first {
            from = i * PAGE + a;
        }
        to = i * PAGE + b;
    }
    Ok((from, to.max(from)))
}

/// Decodes a page of times, which must rise inside `bounds` from its start; returns which lie in `range`.
fn decode_time_page(
    r: &mut Reader<'_>,
    n: usize,
    bounds: TimeRange,
    range: TimeRange,
    out: &mut Vec<i64>,
) -> Result<(usize, usize), ChunkError> {
    let mut x = [0; PAGE];
    decode_page(r, n, &mut x)?;
    let t = &mut x[..n];
    for t in &mut *t {
        *t = t.wrapping_add(bounds.start);
    }
    if !t.windows(2).all(|w| w[0] < w[1]) || t[n - 1] > bounds.end {
        return Err(r.corrupt("times that do not rise"));
    }
    let from = t.partition_point(|t| *t < range.start);
    let to = t.partition_point(|t| *t <= range.end).max(from);
    out.extend_from_slice(&t[from..to]);
    Ok((from, to))
}

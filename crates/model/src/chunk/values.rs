//! Columns of floats.
//!
//! Most floats of metrics were short decimals once. A page of them becomes integers by an exact power of ten
//! (checked bit by bit; the idea is ALP's: Afroozeh, Kuffó, Boncz, "ALP: Adaptive Lossless floating-Point
//! Compression", 2023), and packs as integers do. Other floats pack as the integers that their bits are, in an
//! order that rises with the floats. Single floats that fit neither way (staleness markers, infinities, negative
//! zero) stand apart as eight bytes.

use super::{
    ChunkError,
    ints::{PAGE, PageHead, WIDE_TAG, decode_page, decode_steady, encode_page, encode_steady, steady_step},
    reader::{Reader, put_varint},
};

/// Largest exponent of ten that is tried.
const MAX_EXPONENT: u8 = 14;

/// Powers of ten that floats hold exactly.
pub(super) const POW10: [f64; 15] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14];

/// Adding and subtracting it rounds a float below 2^51 to the nearest integer, to even in the middle.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// A column of more than one page begins with its form.
const FORM_LINE: u8 = 0;
const FORM_PAGES: u8 = 1;

/// The integer `m` for which `m / 10^exponent` is exactly `v`, to the last bit, if there is one.
#[inline]
pub(super) fn exact(v: f64, exponent: u8) -> Option<i64> {
    if exponent == 0 {
        let m = v as i64;
        return ((m as f64).to_bits() == v.to_bits()).then_some(m);
    }
    let power = POW10[exponent as usize];
    let scaled = v * power;
    if scaled.abs() < (1u64 << 51) as f64 {
        let rounded = (scaled + ROUNDER) - ROUNDER;
        if (rounded / power).to_bits() == v.to_bits() {
            return Some(rounded as i64);
        }
    }
    None
}

/// The smallest exponent from `from` on for which [`exact`] succeeds.
pub(super) fn exponent_of(v: f64, from: u8) -> Option<u8> {
    if !v.is_finite() {
        return None;
    }
    (from..=MAX_EXPONENT).find(|e| exact(v, *e).is_some())
}

/// The bits of a float as an integer that rises with the float.
#[inline]
fn ordered(v: f64) -> i64 {
    let bits = v.to_bits() as i64;
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

/// Undoes [`ordered`].
#[inline]
fn from_ordered(x: i64) -> f64 {
    f64::from_bits(if x < 0 { x ^ i64::MAX } else { x } as u64)
}

/// Appends a column of values; its length is that of the column of times it is used with, at most
/// [`crate::MAX_CHUNK_SAMPLES`].
pub fn encode_values(v: &[f64], out: &mut Vec<u8>) {
    if v.len() <= PAGE {
        if !v.is_empty() {
            encode_value_page(v, out);
        }
        return;
    }
    if let Some((ints, tag)) = v.iter().map(|x| exact(*x, 0)).collect::<Option<Vec<i64>>>().map(|i| (i, 0))
        && let Some(step) = steady_step(&ints)
    {
        out.push(FORM_LINE);
        return encode_steady(ints[0], step, PageHead { tag, marked: false }, out);
    }
    if v.iter().all(|x| x.to_bits() == v[0].to_bits()) {
        out.push(FORM_LINE);
        return encode_value_page(&v[..1], out);
    }
    out.push(FORM_PAGES);
    let mut pages = Vec::with_capacity(v.len());
    for page in v.chunks(PAGE) {
        let before = pages.len();
        encode_value_page(page, &mut pages);
        put_varint((pages.len() - before) as u64, out);
    }
    out.extend_from_slice(&pages);
}

fn encode_value_page(v: &[f64], out: &mut Vec<u8>) {
    let before = out.len();
    let mut ints = [0; PAGE];
    let decimal = as_decimals(v, &mut ints);
    if let Some((exponent, odd)) = decimal {
        encode_ints(v, &ints, exponent, odd, out);
        if odd == 0 && exponent < 10 {
            return;
        }
    }
    let as_decimal = out.len() - before;
    let odd = as_bits(v, &mut ints);
    encode_ints(v, &ints, WIDE_TAG, odd, out);
    let as_bits = out.len() - before - as_decimal;
    if decimal.is_some() && as_decimal <= as_bits {
        out.truncate(before + as_decimal);
    } else {
        out.drain(before..before + as_decimal);
    }
}

/// Turns a page into decimals with the exponent that suits all but a few values; returns it and how many it does not
/// suit. `None`: too many.
fn as_decimals(v: &[f64], ints: &mut [i64; PAGE]) -> Option<(u8, usize)> {
    let probes = [v[0], v[v.len() / 2], v[v.len() - 1]];
    let mut exponent = probes.iter().filter_map(|x| exponent_of(*x, 0)).max().unwrap_or(0);
    'again: loop {
        let mut odd = 0;
        for (i, &x) in v.iter().enumerate() {
            if let Some(m) = exact(x, exponent) {
                ints[i] = m;
            } else if let Some(larger) = exponent_of(x, exponent + 1) {
                exponent = larger;
                continue 'again;
            } else {
                odd += 1;
                if odd > v.len() / 8 {
                    return None;
                }
            }
        }
        if odd > 0 {
            fill_odd(v, ints, |x| exact(x, exponent).is_none());
        }
        return Some((exponent, odd));
    }
}

/// Turns a page into the integers that rise with its floats; returns how many are NaN, which stand apart.
fn as_bits(v: &[f64], ints: &mut [i64; PAGE]) -> usize {
    let mut odd = 0;
    for (i, x) in ints.iter_mut().zip(v) {
        *i = ordered(*x);
        odd += usize::from(x.is_nan());
    }
    if odd > 0 {
        fill_odd(v, ints, f64::is_nan);
    }
    odd
}

/// Repeats the integer before in the place of each odd value, where it costs nothing; the first ones take the next that
/// there is.
fn fill_odd(v: &[f64], ints: &mut [i64; PAGE], is_odd: impl Fn(f64) -> bool) {
    let mut last = v.iter().position(|x| !is_odd(*x)).map_or(0, |i| ints[i]);
    for (i, x) in ints.iter_mut().zip(v) {
        if is_odd(*x) {
            *i = last;
        }
        last = *i;
    }
}

/// Packs the integers that stand for the values; the odd ones follow as eight bytes each.
fn encode_ints(v: &[f64], ints: &[i64; PAGE], tag: u8, odd: usize, out: &mut Vec<u8>) {
    encode_page(&ints[..v.len()], PageHead { tag, marked: odd > 0 }, out);
    if odd == 0 {
        return;
    }
    out.push((odd - 1) as u8);
    let is_odd = |x: f64| if tag == WIDE_TAG { x.is_nan() } else { exact(x, tag).is_none() };
    for (i, x) in v.iter().enumerate().filter(|(_, x)| is_odd(**x)) {
        out.push(i as u8);
        out.extend_from_slice(&x.to_bits().to_le_bytes());
    }
}

/// Appends the values `from..to` of a column of `n` to `out`.
pub(super) fn decode_values(
    r: &mut Reader<'_>,
    n: usize,
    from: usize,
    to: usize,
    out: &mut Vec<f64>,
) -> Result<(), ChunkError> {
    debug_assert!(from <= to && to <= n);
    if from >= to {
        return Ok(());
    }
    out.reserve(to - from);
    if n <= PAGE {
        return decode_value_page(r, n, from, to, out);
    }
    match r.u8()? {
        FORM_LINE => decode_line(r, from, to, out),
        FORM_PAGES => {
            let pages = n.div_ceil(PAGE);
            let mut before = 0;
            let (first, last) = (from / PAGE, (to - 1) / PAGE);
            for i in 0..pages {
                let len = r.count(PAGE * 32, "a page of values too long")?;
                before += if i < first { len } else { 0 };
            }
            r.skip(before)?;
            for i in first..=last {
                let start = i * PAGE;
                let len = (n - start).min(PAGE);
                decode_value_page(r, len, from.max(start) - start, to.min(start + len) - start, out)?;
            }
            Ok(())
        }
        _ => Err(r.corrupt("unknown form of a column")),
    }
}

fn decode_line(r: &mut Reader<'_>, from: usize, to: usize, out: &mut Vec<f64>) -> Result<(), ChunkError> {
    let mut one = r.clone();
    if let Ok((PageHead { tag: 0, marked: false }, first, step)) = decode_steady(r) {
        out.extend((from..to).map(|i| first.wrapping_add(step.wrapping_mul(i as i64)) as f64));
        return Ok(());
    }
    let at = out.len();
    decode_value_page(&mut one, 1, 0, 1, out)?;
    let v = out[at];
    out.resize(at + (to - from), v);
    Ok(())
}

/// Appends the values `from..to` of a page of `n`.
fn decode_value_page(
    r: &mut Reader<'_>,
    n: usize,
    from: usize,
    to: usize,
    out: &mut Vec<f64>,
) -> Result<(), ChunkError> {
    let mut ints = [0; PAGE];
    let head = decode_page(r, n, &mut ints)?;
    let start = out.len();
    let wanted = &ints[from..to];
    match head.tag {
        0 => out.extend(wanted.iter().map(|x| *x as f64)),
        WIDE_TAG => out.extend(wanted.iter().map(|x| from_ordered(*x))),
        e => {
            let power = POW10[e as usize];
            out.extend(wanted.iter().map(|x| *x as f64 / power));
        }
    }
    if head.marked {
        for _ in 0..=r.u8()? {
            let at = usize::from(r.u8()?);
            let bits = r.u64()?;
            if (from..to).contains(&at) {
                out[start + at - from] = f64::from_bits(bits);
            }
        }
    }
    Ok(())
}

//! Pages of integers, packed: the core that times, values and bucket counts share.
//!
//! A page of up to 256 integers is first reduced to small residuals (against a straight line, the integer
//! before it, or the slope before it; all over their greatest common divisor), and those are packed in blocks of
//! 128 relative to their minimum (frame of reference) with the few that do not fit stored apart (as PFOR does:
//! Zukowski et al., "Super-Scalar RAM-CPU Cache Compression", 2006). All arithmetic wraps, so every integer fits.

use super::{
    ChunkError,
    pack::{BLOCK, pack, packed_len, unpack},
    reader::{Reader, put_varint, put_zigzag, zigzag},
};

/// Integers in a page.
pub(super) const PAGE: usize = 256;

/// The tag (high half of the head byte) with which the first integer stands as 8 bytes, not as a variable-length
/// number: integers that are the bits of floats.
pub(super) const WIDE_TAG: u8 = 15;

const LINE: u8 = 0;
const DELTA: u8 = 1;
const SLOPE: u8 = 2;
const STEADY: u8 = 3;
const HAS_FACTOR: u8 = 4;
/// Free for the caller: values mark pages with patched floats.
pub(super) const MARK: u8 = 8;

/// Most residuals of a block that may stand apart: so many that a series which mostly stands still, and then moves by an
/// odd float, costs only its moves.
const MAX_EXCEPTIONS: usize = 96;

/// What a page says of itself beside its integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageHead {
    /// 0 to 15, of the caller's choice.
    pub(super) tag: u8,
    /// Of the caller's choice.
    pub(super) marked: bool,
}

/// If the integers lie on a line: the step between them.
pub(super) fn steady_step(x: &[i64]) -> Option<i64> {
    let step = if x.len() < 2 { 0 } else { x[1].wrapping_sub(x[0]) };
    x.windows(2).all(|w| w[1].wrapping_sub(w[0]) == step).then_some(step)
}

/// Appends a page of integers on a line; the only form that may stand for more than [`PAGE`] integers.
pub(super) fn encode_steady(first: i64, step: i64, head: PageHead, out: &mut Vec<u8>) {
    put_head(STEADY, step != 0, head, out);
    put_first(first, head, out);
    if step != 0 {
        put_zigzag(step, out);
    }
}

/// Appends a page of 1 to [`PAGE`] integers in the smallest form.
pub(super) fn encode_page(x: &[i64], head: PageHead, out: &mut Vec<u8>) {
    debug_assert!((1..=PAGE).contains(&x.len()));
    if let Some(step) = steady_step(x) {
        return encode_steady(x[0], step, head, out);
    }
    let (y, factor) = reduce(x);
    let best = Form::smallest(&y[..x.len()]);
    put_head(best.kind, factor != 1, head, out);
    put_first(x[0], head, out);
    if factor != 1 {
        put_varint(factor, out);
    }
    if best.kind != DELTA {
        put_zigzag(best.slope, out);
    }
    for (plan, block) in best.plans.iter().zip(best.residuals().chunks(BLOCK)) {
        plan.write(block, out);
    }
}

fn put_head(kind: u8, factor: bool, head: PageHead, out: &mut Vec<u8>) {
    let flags = if factor { HAS_FACTOR } else { 0 } | if head.marked { MARK } else { 0 };
    out.push(kind | flags | head.tag << 4);
}

fn put_first(first: i64, head: PageHead, out: &mut Vec<u8>) {
    if head.tag == WIDE_TAG {
        out.extend_from_slice(&first.to_le_bytes());
    } else {
        put_zigzag(first, out);
    }
}

/// Distances from the first integer over their greatest common divisor, and that divisor.
fn reduce(x: &[i64]) -> ([i64; PAGE], u64) {
    let mut y = [0; PAGE];
    let mut factor = 0u64;
    for (y, x_i) in y.iter_mut().zip(x) {
        *y = x_i.wrapping_sub(x[0]);
        // A distance that wrapped is no distance: nothing may be factored out.
        let wrapped = x_i.checked_sub(x[0]).is_none();
        factor = if wrapped { 1 } else { gcd(y.unsigned_abs(), factor) };
    }
    if factor > 1 {
        for y in &mut y {
            *y /= factor as i64;
        }
        (y, factor)
    } else {
        (y, 1)
    }
}

#[inline]
fn gcd(a: u64, b: u64) -> u64 {
    if a == 0 || b == 1 {
        return b;
    }
    if b == 0 {
        return a;
    }
    if a.is_multiple_of(b) {
        return b;
    }
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// One way to reduce a page, with what it would cost.
struct Form {
    kind: u8,
    /// Step of a line, or the first slope.
    slope: i64,
    residuals: [i64; PAGE],
    n: usize,
    plans: [Plan; 2],
    /// First a rough measure in bits, then what the plans cost in bytes.
    cost: usize,
}

impl Form {
    /// The smallest of the forms. All are measured roughly; only the best, and the second if it is close, are planned.
    fn smallest(y: &[i64]) -> Form {
        let mut forms = vec![Form::new(DELTA, 0, y), Form::new(LINE, 0, y)];
        if y.len() > 2 {
            forms.push(Form::new(SLOPE, y[1], y));
            let mean = (i128::from(y[y.len() - 1]) * 2 / (y.len() as i128 - 1) + 1) / 2;
            if mean != 0 {
                forms.push(Form::new(LINE, mean as i64, y));
            }
        }
        forms.sort_by_key(|form| form.cost);
        let close = forms[0].cost + forms[0].cost / 8;
        forms.truncate(if forms[1].cost <= close { 2 } else { 1 });
        let plan = |form: Form| {
            let (a, b) = form.residuals().split_at(form.n.min(BLOCK));
            let plans = [Plan::new(a), Plan::new(b)];
            let slope = if form.kind == DELTA { 0 } else { varint_len(zigzag(form.slope)) };
            Form { cost: plans[0].cost + plans[1].cost + slope, plans, ..form }
        };
        let second = if forms.len() > 1 { forms.pop().map(plan) } else { None };
        let best = plan(forms.swap_remove(0));
        second.filter(|second| second.cost < best.cost).unwrap_or(best)
    }

    fn new(kind: u8, slope: i64, y: &[i64]) -> Form {
        let mut residuals = [0; PAGE];
        let n = match kind {
            LINE => {
                for (i, (r, y)) in residuals.iter_mut().zip(&y[1..]).enumerate() {
                    *r = y.wrapping_sub(slope.wrapping_mul(i as i64 + 1));
                }
                y.len() - 1
            }
            DELTA => {
                for (r, w) in residuals.iter_mut().zip(y.windows(2)) {
                    *r = w[1].wrapping_sub(w[0]);
                }
                y.len() - 1
            }
            _ => {
                for (r, w) in residuals.iter_mut().zip(y.windows(3)) {
                    *r = w[2].wrapping_sub(w[1]).wrapping_sub(w[1].wrapping_sub(w[0]));
                }
                y.len() - 2
            }
        };
        // The bits that residuals take around one in their middle: a few far off count little.
        let middle = residuals[n / 2];
        let cost = residuals[..n].iter().map(|r| bit_len(zigzag(r.wrapping_sub(middle))) as usize).sum();
        Form { kind, slope, residuals, n, plans: [Plan::EMPTY; 2], cost }
    }

    fn residuals(&self) -> &[i64] {
        &self.residuals[..self.n]
    }
}

/// How a block of residuals is packed.
#[derive(Clone, Copy, Debug)]
struct Plan {
    base: i64,
    width: u32,
    /// Estimated bytes.
    cost: usize,
}

impl Plan {
    const EMPTY: Plan = Plan { base: 0, width: 0, cost: 0 };

    fn new(r: &[i64]) -> Plan {
        let (Some(&min), Some(&max)) = (r.iter().min(), r.iter().max()) else { return Plan::EMPTY };
        let mut best = Plan::at(r, min);
        // A few residuals far below the others (a counter that was reset) must not set the base for all.
        let mut base = min;
        for below in 0..4 {
            let Some(&next) = r.iter().filter(|x| **x > base).min() else { break };
            base = next;
            let gain = bit_len(max.wrapping_sub(min) as u64) - bit_len(max.wrapping_sub(base) as u64);
            if gain == 0 && below > 0 {
                break;
            }
            if gain > 0 {
                let plan = Plan::at(r, base);
                if plan.cost < best.cost {
                    best = plan;
                }
            }
        }
        best
    }

    /// The best width over `base`; residuals below it wrap to large numbers, which makes them exceptions.
    fn at(r: &[i64], base: i64) -> Plan {
        let mut lengths = [0u16; 65];
        let mut max = 0;
        for x in r {
            let bits = bit_len(x.wrapping_sub(base) as u64);
            lengths[bits as usize] += 1;
            max = max.max(bits);
        }
        let fixed = 1 + varint_len(zigzag(base));
        let mut best = Plan { base, width: max, cost: fixed + packed_len(r.len(), max) };
        let (mut count, mut apart) = (0, 1);
        for width in (0..max).rev() {
            let n = lengths[width as usize + 1] as usize;
            count += n;
            // An exception is a position and a signed number.
            apart += n * (1 + (width as usize + 2).div_ceil(7).min(8));
            if count > MAX_EXCEPTIONS || fixed + apart > best.cost {
                break;
            }
            let cost = fixed + apart + packed_len(r.len(), width);
            if cost < best.cost {
                best = Plan { base, width, cost };
            }
        }
        best
    }

    fn write(&self, r: &[i64], out: &mut Vec<u8>) {
        let fits = |x: i64| bit_len(x.wrapping_sub(self.base) as u64) <= self.width;
        let apart = r.iter().filter(|x| !fits(**x)).count();
        out.push(self.width as u8 | if apart > 0 { 0x80 } else { 0 });
        put_zigzag(self.base, out);
        if apart > 0 {
            out.push(apart as u8);
        }
        pack(r.iter().map(|x| if fits(*x) { x.wrapping_sub(self.base) as u64 } else { 0 }), self.width, out);
        if apart > 0 {
            for (i, x) in r.iter().enumerate().filter(|(_, x)| !fits(**x)) {
                out.push(i as u8);
                put_zigzag(x.wrapping_sub(self.base), out);
            }
        }
    }
}

#[inline]
fn bit_len(x: u64) -> u32 {
    64 - x.leading_zeros()
}

fn varint_len(x: u64) -> usize {
    (bit_len(x).max(1) as usize).div_ceil(7)
}

/// A page of integers on a line: the first and the step.
pub(super) fn decode_steady(r: &mut Reader<'_>) -> Result<(PageHead, i64, i64), ChunkError> {
    let byte = r.u8()?;
    if byte & 3 != STEADY {
        return Err(r.corrupt("a long page that is no line"));
    }
    let head = PageHead { tag: byte >> 4, marked: byte & MARK != 0 };
    let first = read_first(head, r)?;
    let step = if byte & HAS_FACTOR != 0 { r.zigzag()? } else { 0 };
    Ok((head, first, step))
}

fn read_first(head: PageHead, r: &mut Reader<'_>) -> Result<i64, ChunkError> {
    if head.tag == WIDE_TAG { r.u64().map(|x| x as i64) } else { r.zigzag() }
}

/// Reads a page of `n` integers (1 to [`PAGE`]) into the beginning of `out`; the rest of `out` is arbitrary.
pub(super) fn decode_page(
    r: &mut Reader<'_>,
    n: usize,
    out: &mut [i64; PAGE],
) -> Result<PageHead, ChunkError> {
    let n = n.clamp(1, PAGE);
    let byte = r.u8()?;
    let head = PageHead { tag: byte >> 4, marked: byte & MARK != 0 };
    let first = read_first(head, r)?;
    if byte & 3 == STEADY {
        let step = if byte & HAS_FACTOR != 0 { r.zigzag()? } else { 0 };
        for (i, x) in out[..n].iter_mut().enumerate() {
            *x = first.wrapping_add(step.wrapping_mul(i as i64));
        }
        return Ok(head);
    }
    let factor = if byte & HAS_FACTOR != 0 { r.varint()? as i64 } else { 1 };
    let slope = if byte & 3 == DELTA { 0 } else { r.zigzag()? };
    let known = if byte & 3 == SLOPE { 2 } else { 1 };
    // Residuals are read in place, behind the integers that are known without any.
    let mut at = known;
    while at < n {
        let len = (n - at).min(BLOCK);
        decode_block(r, len, &mut out[at..at + len])?;
        at += len;
    }
    out[0] = 0;
    match byte & 3 {
        LINE => {
            for (i, x) in out[..n].iter_mut().enumerate() {
                *x = x.wrapping_add(slope.wrapping_mul(i as i64));
            }
        }
        DELTA => {
            let mut sum = 0i64;
            for x in &mut out[..n] {
                sum = sum.wrapping_add(*x);
                *x = sum;
            }
        }
        _ => {
            let (mut sum, mut slope) = (slope, slope);
            out[1] = slope;
            for x in &mut out[2..n.max(2)] {
                slope = slope.wrapping_add(*x);
                sum = sum.wrapping_add(slope);
                *x = sum;
            }
        }
    }
    if factor == 1 {
        for x in &mut out[..n] {
            *x = x.wrapping_add(first);
        }
    } else {
        for x in &mut out[..n] {
            *x = x.wrapping_mul(factor).wrapping_add(first);
        }
    }
    Ok(head)
}

/// Reads as many residuals as `out` has room for (at most a block).
fn decode_block(r: &mut Reader<'_>, len: usize, out: &mut [i64]) -> Result<(), ChunkError> {
    let byte = r.u8()?;
    let width = u32::from(byte & 0x7f);
    if width > 64 {
        return Err(r.corrupt("a width above 64 bits"));
    }
    let base = r.zigzag()?;
    let apart = if byte & 0x80 != 0 { usize::from(r.u8()?) } else { 0 };
    let bytes = r.take(packed_len(len, width))?;
    let mut block = [0u64; BLOCK];
    unpack(bytes, width, &mut block);
    for (o, x) in out.iter_mut().zip(&block) {
        *o = base.wrapping_add(*x as i64);
    }
    for _ in 0..apart {
        let at = usize::from(r.u8()?);
        let Some(o) = out.get_mut(at) else { return Err(r.corrupt("an exception behind the block")) };
        *o = base.wrapping_add(r.zigzag()?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(x: &[i64], tag: u8) -> usize {
        let head = PageHead { tag, marked: x.len().is_multiple_of(2) };
        let mut bytes = Vec::new();
        encode_page(x, head, &mut bytes);
        let mut r = Reader::new(&bytes);
        let mut out = [77; PAGE];
        assert_eq!(decode_page(&mut r, x.len(), &mut out), Ok(head));
        assert_eq!(&out[..x.len()], x);
        assert_eq!(r.left(), 0);
        bytes.len()
    }

    #[test]
    fn a_reset_or_a_common_factor_costs_a_few_bytes_only() {
        let mut counter: Vec<i64> = (0..200).map(|i| 1_000_000 + i * 100 + i * i % 7).collect();
        let plain = round_trip(&counter, 0);
        for x in &mut counter[120..] {
            *x -= 1_000_000;
        }
        assert!(round_trip(&counter, 0) < plain + 10);
        let pages: Vec<i64> = (0..200).map(|i| 4096 * (i * i % 13)).collect();
        let small: Vec<i64> = pages.iter().map(|x| x / 4096).collect();
        assert!(round_trip(&pages, 0) <= round_trip(&small, 0) + 2);
    }

    #[test]
    fn a_jittering_clock_costs_only_its_jitter() {
        let t: Vec<i64> = (0..256).map(|i| i * 15_000 + (i * 7919) % 7 - 3).collect();
        let bytes = round_trip(&t, 0);
        assert!(bytes < 256 * 3 / 8 + 16, "{bytes}");
    }

    #[test]
    fn a_series_that_mostly_stands_still_costs_its_moves() {
        let mut x = 0x4050_0000_0000_0000;
        let column: Vec<i64> = (0..256i64)
            .map(|i| {
                x += if i % 4 == 0 { (i * 7919 + 1) << 30 } else { 0 };
                x
            })
            .collect();
        let bytes = round_trip(&column, WIDE_TAG);
        assert!(bytes < 64 * 9 + 32, "{bytes}");
    }

    fn column() -> impl Strategy<Value = Vec<i64>> {
        let mixed = prop_oneof![any::<i64>(), -1000..1000i64, Just(i64::MIN), Just(i64::MAX), Just(0)];
        prop_oneof![
            proptest::collection::vec(any::<i64>(), 1..=PAGE),
            proptest::collection::vec(mixed, 1..=PAGE),
            (proptest::collection::vec(0..9i64, 1..=PAGE), any::<i64>(), any::<i64>())
                .prop_map(|(v, a, f)| v.into_iter().map(|x| a.wrapping_add(x.wrapping_mul(f))).collect()),
        ]
    }

    proptest! {
        #[test]
        fn any_integers_round_trip(x in column(), tag in 0..=15u8) {
            round_trip(&x, tag);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), n in 1..=PAGE) {
            let _ = decode_page(&mut Reader::new(&bytes), n, &mut [0; PAGE]);
        }
    }
}

//! Columns of integers: frame of reference and bit packing, in pages of 128 values; of the values or of their differences.
//!
//! After "frame of reference" and "delta" coding as in Lemire, Boytsov: Decoding billions of integers per second through
//! vectorization (2015), with the greatest common divisor taken out first.

use super::{
    BlockError, MAX_ROWS,
    wire::{Reader, push_signed, push_varint},
};

/// Values that share a width.
const PAGE: usize = 128;

const SAME: u8 = 0;
const VALUES: u8 = 1;
const DELTAS: u8 = 2;

/// Writes the values.
pub(crate) fn encode(values: &[i64], out: &mut Vec<u8>) {
    let first = values.first().copied().unwrap_or(0);
    if values.iter().all(|v| *v == first) {
        out.push(SAME);
        push_signed(out, first);
        return;
    }
    let frame = Frame::of(values);
    let deltas: Vec<i64> = values.windows(2).map(|w| w[1].wrapping_sub(w[0])).collect();
    let delta_frame = Frame::of(&deltas);
    if delta_frame.bits(&deltas) < frame.bits(values) {
        out.push(DELTAS);
        push_signed(out, first);
        delta_frame.write(&deltas, out);
    } else {
        out.push(VALUES);
        frame.write(values, out);
    }
}

/// What all values have in common: each is `base + n * divisor`.
struct Frame {
    base: i64,
    divisor: u64,
}

impl Frame {
    fn of(values: &[i64]) -> Self {
        let base = values.iter().copied().min().unwrap_or(0);
        let mut divisor = 0;
        for v in values {
            divisor = gcd(v.wrapping_sub(base) as u64, divisor);
            if divisor == 1 {
                break;
            }
        }
        Frame { base, divisor: divisor.max(1) }
    }

    fn step(&self, value: i64) -> u64 {
        let offset = value.wrapping_sub(self.base) as u64;
        if self.divisor == 1 { offset } else { offset / self.divisor }
    }

    /// The least of a page, and the width of what is above it.
    fn page(&self, page: &[i64]) -> (u64, u32) {
        let least = page.iter().copied().min().unwrap_or(self.base);
        let most = page.iter().copied().max().unwrap_or(self.base);
        let (least, most) = (self.step(least), self.step(most));
        (least, 64 - (most - least).leading_zeros())
    }

    fn bits(&self, values: &[i64]) -> usize {
        values.chunks(PAGE).map(|page| 20 + page.len() * self.page(page).1 as usize).sum()
    }

    fn write(&self, values: &[i64], out: &mut Vec<u8>) {
        push_signed(out, self.base);
        push_varint(out, self.divisor);
        let pages: Vec<(u64, u32)> = values.chunks(PAGE).map(|page| self.page(page)).collect();
        for (least, width) in &pages {
            push_varint(out, *least);
            out.push(*width as u8);
        }
        for (page, (least, width)) in values.chunks(PAGE).zip(pages) {
            pack(page.iter().map(|v| self.step(*v) - least), width, out);
        }
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Reads `len` values.
pub(crate) fn decode(reader: &mut Reader<'_>, len: usize) -> Result<Vec<i64>, BlockError> {
    if len > MAX_ROWS {
        return Err(BlockError("too many numbers"));
    }
    match reader.byte()? {
        SAME => Ok(vec![reader.signed()?; len]),
        VALUES => frames(reader, len),
        DELTAS => {
            let mut value = reader.signed()?;
            let deltas = frames(reader, len.saturating_sub(1))?;
            let mut values = Vec::with_capacity(len);
            values.extend((len > 0).then_some(value));
            values.extend(deltas.into_iter().map(|d| {
                value = value.wrapping_add(d);
                value
            }));
            Ok(values)
        }
        _ => Err(BlockError("unknown form of numbers")),
    }
}

/// Reads those of `len` values that are at the places `wanted`, which rise.
pub(crate) fn pick(reader: &mut Reader<'_>, len: usize, wanted: &[u32]) -> Result<Vec<i64>, BlockError> {
    if len > MAX_ROWS || wanted.last().is_some_and(|last| *last as usize >= len) {
        return Err(BlockError("too many numbers"));
    }
    if reader.rest.first() != Some(&VALUES) {
        // A sum of differences has no shorter way.
        let all = decode(reader, len)?;
        return Ok(wanted.iter().map(|i| all[*i as usize]).collect());
    }
    reader.byte()?;
    let (base, divisor) = (reader.signed()?, reader.varint()?);
    let mut pages = Vec::with_capacity(len.div_ceil(PAGE));
    let mut start = 0usize;
    for page in 0..len.div_ceil(PAGE) {
        let (least, width) = (reader.varint()?, u32::from(reader.byte()?));
        if width > 64 {
            return Err(BlockError("number is too wide"));
        }
        pages.push((least, width, start));
        start += (PAGE.min(len - page * PAGE) * width as usize).div_ceil(8);
    }
    let packed = reader.take(start)?;
    let value = |i: &u32| {
        let (least, width, start) = pages[*i as usize / PAGE];
        let step = bits(&packed[start..], *i as usize % PAGE, width);
        base.wrapping_add(step.wrapping_add(least).wrapping_mul(divisor) as i64)
    };
    Ok(wanted.iter().map(value).collect())
}

/// The number at a place among numbers of `width` bits; zeros where there are no bytes.
pub(crate) fn bits(packed: &[u8], place: usize, width: u32) -> u64 {
    if width == 0 {
        return 0;
    }
    let bit = place * width as usize;
    let rest = packed.get(bit / 8..).unwrap_or_default();
    let mut word = [0; 16];
    let n = rest.len().min(9);
    word[..n].copy_from_slice(&rest[..n]);
    (u128::from_le_bytes(word) >> (bit % 8)) as u64 & (u64::MAX >> (64 - width.min(64)))
}

fn frames(reader: &mut Reader<'_>, len: usize) -> Result<Vec<i64>, BlockError> {
    let base = reader.signed()?;
    let divisor = reader.varint()?;
    let pages = (0..len.div_ceil(PAGE))
        .map(|_| Ok((reader.varint()?, u32::from(reader.byte()?))))
        .collect::<Result<Vec<_>, BlockError>>()?;
    let mut values = Vec::with_capacity(len);
    for (i, (least, width)) in pages.into_iter().enumerate() {
        let n = PAGE.min(len - i * PAGE);
        unpack(reader, n, width, &mut values, |step| {
            base.wrapping_add(step.wrapping_add(least).wrapping_mul(divisor) as i64)
        })?;
    }
    Ok(values)
}

/// Writes numbers of `width` bits each, the lowest bits first, whole bytes in all.
pub(crate) fn pack(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let (mut bits, mut filled) = (0u128, 0u32);
    for v in values {
        bits |= u128::from(v) << filled;
        filled += width;
        if filled >= 64 {
            out.extend_from_slice(&(bits as u64).to_le_bytes());
            bits >>= 64;
            filled -= 64;
        }
    }
    let rest = (bits as u64).to_le_bytes();
    out.extend_from_slice(&rest[..filled.div_ceil(8) as usize]);
}

/// Reads `len` numbers of `width` bits, and appends what `value` makes of them.
pub(crate) fn unpack<T>(
    reader: &mut Reader<'_>,
    len: usize,
    width: u32,
    out: &mut Vec<T>,
    value: impl Fn(u64) -> T,
) -> Result<(), BlockError> {
    if width > 64 {
        return Err(BlockError("number is too wide"));
    }
    let packed = reader.take((len * width as usize).div_ceil(8))?;
    if width == 0 {
        out.extend((0..len).map(|_| value(0)));
        return Ok(());
    }
    // Whole words while there are eight bytes to read: an iterator that knows its length, so that nothing is checked for each.
    let mask = u64::MAX >> (64 - width);
    let whole = match packed.len().checked_sub(8) {
        Some(last) if width <= 57 => len.min((last * 8 + 7) / width as usize + 1),
        _ => 0,
    };
    let word = |i: usize| {
        let bit = i * width as usize;
        let bytes = packed[bit / 8..].first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        (bytes >> (bit % 8)) & mask
    };
    out.extend((0..whole).map(|i| value(word(i))));
    out.extend((whole..len).map(|i| value(bits(packed, i, width))));
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(values: &[i64]) -> Vec<i64> {
        let mut bytes = Vec::new();
        encode(values, &mut bytes);
        let mut reader = Reader::new(&bytes);
        let back = decode(&mut reader, values.len()).unwrap();
        assert!(reader.rest.is_empty());
        back
    }

    #[test]
    fn regular_steps_take_next_to_nothing() {
        let values: Vec<i64> = (0..1000).map(|i| 1_700_000_000_000_000_000 + i * 15_000_000).collect();
        let mut bytes = Vec::new();
        encode(&values, &mut bytes);
        assert!(bytes.len() < 60, "{}", bytes.len());
        assert_eq!(round_trip(&values), values);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn numbers_come_back(values in prop::collection::vec(prop_oneof![any::<i64>(), -5i64..300, (0i64..9).prop_map(|n| n * 1_000_000)], 0..300)) {
            prop_assert_eq!(round_trip(&values), values);
        }

        #[test]
        fn single_numbers_are_those_of_all(values in prop::collection::vec(prop_oneof![any::<i64>(), -5i64..300], 1..400), wanted in prop::collection::btree_set(0u32..400, 0..20)) {
            let mut bytes = Vec::new();
            encode(&values, &mut bytes);
            let wanted: Vec<u32> = wanted.into_iter().filter(|i| (*i as usize) < values.len()).collect();
            let picked = pick(&mut Reader::new(&bytes), values.len(), &wanted).unwrap();
            prop_assert_eq!(picked, wanted.iter().map(|i| values[*i as usize]).collect::<Vec<_>>());
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), len in 0usize..400) {
            let _ = decode(&mut Reader::new(&bytes), len);
            let _ = pick(&mut Reader::new(&bytes), len, &[0, len as u32 / 2]);
        }
    }
}

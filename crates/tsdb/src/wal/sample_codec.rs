//! Samples in the log: cheap to write, three to ten bytes each, and each readable without the state of its series.

use crate::varint::{Reader, put_i64, unzigzag, zigzag};

/// The low bits of the control byte: 0 to 7, an integer of so many bytes; from 8 on, the upper bytes of a float: one
/// more than 8 subtracted.
const VALUE_MASK: u8 = 0x0f;
const FLOAT: u8 = 8;

/// The series: the one in the next slot, the same one again, or any other.
const NEXT_SLOT: u8 = 0x10;
const SAME_SLOT: u8 = 0x20;

/// The time: as the sample before, as far from it as it was from the one before, or anything.
const SAME_TIME: u8 = 0x40;
const SAME_STEP: u8 = 0x80;

/// Integers up to here are exact in a float, and take 7 bytes at most.
const MAX_INTEGER: f64 = 9_007_199_254_740_992.0;

/// What both sides know of the samples before.
#[derive(Debug, Default)]
struct Before {
    slot: u32,
    t: i64,
    /// The last difference of times that was not zero.
    step: i64,
}

/// Writes floats of one shard: slots and times as differences to the sample before.
#[derive(Debug, Default)]
pub(crate) struct FloatEncoder(Before);

impl FloatEncoder {
    #[inline]
    pub(crate) fn push(&mut self, slot: u32, t: i64, v: f64, out: &mut Vec<u8>) {
        let bits = v.to_bits();
        let integer = v as i64;
        let is_integer = v.abs() <= MAX_INTEGER && (integer as f64).to_bits() == bits;
        let (word, len, mut control) = if is_integer {
            let z = zigzag(integer);
            let len = (64 - z.leading_zeros()).div_ceil(8);
            (z, len, len as u8)
        } else {
            // Low bytes of a float are often zero: they come last and are left out.
            let len = (64 - bits.trailing_zeros()).div_ceil(8);
            (bits.swap_bytes(), len, len as u8 - 1 + FLOAT)
        };
        let before = &mut self.0;
        let step = t.wrapping_sub(before.t);
        let next = Some(slot) == before.slot.checked_add(1);
        let same = slot == before.slot;
        control |= if next { NEXT_SLOT } else { 0 } | if same { SAME_SLOT } else { 0 };
        control |= if step == 0 {
            SAME_TIME
        } else if step == before.step {
            SAME_STEP
        } else {
            0
        };
        out.push(control);
        if !next && !same {
            put_i64(out, i64::from(slot) - i64::from(before.slot));
        }
        if control & (SAME_TIME | SAME_STEP) == 0 {
            put_i64(out, step);
        }
        let end = out.len() + len as usize;
        out.extend_from_slice(&word.to_le_bytes());
        out.truncate(end);
        before.slot = slot;
        before.t = t;
        before.step = if step == 0 { before.step } else { step };
    }
}

/// Reads what [`FloatEncoder`] wrote.
#[derive(Debug, Default)]
pub(crate) struct FloatDecoder(Before);

impl FloatDecoder {
    /// The next sample as slot, time and value; `None` if the bytes make no sense.
    #[inline]
    pub(crate) fn next(&mut self, r: &mut Reader<'_>) -> Option<(u32, i64, f64)> {
        let control = r.u8()?;
        let before = &mut self.0;
        before.slot = match control & (NEXT_SLOT | SAME_SLOT) {
            NEXT_SLOT => before.slot.checked_add(1)?,
            SAME_SLOT => before.slot,
            0 => u32::try_from(i64::from(before.slot).checked_add(r.i64()?)?).ok()?,
            _ => return None,
        };
        match control & (SAME_TIME | SAME_STEP) {
            SAME_TIME => {}
            SAME_STEP => before.t = before.t.wrapping_add(before.step),
            0 => {
                before.step = r.i64()?;
                before.t = before.t.wrapping_add(before.step);
            }
            _ => return None,
        }
        let value = control & VALUE_MASK;
        let len = if value < FLOAT { value } else { value - FLOAT + 1 } as usize;
        let mut word = [0u8; 8];
        word[..len].copy_from_slice(r.take(len)?);
        let word = u64::from_le_bytes(word);
        let v = if value < FLOAT { unzigzag(word) as f64 } else { f64::from_bits(word.swap_bytes()) };
        Some((before.slot, before.t, v))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            any::<i32>().prop_map(f64::from),
            (-1_000_000i64..1_000_000).prop_map(|i| i as f64 / 100.0),
            Just(-0.0),
            Just(MAX_INTEGER),
            Just(f64::from_bits(reba_model::STALE_NAN_BITS)),
        ]
    }

    proptest! {
        #[test]
        fn floats_round_trip_bit_by_bit(
            samples in proptest::collection::vec((any::<u32>(), any::<i64>(), value()), 0..50),
            run in 0u32..1000,
        ) {
            let mut out = Vec::new();
            let mut enc = FloatEncoder::default();
            let all: Vec<_> = samples.into_iter().chain((run..run + 20).map(|s| (s, 5, 1.5))).collect();
            for (slot, t, v) in &all {
                enc.push(*slot, *t, *v, &mut out);
            }
            let (mut r, mut dec) = (Reader(&out), FloatDecoder::default());
            for (slot, t, v) in all {
                let got = dec.next(&mut r).unwrap();
                prop_assert_eq!((got.0, got.1, got.2.to_bits()), (slot, t, v.to_bits()));
            }
            prop_assert!(r.is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_panic(data in proptest::collection::vec(any::<u8>(), 0..100)) {
            let (mut r, mut dec) = (Reader(&data), FloatDecoder::default());
            while dec.next(&mut r).is_some() {}
        }
    }
}

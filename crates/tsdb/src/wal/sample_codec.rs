//! Samples in the log: cheap to write, three to ten bytes each, and each readable without the state of its series.

use crate::varint::{Reader, put_i64, unzigzag, zigzag};

/// Bits of the control byte.
const LEN_MASK: u8 = 0x0f;
const RAW: u8 = 0x10;
const NEXT_SLOT: u8 = 0x20;
const SAME_TIME: u8 = 0x40;

/// Integers up to here are exact in a float.
const MAX_INTEGER: f64 = 9_007_199_254_740_992.0;

/// Writes floats of one shard: slots and times as differences to the sample before.
#[derive(Debug, Default)]
pub(crate) struct FloatEncoder {
    slot: u32,
    t: i64,
}

impl FloatEncoder {
    #[inline]
    pub(crate) fn push(&mut self, slot: u32, t: i64, v: f64, out: &mut Vec<u8>) {
        let bits = v.to_bits();
        let integer = v as i64;
        let is_integer = v.abs() <= MAX_INTEGER && (integer as f64).to_bits() == bits;
        let (word, mut control) = if is_integer {
            let z = zigzag(integer);
            let len = (64 - z.leading_zeros()).div_ceil(8);
            (z, len as u8)
        } else {
            // Low bytes of a float are often zero: they come last and are left out.
            let len = (64 - bits.trailing_zeros()).div_ceil(8);
            (bits.swap_bytes(), len as u8 | RAW)
        };
        let next = slot == self.slot.wrapping_add(1);
        let same = t == self.t;
        control |= if next { NEXT_SLOT } else { 0 };
        control |= if same { SAME_TIME } else { 0 };
        out.push(control);
        if !next {
            put_i64(out, i64::from(slot) - i64::from(self.slot));
        }
        if !same {
            put_i64(out, t.wrapping_sub(self.t));
        }
        let len = out.len();
        out.extend_from_slice(&word.to_le_bytes());
        out.truncate(len + (control & LEN_MASK) as usize);
        self.slot = slot;
        self.t = t;
    }
}

/// Reads what [`FloatEncoder`] wrote.
#[derive(Debug, Default)]
pub(crate) struct FloatDecoder {
    slot: u32,
    t: i64,
}

impl FloatDecoder {
    /// The next sample as slot, time and value; `None` if the bytes make no sense.
    #[inline]
    pub(crate) fn next(&mut self, r: &mut Reader<'_>) -> Option<(u32, i64, f64)> {
        let control = r.u8()?;
        let step = if control & NEXT_SLOT != 0 { 1 } else { r.i64()? };
        self.slot = u32::try_from(i64::from(self.slot).checked_add(step)?).ok()?;
        if control & SAME_TIME == 0 {
            self.t = self.t.wrapping_add(r.i64()?);
        }
        let len = (control & LEN_MASK) as usize;
        if len > 8 {
            return None;
        }
        let mut word = [0u8; 8];
        word[..len].copy_from_slice(r.take(len)?);
        let word = u64::from_le_bytes(word);
        let v = if control & RAW != 0 { f64::from_bits(word.swap_bytes()) } else { unzigzag(word) as f64 };
        Some((self.slot, self.t, v))
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

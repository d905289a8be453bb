//! Writing chunks bit by bit: the other direction of `bits`.

/// A run of bits, most significant first.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Unused low bits of the last byte.
    free: u32,
}

impl BitWriter {
    /// A run behind the number of samples that it will hold.
    pub(super) fn after_count(samples: usize) -> Self {
        BitWriter { bytes: (samples as u16).to_be_bytes().to_vec(), free: 0 }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Appends the low `n` bits of `x`.
    pub(super) fn put(&mut self, x: u64, n: u32) {
        let mut left = n;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let take = left.min(self.free);
            let part = (x >> (left - take)) & ((1 << take) - 1);
            if let Some(last) = self.bytes.last_mut() {
                *last |= (part << (self.free - take)) as u8;
            }
            self.free -= take;
            left -= take;
        }
    }

    pub(super) fn f64(&mut self, x: f64) {
        self.put(x.to_bits(), 64);
    }

    /// Go's unsigned varint.
    pub(super) fn uvarint(&mut self, mut x: u64) {
        while x >= 0x80 {
            self.put(x & 0x7f | 0x80, 8);
            x >>= 7;
        }
        self.put(x, 8);
    }

    /// Go's signed varint.
    pub(super) fn varint(&mut self, x: i64) {
        self.uvarint(((x << 1) ^ (x >> 63)) as u64);
    }

    /// `varbit_uint`
    pub(super) fn varbit_uint(&mut self, x: u64) {
        self.prefixed(x, &super::bits::VARBIT, |n| 64 - x.leading_zeros() <= n);
    }

    /// `varbit_int`
    pub(super) fn varbit_int(&mut self, x: i64) {
        self.prefixed(x as u64, &super::bits::VARBIT, |n| fits(x, n));
    }

    /// `varbit_ts`
    pub(super) fn varbit_ts(&mut self, x: i64) {
        self.prefixed(x as u64, &super::bits::VARBIT_TS, |n| fits(x, n));
    }

    /// Writes `x` in the first of the widths that it fits, behind a prefix of ones that says which.
    fn prefixed(&mut self, x: u64, widths: &[u32], fits: impl Fn(u32) -> bool) {
        let last = widths.len() - 1;
        let at = if x == 0 { 0 } else { widths.iter().position(|n| *n > 0 && fits(*n)).unwrap_or(last) };
        self.put(u64::MAX, at as u32);
        if at < last {
            self.put(0, 1);
        }
        self.put(x, widths[at]);
    }
}

/// Whether a signed number fits so many bits; the largest magnitude counts as positive.
fn fits(x: i64, n: u32) -> bool {
    n == 64 || (-((1i64 << (n - 1)) - 1)..=1i64 << (n - 1)).contains(&x)
}

/// A float that is written as what changed since the one before (`varbit_xor`).
#[derive(Clone, Copy, Debug)]
pub(super) struct XorWriter {
    bits: u64,
    /// Zeros before and behind the bits of a change, as they were announced last.
    window: Option<(u32, u32)>,
}

impl XorWriter {
    /// Writes the first value whole.
    pub(super) fn first(v: f64, w: &mut BitWriter) -> Self {
        w.f64(v);
        XorWriter { bits: v.to_bits(), window: None }
    }

    pub(super) fn next(&mut self, v: f64, w: &mut BitWriter) {
        let xor = self.bits ^ v.to_bits();
        self.bits = v.to_bits();
        if xor == 0 {
            return w.put(0, 1);
        }
        w.put(1, 1);
        // Five bits hold no more.
        let (leading, trailing) = (xor.leading_zeros().min(31), xor.trailing_zeros());
        if let Some((known_leading, known_trailing)) = self.window
            && leading >= known_leading
            && trailing >= known_trailing
        {
            w.put(0, 1);
            return w.put(xor >> known_trailing, 64 - known_leading - known_trailing);
        }
        self.window = Some((leading, trailing));
        let len = 64 - leading - trailing;
        w.put(1, 1);
        w.put(u64::from(leading), 5);
        // 64 does not fit into six bits: it is written as 0.
        w.put(u64::from(len), 6);
        w.put(xor >> trailing, len);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::bits::Bits, *};

    proptest! {
        #[test]
        fn numbers_come_back_in_every_form(x in prop_oneof![any::<i64>(), -70_000i64..70_000, Just(0)]) {
            let mut w = BitWriter::default();
            w.put(0b101, 3);
            w.varbit_int(x);
            w.varbit_uint(x as u64);
            w.varbit_ts(x);
            w.varint(x);
            w.uvarint(x as u64);
            let bytes = w.into_bytes();
            let mut r = Bits::new(&bytes);
            prop_assert_eq!(r.bits(3), Some(0b101));
            prop_assert_eq!((r.varbit_int(), r.varbit_uint(), r.varbit_ts()), (Some(x), Some(x as u64), Some(x)));
            prop_assert_eq!((r.varint(), r.uvarint()), (Some(x), Some(x as u64)));
            prop_assert!(r.left() < 8);
        }
    }
}

//! Reading chunks bit by bit. Every method is `None` when the bits end or make no sense.

/// A position in a run of bits, most significant first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Bits { data, at: 0 }
    }

    /// Bits that are left.
    pub(super) fn left(&self) -> usize {
        self.data.len() * 8 - self.at
    }

    #[inline]
    pub(super) fn bit(&mut self) -> Option<bool> {
        let byte = self.data.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// Up to 64 bits as a number.
    #[inline]
    pub(super) fn bits(&mut self, n: u32) -> Option<u64> {
        if n == 0 {
            return Some(0);
        }
        if n > 64 || self.left() < n as usize {
            return None;
        }
        let (first, skip) = (self.at / 8, (self.at % 8) as u32);
        let mut window = [0; 16];
        let rest = &self.data[first..self.data.len().min(first + 9)];
        window[..rest.len()].copy_from_slice(rest);
        self.at += n as usize;
        Some(((u128::from_be_bytes(window) << skip) >> (128 - n)) as u64)
    }

    pub(super) fn f64(&mut self) -> Option<f64> {
        self.bits(64).map(f64::from_bits)
    }

    /// Go's unsigned varint.
    pub(super) fn uvarint(&mut self) -> Option<u64> {
        let mut v = 0;
        for shift in (0..64).step_by(7) {
            let b = self.bits(8)?;
            v |= (b & 0x7f) << shift;
            if b < 0x80 {
                return Some(v);
            }
        }
        None
    }

    /// Go's signed varint.
    pub(super) fn varint(&mut self) -> Option<i64> {
        let v = self.uvarint()?;
        Some((v >> 1) as i64 ^ -((v & 1) as i64))
    }

    /// How many ones stand before a zero, at most `most`; the zero is read, unless there are so many.
    #[inline]
    pub(super) fn ones(&mut self, most: usize) -> Option<usize> {
        for n in 0..most {
            if !self.bit()? {
                return Some(n);
            }
        }
        Some(most)
    }

    /// `varbit_uint`: a prefix of ones says how many bits follow.
    pub(super) fn varbit_uint(&mut self) -> Option<u64> {
        let n = VARBIT[self.ones(8)?];
        self.bits(n)
    }

    /// `varbit_int`
    #[inline]
    pub(super) fn varbit_int(&mut self) -> Option<i64> {
        let n = VARBIT[self.ones(8)?];
        Some(signed(self.bits(n)?, n))
    }

    /// `varbit_ts`: the change of the distance of two samples of a float chunk.
    #[inline]
    pub(super) fn varbit_ts(&mut self) -> Option<i64> {
        let n = VARBIT_TS[self.ones(4)?];
        Some(signed(self.bits(n)?, n))
    }
}

/// Bits behind a prefix of so many ones.
pub(super) const VARBIT: [u32; 9] = [0, 3, 6, 9, 12, 18, 25, 56, 64];

/// The same for times of floats.
pub(super) const VARBIT_TS: [u32; 5] = [0, 14, 17, 20, 64];

/// The number whose low `n` bits these are. The largest magnitude counts as positive.
#[inline]
fn signed(bits: u64, n: u32) -> i64 {
    if n > 0 && n < 64 && bits > 1 << (n - 1) { bits.wrapping_sub(1 << n) as i64 } else { bits as i64 }
}

/// A float that is stored as what changed since the one before (`varbit_xor`).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Xor {
    bits: u64,
    leading: u32,
    trailing: u32,
}

impl Xor {
    pub(super) fn first(v: f64) -> Self {
        Xor { bits: v.to_bits(), ..Xor::default() }
    }

    pub(super) fn value(&self) -> f64 {
        f64::from_bits(self.bits)
    }

    #[inline]
    pub(super) fn next(&mut self, bits: &mut Bits<'_>) -> Option<f64> {
        if bits.bit()? {
            if bits.bit()? {
                self.leading = bits.bits(5)? as u32;
                // 64 does not fit into six bits, and zero never happens.
                let significant = match bits.bits(6)? as u32 {
                    0 => 64,
                    n => n,
                };
                self.trailing = 64u32.checked_sub(self.leading + significant)?;
            }
            let significant = 64 - self.leading - self.trailing;
            self.bits ^= bits.bits(significant)? << self.trailing;
        }
        Some(self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_cross_bytes() {
        let mut bits = Bits::new(&[0b1010_0101, 0xff, 0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!((bits.bit(), bits.bits(3), bits.bits(8)), (Some(true), Some(0b010), Some(0b0101_1111)));
        assert_eq!(bits.bits(64), Some(0xf000_1020_3040_5060));
        assert_eq!((bits.left(), bits.bits(5), bits.bits(4), bits.bit()), (4, None, Some(7), None));
    }

    #[test]
    fn signed_numbers_have_upstreams_asymmetry() {
        assert_eq!([0b011, 0b100, 0b101, 0b111].map(|b| signed(b, 3)), [3, 4, -3, -1]);
        assert_eq!(signed(u64::MAX, 64), -1);
    }
}

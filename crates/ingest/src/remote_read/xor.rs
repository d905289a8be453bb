//! Float chunks as Prometheus stores and streams them: Gorilla's compression of times and values
//! (Pelkonen et al., VLDB 2015) with Prometheus' widths.
//!
//! A chunk is the number of samples (`u16`, big-endian) and a stream of bits, most significant first. The first sample is
//! a zigzag varint and 64 bits of the value; the second the difference of times as a varint; every other one the
//! difference of differences in 1, 16, 20, 24 or 68 bits. From the second on, a value is the XOR with the one before: one
//! zero bit if they are equal, `10` and the bits between the zeros that were announced last, or `11`, five bits of
//! leading zeros, six of length (64 as 0), and the bits.

use thiserror::Error;

/// Most samples of a chunk, as upstream cuts them.
pub const XOR_SAMPLES: usize = 120;

#[derive(Debug, Default)]
struct BitWriter {
    bytes: Vec<u8>,
    /// Unused low bits of the last byte.
    free: u32,
}

impl BitWriter {
    /// Appends the low `n` bits of `x`.
    fn put(&mut self, x: u64, n: u32) {
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

    fn put_varint(&mut self, mut x: u64) {
        while x >= 0x80 {
            self.put(x & 0x7f | 0x80, 8);
            x >>= 7;
        }
        self.put(x, 8);
    }
}

/// Zeros around the bits of a value, as they were announced last.
#[derive(Clone, Copy, Debug)]
struct Window {
    leading: u32,
    trailing: u32,
}

/// Encodes at most [`XOR_SAMPLES`] samples; those beyond are left out.
pub fn encode_xor(samples: &[(i64, f64)]) -> Vec<u8> {
    let samples = &samples[..samples.len().min(XOR_SAMPLES)];
    let mut w = BitWriter { bytes: (samples.len() as u16).to_be_bytes().to_vec(), free: 0 };
    let mut window = None;
    let (mut before, mut delta) = ((0i64, 0u64), 0u64);
    for (i, (t, v)) in samples.iter().enumerate() {
        let bits = v.to_bits();
        let step = t.wrapping_sub(before.0) as u64;
        match i {
            0 => {
                w.put_varint(((t << 1) ^ (t >> 63)) as u64);
                w.put(bits, 64);
            }
            1 => {
                w.put_varint(step);
                put_value(&mut w, bits ^ before.1, &mut window);
            }
            _ => {
                put_change(&mut w, step.wrapping_sub(delta) as i64);
                put_value(&mut w, bits ^ before.1, &mut window);
            }
        }
        delta = if i == 0 { 0 } else { step };
        before = (*t, bits);
    }
    w.bytes
}

fn put_change(w: &mut BitWriter, change: i64) {
    let fits = |bits: u32| (-((1i64 << (bits - 1)) - 1)..=1i64 << (bits - 1)).contains(&change);
    match change {
        0 => w.put(0, 1),
        _ if fits(14) => {
            w.put(0b10, 2);
            w.put(change as u64, 14);
        }
        _ if fits(17) => {
            w.put(0b110, 3);
            w.put(change as u64, 17);
        }
        _ if fits(20) => {
            w.put(0b1110, 4);
            w.put(change as u64, 20);
        }
        _ => {
            w.put(0b1111, 4);
            w.put(change as u64, 64);
        }
    }
}

fn put_value(w: &mut BitWriter, xor: u64, window: &mut Option<Window>) {
    if xor == 0 {
        return w.put(0, 1);
    }
    w.put(1, 1);
    // Five bits hold no more.
    let found = Window { leading: xor.leading_zeros().min(31), trailing: xor.trailing_zeros() };
    if let Some(known) = *window
        && found.leading >= known.leading
        && found.trailing >= known.trailing
    {
        w.put(0, 1);
        return w.put(xor >> known.trailing, 64 - known.leading - known.trailing);
    }
    *window = Some(found);
    let len = 64 - found.leading - found.trailing;
    w.put(1, 1);
    w.put(u64::from(found.leading), 5);
    w.put(u64::from(len), 6);
    w.put(xor >> found.trailing, len);
}

/// The bytes are no chunk.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("XOR chunk ends inside a sample, or contradicts itself")]
pub struct XorError;

struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits read so far.
    at: usize,
}

impl BitReader<'_> {
    fn bits(&mut self, n: u32) -> Result<u64, XorError> {
        let mut out = 0u64;
        let mut left = n;
        while left > 0 {
            let byte = *self.bytes.get(self.at / 8).ok_or(XorError)?;
            let available = 8 - (self.at % 8) as u32;
            let take = left.min(available);
            let part = (byte >> (available - take)) & ((1u16 << take) - 1) as u8;
            out = if take == 64 { 0 } else { out << take } | u64::from(part);
            self.at += take as usize;
            left -= take;
        }
        Ok(out)
    }

    fn bit(&mut self) -> Result<bool, XorError> {
        Ok(self.bits(1)? == 1)
    }

    fn varint(&mut self) -> Result<u64, XorError> {
        let mut x = 0u64;
        for i in 0..10 {
            let b = self.bits(8)?;
            x |= (b & 0x7f) << (7 * i);
            if b < 0x80 {
                return Ok(x);
            }
        }
        Err(XorError)
    }

    fn change(&mut self) -> Result<i64, XorError> {
        let mut width = 0;
        for next in [14, 17, 20, 64] {
            if !self.bit()? {
                break;
            }
            width = next;
        }
        if width == 0 || width == 64 {
            return Ok(self.bits(width)? as i64);
        }
        let x = self.bits(width)? as i64;
        Ok(if x > 1 << (width - 1) { x - (1 << width) } else { x })
    }

    fn xor(&mut self, window: &mut Option<Window>) -> Result<u64, XorError> {
        if !self.bit()? {
            return Ok(0);
        }
        if self.bit()? {
            let leading = self.bits(5)? as u32;
            let len = match self.bits(6)? as u32 {
                0 => 64,
                n => n,
            };
            let trailing = 64u32.checked_sub(leading + len).ok_or(XorError)?;
            *window = Some(Window { leading, trailing });
        }
        let Window { leading, trailing } = window.ok_or(XorError)?;
        Ok(self.bits(64 - leading - trailing)? << trailing)
    }
}

/// Decodes a chunk.
pub fn decode_xor(chunk: &[u8]) -> Result<Vec<(i64, f64)>, XorError> {
    let (head, bytes) = chunk.split_first_chunk::<2>().ok_or(XorError)?;
    let n = u16::from_be_bytes(*head);
    let mut r = BitReader { bytes, at: 0 };
    let mut out = Vec::new();
    let (mut t, mut bits, mut delta) = (0i64, 0u64, 0u64);
    let mut window = None;
    for i in 0..n {
        if i == 0 {
            let z = r.varint()?;
            t = (z >> 1) as i64 ^ -((z & 1) as i64);
            bits = r.bits(64)?;
        } else {
            delta = if i == 1 { r.varint()? } else { delta.wrapping_add(r.change()? as u64) };
            t = t.wrapping_add(delta as i64);
            bits ^= r.xor(&mut window)?;
        }
        out.push((t, f64::from_bits(bits)));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reba_model::STALE_NAN;

    use super::*;

    /// Worked out by hand from the description of the format.
    #[test]
    fn the_bits_are_those_that_prometheus_writes() {
        assert_eq!(encode_xor(&[]), [0, 0]);
        // Zigzag of 1 is 2; 1.0 is 0x3ff0…
        assert_eq!(encode_xor(&[(1, 1.0)]), [0, 1, 2, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
        // Difference 15, equal value: one zero bit.
        assert_eq!(encode_xor(&[(1, 1.0), (16, 1.0)])[11..], [15, 0]);
        // Then no change of the difference and the value 2.0: XOR 0x7ff0…, 1 leading zero, 11 bits.
        // 0 | 0 | 11 00001 001011 11111111111 → 0_0_110000 10010111 11111111 11(000000)
        assert_eq!(
            encode_xor(&[(1, 1.0), (16, 1.0), (31, 2.0)])[11..],
            [15, 0b0011_0000, 0b1001_0111, 0b1111_1111, 0b1100_0000]
        );
    }

    #[test]
    fn edges_of_the_widths_come_back() {
        let mut samples = vec![(0, 0.0), (1000, STALE_NAN), (2000, f64::INFINITY)];
        let (mut t, mut step) = (2000i64, 1000i64);
        for edge in [13, 16, 19] {
            for change in [(1 << edge), (1 << edge) + 1, -(1 << edge) + 1, -(1 << edge), -(1 << edge) - 1] {
                step += change;
                t += step;
                samples.push((t, t as f64));
            }
        }
        let back = decode_xor(&encode_xor(&samples)).unwrap();
        assert_eq!(back.len(), samples.len());
        for (a, b) in samples.iter().zip(back) {
            assert_eq!((a.0, a.1.to_bits()), (b.0, b.1.to_bits()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_samples_come_back(samples in proptest::collection::vec(any::<(i64, u64)>(), 0..XOR_SAMPLES)) {
            let samples: Vec<(i64, f64)> = samples.iter().map(|(t, v)| (*t, f64::from_bits(*v))).collect();
            let back = decode_xor(&encode_xor(&samples)).unwrap();
            let bits = |s: &[(i64, f64)]| s.iter().map(|(t, v)| (*t, v.to_bits())).collect::<Vec<_>>();
            prop_assert_eq!(bits(&samples), bits(&back));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_xor(&bytes);
        }
    }
}

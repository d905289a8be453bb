//! Bit-packing of up to 128 numbers of one width, low bits first.

/// Numbers in a block.
pub(super) const BLOCK: usize = 128;

/// Room for a block of the greatest width, and for reading a whole word at any of its bytes.
const PADDED: usize = BLOCK * 8 + 16;

/// Bytes that `n` numbers of `width` bits take.
#[inline]
pub(super) fn packed_len(n: usize, width: u32) -> usize {
    (n * width as usize).div_ceil(8)
}

/// Appends `numbers`, each below 2^`width`.
pub(super) fn pack(numbers: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let (mut word, mut bits) = (0u64, 0u32);
    for x in numbers {
        word |= x << bits;
        bits += width;
        if bits >= 64 {
            out.extend_from_slice(&word.to_le_bytes());
            bits -= 64;
            word = if bits == 0 { 0 } else { x >> (width - bits) };
        }
    }
    out.extend_from_slice(&word.to_le_bytes()[..bits.div_ceil(8) as usize]);
}

/// Unpacks a block of numbers of `width` bits (0 to 64). `bytes` holds at most a block; numbers that are not there
/// come out as arbitrary bits.
#[inline]
pub(super) fn unpack(bytes: &[u8], width: u32, out: &mut [u64; BLOCK]) {
    // A copy with room behind it, so that every number can be read as one word at a fixed place.
    let mut padded = [0u8; PADDED];
    let n = bytes.len().min(BLOCK * 8);
    padded[..n].copy_from_slice(&bytes[..n]);
    unpack_any(&padded, width, out);
}

macro_rules! by_width {
    ($padded:ident, $width:ident, $out:ident: $($w:literal)*) => {
        match $width {
            $($w => unpack_width::<$w>($padded, $out),)*
            _ => unpack_width::<64>($padded, $out),
        }
    };
}

fn unpack_any(padded: &[u8; PADDED], width: u32, out: &mut [u64; BLOCK]) {
    by_width!(padded, width, out:
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
        33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);
}

/// Eight numbers begin at every `W` bytes, so all shifts of the inner loop are constants.
fn unpack_width<const W: usize>(padded: &[u8; PADDED], out: &mut [u64; BLOCK]) {
    if W == 0 {
        out.fill(0);
        return;
    }
    let mask = u64::MAX >> (64 - W as u32);
    for group in 0..BLOCK / 8 {
        for i in 0..8 {
            let bit = i * W;
            let at = group * W + bit / 8;
            let shift = bit % 8;
            let mut x = word(padded, at) >> shift;
            if shift + W > 64 {
                x |= u64::from(padded[at + 8]) << (64 - shift);
            }
            out[group * 8 + i] = x & mask;
        }
    }
}

#[inline(always)]
fn word(padded: &[u8; PADDED], at: usize) -> u64 {
    let mut w = [0u8; 8];
    w.copy_from_slice(&padded[at..at + 8]);
    u64::from_le_bytes(w)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_and_length_round_trips() {
        for width in 0..=64u32 {
            let mask = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
            for n in [1usize, 7, 8, 127, 128] {
                let numbers: Vec<u64> =
                    (0..n as u64).map(|i| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask).collect();
                let mut bytes = Vec::new();
                pack(numbers.iter().copied(), width, &mut bytes);
                assert_eq!(bytes.len(), packed_len(n, width));
                let mut out = [0; BLOCK];
                unpack(&bytes, width, &mut out);
                assert_eq!(out[..n], numbers, "width {width}");
            }
        }
    }
}

//! SHA-256 (FIPS 180-4) and SHA3-256 (FIPS 202), for the template functions that hide values behind a hash.

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for b in bytes {
        out.push_str(&format!("{b:02x}"));
    }
    out
}

/// The first 32 bits of the fractional part of the `root`-th root of each of the first 64 primes are the constants.
fn fraction_of_root(prime: u32, root: f64) -> u32 {
    let value = f64::from(prime).powf(1.0 / root);
    (value.fract() * 4_294_967_296.0) as u32
}

fn primes() -> [u32; 64] {
    let mut out = [0; 64];
    let is_prime = |n: &u32| (2..*n).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    for (slot, prime) in out.iter_mut().zip((2..).filter(is_prime)) {
        *slot = prime;
    }
    out
}

/// SHA-256.
pub(crate) fn sha256(data: &[u8]) -> [u8; 32] {
    let primes = primes();
    let k = primes.map(|p| fraction_of_root(p, 3.0));
    let mut h = [0u32; 8];
    for (slot, prime) in h.iter_mut().zip(primes) {
        *slot = fraction_of_root(prime, 2.0);
    }
    let mut message = data.to_vec();
    message.push(0x80);
    message.resize((message.len() + 8).next_multiple_of(64) - 8, 0);
    message.extend((data.len() as u64 * 8).to_be_bytes());
    for block in message.chunks_exact(64) {
        sha256_block(&mut h, block, &k);
    }
    let mut out = [0; 32];
    for (bytes, word) in out.chunks_exact_mut(4).zip(h) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    out
}

fn sha256_block(h: &mut [u32; 8], block: &[u8], k: &[u32; 64]) {
    let mut w = [0u32; 64];
    for (slot, bytes) in w.iter_mut().zip(block.as_chunks::<4>().0) {
        *slot = u32::from_be_bytes(*bytes);
    }
    for i in 16..64 {
        let s0 = w[i - 15].rotate_right(7) ^ w[i - 15].rotate_right(18) ^ (w[i - 15] >> 3);
        let s1 = w[i - 2].rotate_right(17) ^ w[i - 2].rotate_right(19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1);
    }
    let mut v = *h;
    for i in 0..64 {
        let s1 = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
        let choice = (v[4] & v[5]) ^ (!v[4] & v[6]);
        let t1 = v[7].wrapping_add(s1).wrapping_add(choice).wrapping_add(k[i]).wrapping_add(w[i]);
        let s0 = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
        let majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        let t2 = s0.wrapping_add(majority);
        v.rotate_right(1);
        v[4] = v[4].wrapping_add(t1);
        v[0] = t1.wrapping_add(t2);
    }
    for (slot, word) in h.iter_mut().zip(v) {
        *slot = slot.wrapping_add(word);
    }
}

/// Bytes that one round of SHA3-256 absorbs.
const RATE: usize = 136;

/// SHA3-256.
pub(crate) fn sha3_256(data: &[u8]) -> [u8; 32] {
    let mut message = data.to_vec();
    message.push(0x06);
    message.resize(message.len().next_multiple_of(RATE), 0);
    if let Some(last) = message.last_mut() {
        *last |= 0x80;
    }
    let mut state = [0u64; 25];
    for block in message.chunks_exact(RATE) {
        for (lane, bytes) in state.iter_mut().zip(block.as_chunks::<8>().0) {
            *lane ^= u64::from_le_bytes(*bytes);
        }
        keccak(&mut state);
    }
    let mut out = [0; 32];
    for (bytes, lane) in out.chunks_exact_mut(8).zip(state) {
        bytes.copy_from_slice(&lane.to_le_bytes());
    }
    out
}

/// Keccak-f[1600].
fn keccak(a: &mut [u64; 25]) {
    let mut register = 1u8;
    for _ in 0..24 {
        let mut c = [0u64; 5];
        for (x, column) in c.iter_mut().enumerate() {
            *column = (0..5).fold(0, |sum, y| sum ^ a[x + 5 * y]);
        }
        for (i, lane) in a.iter_mut().enumerate() {
            *lane ^= c[(i + 4) % 5] ^ c[(i + 1) % 5].rotate_left(1);
        }
        let (mut x, mut y, mut last) = (1usize, 0usize, a[1]);
        for t in 0..24u32 {
            (x, y) = (y, (2 * x + 3 * y) % 5);
            let rotated = last.rotate_left((t + 1) * (t + 2) / 2 % 64);
            last = std::mem::replace(&mut a[x + 5 * y], rotated);
        }
        for row in a.chunks_exact_mut(5) {
            let old = [row[0], row[1], row[2], row[3], row[4]];
            for (x, lane) in row.iter_mut().enumerate() {
                *lane = old[x] ^ (!old[(x + 1) % 5] & old[(x + 2) % 5]);
            }
        }
        // The constants of the rounds are the output of a shift register, x^8 + x^6 + x^5 + x^4 + 1.
        for j in 0..7 {
            if register & 1 == 1 {
                a[0] ^= 1 << ((1u32 << j) - 1);
            }
            register = (register << 1) ^ (if register & 0x80 == 0 { 0 } else { 0x71 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digests_are_those_of_the_standards() {
        assert_eq!(hex(&sha256(b"")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hex(&sha256(b"abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hex(&sha3_256(b"")), "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a");
        assert_eq!(
            hex(&sha3_256(b"abc")),
            "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"
        );
        // More than one block.
        assert_ne!(sha3_256(&[0; 136]), sha3_256(&[0; 137]));
    }
}

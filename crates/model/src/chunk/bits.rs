//! A stream of bits, the first one highest in its byte.

/// Bits appended to a vector of bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct BitWriter {
    pub(super) bytes: Vec<u8>,
    /// Bits of the last byte that are not used yet.
    free: u8,
}

impl BitWriter {
    /// Goes on behind bits that were written before: `free` of the last byte are not used.
    pub(super) fn resume(bytes: Vec<u8>, free: u8) -> Self {
        BitWriter { bytes, free }
    }

    /// Appends whole bytes; only while no bits are pending.
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) {
        debug_assert_eq!(self.free, 0);
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.free = 0;
    }

    /// Makes room in small steps: thousands of series wait for their next sample, and doubling wastes a third.
    pub(super) fn reserve(&mut self, bytes: usize) {
        let len = self.bytes.len();
        if self.bytes.capacity() - len < bytes {
            self.bytes.reserve_exact(bytes.max(24 + len / 8));
        }
    }

    /// Appends the low `n` bits of `x` (0 to 64), the highest of them first.
    #[inline]
    pub(super) fn put(&mut self, x: u64, n: u32) {
        if n == 0 {
            return;
        }
        let mut left = n;
        if self.free > 0
            && let Some(last) = self.bytes.last_mut()
        {
            let take = left.min(u32::from(self.free));
            let part = (x >> (left - take)) & (u64::MAX >> (64 - take));
            *last |= (part << (u32::from(self.free) - take)) as u8;
            self.free -= take as u8;
            left -= take;
        }
        if left > 0 {
            let aligned = (x << (64 - left)).to_be_bytes();
            let bytes = left.div_ceil(8);
            self.bytes.extend_from_slice(&aligned[..bytes as usize]);
            self.free = (bytes * 8 - left) as u8;
        }
    }
}

/// Reads what [`BitWriter`] wrote. Behind the end come zeros: the caller checks [`BitReader::overrun`].
#[derive(Clone, Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        BitReader { bytes, at: 0 }
    }

    /// Bits that were not read; `None` after an overrun.
    pub(super) fn left(&self) -> Option<usize> {
        (self.bytes.len() * 8).checked_sub(self.at)
    }

    /// Whether more was read than there is.
    pub(super) fn overrun(&self) -> bool {
        self.at > self.bytes.len() * 8
    }

    /// The next 57 bits or more, first one highest.
    #[inline]
    fn peek(&self) -> u64 {
        let byte = self.at / 8;
        let word = match self.bytes.get(byte..).and_then(|b| b.first_chunk::<8>()) {
            Some(b) => u64::from_be_bytes(*b),
            None => {
                let mut b = [0u8; 8];
                let rest = self.bytes.get(byte..).unwrap_or_default();
                b[..rest.len()].copy_from_slice(rest);
                u64::from_be_bytes(b)
            }
        };
        word << (self.at % 8)
    }

    /// The next `n` bits, 0 to 64.
    #[inline]
    pub(super) fn get(&mut self, n: u32) -> u64 {
        if n > 56 {
            let high = self.get(n - 32);
            return high << 32 | self.get(32);
        }
        if n == 0 {
            return 0;
        }
        let x = self.peek() >> (64 - n);
        self.at += n as usize;
        x
    }

    /// Counts ones up to the next zero, at most `max` of them, and goes behind that zero (none is read after `max`).
    #[inline]
    pub(super) fn ones(&mut self, max: u32) -> u32 {
        let n = self.peek().leading_ones().min(max);
        self.at += if n < max { n as usize + 1 } else { n as usize };
        n
    }
}

//! A stream of bits, the first one highest in its byte.

/// Bits appended to bytes that grow in small steps: thousands of series wait for their next sample, and doubling would waste
/// a third of the memory. How many bits there are is kept by the owner, who has room for it.
#[derive(Clone, Debug, Default)]
pub(super) struct BitWriter {
    /// Zero behind the bits that are written.
    room: Box<[u8]>,
}

/// So many bits fit into a [`BitWriter`].
pub(super) const MAX_BITS: usize = u16::MAX as usize;

impl BitWriter {
    /// Bytes that were written before, and zeros.
    pub(super) fn resume(bytes: &[u8]) -> Self {
        BitWriter { room: bytes.into() }
    }

    /// The bytes of the first `len` bits, zeros behind the last one.
    pub(super) fn bytes(&self, len: u16) -> &[u8] {
        self.room.get(..usize::from(len).div_ceil(8)).unwrap_or_default()
    }

    /// Bytes of memory.
    pub(super) fn capacity(&self) -> usize {
        self.room.len()
    }

    /// Replaces everything by these bytes, keeping the memory.
    pub(super) fn restart(&mut self, bytes: &[u8], len: &mut u16) {
        self.reserve(0, bytes.len());
        self.room.fill(0);
        if let Some(room) = self.room.get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
        }
        *len = 8 * bytes.len() as u16;
    }

    /// Makes zero what is behind the last bit in its byte, whatever was read there.
    pub(super) fn clear_rest(&mut self, len: u16) {
        let used = len % 8;
        if let Some(last) = self.room.get_mut(usize::from(len / 8)).filter(|_| used > 0) {
            *last &= !(0xff >> used);
        }
    }

    /// Makes room for so many bytes behind `len` bits, in steps of the allocator's sizes.
    #[inline]
    fn reserve(&mut self, len: u16, bytes: usize) {
        let wanted = usize::from(len).div_ceil(8) + bytes;
        if wanted > self.room.len() {
            self.grow(wanted);
        }
    }

    #[cold]
    fn grow(&mut self, wanted: usize) {
        let more = wanted + 8 + wanted / 8;
        let mut room = std::mem::take(&mut self.room).into_vec();
        room.reserve_exact(more.next_multiple_of(16) - room.len());
        room.resize(room.capacity(), 0);
        self.room = room.into_boxed_slice();
    }

    /// Appends the low `n` bits of `x` (0 to 64), the highest of them first, behind the first `len`.
    #[inline]
    pub(super) fn put(&mut self, len: &mut u16, x: u64, n: u32) {
        if n == 0 {
            return;
        }
        self.reserve(*len, n.div_ceil(8) as usize);
        let (at, used) = (usize::from(*len) / 8, u32::from(*len % 8));
        let aligned = x << (64 - n);
        let word = aligned >> used;
        if let Some(place) = self.room.get_mut(at..).and_then(|r| r.first_chunk_mut::<8>()) {
            *place = (u64::from_be_bytes(*place) | word).to_be_bytes();
        } else {
            // What does not fit is zero.
            for (place, byte) in self.room[at..].iter_mut().zip(word.to_be_bytes()) {
                *place |= byte;
            }
        }
        if used + n > 64
            && let Some(place) = self.room.get_mut(at + 8)
        {
            *place |= (aligned << (64 - used) >> 56) as u8;
        }
        *len += n as u16;
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

    /// A reader that begins at bit `at`.
    pub(super) fn at(bytes: &'a [u8], at: usize) -> Self {
        BitReader { bytes, at }
    }

    /// Bits that were not read; `None` after an overrun.
    pub(super) fn left(&self) -> Option<usize> {
        (self.bytes.len() * 8).checked_sub(self.at)
    }

    /// How many bits were read, or passed over at the start.
    pub(super) fn position(&self) -> usize {
        self.at
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

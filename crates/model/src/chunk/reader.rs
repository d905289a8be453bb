//! Reading and writing the small pieces of encoded columns: bytes and variable-length integers.

use super::ChunkError;

/// Appends `x` in groups of 7 bits, low ones first, the high bit of a byte saying that another follows.
pub(super) fn put_varint(mut x: u64, out: &mut Vec<u8>) {
    while x >= 0x80 {
        out.push(x as u8 | 0x80);
        x >>= 7;
    }
    out.push(x as u8);
}

/// Appends a signed number, small absolute values in few bytes.
pub(super) fn put_zigzag(x: i64, out: &mut Vec<u8>) {
    put_varint(zigzag(x), out);
}

/// 0, -1, 1, -2, … become 0, 1, 2, 3, …
#[inline]
pub(super) fn zigzag(x: i64) -> u64 {
    ((x << 1) ^ (x >> 63)) as u64
}

/// Undoes [`zigzag`].
#[inline]
pub(super) fn unzigzag(x: u64) -> i64 {
    (x >> 1) as i64 ^ -((x & 1) as i64)
}

/// A position in the bytes of a chunk; errors name offsets from their beginning.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(super) fn corrupt(&self, what: &'static str) -> ChunkError {
        ChunkError::Corrupt { at: self.at, what }
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, ChunkError> {
        let b = *self.bytes.get(self.at).ok_or(ChunkError::Truncated { at: self.at })?;
        self.at += 1;
        Ok(b)
    }

    #[inline]
    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], ChunkError> {
        let end = self.at.checked_add(n).ok_or(ChunkError::Truncated { at: self.at })?;
        let part = self.bytes.get(self.at..end).ok_or(ChunkError::Truncated { at: self.bytes.len() })?;
        self.at = end;
        Ok(part)
    }

    /// Goes `n` bytes forward.
    pub(super) fn skip(&mut self, n: usize) -> Result<(), ChunkError> {
        self.take(n).map(|_| ())
    }

    pub(super) fn u64(&mut self) -> Result<u64, ChunkError> {
        let part = self.take(8)?;
        part.first_chunk().map(|b| u64::from_le_bytes(*b)).ok_or(ChunkError::Truncated { at: self.at })
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, ChunkError> {
        let mut x = 0u64;
        for shift in (0..64).step_by(7) {
            let b = self.u8()?;
            x |= u64::from(b & 0x7f) << shift;
            if b < 0x80 {
                return Ok(x);
            }
        }
        Err(self.corrupt("integer of more than 64 bits"))
    }

    pub(super) fn zigzag(&mut self) -> Result<i64, ChunkError> {
        self.varint().map(unzigzag)
    }

    /// A number that must not exceed `max`.
    pub(super) fn count(&mut self, max: usize, what: &'static str) -> Result<usize, ChunkError> {
        let n = self.varint()?;
        if n > max as u64 { Err(self.corrupt(what)) } else { Ok(n as usize) }
    }
}

//! Numbers and texts in bytes: LEB128, zigzag, lengths in front.

use super::BlockError;

pub(crate) fn push_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Small numbers of either sign in few bytes.
pub(crate) fn push_signed(out: &mut Vec<u8>, n: i64) {
    push_varint(out, ((n << 1) ^ (n >> 63)) as u64);
}

/// Bytes with their length in front.
pub(crate) fn push_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads from the front of bytes nobody vouches for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, BlockError> {
        let (byte, rest) = self.rest.split_first().ok_or(BlockError("ends too early"))?;
        self.rest = rest;
        Ok(*byte)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, BlockError> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(BlockError("number is too long"))
    }

    pub(crate) fn signed(&mut self) -> Result<i64, BlockError> {
        let n = self.varint()?;
        Ok((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    /// A number of things of which each takes at least a byte of the rest, or none of which there may be more than `most`.
    pub(crate) fn count(&mut self, most: usize) -> Result<usize, BlockError> {
        match usize::try_from(self.varint()?) {
            Ok(n) if n <= most => Ok(n),
            _ => Err(BlockError("impossible number of things")),
        }
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], BlockError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(BlockError("ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn sized(&mut self) -> Result<&'a [u8], BlockError> {
        let len = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        self.take(len)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, BlockError> {
        std::str::from_utf8(self.sized()?).map_err(|_| BlockError("is not UTF-8"))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, BlockError> {
        let mut word = [0; 4];
        word.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(word))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, BlockError> {
        let mut word = [0; 8];
        word.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(word))
    }
}

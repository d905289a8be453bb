//! Reading Prometheus' files byte by byte, trusting nothing.

use reba_ingest::crc32c::crc32c;

/// Why a file makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bad(pub(super) &'static str);

/// Reads from the front of a slice. Numbers are big-endian or Go's varints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    /// The bytes from `at` on.
    pub(super) fn at(data: &'a [u8], at: u64) -> Result<Self, Bad> {
        let at = usize::try_from(at).map_err(|_| Bad("offset beyond the file"))?;
        data.get(at..).map(Cursor).ok_or(Bad("offset beyond the file"))
    }

    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], Bad> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(Bad("file ends too early"))?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Bad> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, Bad> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Bad> {
        Ok(u64::from(self.u32()?) << 32 | u64::from(self.u32()?))
    }

    pub(super) fn uvarint(&mut self) -> Result<u64, Bad> {
        let mut v = 0;
        for shift in (0..64).step_by(7) {
            let b = self.u8()?;
            v |= u64::from(b & 0x7f) << shift;
            if b < 0x80 {
                return Ok(v);
            }
        }
        Err(Bad("malformed number"))
    }

    pub(super) fn varint(&mut self) -> Result<i64, Bad> {
        let v = self.uvarint()?;
        Ok((v >> 1) as i64 ^ -((v & 1) as i64))
    }

    /// A length, and so many bytes.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Bad> {
        let n = self.uvarint()?;
        self.take(usize::try_from(n).map_err(|_| Bad("length beyond the file"))?)
    }

    /// A length of four bytes, so many bytes, and their checksum.
    pub(super) fn section(&mut self) -> Result<Cursor<'a>, Bad> {
        let n = self.u32()?;
        let body = self.take(n as usize)?;
        self.checksum_of(body)?;
        Ok(Cursor(body))
    }

    /// The checksum of `body`, which must be right.
    pub(super) fn checksum_of(&mut self, body: &[u8]) -> Result<(), Bad> {
        if self.u32()? == crc32c(body) { Ok(()) } else { Err(Bad("wrong checksum")) }
    }
}

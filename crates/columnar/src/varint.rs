//! Variable-length integers (LEB128), and a reader that trusts nothing.

/// Appends `n` in groups of seven bits, least significant first.
#[inline]
pub(crate) fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends `n` so that small numbers of either sign are short.
#[inline]
pub(crate) fn put_signed(out: &mut Vec<u8>, n: i64) {
    put(out, ((n << 1) ^ (n >> 63)) as u64);
}

/// Appends a text behind its length.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Reads from the front of bytes; every method gives `None` when they end or make no sense.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    #[inline]
    pub(crate) fn unsigned(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(n);
            }
        }
        None
    }

    #[inline]
    pub(crate) fn signed(&mut self) -> Option<i64> {
        self.unsigned().map(|n| (n >> 1) as i64 ^ -((n & 1) as i64))
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.unsigned().and_then(|n| u32::try_from(n).ok())
    }

    /// A number of things that take at least a byte each of what follows, so that it bounds what may be allocated.
    pub(crate) fn count(&mut self) -> Option<usize> {
        let n = self.unsigned()?;
        (n <= self.0.len() as u64).then_some(n as usize)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let n = self.count()?;
        std::str::from_utf8(self.take(n)?).ok()
    }

    /// Four bytes, little endian.
    pub(crate) fn fixed_u32(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk().map(|b| u32::from_le_bytes(*b))
    }

    /// Eight bytes, little endian.
    pub(crate) fn fixed_u64(&mut self) -> Option<u64> {
        self.take(8)?.first_chunk().map(|b| u64::from_le_bytes(*b))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_put_is_read(u in any::<u64>(), i in any::<i64>(), text in ".{0,20}") {
            let mut out = Vec::new();
            put(&mut out, u);
            put_signed(&mut out, i);
            put_text(&mut out, &text);
            let mut r = Reader(&out);
            prop_assert_eq!((r.unsigned(), r.signed(), r.text()), (Some(u), Some(i), Some(text.as_str())));
            prop_assert!(r.is_empty());
        }
    }
}

//! Walking protobuf messages by hand: fields in the order of their bytes, nothing copied, nothing recursive.

use thiserror::Error;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum WireError {
    /// The bytes end inside a field.
    #[error("protobuf message ends inside a field")]
    Truncated,
    /// An integer of more than 64 bits.
    #[error("protobuf integer of more than 64 bits")]
    Varint,
    /// A field number of 0, or too large.
    #[error("protobuf field number out of range")]
    Field,
    /// A group, or a wire type that does not exist.
    #[error("protobuf wire type {0} is not supported")]
    WireType(u8),
    /// A field has another wire type than its schema says.
    #[error("protobuf field {0} has the wrong wire type")]
    Mismatch(u32),
    /// A string is no UTF-8.
    #[error("protobuf string field {0} is not valid UTF-8")]
    Utf8(u32),
    /// Messages in messages, more than anyone needs.
    #[error("protobuf messages are nested too deeply")]
    Depth,
}

/// The content of one field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wire<'a> {
    /// An integer.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Four bytes.
    Fixed32(u32),
    /// A string, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
}

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    /// Its number.
    pub number: u32,
    /// Its content.
    pub wire: Wire<'a>,
}

impl<'a> Field<'a> {
    /// Content of a string, bytes, message or packed field.
    #[inline]
    pub fn bytes(&self) -> Result<&'a [u8], WireError> {
        match self.wire {
            Wire::Bytes(b) => Ok(b),
            _ => Err(WireError::Mismatch(self.number)),
        }
    }

    /// Content of a string field.
    #[inline]
    pub fn string(&self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError::Utf8(self.number))
    }

    /// Content of an integer field.
    #[inline]
    pub fn varint(&self) -> Result<u64, WireError> {
        match self.wire {
            Wire::Varint(x) => Ok(x),
            _ => Err(WireError::Mismatch(self.number)),
        }
    }

    /// Content of a `sint32` or `sint64` field.
    pub fn zigzag(&self) -> Result<i64, WireError> {
        self.varint().map(unzigzag)
    }

    /// Content of a `fixed64` or `sfixed64` field.
    #[inline]
    pub fn fixed64(&self) -> Result<u64, WireError> {
        match self.wire {
            Wire::Fixed64(x) => Ok(x),
            _ => Err(WireError::Mismatch(self.number)),
        }
    }

    /// Content of a `fixed32` field.
    #[inline]
    pub fn fixed32(&self) -> Result<u32, WireError> {
        match self.wire {
            Wire::Fixed32(x) => Ok(x),
            _ => Err(WireError::Mismatch(self.number)),
        }
    }

    /// Content of a `double` field.
    #[inline]
    pub fn double(&self) -> Result<f64, WireError> {
        match self.wire {
            Wire::Fixed64(x) => Ok(f64::from_bits(x)),
            _ => Err(WireError::Mismatch(self.number)),
        }
    }

    /// Appends the numbers of a repeated `sint64` field, packed or single.
    pub fn zigzags(&self, out: &mut Vec<i64>) -> Result<(), WireError> {
        match self.wire {
            Wire::Varint(x) => out.push(unzigzag(x)),
            Wire::Bytes(mut b) => {
                while !b.is_empty() {
                    out.push(unzigzag(read_varint(&mut b)?));
                }
            }
            _ => return Err(WireError::Mismatch(self.number)),
        }
        Ok(())
    }

    /// Appends the numbers of a repeated unsigned field, packed or single.
    pub fn varints(&self, out: &mut Vec<u64>) -> Result<(), WireError> {
        match self.wire {
            Wire::Varint(x) => out.push(x),
            Wire::Bytes(mut b) => {
                while !b.is_empty() {
                    out.push(read_varint(&mut b)?);
                }
            }
            _ => return Err(WireError::Mismatch(self.number)),
        }
        Ok(())
    }

    /// Appends the numbers of a repeated `double` field, packed or single.
    pub fn doubles(&self, out: &mut Vec<f64>) -> Result<(), WireError> {
        self.eights(|bits| out.push(f64::from_bits(bits)))
    }

    /// Appends the numbers of a repeated `fixed64` field, packed or single.
    pub fn fixed64s(&self, out: &mut Vec<u64>) -> Result<(), WireError> {
        self.eights(|bits| out.push(bits))
    }

    /// Calls `each` with the bits of every number of eight bytes, packed or single.
    fn eights(&self, mut each: impl FnMut(u64)) -> Result<(), WireError> {
        match self.wire {
            Wire::Fixed64(x) => each(x),
            Wire::Bytes(b) => {
                let chunks = b.chunks_exact(8);
                if !chunks.remainder().is_empty() {
                    return Err(WireError::Truncated);
                }
                chunks.filter_map(|c| c.first_chunk()).for_each(|c| each(u64::from_le_bytes(*c)));
            }
            _ => return Err(WireError::Mismatch(self.number)),
        }
        Ok(())
    }
}

fn unzigzag(x: u64) -> i64 {
    (x >> 1) as i64 ^ -((x & 1) as i64)
}

/// Takes an integer from the front of `bytes`.
#[inline]
pub fn read_varint(bytes: &mut &[u8]) -> Result<u64, WireError> {
    if let Some((&b, rest)) = bytes.split_first()
        && b < 0x80
    {
        *bytes = rest;
        return Ok(u64::from(b));
    }
    let mut x = 0u64;
    for (i, &b) in bytes.iter().take(10).enumerate() {
        x |= u64::from(b & 0x7f) << (7 * i);
        if b < 0x80 {
            *bytes = &bytes[i + 1..];
            return Ok(x);
        }
    }
    Err(if bytes.len() < 10 { WireError::Truncated } else { WireError::Varint })
}

/// Iterates over the fields of a message; ends at the first error.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of `message`.
    pub fn new(message: &'a [u8]) -> Self {
        Fields { rest: message }
    }

    /// Bytes that are not read yet.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    fn take(&mut self, n: u64) -> Result<&'a [u8], WireError> {
        if n > self.rest.len() as u64 {
            return Err(WireError::Truncated);
        }
        let (part, rest) = self.rest.split_at(n as usize);
        self.rest = rest;
        Ok(part)
    }

    #[inline]
    fn read(&mut self) -> Result<Field<'a>, WireError> {
        let key = read_varint(&mut self.rest)?;
        let number =
            u32::try_from(key >> 3).ok().filter(|n| (1..1 << 29).contains(n)).ok_or(WireError::Field)?;
        let wire = match key & 7 {
            0 => Wire::Varint(read_varint(&mut self.rest)?),
            1 => {
                let b = self.take(8)?.first_chunk().ok_or(WireError::Truncated)?;
                Wire::Fixed64(u64::from_le_bytes(*b))
            }
            2 => {
                let len = read_varint(&mut self.rest)?;
                Wire::Bytes(self.take(len)?)
            }
            5 => {
                let b = self.take(4)?.first_chunk().ok_or(WireError::Truncated)?;
                Wire::Fixed32(u32::from_le_bytes(*b))
            }
            other => return Err(WireError::WireType(other as u8)),
        };
        Ok(Field { number, wire })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Appends an integer.
pub fn put_varint(mut x: u64, out: &mut Vec<u8>) {
    while x >= 0x80 {
        out.push(x as u8 | 0x80);
        x >>= 7;
    }
    out.push(x as u8);
}

/// Appends an integer field.
pub fn put_varint_field(number: u32, x: u64, out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3, out);
    put_varint(x, out);
}

/// Appends a string, bytes, message or packed field.
pub fn put_bytes_field(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3 | 2, out);
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Appends a `double` field.
pub fn put_double_field(number: u32, x: f64, out: &mut Vec<u8>) {
    put_fixed64_field(number, x.to_bits(), out);
}

/// Appends a `fixed64` or `sfixed64` field.
pub fn put_fixed64_field(number: u32, x: u64, out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3 | 1, out);
    out.extend_from_slice(&x.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_come_back_as_they_were_written() {
        let mut m = Vec::new();
        put_varint_field(1, 300, &mut m);
        put_bytes_field(2, b"ab", &mut m);
        put_double_field(3, 1.5, &mut m);
        let fields: Vec<_> = Fields::new(&m).collect::<Result<_, _>>().unwrap();
        assert_eq!(fields[0].varint(), Ok(300));
        assert_eq!(fields[1].string(), Ok("ab"));
        assert_eq!(fields[2].double(), Ok(1.5));
        assert_eq!(fields[2].varint(), Err(WireError::Mismatch(3)));
        for cut in 1..m.len() {
            let all: Result<Vec<_>, _> = Fields::new(&m[..cut]).collect();
            assert!(all.is_err() || [3, 7].contains(&cut), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Fields::new(&bytes).count() <= bytes.len());
        }
    }
}

//! Numbers as Tempo's configuration spells them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::loki::config::Size;

/// A number of bytes or of things: `15000000`, `15_000_000`, `15e6`, `15MB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Whether it is nothing, which means "no limit".
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// As a number of bytes in memory.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let plain: String = text.trim().chars().filter(|c| *c != '_').collect();
        if let Ok(n) = plain.parse::<u64>() {
            return Ok(Bytes(n));
        }
        if let Ok(n) = plain.parse::<f64>()
            && n >= 0.0
            && n.fract() == 0.0
            && n < 1e18
        {
            return Ok(Bytes(n as u64));
        }
        Size::parse(&plain).map(|size| Bytes(size.0))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Bytes::parse(&String::deserialize(d)?).map_err(de::Error::custom)
    }
}

/// Reads a section whose key alone says that it is wanted: `grpc:` with nothing behind it.
pub(super) fn present<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    d: D,
) -> Result<Option<T>, D::Error> {
    Option::<T>::deserialize(d).map(|value| Some(value.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_every_spelling() {
        for (text, want) in
            [("15000000", 15_000_000), ("15_000_000", 15_000_000), ("15e6", 15_000_000), ("4MB", 4 << 20)]
        {
            assert_eq!(Bytes::parse(text), Ok(Bytes(want)), "{text}");
        }
        assert!(Bytes::parse("-1").is_err() && Bytes::parse("1.5").is_err() || Bytes::parse("x").is_err());
    }
}

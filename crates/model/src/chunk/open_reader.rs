//! Reading open chunks: whole, or from a place in their middle on.

use super::{
    ChunkError,
    bits::BitReader,
    open::{BY_XOR, HEADER, OpenChunk, Place, State, TAIL_HEADER, TAIL_TAG, TIME_WIDTHS, rebase},
    reader::unzigzag,
    values::POW10,
};
use crate::{STALE_NAN_BITS, SampleColumns, TimeRange};

/// Reads an open chunk sample by sample.
pub(super) struct OpenReader<'a> {
    pub(super) bits: BitReader<'a>,
    pub(super) state: State,
    pub(super) left: u16,
    pub(super) begun: bool,
}

impl<'a> OpenReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, ChunkError> {
        let truncated = ChunkError::Truncated { at: bytes.len() };
        let Some(header) = bytes.first_chunk::<HEADER>() else { return Err(truncated) };
        let word = |at: usize| {
            let mut w = [0; 8];
            w.copy_from_slice(&header[at..at + 8]);
            u64::from_le_bytes(w)
        };
        Ok(OpenReader {
            bits: BitReader::new(&bytes[HEADER..]),
            state: State::start(word(3) as i64, word(11)),
            left: u16::from_le_bytes([header[1], header[2]]),
            begun: false,
        })
    }

    /// Reads what [`OpenChunk::snapshot_from`] wrote.
    fn tail(bytes: &'a [u8]) -> Result<Self, ChunkError> {
        let truncated = ChunkError::Truncated { at: bytes.len() };
        let Some((h, stream)) = bytes.split_first_chunk::<TAIL_HEADER>() else { return Err(truncated) };
        let word = |at: usize| {
            let mut w = [0; 8];
            w.copy_from_slice(&h[at..at + 8]);
            u64::from_le_bytes(w)
        };
        let place = Place {
            value: word(14),
            delta: u32::from_le_bytes([h[22], h[23], h[24], h[25]]),
            exponent: h[3].min(BY_XOR),
            width: h[4].min(64),
            trailing: h[5].min(63),
            ..Place::default()
        };
        Ok(OpenReader {
            bits: BitReader::at(stream, usize::from(h[2] & 7)),
            state: place.state(word(6) as i64),
            left: u16::from(h[1]),
            begun: true,
        })
    }

    #[inline]
    fn advance(&mut self) {
        let changed = match self.bits.ones(2) {
            0 => false,
            1 => true,
            _ => {
                let class = self.bits.ones(4) as usize;
                let change = unzigzag(self.bits.get(TIME_WIDTHS[class]));
                self.state.delta = self.state.delta.wrapping_add(change);
                self.bits.get(1) == 1
            }
        };
        self.state.t = self.state.t.wrapping_add(self.state.delta);
        if changed {
            self.state.bits = self.value();
        }
    }

    #[inline]
    fn value(&mut self) -> u64 {
        loop {
            match self.bits.ones(4) {
                0 => {
                    let width = u32::from(self.state.width);
                    let x = self.bits.get(width);
                    return self.apply(x, 64 - x.leading_zeros());
                }
                1 if self.state.exponent == BY_XOR => {
                    let lead = self.bits.get(6) as u32;
                    let own = (self.bits.get(6) as u32 + 1).min(64 - lead);
                    (self.state.width, self.state.trailing) = (own as u8, (64 - lead - own) as u8);
                    let x = self.bits.get(own);
                    return self.apply(x, own);
                }
                1 => {
                    let width = self.bits.get(6) as u32 + 1;
                    let x = self.bits.get(width);
                    return self.apply(x, 64 - x.leading_zeros());
                }
                2 => return STALE_NAN_BITS,
                3 => self.change_exponent(),
                _ => return self.bits.get(64),
            }
            if self.bits.overrun() {
                return 0;
            }
        }
    }

    /// The value that lies `x` from the base: a difference, or by XOR.
    #[inline]
    fn apply(&mut self, x: u64, bits: u32) -> u64 {
        if self.state.exponent == BY_XOR {
            self.state.base ^= (x << self.state.trailing) as i64;
            return self.state.base as u64;
        }
        self.state.base = self.state.base.wrapping_add(unzigzag(x));
        self.state.adapt(bits);
        let m = self.state.base as f64;
        if self.state.exponent == 0 { m } else { m / POW10[usize::from(self.state.exponent)] }.to_bits()
    }

    fn change_exponent(&mut self) {
        let from = self.state.exponent;
        let exponent = self.bits.get(4) as u8;
        let old = POW10.get(usize::from(from)).map_or(0.0, |p| self.state.base as f64 / p);
        self.state.base = rebase(old.to_bits(), exponent).unwrap_or(0);
        self.state.exponent = exponent;
        if exponent == BY_XOR {
            (self.state.width, self.state.trailing) = (0, 0);
        }
    }
}

impl Iterator for OpenReader<'_> {
    type Item = (i64, f64);

    #[inline]
    fn next(&mut self) -> Option<(i64, f64)> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        if self.begun {
            self.advance();
        }
        self.begun = true;
        Some((self.state.t, f64::from_bits(self.state.bits)))
    }
}

/// Range and number of samples; decodes all of them, for the stream does not say its end.
pub(super) fn head(bytes: &[u8]) -> Result<(TimeRange, u32), ChunkError> {
    let mut out = SampleColumns::default();
    decode(bytes, TimeRange::ALL, &mut out)?;
    match (out.t.first(), out.t.last()) {
        (Some(start), Some(end)) => Ok((TimeRange::new(*start, *end), out.t.len() as u32)),
        _ => Err(ChunkError::Corrupt { at: 1, what: "an open chunk without samples" }),
    }
}

/// Appends the samples in `range`.
pub(super) fn decode(bytes: &[u8], range: TimeRange, out: &mut SampleColumns) -> Result<(), ChunkError> {
    let is_tail = bytes.first() == Some(&TAIL_TAG);
    let mut reader = if is_tail { OpenReader::tail(bytes)? } else { OpenReader::new(bytes)? };
    if usize::from(reader.left) > OpenChunk::MAX_SAMPLES {
        return Err(ChunkError::Corrupt { at: 1, what: "too many samples" });
    }
    let before = out.t.len();
    let mut last = None;
    let mut damage = None;
    while let Some((t, v)) = reader.next() {
        if reader.bits.overrun() {
            damage = Some(ChunkError::Truncated { at: bytes.len() });
            break;
        }
        if last.is_some_and(|l| l >= t) {
            damage = Some(ChunkError::Corrupt { at: HEADER, what: "times that do not rise" });
            break;
        }
        last = Some(t);
        if t > range.end {
            break;
        }
        if t >= range.start {
            out.push(t, v);
        }
    }
    damage.map_or(Ok(()), |e| {
        out.t.truncate(before);
        out.v.truncate(before);
        Err(e)
    })
}

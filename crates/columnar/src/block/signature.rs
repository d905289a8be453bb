//! Signatures of all text in a block: could this be part of a line?
//!
//! A Bloom filter with one hash over all runs of four bytes within *pieces*: what stands between holes, texts of dictionaries,
//! free text. What is left out are the values of typed columns (numbers, ids, times), of which there are too many, and the
//! borders between pieces; for those the signature knows which bytes stand next to holes, so that a needle can be cut where it
//! may run over a border.

use super::{BlockError, wire::Reader};

/// Bytes of a run.
const GRAM: usize = 4;

/// Bits of the table while it is filled, as a power of two.
const FULL: u32 = 20;
const LEAST: u32 = 9;

/// A set of bytes.
pub(super) type ByteSet = [u64; 4];

pub(super) fn insert(set: &mut ByteSet, byte: u8) {
    set[usize::from(byte >> 6)] |= 1 << (byte & 63);
}

fn holds(set: &ByteSet, byte: u8) -> bool {
    set[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
}

/// What stands next to holes.
#[derive(Clone, Debug, Default)]
pub(super) struct Borders {
    /// Bytes that occur in values of typed columns.
    pub(super) typed: ByteSet,
    /// Bytes before and behind holes with typed values.
    pub(super) before_typed: ByteSet,
    pub(super) behind_typed: ByteSet,
    /// Bytes before and behind other holes.
    pub(super) before_text: ByteSet,
    pub(super) behind_text: ByteSet,
}

impl Borders {
    /// Whether the border of a piece may lie between these two bytes.
    fn between(&self, a: u8, b: u8) -> bool {
        holds(&self.before_text, a)
            || holds(&self.behind_text, b)
            || (holds(&self.before_typed, a) && holds(&self.typed, b))
            || (holds(&self.typed, a) && holds(&self.behind_typed, b))
    }

    fn sets(&self) -> [&ByteSet; 5] {
        [&self.typed, &self.before_typed, &self.behind_typed, &self.before_text, &self.behind_text]
    }
}

fn place(gram: &[u8]) -> u32 {
    let mut word = [0; GRAM];
    word.copy_from_slice(gram);
    let h = u32::from_le_bytes(word).wrapping_mul(0x9e37_79b1);
    (h ^ (h >> 15)) & ((1 << FULL) - 1)
}

#[derive(Debug)]
pub(super) struct Builder {
    table: Vec<u64>,
    pub(super) borders: Borders,
}

impl Builder {
    pub(super) fn new() -> Self {
        Builder { table: vec![0; 1 << (FULL - 6)], borders: Borders::default() }
    }

    /// Begins another block.
    pub(super) fn clear(&mut self) {
        self.table.fill(0);
        self.borders = Borders::default();
    }

    /// Adds a piece.
    pub(super) fn add(&mut self, piece: &[u8]) {
        for gram in piece.windows(GRAM) {
            let place = place(gram);
            self.table[(place >> 6) as usize] |= 1 << (place & 63);
        }
    }

    /// Writes the signature in at most about `budget` bytes; nothing if that would be too crowded to be of use.
    pub(super) fn write(&self, budget: usize, out: &mut Vec<u8>) {
        let grams: u32 = self.table.iter().map(|w| w.count_ones()).sum();
        let mut table = self.table.clone();
        let mut log = FULL;
        let least = (u64::from(grams) * 6).next_power_of_two().ilog2().max(LEAST);
        while log > least || (log > LEAST && (1usize << log) / 8 > budget) {
            let (low, high) = table.split_at_mut(1 << (log - 7));
            low.iter_mut().zip(high).for_each(|(l, h)| *l |= *h);
            log -= 1;
            table.truncate(1 << (log - 6));
        }
        let set: u32 = table.iter().map(|w| w.count_ones()).sum();
        if u64::from(set) * 2 > 1 << log {
            return;
        }
        out.push(log as u8);
        for word in self.borders.sets().into_iter().flatten().chain(&table) {
            out.extend(word.to_le_bytes());
        }
    }
}

/// A written signature.
#[derive(Debug)]
pub(super) struct Signature<'a> {
    borders: Borders,
    table: &'a [u8],
    mask: u32,
}

impl<'a> Signature<'a> {
    /// Reads a signature; none if there was no use for one.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Option<Self>, BlockError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut reader = Reader::new(bytes);
        let log = u32::from(reader.byte()?);
        if !(LEAST..=FULL).contains(&log) {
            return Err(BlockError("impossible size of signature"));
        }
        let mut set = || -> Result<ByteSet, BlockError> {
            Ok([reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?])
        };
        let borders = Borders {
            typed: set()?,
            before_typed: set()?,
            behind_typed: set()?,
            before_text: set()?,
            behind_text: set()?,
        };
        let table = reader.take(1 << (log - 3))?;
        Ok(Some(Signature { borders, table, mask: (1 << log) - 1 }))
    }

    /// Whether `needle` may be part of a line.
    pub(super) fn may_contain(&self, needle: &[u8]) -> bool {
        let mut start = 0;
        (1..=needle.len()).all(|end| {
            let cut = end == needle.len() || self.borders.between(needle[end - 1], needle[end]);
            if !cut {
                return true;
            }
            let piece = &needle[start..end];
            start = end;
            self.may_be_text(piece) || piece.iter().all(|b| holds(&self.borders.typed, *b))
        })
    }

    /// Whether no border can lie within `needle`.
    pub(super) fn is_whole(&self, needle: &[u8]) -> bool {
        needle.windows(2).all(|w| !self.borders.between(w[0], w[1]))
    }

    /// Whether a piece that is no value of a typed column may contain it.
    pub(super) fn may_be_text(&self, piece: &[u8]) -> bool {
        piece.windows(GRAM).all(|gram| {
            let place = place(gram) & self.mask;
            self.table[(place >> 3) as usize] >> (place & 7) & 1 == 1
        })
    }
}

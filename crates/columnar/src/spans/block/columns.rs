//! Columns as bytes: texts, numbers, blobs.
//!
//! Codes of dictionaries are bytes under zstd, not packed bits: spans of one kind of request follow each other again and again, and
//! what repeats in bytes compresses to next to nothing.

use std::collections::HashMap;

use zstd::bulk::{Compressor, Decompressor};

use crate::{
    block::{
        BlockError, MAX_ROWS, fuse, ints,
        wire::{Reader, push_sized, push_varint},
    },
    spans::hash::Seeded,
};

const LEVEL: i32 = 1;

/// No column is larger, unpacked.
const MAX_UNPACKED: usize = 1 << 28;

/// How many times its size zstd's format lets a byte grow to, at most (a block of 128 KiB in four bytes).
const MAX_GROWTH: usize = 1 << 15;

/// Dictionaries of numbers have at most so many entries.
const MAX_NUMBERS: usize = 256;

/// Texts get a filter if there are more of them than are found by looking at all.
const LEAST_FILTERED: usize = 48;

const DICTIONARY: u8 = 0;
const PLAIN: u8 = 1;

/// Compresses.
pub(super) struct Packer(Option<Compressor<'static>>);

impl Default for Packer {
    fn default() -> Self {
        Packer(Compressor::new(LEVEL).ok())
    }
}

impl Packer {
    /// Appends bytes: length, length as written, and the bytes, compressed if that is shorter.
    fn put(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        push_varint(out, bytes.len() as u64);
        let packed =
            if bytes.len() > 32 { self.0.as_mut().and_then(|z| z.compress(bytes).ok()) } else { None };
        push_sized(out, packed.as_deref().filter(|p| p.len() + 4 < bytes.len()).unwrap_or(bytes));
    }

    fn codes(&mut self, codes: &[u32], distinct: usize, out: &mut Vec<u8>) {
        if distinct <= 1 {
            return;
        }
        let bytes: Vec<u8> = if distinct <= 256 {
            codes.iter().map(|code| *code as u8).collect()
        } else {
            codes.iter().flat_map(|code| (*code as u16).to_le_bytes()).collect()
        };
        self.put(&bytes, out);
    }

    /// Appends texts: `texts` are distinct, `codes` say which text stands where.
    pub(super) fn strings(&mut self, texts: &[&str], codes: &[u32], out: &mut Vec<u8>) {
        let mut filter = Vec::new();
        if texts.len() >= LEAST_FILTERED {
            let hashes = texts.iter().map(|text| fuse::hash(text.as_bytes())).collect();
            if !fuse::build(hashes, &mut filter) {
                filter.clear();
            }
        }
        push_sized(out, &filter);
        if texts.len() * 2 <= codes.len() || texts.len() <= 16 {
            out.push(DICTIONARY);
            push_varint(out, texts.len() as u64);
            self.blobs(texts.iter().map(|text| text.as_bytes()), out);
            self.codes(codes, texts.len(), out);
        } else {
            out.push(PLAIN);
            let text = |code: &u32| texts.get(*code as usize).map_or(&[][..], |text| text.as_bytes());
            self.blobs(codes.iter().map(text), out);
        }
    }

    /// Appends bytes of any lengths.
    pub(super) fn blobs<'a>(&mut self, blobs: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
        let (mut lengths, mut bytes) = (Vec::new(), Vec::new());
        for blob in blobs {
            lengths.push(blob.len() as i64);
            bytes.extend_from_slice(blob);
        }
        ints::encode(&lengths, out);
        self.put(&bytes, out);
    }

    /// Appends numbers.
    pub(super) fn numbers(&mut self, values: &[i64], out: &mut Vec<u8>) {
        let mut known: HashMap<i64, u32, Seeded> = HashMap::default();
        let (mut distinct, mut codes) = (Vec::new(), Vec::with_capacity(values.len()));
        let mut last: Option<(i64, u32)> = None;
        for value in values {
            let code = match last {
                Some((before, code)) if before == *value => code,
                _ => *known.entry(*value).or_insert_with(|| {
                    distinct.push(*value);
                    distinct.len() as u32 - 1
                }),
            };
            last = Some((*value, code));
            codes.push(code);
            if distinct.len() > MAX_NUMBERS {
                break;
            }
        }
        if distinct.len() <= MAX_NUMBERS && distinct.len() * 4 <= values.len().max(4) {
            out.push(DICTIONARY);
            push_varint(out, distinct.len() as u64);
            ints::encode(&distinct, out);
            self.codes(&codes, distinct.len(), out);
        } else {
            out.push(PLAIN);
            ints::encode(values, out);
        }
    }
}

/// What decompressing needs; to make one takes as long as to decompress a column.
pub(crate) type Context = Decompressor<'static>;

/// Decompresses.
#[derive(Default)]
pub(crate) struct Unpacker {
    zstd: Option<Context>,
    /// Bytes that came out.
    pub(crate) unpacked: u64,
}

impl Unpacker {
    /// Takes over the context of a reader that needs it no more.
    pub(super) fn lend(&mut self, context: Option<Context>) {
        self.zstd = context;
    }

    /// The context, if one was needed.
    pub(super) fn take_back(&mut self) -> Option<Context> {
        self.zstd.take()
    }

    fn get(&mut self, reader: &mut Reader<'_>) -> Result<Vec<u8>, BlockError> {
        let len = reader.count(MAX_UNPACKED)?;
        let stored = reader.sized()?;
        self.unpacked += len as u64;
        if stored.len() == len {
            return Ok(stored.to_vec());
        }
        if len > stored.len().saturating_mul(MAX_GROWTH) {
            return Err(BlockError("impossible compression"));
        }
        let damaged = |_| BlockError("does not decompress");
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(Decompressor::new().map_err(damaged)?),
        };
        let bytes = zstd.decompress(stored, len).map_err(damaged)?;
        if bytes.len() == len { Ok(bytes) } else { Err(BlockError("decompresses to another length")) }
    }

    /// Codes below `distinct`.
    fn codes(
        &mut self,
        reader: &mut Reader<'_>,
        count: usize,
        distinct: usize,
    ) -> Result<Vec<u16>, BlockError> {
        if distinct == 0 && count > 0 {
            return Err(BlockError("an empty dictionary"));
        }
        if distinct <= 1 {
            return Ok(vec![0; count]);
        }
        let bytes = self.get(reader)?;
        let codes: Vec<u16> = if distinct <= 256 {
            bytes.iter().map(|code| u16::from(*code)).collect()
        } else {
            bytes.as_chunks::<2>().0.iter().map(|code| u16::from_le_bytes(*code)).collect()
        };
        let is_sane = codes.len() == count && codes.iter().all(|code| usize::from(*code) < distinct);
        if is_sane { Ok(codes) } else { Err(BlockError("wrong codes")) }
    }

    pub(super) fn strings(&mut self, bytes: &[u8], count: usize) -> Result<Strings, BlockError> {
        let mut reader = Reader::new(bytes);
        reader.sized()?;
        match reader.byte()? {
            DICTIONARY => {
                let distinct = reader.count(MAX_ROWS)?;
                let mut strings = self.blobs(&mut reader, distinct)?;
                strings.codes = Some(self.codes(&mut reader, count, distinct)?);
                Ok(strings)
            }
            PLAIN => self.blobs(&mut reader, count),
            _ => Err(BlockError("unknown form of texts")),
        }
    }

    fn blobs(&mut self, reader: &mut Reader<'_>, count: usize) -> Result<Strings, BlockError> {
        let lengths = ints::decode(reader, count)?;
        let bytes = self.get(reader)?;
        let mut end = 0usize;
        let mut ends = Vec::with_capacity(count);
        for length in lengths {
            let length = usize::try_from(length).map_err(|_| BlockError("negative length"))?;
            end = end
                .checked_add(length)
                .filter(|end| *end <= bytes.len())
                .ok_or(BlockError("wrong lengths"))?;
            ends.push(end as u32);
        }
        Ok(Strings { bytes, ends, codes: None })
    }

    pub(super) fn only_blobs(&mut self, bytes: &[u8], count: usize) -> Result<Strings, BlockError> {
        self.blobs(&mut Reader::new(bytes), count)
    }

    pub(super) fn numbers(&mut self, bytes: &[u8], count: usize) -> Result<Vec<i64>, BlockError> {
        let mut reader = Reader::new(bytes);
        match reader.byte()? {
            DICTIONARY => {
                let distinct = reader.count(MAX_NUMBERS)?;
                let values = ints::decode(&mut reader, distinct)?;
                let codes = self.codes(&mut reader, count, distinct)?;
                Ok(codes.into_iter().map(|code| values[usize::from(code)]).collect())
            }
            PLAIN => ints::decode(&mut reader, count),
            _ => Err(BlockError("unknown form of numbers")),
        }
    }
}

/// Whether a text may be among those of a column.
pub(super) fn may_hold(bytes: &[u8], text: &str) -> Result<bool, BlockError> {
    let filter = Reader::new(bytes).sized()?;
    if filter.is_empty() { Ok(true) } else { fuse::may_hold(filter, fuse::hash(text.as_bytes())) }
}

/// Texts, or blobs, that were read.
#[derive(Debug, Default)]
pub(crate) struct Strings {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    codes: Option<Vec<u16>>,
}

impl Strings {
    /// The value at a place.
    pub(crate) fn get(&self, i: usize) -> &[u8] {
        match &self.codes {
            Some(codes) => codes.get(i).map_or(&[], |code| self.entry(usize::from(*code))),
            None => self.entry(i),
        }
    }

    /// Codes of the values, if there is a dictionary.
    pub(crate) fn codes(&self) -> Option<&[u16]> {
        self.codes.as_deref()
    }

    /// Entries of the dictionary, or values.
    pub(crate) fn entries(&self) -> usize {
        self.ends.len()
    }

    /// An entry of the dictionary, or a value.
    pub(crate) fn entry(&self, i: usize) -> &[u8] {
        let start = i.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(i).copied().unwrap_or(start);
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Whether one of the texts may stand within an entry: it does within all of them together.
    pub(crate) fn may_contain(&self, texts: &[String]) -> bool {
        texts.iter().any(|text| memchr::memmem::find(&self.bytes, text.as_bytes()).is_some())
    }

    /// The same as text; empty if it is none.
    pub(crate) fn entry_text(&self, i: usize) -> &str {
        std::str::from_utf8(self.entry(i)).unwrap_or_default()
    }
}

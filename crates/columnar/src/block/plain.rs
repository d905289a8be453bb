//! The simplest block: everything in one compressed piece.
//!
//! `rows u32 | first_ns i64 | length of the rest, uncompressed u64 | zstd(rest)`, little endian. The rest, row by row, numbers as LEB128:
//! nanoseconds since the row before, length of the line, the line, number of pairs, and for each pair its two texts with their
//! lengths.

use std::{collections::BTreeMap, sync::Arc};

use reba_model::{Labels, LogBlock, NanoRange, TextColumn};
use reba_storage::{LogWant, MetadataWant};

use super::{BlockError, BlockSummary, MAX_ROWS, MAX_TEXT_BYTES, OwnedRow, ReadCost, Rows};

const HEADER: usize = 4 + 8 + 8;
const LEVEL: i32 = 1;

/// A block may hold one row of any size, and that compresses well: still no more than this is unpacked.
const MAX_UNPACKED: u64 = 1 << 30;

pub(super) fn encode(rows: &Rows<'_>, out: &mut Vec<u8>) -> BlockSummary {
    let first_ns = rows.times.first().copied().unwrap_or(0);
    let mut body = Vec::new();
    let (mut before, mut text_bytes) = (first_ns, 0);
    for (i, ns) in rows.times.iter().enumerate() {
        push_varint(&mut body, ns.wrapping_sub(before) as u64);
        before = *ns;
        text_bytes += push_text(&mut body, rows.lines[i]);
        push_varint(&mut body, rows.metadata[i].len() as u64);
        for (name, value) in rows.metadata[i] {
            text_bytes += push_text(&mut body, name) + push_text(&mut body, value);
        }
    }
    out.extend((rows.times.len() as u32).to_le_bytes());
    out.extend(first_ns.to_le_bytes());
    out.extend((body.len() as u64).to_le_bytes());
    // Compression into memory cannot fail; an empty rest would be refused on reading.
    out.extend(zstd::bulk::compress(&body, LEVEL).unwrap_or_default());
    BlockSummary { rows: rows.times.len() as u32, text_bytes, first_ns, last_ns: before }
}

fn push_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn push_text(out: &mut Vec<u8>, text: &str) -> u64 {
    push_varint(out, text.len() as u64);
    out.extend(text.as_bytes());
    text.len() as u64
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    rows: usize,
    first_ns: i64,
    unpacked: u64,
    packed: &'a [u8],
}

impl<'a> Block<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, BlockError> {
        let (header, packed) = bytes.split_at_checked(HEADER).ok_or(BlockError("too short"))?;
        let field = |from: usize, to: usize| {
            let mut word = [0; 8];
            word[..to - from].copy_from_slice(&header[from..to]);
            u64::from_le_bytes(word)
        };
        let (rows, first_ns, unpacked) = (field(0, 4) as usize, field(4, 12) as i64, field(12, 20));
        if rows > MAX_ROWS || unpacked > MAX_UNPACKED {
            return Err(BlockError("impossible size"));
        }
        Ok(Block { rows, first_ns, unpacked, packed })
    }

    pub(super) fn rows(&self) -> Result<Vec<OwnedRow>, BlockError> {
        let body = zstd::bulk::decompress(self.packed, self.unpacked as usize)
            .map_err(|_| BlockError("does not decompress"))?;
        let mut reader = Reader { bytes: &body };
        let mut ns = self.first_ns;
        let mut rows = Vec::with_capacity(self.rows);
        for _ in 0..self.rows {
            ns = ns.wrapping_add(reader.varint()? as i64);
            let line = reader.text()?.to_owned();
            let pairs = reader.varint()?;
            let metadata = (0..pairs)
                .map(|_| Ok((reader.text()?.to_owned(), reader.text()?.to_owned())))
                .collect::<Result<_, BlockError>>()?;
            rows.push(OwnedRow { ns, line, metadata });
        }
        Ok(rows)
    }

    pub(super) fn read(
        &self,
        stream: &Labels,
        range: NanoRange,
        want: &LogWant,
        cost: &mut ReadCost,
    ) -> Result<Option<LogBlock>, BlockError> {
        let mut rows = self.rows()?;
        cost.bytes_read += self.packed.len() as u64;
        cost.bytes_decoded += self.unpacked;
        rows.retain(|row| range.contains(row.ns));
        if rows.is_empty() {
            return Ok(None);
        }
        Ok(Some(LogBlock {
            stream: stream.clone(),
            times: rows.iter().map(|r| r.ns).collect(),
            lines: Some(TextColumn::plain(rows.iter().map(|r| r.line.as_str()))),
            metadata: metadata_columns(&rows, &want.metadata),
            extracted: None,
        }))
    }
}

fn metadata_columns(rows: &[OwnedRow], want: &MetadataWant) -> Vec<(Arc<str>, TextColumn)> {
    let wanted = |name: &str| match want {
        MetadataWant::All => true,
        MetadataWant::Names(names) => names.iter().any(|n| n == name),
    };
    let mut columns: BTreeMap<&str, (Vec<Arc<str>>, Vec<u32>)> = BTreeMap::new();
    for (i, row) in rows.iter().enumerate() {
        for (name, value) in row.metadata.iter().filter(|(name, _)| wanted(name)) {
            let (values, codes) =
                columns.entry(name).or_insert_with(|| (Vec::new(), vec![TextColumn::ABSENT; rows.len()]));
            codes[i] = values.len() as u32;
            values.push(Arc::from(value.as_str()));
        }
    }
    columns
        .into_iter()
        .map(|(name, (values, codes))| (Arc::from(name), TextColumn::Dict { values, codes }))
        .collect()
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Result<u64, BlockError> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.bytes.split_first().ok_or(BlockError("ends too early"))?;
            self.bytes = rest;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(BlockError("number is too long"))
    }

    fn text(&mut self) -> Result<&'a str, BlockError> {
        let len = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        let (text, rest) = self.bytes.split_at_checked(len).ok_or(BlockError("ends too early"))?;
        self.bytes = rest;
        std::str::from_utf8(text).map_err(|_| BlockError("is not UTF-8"))
    }
}

const _: () = assert!(MAX_TEXT_BYTES < MAX_UNPACKED as usize);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Generated = Vec<(u32, String, Vec<(String, String)>)>;

    fn rows_strategy() -> impl Strategy<Value = Generated> {
        let pairs = prop::collection::vec(("[a-z]{1,4}", ".{0,6}"), 0..3);
        prop::collection::vec((any::<u32>(), ".{0,30}", pairs), 1..30)
    }

    proptest! {
        #[test]
        fn rows_come_back_as_they_were_written(generated in rows_strategy(), start in any::<i64>()) {
            let mut ns = start / 2;
            let rows: Vec<OwnedRow> = generated.into_iter().map(|(delta, line, metadata)| {
                ns += i64::from(delta);
                OwnedRow { ns, line, metadata }
            }).collect();
            let times: Vec<i64> = rows.iter().map(|r| r.ns).collect();
            let lines: Vec<&str> = rows.iter().map(|r| r.line.as_str()).collect();
            let pairs: Vec<Vec<(&str, &str)>> =
                rows.iter().map(|r| r.metadata.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()).collect();
            let metadata: Vec<super::super::Pairs<'_>> = pairs.iter().map(Vec::as_slice).collect();
            let mut bytes = Vec::new();
            encode(&Rows { times: &times, lines: &lines, metadata: &metadata }, &mut bytes);
            prop_assert_eq!(super::super::Block::open(&bytes).unwrap().rows(), Ok(rows));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(block) = super::super::Block::open(&bytes) {
                let _ = block.rows();
            }
        }
    }
}

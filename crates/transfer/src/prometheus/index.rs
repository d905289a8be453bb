//! The index of a block, version 2: symbols, series, and the list of all series.

use reba_disk::Mapped;
use reba_model::LabelsBuilder;

use super::cursor::{Bad, Cursor};

const MAGIC: u32 = 0xbaaa_d700;
const VERSION: u8 = 2;

/// Offsets of six sections, and their checksum.
const TOC: usize = 6 * 8 + 4;

/// Series are aligned to so many bytes.
const ALIGNMENT: u64 = 16;

/// Where a chunk is, and which times it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkEntry {
    /// File in the upper half, offset in the lower.
    pub(super) reference: u64,
}

/// An open index.
#[derive(Debug)]
pub(super) struct Index {
    data: Mapped,
    /// Where each symbol stands.
    symbols: Vec<u64>,
    /// All series: their offsets by [`ALIGNMENT`], rising.
    pub(super) series: Vec<u32>,
}

impl Index {
    /// Reads what every series needs.
    pub(super) fn open(data: Mapped) -> Result<Self, Bad> {
        let mut head = Cursor(&data);
        if head.u32()? != MAGIC {
            return Err(Bad("this is no index of Prometheus"));
        }
        if head.u8()? != VERSION {
            return Err(Bad("the index has another version than 2"));
        }
        let toc_at = data.len().checked_sub(TOC).ok_or(Bad("file ends too early"))?;
        let (body, checksum) = data[toc_at..].split_at(TOC - 4);
        Cursor(checksum).checksum_of(body)?;
        let mut toc = Cursor(body);
        let symbols_at = toc.u64()?;
        toc.take(4 * 8)?;
        let postings_table = toc.u64()?;
        let symbols = read_symbols(&data, symbols_at)?;
        let series = read_all_series(&data, postings_table)?;
        Ok(Index { data, symbols, series })
    }

    /// Labels and chunks of the series with this number.
    pub(super) fn read(
        &self,
        id: u32,
        labels: &mut LabelsBuilder,
        chunks: &mut Vec<ChunkEntry>,
    ) -> Result<(), Bad> {
        labels.clear();
        chunks.clear();
        let mut cursor = Cursor::at(&self.data, u64::from(id) * ALIGNMENT)?;
        let body = cursor.bytes()?;
        cursor.checksum_of(body)?;
        let mut body = Cursor(body);
        for _ in 0..body.uvarint()? {
            let (name, value) = (body.uvarint()?, body.uvarint()?);
            labels.set(self.symbol(name)?, self.symbol(value)?);
        }
        let mut reference = 0u64;
        for i in 0..body.uvarint()? {
            // Times are in the chunks, too.
            if i == 0 {
                body.varint()?;
                body.uvarint()?;
                reference = body.uvarint()?;
            } else {
                body.uvarint()?;
                body.uvarint()?;
                reference = reference.wrapping_add_signed(body.varint()?);
            }
            chunks.push(ChunkEntry { reference });
        }
        Ok(())
    }

    fn symbol(&self, number: u64) -> Result<&str, Bad> {
        let at = usize::try_from(number).ok().and_then(|n| self.symbols.get(n));
        let bytes = Cursor::at(&self.data, *at.ok_or(Bad("a symbol that does not exist"))?)?.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| Bad("a label is no UTF-8"))
    }
}

fn read_symbols(data: &[u8], at: u64) -> Result<Vec<u64>, Bad> {
    let mut section = Cursor::at(data, at)?.section()?;
    let end = at + 4 + section.0.len() as u64;
    let n = section.u32()?;
    let mut symbols = Vec::new();
    for _ in 0..n {
        symbols.push(end - section.0.len() as u64);
        section.bytes()?;
    }
    Ok(symbols)
}

/// The list of the pair whose name and value are empty.
fn read_all_series(data: &[u8], table: u64) -> Result<Vec<u32>, Bad> {
    let mut table = Cursor::at(data, table)?.section()?;
    for _ in 0..table.u32()? {
        if table.u8()? != 2 {
            return Err(Bad("malformed table of postings"));
        }
        let (name, value, at) = (table.bytes()?, table.bytes()?, table.uvarint()?);
        if name.is_empty() && value.is_empty() {
            let mut list = Cursor::at(data, at)?.section()?;
            let n = list.u32()? as usize;
            let bytes = list.take(n.checked_mul(4).ok_or(Bad("malformed postings"))?)?;
            return Ok(bytes
                .chunks_exact(4)
                .map(|b| b.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
                .collect());
        }
    }
    Err(Bad("the list of all series is missing"))
}

//! Reading the index of a block where it lies in the file. Nothing in it is believed without a check.

use std::{cmp::Ordering, sync::Arc};

use reba_disk::{Mapped, checksum};
use roaring::RoaringBitmap;

use super::{
    INDEX_MAGIC,
    index_writer::{BITMAP, LIST},
};
use crate::{matching::LabelIndex, varint::Reader};

/// What is wrong with an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadIndex(pub(crate) &'static str);

/// Beginnings of the sections.
#[derive(Clone, Copy, Debug)]
struct Toc {
    symbol_offsets: usize,
    symbols: usize,
    series: usize,
    series_offsets: usize,
    postings: usize,
    values: usize,
    names: usize,
    end: usize,
}

const SECTIONS: usize = 7;
const TRAILER: usize = SECTIONS * 8 + 4 + 8;

/// An open index.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    data: Arc<Mapped>,
    toc: Toc,
}

fn u32_at(data: &[u8], at: usize) -> Option<usize> {
    data.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b) as usize)
}

impl Index {
    /// Verifies the checksum and finds the sections.
    pub(crate) fn open(data: Arc<Mapped>) -> Result<Self, BadIndex> {
        let n = data.len();
        if n < TRAILER + INDEX_MAGIC.len() || !data.starts_with(INDEX_MAGIC) || !data.ends_with(INDEX_MAGIC) {
            return Err(BadIndex("not an index, or cut off"));
        }
        let sum = u32_at(&data, n - 12);
        if sum != Some(checksum(&data[..n - 12]) as usize) {
            return Err(BadIndex("wrong checksum"));
        }
        let mut at = [0usize; SECTIONS];
        for (i, b) in data[n - TRAILER..n - 12].chunks_exact(8).enumerate() {
            at[i] = b.first_chunk().map_or(usize::MAX, |b| u64::from_le_bytes(*b) as usize);
        }
        let [symbol_offsets, symbols, series, series_offsets, postings, values, names] = at;
        let end = n - TRAILER;
        let toc = Toc { symbol_offsets, symbols, series, series_offsets, postings, values, names, end };
        if at.windows(2).any(|w| w[0] > w[1]) || names > end {
            return Err(BadIndex("sections out of order"));
        }
        Ok(Index { data, toc })
    }

    /// How many series there are.
    pub(crate) fn len(&self) -> u32 {
        ((self.toc.postings - self.toc.series_offsets) / 4) as u32
    }

    pub(crate) fn symbol(&self, id: u32) -> Result<&str, BadIndex> {
        let at = self.toc.symbol_offsets + id as usize * 4;
        let bounds =
            (at + 8 <= self.toc.symbols).then(|| u32_at(&self.data, at).zip(u32_at(&self.data, at + 4)));
        let text = bounds.flatten().and_then(|(start, end)| {
            let start = self.toc.symbols + start;
            let end = self.toc.symbols + end;
            if end > self.toc.series { None } else { self.data.get(start..end) }
        });
        text.and_then(|t| std::str::from_utf8(t).ok()).ok_or(BadIndex("symbol"))
    }

    /// The record of a series: its symbols (name and value by turns) and the rest, which says where its chunks are.
    pub(crate) fn series(&self, id: u32, symbols: &mut Vec<u32>) -> Result<Reader<'_>, BadIndex> {
        let bad = BadIndex("series");
        let at = self.toc.series_offsets + id as usize * 4;
        let start = if at + 4 <= self.toc.postings { u32_at(&self.data, at) } else { None };
        let start = self.toc.series + start.ok_or(bad)?;
        let mut r = Reader(self.data.get(start..self.toc.series_offsets).ok_or(bad)?);
        symbols.clear();
        for _ in 0..r.count().ok_or(bad)? * 2 {
            symbols.push(r.u32().ok_or(bad)?);
        }
        Ok(r)
    }

    /// Names with the range of their entries in the table of values.
    fn name_entry(&self, i: usize) -> Option<(u32, std::ops::Range<usize>)> {
        let at = self.toc.names + i * 8;
        let n_values = (self.toc.names - self.toc.values) / 8;
        let symbol = u32_at(&self.data[..self.toc.end], at)? as u32;
        let from = u32_at(&self.data[..self.toc.end], at + 4)?;
        let to = u32_at(&self.data[..self.toc.end], at + 12).unwrap_or(n_values);
        (from <= to && to <= n_values).then_some((symbol, from..to))
    }

    fn n_names(&self) -> usize {
        (self.toc.end - self.toc.names) / 8
    }

    /// All names, sorted.
    pub(crate) fn names(&self) -> Result<Vec<&str>, BadIndex> {
        (0..self.n_names())
            .map(|i| self.name_entry(i).ok_or(BadIndex("names")).and_then(|(symbol, _)| self.symbol(symbol)))
            .collect()
    }

    /// The entries of a name in the table of values; empty if there is none.
    pub(crate) fn values_of(&self, name: &str) -> Result<std::ops::Range<usize>, BadIndex> {
        let found = search(self.n_names(), |i| {
            let (symbol, _) = self.name_entry(i).ok_or(BadIndex("names"))?;
            Ok(self.symbol(symbol)?.cmp(name))
        })?;
        Ok(match found {
            Ok(i) => self.name_entry(i).ok_or(BadIndex("names"))?.1,
            Err(_) => 0..0,
        })
    }

    /// Text and place of the postings of an entry of the table of values.
    pub(crate) fn value(&self, entry: usize) -> Result<(&str, usize), BadIndex> {
        let at = self.toc.values + entry * 8;
        let table = &self.data[..self.toc.names];
        let (symbol, postings) = u32_at(table, at).zip(u32_at(table, at + 4)).ok_or(BadIndex("values"))?;
        Ok((self.symbol(symbol as u32)?, postings))
    }

    pub(crate) fn postings(&self, at: usize) -> Result<RoaringBitmap, BadIndex> {
        let bad = BadIndex("postings");
        let mut r = Reader(self.data.get(self.toc.postings + at..self.toc.values).ok_or(bad)?);
        match r.u8() {
            Some(LIST) => {
                let mut out = RoaringBitmap::new();
                let mut series = 0u32;
                for _ in 0..r.count().ok_or(bad)? {
                    series = series.checked_add(r.u32().ok_or(bad)?).ok_or(bad)?;
                    out.insert(series);
                }
                Ok(out)
            }
            Some(BITMAP) => {
                let bytes = r.bytes().ok_or(bad)?;
                RoaringBitmap::deserialize_from(bytes).map_err(|_| bad)
            }
            _ => Err(bad),
        }
    }
}

/// Binary search with a comparison that may fail.
fn search(
    n: usize,
    mut compare: impl FnMut(usize) -> Result<Ordering, BadIndex>,
) -> Result<Result<usize, usize>, BadIndex> {
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = low.midpoint(high);
        match compare(middle)? {
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
            Ordering::Equal => return Ok(Ok(middle)),
        }
    }
    Ok(Err(low))
}

impl LabelIndex for Index {
    type Error = BadIndex;

    fn all(&self) -> RoaringBitmap {
        let mut out = RoaringBitmap::new();
        out.insert_range(0..self.len());
        out
    }

    fn equal(&self, name: &str, value: &str) -> Result<RoaringBitmap, BadIndex> {
        let entries = self.values_of(name)?;
        let found = search(entries.len(), |i| Ok(self.value(entries.start + i)?.0.cmp(value)))?;
        match found {
            Ok(i) => self.postings(self.value(entries.start + i)?.1),
            Err(_) => Ok(RoaringBitmap::new()),
        }
    }

    fn union_where(
        &self,
        name: &str,
        prefix: &str,
        accepts: &mut dyn FnMut(&str) -> bool,
        out: &mut RoaringBitmap,
    ) -> Result<(), BadIndex> {
        let entries = self.values_of(name)?;
        let start = search(entries.len(), |i| Ok(self.value(entries.start + i)?.0.cmp(prefix)))?;
        let start = entries.start + start.unwrap_or_else(|i| i);
        for entry in start..entries.end {
            let (value, postings) = self.value(entry)?;
            if !value.starts_with(prefix) {
                break;
            }
            if accepts(value) {
                *out |= self.postings(postings)?;
            }
        }
        Ok(())
    }
}

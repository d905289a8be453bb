//! Reading the index of a block where it lies in the file. Nothing in it is believed without a check.

use std::{cmp::Ordering, sync::Arc};

use reba_disk::{Mapped, checksum};
use reba_model::PackedPair;
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
    pair_offsets: usize,
    pairs: usize,
    series: usize,
    series_offsets: usize,
    postings: usize,
    postings_offsets: usize,
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
        let [pair_offsets, pairs, series, series_offsets, postings, postings_offsets, names] = at;
        let end = n - TRAILER;
        let toc = Toc { pair_offsets, pairs, series, series_offsets, postings, postings_offsets, names, end };
        if at.windows(2).any(|w| w[0] > w[1]) || names > end {
            return Err(BadIndex("sections out of order"));
        }
        Ok(Index { data, toc })
    }

    /// How many series there are.
    pub(crate) fn len(&self) -> u32 {
        ((self.toc.postings - self.toc.series_offsets) / 4) as u32
    }

    fn n_pairs(&self) -> u32 {
        ((self.toc.names - self.toc.postings_offsets) / 4) as u32
    }

    /// The packed text of a pair.
    pub(crate) fn packed(&self, pair: u32) -> Result<&str, BadIndex> {
        let at = self.toc.pair_offsets + pair as usize * 4;
        let bounds =
            (at + 8 <= self.toc.pairs).then(|| u32_at(&self.data, at).zip(u32_at(&self.data, at + 4)));
        let text = bounds.flatten().and_then(|(start, end)| {
            let (start, end) = (self.toc.pairs + start, self.toc.pairs + end);
            if end > self.toc.series { None } else { self.data.get(start..end) }
        });
        text.and_then(|t| std::str::from_utf8(t).ok()).ok_or(BadIndex("pair"))
    }

    /// A pair. Its text is nothing but the pair.
    pub(crate) fn pair(&self, pair: u32) -> Result<PackedPair<'_>, BadIndex> {
        let text = self.packed(pair)?;
        PackedPair::read(text, 0)
            .filter(|p| p.packed.len() == text.len() && !p.value.is_empty())
            .ok_or(BadIndex("pair"))
    }

    /// The record of a series: its pairs and the rest, which says where its chunks are.
    pub(crate) fn series(&self, id: u32, pairs: &mut Vec<u32>) -> Result<Reader<'_>, BadIndex> {
        let bad = BadIndex("series");
        let at = self.toc.series_offsets + id as usize * 4;
        let start = if at + 4 <= self.toc.postings { u32_at(&self.data, at) } else { None };
        let start = self.toc.series + start.ok_or(bad)?;
        let mut r = Reader(self.data.get(start..self.toc.series_offsets).ok_or(bad)?);
        pairs.clear();
        for _ in 0..r.count().ok_or(bad)? {
            pairs.push(r.u32().ok_or(bad)?);
        }
        // Pairs are sorted by name, then value: rising numbers of different names are a sorted label set.
        if pairs.windows(2).any(|w| w[0] >= w[1]) { Err(bad) } else { Ok(r) }
    }

    fn n_names(&self) -> usize {
        (self.toc.end - self.toc.names) / 4
    }

    /// The first pair of a name.
    fn first_pair(&self, name: usize) -> Result<u32, BadIndex> {
        let at = self.toc.names + name * 4;
        u32_at(&self.data[..self.toc.end], at).map(|p| p as u32).ok_or(BadIndex("names"))
    }

    /// All names, sorted.
    pub(crate) fn names(&self) -> Result<Vec<&str>, BadIndex> {
        (0..self.n_names()).map(|i| Ok(self.pair(self.first_pair(i)?)?.name)).collect()
    }

    /// The pairs of a name, by value; empty if there is none.
    pub(crate) fn pairs_of(&self, name: &str) -> Result<std::ops::Range<u32>, BadIndex> {
        let found =
            search(self.n_names() as u32, |i| Ok(self.pair(self.first_pair(i as usize)?)?.name.cmp(name)))?;
        let Ok(i) = found else { return Ok(0..0) };
        let i = i as usize;
        let end = if i + 1 < self.n_names() { self.first_pair(i + 1)? } else { self.n_pairs() };
        Ok(self.first_pair(i)?..end)
    }

    /// The series that have a pair.
    pub(crate) fn postings(&self, pair: u32) -> Result<RoaringBitmap, BadIndex> {
        let bad = BadIndex("postings");
        let offset = u32_at(&self.data[..self.toc.names], self.toc.postings_offsets + pair as usize * 4);
        let start = self.toc.postings + offset.ok_or(bad)?;
        let mut r = Reader(self.data.get(start..self.toc.postings_offsets).ok_or(bad)?);
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
    n: u32,
    mut compare: impl FnMut(u32) -> Result<Ordering, BadIndex>,
) -> Result<Result<u32, u32>, BadIndex> {
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
        let pairs = self.pairs_of(name)?;
        let n = pairs.end.saturating_sub(pairs.start);
        match search(n, |i| Ok(self.pair(pairs.start + i)?.value.cmp(value)))? {
            Ok(i) => self.postings(pairs.start + i),
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
        let pairs = self.pairs_of(name)?;
        let n = pairs.end.saturating_sub(pairs.start);
        let first = search(n, |i| Ok(self.pair(pairs.start + i)?.value.cmp(prefix)))?;
        for pair in pairs.start + first.unwrap_or_else(|i| i)..pairs.end {
            let value = self.pair(pair)?.value;
            if !value.starts_with(prefix) {
                break;
            }
            if accepts(value) {
                *out |= self.postings(pair)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use reba_disk::{Env, FaultFs, ManualClock};
    use reba_model::Labels;

    use super::{super::index_writer::IndexWriter, *};

    /// The bytes of an index over a hundred series.
    fn written() -> Vec<u8> {
        let env = Env { fs: Arc::new(FaultFs::new()), clock: Arc::new(ManualClock::new(0)) };
        let dir = env.dir("/i").unwrap();
        let mut all: Vec<Labels> = (0..100)
            .map(|i| {
                Labels::from_pairs([("job", "j"), ("id", &format!("{i}")), ("mod", &format!("{}", i % 7))])
            })
            .collect();
        all.sort();
        let mut index = IndexWriter::default();
        for labels in &all {
            index.add(labels, &[0]);
        }
        index.finish(dir.writer("index").unwrap()).unwrap();
        dir.read("index").unwrap()
    }

    fn open(data: Vec<u8>) -> Result<Index, BadIndex> {
        Index::open(Arc::new(Mapped::from_vec(data)))
    }

    /// Everything that a query may do.
    fn exercise(index: &Index) -> Result<(), BadIndex> {
        let mut pairs = Vec::new();
        for name in index.names().unwrap_or_default() {
            let mut out = RoaringBitmap::new();
            index.union_where(name, "1", &mut |_| true, &mut out)?;
        }
        for id in index.equal("mod", "3")? {
            index.series(id, &mut pairs)?;
            for pair in &pairs {
                index.pair(*pair)?;
            }
        }
        index.equal("nothing", "x").map(drop)
    }

    #[test]
    fn what_is_written_is_found() {
        let index = open(written()).unwrap();
        assert_eq!((index.len(), index.names().unwrap()), (100, vec!["id", "job", "mod"]));
        assert_eq!(index.equal("job", "j").unwrap().len(), 100);
        assert_eq!(index.equal("mod", "0").unwrap().len(), 15);
        let mut out = RoaringBitmap::new();
        index.union_where("id", "1", &mut |v| v.len() == 2, &mut out).unwrap();
        assert_eq!(out.len(), 10);
        exercise(&index).unwrap();
    }

    proptest! {
        #[test]
        fn damage_behind_a_right_checksum_is_an_error_and_no_panic(
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..20),
        ) {
            let mut data = written();
            let end = data.len() - 12;
            for (at, byte) in changes {
                let at = INDEX_MAGIC.len() + at.index(end - INDEX_MAGIC.len());
                data[at] = byte;
            }
            let sum = checksum(&data[..end]).to_le_bytes();
            data[end..end + 4].copy_from_slice(&sum);
            if let Ok(index) = open(data) {
                let _ = exercise(&index);
            }
        }
    }
}

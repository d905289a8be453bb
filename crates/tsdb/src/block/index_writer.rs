//! Writing the index of a block. Series are added in order of their labels; little is kept of each.

use hashbrown::HashTable;
use reba_disk::{FileWriter, Result};
use reba_model::{Labels, PackedPair};
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64;

use super::INDEX_MAGIC;
use crate::varint::put_u64;

/// Packed pairs of label and value with temporary ids in the order in which they came.
#[derive(Debug, Default)]
struct Interner {
    texts: Vec<Box<str>>,
    ids: HashTable<u32>,
}

impl Interner {
    fn id(&mut self, text: &str) -> u32 {
        let hash = xxh3_64(text.as_bytes());
        if let Some(id) = self.ids.find(hash, |id| *self.texts[*id as usize] == *text) {
            return *id;
        }
        let id = self.texts.len() as u32;
        self.texts.push(text.into());
        let texts = &self.texts;
        self.ids.insert_unique(hash, id, |id| xxh3_64(texts[*id as usize].as_bytes()));
        id
    }
}

/// Name and value of a packed pair.
fn parts(text: &str) -> (&str, &str) {
    PackedPair::read(text, 0).map_or(("", ""), |p| (p.name, p.value))
}

/// Collects an index and writes it at the end.
#[derive(Debug, Default)]
pub(crate) struct IndexWriter {
    pairs: Interner,
    /// Temporary pair ids of all series.
    labels: Vec<u32>,
    /// Where the chunks of all series are, encoded.
    chunks: Vec<u8>,
    /// For each series, where its labels and its chunks end.
    ends: Vec<(usize, usize)>,
}

/// Lists up to here are written as differences, longer ones as bitmaps.
const LONGEST_LIST: u64 = 64;

pub(super) const LIST: u8 = 0;
pub(super) const BITMAP: u8 = 1;

impl IndexWriter {
    pub(crate) fn add(&mut self, labels: &Labels, chunks: &[u8]) {
        for pair in labels.packed_pairs() {
            let id = self.pairs.id(pair.packed);
            self.labels.push(id);
        }
        self.chunks.extend_from_slice(chunks);
        self.ends.push((self.labels.len(), self.chunks.len()));
    }

    pub(crate) fn series(&self) -> usize {
        self.ends.len()
    }

    /// Writes pairs, series, postings and the table of contents, and closes the file.
    pub(crate) fn finish(mut self, file: FileWriter) -> Result<()> {
        let mut out = Sections { file, toc: Vec::new() };
        out.write(INDEX_MAGIC)?;
        let texts = std::mem::take(&mut self.pairs.texts);
        let mut order: Vec<u32> = (0..texts.len() as u32).collect();
        order.sort_unstable_by(|a, b| parts(&texts[*a as usize]).cmp(&parts(&texts[*b as usize])));
        let mut rank = vec![0u32; texts.len()];
        for (i, id) in order.iter().enumerate() {
            rank[*id as usize] = i as u32;
        }
        let sorted: Vec<&str> = order.iter().map(|id| &*texts[*id as usize]).collect();
        write_pairs(&mut out, &sorted)?;
        for id in &mut self.labels {
            *id = rank[*id as usize];
        }
        self.write_series(&mut out)?;
        self.write_postings(&mut out, sorted.len())?;
        write_names(&mut out, &sorted)?;
        out.finish()
    }

    /// Records of all series, then the offset of each.
    fn write_series(&self, out: &mut Sections) -> Result<()> {
        out.begin();
        let mut offsets = Vec::with_capacity(self.ends.len() * 4);
        let (mut labels_at, mut chunks_at) = (0, 0);
        let mut written = 0u32;
        let mut record = Vec::new();
        for (labels_end, chunks_end) in &self.ends {
            record.clear();
            let labels = &self.labels[labels_at..*labels_end];
            put_u64(&mut record, labels.len() as u64);
            for pair in labels {
                put_u64(&mut record, u64::from(*pair));
            }
            record.extend_from_slice(&self.chunks[chunks_at..*chunks_end]);
            offsets.extend_from_slice(&written.to_le_bytes());
            written += record.len() as u32;
            out.write(&record)?;
            (labels_at, chunks_at) = (*labels_end, *chunks_end);
        }
        out.begin();
        out.write(&offsets)
    }

    /// The list of each pair, then the offset of each.
    fn write_postings(&self, out: &mut Sections, pairs: usize) -> Result<()> {
        let mut lists = vec![RoaringBitmap::new(); pairs];
        let mut at = 0;
        for (series, (end, _)) in self.ends.iter().enumerate() {
            for pair in &self.labels[at..*end] {
                lists[*pair as usize].insert(series as u32);
            }
            at = *end;
        }
        out.begin();
        let mut offsets = Vec::with_capacity(pairs * 4);
        let mut written = 0u32;
        for mut list in lists {
            let bytes = encode_postings(&mut list);
            offsets.extend_from_slice(&written.to_le_bytes());
            written += bytes.len() as u32;
            out.write(&bytes)?;
        }
        out.begin();
        out.write(&offsets)
    }
}

/// Offsets of all pairs and of their end, then the pairs.
fn write_pairs(out: &mut Sections, sorted: &[&str]) -> Result<()> {
    out.begin();
    let mut at = 0u32;
    let mut offsets = Vec::with_capacity(sorted.len() * 4 + 4);
    for text in sorted {
        offsets.extend_from_slice(&at.to_le_bytes());
        at += text.len() as u32;
    }
    offsets.extend_from_slice(&at.to_le_bytes());
    out.write(&offsets)?;
    out.begin();
    sorted.iter().try_for_each(|text| out.write(text.as_bytes()))
}

/// The first pair of every name.
fn write_names(out: &mut Sections, sorted: &[&str]) -> Result<()> {
    out.begin();
    let mut last = None;
    for (i, text) in sorted.iter().enumerate() {
        let name = parts(text).0;
        if last != Some(name) {
            out.write(&(i as u32).to_le_bytes())?;
            last = Some(name);
        }
    }
    Ok(())
}

fn encode_postings(list: &mut RoaringBitmap) -> Vec<u8> {
    let mut out = Vec::new();
    if list.len() <= LONGEST_LIST {
        out.push(LIST);
        put_u64(&mut out, list.len());
        let mut last = 0;
        for series in list.iter() {
            put_u64(&mut out, u64::from(series - last));
            last = series;
        }
    } else {
        list.optimize();
        out.push(BITMAP);
        put_u64(&mut out, list.serialized_size() as u64);
        // Writing to a vector does not fail.
        let _ = list.serialize_into(&mut out);
    }
    out
}

/// Writes sections one behind the other and remembers where each begins.
struct Sections {
    file: FileWriter,
    toc: Vec<u64>,
}

impl Sections {
    fn begin(&mut self) {
        self.toc.push(self.file.position());
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        self.file.write(data)
    }

    /// The beginnings of all sections, the checksum of everything so far, and the magic text again.
    fn finish(mut self) -> Result<()> {
        for at in &self.toc {
            self.file.write(&at.to_le_bytes())?;
        }
        let checksum = self.file.checksum();
        self.file.write(&checksum.to_le_bytes())?;
        self.file.write(INDEX_MAGIC)?;
        self.file.finish().map(drop)
    }
}

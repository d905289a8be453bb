//! Writing the index of a block. Series are added in order of their labels; little is kept of each.

use std::collections::BTreeMap;

use hashbrown::HashTable;
use reba_disk::{FileWriter, Result};
use reba_model::Labels;
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64;

use super::INDEX_MAGIC;
use crate::varint::put_u64;

/// Texts with temporary ids in the order in which they came.
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

/// Collects an index and writes it at the end.
#[derive(Debug, Default)]
pub(crate) struct IndexWriter {
    symbols: Interner,
    /// Temporary symbols of all series: names and values by turns.
    labels: Vec<u32>,
    /// Where the chunks of all series are, encoded.
    chunks: Vec<u8>,
    /// For each series, where its labels and its chunks end.
    ends: Vec<(usize, usize)>,
}

/// Lists up to here are written as differences, longer ones as bitmaps.
const LONGEST_LIST: u64 = 64;

/// Bytes of an entry of the table of values.
const VALUE_ENTRY: u32 = 8;

pub(super) const LIST: u8 = 0;
pub(super) const BITMAP: u8 = 1;

impl IndexWriter {
    pub(crate) fn add(&mut self, labels: &Labels, chunks: &[u8]) {
        for (name, value) in labels {
            let ids = [self.symbols.id(name), self.symbols.id(value)];
            self.labels.extend(ids);
        }
        self.chunks.extend_from_slice(chunks);
        self.ends.push((self.labels.len(), self.chunks.len()));
    }

    pub(crate) fn series(&self) -> usize {
        self.ends.len()
    }

    /// Writes symbols, series, postings and the table of contents, and closes the file.
    pub(crate) fn finish(mut self, file: FileWriter) -> Result<()> {
        let mut out = Sections { file, toc: Vec::new() };
        out.write(INDEX_MAGIC)?;
        let texts = std::mem::take(&mut self.symbols.texts);
        let mut order: Vec<u32> = (0..texts.len() as u32).collect();
        order.sort_unstable_by(|a, b| texts[*a as usize].cmp(&texts[*b as usize]));
        let mut rank = vec![0u32; texts.len()];
        for (i, id) in order.iter().enumerate() {
            rank[*id as usize] = i as u32;
        }
        Self::write_symbols(&mut out, order.iter().map(|id| &*texts[*id as usize]))?;
        for symbol in &mut self.labels {
            *symbol = rank[*symbol as usize];
        }
        self.write_series(&mut out)?;
        self.write_postings(&mut out)?;
        out.finish()
    }

    /// Offsets of all texts and of their end, then the texts.
    fn write_symbols<'a>(out: &mut Sections, texts: impl Iterator<Item = &'a str> + Clone) -> Result<()> {
        out.begin();
        let mut at = 0u32;
        let mut offsets = Vec::new();
        for text in texts.clone() {
            offsets.extend_from_slice(&at.to_le_bytes());
            at += text.len() as u32;
        }
        offsets.extend_from_slice(&at.to_le_bytes());
        out.write(&offsets)?;
        out.begin();
        for text in texts {
            out.write(text.as_bytes())?;
        }
        Ok(())
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
            put_u64(&mut record, labels.len() as u64 / 2);
            for symbol in labels {
                put_u64(&mut record, u64::from(*symbol));
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

    /// The lists of all pairs, then the table of values, then the table of names.
    fn write_postings(&self, out: &mut Sections) -> Result<()> {
        let mut lists: BTreeMap<(u32, u32), RoaringBitmap> = BTreeMap::new();
        let mut at = 0;
        for (series, (end, _)) in self.ends.iter().enumerate() {
            for pair in self.labels[at..*end].chunks_exact(2) {
                lists.entry((pair[0], pair[1])).or_default().insert(series as u32);
            }
            at = *end;
        }
        out.begin();
        let mut written = 0u32;
        let (mut values, mut names) = (Vec::new(), Vec::new());
        let mut last_name = None;
        for ((name, value), mut list) in lists {
            if last_name != Some(name) {
                names.extend_from_slice(&name.to_le_bytes());
                names.extend_from_slice(&(values.len() as u32 / VALUE_ENTRY).to_le_bytes());
                last_name = Some(name);
            }
            let bytes = encode_postings(&mut list);
            values.extend_from_slice(&value.to_le_bytes());
            values.extend_from_slice(&written.to_le_bytes());
            written += bytes.len() as u32;
            out.write(&bytes)?;
        }
        out.begin();
        out.write(&values)?;
        out.begin();
        out.write(&names)
    }
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

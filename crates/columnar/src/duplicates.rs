//! Finding entries of a batch that parts have already.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use reba_model::{Labels, LogBatch, LogEntry};

use crate::{
    block::{Block, OwnedRow, Reading},
    memory::fingerprint,
    part::{BlockRef, Part, small},
};

/// What is remembered at most; then it is begun anew.
const MAX_STREAMS: usize = 4096;
const MAX_BLOCKS: usize = 64;

/// Remembers what was read to find duplicates: who repeats a batch, repeats the next one too.
#[derive(Debug, Default)]
pub(crate) struct Duplicates {
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    /// Blocks of a stream in a part.
    streams: HashMap<(u64, Labels), Arc<[BlockRef]>>,
    /// Fingerprints of the rows of a block in a part.
    blocks: HashMap<(u64, u32), Arc<HashSet<u64>>>,
}

/// One search.
struct Search<'a> {
    duplicates: &'a Duplicates,
    /// Pages and blocks that may still be read.
    reads: usize,
    /// The block that was compared with last.
    rows: Option<(u64, u32, Vec<OwnedRow>)>,
    reading: Reading,
}

impl Duplicates {
    /// For each entry of the batch, whether it is in one of the parts. Reads at most `reads` pages and blocks: what would need
    /// more counts as not found, and so does what cannot be read.
    pub(crate) fn find(&self, parts: &[Arc<Part>], batch: &LogBatch, reads: usize) -> Vec<bool> {
        let mut known = vec![false; batch.len()];
        let mut search = Search { duplicates: self, reads, rows: None, reading: Reading::default() };
        let mut index = 0;
        for stream in batch.streams() {
            // Blocks of this stream, by part, as far as they were looked for.
            let mut blocks: HashMap<u64, Arc<[BlockRef]>> = HashMap::new();
            for entry in stream.entries() {
                let holds_time = |p: &&Arc<Part>| p.info.min_ns <= entry.ns && entry.ns <= p.info.max_ns;
                known[index] = parts.iter().filter(holds_time).any(|part| {
                    let blocks = blocks
                        .entry(part.info.number)
                        .or_insert_with(|| search.blocks_of(part, stream.labels()));
                    let near = |b: &&BlockRef| b.first_ns <= entry.ns && entry.ns <= b.last_ns;
                    blocks.iter().filter(near).any(|b| search.holds(part, b, &entry))
                });
                index += 1;
            }
        }
        known
    }
}

impl Search<'_> {
    fn spend(&mut self) -> bool {
        let may = self.reads > 0;
        self.reads = self.reads.saturating_sub(1);
        may
    }

    fn blocks_of(&mut self, part: &Part, labels: &Labels) -> Arc<[BlockRef]> {
        let key = (part.info.number, labels.clone());
        if let Some(blocks) = self.duplicates.cache.lock().streams.get(&key) {
            return Arc::clone(blocks);
        }
        if !self.spend() {
            return Arc::from([]);
        }
        // What is wrong with a part has been said by the part.
        let blocks: Arc<[BlockRef]> = part.blocks_of(labels.as_packed()).unwrap_or_default().into();
        let mut cache = self.duplicates.cache.lock();
        if cache.streams.len() >= MAX_STREAMS {
            cache.streams.clear();
        }
        cache.streams.insert(key, Arc::clone(&blocks));
        blocks
    }

    fn holds(&mut self, part: &Part, block: &BlockRef, entry: &LogEntry<'_>) -> bool {
        let Some(prints) = self.prints(part, block) else { return false };
        if !prints.contains(&fingerprint(entry.ns, entry.line, entry.metadata())) {
            return false;
        }
        let place = (part.info.number, block.number);
        if self.rows.as_ref().is_none_or(|(p, b, _)| (*p, *b) != place) {
            self.rows = read(part, block, &mut self.reading).map(|rows| (place.0, place.1, rows));
        }
        let is_same = |row: &OwnedRow| {
            row.ns == entry.ns
                && row.line == entry.line
                && row.metadata.iter().map(|(n, v)| (n.as_str(), v.as_str())).eq(entry.metadata())
        };
        self.rows.as_ref().is_some_and(|(_, _, rows)| {
            let at = rows.partition_point(|r| r.ns < entry.ns);
            rows[at..].iter().take_while(|r| r.ns == entry.ns).any(is_same)
        })
    }

    fn prints(&mut self, part: &Part, block: &BlockRef) -> Option<Arc<HashSet<u64>>> {
        let key = (part.info.number, block.number);
        if let Some(prints) = self.duplicates.cache.lock().blocks.get(&key) {
            return Some(Arc::clone(prints));
        }
        if !self.spend() {
            return None;
        }
        let rows = read(part, block, &mut self.reading)?;
        let prints: Arc<HashSet<u64>> = Arc::new(rows.iter().map(OwnedRow::fingerprint).collect());
        self.rows = Some((key.0, key.1, rows));
        let mut cache = self.duplicates.cache.lock();
        if cache.blocks.len() >= MAX_BLOCKS {
            cache.blocks.clear();
        }
        cache.blocks.insert(key, Arc::clone(&prints));
        Some(prints)
    }
}

/// The rows of a block; a block that cannot be read is marked.
pub(crate) fn read(part: &Part, block: &BlockRef, reading: &mut Reading) -> Option<Vec<OwnedRow>> {
    let bytes = part.block(block)?;
    if block.is_small {
        let rows = small::rows(bytes, block.rows, block.first_ns);
        if rows.is_none() {
            part.mark_bad(block, "rows contradict themselves");
        }
        return rows;
    }
    match Block::open(bytes).and_then(|b| b.rows(reading)) {
        Ok(rows) => Some(rows),
        Err(e) => {
            part.mark_bad(block, e.0);
            None
        }
    }
}

impl OwnedRow {
    /// What it is recognised by within its stream.
    pub(crate) fn fingerprint(&self) -> u64 {
        fingerprint(self.ns, &self.line, self.metadata.iter().map(|(n, v)| (n.as_str(), v.as_str())))
    }

    /// Its metadata as it is handed on.
    pub(crate) fn pairs(&self) -> Vec<(&str, &str)> {
        self.metadata.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()
    }

    /// Bytes of its line and metadata.
    pub(crate) fn text_bytes(&self) -> usize {
        self.line.len() + self.metadata.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>()
    }
}

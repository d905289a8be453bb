//! A block that is open for reading.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use parking_lot::RwLock;
use reba_disk::{Dir, DiskError, Mapped, checksum};
use reba_model::{Chunk, ChunkBytes, ChunkError, Labels, Matcher, Series, Texts, TimeRange};
use reba_storage::{Budget, QueryError, SelectRequest};
use roaring::RoaringBitmap;

use super::{
    BlockMeta, CHUNKS, CHUNKS_MAGIC, INDEX, META, SeriesSource,
    index_reader::{BadIndex, Index},
    rollups::without,
    tombstones::Tombstones,
    writer::WriteError,
};
use crate::{head::chunk_bytes, matching::resolve, varint::Reader};

/// An open block.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) meta: BlockMeta,
    pub(crate) dir: Dir,
    pub(crate) bytes: u64,
    index: Index,
    chunks: Arc<Mapped>,
    tombstones: RwLock<Tombstones>,
    /// A read found it corrupt: it is to be set aside.
    /// What a read found to be wrong.
    damage: OnceLock<String>,
}

/// Where a chunk stands.
#[derive(Clone, Copy, Debug)]
struct Entry {
    range: TimeRange,
    at: usize,
    len: usize,
    times: Option<(usize, usize)>,
}

/// Series between two looks at the budget.
const SERIES_PER_CHECK: u64 = 256;

impl Block {
    /// Opens the block in `dir` and verifies its index. An error means that the block must be set aside.
    pub(crate) fn open(dir: Dir) -> Result<Self, DiskError> {
        let corrupt = |file: &str, what: String| DiskError::Corrupt {
            path: dir.join(file).display().to_string(),
            at: 0,
            what,
        };
        let meta: BlockMeta =
            serde_json::from_slice(&dir.read(META)?).map_err(|e| corrupt(META, e.to_string()))?;
        if !(1..=2).contains(&meta.version)
            || (meta.version == 2) == meta.is_raw()
            || meta.min_time >= meta.max_time
        {
            return Err(corrupt(META, "version or span".to_owned()));
        }
        let index = Index::open(Arc::new(dir.map(INDEX)?)).map_err(|e| corrupt(INDEX, e.0.to_owned()))?;
        if u64::from(index.len()) != meta.series {
            return Err(corrupt(INDEX, "another number of series than in meta.json".to_owned()));
        }
        let chunks = Arc::new(dir.map(CHUNKS)?);
        if !chunks.starts_with(CHUNKS_MAGIC) {
            return Err(corrupt(CHUNKS, "not a file of chunks".to_owned()));
        }
        let tombstones = RwLock::new(Tombstones::load(&dir)?);
        let bytes = dir.size()?;
        Ok(Block { meta, dir, bytes, index, chunks, tombstones, damage: OnceLock::new() })
    }

    pub(crate) fn has_tombstones(&self) -> bool {
        !self.tombstones.read().is_empty()
    }

    /// What a read found to be wrong with the block, if one did.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// Says that the block cannot be read; of several reasons the first counts.
    pub(crate) fn set_damaged(&self, why: String) {
        // Whoever came first has said enough.
        let _ = self.damage.set(why);
    }

    /// Reads every chunk; one whose checksum is wrong makes the block a damaged one.
    pub(crate) fn look_for_damage(&self) {
        let mut buffers = Buffers::default();
        let mut read = |id| self.read(id, TimeRange::ALL, &mut buffers, &mut Vec::new());
        if let Some(e) = (0..self.index.len()).find_map(|id| read(id).err()) {
            self.set_damaged(e.to_string());
        }
    }

    /// What a query says of a damaged block. The block is set aside at the next maintenance.
    fn broken(&self, what: &dyn std::fmt::Display) -> QueryError {
        self.set_damaged(what.to_string());
        QueryError::Storage(format!("block {}: {what}", self.dir.path().display()))
    }

    fn bad(&self, e: BadIndex) -> QueryError {
        self.broken(&format!("bad index: {}", e.0))
    }

    fn labels(&self, pairs: &[u32], text: &mut String) -> Result<Labels, BadIndex> {
        text.clear();
        for pair in pairs {
            text.push_str(self.index.packed(*pair)?);
        }
        // Says no to a set that is not sorted, as damaged bytes with a right checksum might make it.
        Labels::from_packed(text).ok_or(BadIndex("labels of a series"))
    }

    fn entries(&self, mut r: Reader<'_>, out: &mut Vec<Entry>) -> Option<()> {
        out.clear();
        let mut last_end = self.meta.min_time;
        let mut last_position = 0u64;
        for _ in 0..r.count()? {
            let at = last_position.checked_add(r.u64()?)?;
            let start = last_end.wrapping_add(r.i64()?);
            let end = start.wrapping_add(r.u64()? as i64);
            let word = r.u64()?;
            let times = if word & 1 == 1 { Some((r.u64()? as usize, r.u64()? as usize)) } else { None };
            let range = TimeRange::new(start, end);
            out.push(Entry { range, at: at as usize, len: (word >> 1) as usize, times });
            last_end = end;
            last_position = at.checked_add(word >> 1)?;
        }
        Some(())
    }

    /// Bytes at a place in the file of chunks, if their checksum is right.
    fn verified(&self, at: usize, len: usize) -> Result<ChunkBytes, ChunkError> {
        let corrupt = |what| ChunkError::Corrupt { at, what };
        let end = at.checked_add(len).ok_or(corrupt("chunk outside of its file"))?;
        let sum = at.checked_sub(4).and_then(|s| self.chunks.get(s..at));
        let bytes = self.chunks.get(at..end).zip(sum).ok_or(corrupt("chunk outside of its file"))?;
        if checksum(bytes.0).to_le_bytes() != bytes.1 {
            return Err(corrupt("wrong checksum"));
        }
        let owner: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::clone(&self.chunks) as _;
        ChunkBytes::part(owner, at..end).ok_or(corrupt("chunk outside of its file"))
    }

    fn chunk(&self, entry: &Entry) -> Result<Chunk, ChunkError> {
        let bytes = self.verified(entry.at, entry.len)?;
        match entry.times {
            None => Chunk::from_bytes(bytes),
            Some((at, len)) => Chunk::from_columns(self.verified(at, len)?, bytes),
        }
    }

    /// Chunks of a series that overlap `range`, without what was deleted. Leaves its pairs in the buffers.
    fn read(
        &self,
        id: u32,
        range: TimeRange,
        buffers: &mut Buffers,
        out: &mut Vec<Chunk>,
    ) -> Result<(), ReadError> {
        let rest = self.index.series(id, &mut buffers.pairs)?;
        self.entries(rest, &mut buffers.entries).ok_or(BadIndex("chunks of a series"))?;
        let tombstones = self.tombstones.read();
        let dead = tombstones.get(id);
        for entry in buffers.entries.iter().filter(|e| e.range.overlaps(range)) {
            let chunk = self.chunk(entry)?;
            if dead.iter().any(|d| d.overlaps(entry.range)) {
                out.extend(without(&chunk, dead)?);
            } else {
                out.push(chunk);
            }
        }
        Ok(())
    }

    pub(crate) fn select(
        &self,
        request: &SelectRequest<'_>,
        out: &mut Vec<Series>,
    ) -> Result<(), QueryError> {
        let mut buffers = Buffers::default();
        let ids = resolve(&self.index, request.matchers).map_err(|e| self.bad(e))?;
        let (mut unpaid, mut bytes) = (0, 0);
        for id in ids {
            let mut chunks = Vec::new();
            self.read(id, request.range, &mut buffers, &mut chunks).map_err(|e| self.broken(&e))?;
            if chunks.is_empty() {
                continue;
            }
            unpaid += 1;
            bytes += chunk_bytes(&chunks);
            if unpaid == SERIES_PER_CHECK {
                request.budget.spend(unpaid, bytes)?;
                (unpaid, bytes) = (0, 0);
            }
            let labels = self.labels(&buffers.pairs, &mut buffers.text).map_err(|e| self.bad(e))?;
            out.push(Series { labels, chunks });
        }
        Ok(request.budget.spend(unpaid, bytes)?)
    }

    /// Numbers of the series that satisfy all of `matchers`.
    pub(crate) fn matching(&self, matchers: &[Matcher]) -> Result<RoaringBitmap, QueryError> {
        resolve(&self.index, matchers).map_err(|e| self.bad(e))
    }

    /// Numbers of all series.
    pub(crate) fn every(&self) -> RoaringBitmap {
        (0..self.index.len()).collect()
    }

    /// Series that match any of `sets`; `None`: all.
    fn any_of(&self, sets: &[Vec<Matcher>]) -> Result<Option<RoaringBitmap>, QueryError> {
        if sets.is_empty() {
            return Ok(None);
        }
        let mut all = RoaringBitmap::new();
        for set in sets {
            all |= resolve(&self.index, set).map_err(|e| self.bad(e))?;
        }
        Ok(Some(all))
    }

    pub(crate) fn series(
        &self,
        sets: &[Vec<Matcher>],
        budget: &Budget,
        out: &mut BTreeSet<Labels>,
    ) -> Result<(), QueryError> {
        let (mut pairs, mut text) = (Vec::new(), String::new());
        let ids = self.any_of(sets)?.unwrap_or_else(|| (0..self.index.len()).collect());
        for id in ids {
            budget.check()?;
            self.index.series(id, &mut pairs).map_err(|e| self.bad(e))?;
            out.insert(self.labels(&pairs, &mut text).map_err(|e| self.bad(e))?);
        }
        Ok(())
    }

    pub(crate) fn label_names(
        &self,
        sets: &[Vec<Matcher>],
        out: &mut BTreeSet<String>,
    ) -> Result<(), QueryError> {
        let Some(ids) = self.any_of(sets)? else {
            out.extend(self.index.names().map_err(|e| self.bad(e))?.into_iter().map(str::to_owned));
            return Ok(());
        };
        let mut pairs = Vec::new();
        let mut found = RoaringBitmap::new();
        for id in ids {
            self.index.series(id, &mut pairs).map_err(|e| self.bad(e))?;
            found.extend(pairs.iter().copied());
        }
        for pair in found {
            let name = self.index.pair(pair).map_err(|e| self.bad(e))?.name;
            if !out.contains(name) {
                out.insert(name.to_owned());
            }
        }
        Ok(())
    }

    pub(crate) fn label_values(
        &self,
        name: &str,
        sets: &[Vec<Matcher>],
        out: &mut Texts,
    ) -> Result<(), QueryError> {
        let ids = self.any_of(sets)?;
        for pair in self.index.pairs_of(name).map_err(|e| self.bad(e))? {
            let value = self.index.pair(pair).map_err(|e| self.bad(e))?.value;
            let found = match &ids {
                None => true,
                Some(ids) => !self.index.postings(pair).map_err(|e| self.bad(e))?.is_disjoint(ids),
            };
            if found {
                out.push(value);
            }
        }
        Ok(())
    }

    /// Marks samples as deleted, durably.
    pub(crate) fn delete(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<u64, QueryError> {
        let ids = self.any_of(sets)?.unwrap_or_default();
        if ids.is_empty() {
            return Ok(0);
        }
        let mut tombstones = self.tombstones.write();
        let mut next = tombstones.clone();
        for id in &ids {
            next.add(id, range);
        }
        next.save(&self.dir).map_err(|e| QueryError::Storage(e.to_string()))?;
        *tombstones = next;
        Ok(ids.len())
    }

    /// Its series in order, for merging, but for those of `left_out`.
    pub(crate) fn source(self: &Arc<Self>, left_out: RoaringBitmap) -> Result<BlockSource, WriteError> {
        let block = Arc::clone(self);
        let mut source = BlockSource { block, next: 0, labels: None, left_out, buffers: Buffers::default() };
        source.load()?;
        Ok(source)
    }
}

#[derive(Debug, Default)]
struct Buffers {
    pairs: Vec<u32>,
    text: String,
    entries: Vec<Entry>,
}

/// Why a series of a block could not be read.
#[derive(Debug)]
enum ReadError {
    Index(BadIndex),
    Chunk(ChunkError),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadError::Index(e) => write!(f, "bad index: {}", e.0),
            ReadError::Chunk(e) => e.fmt(f),
        }
    }
}

impl From<BadIndex> for ReadError {
    fn from(e: BadIndex) -> Self {
        ReadError::Index(e)
    }
}

impl From<ChunkError> for ReadError {
    fn from(e: ChunkError) -> Self {
        ReadError::Chunk(e)
    }
}

/// The series of a block, one after the other.
#[derive(Debug)]
pub(crate) struct BlockSource {
    block: Arc<Block>,
    next: u32,
    labels: Option<Labels>,
    left_out: RoaringBitmap,
    buffers: Buffers,
}

impl BlockSource {
    fn load(&mut self) -> Result<(), WriteError> {
        self.labels = None;
        while self.left_out.contains(self.next) {
            self.next += 1;
        }
        if self.next < self.block.index.len() {
            let bad = |e: BadIndex| ChunkError::Corrupt { at: 0, what: e.0 };
            let Buffers { pairs, text, .. } = &mut self.buffers;
            self.block.index.series(self.next, pairs).map_err(bad)?;
            self.labels = Some(self.block.labels(pairs, text).map_err(bad)?);
        }
        Ok(())
    }
}

impl SeriesSource for BlockSource {
    fn labels(&self) -> Option<&Labels> {
        self.labels.as_ref()
    }

    fn take(&mut self, out: &mut Vec<Chunk>) -> Result<(), WriteError> {
        self.block.read(self.next, TimeRange::ALL, &mut self.buffers, out).map_err(|e| match e {
            ReadError::Index(e) => ChunkError::Corrupt { at: 0, what: e.0 },
            ReadError::Chunk(e) => e,
        })?;
        self.next += 1;
        self.load()
    }
}

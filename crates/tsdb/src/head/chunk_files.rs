//! Files of sealed head chunks: each is written once, published, and mapped.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::RwLock;
use reba_disk::{Dir, DiskError, Mapped, checksum};
use reba_model::{Chunk, ChunkBytes, ChunkError};

/// Where a chunk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkLocation {
    pub(crate) file: u32,
    pub(crate) len: u32,
    pub(crate) offset: u64,
}

/// Starts every file; the chunks follow, each behind its checksum (`docs/format/wal.md`).
pub(crate) const MAGIC: &[u8; 8] = b"REBAHCH1";

#[derive(Debug)]
pub(crate) struct ChunkFiles {
    dir: Dir,
    files: RwLock<BTreeMap<u32, Arc<Mapped>>>,
}

fn file_name(number: u32) -> String {
    format!("{number:08}.chunks")
}

impl ChunkFiles {
    /// Maps every file in `dir`.
    pub(crate) fn open(dir: Dir) -> Result<Self, DiskError> {
        dir.remove_unfinished()?;
        dir.sync()?;
        let mut files = BTreeMap::new();
        for entry in dir.list()? {
            let Some(number) = entry.name.strip_suffix(".chunks").and_then(|n| n.parse().ok()) else {
                continue;
            };
            files.insert(number, Arc::new(dir.map(&entry.name)?));
        }
        Ok(ChunkFiles { dir, files: RwLock::new(files) })
    }

    /// Writes `chunks` into a new file; returns where each of them stands.
    pub(crate) fn write<'a>(
        &self,
        chunks: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Vec<ChunkLocation>, DiskError> {
        let file = self.files.read().last_key_value().map_or(1, |(n, _)| n + 1);
        let name = file_name(file);
        let tmp = format!("{name}.tmp");
        let mut out = Vec::new();
        let mut w = self.dir.writer(&tmp)?;
        w.write(MAGIC)?;
        for bytes in chunks {
            w.write(&checksum(bytes).to_le_bytes())?;
            out.push(ChunkLocation { file, len: bytes.len() as u32, offset: w.position() });
            w.write(bytes)?;
        }
        w.finish()?;
        self.dir.publish(&tmp, &name)?;
        let mapped = Arc::new(self.dir.map(&name)?);
        self.files.write().insert(file, mapped);
        Ok(out)
    }

    /// The chunk at `at`; its checksum is verified here, at every read, which costs less than decoding one sample.
    pub(crate) fn chunk(&self, at: ChunkLocation) -> Result<Chunk, ChunkError> {
        let corrupt = |what| ChunkError::Corrupt { at: at.offset as usize, what };
        let owner = self.files.read().get(&at.file).cloned();
        let owner = owner.ok_or(corrupt("the head's chunk file is missing"))?;
        let start = at.offset as usize;
        let end = start + at.len as usize;
        let sum = start.checked_sub(4).and_then(|s| owner.get(s..start));
        let sum = sum.ok_or(corrupt("chunk outside of the head's chunk file"))?;
        let bytes = owner.get(start..end).ok_or(corrupt("chunk outside of the head's chunk file"))?;
        if checksum(bytes).to_le_bytes() != sum {
            return Err(corrupt("wrong checksum in the head's chunk file"));
        }
        let bytes = ChunkBytes::part(owner, start..end).ok_or(corrupt("chunk outside of its file"))?;
        Chunk::from_bytes(bytes)
    }

    /// Whether the file with the chunk at `at` is there and long enough.
    pub(crate) fn contains(&self, at: ChunkLocation) -> bool {
        self.files.read().get(&at.file).is_some_and(|f| at.offset + u64::from(at.len) <= f.len() as u64)
    }

    /// Removes the files for which `used` is false.
    pub(crate) fn retain(&self, mut used: impl FnMut(u32) -> bool) -> Result<(), DiskError> {
        let doomed: Vec<u32> = self.files.read().keys().copied().filter(|n| !used(*n)).collect();
        for number in doomed {
            self.files.write().remove(&number);
            self.dir.remove_file(&file_name(number))?;
        }
        Ok(())
    }

    /// Bytes of all files.
    pub(crate) fn size(&self) -> u64 {
        self.files.read().values().map(|f| f.len() as u64).sum()
    }
}

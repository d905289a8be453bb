//! The blocks of a Prometheus: index version 2, chunks of floats and native histograms, tombstones. The formats are
//! described in the documents `tsdb/docs/format` of Prometheus' source.
//!
//! Only blocks are read. What Prometheus has not written to a block yet (the newest hours) is in its log; a snapshot,
//! taken over its admin API, writes it down as a block.

mod cursor;
mod index;
mod tombstones;

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use reba_disk::Mapped;
use reba_ingest::prometheus_chunk::decode;
use reba_model::{LabelsBuilder, SampleColumns, TimeRange};
use serde::Deserialize;

use self::{
    cursor::{Bad, Cursor},
    index::{ChunkEntry, Index},
    tombstones::Tombstones,
};
use crate::batch::{Batcher, ImportError, Imported, Report, Sink};

const CHUNKS_MAGIC: u32 = 0x85bd_40dd;

/// How often progress is told, in series.
const SERIES_PER_REPORT: usize = 500;

/// The content of `meta.json`, as far as it matters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    ulid: String,
    min_time: i64,
    max_time: i64,
    version: u32,
    #[serde(default)]
    stats: Stats,
    #[serde(default)]
    compaction: Compaction,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stats {
    num_series: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Compaction {
    parents: Option<Vec<Parent>>,
}

#[derive(Debug, Deserialize)]
struct Parent {
    ulid: String,
}

/// Reads the blocks in `folder` (a data directory, a snapshot, or one block) and hands their samples to `sink`. `report`
/// counts series.
pub fn import(folder: &Path, sink: Sink<'_>, report: Report<'_>) -> Result<Imported, ImportError> {
    let blocks = find(folder)?;
    let mut imported = Imported::default();
    if ["wal", "chunks_head"].iter().any(|name| folder.join(name).exists()) {
        imported.remarks.push(format!(
            "{}: only blocks are read; the newest hours are in Prometheus' log. To bring them along, take a snapshot \
             (POST /api/v1/admin/tsdb/snapshot, with --web.enable-admin-api) and import that",
            folder.display()
        ));
    }
    let total = blocks.iter().map(|(_, meta)| meta.stats.num_series).sum();
    let mut done = 0;
    report(0, total);
    for (path, meta) in &blocks {
        let mut batcher = Batcher::new(&mut *sink, &mut imported);
        let block = Block::open(path, meta)?;
        for (n, series) in block.index.series.iter().enumerate() {
            block.copy(*series, &mut batcher).map_err(|e| e.of(path))?;
            done += 1;
            if n % SERIES_PER_REPORT == 0 {
                report(done, total);
            }
        }
        batcher.finish()?;
    }
    report(done, total);
    Ok(imported)
}

/// The blocks below `folder`, oldest first, without those whose data is in another one.
fn find(folder: &Path) -> Result<Vec<(PathBuf, Meta)>, ImportError> {
    if folder.join("meta.json").exists() {
        return Ok(vec![(folder.to_owned(), read_meta(folder)?)]);
    }
    let fail = |e: io::Error| ImportError::Source(format!("{}: {e}", folder.display()));
    let mut blocks = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_none() && path.join("meta.json").exists() {
            let meta = read_meta(&path)?;
            blocks.push((path, meta));
        }
    }
    let parents: HashSet<String> = blocks
        .iter()
        .flat_map(|(_, meta)| meta.compaction.parents.iter().flatten())
        .map(|parent| parent.ulid.clone())
        .collect();
    blocks.retain(|(_, meta)| !parents.contains(&meta.ulid));
    blocks.sort_by_key(|(_, meta)| (meta.min_time, meta.max_time));
    if blocks.is_empty() {
        // A Prometheus that has not run for two hours yet has none.
        let hint = if folder.join("wal").is_dir() {
            ", only its log, which has the newest hours: have it make a snapshot (POST /api/v1/admin/tsdb/snapshot), and import that"
        } else {
            ""
        };
        return Err(ImportError::Source(format!(
            "{}: no blocks of Prometheus are there{hint}",
            folder.display()
        )));
    }
    Ok(blocks)
}

fn read_meta(block: &Path) -> Result<Meta, ImportError> {
    let path = block.join("meta.json");
    let fail = |e: String| ImportError::Source(format!("{}: {e}", path.display()));
    let text = fs::read(&path).map_err(|e| fail(e.to_string()))?;
    let meta: Meta = serde_json::from_slice(&text).map_err(|e| fail(e.to_string()))?;
    if meta.version != 1 {
        return Err(fail(format!("version {} is not known", meta.version)));
    }
    Ok(meta)
}

fn map(path: &Path) -> Result<Mapped, ImportError> {
    let fail = |e: io::Error| ImportError::Source(format!("{}: {e}", path.display()));
    File::open(path).and_then(|file| Mapped::map(&file)).map_err(fail)
}

fn bad(path: &Path, e: &Bad) -> ImportError {
    ImportError::Source(format!("{}: {}", path.display(), e.0))
}

/// Why a series was not copied.
enum CopyError {
    Bad(Bad),
    Import(ImportError),
}

impl CopyError {
    fn of(self, path: &Path) -> ImportError {
        match self {
            CopyError::Bad(e) => bad(path, &e),
            CopyError::Import(e) => e,
        }
    }
}

impl From<Bad> for CopyError {
    fn from(e: Bad) -> Self {
        CopyError::Bad(e)
    }
}

/// An open block.
struct Block {
    index: Index,
    chunks: Vec<Mapped>,
    tombstones: Tombstones,
    range: TimeRange,
}

impl Block {
    fn open(path: &Path, meta: &Meta) -> Result<Self, ImportError> {
        let index_path = path.join("index");
        let index = Index::open(map(&index_path)?).map_err(|e| bad(&index_path, &e))?;
        let mut files: Vec<PathBuf> = fs::read_dir(path.join("chunks"))
            .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect())
            .map_err(|e| ImportError::Source(format!("{}: chunks: {e}", path.display())))?;
        files.sort();
        let mut chunks = Vec::new();
        for file in files {
            let data = map(&file)?;
            let magic = Cursor(&data).u32().map_err(|e| bad(&file, &e))?;
            if magic != CHUNKS_MAGIC || data.get(4) != Some(&1) {
                return Err(bad(&file, &Bad("these are no chunks of Prometheus")));
            }
            chunks.push(data);
        }
        let stones = path.join("tombstones");
        let tombstones = if stones.exists() {
            Tombstones::read(&map(&stones)?).map_err(|e| bad(&stones, &e))?
        } else {
            Tombstones::default()
        };
        let range = TimeRange::new(meta.min_time, meta.max_time.saturating_sub(1));
        Ok(Block { index, chunks, tombstones, range })
    }

    /// Hands over the samples of one series.
    fn copy(&self, series: u32, batcher: &mut Batcher<'_, '_>) -> Result<(), CopyError> {
        let (mut labels, mut entries) = (LabelsBuilder::new(), Vec::new());
        let mut columns = SampleColumns::default();
        self.index.read(series, &mut labels, &mut entries)?;
        let labels = labels.build();
        for entry in entries {
            self.chunk(entry, &mut columns)?;
            self.tombstones.strike(series, self.range, &mut columns);
            batcher.columns(&labels, &mut columns).map_err(CopyError::Import)?;
        }
        Ok(())
    }

    fn chunk(&self, entry: ChunkEntry, out: &mut SampleColumns) -> Result<(), Bad> {
        let file = usize::try_from(entry.reference >> 32).ok().and_then(|n| self.chunks.get(n));
        let file = file.ok_or(Bad("a chunk in a file that is not there"))?;
        let mut cursor = Cursor::at(file, entry.reference & 0xffff_ffff)?;
        let n = usize::try_from(cursor.uvarint()?).map_err(|_| Bad("length beyond the file"))?;
        // The encoding, and the data.
        let body = cursor.take(n.checked_add(1).ok_or(Bad("length beyond the file"))?)?;
        cursor.checksum_of(body)?;
        decode(body[0], &body[1..], out).map_err(|e| Bad(e.0))
    }
}

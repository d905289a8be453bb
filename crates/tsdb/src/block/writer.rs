//! Writing a block: series by series in order of their labels.

use std::collections::HashMap;

use reba_disk::{Dir, DiskError, FileWriter, checksum};
use reba_model::{
    Chunk, ChunkError, Labels, Rollup, SampleColumns, TimeRange, encode_floats, encode_histograms,
    encode_rollups, encode_times, encode_values,
};

use super::{
    BlockMeta, CHUNKS, CHUNKS_MAGIC, INDEX, META, index_writer::IndexWriter, rollups::write_rollups,
};
use crate::varint::{put_i64, put_u64};

/// How chunks get into a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// As they are, unless they overlap or reach beyond the block.
    Copy,
    /// Anew, in long chunks whose times are shared among series that were scraped together.
    Repack,
    /// Downsampled.
    Rollups(Windows),
}

/// The windows of a downsampled block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Windows {
    /// Milliseconds of a window.
    pub(crate) resolution: i64,
    /// Blocks begin and end at multiples of this many milliseconds: no rollup crosses one.
    pub(crate) span: i64,
}

/// Samples in a repacked chunk. Its pages are decoded one by one, so a long chunk costs a short query nothing.
const REPACKED_SAMPLES: usize = 2048;

/// A column of times shorter than this is not worth a reference.
const MIN_SHARED_TIMES: usize = 20;

/// Columns of times that are remembered: those of the targets whose series stand close together.
const MAX_SHARED_TIMES: usize = 4096;

/// A block that is being written.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    parent: Dir,
    dir: Dir,
    tmp: String,
    chunks: FileWriter,
    index: IndexWriter,
    meta: BlockMeta,
    packing: Packing,
    /// Where columns of times stand in the file.
    times: HashMap<Vec<u8>, u64>,
    entries: Vec<u8>,
    n_entries: u64,
    last_end: i64,
    last_position: u64,
    bytes: Vec<u8>,
    column: Vec<u8>,
}

impl BlockWriter {
    /// Starts a block in `parent`. `meta` has everything that is not counted.
    pub(crate) fn new(parent: &Dir, meta: BlockMeta, packing: Packing) -> Result<Self, DiskError> {
        let tmp = format!("{}.tmp", meta.name());
        let dir = parent.subdir(&tmp)?;
        let mut chunks = dir.writer(CHUNKS)?;
        chunks.write(CHUNKS_MAGIC)?;
        Ok(BlockWriter {
            parent: parent.clone(),
            dir,
            tmp,
            chunks,
            index: IndexWriter::default(),
            meta,
            packing,
            times: HashMap::new(),
            entries: Vec::new(),
            n_entries: 0,
            last_end: 0,
            last_position: 0,
            bytes: Vec::new(),
            column: Vec::new(),
        })
    }

    pub(crate) fn range(&self) -> TimeRange {
        self.meta.range()
    }

    pub(crate) fn packing(&self) -> Packing {
        self.packing
    }

    /// Adds a chunk of the series that [`BlockWriter::end_series`] will name, as it is.
    pub(crate) fn copy(&mut self, chunk: &Chunk, bytes: &[u8]) -> Result<(), DiskError> {
        self.put_chunk(chunk.range(), chunk.samples() as usize, bytes, None)
    }

    /// Adds samples of that series in new chunks.
    pub(crate) fn encode(&mut self, columns: &SampleColumns) -> Result<(), DiskError> {
        for (t, v) in columns.t.chunks(REPACKED_SAMPLES).zip(columns.v.chunks(REPACKED_SAMPLES)) {
            self.encode_some(t, v)?;
        }
        let mut rest = columns.h.as_slice();
        while let Some(first) = rest.first() {
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            let n = encode_histograms(rest, &mut bytes).clamp(1, rest.len());
            let put = self.put_chunk(TimeRange::new(first.t, rest[n - 1].t), n, &bytes, None);
            self.bytes = bytes;
            put?;
            rest = &rest[n..];
        }
        Ok(())
    }

    /// Adds rollups of that series in new chunks.
    pub(super) fn encode_rollups(&mut self, resolution: i64, rollups: &[Rollup]) -> Result<(), DiskError> {
        for part in rollups.chunks(REPACKED_SAMPLES) {
            let (Some(first), Some(last)) = (part.first(), part.last()) else { continue };
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            encode_rollups(resolution, part, &mut bytes);
            let put = self.put_chunk(TimeRange::new(first.first_t, last.last_t), part.len(), &bytes, None);
            self.bytes = bytes;
            put?;
        }
        Ok(())
    }

    fn encode_some(&mut self, t: &[i64], v: &[f64]) -> Result<(), DiskError> {
        let (Some(start), Some(end)) = (t.first(), t.last()) else { return Ok(()) };
        let range = TimeRange::new(*start, *end);
        let mut column = std::mem::take(&mut self.column);
        let mut bytes = std::mem::take(&mut self.bytes);
        column.clear();
        bytes.clear();
        if self.packing == Packing::Repack {
            encode_times(t, &mut column);
        }
        let put = if column.len() >= MIN_SHARED_TIMES {
            let at = self.times_at(&column);
            encode_values(v, &mut bytes);
            at.and_then(|at| self.put_chunk(range, t.len(), &bytes, Some((at, column.len()))))
        } else {
            encode_floats(t, v, &mut bytes);
            self.put_chunk(range, t.len(), &bytes, None)
        };
        self.column = column;
        self.bytes = bytes;
        put
    }

    /// Where this column of times stands, written if it is new.
    fn times_at(&mut self, column: &[u8]) -> Result<u64, DiskError> {
        if let Some(at) = self.times.get(column) {
            return Ok(*at);
        }
        self.chunks.write(&checksum(column).to_le_bytes())?;
        let at = self.chunks.position();
        self.chunks.write(column)?;
        if self.times.len() >= MAX_SHARED_TIMES {
            self.times.clear();
        }
        self.times.insert(column.to_vec(), at);
        Ok(at)
    }

    fn put_chunk(
        &mut self,
        range: TimeRange,
        samples: usize,
        bytes: &[u8],
        times: Option<(u64, usize)>,
    ) -> Result<(), DiskError> {
        self.chunks.write(&checksum(bytes).to_le_bytes())?;
        if self.n_entries == 0 {
            self.last_end = self.meta.min_time;
            self.last_position = 0;
        }
        put_u64(&mut self.entries, self.chunks.position() - self.last_position);
        self.chunks.write(bytes)?;
        self.last_position = self.chunks.position();
        put_i64(&mut self.entries, range.start.wrapping_sub(self.last_end));
        put_u64(&mut self.entries, range.end.wrapping_sub(range.start) as u64);
        put_u64(&mut self.entries, (bytes.len() as u64) << 1 | u64::from(times.is_some()));
        if let Some((at, len)) = times {
            put_u64(&mut self.entries, at);
            put_u64(&mut self.entries, len as u64);
        }
        self.last_end = range.end;
        self.n_entries += 1;
        self.meta.chunks += 1;
        self.meta.samples += samples as u64;
        Ok(())
    }

    /// Names the series that the chunks since the last call belong to; a series without chunks is left out.
    pub(crate) fn end_series(&mut self, labels: &Labels) {
        if self.n_entries == 0 {
            return;
        }
        let mut record = Vec::with_capacity(self.entries.len() + 2);
        put_u64(&mut record, self.n_entries);
        record.extend_from_slice(&self.entries);
        self.index.add(labels, &record);
        self.entries.clear();
        self.n_entries = 0;
    }

    /// Publishes the block; `None` if it has no series.
    pub(crate) fn finish(mut self) -> Result<Option<BlockMeta>, DiskError> {
        self.meta.series = self.index.series() as u64;
        self.chunks.finish()?;
        if self.meta.series == 0 {
            self.parent.remove_unfinished()?;
            return Ok(None);
        }
        self.index.finish(self.dir.writer(INDEX)?)?;
        let mut meta = self.dir.writer(META)?;
        meta.write(&serde_json::to_vec_pretty(&self.meta).unwrap_or_default())?;
        meta.finish()?;
        self.dir.sync()?;
        self.parent.publish(&self.tmp, &self.meta.name())?;
        Ok(Some(self.meta))
    }
}

/// Writes the chunks of one series: as they are, or decoded and encoded anew.
pub(super) fn write_series(
    writer: &mut BlockWriter,
    labels: Labels,
    mut chunks: Vec<Chunk>,
    columns: &mut SampleColumns,
) -> Result<(), WriteError> {
    let range = writer.range();
    chunks.retain(|c| c.range().overlaps(range));
    chunks.sort_by_key(|c| c.range().start);
    if let Packing::Rollups(windows) = writer.packing() {
        return write_rollups(writer, labels, chunks, windows, columns);
    }
    let inside = |c: &Chunk| range.contains(c.range().start) && range.contains(c.range().end);
    let apart = chunks.windows(2).all(|w| w[0].range().end < w[1].range().start);
    if writer.packing() == Packing::Copy && apart {
        for chunk in &chunks {
            match chunk.as_bytes().filter(|_| inside(chunk)) {
                Some(bytes) => writer.copy(chunk, bytes)?,
                None => {
                    columns.clear();
                    chunk.decode_into(range, columns)?;
                    writer.encode(columns)?;
                }
            }
        }
        writer.end_series(&labels);
        return Ok(());
    }
    let series = reba_model::Series { labels, chunks };
    series.read_into(range, columns)?;
    writer.encode(columns)?;
    writer.end_series(&series.labels);
    Ok(())
}

/// Why a series could not be written.
#[derive(Debug)]
pub(crate) enum WriteError {
    Disk(DiskError),
    Chunk(ChunkError),
}

impl From<DiskError> for WriteError {
    fn from(e: DiskError) -> Self {
        WriteError::Disk(e)
    }
}

impl From<ChunkError> for WriteError {
    fn from(e: ChunkError) -> Self {
        WriteError::Chunk(e)
    }
}

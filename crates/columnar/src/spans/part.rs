//! A part of spans: traces of one tenant and one day in one immutable file (`docs/format/spans.md`).
//!
//! Blocks stand first; then the index, by which a trace is found: a sorted array of hashes of ids with the block of each; then the
//! directory of the blocks.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use reba_disk::{Dir, DiskError, FileWriter, Mapped, checksum};
use reba_model::{NanoRange, Tenant};
use roaring::RoaringBitmap;

use super::{
    block::{SpanBlock, SpanBlockEncoder, SpanRow, SpanSummary},
    hash,
};
use crate::{
    ColumnarError,
    day::Day,
    part::{END_MAGIC, LivePart, PartInfo, PartSpec, TRAILER, file_name},
    varint::{Reader, put, put_signed, put_text},
};

const MAGIC: &[u8; 8] = b"REBASPN1";

/// Bits of an index entry that name the block; the others are the hash.
const BLOCK_BITS: u32 = 24;

/// Bits of the hash of a trace id.
const HASH_BITS: u32 = 40;

/// Where a block stands, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) number: u32,
    offset: u64,
    pub(crate) len: u32,
    checksum: u32,
    pub(crate) rows: u32,
    pub(crate) traces: u32,
    /// Starts of its first and last span.
    pub(crate) min_ns: i64,
    pub(crate) max_ns: i64,
}

impl Place {
    /// Whether spans of it may start in the range.
    pub(crate) fn overlaps(&self, range: NanoRange) -> bool {
        range.start <= self.max_ns && self.min_ns < range.end
    }
}

/// What stands at the end of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Directory {
    info: PartInfo,
    blocks: Vec<Place>,
    index_offset: u64,
    index_checksum: u32,
    /// Entries of the index, one for each trace in each block.
    entries: u64,
}

impl Directory {
    fn encode(&self, offset: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let info = &self.info;
        put(&mut out, info.number);
        put_signed(&mut out, i64::from(info.day.0));
        put_text(&mut out, info.tenant.as_str());
        put(&mut out, info.parents.len() as u64);
        info.parents.iter().for_each(|parent| put(&mut out, *parent));
        put(&mut out, self.index_offset);
        put(&mut out, self.entries);
        out.extend_from_slice(&self.index_checksum.to_le_bytes());
        put(&mut out, self.blocks.len() as u64);
        let (mut end, mut before) = (MAGIC.len() as u64, 0i64);
        for block in &self.blocks {
            put(&mut out, block.offset - end);
            put(&mut out, u64::from(block.len));
            end = block.offset + u64::from(block.len);
            out.extend_from_slice(&block.checksum.to_le_bytes());
            put(&mut out, u64::from(block.rows));
            put(&mut out, u64::from(block.traces));
            put_signed(&mut out, block.min_ns.wrapping_sub(before));
            put(&mut out, block.max_ns.wrapping_sub(block.min_ns) as u64);
            before = block.min_ns;
        }
        let (len, sum) = (out.len() as u32, checksum(&out));
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&sum.to_le_bytes());
        out.extend_from_slice(END_MAGIC);
        out
    }

    /// Reads the directory of a file; says what is wrong with it.
    fn read(file: &[u8]) -> Result<Self, &'static str> {
        let trailer = file.len().checked_sub(TRAILER).ok_or("too short")?;
        let mut r = Reader(&file[trailer..]);
        let place = (|| Some((r.fixed_u64()?, r.fixed_u32()?, r.fixed_u32()?)))();
        let (offset, len, sum) = place.ok_or("too short")?;
        if r.0 != END_MAGIC {
            return Err("its end is missing");
        }
        let bytes = usize::try_from(offset)
            .ok()
            .filter(|o| o.checked_add(len as usize) == Some(trailer))
            .and_then(|o| file.get(o..trailer))
            .ok_or("directory out of place")?;
        if checksum(bytes) != sum {
            return Err("wrong checksum of the directory");
        }
        Self::decode(bytes, file.len() as u64).ok_or("directory contradicts itself")
    }

    fn decode(bytes: &[u8], file_len: u64) -> Option<Self> {
        let mut r = Reader(bytes);
        let number = r.unsigned()?;
        let day = Day(i32::try_from(r.signed()?).ok()?);
        let tenant = Tenant::new(r.text()?).ok()?;
        let parents = (0..r.count()?).map(|_| r.unsigned()).collect::<Option<_>>()?;
        let (index_offset, entries) = (r.unsigned()?, r.unsigned()?);
        let index_checksum = r.fixed_u32()?;
        let (mut end, mut before) = (MAGIC.len() as u64, 0i64);
        let mut blocks = Vec::new();
        for number in 0..u32::try_from(r.count()?).ok()? {
            let offset = end.checked_add(r.unsigned()?)?;
            let len = r.u32()?;
            end = offset.checked_add(u64::from(len))?;
            let checksum = r.fixed_u32()?;
            let (rows, traces) = (r.u32()?, r.u32()?);
            let min_ns = before.wrapping_add(r.signed()?);
            let max_ns = min_ns.wrapping_add(r.unsigned()? as i64);
            before = min_ns;
            blocks.push(Place { number, offset, len, checksum, rows, traces, min_ns, max_ns });
        }
        let index_end = entries.checked_mul(8).and_then(|len| index_offset.checked_add(len))?;
        let is_sane =
            r.is_empty() && end <= index_offset && index_end <= file_len && blocks.len() < 1 << BLOCK_BITS;
        let info = PartInfo {
            number,
            day,
            tenant,
            parents,
            bytes: file_len,
            rows: blocks.iter().map(|b| u64::from(b.rows)).sum(),
            text_bytes: 0,
            streams: blocks.iter().map(|b| u64::from(b.traces)).sum(),
            blocks: blocks.len() as u64,
            min_ns: blocks.iter().map(|b| b.min_ns).min()?,
            max_ns: blocks.iter().map(|b| b.max_ns).max()?,
        };
        is_sane.then_some(Directory { info, blocks, index_offset, index_checksum, entries })
    }
}

/// A live part, read through a map of its file.
#[derive(Debug)]
pub(crate) struct SpanPart {
    directory: Directory,
    map: Mapped,
    path: String,
    /// One bit a block: its checksum was right.
    checked: Vec<AtomicU64>,
    /// Blocks that are damaged.
    bad: Mutex<RoaringBitmap>,
    /// Whether the index is what was written.
    index_is_sane: OnceLock<bool>,
    damage: OnceLock<&'static str>,
}

impl LivePart for SpanPart {
    fn open(dir: &Dir, number: u64) -> Result<Self, DiskError> {
        let name = file_name(number);
        let map = dir.map(&name)?;
        let path = dir.join(&name).display().to_string();
        let corrupt = |what: &str| DiskError::Corrupt { path: path.clone(), at: 0, what: what.to_owned() };
        if !map.starts_with(MAGIC) {
            return Err(corrupt("not a part of spans"));
        }
        let directory = Directory::read(&map).map_err(corrupt)?;
        if directory.info.number != number {
            return Err(corrupt("another part has its name"));
        }
        let words = directory.blocks.len().div_ceil(64);
        Ok(SpanPart {
            directory,
            map,
            path,
            checked: (0..words).map(|_| AtomicU64::new(0)).collect(),
            bad: Mutex::default(),
            index_is_sane: OnceLock::new(),
            damage: OnceLock::new(),
        })
    }

    fn info(&self) -> &PartInfo {
        &self.directory.info
    }

    fn damage(&self) -> Option<&'static str> {
        self.damage.get().copied()
    }

    fn bad_blocks(&self) -> u64 {
        self.bad.lock().len()
    }
}

impl SpanPart {
    /// Its blocks.
    pub(crate) fn blocks(&self) -> &[Place] {
        &self.directory.blocks
    }

    /// Notes damage of the index, says it once, and makes an error of it.
    fn damaged(&self, what: &'static str) -> ColumnarError {
        if self.damage.set(what).is_ok() {
            tracing::error!(part = self.path, what, "index of a part is damaged; the part will be set aside");
        }
        ColumnarError::Damaged { path: self.path.clone(), reason: what.to_owned() }
    }

    /// Notes that a block cannot be read, and says it once.
    pub(crate) fn mark_bad(&self, block: &Place, what: &str) {
        if self.bad.lock().insert(block.number) {
            tracing::error!(
                part = self.path,
                at = block.offset,
                rows = block.rows,
                what,
                "a block is damaged and left out; the rest keeps working"
            );
        }
    }

    /// The bytes of a block; `None` if they are not what was written, which is said once.
    pub(crate) fn bytes(&self, block: &Place) -> Option<&[u8]> {
        let start = usize::try_from(block.offset).ok()?;
        let bytes = self.map.get(start..start.checked_add(block.len as usize)?);
        let bit = 1u64 << (block.number % 64);
        let Some((word, bytes)) = self.checked.get(block.number as usize / 64).zip(bytes) else {
            self.mark_bad(block, "out of place");
            return None;
        };
        if word.load(Ordering::Relaxed) & bit == 0 {
            if checksum(bytes) != block.checksum {
                self.mark_bad(block, "wrong checksum");
                return None;
            }
            word.fetch_or(bit, Ordering::Relaxed);
        }
        if self.bad.lock().contains(block.number) { None } else { Some(bytes) }
    }

    /// A block, ready to be read; `None` if it cannot be, which is said once.
    pub(crate) fn block(&self, place: &Place) -> Option<SpanBlock<'_>> {
        SpanBlock::open(self.bytes(place)?).inspect_err(|e| self.mark_bad(place, e.0)).ok()
    }

    /// The index: sorted hashes with their blocks.
    pub(crate) fn index(&self) -> Result<&[[u8; 8]], ColumnarError> {
        let directory = &self.directory;
        let start = directory.index_offset as usize;
        let bytes = self
            .map
            .get(start..start.saturating_add(8usize.saturating_mul(directory.entries as usize)))
            .unwrap_or_default();
        let is_sane = self.index_is_sane.get_or_init(|| checksum(bytes) == directory.index_checksum);
        if *is_sane { Ok(bytes.as_chunks::<8>().0) } else { Err(self.damaged("wrong checksum of the index")) }
    }

    /// The blocks that may have the trace of that hash.
    pub(crate) fn find(&self, hash: u64) -> Result<impl Iterator<Item = &Place>, ColumnarError> {
        let index = self.index()?;
        let start = first_not_below(index, hash);
        let of_hash = index[start..].iter().take_while(move |entry| entry_hash(entry) == hash);
        Ok(of_hash.filter_map(|entry| {
            let block = u64::from_le_bytes(*entry) & ((1 << BLOCK_BITS) - 1);
            self.directory.blocks.get(block as usize)
        }))
    }
}

/// The hash of an entry of the index.
pub(crate) fn entry_hash(entry: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*entry) >> BLOCK_BITS
}

/// The block of an entry of the index.
pub(crate) fn entry_block(entry: &[u8; 8]) -> u32 {
    (u64::from_le_bytes(*entry) & ((1 << BLOCK_BITS) - 1)) as u32
}

/// The place of the first entry that is not below `hash`. Hashes are evenly spread, so that it is near where it should be: the
/// search begins there and doubles its steps (interpolation search, then galloping).
fn first_not_below(index: &[[u8; 8]], hash: u64) -> usize {
    let is_below = |i: usize| index.get(i).is_some_and(|entry| entry_hash(entry) < hash);
    let guess = ((u128::from(hash) * index.len() as u128) >> HASH_BITS) as usize;
    let (mut low, mut high, mut step) = (guess.min(index.len()), guess.min(index.len()), 8);
    while low > 0 && !is_below(low - 1) {
        low = low.saturating_sub(step);
        step *= 2;
    }
    step = 8;
    while is_below(high) {
        high = (high + step).min(index.len());
        step *= 2;
    }
    low + index[low..high.max(low)].partition_point(|entry| entry_hash(entry) < hash)
}

/// A part that is being written.
#[derive(Debug)]
pub(crate) struct SpanPartWriter {
    dir: Dir,
    tmp: String,
    file: FileWriter,
    spec: PartSpec,
    blocks: Vec<Place>,
    index: Vec<u64>,
    encoder: SpanBlockEncoder,
    bytes: Vec<u8>,
}

impl SpanPartWriter {
    /// Starts a part in the folder of its day.
    pub(crate) fn new(dir: &Dir, spec: PartSpec) -> Result<Self, DiskError> {
        let tmp = format!("{}.tmp", file_name(spec.number));
        let mut file = dir.writer(&tmp)?;
        file.write(MAGIC)?;
        let (blocks, index, bytes) = Default::default();
        let encoder = SpanBlockEncoder::default();
        Ok(SpanPartWriter { dir: dir.clone(), tmp, file, spec, blocks, index, encoder, bytes })
    }

    /// Adds a block of traces.
    pub(crate) fn traces(&mut self, traces: &[&[SpanRow<'_>]]) -> Result<(), DiskError> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let summary = self.encoder.encode(traces, &mut bytes);
        let ids = traces.iter().filter_map(|rows| rows.first()).map(|row| row.view.trace_id);
        let put = self.put(summary, ids.collect(), &bytes);
        self.bytes = bytes;
        put
    }

    /// Adds a block as it stands in another part.
    pub(crate) fn copy(
        &mut self,
        place: &Place,
        block: &SpanBlock<'_>,
        bytes: &[u8],
    ) -> Result<(), DiskError> {
        let Place { rows, traces, min_ns, max_ns, .. } = *place;
        let ids = (0..block.traces()).map(|trace| block.trace_id(trace)).collect();
        self.put(SpanSummary { rows, traces, min_ns, max_ns }, ids, bytes)
    }

    fn put(
        &mut self,
        summary: SpanSummary,
        ids: Vec<reba_model::spans::TraceId>,
        bytes: &[u8],
    ) -> Result<(), DiskError> {
        let number = self.blocks.len() as u32;
        self.index.extend(ids.into_iter().map(|id| hash::of_trace(id) << BLOCK_BITS | u64::from(number)));
        self.blocks.push(Place {
            number,
            offset: self.file.position(),
            len: bytes.len() as u32,
            checksum: checksum(bytes),
            rows: summary.rows,
            traces: summary.traces,
            min_ns: summary.min_ns,
            max_ns: summary.max_ns,
        });
        self.file.write(bytes)
    }

    /// The name of its file as long as it is not finished.
    pub(crate) fn tmp_name(&self) -> String {
        self.tmp.clone()
    }

    /// Publishes the part under its own name; `None` if it has no rows. It is not live before the manifest says so.
    pub(crate) fn finish(mut self) -> Result<Option<u64>, DiskError> {
        if self.blocks.is_empty() {
            drop(self.file);
            self.dir.remove_file(&self.tmp)?;
            return Ok(None);
        }
        self.index.sort_unstable();
        let index: Vec<u8> = self.index.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        let index_offset = self.file.position();
        self.file.write(&index)?;
        let offset = self.file.position();
        let PartSpec { number, day, tenant, parents } = self.spec;
        let info = PartInfo {
            number,
            day,
            tenant,
            parents,
            bytes: 0,
            rows: 0,
            text_bytes: 0,
            streams: 0,
            blocks: 0,
            min_ns: 0,
            max_ns: 0,
        };
        let directory = Directory {
            info,
            blocks: self.blocks,
            index_offset,
            index_checksum: checksum(&index),
            entries: self.index.len() as u64,
        };
        self.file.write(&directory.encode(offset))?;
        self.file.finish()?;
        self.dir.publish(&self.tmp, &file_name(number))?;
        Ok(Some(number))
    }

    /// Gives the part up.
    pub(crate) fn abandon(self) {
        drop(self.file);
        if let Err(error) = self.dir.remove_file(&self.tmp) {
            tracing::debug!(%error, "an unfinished part is left for the next start");
        }
    }
}

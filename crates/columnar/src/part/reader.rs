//! Reading a part through a map of its file.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use reba_disk::{Dir, DiskError, Mapped, checksum};
use reba_model::NanoRange;
use roaring::RoaringBitmap;

use super::{
    BlockRef, MAGIC, PartInfo,
    directory::{Directory, PageRef, StreamPage},
    file_name,
};
use crate::{ColumnarError, varint::Reader};

/// A live part.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) info: PartInfo,
    pub(super) directory: Directory,
    map: Mapped,
    path: String,
    /// One bit a block: its checksum was right.
    checked: Vec<AtomicU64>,
    /// One bit a block: it is damaged. Empty as long as none is.
    bad: Mutex<RoaringBitmap>,
    /// What is wrong with the index, once that is known.
    damage: OnceLock<&'static str>,
}

/// One stream of a part.
#[derive(Debug)]
pub(crate) struct StreamEntry<'a> {
    /// Packed labels.
    pub(crate) packed: &'a str,
    /// Its blocks, by rising number.
    pub(crate) blocks: &'a [BlockRef],
}

impl Part {
    /// Opens the part `number` in the folder of its day.
    pub(crate) fn open(dir: &Dir, number: u64) -> Result<Self, DiskError> {
        let name = file_name(number);
        let map = dir.map(&name)?;
        let path = dir.join(&name).display().to_string();
        let corrupt = |what: &str| DiskError::Corrupt { path: path.clone(), at: 0, what: what.to_owned() };
        if !map.starts_with(MAGIC) {
            return Err(corrupt("not a part"));
        }
        let directory = Directory::read(&map).map_err(corrupt)?;
        if directory.info.number != number {
            return Err(corrupt("another part has its name"));
        }
        let words = (directory.info.blocks as usize).div_ceil(64);
        Ok(Part {
            info: directory.info.clone(),
            directory,
            map,
            path,
            checked: (0..words).map(|_| AtomicU64::new(0)).collect(),
            bad: Mutex::default(),
            damage: OnceLock::new(),
        })
    }

    /// What is wrong with the index, if something was found.
    pub(crate) fn damage(&self) -> Option<&'static str> {
        self.damage.get().copied()
    }

    /// Notes damage of the index, says it once, and makes an error of it.
    pub(crate) fn damaged(&self, what: &'static str) -> ColumnarError {
        if self.damage.set(what).is_ok() {
            tracing::error!(part = self.path, what, "index of a part is damaged; the part will be set aside");
        }
        ColumnarError::Damaged { path: self.path.clone(), reason: what.to_owned() }
    }

    /// How many blocks are known to be damaged.
    pub(crate) fn bad_blocks(&self) -> u64 {
        self.bad.lock().len()
    }

    /// Notes that a block cannot be read, and says it once.
    pub(crate) fn mark_bad(&self, block: &BlockRef, what: &str) {
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

    /// Whether a block is known to be damaged.
    pub(crate) fn is_bad(&self, block: &BlockRef) -> bool {
        self.bad.lock().contains(block.number)
    }

    /// The bytes of a block; `None` if they are not what was written, which is said once.
    pub(crate) fn block(&self, block: &BlockRef) -> Option<&[u8]> {
        let bytes = self.slice(block.offset, block.len);
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

    fn slice(&self, offset: u64, len: u32) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        self.map.get(start..start.checked_add(len as usize)?)
    }

    /// Unpacks a page of the index.
    pub(super) fn page(&self, page: PageRef) -> Result<Vec<u8>, ColumnarError> {
        if let Some(what) = self.damage() {
            return Err(self.damaged(what));
        }
        let packed = self
            .slice(page.offset, page.len)
            .filter(|packed| checksum(packed) == page.checksum)
            .ok_or_else(|| self.damaged("wrong checksum of an index page"))?;
        zstd::bulk::decompress(packed, page.unpacked as usize)
            .ok()
            .filter(|bytes| bytes.len() == page.unpacked as usize)
            .ok_or_else(|| self.damaged("an index page does not decompress"))
    }

    /// Goes through the streams of a page that are `wanted` (all, without it).
    pub(super) fn each_of_page<E: From<ColumnarError>>(
        &self,
        page: &StreamPage,
        wanted: Option<&RoaringBitmap>,
        visit: &mut dyn FnMut(StreamEntry<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let bytes = self.page(page.page)?;
        let mut r = Reader(&bytes);
        let mut place = (page.first_block, page.block_offset);
        let mut blocks = Vec::new();
        for stream in page.first_stream..page.first_stream.saturating_add(page.streams) {
            let packed = stream_of(&mut r, &mut place, &mut blocks)
                .ok_or_else(|| self.damaged("an index page contradicts itself"))?;
            if wanted.is_none_or(|w| w.contains(stream)) {
                visit(StreamEntry { packed, blocks: &blocks })?;
            }
        }
        Ok(())
    }

    /// Goes through the streams that are `wanted` (all, without it) and may have rows in the range, in order of their packed
    /// labels. Pages without such streams are not read.
    pub(crate) fn each_stream<E: From<ColumnarError>>(
        &self,
        wanted: Option<&RoaringBitmap>,
        range: NanoRange,
        visit: &mut dyn FnMut(StreamEntry<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        for page in &self.directory.stream_pages {
            let last = page.first_stream.saturating_add(page.streams.saturating_sub(1));
            let has_wanted = wanted.is_none_or(|w| w.range_cardinality(page.first_stream..=last) > 0);
            if has_wanted && range.start <= page.max_ns && page.min_ns < range.end {
                self.each_of_page(page, wanted, visit)?;
            }
        }
        Ok(())
    }

    /// The blocks of one stream; none if the part does not have it.
    pub(crate) fn blocks_of(&self, packed: &str) -> Result<Vec<BlockRef>, ColumnarError> {
        let pages = &self.directory.stream_pages;
        let after = pages.partition_point(|p| &*p.first <= packed);
        let Some(page) = after.checked_sub(1).and_then(|i| pages.get(i)) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        self.each_of_page(page, None, &mut |entry| {
            if entry.packed == packed {
                found.extend_from_slice(entry.blocks);
            }
            Ok::<_, ColumnarError>(())
        })?;
        Ok(found)
    }
}

/// Reads a stream and its blocks. `place` is number and offset of the next block.
fn stream_of<'a>(r: &mut Reader<'a>, place: &mut (u32, u64), blocks: &mut Vec<BlockRef>) -> Option<&'a str> {
    let packed = r.text()?;
    blocks.clear();
    let mut before = 0i64;
    for _ in 0..r.count()? {
        let len = r.u32()?;
        let checksum = r.fixed_u32()?;
        let first_ns = before.wrapping_add(r.signed()?);
        let last_ns = first_ns.wrapping_add(r.unsigned()? as i64);
        before = last_ns;
        let (number, offset) = *place;
        *place = (number.checked_add(1)?, offset.checked_add(u64::from(len))?);
        let (rows, text_bytes) = (r.unsigned()?, r.unsigned()?);
        blocks.push(BlockRef {
            number,
            offset,
            len,
            checksum,
            first_ns,
            last_ns,
            rows: u32::try_from(rows >> 1).ok()?,
            text_bytes,
            is_small: rows & 1 == 1,
        });
    }
    Some(packed)
}

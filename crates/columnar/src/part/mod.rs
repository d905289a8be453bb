//! A part: rows of one tenant and one day in one immutable file (`docs/format/logs.md`).
//!
//! Blocks stand first, each of one stream; then the index in compressed pages, of which a query unpacks those it needs; then
//! the directory of the pages, which is all of a part that stays on the heap.

mod cursor;
mod directory;
mod matching;
mod reader;
pub(crate) mod small;
mod writer;

pub(crate) use cursor::StreamCursor;
pub(crate) use reader::Part;
pub(crate) use writer::{PartSpec, PartWriter};

use reba_disk::{Dir, DiskError};
use reba_model::{NanoRange, Tenant};

use crate::day::Day;

const MAGIC: &[u8; 8] = b"REBAPRT1";
pub(crate) const END_MAGIC: &[u8; 8] = b"REBAPEND";

/// Offset of the directory `u64`, its length `u32`, its checksum `u32`, magic text.
pub(crate) const TRAILER: usize = 8 + 4 + 4 + 8;

/// An index page is closed when it has this many bytes, unpacked.
const PAGE_BYTES: usize = 32 << 10;

/// No page is larger, unpacked: one entry of a page can be long.
const MAX_PAGE_BYTES: u32 = 256 << 20;

/// A part that is live, whatever its rows are.
pub(crate) trait LivePart: Sized {
    /// Opens the part `number` in the folder of its day.
    fn open(dir: &Dir, number: u64) -> Result<Self, DiskError>;

    /// What is known of it.
    fn info(&self) -> &PartInfo;

    /// What is wrong with its index, if something was found.
    fn damage(&self) -> Option<&'static str>;

    /// How many blocks are known to be damaged.
    fn bad_blocks(&self) -> u64;
}

impl LivePart for Part {
    fn open(dir: &Dir, number: u64) -> Result<Self, DiskError> {
        Part::open(dir, number)
    }

    fn info(&self) -> &PartInfo {
        &self.info
    }

    fn damage(&self) -> Option<&'static str> {
        self.damage()
    }

    fn bad_blocks(&self) -> u64 {
        self.bad_blocks()
    }
}

/// What is known of a part without its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartInfo {
    pub(crate) number: u64,
    pub(crate) day: Day,
    pub(crate) tenant: Tenant,
    /// Parts whose rows are here now.
    pub(crate) parents: Vec<u64>,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    pub(crate) text_bytes: u64,
    /// Streams of logs; traces of spans.
    pub(crate) streams: u64,
    pub(crate) blocks: u64,
    pub(crate) min_ns: i64,
    pub(crate) max_ns: i64,
}

impl PartInfo {
    /// Whether rows may lie in the range.
    pub(crate) fn overlaps(&self, range: NanoRange) -> bool {
        range.start <= self.max_ns && self.min_ns < range.end
    }

    /// The name of its file in the folder of its day.
    pub(crate) fn file_name(&self) -> String {
        file_name(self.number)
    }
}

/// The name of the file of a part.
pub(crate) fn file_name(number: u64) -> String {
    format!("{number:010}.part")
}

/// The number of a part by the name of its file.
pub(crate) fn number_of(file_name: &str) -> Option<u64> {
    file_name.strip_suffix(".part")?.parse().ok()
}

/// Where a block stands, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockRef {
    /// Counted over the part.
    pub(crate) number: u32,
    pub(crate) offset: u64,
    pub(crate) len: u32,
    pub(crate) checksum: u32,
    pub(crate) first_ns: i64,
    pub(crate) last_ns: i64,
    pub(crate) rows: u32,
    pub(crate) text_bytes: u64,
    /// Its rows stand there as they are (`small`).
    pub(crate) is_small: bool,
}

impl BlockRef {
    /// Whether rows may lie in the range.
    pub(crate) fn overlaps(&self, range: NanoRange) -> bool {
        range.start <= self.last_ns && self.first_ns < range.end
    }
}

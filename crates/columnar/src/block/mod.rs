//! A block: rows of one stream, sorted by time, as bytes.
//!
//! The engine around it decides which rows go together, and where the bytes are; a block knows neither its stream nor its place.

mod bounds;
mod clock;
mod contains;
mod extract;
mod frame;
pub(crate) mod fuse;
pub(crate) mod ints;
mod json;
mod label;
mod load;
mod logfmt;
mod mine;
mod node;
mod output;
mod select;
mod shape;
mod signature;
mod texts;
mod typed;
mod values;
pub(crate) mod wire;

use reba_model::{Labels, LogBlock, NanoRange};
use reba_storage::{Condition, LogWant};
use thiserror::Error;

/// Most rows of a block.
pub const MAX_ROWS: usize = 8192;

/// Most bytes of lines and metadata of a block, one row excepted.
pub const MAX_TEXT_BYTES: usize = 2 << 20;

/// Structured metadata of a row.
pub type Pairs<'a> = &'a [(&'a str, &'a str)];

/// Rows to be encoded: of one stream, sorted by rising time, three columns of one length.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Unix nanoseconds.
    pub times: &'a [i64],
    /// Lines.
    pub lines: &'a [&'a str],
    /// Structured metadata, in the order it was sent.
    pub metadata: &'a [Pairs<'a>],
}

/// Why a block cannot be read: its bytes are not what was written.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("block is damaged: {0}")]
pub struct BlockError(pub &'static str);

/// What is known of a block without reading its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSummary {
    /// Rows.
    pub rows: u32,
    /// Bytes of lines and metadata.
    pub text_bytes: u64,
    /// Time of the first row, Unix nanoseconds.
    pub first_ns: i64,
    /// Time of the last row.
    pub last_ns: i64,
}

/// What reading cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadCost {
    /// Bytes of the block that were looked at.
    pub bytes_read: u64,
    /// Bytes of text they stood for.
    pub bytes_decoded: u64,
}

/// What is handed from block to block while many are read: what reading cost, and what it was done with.
#[derive(Default)]
pub struct Reading {
    /// The cost so far.
    pub cost: ReadCost,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("cost", &self.cost).finish_non_exhaustive()
    }
}

/// A row as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRow {
    /// Unix nanoseconds.
    pub ns: i64,
    /// The line.
    pub line: String,
    /// Structured metadata.
    pub metadata: Vec<(String, String)>,
}

/// Encodes one block after the other.
#[derive(Default)]
pub struct Encoder {
    writer: node::Writer,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

impl Encoder {
    /// Encodes rows behind what is in `out` already.
    pub fn encode(&mut self, rows: &Rows<'_>, out: &mut Vec<u8>) -> BlockSummary {
        frame::encode(rows, &mut self.writer, out)
    }
}

/// Encodes rows behind what is in `out` already. Who has many blocks keeps an [`Encoder`].
pub fn encode(rows: &Rows<'_>, out: &mut Vec<u8>) -> BlockSummary {
    Encoder::default().encode(rows, out)
}

/// A block whose frame has been checked.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    frame: frame::Frame<'a>,
}

impl<'a> Block<'a> {
    /// Looks at the frame of a block.
    ///
    /// # Errors
    /// If the bytes are not a block.
    pub fn open(bytes: &'a [u8]) -> Result<Self, BlockError> {
        frame::Frame::open(bytes).map(|frame| Block { frame })
    }

    /// Whether any row may meet all conditions; looks at filters and dictionaries only.
    pub fn may_match(&self, stream: &Labels, conditions: &[Condition], reading: &mut Reading) -> bool {
        let signature = match signature::Signature::open(self.frame.signature) {
            Ok(signature) => signature,
            // What is damaged is found by reading it.
            Err(_) => return true,
        };
        let mut unpacker = values::Unpacker { left: 0, zstd: reading.zstd.take() };
        let frame = &self.frame;
        let mut may =
            |c| select::may_match(frame, signature.as_ref(), stream, c, &mut unpacker).unwrap_or(true);
        let all = conditions.iter().all(&mut may);
        reading.zstd = unpacker.zstd;
        all
    }

    /// Bytes of the lines, metadata not counted; `None` if only the rows could tell.
    pub fn line_bytes(&self) -> Option<u64> {
        let [columns] = self.frame.metadata_shapes.as_slice() else { return None };
        let metadata = columns.iter().map(|column| {
            let head = &self.frame.columns[*column as usize];
            head.text_bytes.checked_add(head.name.len() as u64 * self.frame.rows as u64)
        });
        self.frame.text_bytes.checked_sub(metadata.sum::<Option<u64>>()?)
    }

    /// The rows in `range` that may meet the conditions, with the columns that are wanted; none if there is no such row.
    ///
    /// # Errors
    /// If the bytes are not what was written.
    pub fn read(
        &self,
        stream: &Labels,
        range: NanoRange,
        want: &LogWant,
        reading: &mut Reading,
    ) -> Result<Option<LogBlock>, BlockError> {
        output::read(&self.frame, stream, range, want, reading)
    }

    /// Bytes of each column and section, for those who look for where the bytes are.
    pub fn sizes(&self) -> Vec<(String, usize)> {
        let frame = &self.frame;
        let own = [
            ("(frame)", frame.bytes as usize),
            ("(signature)", frame.signature.len()),
            ("(times)", frame.times.len()),
            ("(shapes)", frame.shape_of.len() + frame.metadata_of.len()),
        ];
        let columns = frame.columns.iter().map(|c| (c.name, c.node.len()));
        own.into_iter().chain(columns).map(|(name, bytes)| (name.to_owned(), bytes)).collect()
    }

    /// All rows, as they were written (merges, deletions).
    ///
    /// # Errors
    /// If the bytes are not what was written.
    pub fn rows(&self, reading: &mut Reading) -> Result<Vec<OwnedRow>, BlockError> {
        output::rows(&self.frame, reading)
    }
}

#[cfg(test)]
mod select_tests;
#[cfg(test)]
mod tests;

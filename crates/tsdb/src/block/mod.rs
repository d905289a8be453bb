//! Blocks: immutable directories with the samples of a span of time. `docs/format/block.md`, `docs/format/index.md`.

mod index_reader;
mod index_writer;
mod merge;
mod meta;
mod reader;
mod rollups;
mod tombstones;
mod writer;

pub(crate) use merge::{SeriesSource, merge};
pub(crate) use meta::{BlockMeta, block_name};
pub(crate) use reader::Block;
pub(crate) use rollups::without;
pub(crate) use writer::{BlockWriter, Packing, Windows, WriteError};

pub(crate) const INDEX: &str = "index";
pub(crate) const CHUNKS: &str = "chunks";
pub(crate) const META: &str = "meta.json";
pub(crate) const TOMBSTONES: &str = "tombstones";

/// Starts the file of chunks.
pub(crate) const CHUNKS_MAGIC: &[u8; 8] = b"REBACHK1";

/// Starts and ends the index.
pub(crate) const INDEX_MAGIC: &[u8; 8] = b"REBAIDX1";

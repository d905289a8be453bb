//! The write-ahead log of the head: what a frame says, and reading it back. `docs/format/wal.md` has the bytes.

mod record;
mod sample_codec;

pub(crate) use record::{ChunkState, Record, RecordWriter, SeriesSection, each_record};
pub(crate) use sample_codec::{FloatDecoder, FloatEncoder};

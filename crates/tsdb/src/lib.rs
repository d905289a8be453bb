//! The embedded metric engine: head, write-ahead log, blocks, compaction, retention.
//!
//! [`Tsdb`] implements both traits of `reba-storage`. What was acknowledged survives the death of the process; a
//! corrupt block is set aside and the rest keeps working; a full disk refuses writes and nothing else. There is no
//! background thread: whoever owns the store calls [`Tsdb::maintain`] every second or so from a thread of its own.
//!
//! It is not a query engine (it returns chunks), and it knows neither HTTP nor configuration files.

mod admin;
mod block;
mod blocks;
mod checkpoint;
mod compact;
mod config;
mod db;
mod downsample;
mod error;
mod head;
mod import;
mod leap;
mod maintain;
mod matching;
mod metrics;
mod retention;
mod varint;
mod wal;

pub use config::TsdbConfig;
pub use db::{Progress, Tsdb};
pub use downsample::DownsampleLevel;
pub use error::TsdbError;
pub use import::ImportBatch;
pub use metrics::{DiskMetrics, HeadMetrics, TsdbMetrics};
pub use retention::RetentionRule;

//! What can be configured.

use reba_disk::LogConfig;

use crate::{downsample::DownsampleLevel, retention::RetentionRule};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Configuration of a [`crate::Tsdb`]. The defaults are upstream's.
#[derive(Clone, Debug)]
pub struct TsdbConfig {
    /// Shards of the head, 1 to 64: as many as there are cores.
    pub shards: usize,
    /// Span of the blocks that the head is written to, in milliseconds.
    pub block_range_ms: i64,
    /// Longest span that blocks are compacted to, in milliseconds, whatever the retention is.
    pub max_block_range_ms: i64,
    /// Samples older than this are dropped, a block at a time.
    pub retention_ms: Option<i64>,
    /// Series that are kept for another time than that; the first rule that matches a series counts.
    pub retention_rules: Vec<RetentionRule>,
    /// What is kept of older samples, by rising resolution.
    pub downsampling: Vec<DownsampleLevel>,
    /// When blocks, log and head files exceed this, the oldest blocks are dropped.
    pub retention_bytes: Option<u64>,
    /// How far behind the newest sample of the store a sample may be although it is older than the newest of its
    /// series. Zero: not at all.
    pub out_of_order_window_ms: i64,
    /// How far behind the newest sample of the store an in-order sample may be.
    pub accept_past_ms: i64,
    /// How far ahead of the clock a sample may be; `i64::MAX`: as far as it likes.
    pub accept_future_ms: i64,
    /// Most series in the head; zero: no limit.
    pub max_series: u64,
    /// Exemplars kept in memory; zero: none.
    pub max_exemplars: usize,
    /// The write-ahead log.
    pub wal: LogConfig,
    /// A checkpoint is taken when the log has grown by this many bytes since the last one. It bounds the time of a
    /// restart.
    pub checkpoint_bytes: u64,
    /// Sealed chunks of the head are moved to a file when they take this many bytes of memory.
    pub sealed_memory_bytes: u64,
}

impl Default for TsdbConfig {
    fn default() -> Self {
        TsdbConfig {
            shards: 2,
            block_range_ms: 2 * HOUR,
            max_block_range_ms: 31 * DAY,
            retention_ms: Some(15 * DAY),
            retention_rules: Vec::new(),
            downsampling: Vec::new(),
            retention_bytes: None,
            out_of_order_window_ms: 0,
            accept_past_ms: HOUR,
            accept_future_ms: 10 * MINUTE,
            max_series: 0,
            max_exemplars: 100_000,
            wal: LogConfig::default(),
            checkpoint_bytes: 64 << 20,
            sealed_memory_bytes: 16 << 20,
        }
    }
}

impl TsdbConfig {
    /// For tests and conformance suites: two shards, no bounds on time, no retention, whatever the clock says.
    pub fn unbounded() -> Self {
        TsdbConfig {
            retention_ms: None,
            accept_past_ms: i64::MAX,
            accept_future_ms: i64::MAX,
            ..TsdbConfig::default()
        }
    }

    /// The same with values out of range corrected.
    pub(crate) fn sane(mut self) -> Self {
        self.shards = self.shards.clamp(1, crate::head::MAX_SHARDS);
        self.block_range_ms = self.block_range_ms.max(MINUTE);
        self.downsampling.retain(|l| l.resolution_ms > 0);
        self.downsampling.sort_by_key(|l| l.resolution_ms);
        self
    }
}

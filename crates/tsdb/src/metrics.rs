//! Figures for the metrics page: what upstream's TSDB shows under `prometheus_tsdb_*`.

use reba_disk::LogStats;

/// The head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadMetrics {
    /// Series now.
    pub series: u64,
    /// Chunks now.
    pub chunks: u64,
    /// Series made since the store was opened.
    pub series_created: u64,
    /// Series dropped since the store was opened.
    pub series_removed: u64,
    /// Samples for references that name no series.
    pub series_not_found: u64,
    /// Floats written.
    pub floats_appended: u64,
    /// Histograms written.
    pub histograms_appended: u64,
    /// Exemplars written.
    pub exemplars_appended: u64,
    /// Exact repetitions, which count as written.
    pub duplicates: u64,
    /// Samples written although they were late.
    pub out_of_order_appended: u64,
    /// Rejected: older than the newest sample of the series.
    pub rejected_out_of_order: u64,
    /// Rejected: another value at the same time.
    pub rejected_duplicate: u64,
    /// Rejected: older than what the store accepts.
    pub rejected_too_old: u64,
    /// Rejected: too far in the future.
    pub rejected_out_of_bounds: u64,
    /// Oldest sample (`i64::MAX`: none).
    pub min_time: i64,
    /// Newest sample (`i64::MIN`: none).
    pub max_time: i64,
    /// Times that data was moved from the head to blocks.
    pub truncations: u64,
    /// Bytes of series, index and open chunks.
    pub memory_bytes: u64,
    /// Bytes of label texts.
    pub symbol_bytes: u64,
    /// Bytes of sealed chunks that are not in a file yet.
    pub sealed_memory_bytes: u64,
    /// Exemplars now.
    pub exemplars: u64,
    /// Series with exemplars.
    pub exemplar_series: u64,
}

/// Blocks, log and maintenance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskMetrics {
    /// Blocks in use.
    pub blocks: u64,
    /// Their bytes.
    pub block_bytes: u64,
    /// Bytes of everything: blocks, log, checkpoint, chunks of the head.
    pub total_bytes: u64,
    /// Start of the oldest block, else of the head (`i64::MAX`: none).
    pub lowest_time: i64,
    /// Blocks found corrupt and set aside since the store was opened, that opening included.
    pub quarantined: u64,
    /// Blocks written from the head or from other blocks.
    pub compactions: u64,
    /// Such writes that failed.
    pub compactions_failed: u64,
    /// Milliseconds that the last compaction took.
    pub last_compaction_ms: u64,
    /// Blocks dropped for their age.
    pub time_retentions: u64,
    /// Blocks dropped for their size.
    pub size_retentions: u64,
    /// Checkpoints taken.
    pub checkpoints: u64,
    /// Checkpoints that failed.
    pub checkpoints_failed: u64,
    /// Damaged places found in the log when the store was opened.
    pub wal_corruptions: u64,
    /// The log.
    pub wal: LogStats,
    /// Milliseconds that opening took.
    pub replay_ms: u64,
}

/// All figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TsdbMetrics {
    /// The head.
    pub head: HeadMetrics,
    /// Everything on disk.
    pub disk: DiskMetrics,
}

//! Figures for the metrics page.

use std::sync::atomic::{AtomicU64, Ordering};

use reba_disk::{Dir, Log, LogStats};

use crate::{Columnar, part::PartInfo};

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) appended: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) flushes_failed: AtomicU64,
    pub(crate) merges: AtomicU64,
    pub(crate) merged_bytes: AtomicU64,
    pub(crate) merges_failed: AtomicU64,
    pub(crate) parts_expired: AtomicU64,
    pub(crate) rows_deleted: AtomicU64,
    pub(crate) bad_blocks: AtomicU64,
    pub(crate) wal_corruptions: AtomicU64,
    pub(crate) replay_ms: AtomicU64,
}

/// What a store holds and has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColumnarMetrics {
    /// Live parts.
    pub parts: u64,
    /// Bytes of their files.
    pub part_bytes: u64,
    /// Their rows.
    pub part_rows: u64,
    /// Bytes of lines and metadata of these.
    pub part_text_bytes: u64,
    /// Blocks of all parts.
    pub blocks: u64,
    /// Rows in memory.
    pub memory_rows: u64,
    /// Memory they take, roughly.
    pub memory_bytes: u64,
    /// Streams in memory.
    pub memory_streams: u64,
    /// Bytes of the log's segments.
    pub wal_bytes: u64,
    /// Counters of the log.
    pub wal: LogStats,
    /// Time of the oldest row in a part, Unix nanoseconds; `i64::MAX` without parts.
    pub oldest_ns: i64,
    /// Entries written.
    pub appended: u64,
    /// Entries that were there already.
    pub duplicates: u64,
    /// Times the table in memory was written to parts.
    pub flushes: u64,
    /// Times it could not be.
    pub flushes_failed: u64,
    /// Merges of parts.
    pub merges: u64,
    /// Bytes that merges read.
    pub merged_bytes: u64,
    /// Merges that failed.
    pub merges_failed: u64,
    /// Parts that retention dropped or cut.
    pub parts_expired: u64,
    /// Rows that were deleted on request.
    pub rows_deleted: u64,
    /// Parts that were set aside since they were damaged or missing.
    pub quarantined_parts: u64,
    /// Blocks that were found damaged.
    pub bad_blocks: u64,
    /// Segments of the log with damage inside, found at the start.
    pub wal_corruptions: u64,
    /// Milliseconds that opening took.
    pub replay_ms: u64,
}

/// Where figures come from that a store of any rows has.
pub(crate) struct Figures<'a> {
    pub(crate) wal: &'a Dir,
    pub(crate) log: &'a Log,
    pub(crate) set_aside: &'a AtomicU64,
}

impl Figures<'_> {
    /// The figures without those of tables and parts.
    pub(crate) fn metrics(&self, c: &Counters) -> ColumnarMetrics {
        let get = |a: &AtomicU64| a.load(Ordering::Relaxed);
        ColumnarMetrics {
            wal_bytes: self.wal.size().unwrap_or(0),
            wal: self.log.stats(),
            oldest_ns: i64::MAX,
            appended: get(&c.appended),
            duplicates: get(&c.duplicates),
            flushes: get(&c.flushes),
            flushes_failed: get(&c.flushes_failed),
            merges: get(&c.merges),
            merged_bytes: get(&c.merged_bytes),
            merges_failed: get(&c.merges_failed),
            parts_expired: get(&c.parts_expired),
            rows_deleted: get(&c.rows_deleted),
            bad_blocks: get(&c.bad_blocks),
            quarantined_parts: get(self.set_aside),
            wal_corruptions: get(&c.wal_corruptions),
            replay_ms: get(&c.replay_ms),
            ..ColumnarMetrics::default()
        }
    }
}

impl ColumnarMetrics {
    /// Adds a live part.
    pub(crate) fn add_part(&mut self, info: &PartInfo, bad_blocks: u64) {
        self.parts += 1;
        self.part_bytes += info.bytes;
        self.part_rows += info.rows;
        self.part_text_bytes += info.text_bytes;
        self.blocks += info.blocks;
        self.oldest_ns = self.oldest_ns.min(info.min_ns);
        self.bad_blocks += bad_blocks;
    }
}

impl Columnar {
    /// Figures for the metrics page.
    pub fn metrics(&self) -> ColumnarMetrics {
        let figures = Figures { wal: &self.wal, log: &self.log, set_aside: &self.catalog.set_aside };
        let mut out = figures.metrics(&self.counters);
        let state = self.state.read();
        for table in state.tables() {
            out.memory_rows += table.rows;
            out.memory_bytes += table.bytes;
            out.memory_streams += table.stream_count() as u64;
        }
        for part in state.parts.all() {
            out.add_part(&part.info, part.bad_blocks());
        }
        out
    }
}

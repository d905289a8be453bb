//! What can be configured.

use std::{collections::BTreeMap, time::Duration};

use reba_disk::LogConfig;
use reba_model::{Matcher, Tenant};

/// Configuration of a [`crate::Columnar`].
#[derive(Clone, Debug)]
pub struct ColumnarConfig {
    /// The table in memory is written to parts when it takes this many bytes.
    pub flush_bytes: u64,
    /// And when its oldest row has been there for so long.
    pub flush_age: Duration,
    /// Memory of the table that is filled and the one being written, together. When it is reached, appends wait.
    pub memory_bytes: u64,
    /// Parts are merged up to this size.
    pub max_part_bytes: u64,
    /// Parts are merged up to so many streams: their index is built in memory.
    pub max_part_streams: u64,
    /// Index pages and blocks that one batch may have read to find out which of its entries are stored already. Entries that
    /// are left over are taken; a merge may remove them.
    pub duplicate_reads: usize,
    /// The write-ahead log.
    pub wal: LogConfig,
    /// How long what is kept.
    pub retention: Retention,
}

impl Default for ColumnarConfig {
    fn default() -> Self {
        ColumnarConfig {
            flush_bytes: 40 << 20,
            flush_age: Duration::from_secs(30 * 60),
            memory_bytes: 128 << 20,
            max_part_bytes: 1 << 30,
            max_part_streams: 200_000,
            duplicate_reads: 256,
            wal: LogConfig::default(),
            retention: Retention::default(),
        }
    }
}

impl ColumnarConfig {
    /// The same with values out of range corrected.
    pub(crate) fn sane(mut self) -> Self {
        self.memory_bytes = self.memory_bytes.max(self.flush_bytes.saturating_mul(2));
        self
    }
}

/// How long logs are kept. The default is for ever.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    /// For tenants that have no periods of their own.
    pub periods: Periods,
    /// For the others.
    pub tenants: BTreeMap<Tenant, Periods>,
    /// When parts exceed this, the oldest are dropped.
    pub max_bytes: Option<u64>,
}

/// How long the logs of one tenant are kept.
#[derive(Clone, Debug, Default)]
pub struct Periods {
    /// Streams that no rule is about; `None` is for ever.
    pub keep: Option<Duration>,
    /// Streams that are kept for another time.
    pub rules: Vec<StreamPeriod>,
}

/// Streams that are kept for another time. Of the rules that match a stream those of the highest priority count, and of these the
/// one that keeps it for the shortest time.
#[derive(Clone, Debug)]
pub struct StreamPeriod {
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// Which rule counts.
    pub priority: i32,
    /// How long entries are kept.
    pub keep: Duration,
}

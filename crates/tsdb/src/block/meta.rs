//! What a block says of itself.

use reba_model::TimeRange;
use serde::{Deserialize, Serialize};

/// The content of `meta.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlockMeta {
    /// 1; 2 if it is downsampled, so that a program that knows nothing of that leaves it alone.
    pub(crate) version: u32,
    /// The block's number, also the name of its directory.
    pub(crate) number: u64,
    /// First millisecond of the span.
    pub(crate) min_time: i64,
    /// First millisecond behind the span.
    pub(crate) max_time: i64,
    pub(crate) series: u64,
    pub(crate) samples: u64,
    pub(crate) chunks: u64,
    /// 1: written from the head; higher: compacted so many times.
    pub(crate) level: u32,
    /// Blocks whose data is in this one; if they are still there they are superfluous.
    pub(crate) parents: Vec<u64>,
    /// Holds samples that came late: other blocks may cover the same span.
    pub(crate) out_of_order: bool,
    /// Number of the newest block of late samples whose data is in this one; 0: there is none.
    #[serde(default)]
    pub(crate) late: u64,
    /// Series were left out that the span has, or had: those that a rule keeps for a shorter time, for one.
    #[serde(default)]
    pub(crate) partial: bool,
    /// Milliseconds of the windows of a downsampled block; 0: samples as they came.
    #[serde(default)]
    pub(crate) resolution: i64,
}

impl BlockMeta {
    pub(crate) fn range(&self) -> TimeRange {
        TimeRange::new(self.min_time, self.max_time - 1)
    }

    /// Number of the newest block of late samples in it, which may be itself; 0: there is none.
    pub(crate) fn late(&self) -> u64 {
        if self.late == 0 && self.out_of_order { self.number } else { self.late }
    }

    /// Whether it holds samples as they came.
    pub(crate) fn is_raw(&self) -> bool {
        self.resolution == 0
    }

    /// The name of the directory.
    pub(crate) fn name(&self) -> String {
        block_name(self.number)
    }
}

pub(crate) fn block_name(number: u64) -> String {
    format!("{number:010}")
}

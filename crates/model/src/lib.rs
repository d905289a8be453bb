//! The nouns of metrics, logs and alerts, the chunk codecs, and pure algebra on samples and histograms.
//!
//! Conventions of the whole workspace:
//! - a time is an `i64` of Unix milliseconds, named `t` or ending in `_ms`; log entries have nanoseconds, `ns` or ending in `_ns`;
//! - a duration of the query languages is an `i64` of milliseconds;
//! - a [`TimeRange`] is closed at both ends.
//!
//! This crate knows no I/O, no async, no clock, no wire format and no configuration.

mod alert;
mod chunk;
pub mod duration;
pub mod float;
mod goregex;
pub mod histogram;
mod labels;
pub mod logfmt;
mod logs;
mod matcher;
mod metadata;
pub mod notation;
mod relabel;
mod rollup;
mod series;
pub mod spans;
mod texts;

pub use alert::{Alert, AlertBatch};
pub use chunk::{
    Chunk, ChunkBytes, ChunkError, MAX_CHUNK_SAMPLES, OpenChunk, RawColumns, encode_floats,
    encode_histograms, encode_rollups, encode_times, encode_values,
};
pub use goregex::{GoRegex, RegexError};
pub use histogram::{
    CUSTOM_BUCKETS_SCHEMA, Combined, CounterResetHint, Histogram, HistogramSum, IncompatibleSchemas, Span,
    Trim, kahan::add as kahan_add, parse_notation,
};
pub use labels::{
    Labels, LabelsBuilder, MAX_SERIES_LABELS, PackedPair, is_legacy_label_name, is_legacy_metric_name,
};
pub use logs::{
    Column, LogBatch, LogBatchFull, LogBlock, LogEntry, LogStream, NanoRange, Tenant, TenantError, TextColumn,
};
pub use matcher::{MatchOp, Matcher};
pub use metadata::{Metadata, MetricType};
pub use relabel::{NameScheme, Relabel, RelabelAction, RelabelError, RelabelSpec};
pub use rollup::{Downsampler, MAX_ROLLUP_GAP_MS, Rollup, merge_rollups};
pub use series::{Exemplar, HistogramSample, Sample, SampleColumns, Series, TimeRange};
pub use texts::Texts;

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";

/// Bits of the NaN that marks a series as stale, the same as upstream's.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Bits of the NaN that every other NaN is stored as.
pub const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// The staleness marker.
pub const STALE_NAN: f64 = f64::from_bits(STALE_NAN_BITS);

/// Whether `v` is the staleness marker, and not just any NaN.
#[inline]
pub fn is_stale_nan(v: f64) -> bool {
    v.to_bits() == STALE_NAN_BITS
}

//! From the bytes of a scraped page to a batch of samples.
//!
//! The scrape loop owns one [`ScrapeCache`] a target and does, for each page:
//!
//! ```text
//! match cache.apply(&page, &options, appender, &mut batch) {
//!     Ok(report) => appender.append(&batch, Partial)      // on UnknownSeries: cache.forget(), apply and append again
//!     Err(e)     => cache.fail(t, &mut batch)             // staleness markers for all that was seen; up = 0
//! }
//! ```
//!
//! and `cache.fail` too when there is no page at all, or when the target goes away.

use std::sync::Arc;

use reba_model::{Labels, Metadata, Relabel};
use reba_storage::{AppendError, MetricAppender, WriteBatch};
use thiserror::Error;

use crate::exposition::{ExpositionFormat, ParseError};

/// How the samples of a target are treated: what its scrape configuration says, in parsed form.
#[derive(Clone, Debug)]
pub struct PageOptions {
    /// Labels that the target gives to each of its series.
    pub target_labels: Labels,
    /// Whether a scraped label wins over the target's label of the same name.
    pub honor_labels: bool,
    /// Whether timestamps in the page count.
    pub honor_timestamps: bool,
    /// Whether a series with timestamps in the page gets a staleness marker too when it vanishes.
    pub track_timestamps_staleness: bool,
    /// Rules for the series.
    pub metric_relabel: Arc<[Relabel]>,
    /// Most samples after relabelling; 0: no limit.
    pub sample_limit: usize,
    /// Most buckets of a native histogram, which is merged to coarser ones until it fits; 0: no limit.
    pub bucket_limit: usize,
    /// Finest schema of a native histogram; finer ones are merged. `i32::MAX`: no limit.
    pub max_schema: i32,
    /// Most labels of a series; 0: no limit.
    pub label_limit: usize,
    /// Most bytes of a label's name; 0: no limit.
    pub label_name_length_limit: usize,
    /// Most bytes of a label's value; 0: no limit.
    pub label_value_length_limit: usize,
    /// Which names are valid.
    pub names: reba_model::NameScheme,
    /// Whether native histograms of protobuf pages are kept.
    pub native_histograms: bool,
    /// Whether the classic series of a native histogram are kept beside it.
    pub always_classic: bool,
    /// The format of pages whose Content-Type says nothing known.
    pub fallback: Option<ExpositionFormat>,
}

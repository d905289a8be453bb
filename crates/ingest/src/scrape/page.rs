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

mod draft;
mod nhcb;
mod previous;
mod proto;
mod resolve;
mod text;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use reba_model::{Labels, Metadata, NameScheme, Relabel, STALE_NAN};
use reba_storage::{AppendError, FloatSample, MetricAppender, SeriesRef, WriteBatch};
use thiserror::Error;

use self::{draft::Line, previous::Previous, resolve::Resolver};
use crate::exposition::{ContentTypeError, ExpositionFormat, LabelsError, ParseError, TextParser};

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
    pub names: NameScheme,
    /// Whether native histograms of protobuf pages are kept.
    pub native_histograms: bool,
    /// Whether the classic series of a native histogram are kept beside it.
    pub always_classic: bool,
    /// Whether classic histograms become native ones with custom buckets.
    pub convert_classic: bool,
    /// The format of pages whose Content-Type says nothing known.
    pub fallback: Option<ExpositionFormat>,
}

/// A page as a target sent it.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The body, decompressed.
    pub bytes: &'a [u8],
    /// The Content-Type header, or empty.
    pub content_type: &'a str,
    /// Time of the scrape, for samples that have none of their own.
    pub t: i64,
}

/// What a page held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageReport {
    /// Samples in the page: `scrape_samples_scraped`.
    pub scraped: usize,
    /// Samples that relabelling left: `scrape_samples_post_metric_relabeling`.
    pub post_relabel: usize,
    /// Series that the page before did not have: `scrape_series_added`.
    pub series_added: usize,
    /// Samples dropped because their series stands twice in the page.
    pub duplicates: usize,
    /// Samples dropped because their time lies too far in the future.
    pub out_of_bounds: usize,
}

/// Why a page as a whole is refused. Nothing of it is written; the loop calls [`ScrapeCache::fail`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PageError {
    /// The format is not known.
    #[error(transparent)]
    ContentType(#[from] ContentTypeError),
    /// The bytes are not of the format.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The labels of a series cannot be used.
    #[error(transparent)]
    Labels(#[from] LabelsError),
    /// Relabelling took the name.
    #[error("missing metric name (__name__ label)")]
    NameMissing,
    /// A name is not valid.
    #[error("invalid metric name or label names: {0}")]
    InvalidName(String),
    /// A label limit was passed; the text says which, and by which series.
    #[error("{0}")]
    LabelLimit(String),
    /// More samples than `sample_limit`.
    #[error("sample limit exceeded")]
    SampleLimit(PageReport),
    /// A native histogram does not fit into `native_histogram_bucket_limit` in any resolution.
    #[error("histogram bucket limit exceeded")]
    BucketLimit(PageReport),
    /// A native histogram contradicts itself.
    #[error("histogram {0:?}: {1}")]
    Histogram(String, String),
    /// The labels of all samples of a protobuf page together take too much memory.
    #[error("body size limit exceeded by the labels of its samples")]
    TooLarge,
    /// The store takes no new series.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl PageError {
    /// What was counted before the page was refused, as far as upstream reports it.
    pub fn report(&self) -> PageReport {
        match self {
            PageError::SampleLimit(report) | PageError::BucketLimit(report) => *report,
            _ => PageReport::default(),
        }
    }
}

/// How far in the future a sample may lie: ten minutes, as upstream.
const MAX_AHEAD_MS: i64 = 600_000;

/// What is remembered of a target from page to page.
///
/// A page is compared with the one before entry by entry. An entry with the same bytes is not parsed at all, one of the
/// same series only behind the series; series are looked up by their bytes only when the order changes. Memory:
/// the page itself and 32 bytes an entry.
#[derive(Debug, Default)]
pub struct ScrapeCache {
    /// Text: the page. Protobuf: the names of the series one behind the other.
    bytes: Vec<u8>,
    lines: Vec<Line>,
    format: Option<ExpositionFormat>,
    metadata: Arc<BTreeMap<String, Metadata>>,
}

impl ScrapeCache {
    /// A cache that has seen no page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a page into `batch`, which is cleared first: its samples, and staleness markers for the series that the
    /// page before had and this one has not. After an error the batch holds nothing to be written, and the cache is as
    /// it was before.
    ///
    /// Creates new series in the store, but none beyond the sample limit.
    pub fn apply(
        &mut self,
        page: &Page<'_>,
        options: &PageOptions,
        appender: &dyn MetricAppender,
        batch: &mut WriteBatch,
    ) -> Result<PageReport, PageError> {
        batch.clear();
        if page.bytes.is_empty() {
            self.fail(page.t, batch);
            return Ok(PageReport::default());
        }
        let format = ExpositionFormat::of_content_type(page.content_type, options.fallback)?;
        let previous = if self.format == Some(format) {
            Previous::new(&self.bytes, &self.lines)
        } else {
            Previous::new(&[], &[])
        };
        let mut resolver = Resolver::new(options, appender);
        let parser = match format {
            ExpositionFormat::Text => Some(TextParser::text(page.bytes)),
            ExpositionFormat::OpenMetrics => Some(TextParser::openmetrics(page.bytes)),
            ExpositionFormat::Protobuf => None,
        };
        let mut draft = match parser {
            Some(parser) if options.convert_classic => nhcb::read(parser, previous, &mut resolver)?,
            Some(parser) => text::read(parser, page.bytes, previous, &mut resolver)?,
            None => proto::read(page.bytes, previous, &mut resolver)?,
        };
        draft.changed |= draft.lines.len() != self.lines.len() || self.format != Some(format);
        if draft.changed {
            draft.mark_duplicates();
        }
        let report = draft.write(page.t, &resolver, batch)?;
        if draft.changed {
            self.mark_vanished(&draft.lines, page.t, batch);
        }
        if let Some(metadata) = draft.metadata.take() {
            self.metadata = Arc::new(metadata);
        }
        let bytes = draft.bytes.as_deref().unwrap_or(page.bytes);
        self.bytes.clear();
        self.bytes.reserve_exact(bytes.len());
        self.bytes.extend_from_slice(bytes);
        self.lines = draft.lines;
        self.lines.shrink_to_fit();
        self.format = Some(format);
        Ok(report)
    }

    /// Adds staleness markers for all series of the page before to `batch`, and forgets them: the target could not be
    /// scraped, or its page was refused, or it is gone.
    pub fn fail(&mut self, t: i64, batch: &mut WriteBatch) {
        batch.clear();
        self.mark_vanished(&[], t, batch);
        self.forget();
    }

    /// Forgets every series without a marker: references that the store does not know any more are asked for again.
    /// Keeps the metadata.
    pub fn forget(&mut self) {
        self.bytes = Vec::new();
        self.lines = Vec::new();
        self.format = None;
    }

    /// Type, help and unit of the metric families of the last page, by name.
    pub fn metadata(&self) -> Arc<BTreeMap<String, Metadata>> {
        Arc::clone(&self.metadata)
    }

    /// Series that would get a marker if they vanished now.
    pub fn series(&self) -> usize {
        self.lines.iter().filter(|l| l.is_tracked()).count()
    }

    /// Whether there is no page before.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Bytes of the page before.
    pub fn page_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of memory that the cache holds beside the metadata.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.lines.capacity() * size_of::<Line>()
    }

    fn mark_vanished(&self, now: &[Line], t: i64, batch: &mut WriteBatch) {
        let tracked = |lines: &[Line]| -> HashSet<SeriesRef, xxhash_rust::xxh3::Xxh3DefaultBuilder> {
            lines.iter().filter(|l| l.is_tracked()).filter_map(Line::series_ref).collect()
        };
        let mut known = tracked(now);
        for series in self.lines.iter().filter(|l| l.is_tracked()).filter_map(Line::series_ref) {
            // A series that stood twice in the page before gets one marker.
            if known.insert(series) {
                batch.floats.push(FloatSample { series, t, v: STALE_NAN });
            }
        }
    }
}

#[cfg(test)]
mod tests;

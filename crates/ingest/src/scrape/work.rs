//! What is done with a page: parsed, reported, written. None of it runs on the runtime's workers.

use std::{sync::Arc, time::Instant};

use parking_lot::Mutex;
use reba_http::{BodyBuffer, HeldMemory, HttpError, MemoryExceeded, SharedMemory};
use reba_model::Relabel;
use reba_storage::{AppendMode, AppendReport, MetricAppender, RejectReason, WriteBatch};

use super::{
    ScrapeMetrics, Shared, Target,
    metrics::add,
    page::{Page, PageError, PageOptions, PageReport, ScrapeCache},
    report::{Report, ReportSeries},
    request::ScrapeError,
    status::TargetMetadata,
};
use crate::{
    config::{ScrapeConfig, ScrapeProtocol},
    exposition::ExpositionFormat,
};

/// What a target's loop keeps from scrape to scrape. It survives a reload that restarts the loop.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Lent for one scrape; empty in between.
    pub scratch: Scratch,
    cache: ScrapeCache,
    /// What the cache takes of the memory for pages.
    kept: HeldMemory,
    series: ReportSeries,
    /// Samples of the scrape before were out of order.
    is_behind: bool,
}

/// Memory for a page and for what becomes of it.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub buffer: BodyBuffer,
    batch: WriteBatch,
}

/// Scratch memory that scrapes pass on to each other: few are at work at a time, and ten thousand targets need not
/// each keep room for a page.
#[derive(Debug)]
pub(crate) struct Scratches {
    free: Mutex<Vec<Scratch>>,
    keep: usize,
}

/// Memory for a page larger than this is given back rather than kept.
const KEEP_BYTES: usize = 16 << 20;

/// A page up to this size is parsed and written where it was fetched; larger ones would make other targets wait.
const LIGHT_BYTES: usize = 256 << 10;

impl Scratches {
    /// Keeps at most `keep` of them.
    pub fn new(keep: usize) -> Self {
        Scratches { free: Mutex::new(Vec::new()), keep }
    }

    pub fn take(&self) -> Scratch {
        self.free.lock().pop().unwrap_or_default()
    }

    pub fn put(&self, mut scratch: Scratch) {
        scratch.buffer.held = HeldMemory::default();
        let mut free = self.free.lock();
        if free.len() < self.keep && scratch.buffer.data.capacity() <= KEEP_BYTES {
            free.push(scratch);
        }
    }
}

/// What does not change between the scrapes of one loop.
pub(crate) struct Plan {
    pub store: Arc<dyn MetricAppender>,
    pub metrics: Arc<ScrapeMetrics>,
    pub memory: SharedMemory,
    pub options: PageOptions,
    pub timeout_seconds: f64,
    pub extra_metrics: bool,
}

/// A Content-Type (the page stands in the buffer), or why there is none.
pub(crate) type Fetched = Result<String, ScrapeError>;

/// What a scrape came to.
pub(crate) struct Outcome {
    pub error: Option<ScrapeError>,
    pub metadata: TargetMetadata,
    pub duration: std::time::Duration,
    /// How many samples were out of order, if those of the scrape before were not.
    pub fell_behind: Option<usize>,
}

impl Plan {
    pub fn new(config: &ScrapeConfig, target: &Target, rules: Arc<[Relabel]>, shared: &Shared) -> Self {
        let limits = &config.limits;
        Plan {
            store: Arc::clone(&shared.store),
            metrics: Arc::clone(&shared.metrics),
            memory: shared.memory.clone(),
            options: PageOptions {
                target_labels: target.labels.clone(),
                honor_labels: config.honor_labels,
                honor_timestamps: config.honor_timestamps,
                track_timestamps_staleness: config.track_timestamps_staleness,
                metric_relabel: rules,
                sample_limit: limits.sample_limit as usize,
                bucket_limit: config.native_histogram_bucket_limit as usize,
                max_schema: max_schema(config.native_histogram_min_bucket_factor),
                label_limit: limits.label_limit as usize,
                label_name_length_limit: limits.label_name_length_limit as usize,
                label_value_length_limit: limits.label_value_length_limit as usize,
                names: config.name_scheme,
                native_histograms: config.scrape_native_histograms,
                always_classic: config.always_scrape_classic_histograms,
                convert_classic: config.convert_classic_histograms_to_nhcb,
                // A page that does not say what it is counts as text, as in 2.48: 3.x fails it, and with it targets that
                // the owner's installation has scraped all the time.
                fallback: config.fallback_scrape_protocol.map(format).or(Some(ExpositionFormat::Text)),
            },
            timeout_seconds: target.timeout.as_secs_f64(),
            extra_metrics: config.extra_scrape_metrics,
        }
    }
}

fn format(protocol: ScrapeProtocol) -> ExpositionFormat {
    match protocol {
        ScrapeProtocol::PrometheusProto => ExpositionFormat::Protobuf,
        ScrapeProtocol::PrometheusText0_0_4 | ScrapeProtocol::PrometheusText1_0_0 => ExpositionFormat::Text,
        ScrapeProtocol::OpenMetricsText0_0_1 | ScrapeProtocol::OpenMetricsText1_0_0 => {
            ExpositionFormat::OpenMetrics
        }
    }
}

/// The finest schema whose buckets grow by at least `factor`; no limit if that is zero.
fn max_schema(factor: f64) -> i32 {
    if factor <= 1.0 {
        return i32::MAX;
    }
    (-factor.log2().log2()).floor().clamp(-4.0, 8.0) as i32
}

/// So much of each target's page is always taken, whatever the others hold.
const FREE_BYTES: u64 = LIGHT_BYTES as u64;

/// What becomes of a line of a page takes so much until it is written: an entry of the cache and a sample.
const LINE_BYTES: u64 = 80;

/// No message of a protobuf page that makes a sample is shorter.
const PROTOBUF_SAMPLE_BYTES: u64 = 16;

impl Work {
    /// Gets ready for a page: memory to read it into. A page no larger than the one before is never refused.
    pub fn begin(&mut self, mut scratch: Scratch, plan: &Plan) {
        if !self.kept.is_limited() {
            self.kept = plan.memory.hold(FREE_BYTES);
        }
        scratch.buffer.held = plan.memory.hold(FREE_BYTES.max(self.cache.page_bytes() as u64));
        self.scratch = scratch;
    }

    /// Whether what was fetched can be taken in within about half a millisecond.
    pub fn is_light(&self, fetched: &Fetched) -> bool {
        let page = if fetched.is_ok() { self.scratch.buffer.data.len() } else { 0 };
        // Series that were never seen cost twenty times as much.
        page.max(self.cache.page_bytes()) <= LIGHT_BYTES && (page == 0 || !self.cache.is_empty())
    }

    /// Takes in what was fetched for time `t`.
    pub fn absorb(&mut self, fetched: Fetched, t: i64, began: Instant, plan: &Plan) -> Outcome {
        let fetched = fetched.map(Some);
        let result = self.write(&fetched, t, began, plan);
        let (error, late) = match (fetched, result) {
            (Err(e), Ok(late)) => (Some(e), late),
            (Err(e), _) | (Ok(_), Err(e)) => (Some(e), 0),
            (Ok(_), Ok(late)) => (None, late),
        };
        add(&plan.metrics.scrapes, 1);
        if let Some(e) = &error {
            add(&plan.metrics.scrape_failures, 1);
            if matches!(e, ScrapeError::Http(HttpError::TooLarge { .. })) {
                add(&plan.metrics.exceeded_body_size_limit, 1);
            }
        }
        let fell_behind = (late > 0 && !self.is_behind).then_some(late);
        self.is_behind = late > 0;
        Outcome { error, metadata: self.cache.metadata(), duration: began.elapsed(), fell_behind }
    }

    /// Returns how many samples were out of order.
    fn write(
        &mut self,
        fetched: &Result<Option<String>, ScrapeError>,
        t: i64,
        began: Instant,
        plan: &Plan,
    ) -> Result<usize, ScrapeError> {
        let page = self.read(fetched, t, plan);
        let appended = self.append(&page, fetched, t, began, plan)?;
        if appended.rejected.iter().any(|r| r.reason == RejectReason::UnknownSeries) {
            // The store has dropped series that we still knew by reference; all is looked up anew, once.
            self.cache.forget();
            self.series.forget();
            let page = self.read(fetched, t, plan);
            let appended = self.append(&page, fetched, t, began, plan)?;
            let late = count(&appended, &plan.metrics);
            return page.map(|_| late);
        }
        let late = count(&appended, &plan.metrics);
        page.map(|_| late)
    }

    /// Turns the page into the batch, or into the markers of a failed scrape.
    fn read(
        &mut self,
        fetched: &Result<Option<String>, ScrapeError>,
        t: i64,
        plan: &Plan,
    ) -> Result<PageReport, ScrapeError> {
        let Ok(Some(content_type)) = fetched else {
            self.cache.fail(t, &mut self.scratch.batch);
            let _ = self.kept.resize(0);
            return Ok(PageReport::default());
        };
        if let Err(e) = self.hold_lines(content_type) {
            self.cache.fail(t, &mut self.scratch.batch);
            return Err(e.into());
        }
        let page = Page { bytes: &self.scratch.buffer.data, content_type, t };
        match self.cache.apply(&page, &plan.options, &*plan.store, &mut self.scratch.batch) {
            Ok(report) => {
                if let Err(e) = self.kept.resize(self.cache.memory_bytes() as u64) {
                    self.cache.fail(t, &mut self.scratch.batch);
                    return Err(e.into());
                }
                add(&plan.metrics.duplicate_timestamp, report.duplicates as u64);
                add(&plan.metrics.out_of_bounds, report.out_of_bounds as u64);
                Ok(report)
            }
            Err(e) => {
                match &e {
                    PageError::SampleLimit(_) => add(&plan.metrics.exceeded_sample_limit, 1),
                    PageError::LabelLimit(_) => add(&plan.metrics.exceeded_label_limits, 1),
                    _ => {}
                }
                self.cache.fail(t, &mut self.scratch.batch);
                Err(ScrapeError::Page(e))
            }
        }
    }

    /// Makes sure that there is memory for what becomes of a large page.
    fn hold_lines(&mut self, content_type: &str) -> Result<(), MemoryExceeded> {
        let page = self.scratch.buffer.data.as_slice();
        let bytes = page.len() as u64;
        if bytes <= FREE_BYTES {
            return Ok(());
        }
        let lines = if content_type.starts_with("application/vnd.google.protobuf") {
            bytes / PROTOBUF_SAMPLE_BYTES
        } else {
            memchr::memchr_iter(b'\n', page).count() as u64
        };
        self.scratch.buffer.held.resize(bytes + lines * LINE_BYTES)
    }

    /// Adds the report and writes everything together.
    fn append(
        &mut self,
        page: &Result<PageReport, ScrapeError>,
        fetched: &Result<Option<String>, ScrapeError>,
        t: i64,
        began: Instant,
        plan: &Plan,
    ) -> Result<AppendReport, ScrapeError> {
        let counts = match page {
            Ok(report) => *report,
            Err(ScrapeError::Page(e)) => e.report(),
            Err(_) => PageReport::default(),
        };
        let body_bytes = match fetched {
            Ok(_) => self.scratch.buffer.data.len() as f64,
            Err(ScrapeError::Http(HttpError::TooLarge { .. })) => -1.0,
            Err(_) => 0.0,
        };
        let report = Report {
            up: page.is_ok() && fetched.is_ok(),
            duration_seconds: began.elapsed().as_secs_f64(),
            scraped: counts.scraped,
            post_relabel: counts.post_relabel,
            series_added: counts.series_added,
            timeout_seconds: plan.timeout_seconds,
            sample_limit: plan.options.sample_limit as u64,
            body_bytes,
        };
        self.add_report(Some(&report), t, plan)?;
        Ok(plan.store.append(&self.scratch.batch, AppendMode::Partial)?)
    }

    fn add_report(&mut self, report: Option<&Report>, t: i64, plan: &Plan) -> Result<(), ScrapeError> {
        let labels = &plan.options.target_labels;
        self.series.write(report, t, labels, plan.extra_metrics, &*plan.store, &mut self.scratch.batch)?;
        Ok(())
    }

    /// Marks all series of a target that is gone as stale.
    pub fn end(&mut self, t: i64, plan: &Plan) -> Result<(), ScrapeError> {
        self.cache.fail(t, &mut self.scratch.batch);
        self.add_report(None, t, plan)?;
        // Where the target has come back meanwhile, its newer samples make the markers too old: so it must be.
        plan.store.append(&self.scratch.batch, AppendMode::Partial)?;
        Ok(())
    }
}

/// Counts what was rejected; returns how much of it was out of order.
fn count(report: &AppendReport, metrics: &ScrapeMetrics) -> usize {
    for r in &report.rejected {
        match r.reason {
            RejectReason::OutOfOrder => add(&metrics.out_of_order, 1),
            RejectReason::DuplicateTimestamp => add(&metrics.duplicate_timestamp, 1),
            RejectReason::TooOld | RejectReason::OutOfBounds => add(&metrics.out_of_bounds, 1),
            RejectReason::ExemplarOutOfOrder => add(&metrics.exemplar_out_of_order, 1),
            RejectReason::UnknownSeries | RejectReason::InvalidHistogram => {}
        }
    }
    report
        .rejected
        .iter()
        .filter(|r| matches!(r.reason, RejectReason::OutOfOrder | RejectReason::TooOld))
        .count()
}

//! What is done with a page: parsed, reported, written. None of it runs on the runtime's workers.

use std::{sync::Arc, time::Instant};

use parking_lot::Mutex;
use reba_http::{BodyBuffer, HttpError};
use reba_model::Relabel;
use reba_storage::{AppendMode, AppendReport, MetricAppender, RejectReason, WriteBatch};

use super::{
    ScrapeMetrics, Target,
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
    series: ReportSeries,
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

impl Scratches {
    /// Keeps at most `keep` of them.
    pub fn new(keep: usize) -> Self {
        Scratches { free: Mutex::new(Vec::new()), keep }
    }

    pub fn take(&self) -> Scratch {
        self.free.lock().pop().unwrap_or_default()
    }

    pub fn put(&self, scratch: Scratch) {
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
    pub options: PageOptions,
    pub timeout_seconds: f64,
    pub extra_metrics: bool,
}

/// What a scrape came to.
pub(crate) struct Outcome {
    pub error: Option<ScrapeError>,
    pub metadata: TargetMetadata,
    pub duration: std::time::Duration,
}

impl Plan {
    pub fn new(
        config: &ScrapeConfig,
        target: &Target,
        rules: Arc<[Relabel]>,
        store: Arc<dyn MetricAppender>,
        metrics: Arc<ScrapeMetrics>,
    ) -> Self {
        let limits = &config.limits;
        Plan {
            store,
            metrics,
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

impl Work {
    /// Takes in what was fetched for time `t`: a Content-Type (the page stands in the buffer), or why there is none.
    pub fn absorb(
        &mut self,
        fetched: Result<String, ScrapeError>,
        t: i64,
        began: Instant,
        plan: &Plan,
    ) -> Outcome {
        let fetched = fetched.map(Some);
        let result = self.write(&fetched, t, began, plan);
        let error = match (fetched, result) {
            (Err(e), _) | (Ok(_), Err(e)) => Some(e),
            (Ok(_), Ok(())) => None,
        };
        add(&plan.metrics.scrapes, 1);
        if let Some(e) = &error {
            add(&plan.metrics.scrape_failures, 1);
            if matches!(e, ScrapeError::Http(HttpError::TooLarge { .. })) {
                add(&plan.metrics.exceeded_body_size_limit, 1);
            }
        }
        Outcome { error, metadata: self.cache.metadata(), duration: began.elapsed() }
    }

    fn write(
        &mut self,
        fetched: &Result<Option<String>, ScrapeError>,
        t: i64,
        began: Instant,
        plan: &Plan,
    ) -> Result<(), ScrapeError> {
        let page = self.read(fetched, t, plan);
        let appended = self.append(&page, fetched, t, began, plan)?;
        if appended.rejected.iter().any(|r| r.reason == RejectReason::UnknownSeries) {
            // The store has dropped series that we still knew by reference; all is looked up anew, once.
            self.cache.forget();
            self.series.forget();
            let page = self.read(fetched, t, plan);
            let appended = self.append(&page, fetched, t, began, plan)?;
            count(&appended, &plan.metrics);
            return page.map(drop);
        }
        count(&appended, &plan.metrics);
        page.map(drop)
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
            return Ok(PageReport::default());
        };
        let page = Page { bytes: &self.scratch.buffer.data, content_type, t };
        match self.cache.apply(&page, &plan.options, &*plan.store, &mut self.scratch.batch) {
            Ok(report) => {
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

fn count(report: &AppendReport, metrics: &ScrapeMetrics) {
    for r in &report.rejected {
        match r.reason {
            RejectReason::OutOfOrder => add(&metrics.out_of_order, 1),
            RejectReason::DuplicateTimestamp => add(&metrics.duplicate_timestamp, 1),
            RejectReason::TooOld | RejectReason::OutOfBounds => add(&metrics.out_of_bounds, 1),
            RejectReason::ExemplarOutOfOrder => add(&metrics.exemplar_out_of_order, 1),
            RejectReason::UnknownSeries | RejectReason::InvalidHistogram => {}
        }
    }
}

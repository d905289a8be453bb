//! Metrics of OTLP: what a request becomes in the store.
//!
//! Names, labels and types are translated as upstream's receiver does it. It differs in what becomes of a request that is
//! wrong in part: upstream stores nothing of it, here everything else is stored, and the answer says what was refused and
//! why, as OTLP has it.

mod histogram;
mod labels;
mod point;
mod walk;

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use reba_model::Metadata;
use reba_storage::{AppendError, AppendReport, MetricAppender, WriteBatch};

use self::{
    labels::Rules,
    walk::{Sink, Target},
};
use super::{OtlpError, body::Encoding, schema};
use crate::{
    config::OtlpConfig,
    push::append_in_part,
    pushed_metadata::{PushedMetadata, Said},
    series_cache::SeriesCache,
    wire::WireError,
};

/// How far in the future a sample may lie: ten minutes, as upstream.
const MAX_AHEAD_MS: i64 = 600_000;

/// Most bytes of a request after decompression, as upstream.
pub const MAX_BYTES: usize = 32 << 20;

/// Most samples, buckets of native histograms and exemplars of a request. A data point takes two bytes at least, and some
/// hundred here.
const MAX_SAMPLES: usize = 1 << 20;

/// Reasons that are spelt out; more are only counted.
const MAX_REASONS: usize = 10;

/// Working memory that is kept for the next request; more requests at a time than this allocate their own.
const POOLED: usize = 8;

/// A batch that grew beyond so many samples is not kept.
const KEEP_SAMPLES: usize = 100_000;

/// What a receiver is told at its start.
#[derive(Clone, Copy, Debug)]
pub struct OtlpOptions {
    /// How far back queries look, in milliseconds: `target_info` has a sample twice as often.
    pub lookback_ms: i64,
    /// Series that are recognised without decoding their labels; about 40 bytes of memory each.
    pub max_cached_series: usize,
    /// Seed of the hash by which they are recognised: a random number of this process.
    pub hash_seed: u64,
}

/// What a request wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtlpWritten {
    /// Samples in the store, floats and native histograms, those of `target_info` too.
    pub samples: usize,
    /// Data points of which nothing, or not everything, is in the store.
    pub refused: u64,
    /// Why, one reason a line; empty if nothing was refused.
    pub reason: String,
}

/// Why something is not written.
#[derive(Debug)]
enum Problem {
    /// This data point (metric, scope, resource) cannot be; others can.
    Item(String),
    /// The bytes are no message.
    Wire(WireError),
    /// Nothing can be written.
    Request(OtlpError),
}

impl From<WireError> for Problem {
    fn from(e: WireError) -> Self {
        match e {
            WireError::Depth => Problem::Item("attribute values are nested too deeply".to_owned()),
            _ => Problem::Wire(e),
        }
    }
}

impl From<AppendError> for Problem {
    fn from(e: AppendError) -> Self {
        match e {
            // Series that exist are still written.
            AppendError::Limit { .. } => Problem::Item(e.to_string()),
            _ => Problem::Request(e.into()),
        }
    }
}

/// The rules in force and the series that were made by them.
struct Translation {
    rules: Rules,
    cache: SeriesCache,
}

/// Counters since the start.
#[derive(Debug, Default)]
pub struct OtlpMetrics {
    /// Data points that were refused.
    pub refused_points: AtomicU64,
    /// Exemplars that were dropped since their series has a newer one
    /// (`prometheus_api_otlp_out_of_order_exemplars_total`).
    pub exemplars_out_of_order: AtomicU64,
}

/// Receives metrics.
pub struct OtlpReceiver {
    appender: Arc<dyn MetricAppender>,
    options: OtlpOptions,
    translation: ArcSwap<Translation>,
    pool: Mutex<Vec<WriteBatch>>,
    metrics: OtlpMetrics,
    metadata: PushedMetadata,
}

impl OtlpReceiver {
    /// A receiver that writes to `appender`.
    pub fn new(appender: Arc<dyn MetricAppender>, options: OtlpOptions, config: OtlpConfig) -> Self {
        let translation = ArcSwap::new(Self::translation(options, config));
        OtlpReceiver {
            appender,
            options,
            translation,
            pool: Mutex::default(),
            metrics: OtlpMetrics::default(),
            metadata: PushedMetadata::default(),
        }
    }

    fn translation(options: OtlpOptions, config: OtlpConfig) -> Arc<Translation> {
        let cache = SeriesCache::new(options.max_cached_series, options.hash_seed);
        Arc::new(Translation { rules: Rules::new(config), cache })
    }

    /// Translates by `config` from now on.
    pub fn apply(&self, config: &OtlpConfig) {
        if self.translation.load().rules.config != *config {
            self.translation.store(Self::translation(self.options, config.clone()));
        }
    }

    /// What senders say of their metric families.
    pub fn metadata(&self) -> &PushedMetadata {
        &self.metadata
    }

    /// Counters.
    pub fn metrics(&self) -> &OtlpMetrics {
        &self.metrics
    }

    /// Writes the `ExportMetricsServiceRequest` in the body of a request. `now` (Unix milliseconds) bounds how far ahead
    /// a sample may lie. May block for the store's log: call it where blocking is allowed.
    pub fn handle(
        &self,
        encoding: Encoding,
        body: &[u8],
        content_encoding: &str,
        now: i64,
    ) -> Result<OtlpWritten, OtlpError> {
        let message = encoding.message(body, content_encoding, MAX_BYTES, &schema::METRICS_REQUEST)?;
        self.write(&message, now)
    }

    /// Writes an `ExportMetricsServiceRequest` in protobuf, else as [`OtlpReceiver::handle`].
    pub fn write(&self, message: &[u8], now: i64) -> Result<OtlpWritten, OtlpError> {
        let mut batch = self.pool.lock().pop().unwrap_or_default();
        let result = self.write_batch(message, now, &mut batch);
        if batch.floats.capacity() <= KEEP_SAMPLES && batch.histograms.capacity() <= KEEP_SAMPLES {
            batch.clear();
            let mut pool = self.pool.lock();
            if pool.len() < POOLED {
                pool.push(batch);
            }
        }
        let result = result.map_err(|problem| explain(problem, message));
        if let Ok(written) = &result {
            self.metrics.refused_points.fetch_add(written.refused, Ordering::Relaxed);
        }
        result
    }

    fn write_batch(&self, message: &[u8], now: i64, batch: &mut WriteBatch) -> Result<OtlpWritten, Problem> {
        let translation = self.translation.load_full();
        let mut use_cache = true;
        loop {
            batch.clear();
            let target = Target {
                appender: &*self.appender,
                rules: &translation.rules,
                cache: &translation.cache,
                use_cache,
                latest: now.saturating_add(MAX_AHEAD_MS),
                info_step: (self.options.lookback_ms / 2).max(1),
            };
            let mut sink = Sink::new(target, batch);
            sink.request(message)?;
            let walked = sink.done();
            let report = append_in_part(&*self.appender, batch, &translation.cache, use_cache);
            let Some(report) = report.map_err(|e| Problem::Request(e.into()))? else {
                use_cache = false;
                continue;
            };
            let said = walked.metrics.iter().map(|m| (m.name.as_str(), Said::of(&m.metadata)));
            self.metadata.note(said, now);
            return Ok(self.outcome(walked, &report, batch));
        }
    }

    /// Counts the data points that the store refused, together with those that never got there.
    fn outcome(&self, mut walked: Walked, report: &AppendReport, batch: &WriteBatch) -> OtlpWritten {
        let mut points = HashSet::new();
        let mut exemplars = 0;
        for r in &report.rejected {
            let owner = match r.index {
                i if i < batch.floats.len() => walked.floats.get(i),
                i if i < batch.samples() => walked.histograms.get(i - batch.floats.len()),
                _ => {
                    exemplars += 1;
                    continue;
                }
            };
            // Samples of `target_info` are nobody's.
            if let Some(Some(point)) = owner.copied()
                && points.insert(point)
            {
                let name = walked.name_of(point).to_owned();
                walked.refusals.add(1, || format!("{name}: {}", r.reason));
            }
        }
        self.metrics.exemplars_out_of_order.fetch_add(exemplars, Ordering::Relaxed);
        OtlpWritten {
            samples: report.appended,
            refused: walked.refusals.count,
            reason: walked.refusals.reasons.join("\n"),
        }
    }
}

impl std::fmt::Debug for OtlpReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OtlpReceiver").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What is to be said to the sender.
fn explain(problem: Problem, message: &[u8]) -> OtlpError {
    match problem {
        Problem::Request(e) => e,
        Problem::Wire(e) => {
            let place = schema::locate(message, &schema::METRICS_REQUEST);
            let (offset, within, e) = place.unwrap_or((0, "ExportMetricsServiceRequest", e));
            OtlpError::Malformed { offset, reason: format!("{e} ({within})") }
        }
        Problem::Item(reason) => OtlpError::Malformed { offset: 0, reason },
    }
}

/// The number of a data point in its request.
type PointNumber = u32;

/// What is known of a request besides its batch.
#[derive(Debug, Default)]
struct Walked {
    /// The point behind each float.
    floats: Vec<Option<PointNumber>>,
    /// The point behind each native histogram.
    histograms: Vec<Option<PointNumber>>,
    /// Metrics, the numbers of their first points rising.
    metrics: Vec<WalkedMetric>,
    refusals: Refusals,
}

/// A metric of a request.
#[derive(Debug)]
struct WalkedMetric {
    /// The number of its first point.
    first: PointNumber,
    /// Its name in the store.
    name: String,
    metadata: Metadata,
}

impl Walked {
    fn name_of(&self, point: PointNumber) -> &str {
        let after = self.metrics.partition_point(|m| m.first <= point);
        self.metrics.get(after.wrapping_sub(1)).map_or("", |m| &m.name)
    }
}

/// What was refused, and why.
#[derive(Debug, Default)]
struct Refusals {
    count: u64,
    reasons: Vec<String>,
}

impl Refusals {
    fn add(&mut self, points: u64, reason: impl FnOnce() -> String) {
        self.count += points;
        if points > 0 && self.reasons.len() < MAX_REASONS {
            let reason = reason();
            if !self.reasons.contains(&reason) {
                self.reasons.push(reason);
            }
        }
    }
}

#[cfg(test)]
mod tests;

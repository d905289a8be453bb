//! InfluxDB's line protocol, as Telegraf and many devices write it.
//!
//! A field becomes a series `{measurement}_{field}` with the tags as labels, as VictoriaMetrics does it: booleans are 0
//! and 1, texts are left out unless they are numbers, and the parameter `db` becomes a label. A line with a fault is
//! refused as a whole, and the answer names its number.

mod parse;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use reba_model::{LabelsBuilder, MAX_SERIES_LABELS, METRIC_NAME};
use reba_storage::{AppendError, AppendReport, FloatSample, MetricAppender, SeriesRef, WriteBatch};
use thiserror::Error;

use self::parse::{Line, Lines};
use crate::{
    otlp::{OtlpError, body::decompress},
    push::append_in_part,
    series_cache::{Key, SeriesCache},
};

/// How far in the future a sample may lie: ten minutes, as in remote write.
const MAX_AHEAD_MS: i64 = 600_000;

/// Most bytes of a request after decompression.
const MAX_BYTES: usize = 32 << 20;

/// Most samples of a request. One takes four bytes at least.
const MAX_SAMPLES: usize = 1 << 20;

/// Most bytes of the labels of one series.
const MAX_LABEL_BYTES: usize = 1 << 20;

/// Most bytes of the labels of all new series of a request: the tags of a line stand in it once for all its fields.
const MAX_REQUEST_LABEL_BYTES: usize = 128 << 20;

/// Reasons that are spelt out; more are only counted.
const MAX_REASONS: usize = 10;

/// The unit of timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Not said: by the size of each.
    Unknown,
    /// `h`
    Hours,
    /// `m`
    Minutes,
    /// `s`
    Seconds,
    /// `ms`
    Millis,
    /// `u`, `us` or `µ`
    Micros,
    /// `n` or `ns`
    Nanos,
}

impl Precision {
    /// Reads the parameter `precision`; `None` if there is no such unit.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "" => Precision::Unknown,
            "h" => Precision::Hours,
            "m" => Precision::Minutes,
            "s" => Precision::Seconds,
            "ms" => Precision::Millis,
            "u" | "us" | "µ" => Precision::Micros,
            "n" | "ns" => Precision::Nanos,
            _ => return None,
        })
    }
}

/// How lines become series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfluxConfig {
    /// What stands between measurement and field.
    pub separator: String,
    /// Whether a field that is alone in its line is named like its measurement.
    pub skip_single_field: bool,
    /// Whether series are named like their field only.
    pub skip_measurement: bool,
    /// The label for the parameter `db`; empty for none.
    pub db_label: String,
}

impl Default for InfluxConfig {
    fn default() -> Self {
        InfluxConfig {
            separator: "_".to_owned(),
            skip_single_field: false,
            skip_measurement: false,
            db_label: "db".to_owned(),
        }
    }
}

/// What a request says beside its body.
#[derive(Clone, Copy, Debug)]
pub struct InfluxRequest<'a> {
    /// `db`
    pub db: &'a str,
    /// `precision`
    pub precision: Precision,
    /// `Content-Encoding`
    pub content_encoding: &'a str,
    /// The time of lines without one, Unix milliseconds. It also bounds how far ahead a line may lie.
    pub now: i64,
}

/// What a request wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InfluxWritten {
    /// Samples in the store.
    pub samples: usize,
    /// Lines of which nothing, or not everything, is in the store.
    pub refused: u64,
    /// Why, one reason a line; empty if nothing was refused.
    pub reason: String,
}

/// Why a request was refused. Nothing of it is stored.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InfluxError {
    /// The body cannot be had.
    #[error(transparent)]
    Body(OtlpError),
    /// Too many samples.
    #[error("request exceeds the limit of {limit} samples")]
    TooManySamples {
        /// What is allowed.
        limit: usize,
    },
    /// The store takes nothing.
    #[error(transparent)]
    Append(AppendError),
}

impl InfluxError {
    /// The HTTP status to answer with.
    pub fn status(&self) -> u16 {
        match self {
            InfluxError::Body(e) => e.status().0,
            InfluxError::TooManySamples { .. } => 413,
            InfluxError::Append(AppendError::Limit { .. }) => 429,
            InfluxError::Append(_) => 503,
        }
    }
}

/// Why something is not written.
enum Problem {
    /// This line cannot be; others can.
    Line(String),
    /// Nothing can be written.
    Request(InfluxError),
}

impl From<AppendError> for Problem {
    fn from(e: AppendError) -> Self {
        match e {
            // Series that exist are still written.
            AppendError::Limit { .. } => Problem::Line(e.to_string()),
            _ => Problem::Request(InfluxError::Append(e)),
        }
    }
}

/// Receives line protocol.
pub struct InfluxReceiver {
    appender: Arc<dyn MetricAppender>,
    config: InfluxConfig,
    cache: SeriesCache,
    spare: Mutex<Option<WriteBatch>>,
    refused_lines: AtomicU64,
}

impl InfluxReceiver {
    /// A receiver that writes to `appender` and recognises so many series by a seeded hash.
    pub fn new(
        appender: Arc<dyn MetricAppender>,
        config: InfluxConfig,
        max_cached_series: usize,
        hash_seed: u64,
    ) -> Self {
        let cache = SeriesCache::new(max_cached_series, hash_seed);
        InfluxReceiver { appender, config, cache, spare: Mutex::default(), refused_lines: AtomicU64::new(0) }
    }

    /// Lines refused since the start.
    pub fn refused_lines(&self) -> u64 {
        self.refused_lines.load(Ordering::Relaxed)
    }

    /// Writes the lines of a body. May block for the store's log: call it where blocking is allowed.
    pub fn handle(&self, body: &[u8], request: InfluxRequest<'_>) -> Result<InfluxWritten, InfluxError> {
        let body = decompress(body, request.content_encoding, MAX_BYTES).map_err(InfluxError::Body)?;
        let mut batch = self.spare.lock().take().unwrap_or_default();
        let result = self.write(&body, request, &mut batch);
        batch.clear();
        *self.spare.lock() = Some(batch).filter(|b| b.floats.capacity() <= 1 << 16);
        if let Ok(written) = &result {
            self.refused_lines.fetch_add(written.refused, Ordering::Relaxed);
        }
        result
    }

    fn write(
        &self,
        body: &[u8],
        request: InfluxRequest<'_>,
        batch: &mut WriteBatch,
    ) -> Result<InfluxWritten, InfluxError> {
        let mut cached = true;
        loop {
            batch.clear();
            let mut sink = Sink::new(self, request, cached, batch);
            let mut lines = Lines::new(body, request.precision);
            let mut line = Line::default();
            while let Some(result) = lines.next(&mut line) {
                let result = result.map_err(Problem::Line).and_then(|()| sink.line(&line));
                match result {
                    Ok(()) => {}
                    Err(Problem::Line(reason)) => sink.refusals.add(line.number, &reason),
                    Err(Problem::Request(e)) => return Err(e),
                }
            }
            let (numbers, refusals) = (sink.numbers, sink.refusals);
            match append_in_part(&*self.appender, batch, &self.cache, cached).map_err(InfluxError::Append)? {
                Some(report) => return Ok(outcome(&report, &numbers, refusals)),
                None => cached = false,
            }
        }
    }
}

impl std::fmt::Debug for InfluxReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InfluxReceiver").field("config", &self.config).finish_non_exhaustive()
    }
}

fn outcome(report: &AppendReport, numbers: &[usize], mut refusals: Refusals) -> InfluxWritten {
    let mut last = 0;
    for r in &report.rejected {
        // Samples of a line follow one another.
        if let Some(number) = numbers.get(r.index).filter(|n| **n != last) {
            refusals.add(*number, &r.reason.to_string());
            last = *number;
        }
    }
    InfluxWritten { samples: report.appended, refused: refusals.count, reason: refusals.reasons.join("\n") }
}

/// What was refused, and why.
#[derive(Debug, Default)]
struct Refusals {
    count: u64,
    reasons: Vec<String>,
}

impl Refusals {
    fn add(&mut self, line: usize, reason: &str) {
        self.count += 1;
        if self.reasons.len() < MAX_REASONS {
            self.reasons.push(format!("line {line}: {reason}"));
        }
    }
}

/// Fills a batch from lines.
struct Sink<'a> {
    receiver: &'a InfluxReceiver,
    request: InfluxRequest<'a>,
    cached: bool,
    batch: &'a mut WriteBatch,
    /// The line of each sample.
    numbers: Vec<usize>,
    refusals: Refusals,
    key: Vec<u8>,
    /// Bytes of labels of new series so far.
    label_bytes: usize,
}

impl<'a> Sink<'a> {
    fn new(
        receiver: &'a InfluxReceiver,
        request: InfluxRequest<'a>,
        cached: bool,
        batch: &'a mut WriteBatch,
    ) -> Self {
        Sink {
            receiver,
            request,
            cached,
            batch,
            numbers: Vec::new(),
            refusals: Refusals::default(),
            key: Vec::new(),
            label_bytes: 0,
        }
    }

    /// Adds the samples of a line, all or none.
    fn line(&mut self, line: &Line<'_>) -> Result<(), Problem> {
        let t = line.time.unwrap_or(self.request.now);
        if t > self.request.now.saturating_add(MAX_AHEAD_MS) {
            return Err(Problem::Line("out of bounds: timestamp is too far in the future".to_owned()));
        }
        let before = self.batch.floats.len();
        if before + line.fields.len() > MAX_SAMPLES {
            return Err(Problem::Request(InfluxError::TooManySamples { limit: MAX_SAMPLES }));
        }
        let result = self.fields(line, t);
        if result.is_err() {
            self.batch.floats.truncate(before);
            self.numbers.truncate(before);
        }
        result
    }

    fn fields(&mut self, line: &Line<'_>, t: i64) -> Result<(), Problem> {
        let alone = line.fields.len() == 1;
        let head = self.head_key(line.head);
        // The labels of the line, once they are needed.
        let mut labels = None;
        for (name, v) in &line.fields {
            self.key.clear();
            self.key.extend_from_slice(&head);
            self.key.push(u8::from(alone));
            self.key.extend_from_slice(name);
            let key = self.receiver.cache.key(&self.key);
            let known = if self.cached { self.receiver.cache.get(key) } else { None };
            let series = match known {
                Some(series) => series,
                None => self.new_series(key, line.head, name, alone, &mut labels)?,
            };
            self.batch.floats.push(FloatSample { series, t, v: *v });
            self.numbers.push(line.number);
        }
        Ok(())
    }

    fn head_key(&mut self, head: &[u8]) -> [u8; 16] {
        self.key.clear();
        self.key.extend_from_slice(self.request.db.as_bytes());
        // No UTF-8 holds this byte.
        self.key.push(0xff);
        self.key.extend_from_slice(head);
        self.receiver.cache.key(&self.key).bytes()
    }

    fn new_series(
        &mut self,
        key: Key,
        head: &[u8],
        field: &[u8],
        alone: bool,
        labels: &mut Option<(String, LabelsBuilder)>,
    ) -> Result<SeriesRef, Problem> {
        let (measurement, labels) = match labels {
            Some(known) => known,
            none => none.insert(self.labels(head).map_err(Problem::Line)?),
        };
        let config = &self.receiver.config;
        let field = parse::text(field).map_err(Problem::Line)?;
        let name = if alone && config.skip_single_field && !measurement.is_empty() {
            measurement.clone()
        } else if config.skip_measurement || measurement.is_empty() {
            field.into_owned()
        } else {
            format!("{measurement}{}{field}", config.separator)
        };
        let bytes = name.len() + labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        self.label_bytes += bytes;
        if bytes > MAX_LABEL_BYTES {
            return Err(Problem::Line(format!("labels of a series take more than {MAX_LABEL_BYTES} bytes")));
        }
        if self.label_bytes > MAX_REQUEST_LABEL_BYTES {
            let text = format!("labels of the request take more than {MAX_REQUEST_LABEL_BYTES} bytes");
            return Err(Problem::Line(text));
        }
        let series = self.receiver.appender.series_ref(&labels.set(METRIC_NAME, &name).build())?;
        self.receiver.cache.insert(key, series);
        Ok(series)
    }

    /// The measurement, and labels for the tags and the database. Of a tag that occurs twice the last one holds.
    fn labels(&self, head: &[u8]) -> Result<(String, LabelsBuilder), String> {
        let (measurement, tags) = parse::head(head)?;
        if tags.len() >= MAX_SERIES_LABELS {
            return Err(format!("more than {MAX_SERIES_LABELS} tags"));
        }
        let mut out = LabelsBuilder::new();
        if !self.receiver.config.db_label.is_empty() {
            out.set(&self.receiver.config.db_label, self.request.db);
        }
        for (name, value) in &tags {
            out.set(name, value);
        }
        Ok((measurement.into_owned(), out))
    }
}

#[cfg(test)]
mod tests;

//! Remote write 1.0 and 2.0: what other Prometheus servers and agents push.
//!
//! A request is a snappy block with a protobuf message. It is walked by hand; a series that was seen before is
//! recognised by a hash of its labels, which are then not decoded. A request of version 1.0 is written as a whole or,
//! if the store refuses one sample, not at all; one of version 2.0 is written except for what is wrong in it. Both as
//! upstream. When counters began (`start_timestamp` of version 2.0) is passed over: the store keeps no such times.

mod decode;
mod decode_v2;
mod encode;
mod encode_v2;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use reba_model::LabelsBuilder;
use reba_storage::{AppendError, AppendMode, AppendReport, MetricAppender, RejectReason, WriteBatch};
use thiserror::Error;

pub use self::{
    decode::histogram as decode_histogram, decode_v2::Refused, encode::WriteRequest,
    encode::encode_histogram, encode_v2::WriteRequestV2,
};
use crate::{
    compressed::{Corrupt, snappy_block},
    pushed_metadata::PushedMetadata,
    series_cache::SeriesCache,
    wire::WireError,
};

/// How far in the future a sample may lie: ten minutes, as upstream.
const MAX_AHEAD_MS: i64 = 600_000;

/// Working memory that is kept for the next request; more requests at a time than this allocate their own.
const POOLED: usize = 16;

/// A buffer that grew beyond this for one request is not kept.
const KEEP_BYTES: usize = 8 << 20;

/// What a receiver allows itself and its senders.
#[derive(Clone, Copy, Debug)]
pub struct RemoteWriteLimits {
    /// Most bytes of a request after decompression; checked before they are allocated.
    pub max_decompressed_bytes: usize,
    /// Series that are recognised without decoding their labels; about 40 bytes of memory each.
    pub max_cached_series: usize,
    /// Seed of the hash by which they are recognised: a random number of this process, so that nobody can prepare two
    /// label sets of one hash.
    pub hash_seed: u64,
}

impl RemoteWriteLimits {
    /// 32 MiB a request and eight million series, of which the half is sure to be known however they are sent.
    pub fn with_seed(hash_seed: u64) -> Self {
        RemoteWriteLimits { max_decompressed_bytes: 32 << 20, max_cached_series: 8_000_000, hash_seed }
    }
}

/// What a request wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Floats and native histograms.
    pub samples: usize,
    /// Of these, native histograms.
    pub histograms: usize,
    /// Exemplars.
    pub exemplars: usize,
    /// Samples that were skipped since their labels are invalid
    /// (`prometheus_api_remote_write_invalid_labels_samples_total`).
    pub invalid_labels: usize,
    /// Exemplars that were dropped since their series has a newer one.
    pub exemplars_out_of_order: usize,
}

/// What a request of version 2.0 wrote, and what of it was refused. The latter is the sender's fault: the answer is 400
/// with the reasons, and the sender does not try again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrittenInPart {
    /// What is in the store.
    pub written: Written,
    /// What is not.
    pub refused: Refused,
}

/// Why a request was refused. Nothing of it is in the store.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RemoteWriteError {
    /// The body is no snappy block.
    #[error("snappy: {0}")]
    Snappy(String),
    /// The block says that it holds too much.
    #[error("request of {len} bytes after decompression exceeds the limit of {limit}")]
    TooLarge {
        /// What it says.
        len: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The block holds no `WriteRequest`.
    #[error(transparent)]
    Protobuf(#[from] WireError),
    /// Too many texts.
    #[error("request with more symbols than the limit of {limit}")]
    TooManySymbols {
        /// What is allowed.
        limit: usize,
    },
    /// The table of symbols does not begin with the empty text.
    #[error("the first symbol must be the empty string")]
    FirstSymbol,
    /// The store refuses a sample.
    #[error("{0}")]
    Rejected(RejectReason),
    /// A sample lies too far ahead.
    #[error("out of bounds: timestamp is too far in the future")]
    TooFarAhead,
    /// The store takes nothing.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl RemoteWriteError {
    /// The HTTP status to answer with: 4xx tells the sender to drop the request, 5xx to send it again.
    pub fn status(&self) -> u16 {
        match self {
            RemoteWriteError::TooLarge { .. } | RemoteWriteError::TooManySymbols { .. } => 413,
            RemoteWriteError::Snappy(_) | RemoteWriteError::Protobuf(_) | RemoteWriteError::FirstSymbol => {
                400
            }
            // A reference that is unknown twice in a row is our fault, and may work next time.
            RemoteWriteError::Rejected(RejectReason::UnknownSeries) => 500,
            RemoteWriteError::Rejected(_) | RemoteWriteError::TooFarAhead => 400,
            RemoteWriteError::Append(AppendError::Limit { .. }) => 429,
            RemoteWriteError::Append(AppendError::Poisoned(_)) => 500,
            RemoteWriteError::Append(AppendError::Full(_) | AppendError::Closed) => 503,
        }
    }
}

/// Memory of one request at a time.
#[derive(Debug, Default)]
struct Scratch {
    body: Vec<u8>,
    batch: WriteBatch,
    labels: LabelsBuilder,
}

/// Receives remote write.
pub struct RemoteWriteReceiver {
    appender: Arc<dyn MetricAppender>,
    limits: RemoteWriteLimits,
    cache: SeriesCache,
    pool: Mutex<Vec<Scratch>>,
    invalid_labels: AtomicU64,
    metadata: PushedMetadata,
}

impl RemoteWriteReceiver {
    /// A receiver that writes to `appender`.
    pub fn new(appender: Arc<dyn MetricAppender>, limits: RemoteWriteLimits) -> Self {
        let cache = SeriesCache::new(limits.max_cached_series, limits.hash_seed);
        RemoteWriteReceiver {
            appender,
            limits,
            cache,
            pool: Mutex::default(),
            invalid_labels: AtomicU64::new(0),
            metadata: PushedMetadata::default(),
        }
    }

    /// Writes the request of version 1.0 in `body`. `now` (Unix milliseconds) bounds how far ahead a sample may lie. May
    /// block for the store's log: call it where blocking is allowed.
    pub fn handle_v1(&self, body: &[u8], now: i64) -> Result<Written, RemoteWriteError> {
        let result = self.decompressed(body, |message, s| self.write(message, now, s));
        if let Ok(written) = &result {
            self.count_invalid(written.invalid_labels);
        }
        result
    }

    /// Writes what is right in the request of version 2.0 in `body`, else as [`RemoteWriteReceiver::handle_v1`]. After
    /// an error nothing of it is in the store.
    pub fn handle_v2(&self, body: &[u8], now: i64) -> Result<WrittenInPart, RemoteWriteError> {
        let result = self.decompressed(body, |message, s| self.write_in_part(message, now, s));
        if let Ok(done) = &result {
            self.count_invalid(done.written.invalid_labels);
        }
        result
    }

    /// What senders say of their metric families.
    pub fn metadata(&self) -> &PushedMetadata {
        &self.metadata
    }

    /// Samples passed over for their labels since the start (`prometheus_api_remote_write_invalid_labels_samples_total`).
    pub fn invalid_labels_samples(&self) -> u64 {
        self.invalid_labels.load(Ordering::Relaxed)
    }

    fn count_invalid(&self, samples: usize) {
        self.invalid_labels.fetch_add(samples as u64, Ordering::Relaxed);
    }

    fn decompressed<T>(
        &self,
        body: &[u8],
        write: impl FnOnce(&[u8], &mut Scratch) -> Result<T, RemoteWriteError>,
    ) -> Result<T, RemoteWriteError> {
        let mut scratch = self.pool.lock().pop().unwrap_or_default();
        let mut message = std::mem::take(&mut scratch.body);
        let result = decompress(body, self.limits.max_decompressed_bytes, &mut message)
            .and_then(|()| write(&message, &mut scratch));
        scratch.body = message;
        if scratch.body.capacity() <= KEEP_BYTES {
            let mut pool = self.pool.lock();
            if pool.len() < POOLED {
                pool.push(scratch);
            }
        }
        result
    }

    fn write(&self, message: &[u8], now: i64, s: &mut Scratch) -> Result<Written, RemoteWriteError> {
        let latest = now.saturating_add(MAX_AHEAD_MS);
        let mut use_cache = true;
        loop {
            s.batch.clear();
            let target = decode::Target { appender: &*self.appender, cache: &self.cache, use_cache, latest };
            let rest = decode::write_request(message, &target, &mut s.labels, &mut s.batch)?;
            let mut report = self.appender.append(&s.batch, AppendMode::AllOrNothing)?;
            if use_cache && report.rejected.iter().any(|r| r.reason == RejectReason::UnknownSeries) {
                // The store dropped a series that the cache still knew.
                self.cache.clear();
                use_cache = false;
                continue;
            }
            if let Some(r) = report.rejected.iter().find(|r| r.reason != RejectReason::ExemplarOutOfOrder) {
                return Err(RemoteWriteError::Rejected(r.reason));
            }
            if rest.has_metadata {
                self.metadata.note(decode::metadata(message), now);
            }
            let exemplars_out_of_order = report.rejected.len();
            if exemplars_out_of_order > 0 && report.appended == 0 && s.batch.samples() > 0 {
                // Exemplars are a help: samples do not wait for them.
                report = self.append_without_exemplars(s)?;
            }
            return Ok(Written {
                samples: report.appended,
                histograms: s.batch.histograms.len(),
                exemplars: s.batch.exemplars.len().saturating_sub(exemplars_out_of_order),
                invalid_labels: rest.invalid,
                exemplars_out_of_order,
            });
        }
    }

    fn write_in_part(
        &self,
        message: &[u8],
        now: i64,
        s: &mut Scratch,
    ) -> Result<WrittenInPart, RemoteWriteError> {
        let latest = now.saturating_add(MAX_AHEAD_MS);
        let mut use_cache = true;
        loop {
            s.batch.clear();
            let target = decode::Target { appender: &*self.appender, cache: &self.cache, use_cache, latest };
            let mut decoded = decode_v2::request(message, &target, &mut s.labels, &mut s.batch)?;
            // Most requests are right as a whole; and before anything is written, it shows whether the cache was.
            let mut report = self.appender.append(&s.batch, AppendMode::AllOrNothing)?;
            let unknown = report.rejected.iter().any(|r| r.reason == RejectReason::UnknownSeries);
            if unknown && !use_cache {
                return Err(RemoteWriteError::Rejected(RejectReason::UnknownSeries));
            }
            if unknown {
                self.cache.clear();
                use_cache = false;
                continue;
            }
            if !report.rejected.is_empty() {
                report = self.appender.append(&s.batch, AppendMode::Partial)?;
            }
            self.metadata.note(decoded.metadata(), now);
            let [floats, histograms, exemplars] = decoded.rejected(&report.rejected, &s.batch);
            return Ok(WrittenInPart {
                written: Written {
                    samples: s.batch.samples() - floats - histograms,
                    histograms: s.batch.histograms.len() - histograms,
                    exemplars: s.batch.exemplars.len() - exemplars,
                    invalid_labels: decoded.invalid_labels,
                    exemplars_out_of_order: exemplars,
                },
                refused: decoded.refused,
            });
        }
    }

    fn append_without_exemplars(&self, s: &mut Scratch) -> Result<AppendReport, RemoteWriteError> {
        s.batch.exemplars.clear();
        let report = self.appender.append(&s.batch, AppendMode::AllOrNothing)?;
        match report.rejected.first() {
            Some(r) => Err(RemoteWriteError::Rejected(r.reason)),
            None => Ok(report),
        }
    }
}

impl std::fmt::Debug for RemoteWriteReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteWriteReceiver").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Decompresses a snappy block whose declared length does not exceed `limit` into `out`.
fn decompress(block: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), RemoteWriteError> {
    snappy_block(block, limit, out).map_err(|e| match e {
        Corrupt::TooLarge => {
            RemoteWriteError::TooLarge { len: snap::raw::decompress_len(block).unwrap_or(usize::MAX), limit }
        }
        Corrupt::Malformed(reason) => RemoteWriteError::Snappy(reason),
    })
}

#[cfg(test)]
mod tests;

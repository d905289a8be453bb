//! Tempo's role of taking in traces: its configuration, its limits, and the requests that bring spans.
//!
//! [`TraceReceiver`] decodes what comes ([`otlp`], [`zipkin`], [`jaeger`]) straight into the batch that is stored, asks the limits
//! of the tenant and of each trace on the way ([`tenant`]), and answers once the store has it.

pub mod config;
mod foreign;
pub mod generator;
mod incoming;
mod jaeger;
mod otlp;
pub mod own;
mod tenant;
mod zipkin;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, atomic::Ordering},
};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use reba_model::{
    Tenant,
    spans::{Span, SpanBatch},
};
use reba_storage::{AppendError, SpanAppender};
use thiserror::Error;

pub use self::tenant::{Counters, called};
use self::{
    config::TempoConfig,
    generator::Generator,
    incoming::Tally,
    tenant::{Gate, TenantState},
};
use crate::otlp::{
    OtlpError,
    body::{Encoding, decompress},
    common::submessages,
    schema,
};

/// Tenants that are remembered.
const MAX_TENANTS: usize = 10_000;

/// Batches that are kept for the next request; more requests at a time than this allocate their own.
const POOLED: usize = 8;

/// A batch of more bytes is not kept.
const KEEP_BYTES: usize = 8 << 20;

/// The time, in Unix nanoseconds.
pub type NowNs = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Why a request is not taken. Nothing of it is stored.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TraceError {
    /// It cannot be read.
    #[error(transparent)]
    Otlp(#[from] OtlpError),
    /// It is in another form than its address says.
    #[error("byte {offset}: {reason}")]
    Malformed {
        /// Where the fault is, in bytes of the decompressed body.
        offset: usize,
        /// What it is.
        reason: String,
    },
    /// None of its spans makes sense.
    #[error("{0}")]
    Invalid(String),
    /// Too much stands in lists, maps and resources.
    #[error("request exceeds the limit of {limit} values in resources, lists and maps")]
    TooManyValues {
        /// What is allowed.
        limit: usize,
    },
    /// Too much together.
    #[error("request exceeds the limit of 1 GiB of spans")]
    BatchFull,
    /// The tenant sends too fast. The words are Tempo's.
    #[error(
        "RATE_LIMITED: ingestion rate limit ({limit} bytes) exceeded while adding {bytes} bytes for user {} \
         (ingestion_rate_limit_bytes, ingestion_burst_size_bytes)",
        called(.tenant)
    )]
    RateLimited {
        /// Bytes a second.
        limit: u64,
        /// Bytes of the request.
        bytes: usize,
        /// Who.
        tenant: Tenant,
        /// When to come again, in seconds.
        retry_after_s: u32,
    },
    /// Tenants beyond what is remembered.
    #[error("too many tenants: the limit is {MAX_TENANTS}")]
    TooManyTenants,
    /// The store takes nothing.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl TraceError {
    /// The HTTP status to answer with.
    pub fn status(&self) -> u16 {
        match self {
            TraceError::Otlp(e) => e.status().0,
            TraceError::Malformed { .. } | TraceError::Invalid(_) => 400,
            TraceError::TooManyValues { .. } | TraceError::BatchFull => 413,
            TraceError::RateLimited { .. } | TraceError::TooManyTenants => 429,
            TraceError::Append(e) => OtlpError::Append(e.clone()).status().0,
        }
    }

    /// When to come again, in seconds, where that is known.
    pub fn retry_after_s(&self) -> Option<u32> {
        match self {
            TraceError::RateLimited { retry_after_s, .. } => Some(*retry_after_s),
            _ => None,
        }
    }
}

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Spans that are in the store now.
    pub stored: usize,
    /// Spans that are not.
    pub refused: u64,
    /// Why, one reason a line.
    pub reason: String,
}

/// Takes in spans.
pub struct TraceReceiver {
    appender: Arc<dyn SpanAppender>,
    config: Arc<ArcSwap<TempoConfig>>,
    now_ns: NowNs,
    tenants: RwLock<HashMap<Tenant, Arc<TenantState>>>,
    pool: Mutex<Vec<SpanBatch>>,
    generator: Option<Arc<Generator>>,
}

impl fmt::Debug for TraceReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceReceiver").finish_non_exhaustive()
    }
}

impl TraceReceiver {
    /// A receiver that writes to `appender`, by the limits of the configuration in force.
    pub fn new(appender: Arc<dyn SpanAppender>, config: Arc<ArcSwap<TempoConfig>>, now_ns: NowNs) -> Self {
        TraceReceiver {
            appender,
            config,
            now_ns,
            tenants: RwLock::default(),
            pool: Mutex::default(),
            generator: None,
        }
    }

    /// The same, that has metrics made of what it takes.
    #[must_use]
    pub fn with_generator(self, generator: Option<Arc<Generator>>) -> Self {
        TraceReceiver { generator, ..self }
    }

    /// Most bytes of a body, compressed or not.
    pub fn max_bytes(&self) -> usize {
        self.config.load().server.grpc_server_max_recv_msg_size.bytes()
    }

    /// Takes an `ExportTraceServiceRequest`; the message of the answer is in the same encoding. Blocks for decoding and for the
    /// store's log.
    ///
    /// # Errors
    /// If nothing of it is stored.
    pub fn push_otlp(
        &self,
        tenant: &Tenant,
        encoding: Encoding,
        compression: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, TraceError> {
        let message = encoding.message(body, compression, self.max_bytes(), &schema::TRACES_REQUEST)?;
        let spans = || count_spans(&message);
        let taken =
            self.take(tenant, message.len(), spans, |batch, tally| otlp::read(&message, batch, tally))?;
        Ok(encoding.taken("rejectedSpans", taken.refused, &taken.reason))
    }

    /// Takes Zipkin's spans, version 2: in protobuf if `content_type` says so, else in JSON.
    ///
    /// # Errors
    /// If nothing of it is stored.
    pub fn push_zipkin(
        &self,
        tenant: &Tenant,
        content_type: &str,
        compression: &str,
        body: &[u8],
    ) -> Result<Taken, TraceError> {
        let body = decompress(body, compression, self.max_bytes())?;
        let kind = content_type.split(';').next().unwrap_or("").trim();
        let spans = match kind {
            "application/x-protobuf" | "application/protobuf" => zipkin::from_protobuf(&body)?,
            "application/x-thrift" => return Err(OtlpError::ContentType(content_type.to_owned()).into()),
            _ => zipkin::from_json(&body)?,
        };
        self.push_foreign(tenant, body.len(), spans)
    }

    /// Takes Jaeger's `Batch` in Thrift's binary protocol.
    ///
    /// # Errors
    /// If nothing of it is stored.
    pub fn push_jaeger_thrift(
        &self,
        tenant: &Tenant,
        compression: &str,
        body: &[u8],
    ) -> Result<Taken, TraceError> {
        let body = decompress(body, compression, self.max_bytes())?;
        self.push_foreign(tenant, body.len(), jaeger::from_thrift(&body)?)
    }

    /// Takes a `jaeger.api_v2.PostSpansRequest`.
    ///
    /// # Errors
    /// If nothing of it is stored.
    pub fn push_jaeger_grpc(
        &self,
        tenant: &Tenant,
        compression: &str,
        message: &[u8],
    ) -> Result<Taken, TraceError> {
        let message = decompress(message, compression, self.max_bytes())?;
        self.push_foreign(tenant, message.len(), jaeger::from_protobuf(&message)?)
    }

    fn push_foreign(&self, tenant: &Tenant, bytes: usize, spans: Vec<Span>) -> Result<Taken, TraceError> {
        let count = spans.len();
        let each = bytes / count.max(1);
        self.take(tenant, bytes, || count as u64, |batch, tally| foreign::write(spans, each, batch, tally))
    }

    /// Takes what `fill` writes, if the tenant may send so many bytes; `spans` counts them if not.
    fn take(
        &self,
        tenant: &Tenant,
        bytes: usize,
        spans: impl FnOnce() -> u64,
        fill: impl FnOnce(&mut SpanBatch, &mut Tally<'_>) -> Result<(), TraceError>,
    ) -> Result<Taken, TraceError> {
        let config = self.config.load();
        let (state, limits) = (self.state(tenant)?, config.limits_of(tenant));
        let (now_ns, counters) = ((self.now_ns)(), &state.counters);
        state.take(now_ns, bytes, limits).map_err(|retry_after_s| {
            counters.rate_limited.fetch_add(spans(), Ordering::Relaxed);
            let (limit, tenant) = (limits.rate_limit_bytes, tenant.clone());
            TraceError::RateLimited { limit, bytes, tenant, retry_after_s }
        })?;
        let gate = Gate::new(&state, limits, now_ns, config.ingester.trace_idle_period.as_ns());
        let mut tally = Tally::new(config.distributor.max_attribute_bytes.bytes(), &gate);
        self.with_batch(|batch| {
            fill(batch, &mut tally)?;
            counters.spans.fetch_add(batch.len() as u64 + tally.refused.count, Ordering::Relaxed);
            counters.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            counters.invalid.fetch_add(tally.refused.invalid, Ordering::Relaxed);
            counters.truncated.fetch_add(tally.truncated, Ordering::Relaxed);
            let refused = tally.refused;
            if batch.is_empty() {
                return match refused.invalid {
                    0 => Ok(Taken { stored: 0, refused: refused.count, reason: refused.reason() }),
                    _ => Err(TraceError::Invalid(refused.reason())),
                };
            }
            self.store(tenant, batch, &state, &config)?;
            Ok(Taken { stored: batch.len(), refused: refused.count, reason: refused.reason() })
        })
    }

    fn store(
        &self,
        tenant: &Tenant,
        batch: &SpanBatch,
        state: &TenantState,
        config: &TempoConfig,
    ) -> Result<(), TraceError> {
        self.appender.append_spans(tenant, batch).inspect_err(|_| {
            state.counters.internal.fetch_add(batch.len() as u64, Ordering::Relaxed);
        })?;
        if let Some(generator) = &self.generator {
            generator.observe(tenant, batch, (self.now_ns)());
        }
        if config.distributor.log_received_spans.enabled {
            log_spans(batch, &config.distributor.log_received_spans);
        }
        Ok(())
    }

    fn with_batch<T>(&self, work: impl FnOnce(&mut SpanBatch) -> T) -> T {
        let mut batch = self.pool.lock().pop().unwrap_or_default();
        let result = work(&mut batch);
        if batch.byte_len() <= KEEP_BYTES {
            batch.clear();
            let mut pool = self.pool.lock();
            if pool.len() < POOLED {
                pool.push(batch);
            }
        }
        result
    }

    fn state(&self, tenant: &Tenant) -> Result<Arc<TenantState>, TraceError> {
        if let Some(state) = self.tenants.read().get(tenant) {
            return Ok(Arc::clone(state));
        }
        let mut tenants = self.tenants.write();
        if tenants.len() >= MAX_TENANTS && !tenants.contains_key(tenant) {
            return Err(TraceError::TooManyTenants);
        }
        let state =
            tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(TenantState::new(tenant.clone())));
        Ok(Arc::clone(state))
    }

    /// Calls for each tenant that has sent something, by what Tempo calls it, with its counters and how many of its traces are live.
    pub fn each_tenant(&self, mut visit: impl FnMut(&str, &Counters, usize)) {
        let mut all: Vec<Arc<TenantState>> = self.tenants.read().values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        for state in all {
            visit(called(&state.name), &state.counters, state.live());
        }
    }
}

/// How many spans a request has; of one that cannot be read, those before its fault.
fn count_spans(message: &[u8]) -> u64 {
    let parts = |message, number| submessages(message, number).map_while(Result::ok);
    parts(message, 1).flat_map(|r| parts(r, 2)).map(|s| parts(s, 2).count() as u64).sum()
}

/// Writes a line for each span, as `distributor.log_received_spans` wants it.
fn log_spans(batch: &SpanBatch, how: &config::LogReceivedSpans) {
    use reba_model::spans::SpanStatus;

    for group in batch.groups() {
        let service = group.resource().text("service.name").unwrap_or("");
        for span in group.spans().filter(|s| !how.filter_by_status_error || s.status == SpanStatus::Error) {
            let (trace, id, name) = (span.trace_id, span.span_id, span.name);
            if how.include_all_attributes {
                let attributes = span.attributes().to_attributes();
                let (kind, status) = (span.kind.as_str(), span.status.as_str());
                let ms = span.duration_ns() / 1_000_000;
                tracing::info!(%trace, span = %id, name, service, kind, status, ms, ?attributes, "received a span");
            } else {
                tracing::info!(%trace, span = %id, name, service, "received a span");
            }
        }
    }
}

//! Loki's role of taking in logs: its configuration, its limits, and the requests that push entries.
//!
//! [`LokiReceiver`] undoes the compression ([`body`]), walks over the push ([`decode`], [`otlp`]), and checks what comes
//! ([`intake`]). Labels are read once for each way of writing them ([`stream`]); rates, active streams and the number of values
//! of labels are kept by tenant ([`tenant`]).

mod body;
pub mod config;
pub mod decode;
pub mod demoted;
mod error;
mod intake;
mod level;
pub mod limits;
mod local;
mod metrics;
mod otlp;
pub(crate) mod rate;
mod stream;
mod tenant;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use reba_model::{LogBatch, Tenant};
use reba_storage::{DemotedLabels, LogAppender};

use self::{
    body::Form, config::Limits, decode::PushFault, intake::Intake, limits::TenantLimits, stream::Known,
    tenant::TenantState,
};
pub use self::{error::PushError, local::LocalAppender};
use crate::series_cache::SeriesCache;

/// Ways of writing labels that are remembered, a kilobyte each.
const MAX_CACHED_STREAMS: usize = 100_000;

/// Tenants that are remembered.
const MAX_TENANTS: usize = 10_000;

/// Working memory that is kept for the next request; more requests at a time than this allocate their own.
const POOLED: usize = 8;

/// A batch of more text is not kept.
const KEEP_BYTES: usize = 8 << 20;

/// What the headers of a push say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PushHead<'a> {
    /// `Content-Type`
    pub content_type: Option<&'a str>,
    /// `Content-Encoding`
    pub content_encoding: Option<&'a str>,
}

/// The answer to an OTLP request that was taken, at least in part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtlpAnswer {
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// The message; empty if everything was taken, which is answered with 204.
    pub body: Vec<u8>,
    /// Entries that were refused.
    pub rejected: u64,
}

/// The time, in Unix nanoseconds.
pub type NowNs = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Memory of one request at a time.
#[derive(Debug, Default)]
struct Scratch {
    body: Vec<u8>,
    batch: LogBatch,
}

/// Takes in pushed entries.
pub struct LokiReceiver {
    appender: Arc<dyn LogAppender>,
    limits: Arc<TenantLimits>,
    demoted: Arc<DemotedLabels>,
    now_ns: NowNs,
    streams: SeriesCache<Known>,
    tenants: RwLock<HashMap<Tenant, Arc<TenantState>>>,
    pool: Mutex<Vec<Scratch>>,
    demotions: AtomicU64,
}

impl LokiReceiver {
    /// A receiver that writes to `appender`. `seed` is a random number of this process, so that nobody can prepare streams
    /// that hash alike.
    pub fn new(appender: Arc<dyn LogAppender>, limits: Arc<TenantLimits>, now_ns: NowNs, seed: u64) -> Self {
        LokiReceiver {
            appender,
            limits,
            demoted: Arc::default(),
            now_ns,
            streams: SeriesCache::new(MAX_CACHED_STREAMS, seed),
            tenants: RwLock::default(),
            pool: Mutex::default(),
            demotions: AtomicU64::new(0),
        }
    }

    /// The same, where labels with too many values are remembered elsewhere as well: with whoever answers queries, and in a file
    /// ([`demoted::open`]).
    pub fn with_demoted(self, demoted: Arc<DemotedLabels>) -> Self {
        LokiReceiver { demoted, ..self }
    }

    /// Takes a request to `/loki/api/v1/push`. Blocks for decoding and for the store's log.
    pub fn push(&self, tenant: &Tenant, head: PushHead<'_>, body: &[u8]) -> Result<(), PushError> {
        self.push_as(tenant, head, body, Form::Json)
    }

    /// Takes a request to `/api/prom/push`: the same protobuf, and another form of JSON.
    pub fn push_legacy(&self, tenant: &Tenant, head: PushHead<'_>, body: &[u8]) -> Result<(), PushError> {
        self.push_as(tenant, head, body, Form::LegacyJson)
    }

    /// Takes a `logproto.PushRequest` as gRPC carries it: protobuf, compressed no more. Blocks like [`LokiReceiver::push`].
    pub fn push_message(&self, tenant: &Tenant, message: &[u8]) -> Result<(), PushError> {
        self.with_scratch(|scratch| {
            let mut intake = Intake::new(self, tenant, &mut scratch.batch)?;
            let walked = decode::push_protobuf(message, &mut intake);
            walked.map_err(|e: PushFault| PushError::bad(e.to_string()))?;
            intake.finish().1
        })
    }

    /// Takes a request to `/otlp/v1/logs`. What cannot be taken is told of in the answer; if nothing can, it is an error.
    pub fn push_otlp(
        &self,
        tenant: &Tenant,
        head: PushHead<'_>,
        body: &[u8],
    ) -> Result<OtlpAnswer, PushError> {
        self.with_scratch(|scratch| otlp::push(self, tenant, head, body, &mut scratch.batch))
    }

    /// Appends the metrics of taking in logs, as text.
    pub fn write_metrics(&self, out: &mut String) {
        let mut tenants: Vec<_> =
            self.tenants.read().iter().map(|(tenant, state)| (tenant.clone(), Arc::clone(state))).collect();
        tenants.sort_by(|a, b| a.0.cmp(&b.0));
        let shown: Vec<metrics::Shown<'_>> = tenants
            .iter()
            .map(|(tenant, state)| metrics::Shown {
                tenant: tenant.as_str(),
                counters: &state.counters,
                retention_hours: self.limits.of(tenant).retention_period.as_std().as_secs() / 3600,
                streams: state.active(),
            })
            .collect();
        metrics::write(&shown, self.demotions.load(Ordering::Relaxed), out);
    }

    fn push_as(&self, tenant: &Tenant, head: PushHead<'_>, body: &[u8], json: Form) -> Result<(), PushError> {
        let form = if body::is_json(head.content_type)? { json } else { Form::Protobuf };
        self.with_scratch(|scratch| {
            let limit = self.limits.max_push_bytes();
            let plain = body::plain(form, head.content_encoding, body, limit, &mut scratch.body)?;
            let mut intake = Intake::new(self, tenant, &mut scratch.batch)?;
            let walked = match form {
                Form::Json => decode::push_json(&String::from_utf8_lossy(&plain), &mut intake),
                Form::LegacyJson => decode::push_legacy_json(&String::from_utf8_lossy(&plain), &mut intake),
                Form::Protobuf => decode::push_protobuf(&plain, &mut intake),
            };
            walked.map_err(|e: PushFault| PushError::bad(e.to_string()))?;
            intake.finish().1
        })
    }

    fn with_scratch<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let mut scratch = self.pool.lock().pop().unwrap_or_default();
        let result = work(&mut scratch);
        if scratch.body.capacity() <= KEEP_BYTES && scratch.batch.text_bytes() <= KEEP_BYTES {
            let mut pool = self.pool.lock();
            if pool.len() < POOLED {
                pool.push(scratch);
            }
        }
        result
    }

    /// What is remembered of a tenant. Of too many, those go that have sent nothing for `idle_ns`.
    fn tenant(&self, tenant: &Tenant, now_ns: i64, idle_ns: i64) -> Result<Arc<TenantState>, PushError> {
        if let Some(state) = self.tenants.read().get(tenant) {
            state.used(now_ns);
            return Ok(Arc::clone(state));
        }
        let mut tenants = self.tenants.write();
        if tenants.len() >= MAX_TENANTS {
            tenants.retain(|_, state| state.used_since(now_ns.saturating_sub(idle_ns)));
        }
        if tenants.len() >= MAX_TENANTS {
            return Err(PushError::too_fast(format!("more than {MAX_TENANTS} tenants are active")));
        }
        let state =
            tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(TenantState::new(tenant.as_str())));
        state.used(now_ns);
        Ok(Arc::clone(state))
    }

    /// Whether a label is stored as structured metadata: it is so already, its name is on the list, or it has too many values.
    fn is_demoted(
        &self,
        tenant: &Tenant,
        state: &TenantState,
        (name, value): (&str, &str),
        limits: &Limits,
        now_ns: i64,
    ) -> bool {
        if self.demoted.of(tenant).contains(name) {
            return true;
        }
        let most = limits.high_cardinality_values_per_hour;
        let listed = limits.high_cardinality_labels.iter().any(|n| n == name);
        if !listed && !state.has_too_many_values(name, value, now_ns, most) {
            return false;
        }
        match self.demoted.add(tenant, name) {
            Ok(true) => {
                let reason = if listed {
                    "its name is in limits_config.high_cardinality_labels"
                } else {
                    "it has too many values"
                };
                tracing::warn!(
                    %tenant, label = name,
                    "a label of log streams is stored as structured metadata from now on: {reason}; selectors find it as before"
                );
                self.demotions.fetch_add(1, Ordering::Relaxed);
                state.turn_epoch();
                true
            }
            Ok(false) => true,
            Err(e) => {
                tracing::warn!(%tenant, label = name, error = %e, "cannot write down that a label has too many values");
                false
            }
        }
    }
}

impl fmt::Debug for LokiReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LokiReceiver").field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

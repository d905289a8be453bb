//! Loki's role of taking in logs: its configuration, its limits, and the requests that push entries.

pub mod config;
mod error;
pub mod limits;

use std::{fmt, sync::Arc};

use reba_model::Tenant;
use reba_storage::LogAppender;

pub use self::error::PushError;
use self::limits::TenantLimits;

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

/// Takes in pushed entries.
pub struct LokiReceiver {
    appender: Arc<dyn LogAppender>,
    limits: Arc<TenantLimits>,
    now_ns: NowNs,
    seed: u64,
}

impl LokiReceiver {
    /// A receiver that writes to `appender`. `seed` is a random number of this process, so that nobody can prepare streams
    /// that hash alike.
    pub fn new(appender: Arc<dyn LogAppender>, limits: Arc<TenantLimits>, now_ns: NowNs, seed: u64) -> Self {
        LokiReceiver { appender, limits, now_ns, seed }
    }

    /// Where entries are written to: for those in the same process, who push without limits.
    pub fn appender(&self) -> Arc<dyn LogAppender> {
        Arc::clone(&self.appender)
    }

    /// Takes a request to `/loki/api/v1/push`. Blocks for decoding and for the store's log.
    pub fn push(&self, tenant: &Tenant, head: PushHead<'_>, body: &[u8]) -> Result<(), PushError> {
        let _ = (tenant, head, body, self.limits.max_push_bytes(), (self.now_ns)(), self.seed);
        Err(PushError { status: 501, message: "not there yet".to_owned(), retry_after_s: None })
    }

    /// Takes a request to `/api/prom/push`: the same protobuf, and another form of JSON.
    pub fn push_legacy(&self, tenant: &Tenant, head: PushHead<'_>, body: &[u8]) -> Result<(), PushError> {
        self.push(tenant, head, body)
    }

    /// Takes a request to `/otlp/v1/logs`.
    pub fn push_otlp(
        &self,
        tenant: &Tenant,
        head: PushHead<'_>,
        body: &[u8],
    ) -> Result<OtlpAnswer, PushError> {
        self.push(tenant, head, body)?;
        Ok(OtlpAnswer::default())
    }

    /// Appends the metrics of taking in logs, as text.
    pub fn write_metrics(&self, out: &mut String) {
        let _ = out;
    }
}

impl fmt::Debug for LokiReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LokiReceiver").field("limits", &self.limits).finish_non_exhaustive()
    }
}

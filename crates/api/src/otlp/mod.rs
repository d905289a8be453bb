//! OTLP on its own ports: gRPC on 4317, HTTP on 4318.
//!
//! [`over_grpc`] and [`over_http`] read and answer; in between, a request of either goes to the same [`Destination`]. A gRPC
//! call of one message is five bytes and a trailer over HTTP/2 ([`frame`]), which the listener speaks anyway.

mod failure;
pub(crate) mod frame;
mod over_grpc;
mod over_http;

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use axum::{
    body::Body,
    http::{HeaderMap, StatusCode},
};
use reba_ingest::{
    loki::{LokiReceiver, PushHead, config::LokiConfig, limits::TenantLimits},
    otlp::{
        body::{Encoding, decompress},
        metrics::{MAX_BYTES, OtlpReceiver},
    },
    traces::{TraceReceiver, config::TempoConfig},
};
use reba_model::GoRegex;

use crate::{
    loki::{Intake, owner},
    prometheus::Clock,
    tempo,
};

pub(crate) use self::{failure::Failure, over_http::Head};
pub use self::{over_grpc::router as grpc_router, over_http::router as http_router};

/// The parts of Reba that take what comes. What is absent does not run in this process.
pub struct OtlpApi {
    /// Takes metrics.
    pub metrics: Option<Metrics>,
    /// Takes logs.
    pub logs: Option<Logs>,
    /// Takes traces.
    pub traces: Option<Traces>,
    /// Memory for bodies on their way.
    pub intake: Intake,
    /// Origins whose pages may send.
    pub cors_origin: GoRegex,
}

/// Where metrics go.
pub struct Metrics {
    /// Takes them.
    pub receiver: Arc<OtlpReceiver>,
    /// The time of day.
    pub clock: Clock,
}

/// Where logs go.
pub struct Logs {
    /// Takes them.
    pub receiver: Arc<LokiReceiver>,
    /// Limits by tenant.
    pub limits: Arc<TenantLimits>,
    /// The configuration in force: whether there are tenants.
    pub config: Arc<ArcSwap<LokiConfig>>,
}

/// Where traces go.
pub struct Traces {
    /// Takes them.
    pub receiver: Arc<TraceReceiver>,
    /// The configuration in force: whether there are tenants.
    pub config: Arc<ArcSwap<TempoConfig>>,
}

impl fmt::Debug for OtlpApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpApi").finish_non_exhaustive()
    }
}

/// What a request brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payload {
    /// `ExportLogsServiceRequest`
    Logs,
    /// `ExportMetricsServiceRequest`
    Metrics,
    /// `ExportTraceServiceRequest`
    Traces,
    /// `logproto.PushRequest`, Loki's own message: only in protobuf.
    LokiPush,
}

/// Stores a body that is encoded and compressed in this way; the message of the answer is in the same encoding. May block.
type Store = Box<dyn FnOnce(Encoding, &str, &[u8]) -> Result<Vec<u8>, Failure> + Send>;

/// Where a request goes.
struct Destination {
    /// Most bytes of the body, as it is sent.
    most: usize,
    store: Store,
}

impl OtlpApi {
    /// Where a request with these headers goes.
    fn destination(&self, payload: Payload, headers: &HeaderMap) -> Result<Destination, Failure> {
        let logs = || self.logs.as_ref().ok_or_else(|| Failure::absent("logs (the role loki) are"));
        match payload {
            Payload::Logs => logs()?.otlp(headers),
            Payload::LokiPush => logs()?.push(headers),
            Payload::Metrics => {
                let metrics = self.metrics.as_ref();
                let metrics = metrics.ok_or_else(|| Failure::absent("metrics (the role prometheus) are"))?;
                Ok(metrics.destination())
            }
            Payload::Traces => {
                let traces = self.traces.as_ref();
                traces.ok_or_else(|| Failure::absent("traces (the role tempo) are"))?.destination(headers)
            }
        }
    }

    /// Reads a body of at most `most` bytes and has `work` done with it where it may block.
    async fn take(
        &self,
        body: Body,
        most: usize,
        work: impl FnOnce(&[u8]) -> Result<Vec<u8>, Failure> + Send + 'static,
    ) -> Result<Vec<u8>, Failure> {
        self.intake.take(body, most, move |body| Ok(work(body))).await?
    }
}

impl Metrics {
    fn destination(&self) -> Destination {
        let (receiver, now) = (Arc::clone(&self.receiver), (self.clock)());
        let store = move |encoding: Encoding, compression: &str, body: &[u8]| {
            store_metrics(&receiver, now, encoding, compression, body)
        };
        Destination { most: MAX_BYTES, store: Box::new(store) }
    }
}

/// Stores an `ExportMetricsServiceRequest`. `now` is in Unix milliseconds.
pub(crate) fn store_metrics(
    receiver: &OtlpReceiver,
    now: i64,
    encoding: Encoding,
    compression: &str,
    body: &[u8],
) -> Result<Vec<u8>, Failure> {
    let written = receiver.handle(encoding, body, compression, now)?;
    Ok(encoding.taken("rejectedDataPoints", written.refused, &written.reason))
}

impl Logs {
    fn otlp(&self, headers: &HeaderMap) -> Result<Destination, Failure> {
        let tenant = owner(headers, self.config.load().auth_enabled)?;
        let receiver = Arc::clone(&self.receiver);
        let store = move |encoding: Encoding, compression: &str, body: &[u8]| {
            let head =
                PushHead { content_type: Some(encoding.content_type()), content_encoding: Some(compression) };
            let answer = receiver.push_otlp(&tenant, head, body)?;
            Ok(if answer.body.is_empty() { encoding.taken("", 0, "") } else { answer.body })
        };
        Ok(Destination { most: self.limits.max_push_bytes(), store: Box::new(store) })
    }

    fn push(&self, headers: &HeaderMap) -> Result<Destination, Failure> {
        let tenant = owner(headers, self.config.load().auth_enabled)?;
        let (receiver, most) = (Arc::clone(&self.receiver), self.limits.max_push_bytes());
        let store = move |_: Encoding, compression: &str, body: &[u8]| {
            let message = decompress(body, compression, most)?;
            receiver.push_message(&tenant, &message)?;
            Ok(Vec::new())
        };
        Ok(Destination { most, store: Box::new(store) })
    }
}

impl Traces {
    fn destination(&self, headers: &HeaderMap) -> Result<Destination, Failure> {
        let tenant = tempo::owner(headers, self.config.load().multitenancy_enabled)?;
        let receiver = Arc::clone(&self.receiver);
        let most = receiver.max_bytes();
        let store = move |encoding: Encoding, compression: &str, body: &[u8]| {
            Ok(receiver.push_otlp(&tenant, encoding, compression, body)?)
        };
        Ok(Destination { most, store: Box::new(store) })
    }
}

impl Failure {
    /// The sender should look elsewhere: trying again does not help.
    fn absent(what: &str) -> Self {
        Failure::new(StatusCode::NOT_IMPLEMENTED, format!("{what} not taken in by this process"))
    }
}

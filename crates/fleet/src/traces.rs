//! The traces of the services, sent over OTLP.
//!
//! A span is made where something happens and handed to one task that sends. Handlers never wait for it: where it does not keep
//! up, or nobody takes spans, they are left out.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use easymo_commons::TraceContext;
use http::{Request, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::Service;

/// Spans that may wait: some seconds of a fleet at its fastest.
const WAITING: usize = 16_384;
/// Spans of one request.
const BATCH: usize = 1024;
/// How long a span waits for others at most.
const PAUSE: Duration = Duration::from_millis(500);
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What part a span plays, as OTLP numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Server = 2,
    Client = 3,
}

/// A span that has ended.
#[derive(Debug)]
struct Ended {
    service: Service,
    span: Value,
}

/// Where spans go. Clones go to the same place.
#[derive(Clone, Debug)]
pub(crate) struct Traces {
    queue: Sender<Ended>,
}

/// Something that a service does.
#[derive(Debug)]
#[must_use]
pub(crate) struct Span {
    traces: Option<Traces>,
    service: Service,
    context: TraceContext,
    parent: Option<String>,
    name: Cow<'static, str>,
    kind: Kind,
    start: SystemTime,
    attributes: Vec<Value>,
    failure: Option<String>,
}

impl Traces {
    /// Spans go to this address, until the fleet stops; what waits then is still sent.
    pub(crate) fn start(
        url: String,
        environment: String,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, spans) = channel(WAITING);
        (Self { queue }, Sending { url, environment, client: client() }.run(spans, stop))
    }
}

impl Span {
    /// Begins a span of `service` at `context`.
    pub(crate) fn begin(
        traces: Option<&Traces>,
        service: Service,
        context: &TraceContext,
        kind: Kind,
        name: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            traces: traces.cloned(),
            service,
            context: context.clone(),
            parent: context.parent().map(|id| id.to_string()),
            name: name.into(),
            kind,
            start: SystemTime::now(),
            attributes: Vec::new(),
            failure: None,
        }
    }

    /// Where calls on behalf of this span stand.
    pub(crate) fn context(&self) -> &TraceContext {
        &self.context
    }

    /// Nobody who sends spans caused it.
    pub(crate) fn into_root(mut self) -> Self {
        self.parent = None;
        self
    }

    /// With a detail.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// Adds a detail.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        if self.traces.is_some() {
            self.attributes.push(attribute(name, value.into()));
        }
    }

    /// It failed.
    pub(crate) fn fail(&mut self, why: impl Into<String>) {
        self.failure = Some(why.into());
    }

    /// It has ended.
    pub(crate) fn end(self) {
        let Some(traces) = self.traces else { return };
        let ns =
            |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string();
        let mut span = json!({
            "traceId": self.context.trace_id().to_string(),
            "spanId": self.context.span_id().to_string(),
            "name": self.name,
            "kind": self.kind as u8,
            "startTimeUnixNano": ns(self.start),
            "endTimeUnixNano": ns(SystemTime::now()),
            "attributes": self.attributes,
            "flags": u8::from(self.context.sampled()),
        });
        if let Some(parent) = self.parent {
            span["parentSpanId"] = parent.into();
        }
        if let Some(why) = self.failure {
            span["status"] = json!({ "code": 2, "message": why });
        }
        // A queue that is full, or closed, is full of spans like this one.
        drop(traces.queue.try_send(Ended { service: self.service, span }));
    }
}

fn attribute(name: &str, value: Value) -> Value {
    let value = match value {
        Value::Bool(b) => json!({ "boolValue": b }),
        Value::Number(n) if n.is_f64() => json!({ "doubleValue": n }),
        Value::Number(n) => json!({ "intValue": n.to_string() }),
        Value::String(s) => json!({ "stringValue": s }),
        other => json!({ "stringValue": other.to_string() }),
    };
    json!({ "key": name, "value": value })
}

fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

/// The task that sends.
struct Sending {
    url: String,
    environment: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Sending {
    async fn run(self, mut spans: Receiver<Ended>, stop: CancellationToken) {
        let (mut waiting, mut told) = (Vec::with_capacity(BATCH), false);
        loop {
            let stopped = stop.is_cancelled();
            if stopped {
                spans.close();
            }
            let room = BATCH - waiting.len();
            let more = tokio::select! {
                more = timeout(PAUSE, spans.recv_many(&mut waiting, room)) => more,
                () = stop.cancelled(), if !stopped => continue,
            };
            // Nothing came for a while, or what came fills a request: either way it goes.
            if (more.is_err() || waiting.len() == BATCH || stopped) && !waiting.is_empty() {
                let batch = std::mem::take(&mut waiting);
                if !self.send(&batch).await && !told {
                    told = true;
                    tracing::warn!(url = self.url, "spans of the fleet are not taken");
                }
            }
            if more == Ok(0) {
                return;
            }
        }
    }

    async fn send(&self, batch: &[Ended]) -> bool {
        let body = Bytes::from(request(batch, &self.environment).to_string());
        let request = Request::post(&self.url).header(CONTENT_TYPE, "application/json").body(Full::new(body));
        let Ok(request) = request else { return false };
        let exchange = async {
            let answer = self.client.request(request).await.ok()?;
            let taken = answer.status().is_success();
            // Read to its end, so that the connection can be used again.
            drop(answer.into_body().collect().await);
            Some(taken)
        };
        timeout(PATIENCE, exchange).await.ok().flatten().unwrap_or(false)
    }
}

/// An `ExportTraceServiceRequest`.
fn request(batch: &[Ended], environment: &str) -> Value {
    let mut by_service: BTreeMap<Service, Vec<&Value>> = BTreeMap::new();
    for ended in batch {
        by_service.entry(ended.service).or_default().push(&ended.span);
    }
    let of_service = |(service, spans): (Service, Vec<&Value>)| {
        let attributes = [
            attribute("service.name", service.name().into()),
            attribute("service.namespace", "easymo".into()),
            attribute("service.version", env!("CARGO_PKG_VERSION").into()),
            attribute("deployment.environment", environment.into()),
        ];
        let scope = json!({ "name": "easymo-commons", "version": env!("CARGO_PKG_VERSION") });
        json!({ "resource": { "attributes": attributes }, "scopeSpans": [{ "scope": scope, "spans": spans }] })
    };
    let all: Vec<Value> = by_service.into_iter().map(of_service).collect();
    json!({ "resourceSpans": all })
}

#[cfg(test)]
mod tests {
    use easymo_commons::IdGenerator;

    use super::*;

    #[tokio::test]
    async fn a_span_says_who_caused_it_and_why_it_failed() {
        let (queue, mut ended) = channel(4);
        let (traces, ids) = (Traces { queue }, IdGenerator::seeded(1));
        let root = TraceContext::root(&ids);
        let child = root.child(&ids);
        let mut span = Span::begin(Some(&traces), Service::Wallet, &child, Kind::Client, "SELECT wallets");
        span.set("db.system", "postgresql");
        span.fail("timeout");
        span.end();
        Span::begin(Some(&traces), Service::Wallet, &child, Kind::Server, "GET /").into_root().end();
        let (first, second) = (ended.recv().await.unwrap(), ended.recv().await.unwrap());
        assert_eq!(first.span["parentSpanId"], root.span_id().to_string());
        assert_eq!(first.span["status"], json!({ "code": 2, "message": "timeout" }));
        assert!(second.span.get("parentSpanId").is_none());
        let request = request(&[first, second], "demo");
        assert_eq!(request["resourceSpans"].as_array().unwrap().len(), 1);
        assert_eq!(request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().len(), 2);
    }
}

//! HTTP requests that a service sends.

use std::{
    future::poll_fn,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use ::http::{Method, Request, Response, Uri, header::HOST};
use futures::future::BoxFuture;
use tower::{Layer, Service};
use tracing::{Span, field::Empty};

use crate::{
    clock::Clock,
    family::{Counters, Histograms, trace_labels},
    http::{SECONDS, method_label},
    registry::Registrar,
    scope,
    spans::OWN_TARGET,
    trace::{IdGenerator, TraceContext},
};

/// The status of a request that got no answer.
const NO_ANSWER: &str = "error";
/// The host of a request that does not say where it goes.
const NO_HOST: &str = "unknown";

/// Counts requests that are sent, by method, host and status, never by path.
#[derive(Clone, Debug)]
pub struct ClientMetrics {
    requests: Counters<3>,
    duration: Histograms<3>,
    clock: Clock,
    ids: IdGenerator,
}

impl ClientMetrics {
    pub(crate) fn register(r: &mut Registrar, clock: Clock, ids: IdGenerator) -> Self {
        let labels = ["method", "host", "status_code"];
        let help = "Time until the answer to a request that was sent began";
        Self {
            requests: r.counter("http_client_requests", "HTTP requests sent", labels),
            duration: r.histogram("http_client_request_duration_seconds", help, labels, SECONDS),
            clock,
            ids,
        }
    }

    /// The layer for clients that are tower services, such as those of hyper-util and reqwest: each request is
    /// measured, gets a span below the active one, and takes `traceparent` along.
    pub fn layer(&self) -> ClientLayer {
        ClientLayer { metrics: self.clone() }
    }

    /// Notes a request to `host` that took `took`; without a status it got no answer. The active span is its exemplar.
    pub fn track(&self, method: &Method, host: &str, status: Option<u16>, took: Duration) {
        self.note(method, host, status, took, TraceContext::current().as_ref());
    }

    fn note(
        &self,
        method: &Method,
        host: &str,
        status: Option<u16>,
        took: Duration,
        trace: Option<&TraceContext>,
    ) {
        let status = status.map_or_else(|| NO_ANSWER.to_owned(), |status| status.to_string());
        let labels = [method_label(method), host, &status];
        let exemplar = trace.and_then(trace_labels).map(|labels| (labels, self.clock.wall()));
        self.requests.inc_traced(labels, exemplar);
        self.duration.observe_traced(labels, took.as_secs_f64(), exemplar);
    }
}

/// Measures and traces what a client sends; made by [`ClientMetrics::layer`].
#[derive(Clone, Debug)]
pub struct ClientLayer {
    metrics: ClientMetrics,
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> ClientService<S> {
        ClientService { inner, metrics: self.metrics.clone() }
    }
}

/// The service that [`ClientLayer`] makes.
#[derive(Clone, Debug)]
pub struct ClientService<S> {
    inner: S,
    metrics: ClientMetrics,
}

impl<S, B, R> Service<Request<B>> for ClientService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    R: 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<R>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let sent = Sent::start(&self.metrics, &request);
        let span = sent.span(request.uri());
        sent.trace.inject(request.headers_mut());
        let answer = scope::within(Some(&sent.trace), &span, || self.inner.call(request));
        Box::pin(async move {
            let mut answer = pin!(answer);
            let answer =
                poll_fn(|cx| scope::within(Some(&sent.trace), &span, || answer.as_mut().poll(cx))).await;
            match &answer {
                Ok(response) => {
                    let status = response.status();
                    span.record("http.response.status_code", status.as_u16());
                    if status.is_client_error() || status.is_server_error() {
                        span.record("otel.status_code", "ERROR");
                    }
                    sent.answered(status.as_u16());
                }
                Err(_) => {
                    span.record("otel.status_code", "ERROR");
                }
            }
            answer
        })
    }
}

/// A request under way. Dropped without an answer, it counts as one that got none.
struct Sent {
    metrics: ClientMetrics,
    method: Method,
    host: String,
    trace: TraceContext,
    started: Duration,
    status: Option<u16>,
}

impl Sent {
    fn start<B>(metrics: &ClientMetrics, request: &Request<B>) -> Self {
        let above = request.extensions().get::<TraceContext>().cloned().or_else(TraceContext::current);
        let trace = above.map_or_else(|| TraceContext::root(&metrics.ids), |above| above.child(&metrics.ids));
        Self {
            method: request.method().clone(),
            host: host_of(request),
            trace,
            started: metrics.clock.monotonic(),
            status: None,
            metrics: metrics.clone(),
        }
    }

    fn span(&self, uri: &Uri) -> Span {
        let method = method_label(&self.method);
        scope::adopting(Some(&self.trace), || {
            tracing::info_span!(
                target: OWN_TARGET,
                "send",
                otel.name = format!("{method} {}", self.host),
                otel.kind = "client",
                otel.status_code = Empty,
                http.request.method = method,
                http.response.status_code = Empty,
                server.address = self.host,
                url.path = uri.path(),
            )
        })
    }

    fn answered(mut self, status: u16) {
        self.status = Some(status);
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        let took = self.metrics.clock.monotonic().saturating_sub(self.started);
        self.metrics.note(&self.method, &self.host, self.status, took, Some(&self.trace));
    }
}

/// Host and port, never the user and password that an address may hold.
fn host_of<B>(request: &Request<B>) -> String {
    let uri = request.uri();
    match (uri.host(), uri.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => {
            let named = request.headers().get(HOST).and_then(|host| host.to_str().ok());
            named.unwrap_or(NO_HOST).to_owned()
        }
    }
}

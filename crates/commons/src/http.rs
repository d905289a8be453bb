//! HTTP requests measured by a tower layer.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use ::http::{HeaderMap, Method, Request, Response, StatusCode, header::CONTENT_LENGTH};
use axum::{body::Body, extract::MatchedPath};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Body as _, Frame, SizeHint};
use tower::{Layer, Service};
use tracing::{Span, field::Empty};

use crate::{
    clock::Clock,
    counter::Counter,
    family::{Family, Gauge, Histogram, Histograms, trace_labels},
    registry::Registrar,
    scope,
    spans::OWN_TARGET,
    trace::TraceContext,
};

pub(crate) const SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0];
const BYTES: &[f64] = &[100.0, 1e3, 5e3, 10e3, 50e3, 100e3, 500e3, 1e6];

/// The route of requests that matched none: one value, whatever strangers ask for.
const UNMATCHED: &str = "unmatched";
/// The status of a request whose sender left before the answer was ready, as nginx writes it.
const CLIENT_LEFT: &str = "499";

#[derive(Debug)]
pub(crate) struct HttpMetrics {
    /// The families by status, found by one look for each request.
    answers: Family<3, Answers>,
    in_flight: Gauge,
    request_size: Histograms<2>,
    response_size: Histograms<2>,
    clock: Clock,
}

impl HttpMetrics {
    pub(crate) fn register(r: &mut Registrar, clock: Clock) -> Self {
        let by_status = ["method", "route", "status_code"];
        let by_route = ["method", "route"];
        let requests = r.counter("http_requests", "HTTP requests answered", by_status);
        let in_flight = r.gauge("http_requests_in_flight", "HTTP requests that wait for their answer", []);
        let duration =
            r.histogram("http_request_duration_seconds", "Time until the answer began", by_status, SECONDS);
        Self {
            answers: Family::new(by_status, move |values| Answers {
                requests: requests.with(values),
                duration: duration.with(values),
            }),
            in_flight: in_flight.with([]),
            request_size: r.histogram("http_request_size_bytes", "Size of request bodies", by_route, BYTES),
            response_size: r.histogram(
                "http_response_size_bytes",
                "Size of response bodies",
                by_route,
                BYTES,
            ),
            clock,
        }
    }
}

/// What is counted of the answers of one status.
#[derive(Clone, Debug)]
struct Answers {
    requests: Counter,
    duration: Histogram,
}

/// Measures every request that passes, and is its span: count, time until the answer begins, size of both bodies. The label `route`
/// is the template that axum matched (`/rides/{id}`), never the path, and unusual methods are `OTHER`: strangers
/// cannot make new series.
#[derive(Clone, Debug)]
pub struct HttpMetricsLayer {
    metrics: Arc<HttpMetrics>,
}

impl HttpMetricsLayer {
    pub(crate) fn new(metrics: Arc<HttpMetrics>) -> Self {
        Self { metrics }
    }
}

impl<S> Layer<S> for HttpMetricsLayer {
    type Service = HttpMetricsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpMetricsService { inner, metrics: self.metrics.clone() }
    }
}

/// The service that [`HttpMetricsLayer`] makes.
#[derive(Clone, Debug)]
pub struct HttpMetricsService<S> {
    inner: S,
    metrics: Arc<HttpMetrics>,
}

impl<S> Service<Request<Body>> for HttpMetricsService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let pending = Pending::start(self.metrics.clone(), &request);
        let span = pending.span(&request);
        let answer = scope::within(pending.trace.as_ref(), &span, || self.inner.call(request));
        Box::pin(async move {
            let mut answer = pin!(answer);
            let answer =
                poll_fn(|cx| scope::within(pending.trace.as_ref(), &span, || answer.as_mut().poll(cx)));
            let response = answer.await?;
            note_status(&span, response.status());
            Ok(pending.answered(response))
        })
    }
}

/// Tells the request's span how it ended; what went wrong on this side makes it a failed one.
fn note_status(span: &Span, status: StatusCode) {
    if span.is_disabled() {
        return;
    }
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// A request under way. Dropped without an answer, it is counted as one whose sender left.
struct Pending {
    metrics: Arc<HttpMetrics>,
    method: &'static str,
    path: Option<MatchedPath>,
    trace: Option<TraceContext>,
    started: Duration,
    done: bool,
}

impl Pending {
    fn start(metrics: Arc<HttpMetrics>, request: &Request<Body>) -> Self {
        let path = request.extensions().get::<MatchedPath>().cloned();
        let method = method_label(request.method());
        if let Some(size) = body_size(request.headers(), request.body()) {
            metrics.request_size.observe([method, route(path.as_ref())], size as f64);
        }
        let trace = request.extensions().get::<TraceContext>().cloned();
        let started = metrics.clock.monotonic();
        metrics.in_flight.inc();
        Self { metrics, method, path, trace, started, done: false }
    }

    /// The request's span, recorded once [`crate::init`] was called. Its ids are those of the [`TraceContext`].
    fn span(&self, request: &Request<Body>) -> Span {
        let route = route(self.path.as_ref());
        scope::adopting(self.trace.as_ref(), || {
            tracing::info_span!(
                target: OWN_TARGET,
                "request",
                otel.name = format!("{} {route}", self.method),
                otel.kind = "server",
                otel.status_code = Empty,
                http.request.method = self.method,
                http.route = route,
                http.response.status_code = Empty,
                url.path = request.uri().path(),
                url.scheme = "http",
            )
        })
    }

    fn answered(mut self, response: Response<Body>) -> Response<Body> {
        self.record(response.status().as_str());
        let sizes = &self.metrics.response_size;
        if let Some(size) = body_size(response.headers(), response.body()) {
            sizes.observe([self.method, route(self.path.as_ref())], size as f64);
            return response;
        }
        let (sizes, method, path) = (sizes.clone(), self.method, self.path.take());
        response.map(|inner| Body::new(CountedBody { inner, seen: 0, method, path, sizes }))
    }

    fn record(&mut self, status: &str) {
        self.done = true;
        self.metrics.in_flight.dec();
        let took = self.metrics.clock.monotonic().saturating_sub(self.started).as_secs_f64();
        let labels = [self.method, route(self.path.as_ref()), status];
        let exemplar = self.trace.as_ref().and_then(trace_labels).map(|l| (l, self.metrics.clock.wall()));
        self.metrics.answers.apply(labels, |answers| {
            answers.requests.inc_traced(exemplar);
            let (labels, at) = exemplar.unzip();
            answers.duration.observe(took, labels, at);
        });
    }
}

/// The label `route`: the template that matched.
fn route(path: Option<&MatchedPath>) -> &str {
    path.map_or(UNMATCHED, MatchedPath::as_str)
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.done {
            self.record(CLIENT_LEFT);
        }
    }
}

pub(crate) fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "CONNECT" => "CONNECT",
        "TRACE" => "TRACE",
        _ => "OTHER",
    }
}

/// The size of a body that says so beforehand.
fn body_size(headers: &HeaderMap, body: &Body) -> Option<u64> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    declared.or_else(|| body.size_hint().exact())
}

/// A body of unknown length: its bytes are counted as they pass, and recorded when it ends or is dropped.
struct CountedBody {
    inner: Body,
    seen: u64,
    method: &'static str,
    path: Option<MatchedPath>,
    sizes: Histograms<2>,
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.seen += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for CountedBody {
    fn drop(&mut self) {
        self.sizes.observe([self.method, route(self.path.as_ref())], self.seen as f64);
    }
}

//! A service as its handlers see it.

use std::{borrow::Cow, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{StatusCode, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use easymo_commons::{BusinessMetrics, DbQuery, MetricsRegistry, QueryType, TraceContext};
use parking_lot::Mutex;
use serde::Serialize;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Incident, Service,
    caller::{Answer, Caller, FROM_OUTSIDE},
    clock::SimClock,
    database::Database,
    dice::Dice,
    incident::Board,
    logs::{Level, Line, Logs, stacks},
    process::SimProcess,
    rides::Rides,
    traces::{Kind, Span, Traces},
};

/// A query that takes longer is worth a line.
const SLOW: Duration = Duration::from_secs(1);

/// What all services share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: SimClock,
    pub(crate) incidents: Arc<Board>,
    pub(crate) caller: Caller,
    pub(crate) rides: Mutex<Rides>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) logs: Option<Logs>,
    pub(crate) traces: Option<Traces>,
}

impl World {
    /// Does something beside what goes on, until the fleet stops.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! { () = stop.cancelled() => {}, () = work => {} }
        });
    }
}

/// One service.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) service: Service,
    pub(crate) metrics: MetricsRegistry,
    pub(crate) database: Database,
    pub(crate) process: SimProcess,
    pub(crate) world: Arc<World>,
}

impl Node {
    pub(crate) fn business(&self) -> &BusinessMetrics {
        self.metrics.business()
    }

    /// Writes a line that is about no request.
    pub(crate) fn log(&self, line: Line) {
        if let Some(logs) = &self.world.logs {
            logs.write(self.service, None, line);
        }
    }
}

/// A request to a service: the service, the span that handles the request, and its dice.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) node: Arc<Node>,
    pub(crate) dice: Dice,
    trace: TraceContext,
}

impl Call {
    fn new(node: &Arc<Node>, trace: Option<&TraceContext>) -> Self {
        let trace = trace.cloned().unwrap_or_else(|| TraceContext::root(node.metrics.ids()));
        let dice = Dice::of_trace(&trace).for_asker(node.service.name());
        Self { node: node.clone(), dice, trace }
    }

    pub(crate) fn business(&self) -> BusinessMetrics {
        self.node.business().traced(&self.trace)
    }

    /// Works for a log-normal time around `median` milliseconds.
    pub(crate) async fn work(&self, what: &str, median: u64) {
        self.node.world.clock.take(self.dice.time(what, Duration::from_millis(median), 0.4)).await;
    }

    pub(crate) async fn query(&self, query_type: &'static str, table: &'static str) {
        let Node { service, database, world, .. } = &*self.node;
        let query = DbQuery { query_type: query_type.parse().unwrap_or(QueryType::Other), table };
        let operation = query_type.to_ascii_uppercase();
        let mut span = self
            .begin(format!("{operation} {table}"))
            .with("db.system", "postgresql")
            .with("db.name", service.database())
            .with("db.operation", operation.as_str())
            .with("db.sql.table", table)
            .with("server.address", "postgres")
            .with("server.port", 5432);
        let outcome = database.query(world, *service, &self.business(), self.dice, query).await;
        if let Some(error) = outcome.error {
            span.set("error.type", error);
            span.fail(format!("{error} while running {query_type} on {table}"));
        }
        span.end();
        let about = |line: Line| {
            let ms = outcome.took.as_secs_f64() * 1000.0;
            let line = line.with("query_type", query_type).with("table", table);
            line.with_rounded("duration_ms", ms, 1)
        };
        if let Some(error) = outcome.error {
            let line = Line::error("query_failed", "database query failed").with("error_type", error);
            let reason = format!("{error} while running {query_type} on {table}");
            self.log(about(line).because("DatabaseError", reason, stacks::DATABASE));
        } else if outcome.took > SLOW {
            self.log(about(Line::warn("query_slow", "slow database query")));
        }
    }

    /// Begins a span of a call to somebody else.
    pub(crate) fn begin(&self, name: impl Into<Cow<'static, str>>) -> Span {
        let context = self.trace.child(self.node.metrics.ids());
        Span::begin(self.node.world.traces.as_ref(), self.node.service, &context, Kind::Client, name)
    }

    /// Asks the cache, which takes a millisecond and always answers.
    pub(crate) async fn cached(&self, operation: &'static str, key: &'static str) {
        let span = self.begin(format!("{operation} {key}")).with("db.system", "redis");
        let span =
            span.with("db.operation", operation).with("server.address", "redis").with("server.port", 6379);
        let took = self.dice.for_asker(key).time("cache", Duration::from_micros(700), 0.4);
        self.node.world.clock.take(took).await;
        span.end();
    }

    /// Dice of the person whom all of this is for, the same in every service.
    pub(crate) fn person(&self) -> Dice {
        Dice::of_trace(&self.trace)
    }

    /// Writes a line about this request.
    pub(crate) fn log(&self, line: Line) {
        if let Some(logs) = &self.node.world.logs {
            logs.write(self.node.service, Some(&self.trace), line);
        }
    }

    /// Asks another service.
    pub(crate) async fn get(&self, service: Service, path: &str) -> Option<Answer> {
        let span = self.asking("GET", service, path);
        let answer = self.node.world.caller.get(span.context(), service, path).await;
        answered(span, answer.as_ref());
        self.note_silence(service, path, answer.is_none());
        answer
    }

    /// Sends something to another service.
    pub(crate) async fn post<T: Serialize>(&self, service: Service, path: &str, body: &T) -> Option<Answer> {
        let span = self.asking("POST", service, path);
        let answer = self.node.world.caller.post(span.context(), service, path, body).await;
        answered(span, answer.as_ref());
        self.note_silence(service, path, answer.is_none());
        answer
    }

    fn asking(&self, method: &'static str, service: Service, path: &str) -> Span {
        let (name, port) = (service.name(), service.documented_addr().port());
        self.begin(method)
            .with("http.request.method", method)
            .with("url.full", format!("http://{name}:{port}{path}"))
            .with("server.address", name)
            .with("server.port", port)
            .with("peer.service", name)
    }

    fn note_silence(&self, upstream: Service, path: &str, silent: bool) {
        if silent {
            let name = upstream.name();
            let line = Line::error("upstream_unreachable", format!("{name} does not answer"));
            let reason = format!("connect ECONNREFUSED {}{path}", upstream.documented_addr());
            let line = line.with("upstream", name).with("error", "ECONNREFUSED");
            self.log(line.because("ConnectionError", reason, stacks::NETWORK));
        }
    }

    /// Goes on with the request after it was answered.
    pub(crate) fn afterwards<F: Future<Output = ()> + Send + 'static>(self, work: impl FnOnce(Self) -> F) {
        let world = self.node.world.clone();
        world.spawn(work(self));
    }

    pub(crate) fn suffers(&self, incident: Incident) -> bool {
        self.node.world.incidents.strikes(incident, self.node.service).is_some()
    }
}

impl FromRequestParts<Arc<Node>> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Infallible> {
        Ok(Self::new(node, parts.extensions.get()))
    }
}

/// Ends the span of a request that was answered, or was not.
fn answered(mut span: Span, answer: Option<&Answer>) {
    match answer {
        Some(answer) => {
            span.set("http.response.status_code", answer.status.as_u16());
            if answer.status.as_u16() >= 400 {
                span.fail(answer.status.canonical_reason().unwrap_or("failed"));
            }
        }
        None => {
            span.set("error.type", "ECONNREFUSED");
            span.fail("connection refused");
        }
    }
    span.end();
}

/// Makes a span of each request.
pub(crate) async fn trace_requests(State(node): State<Arc<Node>>, request: Request, next: Next) -> Response {
    let context = request.extensions().get::<TraceContext>().cloned();
    let (Some(traces), Some(context)) = (&node.world.traces, context) else { return next.run(request).await };
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    if route == "/health" {
        return next.run(request).await;
    }
    let method = request.method().as_str().to_owned();
    let span = Span::begin(Some(traces), node.service, &context, Kind::Server, format!("{method} {route}"));
    let span = if request.headers().contains_key(&FROM_OUTSIDE) { span.into_root() } else { span };
    let mut span = span
        .with("http.request.method", method)
        .with("http.route", route)
        .with("url.path", request.uri().path())
        .with("url.scheme", "http")
        .with("server.address", node.service.name());
    let answer = next.run(request).await;
    let status = answer.status();
    span.set("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.set("error.type", status.as_str());
        span.fail(status.canonical_reason().unwrap_or("failed"));
    }
    span.end();
    answer
}

/// Answers some requests with an error: very few as services do, a third of them during an error burst.
pub(crate) async fn fail_sometimes(State(node): State<Arc<Node>>, request: Request, next: Next) -> Response {
    let call = Call::new(&node, request.extensions().get());
    let path = request.uri().path();
    let probability = if call.suffers(Incident::ErrorBurst) { 0.35 } else { 0.0006 };
    if path != "/health" && call.dice.for_asker(path).chance("error", probability) {
        call.work("fail", 8).await;
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    next.run(request).await
}

/// Writes a line for a request: always for one that went wrong, often enough for the others.
pub(crate) async fn log_requests(State(node): State<Arc<Node>>, request: Request, next: Next) -> Response {
    if node.world.logs.is_none() {
        return next.run(request).await;
    }
    let call = Call::new(&node, request.extensions().get());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let clock = node.world.clock;
    let began = clock.on_the_wall();
    let answer = next.run(request).await;
    let took = clock.on_the_wall().saturating_sub(began).mul_f64(clock.pace());
    call.log(about_request(method.as_str(), &route, answer.status(), took));
    answer
}

fn about_request(method: &str, route: &str, status: StatusCode, took: Duration) -> Line {
    let line = match status.as_u16() {
        500.. => Line::error("request_failed", "request failed").because(
            "TypeError",
            "Cannot read properties of undefined (reading 'id')",
            stacks::HANDLER,
        ),
        400.. => Line::warn("request_refused", "request refused"),
        _ if route == "/health" => Line::new(Level::Debug, "request_completed", "request completed"),
        _ => Line::info("request_completed", "request completed").often(),
    };
    let line = line.with("method", method).with("route", route).with("status", status.as_u16());
    line.with_rounded("duration_ms", took.as_secs_f64() * 1000.0, 1)
}

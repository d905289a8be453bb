//! The ports of Zipkin and Jaeger, for programs that speak nothing else.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{self, Request},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use reba_ingest::traces::{Taken, TraceError};
use reba_model::GoRegex;

use super::tenant::owner;
use crate::{
    loki::{Answer, Intake, Refusal},
    origins,
    otlp::{Failure, Traces, frame},
};

/// Where spans go.
pub struct State {
    /// Takes them.
    pub traces: Traces,
    /// Memory for bodies on their way.
    pub intake: Intake,
    /// Origins whose pages may send.
    pub cors_origin: GoRegex,
}

/// Zipkin's `/api/v2/spans`. (Jaeger's two take encodings that no page may send without being asked.)
pub fn zipkin(state: Arc<State>) -> Router {
    let trusted = state.cors_origin.clone();
    let router = Router::new()
        .route("/api/v2/spans", post(take_zipkin))
        .route("/api/v1/spans", post(refuse_v1))
        .with_state(state);
    origins::keep_out(router, trusted)
}

/// Jaeger's `/api/traces`, in Thrift.
pub fn jaeger_thrift(state: Arc<State>) -> Router {
    Router::new().route("/api/traces", post(take_thrift)).with_state(state)
}

/// Jaeger's `CollectorService`.
pub fn jaeger_grpc(state: Arc<State>) -> Router {
    Router::new().route("/jaeger.api_v2.CollectorService/PostSpans", post(take_grpc)).with_state(state)
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers.get(name).map_or(String::new(), |v| String::from_utf8_lossy(v.as_bytes()).into_owned())
}

impl State {
    /// Has a body of at most `room` bytes more than a message may have taken as `push` does it.
    async fn take(
        &self,
        body: Body,
        room: usize,
        push: impl FnOnce(&Traces, &[u8]) -> Result<Taken, TraceError> + Send + 'static,
    ) -> Result<Taken, Refusal> {
        let traces =
            Traces { receiver: Arc::clone(&self.traces.receiver), config: Arc::clone(&self.traces.config) };
        let most = traces.receiver.max_bytes().saturating_add(room);
        self.intake.take(body, most, move |body| Ok(push(&traces, body)?)).await
    }
}

async fn take_zipkin(extract::State(state): extract::State<Arc<State>>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let tenant = owner(&head.headers, state.traces.config.load().multitenancy_enabled)?;
    let kind = text(&head.headers, header::CONTENT_TYPE);
    let compression = text(&head.headers, header::CONTENT_ENCODING);
    let push =
        move |traces: &Traces, body: &[u8]| traces.receiver.push_zipkin(&tenant, &kind, &compression, body);
    state.take(body, 0, push).await.map(accepted)
}

async fn refuse_v1() -> Refusal {
    Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "spans of Zipkin's version 1 are not taken: send /api/v2/spans",
    )
}

async fn take_thrift(extract::State(state): extract::State<Arc<State>>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let kind = text(&head.headers, header::CONTENT_TYPE);
    let known = ["application/x-thrift", "application/vnd.apache.thrift.binary"];
    if !known.contains(&kind.split(';').next().unwrap_or("").trim()) {
        let text = format!("Unsupported content type: {kind}");
        return Err(Refusal::bad(text));
    }
    let tenant = owner(&head.headers, state.traces.config.load().multitenancy_enabled)?;
    let compression = text(&head.headers, header::CONTENT_ENCODING);
    let push =
        move |traces: &Traces, body: &[u8]| traces.receiver.push_jaeger_thrift(&tenant, &compression, body);
    state.take(body, 0, push).await.map(accepted)
}

/// What was refused is counted; neither protocol has a place to say it.
fn accepted(_: Taken) -> Response {
    StatusCode::ACCEPTED.into_response()
}

async fn take_grpc(extract::State(state): extract::State<Arc<State>>, request: Request) -> Response {
    if !frame::is_call(request.headers()) {
        return (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "gRPC is spoken here (Content-Type: application/grpc)\n",
        )
            .into_response();
    }
    let mut response = match post_spans(&state, request).await {
        Ok(()) => frame::answer(&[]),
        Err(failure) => failure.over_grpc(),
    };
    frame::say_encodings(response.headers_mut());
    response
}

async fn post_spans(state: &State, request: Request) -> Result<(), Failure> {
    let (head, body) = request.into_parts();
    let tenant = owner(&head.headers, state.traces.config.load().multitenancy_enabled)?;
    let compression = frame::compression(&head.headers)?;
    let receiver = Arc::clone(&state.traces.receiver);
    let most = receiver.max_bytes().saturating_add(frame::PREFIX);
    let work = move |body: &[u8]| {
        let result = frame::message(body, compression);
        Ok(result.and_then(|(message, compression)| {
            Ok(receiver.push_jaeger_grpc(&tenant, compression, message).map(drop)?)
        }))
    };
    state.intake.take(body, most, work).await?
}

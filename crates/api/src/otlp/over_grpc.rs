//! The services of gRPC: those of OTLP, and Loki's `Pusher`.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, Uri},
    response::{IntoResponse as _, Response},
    routing::post,
};
use reba_ingest::otlp::body::Encoding;

use super::{Failure, OtlpApi, Payload, frame};

/// The services, for a listener that speaks HTTP/2.
pub fn router(api: Arc<OtlpApi>) -> Router {
    let call = |payload| {
        post(async move |State(api): State<Arc<OtlpApi>>, request: Request| {
            call(&api, payload, request).await
        })
    };
    Router::new()
        .route("/opentelemetry.proto.collector.logs.v1.LogsService/Export", call(Payload::Logs))
        .route("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", call(Payload::Metrics))
        .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", call(Payload::Traces))
        .route("/logproto.Pusher/Push", call(Payload::LokiPush))
        .fallback(unknown)
        .with_state(api)
}

async fn call(api: &OtlpApi, payload: Payload, request: Request) -> Response {
    if !frame::is_call(request.headers()) {
        return not_a_call();
    }
    let mut response = match export(api, payload, request).await {
        Ok(message) => frame::answer(&message),
        Err(failure) => failure.over_grpc(),
    };
    frame::say_encodings(response.headers_mut());
    response
}

async fn export(api: &OtlpApi, payload: Payload, request: Request) -> Result<Vec<u8>, Failure> {
    let destination = api.destination(payload, request.headers())?;
    let compression = frame::compression(request.headers())?;
    let most = destination.most.saturating_add(frame::PREFIX);
    let store = destination.store;
    let work = move |body: &[u8]| {
        let (message, compression) = frame::message(body, compression)?;
        store(Encoding::Protobuf, compression, message)
    };
    api.take(request.into_body(), most, work).await
}

async fn unknown(uri: Uri, request: Request) -> Response {
    if !frame::is_call(request.headers()) {
        return not_a_call();
    }
    let text = format!("there is no method {} here", uri.path().trim_start_matches('/'));
    Failure::new(StatusCode::NOT_IMPLEMENTED, text).over_grpc()
}

/// For those who took this port for that of OTLP over HTTP.
fn not_a_call() -> Response {
    let text =
        "gRPC is spoken here (Content-Type: application/grpc); OTLP over HTTP has a port of its own, 4318\n";
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response()
}

//! POST `/api/v1/otlp/v1/metrics`: OTLP over HTTP.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use reba_ingest::otlp::{OtlpError, body::Encoding};

use super::{PrometheusApi, write::read_body};

/// `/api/v1/otlp/v1/metrics`
pub async fn metrics(State(api): State<Arc<PrometheusApi>>, request: Request) -> Response {
    let text = |headers: &HeaderMap, name: HeaderName| {
        headers.get(name).map_or(String::new(), |v| String::from_utf8_lossy(v.as_bytes()).into_owned())
    };
    let compression = text(request.headers(), header::CONTENT_ENCODING);
    let encoding = match Encoding::of(&text(request.headers(), header::CONTENT_TYPE)) {
        Ok(encoding) => encoding,
        Err(e) => return (StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("{e}\n")).into_response(),
    };
    let body = match read_body(request).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    // Decoding and the write-ahead log take longer than a worker of the runtime may be held.
    let now = api.now_ms();
    let answer = tokio::task::spawn_blocking(move || {
        let result = api.otlp.handle(encoding, &body, &compression, now);
        result.map(|written| encoding.taken("rejectedDataPoints", written.refused, &written.reason))
    });
    match answer.await {
        Ok(Ok(body)) => ([(header::CONTENT_TYPE, encoding.content_type())], body).into_response(),
        Ok(Err(e)) => refusal(encoding, &e),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n")).into_response(),
    }
}

fn refusal(encoding: Encoding, error: &OtlpError) -> Response {
    let (status, code) = error.status();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = encoding.failed(code, &error.to_string());
    (status, [(header::CONTENT_TYPE, encoding.content_type())], body).into_response()
}

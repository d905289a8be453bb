//! POST `/api/v1/otlp/v1/metrics`: OTLP over HTTP, where Prometheus has it.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};

use super::{PrometheusApi, write::read_body};
use crate::otlp::{Failure, Head, store_metrics};

/// `/api/v1/otlp/v1/metrics`
pub async fn metrics(State(api): State<Arc<PrometheusApi>>, request: Request) -> Response {
    let Head { encoding, compression } = match Head::of(request.headers()) {
        Ok(head) => head,
        Err(refusal) => return *refusal,
    };
    let body = match read_body(request).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    // Decoding and the write-ahead log take longer than a worker of the runtime may be held.
    let now = api.now_ms();
    let work =
        tokio::task::spawn_blocking(move || store_metrics(&api.otlp, now, encoding, &compression, &body));
    let failed = |e: tokio::task::JoinError| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string());
    let result = work.await.map_err(failed).and_then(|stored| stored);
    Head::answer(encoding, result)
}

//! POST `/api/v1/otlp/v1/metrics`: OTLP over HTTP, where Prometheus has it.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};

use super::PrometheusApi;
use crate::otlp::{Head, store_metrics};

/// `/api/v1/otlp/v1/metrics`
pub async fn metrics(State(api): State<Arc<PrometheusApi>>, request: Request) -> Response {
    let Head { encoding, compression } = match Head::of(request.headers()) {
        Ok(head) => head,
        Err(refusal) => return *refusal,
    };
    let (receiver, now) = (Arc::clone(&api.otlp), api.now_ms());
    let work = move |body: &[u8]| {
        Head::answer(encoding, store_metrics(&receiver, now, encoding, &compression, body))
    };
    api.take(request, work).await
}

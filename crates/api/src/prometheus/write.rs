//! POST `/api/v1/write`: remote write 1.0.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::PrometheusApi;

/// Largest compressed body; what it expands to is the receiver's limit.
const MAX_BODY: usize = 32 << 20;

/// `/api/v1/write`
pub async fn write(State(api): State<Arc<PrometheusApi>>, request: Request) -> Response {
    if let Some(encoding) = request.headers().get(header::CONTENT_ENCODING)
        && encoding != "snappy"
    {
        let text = format!(
            "{:?} encoding (compression) is not accepted by this server; only snappy is acceptable\n",
            encoding.to_str().unwrap_or("")
        );
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
    }
    let body = match axum::body::to_bytes(request.into_body(), MAX_BODY).await {
        Ok(body) => body,
        Err(e) => return (StatusCode::BAD_REQUEST, format!("{e}\n")).into_response(),
    };
    // Decoding and the write-ahead log take longer than a worker of the runtime may be held.
    let (receiver, now) = (Arc::clone(&api.receiver), api.now_ms());
    match tokio::task::spawn_blocking(move || receiver.handle_v1(&body, now)).await {
        Ok(Ok(_)) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(e)) => {
            let status = StatusCode::from_u16(e.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, format!("{e}\n")).into_response()
        }
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n")).into_response(),
    }
}

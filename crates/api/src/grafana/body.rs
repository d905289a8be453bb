//! Bodies of requests: JSON of bounded size.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{StatusCode, header},
};
use serde::de::DeserializeOwned;

use super::refusal::Refusal;

/// Bytes that the body of a request may have. Dashboards are the largest; the store takes 16 MiB, and they are wrapped there.
pub(super) const MAX_BODY: usize = 12 << 20;

/// A body of JSON. How deep it may be nested is bounded by the parser (128).
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        // A form on a page from elsewhere cannot send this type without the browser asking first.
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let is_json = kind.is_none_or(|k| {
            let k = k.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            k == "application/json" || k.ends_with("+json")
        });
        if !is_json {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must be application/json",
            ));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|e| {
            let status = e.status();
            let message = if status == StatusCode::PAYLOAD_TOO_LARGE {
                format!("the body is larger than {MAX_BODY} bytes (MAX_BODY)")
            } else {
                "the body cannot be read".to_owned()
            };
            Refusal::new(status, message)
        })?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text)
            .map(Body)
            .map_err(|e| Refusal::bad(format!("bad request data: {}", plain(&e))))
    }
}

/// The parser's words without what it read: that may be a password.
fn plain(e: &serde_json::Error) -> String {
    let place = format!("line {}, column {}", e.line(), e.column());
    match e.classify() {
        serde_json::error::Category::Data => {
            let text = e.to_string();
            let field =
                text.strip_prefix("missing field ").map(|rest| rest.split(" at line").next().unwrap_or(rest));
            field.map_or_else(
                || format!("a value of the wrong type at {place}"),
                |f| format!("{f} is missing"),
            )
        }
        _ => format!("not JSON at {place}"),
    }
}

//! One request.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reba_http::{BodyBuffer, HttpError, Request};
use reba_model::Alert;
use thiserror::Error;

use super::{AlertmanagerTarget, payload};

/// Why an Alertmanager did not take a batch.
#[derive(Debug, Error)]
pub(super) enum SendError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("bad response status {0}")]
    Status(StatusCode),
    #[error("encoding alerts failed: {0}")]
    Encoding(#[from] serde_json::Error),
}

/// An answer says nothing that matters beyond its status.
const BODY_LIMIT: u64 = 1 << 20;

/// Posts alerts; any status 2xx is a success.
pub(super) async fn post(target: &AlertmanagerTarget, alerts: &[Alert]) -> Result<(), SendError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let request = Request {
        method: Method::POST,
        uri: target.url.clone(),
        headers,
        body: payload::body(alerts)?.into(),
        timeout: target.timeout,
        body_limit: BODY_LIMIT,
    };
    let response = target.client.send(request, &mut BodyBuffer::default()).await?;
    if response.status.is_success() { Ok(()) } else { Err(SendError::Status(response.status)) }
}

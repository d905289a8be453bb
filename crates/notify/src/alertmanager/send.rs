//! One request.

use std::time::Duration;

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
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("encoding alerts failed: {0}")]
    Encoding(#[from] serde_json::Error),
}

/// An answer says nothing that matters beyond its status.
const BODY_LIMIT: u64 = 1 << 20;

/// Posts alerts; any status 2xx is a success.
pub(super) async fn post(target: &AlertmanagerTarget, alerts: &[Alert]) -> Result<(), SendError> {
    let status = send(target, payload::body(alerts)?).await?;
    if status.is_success() { Ok(()) } else { Err(SendError::Status(status)) }
}

async fn send(target: &AlertmanagerTarget, body: Vec<u8>) -> Result<StatusCode, SendError> {
    if let Some(inside) = &target.inside {
        let answer = tokio::time::timeout(target.timeout, inside.take(body)).await;
        return answer.map_err(|_| SendError::Late(target.timeout));
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let request = Request {
        method: Method::POST,
        uri: target.url.clone(),
        headers,
        body: body.into(),
        timeout: target.timeout,
        body_limit: BODY_LIMIT,
    };
    Ok(target.client.send(request, &mut BodyBuffer::default()).await?.status)
}

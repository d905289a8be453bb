//! Answers that say no: plain text, as upstream sends it.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use reba_ingest::loki::PushError;
use reba_query::{logs::LogError, traces::TraceError};

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// For a person.
    pub text: String,
    /// When to come again.
    pub retry_after_s: Option<u32>,
}

/// What handlers return.
pub type Answer = Result<Response, Refusal>;

impl Refusal {
    /// A refusal with this status.
    pub fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Refusal { status, text: text.into(), retry_after_s: None }
    }

    /// The request is wrong.
    pub fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// Something of ours failed.
    pub fn internal(text: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl From<LogError> for Refusal {
    fn from(e: LogError) -> Self {
        Refusal::new(status(e.status()), e.to_string())
    }
}

impl From<TraceError> for Refusal {
    fn from(e: TraceError) -> Self {
        Refusal::new(status(e.status()), e.to_string())
    }
}

impl From<reba_ingest::traces::TraceError> for Refusal {
    fn from(e: reba_ingest::traces::TraceError) -> Self {
        Refusal { retry_after_s: e.retry_after_s(), ..Refusal::new(status(e.status()), e.to_string()) }
    }
}

impl From<PushError> for Refusal {
    fn from(e: PushError) -> Self {
        Refusal { status: status(e.status), text: e.message, retry_after_s: e.retry_after_s }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut text = self.text;
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        // Lines of strangers may stand in the text: nobody shall take it for a page.
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Does work that takes long on a thread that may block.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Refusal::internal(e.to_string()))?
}

//! Refusals, in Grafana's JSON.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use reba_storage::StateError;
use serde_json::{Map, Value};

/// What a handler answers.
pub(super) type Answer<T = Json<Value>> = Result<T, Refusal>;

/// An answer that says what went wrong: `{"message": …}`.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    message: String,
    /// More keys: `messageId`, `status`.
    more: Vec<(&'static str, &'static str)>,
    /// Seconds after which another attempt makes sense.
    retry_after: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Refusal { status, message: message.into(), more: Vec::new(), retry_after: None }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// Something that is full; the message names the limit.
    pub(super) fn full(limit: &str, most: usize) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("there are {most} already, the limit {limit}"))
    }

    /// Too many attempts.
    pub(super) fn later(message: impl Into<String>, seconds: u64) -> Self {
        Refusal { retry_after: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, message) }
    }

    /// Adds a key that clients switch by.
    pub(super) fn with(mut self, key: &'static str, value: &'static str) -> Self {
        self.more.push((key, value));
        self
    }

    /// What a person can be told.
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

impl From<StateError> for Refusal {
    fn from(error: StateError) -> Self {
        if matches!(error, StateError::Conflict { .. }) {
            return Self::new(StatusCode::PRECONDITION_FAILED, "somebody else has changed it meanwhile")
                .with("status", "version-mismatch");
        }
        tracing::error!(%error, "the state store fails");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "what was to be saved could not be; see the log")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = Map::new();
        body.insert("message".to_owned(), self.message.into());
        body.extend(self.more.into_iter().map(|(key, value)| (key.to_owned(), value.into())));
        let mut response = (self.status, Json(Value::Object(body))).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

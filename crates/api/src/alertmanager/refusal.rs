//! Answers that say no. Upstream has two forms: a bare JSON string for what the business refuses, and `{"code","message"}` for what does
//! not even have the right shape.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use reba_alerting::SilenceError;
use serde_json::{Value, json};

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    /// The body; null for none.
    body: Value,
}

/// What handlers return.
pub type Answer = Result<Response, Refusal>;

/// A body that could not be read at all.
const UNREADABLE: u16 = 400;
/// Not one of the allowed values, or not of the required format.
const FORMAT: u16 = 601;
/// Something is missing.
const REQUIRED: u16 = 602;
/// A list is too short.
const TOO_FEW: u16 = 612;

impl Refusal {
    /// A sentence for a person.
    pub fn say(status: StatusCode, text: impl Into<String>) -> Self {
        Refusal { status, body: Value::String(text.into()) }
    }

    /// The request is wrong.
    pub fn bad(text: impl Into<String>) -> Self {
        Self::say(StatusCode::BAD_REQUEST, text)
    }

    /// Something of ours failed.
    pub fn internal(text: impl Into<String>) -> Self {
        Self::say(StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    /// There is nothing by that name; no words are lost about it.
    pub fn absent() -> Self {
        Refusal { status: StatusCode::NOT_FOUND, body: Value::Null }
    }

    /// A code and a message.
    pub fn coded(status: StatusCode, code: u16, message: impl Into<String>) -> Self {
        Refusal { status, body: json!({ "code": code, "message": message.into() }) }
    }

    /// The body is no JSON, or not of the types that it should be of. `what` is `alerts` or `silence`.
    pub fn unreadable(what: &str, because: impl std::fmt::Display) -> Self {
        let message = format!("parsing {what} body from \"\" failed, because {because}");
        Self::coded(StatusCode::BAD_REQUEST, UNREADABLE, message)
    }

    /// A field that must be there is not.
    pub fn required(path: &str) -> Self {
        Self::coded(StatusCode::UNPROCESSABLE_ENTITY, REQUIRED, format!("{path} in body is required"))
    }

    /// A list must have at least one item.
    pub fn too_few(path: &str) -> Self {
        let message = format!("{path} in body should have at least 1 items");
        Self::coded(StatusCode::UNPROCESSABLE_ENTITY, TOO_FEW, message)
    }

    /// A value is not of its format; `place` is `body` or `path`.
    pub fn format(path: &str, place: &str, format: &str, value: &str) -> Self {
        let message = format!("{path} in {place} must be of type {format}: {value:?}");
        Self::coded(StatusCode::UNPROCESSABLE_ENTITY, FORMAT, message)
    }
}

impl From<SilenceError> for Refusal {
    fn from(error: SilenceError) -> Self {
        let text = error.to_string();
        match error {
            SilenceError::NotFound => Refusal::say(StatusCode::NOT_FOUND, text),
            SilenceError::NoMatchers | SilenceError::MatchesEmpty => {
                Refusal::bad(format!("silence invalid: {text}"))
            }
            SilenceError::LabelName(_) => {
                Refusal::bad(format!("silence invalid: invalid label matcher 0: {text}"))
            }
            SilenceError::Reversed | SilenceError::EndInPast => {
                Refusal::bad(format!("Failed to create silence: {text}"))
            }
            SilenceError::TooMany { .. }
            | SilenceError::TooManyRecurring { .. }
            | SilenceError::TooLarge { .. }
            | SilenceError::RegexTooLarge { .. }
            | SilenceError::Schedule(_) => Refusal::bad(text),
            SilenceError::NotSaved(_) => Refusal::internal(text),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        if self.body.is_null() {
            return self.status.into_response();
        }
        let mut response = Response::new(Body::from(format!("{}\n", self.body)));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

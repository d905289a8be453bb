//! The envelope around every answer of the HTTP API.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// The `errorType` of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A parameter is missing or wrong.
    BadData,
    /// The evaluation failed.
    Execution,
    /// The client went away, or the query was killed.
    Canceled,
    /// A deadline passed, or no place in the queue came free.
    Timeout,
    /// Something of ours failed.
    Internal,
    /// Not available now.
    Unavailable,
    /// No such thing.
    NotFound,
}

impl ErrorKind {
    fn name(self) -> &'static str {
        match self {
            ErrorKind::BadData => "bad_data",
            ErrorKind::Execution => "execution",
            ErrorKind::Canceled => "canceled",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Internal => "internal",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::NotFound => "not_found",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            ErrorKind::BadData => StatusCode::BAD_REQUEST,
            ErrorKind::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Canceled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            ErrorKind::Timeout => StatusCode::SERVICE_UNAVAILABLE,
            // Upstream answers 500 for `unavailable` too.
            ErrorKind::Internal | ErrorKind::Unavailable => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
        }
    }
}

/// An answer that says what went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// Which kind, hence which status.
    pub kind: ErrorKind,
    /// For a person.
    pub message: String,
}

impl ApiError {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        ApiError { kind, message: message.into() }
    }

    /// A parameter is missing or wrong.
    pub fn bad_data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadData, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire<'a> {
            status: &'static str,
            error_type: &'static str,
            error: &'a str,
        }
        let wire = Wire { status: "error", error_type: self.kind.name(), error: &self.message };
        json_response(self.kind.status(), serde_json::to_vec(&wire).unwrap_or_default())
    }
}

/// What handlers return.
pub type ApiResult = Result<Response, ApiError>;

/// Does work that takes long on a thread that may block.
pub async fn blocking(work: impl FnOnce() -> ApiResult + Send + 'static) -> ApiResult {
    let fail = |e: tokio::task::JoinError| ApiError::new(ErrorKind::Internal, e.to_string());
    tokio::task::spawn_blocking(work).await.map_err(fail)?
}

/// `{"status":"success","data":…}` with warnings and infos behind it.
pub fn success<T: Serialize + ?Sized>(data: &T) -> ApiResult {
    success_with(data, &[], &[])
}

/// The same with warnings and infos, which are left out where empty.
pub fn success_with<T: Serialize + ?Sized>(data: &T, warnings: &[String], infos: &[String]) -> ApiResult {
    let data = serde_json::to_vec(data).map_err(|e| ApiError::new(ErrorKind::Internal, e.to_string()))?;
    Ok(success_bytes(warnings, infos, |out| out.extend_from_slice(&data)))
}

/// The same; `write` adds the data as JSON to the body.
pub fn success_bytes(warnings: &[String], infos: &[String], write: impl FnOnce(&mut Vec<u8>)) -> Response {
    json_response(StatusCode::OK, success_body(warnings, infos, write))
}

/// The body of such an answer.
pub fn success_body(warnings: &[String], infos: &[String], write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = Vec::with_capacity(1024);
    body.extend_from_slice(br#"{"status":"success","data":"#);
    write(&mut body);
    for (name, list) in [("warnings", warnings), ("infos", infos)] {
        if !list.is_empty() {
            body.extend_from_slice(format!(r#","{name}":"#).as_bytes());
            body.extend_from_slice(&serde_json::to_vec(list).unwrap_or_default());
        }
    }
    body.push(b'}');
    body
}

/// An answer of JSON.
pub fn json_response(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

//! Why a request is not taken, as HTTP and as gRPC say it.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use reba_ingest::{
    loki::PushError,
    otlp::{OtlpError, body::Encoding},
    traces::TraceError,
    wire::{put_bytes_field, put_varint_field},
};

use crate::loki::Refusal;

/// When to come again, in seconds, where nobody knows better.
const RETRY_AFTER_S: u32 = 5;

/// Bytes of a reason in a trailer. Clients refuse headers of 8 KiB or more together, and the reason stands in them twice, once
/// with three bytes for one.
const MAX_TRAILER_TEXT: usize = 1024;

/// A code of gRPC, and of `google.rpc.Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Code {
    InvalidArgument = 3,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl Code {
    fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 | 501 => Code::Unimplemented,
            413 | 429 => Code::ResourceExhausted,
            500 => Code::Internal,
            502..=504 => Code::Unavailable,
            _ => Code::InvalidArgument,
        }
    }
}

/// Why a request is not taken. Senders come again after 429 and 503, and give up after anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    status: StatusCode,
    reason: String,
    retry_after_s: Option<u32>,
}

impl Failure {
    /// A failure with this HTTP status, for this reason.
    pub(crate) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Failure { status, reason: reason.into(), retry_after_s: None }.with_retry(None)
    }

    fn with_retry(self, seconds: Option<u32>) -> Self {
        let again = matches!(self.status.as_u16(), 429 | 503);
        Failure { retry_after_s: again.then(|| seconds.unwrap_or(RETRY_AFTER_S)), ..self }
    }

    /// The answer over HTTP: a `google.rpc.Status` in the encoding of the request.
    pub(crate) fn over_http(&self, encoding: Encoding) -> Response {
        let body = encoding.failed(Code::of(self.status) as u32, &self.reason);
        let kind = [(header::CONTENT_TYPE, encoding.content_type())];
        let mut response = (self.status, kind, body).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// The answer over gRPC: trailers and nothing else. After too much, a `RetryInfo` says when to come again: without it the
    /// sender would give up.
    pub(crate) fn over_grpc(&self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = self.trailers();
        let kind = HeaderValue::from_static(super::frame::CONTENT_TYPE);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    /// How a gRPC call ends that has begun to answer.
    pub(crate) fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        let code = Code::of(self.status) as u8;
        trailers.insert("grpc-status", HeaderValue::from(u16::from(code)));
        let reason = shortened(&self.reason);
        put(&mut trailers, "grpc-message", &percent_encoded(reason));
        if let Some(seconds) = self.retry_after_s {
            put(&mut trailers, "grpc-status-details-bin", &details(code, reason, seconds));
        }
        trailers
    }
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(MAX_TRAILER_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// As gRPC writes messages: printable ASCII stands for itself, `%` and every other byte is `%` and two digits.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'%' => out.push_str("%25"),
            b' '..=b'~' => out.push(char::from(b)),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

/// A `google.rpc.Status` with a `google.rpc.RetryInfo`, as a binary header has it.
fn details(code: u8, reason: &str, seconds: u32) -> String {
    let (mut duration, mut info, mut any, mut status) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    put_varint_field(1, u64::from(seconds), &mut duration);
    put_bytes_field(1, &duration, &mut info);
    put_bytes_field(1, b"type.googleapis.com/google.rpc.RetryInfo", &mut any);
    put_bytes_field(2, &info, &mut any);
    put_varint_field(1, u64::from(code), &mut status);
    put_bytes_field(2, reason.as_bytes(), &mut status);
    put_bytes_field(3, &any, &mut status);
    BASE64_STANDARD_NO_PAD.encode(status)
}

impl From<OtlpError> for Failure {
    fn from(e: OtlpError) -> Self {
        let status = StatusCode::from_u16(e.status().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Failure::new(status, e.to_string())
    }
}

impl From<TraceError> for Failure {
    fn from(e: TraceError) -> Self {
        let status = StatusCode::from_u16(e.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Failure::new(status, e.to_string()).with_retry(e.retry_after_s())
    }
}

impl From<PushError> for Failure {
    fn from(e: PushError) -> Self {
        // Loki's clients come again after any 5xx, those of OTLP after 503 only.
        let status = if e.status >= 500 { 503 } else { e.status };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        Failure::new(status, e.message).with_retry(e.retry_after_s)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure::new(refusal.status, refusal.text).with_retry(refusal.retry_after_s)
    }
}

#[cfg(test)]
mod tests {
    use reba_storage::AppendError;

    use super::*;

    fn header<'a>(response: &'a Response, name: &str) -> &'a str {
        response.headers().get(name).map_or("", |v| v.to_str().unwrap())
    }

    #[test]
    fn senders_are_told_to_come_again_only_where_that_helps() {
        let full = || AppendError::Closed;
        for (failure, status, code, retry) in [
            (Failure::from(OtlpError::Append(full())), 503, "14", "5"),
            (Failure::from(PushError::from(full())), 503, "14", "5"),
            (Failure::from(OtlpError::ContentType("x".to_owned())), 415, "3", ""),
            (Failure::from(OtlpError::TooLarge { limit: 1 }), 413, "8", ""),
            (Failure::from(Refusal::new(StatusCode::UNAUTHORIZED, "no org id")), 401, "16", ""),
            (Failure::from(Refusal::internal("a bug")), 500, "13", ""),
            (
                Failure::from(PushError { status: 500, message: "poisoned".to_owned(), retry_after_s: None }),
                503,
                "14",
                "5",
            ),
            (
                Failure::from(PushError { status: 429, message: "much".to_owned(), retry_after_s: Some(1) }),
                429,
                "8",
                "1",
            ),
            (Failure::absent("profiles are"), 501, "12", ""),
        ] {
            let (http, grpc) = (failure.over_http(Encoding::Json), failure.over_grpc());
            assert_eq!(
                (http.status().as_u16(), header(&http, "retry-after")),
                (status, retry),
                "{failure:?}"
            );
            assert_eq!((grpc.status(), header(&grpc, "grpc-status")), (StatusCode::OK, code), "{failure:?}");
            let told = !header(&grpc, "grpc-status-details-bin").is_empty();
            assert_eq!(told, !retry.is_empty(), "{failure:?}");
        }
    }

    #[test]
    fn reasons_fit_into_a_header_whatever_they_hold() {
        let failure = Failure::new(StatusCode::TOO_MANY_REQUESTS, "ö%\n".repeat(10_000));
        let response = failure.over_grpc();
        assert!(header(&response, "grpc-message").starts_with("%C3%B6%25%0A%C3%B6"));
        let all: usize = response.headers().iter().map(|(n, v)| n.as_str().len() + v.len()).sum();
        assert!(all < 8000, "{all}");
    }

    #[test]
    fn a_retry_info_says_when() {
        let bytes = BASE64_STANDARD_NO_PAD.decode(details(8, "no", 7)).unwrap();
        let want = b"\x08\x08\x12\x02no\x1a\x30\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x04\x0a\x02\x08\x07";
        assert_eq!(bytes, want);
    }
}

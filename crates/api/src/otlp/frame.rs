//! The form of a gRPC call with one message each way: before a message stand one byte that says whether it is compressed and four
//! with its length.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use http_body_util::{BodyExt as _, Full};

use super::Failure;

/// The `Content-Type` of answers.
pub(crate) const CONTENT_TYPE: &str = "application/grpc";

/// What stands before a message.
pub(crate) const PREFIX: usize = 5;

/// `grpc-encoding` that is understood.
const ENCODINGS: [&str; 4] = ["identity", "gzip", "deflate", "zstd"];

/// Whether a `Content-Type` is that of a gRPC call in protobuf (that of gRPC-Web is not: its trailers are elsewhere).
pub(crate) fn is_call(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    matches!(kind, CONTENT_TYPE | "application/grpc+proto")
}

/// How messages of a call are compressed, if they are.
pub(crate) fn compression(headers: &HeaderMap) -> Result<&'static str, Failure> {
    let Some(value) = headers.get("grpc-encoding") else { return Ok(ENCODINGS[0]) };
    let known = ENCODINGS.into_iter().find(|e| value.as_bytes() == e.as_bytes());
    known.ok_or_else(|| {
        let text = format!("grpc-encoding {value:?} is not supported: {}", ENCODINGS.join(","));
        Failure::new(StatusCode::NOT_IMPLEMENTED, text)
    })
}

/// The one message in the body of a call, and its compression.
pub(crate) fn message<'a>(
    body: &'a [u8],
    compression: &'static str,
) -> Result<(&'a [u8], &'static str), Failure> {
    let fail = |text: &str| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, text);
    let Some((&[flag, a, b, c, d], message)) = body.split_first_chunk::<PREFIX>() else {
        return Err(fail("the call ends before its message"));
    };
    if u32::from_be_bytes([a, b, c, d]) as usize != message.len() {
        return Err(fail("the call has not one message, or not all of it"));
    }
    match flag {
        0 => Ok((message, ENCODINGS[0])),
        1 if compression != ENCODINGS[0] => Ok((message, compression)),
        1 => Err(fail("the message is said to be compressed, but not how (grpc-encoding)")),
        _ => Err(fail("the message has unknown flags")),
    }
}

/// The answer with a message.
pub(crate) fn answer(message: &[u8]) -> Response {
    let mut frame = Vec::with_capacity(PREFIX + message.len());
    frame.push(0);
    // Answers have a few hundred bytes.
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(message);
    let trailers = HeaderMap::from_iter([(
        header::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let body = Full::new(Bytes::from(frame)).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}

/// Tells which compression is understood.
pub(crate) fn say_encodings(headers: &mut HeaderMap) {
    headers.insert("grpc-accept-encoding", HeaderValue::from_static("identity,gzip,deflate,zstd"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_exactly_one_message() {
        for (body, want) in [
            (&b"\0\0\0\0\x02ab"[..], Some((&b"ab"[..], "identity"))),
            (b"\0\0\0\0\0", Some((b"", "identity"))),
            (b"\x01\0\0\0\x01z", Some((b"z", "gzip"))),
            (b"\x02\0\0\0\x01z", None),
            (b"\0\0\0\0\x01zz", None),
            (b"\0\0\0\0\x02z", None),
            (b"\0\xff\xff\xff\xff", None),
            (b"\0\0\0\0", None),
            (b"", None),
        ] {
            assert_eq!(message(body, "gzip").ok(), want, "{body:?}");
        }
        assert!(message(b"\x01\0\0\0\x01z", "identity").is_err());
    }

    #[test]
    fn calls_are_told_from_pages_and_compression_by_name() {
        let headers = |name, value: &str| HeaderMap::from_iter([(name, value.parse().unwrap())]);
        for (kind, want) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc; charset=x", true),
            ("application/grpc-web", false),
            ("application/grpc+json", false),
            ("text/plain", false),
        ] {
            assert_eq!(is_call(&headers(header::CONTENT_TYPE, kind)), want, "{kind}");
        }
        let name = header::HeaderName::from_static("grpc-encoding");
        assert_eq!(compression(&headers(name.clone(), "zstd")), Ok("zstd"));
        assert_eq!(compression(&HeaderMap::new()), Ok("identity"));
        assert!(compression(&headers(name, "snappy")).is_err());
    }
}

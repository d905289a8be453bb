//! The form of a gRPC call with one message one way, and one or several the other: before a message stand one byte that says
//! whether it is compressed and four with its length.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full};
use tokio::sync::mpsc;

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
    let body = Full::new(framed(message)).with_trailers(std::future::ready(Some(Ok(all_well()))));
    with_body(Body::new(body))
}

/// The answer with all messages of a stream.
pub(crate) fn stream(messages: Messages) -> Response {
    with_body(Body::new(messages))
}

fn with_body(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}

/// A message with what stands before it.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(PREFIX + message.len());
    frame.push(0);
    // Answers have a few megabytes at most.
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(message);
    Bytes::from(frame)
}

/// How a call ends that went well.
fn all_well() -> HeaderMap {
    HeaderMap::from_iter([(header::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))])
}

/// What makes the last message of a stream, and sends those before it.
pub(crate) type Last = Pin<Box<dyn Future<Output = Result<Vec<u8>, Failure>> + Send>>;

/// Messages of a stream as they come, and how it ended. Dropping it drops what makes them.
pub(crate) struct Messages {
    parts: mpsc::Receiver<Vec<u8>>,
    last: Option<Last>,
    /// What is left to send once the last message is there.
    rest: VecDeque<Frame<Bytes>>,
}

impl Messages {
    /// Sends what comes through `parts` until `last` is done, and its message after them.
    pub(crate) fn new(parts: mpsc::Receiver<Vec<u8>>, last: Last) -> Self {
        Messages { parts, last: Some(last), rest: VecDeque::new() }
    }

    fn finish(&mut self, result: Result<Vec<u8>, Failure>) {
        self.last = None;
        while let Ok(part) = self.parts.try_recv() {
            self.rest.push_back(Frame::data(framed(&part)));
        }
        let trailers = match result {
            Ok(message) => {
                self.rest.push_back(Frame::data(framed(&message)));
                all_well()
            }
            Err(failure) => failure.trailers(),
        };
        self.rest.push_back(Frame::trailers(trailers));
    }
}

impl http_body::Body for Messages {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if let Some(last) = &mut this.last {
            if let Poll::Ready(Some(part)) = this.parts.poll_recv(context) {
                return Poll::Ready(Some(Ok(Frame::data(framed(&part)))));
            }
            match last.as_mut().poll(context) {
                Poll::Ready(result) => this.finish(result),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(this.rest.pop_front().map(Ok))
    }
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

    #[tokio::test]
    async fn a_stream_has_its_parts_then_its_last_message_then_how_it_ended() {
        for (result, status) in
            [(Ok(b"end".to_vec()), "0"), (Err(Failure::new(StatusCode::BAD_REQUEST, "no")), "3")]
        {
            let (sender, parts) = mpsc::channel(4);
            let fails = result.is_err();
            let last = async move {
                for part in [b"a", b"b"] {
                    sender.send(part.to_vec()).await.unwrap();
                    tokio::task::yield_now().await;
                }
                result
            };
            let response = stream(Messages::new(parts, Box::pin(last)));
            let body = response.into_body().collect().await.unwrap();
            assert_eq!(body.trailers().unwrap()["grpc-status"], status);
            let want = if fails {
                &b"\0\0\0\0\x01a\0\0\0\0\x01b"[..]
            } else {
                b"\0\0\0\0\x01a\0\0\0\0\x01b\0\0\0\0\x03end"
            };
            assert_eq!(body.to_bytes(), want);
        }
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

//! Compression of large answers, away from the threads that serve sockets.
//!
//! The layer of tower-http compresses as the socket takes the bytes: right for small answers and for streams, but a
//! hundred megabytes that a fast reader takes would keep a thread busy for seconds.

use std::io::{self, Write as _};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use flate2::{Compression, write::GzEncoder};
use http_body_util::BodyExt as _;

/// Answers larger than this are compressed here; smaller ones take a millisecond at most.
const LARGE: u64 = 64 << 10;

/// Answers up to this size are not worth the trouble.
const SMALL: u64 = 1024;

/// How an answer may be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// gzip
    Gzip,
    /// zstd
    Zstd,
}

impl Encoding {
    /// The best that a client accepts.
    pub fn accepted(headers: &HeaderMap) -> Self {
        let all = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
        let mut best = Encoding::Identity;
        for item in all.flat_map(|v| v.split(',')) {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let refused = parts.any(|p| {
                let q = p.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok());
                q.is_some_and(|q| q <= 0.0)
            });
            best = match name {
                _ if refused => best,
                "zstd" => Encoding::Zstd,
                "gzip" | "*" if best == Encoding::Identity => Encoding::Gzip,
                _ => best,
            };
        }
        best
    }

    fn name(self) -> Option<&'static str> {
        match self {
            Encoding::Identity => None,
            Encoding::Gzip => Some("gzip"),
            Encoding::Zstd => Some("zstd"),
        }
    }

    fn encode(self, body: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Encoding::Identity => Ok(body.to_vec()),
            Encoding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
                encoder.write_all(body)?;
                encoder.finish()
            }
            Encoding::Zstd => zstd::bulk::compress(body, 1),
        }
    }
}

/// Compresses what is large and lies ready in memory.
pub async fn large(request: Request, next: Next) -> Response {
    let encoding = Encoding::accepted(request.headers());
    let response = next.run(request).await;
    let (Some(name), Some(length)) = (encoding.name(), response.body().size_hint().exact()) else {
        return response;
    };
    if length <= LARGE || response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // Its length is known, so it is there already.
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let whole: Bytes = body.clone();
    match tokio::task::spawn_blocking(move || encoding.encode(&whole)).await {
        Ok(Ok(small)) => {
            mark(&mut parts.headers, name);
            Response::from_parts(parts, Body::from(small))
        }
        _ => Response::from_parts(parts, Body::from(body)),
    }
}

/// The same for an answer at hand, on the thread that made it.
pub fn now(body: Vec<u8>, headers: &mut HeaderMap, encoding: Encoding) -> Vec<u8> {
    match encoding.name() {
        Some(name) if body.len() as u64 > LARGE => match encoding.encode(&body) {
            Ok(small) => {
                mark(headers, name);
                small
            }
            Err(_) => body,
        },
        _ => body,
    }
}

/// A page that lies ready, in one piece: a middling one on the thread that made it, a large one elsewhere.
pub async fn page(answer: Response<Vec<u8>>, encoding: Encoding) -> Response {
    let (mut parts, body) = answer.into_parts();
    let body = Bytes::from(body);
    let (Some(name), true) = (encoding.name(), body.len() as u64 > SMALL) else {
        return Response::from_parts(parts, Body::from(body));
    };
    let encoded = if body.len() as u64 > LARGE {
        let whole = body.clone();
        tokio::task::spawn_blocking(move || encoding.encode(&whole)).await.map_err(io::Error::other).flatten()
    } else {
        encoding.encode(&body)
    };
    let Ok(small) = encoded else { return Response::from_parts(parts, Body::from(body)) };
    mark(&mut parts.headers, name);
    Response::from_parts(parts, Body::from(small))
}

fn mark(headers: &mut HeaderMap, name: &'static str) {
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::{Router, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    #[test]
    fn the_best_encoding_that_is_accepted_is_taken() {
        for (text, want) in [
            ("gzip, deflate, br, zstd", Encoding::Zstd),
            ("zstd;q=0, gzip;q=0.5", Encoding::Gzip),
            ("*", Encoding::Gzip),
            ("br", Encoding::Identity),
            ("gzip;q=0", Encoding::Identity),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, text.parse().unwrap());
            assert_eq!(Encoding::accepted(&headers), want, "{text}");
        }
    }

    #[tokio::test]
    async fn large_answers_are_compressed_and_small_ones_left_to_others() {
        let router = Router::new()
            .route("/large", get(|| async { "x".repeat(100_000) }))
            .route("/small", get(|| async { "x" }))
            .layer(axum::middleware::from_fn(large));
        for (path, encoding) in [("/large", Some("gzip")), ("/small", None)] {
            let request = Request::builder().uri(path).header("accept-encoding", "gzip").body(Body::empty());
            let answer = router.clone().oneshot(request.unwrap()).await.unwrap();
            assert_eq!(answer.headers().get("content-encoding").map(|v| v.to_str().unwrap()), encoding);
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            if encoding.is_some() {
                let mut text = String::new();
                flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
                assert_eq!(text.len(), 100_000);
            }
        }
    }
}

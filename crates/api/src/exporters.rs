//! The pages of exporters: any path, GET and POST, compressed as the scraper likes.
//!
//! What they answer comes from a closure, so that this crate knows no exporter.

use std::{future::Future, pin::Pin, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Method, Response, StatusCode},
    response::IntoResponse as _,
};
use tower_http::compression::{CompressionLayer, predicate::SizeAbove};

use crate::compress;

/// Answers below this size go as they are.
const COMPRESS_ABOVE: u64 = 1024;

/// An answer on its way.
pub type Answering = Pin<Box<dyn Future<Output = Response<String>> + Send>>;

/// Answers a request without a body.
pub type Exporter = Arc<dyn Fn(http::Request<()>) -> Answering + Send + Sync>;

/// All paths of an exporter.
pub fn router(exporter: Exporter) -> Router {
    let answer = move |request: Request| {
        let exporter = Arc::clone(&exporter);
        async move {
            if !matches!(*request.method(), Method::GET | Method::HEAD | Method::POST) {
                return StatusCode::METHOD_NOT_ALLOWED.into_response();
            }
            let (parts, _) = request.into_parts();
            exporter(http::Request::from_parts(parts, ())).await.map(Body::from)
        }
    };
    Router::new()
        .fallback(answer)
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(COMPRESS_ABOVE)))
        .layer(axum::middleware::from_fn(compress::large))
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn large_pages_are_compressed_and_other_methods_refused() {
        let exporter: Exporter = Arc::new(|request| {
            let path = request.uri().path().to_owned();
            Box::pin(async move { Response::new(path.repeat(10_000)) })
        });
        for (method, status) in [("GET", 200), ("POST", 200), ("DELETE", 405)] {
            let request = Request::builder().method(method).uri("/metrics").header("accept-encoding", "gzip");
            let answer =
                router(Arc::clone(&exporter)).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers().contains_key("content-encoding"), status == 200);
        }
    }
}

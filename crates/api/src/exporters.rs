//! The pages of exporters: any path, GET and POST, compressed as the scraper likes, quickly rather than much.
//!
//! What they answer comes from a closure, so that this crate knows no exporter.

use std::{future::Future, pin::Pin, sync::Arc};

use axum::{
    Router,
    extract::Request,
    http::{Method, Response, StatusCode},
    response::IntoResponse as _,
};

use crate::compress::{self, Encoding};

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
            let encoding = Encoding::accepted(&parts.headers);
            let answer = exporter(http::Request::from_parts(parts, ())).await;
            compress::page(answer.map(String::into_bytes), encoding).await
        }
    };
    Router::new().fallback(answer)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::body::Body;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn large_pages_are_compressed_and_other_methods_refused() {
        let exporter: Exporter = Arc::new(|request| {
            let path = request.uri().path().to_owned();
            Box::pin(async move { Response::new(path.repeat(10_000)) })
        });
        for (method, path, status) in
            [("GET", "/m", 200), ("GET", "/metrics", 200), ("POST", "/metrics", 200), ("DELETE", "/m", 405)]
        {
            let request = Request::builder().method(method).uri(path).header("accept-encoding", "gzip");
            let answer =
                router(Arc::clone(&exporter)).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers().contains_key("content-encoding"), status == 200);
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            if status == 200 {
                let mut text = String::new();
                flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
                assert_eq!(text, path.repeat(10_000));
            }
        }
        let small = Request::builder().uri("/").header("accept-encoding", "gzip").body(Body::empty());
        let exporter: Exporter = Arc::new(|_| Box::pin(async { Response::new("ok".to_owned()) }));
        let answer = router(exporter).oneshot(small.unwrap()).await.unwrap();
        assert!(!answer.headers().contains_key("content-encoding"));
    }
}

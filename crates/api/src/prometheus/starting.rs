//! What is answered while the store still reads its log: the socket is open, the rest is on its way.

use std::sync::{Arc, OnceLock};

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tower::ServiceExt as _;

use super::status::{self, Readiness};

/// The place for the routes that come later.
pub type Later = Arc<OnceLock<Router>>;

/// Routes that answer 503 until `later` is set, and then whatever `later` answers.
pub fn gate(readiness: Arc<Readiness>, later: Later) -> Router {
    Router::new().fallback(move |request: Request| {
        let (readiness, later) = (Arc::clone(&readiness), Arc::clone(&later));
        async move {
            match later.get() {
                Some(router) => router.clone().oneshot(request).await.into_response(),
                None => starting(&readiness, request.uri().path()).await,
            }
        }
    })
}

async fn starting(readiness: &Readiness, path: &str) -> Response {
    match path {
        "/-/healthy" => status::healthy().await.into_response(),
        "/version" => status::version().await,
        "/api/v1/status/walreplay" => status::replay(readiness).into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};

    use super::*;

    async fn ask(gate: &Router, path: &str) -> (u16, String) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = gate.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn all_but_health_and_progress_wait_for_the_store() {
        let (readiness, later) = (Arc::new(Readiness::default()), Later::default());
        let gate = gate(Arc::clone(&readiness), Arc::clone(&later));
        readiness.replaying(3, 7);
        assert_eq!(ask(&gate, "/-/healthy").await.0, 200);
        assert_eq!(ask(&gate, "/-/ready").await, (503, "Service Unavailable".to_owned()));
        let (code, body) = ask(&gate, "/api/v1/status/walreplay").await;
        assert_eq!(code, 200);
        assert!(body.contains(r#""current":3"#) && body.contains(r#""max":7"#), "{body}");
        later.set(Router::new().route("/-/ready", get(|| async { "now" }))).unwrap();
        assert_eq!(ask(&gate, "/-/ready").await, (200, "now".to_owned()));
    }
}

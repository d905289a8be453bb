//! What is answered while the store still reads its log: the socket is open, the rest is on its way.

use std::sync::{Arc, OnceLock};

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use tower::ServiceExt as _;

use super::status::{self, Readiness};

/// The place for the routes that come later.
pub type Later = Arc<OnceLock<Router>>;

/// Routes that answer 503 until `later` is set, and then whatever `later` answers. Everything lies below `prefix`, which is
/// empty or begins with a slash and ends without one.
pub fn gate(readiness: Arc<Readiness>, later: Later, prefix: &str) -> Router {
    let prefix: Arc<str> = prefix.into();
    Router::new().fallback(move |mut request: Request| {
        let (readiness, later, prefix) = (Arc::clone(&readiness), Arc::clone(&later), Arc::clone(&prefix));
        async move {
            if !prefix.is_empty() {
                match below(request.uri(), &prefix) {
                    Some(uri) => *request.uri_mut() = uri,
                    None if request.uri().path() == "/" => {
                        return (StatusCode::FOUND, [(header::LOCATION, &*prefix)]).into_response();
                    }
                    None => return (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
                }
            }
            match later.get() {
                Some(router) => router.clone().oneshot(request).await.into_response(),
                None => starting(&readiness, request.uri().path()).await,
            }
        }
    })
}

/// The address without `prefix`, if it lies below it.
fn below(uri: &Uri, prefix: &str) -> Option<Uri> {
    let rest = uri.path().strip_prefix(prefix)?;
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let path = if rest.is_empty() { "/" } else { rest };
    format!("{path}{query}").parse().ok()
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
        let gate = gate(Arc::clone(&readiness), Arc::clone(&later), "");
        readiness.replaying(3, 7);
        assert_eq!(ask(&gate, "/-/healthy").await.0, 200);
        assert_eq!(ask(&gate, "/-/ready").await, (503, "Service Unavailable".to_owned()));
        let (code, body) = ask(&gate, "/api/v1/status/walreplay").await;
        assert_eq!(code, 200);
        assert!(body.contains(r#""current":3"#) && body.contains(r#""max":7"#), "{body}");
        later.set(Router::new().route("/-/ready", get(|| async { "now" }))).unwrap();
        assert_eq!(ask(&gate, "/-/ready").await, (200, "now".to_owned()));
    }

    #[tokio::test]
    async fn everything_lies_below_the_prefix() {
        let (readiness, later) = (Arc::new(Readiness::default()), Later::default());
        let gate = gate(readiness, Arc::clone(&later), "/mon/a");
        assert_eq!(ask(&gate, "/mon/a/-/healthy").await.0, 200);
        later.set(Router::new().fallback(|uri: Uri| async move { uri.to_string() })).unwrap();
        for (path, want) in [
            ("/mon/a/x?y=1%20", (200, "/x?y=1%20")),
            ("/mon/a", (200, "/")),
            ("/mon/a?b", (200, "/?b")),
            ("/mon/ab", (404, "404 page not found\n")),
            ("/x", (404, "404 page not found\n")),
            ("/", (302, "")),
        ] {
            assert_eq!(ask(&gate, path).await, (want.0, want.1.to_owned()), "{path}");
        }
    }
}

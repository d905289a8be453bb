//! What happens around every request: pages from elsewhere, the gate while the server stops, counting.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};

use super::PrometheusApi;
use crate::origins::{self, Rules};

const RULES: Rules = Rules {
    answers_options: |path| path.starts_with("/api/"),
    is_closed: is_change,
    ungated: &["/-/healthy", "/metrics", "/version", "/api/v1/status/walreplay", "/"],
    methods: "GET, POST, OPTIONS",
    headers: "Accept, Authorization, Content-Type, Origin",
};

/// Gates and adds cross-origin headers.
pub async fn around(State(api): State<Arc<PrometheusApi>>, request: Request, next: Next) -> Response {
    origins::around(&RULES, &api.cors_origin, &api.readiness, request, |request| next.run(request)).await
}

/// Paths behind which something changes. Queries may be posted, since forms hold longer ones than addresses.
fn is_change(_: &Method, path: &str) -> bool {
    path.starts_with("/-/") && path != "/-/healthy" && path != "/-/ready"
        || path.ends_with("/write")
        || path.starts_with("/api/v1/otlp/")
        || path.starts_with("/api/v1/admin/")
        || path.ends_with("/kill")
}

/// Counts requests by route; those that match none would make a series for every path that somebody tries.
pub async fn count(State(api): State<Arc<PrometheusApi>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map(|m| m.as_str().to_owned());
    let response = next.run(request).await;
    if let Some(route) = route {
        api.http.observe(&route, response.status().as_u16(), started.elapsed());
    }
    response
}

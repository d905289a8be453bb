//! What happens around every request: pages from elsewhere, the gate while the server stops, counting.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};

use super::TempoApi;
use crate::origins::{self, Rules};

const RULES: Rules = Rules {
    answers_options: |_| true,
    is_closed,
    ungated: &["/ready", "/metrics", "/status", "/api/echo", "/api/status/buildinfo"],
    methods: "GET, OPTIONS",
    headers: "Accept, Authorization, Content-Type, Origin, X-Scope-OrgID, X-Query-Tags",
};

/// Gates and adds cross-origin headers.
pub async fn around(State(api): State<Arc<TempoApi>>, request: Request, next: Next) -> Response {
    origins::around(&RULES, &api.cors_origin, &api.readiness, request, |request| next.run(request)).await
}

/// What a page from elsewhere may not do; what it may ask, its browser keeps from it.
fn is_closed(method: &Method, path: &str) -> bool {
    path == "/flush" || !matches!(*method, Method::GET | Method::HEAD)
}

/// Counts requests by route; those that match none would make a series for every path that somebody tries.
pub async fn count(State(api): State<Arc<TempoApi>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map(|m| m.as_str().to_owned());
    let method = request.method().clone();
    let response = next.run(request).await;
    if let Some(route) = route {
        api.http.observe(method.as_str(), &route, response.status().as_u16(), started.elapsed());
    }
    response
}

//! What happens around every request: pages from elsewhere, the gate while the server stops, counting.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};

use super::LokiApi;
use crate::origins::{self, Rules};

const RULES: Rules = Rules {
    answers_options: |_| true,
    is_closed,
    ungated: &["/ready", "/metrics", "/config", "/services", "/loki/api/v1/status/buildinfo", "/log_level"],
    methods: "GET, POST, PUT, DELETE, OPTIONS",
    headers: "Accept, Authorization, Content-Type, Origin, X-Scope-OrgID, X-Loki-Response-Encoding-Flags, X-Query-Tags",
};

/// Gates and adds cross-origin headers.
pub async fn around(State(api): State<Arc<LokiApi>>, request: Request, next: Next) -> Response {
    origins::around(&RULES, &api.cors_origin, &api.readiness, request, |request| next.run(request)).await
}

/// What a page from elsewhere may not do. What it may ask, its browser keeps from it; but browsers let everybody open WebSockets.
fn is_closed(method: &Method, path: &str) -> bool {
    let changes = match path {
        "/loki/api/v1/push" | "/api/prom/push" | "/otlp/v1/logs" => true,
        "/flush" | "/ingester/prepare_shutdown" | "/ingester/shutdown" => true,
        _ if path.ends_with("/tail") || path.ends_with("/kill") => true,
        // Queries may be posted, since forms hold longer ones than addresses.
        _ if path == "/log_level" || path == "/loki/api/v1/delete" => *method != Method::GET,
        _ => path.starts_with("/loki/api/v1/rules") || path.starts_with("/api/prom/rules"),
    };
    changes || matches!(*method, Method::PUT | Method::DELETE | Method::PATCH)
}

/// Counts requests by route; those that match none would make a series for every path that somebody tries.
pub async fn count(State(api): State<Arc<LokiApi>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map(|m| m.as_str().to_owned());
    let method = request.method().clone();
    let response = next.run(request).await;
    if let Some(route) = route {
        api.http.observe(method.as_str(), &route, response.status().as_u16(), started.elapsed());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_from_elsewhere_may_not_write_delete_or_listen() {
        for (method, path, closed) in [
            (Method::POST, "/loki/api/v1/push", true),
            (Method::GET, "/loki/api/v1/tail", true),
            (Method::GET, "/api/prom/tail", true),
            (Method::POST, "/loki/api/v1/delete", true),
            (Method::GET, "/loki/api/v1/delete", false),
            (Method::POST, "/log_level", true),
            (Method::GET, "/flush", true),
            (Method::POST, "/loki/api/v1/query_range", false),
            (Method::GET, "/loki/api/v1/labels", false),
            (Method::DELETE, "/anything", true),
        ] {
            assert_eq!(is_closed(&method, path), closed, "{method} {path}");
        }
    }
}

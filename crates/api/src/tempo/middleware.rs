//! What happens around every request: cross-origin headers, the gate while the server stops, counting.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::TempoApi;

/// Routes that still answer while the server stops. (Until the store is open, another router answers.)
const UNGATED: [&str; 5] = ["/ready", "/metrics", "/status", "/api/echo", "/api/status/buildinfo"];

/// Gates and adds cross-origin headers.
pub async fn around(State(api): State<Arc<TempoApi>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let trusted = origin.as_ref().is_none_or(|o| api.cors_origin.is_match(o.to_str().unwrap_or("")));
    let path = request.uri().path();
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else if !trusted && is_closed(request.method(), path) {
        // A page from elsewhere in the browser of somebody who may reach this server must not fill it, delete from it, or
        // listen to it.
        (StatusCode::FORBIDDEN, "requests from this origin may not do this (web.cors_origin)\n")
            .into_response()
    } else if !api.readiness.is_ready() && !UNGATED.contains(&path) {
        (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\n").into_response()
    } else {
        next.run(request).await
    };
    if let Some(origin) = origin
        && trusted
    {
        allow_origin(response.headers_mut(), origin);
    }
    response
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

fn allow_origin(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, OPTIONS"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Accept, Authorization, Content-Type, Origin, X-Scope-OrgID, X-Query-Tags",
        ),
        (header::VARY, "Origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

//! What happens around every request: cross-origin headers, the gate while the server stops, counting.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::PrometheusApi;

/// Routes that still answer while the server stops. (Until the store is open, [`super::starting`] answers.)
const UNGATED: [&str; 5] = ["/-/healthy", "/metrics", "/version", "/api/v1/status/walreplay", "/"];

/// Gates and adds cross-origin headers.
pub async fn around(State(api): State<Arc<PrometheusApi>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let trusted = origin.as_ref().is_none_or(|o| api.cors_origin.is_match(o.to_str().unwrap_or("")));
    let path = request.uri().path();
    let mut response = if request.method() == Method::OPTIONS && path.starts_with("/api/") {
        StatusCode::NO_CONTENT.into_response()
    } else if !trusted && is_change(path) {
        // A page from elsewhere in the browser of somebody who may reach this server must not reload, stop or fill it.
        (StatusCode::FORBIDDEN, "requests from this origin may not change anything (web.cors_origin)\n")
            .into_response()
    } else if !api.readiness.is_ready() && !UNGATED.contains(&path) {
        (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable").into_response()
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

/// Paths behind which something changes. Queries may be posted, since forms hold longer ones than addresses.
fn is_change(path: &str) -> bool {
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

fn allow_origin(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Accept, Authorization, Content-Type, Origin"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
        (header::VARY, "Origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

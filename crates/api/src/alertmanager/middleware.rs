//! What happens around every request: cross-origin headers, the gate while the server stops, the bound on readers, counting.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body::Body as _;

use super::AlertmanagerApi;

/// Routes that still answer while the server stops. (Until the state is read, another router answers.)
const UNGATED: [&str; 2] = ["/-/healthy", "/metrics"];

/// Gates and adds cross-origin headers.
pub async fn around(State(api): State<Arc<AlertmanagerApi>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let trusted = origin.as_ref().is_none_or(|o| api.cors_origin.is_match(o.to_str().unwrap_or("")));
    let path = request.uri().path();
    let is_api = path.starts_with("/api/");
    let asks = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = if request.method() == Method::OPTIONS && is_api && origin.is_some() {
        StatusCode::NO_CONTENT.into_response()
    } else if !trusted && !asks {
        // A page from elsewhere in the browser of somebody who may reach this server must not silence or send anything.
        (StatusCode::FORBIDDEN, "requests from this origin may not change anything (web.cors_origin)\n")
            .into_response()
    } else if !api.readiness.is_ready() && !UNGATED.contains(&path) {
        (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\n").into_response()
    } else if asks {
        read(&api, request, next).await
    } else {
        next.run(request).await
    };
    if is_api {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Some(origin) = origin
        && trusted
    {
        allow_origin(response.headers_mut(), origin);
    }
    response
}

/// Answers one of a bounded number of readers.
async fn read(api: &AlertmanagerApi, request: Request, next: Next) -> Response {
    match (api.readers.places.try_acquire(), api.readers.timeout) {
        (Ok(_place), None) => next.run(request).await,
        (Ok(_place), Some(limit)) => match tokio::time::timeout(limit, next.run(request)).await {
            Ok(response) => response,
            Err(_) => {
                let text = format!("Exceeded configured timeout of {limit:?}.\n");
                (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
            }
        },
        (Err(_), _) => {
            api.http.count_refused();
            let text = format!(
                "Limit of concurrent GET requests reached ({}), try again later.\n",
                api.readers.count
            );
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

/// Counts requests by route; those that match none would make a series for every path that somebody tries.
pub async fn count(State(api): State<Arc<AlertmanagerApi>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map(|m| m.as_str().to_owned());
    let method = request.method().clone();
    let response = next.run(request).await;
    if let Some(route) = route {
        let bytes = response.body().size_hint().exact().unwrap_or(0);
        api.http.observe(&route, method.as_str(), started.elapsed(), bytes);
    }
    response
}

fn allow_origin(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Accept, Authorization, Content-Type, Origin"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
        (header::VARY, "Origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

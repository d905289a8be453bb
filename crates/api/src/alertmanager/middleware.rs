//! What happens around every request: pages from elsewhere, the gate while the server stops, the bound on readers, counting.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body::Body as _;

use super::AlertmanagerApi;
use crate::origins::{self, Rules};

const RULES: Rules = Rules {
    answers_options: |path| path.starts_with("/api/"),
    is_closed: |method, _| !asks(method),
    ungated: &["/-/healthy", "/metrics"],
    methods: "GET, POST, DELETE, OPTIONS",
    headers: "Accept, Authorization, Content-Type, Origin",
};

fn asks(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Gates and adds cross-origin headers.
pub async fn around(State(api): State<Arc<AlertmanagerApi>>, request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let answer = |request: Request| async {
        if asks(request.method()) { read(&api, request, next).await } else { next.run(request).await }
    };
    let mut response = origins::around(&RULES, &api.cors_origin, &api.readiness, request, answer).await;
    if is_api {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
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

//! The `/metrics` route.

use axum::{
    extract::State,
    http::{HeaderMap, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};

use crate::{Format, MetricsRegistry};

impl MetricsRegistry {
    /// The handler to mount at `/metrics`: text 0.0.4 or OpenMetrics, as the `Accept` header asks.
    pub fn metrics_route<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        get(expose).with_state(self.clone())
    }

    /// The handler to mount at `/health`: 200 as long as the service answers at all.
    pub fn health_route<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        let body = health_body(self.service());
        get(move || async move { ([(CONTENT_TYPE, "application/json")], body) })
    }
}

/// `{"status":"ok","service":…}`.
fn health_body(service: &str) -> String {
    let escaped = service.replace('\\', "\\\\").replace('"', "\\\"");
    format!("{{\"status\":\"ok\",\"service\":\"{escaped}\"}}")
}

async fn expose(State(registry): State<MetricsRegistry>, headers: HeaderMap) -> Response {
    let format = Format::negotiate(&headers);
    ([(CONTENT_TYPE, format.content_type())], registry.expose(format)).into_response()
}

//! The `/metrics` and `/health` routes.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use futures::future::{BoxFuture, FutureExt, join_all};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use crate::{Format, MetricsRegistry};

/// How long a check may take before it counts as failed, unless something else is said.
const CHECK_PATIENCE: Duration = Duration::from_secs(2);

type Check = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// What a service needs: its database, its queue, the services that it asks.
///
/// ```
/// # async fn ping() -> Result<(), std::io::Error> { Ok(()) }
/// use easymo_commons::{HealthChecks, MetricsRegistry};
///
/// let metrics = MetricsRegistry::new("wallet-service", "test");
/// let checks = HealthChecks::new().check("postgres", || async { ping().await });
/// let app: axum::Router = axum::Router::new().route("/health", metrics.health_route_with(checks));
/// ```
#[derive(Clone)]
pub struct HealthChecks {
    checks: Vec<(String, Check)>,
    patience: Duration,
}

impl HealthChecks {
    /// No checks.
    pub fn new() -> Self {
        Self { checks: Vec::new(), patience: CHECK_PATIENCE }
    }

    /// Adds a check. Why it failed is for the log, not for whoever asks: the reason may hold addresses and passwords.
    pub fn check<F, A, E>(mut self, name: &str, check: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<(), E>> + Send + 'static,
    {
        let check: Check = Arc::new(move || check().map(|answer| answer.is_ok()).boxed());
        self.checks.push((name.to_owned(), check));
        self
    }

    /// How long a check may take before it counts as failed; 2 seconds if left out.
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// What each check says: `ok` or why not.
    async fn run(&self) -> Vec<(String, String)> {
        let patience = self.patience;
        let asked = self.checks.iter().map(|(name, check)| async move {
            let outcome = match timeout(patience, check()).await {
                Ok(true) => "ok".to_owned(),
                Ok(false) => "failed".to_owned(),
                Err(_) => format!("no answer within {} ms", patience.as_millis()),
            };
            (name.clone(), outcome)
        });
        join_all(asked).await
    }
}

impl Default for HealthChecks {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HealthChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|(name, _)| name)).finish()
    }
}

impl MetricsRegistry {
    /// The handler to mount at `/metrics`: text 0.0.4 or OpenMetrics, as the `Accept` header asks.
    pub fn metrics_route<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        get(expose).with_state(self.clone())
    }

    /// The handler to mount at `/health`: 200 as long as the service answers at all.
    pub fn health_route<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        self.health_route_with(HealthChecks::new())
    }

    /// The handler to mount at `/health`: 200 if all checks pass, else 503; the body says which did not.
    pub fn health_route_with<S: Clone + Send + Sync + 'static>(
        &self,
        checks: HealthChecks,
    ) -> MethodRouter<S> {
        get(health).with_state((self.service().to_owned(), checks))
    }
}

async fn expose(State(registry): State<MetricsRegistry>, headers: HeaderMap) -> Response {
    let format = Format::negotiate(&headers);
    ([(CONTENT_TYPE, format.content_type())], registry.expose(format)).into_response()
}

async fn health(State((service, checks)): State<(String, HealthChecks)>) -> Response {
    let outcomes = checks.run().await;
    let failing = outcomes.iter().any(|(_, outcome)| outcome != "ok");
    let (code, status) =
        if failing { (StatusCode::SERVICE_UNAVAILABLE, "failing") } else { (StatusCode::OK, "ok") };
    let checks: Map<String, Value> =
        outcomes.into_iter().map(|(name, outcome)| (name, outcome.into())).collect();
    let body = json!({ "status": status, "service": service, "checks": checks });
    (code, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

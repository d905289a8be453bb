//! Loki's HTTP API, on port 3100.

mod delete;
mod deletions;
mod detected;
mod http_metrics;
mod intake;
mod json;
mod labels;
mod legacy;
mod middleware;
mod operations;
mod params;
mod push;
mod query;
mod refusal;
pub mod ruler;
mod tail;
mod tenant;
mod volume;

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use reba_ingest::loki::{LokiReceiver, config::LokiConfig, limits::TenantLimits};
use reba_model::GoRegex;
use reba_query::logs::{LogQueryEngine, LogTails};
use reba_rules::logs::LogRuler;
use reba_storage::LogAdmin;
use tokio_util::sync::CancellationToken;
use tower_http::compression::{CompressionLayer, predicate::SizeAbove};

pub use self::{
    deletions::{Deletion, DeletionError, Deletions},
    http_metrics::RequestMetrics,
    intake::Intake,
    refusal::{Answer, Refusal},
    tenant::{Asks, Owns},
};
pub(crate) use self::{http_metrics::known_method, refusal::blocking, tenant::owner};
use crate::{
    answers::Answers,
    compress,
    prometheus::{MetricsSource, Readiness},
};

/// The upstream version that Reba's answers are compatible with: clients switch features by it.
pub const COMPATIBLE_VERSION: &str = "2.9.3";

/// Answers smaller than this are sent as they are.
const COMPRESS_ABOVE: u64 = 1024;

/// The time of day in Unix nanoseconds.
pub type ClockNs = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What `/log_level` reads and changes.
pub trait LogLevel: Send + Sync {
    /// The level in force: `debug`, `info`, `warn` or `error`.
    fn get(&self) -> String;

    /// Puts another one in force; the error is for the person who asked.
    fn set(&self, level: &str) -> Result<(), String>;
}

/// The parts of Reba that this API shows to the outside.
pub struct LokiApi {
    /// Runs queries.
    pub engine: Arc<LogQueryEngine>,
    /// Followers.
    pub tails: Arc<LogTails>,
    /// Takes pushes.
    pub receiver: Arc<LokiReceiver>,
    /// Limits by tenant.
    pub limits: Arc<TenantLimits>,
    /// Flushes.
    pub admin: Arc<dyn LogAdmin>,
    /// Requests to delete. [`Deletions::resume`] is for whoever starts the role.
    pub deletions: Arc<Deletions>,
    /// Rules, if they are evaluated here.
    pub ruler: Option<Arc<LogRuler>>,
    /// The configuration in force.
    pub config: Arc<ArcSwap<LokiConfig>>,
    /// Whether the store is open.
    pub readiness: Arc<Readiness>,
    /// Metrics of parts that this crate does not know (the store, the process).
    pub metrics: Vec<MetricsSource>,
    /// Origins whose pages may read answers, change something and follow.
    pub cors_origin: GoRegex,
    /// What `/log_level` changes, if it can be changed.
    pub log_level: Option<Box<dyn LogLevel>>,
    /// The time of day.
    pub clock_ns: ClockNs,
    /// Ends followers.
    pub stop: CancellationToken,
    /// Requests by route.
    pub http: RequestMetrics,
    /// Memory for answers on their way.
    pub answers: Answers,
    /// Memory for bodies on their way.
    pub intake: Intake,
}

impl LokiApi {
    fn now_ns(&self) -> i64 {
        (self.clock_ns)()
    }
}

impl fmt::Debug for LokiApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LokiApi").finish_non_exhaustive()
    }
}

/// The routes.
pub fn router(api: Arc<LokiApi>) -> Router {
    Router::new()
        .nest("/loki/api/v1", v1())
        .merge(legacy_routes())
        .merge(operator_routes())
        .merge(ruler::routes())
        .route("/otlp/v1/logs", post(push::otlp))
        .fallback(not_found)
        .layer(axum::middleware::from_fn(compress::large))
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(COMPRESS_ABOVE)))
        .route_layer(axum::middleware::from_fn_with_state(Arc::clone(&api), middleware::count))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&api), middleware::around))
        .with_state(api)
}

fn v1() -> Router<Arc<LokiApi>> {
    let deletes = get(delete::list).post(delete::add).put(delete::add).delete(delete::cancel);
    Router::new()
        .route("/push", post(push::push))
        .route("/query", get(query::instant).post(query::instant))
        .route("/query_range", get(query::range).post(query::range))
        .route("/format_query", get(query::format).post(query::format))
        .route("/labels", get(labels::names).post(labels::names))
        .route("/label", get(labels::names).post(labels::names))
        .route("/label/{name}/values", get(labels::values).post(labels::values))
        .route("/series", get(labels::series).post(labels::series))
        .route("/tail", get(tail::tail))
        .route("/index/stats", get(volume::stats).post(volume::stats))
        .route("/index/volume", get(volume::volume).post(volume::volume))
        .route("/index/volume_range", get(volume::volume_range).post(volume::volume_range))
        .route("/patterns", get(detected::patterns).post(detected::patterns))
        .route("/detected_labels", get(detected::labels).post(detected::labels))
        .route("/detected_fields", get(detected::fields).post(detected::fields))
        .route("/detected_field/{name}/values", get(detected::field_values).post(detected::field_values))
        .route("/drilldown-limits", get(operations::drilldown))
        .route("/delete", deletes)
        .route("/cache/generation_numbers", get(delete::generations))
        .route("/status/buildinfo", get(operations::buildinfo))
        .route("/status/active_queries", get(query::active))
        .route("/status/active_queries/{id}/kill", post(query::kill))
}

/// As the first versions of Loki had them.
fn legacy_routes() -> Router<Arc<LokiApi>> {
    Router::new()
        .route("/api/prom/push", post(push::legacy))
        .route("/api/prom/query", get(legacy::query).post(legacy::query))
        .route("/api/prom/label", get(labels::legacy_names).post(labels::legacy_names))
        .route("/api/prom/label/{name}/values", get(labels::legacy_values).post(labels::legacy_values))
        .route("/api/prom/series", get(labels::series).post(labels::series))
        .route("/api/prom/tail", get(tail::legacy))
}

fn operator_routes() -> Router<Arc<LokiApi>> {
    let mut routes = Router::new()
        .route("/", get(home))
        .route("/ready", get(operations::ready))
        .route("/metrics", get(operations::metrics))
        .route("/config", get(operations::config))
        .route("/services", get(operations::services))
        .route("/log_level", get(operations::log_level).post(operations::set_log_level))
        .route("/flush", get(operations::flush).post(operations::flush))
        .route("/ingester/prepare_shutdown", get(operations::flush).post(operations::flush))
        .route("/ingester/shutdown", get(operations::flush).post(operations::flush))
        .route("/debug/{*rest}", any(no_profiles));
    for ring in ["/ring", "/distributor/ring", "/ruler/ring", "/compactor/ring", "/indexgateway/ring"] {
        routes = routes.route(ring, get(operations::ring));
    }
    routes.route("/scheduler/ring", get(operations::ring)).route("/memberlist", get(operations::ring))
}

async fn not_found() -> Response {
    Refusal::new(axum::http::StatusCode::NOT_FOUND, "404 page not found").into_response()
}

async fn no_profiles() -> Response {
    let text = "Reba is no Go program and has no /debug/pprof; see its metrics at /metrics.";
    Refusal::new(axum::http::StatusCode::NOT_FOUND, text).into_response()
}

async fn home() -> &'static str {
    "Reba answers Loki's API here. Try /loki/api/v1/labels, /loki/api/v1/query_range?query={app=\"x\"}, /ready, /metrics,\n\
     or `reba query logql '{app=\"x\"}'` on the command line.\n"
}

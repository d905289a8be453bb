//! Tempo's HTTP API, and its streaming API over gRPC, on port 3200.

mod grpc;
mod id;
mod json;
mod metrics;
mod middleware;
mod operations;
mod params;
mod proto;
pub mod receivers;
mod search;
mod tags;
mod tenant;
mod trace;

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use axum::{
    Router,
    routing::{any, get},
};
use reba_ingest::traces::{TraceReceiver, config::TempoConfig};
use reba_model::GoRegex;
use reba_query::traces::TraceQueryEngine;
use reba_storage::SpanAdmin;
use tower_http::compression::{CompressionLayer, predicate::SizeAbove};

pub(crate) use self::tenant::owner;
use crate::{
    answers::Answers,
    compress,
    loki::{ClockNs, RequestMetrics},
    prometheus::{MetricsSource, Readiness},
};

/// The upstream version that Reba's answers are compatible with: Grafana switches features by it. It is newer than the version
/// whose configuration is read, since what came later is answered, too.
pub const COMPATIBLE_VERSION: &str = "2.8.2";

/// Answers smaller than this are sent as they are.
const COMPRESS_ABOVE: u64 = 1024;

/// The parts of Reba that this API shows to the outside.
pub struct TempoApi {
    /// Runs queries.
    pub engine: Arc<TraceQueryEngine>,
    /// Takes spans; here for its counters.
    pub receiver: Arc<TraceReceiver>,
    /// Flushes.
    pub admin: Arc<dyn SpanAdmin>,
    /// The configuration in force.
    pub config: Arc<ArcSwap<TempoConfig>>,
    /// Whether the store is open.
    pub readiness: Arc<Readiness>,
    /// Metrics of parts that this crate does not know (the store, the generator, the process).
    pub metrics: Vec<MetricsSource>,
    /// Origins whose pages may read answers.
    pub cors_origin: GoRegex,
    /// The time of day.
    pub clock_ns: ClockNs,
    /// Requests by route.
    pub http: RequestMetrics,
    /// Memory for answers on their way.
    pub answers: Answers,
}

impl fmt::Debug for TempoApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TempoApi").finish_non_exhaustive()
    }
}

/// The routes.
pub fn router(api: Arc<TempoApi>) -> Router {
    Router::new()
        .merge(queries())
        .merge(operators())
        .fallback(operations::not_found)
        .layer(axum::middleware::from_fn(compress::large))
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(COMPRESS_ABOVE)))
        // Calls of gRPC have trailers, and are compressed in their own way.
        .merge(grpc::routes())
        .route_layer(axum::middleware::from_fn_with_state(Arc::clone(&api), middleware::count))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&api), middleware::around))
        .with_state(api)
}

fn queries() -> Router<Arc<TempoApi>> {
    Router::new()
        .route("/api/traces/{id}", get(trace::v1))
        .route("/api/v2/traces/{id}", get(trace::v2))
        .route("/api/traces/", get(trace::nothing))
        .route("/api/search", get(search::search))
        .route("/api/search/tags", tags::names(json::tag_names, proto::tag_names))
        .route("/api/v2/search/tags", tags::names(json::tag_names_by_scope, proto::tag_names_by_scope))
        .route(
            "/api/search/tag/{name}/values",
            tags::values(tags::in_traceql, json::tag_values, proto::tag_values),
        )
        .route(
            "/api/v2/search/tag/{name}/values",
            tags::values(str::to_owned, json::typed_tag_values, proto::typed_tag_values),
        )
        .route("/api/metrics/query_range", get(metrics::range))
        .route("/api/metrics/query", get(metrics::instant))
        .route("/api/echo", get(async || "echo"))
}

fn operators() -> Router<Arc<TempoApi>> {
    Router::new()
        .route("/ready", get(operations::ready))
        .route("/metrics", get(operations::metrics))
        .route("/status", get(operations::status))
        .route("/status/{page}", get(operations::status_page))
        .route("/status/overrides/{tenant}", get(operations::tenant_overrides))
        .route("/api/status/buildinfo", get(operations::buildinfo))
        .route("/flush", any(operations::flush))
}

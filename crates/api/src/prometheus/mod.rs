//! Prometheus' HTTP API, on port 9090.

mod admin;
mod backtest;
pub(crate) mod envelope;
mod features;
mod federate;
mod http_metrics;
mod influx;
mod json;
mod metadata;
mod middleware;
mod notifications;
mod otlp;
pub(crate) mod params;
mod query;
mod query_log;
mod read;
mod rules;
pub mod self_metrics;
pub mod starting;
mod status;
pub(crate) mod targets;
mod write;

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header, uri::Authority},
    response::{Html, IntoResponse, Response},
    routing::{any, get, post},
};
use futures::future::BoxFuture;
use reba_ingest::{
    influx::InfluxReceiver, otlp::metrics::OtlpReceiver, remote_write::RemoteWriteReceiver,
    scrape::ScrapeManager,
};
use reba_model::{GoRegex, Labels};
use reba_notify::alertmanager::Notifier;
use reba_query::QueryEngine;
use reba_rules::RuleManager;
use reba_storage::MetricQuerier;
use tokio_util::sync::CancellationToken;
use tower_http::compression::{
    CompressionLayer, Predicate,
    predicate::{NotForContentType, SizeAbove},
};

use crate::{compress, loki::Intake};

pub use self::{
    admin::Admin,
    backtest::{Backtests, to_json as backtest_json},
    http_metrics::HttpMetrics,
    notifications::Notifications,
    query_log::{Ended, Origin, QueryLog},
    read::RemoteRead,
    status::{Block, Blocks, COMPATIBLE_VERSION, Readiness, Runtime},
};

pub use crate::{answers::Answers, exposition};

/// The time of day in Unix milliseconds.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Reads the configuration again; the error is for the person who asked.
pub type Reload = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Adds a part's own metrics to a page.
pub type MetricsSource = Box<dyn Fn(&mut exposition::Page) + Send + Sync>;

/// Answers smaller than this are sent as they are.
const COMPRESS_ABOVE: u64 = 1024;

/// The parts of Reba that this API shows to the outside.
pub struct PrometheusApi {
    /// Runs queries.
    pub engine: Arc<QueryEngine>,
    /// Scrapes targets.
    pub scrape: ScrapeManager,
    /// Evaluates rules.
    pub rules: Arc<RuleManager>,
    /// Sends alerts.
    pub notifier: Arc<Notifier>,
    /// Takes remote writes.
    pub receiver: Arc<RemoteWriteReceiver>,
    /// Takes metrics of OTLP.
    pub otlp: Arc<OtlpReceiver>,
    /// Takes InfluxDB's line protocol.
    pub influx: Arc<InfluxReceiver>,
    /// Bounds remote reads.
    pub remote_read: RemoteRead,
    /// Bounds back-tests.
    pub backtests: Backtests,
    /// Our own store, without those that the engine may join to it: what others read from us, or two that read from each
    /// other would never end.
    pub local: Arc<dyn MetricQuerier>,
    /// Whether the store is open.
    pub readiness: Arc<Readiness>,
    /// Flags, configuration, retention.
    pub runtime: Arc<Runtime>,
    /// Requests by handler.
    pub http: HttpMetrics,
    /// Memory for answers on their way.
    pub answers: Answers,
    /// Memory for bodies on their way.
    pub intake: Intake,
    /// Metrics of parts that this crate does not know (the store, the process).
    pub metrics: Vec<MetricsSource>,
    /// Deletes and copies, if that was switched on.
    pub admin: Option<Admin>,
    /// `global.external_labels`.
    pub external_labels: Arc<ArcSwap<Labels>>,
    /// The address by which people reach this server.
    pub external_url: String,
    /// The port of the web app, if it runs: upstream's pages are in it, under the same addresses.
    pub app_port: Option<u16>,
    /// How far back federation looks, in milliseconds.
    pub lookback_ms: i64,
    /// Origins whose pages may read answers.
    pub cors_origin: GoRegex,
    /// The time of day.
    pub clock: Clock,
    /// What `/-/reload` does.
    pub reload: Reload,
    /// What `/-/quit` cancels.
    pub quit: CancellationToken,
}

impl PrometheusApi {
    fn now_ms(&self) -> i64 {
        (self.clock)()
    }
}

impl fmt::Debug for PrometheusApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrometheusApi").field("external_url", &self.external_url).finish_non_exhaustive()
    }
}

/// The routes.
pub fn router(api: Arc<PrometheusApi>) -> Router {
    let v1 = Router::new()
        .route("/query", get(query::instant).post(query::instant))
        .route("/query_range", get(query::range).post(query::range))
        .route("/query_exemplars", get(query::exemplars).post(query::exemplars))
        .route("/format_query", get(query::format).post(query::format))
        .route("/parse_query", get(query::tree).post(query::tree))
        .route("/series", get(metadata::series).post(metadata::series).delete(not_implemented))
        .route("/labels", get(metadata::names).post(metadata::names))
        .route("/label/{name}/values", get(metadata::values))
        .route("/targets", get(targets::targets))
        .route("/targets/metadata", get(targets::targets_metadata))
        .route("/targets/relabel_steps", get(targets::relabel_steps))
        .route("/scrape_pools", get(targets::scrape_pools))
        .route("/scrape_pools/config", get(targets::pool_config))
        .route("/features", get(features::features))
        .route("/notifications", get(notifications::list))
        .route("/notifications/live", get(notifications::live))
        .route("/metadata", get(targets::metadata))
        .route("/alertmanagers", get(targets::alertmanagers))
        .route("/rules", get(rules::rules))
        .route("/rules/backtest", post(backtest::backtest))
        .route("/alerts", get(rules::alerts))
        .route("/status/config", get(status::config))
        .route("/status/flags", get(status::flags))
        .route("/status/runtimeinfo", get(status::runtimeinfo))
        .route("/status/buildinfo", get(status::buildinfo))
        .route("/status/tsdb", get(status::tsdb))
        .route("/status/tsdb/blocks", get(status::blocks))
        .route("/status/walreplay", get(status::walreplay))
        .route("/status/active_queries", get(query::active))
        .route("/status/active_queries/{id}/kill", post(query::kill))
        .route("/write", post(write::write))
        .route("/otlp/v1/metrics", post(otlp::metrics))
        .route("/read", post(read::read))
        .route("/admin/tsdb/delete_series", post(admin::delete_series).put(admin::delete_series))
        .route("/admin/tsdb/clean_tombstones", post(admin::clean_tombstones).put(admin::clean_tombstones))
        .route("/admin/tsdb/snapshot", post(admin::snapshot).put(admin::snapshot));
    Router::new()
        .nest("/api/v1", v1)
        .merge(influx::routes())
        .route("/", get(home))
        .merge(PAGES.iter().fold(Router::new(), |router, page| router.route(page, get(page_of_the_app))))
        .route("/debug/{*rest}", any(no_profiles))
        .route("/consoles/{*rest}", get(no_consoles))
        .route("/metrics", get(self_metrics::page))
        .route("/federate", get(federate::federate))
        .route("/version", get(status::version))
        .route("/-/healthy", get(status::healthy))
        .route("/-/ready", get(status::ready))
        .route("/ready", get(status::ready))
        .route("/-/reload", any(status::reload))
        .route("/-/quit", any(status::quit))
        .fallback(not_found)
        .layer(axum::middleware::from_fn(compress::large))
        .layer(CompressionLayer::new().compress_when(worth_compressing()))
        .route_layer(axum::middleware::from_fn_with_state(Arc::clone(&api), middleware::count))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&api), middleware::around))
        .with_state(api)
}

async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

async fn not_implemented() -> envelope::ApiResult {
    Err(envelope::ApiError::new(envelope::ErrorKind::Internal, "not implemented"))
}

/// Answers that are not too small. Events must not wait for more of them.
fn worth_compressing() -> impl Predicate {
    SizeAbove::new(COMPRESS_ABOVE).and(NotForContentType::SSE)
}

/// Where people who only know the address are sent to.
async fn home(State(api): State<Arc<PrometheusApi>>) -> Response {
    let external: Option<Uri> = api.external_url.parse().ok();
    let path = external.as_ref().map_or("", Uri::path).trim_end_matches('/');
    (StatusCode::FOUND, [(header::LOCATION, format!("{path}/graph"))]).into_response()
}

async fn no_profiles() -> Response {
    let text = "Reba is no Go program and has no /debug/pprof; see its metrics at /metrics.\n";
    (StatusCode::NOT_FOUND, text).into_response()
}

async fn no_consoles() -> Response {
    (StatusCode::NOT_FOUND, "Reba does not serve console templates.\n").into_response()
}

/// Pages of upstream's that the web app has, too.
const PAGES: [&str; 9] = [
    "/graph",
    "/alerts",
    "/targets",
    "/rules",
    "/config",
    "/flags",
    "/status",
    "/tsdb-status",
    "/service-discovery",
];

const NO_APP: &str = r#"<!doctype html><html lang="en"><meta charset="utf-8"><title>Reba</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui;max-width:40rem;margin:3rem auto;padding:0 1rem}</style>
<h1>Reba</h1><p>This port answers Prometheus&#39; API; the web app (role <code>grafana</code>) does not run here.</p>
<ul><li><a href="/api/v1/targets">targets</a></li><li><a href="/api/v1/rules">rules</a></li>
<li><a href="/api/v1/alerts">alerts</a></li><li><a href="/metrics">metrics of Reba itself</a></li></ul>
<p>On the command line: <code>reba query promql up</code></p></html>
"#;

/// Leads to the page of the web app on the host that the browser knows us by.
async fn page_of_the_app(State(api): State<Arc<PrometheusApi>>, headers: HeaderMap, uri: Uri) -> Response {
    let Some(port) = api.app_port else { return Html(NO_APP).into_response() };
    let authority = headers.get(header::HOST).and_then(|h| h.to_str().ok()?.parse::<Authority>().ok());
    let host = authority.as_ref().map_or("127.0.0.1", Authority::host);
    let page = uri.path_and_query().map_or("/", |p| p.as_str());
    // The address of the browser may have a prefix, which the app does not have.
    let external: Option<Uri> = api.external_url.parse().ok();
    let prefix = external.as_ref().map_or("", Uri::path).trim_end_matches('/');
    let page = page.strip_prefix(prefix).filter(|page| page.starts_with('/')).unwrap_or(page);
    (StatusCode::FOUND, [(header::LOCATION, format!("http://{host}:{port}{page}"))]).into_response()
}

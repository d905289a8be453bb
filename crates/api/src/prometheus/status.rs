//! `/api/v1/status/…` and the health routes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use axum::{
    extract::State,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use reba_storage::TopEntry;
use serde::Serialize;
use serde_json::json;

use super::{
    PrometheusApi,
    envelope::{ApiResult, success},
    params::Params,
};

/// The upstream version that Reba's answers are compatible with: clients switch features by it.
pub const COMPATIBLE_VERSION: &str = "2.48.0";

/// Whether the store answers yet, and how far its replay is.
#[derive(Debug, Default)]
pub struct Readiness {
    ready: AtomicBool,
    replay_done: AtomicU64,
    replay_total: AtomicU64,
}

impl Readiness {
    /// Whether gated routes answer.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Opens the gate.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Closes the gate (shutdown).
    pub fn set_unready(&self) {
        self.ready.store(false, Ordering::Release);
    }

    /// Says how many of how many pieces of the write-ahead log are read.
    pub fn replaying(&self, done: u64, total: u64) {
        self.replay_done.store(done, Ordering::Relaxed);
        self.replay_total.store(total, Ordering::Relaxed);
    }
}

/// What does not change while the process lives, and what a reload changes.
#[derive(Debug)]
pub struct Runtime {
    /// When the process started.
    pub started: Timestamp,
    /// Flags as upstream names them, for `/api/v1/status/flags`.
    pub flags: BTreeMap<String, String>,
    /// `30d`, or `30d or 1073741824B`.
    pub retention: String,
    /// The configuration in use, as YAML without secrets.
    pub config_yaml: ArcSwap<String>,
    /// Whether the last reload worked.
    pub reload_ok: AtomicBool,
    /// When a configuration was last loaded, in Unix milliseconds.
    pub reloaded_ms: AtomicU64,
}

/// `/-/healthy`
pub async fn healthy() -> &'static str {
    "Prometheus Server is Healthy.\n"
}

/// `/-/ready` and `/ready`; the gate in front of it says no.
pub async fn ready() -> &'static str {
    "Prometheus Server is Ready.\n"
}

/// `/version`
pub async fn version() -> Response {
    axum::Json(build_info()).into_response()
}

fn build_info() -> serde_json::Value {
    json!({
        "version": COMPATIBLE_VERSION,
        "revision": concat!("reba-", env!("CARGO_PKG_VERSION")),
        "branch": "main",
        "buildUser": "reba",
        "buildDate": "",
        "goVersion": "none: this is Reba, in Rust",
    })
}

/// `/api/v1/status/buildinfo`
pub async fn buildinfo() -> ApiResult {
    success(&build_info())
}

/// `/api/v1/status/runtimeinfo`
pub async fn runtimeinfo(State(api): State<Arc<PrometheusApi>>) -> ApiResult {
    let runtime = &api.runtime;
    let reloaded = runtime.reloaded_ms.load(Ordering::Relaxed) as i64;
    success(&json!({
        "startTime": runtime.started.to_string(),
        "CWD": std::env::current_dir().map(|d| d.display().to_string()).unwrap_or_default(),
        "reloadConfigSuccess": runtime.reload_ok.load(Ordering::Relaxed),
        "lastConfigTime": Timestamp::from_millisecond(reloaded).unwrap_or_default().to_string(),
        "corruptionCount": 0,
        "goroutineCount": 0,
        "GOMAXPROCS": std::thread::available_parallelism().map_or(1, usize::from),
        "GOMEMLIMIT": 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": runtime.retention,
    }))
}

/// `/api/v1/status/flags`
pub async fn flags(State(api): State<Arc<PrometheusApi>>) -> ApiResult {
    success(&api.runtime.flags)
}

/// `/api/v1/status/config`
pub async fn config(State(api): State<Arc<PrometheusApi>>) -> ApiResult {
    success(&json!({ "yaml": api.runtime.config_yaml.load().as_str() }))
}

/// `/api/v1/status/walreplay`
pub async fn walreplay(State(api): State<Arc<PrometheusApi>>) -> ApiResult {
    replay(&api.readiness)
}

/// How far the replay is.
pub(super) fn replay(readiness: &Readiness) -> ApiResult {
    success(&json!({
        "min": 0,
        "max": readiness.replay_total.load(Ordering::Relaxed),
        "current": readiness.replay_done.load(Ordering::Relaxed),
    }))
}

#[derive(Serialize)]
struct NameValue<'a> {
    name: &'a str,
    value: u64,
}

fn table(entries: &[TopEntry]) -> Vec<NameValue<'_>> {
    entries.iter().map(|e| NameValue { name: &e.name, value: e.value }).collect()
}

/// `/api/v1/status/tsdb`
pub async fn tsdb(State(api): State<Arc<PrometheusApi>>, params: Params) -> ApiResult {
    let limit = params.number("limit")?.filter(|n| *n > 0).unwrap_or(10);
    let stats = api.engine.stats(limit).await?;
    success(&json!({
        "headStats": {
            "numSeries": stats.series,
            "numLabelPairs": stats.label_pairs,
            "chunkCount": stats.chunks,
            "minTime": stats.min_time,
            "maxTime": stats.max_time,
        },
        "seriesCountByMetricName": table(&stats.series_by_metric),
        "labelValueCountByLabelName": table(&stats.values_by_label),
        "memoryInBytesByLabelName": table(&stats.bytes_by_label),
        "seriesCountByLabelValuePair": table(&stats.series_by_pair),
    }))
}

/// POST or PUT `/-/reload`
pub async fn reload(State(api): State<Arc<PrometheusApi>>, method: Method) -> Response {
    if let Some(refusal) = refuse_reading(&method) {
        return refusal;
    }
    match (api.reload)().await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(e) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to reload config: {e}\n")).into_response()
        }
    }
}

/// POST or PUT `/-/quit`
pub async fn quit(State(api): State<Arc<PrometheusApi>>, method: Method) -> Response {
    if let Some(refusal) = refuse_reading(&method) {
        return refusal;
    }
    api.quit.cancel();
    "Requesting termination... Goodbye!".into_response()
}

fn refuse_reading(method: &Method) -> Option<Response> {
    let allowed = matches!(*method, Method::POST | Method::PUT);
    (!allowed).then(|| (StatusCode::METHOD_NOT_ALLOWED, "Only POST or PUT requests allowed").into_response())
}

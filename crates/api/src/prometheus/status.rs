//! `/api/v1/status/…` and the health routes.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use axum::{
    extract::State,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use reba_ingest::config::Config;
use reba_storage::TopEntry;
use serde::Serialize;
use serde_json::json;

use super::{
    PrometheusApi,
    envelope::{ApiError, ApiResult, blocking, success},
    notifications::Notifications,
    params::Params,
    query_log::QueryLog,
    targets::rfc3339,
};
use crate::build;

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

/// Lists the blocks of the store for `/api/v1/status/tsdb/blocks`, oldest first; it may read files.
pub struct Blocks(pub Box<dyn Fn() -> Vec<Block> + Send + Sync>);

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blocks")
    }
}

/// A block of the store. Times are Unix milliseconds, the last one exclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its name.
    pub name: String,
    /// The first moment.
    pub min_time: i64,
    /// The first moment behind it.
    pub max_time: i64,
    /// How many samples it has.
    pub samples: u64,
    /// How many series.
    pub series: u64,
    /// How many chunks.
    pub chunks: u64,
    /// How often it was compacted; 1 is as the head wrote it.
    pub level: u32,
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
    /// The configuration in use, once there is one.
    pub config: ArcSwapOption<Config>,
    /// Whether the last reload worked.
    pub reload_ok: AtomicBool,
    /// When a configuration was last loaded, in Unix milliseconds.
    pub reloaded_ms: AtomicU64,
    /// What people should know.
    pub notifications: Notifications,
    /// Queries that ended, if they are written down.
    pub query_log: QueryLog,
    /// The blocks of the store.
    pub blocks: Blocks,
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
    axum::Json(build::info(COMPATIBLE_VERSION)).into_response()
}

/// `/api/v1/status/buildinfo`
pub async fn buildinfo() -> ApiResult {
    success(&build::info(COMPATIBLE_VERSION))
}

/// `/api/v1/status/runtimeinfo`
pub async fn runtimeinfo(State(api): State<Arc<PrometheusApi>>) -> ApiResult {
    let runtime = &api.runtime;
    let reloaded = runtime.reloaded_ms.load(Ordering::Relaxed) as i64;
    success(&json!({
        "startTime": runtime.started.to_string(),
        "hostname": hostname(),
        "serverTime": rfc3339(Some(api.now_ms())),
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

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// `/api/v1/status/flags`
pub async fn flags(State(api): State<Arc<PrometheusApi>>) -> ApiResult {
    success(&api.runtime.flags)
}

/// `/api/v1/status/config`
pub async fn config(State(api): State<Arc<PrometheusApi>>) -> ApiResult {
    let config = api.runtime.config.load_full();
    blocking(move || success(&json!({ "yaml": config.map(|c| c.to_yaml()).unwrap_or_default() }))).await
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

/// Rows that a table may have.
const MAX_TOP: usize = 10_000;

/// `/api/v1/status/tsdb/blocks`
pub async fn blocks(State(api): State<Arc<PrometheusApi>>) -> ApiResult {
    blocking(move || {
        let one = |b: &Block| {
            json!({
                "ulid": b.name,
                "minTime": b.min_time,
                "maxTime": b.max_time,
                "stats": { "numSamples": b.samples, "numSeries": b.series, "numChunks": b.chunks },
                "compaction": { "level": b.level, "sources": [b.name] },
                "version": 1,
            })
        };
        let blocks: Vec<_> = (api.runtime.blocks.0)().iter().map(one).collect();
        success(&json!({ "blocks": blocks }))
    })
    .await
}

/// `/api/v1/status/tsdb`
pub async fn tsdb(State(api): State<Arc<PrometheusApi>>, params: Params) -> ApiResult {
    let limit = match params.get("limit").map(str::parse::<i64>) {
        None => 10,
        Some(Ok(n)) if n > MAX_TOP as i64 => {
            return Err(ApiError::bad_data(format!("limit must not exceed {MAX_TOP}")));
        }
        Some(Ok(n)) if n > 0 => n as usize,
        Some(_) => return Err(ApiError::bad_data("limit must be a positive number")),
    };
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

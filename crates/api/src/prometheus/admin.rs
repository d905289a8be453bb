//! `/api/v1/admin/tsdb/…`: deleting series and copying the store; off unless it was switched on.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::{Timestamp, tz::TimeZone};
use reba_model::TimeRange;
use reba_storage::{AdminError, MetricAdmin};
use serde_json::json;

use super::{
    PrometheusApi,
    envelope::{ApiError, ApiResult, ErrorKind, success},
    params::Params,
};

/// What the admin API works on.
pub struct Admin {
    /// The store.
    pub store: Arc<dyn MetricAdmin>,
    /// Makes the names of snapshots unique.
    pub random: fn() -> u64,
}

/// `/api/v1/admin/tsdb/delete_series`
pub async fn delete_series(State(api): State<Arc<PrometheusApi>>, params: Params) -> ApiResult {
    let store = enabled(&api)?;
    // All parameters are read before anything is deleted.
    let sets = params.matchers()?;
    if sets.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let all = TimeRange::ALL;
    let range = TimeRange::new(params.time("start", all.start)?, params.time("end", all.end)?);
    run("", move || store.delete_series(&sets, range)).await?;
    Ok(no_content())
}

/// `/api/v1/admin/tsdb/clean_tombstones`
pub async fn clean_tombstones(State(api): State<Arc<PrometheusApi>>) -> ApiResult {
    let store = enabled(&api)?;
    run("", move || store.clean_tombstones()).await?;
    Ok(no_content())
}

/// `/api/v1/admin/tsdb/snapshot`
pub async fn snapshot(State(api): State<Arc<PrometheusApi>>, params: Params) -> ApiResult {
    let store = enabled(&api)?;
    let skip_head = params.truth("skip_head", "unable to parse boolean")?;
    let random = api.admin.as_ref().map_or(0, |admin| (admin.random)());
    let name = snapshot_name(api.now_ms(), random);
    let answer = json!({ "name": name });
    run("create snapshot: ", move || store.snapshot(&name, !skip_head)).await?;
    success(&answer)
}

fn enabled(api: &PrometheusApi) -> Result<Arc<dyn MetricAdmin>, ApiError> {
    let disabled = || ApiError::new(ErrorKind::Unavailable, "admin APIs disabled");
    api.admin.as_ref().map(|admin| Arc::clone(&admin.store)).ok_or_else(disabled)
}

/// Away from the runtime's workers: this reads and writes files.
async fn run(
    doing: &str,
    work: impl FnOnce() -> Result<(), AdminError> + Send + 'static,
) -> Result<(), ApiError> {
    let fail = |e: String| ApiError::new(ErrorKind::Internal, format!("{doing}{e}"));
    let done = tokio::task::spawn_blocking(work).await.map_err(|e| fail(e.to_string()))?;
    done.map_err(|e| fail(e.to_string()))
}

fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// `20231118T130000Z-` and 16 hexadecimal digits.
fn snapshot_name(now_ms: i64, random: u64) -> String {
    let now = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC);
    format!("{}-{:016x}", now.strftime("%Y%m%dT%H%M%SZ"), random >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_named_after_its_second_and_a_random_number() {
        assert_eq!(snapshot_name(1_700_312_400_999, 0x1f), "20231118T130000Z-000000000000000f");
        assert_eq!(snapshot_name(0, u64::MAX), "19700101T000000Z-7fffffffffffffff");
    }
}

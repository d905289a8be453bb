//! `/api/v1/query`, `query_range`, `format_query`, `query_exemplars`, and the list of running queries.

use std::{io::Write as _, sync::Arc, time::Duration};

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use reba_model::{Matcher, TimeRange};
use reba_promql::syntax;
use reba_query::{ExecError, InstantQuery, QueryOutput, RangeQuery};
use serde_json::json;

use super::{
    PrometheusApi,
    envelope::{ApiError, ApiResult, ErrorKind, success, success_bytes},
    json::{write_data, write_labels, write_string, write_timestamp, write_value},
    params::{Params, invalid},
};

/// Points a series may have in one answer.
const MAX_POINTS: i64 = 11_000;

impl From<ExecError> for ApiError {
    fn from(e: ExecError) -> Self {
        let kind = match e.kind() {
            reba_query::ErrorKind::BadData => ErrorKind::BadData,
            reba_query::ErrorKind::Execution => ErrorKind::Execution,
            reba_query::ErrorKind::Canceled => ErrorKind::Canceled,
            reba_query::ErrorKind::Timeout => ErrorKind::Timeout,
            reba_query::ErrorKind::Internal => ErrorKind::Internal,
        };
        ApiError::new(kind, e.to_string())
    }
}

/// An error of the expression is the parameter's error.
fn query_error(e: ExecError) -> ApiError {
    match e {
        ExecError::BadData(text) => invalid("query", &text),
        e => e.into(),
    }
}

fn timeout(params: &Params) -> Result<Option<Duration>, ApiError> {
    Ok(params.duration("timeout")?.map(|ms| Duration::from_millis(ms.max(0).unsigned_abs())))
}

/// `/api/v1/query`
pub async fn instant(State(api): State<Arc<PrometheusApi>>, params: Params) -> ApiResult {
    let query = InstantQuery {
        query: params.value("query").to_owned(),
        time: params.time("time", api.now_ms())?,
        timeout: timeout(&params)?,
        lookback_delta: params.duration("lookback_delta")?,
    };
    let output = api.engine.instant(query).await.map_err(query_error)?;
    answer(&api, output, params.get("stats").is_some()).await
}

/// `/api/v1/query_range`
pub async fn range(State(api): State<Arc<PrometheusApi>>, headers: HeaderMap, params: Params) -> ApiResult {
    let start = params.required_time("start")?;
    let end = params.required_time("end")?;
    if end < start {
        return Err(invalid("end", "end timestamp must not be before start time"));
    }
    let step = params.required_duration("step")?;
    if step <= 0 {
        return Err(invalid(
            "step",
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ));
    }
    if end.saturating_sub(start) / step > MAX_POINTS {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    let query = RangeQuery {
        query: params.value("query").to_owned(),
        start,
        end,
        step,
        timeout: timeout(&params)?,
        lookback_delta: params.duration("lookback_delta")?,
        no_cache: wants_no_cache(&params, &headers),
    };
    let output = api.engine.range(query).await.map_err(query_error)?;
    answer(&api, output, params.get("stats").is_some()).await
}

/// Whether everything is to be computed anew: `nocache=1`, or `Cache-Control: no-cache` as a browser sends it when a page
/// is reloaded without its cache.
fn wants_no_cache(params: &Params, headers: &HeaderMap) -> bool {
    let of_header = |v: &str| v.split(',').any(|d| matches!(d.trim(), "no-cache" | "no-store"));
    params.get("nocache").is_some_and(|v| v != "0")
        || headers.get_all(header::CACHE_CONTROL).iter().filter_map(|v| v.to_str().ok()).any(of_header)
}

/// Answers with more points than this are written on a thread that may block: it takes too long for one that serves
/// sockets.
const POINTS_AT_ONCE: usize = 5_000;

/// What a point takes as JSON, about.
const BYTES_PER_POINT: usize = 24;

async fn answer(api: &PrometheusApi, output: QueryOutput, stats: bool) -> ApiResult {
    let points = output.data.points();
    if points <= POINTS_AT_ONCE {
        return Ok(write_answer(&output, stats));
    }
    let Some(room) = api.answers.room(points.saturating_mul(BYTES_PER_POINT)).await else {
        let text = "answers that nobody reads take all the memory there is for answers";
        return Err(ApiError::new(ErrorKind::Timeout, text));
    };
    let written = tokio::task::spawn_blocking(move || write_answer(&output, stats)).await;
    let answer = written.map_err(|e| ApiError::new(ErrorKind::Internal, e.to_string()))?;
    Ok(answer.map(|body| room.keep_until_sent(body)))
}

fn write_answer(output: &QueryOutput, stats: bool) -> Response {
    success_bytes(&output.warnings, &output.infos, |out| {
        out.push(b'{');
        write_data(out, &output.data);
        if stats {
            write_stats(out, &output.stats);
        }
        out.push(b'}');
    })
}

fn write_stats(out: &mut Vec<u8>, stats: &reba_query::QueryStats) {
    let t = &stats.timings;
    let stats = json!({
        "timings": {
            "evalTotalTime": t.eval_total.as_secs_f64(),
            "resultSortTime": t.result_sort.as_secs_f64(),
            "queryPreparationTime": t.query_preparation.as_secs_f64(),
            "innerEvalTime": t.inner_eval.as_secs_f64(),
            "execQueueTime": t.exec_queue.as_secs_f64(),
            "execTotalTime": t.exec_total.as_secs_f64(),
        },
        "samples": {
            "totalQueryableSamples": stats.total_samples,
            "peakSamples": stats.peak_samples,
        },
    });
    let _ = write!(out, r#","stats":{stats}"#);
}

fn parse(params: &Params) -> Result<syntax::Expr, ApiError> {
    syntax::parse(params.value("query"), syntax::ParseOptions::default())
        .map_err(|e| invalid("query", &e.to_string()))
}

/// `/api/v1/format_query`
pub async fn format(params: Params) -> ApiResult {
    success(&parse(&params)?.pretty())
}

/// `/api/v1/parse_query`
pub async fn tree(params: Params) -> ApiResult {
    let tree = parse(&params)?.to_json();
    Ok(success_bytes(&[], &[], |out| out.extend_from_slice(tree.as_bytes())))
}

/// `/api/v1/query_exemplars`
pub async fn exemplars(State(api): State<Arc<PrometheusApi>>, params: Params) -> ApiResult {
    let start = params.time("start", i64::MIN)?;
    let end = params.time("end", i64::MAX)?;
    if end < start {
        return Err(invalid("end", "end timestamp must not be before start timestamp"));
    }
    let expr = parse(&params)?;
    let sets: Vec<Vec<Matcher>> = expr.selectors().into_iter().map(|s| s.matchers.clone()).collect();
    if sets.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let found = api.engine.exemplars(sets, TimeRange::new(start, end)).await?;
    Ok(success_bytes(&[], &[], |out| {
        out.push(b'[');
        for (i, series) in found.iter().enumerate() {
            out.extend_from_slice(if i > 0 {
                br#",{"seriesLabels":"# as &[u8]
            } else {
                br#"{"seriesLabels":"#
            });
            write_labels(out, &series.labels);
            out.extend_from_slice(br#","exemplars":["#);
            for (j, e) in series.exemplars.iter().enumerate() {
                out.extend_from_slice(if j > 0 { br#",{"labels":"# as &[u8] } else { br#"{"labels":"# });
                write_labels(out, &e.labels);
                out.extend_from_slice(br#","value":"#);
                write_value(out, e.value);
                out.extend_from_slice(br#","timestamp":"#);
                write_timestamp(out, e.t);
                out.push(b'}');
            }
            out.extend_from_slice(b"]}");
        }
        out.push(b']');
    }))
}

/// `/api/v1/status/active_queries` (ours): what runs or waits.
pub async fn active(State(api): State<Arc<PrometheusApi>>) -> ApiResult {
    Ok(success_bytes(&[], &[], |out| {
        out.push(b'[');
        for (i, q) in api.engine.active_queries().iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            let _ = write!(out, r#"{{"id":{},"query":"#, q.id);
            write_string(out, &q.query);
            let _ = write!(out, r#","ageSeconds":{:.3},"running":{}}}"#, q.age.as_secs_f64(), q.running);
        }
        out.push(b']');
    }))
}

/// POST `/api/v1/status/active_queries/{id}/kill` (ours).
pub async fn kill(State(api): State<Arc<PrometheusApi>>, Path(id): Path<u64>) -> ApiResult {
    if api.engine.kill(id) {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(ApiError::new(ErrorKind::NotFound, format!("no active query has the number {id}")))
    }
}

//! `/api/v1/query`, `query_range`, `format_query`, `query_exemplars`, and the list of running queries.

use std::{convert::Infallible, io::Write as _, sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, MatchedPath, Path, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use reba_model::{Matcher, TimeRange};
use reba_promql::syntax;
use reba_query::{ExecError, InstantQuery, QueryData, QueryOutput, RangeQuery};
use serde_json::json;

use super::{
    PrometheusApi,
    compress::{self, Encoding},
    envelope::{
        ApiError, ApiResult, ErrorKind, blocking, json_response, success, success_body, success_bytes,
    },
    json::{write_data, write_labels, write_string, write_timestamp, write_value},
    metadata::TRUNCATED,
    params::{Params, invalid},
    query_log::{Ended, Origin, stats_json},
};
use crate::server::Peer;

/// Points a series may have in one answer.
const MAX_POINTS: i64 = 11_000;

impl From<ExecError> for ApiError {
    fn from(e: ExecError) -> Self {
        let kind = match e {
            ExecError::BadData(_) => ErrorKind::BadData,
            ExecError::Execution(_) => ErrorKind::Execution,
            ExecError::Canceled(_) => ErrorKind::Canceled,
            ExecError::Timeout(_) => ErrorKind::Timeout,
            ExecError::Internal(_) => ErrorKind::Internal,
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

/// Whether statistics of each step are wanted. Upstream also wants a feature flag for that.
fn wants_steps(params: &Params) -> bool {
    params.get("stats") == Some("all")
}

fn timeout(params: &Params) -> Result<Option<Duration>, ApiError> {
    Ok(params.duration("timeout")?.map(|ms| Duration::from_millis(ms.max(0).unsigned_abs())))
}

/// What a handler of queries knows about its request besides the parameters.
pub struct Asked {
    client: String,
    method: String,
    path: String,
    encoding: Encoding,
    /// The client wants an answer that was not kept from before.
    no_cache: bool,
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<Peer>();
        Ok(Asked {
            client: peer.map_or_else(String::new, |peer| peer.0.to_string()),
            method: parts.method.to_string(),
            // The address itself has lost what the routes before it have taken off.
            path: parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned(),
            encoding: Encoding::accepted(&parts.headers),
            no_cache: parts.headers.get(header::CACHE_CONTROL).is_some_and(|v| {
                let text = v.to_str().unwrap_or_default();
                text.contains("no-cache") || text.contains("no-store")
            }),
        })
    }
}

/// `/api/v1/query`
pub async fn instant(State(api): State<Arc<PrometheusApi>>, asked: Asked, params: Params) -> ApiResult {
    let limit = params.limit()?;
    let time = params.time("time", api.now_ms())?;
    let query = InstantQuery {
        query: params.value("query").to_owned(),
        time,
        timeout: timeout(&params)?,
        lookback_delta: params.duration("lookback_delta")?,
        per_step_stats: wants_steps(&params),
    };
    let result = api.engine.instant(query).await;
    log(&api, &asked, params.value("query"), (time, time, 0), &result);
    answer(&api, result.map_err(query_error)?, Shape::new(&asked, &params, limit)).await
}

/// `/api/v1/query_range`
pub async fn range(State(api): State<Arc<PrometheusApi>>, asked: Asked, params: Params) -> ApiResult {
    let limit = params.limit()?;
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
        per_step_stats: wants_steps(&params),
        no_cache: asked.no_cache || params.get("nocache").is_some_and(|v| v != "0"),
    };
    let result = api.engine.range(query).await;
    log(&api, &asked, params.value("query"), (start, end, step), &result);
    answer(&api, result.map_err(query_error)?, Shape::new(&asked, &params, limit)).await
}

/// Puts a query into the query log, if there is one.
fn log(
    api: &PrometheusApi,
    asked: &Asked,
    query: &str,
    (start, end, step): (i64, i64, i64),
    result: &Result<QueryOutput, ExecError>,
) {
    let log = &api.runtime.query_log;
    // Upstream logs what ran: not what could not be parsed.
    if !log.is_on() || matches!(result, Err(ExecError::BadData(_))) {
        return;
    }
    let Asked { client, method, path, .. } = asked;
    let origin = Origin::Http { client: client.clone(), method: method.clone(), path: path.clone() };
    let stats = result.as_ref().ok().map(|output| &output.stats);
    let error = result.as_ref().err().map(ToString::to_string);
    log.record(&Ended { query, start, end, step, stats, error, origin }, api.now_ms());
}

/// How an answer is to look.
#[derive(Clone, Copy)]
struct Shape {
    /// Series at most; 0: all.
    limit: usize,
    stats: bool,
    encoding: Encoding,
}

impl Shape {
    fn new(asked: &Asked, params: &Params, limit: usize) -> Self {
        Shape { limit, stats: params.get("stats").is_some(), encoding: asked.encoding }
    }
}

/// Answers with more points than this are written on a thread that may block: it takes too long for one that serves
/// sockets.
const POINTS_AT_ONCE: usize = 5_000;

/// What a point takes as JSON, about.
const BYTES_PER_POINT: usize = 24;

async fn answer(api: &PrometheusApi, mut output: QueryOutput, shape: Shape) -> ApiResult {
    if shape.limit > 0 && truncate(&mut output.data, shape.limit) {
        output.warnings.push(TRUNCATED.to_owned());
    }
    let points = output.data.points();
    if points <= POINTS_AT_ONCE {
        return Ok(write_answer(&output, Shape { encoding: Encoding::Identity, ..shape }));
    }
    let Some(room) = api.answers.room(points.saturating_mul(BYTES_PER_POINT)).await else {
        let text = "answers that nobody reads take all the memory there is for answers";
        return Err(ApiError::new(ErrorKind::Timeout, text));
    };
    let answer = blocking(move || Ok(write_answer(&output, shape))).await?;
    Ok(answer.map(|body| room.keep_until_sent(body)))
}

/// Leaves `limit` series; whether there were more.
fn truncate(data: &mut QueryData, limit: usize) -> bool {
    let before = match data {
        QueryData::Vector { series, .. } | QueryData::Range { series, .. } => {
            let before = series.len();
            series.truncate(limit);
            before
        }
        QueryData::Matrix(series) => {
            let before = series.len();
            series.truncate(limit);
            before
        }
        QueryData::Scalar { .. } | QueryData::String { .. } => 0,
    };
    before > limit
}

fn write_answer(output: &QueryOutput, shape: Shape) -> Response {
    let body = success_body(&output.warnings, &output.infos, |out| {
        out.push(b'{');
        write_data(out, &output.data);
        if shape.stats {
            let mut stats = stats_json(&output.stats);
            if !output.samples_per_step.is_empty() {
                let seconds = |t: i64| if t % 1000 == 0 { json!(t / 1000) } else { json!(t as f64 / 1000.0) };
                let steps = output.samples_per_step.iter().map(|(t, n)| json!([seconds(*t), n]));
                stats["samples"]["totalQueryableSamplesPerStep"] = steps.collect();
            }
            let _ = write!(out, r#","stats":{stats}"#);
        }
        out.push(b'}');
    });
    let mut headers = HeaderMap::new();
    let body = compress::now(body, &mut headers, shape.encoding);
    let mut response = json_response(StatusCode::OK, body);
    response.headers_mut().extend(headers);
    response
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

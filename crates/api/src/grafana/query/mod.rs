//! `/api/ds/query`: queries of data sources, answered in data frames.

mod expr;
mod frames;
mod interval;
mod loki;
mod prometheus;
mod tempo;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Extension, Json,
    body::Body as HttpBody,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::interval::Grid;
use super::{
    GrafanaApi,
    body::Body,
    login::Asker,
    refusal::{Answer, Refusal},
    sources::{Source, upstream::Ask},
    time_text,
};

/// Queries of one request.
const MAX_QUERIES: usize = 100;

/// How many of them run at once.
const AT_ONCE: usize = 8;

/// Bytes of a data source's answer that are made into frames.
const MAX_ANSWER: usize = 64 << 20;

#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct Form {
    from: Value,
    to: Value,
    queries: Vec<Value>,
}

impl Default for Form {
    fn default() -> Self {
        Form { from: "now-1h".into(), to: "now".into(), queries: Vec::new() }
    }
}

/// A query as the data source's editor writes it.
#[derive(Clone, Debug)]
struct Query {
    ref_id: String,
    model: Map<String, Value>,
}

impl Query {
    fn of(value: Value) -> Option<Self> {
        let Value::Object(model) = value else { return None };
        let ref_id = model.get("refId").and_then(Value::as_str).unwrap_or("A").to_owned();
        Some(Query { ref_id, model })
    }

    fn text(&self, key: &str) -> String {
        self.model.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn truth(&self, key: &str) -> bool {
        self.model.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.model.get(key).and_then(|v| v.as_u64().or_else(|| v.as_str()?.parse().ok()))
    }

    /// The data source by reference, name or number.
    fn source(&self, api: &GrafanaApi) -> Option<Arc<Source>> {
        if let Some(id) = self.number("datasourceId") {
            return api.sources.all().into_iter().find(|s| s.id() == id);
        }
        let named = match self.model.get("datasource") {
            None | Some(Value::Null) => return api.sources.default_source(),
            Some(Value::String(name)) => Some(name.as_str()),
            Some(reference) => {
                let uid = reference.get("uid").and_then(Value::as_str).filter(|uid| !uid.is_empty());
                uid.or_else(|| reference.get("type").and_then(Value::as_str))
            }
        };
        named.and_then(|name| api.sources.resolve(name))
    }
}

/// What went wrong with one query.
struct Failure {
    status: u16,
    message: String,
}

impl Failure {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Failure { status, message: message.into() }
    }
}

/// `POST /api/ds/query`
pub(super) async fn query(
    State(api): State<Arc<GrafanaApi>>,
    Extension(_asker): Asker,
    Body(form): Body<Form>,
) -> Answer<Response> {
    if form.queries.is_empty() {
        return Err(Refusal::bad("no queries found"));
    }
    if form.queries.len() > MAX_QUERIES {
        return Err(Refusal::bad(format!("more than {MAX_QUERIES} queries (MAX_QUERIES)")));
    }
    let now = api.now_ms();
    let time = |value: &Value, round_up| {
        let at = value.as_i64().or_else(|| time_text::parse(value.as_str()?, now, round_up));
        at.ok_or_else(|| Refusal::bad("from and to are milliseconds, RFC 3339, or like now-1h"))
    };
    let (from, to) = (time(&form.from, false)?, time(&form.to, true)?);
    let queries: Vec<Query> = form.queries.into_iter().filter_map(Query::of).collect();
    let (expressions, queries): (Vec<_>, Vec<_>) = queries.into_iter().partition(expr::is_expression);
    // With expressions, what is hidden was asked for them only.
    let is_hidden = |q: &&Query| !expressions.is_empty() && q.truth("hide");
    let hidden: Vec<String> =
        queries.iter().chain(&expressions).filter(is_hidden).map(|q| q.ref_id.clone()).collect();
    let asked = queries.into_iter().map(|query| {
        let api = Arc::clone(&api);
        async move {
            let answer = run(&api, &query, from, to).await;
            (query.ref_id, answer)
        }
    });
    let mut answers: BTreeMap<String, expr::Outcome> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    if !expressions.is_empty() {
        answers = api
            .blocking(move |_| {
                expr::calculate(expressions, &mut answers, (from, to));
                Ok(answers)
            })
            .await?;
    }
    answers.retain(|ref_id, _| !hidden.contains(ref_id));
    Ok(answered(answers))
}

fn answered(answers: BTreeMap<String, expr::Outcome>) -> Response {
    let failed = answers.values().any(Result::is_err);
    let result = |outcome: expr::Outcome| match outcome {
        Ok(frames) => json!({"status": 200, "frames": frames}),
        Err(Failure { status, message }) => json!({"status": status, "error": message, "frames": []}),
    };
    let results: Map<String, Value> =
        answers.into_iter().map(|(id, outcome)| (id, result(outcome))).collect();
    let status = if failed { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    (status, Json(json!({"results": results}))).into_response()
}

async fn run(api: &Arc<GrafanaApi>, query: &Query, from: i64, to: i64) -> Result<Vec<Value>, Failure> {
    let source = query.source(api).ok_or_else(|| Failure::new(404, "data source not found"))?;
    let setting = |key: &str| source.json_data.get(key).and_then(Value::as_str).map(str::to_owned);
    let own =
        query.model.get("interval").and_then(Value::as_str).filter(|t| !t.is_empty() && !t.contains('$'));
    let least = own.map(str::to_owned).or_else(|| setting("timeInterval"));
    let points = query.number("maxDataPoints").and_then(|n| i64::try_from(n).ok()).unwrap_or(1000);
    let factor =
        query.number("intervalFactor").and_then(|n| i64::try_from(n).ok()).unwrap_or(1).clamp(1, 1000);
    let grid = Grid::new(from, to, points, least.as_deref(), factor);
    match source.r#type.as_str() {
        "prometheus" => each(api, &source, query, grid, prometheus::requests(query, &grid)).await,
        "loki" => {
            let lines = source.json_data.get("maxLines");
            let lines = lines.and_then(|v| v.as_u64().or_else(|| v.as_str()?.parse().ok()));
            each(api, &source, query, grid, loki::requests(query, &grid, lines)).await
        }
        "tempo" => {
            let (path, form) = tempo::request(query, &grid).map_err(|e| Failure::new(400, e))?;
            let answer = ask(api, &source, Method::GET, path, &form).await?;
            Ok(tempo::frames(query, &answer))
        }
        other => {
            Err(Failure::new(400, format!("queries of a data source of type {other:?} are not supported")))
        }
    }
}

/// Asks what a query of numbers or lines needs, and joins the frames.
async fn each(
    api: &Arc<GrafanaApi>,
    source: &Source,
    query: &Query,
    grid: Grid,
    requests: Vec<prometheus::Request>,
) -> Result<Vec<Value>, Failure> {
    let mut out = Vec::new();
    for request in requests {
        let mut answer = ask(api, source, Method::POST, request.path.to_owned(), &request.form).await?;
        let data = answer.get_mut("data").map(Value::take).unwrap_or_default();
        let (query, is_loki) = (query.clone(), source.r#type == "loki");
        // A large answer takes its time.
        let made = api.blocking(move |_| {
            Ok(if is_loki {
                loki::frames(&query, &grid, &data)
            } else {
                prometheus::frames(&query, &grid, &data)
            })
        });
        let frames = made.await.map_err(|refusal| Failure::new(500, refusal.message()))?;
        tracing::debug!(kind = request.kind, frames = frames.len(), "answered a query");
        out.extend(frames);
    }
    Ok(out)
}

/// Sends a form to a data source and reads its JSON.
async fn ask(
    api: &Arc<GrafanaApi>,
    source: &Source,
    method: Method,
    path: String,
    form: &[(&'static str, String)],
) -> Result<Value, Failure> {
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let (query, body) = if method == Method::POST {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, kind);
        (None, HttpBody::from(encoded))
    } else {
        (Some(encoded), HttpBody::empty())
    };
    let ask = Ask { method, path, query, headers, body, upgrade: None };
    let answer =
        api.upstreams.ask(source, ask).await.map_err(|e| Failure::new(e.status.as_u16(), e.message))?;
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|_| {
        Failure::new(502, format!("the answer broke off, or is larger than {MAX_ANSWER} bytes (MAX_ANSWER)"))
    })?;
    let bytes = body.to_bytes();
    let parsed = api.blocking(move |_| {
        // What is no JSON is a text for people.
        let text = || String::from_utf8_lossy(&bytes[..bytes.len().min(500)]).trim().to_owned();
        Ok(serde_json::from_slice::<Value>(&bytes).map_err(|_| text()))
    });
    let parsed = parsed.await.map_err(|refusal| Failure::new(500, refusal.message()))?;
    match parsed {
        Ok(value) if parts.status.is_success() => Ok(value),
        Ok(value) => {
            let words = ["error", "message"].iter().find_map(|key| value.get(*key).and_then(Value::as_str));
            Err(Failure::new(parts.status.as_u16(), words.unwrap_or("the data source answers with an error")))
        }
        Err(text) if parts.status.is_success() => {
            Err(Failure::new(502, format!("the answer is not JSON: {text}")))
        }
        Err(text) => Err(Failure::new(parts.status.as_u16(), text)),
    }
}

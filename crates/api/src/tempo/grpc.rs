//! `tempopb.StreamingQuerier` and `tempopb.Querier`, as Grafana calls them on the port of HTTP: one question, a stream of answers.
//!
//! Answers come once they are whole, as a stream of one message: searches begin with the newest traces and end when there are
//! enough, so that a part of an answer would hardly be earlier than all of it.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::post,
};
use http_body_util::{BodyExt as _, Limited};
use reba_ingest::{
    otlp::body::decompress,
    wire::{Fields, Wire, WireError},
};
use reba_model::{NanoRange, Tenant, spans::TraceId};
use reba_query::traces::{
    InstantTraceMetrics, RangeTraceMetrics, TagNamesQuery, TagValuesQuery, TraceById, TraceSearch,
};

use super::{TempoApi, metrics, params, proto, search, tags, tenant::owner, trace};
use crate::{
    loki::{Refusal, blocking},
    otlp::{Failure, frame},
};

/// Most bytes of a question.
const MAX_QUESTION: usize = 1 << 20;

const SECOND_NS: i64 = 1_000_000_000;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Search,
    Tags,
    TagsByScope,
    Values,
    TypedValues,
    Range,
    Instant,
    Trace,
}

/// The services.
pub fn routes() -> Router<Arc<TempoApi>> {
    let call = |method| {
        post(async move |State(api): State<Arc<TempoApi>>, request: Request| {
            call(&api, method, request).await
        })
    };
    let mut router = Router::new();
    for (name, method) in [
        ("StreamingQuerier/Search", Method::Search),
        ("StreamingQuerier/SearchTags", Method::Tags),
        ("StreamingQuerier/SearchTagsV2", Method::TagsByScope),
        ("StreamingQuerier/SearchTagValues", Method::Values),
        ("StreamingQuerier/SearchTagValuesV2", Method::TypedValues),
        ("StreamingQuerier/MetricsQueryRange", Method::Range),
        ("StreamingQuerier/MetricsQueryInstant", Method::Instant),
        ("Querier/FindTraceByID", Method::Trace),
    ] {
        router = router.route(&format!("/tempopb.{name}"), call(method));
    }
    router
}

async fn call(api: &TempoApi, method: Method, request: Request) -> Response {
    if !frame::is_call(request.headers()) {
        return (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "gRPC is spoken here (Content-Type: application/grpc)\n",
        )
            .into_response();
    }
    let mut response = match answer(api, method, request).await {
        Ok(message) => frame::answer(&message),
        Err(failure) => failure.over_grpc(),
    };
    frame::say_encodings(response.headers_mut());
    response
}

async fn answer(api: &TempoApi, method: Method, request: Request) -> Result<Vec<u8>, Failure> {
    let (head, body) = request.into_parts();
    let (tenant, compression) = (asks(api, &head.headers)?, frame::compression(&head.headers)?);
    let body = Limited::new(body, MAX_QUESTION).collect().await;
    let body = body.map_err(|e| Failure::new(StatusCode::PAYLOAD_TOO_LARGE, e.to_string()))?.to_bytes();
    let (message, compression) = frame::message(&body, compression)?;
    let message = decompress(message, compression, MAX_QUESTION)?;
    let asked = Question::read(&message)
        .map_err(|e| Failure::new(StatusCode::BAD_REQUEST, format!("the question cannot be read: {e}")))?;
    Ok(asked.answer(api, method, tenant).await?)
}

fn asks(api: &TempoApi, headers: &HeaderMap) -> Result<Tenant, Refusal> {
    owner(headers, api.config.load().multitenancy_enabled)
}

/// A field of a question: a number, or bytes.
#[derive(Clone, Debug, Default)]
struct Value {
    number: u64,
    bytes: Vec<u8>,
}

/// A question of any kind: its fields by number, of those up to 31 the last.
struct Question {
    fields: Vec<Value>,
    tags: Vec<(String, String)>,
}

impl Question {
    fn read(message: &[u8]) -> Result<Self, WireError> {
        let mut question = Question { fields: vec![Value::default(); 32], tags: Vec::new() };
        for field in Fields::new(message) {
            let field = field?;
            let value = match field.wire {
                Wire::Varint(number) | Wire::Fixed64(number) => Value { number, bytes: Vec::new() },
                Wire::Fixed32(number) => Value { number: u64::from(number), bytes: Vec::new() },
                Wire::Bytes(bytes) => Value { number: 0, bytes: bytes.to_vec() },
            };
            if field.number == 1
                && let Some(pair) = pair(&value.bytes)
            {
                question.tags.push(pair);
            }
            if let Some(place) = question.fields.get_mut(field.number as usize) {
                *place = value;
            }
        }
        Ok(question)
    }

    fn number(&self, field: usize) -> usize {
        self.fields.get(field).map_or(0, |v| usize::try_from(v.number).unwrap_or(usize::MAX))
    }

    fn ns(&self, field: usize) -> i64 {
        self.fields.get(field).map_or(0, |v| i64::try_from(v.number).unwrap_or(i64::MAX))
    }

    fn text(&self, field: usize) -> String {
        self.fields.get(field).map_or(String::new(), |v| String::from_utf8_lossy(&v.bytes).into_owned())
    }

    /// A range in seconds; none if either end is not given.
    fn range(&self, start: usize, end: usize) -> Option<NanoRange> {
        let (start, end) = (self.ns(start), self.ns(end));
        let ns = |s: i64| s.saturating_mul(SECOND_NS);
        (start > 0 && end > start).then(|| NanoRange::new(ns(start), ns(end)))
    }

    async fn answer(self, api: &TempoApi, method: Method, tenant: Tenant) -> Result<Vec<u8>, Refusal> {
        let engine = &api.engine;
        match method {
            Method::Search => {
                let output = engine.search(self.search(api, tenant)?).await?;
                blocking(move || Ok(proto::search(&output))).await
            }
            Method::Tags | Method::TagsByScope => {
                let (scope, limit) = (tags::scope(&self.text(1))?, self.number(5));
                let (query, range) = (self.text(2), self.range(3, 4));
                let output = engine.tag_names(TagNamesQuery { tenant, scope, query, range, limit }).await?;
                let flat = method == Method::Tags;
                Ok(if flat { proto::tag_names(&output) } else { proto::tag_names_by_scope(&output) })
            }
            Method::Values | Method::TypedValues => {
                let flat = method == Method::Values;
                let tag = if flat { tags::in_traceql(&self.text(1)) } else { self.text(1) };
                let (query, range, limit) = (self.text(2), self.range(4, 5), self.number(6));
                let output = engine.tag_values(TagValuesQuery { tenant, tag, query, range, limit }).await?;
                Ok(if flat { proto::tag_values(&output) } else { proto::typed_tag_values(&output) })
            }
            Method::Range => {
                let output = engine.metrics_range(self.series(api, tenant)?).await?;
                blocking(move || Ok(proto::series(&output))).await
            }
            Method::Instant => {
                let (query, start_ns, end_ns) = (self.text(1), self.ns(2), self.ns(3));
                let asked = InstantTraceMetrics { tenant, query, start_ns, end_ns };
                let output = engine.metrics_instant(asked).await?;
                blocking(move || Ok(proto::values(&output))).await
            }
            Method::Trace => {
                let id = self.fields.get(1).map_or(&[][..], |v| v.bytes.as_slice());
                let id = id.try_into().map_err(|_| Refusal::bad("trace ids must be 128 bit"))?;
                let output = engine.trace(TraceById { tenant, id: TraceId(id), range: None }).await?;
                let bytes = output.stats.store.bytes_read;
                blocking(move || Ok(proto::trace_v2(&trace::by_resource(&output.spans), bytes, ""))).await
            }
        }
    }

    fn search(&self, api: &TempoApi, tenant: Tenant) -> Result<TraceSearch, Refusal> {
        let config = api.config.load();
        let ms = |field| Some(self.ns(field).saturating_mul(1_000_000)).filter(|ns| *ns > 0);
        let or = |n: usize, default| if n == 0 { default } else { n };
        let query = match self.text(8) {
            query if query.is_empty() => search::query_of_tags(&self.tags),
            query => query,
        };
        Ok(TraceSearch {
            tenant,
            query,
            range: self.range(5, 6),
            limit: or(self.number(4), config.query_frontend.search.default_result_limit),
            spans_per_spanset: search::spans_per_spanset(
                or(self.number(9), search::SPANS_PER_SPANSET),
                &config,
            )?,
            min_duration_ns: ms(2),
            max_duration_ns: ms(3),
        })
    }

    fn series(&self, api: &TempoApi, tenant: Tenant) -> Result<RangeTraceMetrics, Refusal> {
        let config = api.config.load();
        let range = NanoRange::new(self.ns(2), self.ns(3));
        let step_ns = match self.ns(4) {
            0 => params::default_step(range),
            step => step,
        };
        let exemplars = match self.number(16) {
            0 => config.query_frontend.metrics.max_exemplars,
            n => n,
        };
        let asked = RangeTraceMetrics {
            tenant,
            query: self.text(1),
            start_ns: range.start,
            end_ns: range.end,
            step_ns,
            exemplars,
        };
        metrics::check_steps(&asked, &config)?;
        Ok(asked)
    }
}

/// An entry of a map of texts.
fn pair(message: &[u8]) -> Option<(String, String)> {
    let (mut key, mut value) = (None, String::new());
    for field in Fields::new(message) {
        let field = field.ok()?;
        match field.number {
            1 => key = Some(field.string().ok()?.to_owned()),
            2 => field.string().ok()?.clone_into(&mut value),
            _ => return None,
        }
    }
    key.map(|key| (key, value))
}

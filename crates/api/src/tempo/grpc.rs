//! `tempopb.StreamingQuerier` and `tempopb.Querier`, as Grafana calls them on the port of HTTP: one question, a stream of answers.
//!
//! Traces, names and values come once each, as soon as they are part of the answer; series come whole each time, and stand for those
//! before them. The last message has what is left, and the statistics of all.

use std::{sync::Arc, time::Duration};

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
    InstantTraceMetrics, Parts, RangeTraceMetrics, TagNamesQuery, TagValuesQuery, TraceById, TraceSearch,
};
use tokio::sync::mpsc;

use super::{TempoApi, metrics, params, proto, search, tags, tenant::owner, trace};
use crate::{
    loki::{Refusal, blocking},
    otlp::{Failure, frame, frame::Messages},
};

/// Most bytes of a question.
const MAX_QUESTION: usize = 1 << 20;

/// Messages that wait for their reader; while there are as many no more are made.
const PARTS: usize = 4;

/// Nobody sees more than a few pictures a second.
const BETWEEN_PARTS: Duration = Duration::from_millis(250);

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

async fn call(api: &Arc<TempoApi>, method: Method, request: Request) -> Response {
    if !frame::is_call(request.headers()) {
        return (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "gRPC is spoken here (Content-Type: application/grpc)\n",
        )
            .into_response();
    }
    let mut response = match ask(api, method, request).await {
        Ok(messages) => frame::stream(messages),
        Err(failure) => failure.over_grpc(),
    };
    frame::say_encodings(response.headers_mut());
    response
}

/// Reads a question; what is given back works on the answer when it is read.
async fn ask(api: &Arc<TempoApi>, method: Method, request: Request) -> Result<Messages, Failure> {
    let (head, body) = request.into_parts();
    let (tenant, compression) = (asks(api, &head.headers)?, frame::compression(&head.headers)?);
    let body = Limited::new(body, MAX_QUESTION).collect().await;
    let body = body.map_err(|e| Failure::new(StatusCode::PAYLOAD_TOO_LARGE, e.to_string()))?.to_bytes();
    let (message, compression) = frame::message(&body, compression)?;
    let message = decompress(message, compression, MAX_QUESTION)?;
    let asked = Question::read(&message)
        .map_err(|e| Failure::new(StatusCode::BAD_REQUEST, format!("the question cannot be read: {e}")))?;
    let (parts, received) = mpsc::channel(PARTS);
    let api = Arc::clone(api);
    let last = async move { Ok(asked.answer(&api, method, tenant, parts).await?) };
    Ok(Messages::new(received, Box::pin(last)))
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

    /// Answers with the last message; sends those before it to `parts`.
    async fn answer(
        self,
        api: &TempoApi,
        method: Method,
        tenant: Tenant,
        parts: mpsc::Sender<Vec<u8>>,
    ) -> Result<Vec<u8>, Refusal> {
        let engine = &api.engine;
        match method {
            Method::Search => {
                let (asked, write) = (self.search(api, tenant)?, proto::search as fn(&_) -> _);
                let parts = Parts::new(parts, write, BETWEEN_PARTS);
                written(engine.search_in_parts(asked, Some(parts)).await?, write).await
            }
            Method::Tags | Method::TagsByScope => {
                let flat = method == Method::Tags;
                let write: fn(&_) -> _ = if flat { proto::tag_names } else { proto::tag_names_by_scope };
                let parts = Parts::new(parts, write, BETWEEN_PARTS);
                written(engine.tag_names_in_parts(self.names(tenant)?, Some(parts)).await?, write).await
            }
            Method::Values | Method::TypedValues => {
                let flat = method == Method::Values;
                let write: fn(&_) -> _ = if flat { proto::tag_values } else { proto::typed_tag_values };
                let parts = Parts::new(parts, write, BETWEEN_PARTS);
                let asked = self.values(tenant, flat);
                written(engine.tag_values_in_parts(asked, Some(parts)).await?, write).await
            }
            Method::Range => {
                let (asked, write) = (self.series(api, tenant)?, proto::series as fn(&_) -> _);
                let parts = Parts::new(parts, write, BETWEEN_PARTS);
                written(engine.metrics_range_in_parts(asked, Some(parts)).await?, write).await
            }
            Method::Instant => {
                let (query, start_ns, end_ns) = (self.text(1), self.ns(2), self.ns(3));
                let asked = InstantTraceMetrics { tenant, query, start_ns, end_ns };
                let write = proto::values as fn(&_) -> _;
                let parts = Parts::new(parts, write, BETWEEN_PARTS);
                written(engine.metrics_instant_in_parts(asked, Some(parts)).await?, write).await
            }
            Method::Trace => {
                let id = self.fields.get(1).map_or(&[][..], |v| v.bytes.as_slice());
                let id = id.try_into().map_err(|_| Refusal::bad("trace ids must be 128 bit"))?;
                let output = engine.trace(TraceById { tenant, id: TraceId(id), range: None }).await?;
                written(output, trace::in_protobuf).await
            }
        }
    }

    fn names(&self, tenant: Tenant) -> Result<TagNamesQuery, Refusal> {
        let (scope, limit) = (tags::scope(&self.text(1))?, self.number(5));
        Ok(TagNamesQuery { tenant, scope, query: self.text(2), range: self.range(3, 4), limit })
    }

    fn values(&self, tenant: Tenant, flat: bool) -> TagValuesQuery {
        let tag = if flat { tags::in_traceql(&self.text(1)) } else { self.text(1) };
        TagValuesQuery { tenant, tag, query: self.text(2), range: self.range(4, 5), limit: self.number(6) }
    }

    fn search(&self, api: &TempoApi, tenant: Tenant) -> Result<TraceSearch, Refusal> {
        let config = api.config.load();
        let ms = |field| Some(self.ns(field).saturating_mul(1_000_000)).filter(|ns| *ns > 0);
        let or = |n: usize, default| if n == 0 { default } else { n };
        let query = match self.text(8) {
            query if query.is_empty() => {
                search::query_of_tags(&self.tags, api.engine.config().anchored_regex)
            }
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

/// Writes a message where threads may block.
async fn written<T: Send + 'static>(output: T, write: fn(&T) -> Vec<u8>) -> Result<Vec<u8>, Refusal> {
    blocking(move || Ok(write(&output))).await
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

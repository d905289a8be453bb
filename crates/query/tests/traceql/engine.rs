//! The engine over the RAM store.

use std::sync::Arc;

use reba_model::{
    NanoRange, Tenant,
    spans::{
        AttributeValue, Attributes, InstrumentationScope, Resource, Span, SpanBatch, SpanId, SpanKind,
        SpanStatus, TraceId,
    },
};
use reba_query::traces::{
    InstantTraceMetrics, RangeTraceMetrics, TagNamesQuery, TagScope, TagValuesQuery, TraceById,
    TraceEngineConfig, TraceError, TraceLimits, TraceLimitsByTenant, TraceQueryEngine, TraceSearch,
};
use reba_storage::SpanAppender;
use reba_testkit::MemSpanStore;

const SECOND: i64 = 1_000_000_000;

fn service(name: &str) -> Arc<Resource> {
    let value = AttributeValue::Str(name.to_owned());
    Arc::new(Resource { attributes: Attributes(vec![("service.name".to_owned(), value)]) })
}

/// A trace that begins in second `n`: a gateway calls a shop, which fails if `n` is even.
fn trace(n: i64) -> Vec<Span> {
    let trace_id = TraceId((n as u128).to_be_bytes());
    let root = Span {
        trace_id,
        span_id: SpanId([1; 8]),
        name: "GET /".to_owned(),
        kind: SpanKind::Server,
        start_ns: n * SECOND,
        end_ns: n * SECOND + n * 1_000_000,
        resource: service("gateway"),
        scope: Arc::new(InstrumentationScope::default()),
        ..Span::default()
    };
    let child = Span {
        span_id: SpanId([2; 8]),
        parent_id: root.span_id,
        name: "buy".to_owned(),
        kind: SpanKind::Client,
        status: if n % 2 == 0 { SpanStatus::Error } else { SpanStatus::Ok },
        start_ns: root.start_ns + 10,
        attributes: Attributes(vec![("item".to_owned(), AttributeValue::Int(n))]),
        resource: service("shop"),
        ..root.clone()
    };
    vec![root, child]
}

fn engine(traces: i64) -> TraceQueryEngine {
    let store = MemSpanStore::default();
    let spans: Vec<Span> = (1..=traces).flat_map(trace).collect();
    store.append_spans(&Tenant::single(), &SpanBatch::of(&spans).unwrap()).unwrap();
    TraceQueryEngine::new(Arc::new(store), TraceEngineConfig::default()).unwrap()
}

fn search(query: &str, limit: usize) -> TraceSearch {
    TraceSearch {
        tenant: Tenant::single(),
        query: query.to_owned(),
        range: None,
        limit,
        spans_per_spanset: 3,
        min_duration_ns: None,
        max_duration_ns: None,
    }
}

async fn found(engine: &TraceQueryEngine, search: TraceSearch) -> Vec<u128> {
    let output = engine.search(search).await.unwrap();
    output.traces.iter().map(|t| u128::from_be_bytes(t.trace_id.0)).collect()
}

#[tokio::test]
async fn a_search_finds_the_newest_traces_that_match() {
    let engine = engine(20);
    assert_eq!(found(&engine, search("{ status = error }", 3)).await, [20, 18, 16]);
    assert_eq!(found(&engine, search("{ name = `GET /` } > { .item < 4 }", 20)).await, [3, 2, 1]);
    let range = Some(NanoRange::new(5 * SECOND, 7 * SECOND));
    assert_eq!(found(&engine, TraceSearch { range, ..search("{}", 20) }).await, [6, 5]);
    let long = TraceSearch { min_duration_ns: Some(19_000_000), ..search("{}", 20) };
    assert_eq!(found(&engine, long).await, [20, 19]);
    let output = engine.search(search("{ .item = 7 }", 1)).await.unwrap();
    let first = &output.traces[0];
    assert_eq!((first.root_service.as_str(), first.services["shop"].spans), ("gateway", 1));
}

#[tokio::test]
async fn a_trace_comes_whole_and_one_that_is_not_there_is_empty() {
    let engine = engine(3);
    let by_id = |id: u128| TraceById { tenant: Tenant::single(), id: TraceId(id.to_be_bytes()), range: None };
    assert_eq!(engine.trace(by_id(2)).await.unwrap().spans, trace(2));
    assert!(engine.trace(by_id(9)).await.unwrap().spans.is_empty());
}

#[tokio::test]
async fn series_count_spans_and_tell_some_of_them() {
    let engine = engine(20);
    let asked = RangeTraceMetrics {
        tenant: Tenant::single(),
        query: "{ kind = client } | count_over_time() by (status)".to_owned(),
        start_ns: 0,
        end_ns: 30 * SECOND,
        step_ns: 10 * SECOND,
        exemplars: 4,
    };
    let output = engine.metrics_range(asked.clone()).await.unwrap();
    let points: Vec<_> = output.series.iter().map(|s| s.points.clone()).collect();
    assert_eq!(points, [vec![Some(4.0), Some(5.0), Some(1.0)], vec![Some(5.0), Some(5.0), Some(0.0)]]);
    assert_eq!(output.times, [10 * SECOND, 20 * SECOND, 30 * SECOND]);
    assert_eq!(output.series.iter().map(|s| s.exemplars.len()).collect::<Vec<_>>(), [2, 2]);
    let none = RangeTraceMetrics { query: format!("{} with (exemplars=false)", asked.query), ..asked };
    let output = engine.metrics_range(none).await.unwrap();
    assert!(output.series.iter().all(|s| s.exemplars.is_empty()));
    let query = "{ name = `GET /` } >> {} | rate()".to_owned();
    let (start_ns, end_ns) = (0, 10 * SECOND);
    let instant = InstantTraceMetrics { tenant: Tenant::single(), query, start_ns, end_ns };
    let output = engine.metrics_instant(instant).await.unwrap();
    assert_eq!(output.series[0].points, [Some(0.9)]);
}

#[tokio::test]
async fn names_and_values_are_those_of_spans_that_match() {
    let engine = engine(4);
    let names = |query: &str, scope| TagNamesQuery {
        tenant: Tenant::single(),
        scope,
        query: query.to_owned(),
        range: None,
        limit: 0,
    };
    let all = engine.tag_names(names("", None)).await.unwrap();
    assert_eq!(all.scopes[0], (TagScope::Span, vec!["item".to_owned()]));
    assert_eq!(all.scopes[1], (TagScope::Resource, vec!["service.name".to_owned()]));
    assert_eq!(all.scopes.last().unwrap().0, TagScope::Intrinsic);
    let none = engine.tag_names(names("{ kind = server }", Some(TagScope::Span))).await.unwrap();
    assert!(none.scopes.is_empty());
    let values = |tag: &str, query: &str| TagValuesQuery {
        tenant: Tenant::single(),
        tag: tag.to_owned(),
        query: query.to_owned(),
        range: None,
        limit: 0,
    };
    let listed = async |asked| -> Vec<String> {
        let output = engine.tag_values(asked).await.unwrap();
        output.values.into_iter().map(|v| format!("{} {}", v.kind, v.value)).collect()
    };
    assert_eq!(listed(values(".item", "{ status = error }")).await, ["int 2", "int 4"]);
    assert_eq!(listed(values(".item", "{ status = ")).await.len(), 4);
    assert_eq!(listed(values("resource.service.name", "{}")).await, ["string gateway", "string shop"]);
    assert_eq!(listed(values("rootName", "")).await, ["string GET /"]);
    assert_eq!(listed(values("status", "")).await, ["keyword error", "keyword ok", "keyword unset"]);
    assert_eq!(listed(TagValuesQuery { limit: 1, ..values("name", "") }).await.len(), 1);
}

#[tokio::test]
async fn what_makes_no_sense_or_breaks_a_limit_is_refused_by_name() {
    let engine = engine(1);
    let bad = async |asked| match engine.search(asked).await {
        Err(e @ TraceError::BadRequest(_)) => e.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(bad(search("{ .a = }", 1)).await.starts_with("invalid TraceQL query: parse error"));
    assert!(bad(search("{} | rate()", 1)).await.contains("metrics"));
    let range = Some(NanoRange::new(0, 200 * 3600 * SECOND));
    let long = bad(TraceSearch { range, ..search("{}", 1) }).await;
    assert!(long.starts_with("range specified by start and end exceeds 168h0m0s"), "{long}");
    let others = Arc::new(TraceLimits { max_traces: 5, ..TraceLimits::default() });
    engine.set_limits(TraceLimitsByTenant { others, ..TraceLimitsByTenant::default() });
    assert_eq!(bad(search("{}", 6)).await, "limit 6 exceeds max limit 5");
}

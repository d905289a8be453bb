//! The columnar store answers every query as the RAM store does, in memory, in parts, in merged parts, and with traces of which the
//! spans lie in all of these.

use std::sync::Arc;

use reba_columnar::SpanStore;
use reba_disk::{Env, FaultFs, ManualClock};
use reba_model::{
    NanoRange, Tenant,
    spans::{Span, SpanBatch},
};
use reba_query::traces::{
    RangeTraceMetrics, TagNamesQuery, TagValuesQuery, TraceById, TraceEngineConfig, TraceLimits,
    TraceQueryEngine, TraceSearch,
};
use reba_storage::{SpanAdmin, SpanAppender, SpanQuerier};
use reba_testkit::MemSpanStore;

use super::workload::{Dice, SECOND, T0, trace};

const TRACES: u64 = 60;

/// How the spans come to lie where they are.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    Memory,
    OnePart,
    /// Traces whole, in several parts, of which some are merged.
    Parts,
    /// Spans of every trace in several parts and in memory.
    Scattered,
    /// The same, merged into as few parts as can be.
    Merged,
}

const LIES: [Lie; 5] = [Lie::Memory, Lie::OnePart, Lie::Parts, Lie::Scattered, Lie::Merged];

struct Pair {
    oracle: TraceQueryEngine,
    engine: TraceQueryEngine,
    spans: Vec<Span>,
}

fn engine(store: Arc<dyn SpanQuerier>) -> TraceQueryEngine {
    // What is cut off depends on what comes first.
    let limits = TraceLimits { max_series: 100_000, ..TraceLimits::default() };
    TraceQueryEngine::new(store, TraceEngineConfig { limits, cores: 2, ..TraceEngineConfig::default() })
        .unwrap()
}

fn pair(lie: Lie) -> Pair {
    let mut dice = Dice(5);
    let traces: Vec<Vec<Span>> = (0..TRACES).map(|n| trace(&mut dice, n)).collect();
    let mut spans: Vec<Span> = traces.iter().flatten().cloned().collect();
    if matches!(lie, Lie::Scattered | Lie::Merged) {
        spans.sort_by_key(|span| u64::from_be_bytes(span.span_id.0) % 100);
    }
    let oracle = MemSpanStore::default();
    let clock = Arc::new(ManualClock::new(T0 / 1_000_000));
    let env = Env { fs: Arc::new(FaultFs::new()), clock };
    let store = Arc::new(SpanStore::open(&env, "/data", SpanStore::default_config()).unwrap());
    let tenant = Tenant::single();
    let pieces = spans.chunks(spans.len() / 12 + 1).collect::<Vec<_>>();
    for (i, piece) in pieces.iter().enumerate() {
        let batch = SpanBatch::of(*piece).unwrap();
        let expected = oracle.append_spans(&tenant, &batch).unwrap();
        assert_eq!(store.append_spans(&tenant, &batch).unwrap(), expected);
        let is_last = i + 1 == pieces.len();
        if matches!(lie, Lie::Parts | Lie::Scattered | Lie::Merged) && (!is_last || lie != Lie::Scattered) {
            store.flush_spans().unwrap();
        }
        if lie == Lie::Parts && i == 6 || lie == Lie::Merged {
            while store.maintain(T0 / 1_000_000).unwrap() {}
        }
    }
    if lie == Lie::OnePart {
        store.flush_spans().unwrap();
    }
    let again = store.append_spans(&tenant, &SpanBatch::of(&spans).unwrap()).unwrap();
    assert_eq!((again.appended, again.duplicates), (0, spans.len()), "{lie:?}");
    let m = store.metrics();
    match lie {
        Lie::Memory => assert_eq!(m.parts, 0),
        Lie::OnePart => assert_eq!(m.parts, 1),
        Lie::Parts | Lie::Scattered => assert!(m.parts > 2, "{m:?}"),
        Lie::Merged => assert!(m.merges > 1 && m.parts < 6, "{m:?}"),
    }
    Pair { oracle: engine(Arc::new(oracle)), engine: engine(store), spans }
}

const FILTERS: &[&str] = &[
    "{}",
    "{ name = `charge` }",
    "{ name != `charge` }",
    "{ name =~ `GET|POST` }",
    "{ name !~ `GET.*` }",
    "{ duration > 1.9s }",
    "{ duration < 0ms }",
    "{ duration >= 500ms && duration < 550ms }",
    "{ status = error }",
    "{ status != error && kind = server }",
    "{ statusMessage = `boom` }",
    "{ statusMessage = `` && status = error }",
    "{ statusMessage =~ `t.*` }",
    "{ .http.status_code = 500 }",
    "{ span.http.status_code >= 404 }",
    "{ span.http.status_code = 404.0 }",
    "{ span.http.status_code < 200 }",
    "{ span.http.status_code = `500` }",
    "{ span.http.status_code != 200 }",
    "{ .load > 12.2 }",
    "{ .load = 3 }",
    "{ .user.id = `u37` }",
    "{ .user.id = `nobody` }",
    "{ .user.id =~ `u1.` && status = ok }",
    "{ .user.id < `u11` }",
    "{ .cached }",
    "{ .cached = false }",
    "{ .tags = `b` }",
    "{ .tags != `b` }",
    "{ .tags =~ `[ab]` }",
    "{ .map != nil }",
    "{ .size != nil }",
    "{ .size = nil && .cached = nil }",
    "{ .size > 1000 }",
    "{ .size < 1 }",
    "{ resource.service.name = `payments` }",
    "{ resource.service.name =~ `u.*|s.*` && duration > 1s }",
    "{ .host.name = `host-1` }",
    "{ .host.name = `span-host` }",
    "{ span.host.name != nil }",
    "{ .missing = 1 || name = `SELECT` }",
    "{ event:name = `exception` }",
    "{ event.exception.type = `IOError` && status = error }",
    "{ event.try > 1 }",
    "{ event:timeSinceStart > 1ms }",
    "{ link.why = `batch` }",
    "{ link:traceID = `07070707070707070707070707070707` }",
    "{ link:spanID != `0808080808080808` }",
    "{ instrumentation:name = `lib-users` }",
    "{ instrumentation:version != `1.0` }",
    "{ span:id = `7d1` }",
    "{ span:parentID = `` }",
    "{ span:parentID != `` && kind = client }",
    "{ rootName = `SELECT` }",
    "{ rootServiceName = `shop` && status = error }",
    "{ traceDuration > 2.5s }",
    "{ span:childCount > 3 }",
    "{ nestedSetParent < 0 && name = `GET /` }",
    "{ .http.status_code + 1 = 501 }",
    "{ !(.http.status_code = 200) && kind = producer }",
    "{ name = `charge` } && { name = `SELECT` }",
    "{ .user.id = `u3` } || { .user.id = `u4` }",
    "{ name = `GET /` } >> { status = error }",
    "{ name = `GET /` } > { name = `charge` }",
    "{ status = error } << { kind = server }",
    "{ status = error } < { kind = server }",
    "{ name = `SELECT` } ~ { name = `charge` }",
    "{ name = `GET /` } !> { name = `charge` }",
    "{ status = error } !>> { kind = client }",
    "{ name = `SELECT` } &>> { name = `charge` }",
    "{ kind = server } | count() > 2",
    "{ status = error } | avg(duration) > 1.2s",
    "{} | max(span.http.status_code) < 405",
    "{} | by(resource.service.name) | count() > 3",
    "{ status = error } | by(name) | coalesce()",
    "{ .user.id = `u9` } | select(.load, resource.host.name, event:name)",
    "{ kind = client } | { status = ok }",
    "count() > 8",
];

fn search(query: &str, limit: usize, range: Option<NanoRange>) -> TraceSearch {
    TraceSearch {
        tenant: Tenant::single(),
        query: query.to_owned(),
        range,
        limit,
        spans_per_spanset: 0,
        min_duration_ns: None,
        max_duration_ns: None,
    }
}

#[tokio::test]
async fn searches_find_the_same_traces_wherever_spans_lie() {
    let ranges = [None, Some(NanoRange::new(T0 + 4 * SECOND, T0 + 9 * SECOND))];
    let mut found = vec![0; FILTERS.len()];
    for lie in LIES {
        let pair = pair(lie);
        for (i, query) in FILTERS.iter().enumerate() {
            let ways = [(0, ranges[0]), (0, ranges[1]), (3, ranges[0])];
            // Every query in every way would take too long: with a range and with a limit every third.
            for (limit, range) in
                ways.into_iter().enumerate().filter(|(w, _)| *w == 0 || i % 3 == *w).map(|(_, w)| w)
            {
                let asked = search(query, limit, range);
                let want = pair.oracle.search(asked.clone()).await.unwrap().traces;
                let have = pair.engine.search(asked).await.unwrap().traces;
                assert_eq!(have.len(), want.len(), "{lie:?} {query} {limit} {range:?}");
                assert_eq!(have, want, "{lie:?} {query} {limit} {range:?}");
                found[i] += want.len();
            }
        }
    }
    // Some are there to find nothing; if many others did, there would be nothing to compare.
    let empty: Vec<&str> =
        FILTERS.iter().zip(found).filter(|(_, n)| *n == 0).map(|(query, _)| *query).collect();
    assert!(empty.contains(&"{ .user.id = `nobody` }") && empty.len() <= 10, "{empty:?}");
}

#[tokio::test]
async fn series_are_the_same_wherever_spans_lie() {
    let queries = [
        "{} | rate()",
        "{ status = error } | rate() by (resource.service.name)",
        "{ .user.id =~ `u4.*` } | count_over_time() by (name, kind)",
        "{} | quantile_over_time(duration, .5, .99)",
        "{ kind = server } | histogram_over_time(duration)",
        "{} | avg_over_time(.load) by (.host.name)",
        "{} | max_over_time(span.http.status_code)",
        "{ name = `GET /` } >> { status = error } | rate()",
        "{ rootName = `GET /` } | count_over_time() by (rootServiceName)",
        "({ status = error } | rate()) / ({} | rate())",
        "{} | rate() by (name) | topk(2)",
        "{} | compare({ status = error })",
        "{ .missing = 1 } | rate()",
        "{ kind = client } && { kind = server } | min_over_time(duration)",
    ];
    for lie in LIES {
        let pair = pair(lie);
        for query in queries {
            let asked = RangeTraceMetrics {
                tenant: Tenant::single(),
                query: query.to_owned(),
                start_ns: T0 + 2 * SECOND,
                end_ns: T0 + 14 * SECOND,
                step_ns: 4 * SECOND,
                exemplars: 0,
            };
            let want = pair.oracle.metrics_range(asked.clone()).await.unwrap();
            let have = pair.engine.metrics_range(asked).await.unwrap();
            // Sums of floats depend on their order in the last place.
            let rounded = |series: &[reba_query::traces::MetricSeries]| -> Vec<String> {
                let point = |p: &Option<f64>| p.map_or("-".to_owned(), |p| format!("{p:.9}"));
                series
                    .iter()
                    .map(|s| format!("{:?} {:?}", s.labels, s.points.iter().map(point).collect::<Vec<_>>()))
                    .collect()
            };
            assert_eq!(rounded(&have.series), rounded(&want.series), "{lie:?} {query}");
        }
    }
}

#[tokio::test]
async fn traces_names_and_values_are_the_same_wherever_spans_lie() {
    for lie in LIES {
        let pair = pair(lie);
        for span in pair.spans.iter().step_by(37) {
            let asked = TraceById { tenant: Tenant::single(), id: span.trace_id, range: None };
            let want = pair.oracle.trace(asked.clone()).await.unwrap().spans;
            assert_eq!(pair.engine.trace(asked).await.unwrap().spans, want, "{lie:?}");
        }
        for query in ["", "{ status = error && kind = server }"] {
            let asked = TagNamesQuery {
                tenant: Tenant::single(),
                scope: None,
                query: query.to_owned(),
                range: None,
                limit: 0,
            };
            let want = pair.oracle.tag_names(asked.clone()).await.unwrap().scopes;
            assert_eq!(pair.engine.tag_names(asked).await.unwrap().scopes, want, "{lie:?} {query}");
            for tag in [
                "name",
                ".http.status_code",
                "resource.service.name",
                ".host.name",
                ".tags",
                ".load",
                "statusMessage",
                "event:name",
                "event.try",
                "link.why",
                "rootName",
                "rootServiceName",
                "instrumentation:name",
                ".cached",
                ".nothing",
            ] {
                let asked = TagValuesQuery {
                    tenant: Tenant::single(),
                    tag: tag.to_owned(),
                    query: query.to_owned(),
                    range: None,
                    limit: 0,
                };
                let mut want = pair.oracle.tag_values(asked.clone()).await.unwrap().values;
                let mut have = pair.engine.tag_values(asked).await.unwrap().values;
                // A text that no span has may stand in a dictionary or not.
                want.retain(|v| !v.value.is_empty());
                have.retain(|v| !v.value.is_empty());
                assert_eq!(have, want, "{lie:?} {tag} {query}");
            }
        }
    }
}

//! Answers in parts: together they are the answer, each thing in it is told once, and nothing else.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use reba_columnar::SpanStore;
use reba_disk::{Env, FaultFs, ManualClock};
use reba_model::{Tenant, spans::SpanBatch};
use reba_query::traces::{
    Parts, RangeTraceMetrics, SearchOutput, TagNames, TagNamesQuery, TagScope, TagValues, TagValuesQuery,
    TraceEngineConfig, TraceMetricsOutput, TraceQueryEngine, TraceSearch,
};
use reba_storage::{SpanAdmin, SpanAppender};
use tokio::sync::mpsc;

use super::workload::{Dice, SECOND, T0, trace};

const TRACES: u64 = 80;

/// Traces in many parts, of some of which the spans lie in two.
fn engine() -> TraceQueryEngine {
    let mut dice = Dice(9);
    let mut spans: Vec<_> = (0..TRACES).flat_map(|n| trace(&mut dice, n)).collect();
    let later = spans.len() / 3;
    spans.rotate_left(later);
    let env = Env { fs: Arc::new(FaultFs::new()), clock: Arc::new(ManualClock::new(T0 / 1_000_000)) };
    let store = Arc::new(SpanStore::open(&env, "/data", SpanStore::default_config()).unwrap());
    for piece in spans.chunks(spans.len() / 9 + 1) {
        store.append_spans(&Tenant::single(), &SpanBatch::of(piece).unwrap()).unwrap();
        store.flush_spans().unwrap();
    }
    TraceQueryEngine::new(store, TraceEngineConfig { cores: 2, ..TraceEngineConfig::default() }).unwrap()
}

fn parts<T>(encode: fn(&T) -> Vec<u8>) -> (Option<Parts<T>>, mpsc::Receiver<Vec<u8>>) {
    let (sender, receiver) = mpsc::channel(1000);
    (Some(Parts::new(sender, encode, Duration::ZERO)), receiver)
}

fn drained(mut receiver: mpsc::Receiver<Vec<u8>>) -> Vec<String> {
    let mut all = Vec::new();
    while let Ok(part) = receiver.try_recv() {
        all.push(String::from_utf8(part).unwrap());
    }
    all
}

/// The ids of traces, each in a line.
fn ids(output: &SearchOutput) -> Vec<u8> {
    output.traces.iter().map(|t| format!("{}\n", t.trace_id)).collect::<Vec<_>>().concat().into_bytes()
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

#[tokio::test]
async fn traces_are_told_once_in_the_order_of_the_answer_and_never_beyond_the_limit() {
    let engine = engine();
    for (query, limit) in [("{}", 0), ("{}", 20), ("{ status = error }", 7), ("{ name = `nobody` }", 20)] {
        let whole = ids(&engine.search(search(query, limit)).await.unwrap());
        let (parts, receiver) = parts(ids);
        let last = engine.search_in_parts(search(query, limit), parts).await.unwrap();
        assert_eq!(last.stats.scans, last.stats.scans_done);
        let told = drained(receiver);
        assert!(told.len() > 1, "{query}: {} parts", told.len());
        let together = told.concat() + &String::from_utf8(ids(&last)).unwrap();
        assert_eq!(together, String::from_utf8(whole).unwrap(), "{query}, {limit}");
    }
}

#[tokio::test]
async fn a_reader_that_takes_nothing_holds_nobody_up_and_misses_nothing() {
    let engine = engine();
    let (sender, mut receiver) = mpsc::channel(1);
    let stuck = Parts::new(sender, ids, Duration::ZERO);
    let last = engine.search_in_parts(search("{}", 0), Some(stuck)).await.unwrap();
    let first = String::from_utf8(receiver.recv().await.unwrap()).unwrap();
    assert!(receiver.recv().await.is_none());
    assert_eq!(first.lines().count() + last.traces.len(), TRACES as usize);
}

#[tokio::test]
async fn names_and_values_are_told_once() {
    let engine = engine();
    let (tenant, query) = (Tenant::single(), "{ duration > 0s }".to_owned());
    let lines = |told: Vec<String>, last: Vec<u8>| -> Vec<String> {
        let all = told.concat() + &String::from_utf8(last).unwrap();
        all.lines().map(str::to_owned).collect()
    };
    let once = |mut all: Vec<String>, whole: Vec<u8>, what: &str| {
        let distinct: BTreeSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), all.len(), "{what}: something came twice");
        let mut whole: Vec<String> = String::from_utf8(whole).unwrap().lines().map(str::to_owned).collect();
        all.sort();
        whole.sort();
        assert_eq!(all, whole, "{what}");
    };
    let in_lines: fn(&TagValues) -> Vec<u8> = |v| {
        v.values.iter().map(|v| format!("{} {}\n", v.kind, v.value)).collect::<Vec<_>>().concat().into_bytes()
    };
    for (tag, query) in
        [("resource.service.name", String::new()), ("name", query.clone()), ("rootName", query.clone())]
    {
        let asked =
            TagValuesQuery { tenant: tenant.clone(), tag: tag.to_owned(), query, range: None, limit: 0 };
        let whole = engine.tag_values(asked.clone()).await.unwrap();
        assert!(!whole.values.is_empty(), "{tag}");
        let (parts, receiver) = parts(in_lines);
        let last = engine.tag_values_in_parts(asked, parts).await.unwrap();
        let told = drained(receiver);
        assert!(told.len() > 1, "{tag}: {} parts", told.len());
        once(lines(told, in_lines(&last)), in_lines(&whole), tag);
    }
    let in_lines: fn(&TagNames) -> Vec<u8> = |n| {
        let all = n.scopes.iter().flat_map(|(s, names)| names.iter().map(move |n| format!("{s:?} {n}\n")));
        all.collect::<Vec<_>>().concat().into_bytes()
    };
    for scope in [None, Some(TagScope::Span)] {
        let asked =
            TagNamesQuery { tenant: tenant.clone(), scope, query: query.clone(), range: None, limit: 0 };
        let whole = engine.tag_names(asked.clone()).await.unwrap();
        let (parts, receiver) = parts(in_lines);
        let last = engine.tag_names_in_parts(asked, parts).await.unwrap();
        let told = drained(receiver);
        assert!(told.len() > 1, "{scope:?}: {} parts", told.len());
        once(lines(told, in_lines(&last)), in_lines(&whole), "names");
    }
}

#[tokio::test]
async fn series_grow_from_part_to_part_and_end_as_the_answer() {
    let engine = engine();
    let sum = |output: &TraceMetricsOutput| -> f64 {
        output.series.iter().flat_map(|s| &s.points).filter_map(|p| *p).sum()
    };
    let as_text: fn(&TraceMetricsOutput) -> Vec<u8> = |output| {
        assert!(output.series.iter().all(|s| s.exemplars.is_empty()));
        let sum: f64 = output.series.iter().flat_map(|s| &s.points).filter_map(|p| *p).sum();
        format!("{sum}").into_bytes()
    };
    for (query, grows) in [
        ("{} | count_over_time() by (resource.service.name)", true),
        ("{} | count_over_time() by (resource.service.name) | topk(1)", false),
    ] {
        let asked = RangeTraceMetrics {
            tenant: Tenant::single(),
            query: query.to_owned(),
            start_ns: T0 - 3600 * SECOND,
            end_ns: T0 + 24 * 3600 * SECOND,
            step_ns: 3600 * SECOND,
            exemplars: 10,
        };
        let whole = engine.metrics_range(asked.clone()).await.unwrap();
        let (parts, receiver) = parts(as_text);
        let last = engine.metrics_range_in_parts(asked, parts).await.unwrap();
        assert_eq!(
            last.series.iter().map(|s| &s.points).collect::<Vec<_>>(),
            whole.series.iter().map(|s| &s.points).collect::<Vec<_>>()
        );
        let told: Vec<f64> = drained(receiver).iter().map(|text| text.parse().unwrap()).collect();
        assert!(told.len() > 1 && sum(&whole) > 0.0);
        assert!(told.is_sorted() && told.last().unwrap() <= &sum(&whole), "{told:?}");
        // Of the largest series nothing is shown before it is certain which they are.
        assert_eq!(told.last().unwrap() > &0.0, grows, "{query}: {told:?}");
    }
}

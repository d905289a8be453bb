//! The figures of `docs/promql-differences.md`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use reba_model::Labels;
use reba_promql::syntax::{ParseOptions, parse};
use reba_query::{EngineConfig, InstantQuery, QueryData, QueryEngine};
use reba_storage::{AppendMode, FloatSample, MetricAppender, WriteBatch};
use reba_testkit::{MemConfig, MemStore};

/// 12:05:00, in seconds after 12:00:00.
const NOW: i64 = 300;

/// Labels and samples (seconds, value) of one series.
type Given<'a> = (&'a [(&'a str, &'a str)], &'a [(i64, f64)]);

/// The values of `query` at [`NOW`] over these series.
async fn ask(query: &str, series: &[Given<'_>]) -> Vec<f64> {
    let store = MemStore::new(MemConfig::default());
    for (labels, samples) in series {
        let series = store.series_ref(&Labels::from_pairs(labels.iter().copied())).unwrap();
        let floats = samples.iter().map(|(t, v)| FloatSample { series, t: t * 1000, v: *v }).collect();
        let batch = WriteBatch { floats, ..WriteBatch::default() };
        store.append(&batch, AppendMode::AllOrNothing).unwrap();
    }
    let engine = QueryEngine::new(Arc::new(store), EngineConfig::default()).unwrap();
    let query = InstantQuery {
        query: query.to_owned(),
        time: NOW * 1000,
        timeout: None,
        lookback_delta: None,
        per_step_stats: false,
    };
    match engine.instant(query).await.unwrap().data {
        QueryData::Vector { series, .. } => series.iter().map(|s| s.column.v[0]).collect(),
        data => panic!("{data:?}"),
    }
}

const X: &[(&str, &str)] = &[("__name__", "x")];

#[tokio::test]
async fn ranges_leave_out_their_left_end() {
    let minutes: Vec<(i64, f64)> = (0..=5).map(|i| (i * 60, i as f64)).collect();
    for (query, expected) in [
        ("count_over_time(x[5m])", vec![5.0]),
        ("count_over_time(x[5m:1m])", vec![5.0]),
        ("rate(x[1m])", vec![]),
    ] {
        assert_eq!(ask(query, &[(X, &minutes)]).await, expected, "{query}");
    }
    assert!(ask("x", &[(X, &[(0, 1.0)])]).await.is_empty());
}

#[tokio::test]
async fn a_young_counter_is_extended_by_half_an_interval() {
    let samples: Vec<(i64, f64)> = (0..5).map(|i| (240 + i * 15, 2.0 + i as f64 * 2.0)).collect();
    assert_eq!(ask("increase(x[5m])", &[(X, &samples)]).await, [9.0]);
}

#[tokio::test]
async fn a_dot_matches_a_newline() {
    let labels: &[(&str, &str)] = &[("__name__", "x"), ("message", "a\nb")];
    assert_eq!(ask("{message=~'a.*b'}", &[(labels, &[(290, 1.0)])]).await, [1.0]);
    assert!(ask("{message=~'a[^\\n]*b'}", &[(labels, &[(290, 1.0)])]).await.is_empty());
}

#[tokio::test]
async fn sums_across_series_are_compensated() {
    let values = [("a", 1.0), ("b", 1e100), ("c", 1.0), ("d", -1e100)];
    let labels: Vec<[(&str, &str); 2]> = values.iter().map(|(i, _)| [("__name__", "x"), ("i", *i)]).collect();
    let samples: Vec<[(i64, f64); 1]> = values.iter().map(|(_, v)| [(290, *v)]).collect();
    let series: Vec<Given<'_>> =
        labels.iter().zip(&samples).map(|(l, s)| (l.as_slice(), s.as_slice())).collect();
    assert_eq!(ask("sum(x)", &series).await, [2.0]);
}

#[test]
fn every_query_in_the_document_is_accepted_where_it_says_so() {
    let text = include_str!("../../../docs/promql-differences.md");
    let language = text.split("## Language").nth(1).unwrap().split("Experimental upstream").next().unwrap();
    let mut seen = 0;
    for row in language.lines().filter(|l| l.starts_with("| ") && !l.starts_with("| what")) {
        let examples = row.split('|').nth(2).unwrap();
        for example in examples.split('`').skip(1).step_by(2) {
            parse(example, ParseOptions::default()).unwrap_or_else(|e| panic!("{example}: {e}"));
            seen += 1;
        }
    }
    for block in text.split("```promql\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            parse(line, ParseOptions::default()).unwrap_or_else(|e| panic!("{line}: {e}"));
            seen += 1;
        }
    }
    assert!(seen >= 12, "{seen}");
}

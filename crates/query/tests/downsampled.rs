//! Answers from downsampled data beside answers from the samples: a store that keeps samples for six hours, and one that
//! keeps them all.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use reba_disk::{Env, FaultFs, ManualClock};
use reba_model::{Labels, STALE_NAN, SampleColumns};
use reba_promql::syntax::ParseOptions;
use reba_query::{EngineConfig, InstantQuery, QueryData, QueryEngine, QueryOutput, RangeQuery};
use reba_storage::{AppendMode, FloatSample, MetricAppender, WriteBatch};
use reba_tsdb::{DownsampleLevel, ImportBatch, Tsdb, TsdbConfig};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const START: i64 = 20_000 * DAY;
const END: i64 = START + 2 * DAY;

fn series() -> ImportBatch {
    let mut batch = ImportBatch::new();
    let mut add = |name: &str, value: &dyn Fn(i64) -> Option<f64>| {
        let mut columns = SampleColumns::default();
        for i in 1..=2 * DAY / 30_000 {
            let t = START + i * 30_000;
            if let Some(v) = value(i) {
                columns.push(t, v);
            }
        }
        batch.insert(Labels::from_pairs([("__name__", name)]), columns);
    };
    // Resets every 610 samples, so that some fall on the ends of windows.
    add("counter_total", &|i| Some((i % 610 * 3) as f64));
    add("gauge", &|i| Some((i * 7919 % 101) as f64));
    // There and away: 40 minutes of 100, with a staleness marker, without, and scraped every 4 minutes only.
    add("marked", &|i| match i % 200 {
        0..80 => Some(i as f64),
        80 => Some(STALE_NAN),
        _ => None,
    });
    add("unmarked", &|i| (i % 200 < 80).then_some(i as f64));
    add("seldom", &|i| (i % 8 == 0).then_some(i as f64));
    batch
}

fn engine(levels: &[(i64, i64)], retention_ms: Option<i64>) -> QueryEngine {
    let env = Env { fs: Arc::new(FaultFs::new()), clock: Arc::new(ManualClock::new(0)) };
    let downsampling = levels
        .iter()
        .map(|(resolution_ms, after_ms)| DownsampleLevel {
            resolution_ms: *resolution_ms,
            after_ms: *after_ms,
            keep_ms: 365 * DAY,
            matchers: Vec::new(),
        })
        .collect();
    let config = TsdbConfig { downsampling, retention_ms, ..TsdbConfig::unbounded() };
    let store = Tsdb::open(&env, "/data", config, &|_, _| {}).unwrap();
    store.import(series()).unwrap();
    store.merge_imported().unwrap();
    // Age is measured from what is scraped.
    let series = store.series_ref(&Labels::from_pairs([("__name__", "up")])).unwrap();
    let batch = WriteBatch { floats: vec![FloatSample { series, t: END, v: 1.0 }], ..WriteBatch::default() };
    store.append(&batch, AppendMode::AllOrNothing).unwrap();
    for _ in 0..2 {
        store.maintain(END).unwrap();
    }
    let config = EngineConfig { syntax: ParseOptions::all(), ..EngineConfig::default() };
    QueryEngine::new(Arc::new(store), config).unwrap()
}

async fn range(engine: &QueryEngine, query: &str, (start, end, step): (i64, i64, i64)) -> QueryOutput {
    let query = query.to_owned();
    let range = RangeQuery {
        query,
        start,
        end,
        step,
        timeout: None,
        lookback_delta: None,
        no_cache: true,
        per_step_stats: false,
    };
    engine.range(range).await.unwrap()
}

/// The values of the only series.
fn column(output: &QueryOutput) -> Vec<Option<f64>> {
    let QueryData::Range { steps, series } = &output.data else { panic!("a range") };
    let Some(one) = series.first() else { return vec![None; steps.count] };
    (0..steps.count).map(|i| one.column.is_present(i).then(|| one.column.v[i])).collect()
}

/// The largest difference, as a share of the larger value; both must be there at the same steps.
fn difference(got: &QueryOutput, want: &QueryOutput) -> f64 {
    let (got, want) = (column(got), column(want));
    assert_eq!(got.len(), want.len());
    let mut most = 0.0f64;
    for (i, pair) in got.iter().zip(&want).enumerate() {
        match pair {
            (Some(g), Some(w)) if g == w => {}
            (Some(g), Some(w)) => most = most.max((g - w).abs() / g.abs().max(w.abs())),
            (None, None) => {}
            other => panic!("at step {i}: {other:?}"),
        }
    }
    assert!(want.iter().any(Option::is_some), "there is something to compare");
    most
}

fn is_from(output: &QueryOutput, resolution: &str) -> bool {
    output.infos.iter().any(|i| i.contains(&format!("are downsampled to {resolution} (")))
}

const FUNCTIONS: [&str; 13] = [
    "rate",
    "increase",
    "delta",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "avg_over_time",
    "first_over_time",
    "last_over_time",
    "present_over_time",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
];

#[tokio::test]
async fn ranges_of_whole_windows_have_the_answer_of_the_samples_on_both_sides_of_the_seam() {
    let all = engine(&[], None);
    let few = engine(&[(5 * MINUTE, 4 * HOUR)], Some(6 * HOUR));
    let times = (START + HOUR, END, 10 * MINUTE);
    for name in ["counter_total", "gauge", "marked", "unmarked", "seldom"] {
        for function in FUNCTIONS {
            for minutes in [5, 10, 45] {
                let query = format!("{function}({name}[{minutes}m])");
                let (want, got) = (range(&all, &query, times).await, range(&few, &query, times).await);
                assert!(
                    is_from(&got, "5m") && want.infos.iter().all(|i| !i.contains("downsampled")),
                    "{query}"
                );
                let difference = difference(&got, &want);
                assert!(difference < 1e-9, "{query}: {difference}");
            }
        }
        let (want, got) = (range(&all, name, times).await, range(&few, name, times).await);
        assert_eq!(difference(&got, &want), 0.0, "{name}");
        let sum = format!("sum({name})");
        let (want, got) = (range(&all, &sum, times).await, range(&few, &sum, times).await);
        assert_eq!(difference(&got, &want), 0.0, "{sum}");
    }
}

#[tokio::test]
async fn other_ranges_are_near_to_the_answer_of_the_samples_and_gaps_stay_gaps() {
    let all = engine(&[], None);
    let few = engine(&[(5 * MINUTE, 4 * HOUR)], Some(6 * HOUR));
    let times = (START + HOUR + 7_000, END, 61_000);
    for (query, tolerance) in [
        ("rate(counter_total[1h])", 0.02),
        ("increase(counter_total[31m])", 0.05),
        ("rate(counter_total[2m])", 1.0),
        ("avg_over_time(gauge[1h])", 0.05),
        ("count_over_time(gauge[1h])", 0.0),
        ("max_over_time(gauge[1h])", 0.05),
        ("last_over_time(counter_total[2m])", 1.0),
        ("present_over_time(gauge[1m])", 0.0),
    ] {
        let (want, got) = (range(&all, query, times).await, range(&few, query, times).await);
        let difference = difference(&got, &want);
        assert!(difference <= tolerance, "{query}: {difference}");
    }
    // Whether there is something is known to the minute, whatever the windows are.
    for few in [few, engine(&[(HOUR, 4 * HOUR)], Some(6 * HOUR))] {
        for name in ["marked", "unmarked", "seldom", "gauge"] {
            let query = format!("count({name})");
            let (want, got) = (range(&all, &query, times).await, range(&few, &query, times).await);
            assert_eq!(column(&got), column(&want), "{query}");
        }
    }
}

#[tokio::test]
async fn steps_choose_the_windows_and_the_answer_says_so() {
    let store = engine(&[(5 * MINUTE, 2 * HOUR), (HOUR, 4 * HOUR)], Some(30 * DAY));
    let end = START + DAY;
    for (query, step, want) in [
        ("rate(counter_total[5m])", MINUTE, None),
        ("rate(counter_total[5m])", 5 * MINUTE, Some("5m")),
        ("rate(counter_total[1h])", HOUR, Some("1h")),
        ("rate(counter_total[6h])", 5 * HOUR + 1, Some("1h")),
        ("gauge", HOUR, Some("1h")),
        ("gauge", 47 * MINUTE, Some("5m")),
        ("quantile_over_time(0.5, gauge[1h])", HOUR, None),
        ("rate(counter_total[1h] smoothed)", HOUR, None),
    ] {
        let output = range(&store, query, (START + 6 * HOUR, end, step)).await;
        match want {
            Some(resolution) => assert!(is_from(&output, resolution), "{query} {step}: {:?}", output.infos),
            None => assert!(output.infos.is_empty(), "{query} {step}: {:?}", output.infos),
        }
    }
    let query = "avg_over_time(gauge[1d])".to_owned();
    let instant =
        InstantQuery { query, time: end, timeout: None, lookback_delta: None, per_step_stats: false };
    assert!(store.instant(instant).await.unwrap().infos.is_empty(), "one moment gets samples");
    let info =
        range(&store, "sum(rate(counter_total[5m]))", (START + HOUR, START + 2 * HOUR, 5 * MINUTE)).await;
    assert_eq!(
        info.infos,
        [
            "PromQL info: samples from 2024-10-04T00:55:00Z to 2024-10-04T02:00:00Z are downsampled to 5m (1:10)"
        ]
    );
}

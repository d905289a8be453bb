#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! Alerting rules replayed over a store.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;
use reba_model::{
    Labels,
    notation::{SeriesValue, parse_series},
};
use reba_query::{EngineConfig, QueryEngine};
use reba_rules::{
    AlertState, EngineQuerier, FileOptions, RuleFile, RuleQuerier, RuleQueryError,
    backtest::{
        Budget, Period, RangeRequest, RangeSeries, RuleHistory, Span, evaluations, replay, replay_within,
        table, timelines,
    },
    lifecycle::{self, Timing},
};
use reba_storage::{AppendMode, FloatSample, MetricAppender, WriteBatch};
use reba_testkit::MemStore;

const MINUTE: i64 = 60_000;

/// A store with these series, one value a `step`.
fn querier(lines: &[String], step: i64) -> EngineQuerier {
    let store = Arc::new(MemStore::default());
    for line in lines {
        let line = parse_series(line).unwrap();
        let series = store.series_ref(&line.labels).unwrap();
        let floats = line.values.iter().enumerate().filter_map(|(i, value)| match value {
            SeriesValue::Float(v) => Some(FloatSample { series, t: i as i64 * step, v: *v }),
            _ => None,
        });
        let batch = WriteBatch { floats: floats.collect(), ..WriteBatch::default() };
        store.append(&batch, AppendMode::Partial).unwrap();
    }
    EngineQuerier::new(Arc::new(QueryEngine::new(store, EngineConfig::default()).unwrap()))
}

async fn run(querier: &EngineQuerier, rules: &str, span: Span) -> Vec<RuleHistory> {
    let file = RuleFile::parse("r.yml", rules, &FileOptions::default()).unwrap();
    let fetch = |request: RangeRequest| -> BoxFuture<'_, Result<Vec<RangeSeries>, RuleQueryError>> {
        Box::pin(querier.range(request))
    };
    replay(&file, span, &fetch).await
}

fn span(start: i64, end: i64) -> Span {
    Span { start: start * MINUTE, end: end * MINUTE, interval: MINUTE }
}

fn period(state: AlertState, start: i64, end: Option<i64>) -> Period {
    Period { state, start: start * MINUTE, end: end.map(|t| t * MINUTE) }
}

const RULES: &str = "
groups:
- name: g
  rules:
  - record: recorded
    expr: up
  - alert: Down
    expr: up == 0
    for: 2m
    labels: {severity: critical, seen: '{{ $value }} at {{ $labels.job }}'}
  - alert: Silent
    expr: up > 5
- name: fast
  interval: 30s
  rules:
  - alert: Sticky
    expr: up{job=\"a\"} == 0
    keep_firing_for: 3m
";

#[tokio::test]
async fn alerts_wait_fire_and_end_as_they_would_have() {
    let lines = ["up{job=\"a\"} 1x4 0x4 1x9".to_owned(), "up{job=\"b\"} 1x9 0 1x3 0x4".to_owned()];
    let q = querier(&lines, MINUTE);
    let histories = run(&q, RULES, span(0, 19)).await;
    let names: Vec<&str> = histories.iter().map(|h| h.alert.as_str()).collect();
    assert_eq!(names, ["Down", "Silent", "Sticky"]);
    let down = &histories[0].alerts;
    assert_eq!(down.len(), 2);
    let labels = [("alertname", "Down"), ("job", "a"), ("seen", "0 at a"), ("severity", "critical")];
    assert_eq!(down[0].labels, Labels::from_pairs(labels));
    use AlertState::{Firing, Pending};
    assert_eq!(down[0].periods, [period(Pending, 5, Some(7)), period(Firing, 7, Some(10))]);
    assert_eq!(
        down[1].periods,
        [period(Pending, 10, Some(11)), period(Pending, 15, Some(17)), period(Firing, 17, None)]
    );
    assert!(histories[1].alerts.is_empty());
    assert_eq!(histories[2].alerts[0].periods, [period(Firing, 5, Some(13))]);
}

#[tokio::test]
async fn what_fires_when_the_span_begins_is_known_to_fire() {
    let q = querier(&["up{job=\"a\"} 0x30".to_owned()], MINUTE);
    let histories = run(&q, RULES, span(10, 20)).await;
    assert_eq!(histories[0].alerts[0].periods, [period(AlertState::Firing, 10, None)]);
}

#[tokio::test]
async fn long_spans_are_asked_for_in_pieces_without_a_seam() {
    let rules = "groups: [{name: g, interval: 1s, rules: [{alert: A, expr: up == 0, for: 1h}]}]";
    let q = querier(&["up 0x600".to_owned()], MINUTE);
    let histories = run(&q, rules, span(60, 600)).await;
    // 32,400 evaluations, and those of the hour before.
    assert_eq!(histories[0].alerts[0].periods, [period(AlertState::Firing, 60, None)]);
}

#[tokio::test]
async fn a_query_that_fails_is_told_and_the_other_rules_go_on() {
    let rules =
        "groups: [{name: g, rules: [{alert: A, expr: up + on() group_left() up}, {alert: B, expr: up}]}]";
    let q = querier(&["up{job=\"a\"} 0x5".to_owned(), "up{job=\"b\"} 0x5".to_owned()], MINUTE);
    let histories = run(&q, rules, span(0, 5)).await;
    assert!(histories[0].error.as_ref().unwrap().0.contains("many-to-many"), "{:?}", histories[0].error);
    assert_eq!((histories[1].alerts.len(), &histories[1].error), (2, &None));
}

#[tokio::test]
async fn a_replay_ends_where_its_budget_ends_and_says_so() {
    let q = querier(&["up{job=\"a\"} 0x30".to_owned(), "up{job=\"b\"} 0x30".to_owned()], MINUTE);
    let file = "groups: [{name: g, rules: [{alert: A, expr: up == 0, for: 5m}, {alert: B, expr: up == 0, for: 5m}]}]";
    let file = RuleFile::parse("r.yml", file, &FileOptions::default()).unwrap();
    let fetch = |request: RangeRequest| -> BoxFuture<'_, Result<Vec<RangeSeries>, RuleQueryError>> {
        Box::pin(q.range(request))
    };
    // Twenty-one evaluations and the five before them, twice.
    assert_eq!(evaluations(&file, span(10, 30)), 52);
    // Each finds two alerts: enough for one rule.
    let histories = replay_within(&file, span(10, 30), &mut Budget::new(100), &fetch).await;
    assert_eq!((histories[0].error.as_ref(), histories[0].alerts.len()), (None, 2));
    let error = &histories[1].error.as_ref().unwrap().0;
    assert_eq!(error, "the back-test needs more than 100 evaluations and alerts found by them");
    let enough = replay_within(&file, span(10, 30), &mut Budget::new(156), &fetch).await;
    assert_eq!(enough, replay(&file, span(10, 30), &fetch).await);
}

#[tokio::test]
async fn the_table_and_the_lines_show_the_periods() {
    let q = querier(&["up{job=\"a\"} 1x4 0x4 1x9".to_owned()], MINUTE);
    let histories = run(&q, RULES, span(0, 19)).await;
    let text = table(&histories[..1], span(0, 19));
    let rows: Vec<Vec<&str>> =
        text.lines().map(|l| l.split("  ").filter(|c| !c.is_empty()).collect()).collect();
    assert_eq!(rows.len(), 3, "{text}");
    assert_eq!(rows[2][0], "Down");
    assert_eq!(
        rows[2][2..].iter().map(|c| c.trim()).collect::<Vec<_>>(),
        ["firing", "1970-01-01T00:07:00Z", "1970-01-01T00:10:00Z", "3m"]
    );
    let lines = timelines(&histories[..1], span(0, 20), 20);
    assert!(lines.starts_with("·····▒▒███··········  Down{job=\"a\""), "{lines}");
}

/// The same, asked for one evaluation after the other.
async fn naive(
    q: &EngineQuerier,
    query: &str,
    timing: Timing,
    span: Span,
) -> BTreeMap<Labels, Vec<(i64, AlertState)>> {
    let mut lives: BTreeMap<Labels, lifecycle::Lifecycle> = BTreeMap::new();
    let mut out: BTreeMap<Labels, Vec<(i64, AlertState)>> = BTreeMap::new();
    let mut t = span.start;
    while t <= span.end {
        let found: Vec<Labels> =
            q.instant(query, t).await.unwrap().into_iter().map(|s| s.labels.without_name()).collect();
        let known: std::collections::BTreeSet<Labels> = lives.keys().chain(&found).cloned().collect();
        for labels in known {
            let before = lives.remove(&labels);
            if let Some(life) = lifecycle::step(before, found.contains(&labels), t, timing).next {
                if life.is_active() {
                    out.entry(labels.clone()).or_default().push((t, life.state));
                }
                lives.insert(labels, life);
            }
        }
        t += span.interval;
    }
    out
}

#[tokio::test]
async fn a_replay_by_ranges_is_the_same_as_evaluating_step_by_step() {
    let mut seed = 7u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    for round in 0..6 {
        let lines: Vec<String> = (0..4)
            .map(|i| {
                let values: Vec<String> =
                    (0..80)
                        .map(|_| {
                            if random() % 9 == 0 {
                                "stale".to_owned()
                            } else {
                                (random() % 10 / 6).to_string()
                            }
                        })
                        .collect();
                format!("x{{i=\"{i}\"}} {}", values.join(" "))
            })
            .collect();
        let q = querier(&lines, MINUTE);
        let (hold, keep) = ([0, 2, 5][round % 3] * MINUTE, [0, 3][round % 2] * MINUTE);
        let rules = format!(
            "groups: [{{name: g, rules: [{{alert: A, expr: x > 0, for: {}m, keep_firing_for: {}m}}]}}]",
            hold / MINUTE,
            keep / MINUTE
        );
        let span = span(0, 85);
        let want = naive(&q, "x > 0", Timing { hold, keep_firing_for: keep }, span).await;
        let mut got: BTreeMap<Labels, Vec<(i64, AlertState)>> = BTreeMap::new();
        for alert in &run(&q, &rules, span).await[0].alerts {
            let all = got.entry(alert.labels.without(&["alertname"])).or_default();
            for p in &alert.periods {
                let end = p.end.unwrap_or(span.end + 1);
                all.extend((p.start..end).step_by(MINUTE as usize).map(|t| (t, p.state)));
            }
        }
        assert_eq!(got, want, "round {round}");
    }
}

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! Rule groups in simulated time.

mod support;

use std::{sync::Arc, time::Duration};

use reba_rules::{AlertState, RuleHealth};
use reba_storage::AppendError;
use support::{FakeStore, World, labels};
use tokio_util::sync::CancellationToken;

const MINUTE: i64 = 60_000;

const ONE_ALERT: &str = r#"
groups:
- name: g
  rules:
  - alert: Down
    expr: up == 0
    for: 2m
    labels: {severity: page, who: "{{ $labels.job }}"}
    annotations:
      summary: "{{ $labels.instance }} is down ({{ $value | humanize }}) in {{ $externalLabels.cluster }}, see {{ $externalURL }}"
"#;

#[tokio::test]
async fn each_rule_sees_what_the_ones_before_it_wrote() {
    let world = World::new();
    world
        .load("groups: [{name: g, rules: [{record: a, expr: source, labels: {x: y}}, {record: b, expr: a}, {record: c, expr: b}]}]")
        .await;
    world.answer("source", &[(&[("job", "api")], 7.0)]);
    world.at(MINUTE).await;
    let c = labels(&[("__name__", "c"), ("job", "api"), ("x", "y")]);
    assert_eq!(world.store.samples(&c), [(MINUTE, Some(7.0))]);
    let group = &world.manager.groups()[0];
    assert_eq!((group.evaluations, group.last_samples, group.iterations), (3, 3, 1));
    assert!(group.rules.iter().all(|r| r.health == RuleHealth::Ok));
}

#[tokio::test]
async fn a_series_that_vanishes_from_the_result_goes_stale_at_once() {
    let world = World::new();
    world.load("groups: [{name: g, rules: [{record: a, expr: source}]}]").await;
    world.answer("source", &[(&[("i", "1")], 1.0), (&[("i", "2")], 2.0)]);
    world.at(MINUTE).await;
    world.answer("source", &[(&[("i", "2")], 3.0)]);
    world.at(2 * MINUTE).await;
    world.at(3 * MINUTE).await;
    let first = labels(&[("__name__", "a"), ("i", "1")]);
    let second = labels(&[("__name__", "a"), ("i", "2")]);
    assert_eq!(world.store.samples(&first), [(MINUTE, Some(1.0)), (2 * MINUTE, None)]);
    assert_eq!(world.store.samples(&second).len(), 3);
}

#[tokio::test]
async fn a_failed_query_writes_nothing_and_is_shown() {
    let world = World::new();
    world.load("groups: [{name: g, rules: [{record: a, expr: source}]}]").await;
    world.answer("source", &[(&[], 1.0)]);
    world.at(MINUTE).await;
    world.fail("source", "many-to-many matching not allowed");
    world.at(2 * MINUTE).await;
    let a = labels(&[("__name__", "a")]);
    assert_eq!(world.store.samples(&a), [(MINUTE, Some(1.0))]);
    let group = &world.manager.groups()[0];
    assert_eq!(group.rules[0].health, RuleHealth::Err);
    assert_eq!(group.rules[0].last_error.as_deref(), Some("many-to-many matching not allowed"));
    assert_eq!(group.evaluation_failures, 1);
    // Once the query works again and the series is still gone, it is ended.
    world.answer("source", &[]);
    world.at(3 * MINUTE).await;
    assert_eq!(world.store.samples(&a), [(MINUTE, Some(1.0)), (3 * MINUTE, None)]);
}

#[tokio::test]
async fn a_panic_costs_one_evaluation_and_not_the_group() {
    let world = World::new();
    world.load("groups: [{name: g, rules: [{record: a, expr: source}, {record: b, expr: panic}]}]").await;
    world.answer("source", &[(&[], 1.0)]);
    world.at(MINUTE).await;
    assert_eq!(world.store.samples(&labels(&[("__name__", "b")])), []);
    world.answer("panic", &[(&[], 2.0)]);
    world.at(2 * MINUTE).await;
    assert_eq!(world.store.samples(&labels(&[("__name__", "b")])), [(2 * MINUTE, Some(2.0))]);
    assert_eq!(world.manager.groups()[0].rules[1].health, RuleHealth::Ok);
}

#[tokio::test]
async fn two_elements_that_become_one_series_are_an_error() {
    let world = World::new();
    world
        .load("groups: [{name: g, limit: 1, rules: [{record: a, expr: s, labels: {i: x}}, {record: b, expr: s}, {alert: A, expr: s, labels: {i: x}}]}]")
        .await;
    world.answer("s", &[(&[("i", "1")], 1.0), (&[("i", "2")], 2.0)]);
    world.at(MINUTE).await;
    let errors: Vec<String> =
        world.manager.groups()[0].rules.iter().map(|r| r.last_error.clone().unwrap()).collect();
    assert_eq!(
        errors,
        [
            "vector contains metrics with the same labelset after applying rule labels",
            "exceeded limit of 1 with 2 series",
            "vector contains metrics with the same labelset after applying alert labels",
        ]
    );
}

#[tokio::test]
async fn an_alert_waits_fires_is_sent_again_and_is_resolved() {
    let mut world = World::new();
    world.load(ONE_ALERT).await;
    world.answer("up == 0", &[(&[("__name__", "up"), ("job", "api"), ("instance", "h:1")], 0.0)]);
    let all = labels(&[
        ("alertname", "Down"),
        ("instance", "h:1"),
        ("job", "api"),
        ("severity", "page"),
        ("who", "api"),
    ]);
    world.at(10 * MINUTE).await;
    assert_eq!(world.alerts(), [format!("{all} pending")]);
    world.at(11 * MINUTE).await;
    assert!(world.take_sent().is_empty());
    world.at(12 * MINUTE).await;
    assert_eq!(world.alerts(), [format!("{all} firing")]);
    let sent = world.take_sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].labels, all);
    assert_eq!(sent[0].annotations.get("summary"), Some("h:1 is down (0) in kgl, see http://reba:9090"));
    assert_eq!((sent[0].starts_at, sent[0].ends_at), (12 * MINUTE, 16 * MINUTE));
    assert_eq!(sent[0].generator_url, "http://reba:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1");
    // Not again before the resend delay is over.
    world.at(13 * MINUTE).await;
    assert!(world.take_sent().is_empty());
    world.at(14 * MINUTE).await;
    assert_eq!(world.take_sent()[0].ends_at, 18 * MINUTE);
    // Resolved, and repeated for 15 minutes.
    world.answer("up == 0", &[]);
    world.at(15 * MINUTE).await;
    assert!(world.alerts().is_empty());
    let resolved = world.take_sent();
    assert_eq!((resolved[0].starts_at, resolved[0].ends_at), (12 * MINUTE, 15 * MINUTE));
    let mut repeats = 0;
    for minute in 16..40 {
        world.at(minute * MINUTE).await;
        repeats += world.take_sent().len();
    }
    assert_eq!(repeats, 7, "every second minute for a quarter of an hour");
}

#[tokio::test]
async fn alerts_leave_their_series_and_end_them() {
    let world = World::new();
    world.load("groups: [{name: g, rules: [{alert: A, expr: s, for: 1m, labels: {sev: x}}]}]").await;
    world.answer("s", &[(&[("i", "1")], 5.0)]);
    // Nothing is written before the state from before the start was looked up, after the second evaluation.
    world.at(MINUTE).await;
    world.at(2 * MINUTE).await;
    world.at(3 * MINUTE).await;
    let series = |name: &str, state: &[(&str, &str)]| {
        let mut pairs = vec![("__name__", name), ("alertname", "A"), ("i", "1"), ("sev", "x")];
        pairs.extend(state);
        labels(&pairs)
    };
    let pending = series("ALERTS", &[("alertstate", "pending")]);
    let firing = series("ALERTS", &[("alertstate", "firing")]);
    let for_state = series("ALERTS_FOR_STATE", &[]);
    assert!(world.store.samples(&pending).is_empty());
    assert_eq!(world.store.samples(&firing), [(3 * MINUTE, Some(1.0))]);
    assert_eq!(world.store.samples(&for_state), [(3 * MINUTE, Some(60.0))]);
    world.answer("s", &[]);
    world.at(4 * MINUTE).await;
    assert_eq!(world.store.samples(&firing)[1], (4 * MINUTE, None));
    world.answer("s", &[(&[("i", "1")], 5.0)]);
    world.at(5 * MINUTE).await;
    world.at(6 * MINUTE).await;
    assert_eq!(world.store.samples(&pending), [(5 * MINUTE, Some(1.0)), (6 * MINUTE, None)]);
    assert_eq!(world.store.samples(&for_state)[2..], [(5 * MINUTE, Some(300.0)), (6 * MINUTE, Some(300.0))]);
}

#[tokio::test]
async fn keep_firing_for_bridges_gaps() {
    let world = World::new();
    world.load("groups: [{name: g, rules: [{alert: A, expr: s, keep_firing_for: 2m}]}]").await;
    let here: &[(&[(&str, &str)], f64)] = &[(&[], 1.0)];
    let mut states = Vec::new();
    for (minute, present) in [(1, true), (2, false), (3, true), (4, false), (5, false), (6, false)] {
        world.answer("s", if present { here } else { &[] });
        world.at(minute * MINUTE).await;
        states.push(world.manager.alerts().first().map(|a| (a.state, a.keep_firing_since)));
    }
    let firing = |since: Option<i64>| Some((AlertState::Firing, since.map(|m| m * MINUTE)));
    assert_eq!(states, [firing(None), firing(Some(2)), firing(None), firing(Some(4)), firing(Some(4)), None]);
}

#[tokio::test]
async fn over_the_limit_all_alerts_are_forgotten_and_none_is_resolved() {
    let mut world = World::new();
    world.load("groups: [{name: g, limit: 1, rules: [{alert: A, expr: s}]}]").await;
    world.answer("s", &[(&[("i", "1")], 1.0)]);
    world.at(MINUTE).await;
    assert_eq!(world.take_sent().len(), 1);
    world.answer("s", &[(&[("i", "1")], 1.0), (&[("i", "2")], 1.0)]);
    world.at(2 * MINUTE).await;
    assert!(world.take_sent().is_empty() && world.alerts().is_empty());
    let error = world.manager.groups()[0].rules[0].last_error.clone();
    assert_eq!(error.as_deref(), Some("exceeded limit of 1 with 2 alerts"));
}

#[tokio::test]
async fn a_template_that_fails_becomes_its_error_and_the_alert_fires() {
    let mut world = World::new();
    world
        .load(r#"groups: [{name: g, rules: [{alert: A, expr: s, annotations: {a: "{{ humanize \"x\" }}", b: "{{ range query \"other\" }}{{ .Value }};{{ end }}"}}]}]"#)
        .await;
    world.answer("s", &[(&[], 1.0)]);
    world.answer("other", &[(&[("i", "1")], 4.0), (&[("i", "2")], 5.5)]);
    world.at(MINUTE).await;
    let sent = world.take_sent();
    assert_eq!(sent[0].annotations.get("b"), Some("4;5.5;"));
    let text = sent[0].annotations.get("a").unwrap();
    assert!(text.starts_with(
        "<error expanding template: error executing template __alert_A: template: __alert_A:1:"
    ));
    assert!(text.ends_with(r#"error calling humanize: strconv.ParseFloat: parsing "x": invalid syntax>"#));
    assert_eq!(
        (world.manager.metrics().template_expansions, world.manager.metrics().template_failures),
        (2, 1)
    );
}

/// Runs an alert with `for: 30m`, stops for some minutes, starts anew, and returns when it fires.
async fn fires_after_outage(down_from: i64, up_at: i64) -> i64 {
    let rules = "groups: [{name: g, rules: [{alert: A, expr: s, for: 30m, labels: {t: \"{{ $value }}\"}}]}]";
    let store = Arc::new(FakeStore::default());
    let before = World::with_store(store.clone(), 10);
    before.load(rules).await;
    before.answer("s", &[(&[("i", "1")], 1.0)]);
    for minute in 0..down_from {
        before.at(minute * MINUTE).await;
    }
    let after = World::with_store(store, 10);
    after.load(rules).await;
    after.answer("s", &[(&[("i", "1")], 1.0)]);
    for minute in up_at..up_at + 60 {
        after.at(minute * MINUTE).await;
        if after.manager.alerts().iter().any(|a| a.state == AlertState::Firing) {
            return minute;
        }
    }
    panic!("never fired");
}

#[tokio::test]
async fn after_a_restart_alerts_go_on_where_they_were() {
    // It had fired: it fires as soon as the state is restored, after the second evaluation.
    assert_eq!(fires_after_outage(40, 45).await, 47);
    // Pending since 0, seen last at 9: 21 minutes remained, the outage does not count.
    assert_eq!(fires_after_outage(10, 20).await, 20 + 1 + 21);
    // 6 minutes remained, less than the grace period: ten minutes from the restoration on.
    assert_eq!(fires_after_outage(25, 27).await, 28 + 10);
    // Down for longer than is tolerated: from the beginning.
    assert_eq!(fires_after_outage(40, 200).await, 230);
}

#[tokio::test]
async fn a_reload_keeps_alerts_and_ends_what_is_removed() {
    let world = World::new();
    world
        .load("groups: [{name: g, rules: [{alert: A, expr: s, for: 5m}, {record: r, expr: s}]}, {name: h, rules: [{record: old, expr: s}]}]")
        .await;
    world.answer("s", &[(&[], 1.0)]);
    world.answer("s > 0", &[(&[], 1.0)]);
    world.at(MINUTE).await;
    world.at(2 * MINUTE).await;
    world.load("groups: [{name: g, rules: [{alert: A, expr: s > 0, for: 5m}]}]").await;
    world.at(3 * MINUTE).await;
    assert_eq!(world.manager.alerts()[0].active_at, MINUTE, "the alert is the same");
    // The rule that left its group is ended by the next evaluation, the group that left after two intervals.
    assert_eq!(world.store.samples(&labels(&[("__name__", "r")])).last(), Some(&(3 * MINUTE, None)));
    let old = labels(&[("__name__", "old")]);
    assert_eq!(world.store.samples(&old).last(), Some(&(2 * MINUTE, Some(1.0))));
    world.at(4 * MINUTE).await;
    // The marker bears the time of the removal, which the last sample already has: the store drops it.
    assert_eq!(world.store.samples(&old).last(), Some(&(2 * MINUTE, Some(1.0))));
    assert_eq!(world.manager.groups().len(), 1);
}

#[tokio::test]
async fn series_of_a_removed_group_end_unless_another_rule_takes_them_over() {
    let world = World::new();
    world.load("groups: [{name: g, rules: [{record: r, expr: s}, {record: q, expr: s}]}]").await;
    world.answer("s", &[(&[], 1.0)]);
    world.at(MINUTE).await;
    world.now.store(MINUTE + 5, std::sync::atomic::Ordering::Relaxed);
    world.load("groups: [{name: renamed, rules: [{record: r, expr: s}]}]").await;
    world.at(2 * MINUTE).await;
    world.at(4 * MINUTE).await;
    let samples = |name: &str| world.store.samples(&labels(&[("__name__", name)]));
    assert_eq!(samples("q"), [(MINUTE, Some(1.0)), (MINUTE + 5, None)]);
    assert_eq!(samples("r"), [(MINUTE, Some(1.0)), (2 * MINUTE, Some(1.0)), (4 * MINUTE, Some(1.0))]);
}

#[tokio::test]
async fn losing_the_notifier_never_stops_evaluation() {
    let mut world = World::with_store(Arc::new(FakeStore::default()), 1);
    world
        .load("groups: [{name: g, rules: [{alert: A, expr: s}, {alert: B, expr: s}, {record: r, expr: s}]}]")
        .await;
    world.answer("s", &[(&[], 1.0)]);
    world.at(MINUTE).await;
    assert_eq!(world.manager.metrics().alerts_dropped, 1, "the queue holds one batch");
    world.sent.close();
    world.at(5 * MINUTE).await;
    assert_eq!(world.manager.metrics().alerts_dropped, 3);
    assert_eq!(world.store.samples(&labels(&[("__name__", "r")])).len(), 2);
}

#[tokio::test]
async fn a_full_disk_is_shown_and_evaluation_goes_on() {
    let mut world = World::new();
    world.load("groups: [{name: g, rules: [{record: r, expr: s}, {alert: A, expr: s}]}]").await;
    world.answer("s", &[(&[], 1.0)]);
    world.at(MINUTE).await;
    *world.store.failing.lock() = Some(AppendError::Full("no space".to_owned()));
    world.take_sent();
    world.at(4 * MINUTE).await;
    assert_eq!(world.manager.groups()[0].rules[0].last_error.as_deref(), Some("storage is full: no space"));
    assert_eq!(world.take_sent().len(), 1, "the alert is still sent");
    *world.store.failing.lock() = None;
    world.at(5 * MINUTE).await;
    assert_eq!(world.manager.groups()[0].rules[0].health, RuleHealth::Ok);
}

#[tokio::test]
async fn query_offset_moves_the_query_and_the_samples() {
    let world = World::new();
    world.load("groups: [{name: g, query_offset: 30s, rules: [{record: r, expr: s}]}]").await;
    world.store.put(&labels(&[("__name__", "s")]), 10_000, 1.0);
    world.store.put(&labels(&[("__name__", "s")]), 50_000, 2.0);
    world.at(MINUTE).await;
    assert_eq!(world.store.samples(&labels(&[("__name__", "r")])), [(30_000, Some(1.0))]);
}

#[tokio::test]
async fn groups_run_on_their_grid_until_cancelled() {
    let world = World::new();
    world.load("groups: [{name: g, interval: 20ms, rules: [{record: r, expr: s}]}]").await;
    world.answer("s", &[(&[], 1.0)]);
    let cancel = CancellationToken::new();
    let task = tokio::spawn({
        let (manager, cancel) = (world.manager.clone(), cancel.clone());
        async move { manager.run(cancel).await }
    });
    // Simulated time: it moves when the test says so.
    for _ in 0..200 {
        world.now.fetch_add(10, std::sync::atomic::Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(1)).await;
        if world.manager.groups()[0].iterations >= 5 {
            break;
        }
    }
    cancel.cancel();
    task.await.unwrap();
    let samples = world.store.samples(&labels(&[("__name__", "r")]));
    assert!(samples.len() >= 2, "{samples:?}");
    assert!(samples.windows(2).all(|w| (w[1].0 - w[0].0) % 20 == 0 && w[1].0 > w[0].0), "{samples:?}");
    let group = &world.manager.groups()[0];
    assert_eq!(group.iterations - group.iterations_missed, samples.len() as u64);
}

#[tokio::test]
async fn a_reload_while_groups_run_keeps_their_alerts() {
    let world = World::new();
    let rules = |annotation: &str| {
        format!(
            "groups: [{{name: g, interval: 20ms, rules: [{{alert: A, expr: s, annotations: {{a: {annotation}}}}}]}}, {{name: same, interval: 20ms, rules: [{{record: r, expr: s}}]}}]"
        )
    };
    world.answer("s", &[(&[], 1.0)]);
    let cancel = CancellationToken::new();
    let task = tokio::spawn({
        let (manager, cancel) = (world.manager.clone(), cancel.clone());
        async move { manager.run(cancel).await }
    });
    let mut active_at = None;
    for annotation in ["one", "two"] {
        world.load(&rules(annotation)).await;
        for _ in 0..500 {
            world.now.fetch_add(10, std::sync::atomic::Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
            let alerts = world.manager.alerts();
            if alerts.first().is_some_and(|a| a.annotations.get("a") == Some(annotation)) {
                break;
            }
        }
        let alert = world.manager.alerts()[0].clone();
        assert_eq!(alert.annotations.get("a"), Some(annotation));
        assert_eq!(*active_at.get_or_insert(alert.active_at), alert.active_at, "the alert is the same");
    }
    cancel.cancel();
    task.await.unwrap();
    assert_eq!(world.manager.groups().len(), 2);
}

#[tokio::test]
async fn a_template_whose_query_hangs_holds_up_its_rule_for_a_second_only() {
    let mut world = World::new();
    world
        .load(r#"groups: [{name: g, interval: 10ms, rules: [{alert: A, expr: s, annotations: {a: "{{ query \"hang\" }}", b: "{{ range 100 }}{{ query \"hang\" }}{{ end }}"}}]}]"#)
        .await;
    world.answer("s", &[(&[], 1.0)]);
    let started = std::time::Instant::now();
    world.at(MINUTE).await;
    assert!(started.elapsed() < Duration::from_secs(3));
    let sent = world.take_sent();
    assert!(sent[0].annotations.get("b").unwrap().contains("took too long"), "{sent:?}");
}

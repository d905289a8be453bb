#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! Rules about logs, in simulated time over the RAM stores.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use reba_config::Variables;
use reba_disk::Env;
use reba_model::{AlertBatch, Labels, LogBatch, Matcher, SampleColumns, Tenant, TimeRange, is_stale_nan};
use reba_query::logs::{LogEngineConfig, LogQueryEngine};
use reba_rules::{
    AlertState, ManagerOptions, RuleHealth,
    logs::{GroupError, LogRuler, LogRulerOptions, LogRulerParts, LogRulerSettings, RulerLimits},
};
use reba_storage::{Budget, LogAppender, MetricQuerier, SelectHints, SelectRequest};
use reba_testkit::{MemLogStore, MemStore};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const MINUTE: i64 = 60_000;

/// What outlives a restart.
struct Stores {
    logs: Arc<MemLogStore>,
    metrics: Arc<MemStore>,
    folder: tempfile::TempDir,
}

impl Stores {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("rules/fake")).unwrap();
        Stores { logs: Arc::default(), metrics: Arc::default(), folder }
    }

    fn rules(&self) -> std::path::PathBuf {
        self.folder.path().join("rules")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.rules().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn push(&self, tenant: &str, app: &str, ms: i64, line: &str) {
        let mut batch = LogBatch::default();
        batch.begin_stream(Labels::from_pairs([("app", app)]));
        batch.push(ms * 1_000_000, line, []).unwrap();
        self.logs.append_logs(&Tenant::new(tenant).unwrap(), &batch).unwrap();
    }

    /// Times and values of one series, markers as `None`.
    fn samples(&self, pairs: &[(&str, &str)]) -> Vec<(i64, Option<f64>)> {
        let wanted = Labels::from_pairs(pairs.iter().copied());
        let matchers: Vec<Matcher> = pairs.iter().map(|(n, v)| Matcher::equal(*n, *v)).collect();
        let range = TimeRange::new(i64::MIN / 2, i64::MAX / 2);
        let (hints, budget) = (SelectHints::default(), Budget::new(1000, 1 << 20));
        let request = SelectRequest { matchers: &matchers, range, hints: &hints, budget: &budget };
        let found = self.metrics.select(&request).unwrap();
        let mut columns = SampleColumns::default();
        for series in found.iter().filter(|s| s.labels == wanted) {
            series.read_into(range, &mut columns).unwrap();
        }
        let value = |v: &f64| (!is_stale_nan(*v)).then_some(*v);
        columns.t.iter().zip(&columns.v).map(|(t, v)| (*t, value(v))).collect()
    }
}

/// A ruler at work.
struct World {
    ruler: Arc<LogRuler>,
    sent: mpsc::Receiver<AlertBatch>,
    now: Arc<AtomicI64>,
    limits: Arc<Mutex<RulerLimits>>,
}

impl World {
    /// Starts with the files as they are.
    async fn new(stores: &Stores) -> Self {
        let engine = LogQueryEngine::new(stores.logs.clone(), LogEngineConfig::default()).unwrap();
        let (alerts, sent) = mpsc::channel(100);
        let (now, limits) = (Arc::new(AtomicI64::new(0)), Arc::new(Mutex::new(RulerLimits::default())));
        let (for_clock, for_limits) = (now.clone(), limits.clone());
        let parts = LogRulerParts {
            engine: Arc::new(engine),
            store: stores.metrics.clone(),
            appender: stores.metrics.clone(),
            alerts,
            clock: Arc::new(move || for_clock.load(Ordering::Relaxed)),
            limits: Arc::new(move |_| *for_limits.lock()),
            env: Env::real(),
        };
        let options = LogRulerOptions {
            manager: ManagerOptions::default(),
            datasource_uid: "loki-1".to_owned(),
            posted: stores.folder.path().join("posted"),
        };
        let settings = LogRulerSettings {
            folder: Some(stores.rules()),
            poll_interval: Duration::from_secs(60),
            interval: MINUTE,
            external_labels: Labels::from_pairs([("cluster", "kgl")]),
            external_url: "http://grafana:3000".to_owned(),
            variables: Variables::new([("THRESHOLD".to_owned(), "2".to_owned())].into()),
        };
        let ruler = Arc::new(LogRuler::open(parts, options, settings).unwrap());
        ruler.reload().await;
        World { ruler, sent, now, limits }
    }

    async fn at(&self, minute: i64) {
        self.now.store(minute * MINUTE, Ordering::Relaxed);
        self.ruler.evaluate_once(minute * MINUTE).await;
    }

    fn take_sent(&mut self) -> AlertBatch {
        let mut all = Vec::new();
        while let Ok(batch) = self.sent.try_recv() {
            all.extend(batch);
        }
        all
    }

    fn alerts(&self) -> Vec<(String, AlertState)> {
        let groups = self.ruler.groups(&Tenant::single());
        let rules = groups.iter().flat_map(|g| &g.rules).filter_map(|r| r.alerting.as_ref());
        rules.flat_map(|a| &a.alerts).map(|a| (a.labels.to_string(), a.state)).collect()
    }
}

const ERRORS: &str = r#"
groups:
- name: errors
  rules:
  - alert: ManyErrors
    expr: sum by (app) (count_over_time({app=~".+"} |= "level=error" | logfmt [5m])) > ${THRESHOLD}
    for: 1m
    labels: {severity: page}
    annotations:
      summary: '{{ $labels.app }} logged {{ $value }} errors in {{ $externalLabels.cluster }}:{{ range lines 2 }} [{{ . }}]{{ end }}'
  - record: app:lines:count5m
    expr: sum by (app) (count_over_time({app=~".+"}[5m]))
    labels: {source: logs}
"#;

#[tokio::test]
async fn an_alert_about_logs_waits_fires_shows_its_lines_and_is_resolved() {
    let stores = Stores::new();
    stores.write("fake/errors.yml", ERRORS);
    for i in 0..4 {
        stores.push("fake", "pay", 10 * MINUTE - i * 1000, &format!("level=error n={i}"));
        stores.push("fake", "web", 10 * MINUTE - i * 1000, "level=info");
    }
    let mut world = World::new(&stores).await;
    world.at(10).await;
    let labels = r#"{alertname="ManyErrors", app="pay", severity="page"}"#.to_owned();
    assert_eq!(world.alerts(), [(labels.clone(), AlertState::Pending)]);
    assert!(world.take_sent().is_empty());
    world.at(11).await;
    assert_eq!(world.alerts(), [(labels, AlertState::Firing)]);
    let sent = world.take_sent();
    assert_eq!(
        sent[0].annotations.get("summary"),
        Some("pay logged 4 errors in kgl: [level=error n=0] [level=error n=1]")
    );
    let link = &sent[0].generator_url;
    assert!(
        link.starts_with("http://grafana:3000/explore?left=%7B%22queries%22%3A%5B%7B%22expr%22%3A%22"),
        "{link}"
    );
    assert!(link.contains("loki-1"), "{link}");
    // The window has passed.
    world.at(16).await;
    assert!(world.alerts().is_empty());
    assert_eq!(world.take_sent()[0].ends_at, 16 * MINUTE);
}

#[tokio::test]
async fn recorded_series_and_those_of_alerts_are_in_the_metric_store() {
    let stores = Stores::new();
    stores.write("fake/errors.yml", ERRORS);
    for i in 0..4 {
        stores.push("fake", "pay", 10 * MINUTE - i * 1000, "level=error");
    }
    let world = World::new(&stores).await;
    for minute in 10..=16 {
        world.at(minute).await;
    }
    let recorded = [("__name__", "app:lines:count5m"), ("app", "pay"), ("source", "logs")];
    let times: Vec<_> = stores.samples(&recorded);
    assert_eq!(times[0], (10 * MINUTE, Some(4.0)));
    assert_eq!(times.last(), Some(&(15 * MINUTE, None)), "{times:?}");
    let firing = [
        ("__name__", "ALERTS"),
        ("alertname", "ManyErrors"),
        ("alertstate", "firing"),
        ("app", "pay"),
        ("severity", "page"),
    ];
    // Not before the time before the start was looked up, after the second evaluation.
    assert_eq!(stores.samples(&firing)[0], (12 * MINUTE, Some(1.0)));
}

#[tokio::test]
async fn after_a_restart_an_alert_that_fired_fires_again_without_waiting() {
    let stores = Stores::new();
    let rules =
        r#"groups: [{name: g, rules: [{alert: A, expr: 'count_over_time({app="a"}[1h]) > 0', for: 30m}]}]"#;
    stores.write("fake/a.yaml", rules);
    for minute in 0..100 {
        stores.push("fake", "a", minute * MINUTE, "x");
    }
    let before = World::new(&stores).await;
    for minute in 0..40 {
        before.at(minute).await;
    }
    assert_eq!(before.alerts()[0].1, AlertState::Firing);
    drop(before);
    let after = World::new(&stores).await;
    for minute in 45..48 {
        after.at(minute).await;
    }
    assert_eq!(after.alerts()[0].1, AlertState::Firing);
}

#[tokio::test]
async fn tenants_see_their_own_logs_and_record_their_own_series() {
    let stores = Stores::new();
    let rules = r#"groups: [{name: g, rules: [{record: r, expr: 'count_over_time({app="a"}[5m])'}]}]"#;
    stores.write("fake/r.yml", rules);
    stores.write("team-a/r.yml", rules);
    stores.push("fake", "a", MINUTE, "x");
    stores.push("team-a", "a", MINUTE, "x");
    stores.push("team-a", "a", MINUTE - 1, "y");
    let world = World::new(&stores).await;
    world.at(1).await;
    assert_eq!(stores.samples(&[("__name__", "r"), ("app", "a")]), [(MINUTE, Some(1.0))]);
    let of_team = [("__name__", "r"), ("app", "a"), ("tenant", "team-a")];
    assert_eq!(stores.samples(&of_team), [(MINUTE, Some(2.0))]);
    assert_eq!(world.ruler.tenants().len(), 2);
}

#[tokio::test]
async fn what_is_wrong_in_a_file_is_said_with_its_place_and_the_former_rules_go_on() {
    let stores = Stores::new();
    stores.write("fake/errors.yml", ERRORS);
    stores.write("fake/notes.txt", "no rules");
    stores.write("stray.yml", ERRORS);
    let world = World::new(&stores).await;
    assert_eq!(world.ruler.reload().await, []);
    for (expr, part) in [
        ("'{app=\"a\"}'", "a rule needs a query that answers with numbers"),
        ("'count_over_time({app=\"a\"} |~ \"(\" [5m])'", "error parsing regexp"),
        ("'sum(rate({app=\"a\"}[5m])'", "could not parse expression: parse error"),
    ] {
        stores.write(
            "fake/errors.yml",
            &format!("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: {expr}\n"),
        );
        let errors = world.ruler.reload().await;
        let path = stores.rules().join("fake/errors.yml");
        let place = format!("{}:5:11: group \"g\", rule 1, \"A\": ", path.display());
        let text = errors[0].to_string();
        assert!(errors.len() == 1 && text.starts_with(&place) && text.contains(part), "{text}");
    }
    assert_eq!(world.ruler.groups(&Tenant::single())[0].name, "errors");
    assert!(!world.ruler.tenants()[0].reload_ok);
    std::fs::remove_file(stores.rules().join("fake/errors.yml")).unwrap();
    assert_eq!(world.ruler.reload().await, []);
    assert!(world.ruler.groups(&Tenant::single()).is_empty());
}

#[tokio::test]
async fn lines_are_no_function_of_rules_about_metrics() {
    let text = r#"groups: [{name: g, rules: [{alert: A, expr: vector(1), annotations: {a: "{{ range lines 3 }}{{ . }}{{ end }}"}}]}]"#;
    assert!(reba_rules::RuleFile::parse("f", text, &reba_rules::FileOptions::logql()).is_ok());
    let errors = reba_rules::RuleFile::parse("f", text, &reba_rules::FileOptions::default()).unwrap_err();
    assert!(errors[0].message.contains("function \"lines\" not defined"), "{errors:?}");
}

const POSTED: &str =
    "name: posted\ninterval: 60s\nrules:\n- record: r\n  expr: count_over_time({app=\"a\"}   [5m])\n";

#[tokio::test]
async fn a_posted_group_is_evaluated_survives_a_restart_and_can_be_removed() {
    let stores = Stores::new();
    stores.push("fake", "a", MINUTE, "x");
    let tenant = Tenant::single();
    let world = World::new(&stores).await;
    world.ruler.set_group(&tenant, "../../n s", POSTED).await.unwrap();
    world.at(1).await;
    assert_eq!(stores.samples(&[("__name__", "r"), ("app", "a")]), [(MINUTE, Some(1.0))]);
    assert!(!stores.folder.path().join("n s.yml").exists());
    drop(world);

    let world = World::new(&stores).await;
    let groups = world.ruler.groups(&tenant);
    assert_eq!((groups[0].file.as_str(), groups[0].name.as_str()), ("../../n s", "posted"));
    assert_eq!(groups[0].rules[0].query, r#"count_over_time({app="a"}[5m])"#);
    let written = &world.ruler.definitions(&tenant, Some("../../n s"))["../../n s"][0];
    assert_eq!(written.interval.as_deref(), Some("1m"));
    assert_eq!(written.rules[0].expr, r#"count_over_time({app="a"}   [5m])"#, "as it was written");
    assert_eq!(world.ruler.delete_group(&tenant, "../../n s", "other").await, Err(GroupError::NoGroup));
    world.ruler.delete_group(&tenant, "../../n s", "posted").await.unwrap();
    assert_eq!(world.ruler.delete_namespace(&tenant, "../../n s").await, Err(GroupError::NoNamespace));
    assert!(world.ruler.groups(&tenant).is_empty());
    drop(world);
    assert!(World::new(&stores).await.ruler.groups(&tenant).is_empty());
}

#[tokio::test]
async fn posted_groups_are_checked_and_limited() {
    let stores = Stores::new();
    stores.write("fake/errors.yml", ERRORS);
    let (world, tenant) = (World::new(&stores).await, Tenant::single());
    let refused = async |yaml: &str| world.ruler.set_group(&tenant, "n", yaml).await.unwrap_err();
    let invalid = |e: GroupError, part: &str| {
        assert!(matches!(&e, GroupError::Invalid(text) if text.contains(part)), "{e}");
    };
    invalid(refused("name: [").await, "unable to decoded rule group");
    invalid(refused("rules: []").await, "Groupname must not be empty");
    invalid(refused("name: g\nrules: [{alert: A}]").await, "field 'expr' must be set in rule");
    invalid(refused("name: g\ninterval: 5x\nrules: []").await, "not a valid duration string");
    world.limits.lock().max_rules_per_group = 1;
    let two = format!("{POSTED}- record: q\n  expr: vector(1)\n");
    invalid(refused(&two).await, "per-user rules per rule group limit (limit: 1 actual: 2) exceeded");
    world.limits.lock().max_groups = 1;
    invalid(refused(POSTED).await, "per-user rule groups limit (limit: 1 actual: 2) exceeded");
    world.limits.lock().max_groups = 2;
    world.ruler.set_group(&tenant, "n", POSTED).await.unwrap();
    // Replacing one is no further group.
    world.ruler.set_group(&tenant, "n", POSTED).await.unwrap();
    let long = "n".repeat(300);
    world.limits.lock().max_groups = 0;
    let error = world.ruler.set_group(&tenant, &long, POSTED).await.unwrap_err();
    invalid(error, "too long");
}

#[tokio::test]
async fn groups_of_files_are_read_only_and_win_over_posted_ones() {
    let stores = Stores::new();
    let (world, tenant) = (World::new(&stores).await, Tenant::single());
    world.ruler.set_group(&tenant, "errors.yml", &POSTED.replace("posted", "errors")).await.unwrap();
    stores.write("fake/errors.yml", ERRORS);
    world.ruler.reload().await;
    let groups = world.ruler.groups(&tenant);
    assert_eq!((groups.len(), groups[0].rules.len()), (1, 2));
    let error = world.ruler.set_group(&tenant, "errors.yml", &POSTED.replace("posted", "errors")).await;
    assert!(matches!(error, Err(GroupError::ReadOnly(_))), "{error:?}");
    let error = world.ruler.delete_group(&tenant, "errors.yml", "errors").await;
    assert!(matches!(error, Err(GroupError::ReadOnly(_))), "{error:?}");
    world.ruler.delete_namespace(&tenant, "errors.yml").await.unwrap();
    let error = world.ruler.delete_namespace(&tenant, "errors.yml").await;
    assert!(matches!(error, Err(GroupError::ReadOnly(_))), "{error:?}");
}

#[tokio::test]
async fn queries_look_back_by_the_delay_of_the_tenant() {
    let stores = Stores::new();
    stores.write(
        "fake/r.yml",
        r#"groups: [{name: g, rules: [{record: r, expr: 'count_over_time({app="a"}[1m])'}]}]"#,
    );
    stores.push("fake", "a", MINUTE, "x");
    let world = World::new(&stores).await;
    world.limits.lock().evaluation_delay_ms = MINUTE;
    world.ruler.reload().await;
    world.at(2).await;
    assert_eq!(stores.samples(&[("__name__", "r"), ("app", "a")]), [(MINUTE, Some(1.0))]);
}

#[tokio::test]
async fn while_it_runs_new_tenants_are_evaluated_too() {
    let stores = Stores::new();
    let world = World::new(&stores).await;
    let rules = |expr: &str| format!("name: g\ninterval: 10ms\nrules: [{{record: r, expr: {expr}}}]");
    stores.write("of-file/r.yml", &format!("groups: [{{{}}}]", rules("vector(1)").replace('\n', ", ")));
    let (ruler, cancel) = (world.ruler.clone(), CancellationToken::new());
    let until = cancel.clone();
    let running = tokio::spawn(async move { ruler.run(until).await });
    let (of_file, posted) = (Tenant::new("of-file").unwrap(), Tenant::new("posted").unwrap());
    let evaluated = |tenant: &Tenant| {
        world.ruler.groups(tenant).first().is_some_and(|g| g.rules[0].health == RuleHealth::Ok)
    };
    for step in 0..1000 {
        if step == 10 {
            world.ruler.set_group(&posted, "n", &rules("vector(2)")).await.unwrap();
        }
        if evaluated(&of_file) && evaluated(&posted) {
            break;
        }
        world.now.fetch_add(10, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(evaluated(&of_file) && evaluated(&posted));
    cancel.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_no_fault() {
    let folder = reba_rules::logs::RuleFolder::read(Path::new("/nonexistent/rules"), &Variables::default());
    assert!(folder.errors.is_empty() && folder.warnings.len() == 1);
}

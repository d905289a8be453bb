#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! Rules beside the real promtool: what our groups yield is written down as a unit test, and promtool must agree.
//!
//! The binary is Debian's (`prometheus`, unpacked into `target/peers` or the folder named by `REBA_PEERS`); without it the
//! tests say so and pass.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use reba_query::{EngineConfig, QueryEngine};
use reba_rules::{
    EngineQuerier, FileOptions, ManagerOptions, Parts, RuleFile, RuleManager, RuleQuerier, RuleSample,
    RuleSettings, SampleValue,
};
use reba_storage::{AppendMode, FloatSample, MetricAppender, WriteBatch};
use reba_testkit::{MemStore, SeriesValue, parse_series};
use serde_json::{Value, json};
use tokio::sync::mpsc;

const MINUTE: i64 = 60_000;

fn promtool() -> Option<PathBuf> {
    let folder = std::env::var_os("REBA_PEERS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/peers"), PathBuf::from);
    let path = folder.join("usr/bin/promtool");
    path.is_file().then_some(path)
}

/// Our rules over the RAM store, fed with series a minute apart.
struct Ours {
    store: Arc<MemStore>,
    querier: EngineQuerier,
    manager: RuleManager,
    input: Vec<String>,
    _alerts: mpsc::Receiver<reba_model::AlertBatch>,
}

impl Ours {
    async fn new(rules: &str, input: Vec<String>) -> Self {
        let store = Arc::new(MemStore::default());
        let engine = QueryEngine::new(store.clone(), EngineConfig::default()).unwrap();
        let querier = EngineQuerier::new(Arc::new(engine));
        let (alerts, receiver) = mpsc::channel(10_000);
        let parts = Parts {
            querier: Arc::new(querier.clone()),
            store: store.clone(),
            appender: store.clone(),
            alerts,
            clock: Arc::new(|| 0),
        };
        let manager = RuleManager::new(parts, ManagerOptions::default());
        let settings = RuleSettings {
            interval: MINUTE,
            query_offset: 0,
            external_labels: reba_model::Labels::from_pairs([("dc", "kgl")]),
            external_url: "http://h:9090/p".to_owned(),
        };
        // Groups of a later load have nothing to restore, as under promtool.
        manager.apply(&[], &settings).await;
        let file = RuleFile::parse("r.yml", rules, &FileOptions::default()).unwrap();
        manager.apply(&[file], &settings).await;
        Ours { store, querier, manager, input, _alerts: receiver }
    }

    /// Loads the input of minute `m` and evaluates all rules.
    async fn minute(&self, m: i64) {
        let mut batch = WriteBatch::default();
        for line in &self.input {
            let line = parse_series(line).unwrap();
            if let Some(SeriesValue::Float(v)) = line.values.get(m as usize) {
                let series = self.store.series_ref(&line.labels).unwrap();
                batch.floats.push(FloatSample { series, t: m * MINUTE, v: *v });
            }
        }
        self.store.append(&batch, AppendMode::Partial).unwrap();
        self.manager.evaluate_once(m * MINUTE).await;
    }

    /// What a query answers now, as promtool's expectation.
    async fn expectation(&self, expr: &str, m: i64) -> Value {
        let samples = self.querier.instant(expr, m * MINUTE).await.unwrap();
        let sample = |s: &RuleSample| {
            let SampleValue::Float(v) = s.value else { panic!("a histogram") };
            let labels: Vec<String> = s.labels.iter().map(|(n, v)| format!("{n}={v:?}")).collect();
            json!({"labels": format!("{{{}}}", labels.join(",")), "value": v})
        };
        json!({"expr": expr, "eval_time": format!("{m}m"), "exp_samples": samples.iter().map(sample).collect::<Vec<_>>()})
    }

    fn input_json(&self) -> Vec<Value> {
        let split = |line: &String| {
            let (series, values) = line.split_once(' ').unwrap();
            json!({"series": series, "values": values})
        };
        self.input.iter().map(split).collect()
    }
}

/// Has promtool run a test; panics with its output if it disagrees.
fn must_agree(promtool: &Path, rules: &str, test: &Value) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("r.yml"), rules).unwrap();
    let file = json!({"rule_files": ["r.yml"], "evaluation_interval": "1m", "tests": [test]});
    let path = folder.path().join("t.yml");
    std::fs::write(&path, file.to_string()).unwrap();
    let output = Command::new(promtool).args(["test", "rules"]).arg(&path).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{rules}\n{file}");
}

#[tokio::test]
async fn alerts_live_as_under_promtool() {
    let Some(promtool) = promtool() else {
        println!("skipped: no promtool in target/peers");
        return;
    };
    for seed in 0..6 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut rules = String::from("groups:\n- name: g\n  rules:\n");
        for i in 0..4 {
            let (hold, keep) = (random.random_range(0..5), random.random_range(0..4));
            rules.push_str(&format!(
                "  - alert: A{i}\n    expr: x{i} > 0\n    for: {hold}m\n    keep_firing_for: {keep}m\n    labels: {{v: \"{{{{ $labels.n }}}}!\"}}\n"
            ));
            rules.push_str(&format!("  - record: r{i}\n    expr: x{i} * 2 > 0\n    labels: {{n: z{i}}}\n"));
        }
        let mut input = Vec::new();
        for i in 0..4 {
            // Long and short runs of values and of absence. Gaps end before the five minutes of the lookback, whose last
            // millisecond 3.x counts otherwise than the promtool at hand.
            let mut values: Vec<&str> = Vec::new();
            while values.len() < 40 {
                let word = ["0", "1", "2", "stale", "_"][random.random_range(0..5)];
                let longest = if word == "_" { 4 } else { 6 };
                values.extend(vec![word; random.random_range(1..longest)]);
                if word == "_" {
                    values.push("1");
                }
            }
            let values = values.join(" ");
            input.push(format!("x{i}{{n=\"{i}\"}} {values}"));
        }
        let ours = Ours::new(&rules, input).await;
        let mut expectations = Vec::new();
        for m in 0..40 {
            ours.minute(m).await;
        }
        for m in 0..40 {
            for expr in ["ALERTS", "ALERTS_FOR_STATE", "{__name__=~\"r[0-9]\"}"] {
                expectations.push(ours.expectation(expr, m).await);
            }
        }
        let test =
            json!({"interval": "1m", "input_series": ours.input_json(), "promql_expr_test": expectations});
        must_agree(&promtool, &rules, &test);
    }
}

/// Texts of annotations: the functions, Go's builtins, values of many sizes. A missing field of the data itself is left
/// out: the message names the type of the data, which is another one in 3.x.
const TEMPLATES: &[&str] = &[
    "{{ $value }} {{ $labels.n }} {{ $labels.none }}| {{ .Value }} {{ .Labels.n }} {{ $labels }}",
    "{{ $value | humanize }} {{ $value | humanize1024 }} {{ $value | humanizeDuration }}",
    "{{ $value | humanizePercentage }} {{ $value | humanizeTimestamp }}",
    "{{ printf \"%.2f %5.1f|%e|%g|%v\" $value $value $value $value $value }}",
    "{{ if gt $value 100.0 }}large{{ else if lt $value 0.0 }}negative{{ else }}small{{ end }}",
    "{{ with query \"sum(x)\" }}{{ . | first | value | printf \"%.1f\" }}{{ end }}",
    "{{ range query \"x\" | sortByLabel \"n\" }}{{ .Labels.n }}={{ .Value }},{{ end }}",
    "{{ range $i, $e := query \"x\" | sortByLabel \"n\" }}{{ if $i }} {{ end }}{{ $e | label \"n\" }}{{ end }}",
    "{{ $labels.n | toUpper | title }} {{ title \"a b_c d-e\" }} {{ match \"^s\" $labels.n }} {{ reReplaceAll \"(.)e\" \"<$1>\" $labels.n }}",
    "{{ $externalLabels.dc }} {{ $externalURL }} {{ graphLink \"a{b=\\\"c\\\"} > 1\" }} {{ tableLink \"x\" }}",
    "{{ stripPort \"h.example.org:80\" }} {{ stripDomain \"h.example.org:80\" }} {{ parseDuration \"1h30m\" }}",
    "{{ len $labels }} {{ index $labels \"n\" }} {{ eq $labels.n \"small\" \"huge\" }} {{ and true $labels.n }} {{ or \"\" \"b\" }}",
    "{{ define \"t\" }}<{{ .arg0 }}-{{ .arg1 }}>{{ end }}{{ template \"t\" (args $value \"b\") }}",
    "{{ html \"<a>\" }} {{ urlquery \"a b\" }} {{ js \"'\" }} {{ print 1 2 \"c\" }} {{ $value | printf \"%v\" | len }}",
    "{{ $x := 1 }}{{ range query \"x\" }}{{ $x = 2 }}{{ end }}{{ $x }}{{- \" trimmed\" -}}   !",
    "{{ humanize \"oops\" }}",
    "{{ query \"none\" | first }}",
    "{{ $value.none }}",
    "{{ query \"sum(\" }}",
    "{{ template \"nowhere\" }}",
    "{{ slice $labels.n 1 2 }} {{ slice $labels.n 9 }}",
];

const VALUES: &[(&str, &str)] = &[
    ("tiny", "0.000001234"),
    ("small", "0.5"),
    ("one", "1"),
    ("seconds", "93784.5"),
    ("million", "1000000"),
    ("huge", "1.5e+15"),
    ("minus", "-12345.678"),
    ("time", "1435065584.128"),
    ("inf", "Inf"),
    ("nan", "NaN"),
];

#[tokio::test]
async fn templates_print_as_under_promtool() {
    let Some(promtool) = promtool() else {
        println!("skipped: no promtool in target/peers");
        return;
    };
    let annotations: BTreeMap<String, &str> =
        TEMPLATES.iter().enumerate().map(|(i, t)| (format!("a{i:02}"), *t)).collect();
    let rule = json!({"alert": "A", "expr": "x", "labels": {"l": "{{ $labels.n }}-{{ $value | humanize }}"}, "annotations": annotations});
    let rules = json!({"groups": [{"name": "g", "rules": [rule]}]}).to_string();
    let mut input: Vec<String> = VALUES.iter().map(|(n, v)| format!("x{{n=\"{n}\"}} {v}")).collect();
    let mut random = StdRng::seed_from_u64(1);
    for i in 0..150 {
        let size = 10f64.powi(random.random_range(-12..18));
        let sign = if random.random_bool(0.2) { -1.0 } else { 1.0 };
        input.push(format!("x{{n=\"s{i:03}\"}} {:e}", sign * size * random.random_range(1.0..10.0)));
    }
    let count = input.len();
    let ours = Ours::new(&rules, input).await;
    ours.minute(0).await;
    let pairs = |labels: &reba_model::Labels| -> BTreeMap<String, String> {
        labels.iter().filter(|(n, _)| *n != "alertname").map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    };
    let alerts = ours.manager.alerts();
    assert_eq!(alerts.len(), count);
    let expected: Vec<Value> = alerts
        .iter()
        .map(|a| json!({"exp_labels": pairs(&a.labels), "exp_annotations": pairs(&a.annotations)}))
        .collect();
    let test = json!({
        "interval": "1m", "input_series": ours.input_json(),
        "external_labels": {"dc": "kgl"}, "external_url": "http://h:9090/p",
        "alert_rule_test": [{"eval_time": "0m", "alertname": "A", "exp_alerts": expected}],
    });
    must_agree(&promtool, &rules, &test);
}

/// Rules in the braces of a group's only rule.
const RULES: &[&str] = &[
    "record: a, expr: up",
    "record: a-b, expr: up",
    "record: 1a, expr: up",
    "alert: 'My Alert!', expr: up",
    "alert: A, expr: up, for: 1m, keep_firing_for: 2m",
    "record: a, expr: up, keep_firing_for: 2m",
    "record: a, expr: up, for: 2m",
    "record: a, expr: up, annotations: {a: b}",
    "alert: A, expr: up, labels: {a-b: c}",
    "alert: A, expr: up, labels: {__name__: c}",
    "alert: A, expr: up, annotations: {a-b: c}",
    "alert: A, expr: up, annotations: {__name__: c}",
    "record: a, expr: up, labels: {a: '{{ bad'}",
    "alert: A, expr: up, labels: {a: '{{ bad'}",
    "alert: A, expr: up, labels: {a: '{{ $labels.x }}'}",
    "alert: A, expr: up, annotations: {a: '{{ $lables.x }}'}",
    "alert: A, expr: up, annotations: {a: '{{ template \"x\" }}'}",
    "alert: A",
    "expr: up",
    "record: a, alert: b, expr: up",
    "record: a, expr: 'sum('",
    "record: a, expr: 'up[5m]'",
    "record: a, expr: 1",
    "alert: A, expr: up, for: 5",
    "alert: A, expr: up, for: 0",
    "alert: A, expr: up, for: 1.5h",
    "alert: A, expr: up, labels: {a: 1, b: true, c: 1.50, d: null}",
    "alert: A, expr: up, labels: [a]",
    "alert: A, expr: up, foo: bar",
    "alert: A, expr: [up]",
    "alert: A, expr: '{}'",
];

/// Whole files.
const FILES: &[&str] = &[
    "",
    "groups:\n",
    "groups: {}\n",
    "foo: bar\n",
    "groups:\n- name: g\n",
    "groups:\n- rules: []\n",
    "groups:\n- name: g\n- name: g\n",
    "groups:\n- name: g\n  interval: 5x\n",
    "groups:\n- name: g\n  interval: 0s\n  limit: 5\n",
    "groups:\n- name: 5\n  rules: [{record: a, expr: up}]\n",
    "groups:\n- name: g\n  name: h\n",
    "groups:\n-\n",
    "groups:\n- name: g\n  rules:\n  -\n",
    "groups:\n- name: g\n  rules: &r\n  - {record: a, expr: up}\n- name: h\n  rules: *r\n",
];

#[test]
fn files_are_accepted_and_refused_as_under_promtool() {
    let Some(promtool) = promtool() else {
        println!("skipped: no promtool in target/peers");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.yml");
    let whole = RULES.iter().map(|rule| format!("groups:\n- name: g\n  rules:\n  - {{{rule}}}\n"));
    let options = FileOptions { names: reba_model::NameScheme::Legacy, ..FileOptions::default() };
    let mut wrong = Vec::new();
    for text in whole.chain(FILES.iter().map(|f| (*f).to_owned())) {
        std::fs::write(&path, &text).unwrap();
        let output =
            Command::new(&promtool).args(["check", "rules", "--lint=none"]).arg(&path).output().unwrap();
        let ours = RuleFile::parse("r.yml", &text, &options);
        if ours.is_ok() != output.status.success() {
            wrong.push(format!("{text}\n{ours:?}\n{}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

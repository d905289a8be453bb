#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! Upstream's rule unit tests on the real query engine over the RAM store.

use std::{path::Path, sync::Arc};

use reba_config::Variables;
use reba_query::{EngineConfig, QueryEngine};
use reba_rules::{
    EngineQuerier, FileOptions, SampleValue,
    unit_test::{InputValues, TestResult, TestStore, Workshop, run_file},
};
use reba_testkit::{MemStore, SeriesValue, Tally, conformance_dir, parse_series};

fn new_store(interval: i64) -> Result<TestStore, String> {
    let store = Arc::new(MemStore::default());
    let config = EngineConfig { subquery_step_ms: interval, ..EngineConfig::default() };
    let engine = QueryEngine::new(store.clone(), config).map_err(|e| e.to_string())?;
    let querier = Arc::new(EngineQuerier::new(Arc::new(engine)));
    Ok(TestStore { store: store.clone(), appender: store, querier })
}

fn series(line: &str) -> Result<InputValues, String> {
    let line = parse_series(line).map_err(|e| e.to_string())?;
    let value = |v: SeriesValue| match v {
        SeriesValue::Omitted => None,
        SeriesValue::Float(v) => Some(SampleValue::Float(v)),
        SeriesValue::Histogram(h, _) => Some(SampleValue::Histogram(h)),
    };
    Ok((line.labels, line.values.into_iter().map(value).collect()))
}

async fn run(path: &Path, selected: &str) -> Result<Vec<TestResult>, String> {
    let workshop = Workshop {
        new_store: &new_store,
        parse_series: &series,
        options: FileOptions::default(),
        variables: Variables::default(),
    };
    run_file(path, &workshop, &|name| name.contains(selected)).await
}

#[tokio::test]
async fn rule_unit_tests_pass_and_fail_as_under_promtool() {
    let given = std::env::var("REBA_CONFORMANCE").ok();
    let Some(folder) = conformance_dir(given.as_deref(), env!("CARGO_MANIFEST_DIR"), "promtool") else {
        println!("promtool skipped: the conformance data is not there");
        return;
    };
    // File, which tests by name, whether promtool passes them.
    let verdicts = [
        ("unittest.yml", "", true),
        ("long-period.yml", "", true),
        ("no-test-group-interval.yml", "", true),
        ("at-modifier-test.yml", "", true),
        ("negative-offset-test.yml", "", true),
        ("start-time-test.yml", "", true),
        ("bad-input-series.yml", "", false),
        ("bad-promql.yml", "", false),
        ("bad-rules-error-test.yml", "", false),
        ("bad-rules-syntax-test.yml", "", false),
        ("failing.yml", "", false),
        ("rules_run.yml", "correct", true),
        ("rules_run.yml", "wrong", false),
        ("rules_run_fuzzy.yml", "correct", true),
        ("rules_run_fuzzy.yml", "wrong", false),
        ("rules_run_no_fuzzy.yml", "", false),
        ("rules_run_extrafields.yml", "", false),
    ];
    let mut tally = Tally { passed: 0, failed: 0, skipped: 0 };
    let mut wrong = Vec::new();
    for (name, selected, passes) in verdicts {
        let result = run(&folder.join(name), selected).await;
        let passed = result.as_ref().is_ok_and(|tests| tests.iter().all(|t| t.failures.is_empty()));
        tally.count(passed == passes);
        if passed != passes {
            wrong.push(format!("{name} {selected}: {result:#?}"));
        }
    }
    // With `--ignore-unknown-fields` this file passes; that flag is not there.
    tally.skipped += 1;
    println!("promtool {tally}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn failures_say_what_was_expected_and_what_came() {
    let folder = tempfile::tempdir().unwrap();
    let rules = "groups: [{name: g, rules: [{alert: A, expr: x > 1, labels: {l: '{{ $value }}'}}]}]";
    std::fs::write(folder.path().join("r1.yml"), rules).unwrap();
    let test = r#"
rule_files: ["r?.y*"]
tests:
- input_series: [{series: 'x{a="b"}', values: 1 2}]
  promql_expr_test: [{expr: x, eval_time: 1m, exp_samples: [{labels: 'x{a="b"}', value: 3}]}]
  alert_rule_test: [{eval_time: 1m, alertname: A, exp_alerts: [{exp_labels: {a: b, l: 3}}]}]
"#;
    let path = folder.path().join("t.yml");
    std::fs::write(&path, test).unwrap();
    let results = run(&path, "").await.unwrap();
    assert_eq!(results[0].name, "unnamed#0");
    let failures = &results[0].failures;
    assert!(
        failures[0].contains("alertname: A, time: 1m") && failures[0].contains(r#"l="2""#),
        "{failures:?}"
    );
    assert_eq!(
        failures[1],
        "    expr: \"x\", time: 1m,\n        exp: {__name__=\"x\", a=\"b\"} 3e+00\n        got: {__name__=\"x\", a=\"b\"} 2e+00"
    );
}

#[tokio::test]
async fn the_alerts_that_come_with_the_product_pass_their_tests() {
    for file in ["alerts_test.yml", "slos_test.yml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../monitoring/prometheus").join(file);
        let results = run(&path, "").await.unwrap();
        assert!(!results.is_empty(), "{file}");
        for result in results {
            assert!(result.failures.is_empty(), "{}:\n{}", result.name, result.failures.join("\n"));
        }
    }
}

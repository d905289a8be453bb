#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! Rule files: what is accepted, and how faults are reported.

use std::path::PathBuf;

use proptest::prelude::*;
use reba_rules::{FileOptions, RuleFile, RuleKind, describe_duplicates};

fn errors(text: &str) -> Vec<String> {
    match RuleFile::parse("r.yml", text, &FileOptions::default()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_file_with_everything_is_read() {
    let text = r#"
groups:
- name: g
  interval: 30s
  query_offset: 10s
  limit: 5
  labels: {team: infra, sev: low}
  rules:
  - record: job:up:sum
    expr: sum  by(job) (up)
    labels: {sev: high}
  - alert: Down
    expr: |
      up
        == 0
    for: 1m30s
    keep_firing_for: 5m
    labels: {n: 1}
    annotations: {summary: "{{ $labels.job }}"}
"#;
    let file = RuleFile::parse("r.yml", text, &FileOptions::default()).unwrap();
    let group = &file.groups[0];
    assert_eq!((group.interval, group.query_offset, group.limit), (Some(30_000), Some(10_000), 5));
    assert_eq!(group.rules[0].query, "sum by (job) (up)");
    assert_eq!(group.rules[0].labels.to_string(), r#"{sev="high", team="infra"}"#);
    assert_eq!(group.rules[1].query, "up == 0");
    assert_eq!(group.rules[1].labels.to_string(), r#"{n="1", sev="low", team="infra"}"#);
    let RuleKind::Alerting(alerting) = &group.rules[1].kind else { panic!() };
    assert_eq!((alerting.hold, alerting.keep_firing_for), (90_000, 300_000));
    assert_eq!(errors(""), [""; 0]);
    assert_eq!(errors("groups:"), [""; 0]);
}

#[test]
fn faults_name_file_line_column_group_and_rule() {
    for (text, expected) in [
        (
            "groups:\n- name: g\n  rules:\n  - record: a\n    expr: 'test +'\n",
            r#"r.yml:5:11: group "g", rule 1, "a": could not parse expression: 1:7: parse error: unexpected end of input"#,
        ),
        (
            "groups:\n- name: g\n  rules:\n  - record: a\n",
            r#"r.yml:4:5: group "g", rule 1, "a": field 'expr' must be set in rule"#,
        ),
        (
            "groups:\n- name: g\n  rules:\n  - record: a\n    alert: b\n    expr: up\n",
            r#"r.yml:4:13: group "g", rule 1, "b": only one of 'record' and 'alert' must be set"#,
        ),
        (
            "groups:\n- name: g\n  rules:\n  - expr: up\n",
            r#"r.yml:4:5: group "g", rule 1, "": one of 'record' or 'alert' must be set"#,
        ),
        (
            "groups:\n- name: g\n  rules:\n  - {record: a, expr: up, for: 1m}\n",
            r#"r.yml:4:14: group "g", rule 1, "a": invalid field 'for' in recording rule"#,
        ),
        (
            "groups:\n- name: g\n  rules:\n  - {record: a, expr: up, annotations: {a: b}}\n",
            r#"r.yml:4:14: group "g", rule 1, "a": invalid field 'annotations' in recording rule"#,
        ),
        (
            "groups:\n- name: g\n  rules:\n  - {record: 'up{a=\"b\"}', expr: up}\n",
            r#"r.yml:4:14: group "g", rule 1, "up{a=\"b\"}": braces present in the recording rule name; should it be in expr?: up{a="b"}"#,
        ),
        (
            "groups:\n- name: g\n  rules:\n  - {record: a, expr: up, labels: {__name__: x}}\n",
            r#"r.yml:4:5: group "g", rule 1, "a": invalid label name: __name__"#,
        ),
        (
            "groups:\n- name: g\n  rules:\n  - {alert: A, expr: up, annotations: {x: \"{{ $foo }}\"}}\n",
            r#"r.yml:4:5: group "g", rule 1, "A": annotation "x": template: __alert_A:1: undefined variable "$foo""#,
        ),
        ("groups:\n- name: g\n- name: g\n", "r.yml:3:3: groupname: \"g\" is repeated in the same file"),
        ("groups:\n- rules: []\n", "r.yml:2:3: Groupname must not be empty"),
    ] {
        assert_eq!(errors(text), [expected], "{text}");
    }
    for (text, at, part) in [
        ("groups:\n- name: g\n  rulez: []\n", "r.yml:3:3: ", "rulez"),
        ("groups:\n- name: g\n  interval: 5x\n", "r.yml:3:13: ", "not a valid duration string"),
        ("groups:\n- name: g\n  rules:\n  - {alert: A, expr: up, expr: down}\n", "r.yml:4:", "expr"),
        ("groups: 5\n", "r.yml:1:9: ", ""),
        ("groups: [\n", "r.yml:", ""),
    ] {
        let found = errors(text);
        assert!(found.len() == 1 && found[0].starts_with(at) && found[0].contains(part), "{text}: {found:?}");
    }
}

#[test]
fn all_faults_are_reported_at_once() {
    let text = "groups:\n- name: g\n  rules:\n  - {record: a, expr: '('}\n  - {alert: B}\n- name: g\n";
    assert_eq!(errors(text).len(), 3);
}

/// The folder with upstream's test data; `None` if it is not there.
fn conformance() -> Option<PathBuf> {
    let folder = std::env::var_os("REBA_CONFORMANCE").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
        PathBuf::from,
    );
    let folder = folder.join("promtool");
    folder.is_dir().then_some(folder)
}

#[test]
fn check_rules_agrees_with_promtool() {
    let Some(folder) = conformance() else {
        println!("promtool skipped: the conformance data is not there");
        return;
    };
    // File, and whether `promtool check rules --lint=none` accepts it.
    let verdicts = [
        ("rules.yml", true),
        ("rules-bad.yml", false),
        ("rules_duplicates.yml", true),
        ("rules_extrafields.yml", false),
        ("prometheus-rules.lint.yml", true),
        ("bad-rules-error.yml", true),
        ("bad-rules-syntax.yml", false),
        ("at-modifier.yml", true),
        ("negative-offset.yml", true),
    ];
    let mut failed = Vec::new();
    for (name, accepted) in verdicts {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let result = RuleFile::parse(name, &text, &FileOptions::default());
        if result.is_ok() != accepted {
            failed.push(format!("{name}: {result:?}"));
        }
    }
    let text = std::fs::read_to_string(folder.join("rules_duplicates.yml")).unwrap();
    let duplicates = RuleFile::parse("d", &text, &FileOptions::default()).unwrap().duplicates();
    let expected = "1 duplicate rule(s) found.\nMetric: job:test:count_over_time1m\nLabel(s):\nMight cause inconsistency while recording expressions";
    if describe_duplicates(&duplicates) != expected {
        failed.push(format!("rules_duplicates.yml: {duplicates:?}"));
    }
    println!(
        "promtool check rules passed {} failed {} skipped 0",
        verdicts.len() + 1 - failed.len(),
        failed.len()
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_is_read_without_panic(text in "[-a-z:{}\\[\\]\"' \n|>&*!#%0-9]{0,120}") {
        let _ = RuleFile::parse("x", &text, &FileOptions::default());
        let _ = RuleFile::parse("x", &format!("groups:\n- name: g\n  rules:\n  - {text}"), &FileOptions::default());
    }
}

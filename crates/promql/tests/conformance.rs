//! Runs upstream's scripts over the RAM store.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod support;

use std::collections::BTreeMap;

use reba_promql::eval::{Inline, Threads};
use reba_testkit::{Tally, conformance_dir, run_script, script_files};
use support::MemEngine;

/// Scripts about features that upstream calls experimental.
const EXPERIMENTAL: [&str; 6] =
    ["duration_expression", "extended_vectors", "fill-modifier", "info", "start_timestamps", "type_and_unit"];

/// Deviations that are accepted: `script:line` and the reason.
const DEVIATIONS: &str = include_str!("deviations.txt");

fn deviations() -> BTreeMap<&'static str, &'static str> {
    let lines = DEVIATIONS.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines.map(|l| l.split_once(' ').expect("a deviation needs a reason")).collect()
}

#[test]
fn every_evaluation_of_the_conformance_scripts_gives_upstreams_result() {
    let given = std::env::var("REBA_CONFORMANCE").ok();
    let Some(dir) = conformance_dir(given.as_deref(), env!("CARGO_MANIFEST_DIR"), "promql") else {
        println!("promql passed 0 failed 0 skipped 1 (no conformance data)");
        return;
    };
    let only = std::env::var("REBA_SCRIPT").unwrap_or_default();
    let deviations = deviations();
    let (mut stable, mut experimental) = (Tally::default(), Tally::default());
    let mut failures = Vec::new();
    let mut unused: BTreeMap<&str, &str> = deviations.clone();
    for (name, text) in script_files(&dir).unwrap() {
        if !name.contains(&only) {
            continue;
        }
        let mut engine = MemEngine::new(&Inline);
        engine.type_and_unit_labels = name == "type_and_unit";
        for case in run_script(&text, &mut engine).unwrap() {
            let is_experimental = case.experimental || EXPERIMENTAL.contains(&name.as_str());
            let id = format!("{name}:{}", case.line);
            let tally = if is_experimental { &mut experimental } else { &mut stable };
            match case.result {
                Err(reason) if deviations.contains_key(id.as_str()) => {
                    unused.remove(id.as_str());
                    println!("deviation {id} {} ({reason})", deviations[id.as_str()]);
                    tally.skipped += 1;
                }
                Err(reason) => {
                    println!("failed {id} {}: {reason}", case.expr);
                    tally.failed += 1;
                    if !is_experimental {
                        failures.push(id);
                    }
                }
                Ok(()) => tally.passed += 1,
            }
        }
    }
    // On lines of their own, whatever the test runner has printed before.
    println!("\npromql {stable}\npromql-experimental {experimental}");
    assert!(failures.is_empty(), "{} evaluations differ: {failures:?}", failures.len());
    assert!(!only.is_empty() || unused.is_empty(), "deviations that are none any more: {unused:?}");
}

#[test]
fn threads_change_no_result() {
    let given = std::env::var("REBA_CONFORMANCE").ok();
    let Some(dir) = conformance_dir(given.as_deref(), env!("CARGO_MANIFEST_DIR"), "promql") else { return };
    let text = std::fs::read_to_string(dir.join("aggregators.test")).unwrap();
    let threads = Threads(3);
    let mut engine = MemEngine::new(&threads);
    let failed = run_script(&text, &mut engine).unwrap().into_iter().filter(|c| c.result.is_err()).count();
    assert_eq!(failed, 0);
}

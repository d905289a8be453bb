//! Runs upstream's scripts over the RAM store.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod support;

use std::{collections::BTreeMap, sync::Arc};

use reba_disk::{Env, FaultFs, ManualClock};
use reba_promql::eval::{Inline, Threads};
use reba_testkit::{MetricStore, Tally, conformance_dir, run_script, script_files};
use reba_tsdb::{Tsdb, TsdbConfig};
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

/// The embedded store, in memory.
fn open_tsdb() -> Box<dyn MetricStore> {
    let env = Env { fs: Arc::new(FaultFs::new()), clock: Arc::new(ManualClock::new(0)) };
    Box::new(Tsdb::open(&env, "/data", TsdbConfig::unbounded(), &|_, _| {}).unwrap())
}

#[test]
fn the_conformance_scripts_give_the_same_over_the_embedded_store() {
    let given = std::env::var("REBA_CONFORMANCE").ok();
    let Some(dir) = conformance_dir(given.as_deref(), env!("CARGO_MANIFEST_DIR"), "promql") else { return };
    let (mut tally, mut differences) = (Tally::default(), Vec::new());
    for (name, text) in script_files(&dir).unwrap() {
        let mut stores = [MemEngine::new(&Inline), MemEngine::over(&Inline, open_tsdb)];
        for store in &mut stores {
            store.type_and_unit_labels = name == "type_and_unit";
        }
        let [ram, tsdb] = stores.map(|mut engine| run_script(&text, &mut engine).unwrap());
        for (ram, tsdb) in ram.into_iter().zip(tsdb) {
            // What the RAM store fails at is the business of the other test.
            if ram.result.is_ok() {
                tally.count(tsdb.result.is_ok());
                differences
                    .extend(tsdb.result.err().map(|e| format!("{name}:{} {}: {e}", tsdb.line, tsdb.expr)));
            }
        }
    }
    println!("\npromql-tsdb {tally}");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
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

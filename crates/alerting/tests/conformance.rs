//! Upstream's configuration files, read in place: routes go where upstream's go, and what upstream refuses is refused.
//!
//! Receivers are another crate's business; here only those parts of the files count that say who hears of what.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::{fs, path::PathBuf};

use reba_alerting::{
    config::{InhibitSection, IntervalSection, RouteSection, Routing, Sections},
    matchers::Grammar,
};
use reba_model::Labels;
use reba_testkit::{Tally, conformance_dir};
use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    route: Option<RouteSection>,
    inhibit_rules: Option<Vec<InhibitSection>>,
    time_intervals: Option<Vec<IntervalSection>>,
    mute_time_intervals: Option<Vec<IntervalSection>>,
    receivers: Vec<Receiver>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Receiver {
    name: String,
}

fn load(path: &PathBuf) -> Result<Routing, String> {
    let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let file: File = reba_config::read(&text, path).map_err(|e| e.to_string())?;
    let sections = Sections {
        route: file.route,
        inhibit_rules: file.inhibit_rules,
        time_intervals: file.time_intervals,
        mute_time_intervals: file.mute_time_intervals,
    };
    let names: Vec<&str> = file.receivers.iter().map(|r| r.name.as_str()).collect();
    let checked = Routing::new(&sections, &names, Grammar::Fallback).map_err(|e| e.to_string())?;
    assert_eq!(checked.warnings, [], "{}", path.display());
    Ok(checked.routing)
}

/// A folder of the suites; none where they are not, which `.ci/run` does not let pass.
fn folder(suite: &str) -> Option<PathBuf> {
    let given = std::env::var("REBA_CONFORMANCE").ok();
    let found = conformance_dir(given.as_deref(), env!("CARGO_MANIFEST_DIR"), suite);
    if found.is_none() {
        println!("{suite} passed 0 failed 0 skipped 1 (no conformance data)");
    }
    found
}

fn receivers(routing: &Routing, labels: &[(&str, &str)]) -> Vec<String> {
    let found = routing.matching(&Labels::from_pairs(labels.iter().copied()));
    found.into_iter().map(|i| routing.routes()[i].receiver.clone()).collect()
}

#[test]
fn the_trees_of_upstreams_routing_tests_route_as_upstream_does() {
    let Some(dir) = folder("alertmanager-routing") else { return };
    let mut tally = Tally::default();
    // What upstream's own test of these files expects.
    let cases: [(&str, &str, &[&str]); 6] = [
        ("conf.routing.yml", "1", &["test1"]),
        ("conf.routing.yml", "2", &["test1", "test2"]),
        ("conf.routing.yml", "volovina", &["default"]),
        ("conf.routing-reverted.yml", "1", &["test1"]),
        ("conf.routing-reverted.yml", "2", &["test2", "test1"]),
        ("conf.good.yml", "thing", &["default"]),
    ];
    for (file, test, want) in cases {
        let found = receivers(&load(&dir.join(file)).unwrap(), &[("test", test)]);
        if found != want {
            println!("failed {file} test={test}: {found:?}");
        }
        tally.count(found == want);
    }
    tally.count(load(&dir.join("conf.bad.yml")).is_err());
    println!("\nalertmanager-routing {tally}");
    assert_eq!(tally.failed, 0);
}

/// Files whose routes, rules or intervals are at fault, and upstream's words for it.
const REFUSED: [(&str, &str); 4] = [
    // Upstream stops earlier, at a key of the receiver.
    (
        "conf.opsgenie-default-apikey-old-team.yml",
        "undefined receiver \"escalation-Y-opsgenie\" used in route",
    ),
    ("conf.nil-match_re-route.yml", "invalid regexp value for \"invalid_label\""),
    ("conf.nil-source_match_re-inhibition.yml", "invalid regexp value for \"invalid_source_label\""),
    ("conf.nil-target_match_re-inhibition.yml", "invalid regexp value for \"invalid_target_label\""),
];

#[test]
fn the_routing_of_upstreams_configurations_is_accepted_and_refused_as_upstream_does() {
    let Some(dir) = folder("alertmanager-config") else { return };
    let mut tally = Tally::default();
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // The folder holds files of Prometheus, too; Alertmanager's begin so.
        if !name.starts_with("conf.") {
            continue;
        }
        let want = REFUSED.iter().find(|(file, _)| *file == name).map(|(_, why)| *why);
        let passed = match (load(&path), want) {
            (Ok(_), None) => true,
            (Err(error), Some(why)) => error.contains(why),
            (Ok(_), Some(why)) => {
                println!("failed {name}: accepted, and not {why}");
                false
            }
            (Err(error), None) => {
                println!("failed {name}: {error}");
                false
            }
        };
        tally.count(passed);
    }
    println!("\nalertmanager-config routes {tally}");
    assert!(tally.failed == 0 && tally.passed > 40, "{tally}");
}

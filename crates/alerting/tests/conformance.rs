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
use reba_testkit::conformance_dir;
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
        println!("skipped: no conformance data for {suite}");
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
    // Both are what upstream's own test of these files expects.
    let routing = load(&dir.join("conf.routing.yml")).unwrap();
    assert_eq!(receivers(&routing, &[("test", "1")]), ["test1"]);
    assert_eq!(receivers(&routing, &[("test", "2")]), ["test1", "test2"]);
    assert_eq!(receivers(&routing, &[("test", "volovina")]), ["default"]);
    let reverted = load(&dir.join("conf.routing-reverted.yml")).unwrap();
    assert_eq!(receivers(&reverted, &[("test", "2")]), ["test2", "test1"]);
    assert_eq!(receivers(&reverted, &[("test", "1")]), ["test1"]);
    let good = load(&dir.join("conf.good.yml")).unwrap();
    assert_eq!(receivers(&good, &[("any", "thing")]), ["default"]);
    assert!(load(&dir.join("conf.bad.yml")).is_err());
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
    let mut seen = 0;
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // The folder holds files of Prometheus, too; Alertmanager's begin so.
        if !name.starts_with("conf.") {
            continue;
        }
        seen += 1;
        let result = load(&path);
        match REFUSED.iter().find(|(file, _)| *file == name) {
            Some((_, why)) => {
                let error = result.expect_err(&name);
                assert!(error.contains(why), "{name}: {error}");
            }
            None => assert!(result.is_ok(), "{name}: {}", result.unwrap_err()),
        }
    }
    assert!(seen > 40, "{seen} files");
}

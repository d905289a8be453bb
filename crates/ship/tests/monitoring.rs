//! The `monitoring/` folder's promtail-config.yml, and what it makes of the services' lines.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, path::Path};

use reba_config::Variables;
use reba_model::Labels;
use reba_ship::{Context, Counters, Entry, ShipConfig, config::JobConfig};

const NOW: i64 = 1_800_000_000_000_000_000;

fn load(variables: &[(&str, &str)]) -> ShipConfig {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../monitoring/promtail/promtail-config.yml");
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    ShipConfig::load(&file, &Variables::new(variables)).unwrap_or_else(|e| panic!("{e}"))
}

fn job<'a>(config: &'a mut ShipConfig, name: &str) -> &'a mut JobConfig {
    config.jobs.iter_mut().find(|job| job.name == name).unwrap()
}

/// What the pipeline of the services makes of the lines of a file.
fn shipped(file: &str, lines: &[&str]) -> Vec<Entry> {
    let mut config = load(&[("REBA_DATA", "d")]);
    let pipeline = &mut job(&mut config, "services").pipeline;
    let counters = Counters::default();
    let mut cx = Context::new(NOW, "services", &counters);
    let mut out = Vec::new();
    for line in lines {
        let labels = Labels::from_pairs([("job", "services"), ("filename", file)]);
        pipeline.process(Entry::new(NOW, *line, labels), &mut cx, &mut out);
    }
    pipeline.drain(&mut cx, &mut out);
    out
}

fn metadata<'a>(entry: &'a Entry, name: &str) -> Option<&'a str> {
    entry.metadata.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

#[test]
fn the_file_is_accepted_without_a_warning() {
    for variables in [&[][..], &[("REBA_DATA", "d"), ("SERVICE_LOGS", "/logs")]] {
        let config = load(variables);
        let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
        assert!(warnings.is_empty() || variables.is_empty(), "{warnings:?}");
        assert_eq!(config.jobs.len(), 4, "services, containers, journal, host");
        assert_eq!(config.clients[0].uri.path(), "/loki/api/v1/push");
        assert_eq!(config.clients[0].backoff.retries, None);
    }
    let mut config = load(&[("REBA_DATA", "d"), ("SERVICE_LOGS", "/logs")]);
    assert_eq!(config.positions.filename, Path::new("d/promtail/positions.yaml"));
    let files = &job(&mut config, "services").files;
    let paths: Vec<&str> = files.iter().map(|group| group.labels.value("__path__")).collect();
    assert_eq!(paths, ["/logs/*.log", "d/fleet-logs/*.log"]);
    assert!(job(&mut config, "journal").journal.is_some());
    assert_eq!(job(&mut config, "containers").docker.len(), 1);
}

#[test]
fn a_line_of_pino_gets_its_service_level_time_and_trace() {
    let line =
        r#"{"level":50,"time":1709208001234,"pid":7,"trace_id":"4bf9","event":"payment_failed","msg":"no"}"#;
    let out = shipped("/x/wallet-service.log", &[line]);
    assert_eq!(out.len(), 1);
    let (entry, labels) = (&out[0], &out[0].labels);
    assert_eq!((labels.value("service"), labels.value("level")), ("wallet-service", "error"));
    assert_eq!(labels.value("trace_id"), "4bf9");
    assert_eq!(metadata(entry, "event"), Some("payment_failed"));
    assert_eq!((entry.ns, entry.line.as_str()), (1_709_208_001_234_000_000, line));
}

#[test]
fn plain_lines_get_a_level_and_keep_their_stack_traces() {
    let lines = [
        "2024-02-29T12:00:01.234Z INFO [call] call taken status=202 trace_id=4bf9 user_id=usr_1",
        "2024-02-29T12:00:02.000Z ERROR [query] database query failed DatabaseError: timeout",
        "    at Pool.query (/app/node_modules/pg-pool/index.js:45:11)",
        "    at async Repository.run (/app/dist/database/repository.js:31:18)",
        "2024-02-29T12:00:03Z WARN [request] request refused",
    ];
    let out = shipped("logs/voice-bridge.log", &lines);
    let seen: Vec<(&str, &str, i64)> =
        out.iter().map(|e| (e.labels.value("service"), e.labels.value("level"), e.ns / 1_000_000)).collect();
    let expected = [("info", 1_709_208_001_234), ("error", 1_709_208_002_000), ("warn", 1_709_208_003_000)];
    assert_eq!(seen, expected.map(|(level, ms)| ("voice-bridge", level, ms)));
    assert_eq!(out[1].line.lines().count(), 3, "{}", out[1].line);
    assert_eq!(out[0].labels.value("trace_id"), "4bf9");
    assert_eq!(metadata(&out[1], "detected_level"), Some("error"));
}

#[test]
fn lines_of_console_log_are_information_unless_they_say_otherwise() {
    let lines = [
        "Ticket #7 opened { subject: 'driver is late' }",
        "Error: database query failed { table: 'tickets' } DatabaseError: deadlock",
        "    at Pool.query (/app/node_modules/pg-pool/index.js:45:11)",
        "Warning: slow database query { duration_ms: 1700.2 }",
    ];
    let out = shipped("logs/support-service.log", &lines);
    let seen: Vec<(&str, i64)> = out.iter().map(|e| (e.labels.value("level"), e.ns)).collect();
    assert_eq!(seen, [("info", NOW), ("error", NOW), ("warn", NOW)]);
    assert_eq!(out[1].line.lines().count(), 2);
}

//! The `monitoring/` folder and the fleet agree: targets, alerts, runbooks, names of metrics.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeSet, fs, path::Path};

use easymo_fleet::{Incident, Service};

fn read(path: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../monitoring");
    fs::read_to_string(folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands behind `key` on each line that has it.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| Some(line.trim().trim_start_matches("- ").strip_prefix(key)?.trim()))
        .collect()
}

#[test]
fn every_service_is_scraped_where_it_listens_on_its_path() {
    let config = read("prometheus/prometheus.yml");
    let jobs: Vec<&str> = config.split("- job_name: ").skip(1).collect();
    assert_eq!(jobs.len(), 18);
    for service in Service::ALL {
        let job = jobs.iter().find(|job| job.lines().next() == Some(service.name())).unwrap();
        assert_eq!(values(job, "targets:"), [format!("[\"{}\"]", service.documented_addr())], "{job}");
        let path = values(job, "metrics_path:");
        assert_eq!(path.first().copied().unwrap_or("/metrics"), service.metrics_path(), "{job}");
        let interval = values(job, "scrape_interval:");
        let expected = match service {
            Service::AgentCore => &["10s"][..],
            Service::AdminApp => &["30s"],
            _ => &[],
        };
        assert_eq!(interval, expected, "{job}");
    }
}

#[test]
fn every_incident_has_its_alert_and_every_alert_its_runbook_and_test() {
    let (rules, tests, readme) =
        (read("prometheus/alerts.yml"), read("prometheus/alerts_test.yml"), read("README.md"));
    let alerts: BTreeSet<&str> = values(&rules, "alert:").into_iter().collect();
    assert_eq!(alerts.len(), 12);
    for incident in Incident::ALL {
        assert!(alerts.contains(incident.alert()), "{}", incident.alert());
        assert!(readme.contains(&format!("Rehearse: `{}`", incident.name())), "{}", incident.name());
    }
    have_runbooks_and_tests(&rules, &tests, &readme);
    have_runbooks_and_tests(&read("prometheus/slos.yml"), &read("prometheus/slos_test.yml"), &readme);
}

fn have_runbooks_and_tests(rules: &str, tests: &str, readme: &str) {
    let (alerts, urls) = (values(rules, "alert:"), values(rules, "runbook_url:"));
    assert_eq!(urls.len(), alerts.len());
    let runbooks: BTreeSet<String> =
        readme.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_lowercase).collect();
    for (alert, url) in alerts.into_iter().zip(urls) {
        assert!(tests.contains(&format!("alertname: {alert}")), "{alert} is not tested");
        assert_eq!(url, format!("monitoring/README.md#{}", alert.to_lowercase()));
        assert!(runbooks.contains(&alert.to_lowercase()), "{alert} has no runbook");
    }
}

#[test]
fn the_dashboard_reads_the_data_source_that_is_provisioned() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("grafana/dashboards/system-overview.json")).unwrap();
    let uids = read("grafana/provisioning/datasources/datasources.yml");
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 4);
    for panel in panels {
        let uid = panel["datasource"]["uid"].as_str().unwrap();
        assert!(values(&uids, "uid:").contains(&uid), "{panel}");
        assert!(!panel["targets"][0]["expr"].as_str().unwrap().is_empty(), "{panel}");
    }
}

#[test]
fn no_secret_stands_in_the_folder() {
    for line in read(".env.example").lines().filter(|line| !line.starts_with('#')) {
        let secret = ["PASSWORD", "KEY", "WEBHOOK"].iter().any(|word| line.contains(word));
        assert!(!secret || line.ends_with('='), "{line}");
    }
    assert!(read("alertmanager/alertmanager.yml").contains("${SENDGRID_API_KEY}"));
    assert!(read(".gitignore").lines().any(|line| line == ".env"));
}

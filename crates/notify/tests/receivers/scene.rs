//! Notifications and receivers for tests.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use reba_alerting::{
    Deliver as _, DeliverError, Delivered, IntegrationKey, Notification, NotifiedAlert, Reason, fingerprint,
};
use reba_config::Variables;
use reba_model::Labels;
use reba_notify::{Options, Receivers, config};

/// 2023-11-18 12:00:00 UTC
pub const NOW_MS: i64 = 1_700_308_800_000;

pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

pub fn alert(pairs: &[(&str, &str)], annotations: &[(&str, &str)], firing: bool) -> NotifiedAlert {
    let labels = labels(pairs);
    NotifiedAlert {
        fingerprint: fingerprint(&labels),
        labels,
        annotations: Labels::from_pairs(annotations.iter().copied()),
        starts_at_ms: NOW_MS - 60_000,
        ends_at_ms: (!firing).then_some(NOW_MS - 1_500),
        generator_url: Arc::from("http://prometheus/graph?g0.expr=up&g0.tab=1"),
        firing,
    }
}

pub fn note(alerts: Vec<NotifiedAlert>) -> Notification {
    Notification {
        receiver: "team-a".to_owned(),
        group_key: Arc::from("{}:{alertname=\"Down\"}"),
        group_labels: labels(&[("alertname", "Down")]),
        alerts: Arc::from(alerts),
        route_id: Arc::from("{}"),
        reason: Reason::First,
        remembered: BTreeMap::new(),
        now_ms: NOW_MS,
        deadline_ms: NOW_MS + 60_000,
    }
}

/// Two alerts that fire.
pub fn firing() -> Notification {
    note(vec![
        alert(
            &[("alertname", "Down"), ("job", "api"), ("severity", "critical")],
            &[("summary", "api is down")],
            true,
        ),
        alert(
            &[("alertname", "Down"), ("job", "web"), ("severity", "critical")],
            &[("summary", "web is down")],
            true,
        ),
    ])
}

/// One alert that is over.
pub fn resolved() -> Notification {
    note(vec![alert(&[("alertname", "Down"), ("job", "api")], &[("summary", "api is down")], false)])
}

/// Receivers of a configuration; `team-a` is the one that counts.
pub fn receivers(configuration: &str) -> Receivers {
    receivers_at(configuration, "http://am.example.org")
}

pub fn receivers_at(configuration: &str, external_url: &str) -> Receivers {
    let options = Options {
        external_url: external_url.to_owned(),
        timeout: Duration::from_secs(20),
        ..Options::default()
    };
    receivers_with(configuration, options)
}

pub fn receivers_with(configuration: &str, options: Options) -> Receivers {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alertmanager.yml");
    fs::write(&path, configuration).unwrap();
    let (file, warnings) = config::load(&path, &Variables::default()).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    Receivers::new(file, options)
}

/// One integration of `team-a`.
pub fn one(kind: &str, settings: &str, global: &str) -> Receivers {
    receivers(&format!(
        "global: {{{global}}}\nroute: {{receiver: team-a}}\nreceivers:\n- name: team-a\n  {kind}_configs:\n  - {settings}\n"
    ))
}

pub fn key(kind: &'static str) -> IntegrationKey {
    IntegrationKey { receiver: "team-a".to_owned(), integration: kind, index: 0 }
}

pub async fn deliver(
    receivers: &Receivers,
    kind: &'static str,
    note: &Notification,
) -> Result<Delivered, DeliverError> {
    receivers.deliver(&key(kind), note).await
}

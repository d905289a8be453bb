//! `alertmanager` in reba.yml: what the role needs that its own file has no place for.

use serde::Deserialize;

use crate::settings::{Check, Value, prefix_of};

/// The section as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAlertmanager {
    external_url: Option<String>,
    route_prefix: Option<String>,
    retention: Value<String>,
    gc_interval: Value<String>,
    max_silences: Value<u64>,
    max_silence_bytes: Value<u64>,
    get_concurrency: Value<u64>,
    timeout: Value<String>,
}

/// The settings in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertmanagerSettings {
    /// `alertmanager.external_url`: the address by which people reach it, for links in notifications.
    pub external_url: Option<String>,
    /// `alertmanager.route_prefix`: the path below which it answers (that of the external URL).
    pub route_prefix: Option<String>,
    /// `alertmanager.retention`: how long silences are kept after their end, in milliseconds (120 hours).
    pub retention_ms: i64,
    /// `alertmanager.gc_interval`: how often resolved alerts are forgotten, in milliseconds (30 minutes).
    pub gc_interval_ms: i64,
    /// `alertmanager.max_silences`, expired ones included (10,000).
    pub max_silences: usize,
    /// `alertmanager.max_silence_bytes` of one (32 KiB).
    pub max_silence_bytes: usize,
    /// `alertmanager.get_concurrency`: readers at a time (64).
    pub get_concurrency: usize,
    /// `alertmanager.timeout`: how long a reader may take, in milliseconds; 0: as long as it takes.
    pub timeout_ms: i64,
}

impl RawAlertmanager {
    /// Checks the section.
    pub fn read(self, check: &mut Check<'_>) -> AlertmanagerSettings {
        let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        AlertmanagerSettings {
            external_url: self.external_url.map(|url| url.trim_end_matches('/').to_owned()),
            route_prefix: self.route_prefix,
            retention_ms: check.positive_ms("alertmanager.retention", &self.retention, 120 * 3_600_000),
            gc_interval_ms: check.positive_ms("alertmanager.gc_interval", &self.gc_interval, 30 * 60_000),
            max_silences: count(check.positive("alertmanager.max_silences", &self.max_silences, 10_000)),
            max_silence_bytes: count(check.positive(
                "alertmanager.max_silence_bytes",
                &self.max_silence_bytes,
                32 << 10,
            )),
            get_concurrency: count(check.positive("alertmanager.get_concurrency", &self.get_concurrency, 64)),
            timeout_ms: check.ms("alertmanager.timeout", &self.timeout, 0),
        }
    }
}

impl AlertmanagerSettings {
    /// The path below which the role answers: empty, or with a slash at its start and none at its end.
    pub fn prefix(&self) -> String {
        prefix_of(self.route_prefix.as_deref(), self.external_url.as_deref())
    }
}

//! What a file of Promtail has beyond a tree of YAML: Loki's units, and its secrets.

use std::time::Duration;

pub(crate) use reba_config::tree::{Fault, Kind, Node, Section, parse};

/// Values with units.
pub(crate) trait Units {
    fn duration(&self, key: &str) -> Result<Option<Duration>, Fault>;

    /// A number of bytes, which may have a unit.
    fn bytes(&self, key: &str) -> Result<Option<u64>, Fault>;
}

impl Units for Section<'_> {
    fn duration(&self, key: &str) -> Result<Option<Duration>, Fault> {
        self.read(key, duration)
    }

    fn bytes(&self, key: &str) -> Result<Option<u64>, Fault> {
        self.read(key, |text| match text.trim().parse::<u64>() {
            Ok(n) => Ok(n),
            Err(_) => reba_logql::units::byte_size(text.trim()),
        })
    }
}

/// Keys whose values nobody is shown; `headers` may hold tokens.
const SECRETS: [&str; 8] = [
    "password",
    "bearer_token",
    "credentials",
    "client_secret",
    "key",
    "headers",
    "proxy_connect_header",
    "secret_access_key",
];

/// The file as YAML, for people to read: what is secret is not shown.
pub(crate) fn without_secrets(node: &Node) -> String {
    node.yaml_without_secrets(&|key| SECRETS.contains(&key))
}

/// A duration of Go (`1m30s`) or of Prometheus (`7d`).
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let ns = reba_logql::units::go_duration(text).or_else(|e| {
        reba_model::duration::parse(text).map(|ms| ms.saturating_mul(1_000_000)).map_err(|_| e)
    })?;
    u64::try_from(ns).map(Duration::from_nanos).map_err(|_| "must not be negative".to_owned())
}

//! One role's answers, made into notes.

use std::{net::IpAddr, time::Duration};

use http::Method;
use jiff::{Timestamp, Unit};
use serde_json::Value;

use super::{DownTarget, FiringAlert, RoleStatus, State};
use crate::{args::Role, client};

/// Whoever takes longer is not well.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A role and where it should be.
pub(super) struct Server {
    role: Role,
    address: String,
}

/// What a role said.
pub(super) struct Answer {
    pub(super) role: RoleStatus,
    pub(super) targets_down: Vec<DownTarget>,
    pub(super) alerts_firing: Vec<FiringAlert>,
}

impl Server {
    /// None if the port offset leads nowhere.
    pub(super) fn of(role: Role, host: IpAddr, port_offset: u16) -> Option<Self> {
        let port = role.port().checked_add(port_offset)?;
        let address = std::net::SocketAddr::new(host, port).to_string();
        Some(Server { role, address })
    }

    /// Asks whether the role is ready, and then what there is to know of it.
    pub(super) async fn ask(self) -> Answer {
        let name = self.role.name();
        let ready = match name {
            "prometheus" | "alertmanager" => "/-/ready",
            "loki" | "promtail" | "tempo" => "/ready",
            "grafana" => "/api/health",
            _ => "/",
        };
        let state = match self.get(ready).await {
            None => State::NotRunning,
            // The receivers of OpenTelemetry answer nothing but what is sent to them.
            Some((ok, _)) if ok || name.starts_with("otlp") => State::Ready,
            Some(_) => State::NotReady,
        };
        let role = RoleStatus { role: name, address: self.address.clone(), state, notes: Vec::new() };
        let mut answer = Answer { role, targets_down: Vec::new(), alerts_firing: Vec::new() };
        if state == State::Ready {
            match name {
                "prometheus" => self.prometheus(&mut answer).await,
                "loki" => self.loki(&mut answer).await,
                "alertmanager" => self.alertmanager(&mut answer).await,
                _ => {}
            }
        }
        answer
    }

    /// Whether the request succeeded, and the body; none without an answer.
    async fn get(&self, path: &str) -> Option<(bool, Vec<u8>)> {
        let url = format!("http://{}{path}", self.address);
        let sent = tokio::time::timeout(TIMEOUT, client::send(Method::GET, &url)).await;
        sent.ok()?.ok().map(|(status, body)| (status.is_success(), body))
    }

    /// JSON, or null.
    async fn json(&self, path: &str) -> Value {
        let body = self.get(path).await.map(|(_, body)| body).unwrap_or_default();
        serde_json::from_slice(&body).unwrap_or_default()
    }

    async fn prometheus(&self, answer: &mut Answer) {
        let notes = &mut answer.role.notes;
        let runtime = self.json("/api/v1/status/runtimeinfo").await;
        if let Some(uptime) = text(&runtime, "/data/startTime").and_then(|at| age(&at)) {
            notes.push(format!("up {uptime}"));
        }
        if let Some(series) = self.json("/api/v1/status/tsdb").await.pointer("/data/headStats/numSeries") {
            notes.push(format!("{series} series"));
        }
        let targets = self.json("/api/v1/targets?state=active").await;
        if let Some(targets) = targets.pointer("/data/activeTargets").and_then(Value::as_array) {
            let is = |target: &&Value, health: &str| text(target, "/health").is_some_and(|h| h == health);
            let up = targets.iter().filter(|t| is(t, "up")).count();
            notes.push(format!("{up} of {} targets up", targets.len()));
            answer.targets_down = targets.iter().filter(|t| is(t, "down")).map(down_target).collect();
        }
        if let Some(retention) = text(&runtime, "/data/storageRetention") {
            notes.push(format!("keeps {retention}"));
        }
        if runtime.pointer("/data/reloadConfigSuccess") == Some(&Value::Bool(false)) {
            notes.push("the last reload failed: the log says why".to_owned());
        }
        let alerts = self.json("/api/v1/alerts").await;
        let alerts = alerts.pointer("/data/alerts").and_then(Value::as_array).cloned().unwrap_or_default();
        let firing = alerts.iter().filter(|a| text(a, "/state").is_some_and(|s| s == "firing"));
        answer.alerts_firing = firing.map(firing_alert).collect();
    }

    async fn loki(&self, answer: &mut Answer) {
        let yaml = self.get("/config").await.map(|(_, body)| body).unwrap_or_default();
        let config: Value = serde_saphyr::from_slice(&yaml).unwrap_or_default();
        let deletes = config.pointer("/compactor/retention_enabled") == Some(&Value::Bool(true));
        answer.role.notes.push(match text(&config, "/limits_config/retention_period") {
            Some(period) if deletes && period != "0s" && period != "0" => format!("keeps {period}"),
            _ => "keeps everything: no retention is set".to_owned(),
        });
    }

    async fn alertmanager(&self, answer: &mut Answer) {
        let alerts = self.json("/api/v2/alerts").await;
        let states = alerts.as_array().map(Vec::as_slice).unwrap_or_default();
        let suppressed =
            states.iter().filter(|a| text(a, "/status/state").is_some_and(|s| s == "suppressed")).count();
        answer
            .role
            .notes
            .push(format!("{} alerts, {suppressed} of them silenced or inhibited", states.len()));
    }
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

fn down_target(target: &Value) -> DownTarget {
    let text = |pointer| text(target, pointer).unwrap_or_default();
    DownTarget { job: text("/labels/job"), url: text("/scrapeUrl"), error: text("/lastError") }
}

fn firing_alert(alert: &Value) -> FiringAlert {
    let labels = alert.pointer("/labels").and_then(Value::as_object);
    let others =
        labels.into_iter().flatten().filter(|(name, _)| !["alertname", "severity"].contains(&name.as_str()));
    let others = others.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()));
    let text = |pointer| text(alert, pointer).unwrap_or_default();
    FiringAlert {
        name: text("/labels/alertname"),
        severity: text("/labels/severity"),
        labels: others.collect::<Vec<_>>().join(" "),
        since: age(&text("/activeAt")).unwrap_or_default(),
    }
}

/// How long ago a time was, in the two largest units.
fn age(rfc3339: &str) -> Option<String> {
    let at: Timestamp = rfc3339.parse().ok()?;
    let seconds = (Timestamp::now() - at).total(Unit::Second).ok()?.max(0.0) as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    Some(match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    })
}

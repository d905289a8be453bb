//! One role's answers, made into notes.

use std::time::Duration;

use anyhow::Result;
use http::Method;
use jiff::{Timestamp, Unit};
use serde_json::Value;

use super::{DownTarget, FiringAlert, RoleStatus, State, StatusArgs};
use crate::{
    args::Role,
    client::{self, NoAnswer, Refused},
};

/// Whoever takes longer is not well.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A role and where it should be.
pub(super) struct Server {
    role: Role,
    place: client::Server,
}

/// What came of a request.
enum Said {
    /// It succeeded, with this body.
    Yes(Vec<u8>),
    /// It answers that it cannot, and why.
    No(String),
    /// It wants to know who asks.
    Locked,
    /// Nobody listens there.
    Nobody,
}

/// What a role said.
pub(super) struct Answer {
    pub(super) role: RoleStatus,
    pub(super) targets_down: Vec<DownTarget>,
    pub(super) alerts_firing: Vec<FiringAlert>,
}

impl Server {
    /// Where a role should be.
    pub(super) fn of(role: Role, args: &StatusArgs) -> Result<Self> {
        let place = match (&args.at.url, role) {
            (None, role) => args.at.on_host(args.host, role)?,
            (Some(_), Role::Prometheus) => args.at.server(role)?,
            (Some(_), role) => args.at.beside(Role::Prometheus, role)?,
        };
        Ok(Server { role, place })
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
        let (state, note) = match self.get(ready).await {
            Said::Nobody => (State::NotRunning, None),
            Said::Yes(_) => (State::Ready, None),
            Said::Locked => (State::Locked, Some("--user NAME:PASSWORD shows more".to_owned())),
            // The receivers of OpenTelemetry answer nothing but what is sent to them.
            Said::No(_) if name.starts_with("otlp") => (State::Ready, None),
            Said::No(why) => (State::NotReady, Some(why)),
        };
        let url = self.place.url();
        let address = url.strip_prefix("http://").unwrap_or(url).to_owned();
        let role = RoleStatus { role: name, address, state, notes: note.into_iter().collect() };
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

    async fn get(&self, path: &str) -> Said {
        let sent = tokio::time::timeout(TIMEOUT, self.place.send(Method::GET, path)).await;
        match sent {
            Err(_) => Said::No(format!("no answer within {} s", TIMEOUT.as_secs())),
            Ok(Ok((status, body))) if status.is_success() => Said::Yes(body),
            Ok(Ok((status, body))) => {
                let why = Refused::of(status, &body).to_string();
                Said::No(why.lines().next().unwrap_or_default().to_owned())
            }
            Ok(Err(e)) => match (e.downcast_ref::<NoAnswer>(), e.downcast_ref::<Refused>()) {
                (Some(none), _) if none.nobody_listens() => Said::Nobody,
                (Some(none), _) => Said::No(none.reason().to_owned()),
                (None, Some(_)) => Said::Locked,
                (None, None) => Said::No(format!("{e:#}")),
            },
        }
    }

    /// The body, or nothing.
    async fn body(&self, path: &str) -> Vec<u8> {
        if let Said::Yes(body) = self.get(path).await { body } else { Vec::new() }
    }

    /// JSON, or null.
    async fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.body(path).await).unwrap_or_default()
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
        let yaml = self.body("/config").await;
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

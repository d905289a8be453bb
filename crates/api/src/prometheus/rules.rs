//! `/api/v1/rules` and `/api/v1/alerts`.

use std::sync::Arc;

use axum::extract::State;
use reba_model::float::format_e;
use reba_rules::{AlertStatus, GroupStatus, RuleStatus};
use serde_json::{Map, Value, json};

use super::{
    PrometheusApi,
    envelope::{ApiResult, success},
    params::Params,
    targets::{object, rfc3339, unknown},
};

/// Which rules are asked for.
struct Filter<'a> {
    alerting: bool,
    recording: bool,
    names: Vec<&'a str>,
    groups: Vec<&'a str>,
    files: Vec<&'a str>,
    alerts: bool,
}

impl Filter<'_> {
    fn takes_group(&self, group: &GroupStatus) -> bool {
        let listed = |list: &[&str], item: &str| list.is_empty() || list.contains(&item);
        listed(&self.groups, &group.name) && listed(&self.files, &group.file)
    }

    fn takes_rule(&self, rule: &RuleStatus) -> bool {
        let kind = if rule.alerting.is_some() { self.alerting } else { self.recording };
        kind && (self.names.is_empty() || self.names.contains(&rule.name.as_str()))
    }
}

/// `/api/v1/rules`
pub async fn rules(State(api): State<Arc<PrometheusApi>>, params: Params) -> ApiResult {
    let kind = params.value("type").to_ascii_lowercase();
    if !matches!(kind.as_str(), "" | "alert" | "record") {
        return Err(unknown("type", &kind));
    }
    let filter = Filter {
        alerting: kind != "record",
        recording: kind != "alert",
        names: params.all("rule_name[]").collect(),
        groups: params.all("rule_group[]").collect(),
        files: params.all("file[]").collect(),
        alerts: !matches!(params.value("exclude_alerts"), "true" | "1"),
    };
    let filtered = !(filter.names.is_empty() && kind.is_empty());
    let groups = api.rules.groups();
    let shown = groups.iter().filter(|g| filter.takes_group(g)).map(|g| group(g, &filter));
    // A group that the filter leaves without rules is left out; an empty group of the file is shown.
    let shown = shown.filter(|g| !filtered || g["rules"].as_array().is_some_and(|r| !r.is_empty()));
    success(&json!({ "groups": shown.collect::<Vec<_>>() }))
}

fn group(group: &GroupStatus, filter: &Filter<'_>) -> Value {
    let rules: Vec<Value> =
        group.rules.iter().filter(|r| filter.takes_rule(r)).map(|r| rule(r, filter.alerts)).collect();
    json!({
        "name": group.name,
        "file": group.file,
        "rules": rules,
        "interval": group.interval_ms as f64 / 1000.0,
        "limit": group.limit,
        "evaluationTime": group.evaluation_seconds,
        "lastEvaluation": rfc3339(group.last_evaluation),
    })
}

fn rule(rule: &RuleStatus, with_alerts: bool) -> Value {
    let mut out = Map::new();
    if let Some(alerting) = &rule.alerting {
        out.insert("state".into(), alerting.state.map_or("inactive", |s| s.as_str()).into());
        out.insert("duration".into(), (alerting.hold_ms as f64 / 1000.0).into());
        out.insert("keepFiringFor".into(), (alerting.keep_firing_for_ms as f64 / 1000.0).into());
        out.insert("annotations".into(), object(&alerting.annotations));
        if with_alerts {
            out.insert("alerts".into(), alerting.alerts.iter().map(alert).collect::<Vec<_>>().into());
        }
    }
    out.insert("name".into(), rule.name.as_str().into());
    out.insert("query".into(), rule.query.as_str().into());
    if rule.alerting.is_some() || !rule.labels.is_empty() {
        out.insert("labels".into(), object(&rule.labels));
    }
    out.insert("health".into(), rule.health.as_str().into());
    if let Some(error) = &rule.last_error {
        out.insert("lastError".into(), error.as_str().into());
    }
    out.insert("evaluationTime".into(), rule.evaluation_seconds.into());
    out.insert("lastEvaluation".into(), rfc3339(rule.last_evaluation).into());
    out.insert("type".into(), if rule.alerting.is_some() { "alerting" } else { "recording" }.into());
    Value::Object(out)
}

fn alert(alert: &AlertStatus) -> Value {
    let mut out = json!({
        "labels": object(&alert.labels),
        "annotations": object(&alert.annotations),
        "state": alert.state.as_str(),
        "activeAt": rfc3339(Some(alert.active_at)),
        "value": format_e(alert.value),
    });
    if let Some(since) = alert.keep_firing_since {
        out["keepFiringSince"] = rfc3339(Some(since)).into();
    }
    out
}

/// `/api/v1/alerts`
pub async fn alerts(State(api): State<Arc<PrometheusApi>>) -> ApiResult {
    let alerts: Vec<Value> = api.rules.alerts().iter().map(alert).collect();
    success(&json!({ "alerts": alerts }))
}

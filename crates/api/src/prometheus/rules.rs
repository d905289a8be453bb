//! `/api/v1/rules` and `/api/v1/alerts`.

use std::sync::Arc;

use axum::extract::State;
use reba_model::{Matcher, float::format_e};
use reba_rules::{AlertStatus, GroupStatus, RuleStatus};
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_128;

use super::{
    PrometheusApi,
    envelope::{ApiError, ApiResult, blocking, success},
    params::{Params, invalid},
    targets::{object, rfc3339},
};

/// Which rules are asked for.
struct Filter<'a> {
    alerting: bool,
    recording: bool,
    names: Vec<&'a str>,
    groups: Vec<&'a str>,
    files: Vec<&'a str>,
    selectors: Vec<Vec<Matcher>>,
    alerts: bool,
}

impl<'a> Filter<'a> {
    fn new(params: &'a Params) -> Result<Self, ApiError> {
        let kind = params.value("type").to_ascii_lowercase();
        if !matches!(kind.as_str(), "" | "alert" | "record") {
            return Err(invalid("type", &format!("not supported value {kind:?}")));
        }
        Ok(Filter {
            alerting: kind != "record",
            recording: kind != "alert",
            names: params.all("rule_name[]").collect(),
            groups: params.all("rule_group[]").collect(),
            files: params.all("file[]").collect(),
            selectors: params.matchers()?,
            alerts: !params.truth("exclude_alerts", "error converting exclude_alerts")?,
        })
    }

    /// Whether a group may lose rules: one that loses all is left out, an empty group of the file is shown.
    fn takes_all_rules(&self) -> bool {
        self.alerting && self.recording && self.names.is_empty() && self.selectors.is_empty()
    }

    fn takes_group(&self, group: &GroupStatus) -> bool {
        let listed = |list: &[&str], item: &str| list.is_empty() || list.contains(&item);
        listed(&self.groups, &group.name)
            && listed(&self.files, &group.file)
            && (self.takes_all_rules() || group.rules.iter().any(|rule| self.takes_rule(rule)))
    }

    fn takes_rule(&self, rule: &RuleStatus) -> bool {
        let kind = if rule.alerting.is_some() { self.alerting } else { self.recording };
        kind && (self.names.is_empty() || self.names.contains(&rule.name.as_str()))
            && (self.selectors.is_empty() || self.selectors.iter().any(|m| Matcher::all(m, &rule.labels)))
    }
}

/// Which part of the groups is asked for.
struct Page<'a> {
    size: usize,
    token: Option<&'a str>,
}

impl<'a> Page<'a> {
    fn new(params: &'a Params) -> Result<Self, ApiError> {
        let token = params.get("group_next_token");
        let size = match params.get("group_limit") {
            None if token.is_some() => {
                let reason = "group_limit needs to be present in order to paginate over the groups";
                return Err(invalid("group_next_token", reason));
            }
            None => usize::MAX,
            Some(text) => match text.parse::<i32>() {
                Ok(n) if n > 0 => usize::try_from(n).unwrap_or(usize::MAX),
                Ok(_) => return Err(invalid("group_limit", "group_limit needs to be greater than 0")),
                Err(_) => {
                    let reason = format!(
                        "group_limit needs to be a valid number: strconv.ParseInt: parsing {text:?}: invalid syntax"
                    );
                    return Err(invalid("group_limit", &reason));
                }
            },
        };
        Ok(Page { size, token })
    }
}

/// Names the first group of the next page.
fn token(group: &GroupStatus) -> String {
    format!("{:032x}", xxh3_128(format!("{};{}", group.file, group.name).as_bytes()))
}

/// `/api/v1/rules`
pub async fn rules(State(api): State<Arc<PrometheusApi>>, params: Params) -> ApiResult {
    // Ten thousand rules are some megabytes of text.
    blocking(move || list(&api.rules.groups(), &params)).await
}

fn list(groups: &[Arc<GroupStatus>], params: &Params) -> ApiResult {
    let (filter, page) = (Filter::new(params)?, Page::new(params)?);
    let first = match page.token {
        None => 0,
        Some(wanted) => groups.iter().position(|g| token(g) == wanted).ok_or_else(|| {
            let reason = format!("invalid group_next_token '{wanted}'. were rule groups changed?");
            invalid("group_next_token", &reason)
        })?,
    };
    let mut taken = groups[first..].iter().filter(|g| filter.takes_group(g));
    let shown: Vec<Value> = taken.by_ref().take(page.size).map(|g| group(g, &filter)).collect();
    let mut out = json!({ "groups": shown });
    if let Some(next) = taken.next() {
        out["groupNextToken"] = token(next).into();
    }
    success(&out)
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
        let alerts = || alerting.alerts.iter().map(alert).collect::<Vec<_>>().into();
        out.insert("alerts".into(), if with_alerts { alerts() } else { Value::Null });
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
    blocking(move || {
        let groups = api.rules.groups();
        let rules = groups.iter().flat_map(|g| &g.rules).filter_map(|r| r.alerting.as_ref());
        let alerts: Vec<Value> = rules.flat_map(|a| &a.alerts).map(alert).collect();
        success(&json!({ "alerts": alerts }))
    })
    .await
}

//! The ruler: groups of rules in YAML, and what became of them in Prometheus' JSON.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{FromRequestParts, Path, rejection::PathRejection},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::get,
};
use reba_model::{Tenant, float::format_e};
use reba_rules::{
    AlertStatus, GroupStatus, RuleStatus,
    logs::{GroupDefinition, GroupError, LogRuler, TenantStatus},
};
use serde::Serialize;
use serde_json::Value;

use super::{LokiApi, refusal::Refusal, tenant::Owns};
use crate::{
    exposition::Page,
    prometheus::{
        params::Params,
        targets::{object, rfc3339},
    },
};

/// The rules that a request is about.
#[derive(Debug)]
pub struct Rules {
    ruler: Arc<LogRuler>,
    tenant: Tenant,
}

impl FromRequestParts<Arc<LokiApi>> for Rules {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<LokiApi>) -> Result<Self, Response> {
        // Switched off, the routes are as if they were not there.
        let ruler = api.ruler.clone().filter(|_| api.config.load().ruler.enable_api);
        let ruler = ruler.ok_or_else(|| not_found("404 page not found"))?;
        let owner = Owns::from_request_parts(parts, api).await;
        let Owns(tenant) = owner.map_err(IntoResponse::into_response)?;
        Ok(Rules { ruler, tenant })
    }
}

/// The routes of the ruler.
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Rules: FromRequestParts<S>,
{
    let mut routes = Router::new()
        .route("/prometheus/api/v1/rules", get(evaluated))
        .route("/prometheus/api/v1/alerts", get(alerts));
    for prefix in ["/loki/api/v1/rules", "/api/prom/rules"] {
        routes = routes
            .route(prefix, get(list))
            .route(&format!("{prefix}/{{namespace}}"), get(list_namespace).post(set).delete(delete_namespace))
            .route(&format!("{prefix}/{{namespace}}/{{group}}"), get(group).delete(delete_group));
    }
    routes
}

async fn list(rules: Rules) -> Response {
    namespaces(&rules, None)
}

async fn list_namespace(rules: Rules, path: Result<Path<String>, PathRejection>) -> Response {
    match path {
        Ok(Path(namespace)) => namespaces(&rules, Some(&namespace)),
        Err(e) => failed(&e.body_text()),
    }
}

fn namespaces(rules: &Rules, namespace: Option<&str>) -> Response {
    let found: BTreeMap<String, Vec<GroupDefinition>> = rules.ruler.definitions(&rules.tenant, namespace);
    if found.is_empty() {
        return not_found("no rule groups found");
    }
    yaml(GroupDefinition::all_to_yaml(&found))
}

async fn group(rules: Rules, path: Result<Path<(String, String)>, PathRejection>) -> Response {
    let (namespace, name) = match path {
        Ok(Path(names)) => names,
        Err(e) => return failed(&e.body_text()),
    };
    let groups = rules.ruler.definitions(&rules.tenant, Some(&namespace));
    let found = groups.get(&namespace).into_iter().flatten().find(|g| g.name == name);
    found.map_or_else(|| not_found("no rule group found"), |g| yaml(g.to_yaml()))
}

async fn set(rules: Rules, path: Result<Path<String>, PathRejection>, body: Bytes) -> Response {
    let namespace = match path {
        Ok(Path(namespace)) => namespace,
        Err(e) => return failed(&e.body_text()),
    };
    let Ok(text) = str::from_utf8(&body) else {
        return Refusal::bad("the group is not UTF-8").into_response();
    };
    done(rules.ruler.set_group(&rules.tenant, &namespace, text).await)
}

async fn delete_group(rules: Rules, path: Result<Path<(String, String)>, PathRejection>) -> Response {
    match path {
        Ok(Path((namespace, name))) => done(rules.ruler.delete_group(&rules.tenant, &namespace, &name).await),
        Err(e) => failed(&e.body_text()),
    }
}

async fn delete_namespace(rules: Rules, path: Result<Path<String>, PathRejection>) -> Response {
    match path {
        Ok(Path(namespace)) => done(rules.ruler.delete_namespace(&rules.tenant, &namespace).await),
        Err(e) => failed(&e.body_text()),
    }
}

fn done(result: Result<(), GroupError>) -> Response {
    match result {
        Ok(()) => json(StatusCode::ACCEPTED, &Envelope::success(())),
        Err(e @ GroupError::Invalid(_)) => Refusal::bad(e.to_string()).into_response(),
        Err(e @ (GroupError::NoGroup | GroupError::NoNamespace)) => not_found(&e.to_string()),
        Err(e @ (GroupError::ReadOnly(_) | GroupError::Storage(_))) => failed(&e.to_string()),
    }
}

/// What the ruler's own JSON is wrapped in: all four fields are always there.
#[derive(Serialize)]
struct Envelope<'a, T> {
    status: &'static str,
    data: T,
    #[serde(rename = "errorType")]
    error_type: &'static str,
    error: &'a str,
}

impl<T> Envelope<'_, T> {
    fn success(data: T) -> Self {
        Envelope { status: "success", data, error_type: "", error: "" }
    }
}

fn failed(error: &str) -> Response {
    refused(StatusCode::INTERNAL_SERVER_ERROR, "server_error", error)
}

fn refused(status: StatusCode, error_type: &'static str, error: &str) -> Response {
    json(status, &Envelope { status: "error", data: (), error_type, error })
}

fn not_found(text: &str) -> Response {
    Refusal::new(StatusCode::NOT_FOUND, text).into_response()
}

fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    let body = serde_json::to_vec(body).unwrap_or_default();
    answer(status, "application/json", body)
}

fn yaml(text: Result<String, String>) -> Response {
    match text {
        Ok(text) => answer(StatusCode::OK, "application/yaml", text.into_bytes()),
        Err(e) => Refusal::internal(e).into_response(),
    }
}

fn answer(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// `/prometheus/api/v1/rules`
async fn evaluated(rules: Rules, params: Params) -> Response {
    let kind = params.value("type").to_ascii_lowercase();
    let wanted = match kind.as_str() {
        "" => None,
        "alert" => Some(true),
        "record" => Some(false),
        _ => {
            let text = format!("unsupported rule type {kind:?}");
            return refused(StatusCode::BAD_REQUEST, "bad_data", &text);
        }
    };
    written(move || {
        let groups = rules.ruler.groups(&rules.tenant);
        let shown = groups.iter().map(|g| GroupJson::new(g, wanted));
        let shown = shown.filter(|g| wanted.is_none() || !g.rules.is_empty()).collect();
        json(StatusCode::OK, &Envelope::success(GroupsJson { groups: shown }))
    })
    .await
}

/// `/prometheus/api/v1/alerts`
async fn alerts(rules: Rules) -> Response {
    written(move || {
        let groups = rules.ruler.groups(&rules.tenant);
        let alerting = groups.iter().flat_map(|g| &g.rules).filter_map(|r| r.alerting.as_ref());
        let alerts = alerting.flat_map(|a| &a.alerts).map(AlertJson::new).collect();
        json(StatusCode::OK, &Envelope::success(AlertsJson { alerts }))
    })
    .await
}

/// Ten thousand rules are some megabytes of text.
async fn written(work: impl FnOnce() -> Response + Send + 'static) -> Response {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| failed(&e.to_string()))
}

#[derive(Serialize)]
struct GroupsJson<'a> {
    groups: Vec<GroupJson<'a>>,
}

#[derive(Serialize)]
struct AlertsJson<'a> {
    alerts: Vec<AlertJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupJson<'a> {
    name: &'a str,
    file: &'a str,
    rules: Vec<RuleJson<'a>>,
    interval: f64,
    limit: usize,
    last_evaluation: String,
    evaluation_time: f64,
}

impl<'a> GroupJson<'a> {
    /// With all rules, or the alerting (`Some(true)`) or recording ones only.
    fn new(group: &'a GroupStatus, wanted: Option<bool>) -> Self {
        let rules = group.rules.iter().filter(|r| wanted.is_none_or(|w| w == r.alerting.is_some()));
        GroupJson {
            name: &group.name,
            file: &group.file,
            rules: rules.map(RuleJson::new).collect(),
            interval: group.interval_ms as f64 / 1000.0,
            limit: group.limit,
            last_evaluation: rfc3339(group.last_evaluation),
            evaluation_time: group.evaluation_seconds,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    name: &'a str,
    query: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    labels: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alerts: Option<Vec<AlertJson<'a>>>,
    health: &'static str,
    last_error: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    last_evaluation: String,
    evaluation_time: f64,
}

impl<'a> RuleJson<'a> {
    fn new(rule: &'a RuleStatus) -> Self {
        let alerting = rule.alerting.as_ref();
        RuleJson {
            state: alerting.map(|a| a.state.map_or("inactive", |s| s.as_str())),
            name: &rule.name,
            query: &rule.query,
            duration: alerting.map(|a| a.hold_ms as f64 / 1000.0),
            labels: object(&rule.labels),
            annotations: alerting.map(|a| object(&a.annotations)),
            alerts: alerting.map(|a| a.alerts.iter().map(AlertJson::new).collect()),
            health: rule.health.as_str(),
            last_error: rule.last_error.as_deref().unwrap_or_default(),
            kind: if alerting.is_some() { "alerting" } else { "recording" },
            last_evaluation: rfc3339(rule.last_evaluation),
            evaluation_time: rule.evaluation_seconds,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertJson<'a> {
    labels: Value,
    annotations: Value,
    state: &'a str,
    active_at: String,
    value: String,
}

impl<'a> AlertJson<'a> {
    fn new(alert: &'a AlertStatus) -> Self {
        AlertJson {
            labels: object(&alert.labels),
            annotations: object(&alert.annotations),
            state: alert.state.as_str(),
            active_at: rfc3339(Some(alert.active_at)),
            value: format_e(alert.value),
        }
    }
}

/// Adds the ruler's figures to a page, under upstream's names.
pub fn write_metrics(page: &mut Page, ruler: &LogRuler) {
    let tenants = ruler.tenants();
    by_group(page, &tenants);
    page.summary("loki_prometheus_rule_evaluation_duration_seconds", "Duration of evaluations of rules.");
    for t in &tenants {
        page.suffixed("_sum", &[("user", &t.tenant)], t.metrics.evaluation_seconds);
        page.suffixed("_count", &[("user", &t.tenant)], t.metrics.evaluations as f64);
    }
    page.summary("loki_prometheus_rule_group_duration_seconds", "Duration of evaluations of groups.");
    for t in &tenants {
        page.suffixed("_sum", &[("user", &t.tenant)], t.metrics.group_seconds);
        page.suffixed("_count", &[("user", &t.tenant)], t.metrics.group_evaluations as f64);
    }
    page.gauge("loki_ruler_managers_total", "Tenants whose rules are evaluated.").value(tenants.len() as f64);
    page.gauge(
        "loki_ruler_config_last_reload_successful",
        "Whether the last reading of the rule files went well.",
    );
    for t in &tenants {
        page.with(&[("user", &t.tenant)], f64::from(u8::from(t.reload_ok)));
    }
    page.gauge(
        "loki_ruler_config_last_reload_successful_seconds",
        "When the rule files were last read without a fault.",
    );
    for t in &tenants {
        page.with(&[("user", &t.tenant)], t.reloaded_ms.unwrap_or(0) as f64 / 1000.0);
    }
    page.counter("loki_ruler_config_updates_total", "Changes of the rules of a tenant.");
    for t in &tenants {
        page.with(&[("user", &t.tenant)], t.updates as f64);
    }
    page.counter("reba_loki_ruler_alerts_dropped_total", "Alerts that found the queue to the notifier full.");
    for t in &tenants {
        page.with(&[("user", &t.tenant)], t.metrics.alerts_dropped as f64);
    }
}

/// A metric of groups: its name, what it says, whether it counts, and its value.
type GroupMetric = (&'static str, &'static str, bool, fn(&GroupStatus) -> f64);

const GROUP_METRICS: [GroupMetric; 9] = [
    ("rule_evaluations_total", "Evaluations of rules.", true, |g| g.evaluations as f64),
    ("rule_evaluation_failures_total", "Evaluations that failed.", true, |g| g.evaluation_failures as f64),
    ("rule_group_iterations_total", "Scheduled evaluations of a group.", true, |g| g.iterations as f64),
    (
        "rule_group_iterations_missed_total",
        "Evaluations that were missed because one took too long.",
        true,
        |g| g.iterations_missed as f64,
    ),
    ("rule_group_interval_seconds", "Interval of a group.", false, |g| g.interval_ms as f64 / 1000.0),
    ("rule_group_last_duration_seconds", "Duration of the last evaluation.", false, |g| g.evaluation_seconds),
    ("rule_group_last_evaluation_timestamp_seconds", "When a group was last evaluated.", false, |g| {
        g.last_evaluation.unwrap_or(0) as f64 / 1000.0
    }),
    ("rule_group_last_evaluation_samples", "Samples that the last evaluation gave.", false, |g| {
        g.last_samples as f64
    }),
    ("rule_group_rules", "Rules of a group.", false, |g| g.rules.len() as f64),
];

fn by_group(page: &mut Page, tenants: &[TenantStatus]) {
    for (name, help, counts, value) in GROUP_METRICS {
        let name = format!("loki_prometheus_{name}");
        if counts {
            page.counter(&name, help);
        } else {
            page.gauge(&name, help);
        }
        for t in tenants {
            for g in &t.groups {
                let group = format!("{};{}", g.file, g.name);
                page.with(&[("rule_group", &group), ("user", &t.tenant)], value(g));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt as _;
    use reba_config::Variables;
    use reba_disk::Env;
    use reba_model::{Labels, LogBatch};
    use reba_query::logs::{LogEngineConfig, LogQueryEngine};
    use reba_rules::{
        ManagerOptions,
        logs::{LogRulerOptions, LogRulerParts, LogRulerSettings, RulerLimits},
    };
    use reba_storage::LogAppender;
    use reba_testkit::{MemLogStore, MemStore};
    use serde_json::json;
    use tower::ServiceExt as _;

    use super::*;

    /// A ruler whose requests are all of one tenant.
    #[derive(Clone)]
    struct One(Arc<LogRuler>);

    impl FromRequestParts<One> for Rules {
        type Rejection = Infallible;

        async fn from_request_parts(_: &mut Parts, one: &One) -> Result<Self, Infallible> {
            Ok(Rules { ruler: one.0.clone(), tenant: Tenant::single() })
        }
    }

    struct World {
        ruler: Arc<LogRuler>,
        routes: Router,
        _folder: tempfile::TempDir,
    }

    impl World {
        async fn new() -> Self {
            let (logs, metrics) = (Arc::new(MemLogStore::default()), Arc::new(MemStore::default()));
            let mut batch = LogBatch::default();
            batch.begin_stream(Labels::from_pairs([("app", "pay")]));
            batch.push(60_000_000_000, "level=error", []).unwrap();
            logs.append_logs(&Tenant::single(), &batch).unwrap();
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(folder.path().join("rules/fake")).unwrap();
            let file = "groups:\n- name: f\n  rules:\n  - record: lines:count\n    expr: sum(count_over_time({app=\"pay\"}[5m]))\n    labels: {a: b}\n";
            std::fs::write(folder.path().join("rules/fake/file.yml"), file).unwrap();
            let parts = LogRulerParts {
                engine: Arc::new(LogQueryEngine::new(logs, LogEngineConfig::default()).unwrap()),
                store: metrics.clone(),
                appender: metrics,
                alerts: tokio::sync::mpsc::channel(10).0,
                clock: Arc::new(|| 0),
                limits: Arc::new(|_| RulerLimits { max_rules_per_group: 2, ..RulerLimits::default() }),
                env: Env::real(),
            };
            let options = LogRulerOptions {
                manager: ManagerOptions::default(),
                datasource_uid: String::new(),
                posted: folder.path().join("posted"),
            };
            let settings = LogRulerSettings {
                folder: Some(folder.path().join("rules")),
                poll_interval: Duration::from_secs(60),
                interval: 60_000,
                external_labels: Labels::empty(),
                external_url: String::new(),
                variables: Variables::default(),
            };
            let ruler = Arc::new(LogRuler::open(parts, options, settings).unwrap());
            assert_eq!(ruler.reload().await, []);
            let routes = routes().with_state(One(ruler.clone()));
            World { ruler, routes, _folder: folder }
        }

        /// Status, type and body.
        async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String, String) {
            let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned()));
            let response = self.routes.clone().oneshot(request.unwrap()).await.unwrap();
            let status = response.status().as_u16();
            let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, kind, String::from_utf8(body.to_vec()).unwrap())
        }

        async fn json(&self, path: &str) -> Value {
            let (status, kind, body) = self.ask("GET", path, "").await;
            assert_eq!((status, kind.as_str()), (200, "application/json"), "{body}");
            serde_json::from_str(&body).unwrap()
        }
    }

    const GROUP: &str = "name: errors\ninterval: 1m\nrules:\n  - alert: Errors\n    expr: sum by (app) (count_over_time({app=~\".+\"} |= \"error\" [5m])) > 0\n    for: 0s\n    labels:\n      severity: page\n    annotations:\n      summary: \"{{ $labels.app }}: {{ range lines 1 }}{{ . }}{{ end }}\"\n";

    const DONE: &str = r#"{"status":"success","data":null,"errorType":"","error":""}"#;

    #[tokio::test]
    async fn a_group_is_posted_read_and_removed() {
        let world = World::new().await;
        for prefix in ["/loki/api/v1/rules", "/api/prom/rules"] {
            let path = format!("{prefix}/team%2Fa%20b");
            let (status, kind, body) = world.ask("POST", &path, GROUP).await;
            assert_eq!((status, kind.as_str(), body.as_str()), (202, "application/json", DONE));
            let (status, kind, body) = world.ask("GET", &format!("{path}/errors"), "").await;
            assert_eq!((status, kind.as_str()), (200, "application/yaml"));
            let read = GroupDefinition::read(&body).unwrap();
            assert_eq!(read.rules[0].alert.as_deref(), Some("Errors"), "{body}");
            assert!(!body.contains("for:"), "{body}");
            let (_, _, body) = world.ask("GET", &path, "").await;
            assert!(body.starts_with("team/a b:\n"), "{body}");
            let (_, _, body) = world.ask("GET", prefix, "").await;
            assert!(body.contains("file.yml:") && body.contains("team/a b:"), "{body}");
            let (status, _, body) = world.ask("DELETE", &format!("{path}/errors"), "").await;
            assert_eq!((status, body.as_str()), (202, DONE));
            let (status, kind, body) = world.ask("GET", &path, "").await;
            assert_eq!((status, kind.as_str()), (404, "text/plain; charset=utf-8"));
            assert_eq!(body, "no rule groups found\n");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_done_is_answered_as_upstream_answers() {
        let world = World::new().await;
        let text = |s: &str| format!("{s}\n");
        for (method, path, body, status, expected) in [
            ("GET", "/n/g", "", 404, text("no rule group found")),
            ("DELETE", "/n/g", "", 404, text("group does not exist")),
            ("DELETE", "/n", "", 404, text("group namespace does not exist")),
            ("POST", "/n", "name: g\nrules: [{record: a}]", 400, text("group \"g\", rule 1, \"a\": field 'expr' must be set in rule")),
            (
                "POST",
                "/n",
                "name: g\nrules: [{record: a, expr: vector(1)}, {record: b, expr: vector(1)}, {record: c, expr: vector(1)}]",
                400,
                text("per-user rules per rule group limit (limit: 2 actual: 3) exceeded"),
            ),
            (
                "DELETE",
                "/file.yml/f",
                "",
                500,
                r#"{"status":"error","data":null,"errorType":"server_error","error":"group f of namespace file.yml comes from a rule file, which the API does not change"}"#.to_owned(),
            ),
        ] {
            let (found, _, answer) = world.ask(method, &format!("/loki/api/v1/rules{path}"), body).await;
            assert_eq!((found, answer), (status, expected), "{method} {path}");
        }
        let (status, _, body) = world.ask("POST", "/loki/api/v1/rules/n", "name: [").await;
        assert!(status == 400 && body.starts_with("unable to decoded rule group"), "{body}");
    }

    #[tokio::test]
    async fn rules_and_alerts_have_upstreams_shape() {
        let world = World::new().await;
        assert_eq!(world.ask("POST", "/loki/api/v1/rules/n", GROUP).await.0, 202);
        world.ruler.evaluate_once(60_000).await;
        let mut all = world.json("/prometheus/api/v1/rules").await;
        let alert = json!({
            "labels": {"alertname": "Errors", "app": "pay", "severity": "page"},
            "annotations": {"summary": "pay: level=error"},
            "state": "firing",
            "activeAt": "1970-01-01T00:01:00Z",
            "value": "1e+00",
        });
        for group in all["data"]["groups"].as_array_mut().unwrap() {
            assert!(group["evaluationTime"].take().as_f64().unwrap() > 0.0);
            for rule in group["rules"].as_array_mut().unwrap() {
                assert!(rule["evaluationTime"].take().as_f64().unwrap() > 0.0);
            }
        }
        let recording = json!({
            "name": "f",
            "file": "file.yml",
            "rules": [{
                "name": "lines:count",
                "query": "sum(count_over_time({app=\"pay\"}[5m]))",
                "labels": {"a": "b"},
                "health": "ok",
                "lastError": "",
                "type": "recording",
                "lastEvaluation": "1970-01-01T00:01:00Z",
                "evaluationTime": null,
            }],
            "interval": 60.0,
            "limit": 0,
            "lastEvaluation": "1970-01-01T00:01:00Z",
            "evaluationTime": null,
        });
        let alerting = json!({
            "name": "errors",
            "file": "n",
            "rules": [{
                "state": "firing",
                "name": "Errors",
                "query": "(sum by (app)(count_over_time({app=~\".+\"} |= \"error\"[5m])) > 0)",
                "duration": 0.0,
                "labels": {"severity": "page"},
                "annotations": {"summary": "{{ $labels.app }}: {{ range lines 1 }}{{ . }}{{ end }}"},
                "alerts": [alert.clone()],
                "health": "ok",
                "lastError": "",
                "type": "alerting",
                "lastEvaluation": "1970-01-01T00:01:00Z",
                "evaluationTime": null,
            }],
            "interval": 60.0,
            "limit": 0,
            "lastEvaluation": "1970-01-01T00:01:00Z",
            "evaluationTime": null,
        });
        let groups = json!({"groups": [recording.clone(), alerting.clone()]});
        assert_eq!(all, json!({"status": "success", "data": groups, "errorType": "", "error": ""}));
        let alerts = world.json("/prometheus/api/v1/alerts").await;
        let expected =
            json!({"status": "success", "data": {"alerts": [alert]}, "errorType": "", "error": ""});
        assert_eq!(alerts, expected);
        let names = async |kind: &str| {
            let found = world.json(&format!("/prometheus/api/v1/rules?type={kind}")).await;
            let groups = found["data"]["groups"].as_array().unwrap().clone();
            groups.iter().map(|g| g["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("alert").await, ["errors"]);
        assert_eq!(names("record").await, ["f"]);
        assert_eq!(world.ask("GET", "/prometheus/api/v1/rules?type=x", "").await.0, 400);
    }

    #[tokio::test]
    async fn the_figures_of_the_ruler_bear_upstreams_names() {
        let world = World::new().await;
        world.ruler.evaluate_once(60_000).await;
        let mut page = Page::new();
        write_metrics(&mut page, &world.ruler);
        let text = page.finish();
        for line in [
            "loki_prometheus_rule_evaluations_total{rule_group=\"file.yml;f\",user=\"fake\"} 1",
            "loki_prometheus_rule_group_last_evaluation_timestamp_seconds{rule_group=\"file.yml;f\",user=\"fake\"} 60",
            "loki_prometheus_rule_evaluation_duration_seconds_count{user=\"fake\"} 1",
            "loki_ruler_config_last_reload_successful{user=\"fake\"} 1",
            "loki_ruler_config_updates_total{user=\"fake\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}

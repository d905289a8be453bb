//! What operators ask: status, health, reload, the old API, our own page and what tells more than upstream's API does.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{OriginalUri, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use reba_alerting::{
    AlertFilter, IntegrationKey, RouteView,
    config::{GroupBy, Route},
    event::Outcome,
    shell::Health,
};
use reba_model::{LabelsBuilder, Matcher};
use serde_json::{Value, json};

use super::{
    AlertmanagerApi, COMPATIBLE_VERSION,
    json::time,
    json_answer,
    refusal::{Answer, Refusal},
};
use crate::{build, prometheus::params::Params};

/// GET `/api/v2/status`
pub async fn status(State(api): State<Arc<AlertmanagerApi>>) -> Answer {
    let current = api.current.load();
    let body = json!({
        "cluster": { "peers": [], "status": "disabled" },
        "config": { "original": current.original },
        "uptime": time(api.started_ms),
        "versionInfo": build::info(COMPATIBLE_VERSION),
    });
    Ok(json_answer(Body::from(format!("{body}\n"))))
}

/// `/-/healthy` and, while the role is at work, `/-/ready`
pub async fn ok() -> &'static str {
    "OK"
}

/// POST `/-/reload`
pub async fn reload(State(api): State<Arc<AlertmanagerApi>>) -> Response {
    match (api.reload)().await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(reason) => (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to reload config: {reason}\n"))
            .into_response(),
    }
}

/// The first version of the API is gone, upstream's and ours.
pub async fn gone() -> Response {
    let body = json!({
        "status": "deprecated",
        "error": "The Alertmanager v1 API was deprecated in version 0.16.0 and is removed as of version 0.27.0 - please use the \
                  equivalent route in the v2 API",
    });
    let mut response = json_answer(Body::from(format!("{body}\n")));
    *response.status_mut() = StatusCode::GONE;
    response
}

/// Below `/api/v2/`, what there is not.
pub async fn no_path(OriginalUri(uri): OriginalUri) -> Refusal {
    Refusal::coded(StatusCode::NOT_FOUND, 404, format!("path {} was not found", uri.path()))
}

/// A path that there is, but not with this method. `allowed` is a list with commas.
pub fn no_method(method: Method, allowed: &'static str) -> Response {
    let message = format!("method {method} is not allowed, but [{allowed}] are");
    let mut response = Refusal::coded(StatusCode::METHOD_NOT_ALLOWED, 405, message).into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Anything else that there is not.
pub async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

/// GET `/api/v2/reba/receivers`: every integration, why it is disabled if it is, and what became of its last try.
pub async fn integrations(State(api): State<Arc<AlertmanagerApi>>) -> Answer {
    let current = api.current.load();
    let health = api.alerting.health();
    let list: Value = current
        .receivers
        .iter()
        .map(|receiver| {
            let integrations: Value = receiver
                .integrations
                .iter()
                .map(|i| {
                    let key = IntegrationKey {
                        receiver: receiver.name.clone(),
                        integration: i.kind,
                        index: i.index,
                    };
                    json!({
                        "integration": i.kind,
                        "index": i.index,
                        "sendResolved": i.send_resolved,
                        "disabled": i.disabled,
                        "last": health.get(&key).map(last_try),
                    })
                })
                .collect();
            json!({ "name": receiver.name, "integrations": integrations })
        })
        .collect();
    Ok(json_answer(Body::from(format!("{list}\n"))))
}

fn last_try(health: &Health) -> Value {
    let (outcome, answer, error) = match &health.outcome {
        Outcome::Delivered(answer) => ("delivered", Some(answer), None),
        Outcome::Retrying { message, .. } => ("retrying", None, Some(message)),
        Outcome::Failed(message) => ("failed", None, Some(message)),
    };
    json!({
        "at": time(health.at_ms),
        "tookMs": health.took_ms,
        "outcome": outcome,
        "answer": answer,
        "error": error,
        "reason": health.reason,
        "groupKey": &*health.group_key,
        "deliveredAt": health.delivered_ms.map(time),
        "failures": health.failures,
    })
}

/// GET `/api/v2/reba/route?label=name=value&label=…`: where an alert with these labels would go.
pub async fn route(State(api): State<Arc<AlertmanagerApi>>, request: Request) -> Answer {
    let params = Params::parse(request.uri().query().unwrap_or(""));
    let mut labels = LabelsBuilder::new();
    for pair in params.all("label") {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| Refusal::bad(format!("{pair:?} is no name=value")))?;
        labels.set(name, value);
    }
    let labels = labels.build();
    let (routes, inhibitors) = api.look(|machine, now_ms| {
        let routing = Arc::clone(machine.routing());
        // Sources that fire now; the machine knows which of them would inhibit only for alerts that it has.
        let firing = machine.alerts(&AlertFilter::default(), now_ms);
        let inhibits = |rule: &&reba_alerting::InhibitRule| {
            let same = |source: &reba_model::Labels| rule.equal.iter().all(|n| source.value(n) == labels.value(n));
            Matcher::all(&rule.target, &labels)
                && firing.iter().any(|v| Matcher::all(&rule.source, &v.alert.labels) && same(&v.alert.labels))
        };
        let rules: Vec<Value> = routing.inhibit_rules().iter().filter(inhibits).map(|r| {
            json!({ "name": r.name, "source": matcher_texts(&r.source), "target": matcher_texts(&r.target), "equal": r.equal })
        }).collect();
        (routing, rules)
    });
    let found: Value = routes
        .matching(&labels)
        .into_iter()
        .filter_map(|i| routes.routes().get(i))
        .map(|route| {
            let group_labels = route.group_labels(&labels);
            let group_by = match &route.group_by {
                GroupBy::All => vec!["...".to_owned()],
                GroupBy::Labels(names) => names.clone(),
            };
            json!({
                "route": &*route.id,
                "receiver": route.receiver,
                "groupBy": group_by,
                "groupKey": &*route.group_key(&group_labels),
                "groupWaitMs": route.group_wait_ms,
                "groupIntervalMs": route.group_interval_ms,
                "repeatIntervalMs": route.repeat_interval_ms,
            })
        })
        .collect();
    let body = json!({ "routes": found, "inhibitedBy": inhibitors });
    Ok(json_answer(Body::from(format!("{body}\n"))))
}

/// GET `/api/v2/reba/routes`: the tree, and what each route has done since the start.
pub async fn routes(State(api): State<Arc<AlertmanagerApi>>) -> Answer {
    api.answer(|api| {
        let (routing, views) = api.look(|machine, _| (Arc::clone(machine.routing()), machine.routes()));
        let one = |(route, view): (&Route, RouteView)| {
            json!({
                "route": &*route.id,
                "parent": route.parent.and_then(|i| routing.routes().get(i)).map(|parent| &*parent.id),
                "matchers": matcher_texts(&route.matchers),
                "continue": route.continues,
                "receiver": route.receiver,
                "groups": view.groups,
                "alerts": view.alerts,
                "ticks": view.counters.ticks,
                "notifications": view.counters.notifications,
                "failed": view.counters.failed,
            })
        };
        let list: Value = routing.routes().iter().zip(views).map(one).collect();
        Ok(list.to_string().into_bytes())
    })
    .await
}

fn matcher_texts(all: &[Matcher]) -> Vec<String> {
    all.iter().map(|m| format!("{}{}{:?}", m.name, m.op.as_str(), m.value)).collect()
}

/// GET `/api/v2/reba/events?since=N`: the newest events, oldest first. The whole history is in the log store.
pub async fn events(State(api): State<Arc<AlertmanagerApi>>, request: Request) -> Answer {
    let params = Params::parse(request.uri().query().unwrap_or(""));
    let since = match params.get("since") {
        Some(text) => text.parse().map_err(|_| Refusal::bad(format!("since: {text:?} is no number")))?,
        None => 0,
    };
    let (last, events) = api.events.since(since);
    let body = json!({ "last": last, "events": events });
    Ok(json_answer(Body::from(format!("{body}\n"))))
}

/// Our own page. Its links are those of upstream's: `/#/alerts`, `/#/silences`, `/#/status`.
pub async fn home() -> Response {
    page("text/html; charset=utf-8", include_str!("home.html"))
}

/// What the page looks like.
pub async fn style() -> Response {
    page("text/css; charset=utf-8", include_str!("home.css"))
}

/// What the page does.
pub async fn script() -> Response {
    page("text/javascript; charset=utf-8", include_str!("home.js"))
}

fn page(kind: &'static str, text: &'static str) -> Response {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; \
                  frame-ancestors 'none'; base-uri 'none'";
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

//! Look-alikes of what alerts are posted to, and the list of what arrived.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{any, get, post, put},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Channel, Draft, Inbox, MESSAGE_LIMIT};

/// The routes.
pub fn router(inbox: Inbox) -> Router {
    Router::new()
        .route("/messages", get(messages).delete(clear))
        .route("/slack/api/chat.postMessage", post(slack_api))
        .route("/slack/api/chat.update", post(slack_api))
        .route("/slack/{*hook}", post(slack_hook))
        .route("/pagerduty/v2/enqueue", post(pagerduty))
        .route("/opsgenie/v2/alerts", post(opsgenie))
        .route("/opsgenie/v2/alerts/{alias}/close", post(opsgenie_close))
        .route("/opsgenie/v2/alerts/{alias}/{field}", put(opsgenie_change))
        .route("/webhook/{*path}", any(webhook))
        .route("/elsewhere/{*path}", any(elsewhere))
        .layer(DefaultBodyLimit::max(MESSAGE_LIMIT))
        .with_state(inbox)
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
}

async fn messages(State(inbox): State<Inbox>, Query(query): Query<Since>) -> Response {
    Json(json!({ "received": inbox.received(), "messages": inbox.messages(query.since) })).into_response()
}

async fn clear(State(inbox): State<Inbox>) -> StatusCode {
    inbox.clear();
    StatusCode::NO_CONTENT
}

/// A webhook of Slack answers `ok`, as text.
async fn slack_hook(State(inbox): State<Inbox>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(body) => {
            inbox.keep(slack(body));
            "ok".into_response()
        }
        Err(_) => (StatusCode::BAD_REQUEST, "invalid_payload").into_response(),
    }
}

/// The method answers where the message is, so that it can be updated.
async fn slack_api(State(inbox): State<Inbox>, body: Bytes) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return Json(json!({ "ok": false, "error": "invalid_json" })).into_response();
    };
    let channel = text(&body, "channel").to_owned();
    let before = text(&body, "ts").to_owned();
    let id = inbox.keep(slack(body));
    let ts = if before.is_empty() { format!("{id}.000000") } else { before };
    Json(json!({ "ok": true, "channel": channel, "ts": ts })).into_response()
}

fn slack(body: Value) -> Draft {
    let attachment = &body["attachments"][0];
    let subject = [text(attachment, "title"), text(attachment, "fallback"), text(&body, "text")];
    let lines = [text(attachment, "pretext"), text(attachment, "text"), text(&body, "text")];
    Draft {
        channel: Channel::Slack,
        to: text(&body, "channel").to_owned(),
        subject: first(&subject),
        text: lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n"),
        body,
    }
}

async fn pagerduty(State(inbox): State<Inbox>, Json(body): Json<Value>) -> Response {
    let key = text(&body, "dedup_key").to_owned();
    let payload = &body["payload"];
    let subject = first(&[text(payload, "summary"), text(&body, "description")]);
    let details = payload["custom_details"].as_object();
    let lines =
        details.into_iter().flatten().map(|(n, v)| format!("{n}: {}", v.as_str().unwrap_or("…").trim()));
    let text_of = lines.collect::<Vec<_>>().join("\n");
    let to = text(&body, "event_action").to_owned();
    inbox.keep(Draft { channel: Channel::Pagerduty, to, subject, text: text_of, body });
    let answer = json!({ "status": "success", "message": "Event processed", "dedup_key": key });
    (StatusCode::ACCEPTED, Json(answer)).into_response()
}

async fn opsgenie(State(inbox): State<Inbox>, Json(body): Json<Value>) -> Response {
    opsgenie_keep(&inbox, "create", body)
}

async fn opsgenie_close(
    State(inbox): State<Inbox>,
    Path(alias): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    let mut body = body;
    body["alias"] = alias.into();
    opsgenie_keep(&inbox, "close", body)
}

async fn opsgenie_change(
    State(inbox): State<Inbox>,
    Path((alias, field)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Response {
    let mut body = body;
    body["alias"] = alias.into();
    opsgenie_keep(&inbox, &format!("update {field}"), body)
}

fn opsgenie_keep(inbox: &Inbox, action: &str, body: Value) -> Response {
    let subject = first(&[text(&body, "message"), text(&body, "source"), text(&body, "alias")]);
    let text = text(&body, "description").to_owned();
    let id = inbox.keep(Draft { channel: Channel::Opsgenie, to: action.to_owned(), subject, text, body });
    let answer = json!({ "result": "Request will be processed", "took": 0.0, "requestId": id.to_string() });
    (StatusCode::ACCEPTED, Json(answer)).into_response()
}

async fn webhook(State(inbox): State<Inbox>, Path(path): Path<String>, body: Bytes) -> StatusCode {
    let text_of = String::from_utf8_lossy(&body).into_owned();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let subject = match body["alerts"].as_array() {
        Some(alerts) => {
            format!("{}: {} alerts of {}", text(&body, "status"), alerts.len(), text(&body, "groupKey"))
        }
        None => text_of.lines().next().unwrap_or("").to_owned(),
    };
    inbox.keep(Draft { channel: Channel::Webhook, to: format!("/{path}"), subject, text: text_of, body });
    StatusCode::OK
}

/// What was for a service that nobody here looks like: it agrees, in whatever way those who ask take for an agreement.
async fn elsewhere(State(inbox): State<Inbox>, Path(path): Path<String>, body: Bytes) -> Response {
    webhook(State(inbox), Path(path), body).await;
    let agreed = json!({ "ok": true, "success": true, "errcode": 0, "access_token": "inbox", "issues": [], "transitions": [] });
    Json(agreed).into_response()
}

fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body[field].as_str().unwrap_or("")
}

fn first(texts: &[&str]) -> String {
    texts.iter().find(|text| !text.is_empty()).copied().unwrap_or("").to_owned()
}

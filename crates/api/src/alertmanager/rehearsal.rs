//! What receivers would be told (`/api/v2/reba/preview`), and whether they take it (`/api/v2/reba/test`).

use std::{sync::Arc, time::Instant};

use axum::{
    body::Body,
    extract::{Request, State},
    http::StatusCode,
};
use futures::future::join_all;
use reba_alerting::{IntegrationKey, Notification, NotifiedAlert, PostedAlert, Reason, Rehearsal};
use reba_notify::{IntegrationStatus, Preview, Receivers};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use super::{
    AlertmanagerApi,
    body::{self, Rehearsed},
    json_answer,
    refusal::{Answer, Refusal},
};

/// Bytes of a request.
const BODY_LIMIT: usize = 4 << 20;

/// Notifications that one preview shows, each with all requests that it would make.
const MAX_PREVIEWS: usize = 200;

/// Bytes of one message that a preview shows.
const MAX_PREVIEW_BYTES: usize = 256 << 10;

/// Previews at a time: templates may compute for a while.
const PREVIEWS_AT_ONCE: usize = 4;

/// Tests at a time: each may wait a minute for its receiver.
const TESTS_AT_ONCE: usize = 4;

/// What stands before the texts of an alert that tests a receiver.
const MARK: &str = "TEST, nothing is wrong: ";

/// Places of those who preview and test.
#[derive(Debug)]
pub struct Rehearsals {
    previews: Semaphore,
    tests: Semaphore,
}

impl Default for Rehearsals {
    fn default() -> Self {
        Rehearsals { previews: Semaphore::new(PREVIEWS_AT_ONCE), tests: Semaphore::new(TESTS_AT_ONCE) }
    }
}

/// POST `/reba/preview`: the messages that alerts would make, rendered, and sent to nobody.
pub async fn preview(State(api): State<Arc<AlertmanagerApi>>, request: Request) -> Answer {
    body::check_media_type(request.headers())?;
    let bytes = api.read(request.into_body(), BODY_LIMIT).await?;
    let asked = body::rehearsal(&bytes)?;
    let places = Arc::clone(&api);
    // The semaphore is never closed.
    let _place = places.rehearsals.previews.acquire().await.ok();
    api.answer(move |api| Ok(previews(api, asked)?.to_string().into_bytes())).await
}

fn previews(api: &AlertmanagerApi, mut asked: Rehearsed) -> Result<Value, Refusal> {
    if asked.alerts.is_empty() {
        asked.alerts.push(sample());
    }
    let receivers = api.receivers.load_full();
    let status = chosen(&receivers, &asked)?;
    let rehearsals = rehearse(api, &asked)?;
    let of = |name: &str| status.iter().filter(|i| i.key.receiver == name).collect::<Vec<_>>();
    let count: usize = rehearsals.iter().map(|r| of(&r.note.receiver).len()).sum();
    if count > MAX_PREVIEWS {
        let text = format!(
            "these alerts would make {count} notifications; at most {MAX_PREVIEWS} are shown (MAX_PREVIEWS)"
        );
        return Err(Refusal::bad(text));
    }
    let one = |r: &Rehearsal| {
        let integrations: Vec<Value> =
            of(&r.note.receiver).into_iter().map(|i| integration(&receivers, i, &r.note)).collect();
        json!({
            "receiver": r.note.receiver,
            "routed": r.routed,
            "route": &*r.note.route_id,
            "groupKey": &*r.note.group_key,
            "groupLabels": r.note.group_labels.iter().map(|(n, v)| (n.to_owned(), v.into())).collect::<Map<_, _>>(),
            "integrations": integrations,
        })
    };
    Ok(json!({ "notifications": rehearsals.iter().map(one).collect::<Vec<_>>() }))
}

fn integration(receivers: &Receivers, status: &IntegrationStatus, note: &Notification) -> Value {
    let mut out = described(status);
    let note = heard(note, status.send_resolved);
    let (messages, error) = match (&status.disabled, note) {
        (Some(_), _) => (Vec::new(), None),
        (None, None) => (Vec::new(), Some("it does not want to hear of resolved alerts".to_owned())),
        (None, Some(note)) => match receivers.preview(&status.key, &note) {
            Ok(messages) => (messages, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        },
    };
    out["error"] = error.into();
    out["messages"] = messages.into_iter().map(message).collect();
    out
}

fn message(preview: Preview) -> Value {
    let headers: Map<String, Value> = preview.headers.into_iter().map(|(n, v)| (n, v.into())).collect();
    let end =
        (0..=MAX_PREVIEW_BYTES.min(preview.body.len())).rev().find(|i| preview.body.is_char_boundary(*i));
    let shown = preview.body.get(..end.unwrap_or(0)).unwrap_or_default();
    json!({
        "to": preview.to,
        "headers": headers,
        "contentType": preview.content_type,
        "body": shown,
        "truncated": shown.len() < preview.body.len(),
    })
}

/// POST `/reba/test`: a marked test alert to all integrations of a receiver, or to one, and their answers. Each gets one try; those
/// that want to know then hear that it is over.
pub async fn test(State(api): State<Arc<AlertmanagerApi>>, request: Request) -> Answer {
    body::check_media_type(request.headers())?;
    let bytes = api.read(request.into_body(), BODY_LIMIT).await?;
    let mut asked = body::rehearsal(&bytes)?;
    let receiver = asked.receiver.clone().ok_or_else(|| Refusal::required("receiver"))?;
    if asked.alerts.len() > 1 {
        return Err(Refusal::bad("a receiver is tested with one alert"));
    }
    let _place = api.rehearsals.tests.try_acquire().map_err(|_| {
        let text = format!("{TESTS_AT_ONCE} tests are under way, try again later (TESTS_AT_ONCE)");
        Refusal::say(StatusCode::SERVICE_UNAVAILABLE, text)
    })?;
    let status = chosen(&api.receivers.load_full(), &asked)?;
    let alert = marked(asked.alerts.pop().unwrap_or_else(sample));
    asked.alerts = vec![alert];
    let rehearsal = rehearse(&api, &asked)?.into_iter().next();
    let note = rehearsal.ok_or_else(|| Refusal::internal("the alert found no route"))?.note;
    // Not the group of an alert that may really fire: services close incidents by this key.
    let group_key = format!("test {}: {}", note.now_ms, note.group_key).into();
    let note = Notification { reason: Reason::Test, group_key, ..note };
    let tried = join_all(status.iter().map(|i| try_one(&api, i, &note))).await;
    let (ok, results): (Vec<Option<bool>>, Vec<Value>) = tried.into_iter().unzip();
    let ok = ok.iter().any(Option::is_some) && !ok.contains(&Some(false));
    let body = json!({ "receiver": receiver, "ok": ok, "integrations": results });
    Ok(json_answer(Body::from(format!("{body}\n"))))
}

/// Whether an integration took the test, if it was tried, and what it said.
async fn try_one(
    api: &AlertmanagerApi,
    status: &IntegrationStatus,
    note: &Notification,
) -> (Option<bool>, Value) {
    let mut out = described(status);
    if status.disabled.is_some() {
        out["tries"] = json!([]);
        return (None, out);
    }
    let mut tries = Vec::new();
    let (first, remember) = try_once(api, &status.key, note).await;
    let mut ok = first["delivered"] == true;
    tries.push(first);
    if ok && status.send_resolved {
        let over = Notification { remembered: remember, ..over(note) };
        let (last, _) = try_once(api, &status.key, &over).await;
        ok = last["delivered"] == true;
        tries.push(last);
    }
    out["tries"] = tries.into();
    (Some(ok), out)
}

async fn try_once(
    api: &AlertmanagerApi,
    key: &IntegrationKey,
    note: &Notification,
) -> (Value, std::collections::BTreeMap<String, String>) {
    let began = Instant::now();
    let result = api.alerting.try_once(key, note).await;
    let status = if note.alerts.iter().any(|a| a.firing) { "firing" } else { "resolved" };
    let mut out = json!({ "status": status, "tookMs": began.elapsed().as_millis() as u64, "delivered": result.is_ok() });
    match result {
        Ok(delivered) => {
            out["answer"] = delivered.answer.into();
            (out, delivered.remember.unwrap_or_default())
        }
        Err(error) => {
            out["error"] = error.to_string().into();
            (out, std::collections::BTreeMap::new())
        }
    }
}

fn described(status: &IntegrationStatus) -> Value {
    json!({
        "integration": status.key.integration,
        "index": status.key.index,
        "sendResolved": status.send_resolved,
        "disabled": status.disabled,
    })
}

/// The integrations that are asked for: of one receiver, of one kind, one of them; all if nobody says.
fn chosen(receivers: &Receivers, asked: &Rehearsed) -> Result<Vec<IntegrationStatus>, Refusal> {
    if let Some(name) = asked.receiver.as_ref().filter(|name| !receivers.names().contains(name)) {
        return Err(Refusal::say(StatusCode::NOT_FOUND, format!("there is no receiver {name:?}")));
    }
    let mut all = receivers.status();
    all.retain(|i| {
        asked.receiver.as_ref().is_none_or(|name| i.key.receiver == *name)
            && asked.integration.as_ref().is_none_or(|kind| i.key.integration == kind)
            && asked.index.is_none_or(|index| i.key.index == index)
    });
    let narrowed = asked.integration.is_some() || asked.index.is_some();
    if all.is_empty() && narrowed {
        return Err(Refusal::say(StatusCode::NOT_FOUND, "there is no such integration"));
    }
    Ok(all)
}

fn rehearse(api: &AlertmanagerApi, asked: &Rehearsed) -> Result<Vec<Rehearsal>, Refusal> {
    let receiver = asked.receiver.as_deref();
    let made = api.look(|machine, now_ms| machine.rehearse(&asked.alerts, receiver, now_ms));
    made.map_err(|error| Refusal::bad(error.to_string()))
}

/// What of a notification an integration hears; none if that is nothing.
fn heard(note: &Notification, send_resolved: bool) -> Option<Notification> {
    let kept: Vec<NotifiedAlert> =
        note.alerts.iter().filter(|a| a.firing || send_resolved).cloned().collect();
    (!kept.is_empty()).then(|| Notification { alerts: kept.into(), ..note.clone() })
}

/// The same once it is over.
fn over(note: &Notification) -> Notification {
    let end = |a: &NotifiedAlert| NotifiedAlert { firing: false, ends_at_ms: Some(note.now_ms), ..a.clone() };
    Notification { alerts: note.alerts.iter().map(end).collect(), ..note.clone() }
}

fn pair(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

/// An alert for those who bring none.
fn sample() -> PostedAlert {
    PostedAlert {
        labels: vec![pair("alertname", "ReceiverTest"), pair("severity", "warning"), pair("service", "test")],
        annotations: vec![
            pair("summary", "an alert to look at"),
            pair(
                "description",
                "It shows whether alerts arrive, and what they look like. Nothing needs to be done.",
            ),
        ],
        ..PostedAlert::default()
    }
}

/// The alert as one that fires now and that nobody can take for a real one.
fn marked(mut alert: PostedAlert) -> PostedAlert {
    if !alert.labels.iter().any(|(name, _)| name == "test") {
        alert.labels.push(pair("test", "true"));
    }
    for name in ["summary", "description"] {
        match alert.annotations.iter_mut().find(|(n, _)| n == name) {
            Some((_, text)) => text.insert_str(0, MARK),
            None => alert
                .annotations
                .push(pair(name, format!("{MARK}somebody tries whether this receiver works"))),
        }
    }
    PostedAlert { starts_at_ms: None, ends_at_ms: None, ..alert }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_alert_cannot_be_taken_for_a_real_one() {
        let real = PostedAlert {
            labels: vec![pair("alertname", "ServiceDown")],
            annotations: vec![pair("summary", "wallet is down")],
            ends_at_ms: Some(5),
            ..PostedAlert::default()
        };
        let alert = marked(real);
        assert_eq!(alert.labels[1], pair("test", "true"));
        assert_eq!(alert.annotations[0], pair("summary", "TEST, nothing is wrong: wallet is down"));
        assert!(alert.annotations[1].1.starts_with(MARK));
        assert_eq!(alert.ends_at_ms, None);
    }

    #[test]
    fn who_does_not_want_to_hear_of_resolved_alerts_hears_of_the_firing_ones_only() {
        let machine_note = |firing: [bool; 2]| {
            let alert = |firing| NotifiedAlert {
                labels: reba_model::Labels::from_pairs([("alertname", "A")]),
                annotations: reba_model::Labels::empty(),
                starts_at_ms: 0,
                ends_at_ms: None,
                generator_url: "".into(),
                fingerprint: 0,
                firing,
            };
            Notification {
                receiver: "r".to_owned(),
                group_key: "{}:{}".into(),
                group_labels: reba_model::Labels::empty(),
                alerts: firing.map(alert).to_vec().into(),
                route_id: "{}".into(),
                reason: Reason::First,
                remembered: std::collections::BTreeMap::new(),
                now_ms: 7,
                deadline_ms: 8,
            }
        };
        let count =
            |firing, send_resolved| heard(&machine_note(firing), send_resolved).map(|n| n.alerts.len());
        assert_eq!((count([true, false], true), count([true, false], false)), (Some(2), Some(1)));
        assert_eq!((count([false, false], false), count([false, false], true)), (None, Some(2)));
        let over = over(&machine_note([true, true]));
        assert!(over.alerts.iter().all(|a| !a.firing && a.ends_at_ms == Some(7)));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let preview = Preview {
            to: "POST x".to_owned(),
            headers: vec![pair("a", "b")],
            content_type: "text/plain".to_owned(),
            body: "é".repeat(MAX_PREVIEW_BYTES),
        };
        let shown = message(preview);
        assert_eq!(shown["body"].as_str().map(str::len), Some(MAX_PREVIEW_BYTES));
        assert_eq!((&shown["truncated"], &shown["headers"]["a"]), (&json!(true), &json!("b")));
    }
}

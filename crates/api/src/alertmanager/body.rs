//! What is posted: alerts and silences, checked as upstream's generated code checks them, so that a client finds the same words.

use axum::http::{HeaderMap, StatusCode, header};
use http::Uri;
use jiff::Timestamp;
use reba_alerting::{PostedAlert, PostedRecurring, PostedSilence, ScheduleSection};
use reba_model::{MatchOp, Matcher};
use serde_json::{Map, Value};

use super::refusal::Refusal;

/// Go's zero time, which clients send where they mean none.
const ZERO_MS: i64 = -62_135_596_800_000;

/// Alerts that one request may have: Prometheus sends 64 at a time.
pub const MAX_ALERTS: usize = 100_000;

/// Refuses bodies that are not JSON. A page from elsewhere cannot send JSON without asking first, either.
pub fn check_media_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let media = given.unwrap_or("application/octet-stream").split(';').next().unwrap_or("").trim();
    if media.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = format!("unsupported media type {media:?}, only [application/json] are allowed");
    Err(Refusal::coded(StatusCode::UNSUPPORTED_MEDIA_TYPE, 415, message))
}

/// Reads a list of alerts.
pub fn alerts(body: &[u8]) -> Result<Vec<PostedAlert>, Refusal> {
    let unreadable = |e: String| Refusal::unreadable("alerts", e);
    if body.is_empty() {
        return Err(Refusal::required("alerts"));
    }
    let list: Vec<Value> = match serde_json::from_slice(body).map_err(|e| unreadable(e.to_string()))? {
        Value::Array(list) => list,
        Value::Null => return Err(Refusal::required("alerts")),
        other => return Err(unreadable(format!("{} cannot be a list of alerts", kind(&other)))),
    };
    if list.len() > MAX_ALERTS {
        let text = format!("{} alerts at once; at most {MAX_ALERTS} are taken (MAX_ALERTS)", list.len());
        return Err(Refusal::say(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    list.iter().enumerate().map(|(i, alert)| one_alert(i, alert)).collect()
}

/// What somebody wants to see previewed, or tested.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rehearsed {
    /// Only this receiver.
    pub receiver: Option<String>,
    /// Only integrations of this kind.
    pub integration: Option<String>,
    /// Only those with this number among their kind.
    pub index: Option<usize>,
    /// The alerts; none for a sample.
    pub alerts: Vec<PostedAlert>,
}

/// Alerts that a preview may have: people look at it.
pub const MAX_REHEARSED: usize = 100;

/// Reads what is to be previewed or tested; an empty body asks for everything with a sample.
pub fn rehearsal(body: &[u8]) -> Result<Rehearsed, Refusal> {
    let unreadable = |e: String| Refusal::unreadable("request", e);
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Rehearsed::default());
    }
    let asked = match serde_json::from_slice(body).map_err(|e| unreadable(e.to_string()))? {
        Value::Object(asked) => asked,
        other => return Err(unreadable(format!("{} cannot be a request", kind(&other)))),
    };
    let known = ["receiver", "integration", "index", "alerts"];
    if let Some(field) = asked.keys().find(|field| !known.contains(&field.as_str())) {
        return Err(unreadable(format!("there is no field {field:?}")));
    }
    let index = match asked.get("index") {
        None | Some(Value::Null) => None,
        Some(n) => {
            let number = n.as_u64().and_then(|n| usize::try_from(n).ok());
            Some(
                number
                    .ok_or_else(|| unreadable(format!("{} cannot be index, which is a number", kind(n))))?,
            )
        }
    };
    let alerts = match asked.get("alerts") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) if list.len() > MAX_REHEARSED => {
            let text =
                format!("{} alerts at once; at most {MAX_REHEARSED} are taken (MAX_REHEARSED)", list.len());
            return Err(Refusal::say(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        Some(Value::Array(list)) => {
            list.iter().enumerate().map(|(i, alert)| one_alert(i, alert)).collect::<Result<_, _>>()?
        }
        Some(other) => return Err(unreadable(format!("{} cannot be a list of alerts", kind(other)))),
    };
    let receiver = text(&asked, "receiver").map_err(unreadable)?;
    Ok(Rehearsed { receiver, integration: text(&asked, "integration").map_err(unreadable)?, index, alerts })
}

fn one_alert(i: usize, alert: &Value) -> Result<PostedAlert, Refusal> {
    let unreadable = |e: String| Refusal::unreadable("alerts", e);
    let Value::Object(alert) = alert else {
        return Err(unreadable(format!("{} cannot be an alert", kind(alert))));
    };
    let labels = pairs(alert, "labels").map_err(unreadable)?;
    let annotations = pairs(alert, "annotations").map_err(unreadable)?;
    let starts_at_ms = time(alert, "startsAt").map_err(unreadable)?;
    let ends_at_ms = time(alert, "endsAt").map_err(unreadable)?;
    let generator_url = text(alert, "generatorURL").map_err(unreadable)?.unwrap_or_default();
    if !generator_url.is_empty() && !is_url(&generator_url) {
        return Err(Refusal::format(&format!("{i}.generatorURL"), "body", "uri", &generator_url));
    }
    let Some(labels) = labels else { return Err(Refusal::required(&format!("{i}.labels"))) };
    let annotations = annotations.unwrap_or_default();
    Ok(PostedAlert { labels, annotations, starts_at_ms, ends_at_ms, generator_url })
}

/// Reads a silence.
pub fn silence(body: &[u8]) -> Result<PostedSilence, Refusal> {
    let unreadable = |e: String| Refusal::unreadable("silence", e);
    let silence = object(body)?;
    let comment = text(&silence, "comment").map_err(unreadable)?;
    let created_by = text(&silence, "createdBy").map_err(unreadable)?;
    let ends_at_ms = time(&silence, "endsAt").map_err(unreadable)?;
    let starts_at_ms = time(&silence, "startsAt").map_err(unreadable)?;
    let id = text(&silence, "id").map_err(unreadable)?;
    let until_resolved = flag(&silence, "untilResolved").map_err(unreadable)?.unwrap_or(false);
    let comment = comment.ok_or_else(|| Refusal::required("comment"))?;
    let created_by = created_by.ok_or_else(|| Refusal::required("createdBy"))?;
    let ends_at_ms = ends_at_ms.ok_or_else(|| Refusal::required("endsAt"))?;
    let matchers = matchers(&silence)?;
    let starts_at_ms = starts_at_ms.ok_or_else(|| Refusal::required("startsAt"))?;
    let id = id.filter(|id| !id.is_empty());
    Ok(PostedSilence { id, matchers, starts_at_ms, ends_at_ms, created_by, comment, until_resolved })
}

/// Reads a schedule of silences.
pub fn recurring(body: &[u8]) -> Result<PostedRecurring, Refusal> {
    let unreadable = |e: String| Refusal::unreadable("silence", e);
    let mut given = object(body)?;
    let schedule = given.remove("schedule").ok_or_else(|| Refusal::required("schedule"))?;
    let schedule: ScheduleSection =
        serde_json::from_value(schedule).map_err(|e| unreadable(e.to_string()))?;
    let required =
        |name: &str| text(&given, name).map_err(unreadable)?.ok_or_else(|| Refusal::required(name));
    let (comment, created_by) = (required("comment")?, required("createdBy")?);
    let id = text(&given, "id").map_err(unreadable)?.filter(|id| !id.is_empty());
    Ok(PostedRecurring { id, matchers: matchers(&given)?, schedule, created_by, comment })
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if body.is_empty() {
        return Err(Refusal::required("silence"));
    }
    match serde_json::from_slice(body).map_err(|e| Refusal::unreadable("silence", e))? {
        Value::Object(object) => Ok(object),
        other => Err(Refusal::unreadable("silence", format!("{} cannot be a silence", kind(&other)))),
    }
}

fn matchers(silence: &Map<String, Value>) -> Result<Vec<Matcher>, Refusal> {
    let list = match silence.get("matchers") {
        None | Some(Value::Null) => return Err(Refusal::required("matchers")),
        Some(Value::Array(list)) => list,
        Some(other) => {
            let because = format!("{} cannot be a list of matchers", kind(other));
            return Err(Refusal::unreadable("silence", because));
        }
    };
    if list.is_empty() {
        return Err(Refusal::too_few("matchers"));
    }
    list.iter().enumerate().map(|(i, m)| matcher(i, m)).collect()
}

fn matcher(i: usize, matcher: &Value) -> Result<Matcher, Refusal> {
    let unreadable = |e: String| Refusal::unreadable("silence", e);
    let Value::Object(matcher) = matcher else {
        return Err(unreadable(format!("{} cannot be a matcher", kind(matcher))));
    };
    let required = |name: &str| Refusal::required(&format!("matchers.{i}.{name}"));
    let is_equal = flag(matcher, "isEqual").map_err(unreadable)?.unwrap_or(true);
    let is_regex = flag(matcher, "isRegex").map_err(unreadable)?.ok_or_else(|| required("isRegex"))?;
    let name = text(matcher, "name").map_err(unreadable)?.ok_or_else(|| required("name"))?;
    let value = text(matcher, "value").map_err(unreadable)?.ok_or_else(|| required("value"))?;
    let op = match (is_equal, is_regex) {
        (true, false) => MatchOp::Equal,
        (false, false) => MatchOp::NotEqual,
        (true, true) => MatchOp::Regex,
        (false, true) => MatchOp::NotRegex,
    };
    Matcher::new(op, name, value.clone()).map_err(|e| {
        let reason = format!("invalid regular expression {value:?}: {e}");
        Refusal::bad(format!("silence invalid: invalid label matcher {i}: {reason}"))
    })
}

/// A map of texts, if it is there.
fn pairs(of: &Map<String, Value>, name: &str) -> Result<Option<Vec<(String, String)>>, String> {
    let map = match of.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(map)) => map,
        Some(other) => return Err(format!("{} cannot be a map of {name}", kind(other))),
    };
    let pair = |(key, value): (&String, &Value)| match value {
        Value::String(text) => Ok((key.clone(), text.clone())),
        other => Err(format!("{} cannot be the value of {key:?} in {name}, which is a text", kind(other))),
    };
    map.iter().map(pair).collect::<Result<_, _>>().map(Some)
}

fn text(of: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("{} cannot be {name}, which is a text", kind(other))),
    }
}

fn flag(of: &Map<String, Value>, name: &str) -> Result<Option<bool>, String> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(other) => Err(format!("{} cannot be {name}, which is true or false", kind(other))),
    }
}

/// A time in Unix milliseconds; none if it is absent or Go's zero time.
fn time(of: &Map<String, Value>, name: &str) -> Result<Option<i64>, String> {
    let Some(text) = text(of, name)? else { return Ok(None) };
    let ms = parse_time(&text).ok_or_else(|| format!("{name} {text:?} is no time of RFC 3339"))?;
    Ok((ms != ZERO_MS).then_some(ms))
}

/// RFC 3339; without a zone it is UTC.
fn parse_time(text: &str) -> Option<i64> {
    let timestamp: Result<Timestamp, _> = text.parse();
    let timestamp = timestamp.or_else(|_| format!("{text}Z").parse());
    timestamp.ok().map(Timestamp::as_millisecond)
}

/// As strictly as upstream: an absolute address, or a path.
fn is_url(text: &str) -> bool {
    text.starts_with('/') || (text.contains(':') && text.parse::<Uri>().is_ok()) || opaque(text)
}

/// What [`Uri`] does not take, but Go does: characters beyond ASCII, braces and the like in path and query.
fn opaque(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let mut letters = scheme.chars();
    letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && !rest.chars().any(char::is_control)
        && !rest.split('/').next().unwrap_or("").contains(' ')
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;

    use super::*;

    async fn said(refusal: Refusal) -> (u16, String) {
        let response = refusal.into_response();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap().trim().to_owned())
    }

    #[tokio::test]
    async fn what_is_wrong_with_alerts_is_said_as_upstream_says_it() {
        for (body, status, text) in [
            ("", 422, r#"{"code":602,"message":"alerts in body is required"}"#),
            (r#"[{"annotations":{}}]"#, 422, r#"{"code":602,"message":"0.labels in body is required"}"#),
            (
                r#"[{"labels":{"a":"1"},"generatorURL":"not a url"}]"#,
                422,
                r#"{"code":601,"message":"0.generatorURL in body must be of type uri: \"not a url\""}"#,
            ),
        ] {
            assert_eq!(said(alerts(body.as_bytes()).unwrap_err()).await, (status, text.to_owned()), "{body}");
        }
        for body in ["{", "{}", "[1]", r#"[{"labels":{"a":1}}]"#, r#"[{"labels":{"a":"1"},"startsAt":"x"}]"#]
        {
            let (status, text) = said(alerts(body.as_bytes()).unwrap_err()).await;
            let start = r#"{"code":400,"message":"parsing alerts body from \"\" failed, because "#;
            assert!(status == 400 && text.starts_with(start), "{body}: {text}");
        }
    }

    #[test]
    fn an_alert_is_read_with_its_times_and_go_s_zero_time_is_none() {
        let body = r#"[{"labels":{"a":"1","b":""},"annotations":{"s":"x"},"startsAt":"2026-11-23T10:00:00.5+02:00",
            "endsAt":"0001-01-01T00:00:00.000Z","generatorURL":"http://h:9090/graph?g0.expr=a{b}"}]"#;
        let [alert] = &alerts(body.as_bytes()).unwrap()[..] else { panic!() };
        assert_eq!((alert.starts_at_ms, alert.ends_at_ms), (Some(1_795_420_800_500), None));
        assert_eq!(alert.labels, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]);
    }

    #[tokio::test]
    async fn a_rehearsal_is_read_strictly_and_nothing_asks_for_everything() {
        assert_eq!(rehearsal(b" ").unwrap(), Rehearsed::default());
        let asked =
            rehearsal(br#"{"receiver":"r","integration":"slack","index":1,"alerts":[{"labels":{"a":"1"}}]}"#)
                .unwrap();
        assert_eq!(
            (asked.receiver.as_deref(), asked.integration.as_deref(), asked.index),
            (Some("r"), Some("slack"), Some(1))
        );
        assert_eq!(asked.alerts[0].labels, [("a".to_owned(), "1".to_owned())]);
        for body in
            ["[]", "{", r#"{"reciever":"r"}"#, r#"{"index":-1}"#, r#"{"alerts":{}}"#, r#"{"receiver":1}"#]
        {
            let (status, text) = said(rehearsal(body.as_bytes()).unwrap_err()).await;
            assert_eq!(status, 400, "{body}: {text}");
        }
        let many = format!(r#"{{"alerts":[{}]}}"#, vec!["{}"; MAX_REHEARSED + 1].join(","));
        assert_eq!(said(rehearsal(many.as_bytes()).unwrap_err()).await.0, 413);
    }

    const SILENCE: &str = r#"{"matchers":[{"name":"a","value":"b.*","isRegex":true,"isEqual":false}],"startsAt":"2026-11-23T10:00:00Z",
        "endsAt":"2026-11-23T12:00:00Z","createdBy":"me","comment":"c","id":""}"#;

    #[tokio::test]
    async fn a_silence_needs_all_of_its_fields() {
        let read = silence(SILENCE.as_bytes()).unwrap();
        assert_eq!(
            (read.id, read.matchers[0].op, read.ends_at_ms - read.starts_at_ms),
            (None, MatchOp::NotRegex, 7_200_000)
        );
        let full: Value = serde_json::from_str(SILENCE).unwrap();
        for field in ["comment", "createdBy", "endsAt", "matchers", "startsAt"] {
            let mut without = full.clone();
            without.as_object_mut().unwrap().remove(field);
            let (status, text) = said(silence(without.to_string().as_bytes()).unwrap_err()).await;
            assert_eq!(
                (status, text),
                (422, format!(r#"{{"code":602,"message":"{field} in body is required"}}"#))
            );
        }
        let mut empty = full.clone();
        empty["matchers"] = Value::Array(Vec::new());
        let (status, text) = said(silence(empty.to_string().as_bytes()).unwrap_err()).await;
        assert_eq!(
            (status, &*text),
            (422, r#"{"code":612,"message":"matchers in body should have at least 1 items"}"#)
        );
        let mut wrong = full;
        wrong["matchers"][0]["value"] = "(".into();
        let (status, text) = said(silence(wrong.to_string().as_bytes()).unwrap_err()).await;
        assert!(
            status == 400
                && text
                    .starts_with(r#""silence invalid: invalid label matcher 0: invalid regular expression"#),
            "{text}"
        );
    }

    #[test]
    fn only_json_is_taken() {
        let mut headers = HeaderMap::new();
        assert!(check_media_type(&headers).is_err());
        headers.insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
        assert!(check_media_type(&headers).is_err());
        headers.insert(header::CONTENT_TYPE, "application/json; charset=utf-8".parse().unwrap());
        assert!(check_media_type(&headers).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn no_body_whatever_is_in_it_panics(bytes: Vec<u8>, text in r#"[\[\]{}":,a-z0-9\\]{0,60}"#) {
            for body in [&bytes[..], text.as_bytes()] {
                let _ = alerts(body);
                let _ = silence(body);
                let _ = recurring(body);
            }
            let _ = is_url(&text);
        }
    }
}

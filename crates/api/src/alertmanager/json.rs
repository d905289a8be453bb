//! Alerts, groups and silences as upstream writes them, fields in upstream's order.

use jiff::Timestamp;
use reba_alerting::{AlertView, GroupView, RecurringSilence, Silence, fingerprint_text};
use reba_model::{MatchOp, Matcher};
use serde_json::{Value, json};

use crate::json::{write_labels, write_list, write_string};

/// A time with milliseconds, in UTC.
pub fn time(ms: i64) -> String {
    let bounded = ms.clamp(-62_135_596_800_000, 253_402_207_200_000);
    let at = Timestamp::from_millisecond(bounded).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn field(out: &mut Vec<u8>, start: &str, text: &str) {
    out.extend_from_slice(start.as_bytes());
    write_string(out, text);
}

fn strings<'a>(out: &mut Vec<u8>, start: &str, all: impl IntoIterator<Item = &'a str>) {
    out.extend_from_slice(start.as_bytes());
    write_list(out, all, |out, text| {
        write_string(out, text);
        true
    });
}

fn receivers(out: &mut Vec<u8>, names: &[String]) {
    write_list(out, names, |out, name| {
        field(out, "{\"name\":", name);
        out.push(b'}');
        true
    });
}

/// An alert.
pub fn write_alert(out: &mut Vec<u8>, view: &AlertView) {
    let (alert, status) = (&view.alert, &view.status);
    out.extend_from_slice(b"{\"annotations\":");
    write_labels(out, &alert.annotations);
    field(out, ",\"endsAt\":", &time(alert.ends_at_ms));
    field(out, ",\"fingerprint\":", &fingerprint_text(alert.fingerprint));
    out.extend_from_slice(b",\"receivers\":");
    receivers(out, &view.receivers);
    field(out, ",\"startsAt\":", &time(alert.starts_at_ms));
    let inhibitor = status.inhibited_by.map(fingerprint_text);
    strings(out, ",\"status\":{\"inhibitedBy\":", inhibitor.as_deref());
    strings(out, ",\"mutedBy\":", status.muted_by.iter().map(String::as_str));
    strings(out, ",\"silencedBy\":", status.silenced_by.iter().map(String::as_str));
    field(out, ",\"state\":", status.state.as_str());
    field(out, "},\"updatedAt\":", &time(alert.updated_at_ms));
    if !alert.generator_url.is_empty() {
        field(out, ",\"generatorURL\":", &alert.generator_url);
    }
    out.extend_from_slice(b",\"labels\":");
    write_labels(out, &alert.labels);
    out.push(b'}');
}

/// A list of alerts.
pub fn write_alerts(out: &mut Vec<u8>, views: &[AlertView]) {
    write_list(out, views, |out, view| {
        write_alert(out, view);
        true
    });
}

/// A group.
pub fn write_group(out: &mut Vec<u8>, group: &GroupView) {
    out.extend_from_slice(b"{\"alerts\":");
    write_alerts(out, &group.alerts);
    out.extend_from_slice(b",\"labels\":");
    write_labels(out, &group.labels);
    field(out, ",\"receiver\":{\"name\":", &group.receiver);
    out.extend_from_slice(b"}}");
}

/// Matchers, as silences have them.
pub fn matchers(all: &[Matcher]) -> Value {
    let one = |m: &Matcher| {
        json!({
            "isEqual": matches!(m.op, MatchOp::Equal | MatchOp::Regex),
            "isRegex": matches!(m.op, MatchOp::Regex | MatchOp::NotRegex),
            "name": m.name,
            "value": m.value,
        })
    };
    all.iter().map(one).collect()
}

/// A silence. What upstream does not have is only there if it is used.
pub fn write_silence(out: &mut Vec<u8>, silence: &Silence, now_ms: i64) {
    field(out, "{\"id\":", &silence.id);
    field(out, ",\"status\":{\"state\":", silence.state(now_ms).as_str());
    field(out, "},\"updatedAt\":", &time(silence.updated_at_ms));
    field(out, ",\"comment\":", &silence.comment);
    field(out, ",\"createdBy\":", &silence.created_by);
    field(out, ",\"endsAt\":", &time(silence.ends_at_ms));
    out.extend_from_slice(b",\"matchers\":");
    out.extend_from_slice(matchers(&silence.matchers).to_string().as_bytes());
    field(out, ",\"startsAt\":", &time(silence.starts_at_ms));
    if silence.until_resolved {
        out.extend_from_slice(b",\"untilResolved\":true");
    }
    if let Some(schedule) = &silence.recurring {
        field(out, ",\"recurring\":", schedule);
    }
    out.push(b'}');
}

/// A schedule of silences, with the silence that it makes next.
pub fn recurring(schedule: &RecurringSilence, now_ms: i64) -> Value {
    let next = schedule.next(now_ms);
    json!({
        "id": schedule.id,
        "matchers": matchers(&schedule.matchers),
        "schedule": schedule.schedule.section(),
        "createdBy": schedule.created_by,
        "comment": schedule.comment,
        "updatedAt": time(schedule.updated_at_ms),
        "next": next.map(|(starts, ends)| json!({ "startsAt": time(starts), "endsAt": time(ends) })),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use reba_alerting::{Alert, AlertState, AlertStatus, PostedAlert};
    use reba_model::Labels;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn view() -> AlertView {
        let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        let posted = PostedAlert {
            labels: vec![pair("alertname", "Tgt"), pair("s", "x")],
            annotations: vec![],
            starts_at_ms: Some(1_795_428_000_000),
            ends_at_ms: Some(1_795_428_300_289),
            generator_url: String::new(),
        };
        AlertView {
            alert: Arc::new(Alert::new(&posted, 1_795_428_000_001, 0).unwrap()),
            receivers: vec!["q".to_owned()],
            status: AlertStatus {
                state: AlertState::Suppressed,
                silenced_by: vec![],
                inhibited_by: Some(0x498e_1eb8_768f_960c),
                muted_by: vec![],
            },
        }
    }

    #[test]
    fn an_alert_is_written_as_upstream_writes_it() {
        let expected = r#"{"annotations":{},"endsAt":"2026-11-23T10:05:00.289Z","fingerprint":"557c284214f523dc","receivers":[{"name":"q"}],"startsAt":"2026-11-23T10:00:00.000Z","status":{"inhibitedBy":["498e1eb8768f960c"],"mutedBy":[],"silencedBy":[],"state":"suppressed"},"updatedAt":"2026-11-23T10:00:00.001Z","labels":{"alertname":"Tgt","s":"x"}}"#;
        assert_eq!(text(|out| write_alert(out, &view())), expected);
        let group = GroupView {
            labels: Labels::empty(),
            receiver: "q".to_owned(),
            key: "{}:{}".into(),
            route_id: "{}".into(),
            alerts: vec![view()],
            next_ms: 0,
            in_flight: false,
        };
        let group = text(|out| write_group(out, &group));
        assert_eq!(group, format!(r#"{{"alerts":[{expected}],"labels":{{}},"receiver":{{"name":"q"}}}}"#));
    }

    #[test]
    fn a_silence_is_written_as_upstream_writes_it_and_ours_only_where_they_are_used() {
        let mut silence = Silence {
            id: "77af95f1-ba1d-4bd9-abae-f84ee4ae77ce".to_owned(),
            matchers: vec![Matcher::new(MatchOp::NotRegex, "a", "b.*").unwrap()],
            starts_at_ms: 0,
            ends_at_ms: 10,
            updated_at_ms: 5,
            created_by: "me".to_owned(),
            comment: "c".to_owned(),
            until_resolved: false,
            has_matched: false,
            recurring: None,
        };
        assert_eq!(
            text(|out| write_silence(out, &silence, 5)),
            r#"{"id":"77af95f1-ba1d-4bd9-abae-f84ee4ae77ce","status":{"state":"active"},"updatedAt":"1970-01-01T00:00:00.005Z","comment":"c","createdBy":"me","endsAt":"1970-01-01T00:00:00.010Z","matchers":[{"isEqual":false,"isRegex":true,"name":"a","value":"b.*"}],"startsAt":"1970-01-01T00:00:00.000Z"}"#
        );
        silence.until_resolved = true;
        assert!(text(|out| write_silence(out, &silence, 5)).ends_with(r#","untilResolved":true}"#));
    }

    #[test]
    fn times_beyond_what_the_format_can_say_are_cut() {
        assert_eq!(time(-62_135_596_800_000), "0001-01-01T00:00:00.000Z");
        assert!(time(i64::MAX).starts_with("9999-12-3") && time(i64::MIN).starts_with("0001-"));
    }
}

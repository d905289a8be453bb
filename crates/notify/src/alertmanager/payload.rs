//! Alerts as `POST /api/v2/alerts` takes them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reba_model::Alert;
use serde::Serialize;

/// One alert of the body; keys in the order in which upstream writes them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PostableAlert<'a> {
    annotations: BTreeMap<&'a str, &'a str>,
    ends_at: String,
    starts_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "str::is_empty")]
    generator_url: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
}

/// The body of a request.
pub(super) fn body(alerts: &[Alert]) -> Result<Vec<u8>, serde_json::Error> {
    let postable: Vec<PostableAlert<'_>> = alerts
        .iter()
        .map(|a| PostableAlert {
            annotations: a.annotations.iter().collect(),
            ends_at: rfc3339(a.ends_at),
            starts_at: rfc3339(a.starts_at),
            generator_url: &a.generator_url,
            labels: a.labels.iter().collect(),
        })
        .collect();
    serde_json::to_vec(&postable)
}

/// Unix milliseconds as `2015-06-23T13:19:44.128Z`. A time beyond the calendar becomes its nearest end.
fn rfc3339(ms: i64) -> String {
    let edge = if ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let t = Timestamp::from_millisecond(ms).unwrap_or(edge);
    format!("{t:.3}")
}

#[cfg(test)]
mod tests {
    use reba_model::Labels;

    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_435_065_584_128, "2015-06-23T13:19:44.128Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(ms), text);
        }
    }

    #[test]
    fn the_body_is_what_upstream_sends() {
        let alert = Alert {
            labels: Labels::from_pairs([("alertname", "A"), ("job", "x\"y")]),
            annotations: Labels::from_pairs([("summary", "s")]),
            starts_at: 1000,
            ends_at: 2500,
            generator_url: "http://h/graph?g0.expr=up&g0.tab=1".to_owned(),
        };
        let text = String::from_utf8(body(&[alert]).unwrap()).unwrap();
        assert_eq!(
            text,
            r#"[{"annotations":{"summary":"s"},"endsAt":"1970-01-01T00:00:02.500Z","startsAt":"1970-01-01T00:00:01.000Z","generatorURL":"http://h/graph?g0.expr=up&g0.tab=1","labels":{"alertname":"A","job":"x\"y"}}]"#
        );
    }
}

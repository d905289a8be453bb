//! Queries of Tempo: searches become a table, a trace its spans.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    Query,
    frames::{Field, frame},
    interval::Grid,
};
use crate::grafana::ids::hex;

/// Names and values of a query.
type Form = Vec<(&'static str, String)>;

/// What has to be asked: a path and its query.
pub(super) fn request(query: &Query, grid: &Grid) -> Result<(String, Form), String> {
    let text = query.text("query");
    match query.text("queryType").as_str() {
        "traceId" => Ok((format!("api/traces/{}", trace_id(&text).ok_or("not a trace id")?), Vec::new())),
        "" | "traceql" | "traceqlSearch" => {
            if let Some(id) = trace_id(&text) {
                return Ok((format!("api/traces/{id}"), Vec::new()));
            }
            let q = if text.trim().is_empty() { "{}".to_owned() } else { text };
            let number = |key: &str, default: u64| query.number(key).unwrap_or(default).to_string();
            let form = vec![
                ("q", q),
                ("limit", number("limit", 20)),
                ("spss", number("spss", 3)),
                ("start", (grid.from_ms / 1000).to_string()),
                ("end", (grid.to_ms / 1000 + 1).to_string()),
            ];
            Ok(("api/search".to_owned(), form))
        }
        other => Err(format!("queries of type {other:?} are not supported here")),
    }
}

/// Hexadecimal digits, dashes left out.
fn trace_id(text: &str) -> Option<String> {
    let id: String = text.trim().chars().filter(|c| *c != '-').collect();
    ((16..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
}

/// The frame of an answer.
pub(super) fn frames(query: &Query, answer: &Value) -> Vec<Value> {
    if answer.get("traces").is_some() {
        return vec![search(query, answer)];
    }
    vec![trace(query, answer)]
}

fn search(query: &Query, answer: &Value) -> Value {
    let (mut id, mut start) = (Field::string("traceID"), Field::time("startTime"));
    let (mut service, mut name) = (Field::string("traceService"), Field::string("traceName"));
    let mut duration = Field::number("traceDuration").config("unit", "ms");
    for t in answer.get("traces").and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| t.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        id.push(text("traceID"));
        start.push_ns(text("startTimeUnixNano").parse().unwrap_or(0));
        service.push(text("rootServiceName"));
        name.push(text("rootTraceName"));
        duration.push_number(t.get("durationMs").and_then(Value::as_f64).unwrap_or(0.0));
    }
    let meta = json!({"preferredVisualisationType": "table"});
    frame(&query.ref_id, "Traces", &meta, vec![id, start, service, name, duration])
}

fn trace(query: &Query, answer: &Value) -> Value {
    let answer = answer.get("trace").unwrap_or(answer);
    let list = |v: &Value, keys: &[&str]| -> Vec<Value> {
        keys.iter().find_map(|key| v.get(*key).and_then(Value::as_array)).cloned().unwrap_or_default()
    };
    let mut f = ["traceID", "spanID", "parentSpanID", "operationName", "serviceName"].map(Field::string);
    let (mut kind, mut status) = (Field::string("kind"), Field::number("statusCode"));
    let mut start = Field::number("startTime");
    let mut duration = Field::number("duration");
    let (mut service_tags, mut tags) = (Field::json("serviceTags"), Field::json("tags"));
    for batch in list(answer, &["batches", "resourceSpans"]) {
        let resource = attributes(batch.get("resource").unwrap_or(&Value::Null));
        let of_resource =
            |name: &str| resource.iter().find(|pair| pair["key"] == name).map(|pair| pair["value"].clone());
        let service = of_resource("service.name").unwrap_or_default();
        for scope in list(&batch, &["scopeSpans", "instrumentationLibrarySpans"]) {
            for span in list(&scope, &["spans"]) {
                let ns = |key: &str| {
                    let v = span.get(key);
                    v.and_then(Value::as_str)
                        .and_then(|t| t.parse().ok())
                        .or(v.and_then(Value::as_f64))
                        .unwrap_or(0.0)
                };
                let (from, to) = (ns("startTimeUnixNano"), ns("endTimeUnixNano"));
                let texts = [id_of(&span, "traceId"), id_of(&span, "spanId"), id_of(&span, "parentSpanId")];
                f.iter_mut().zip(texts).for_each(|(field, text)| field.push(text));
                f[3].push(span.get("name").cloned().unwrap_or_default());
                f[4].push(service.clone());
                kind.push(kind_of(span.get("kind").unwrap_or(&Value::Null)));
                status.push(status_of(&span));
                start.push_number(from / 1e6);
                duration.push_number((to - from).max(0.0) / 1e6);
                service_tags.push(Value::Array(resource.clone()));
                tags.push(Value::Array(attributes(&span)));
            }
        }
    }
    let meta = json!({"preferredVisualisationType": "trace"});
    let mut fields: Vec<Field> = f.into_iter().collect();
    fields.extend([kind, status, service_tags, start, duration, tags]);
    frame(&query.ref_id, "Trace", &meta, fields)
}

/// Attributes as `{key, value}` pairs.
fn attributes(of: &Value) -> Vec<Value> {
    let all = of.get("attributes").and_then(Value::as_array);
    let one = |a: &Value| {
        let value = a
            .get("value")
            .and_then(Value::as_object)
            .and_then(|v| v.values().next())
            .cloned()
            .unwrap_or_default();
        json!({"key": a.get("key"), "value": value})
    };
    all.into_iter().flatten().map(one).collect()
}

/// An id in hexadecimal; in OTLP's JSON of Tempo it is Base64.
fn id_of(span: &Value, key: &str) -> String {
    let text = span.get(key).and_then(Value::as_str).unwrap_or_default();
    let is_hex = matches!(text.len(), 16 | 32) && text.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hex {
        text.to_ascii_lowercase()
    } else {
        BASE64_STANDARD.decode(text).map_or_else(|_| text.to_owned(), |b| hex(&b))
    }
}

fn kind_of(kind: &Value) -> &'static str {
    let names = ["unspecified", "internal", "server", "client", "producer", "consumer"];
    let by_name =
        |text: &str| names.into_iter().find(|n| text.eq_ignore_ascii_case(&format!("SPAN_KIND_{n}")));
    kind.as_str()
        .and_then(by_name)
        .or_else(|| names.get(usize::try_from(kind.as_u64()?).ok()?).copied())
        .unwrap_or("unspecified")
}

fn status_of(span: &Value) -> Value {
    match span.get("status").and_then(|status| status.get("code")) {
        Some(Value::String(text)) if text == "STATUS_CODE_ERROR" => 2.into(),
        Some(Value::String(text)) if text == "STATUS_CODE_OK" => 1.into(),
        Some(Value::Number(n)) => Value::Number(n.clone()),
        _ => 0.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_become_rows() {
        let query = Query::of(json!({"refId": "A", "query": "0123456789abcdef0123456789ABCDEF"})).unwrap();
        let (path, _) = request(&query, &Grid::new(0, 1000, 1, None, 1)).unwrap();
        assert_eq!(path, "api/traces/0123456789abcdef0123456789ABCDEF");
        let answer = json!({"batches": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "wallet"}}]},
            "scopeSpans": [{"spans": [{
                "traceId": "AAAAAAAAAAAAAAAAAAAAAQ==", "spanId": "AAAAAAAAAAI=", "name": "GET /", "kind": "SPAN_KIND_SERVER",
                "startTimeUnixNano": "1000000000", "endTimeUnixNano": "1005000000", "status": {"code": "STATUS_CODE_ERROR"},
            }]}],
        }]});
        let frames = frames(&query, &answer);
        let values = frames[0]["data"]["values"].as_array().unwrap();
        assert_eq!(values[0][0], "00000000000000000000000000000001");
        assert_eq!(
            (&values[4][0], &values[5][0], &values[6][0]),
            (&json!("wallet"), &json!("server"), &json!(2))
        );
        assert_eq!((&values[8][0], &values[9][0]), (&json!(1000.0), &json!(5.0)));
    }

    #[test]
    fn searches_become_a_table() {
        let query = Query::of(json!({"refId": "A", "query": "{}", "limit": 5})).unwrap();
        let (path, form) = request(&query, &Grid::new(0, 10_000, 1, None, 1)).unwrap();
        assert_eq!((path.as_str(), form[1].1.as_str()), ("api/search", "5"));
        let answer = json!({"traces": [{"traceID": "1", "rootServiceName": "s", "startTimeUnixNano": "5000000", "durationMs": 7}]});
        assert_eq!(frames(&query, &answer)[0]["data"]["values"], json!([["1"], [5], ["s"], [""], [7.0]]));
    }
}

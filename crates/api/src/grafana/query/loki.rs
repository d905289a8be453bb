//! Queries of Loki.

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Query,
    frames::{Field, frame},
    interval::{Grid, text},
    prometheus::{self, Request},
};

/// Lines that are asked for if nobody says how many.
const LINES: u64 = 1000;

/// What has to be asked for a query.
pub(super) fn requests(query: &Query, grid: &Grid, default_lines: Option<u64>) -> Vec<Request> {
    let expr = grid.fill_in(&query.text("expr"));
    let lines = query.number("maxLines").or(default_lines).unwrap_or(LINES);
    let direction = match query.text("direction").as_str() {
        "forward" => "forward",
        _ => "backward",
    };
    let nanos = |ms: i64| format!("{}", i128::from(ms) * 1_000_000);
    let instant = query.text("queryType") == "instant" || query.truth("instant") && !query.truth("range");
    let mut form = vec![("query", expr), ("limit", lines.to_string()), ("direction", direction.to_owned())];
    if instant {
        form.push(("time", nanos(grid.to_ms)));
        return vec![Request { path: "loki/api/v1/query", form, kind: "vector" }];
    }
    let step = query.text("step");
    let step = if step.is_empty() { text(grid.step_ms) } else { grid.fill_in(&step) };
    form.extend([("start", nanos(grid.from_ms)), ("end", nanos(grid.to_ms)), ("step", step)]);
    vec![Request { path: "loki/api/v1/query_range", form, kind: "matrix" }]
}

/// The frames of an answer's `data`.
pub(super) fn frames(query: &Query, grid: &Grid, data: &Value) -> Vec<Value> {
    if data.get("resultType").and_then(Value::as_str) == Some("streams") {
        vec![lines(query, grid, data)]
    } else {
        prometheus::frames(query, grid, data)
    }
}

/// One frame of all lines, in the order of the query.
fn lines(query: &Query, grid: &Grid, data: &Value) -> Value {
    let streams = data.get("result").and_then(Value::as_array);
    let mut rows: Vec<(i64, &Value, &str)> = Vec::new();
    for stream in streams.into_iter().flatten() {
        let labels = stream.get("stream").unwrap_or(&Value::Null);
        for value in stream.get("values").and_then(Value::as_array).into_iter().flatten() {
            let at = value.get(0).and_then(Value::as_str).and_then(|t| t.parse().ok()).unwrap_or(0);
            rows.push((at, labels, value.get(1).and_then(Value::as_str).unwrap_or_default()));
        }
    }
    if query.text("direction") == "forward" {
        rows.sort_by_key(|row| row.0);
    } else {
        rows.sort_by_key(|row| std::cmp::Reverse(row.0));
    }
    let mut labels = Field::json("labels");
    let (mut time, mut line) = (Field::time("Time"), Field::string("Line"));
    let (mut ns, mut id) = (Field::string("tsNs"), Field::string("id"));
    for (at, of, text) in rows {
        labels.push(of.clone());
        time.push_ns(at);
        line.push(text);
        ns.push(at.to_string());
        id.push(format!("{at}_{:08x}", xxh3_64(format!("{of}{text}").as_bytes()) as u32));
    }
    let meta = json!({
        "custom": {"frameType": "LabeledTimeValues"}, "executedQueryString": format!("Expr: {}", grid.fill_in(&query.text("expr"))),
    });
    frame(&query.ref_id, "", &meta, vec![labels, time, line, ns, id])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_become_one_frame_the_newest_line_first() {
        let query = Query::of(json!({"refId": "A", "expr": "{a=\"b\"}"})).unwrap();
        let data = json!({"resultType": "streams", "result": [
            {"stream": {"a": "b"}, "values": [["1000000001", "old"], ["3000000000", "new"]]},
            {"stream": {"a": "c"}, "values": [["2000000000", "mid"]]},
        ]});
        let frames = frames(&query, &Grid::new(0, 1000, 100, None, 1), &data);
        let values = &frames[0]["data"]["values"];
        assert_eq!(values[2], json!(["new", "mid", "old"]));
        assert_eq!((&values[1], &values[3][2]), (&json!([3000, 2000, 1000]), &json!("1000000001")));
        assert_eq!(frames[0]["data"]["nanos"][1], json!([0, 0, 1]));
        assert_eq!(values[0][0], json!({"a": "b"}));
    }
}

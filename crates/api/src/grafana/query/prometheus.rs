//! Queries of Prometheus, and answers in its shape: matrices, vectors, scalars. Loki answers metric queries in it, too.

use serde_json::{Map, Value, json};

use super::{
    Query,
    frames::{Field, frame},
    interval::{Grid, text},
};

/// A request to the data source: a path and its form.
pub(super) struct Request {
    pub path: &'static str,
    pub form: Vec<(&'static str, String)>,
    pub kind: &'static str,
}

/// What has to be asked for a query.
pub(super) fn requests(query: &Query, grid: &Grid) -> Vec<Request> {
    let expr = grid.fill_in(&query.text("expr"));
    let instant = query.truth("instant");
    let range = query.truth("range") || !instant;
    let mut out = Vec::new();
    if range {
        let (start, end) = grid.aligned();
        let form = vec![
            ("query", expr.clone()),
            ("start", seconds(start)),
            ("end", seconds(end)),
            ("step", text(grid.step_ms)),
        ];
        out.push(Request { path: "api/v1/query_range", form, kind: "matrix" });
    }
    if instant {
        let form = vec![("query", expr), ("time", seconds(grid.to_ms))];
        out.push(Request { path: "api/v1/query", form, kind: "vector" });
    }
    out
}

pub(super) fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

/// The frames of an answer's `data`.
pub(super) fn frames(query: &Query, grid: &Grid, data: &Value) -> Vec<Value> {
    let kind = data.get("resultType").and_then(Value::as_str).unwrap_or_default();
    let results = data.get("result").and_then(Value::as_array);
    let executed = format!("Expr: {}\nStep: {}", grid.fill_in(&query.text("expr")), text(grid.step_ms));
    let shape = |name: &str| json!({"type": name, "typeVersion": [0, 1], "custom": {"resultType": kind}, "executedQueryString": executed});
    match kind {
        "matrix" => {
            let meta = shape("timeseries-multi");
            let one = |s: &Value| series(query, grid, s, s.get("values").and_then(Value::as_array), &meta);
            results.into_iter().flatten().map(one).collect()
        }
        "vector" => {
            let meta = shape("numeric-multi");
            let one = |s: &Value| {
                let point = s.get("value").map(|v| vec![v.clone()]);
                series(query, grid, s, point.as_ref(), &meta)
            };
            results.into_iter().flatten().map(one).collect()
        }
        "scalar" | "string" => {
            let point = data.get("result").map(|v| vec![v.clone()]);
            vec![series(query, grid, &json!({}), point.as_ref(), &shape("numeric-multi"))]
        }
        _ => Vec::new(),
    }
}

fn series(query: &Query, grid: &Grid, series: &Value, points: Option<&Vec<Value>>, meta: &Value) -> Value {
    let labels = series.get("metric").and_then(Value::as_object).cloned().unwrap_or_default();
    let name = legend(&query.text("legendFormat"), &labels, &query.text("expr"));
    let mut time = Field::time("Time").config("interval", grid.step_ms);
    let mut value = Field::number("Value").labels(labels);
    if !name.is_empty() {
        value = value.config("displayNameFromDS", name.clone());
    }
    for point in points.into_iter().flatten() {
        let at = point.get(0).and_then(Value::as_f64).unwrap_or(0.0);
        let number = point.get(1).and_then(Value::as_str).and_then(parse).unwrap_or(f64::NAN);
        time.push((at * 1000.0).round() as i64);
        value.push_number(number);
    }
    frame(&query.ref_id, &name, meta, vec![time, value])
}

fn parse(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    }
}

/// The name of a series: by the legend's template, else as Prometheus writes it.
pub(super) fn legend(format: &str, labels: &Map<String, Value>, expr: &str) -> String {
    let of = |name: &str| labels.get(name).and_then(Value::as_str).unwrap_or_default();
    if format.is_empty() || format == "__auto" {
        if format == "__auto" && !labels.is_empty() {
            return String::new();
        }
        let pairs: Vec<String> =
            labels.keys().filter(|k| *k != "__name__").map(|k| format!("{k}=\"{}\"", of(k))).collect();
        let pairs = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(", ")) };
        let text = format!("{}{pairs}", of("__name__"));
        return if text.is_empty() { expr.to_owned() } else { text };
    }
    let mut out = String::new();
    let mut rest = format;
    while let Some((before, tail)) = rest.split_once("{{") {
        let Some((name, after)) = tail.split_once("}}") else { break };
        out.push_str(before);
        out.push_str(of(name.trim()));
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legends_are_filled_in() {
        let labels = json!({"__name__": "up", "job": "a"}).as_object().unwrap().clone();
        for (format, want) in
            [("{{job}} / {{ nope }}!", "a / !"), ("", "up{job=\"a\"}"), ("__auto", ""), ("{{job", "{{job")]
        {
            assert_eq!(legend(format, &labels, "x"), want);
        }
        assert_eq!(legend("", &Map::new(), "1+1"), "1+1");
    }

    #[test]
    fn a_matrix_becomes_a_frame_a_series() {
        let query = Query::of(json!({"refId": "A", "expr": "up", "legendFormat": "{{job}}"})).unwrap();
        let grid = Grid::new(0, 3_600_000, 1000, None, 1);
        let data = json!({"resultType": "matrix", "result": [{"metric": {"job": "a"}, "values": [[1.5, "1"], [16.5, "+Inf"]]}]});
        let frames = frames(&query, &grid, &data);
        assert_eq!(frames[0]["schema"]["name"], "a");
        assert_eq!(frames[0]["schema"]["meta"]["type"], "timeseries-multi");
        assert_eq!(frames[0]["schema"]["fields"][1]["labels"]["job"], "a");
        assert_eq!(
            frames[0]["data"],
            json!({"values": [[1500, 16500], [1.0, null]], "entities": [null, {"Inf": [1]}]})
        );
    }
}

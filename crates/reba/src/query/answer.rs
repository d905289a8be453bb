//! The answers of the query API, read back.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use reba_model::{Histogram, Labels};
use reba_rules::{SampleValue, backtest::RangeSeries};
use serde::Deserialize;
use serde_json::Value;

/// One series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The labels as they are shown: `name{a="1"}`.
    pub name: String,
    /// Unix seconds and values, in order of time; a histogram's value is its count.
    pub points: Vec<(f64, f64)>,
}

#[derive(Deserialize)]
struct Envelope {
    status: String,
    error: Option<String>,
    #[serde(rename = "errorType")]
    error_type: Option<String>,
    data: Option<Data>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    result_type: String,
    result: Value,
}

/// An answer with what the server remarked about it.
#[derive(Debug)]
pub struct Answer {
    /// The series.
    pub lines: Vec<Line>,
    /// The answer, if it is a text and not series.
    pub text: Option<String>,
    /// Warnings and infos.
    pub remarks: Vec<String>,
}

/// Reads the body of `/api/v1/query` or `/api/v1/query_range`.
pub fn read(body: &[u8]) -> Result<Answer> {
    let (data, remarks) = read_data(body)?;
    let mut text = None;
    let lines = match data.result_type.as_str() {
        "scalar" => vec![Line { name: "scalar".into(), points: vec![point(&data.result)?] }],
        "string" => {
            text = Some(data.result[1].as_str().context("a text without text")?.to_owned());
            Vec::new()
        }
        _ => data
            .result
            .as_array()
            .context("the result is no list")?
            .iter()
            .map(line)
            .collect::<Result<_>>()?,
    };
    Ok(Answer { lines, text, remarks })
}

/// The data of a successful answer, and remarks.
fn read_data(body: &[u8]) -> Result<(Data, Vec<String>)> {
    let envelope: Envelope = serde_json::from_slice(body).context("the answer is no Prometheus JSON")?;
    if envelope.status != "success" {
        let kind = envelope.error_type.unwrap_or_default();
        bail!("{kind}: {}", envelope.error.unwrap_or_default());
    }
    let data = envelope.data.context("the answer has no data")?;
    Ok((data, envelope.warnings.into_iter().chain(envelope.infos).collect()))
}

/// Reads the body of `/api/v1/query_range` as rules see it. Of histograms only that they are there is told.
pub fn read_range(body: &[u8]) -> Result<Vec<RangeSeries>> {
    let list = {
        let (data, _) = read_data(body)?;
        data.result
    };
    let mut out = Vec::new();
    for item in list.as_array().context("the result is no list")? {
        let metric = item["metric"].as_object().into_iter().flatten();
        let labels = Labels::from_pairs(metric.map(|(n, v)| (n, v.as_str().unwrap_or_default())));
        let mut points = Vec::new();
        for (key, is_float) in [("values", true), ("histograms", false)] {
            for p in item.get(key).and_then(Value::as_array).into_iter().flatten() {
                let (t, v) = point(p)?;
                let histogram = || SampleValue::Histogram(Arc::new(Histogram::default()));
                let value = if is_float { SampleValue::Float(v) } else { histogram() };
                points.push(((t * 1000.0).round() as i64, value));
            }
        }
        points.sort_by_key(|p| p.0);
        out.push(RangeSeries { labels, points });
    }
    Ok(out)
}

fn line(item: &Value) -> Result<Line> {
    let mut points = Vec::new();
    for key in ["value", "histogram"] {
        points.extend(item.get(key).map(point).transpose()?);
    }
    for key in ["values", "histograms"] {
        for p in item.get(key).and_then(Value::as_array).into_iter().flatten() {
            points.push(point(p)?);
        }
    }
    Ok(Line { name: series_name(&item["metric"]), points })
}

fn series_name(metric: &Value) -> String {
    let mut name = String::new();
    let mut pairs = Vec::new();
    for (k, v) in metric.as_object().into_iter().flatten() {
        let v = v.as_str().unwrap_or_default();
        if k == "__name__" {
            v.clone_into(&mut name);
        } else {
            pairs.push(format!("{k}={v:?}"));
        }
    }
    if pairs.is_empty() && !name.is_empty() { name } else { format!("{name}{{{}}}", pairs.join(", ")) }
}

fn point(p: &Value) -> Result<(f64, f64)> {
    let t = p[0].as_f64().context("a point without a time")?;
    let text = p[1].as_str().or_else(|| p[1]["count"].as_str()).context("a point without a value")?;
    Ok((t, reba_model::float::parse_go(text).with_context(|| format!("{text:?} is no number"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_matrices_and_errors_are_read() {
        let a = read(br#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"x"},"value":[1.5,"+Inf"]}]},"infos":["i"]}"#).unwrap();
        assert_eq!(a.lines, [Line { name: "up{job=\"x\"}".into(), points: vec![(1.5, f64::INFINITY)] }]);
        assert_eq!(a.remarks, ["i"]);
        let e = read(br#"{"status":"error","errorType":"bad_data","error":"no"}"#).unwrap_err();
        assert_eq!(e.to_string(), "bad_data: no");
        assert!(read(b"<html>").is_err());
        let range = read_range(br#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1.001,"2"]],"histograms":[[0.5,{"count":"3","sum":"1"}]]}]}}"#).unwrap();
        assert_eq!(range[0].labels, Labels::from_pairs([("a", "b")]));
        assert_eq!(range[0].points.iter().map(|p| p.0).collect::<Vec<_>>(), [500, 1001]);
        assert_eq!(range[0].points[1].1, SampleValue::Float(2.0));
        let text = read(br#"{"status":"success","data":{"resultType":"string","result":[1,"a"]}}"#).unwrap();
        assert_eq!((text.text.as_deref(), text.lines.len()), (Some("a"), 0));
    }
}

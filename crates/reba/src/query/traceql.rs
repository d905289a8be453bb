//! `reba query traceql`: traces, or series made of their spans.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

use super::{
    POINTS, answer, parse_duration, parse_time, render,
    tempo::{Server, attribute_text, long},
    width,
};
use crate::{args::Role, client::At, tail::escape};

/// Options of `query traceql`.
#[derive(Debug, Args)]
pub struct TraceqlArgs {
    /// The expression.
    #[arg(allow_hyphen_values = true)]
    pub expr: String,
    /// Where to ask.
    #[command(flatten)]
    pub at: At,
    /// Whose traces, on a server with tenants.
    #[arg(long, env = "REBA_TENANT", value_name = "ID")]
    pub tenant: Option<String>,
    /// A range of this length that ends now (traces: all there are; series: 1h, if no range is given).
    #[arg(long, conflicts_with = "start", value_name = "DURATION")]
    pub since: Option<String>,
    /// Start of the range.
    #[arg(long, value_name = "TIME")]
    pub start: Option<String>,
    /// End of the range (now, if absent).
    #[arg(long, requires = "start", value_name = "TIME")]
    pub end: Option<String>,
    /// Distance of two points of a series (a 100th of the range, if absent).
    #[arg(long, value_name = "DURATION")]
    pub step: Option<String>,
    /// How many traces, at most.
    #[arg(long, short = 'n', default_value_t = 20, value_name = "N")]
    pub limit: usize,
    /// How the answer is printed (series are drawn, traces are a table, unless told otherwise).
    #[arg(long, value_name = "FORMAT")]
    pub output: Option<TraceqlFormat>,
}

/// Form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TraceqlFormat {
    /// Columns.
    Table,
    /// One small picture a series.
    Plot,
    /// The API's JSON.
    Json,
    /// Comma-separated values.
    Csv,
    /// Ids of traces, one a line.
    Ids,
}

/// The text for standard output.
pub async fn traceql(args: &TraceqlArgs) -> Result<String> {
    let server = Server::new(args.at.server(Role::Tempo)?, args.tenant.as_deref())?;
    let now = Timestamp::now().as_millisecond();
    let range = range(args, now)?;
    if makes_series(&args.expr) {
        let (start, end) = range.unwrap_or((now - 3_600_000, now));
        return series(&server, args, (start, end)).await;
    }
    let mut params = vec![("q", args.expr.clone()), ("limit", args.limit.to_string())];
    if let Some((start, end)) = range {
        params.push(("start", start.div_euclid(1000).to_string()));
        params.push(("end", (end.div_euclid(1000) + 1).to_string()));
    }
    let answer = server.get("/api/search", &params).await?;
    let traces = answer["traces"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(match args.output.unwrap_or(TraceqlFormat::Table) {
        TraceqlFormat::Json => format!("{answer}\n"),
        TraceqlFormat::Ids => traces.iter().fold(String::new(), |mut out, trace| {
            let _ = writeln!(out, "{}", trace["traceID"].as_str().unwrap_or(""));
            out
        }),
        TraceqlFormat::Plot => {
            bail!("this query finds traces, and --output plot draws series: | rate() makes one")
        }
        TraceqlFormat::Csv => csv(traces),
        TraceqlFormat::Table if traces.is_empty() => "no traces\n".to_owned(),
        TraceqlFormat::Table => table(traces, &TimeZone::system()),
    })
}

/// Milliseconds: start and end.
fn range(args: &TraceqlArgs, now: i64) -> Result<Option<(i64, i64)>> {
    let range = match (&args.since, &args.start) {
        (Some(since), _) => Some((now - parse_duration("--since", since)?, now)),
        (None, Some(start)) => {
            let end = args.end.as_deref().map_or(Ok(now), |t| parse_time("--end", t))?;
            Some((parse_time("--start", start)?, end))
        }
        (None, None) => None,
    };
    if range.is_some_and(|(start, end)| end < start) {
        bail!("the range ends before it starts");
    }
    Ok(range)
}

/// Functions that make series; after the last bar of a query that makes some stands one of them, or a second stage.
const METRICS: [&str; 11] = [
    "rate(",
    "count_over_time(",
    "min_over_time(",
    "max_over_time(",
    "avg_over_time(",
    "sum_over_time(",
    "quantile_over_time(",
    "histogram_over_time(",
    "compare(",
    "topk(",
    "bottomk(",
];

fn makes_series(expr: &str) -> bool {
    let plain: String = expr.chars().filter(|c| !c.is_whitespace()).collect();
    METRICS.iter().any(|name| plain.contains(&format!("|{name}")))
}

async fn series(server: &Server, args: &TraceqlArgs, (start, end): (i64, i64)) -> Result<String> {
    let step = match &args.step {
        Some(step) => parse_duration("--step", step)?,
        None => ((end - start) / POINTS).max(1000),
    };
    let ns = |ms: i64| (ms * 1_000_000).to_string();
    let params = [
        ("q", args.expr.clone()),
        ("start", ns(start)),
        ("end", ns(end)),
        ("step", format!("{}s", step as f64 / 1000.0)),
    ];
    let answer = server.get("/api/metrics/query_range", &params).await?;
    let output = args.output.unwrap_or(TraceqlFormat::Plot);
    if output == TraceqlFormat::Json {
        return Ok(format!("{answer}\n"));
    }
    let all = answer["series"].as_array().map_or(&[][..], Vec::as_slice);
    let lines: Vec<answer::Line> = all.iter().map(line).collect();
    Ok(match output {
        TraceqlFormat::Csv => render::csv(&lines),
        TraceqlFormat::Ids => bail!("this query makes series: --output ids lists traces"),
        _ if lines.is_empty() => "no data\n".to_owned(),
        TraceqlFormat::Table => render::table(&lines, &TimeZone::system()),
        _ => render::plots(&lines, width(), &TimeZone::system()),
    })
}

fn line(series: &Value) -> answer::Line {
    let labels = series["labels"].as_array().into_iter().flatten();
    let pairs = labels.map(|label| {
        format!("{}={:?}", label["key"].as_str().unwrap_or(""), attribute_text(&label["value"]))
    });
    let name = format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "));
    let samples = series["samples"].as_array().into_iter().flatten();
    // What is 0 may be left out.
    let points =
        samples.map(|s| (long(&s["timestampMs"]) as f64 / 1000.0, s["value"].as_f64().unwrap_or(0.0)));
    answer::Line { name, points: points.collect() }
}

fn csv(traces: &[Value]) -> String {
    let mut out = String::from("trace_id,start,duration_ms,service,name,spans,errors\n");
    for trace in traces {
        let (spans, errors) = counts(trace);
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let _ = writeln!(
            out,
            "{},{},{},{},{},{spans},{errors}",
            trace["traceID"].as_str().unwrap_or(""),
            long(&trace["startTimeUnixNano"]),
            trace["durationMs"].as_i64().unwrap_or(0),
            quoted(trace["rootServiceName"].as_str().unwrap_or("")),
            quoted(trace["rootTraceName"].as_str().unwrap_or("")),
        );
    }
    out
}

/// Spans of a trace, and those that failed.
fn counts(trace: &Value) -> (i64, i64) {
    let services = trace["serviceStats"].as_object().into_iter().flatten();
    services.fold((0, 0), |(spans, errors), (_, stats)| {
        (spans + stats["spanCount"].as_i64().unwrap_or(0), errors + stats["errorCount"].as_i64().unwrap_or(0))
    })
}

fn table(traces: &[Value], zone: &TimeZone) -> String {
    let mut out = format!(
        "{:<32}  {:<19}  {:>9}  {:>5}  {:>6}  {}\n",
        "TRACE", "START", "DURATION", "SPANS", "ERRORS", "ROOT"
    );
    for trace in traces {
        let (spans, errors) = counts(trace);
        let start = Timestamp::from_nanosecond(i128::from(long(&trace["startTimeUnixNano"])));
        let start = start.map(|t| t.to_zoned(zone.clone()).strftime("%F %T").to_string()).unwrap_or_default();
        let text = |key: &str| escape::one_line(trace[key].as_str().unwrap_or("")).into_owned();
        let _ = writeln!(
            out,
            "{:<32}  {start:<19}  {:>7}ms  {spans:>5}  {errors:>6}  {}: {}",
            text("traceID"),
            trace["durationMs"].as_i64().unwrap_or(0),
            text("rootServiceName"),
            text("rootTraceName"),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_that_make_series_are_told_from_searches() {
        assert!(makes_series("{ status = error } | rate() by (resource.service.name)"));
        assert!(makes_series("{} | quantile_over_time(duration, .9)"));
        assert!(!makes_series("{ name = \"rate()\" } | count() > 2"));
    }

    #[test]
    fn traces_are_a_table_without_what_a_terminal_would_obey() {
        let trace = serde_json::json!({
            "traceID": "1f", "rootServiceName": "api\u{1b}[31m", "rootTraceName": "GET /",
            "startTimeUnixNano": "1700000000000000000", "durationMs": 7,
            "serviceStats": {"api": {"spanCount": 2, "errorCount": 1}, "db": {"spanCount": 1}},
        });
        let text = table(&[trace], &TimeZone::UTC);
        assert!(
            text.contains("2023-11-14 22:13:20        7ms      3       1  api\\x1b[31m: GET /"),
            "{text}"
        );
    }
}

//! The questions, in the language of each server, and what they cost.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bench_common::client::Client;
use serde_json::Value;

use crate::{
    data::{INNER, NEEDLE, REGEX, Truth, WORDS},
    report::Report,
    server::{Kind, Server},
};

/// A question.
pub struct Question {
    name: &'static str,
    logql: String,
    /// Seconds between the values of the answer; none for a question about one time.
    step: Option<u64>,
    logsql: String,
    /// What the answer comes to (lines, or the sum of all values), if the generator knows.
    right: Option<u64>,
}

/// The time that questions are about, Unix nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Of the first line.
    pub start: i64,
    /// Behind the last line.
    pub end: i64,
}

/// How often a question is asked: at least so often, at least so long, no more after that.
const TIMES: usize = 7;
const LEAST: Duration = Duration::from_millis(1500);
const MOST: Duration = Duration::from_secs(60);
const MOST_TIMES: usize = 500;

/// All questions.
pub fn questions(truth: &Truth, span: Span) -> Vec<Question> {
    let all = "{namespace=~\".+\"}";
    let over = format!("[{}s]", (span.end - span.start) / 1_000_000_000 + 2);
    let counted = |pipeline: &str| format!("sum(count_over_time({all} {pipeline} {over}))");
    let by = |labels: &str, pipeline: &str| {
        format!("sum by ({labels}) (count_over_time({all} {pipeline} {over}))")
    };
    let q = |name, logql: String, logsql: &str, right| Question {
        name,
        logql,
        step: None,
        logsql: logsql.to_owned(),
        right,
    };
    let trace = &truth.trace.0;
    let words = WORDS.map(|w| format!("|= `{w}`")).join(" ");
    vec![
        q("L1 needle word", format!("{all} |= `{NEEDLE}`"), NEEDLE, Some(truth.needles)),
        q(
            "L1b substring within a word",
            counted(&format!("|= `{INNER}`")),
            &format!("~\"{INNER}\" | stats count() as c"),
            Some(truth.inner),
        ),
        q(
            "L2 trace_id after json",
            format!("{all} | json | trace_id=`{trace}`"),
            &format!("trace_id:={trace}"),
            Some(truth.trace.1),
        ),
        Question {
            step: Some(60),
            ..q(
                "L3 count by level, each minute",
                format!("sum by (level) (count_over_time({all} | json [1m]))"),
                "* | stats by (_time:1m, level) count() as c",
                None,
            )
        },
        q(
            "L4 regex",
            counted(&format!("|~ `{REGEX}`")),
            &format!("~\"{REGEX}\" | stats count() as c"),
            Some(truth.regex),
        ),
        q(
            "L5 json, filter, aggregate",
            by("service", "| json | status >= 500 | duration_ms > 900"),
            "status:>=500 duration_ms:>900 | stats by (service) count() as c",
            Some(truth.slow),
        ),
        q(
            "L6 p99 of a field by service",
            format!("quantile_over_time(0.99, {all} | json | unwrap duration_ms {over}) by (service)"),
            "* | stats by (service) quantile(0.99, duration_ms) as c",
            None,
        ),
        q(
            "L7 last 100 errors of a service",
            "{service=\"svc-03\"} | json | level=`error`".to_owned(),
            "{service=\"svc-03\"} level:=error | sort by (_time desc) limit 100",
            // Of fewer lines there may be fewer errors.
            (truth.lines >= 200_000).then_some(100),
        ),
        q(
            "L8 top 10 values of a field",
            format!("topk(10, {})", by("user_id", "| json")),
            "* | stats by (user_id) count() as c | sort by (c desc) limit 10",
            None,
        ),
        q(
            "L three words",
            counted(&words),
            &format!("{} | stats count() as c", WORDS.join(" ")),
            Some(truth.words),
        ),
        // Not a promise: nobody waits for it.
        q("count of all lines", counted(""), "* | stats count() as c", Some(truth.lines)),
    ]
}

/// Asks every question; the figures of wrong answers are left out.
pub async fn ask_all(server: &Server, truth: &Truth, span: Span, report: &mut Report) {
    for question in questions(truth, span) {
        match measure(server, &question, span).await {
            Ok((cpu, wall)) => {
                report.less(server.kind, format!("{}: CPU ms", question.name), cpu);
                report.less(server.kind, format!("{}: wall ms", question.name), wall);
            }
            Err(e) => report.note(format!("{} on {}: {e:#}", question.name, server.kind.name())),
        }
    }
}

async fn measure(server: &Server, question: &Question, span: Span) -> Result<(f64, f64)> {
    let client = Client::new(server.port);
    let path = question.path(server.kind, span);
    let mut answer = question.total(server.kind, &client, &path).await?;
    if let Some(right) = question.right {
        // Some show lines seconds after they took them.
        let began = Instant::now();
        while (answer - right as f64).abs() > 0.5 && began.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(500)).await;
            answer = question.total(server.kind, &client, &path).await?;
        }
        if (answer - right as f64).abs() > 0.5 {
            bail!("says {answer}, which should be {right}");
        }
    }
    let mut walls = Vec::new();
    let before = server.usage()?.cpu;
    let began = Instant::now();
    while walls.len() < TIMES || (began.elapsed() < LEAST && walls.len() < MOST_TIMES) {
        let started = Instant::now();
        client.get(&path).await?;
        walls.push(started.elapsed().as_secs_f64() * 1e3);
        if began.elapsed() > MOST {
            break;
        }
    }
    let cpu = (server.usage()?.cpu - before) * 1e3 / walls.len() as f64;
    walls.sort_by(f64::total_cmp);
    Ok((cpu, walls[walls.len() / 2]))
}

/// How many lines there are.
pub async fn count(server: &Server, span: Span) -> Result<f64> {
    let truth = Truth::default();
    let all = questions(&truth, span).pop().context("there is a last question")?;
    let client = Client::new(server.port);
    all.total(server.kind, &client, &all.path(server.kind, span)).await
}

impl Question {
    fn path(&self, kind: Kind, span: Span) -> String {
        if kind == Kind::VictoriaLogs {
            let (query, start, end) = (escape(&self.logsql), span.start, span.end);
            return format!("/select/logsql/query?query={query}&start={start}&end={end}");
        }
        let query = escape(&self.logql);
        let is_log = self.logql.starts_with('{');
        match self.step {
            None if !is_log => format!("/loki/api/v1/query?query={query}&time={}", span.end),
            step => format!(
                "/loki/api/v1/query_range?query={query}&start={}&end={}&step={}&limit=100",
                span.start,
                span.end,
                step.unwrap_or(60)
            ),
        }
    }

    async fn total(&self, kind: Kind, client: &Client, path: &str) -> Result<f64> {
        let (status, body) = client.get(path).await?;
        if status != 200 {
            bail!("status {status}: {}", String::from_utf8_lossy(&body[..body.len().min(300)]));
        }
        if kind == Kind::VictoriaLogs { lines_total(&body) } else { loki_total(&body) }
    }
}

/// Lines, or the sum of all values.
fn loki_total(body: &[u8]) -> Result<f64> {
    let answer: Value = serde_json::from_slice(body).context("the answer is no JSON")?;
    let data = &answer["data"];
    let rows = data["result"].as_array().context("the answer has no result")?;
    let values = |row: &Value| row["values"].as_array().cloned().unwrap_or_default();
    if data["resultType"] == "streams" {
        return Ok(rows.iter().map(|row| values(row).len() as f64).sum());
    }
    let number = |pair: &Value| pair[1].as_str().and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0);
    Ok(rows.iter().map(|row| number(&row["value"]) + values(row).iter().map(number).sum::<f64>()).sum())
}

/// The sum of the column `c` of an answer of JSON lines; without one, their number.
fn lines_total(body: &[u8]) -> Result<f64> {
    let mut sum = 0.0;
    for line in body.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let line: Value = serde_json::from_slice(line).context("the answer is no JSON")?;
        sum += match &line["c"] {
            Value::String(text) => text.parse().unwrap_or(0.0),
            _ => 1.0,
        };
    }
    Ok(sum)
}

/// Escapes a query string's value.
pub fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

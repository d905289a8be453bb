//! `reba query logql`: lines, or numbers made of them.

use std::{collections::BTreeSet, fmt::Write as _};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use jiff::{Timestamp, tz::TimeZone};
use reba_model::Labels;

use super::{
    POINTS, answer,
    loki::{Direction, Row, Server, Span, range_params},
    parse_duration, render, seconds, width,
};
use crate::{
    args::Role,
    client::At,
    tail::{
        escape,
        show::{Place, jsonl, utc},
    },
};

const NS_PER_MS: i64 = 1_000_000;

/// Columns that the labels of a line may take in a table: a parser finds many, and they push the line off the screen. The other
/// forms have all of them.
const LABELS: usize = 60;

/// Options of `query logql`.
#[derive(Debug, Args)]
pub struct LogqlArgs {
    /// The expression.
    #[arg(allow_hyphen_values = true)]
    pub expr: String,
    /// Where to ask.
    #[command(flatten)]
    pub at: At,
    /// Whose lines, on a server with tenants.
    #[arg(long, env = "REBA_TENANT", value_name = "ID")]
    pub tenant: Option<String>,
    /// The moment of a query of numbers (seconds or RFC 3339; now, if absent).
    #[arg(long, conflicts_with_all = ["start", "since"], value_name = "TIME")]
    pub time: Option<String>,
    /// A range of this length that ends now (lines: 1h, if no range is given).
    #[arg(long, conflicts_with = "start", value_name = "DURATION")]
    pub since: Option<String>,
    /// Start of the range.
    #[arg(long, value_name = "TIME")]
    pub start: Option<String>,
    /// End of the range (now, if absent).
    #[arg(long, requires = "start", value_name = "TIME")]
    pub end: Option<String>,
    /// Distance of two points (a 100th of the range, if absent).
    #[arg(long, value_name = "DURATION")]
    pub step: Option<String>,
    /// How many lines, at most.
    #[arg(long, short = 'n', default_value_t = 100, value_name = "N")]
    pub limit: usize,
    /// The order of lines, and which of them the limit keeps.
    #[arg(long, default_value = "backward", value_name = "ORDER")]
    pub direction: Direction,
    /// How the answer is printed (numbers over a range are drawn, all else is a table, unless told otherwise).
    #[arg(long, value_name = "FORMAT")]
    pub output: Option<LogqlFormat>,
}

/// Form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogqlFormat {
    /// Columns.
    Table,
    /// One small picture a series (numbers over a range only).
    Plot,
    /// The API's JSON.
    Json,
    /// Comma-separated values.
    Csv,
    /// The lines as they were written, or bare numbers.
    Raw,
    /// A JSON object a line.
    Jsonl,
}

/// What is asked for.
#[derive(Debug, PartialEq)]
enum Asked {
    Lines(Span),
    /// Milliseconds.
    Instant(i64),
    /// Milliseconds: start, end, step.
    Range(i64, i64, i64),
}

/// The text for standard output, and remarks for standard error.
pub async fn logql(args: &LogqlArgs) -> Result<(String, Vec<String>)> {
    let server = Server::new(args.at.server(Role::Loki)?, args.tenant.as_deref())?;
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
    match asked(args, Timestamp::now().as_millisecond())? {
        Asked::Lines(_) if args.output == Some(LogqlFormat::Plot) => {
            bail!(
                "this query gives lines, and --output plot draws numbers: count_over_time(… [5m]) makes some"
            )
        }
        Asked::Lines(span) if args.output == Some(LogqlFormat::Json) => {
            let params = range_params(&args.expr, span, args.limit, args.direction);
            let body = server.get("/loki/api/v1/query_range", &params).await?;
            Ok((format!("{}\n", String::from_utf8_lossy(&body)), Vec::new()))
        }
        Asked::Lines(span) => {
            let rows = server.rows(&args.expr, span, args.limit, args.direction).await?;
            Ok(lines(&rows, args.output.unwrap_or(LogqlFormat::Table), terminal))
        }
        asked => numbers(&server, args, &asked).await,
    }
}

/// A query of lines begins with a selector, one of numbers with a function, a number or an operator.
fn gives_lines(expr: &str) -> bool {
    let mut rest = expr.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    while let Some(comment) = rest.strip_prefix('#') {
        rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    }
    rest.starts_with('{')
}

fn asked(args: &LogqlArgs, now: i64) -> Result<Asked> {
    let lines = gives_lines(&args.expr);
    if lines && args.time.is_some() {
        bail!("this query gives lines, which have no one time: use --since, or --start and --end");
    }
    let since = args.since.as_deref().or_else(|| (lines && args.start.is_none()).then_some("1h"));
    let (start, end) = match (since, &args.start) {
        (Some(since), _) => (now - parse_duration("--since", since)?, now),
        (None, Some(start)) => {
            let end = args.end.as_deref().map_or(Ok(now), |t| super::parse_time("--end", t))?;
            (super::parse_time("--start", start)?, end)
        }
        (None, None) => {
            return args
                .time
                .as_deref()
                .map_or(Ok(now), |t| super::parse_time("--time", t))
                .map(Asked::Instant);
        }
    };
    if end < start {
        bail!("the range ends before it starts");
    }
    if lines {
        // The last millisecond counts as a whole.
        let (start, end) = (start.saturating_mul(NS_PER_MS), end.saturating_add(1).saturating_mul(NS_PER_MS));
        return Ok(Asked::Lines(Span { start, end }));
    }
    let step = match &args.step {
        Some(step) => parse_duration("--step", step)?,
        None => ((end - start) / POINTS).max(1000),
    };
    Ok(Asked::Range(start, end, step))
}

async fn numbers(server: &Server, args: &LogqlArgs, asked: &Asked) -> Result<(String, Vec<String>)> {
    let mut params = vec![("query", args.expr.clone())];
    let (path, is_range) = match asked {
        Asked::Range(start, end, step) => {
            params.extend([("start", seconds(*start)), ("end", seconds(*end)), ("step", seconds(*step))]);
            ("/loki/api/v1/query_range", true)
        }
        Asked::Instant(time) => {
            params.push(("time", seconds(*time)));
            ("/loki/api/v1/query", false)
        }
        Asked::Lines(_) => bail!("lines are no numbers"),
    };
    let body = server.get(path, &params).await?;
    let output = args.output.unwrap_or(if is_range { LogqlFormat::Plot } else { LogqlFormat::Table });
    if output == LogqlFormat::Json {
        return Ok((format!("{}\n", String::from_utf8_lossy(&body)), Vec::new()));
    }
    let answer = answer::read(&body).with_context(|| format!("the answer of {}", server.place().url()))?;
    let zone = TimeZone::system();
    let points = |form: &dyn Fn(&str, f64, f64) -> String| {
        let all = answer.lines.iter().flat_map(|l| l.points.iter().map(|(t, v)| form(&l.name, *t, *v)));
        all.collect::<String>()
    };
    let text = match output {
        LogqlFormat::Csv => render::csv(&answer.lines),
        LogqlFormat::Raw => points(&|_, _, v| format!("{}\n", reba_model::float::format_g(v))),
        LogqlFormat::Jsonl => points(&|name, t, v| {
            let (time, value) = (utc((t * 1e9) as i64), reba_model::float::format_g(v));
            format!("{}\n", serde_json::json!({ "series": name, "timestamp": time, "value": value }))
        }),
        _ if answer.lines.is_empty() => "no data\n".to_owned(),
        LogqlFormat::Plot if is_range => render::plots(&answer.lines, width(), &zone),
        _ => render::table(&answer.lines, &zone),
    };
    Ok((text, answer.remarks))
}

/// Lines in a form; what they have in common is a remark of a table.
fn lines(rows: &[Row], output: LogqlFormat, terminal: bool) -> (String, Vec<String>) {
    let mut out = String::new();
    let mut remarks = Vec::new();
    match output {
        LogqlFormat::Csv => {
            out.push_str("time,labels,line\n");
            for row in rows {
                let (labels, line) = (doubled(&named(&row.labels, &BTreeSet::new())), doubled(&row.line));
                let _ = writeln!(out, "{},\"{labels}\",\"{line}\"", utc(row.ns));
            }
        }
        LogqlFormat::Raw => {
            for row in rows {
                out.push_str(&if terminal { escape::lines(&row.line) } else { (&row.line).into() });
                out.push('\n');
            }
        }
        LogqlFormat::Jsonl => {
            for row in rows {
                let json = jsonl(row, Place::Alone);
                out.push_str(&if terminal { escape::one_line(&json) } else { json.into() });
                out.push('\n');
            }
        }
        _ if rows.is_empty() => out.push_str("no lines\n"),
        _ => {
            let common = common(rows);
            remarks.push(format!("labels of all lines: {{{}}}", pairs(common.iter().copied())));
            let cells = rows.iter().map(|row| {
                let line = escape::one_line(&row.line).into_owned();
                [local(row.ns), render::shortened(&named(&row.labels, &common), LABELS), line]
            });
            out = render::columns_of(&["TIME", "LABELS", "LINE"], &cells.collect::<Vec<_>>());
        }
    }
    (out, remarks)
}

/// The labels that every line has.
fn common(rows: &[Row]) -> BTreeSet<(&str, &str)> {
    let first = rows.first().map(|row| row.labels.iter().collect::<BTreeSet<_>>()).unwrap_or_default();
    let is_common = |(name, value): &(&str, &str)| rows.iter().all(|row| row.labels.get(name) == Some(value));
    first.into_iter().filter(is_common).collect()
}

/// Labels without those that were said already.
fn named(labels: &Labels, said: &BTreeSet<(&str, &str)>) -> String {
    format!("{{{}}}", pairs(labels.iter().filter(|pair| !said.contains(pair))))
}

fn pairs<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs = labels.map(|(name, value)| escape::one_line(&format!("{name}={value:?}")).into_owned());
    pairs.collect::<Vec<_>>().join(", ")
}

/// Between quotes of a comma-separated file.
fn doubled(text: &str) -> String {
    text.replace('"', "\"\"")
}

/// In the user's zone, to the millisecond.
fn local(ns: i64) -> String {
    let time = Timestamp::from_nanosecond(i128::from(ns));
    time.map_or_else(
        |_| ns.to_string(),
        |t| t.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: LogqlArgs,
    }

    fn parsed(words: &[&str]) -> Result<Asked> {
        let all = ["x"].iter().chain(words);
        asked(&Line::try_parse_from(all)?.args, 10_000_000)
    }

    #[test]
    fn lines_and_numbers_are_told_apart_by_how_the_query_begins() {
        for lines in ["{a=\"b\"}", "  ({a=\"b\"} |= \"x\")", "# what\n# happened\n{a=\"b\"} | json", "{}"] {
            assert!(gives_lines(lines), "{lines}");
        }
        for numbers in ["sum(rate({a=\"b\"}[5m]))", "(sum(x))", "1 + 1", "-1", "# {\nvector(1)", "", "#"] {
            assert!(!gives_lines(numbers), "{numbers}");
        }
    }

    #[test]
    fn words_become_what_is_asked_for() {
        let lines = |start, end| Asked::Lines(Span { start, end });
        assert_eq!(parsed(&["{a=\"b\"}"]).unwrap(), lines(6_400_000_000_000, 10_000_001_000_000));
        assert_eq!(
            parsed(&["{a=\"b\"}", "--start", "1", "--end", "2.5"]).unwrap(),
            lines(1_000_000_000, 2_501_000_000)
        );
        assert_eq!(parsed(&["vector(1)"]).unwrap(), Asked::Instant(10_000_000));
        assert_eq!(parsed(&["vector(1)", "--time", "4"]).unwrap(), Asked::Instant(4_000));
        assert_eq!(
            parsed(&["vector(1)", "--since", "100s"]).unwrap(),
            Asked::Range(9_900_000, 10_000_000, 1_000)
        );
        assert_eq!(
            parsed(&["vector(1)", "--start", "1", "--end", "601", "--step", "15s"]).unwrap(),
            Asked::Range(1_000, 601_000, 15_000)
        );
        for wrong in [
            &["{a=\"b\"}", "--time", "4"][..],
            &["{a=\"b\"}", "--start", "5", "--end", "4"],
            &["{a=\"b\"}", "--since", "soon"],
            &["vector(1)", "--end", "4"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }

    fn rows() -> Vec<Row> {
        let row = |ns, level, line: &str| Row {
            ns,
            line: line.to_owned(),
            labels: Labels::from_pairs([("app", "x"), ("level", level)]),
            stream: None,
        };
        vec![row(1_500_000_000, "info", "say \"hi\",\nall"), row(2_000_000_000, "warn", "\u{1b}[2J")]
    }

    #[test]
    fn lines_have_a_form_for_each_reader() {
        let of = |output| lines(&rows(), output, false).0;
        assert_eq!(of(LogqlFormat::Raw), "say \"hi\",\nall\n\u{1b}[2J\n");
        assert_eq!(lines(&rows(), LogqlFormat::Raw, true).0, "say \"hi\",\nall\n\\x1b[2J\n");
        let csv = of(LogqlFormat::Csv);
        let first = "1970-01-01T00:00:01.5Z,\"{app=\"\"x\"\", level=\"\"info\"\"}\",\"say \"\"hi\"\",\nall\"";
        assert!(csv.starts_with(&format!("time,labels,line\n{first}\n")), "{csv}");
        assert_eq!(of(LogqlFormat::Jsonl).lines().count(), 2);
        let (table, remarks) = lines(&rows(), LogqlFormat::Table, false);
        assert_eq!(remarks, [r#"labels of all lines: {app="x"}"#]);
        assert!(table.contains(r#"{level="info"}  say "hi",\nall"#), "{table}");
        assert!(!table.contains('\u{1b}') && !table.contains("app="), "{table}");
        assert_eq!(lines(&[], LogqlFormat::Table, false).0, "no lines\n");
        assert_eq!(lines(&[], LogqlFormat::Csv, false).0, "time,labels,line\n");
    }
}

//! `reba query`: asks a server and shows the answer.

pub mod active;
pub mod answer;
pub mod logql;
pub mod loki;
pub mod render;
pub mod tempo;
pub mod traceql;

use std::io::IsTerminal as _;

use anyhow::{Context, Result, bail};
use http::Method;
use jiff::{Timestamp, tz::TimeZone};
use reba_model::duration;

use crate::args::{OutputFormat, PromqlArgs, Role};

/// Points of a range that names no step.
const POINTS: i64 = 100;

/// Columns of a plot where the terminal's width is not known.
const WIDTH: usize = 72;

/// `reba query promql`: what goes to standard output, and remarks for standard error.
pub async fn promql(args: &PromqlArgs) -> Result<(String, Vec<String>)> {
    let (path, is_range) = request(args, Timestamp::now().as_millisecond())?;
    let (_, body) = args.at.server(Role::Prometheus)?.send(Method::GET, &path).await?;
    let output = args.output.unwrap_or(if is_range { OutputFormat::Plot } else { OutputFormat::Table });
    if output == OutputFormat::Json {
        answer::read(&body)?;
        return Ok((format!("{}\n", String::from_utf8_lossy(&body)), Vec::new()));
    }
    let answer = answer::read(&body)?;
    let zone = TimeZone::system();
    let text = match output {
        _ if answer.text.is_some() => plain(answer.text.as_deref().unwrap_or_default()),
        // A program that reads the table finds an empty one.
        OutputFormat::Csv => render::csv(&answer.lines),
        _ if answer.lines.is_empty() => "no data\n".to_owned(),
        OutputFormat::Plot if is_range => render::plots(&answer.lines, width(), &zone),
        _ => render::table(&answer.lines, &zone),
    };
    Ok((text, answer.remarks))
}

/// A text as a line, without what a terminal would obey.
pub fn plain(text: &str) -> String {
    let mut out: String = text
        .chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    out.push('\n');
    out
}

/// The path to ask, and whether it is a range.
fn request(args: &PromqlArgs, now: i64) -> Result<(String, bool)> {
    let expr = escape(&args.expr);
    let range = match (&args.since, &args.start) {
        (Some(since), _) => Some((now - parse_duration("--since", since)?, now)),
        (None, Some(start)) => {
            let end = args.end.as_deref().map_or(Ok(now), |t| parse_time("--end", t))?;
            Some((parse_time("--start", start)?, end))
        }
        (None, None) => None,
    };
    let Some((start, end)) = range else {
        let time = args.time.as_deref().map_or(Ok(now), |t| parse_time("--time", t))?;
        return Ok((format!("/api/v1/query?query={expr}&time={}", seconds(time)), false));
    };
    if end < start {
        bail!("the range ends before it starts");
    }
    let step = match &args.step {
        Some(step) => parse_duration("--step", step)?,
        None => ((end - start) / POINTS).max(1000),
    };
    let times = format!("start={}&end={}&step={}", seconds(start), seconds(end), seconds(step));
    Ok((format!("/api/v1/query_range?query={expr}&{times}"), true))
}

pub fn parse_duration(flag: &str, text: &str) -> Result<i64> {
    duration::parse(text).with_context(|| format!("{flag} {text:?}"))
}

pub fn parse_time(flag: &str, text: &str) -> Result<i64> {
    if let Some(seconds) = reba_model::float::parse_go(text).filter(|s| s.is_finite()) {
        return Ok((seconds * 1000.0).round() as i64);
    }
    let t: Timestamp =
        text.parse().with_context(|| format!("{flag} {text:?}: neither seconds nor RFC 3339"))?;
    Ok(t.as_millisecond())
}

pub fn seconds(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    format!("{sign}{}.{:03}", ms / 1000, ms % 1000)
}

/// Escapes everything that means something in a query string.
pub fn escape(text: &str) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.~".contains(b);
    text.bytes().map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// The terminal's width, as far as its environment says so.
pub fn width() -> usize {
    if !std::io::stdout().is_terminal() {
        return WIDTH;
    }
    let columns = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| usize::from(size.ws_col));
    // Room for the axis.
    if columns > 40 { columns - 12 } else { WIDTH }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command, QueryLanguage};

    fn path(words: &[&str]) -> Result<(String, bool)> {
        let all = ["reba", "query", "promql"].iter().chain(words);
        let Command::Query(q) = Cli::parse_from(all).command else { panic!("not a query") };
        let QueryLanguage::Promql(args) = q.language else { panic!("not PromQL") };
        request(&args, 1_000_000)
    }

    #[test]
    fn words_become_a_request() {
        assert_eq!(path(&["a+b"]).unwrap(), ("/api/v1/query?query=a%2Bb&time=1000.000".to_owned(), false));
        assert_eq!(
            path(&["up", "--since", "10m"]).unwrap().0,
            "/api/v1/query_range?query=up&start=400.000&end=1000.000&step=6.000"
        );
        let at = path(&["up", "--start", "1970-01-01T00:00:01Z", "--end", "2.5", "--step", "1s"]).unwrap().0;
        assert_eq!(at, "/api/v1/query_range?query=up&start=1.000&end=2.500&step=1.000");
        assert_eq!(path(&["-m"]).unwrap().0, "/api/v1/query?query=-m&time=1000.000");
        assert_eq!(path(&["-m", "--time", "1"]).unwrap().0, "/api/v1/query?query=-m&time=1.000");
        assert!(path(&["up", "--start", "5", "--end", "4"]).is_err());
        assert_eq!(path(&["up", "--time=-1.5"]).unwrap().0, "/api/v1/query?query=up&time=-1.500");
        assert_eq!(plain("a\u{1b}[31m"), "a\u{fffd}[31m\n");
        assert!(path(&["up", "--time", "soon"]).unwrap_err().to_string().contains("--time"));
    }
}

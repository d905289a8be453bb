//! `reba tail`: lines of logs as they come, and the last ones.

mod context;
pub mod escape;
pub mod event;
mod follow;
mod seen;
pub mod show;
mod socket;

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use clap::Args;
use jiff::tz::TimeZone;

use crate::{
    args::Role,
    client::At,
    query::{
        loki::{Direction, Server, Span},
        parse_duration,
    },
};

use self::{
    follow::Follow,
    show::{Place, Printer, TailFormat},
};

/// Options of `tail`.
#[derive(Debug, Args)]
pub struct TailArgs {
    /// A selector or a query of lines; a single word is the name of a service.
    #[arg(default_value = "{}", value_name = "SERVICE|SELECTOR|QUERY")]
    pub query: String,
    /// Where to ask.
    #[command(flatten)]
    pub at: At,
    /// Whose lines, on a server with tenants.
    #[arg(long, env = "REBA_TENANT", value_name = "ID")]
    pub tenant: Option<String>,
    /// How far back to begin.
    #[arg(long, default_value = "1h", value_name = "DURATION")]
    pub since: String,
    /// How many lines of the past to show, the newest of them.
    #[arg(long, short = 'n', default_value_t = 20, value_name = "N")]
    pub limit: usize,
    /// Lines of the same stream to show before and after each one of the past that matches.
    #[arg(long, short = 'C', requires = "no_follow", value_name = "N")]
    pub context: Option<usize>,
    /// Show the past and end.
    #[arg(long)]
    pub no_follow: bool,
    /// Form of the lines.
    #[arg(long, default_value = "pretty", value_name = "FORMAT")]
    pub output: TailFormat,
}

/// Where lines go, a batch at a time.
pub struct Output {
    printer: Printer,
    waiting: String,
    sink: Box<dyn io::Write + Send>,
}

impl Output {
    fn new(printer: Printer, sink: Box<dyn io::Write + Send>) -> Self {
        Output { waiting: printer.header().to_owned(), printer, sink }
    }

    /// A line, shown by the next [`Output::flush`].
    fn row(&mut self, row: &crate::query::loki::Row, place: Place) {
        self.printer.row(row, place, &mut self.waiting);
    }

    /// Writes what waits.
    fn flush(&mut self) -> Result<()> {
        self.sink.write_all(self.waiting.as_bytes())?;
        self.waiting.clear();
        Ok(self.sink.flush()?)
    }

    /// Something that is not a line, to standard error.
    #[expect(clippy::print_stderr, reason = "a command-line tool")]
    #[expect(clippy::unused_self, reason = "it belongs to what is shown")]
    fn remark(&self, text: &str) {
        eprintln!("reba: {}", escape::one_line(text));
    }
}

/// Writes to standard output at once.
pub fn write(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    Ok(stdout.flush()?)
}

/// Whether somebody, `head` perhaps, has stopped reading.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// `reba tail`, until it is done or interrupted.
pub async fn tail(args: &TailArgs) -> Result<()> {
    let result = tokio::select! {
        result = show(args) => result,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    result.or_else(|e| if is_broken_pipe(&e) { Ok(()) } else { Err(e) })
}

async fn show(args: &TailArgs) -> Result<()> {
    let server = Server::new(args.at.server(Role::Loki)?, args.tenant.as_deref())?;
    let query = query(&args.query);
    let since_ns = parse_duration("--since", &args.since)?.saturating_mul(1_000_000);
    let terminal = io::stdout().is_terminal();
    let printer = Printer::new(args.output, terminal, terminal && wants_colour(), TimeZone::system());
    let mut out = Output::new(printer, Box::new(io::stdout()));
    if !args.no_follow {
        let follow = Follow { server: &server, query: &query, since_ns, limit: args.limit, now_ns };
        return follow.run(&mut out).await;
    }
    let now = now_ns();
    let span = Span { start: now.saturating_sub(since_ns), end: now };
    let mut rows = server.rows(&query, span, args.limit, Direction::Backward).await?;
    rows.reverse();
    match args.context {
        None => rows.iter().for_each(|row| out.row(row, Place::Alone)),
        Some(count) => {
            for (i, group) in context::around(&server, rows, count).await?.iter().enumerate() {
                if i > 0 {
                    out.waiting.push_str(out.printer.gap());
                }
                for (row, is_match) in &group.0 {
                    out.row(row, if *is_match { Place::Match } else { Place::Around });
                }
            }
        }
    }
    out.flush()
}

/// A word becomes the selector of the service.
fn query(text: &str) -> String {
    let text = text.trim();
    let is_word = |c: char| c.is_alphanumeric() || "-_./:".contains(c);
    if !text.is_empty() && text.chars().all(is_word) {
        format!("{{service={text:?}}}")
    } else {
        text.to_owned()
    }
}

/// <https://no-color.org>, and terminals that have none.
fn wants_colour() -> bool {
    let no = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    !no && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos().try_into().unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_service_and_anything_else_a_query() {
        assert_eq!(query("wallet-service"), "{service=\"wallet-service\"}");
        assert_eq!(query(" {a=\"b\"} |= \"x\" "), "{a=\"b\"} |= \"x\"");
        assert_eq!(query("{}"), "{}");
        assert_eq!(query("sum(x)"), "sum(x)");
    }

    #[test]
    fn somebody_who_stops_reading_is_no_error_of_ours() {
        let broken = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("while writing");
        assert!(is_broken_pipe(&broken));
        assert!(!is_broken_pipe(&anyhow::anyhow!("no")));
    }
}

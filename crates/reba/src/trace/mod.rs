//! `reba trace`: a trace as a waterfall, with what its services wrote meanwhile.

mod tree;
mod waterfall;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;

use self::tree::{Note, Trace};
use crate::{
    args::Role,
    client::At,
    query::{
        loki::{self, Direction, Row},
        tempo::Server,
        width,
    },
    tail::event::Event,
};

/// Lines of logs of one trace, at most.
const MAX_LINES: usize = 1000;

/// Lines are looked for so much longer than a trace lasts, before and after, in nanoseconds.
const MARGIN_NS: i64 = 5_000_000_000;

/// Options of `trace`.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// The trace's id: hex digits, or a UUID.
    pub id: String,
    /// Where traces are: the role tempo.
    #[command(flatten)]
    pub at: At,
    /// Where logs are: the role loki (beside the role tempo, if absent).
    #[arg(long, value_name = "URL")]
    pub logs_url: Option<String>,
    /// Whose, on a server with tenants.
    #[arg(long, env = "REBA_TENANT", value_name = "ID")]
    pub tenant: Option<String>,
    /// Which streams of logs are looked through.
    #[arg(long, default_value = "{service=~\".+\"}", value_name = "SELECTOR")]
    pub logs: String,
    /// Spans only.
    #[arg(long)]
    pub no_logs: bool,
    /// How the trace is printed.
    #[arg(long, default_value = "waterfall", value_name = "FORMAT")]
    pub output: TraceFormat,
}

/// Form of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TraceFormat {
    /// A line a span, with a bar for when it ran.
    Waterfall,
    /// The API's JSON.
    Json,
}

/// The text for standard output (nothing if there is no such trace), and remarks for standard error.
pub async fn trace(args: &TraceArgs) -> Result<(Option<String>, Vec<String>)> {
    let server = Server::new(args.at.server(Role::Tempo)?, args.tenant.as_deref())?;
    let path = format!("/api/traces/{}", crate::query::escape(args.id.trim()));
    let Some(answer) = server.find(&path, &[]).await? else {
        return Ok((None, vec![format!("there is no trace {} at {}", args.id, server.url())]));
    };
    if args.output == TraceFormat::Json {
        return Ok((Some(format!("{answer}\n")), Vec::new()));
    }
    let trace = Trace::read(&answer).context("the trace makes no sense")?;
    let (notes, remarks) = match (args.no_logs, lines(args, &trace).await) {
        (true, _) => (Vec::new(), Vec::new()),
        (false, Ok(rows)) => (rows.iter().map(note).collect(), Vec::new()),
        (false, Err(e)) => (Vec::new(), vec![format!("without lines of logs: {e:#}")]),
    };
    Ok((Some(waterfall::print(&trace, &notes, width(), &TimeZone::system())), remarks))
}

/// The lines that have the trace's id in them, the oldest first.
async fn lines(args: &TraceArgs, trace: &Trace) -> Result<Vec<Row>> {
    if args.no_logs {
        return Ok(Vec::new());
    }
    let server = match &args.logs_url {
        Some(url) => args.at.elsewhere(url)?,
        None => args.at.beside(Role::Tempo, Role::Loki)?,
    };
    let server = loki::Server::new(server, args.tenant.as_deref())?;
    let (start, end) = trace.range();
    let span = loki::Span { start: start.saturating_sub(MARGIN_NS), end: end.saturating_add(MARGIN_NS) };
    let query = format!("{} |= \"{}\"", args.logs, trace.id);
    server.rows(&query, span, MAX_LINES, Direction::Forward).await
}

fn note(row: &Row) -> Note {
    let event = Event::of(&row.line, &row.labels);
    let field = |name: &str| {
        let found = event.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        found.unwrap_or_else(|| row.labels.value(name).to_owned())
    };
    Note {
        ns: row.ns,
        span_id: Some(field("span_id")).filter(|id| !id.is_empty()).unwrap_or_else(|| field("spanId")),
        service: event.service.clone(),
        level: event.level.unwrap_or(""),
        text: event.message,
    }
}

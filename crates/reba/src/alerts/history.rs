//! `reba alerts history`: what happened, from the log store.

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::{At, ListFormat, labels_text, text};
use crate::{
    args::Role,
    query::{
        loki::{Direction, Server, Span},
        parse_duration,
        render::columns_of,
    },
};

/// Options of `alerts history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Only this alert, by its name.
    #[arg(value_name = "ALERT")]
    pub alert: Option<String>,
    /// How far back.
    #[arg(long, default_value = "24h", value_name = "DURATION")]
    pub since: String,
    /// Only notifications that were tried in vain.
    #[arg(long)]
    pub failed: bool,
    /// How many events, at most; the newest.
    #[arg(long, short = 'n', default_value_t = 200, value_name = "N")]
    pub limit: usize,
    /// Where to ask: the role loki.
    #[command(flatten)]
    pub at: At,
    /// How the list is printed: columns, or an event a line as it was written.
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    pub output: ListFormat,
}

/// The text to print, the oldest event first.
pub async fn history(args: &HistoryArgs) -> Result<String> {
    let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
    let since = parse_duration("--since", &args.since)?.saturating_mul(1_000_000);
    let span = Span { start: now.saturating_sub(since), end: now };
    let server = Server::new(args.at.server(Role::Loki)?, None)?;
    let mut rows = server.rows(&question(args), span, args.limit, Direction::Backward).await?;
    rows.reverse();
    if args.output == ListFormat::Json {
        return Ok(rows.iter().flat_map(|row| [row.line.as_str(), "\n"]).collect());
    }
    let events = rows.iter().filter_map(|row| serde_json::from_str::<Value>(&row.line).ok());
    let table: Vec<[String; 4]> = events.map(|event| line(&event)).collect();
    if table.is_empty() {
        return Ok(format!("nothing happened within {}\n", args.since));
    }
    Ok(columns_of(&["TIME", "EVENT", "WHAT", "DETAILS"], &table))
}

fn question(args: &HistoryArgs) -> String {
    let selector = if args.failed {
        r#"{job="alert-history", event="notification", level=~"warn|error"}"#
    } else {
        r#"{job="alert-history"}"#
    };
    let mut query = selector.to_owned();
    if let Some(name) = &args.alert {
        query
            .push_str(&format!(" | json alertname=\"alertname\" | alertname={}", Value::from(name.as_str())));
    }
    query
}

fn line(event: &Value) -> [String; 4] {
    let (kind, change) = (text(event, "event"), text(event, "change"));
    let (what, details) = match kind {
        "notification" => (text(event, "alertname").to_owned(), notification(event)),
        "alert" => (text(event, "alertname").to_owned(), alert(event)),
        _ => (
            text(event, "matchers").to_owned(),
            format!(
                "{} ({}) until {}",
                text(event, "comment"),
                text(event, "createdBy"),
                text(event, "endsAt")
            ),
        ),
    };
    let kind = if kind == "notification" { text(event, "outcome") } else { change };
    let label = match text(event, "event") {
        "notification" => format!("notification {kind}"),
        other => format!("{other} {kind}"),
    };
    [text(event, "ts").to_owned(), label, what, details]
}

fn alert(event: &Value) -> String {
    let why = [("silencedBy", "silenced by"), ("inhibitedBy", "inhibited by")];
    let why = why.iter().filter(|(field, _)| !text(event, field).is_empty());
    let why: Vec<String> = why.map(|(field, word)| format!("{word} {} ", text(event, field))).collect();
    format!("{}{}", why.concat(), labels_text(&event["labels"], &["alertname"]))
}

fn notification(event: &Value) -> String {
    let answer = match text(event, "outcome") {
        "delivered" => text(event, "answer"),
        _ => text(event, "error"),
    };
    format!(
        "{}/{} {} firing, {} resolved, try {}, {} ms: {answer} ({})",
        text(event, "receiver"),
        text(event, "integration"),
        event["firing"],
        event["resolved"],
        event["attempt"],
        event["tookMs"],
        text(event, "reason"),
    )
}

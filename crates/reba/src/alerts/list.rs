//! `reba alerts list`.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::{At, ListFormat, Server, json_text, labels_text, query, text};
use crate::query::render::columns_of;

/// Options of `alerts list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// What they must match: `severity=critical`, `service=~"a|b"`; a word alone is an alert's name.
    #[arg(value_name = "MATCHER")]
    pub matchers: Vec<String>,
    /// Only those of this receiver (a regular expression).
    #[arg(long, value_name = "REGEX")]
    pub receiver: Option<String>,
    /// Where to ask: the role alertmanager.
    #[command(flatten)]
    pub at: At,
    /// How the list is printed.
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    pub output: ListFormat,
}

/// The text to print.
pub async fn list(args: &ListArgs) -> Result<String> {
    let filters = matchers(&args.matchers);
    let params = filters.iter().map(|m| ("filter", m.as_str()));
    let params = params.chain(args.receiver.iter().map(|r| ("receiver", r.as_str())));
    let answer = Server::of(&args.at)?.get(&format!("alerts{}", query(params))).await?;
    if args.output == ListFormat::Json {
        return Ok(json_text(&answer));
    }
    let rows: Vec<[String; 5]> = answer.as_array().into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        return Ok("nothing fires\n".to_owned());
    }
    Ok(columns_of(&["ALERT", "STATE", "SINCE", "RECEIVERS", "LABELS"], &rows))
}

fn row(alert: &Value) -> [String; 5] {
    let names = alert["receivers"].as_array().into_iter().flatten();
    let receivers: Vec<&str> = names.map(|receiver| text(receiver, "name")).collect();
    let why = [("silencedBy", "silenced"), ("inhibitedBy", "inhibited"), ("mutedBy", "muted")];
    let why =
        why.iter().find(|(field, _)| alert["status"][field].as_array().is_some_and(|all| !all.is_empty()));
    let state = why.map_or_else(|| text(alert, "status.state"), |(_, word)| word);
    [
        text(alert, "labels.alertname").to_owned(),
        state.to_owned(),
        text(alert, "startsAt").to_owned(),
        receivers.join(","),
        labels_text(&alert["labels"], &["alertname"]),
    ]
}

/// A word without an operator is the name of an alert.
pub fn matchers(words: &[String]) -> Vec<String> {
    let one = |(i, word): (usize, &String)| {
        let is_name = i == 0 && !word.contains(['=', '~']);
        if is_name { format!("alertname={word}") } else { word.clone() }
    };
    words.iter().enumerate().map(one).collect()
}

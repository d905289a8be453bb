//! `reba alerts` and `reba silence`: what fires, what happened, who would hear of it, and who keeps quiet.

mod drill;
mod history;
mod list;
mod silence;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use http::{Method, StatusCode};
use serde_json::Value;

use crate::{
    args::{ListFormat, Role},
    client::{self, At, Refused},
};

pub use self::silence::{SilenceArgs, silence};
use self::{drill::DrillArgs, history::HistoryArgs, list::ListArgs};

/// Options of `alerts`.
#[derive(Debug, Args)]
pub struct AlertsArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: AlertsAction,
}

/// What can be done with alerts.
#[derive(Debug, Subcommand)]
pub enum AlertsAction {
    /// Show the alerts that fire, and whether anybody hears of them.
    #[command(after_help = "\
Examples:
  reba alerts list
  reba alerts list severity=critical 'service=~\"wallet.*\"'
  reba alerts list --receiver email --output json")]
    List(ListArgs),
    /// Show what happened: every change of an alert or a silence, and every try to notify, with its answer.
    #[command(after_help = "\
Examples:
  reba alerts history
  reba alerts history ServiceDown --since 7d
  reba alerts history --failed
  reba query logql '{job=\"alert-history\", event=\"notification\"} | json | outcome=\"failed\"'

It is read from the log store, and kept as long as logs are.")]
    History(HistoryArgs),
    /// Send a marked test alert through the real thing, and report each step: route, group, inhibition, receivers, answers, time.
    #[command(after_help = "\
Examples:
  reba alerts drill ServiceDown
  reba alerts drill HighErrorRate service=wallet-service
  reba alerts drill ServiceDown --output json

Real receivers are told: the message says that it is a drill. The labels are those of the rule of that name, if Prometheus' \
role knows it, with `drill=\"true\"` and service=\"drill\"; NAME=VALUE replaces any of them. At the end the alert is resolved.

Exit codes: 0 every receiver has taken it; 1 one has not, nobody would hear of it, or nobody answers.")]
    Drill(DrillArgs),
}

/// Does it; the text to print, and whether all went well.
pub async fn alerts(args: &AlertsArgs) -> Result<(String, bool)> {
    match &args.action {
        AlertsAction::List(args) => Ok((list::list(args).await?, true)),
        AlertsAction::History(args) => Ok((history::history(args).await?, true)),
        AlertsAction::Drill(args) => drill::drill(args).await,
    }
}

/// Alertmanager's API at an address.
struct Server(client::Server);

impl Server {
    fn of(at: &At) -> Result<Self> {
        at.server(Role::Alertmanager).map(Server)
    }

    async fn get(&self, path: &str) -> Result<Value> {
        self.send(Method::GET, path).await
    }

    async fn send(&self, method: Method, path: &str) -> Result<Value> {
        read(self.0.send(method, &format!("/api/v2/{path}")).await?)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        read(self.0.post_json(&format!("/api/v2/{path}"), body).await?)
    }
}

/// The JSON of an answer; what a refusal says is the error.
fn read((status, body): (StatusCode, Vec<u8>)) -> Result<Value> {
    if status.is_success() {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        return serde_json::from_slice(&body).context("read the answer");
    }
    bail!(Refused::of(status, &body))
}

/// `name=value` pairs.
fn pairs(words: &[String]) -> Result<Vec<(String, String)>> {
    let pair = |word: &String| {
        let (name, value) = word.split_once('=').with_context(|| format!("{word:?} is no NAME=VALUE"))?;
        Ok((name.to_owned(), value.trim_matches('"').to_owned()))
    };
    words.iter().map(pair).collect()
}

/// Parameters behind the question mark.
fn query<'a>(params: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (name, value) in params {
        out.push(if out.is_empty() { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        for b in value.bytes() {
            match b {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    out.push(char::from(b));
                }
                _ => out.push_str(&format!("%{b:02X}")),
            }
        }
    }
    out
}

/// The text at a path of fields.
fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    path.split('.').fold(value, |v, field| &v[field]).as_str().unwrap_or("")
}

/// Labels as `{a="b"}`, without those of `but`.
fn labels_text(labels: &Value, but: &[&str]) -> String {
    let shown = labels.as_object().into_iter().flatten().filter(|(name, _)| !but.contains(&name.as_str()));
    let shown: Vec<String> = shown.map(|(name, value)| format!("{name}={value}")).collect();
    format!("{{{}}}", shown.join(", "))
}

/// JSON for machines.
fn json_text(value: &Value) -> String {
    format!("{value}\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_is_an_error_in_its_own_words() {
        let refused = |body: &str| read((StatusCode::BAD_REQUEST, body.into())).unwrap_err().to_string();
        assert_eq!(refused("\"silence not found\"\n"), "silence not found");
        assert_eq!(refused(r#"{"code":602,"message":"x"}"#), "x");
        assert_eq!(refused(""), "400 Bad Request");
        assert_eq!(read((StatusCode::OK, Vec::new())).unwrap(), Value::Null);
    }

    #[test]
    fn parameters_are_encoded_and_labels_printed() {
        assert_eq!(query([("filter", "a=~\"b c\""), ("x", "1")]), "?filter=a%3D~%22b%20c%22&x=1");
        assert_eq!(labels_text(&json!({ "alertname": "A", "b": "c\"" }), &["alertname"]), r#"{b="c\""}"#);
    }
}

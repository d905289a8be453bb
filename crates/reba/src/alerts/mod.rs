//! `reba alerts` and `reba silence`: what fires, what happened, who would hear of it, and who keeps quiet.

mod drill;
mod history;
mod list;
mod silence;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use http::{Method, StatusCode, Uri};
use serde_json::Value;

use crate::{
    args::{ListFormat, Role},
    client,
};

pub use self::silence::{SilenceArgs, silence};
use self::{drill::DrillArgs, history::HistoryArgs, list::ListArgs};

/// Where to ask.
#[derive(Debug, Args)]
pub struct At {
    /// Where to ask (this host, if absent).
    #[arg(long, value_name = "URL", global = true)]
    pub url: Option<String>,
    /// As `reba run` was given it: where to ask without a URL.
    #[arg(long, default_value_t = 0, value_name = "N", global = true)]
    pub port_offset: u16,
}

impl At {
    /// The URL of a role: the one that was given, or the role's port on this host.
    fn url_of(&self, role: Role) -> Result<String> {
        if let Some(url) = &self.url {
            return Ok(url.trim_end_matches('/').to_owned());
        }
        let port = role.port().checked_add(self.port_offset);
        Ok(format!("http://127.0.0.1:{}", port.context("--port-offset leads beyond port 65535")?))
    }

    /// The URL of a role beside `known`, whose URL may have been given: on the same host, as far away from its usual port.
    fn url_beside(&self, known: Role, role: Role) -> Result<String> {
        let base = self.url_of(known)?;
        let uri: Uri = base.parse().with_context(|| format!("{base:?} is no URL"))?;
        let moved = uri.port_u16().and_then(|port| {
            let offset = i32::from(port) - i32::from(known.port());
            u16::try_from(i32::from(role.port()) + offset).ok()
        });
        let (scheme, host) = (uri.scheme_str().unwrap_or("http"), uri.host().unwrap_or("127.0.0.1"));
        Ok(format!("{scheme}://{host}:{}", moved.unwrap_or(role.port())))
    }
}

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

Real receivers are told: the message says that it is a drill. The labels are those of the rule of that name, if Prometheus'
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
struct Server(String);

impl Server {
    fn new(url: &str) -> Self {
        Server(url.trim_end_matches('/').to_owned())
    }

    async fn get(&self, path: &str) -> Result<Value> {
        self.send(Method::GET, path).await
    }

    async fn send(&self, method: Method, path: &str) -> Result<Value> {
        let answer = client::send(method, &format!("{}/api/v2/{path}", self.0)).await;
        read(answer.with_context(|| self.nobody())?)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = client::post_json(&format!("{}/api/v2/{path}", self.0), body).await;
        read(answer.with_context(|| self.nobody())?)
    }

    fn nobody(&self) -> String {
        format!("no Alertmanager answers at {}; is Reba running, with the role alertmanager?", self.0)
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
    let text = match serde_json::from_slice(&body) {
        Ok(Value::String(text)) => text,
        Ok(Value::Object(fields)) => fields.get("message").and_then(Value::as_str).unwrap_or("").to_owned(),
        _ => String::from_utf8_lossy(&body).trim().to_owned(),
    };
    if text.is_empty() {
        bail!("{status}");
    }
    bail!("{text}")
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
    fn a_role_is_found_by_the_offset_and_beside_another_one() {
        let at = |url: Option<&str>, port_offset| At { url: url.map(str::to_owned), port_offset };
        let url = |at: At| at.url_of(Role::Alertmanager).unwrap();
        assert_eq!(url(at(None, 100)), "http://127.0.0.1:9193");
        assert_eq!(url(at(Some("http://a/am/"), 100)), "http://a/am");
        assert!(at(None, 60_000).url_of(Role::Alertmanager).is_err());
        let rules = |at: At| at.url_beside(Role::Alertmanager, Role::Prometheus).unwrap();
        assert_eq!(rules(at(None, 100)), "http://127.0.0.1:9190");
        assert_eq!(rules(at(Some("https://host:10093/am"), 0)), "https://host:10090");
        assert_eq!(rules(at(Some("http://host"), 0)), "http://host:9090");
    }

    #[test]
    fn parameters_are_encoded_and_labels_printed() {
        assert_eq!(query([("filter", "a=~\"b c\""), ("x", "1")]), "?filter=a%3D~%22b%20c%22&x=1");
        assert_eq!(labels_text(&json!({ "alertname": "A", "b": "c\"" }), &["alertname"]), r#"{b="c\""}"#);
    }
}

//! `reba silence`: who keeps which alerts quiet, once or again and again.

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use http::Method;
use jiff::Timestamp;
use reba_alerting::matchers::{self, Grammar};
use reba_model::{MatchOp, Matcher};
use serde_json::{Value, json};

use super::{At, ListFormat, Server, json_text, list, query, text};
use crate::query::{parse_duration, render::columns_of};

/// Options of `silence`.
#[derive(Debug, Args)]
pub struct SilenceArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: SilenceAction,
    /// Where to ask: the role alertmanager.
    #[command(flatten)]
    pub at: At,
}

/// What can be done with silences.
#[derive(Debug, Subcommand)]
pub enum SilenceAction {
    /// Keep alerts quiet.
    #[command(after_help = "\
Examples:
  reba silence add ServiceDown service=wallet-service --for 2h --comment 'release 1.4'
  reba silence add 'severity=~\"warning|info\"' --for 30m --comment 'load test'
  reba silence add HighCPUUsage --until-resolved --comment 'known, being worked on'
  reba silence add host=easymo-2 --every saturday --at 22:00 --for 4h --in Africa/Kigali --comment backups")]
    Add(AddArgs),
    /// List those that hold or will, and the schedules that make some.
    #[command(after_help = "\
Examples:
  reba silence list
  reba silence list --output json | jq '.silences[].comment'")]
    List(SilenceListArgs),
    /// End silences, or remove schedules, by their ids.
    #[command(after_help = "\
Examples:
  reba silence list                        it shows the ids
  reba silence expire 7b6f5c1e-0d2a-4f0e-9a55-3f1b8d1c2e4f")]
    Expire {
        /// The ids.
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

/// Options of `silence add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// What alerts must match, all of it; a word alone is an alert's name.
    #[arg(required = true, value_name = "MATCHER")]
    pub matchers: Vec<String>,
    /// Why.
    #[arg(long, short, value_name = "TEXT")]
    pub comment: String,
    /// Who.
    #[arg(long, short, env = "USER", default_value = "reba", value_name = "NAME")]
    pub author: String,
    /// For how long (with --until-resolved: at most).
    #[arg(long = "for", short = 'd', default_value = "1h", value_name = "DURATION")]
    pub duration: String,
    /// End it as soon as its alerts have been resolved for five minutes.
    #[arg(long, conflicts_with_all = ["every", "at"])]
    pub until_resolved: bool,
    /// Again on these days: `saturday`, `monday:friday`, comma-separated; all, if absent.
    #[arg(long, requires = "at", value_delimiter = ',', value_name = "DAYS")]
    pub every: Vec<String>,
    /// Again at this time of day, `HH:MM`.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// The time zone of --at (UTC, if absent).
    #[arg(long = "in", requires = "at", value_name = "ZONE")]
    pub location: Option<String>,
}

/// Options of `silence list`.
#[derive(Debug, Args)]
pub struct SilenceListArgs {
    /// Also those that are over.
    #[arg(long)]
    pub expired: bool,
    /// How the list is printed.
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    pub output: ListFormat,
}

/// The text to print.
pub async fn silence(args: &SilenceArgs) -> Result<String> {
    let server = Server::of(&args.at)?;
    match &args.action {
        SilenceAction::Add(args) => add(&server, args).await,
        SilenceAction::List(args) => show(&server, args).await,
        SilenceAction::Expire { ids } => expire(&server, ids).await,
    }
}

async fn add(server: &Server, args: &AddArgs) -> Result<String> {
    let read =
        |word: &String| matchers::parse_one(word, Grammar::Fallback).with_context(|| format!("{word:?}"));
    let matchers: Vec<Matcher> = list::matchers(&args.matchers).iter().map(read).collect::<Result<_>>()?;
    let matchers: Vec<Value> = matchers.iter().map(matcher).collect();
    let mut body = json!({ "matchers": matchers, "createdBy": args.author, "comment": args.comment });
    if let Some(at) = &args.at {
        body["schedule"] = json!({ "at": at, "duration": args.duration });
        if !args.every.is_empty() {
            body["schedule"]["weekdays"] = json!(args.every);
        }
        if let Some(location) = &args.location {
            body["schedule"]["location"] = json!(location);
        }
        let answer = server.post("reba/recurring", &body).await?;
        return Ok(format!("{}\n", text(&answer, "id")));
    }
    let length = parse_duration("--for", &args.duration)?;
    let now = Timestamp::now();
    body["startsAt"] = json!(now.to_string());
    body["endsAt"] = json!((now + jiff::SignedDuration::from_millis(length)).to_string());
    body["untilResolved"] = json!(args.until_resolved);
    let answer = server.post("silences", &body).await?;
    Ok(format!("{}\n", text(&answer, "silenceID")))
}

fn matcher(m: &Matcher) -> Value {
    json!({
        "name": m.name,
        "value": m.value,
        "isRegex": matches!(m.op, MatchOp::Regex | MatchOp::NotRegex),
        "isEqual": matches!(m.op, MatchOp::Equal | MatchOp::Regex),
    })
}

async fn show(server: &Server, args: &SilenceListArgs) -> Result<String> {
    let silences = server.get("silences").await?;
    let schedules = server.get("reba/recurring").await?;
    if args.output == ListFormat::Json {
        return Ok(json_text(&json!({ "silences": silences, "recurring": schedules })));
    }
    let wanted = |s: &&Value| args.expired || text(s, "status.state") != "expired";
    let mut rows: Vec<[String; 6]> =
        silences.as_array().into_iter().flatten().filter(wanted).map(row).collect();
    rows.extend(schedules.as_array().into_iter().flatten().map(schedule));
    if rows.is_empty() {
        return Ok("no silences\n".to_owned());
    }
    Ok(columns_of(&["ID", "STATE", "ENDS", "BY", "MATCHERS", "COMMENT"], &rows))
}

fn row(silence: &Value) -> [String; 6] {
    let until = if silence["untilResolved"] == json!(true) { " or when resolved" } else { "" };
    [
        text(silence, "id").to_owned(),
        text(silence, "status.state").to_owned(),
        format!("{}{until}", text(silence, "endsAt")),
        text(silence, "createdBy").to_owned(),
        matcher_texts(silence),
        text(silence, "comment").to_owned(),
    ]
}

fn schedule(of: &Value) -> [String; 6] {
    let days = of["schedule"]["weekdays"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let days: Vec<&str> = days.collect();
    let days = if days.is_empty() { "every day".to_owned() } else { days.join(",") };
    [
        text(of, "id").to_owned(),
        "recurring".to_owned(),
        format!(
            "{days} {} for {}, next {}",
            text(of, "schedule.at"),
            text(of, "schedule.duration"),
            text(of, "next.startsAt")
        ),
        text(of, "createdBy").to_owned(),
        matcher_texts(of),
        text(of, "comment").to_owned(),
    ]
}

fn matcher_texts(silence: &Value) -> String {
    let one = |m: &Value| {
        let op = match (m["isEqual"] == json!(false), m["isRegex"] == json!(true)) {
            (false, false) => "=",
            (false, true) => "=~",
            (true, false) => "!=",
            (true, true) => "!~",
        };
        format!("{}{op}{}", text(m, "name"), m["value"])
    };
    silence["matchers"].as_array().into_iter().flatten().map(one).collect::<Vec<_>>().join(" ")
}

async fn expire(server: &Server, ids: &[String]) -> Result<String> {
    let mut unknown = Vec::new();
    for id in ids {
        let ended = server.send(Method::DELETE, &format!("silence/{id}{}", query([]))).await;
        if ended.is_err() && server.send(Method::DELETE, &format!("reba/recurring/{id}")).await.is_err() {
            unknown.push(id.as_str());
        }
    }
    if unknown.is_empty() {
        Ok(String::new())
    } else {
        bail!("no silence and no schedule: {}", unknown.join(", "))
    }
}

//! `reba demo inbox`: what arrived in the demo's inbox.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context, Result, bail};
use clap::Args;
use easymo_fleet::{InboxConfig, Message};
use jiff::{Timestamp, tz::TimeZone};
use serde::Deserialize;

use crate::{
    args::ListFormat,
    client::{Refused, Server},
    demo::NO_DEMO,
    query::render::shortened,
    tail,
};

/// Options of `demo inbox`.
#[derive(Debug, Args)]
pub struct InboxArgs {
    /// Show this message in full.
    #[arg(value_name = "NUMBER", conflicts_with = "follow")]
    pub number: Option<u64>,
    /// Go on, and show new messages as they come.
    #[arg(long, short)]
    pub follow: bool,
    /// How messages are printed.
    #[arg(long, default_value = "table", value_name = "FORMAT", conflicts_with = "follow")]
    pub output: ListFormat,
    /// The port offset of the demo that runs.
    #[arg(long, default_value_t = 0, env = "REBA_PORT_OFFSET", value_name = "N")]
    pub port_offset: u16,
}

/// How often `--follow` looks.
const PAUSE: Duration = Duration::from_millis(500);

/// Columns that a subject may take in the list.
const SUBJECT: usize = 80;

#[derive(Deserialize)]
struct Arrived {
    received: u64,
    messages: Vec<Message>,
}

/// Prints what the arguments ask for. Whoever has seen enough may leave.
pub async fn show(args: &InboxArgs) -> Result<()> {
    look(args).await.or_else(|e| if tail::is_broken_pipe(&e) { Ok(()) } else { Err(e) })
}

async fn look(args: &InboxArgs) -> Result<()> {
    let base = InboxConfig::documented(args.port_offset)?.http;
    let server = Server::new(&format!("http://{base}"))?.hinting(NO_DEMO);
    if let Some(number) = args.number {
        let all = ask(&server, number.saturating_sub(1)).await?;
        let all: Arrived = serde_json::from_slice(&all).context("read the list of messages")?;
        let Some(message) = all.messages.iter().find(|m| m.id == number) else {
            bail!("there is no message {number}; {} arrived", all.received);
        };
        return print(&full(message));
    }
    let mut seen = 0;
    loop {
        let body = ask(&server, seen).await?;
        if args.output == ListFormat::Json {
            print(&String::from_utf8_lossy(&body))?;
            return print("\n");
        }
        let all: Arrived = serde_json::from_slice(&body).context("read the list of messages")?;
        if all.messages.is_empty() && !args.follow {
            return print("nothing has arrived yet\n");
        }
        if seen == 0 && !args.follow {
            print(&format!("{:>4}  {:<8}  {:<9}  {:<28}  SUBJECT\n", "NO.", "TIME", "WAY", "TO"))?;
        }
        for message in &all.messages {
            seen = message.id;
            print(&if args.follow { full(message) + "\n" } else { line(message) })?;
        }
        if !args.follow {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn ask(server: &Server, since: u64) -> Result<Vec<u8>> {
    let (status, body) = server.send(http::Method::GET, &format!("/messages?since={since}")).await?;
    if !status.is_success() {
        bail!(Refused::of(status, &body));
    }
    Ok(body)
}

fn print(text: &str) -> Result<()> {
    tail::write(text.as_bytes())
}

fn line(m: &Message) -> String {
    let (to, subject) = (shorten(&m.to, 28), shorten(&m.subject, SUBJECT));
    format!("{:>4}  {:<8}  {:<9}  {to:<28}  {subject}\n", m.id, clock(m.at_ms), m.channel.name())
}

fn full(m: &Message) -> String {
    let mut out = format!("#{} {} {} to {}\n", m.id, clock(m.at_ms), m.channel.name(), visible(&m.to));
    let _ = writeln!(out, "{}", visible(&m.subject));
    for line in m.text.lines().take(40) {
        let _ = writeln!(out, "    {}", visible(line));
    }
    out
}

fn clock(at_ms: i64) -> String {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or_default();
    at.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string()
}

/// Characters that a terminal would obey are not sent to it.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn shorten(text: &str, columns: usize) -> String {
    shortened(&visible(text), columns)
}

//! `reba status`: what runs, how it is, and what needs somebody's attention, asked of the roles' own ports.

mod ask;

use std::{fmt::Write as _, net::IpAddr};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::{
    args::{ListFormat, Role},
    client::At,
    query::{plain, render},
};
use ask::Server;

/// Options of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Where Reba listens.
    #[arg(
        long,
        default_value = "127.0.0.1",
        value_name = "ADDR",
        conflicts_with = "url",
        help_heading = "Where to ask"
    )]
    pub host: IpAddr,
    /// Where the role prometheus is; the others are looked for beside it.
    #[command(flatten)]
    pub at: At,
    /// How it is printed.
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    pub output: ListFormat,
}

/// How a role is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ready,
    /// It answers, but not to questions yet: it reads its log again, or ends.
    NotReady,
    /// Nobody listens there.
    NotRunning,
    /// It answers, to those whom it knows.
    Locked,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            State::Ready => "ready",
            State::NotReady => "not ready",
            State::NotRunning => "not running",
            State::Locked => "locked",
        }
    }
}

/// One role.
#[derive(Debug, Serialize)]
struct RoleStatus {
    role: &'static str,
    address: String,
    state: State,
    /// What there is to know, in words.
    notes: Vec<String>,
}

/// A target that could not be scraped.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct DownTarget {
    job: String,
    url: String,
    error: String,
}

/// An alert that fires.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct FiringAlert {
    name: String,
    severity: String,
    labels: String,
    since: String,
}

/// Everything that was found out.
#[derive(Debug, Default, Serialize)]
struct Status {
    roles: Vec<RoleStatus>,
    targets_down: Vec<DownTarget>,
    alerts_firing: Vec<FiringAlert>,
}

/// Asks all roles; the text for standard output, and whether something runs and all that runs is ready.
pub async fn status(args: &StatusArgs) -> Result<(String, bool)> {
    let servers: Vec<Server> =
        Role::ALL.into_iter().map(|role| Server::of(role, args)).collect::<Result<_>>()?;
    let mut found = Status::default();
    for answer in futures::future::join_all(servers.into_iter().map(Server::ask)).await {
        found.roles.push(answer.role);
        found.targets_down.extend(answer.targets_down);
        found.alerts_firing.extend(answer.alerts_firing);
    }
    let runs = found.roles.iter().any(|role| role.state != State::NotRunning);
    let well = runs && found.roles.iter().all(|role| role.state != State::NotReady);
    let text = match args.output {
        ListFormat::Json => format!("{}\n", serde_json::to_string_pretty(&found)?),
        ListFormat::Table if runs => found.for_people(),
        ListFormat::Table => {
            let at = found.roles.iter().find(|role| role.role == "prometheus");
            let at = at.map_or("", |role| role.address.as_str());
            format!("Reba does not run there: nobody listens on {at}, nor for any other role\n")
        }
    };
    Ok((text, well))
}

impl Status {
    fn for_people(&self) -> String {
        let row = |role: &RoleStatus| {
            [
                role.role.to_owned(),
                role.address.clone(),
                role.state.as_str().to_owned(),
                role.notes.join(" · "),
            ]
        };
        let rows: Vec<_> = self.roles.iter().map(row).collect();
        let mut out = render::columns_of(&["ROLE", "ADDRESS", "STATE", ""], &rows);
        if !self.targets_down.is_empty() {
            let row = |t: &DownTarget| [t.job.clone(), t.url.clone(), plain(&t.error)];
            let rows: Vec<_> = self.targets_down.iter().map(row).collect();
            let _ = write!(out, "\n{}", render::columns_of(&["TARGET DOWN", "URL", "ERROR"], &rows));
        }
        if !self.alerts_firing.is_empty() {
            let row =
                |a: &FiringAlert| [a.name.clone(), a.severity.clone(), a.since.clone(), plain(&a.labels)];
            let rows: Vec<_> = self.alerts_firing.iter().map(row).collect();
            let head = ["ALERT FIRING", "SEVERITY", "SINCE", "LABELS"];
            let _ = write!(out, "\n{}", render::columns_of(&head, &rows));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_attention_stands_below_the_roles() {
        let role = |role, state, notes: &[&str]| RoleStatus {
            role,
            address: "127.0.0.1:9090".to_owned(),
            state,
            notes: notes.iter().map(|&n| n.to_owned()).collect(),
        };
        let status = Status {
            roles: vec![
                role("prometheus", State::Ready, &["14 of 15 targets up", "keeps 30d"]),
                role("loki", State::NotRunning, &[]),
            ],
            targets_down: vec![DownTarget {
                job: "wallet-service".to_owned(),
                url: "http://127.0.1.3:3002/metrics".to_owned(),
                error: "connection refused\u{1b}[2J".to_owned(),
            }],
            alerts_firing: Vec::new(),
        };
        let text = status.for_people();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "ROLE        ADDRESS         STATE");
        assert_eq!(lines[1], "prometheus  127.0.0.1:9090  ready        14 of 15 targets up · keeps 30d");
        assert_eq!(lines[2], "loki        127.0.0.1:9090  not running");
        assert_eq!(lines[4], "TARGET DOWN     URL                            ERROR");
        assert!(!text.contains('\u{1b}'), "nothing that a terminal would obey");
        assert!(!text.contains("ALERT FIRING"));
    }
}

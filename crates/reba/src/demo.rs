//! `reba demo`: the simulated fleet beside Reba, and its incidents from the command line.

use std::{fmt::Write as _, net::SocketAddr, time::SystemTime};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, builder::PossibleValuesParser};
use easymo_fleet::{Addressing, Fleet, FleetConfig, FleetHandle, InboxHandle, Incident, LogFiles};
use reba_notify::Inbox;
use serde::Deserialize;

use crate::{
    args::{DemoArgs, Role},
    client::{Refused, Server},
    run,
    shift::Demo,
};

/// Options of `demo incident`.
#[derive(Debug, Args)]
pub struct IncidentArgs {
    /// list, start or stop.
    #[command(subcommand)]
    pub action: IncidentAction,
    /// The port offset of the demo that runs.
    #[arg(long, default_value_t = 0, env = "REBA_PORT_OFFSET", global = true, value_name = "N")]
    pub port_offset: u16,
}

/// What to do with incidents.
#[derive(Debug, Subcommand)]
pub enum IncidentAction {
    /// What there is, and what is on.
    #[command(after_help = "\
Examples:
  reba demo incident list")]
    List,
    /// Switch one on; `reba demo incident list` says what it does.
    #[command(after_help = "\
Examples:
  reba demo incident start payments-down
  reba demo inbox --follow                 what it leads to")]
    Start {
        /// Its name.
        #[arg(value_parser = names())]
        name: String,
    },
    /// Switch one off.
    #[command(after_help = "\
Examples:
  reba demo incident stop payments-down")]
    Stop {
        /// Its name.
        #[arg(value_parser = names())]
        name: String,
    },
}

/// Where the fleet's control server listens; the port is moved by the offset.
const CONTROL_PORT: u16 = 3999;

/// The address of its own that the fleet's control server has.
const CONTROL_HOST: &str = "127.0.1.100";

/// What to do if no demo answers.
pub const NO_DEMO: &str = "; is `reba demo` running, with this --port-offset?";

/// Below the data: where the fleet writes its logs, and promtail-config.yml looks for them.
const FLEET_LOGS: &str = "fleet-logs";

/// Starts the fleet; `traces` is where it sends its spans.
pub async fn fleet(args: &DemoArgs, traces: Option<SocketAddr>) -> Result<FleetHandle> {
    let config = FleetConfig {
        speed: args.speed,
        addressing: Addressing::Documented { port_offset: args.run.port_offset },
        logs: Some(LogFiles::below(args.run.data.join(FLEET_LOGS))),
        traces: traces.map(|address| format!("http://{address}/v1/traces")),
        ..FleetConfig::new(args.seed, SystemTime::now())
    };
    Fleet::start(config).await.context("start the simulated fleet")
}

/// Ports move; and whatever real addresses and keys `.env` has, alerts of the demo go to its inbox.
pub fn changes(inbox: &InboxHandle, ports: u16) -> Demo {
    let (smtp, http) = (inbox.smtp, inbox.http);
    let variables = [
        ("SMTP_SMARTHOST", smtp.to_string()),
        ("SMTP_REQUIRE_TLS", "false".to_owned()),
        ("SENDGRID_API_KEY", "demo".to_owned()),
        ("ALERT_EMAIL_FROM", "alerts@easymo.example".to_owned()),
        ("ALERT_EMAIL_TO", "devops@easymo.example".to_owned()),
        ("SLACK_WEBHOOK_URL", format!("http://{http}/slack/services/demo")),
        ("PAGERDUTY_URL", format!("http://{http}/pagerduty/v2/enqueue")),
        ("PAGERDUTY_ROUTING_KEY", "demo".to_owned()),
        ("OPSGENIE_API_URL", format!("http://{http}/opsgenie/")),
        ("OPSGENIE_API_KEY", "demo".to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
    let incidents = format!("http://{CONTROL_HOST}:{}", CONTROL_PORT.saturating_add(ports));
    let sources = vec![("reba-demo-inbox", format!("http://{http}")), ("reba-demo-incidents", incidents)];
    // And if the file has addresses and keys in it, not there either.
    let inbox = Some(Inbox { smtp, http });
    Demo { ports, variables, inbox, absent: Vec::new(), sources }
}

/// What a person sees when the demo is up; `program` is what they started it with. The last lines are those to begin with.
pub fn welcome(
    running: &run::Running,
    fleet: &FleetHandle,
    inbox: &InboxHandle,
    offset: u16,
    program: &str,
) -> String {
    let mut out = String::from("\nReba watches the simulated EasyMO fleet.\n\n");
    for (role, address) in &running.addresses {
        let _ = writeln!(out, "  {:<21} http://{address}", role.name());
    }
    for endpoint in fleet.endpoints() {
        let _ = writeln!(out, "  {:<21} http://{}{}", endpoint.service, endpoint.addr, endpoint.metrics_path);
    }
    let _ = writeln!(out, "  {:<21} smtp://{} http://{}/messages", "inbox", inbox.smtp, inbox.http);
    let flag = if offset == 0 { String::new() } else { format!(" --port-offset {offset}") };
    out.push_str("\nTry in another terminal:\n");
    for command in TRY {
        let _ = writeln!(out, "  {program} {command}{flag}");
    }
    if let (Some(login), Some(app)) = (&running.first_login, running.address(Role::Grafana)) {
        let password = match &login.made_up {
            Some(made_up) => made_up.expose().to_owned(),
            None => "as you chose it (GRAFANA_ADMIN_PASSWORD)".to_owned(),
        };
        let _ = writeln!(out, "\n  Open http://{app}   user {}   password {password}", login.user);
    }
    out.push_str("\nCtrl-C stops everything.\n");
    out
}

/// What there is to see first.
const TRY: [&str; 7] = [
    "status",
    "query promql 'sum by (service) (rate(http_requests_total[1m]))'",
    "query promql 'sum(rate(ride_requests_total[1m]))' --since 15m",
    "tail wallet-service",
    "demo incident start payments-down",
    "alerts list",
    "demo inbox --follow",
];

#[derive(Deserialize)]
struct Status {
    name: String,
    active: bool,
    alert: String,
    summary: String,
}

/// `reba demo incident …`: the text to print.
pub async fn incident(args: &IncidentArgs) -> Result<String> {
    let port = CONTROL_PORT.checked_add(args.port_offset).context("--port-offset leads beyond port 65535")?;
    let server = Server::new(&format!("http://{CONTROL_HOST}:{port}"))?.hinting(NO_DEMO);
    let (method, path, name) = match &args.action {
        IncidentAction::List => (http::Method::GET, "/incidents".to_owned(), None),
        IncidentAction::Start { name } => {
            (http::Method::POST, format!("/incidents/{name}/start"), Some(name))
        }
        IncidentAction::Stop { name } => (http::Method::POST, format!("/incidents/{name}/stop"), Some(name)),
    };
    let (status, body) = server.send(method, &path).await?;
    if !status.is_success() {
        bail!(Refused::of(status, &body));
    }
    match name {
        None => {
            Ok(table(&serde_json::from_slice::<Vec<Status>>(&body).context("read the list of incidents")?))
        }
        Some(name) => {
            let s: Status = serde_json::from_slice(&body).context("read the incident")?;
            let state = if s.active { "on" } else { "off" };
            Ok(format!("{name} is {state}; its alert is {}\n", s.alert))
        }
    }
}

/// The names of all incidents, for completions and for whoever mistypes one.
fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(Incident::ALL.map(Incident::name))
}

fn table(all: &[Status]) -> String {
    let mut out = format!("{:<28} {:<4} {:<28} WHAT HAPPENS\n", "INCIDENT", "IS", "ALERT");
    for s in all {
        let state = if s.active { "on" } else { "off" };
        let _ = writeln!(out, "{:<28} {state:<4} {:<28} {}", s.name, s.alert, s.summary);
    }
    out
}

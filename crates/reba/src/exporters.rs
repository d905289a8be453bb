//! The roles `node`, `postgres` and `redis`: the exporters, each on its upstream's port.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result, bail};
use reba_api::exporters::{self as api, Exporter};
use reba_collect::{Question, node::Node, postgres::Postgres, redis::Redis};
use reba_config::Variables;
use serde::Deserialize;

use crate::{
    args::{Role, RunArgs},
    door::Door,
    upstream,
};

/// `exporters` in reba.yml.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct ExporterSettings {
    /// The host: runs unless it is switched off.
    pub node: OneExporter,
    /// PostgreSQL: runs if it is told where one is.
    pub postgres: OneExporter,
    /// Redis: runs if it is told where one is.
    pub redis: OneExporter,
}

/// An exporter in reba.yml.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct OneExporter {
    /// Whether it runs.
    pub enabled: Option<bool>,
    /// Flags as upstream's program has them.
    pub flags: Vec<String>,
}

impl ExporterSettings {
    fn of(&self, role: Role) -> Option<&OneExporter> {
        match role {
            Role::Node => Some(&self.node),
            Role::Postgres => Some(&self.postgres),
            Role::Redis => Some(&self.redis),
            _ => None,
        }
    }
}

/// The exporters that are to run, built.
#[derive(Default)]
pub struct Exporters(Vec<One>);

struct One {
    role: Role,
    exporter: Exporter,
    /// Where its flags want it to listen.
    listen: Option<SocketAddr>,
}

impl Exporters {
    /// Builds those of `roles` that are configured, or named by `--only`, and takes the others out of `roles`.
    pub fn build(
        roles: &mut Vec<Role>,
        args: &RunArgs,
        settings: &ExporterSettings,
        variables: &Variables,
    ) -> Result<Self> {
        let extra = owner(args)?;
        let mut built = Vec::new();
        let mut keep = Vec::new();
        for role in roles.drain(..) {
            let Some(one) = settings.of(role) else {
                keep.push(role);
                continue;
            };
            let mut flags = one.flags.clone();
            if extra == Some(role) {
                flags.extend(args.exporter_flags.iter().cloned());
            }
            let configured = one.enabled.unwrap_or_else(|| is_configured(role, &flags, variables));
            if configured || args.only.contains(&role) {
                built.push(
                    build(role, &flags, variables).with_context(|| format!("exporter {}", role.name()))?,
                );
                keep.push(role);
            }
        }
        *roles = keep;
        Ok(Exporters(built))
    }

    /// Where a role's flags want it to listen.
    pub fn listen(&self, role: Role) -> Option<SocketAddr> {
        self.0.iter().find(|one| one.role == role)?.listen
    }

    /// Opens their doors.
    pub fn open(self, doors: &[Door]) {
        for One { role, exporter, .. } in self.0 {
            if let Some(door) = doors.iter().find(|door| door.role() == role) {
                door.readiness().set_ready();
                door.open(api::router(exporter));
            }
        }
    }
}

/// What is wrong with the settings of the exporters that would run.
pub fn check(settings: &ExporterSettings, variables: &Variables) -> Vec<anyhow::Error> {
    let one = |role| {
        let one = settings.of(role)?;
        let runs = one.enabled.unwrap_or_else(|| is_configured(role, &one.flags, variables));
        let built = runs.then(|| build(role, &one.flags, variables))?;
        built.err().map(|e| e.context(format!("exporter {}", role.name())))
    };
    [Role::Node, Role::Postgres, Role::Redis].into_iter().filter_map(one).collect()
}

/// Whose flags stand behind `--` on the command line.
fn owner(args: &RunArgs) -> Result<Option<Role>> {
    if args.exporter_flags.is_empty() {
        return Ok(None);
    }
    match args.only.as_slice() {
        [role @ (Role::Node | Role::Postgres | Role::Redis)] => Ok(Some(*role)),
        _ => {
            bail!("flags behind -- are one role's: name it with --only node, postgres, redis or alertmanager")
        }
    }
}

/// Whether an exporter has something to ask without being told to run.
fn is_configured(role: Role, flags: &[String], variables: &Variables) -> bool {
    let said = |names: &[&str]| names.iter().any(|name| variables.get(name).is_some_and(|v| !v.is_empty()));
    match role {
        Role::Postgres => {
            let names =
                ["DATA_SOURCE_NAME", "DATA_SOURCE_NAME_FILE", "DATA_SOURCE_URI", "DATA_SOURCE_URI_FILE"];
            !flags.is_empty() || said(&names)
        }
        Role::Redis => !flags.is_empty() || said(&["REDIS_ADDR"]),
        _ => true,
    }
}

fn build(role: Role, flags: &[String], variables: &Variables) -> Result<One> {
    let env = |name: &str| variables.get(name).map(str::to_owned);
    let (exporter, listen): (Exporter, Option<String>) = match role {
        Role::Node => {
            let node = Arc::new(Node::new(flags, &env)?);
            let listen = node.listen().map(str::to_owned);
            // Files are read on a thread where that may block.
            let answer: Exporter = Arc::new(move |request| {
                let node = Arc::clone(&node);
                Box::pin(async move {
                    let work = tokio::task::spawn_blocking(move || node.answer(&Question::of(&request)));
                    work.await.unwrap_or_else(|_| failed())
                })
            });
            (answer, listen)
        }
        Role::Postgres => {
            let postgres = Arc::new(Postgres::new(flags, &env)?);
            let listen = postgres.listen().map(str::to_owned);
            let answer: Exporter = Arc::new(move |request| {
                let postgres = Arc::clone(&postgres);
                Box::pin(async move { postgres.answer(&Question::of(&request)).await })
            });
            (answer, listen)
        }
        Role::Redis => {
            let redis = Arc::new(Redis::new(flags, &env)?);
            let listen = redis.listen().map(str::to_owned);
            let answer: Exporter = Arc::new(move |request| {
                let redis = Arc::clone(&redis);
                Box::pin(async move { redis.answer(&Question::of(&request)).await })
            });
            (answer, listen)
        }
        _ => bail!("this role is no exporter"),
    };
    let listen = listen.map(|text| upstream::address(&text).map_err(anyhow::Error::msg));
    Ok(One { role, exporter, listen: listen.transpose().context("--web.listen-address")? })
}

fn failed() -> http::Response<String> {
    let mut answer = http::Response::new("the scrape failed\n".to_owned());
    *answer.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    answer
}

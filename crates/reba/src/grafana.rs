//! The role `grafana`: the web app, log-in, and Grafana's API.

use std::{fs, io, path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail};
use rand::RngCore as _;
use reba_api::grafana::{self as api, App, Cost, GrafanaApi, OwnRole, Parts, Paths, Settings};
use reba_config::Variables;
use reba_http::Secret;
use reba_storage::StateStore;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Loaded,
    door::Door,
    folder::Folder,
    run::{USER_AGENT, now_ms},
};

/// The web app as it was built before the binary; empty, if it was not.
const APP: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/web_app.rs"));

/// Passwords that everybody tries first.
const WELL_KNOWN: [&str; 7] = ["admin", "password", "grafana", "changeme", "prom-operator", "secret", "reba"];

/// Roles that are data sources, by the names of their kinds.
const SOURCES: [&str; 4] = ["prometheus", "loki", "tempo", "alertmanager"];

/// The role, its door still closed.
pub struct Grafana {
    api: Arc<GrafanaApi>,
    made_up: Option<Secret>,
}

/// How the first user logs in.
pub struct FirstLogin {
    /// The login.
    pub user: String,
    /// The password, if it was made up at this start. It is for a person's eyes, and for no log.
    pub made_up: Option<Secret>,
}

/// Reads `grafana.ini` and what the environment says.
pub fn settings(file: &Path, variables: &Variables, wanted: bool) -> Result<Settings> {
    if !wanted {
        return Ok(Settings::default());
    }
    let ini = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e).with_context(|| file.display().to_string()),
    };
    let lookup = |name: &str| variables.get(name).map(str::to_owned);
    match Settings::read(&ini, &lookup) {
        Ok((settings, warnings)) => {
            for warning in warnings {
                tracing::warn!("{}: {warning}", file.display());
            }
            Ok(settings)
        }
        Err(reason) => bail!("{}: {reason}", file.display()),
    }
}

impl Grafana {
    /// Opens the state store and reads the files; `doors` are those of the roles that may be data sources.
    pub async fn build(
        door: &Door,
        doors: &[Door],
        folder: &Folder,
        loaded: &Loaded,
        store: Arc<dyn StateStore>,
        port_offset: u16,
    ) -> Result<Self> {
        let settings = loaded.grafana.clone();
        let well_known = settings.admin_password.as_ref().is_some_and(|p| WELL_KNOWN.contains(&p.expose()));
        if well_known && !door.address().ip().is_loopback() {
            bail!(
                "the password of {} is one that everybody tries first, and {} is reached from elsewhere: choose another",
                settings.admin_user,
                door.address()
            );
        }
        let parts = Parts {
            store,
            app: App::new(APP, &settings.base()),
            roles: doors.iter().filter_map(|door| own_role(door, port_offset)).collect(),
            extra: loaded.demo.sources.clone(),
            paths: Paths::below(&folder.root),
            variables: loaded.variables.clone(),
            proxies: loaded.proxies(),
            user_agent: USER_AGENT.to_owned(),
            tls: door.speaks_tls(),
            clock_ms: Arc::new(now_ms),
            random: Arc::new(unguessable),
            cost: Cost::default(),
            // Whoever tries the demo again should not have to look for the password of the first time.
            renew_made_up: !loaded.demo.variables.is_empty(),
            settings,
        };
        let (api, made_up) = tokio::task::spawn_blocking(|| GrafanaApi::open(parts)).await??;
        Ok(Grafana { api, made_up })
    }

    /// For reloads.
    pub fn api(&self) -> Arc<GrafanaApi> {
        Arc::clone(&self.api)
    }

    /// How the first user logs in.
    pub fn first_login(&self) -> FirstLogin {
        FirstLogin { user: self.api.admin_user().to_owned(), made_up: self.made_up.clone() }
    }

    /// Opens the door.
    pub fn open(self, door: &Door, stop: &CancellationToken) {
        door.readiness().set_ready();
        door.open(api::router(Arc::clone(&self.api)));
        tokio::spawn(self.api.follow(stop.clone()));
    }
}

/// The role behind a door, if it is one that data sources may be; its neighbours reach it without a socket.
pub fn own_role(door: &Door, port_offset: u16) -> Option<OwnRole> {
    let name = SOURCES.into_iter().find(|name| *name == door.role().name())?;
    let (port, prefix, router) = (door.address().port(), door.prefix().to_owned(), door.inside());
    Some(OwnRole { name, port, port_offset, prefix, router })
}

/// From the generator that the system seeds.
fn unguessable() -> [u8; 32] {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

//! A role's socket: bound before anything else, opened when the role can answer.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Result, anyhow};
use reba_api::{
    own_spans,
    prometheus::{
        Readiness,
        starting::{self, Later},
    },
    server::{Listener, Router},
    web::Web,
};
use reba_ingest::traces::own::OwnSpans;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::args::Role;

/// What all doors have in common.
pub struct Hall {
    /// How long a connection may stand still.
    pub silence: Duration,
    /// TLS, users and headers.
    pub web: Option<Arc<Web>>,
    /// Records requests.
    pub own: Option<Arc<OwnSpans>>,
    /// Closes all doors.
    pub stop: CancellationToken,
    /// Those who serve.
    pub serving: TaskTracker,
}

/// A socket that answers 503 until it is opened.
pub struct Door {
    role: Role,
    address: SocketAddr,
    prefix: String,
    readiness: Arc<Readiness>,
    later: Later,
    inside: Router,
    own: Option<Arc<OwnSpans>>,
    tls: bool,
    authenticates: bool,
}

impl Door {
    /// Binds `address` and serves the waiting page below `prefix`.
    pub fn bind(role: Role, address: SocketAddr, prefix: &str, hall: &Hall) -> Result<Self> {
        let listener = Listener::bind(role.name(), address).map_err(|error| refused(role, &error))?;
        let listener = listener.with_silence(hall.silence);
        let listener = listener.with_web(hall.web.clone());
        // Whoever uses the web app logs in there.
        let logs_in = role == Role::Grafana;
        let listener = if logs_in { listener.with_own_login() } else { listener };
        let (readiness, later) = (Arc::new(Readiness::default()), Later::default());
        let router = starting::gate(Arc::clone(&readiness), Arc::clone(&later), prefix);
        let door = Door {
            role,
            address: listener.address(),
            prefix: prefix.to_owned(),
            readiness,
            later,
            inside: router.clone(),
            own: hall.own.clone(),
            tls: hall.web.as_ref().is_some_and(|web| web.tls().is_some()),
            authenticates: logs_in || hall.web.as_ref().is_some_and(|web| web.authenticates()),
        };
        hall.serving.spawn(listener.serve(router, hall.stop.clone()));
        Ok(door)
    }

    /// Whose it is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The path below which it answers: empty, or with a slash at its start and none at its end.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What the socket serves, for others in this process.
    pub fn inside(&self) -> Router {
        self.inside.clone()
    }

    /// Records what this process does, if anything does.
    pub fn own(&self) -> Option<&Arc<OwnSpans>> {
        self.own.as_ref()
    }

    /// Whether the socket speaks TLS.
    pub fn speaks_tls(&self) -> bool {
        self.tls
    }

    /// Whether the role can answer yet.
    pub fn readiness(&self) -> &Arc<Readiness> {
        &self.readiness
    }

    /// Where people reach it if nobody says so: the address it listens on, or the host's name if that is every address.
    pub fn default_url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let hostname = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        match hostname().trim() {
            name if self.address.ip().is_unspecified() && !name.is_empty() => {
                format!("{scheme}://{name}:{}", self.address.port())
            }
            _ => format!("{scheme}://{}", self.address),
        }
    }

    /// Lets requests through to `router`.
    pub fn open(&self, router: Router) {
        let (role, address) = (self.role.name(), self.address);
        let router = match &self.own {
            Some(own) => own_spans::around(router, Arc::clone(own), role),
            None => router,
        };
        // Nobody else sets it.
        let _ = self.later.set(router);
        tracing::info!(role, %address, "listening");
        if !address.ip().is_loopback() && !self.authenticates {
            tracing::warn!(role, %address, "listening beyond this host without authentication");
        }
    }
}

/// Why a role cannot listen, and what helps against it.
fn refused(role: Role, error: &dyn std::error::Error) -> anyhow::Error {
    let reason = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    anyhow!("{error}{reason}; {}", role.elsewhere())
}

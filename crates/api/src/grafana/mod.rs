//! Grafana's role: the web app, log-in, and the part of Grafana's HTTP API that scripts and the app use. On port 3001.

mod accounts;
mod annotations;
mod app;
mod boards;
mod body;
mod ids;
mod login;
mod misc;
mod org;
mod provisioning;
mod query;
mod refusal;
mod routes;
mod security;
mod service_accounts;
mod settings;
mod sources;
mod time_text;
mod users;

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use reba_config::Variables;
use reba_http::{ProxyEnv, Secret};
use reba_storage::{StateError, StateStore};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::{
    accounts::{Accounts, Lifetimes, throttle::Throttle},
    annotations::Annotations,
    boards::{
        Boards,
        files::{Files, Reader},
    },
    org::Org,
    refusal::Refusal,
    sources::{Sources, upstream::Upstreams},
};
pub use self::{
    accounts::{Random, password::Cost},
    app::App,
    provisioning::{Fault, Paths},
    routes::router,
    settings::Settings,
    sources::upstream::OwnRole,
};
use crate::loki::RequestMetrics;

/// The upstream version that Reba's answers are compatible with: clients switch features by it.
pub const COMPATIBLE_VERSION: &str = "10.2.2";

/// Passwords that are compared at once: each takes 19 MiB and a core.
const COMPARISONS: usize = 2;

/// The time of day in Unix milliseconds.
pub type ClockMs = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What the role is made of.
pub struct Parts {
    /// Keeps users, sessions, dashboards.
    pub store: Arc<dyn StateStore>,
    /// `grafana.ini` and variables.
    pub settings: Settings,
    /// The web app.
    pub app: App,
    /// Roles of this process that are data sources.
    pub roles: Vec<OwnRole>,
    /// Data sources beside those of files and roles: their kinds, which are their names and uids as well, and their URLs.
    pub extra: Vec<(&'static str, String)>,
    /// Where provisioning files are.
    pub paths: Paths,
    /// What `${NAME}` in them may ask for.
    pub variables: Variables,
    /// Proxies of the environment, for data sources elsewhere.
    pub proxies: ProxyEnv,
    /// How we name ourselves to them.
    pub user_agent: String,
    /// Whether the listener speaks TLS.
    pub tls: bool,
    /// The time of day.
    pub clock_ms: ClockMs,
    /// Numbers that nobody can guess.
    pub random: Random,
    /// What hashes of passwords cost.
    pub cost: Cost,
    /// Whether a password that was made up at an earlier start, and that nobody has changed since, is made up again.
    pub renew_made_up: bool,
}

/// Why the role cannot start.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The state store cannot be read.
    #[error("read users and dashboards")]
    State(#[from] StateError),
    /// The first user cannot be made.
    #[error("make the first user: {0}")]
    FirstUser(String),
}

/// What is wrong in the files of `provisioning/`, and in the dashboards that they name.
pub fn check(paths: &Paths, variables: &Variables) -> Vec<Fault> {
    let lookup = |name: &str| variables.get(name).map(str::to_owned);
    let provided = sources::provided(paths, &lookup, &[]);
    let default_of = |kind: &str| {
        let source = provided.sources.iter().find(|source| source.r#type == kind);
        source.map(|source| source.uid.clone())
    };
    let found = Reader::new(paths.clone()).look(&Files::default(), &lookup, &default_of);
    provided.faults.iter().chain(&found.files.faults).cloned().collect()
}

/// The role.
pub struct GrafanaApi {
    settings: Settings,
    app: App,
    accounts: Accounts,
    throttle: Throttle,
    comparisons: Semaphore,
    /// Digests of user and password that were right a moment ago.
    right: Mutex<BTreeSet<[u8; 32]>>,
    memory_salt: [u8; 32],
    org: Org,
    boards: Boards,
    annotations: Annotations,
    reader: Mutex<Reader>,
    sources: Sources,
    upstreams: Upstreams,
    extra: Vec<(&'static str, String)>,
    paths: Paths,
    variables: ArcSwap<Variables>,
    /// Faults of provisioning that were logged already.
    said: Mutex<BTreeSet<String>>,
    http: RequestMetrics,
    tls: bool,
    clock_ms: ClockMs,
}

impl fmt::Debug for GrafanaApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrafanaApi").finish_non_exhaustive()
    }
}

impl GrafanaApi {
    /// Reads the store and the files; makes the first user. Returns his password, if it was made up now: it is shown to a person
    /// once, and never logged. Blocks.
    pub fn open(parts: Parts) -> Result<(Arc<Self>, Option<Secret>), OpenError> {
        let Parts { store, settings, .. } = parts;
        let lifetimes = Lifetimes { idle: settings.session_idle_ms, most: settings.session_ms };
        let random = &parts.random;
        let api = GrafanaApi {
            accounts: Accounts::open(Arc::clone(&store), Arc::clone(random), parts.cost, lifetimes)?,
            org: Org::open(Arc::clone(&store))?,
            annotations: Annotations::open(Arc::clone(&store))?,
            boards: Boards::open(Arc::clone(&store), Arc::clone(random))?,
            sources: Sources::open(store, Arc::clone(random))?,
            upstreams: Upstreams::new(parts.roles, parts.user_agent, parts.proxies, settings.proxy_timeout),
            reader: Mutex::new(Reader::new(parts.paths.clone())),
            memory_salt: random(),
            settings,
            app: parts.app,
            throttle: Throttle::default(),
            comparisons: Semaphore::new(COMPARISONS),
            right: Mutex::default(),
            extra: parts.extra,
            paths: parts.paths,
            variables: ArcSwap::from_pointee(parts.variables),
            said: Mutex::default(),
            http: RequestMetrics::default(),
            tls: parts.tls,
            clock_ms: parts.clock_ms,
        };
        let (user, password) = (&api.settings.admin_user, api.settings.admin_password.as_ref());
        let first = api.accounts.first_user(user, password, parts.renew_made_up, api.now_ms());
        let made_up = first.map_err(|refusal| OpenError::FirstUser(refusal.message().to_owned()))?;
        api.reload_sources();
        api.look_at_dashboards();
        Ok((Arc::new(api), made_up))
    }

    /// The login of the first user.
    pub fn admin_user(&self) -> &str {
        &self.settings.admin_user
    }

    /// Takes other variables and reads the files again. Blocks.
    pub fn reload(&self, variables: &Variables) {
        self.variables.store(Arc::new(variables.clone()));
        self.reload_sources();
        self.look_at_dashboards();
    }

    /// Looks at the files of dashboards again and again.
    pub async fn follow(self: Arc<Self>, until: CancellationToken) {
        loop {
            let looked = self.blocking(|api| Ok(api.look_at_dashboards())).await;
            let pause = looked.unwrap_or(Duration::from_secs(10));
            tokio::select! {
                () = until.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn now_ms(&self) -> i64 {
        (self.clock_ms)()
    }

    /// Does something that waits for the disk or takes its time.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let api = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&api)).await;
        done.unwrap_or_else(|error| {
            tracing::error!(%error, "a request failed");
            Err(Refusal::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "something failed; see the log"))
        })
    }

    /// Reads the data sources' files.
    fn reload_sources(&self) {
        let roles: Vec<(&'static str, String)> =
            self.upstreams.roles().iter().map(|role| (role.name, role.url())).collect();
        let variables = self.variables.load();
        let lookup = |name: &str| variables.get(name).map(str::to_owned);
        let mut provided = sources::provided(&self.paths, &lookup, &roles);
        provided.add(&self.extra);
        self.say(&provided.faults);
        self.sources.provide(provided);
    }

    /// Looks at the dashboards' files; returns when to look again.
    fn look_at_dashboards(&self) -> Duration {
        let variables = self.variables.load();
        let lookup = |name: &str| variables.get(name).map(str::to_owned);
        // Held while the files are read: of two looks at once the later one must be shown last.
        let mut reader = self.reader.lock();
        let found = reader.look(&self.boards.files(), &lookup, &|kind| self.sources.default_of(kind));
        self.say(&found.files.faults);
        self.boards.provide(found.files);
        for board in found.adopted {
            if let Err(refusal) = self.boards.adopt(&board, self.now_ms()) {
                tracing::warn!(
                    uid = board.uid,
                    reason = refusal.message(),
                    "cannot keep a dashboard whose file is gone"
                );
            }
        }
        found.again
    }

    /// Logs faults that were not logged before.
    fn say(&self, faults: &[Fault]) {
        let mut said = self.said.lock();
        for fault in faults {
            if said.insert(fault.to_string()) {
                tracing::warn!("provisioning: {fault}");
            }
        }
        if said.len() > 10_000 {
            said.clear();
        }
    }
}

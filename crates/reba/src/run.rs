//! `reba run`: binds the sockets, builds the roles that are wanted, and stops them in order.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use reba_api::web::Web;
use reba_model::GoRegex;
use reba_storage::StateStore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    alertmanager::{self, Alertmanager},
    alertmanager_flags::AlertmanagerFlags,
    alertmanagers::Home,
    args::{Role, RunArgs},
    backup,
    config::{Loaded, load},
    door::{Door, Hall},
    exporters::Exporters,
    folder::Folder,
    grafana::{self, FirstLogin, Grafana},
    logging::Spoken,
    loki::{self, Loki},
    otlp::{self, Otlp},
    own_spans,
    prometheus::{self, Prometheus},
    promtail::Promtail,
    reload::{Handles, Reloader},
    settings::Settings,
    shift::Demo,
    state,
    tempo::{self, Tempo},
};

/// What Reba calls itself to targets and Alertmanagers.
pub const USER_AGENT: &str = concat!("Prometheus/", "2.48.0", " (Reba ", env!("CARGO_PKG_VERSION"), ")");

/// How much longer than a query a client's connection may be silent: reading and printing take their time, too.
const SILENCE_BEYOND_QUERIES: Duration = Duration::from_secs(180);

/// By then what only a start needs has run: files are read, targets are discovered, the first scrapes are in.
const START_IS_OVER: Duration = Duration::from_secs(20);

/// A running Reba.
pub struct Running {
    /// Where the roles listen.
    pub addresses: Vec<(Role, SocketAddr)>,
    /// Cancelled by `/-/quit`, or by whoever wants the end.
    pub stop: CancellationToken,
    reloader: Arc<Reloader>,
    prometheus: Option<Prometheus>,
    loki: Option<Loki>,
    tempo: Option<Tempo>,
    promtail: Option<Arc<Promtail>>,
    alertmanager: Option<Alertmanager>,
    serving: TaskTracker,
    /// Who logs in to the web app, and a password that was made up just now, for a person to read.
    pub first_login: Option<FirstLogin>,
}

/// Unix milliseconds.
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Unix nanoseconds: scrapes are put on a grid of milliseconds, and sleep to it more exactly than that.
pub fn now_ns() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// A number that nobody outside can guess: the standard library seeds its hash maps with such.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// What the command line and the configuration folder say, read and checked.
pub struct Configured {
    folder: Folder,
    settings: Settings,
    loaded: Loaded,
    /// The roles that are wanted, and where they listen.
    roles: Vec<(Role, SocketAddr)>,
    port_offset: u16,
    web: Option<Arc<Web>>,
    exporters: Exporters,
}

impl Configured {
    fn takes(&self, role: Role) -> bool {
        self.roles.iter().any(|(r, _)| *r == role)
    }

    /// Where spans are taken over HTTP, if they are.
    pub fn takes_traces(&self) -> Option<SocketAddr> {
        let address =
            |wanted| self.roles.iter().find(|(role, _)| *role == wanted).map(|(_, address)| *address);
        address(Role::Tempo).and(address(Role::OtlpHttp))
    }
}

/// Reads the configuration, with what the demo changes of it.
pub fn configure(args: &RunArgs, flags: &AlertmanagerFlags, demo: &Demo) -> Result<Configured> {
    let folder = match flags.config_file() {
        Some(file) => Folder::of_alertmanager(&file)?,
        None => Folder::at(&args.config)?,
    };
    let mut roles = Role::wanted(&args.only);
    otlp::check(&roles)?;
    let mut loaded = load(&folder, &roles, &args.data, demo)?;
    roles.extend(loaded.receivers());
    let mut settings = Settings::read(&folder.reba, &loaded.variables)?;
    args.upstream.apply(&mut settings);
    flags.apply(&mut settings)?;
    let exporters = Exporters::build(&mut roles, args, &settings.exporters, &loaded.variables)?;
    settings.listen.extend(roles.iter().filter_map(|role| Some((*role, exporters.listen(*role)?))));
    loaded.leave_out_absent(&roles);
    let roles = roles.iter().map(|role| Ok((*role, address(args, &settings, &loaded, *role)?)));
    let roles = roles.collect::<Result<_>>()?;
    let web = settings
        .web_config_file
        .as_deref()
        .map(|file| Web::load(file, &loaded.variables))
        .transpose()?
        .map(Arc::new);
    Ok(Configured { folder, settings, loaded, roles, port_offset: args.port_offset, web, exporters })
}

/// The roles that store, their logs read again.
struct Stores {
    metrics: Option<prometheus::Built>,
    logs: Option<loki::Built>,
    traces: Option<tempo::Built>,
}

impl Stores {
    /// Builds those that are wanted, all at once: each may have much to read.
    async fn build(
        doors: &[Door],
        settings: &Settings,
        loaded: &Loaded,
        data: &Path,
        home: Home,
    ) -> Result<Self> {
        backup::tidy(data)?;
        let door = |role| doors.iter().find(|door| door.role() == role);
        let metrics = async {
            match door(Role::Prometheus) {
                Some(door) => prometheus::Built::build(door, settings, loaded, data, home).await.map(Some),
                None => Ok(None),
            }
        };
        let logs = async {
            match door(Role::Loki) {
                Some(door) => loki::Built::build(door, settings, loaded, data).await.map(Some),
                None => Ok(None),
            }
        };
        let traces = async {
            match door(Role::Tempo) {
                Some(door) => tempo::Built::build(door, settings, loaded, data).await.map(Some),
                None => Ok(None),
            }
        };
        let (metrics, logs, traces) = tokio::try_join!(metrics, logs, traces)?;
        Ok(Stores { metrics, logs, traces })
    }

    /// What can be backed up.
    fn for_backups(&self) -> backup::Stores {
        backup::Stores {
            metrics: self.metrics.as_ref().map(prometheus::Built::tsdb),
            logs: self.logs.as_ref().map(loki::Built::store),
            spans: self.traces.as_ref().map(tempo::Built::store),
        }
    }
}

/// Starts everything; data is kept below `data`, and what we say ourselves in the log store.
pub async fn start(configured: Configured, data: &Path, spoken: Spoken) -> Result<Running> {
    let (stop, serving) = (CancellationToken::new(), TaskTracker::new());
    // Sockets first: a port that is taken should be said before minutes of replay, not after.
    let doors = bind(&configured, &stop, &serving)?;
    let door = |role| doors.iter().find(|door| door.role() == role);
    let Configured { folder, settings, mut loaded, port_offset, exporters, .. } = configured;

    let built = Stores::build(&doors, &settings, &loaded, data, home(&doors, &loaded, port_offset)).await?;
    let (backups, Stores { metrics, mut logs, mut traces }) = (built.for_backups(), built);
    if let Some(metrics) = &metrics {
        logs = logs.map(|built| built.with_rules(metrics, &loaded, data)).transpose()?;
        traces = traces.map(|built| built.with_generator(metrics));
    }
    let trusted = GoRegex::anchored(&settings.cors_origin)?;
    let ships = |_| Arc::new(Promtail::new(logs.as_ref(), &loaded, port_offset, trusted.clone()));
    let promtail = door(Role::Promtail).map(ships);
    let state = open_state(&doors, data).await?;
    let alerts = match (door(Role::Alertmanager), &state) {
        (Some(door), Some(state)) => {
            let (history, state) = (logs.as_ref().map(loki::Built::appender), Arc::clone(state));
            Some(alertmanager::Built::build(door, &settings, &mut loaded, state, history).await?)
        }
        _ => None,
    };
    let grafana = match (door(Role::Grafana), state) {
        (Some(at), Some(state)) => {
            Some(Grafana::build(at, &doors, &folder, &loaded, state, port_offset).await?)
        }
        _ => None,
    };
    let otlp = Otlp::new(metrics.as_ref(), logs.as_ref(), traces.as_ref(), &settings)?;
    let reloader = Arc::new(Reloader::new(
        folder,
        Handles {
            metrics: metrics.as_ref().map(prometheus::Built::handles),
            logs: logs.as_ref().map(loki::Built::handles),
            traces: traces.as_ref().map(tempo::Built::handles),
            promtail: promtail.clone(),
            alerts: alerts.as_ref().map(alertmanager::Built::handles),
            grafana: grafana.as_ref().map(Grafana::api),
            data: data.to_owned(),
            demo: loaded.demo.clone(),
        },
    ));
    Box::pin(reloader.start(loaded)).await.context("apply the configuration")?;

    let mut running = Running {
        addresses: doors.iter().map(|door| (door.role(), door.address())).collect(),
        stop,
        reloader: Arc::clone(&reloader),
        prometheus: None,
        loki: None,
        tempo: None,
        promtail: promtail.clone(),
        alertmanager: None,
        serving,
        first_login: grafana.as_ref().map(Grafana::first_login),
    };
    if let (Some(grafana), Some(door)) = (grafana, door(Role::Grafana)) {
        grafana.open(door, &running.stop);
    }
    if let (Some(built), Some(door)) = (logs, door(Role::Loki)) {
        running.loki = Some(built.start(door, &settings, spoken, &running.stop)?);
    }
    if let (Some(built), Some(door)) = (traces, door(Role::Tempo)) {
        built.open_receivers(&doors, &otlp.intake(), &trusted);
        running.tempo = Some(built.start(door, &settings)?);
    }
    if let (Some(built), Some(door)) = (alerts, door(Role::Alertmanager)) {
        running.alertmanager = Some(built.start(door, &settings, &reloader)?);
    }
    if let (Some(built), Some(door)) = (metrics, door(Role::Prometheus)) {
        let app = running.address(Role::Grafana).map(|address| address.port());
        running.prometheus = Some(built.lead_to(app).start(door, &settings, &reloader, &running.stop)?);
    }
    if let (Some(promtail), Some(door)) = (promtail, door(Role::Promtail)) {
        promtail.open(door, &reloader);
    }
    otlp.open(door(Role::OtlpGrpc), door(Role::OtlpHttp));
    exporters.open(&doors);
    running.started(data, backups);
    Ok(running)
}

/// Opens the store of what people make, for the roles that keep something there.
async fn open_state(doors: &[Door], data: &Path) -> Result<Option<Arc<dyn StateStore>>> {
    let keeps = |door: &Door| [Role::Grafana, Role::Alertmanager].contains(&door.role());
    if doors.iter().any(keeps) { state::open(data).await.map(Some) } else { Ok(None) }
}

/// Code that only the start needed would count as our memory until memory is short.
async fn give_back_what_the_start_took(stop: CancellationToken) {
    if stop.run_until_cancelled(tokio::time::sleep(START_IS_OVER)).await.is_some()
        && let Err(error) = reba_disk::give_back_code_pages()
    {
        tracing::debug!(%error, "the pages of the start stay mapped");
    }
}

/// Where alerts are at home.
fn home(doors: &[Door], loaded: &Loaded, port_offset: u16) -> Home {
    let door = doors.iter().find(|door| door.role() == Role::Alertmanager);
    Home { own: door.and_then(|door| grafana::own_role(door, port_offset)), stays: loaded.demo.is_demo() }
}

/// Binds the sockets of all roles.
fn bind(configured: &Configured, stop: &CancellationToken, serving: &TaskTracker) -> Result<Vec<Door>> {
    let settings = &configured.settings;
    let hall = Hall {
        silence: Duration::from_millis(settings.query_timeout_ms.unsigned_abs()) + SILENCE_BEYOND_QUERIES,
        web: configured.web.clone(),
        // Without a store for spans there is nowhere to put them.
        own: configured.takes(Role::Tempo).then(|| own_spans::recorder(settings)).flatten(),
        stop: stop.clone(),
        serving: serving.clone(),
    };
    let mut doors = Vec::new();
    for (role, address) in &configured.roles {
        let prefix = configured.loaded.prefix(*role, settings);
        doors.push(Door::bind(*role, *address, &prefix, &hall)?);
    }
    Ok(doors)
}

impl Running {
    /// What is done when everything runs.
    fn started(&self, data: &Path, backups: backup::Stores) {
        tokio::spawn(give_back_what_the_start_took(self.stop.clone()));
        backup::open(data, backups, &self.stop, &self.serving);
    }

    /// What a person must be told who starts the web app for the first time; empty if there is nothing to tell.
    pub fn made_up_password(&self) -> String {
        match &self.first_login {
            Some(FirstLogin { user, made_up: Some(password) }) => {
                let password = password.expose();
                format!(
                    "The web app's first user is {user}, password {password}. It is shown this once; \
                     GRAFANA_ADMIN_PASSWORD chooses another.\n"
                )
            }
            _ => String::new(),
        }
    }

    /// Where a role listens, if it runs.
    pub fn address(&self, role: Role) -> Option<SocketAddr> {
        self.addresses.iter().find(|(r, _)| *r == role).map(|(_, address)| *address)
    }

    /// Reads the configuration again; a wrong one leaves the old one running.
    pub async fn reload(&self) -> Result<()> {
        self.reloader.reload().await
    }

    /// Stops in order: no new work, evaluation, notification, answers, and at last the stores.
    pub async fn shutdown(self) -> Result<()> {
        self.stop.cancel();
        if let Some(promtail) = &self.promtail {
            promtail.stop().await;
        }
        if let Some(loki) = &self.loki {
            loki.quiesce().await;
        }
        if let Some(tempo) = &self.tempo {
            tempo.quiesce().await;
        }
        if let Some(prometheus) = &self.prometheus {
            prometheus.quiesce().await;
        }
        if let Some(alertmanager) = &self.alertmanager {
            alertmanager.quiesce().await;
        }
        self.serving.close();
        self.serving.wait().await;
        let logs = match self.loki {
            Some(loki) => loki.close().await,
            None => Ok(()),
        };
        let spans = match self.tempo {
            Some(tempo) => tempo.close().await,
            None => Ok(()),
        };
        // Whatever became of the logs and the spans, the metrics are closed.
        if let Some(prometheus) = self.prometheus {
            prometheus.close().await?;
        }
        logs.and(spans)
    }
}

/// Where a role listens: as `reba.yml` says, else as the role's own file says, else on its upstream's port.
fn address(args: &RunArgs, settings: &Settings, loaded: &Loaded, role: Role) -> Result<SocketAddr> {
    let configured = settings.listen.get(&role).copied().unwrap_or_else(|| {
        let (ip, port) = loaded.listen(role);
        SocketAddr::new(ip.unwrap_or(args.bind), port.unwrap_or(role.port()))
    });
    let port = configured.port().checked_add(args.port_offset);
    Ok(SocketAddr::new(configured.ip(), port.context("--port-offset leads beyond port 65535")?))
}

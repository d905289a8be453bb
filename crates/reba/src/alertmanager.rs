//! The role `alertmanager`: who hears of what, the receivers, and Alertmanager's API.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use arc_swap::ArcSwap;
use reba_alerting::{
    Options,
    shell::{Alerting, Setup},
};
use reba_api::{
    alertmanager::{
        self as api, AlertmanagerApi, Current, HttpMetrics, Readers, Receiver, ReceiverIntegration,
        Rehearsals,
    },
    answers::Answers,
    loki::Intake,
    prometheus::Readiness,
};
use reba_http::ProxyEnv;
use reba_model::GoRegex;
use reba_notify::{
    Options as ReceiverOptions, Receivers,
    config::{AlertmanagerFile, ReceiverConfig},
};
use reba_storage::{LogAppender, StateStore};

use crate::{
    alert_history::History, alertmanager_settings::AlertmanagerSettings, config::Loaded, door::Door, metrics,
    reload::Reloader, run::now_ms, settings::Settings,
};

/// Who we are to receivers: some of them tell programs apart.
const USER_AGENT: &str = concat!("Alertmanager/", "0.26.0", " (Reba ", env!("CARGO_PKG_VERSION"), ")");

/// For one request to a receiver whose settings name no time.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The role: alerting is at work, the door is closed.
pub struct Built {
    handles: AlertHandles,
    history: History,
    readiness: Arc<Readiness>,
}

/// The role at work.
pub struct Alertmanager {
    alerting: Alerting,
    history: History,
    readiness: Arc<Readiness>,
}

/// What a reload changes.
#[derive(Clone)]
pub struct AlertHandles {
    alerting: Alerting,
    current: Arc<ArcSwap<Current>>,
    receivers: Arc<ArcSwap<Receivers>>,
    options: ReceiverOptions,
    settings: AlertmanagerSettings,
}

impl AlertHandles {
    /// Makes `file` the configuration in force. Groups, silences and what was notified of stay.
    pub fn apply(&self, file: AlertmanagerFile) {
        self.current.store(Arc::new(current(&file)));
        let (routing, options) = (Arc::new(file.routing.clone()), machine_options(&self.settings, &file));
        let receivers = Arc::new(Receivers::new(file, self.options.clone()));
        self.receivers.store(Arc::clone(&receivers));
        self.alerting.reload(routing, receivers.integrations(), options, receivers);
    }

    /// Notes that a reload was tried in vain.
    pub fn reload_failed(&self) {
        let current = Current { reload_ok: false, ..Current::clone(&self.current.load()) };
        self.current.store(Arc::new(current));
    }
}

impl Built {
    /// Reads the state and begins to notify. What happens is written to `logs`, if the log store is in this process.
    pub async fn build(
        door: &Door,
        settings: &Settings,
        loaded: &mut Loaded,
        store: Arc<dyn StateStore>,
        logs: Option<Arc<dyn LogAppender>>,
    ) -> Result<Self> {
        let file = loaded.alertmanager.take().context("alertmanager.yml was not read")?;
        let own = settings.alertmanager.clone();
        let options = ReceiverOptions {
            external_url: own.external_url.clone().unwrap_or_else(|| door.default_url()),
            user_agent: USER_AGENT.to_owned(),
            proxies: proxies(loaded),
            timeout: TIMEOUT,
            inbox: loaded.demo.inbox,
        };
        let history = History::start(logs)?;
        let current = Arc::new(ArcSwap::from_pointee(current(&file)));
        let (routing, machine) = (Arc::new(file.routing.clone()), machine_options(&own, &file));
        let receivers = Arc::new(Receivers::new(file, options.clone()));
        let setup = Setup {
            routing,
            integrations: receivers.integrations(),
            options: machine,
            store,
            deliver: Arc::clone(&receivers) as _,
            on_event: history.sink(),
            clock: Arc::new(now_ms),
        };
        let alerting = Alerting::start(setup).await.context("read the state of alerting")?;
        let receivers = Arc::new(ArcSwap::new(receivers));
        let handles = AlertHandles { alerting, current, receivers, options, settings: own };
        Ok(Built { handles, history, readiness: Arc::clone(door.readiness()) })
    }

    /// What a reload changes.
    pub fn handles(&self) -> AlertHandles {
        self.handles.clone()
    }

    /// Starts answering.
    pub fn start(self, door: &Door, settings: &Settings, reloader: &Arc<Reloader>) -> Result<Alertmanager> {
        let Built { handles, history, readiness } = self;
        let (reloader, own) = (Arc::clone(reloader), &handles.settings);
        let api = AlertmanagerApi {
            alerting: handles.alerting.clone(),
            current: handles.current,
            receivers: handles.receivers,
            events: history.recent(),
            reload: Box::new(move || {
                let reloader = Arc::clone(&reloader);
                Box::pin(async move { Box::pin(reloader.reload()).await.map_err(|e| format!("{e:#}")) })
            }),
            readiness: Arc::clone(&readiness),
            metrics: vec![history.metrics(), metrics::of_process()],
            cors_origin: GoRegex::anchored(&settings.cors_origin)?,
            started_ms: now_ms(),
            http: HttpMetrics::default(),
            answers: Answers::default(),
            intake: Intake::default(),
            readers: Readers::new(own.get_concurrency, own.timeout_ms),
            rehearsals: Rehearsals::default(),
        };
        readiness.set_ready();
        door.open(api::router(Arc::new(api)));
        Ok(Alertmanager { alerting: handles.alerting, history, readiness })
    }
}

impl Alertmanager {
    /// No new work: what is on its way may arrive, what is known is saved. The log store must still be open.
    pub async fn quiesce(&self) {
        self.readiness.set_unready();
        self.alerting.stop().await;
        self.history.finish().await;
    }
}

/// Reads the file at `path`. Without one nobody is told of anything, but alerts and silences can be looked at.
pub fn read(path: &Path, loaded: &reba_config::Variables) -> Result<AlertmanagerFile> {
    let (file, warnings) = if path.exists() {
        reba_notify::config::load(path, loaded)?
    } else {
        tracing::info!(file = %path.display(), "no such file: nobody is told of alerts");
        reba_notify::config::parse("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n", path, loaded)?
    };
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(file)
}

fn proxies(loaded: &Loaded) -> ProxyEnv {
    // Those of the environment would lead the demo's messages out of the house.
    if loaded.demo.variables.is_empty() { loaded.proxies() } else { ProxyEnv::default() }
}

fn machine_options(settings: &AlertmanagerSettings, file: &AlertmanagerFile) -> Options {
    let resolve_timeout_ms = i64::try_from(file.resolve_timeout.as_millis()).unwrap_or(i64::MAX);
    Options {
        resolve_timeout_ms,
        retention_ms: settings.retention_ms,
        gc_interval_ms: settings.gc_interval_ms,
        max_silences: settings.max_silences,
        max_silence_bytes: settings.max_silence_bytes,
        ..Options::default()
    }
}

fn current(file: &AlertmanagerFile) -> Current {
    let receiver = |r: &ReceiverConfig| Receiver {
        name: r.name.clone(),
        integrations: r
            .integrations
            .iter()
            .map(|i| ReceiverIntegration {
                kind: i.kind,
                index: i.index,
                send_resolved: i.send_resolved,
                disabled: i.disabled().map(str::to_owned),
            })
            .collect(),
    };
    Current {
        original: file.original.clone(),
        receivers: file.receivers.iter().map(receiver).collect(),
        reload_ok: true,
        reloaded_ms: now_ms(),
    }
}

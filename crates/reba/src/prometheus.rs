//! The role `prometheus`: scraping, the metric store, PromQL, rules, and Prometheus' API.

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;
use reba_api::{
    loki::Intake,
    prometheus::{
        self, Admin, Answers, Backtests, Ended, HttpMetrics, Notifications, Origin, PrometheusApi, QueryLog,
        Readiness, RemoteRead, Runtime,
    },
};
use reba_http::ProxyEnv;
use reba_ingest::{
    influx::InfluxReceiver,
    otlp::metrics::{OtlpOptions, OtlpReceiver},
    remote_write::{RemoteWriteLimits, RemoteWriteReceiver},
    scrape::{ScrapeManager, ScrapeOptions},
};
use reba_model::{GoRegex, Labels};
use reba_notify::alertmanager::{Notifier, NotifierOptions};
use reba_query::{EngineConfig, QueryEngine, QueryLimits};
use reba_remote::{
    QueueLimits, RemoteWrite, RemoteWriteOptions,
    read::{JoinedStore, RemoteReadOptions},
};
use reba_rules::{ALERT_QUEUE_BATCHES, EngineQuerier, ManagerOptions, Parts, RuleManager, Watch};
use reba_storage::{MetricAppender, MetricQuerier};
use reba_tsdb::Tsdb;
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    alertmanagers::Home,
    config::Loaded,
    door::Door,
    metrics, own_spans, push,
    reload::{MetricHandles, Reloader},
    remote,
    run::{USER_AGENT, now_ms, now_ns, random},
    settings::Settings,
    store,
};

/// The role, built but without work.
pub struct Built {
    parts: Assembly,
    readiness: Arc<Readiness>,
}

/// The role at work.
pub struct Prometheus {
    scrape: ScrapeManager,
    store: Arc<Tsdb>,
    remote: Arc<RemoteWrite>,
    readiness: Arc<Readiness>,
    maintenance: store::Maintenance,
    evaluation: CancellationToken,
    notification: CancellationToken,
    evaluating: TaskTracker,
    notifying: TaskTracker,
}

impl Built {
    /// Opens the store below `data` and builds the parts around it.
    pub async fn build(
        door: &Door,
        settings: &Settings,
        loaded: &Loaded,
        data: &Path,
        home: Home,
    ) -> Result<Self> {
        let readiness = Arc::clone(door.readiness());
        let store = store::open(data, settings, &loaded.prometheus, Arc::clone(&readiness)).await?;
        let parts = Assembly { home, ..Assembly::new(settings, loaded, door, &store, data)? };
        Ok(Built { parts, readiness })
    }

    /// What a reload changes.
    pub fn handles(&self) -> MetricHandles {
        self.parts.handles()
    }

    /// Where metrics are written, for other roles.
    pub fn appender(&self) -> Arc<dyn MetricAppender> {
        Arc::clone(&self.parts.appender)
    }

    /// What takes metrics of OTLP, for other roles.
    pub fn otlp(&self) -> Arc<OtlpReceiver> {
        Arc::clone(&self.parts.otlp)
    }

    /// Where alerts go, for other roles.
    pub fn alerts(&self) -> mpsc::Sender<reba_model::AlertBatch> {
        self.parts.alerts.clone()
    }

    /// Where alerts are at home.
    pub fn home(&self) -> Home {
        self.parts.home.clone()
    }

    /// Proxies of the environment.
    pub fn proxies(&self) -> ProxyEnv {
        self.parts.proxies.clone()
    }

    /// The metric store, for other roles.
    pub fn store(&self) -> Arc<dyn MetricQuerier> {
        Arc::clone(&self.parts.store) as _
    }

    /// The same, for backups.
    pub fn tsdb(&self) -> Arc<Tsdb> {
        Arc::clone(&self.parts.store)
    }

    /// Has pages lead to the web app, which listens on this port.
    pub fn lead_to(mut self, app: Option<u16>) -> Self {
        self.parts.app_port = app;
        self
    }

    /// Starts evaluating, notifying and answering.
    pub fn start(
        self,
        door: &Door,
        settings: &Settings,
        reloader: &Arc<Reloader>,
        quit: &CancellationToken,
    ) -> Result<Prometheus> {
        let Built { parts, readiness } = self;
        let api = Arc::new(api(&parts, settings, &readiness, reloader, quit)?);
        let (evaluating, notifying) = (TaskTracker::new(), TaskTracker::new());
        let (evaluation, notification) = (CancellationToken::new(), CancellationToken::new());
        let (rules, until) = (Arc::clone(&parts.rules), evaluation.clone());
        if let Some(own) = door.own() {
            rules.on_evaluation(own_spans::evaluations(Arc::clone(own)));
        }
        evaluating.spawn(async move { rules.run(until).await });
        let (notifier, until) = (Arc::clone(&parts.notifier), notification.clone());
        notifying.spawn(async move { notifier.run(parts.batches, until).await });
        readiness.set_ready();
        door.open(prometheus::router(api));
        Ok(Prometheus {
            scrape: parts.scrape,
            maintenance: store::Maintenance::of_metrics(Arc::clone(&parts.store), door.own())?,
            store: parts.store,
            remote: parts.remote,
            readiness,
            evaluation,
            notification,
            evaluating,
            notifying,
        })
    }
}

impl Prometheus {
    /// No new work: scraping ends, then evaluation, then notification.
    pub async fn quiesce(&self) {
        self.readiness.set_unready();
        self.scrape.shutdown().await;
        self.evaluation.cancel();
        self.evaluating.close();
        self.evaluating.wait().await;
        self.notification.cancel();
        self.notifying.close();
        self.notifying.wait().await;
    }

    /// Closes the store, once nobody asks any more.
    pub async fn close(self) -> Result<()> {
        self.remote.shutdown().await;
        let (maintenance, store) = (self.maintenance, self.store);
        tokio::task::spawn_blocking(move || {
            maintenance.stop();
            store.close().context("close the metric store")
        })
        .await?
    }
}

/// What the API shows to the outside.
fn api(
    parts: &Assembly,
    settings: &Settings,
    readiness: &Arc<Readiness>,
    reloader: &Arc<Reloader>,
    quit: &CancellationToken,
) -> Result<PrometheusApi> {
    let store = &parts.store;
    Ok(PrometheusApi {
        engine: Arc::clone(&parts.engine),
        scrape: parts.scrape.clone(),
        rules: Arc::clone(&parts.rules),
        notifier: Arc::clone(&parts.notifier),
        receiver: Arc::clone(&parts.receiver),
        otlp: Arc::clone(&parts.otlp),
        influx: Arc::clone(&parts.influx),
        remote_read: RemoteRead::default(),
        backtests: Backtests::default(),
        local: Arc::clone(store) as _,
        readiness: Arc::clone(readiness),
        runtime: Arc::clone(&parts.runtime),
        http: HttpMetrics::default(),
        answers: Answers::default(),
        intake: Intake::default(),
        metrics: metrics::sources(store)
            .into_iter()
            .chain([remote::source(&parts.remote), push::source(&parts.otlp, &parts.influx)])
            .collect(),
        admin: settings.admin_api.then(|| Admin { store: Arc::clone(store) as _, random }),
        external_labels: Arc::clone(&parts.external_labels),
        external_url: parts.external_url.clone(),
        app_port: parts.app_port,
        lookback_ms: settings.lookback_delta_ms,
        cors_origin: GoRegex::anchored(&settings.cors_origin)?,
        clock: Arc::new(now_ms),
        reload: reloader.as_callback(),
        quit: quit.clone(),
    })
}

/// Every part, before anything runs.
struct Assembly {
    engine: Arc<QueryEngine>,
    rule_engine: Arc<QueryEngine>,
    scrape: ScrapeManager,
    rules: Arc<RuleManager>,
    notifier: Arc<Notifier>,
    receiver: Arc<RemoteWriteReceiver>,
    otlp: Arc<OtlpReceiver>,
    influx: Arc<InfluxReceiver>,
    runtime: Arc<Runtime>,
    external_labels: Arc<ArcSwap<Labels>>,
    external_url: String,
    /// The port of the web app.
    app_port: Option<u16>,
    home: Home,
    alertmanagers: Arc<watch::Sender<Arc<reba_notify::alertmanager::Alertmanagers>>>,
    batches: mpsc::Receiver<reba_model::AlertBatch>,
    proxies: ProxyEnv,
    store: Arc<Tsdb>,
    remote: Arc<RemoteWrite>,
    joined: Arc<JoinedStore>,
    appender: Arc<dyn MetricAppender>,
    alerts: mpsc::Sender<reba_model::AlertBatch>,
}

impl Assembly {
    fn new(
        settings: &Settings,
        loaded: &Loaded,
        door: &Door,
        store: &Arc<Tsdb>,
        data: &Path,
    ) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let proxies = loaded.proxies();
        let joined = Arc::new(joined(store, &proxies));
        let engine =
            Arc::new(QueryEngine::new(Arc::clone(&joined) as _, engine_config(settings, loaded, cores))?);
        // Rules have places and threads of their own: however busy people keep theirs, alerts are evaluated.
        let rule_engine =
            Arc::new(QueryEngine::new(Arc::clone(&joined) as _, engine_config(settings, loaded, cores))?);
        let remote = remote_write(data, &proxies);
        let known = Arc::clone(store);
        let appender = remote.appender(Arc::clone(store) as _, Arc::new(move |s| known.labels_of(s)));
        let scrape = ScrapeManager::new(
            Arc::clone(&appender),
            ScrapeOptions {
                seed: host_seed(),
                user_agent: USER_AGENT.to_owned(),
                proxies: proxies.clone(),
                default_port: true,
                cpus: cores,
                max_page_bytes: settings.scrape_max_page_bytes,
                clock: Arc::new(now_ns),
            },
        );
        let (alerts, batches) = mpsc::channel(ALERT_QUEUE_BATCHES);
        let (alertmanagers, targets) = watch::channel(Arc::default());
        let external_url = match &settings.external_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => door.default_url(),
        };
        let runtime = Arc::new(runtime(settings, door.address(), &external_url, data));
        let rules = rules(&rule_engine, &appender, store, alerts.clone(), &runtime);
        let options = OtlpOptions {
            lookback_ms: settings.lookback_delta_ms,
            max_cached_series: push::CACHED_SERIES,
            hash_seed: random(),
        };
        let otlp =
            Arc::new(OtlpReceiver::new(Arc::clone(&appender), options, loaded.prometheus.otlp.clone()));
        let limits = RemoteWriteLimits::with_seed(random());
        let receiver = Arc::new(RemoteWriteReceiver::new(Arc::clone(&appender), limits));
        remote.set_metadata(remote::metadata(scrape.clone(), Arc::clone(&receiver), Arc::clone(&otlp)));
        Ok(Assembly {
            engine,
            rule_engine,
            scrape,
            rules,
            notifier: Arc::new(Notifier::new(targets, NotifierOptions::default())),
            otlp,
            influx: Arc::new(InfluxReceiver::new(
                Arc::clone(&appender),
                settings.influx.clone(),
                push::CACHED_SERIES,
                random(),
            )),
            receiver,
            runtime,
            external_labels: Arc::default(),
            external_url,
            app_port: None,
            home: Home::default(),
            alertmanagers: Arc::new(alertmanagers),
            batches,
            proxies,
            store: Arc::clone(store),
            remote,
            joined,
            appender,
            alerts,
        })
    }

    /// What a reload changes.
    fn handles(&self) -> MetricHandles {
        MetricHandles {
            scrape: self.scrape.clone(),
            rules: Arc::clone(&self.rules),
            notifier: Arc::clone(&self.notifier),
            home: self.home.clone(),
            alertmanagers: Arc::clone(&self.alertmanagers),
            engines: [Arc::clone(&self.engine), Arc::clone(&self.rule_engine)],
            store: Arc::clone(&self.store),
            remote: Arc::clone(&self.remote),
            otlp: Arc::clone(&self.otlp),
            joined: Arc::clone(&self.joined),
            runtime: Arc::clone(&self.runtime),
            external_labels: Arc::clone(&self.external_labels),
            external_url: self.external_url.clone(),
            proxies: self.proxies.clone(),
        }
    }
}

/// The rules, with their own engine; what they ask is written down where queries are.
fn rules(
    engine: &Arc<QueryEngine>,
    appender: &Arc<dyn MetricAppender>,
    store: &Arc<Tsdb>,
    alerts: mpsc::Sender<reba_model::AlertBatch>,
    runtime: &Arc<Runtime>,
) -> Arc<RuleManager> {
    let runtime = Arc::clone(runtime);
    let watch: Watch = Arc::new(move |group, query, t, result| {
        if !runtime.query_log.is_on() {
            return;
        }
        let origin = Origin::Rules { file: group.file.to_owned(), group: group.name.to_owned() };
        let stats = result.as_ref().ok().map(|output| &output.stats);
        let error = result.as_ref().err().map(ToString::to_string);
        let ended = Ended { query, start: t, end: t, step: 0, stats, error, origin };
        runtime.query_log.record(&ended, now_ms());
    });
    let parts = Parts {
        querier: Arc::new(EngineQuerier::new(Arc::clone(engine)).with_watch(watch)),
        store: Arc::clone(store) as _,
        appender: Arc::clone(appender),
        alerts,
        clock: Arc::new(now_ms),
    };
    Arc::new(RuleManager::new(parts, ManagerOptions::default()))
}

/// The store as queries and rules see it: with what `remote_read` adds.
fn joined(store: &Arc<Tsdb>, proxies: &ProxyEnv) -> JoinedStore {
    let oldest = Arc::clone(store);
    let options = RemoteReadOptions {
        runtime: tokio::runtime::Handle::current(),
        user_agent: USER_AGENT.to_owned(),
        proxies: proxies.clone(),
        oldest: Arc::new(move || oldest.metrics().disk.lowest_time),
    };
    JoinedStore::new(Arc::clone(store) as _, options)
}

/// Receivers of what is stored; their queue is beside the store.
fn remote_write(data: &Path, proxies: &ProxyEnv) -> Arc<RemoteWrite> {
    Arc::new(RemoteWrite::new(RemoteWriteOptions {
        env: reba_disk::Env::real(),
        path: data.join("remote-write"),
        limits: QueueLimits::default(),
        user_agent: USER_AGENT.to_owned(),
        proxies: proxies.clone(),
    }))
}

fn engine_config(settings: &Settings, loaded: &Loaded, cores: usize) -> EngineConfig {
    EngineConfig {
        limits: QueryLimits {
            timeout: Duration::from_millis(settings.query_timeout_ms.unsigned_abs()),
            max_concurrency: settings.query_max_concurrency,
            max_samples: usize::try_from(settings.query_max_samples).unwrap_or(usize::MAX),
            max_series: settings.query_max_series,
            max_bytes: settings.query_max_bytes,
            max_result_series: settings.query_max_result_series,
            max_result_bytes: settings.query_max_result_bytes,
        },
        lookback_ms: settings.lookback_delta_ms,
        subquery_step_ms: loaded.prometheus.global.evaluation_interval.0,
        cores,
        result_cache_bytes: usize::try_from(settings.result_cache_bytes).unwrap_or(usize::MAX),
        ..EngineConfig::default()
    }
}

fn runtime(settings: &Settings, address: SocketAddr, external_url: &str, data: &Path) -> Runtime {
    let retention_time = reba_model::duration::format(settings.retention_ms);
    let retention_size = format!("{}B", settings.retention_bytes);
    let retention = match settings.retention_bytes {
        0 => retention_time.clone(),
        _ => format!("{retention_time} or {retention_size}"),
    };
    let flags = [
        ("web.listen-address", address.to_string()),
        ("web.external-url", external_url.to_owned()),
        ("web.route-prefix", format!("/{}", settings.prefix().trim_start_matches('/'))),
        ("storage.tsdb.path", data.display().to_string()),
        ("web.enable-lifecycle", "true".to_owned()),
        ("web.enable-remote-write-receiver", "true".to_owned()),
        ("web.enable-otlp-receiver", "true".to_owned()),
        ("web.enable-admin-api", settings.admin_api.to_string()),
        (
            "web.config.file",
            settings.web_config_file.as_ref().map_or(String::new(), |p| p.display().to_string()),
        ),
        ("web.cors.origin", settings.cors_origin.clone()),
        ("storage.tsdb.retention.time", retention_time),
        ("storage.tsdb.retention.size", retention_size),
        ("query.lookback-delta", reba_model::duration::format(settings.lookback_delta_ms)),
        ("query.timeout", reba_model::duration::format(settings.query_timeout_ms)),
        ("query.max-concurrency", settings.query_max_concurrency.to_string()),
        ("query.max-samples", settings.query_max_samples.to_string()),
        // Limits that upstream's program does not have, by their places in reba.yml.
        ("metrics.max_series", settings.max_series.to_string()),
        ("query.max_series", settings.query_max_series.to_string()),
        ("query.max_bytes", settings.query_max_bytes.to_string()),
        ("query.max_result_series", settings.query_max_result_series.to_string()),
        ("query.max_result_bytes", settings.query_max_result_bytes.to_string()),
    ];
    Runtime {
        started: Timestamp::now(),
        flags: flags.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
        retention,
        config: ArcSwapOption::default(),
        reload_ok: AtomicBool::new(true),
        reloaded_ms: AtomicU64::new(0),
        notifications: Notifications::default(),
        query_log: QueryLog::default(),
        blocks: store::blocks(data),
    }
}

/// The same on every start of this host, different on others: two servers that scrape the same targets do not do it in
/// the same moment.
fn host_seed() -> u64 {
    let id = std::fs::read_to_string(Path::new("/etc/machine-id"));
    let name = std::fs::read_to_string(Path::new("/proc/sys/kernel/hostname"));
    Labels::from_pairs([("machine", id.unwrap_or_default()), ("host", name.unwrap_or_default())]).hash64()
}

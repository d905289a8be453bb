//! `reba run`: opens the store, builds each part, hands it what it may touch, and stops them in order.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
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
    prometheus::{
        self, Admin, Answers, Ended, HttpMetrics, Notifications, Origin, PrometheusApi, QueryLog, Readiness,
        RemoteRead, Runtime,
        starting::{self, Later},
    },
    server::Listener,
    web::Web,
};
use reba_config::Variables;
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
use reba_storage::MetricAppender;
use reba_tsdb::Tsdb;
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    args::{Role, RunArgs},
    config::{Loaded, load},
    folder::Folder,
    metrics, push,
    reload::Reloader,
    remote,
    settings::Settings,
    store,
};

/// What Reba calls itself to targets and Alertmanagers.
pub const USER_AGENT: &str = concat!("Prometheus/", "2.48.0", " (Reba ", env!("CARGO_PKG_VERSION"), ")");

/// How much longer than a query a client's connection may be silent: reading and printing take their time, too.
const SILENCE_BEYOND_QUERIES: Duration = Duration::from_secs(180);

/// A running Reba.
pub struct Running {
    /// Where the roles listen.
    pub addresses: Vec<(Role, SocketAddr)>,
    /// Cancelled by `/-/quit`, or by whoever wants the end.
    pub stop: CancellationToken,
    reloader: Arc<Reloader>,
    scrape: ScrapeManager,
    store: Arc<Tsdb>,
    remote: Arc<RemoteWrite>,
    readiness: Arc<Readiness>,
    maintenance: store::Maintenance,
    evaluation: CancellationToken,
    notification: CancellationToken,
    evaluating: TaskTracker,
    notifying: TaskTracker,
    serving: TaskTracker,
}

/// Unix milliseconds.
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Unix nanoseconds: scrapes are put on a grid of milliseconds, and sleep to it more exactly than that.
fn now_ns() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// What the command line and the configuration folder say, read and checked.
pub struct Configured {
    folder: Folder,
    settings: Settings,
    loaded: Loaded,
    address: SocketAddr,
    web: Option<Arc<Web>>,
}

/// Reads the configuration. `port_shift` is added to the ports of the simulated fleet's targets.
pub fn configure(args: &RunArgs, port_shift: u16) -> Result<Configured> {
    let folder = Folder::at(&args.config)?;
    let loaded = load(&folder, port_shift)?;
    let mut settings = Settings::read(&folder.reba, &loaded.variables)?;
    args.upstream.apply(&mut settings);
    let address = address(args, &settings, Role::Prometheus)?;
    let web = settings
        .web_config_file
        .as_deref()
        .map(|file| Web::load(file, &loaded.variables))
        .transpose()?
        .map(Arc::new);
    Ok(Configured { folder, settings, loaded, address, web })
}

/// Starts everything; data is kept below `data`.
pub async fn start(configured: Configured, data: &Path) -> Result<Running> {
    let Configured { folder, mut settings, loaded, address, web } = configured;
    // Sockets first: a port that is taken should be said before minutes of replay, not after.
    let silence = Duration::from_millis(settings.query_timeout_ms.unsigned_abs()) + SILENCE_BEYOND_QUERIES;
    let listener = Listener::bind(Role::Prometheus.name(), address).await?.with_silence(silence);
    let listener = listener.with_web(web.clone());
    let address = listener.address();
    if web.as_ref().is_some_and(|web| web.tls().is_some()) {
        settings.external_url.get_or_insert_with(|| default_url(address).replacen("http", "https", 1));
    }
    let (stop, serving) = (CancellationToken::new(), TaskTracker::new());
    let (readiness, later) = (Arc::new(Readiness::default()), Later::default());
    serving.spawn(
        listener.serve(
            starting::gate(Arc::clone(&readiness), Arc::clone(&later), &settings.prefix()),
            stop.clone(),
        ),
    );
    let store = store::open(data, &settings, &loaded.config, Arc::clone(&readiness)).await?;
    let parts = Assembly::new(&settings, &loaded, address, &store, data)?;
    let external_url = parts.external_url.clone();
    let reloader = Arc::new(Reloader::new(folder, parts.handles(&loaded)));
    reloader.start(loaded).await.context("apply the configuration")?;

    let (evaluating, notifying) = (TaskTracker::new(), TaskTracker::new());
    let (evaluation, notification) = (CancellationToken::new(), CancellationToken::new());
    let api = Arc::new(PrometheusApi {
        engine: Arc::clone(&parts.engine),
        scrape: parts.scrape.clone(),
        rules: Arc::clone(&parts.rules),
        notifier: Arc::clone(&parts.notifier),
        receiver: Arc::clone(&parts.receiver),
        otlp: Arc::clone(&parts.otlp),
        influx: Arc::clone(&parts.influx),
        remote_read: RemoteRead::default(),
        local: Arc::clone(&store) as _,
        readiness: Arc::clone(&readiness),
        runtime: Arc::clone(&parts.runtime),
        http: HttpMetrics::default(),
        answers: Answers::default(),
        metrics: metrics::sources(&store)
            .into_iter()
            .chain([remote::source(&parts.remote), push::source(&parts.otlp, &parts.influx)])
            .collect(),
        admin: settings.admin_api.then(|| Admin { store: Arc::clone(&store) as _, random }),
        external_labels: Arc::clone(&parts.external_labels),
        external_url,
        lookback_ms: settings.lookback_delta_ms,
        cors_origin: GoRegex::anchored(&settings.cors_origin)?,
        clock: Arc::new(now_ms),
        reload: reloader.as_callback(),
        quit: stop.clone(),
    });
    let (rules, until) = (Arc::clone(&parts.rules), evaluation.clone());
    evaluating.spawn(async move { rules.run(until).await });
    let (notifier, until) = (Arc::clone(&parts.notifier), notification.clone());
    notifying.spawn(async move { notifier.run(parts.batches, until).await });
    readiness.set_ready();
    // Nobody else sets it.
    let _ = later.set(prometheus::router(api));
    tracing::info!(role = Role::Prometheus.name(), %address, "listening");
    if !address.ip().is_loopback() && !web.is_some_and(|web| web.authenticates()) {
        tracing::warn!(%address, "listening beyond this host without authentication");
    }
    Ok(Running {
        addresses: vec![(Role::Prometheus, address)],
        stop,
        reloader,
        scrape: parts.scrape,
        maintenance: store::Maintenance::start(Arc::clone(&store))?,
        store,
        remote: parts.remote,
        readiness,
        evaluation,
        notification,
        evaluating,
        notifying,
        serving,
    })
}

impl Running {
    /// Reads the configuration again; a wrong one leaves the old one running.
    pub async fn reload(&self) -> Result<()> {
        self.reloader.reload().await
    }

    /// Stops in order: no new work, evaluation, notification, answers, and at last the store.
    pub async fn shutdown(self) -> Result<()> {
        self.readiness.set_unready();
        self.stop.cancel();
        self.scrape.shutdown().await;
        self.evaluation.cancel();
        self.evaluating.close();
        self.evaluating.wait().await;
        self.notification.cancel();
        self.notifying.close();
        self.notifying.wait().await;
        self.serving.close();
        self.serving.wait().await;
        self.remote.shutdown().await;
        let (maintenance, store) = (self.maintenance, self.store);
        tokio::task::spawn_blocking(move || {
            maintenance.stop();
            store.close().context("close the metric store")
        })
        .await?
    }
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
    alertmanagers: Arc<watch::Sender<Arc<reba_notify::alertmanager::Alertmanagers>>>,
    batches: mpsc::Receiver<reba_model::AlertBatch>,
    proxies: ProxyEnv,
    store: Arc<Tsdb>,
    remote: Arc<RemoteWrite>,
    joined: Arc<JoinedStore>,
}

impl Assembly {
    fn new(
        settings: &Settings,
        loaded: &Loaded,
        address: SocketAddr,
        store: &Arc<Tsdb>,
        data: &Path,
    ) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let proxies = proxies(&loaded.variables);
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
            None => default_url(address),
        };
        let runtime = Arc::new(runtime(settings, address, &external_url, data));
        let rules = rules(&rule_engine, &appender, store, alerts, &runtime);
        let options = OtlpOptions {
            lookback_ms: settings.lookback_delta_ms,
            max_cached_series: push::CACHED_SERIES,
            hash_seed: random(),
        };
        let otlp = Arc::new(OtlpReceiver::new(Arc::clone(&appender), options, loaded.config.otlp.clone()));
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
                appender,
                settings.influx.clone(),
                push::CACHED_SERIES,
                random(),
            )),
            receiver,
            runtime,
            external_labels: Arc::default(),
            external_url,
            alertmanagers: Arc::new(alertmanagers),
            batches,
            proxies,
            store: Arc::clone(store),
            remote,
            joined,
        })
    }

    /// What a reload changes.
    fn handles(&self, loaded: &Loaded) -> crate::reload::Handles {
        crate::reload::Handles {
            scrape: self.scrape.clone(),
            rules: Arc::clone(&self.rules),
            notifier: Arc::clone(&self.notifier),
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
            port_shift: loaded.port_shift,
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
        subquery_step_ms: loaded.config.global.evaluation_interval.0,
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

fn address(args: &RunArgs, settings: &Settings, role: Role) -> Result<SocketAddr> {
    let configured = settings.listen_prometheus.unwrap_or(SocketAddr::new(args.bind, role.port()));
    let port = configured.port().checked_add(args.port_offset);
    Ok(SocketAddr::new(configured.ip(), port.context("--port-offset leads beyond port 65535")?))
}

/// Where people reach Reba if nobody says so: the address it listens on, or the host's name if that is every address.
fn default_url(address: SocketAddr) -> String {
    let hostname = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match hostname().trim() {
        name if address.ip().is_unspecified() && !name.is_empty() => {
            format!("http://{name}:{}", address.port())
        }
        _ => format!("http://{address}"),
    }
}

fn proxies(variables: &Variables) -> ProxyEnv {
    let get =
        |upper: &str, lower: &str| variables.get(upper).or_else(|| variables.get(lower)).map(str::to_owned);
    ProxyEnv {
        http: get("HTTP_PROXY", "http_proxy"),
        https: get("HTTPS_PROXY", "https_proxy"),
        no_proxy: get("NO_PROXY", "no_proxy"),
    }
}

/// A number that nobody outside can guess: the standard library seeds its hash maps with such.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The same on every start of this host, different on others: two servers that scrape the same targets do not do it in
/// the same moment.
fn host_seed() -> u64 {
    let id = std::fs::read_to_string(Path::new("/etc/machine-id"));
    let name = std::fs::read_to_string(Path::new("/proc/sys/kernel/hostname"));
    Labels::from_pairs([("machine", id.unwrap_or_default()), ("host", name.unwrap_or_default())]).hash64()
}

//! The role `loki`: the log store, LogQL, pushes, and Loki's API.

use std::{num::NonZeroUsize, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use reba_api::{
    answers::Answers,
    loki::{self as api, Deletions, Intake, LokiApi, RequestMetrics},
    otlp,
    prometheus::Readiness,
};
use reba_columnar::{Columnar, ColumnarConfig};
use reba_config::Variables;
use reba_disk::{Env, LogConfig};
use reba_ingest::loki::{LocalAppender, LokiReceiver, config::LokiConfig, demoted, limits::TenantLimits};
use reba_model::GoRegex;
use reba_query::logs::{LogEngineConfig, LogQueryEngine, LogTails};
use reba_storage::LogAppender;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Loaded,
    door::Door,
    log_rules::LogRules,
    log_settings,
    logging::Spoken,
    metrics, own_spans, prometheus,
    run::{now_ns, random},
    settings::Settings,
    store::Maintenance,
};

/// How often the file of `runtime_config` is read at most.
const SHORTEST_PERIOD: Duration = Duration::from_secs(1);

/// The role, built but without work.
pub struct Built {
    store: Arc<Columnar>,
    engine: Arc<LogQueryEngine>,
    tails: Arc<LogTails>,
    receiver: Arc<LokiReceiver>,
    limits: Arc<TenantLimits>,
    config: Arc<ArcSwap<LokiConfig>>,
    variables: Arc<ArcSwap<Variables>>,
    readiness: Arc<Readiness>,
    deletions: Arc<Deletions>,
    rules: Option<Arc<LogRules>>,
    intake: Intake,
    max_bytes: Option<u64>,
    port: u16,
}

/// The role at work.
pub struct Loki {
    store: Arc<Columnar>,
    readiness: Arc<Readiness>,
    maintenance: Maintenance,
    evaluation: CancellationToken,
    evaluating: TaskTracker,
}

/// What a reload changes.
#[derive(Clone)]
pub struct LogHandles {
    store: Arc<Columnar>,
    engine: Arc<LogQueryEngine>,
    limits: Arc<TenantLimits>,
    config: Arc<ArcSwap<LokiConfig>>,
    rules: Option<Arc<LogRules>>,
    variables: Arc<ArcSwap<Variables>>,
    max_bytes: Option<u64>,
}

impl LogHandles {
    /// Whether `config` can be put in force; changes nothing.
    pub fn check(&self, config: &LokiConfig) -> Result<()> {
        self.rules.as_ref().map_or(Ok(()), |rules| rules.check(config))
    }

    /// Makes `config` the one in force.
    pub async fn apply(&self, config: LokiConfig, variables: &Variables) -> Result<()> {
        if let Some(rules) = &self.rules {
            rules.apply(&config, variables).await?;
        }
        self.put_limits(&config);
        self.config.store(Arc::new(config));
        self.variables.store(Arc::new(variables.clone()));
        Ok(())
    }

    fn put_limits(&self, config: &LokiConfig) {
        self.store.set_retention(log_settings::retention(config, self.max_bytes));
        self.limits.apply(config);
        self.engine.set_limits(log_settings::query_limits(config, &self.limits));
    }

    /// Reads the file that `runtime_config` names again and again: limits of tenants change without a reload.
    async fn follow_overrides(self, until: CancellationToken) {
        loop {
            let before = self.config.load_full();
            let pause = before.runtime_config.period.as_std().max(SHORTEST_PERIOD);
            tokio::select! {
                () = until.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            if before.runtime_config.file.as_os_str().is_empty() {
                continue;
            }
            let (mut config, variables) = (LokiConfig::clone(&before), self.variables.load_full());
            let read = tokio::task::spawn_blocking(move || config.read_overrides(&variables).map(|_| config));
            match read.await {
                Ok(Ok(config)) if config.overrides != before.overrides => {
                    let config = Arc::new(config);
                    // A reload in the meantime has read the file, too, and more than that.
                    let replaced = self.config.compare_and_swap(&before, Arc::clone(&config));
                    if Arc::ptr_eq(&replaced, &before) {
                        self.put_limits(&config);
                        tracing::info!("limits of tenants changed");
                    }
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "limits of tenants cannot be read, the old ones stay");
                }
                _ => {}
            }
        }
    }
}

impl Built {
    /// Opens the store below `data` and builds the parts around it.
    pub async fn build(door: &Door, settings: &Settings, loaded: &Loaded, data: &Path) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let config = &loaded.loki;
        let store = open(data, settings, config).await?;
        let names = data.join("logs").join("demoted.json");
        let demoted = demoted::open(names.clone()).with_context(|| format!("read {}", names.display()))?;
        let engine = LogEngineConfig {
            demoted: Arc::clone(&demoted),
            max_concurrency: config.querier.max_concurrent,
            cores,
            ..LogEngineConfig::default()
        };
        let engine = Arc::new(LogQueryEngine::new(Arc::clone(&store) as _, engine)?);
        let limits = Arc::new(TenantLimits::new(config));
        let max_tails = config.limits.max_concurrent_tail_requests;
        let tails = LogTails::with_demoted(Arc::clone(&store) as _, max_tails, Arc::clone(&demoted));
        let receiver =
            LokiReceiver::new(Arc::clone(&tails) as _, Arc::clone(&limits), Arc::new(now_ns), random())
                .with_demoted(demoted);
        let deletions =
            Deletions::open(Arc::clone(&store) as _, Some(data.join("logs").join("deletions.json")))?
                .with_engine(Arc::clone(&engine));
        Ok(Built {
            deletions: Arc::new(deletions),
            rules: None,
            intake: Intake::default(),
            max_bytes: settings.log_retention_bytes(),
            store,
            engine,
            tails,
            receiver: Arc::new(receiver),
            limits,
            config: Arc::default(),
            variables: Arc::default(),
            readiness: Arc::clone(door.readiness()),
            port: door.address().port(),
        })
    }

    /// What a reload changes.
    pub fn handles(&self) -> LogHandles {
        LogHandles {
            store: Arc::clone(&self.store),
            engine: Arc::clone(&self.engine),
            limits: Arc::clone(&self.limits),
            config: Arc::clone(&self.config),
            rules: self.rules.clone(),
            variables: Arc::clone(&self.variables),
            max_bytes: self.max_bytes,
        }
    }

    /// Lets rules about logs write into `metrics`. Without these there are none.
    pub fn with_rules(mut self, metrics: &prometheus::Built, loaded: &Loaded, data: &Path) -> Result<Self> {
        let rules = LogRules::new(&loaded.loki, &self.engine, &self.limits, metrics, data)?;
        self.rules = Some(Arc::new(rules));
        Ok(self)
    }

    /// Where roles of this process write log entries.
    pub fn appender(&self) -> Arc<dyn LogAppender> {
        Arc::new(LocalAppender::new(Arc::clone(&self.receiver)))
    }

    /// The store, for backups.
    pub fn store(&self) -> Arc<Columnar> {
        Arc::clone(&self.store)
    }

    /// What takes logs of OTLP, for other roles.
    pub fn otlp(&self) -> otlp::Logs {
        otlp::Logs {
            receiver: Arc::clone(&self.receiver),
            limits: Arc::clone(&self.limits),
            config: Arc::clone(&self.config),
        }
    }

    /// Memory for bodies on their way, whatever port they come by.
    pub fn intake(&self) -> Intake {
        self.intake.clone()
    }

    /// The port that the role listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts storing and answering.
    pub fn start(
        self,
        door: &Door,
        settings: &Settings,
        spoken: Spoken,
        stop: &CancellationToken,
    ) -> Result<Loki> {
        let handles = self.handles();
        let lost = spoken.own.lost();
        spoken.own.store(self.appender())?;
        let deletions = Arc::clone(&self.deletions);
        tokio::task::spawn_blocking(move || deletions.resume());
        let api = LokiApi {
            engine: self.engine,
            tails: self.tails,
            receiver: self.receiver,
            limits: self.limits,
            admin: Arc::clone(&self.store) as _,
            deletions: Arc::clone(&self.deletions),
            ruler: self.rules.as_ref().map(|rules| rules.ruler()),
            config: self.config,
            readiness: Arc::clone(&self.readiness),
            metrics: metrics::of_logs(&self.store, lost),
            cors_origin: GoRegex::anchored(&settings.cors_origin)?,
            log_level: Some(spoken.level),
            clock_ns: Arc::new(now_ns),
            stop: stop.clone(),
            http: RequestMetrics::default(),
            answers: Answers::default(),
            intake: self.intake,
        };
        let (evaluation, evaluating) = (CancellationToken::new(), TaskTracker::new());
        evaluating.spawn(handles.follow_overrides(evaluation.clone()));
        if let Some(rules) = &self.rules {
            if let Some(own) = door.own() {
                rules.ruler().on_evaluation(&own_spans::evaluations(Arc::clone(own)));
            }
            rules.start(&evaluation, &evaluating);
        }
        self.readiness.set_ready();
        door.open(api::router(Arc::new(api)));
        let maintenance = Maintenance::of_logs(Arc::clone(&self.store), door.own())?;
        Ok(Loki { store: self.store, readiness: self.readiness, maintenance, evaluation, evaluating })
    }
}

impl Loki {
    /// No new work: rules are evaluated no more.
    pub async fn quiesce(&self) {
        self.readiness.set_unready();
        self.evaluation.cancel();
        self.evaluating.close();
        self.evaluating.wait().await;
    }

    /// Closes the store, once nobody asks any more.
    pub async fn close(self) -> Result<()> {
        let (maintenance, store) = (self.maintenance, self.store);
        tokio::task::spawn_blocking(move || {
            maintenance.stop();
            store.close().context("close the log store")
        })
        .await?
    }
}

/// Opens the store below `data`; replays the write-ahead log.
async fn open(data: &Path, settings: &Settings, config: &LokiConfig) -> Result<Arc<Columnar>> {
    let path = data.join("logs");
    let fsync_interval = Duration::from_millis(settings.fsync_interval_ms.unsigned_abs());
    let columnar = ColumnarConfig {
        wal: LogConfig { fsync_interval, ..LogConfig::default() },
        retention: log_settings::retention(config, settings.log_retention_bytes()),
        ..ColumnarConfig::default()
    };
    let store = tokio::task::spawn_blocking(move || {
        Columnar::open(&Env::real(), path.clone(), columnar)
            .with_context(|| format!("open {}", path.display()))
    });
    Ok(Arc::new(store.await??))
}

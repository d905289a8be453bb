//! The role `tempo`: the span store, TraceQL, and Tempo's API.

use std::{num::NonZeroUsize, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use reba_api::{
    answers::Answers,
    loki::{Intake, RequestMetrics},
    otlp,
    prometheus::Readiness,
    tempo::{self as api, TempoApi},
};
use reba_columnar::SpanStore;
use reba_config::Variables;
use reba_ingest::traces::{
    TraceReceiver,
    config::{Limits, TempoConfig},
};
use reba_model::GoRegex;
use reba_query::traces::{TraceEngineConfig, TraceLimits, TraceLimitsByTenant, TraceQueryEngine};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    args::Role, config::Loaded, door::Door, run::now_ns, settings::Settings, span_store, store::Maintenance,
};

/// How often the file with limits of tenants is read.
const OVERRIDES_PERIOD: Duration = Duration::from_secs(10);

/// The role, built but without work.
pub struct Built {
    store: Arc<SpanStore>,
    engine: Arc<TraceQueryEngine>,
    receiver: Arc<TraceReceiver>,
    config: Arc<ArcSwap<TempoConfig>>,
    variables: Arc<ArcSwap<Variables>>,
    readiness: Arc<Readiness>,
}

/// The role at work.
pub struct Tempo {
    store: Arc<SpanStore>,
    maintenance: Maintenance,
    readiness: Arc<Readiness>,
    following: CancellationToken,
    tasks: TaskTracker,
}

/// What a reload changes.
#[derive(Clone)]
pub struct TraceHandles {
    store: Arc<SpanStore>,
    engine: Arc<TraceQueryEngine>,
    config: Arc<ArcSwap<TempoConfig>>,
    variables: Arc<ArcSwap<Variables>>,
}

impl TraceHandles {
    /// Makes `config` the one in force.
    pub fn apply(&self, config: TempoConfig, variables: &Variables) {
        let before = self.config.load();
        if before.distributor.receivers != config.distributor.receivers {
            tracing::warn!(
                "distributor.receivers changed: ports are opened and closed at the next start only"
            );
        }
        self.store.set_retention(span_store::retention(&config));
        self.engine.set_limits(query_limits(&config));
        self.config.store(Arc::new(config));
        self.variables.store(Arc::new(variables.clone()));
    }

    /// Reads the file with limits of tenants again and again: they change without a reload.
    async fn follow_overrides(self, until: CancellationToken) {
        loop {
            tokio::select! {
                () = until.cancelled() => return,
                () = tokio::time::sleep(OVERRIDES_PERIOD) => {}
            }
            let before = self.config.load_full();
            if before.overrides_file().is_none() {
                continue;
            }
            let (mut config, variables) = (TempoConfig::clone(&before), self.variables.load_full());
            let read = tokio::task::spawn_blocking(move || config.read_tenants(&variables).map(|()| config));
            match read.await {
                Ok(Ok(config)) if (&config.tenants, &config.limits) != (&before.tenants, &before.limits) => {
                    let config = Arc::new(config);
                    // A reload in the meantime has read the file, too, and more than that.
                    let replaced = self.config.compare_and_swap(&before, Arc::clone(&config));
                    if Arc::ptr_eq(&replaced, &before) {
                        self.engine.set_limits(query_limits(&config));
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
        let store = span_store::open(data, settings, &loaded.tempo).await?;
        let engine = TraceEngineConfig {
            max_concurrency: loaded.tempo.querier.max_concurrent_queries,
            cores,
            ..TraceEngineConfig::default()
        };
        let engine = Arc::new(TraceQueryEngine::new(Arc::clone(&store) as _, engine)?);
        let config = Arc::new(ArcSwap::from_pointee(loaded.tempo.clone()));
        let receiver = TraceReceiver::new(Arc::clone(&store) as _, Arc::clone(&config), Arc::new(now_ns));
        Ok(Built {
            store,
            engine,
            receiver: Arc::new(receiver),
            config,
            variables: Arc::default(),
            readiness: Arc::clone(door.readiness()),
        })
    }

    /// What a reload changes.
    pub fn handles(&self) -> TraceHandles {
        TraceHandles {
            store: Arc::clone(&self.store),
            engine: Arc::clone(&self.engine),
            config: Arc::clone(&self.config),
            variables: Arc::clone(&self.variables),
        }
    }

    /// What takes traces, for other ports.
    pub fn otlp(&self) -> otlp::Traces {
        otlp::Traces { receiver: Arc::clone(&self.receiver), config: Arc::clone(&self.config) }
    }

    /// Opens the doors of receivers that tempo.yml names.
    pub fn open_receivers<'d>(&self, door: impl Fn(Role) -> Option<&'d Door>, intake: &Intake) {
        let state = || api::receivers::State { traces: self.otlp(), intake: intake.clone() };
        let routers = [
            (Role::Zipkin, api::receivers::zipkin as fn(_) -> _),
            (Role::JaegerThrift, api::receivers::jaeger_thrift),
            (Role::JaegerGrpc, api::receivers::jaeger_grpc),
        ];
        for (role, router) in routers {
            if let Some(door) = door(role) {
                door.readiness().set_ready();
                door.open(router(Arc::new(state())));
            }
        }
    }

    /// Starts answering.
    pub fn start(self, door: &Door, settings: &Settings) -> Result<Tempo> {
        let handles = self.handles();
        let api = TempoApi {
            engine: self.engine,
            receiver: self.receiver,
            admin: Arc::clone(&self.store) as _,
            config: self.config,
            readiness: Arc::clone(&self.readiness),
            metrics: vec![Box::new(crate::metrics::process)],
            cors_origin: GoRegex::anchored(&settings.cors_origin)?,
            clock_ns: Arc::new(now_ns),
            http: RequestMetrics::default(),
            answers: Answers::default(),
        };
        let (following, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(handles.follow_overrides(following.clone()));
        self.readiness.set_ready();
        door.open(api::router(Arc::new(api)));
        let maintenance = Maintenance::of_spans(Arc::clone(&self.store))?;
        Ok(Tempo { store: self.store, maintenance, readiness: self.readiness, following, tasks })
    }
}

impl Tempo {
    /// No new work.
    pub async fn quiesce(&self) {
        self.readiness.set_unready();
        self.following.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Closes the store, after everything that uses it.
    pub async fn close(self) -> Result<()> {
        let (maintenance, store) = (self.maintenance, self.store);
        tokio::task::spawn_blocking(move || {
            maintenance.stop();
            store.close().context("close the span store")
        })
        .await?
    }
}

/// What the engine is told of the limits in force.
fn query_limits(config: &TempoConfig) -> TraceLimitsByTenant {
    let of = |limits: &Limits| {
        let (search, metrics) = (&config.query_frontend.search, &config.query_frontend.metrics);
        let own = limits.max_search_duration;
        let default = TraceLimits::default();
        Arc::new(TraceLimits {
            timeout: config.querier.search.query_timeout.as_std(),
            trace_timeout: config.querier.trace_by_id.query_timeout.as_std(),
            max_search_range: if own.is_zero() { search.max_duration } else { own }.as_std(),
            max_metrics_range: metrics.max_duration.as_std(),
            max_traces: search.max_result_limit,
            max_tag_bytes: usize::try_from(limits.max_bytes_per_tag_values_query).unwrap_or(usize::MAX),
            max_exemplars: metrics.max_exemplars,
            max_series: match metrics.max_response_series {
                0 => default.max_series,
                n => n,
            },
            ..default
        })
    };
    let tenants = config.tenants.iter().map(|(tenant, limits)| (tenant.clone(), of(limits))).collect();
    TraceLimitsByTenant { others: of(&config.limits), tenants }
}

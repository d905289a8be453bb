//! The role `tempo`: the span store, TraceQL, and Tempo's API.

use std::{
    num::NonZeroUsize,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use reba_api::{
    answers::Answers,
    exposition::Page,
    loki::{Intake, RequestMetrics},
    otlp,
    prometheus::{MetricsSource, Readiness},
    tempo::{self as api, TempoApi},
};
use reba_columnar::SpanStore;
use reba_config::Variables;
use reba_ingest::{
    config::{Config, RemoteWriteConfig},
    traces::{
        TraceReceiver,
        config::{Limits, TempoConfig},
        generator::{Generator, GeneratorCounters, GeneratorOptions},
        own::OwnSpans,
    },
};
use reba_model::GoRegex;
use reba_query::traces::{TraceEngineConfig, TraceLimits, TraceLimitsByTenant, TraceQueryEngine};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    args::Role, config::Loaded, door::Door, own_spans::Storing, prometheus, run::now_ns, settings::Settings,
    span_store, store::Maintenance,
};

/// How often the file with limits of tenants is read.
const OVERRIDES_PERIOD: Duration = Duration::from_secs(10);

/// The role, built but without work.
pub struct Built {
    store: Arc<SpanStore>,
    engine: Arc<TraceQueryEngine>,
    receiver: Arc<TraceReceiver>,
    generator: Option<Arc<Generator>>,
    max_bytes: Option<u64>,
    config: Arc<ArcSwap<TempoConfig>>,
    variables: Arc<ArcSwap<Variables>>,
    readiness: Arc<Readiness>,
}

/// The role at work.
pub struct Tempo {
    readiness: Arc<Readiness>,
    store: Arc<SpanStore>,
    maintenance: Maintenance,
    generating: Option<(Maintenance, Arc<Generator>)>,
    own: Option<Storing>,
    following: CancellationToken,
    tasks: TaskTracker,
}

/// What a reload changes.
#[derive(Clone)]
pub struct TraceHandles {
    store: Arc<SpanStore>,
    max_bytes: Option<u64>,
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
        self.put_limits(&config);
        self.config.store(Arc::new(config));
        self.variables.store(Arc::new(variables.clone()));
    }

    fn put_limits(&self, config: &TempoConfig) {
        self.store.set_retention(span_store::retention(config, self.max_bytes));
        self.engine.set_limits(query_limits(config));
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
        let store = span_store::open(data, settings, &loaded.tempo).await?;
        let engine = TraceEngineConfig {
            max_concurrency: loaded.tempo.querier.max_concurrent_queries,
            cores,
            anchored_regex: settings.trace_anchored_regex,
            ..TraceEngineConfig::default()
        };
        let engine = Arc::new(TraceQueryEngine::new(Arc::clone(&store) as _, engine)?);
        let config = Arc::new(ArcSwap::from_pointee(loaded.tempo.clone()));
        let receiver = receiver(&store, &config, None);
        Ok(Built {
            store,
            engine,
            receiver,
            generator: None,
            max_bytes: settings.trace_retention_bytes(),
            config,
            variables: Arc::default(),
            readiness: Arc::clone(door.readiness()),
        })
    }

    /// Lets metrics be made out of spans, into `metrics`. Without these there are none.
    #[must_use]
    pub fn with_generator(self, metrics: &prometheus::Built) -> Self {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let options = GeneratorOptions { instance: hostname.trim().to_owned() };
        let generator = Generator::new(metrics.appender(), Arc::clone(&self.config), options);
        let generator = Some(Arc::new(generator));
        let receiver = receiver(&self.store, &self.config, generator.clone());
        Built { receiver, generator, ..self }
    }

    /// What a reload changes.
    pub fn handles(&self) -> TraceHandles {
        TraceHandles {
            store: Arc::clone(&self.store),
            max_bytes: self.max_bytes,
            engine: Arc::clone(&self.engine),
            config: Arc::clone(&self.config),
            variables: Arc::clone(&self.variables),
        }
    }

    /// The store, for backups.
    pub fn store(&self) -> Arc<SpanStore> {
        Arc::clone(&self.store)
    }

    /// What takes traces, for other ports.
    pub fn otlp(&self) -> otlp::Traces {
        otlp::Traces { receiver: Arc::clone(&self.receiver), config: Arc::clone(&self.config) }
    }

    /// Opens the doors of receivers that tempo.yml names.
    pub fn open_receivers(&self, doors: &[Door], intake: &Intake, trusted: &GoRegex) {
        let state = || api::receivers::State {
            traces: self.otlp(),
            intake: intake.clone(),
            cors_origin: trusted.clone(),
        };
        let routers = [
            (Role::Zipkin, api::receivers::zipkin as fn(_) -> _),
            (Role::JaegerThrift, api::receivers::jaeger_thrift),
            (Role::JaegerGrpc, api::receivers::jaeger_grpc),
        ];
        for (role, router) in routers {
            if let Some(door) = doors.iter().find(|door| door.role() == role) {
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
            metrics: metrics(&self.store, self.generator.clone(), door.own().cloned()),
            cors_origin: GoRegex::anchored(&settings.cors_origin)?,
            clock_ns: Arc::new(now_ns),
            http: RequestMetrics::default(),
            answers: Answers::default(),
        };
        let (following, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(handles.follow_overrides(following.clone()));
        let generating = self.generator.map(|generator| {
            let counts = Arc::clone(&generator);
            let thread = Maintenance::start("span-metrics", move || {
                counts.collect(now_ns());
                false
            });
            thread.map(|thread| (thread, generator))
        });
        let generating = generating.transpose()?;
        let store_own = |own: &Arc<OwnSpans>| {
            Storing::start(Arc::clone(own), Arc::clone(&self.store), Arc::clone(&api.config))
        };
        let own = door.own().map(store_own).transpose()?;
        self.readiness.set_ready();
        door.open(api::router(Arc::new(api)));
        let maintenance = Maintenance::of_spans(Arc::clone(&self.store), door.own())?;
        Ok(Tempo {
            readiness: self.readiness,
            store: self.store,
            maintenance,
            generating,
            own,
            following,
            tasks,
        })
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

    /// Closes the store, once nobody asks any more.
    pub async fn close(self) -> Result<()> {
        let Tempo { store, maintenance, generating, own, .. } = self;
        tokio::task::spawn_blocking(move || {
            if let Some((thread, generator)) = generating {
                thread.stop();
                generator.finish(now_ns());
            }
            maintenance.stop();
            own.into_iter().for_each(Storing::stop);
            store.close().context("close the span store")
        })
        .await?
    }
}

fn receiver(
    store: &Arc<SpanStore>,
    config: &Arc<ArcSwap<TempoConfig>>,
    generator: Option<Arc<Generator>>,
) -> Arc<TraceReceiver> {
    let receiver = TraceReceiver::new(Arc::clone(store) as _, Arc::clone(config), Arc::new(now_ns));
    Arc::new(receiver.with_generator(generator))
}

/// What `/metrics` of the traces adds, the process included: Tempo is scraped by itself.
fn metrics(
    store: &Arc<SpanStore>,
    generator: Option<Arc<Generator>>,
    own: Option<Arc<OwnSpans>>,
) -> Vec<MetricsSource> {
    let store = Arc::clone(store);
    let mut all: Vec<MetricsSource> = vec![
        Box::new(move |page| crate::metrics::traces(page, &store.metrics())),
        Box::new(crate::metrics::process),
    ];
    if let Some(generator) = generator {
        all.push(Box::new(move |page: &mut Page| generated(page, &generator)));
    }
    if let Some(own) = own {
        all.push(Box::new(move |page: &mut Page| {
            page.counter("reba_traces_own_spans_lost_total", "Spans of Reba itself that were not stored.");
            page.value(own.lost() as f64);
        }));
    }
    all
}

fn generated(page: &mut Page, generator: &Generator) {
    type Read = fn(&GeneratorCounters) -> &AtomicU64;
    let families: [(&str, &str, bool, Read); 9] = [
        ("spans_received_total", "Spans that were looked at.", true, |c| &c.spans),
        ("spans_repeated_total", "Spans that were counted before.", true, |c| &c.repeated),
        ("registry_active_series", "Series in memory.", false, |c| &c.active_series),
        ("registry_series_limited_total", "Series not made: max_active_series.", true, |c| &c.limited),
        ("registry_samples_total", "Samples written.", true, |c| &c.samples),
        ("registry_samples_failed_total", "Samples that the store did not take.", true, |c| {
            &c.failed_samples
        }),
        ("processor_service_graphs_edges", "Edges found.", true, |c| &c.edges),
        ("processor_service_graphs_expired_edges", "Halves of edges that ended alone.", true, |c| {
            &c.expired_edges
        }),
        ("processor_service_graphs_dropped_spans", "Spans without room.", true, |c| &c.dropped_spans),
    ];
    for (name, help, is_counter, read) in families {
        let name = format!("tempo_metrics_generator_{name}");
        if is_counter {
            page.counter(&name, help)
        } else {
            page.gauge(&name, help)
        };
        generator.each_tenant(|tenant, counters| {
            page.with(&[("tenant", &tenant)], read(counters).load(Ordering::Relaxed) as f64);
        });
    }
    page.counter("tempo_metrics_generator_spans_discarded_total", "Spans that were not counted.");
    generator.each_tenant(|tenant, counters| {
        let reasons = [
            ("outside_metrics_ingestion_slack", &counters.outside_slack),
            ("span_metrics_filtered", &counters.filtered),
        ];
        for (reason, n) in reasons {
            page.with(&[("reason", &reason), ("tenant", &tenant)], n.load(Ordering::Relaxed) as f64);
        }
    });
}

/// Whom series made out of spans are sent to besides: as if prometheus.yml named them, for these series alone. Our own store is
/// not sent to.
pub fn remotes(config: &TempoConfig, file: &Path) -> Result<Vec<RemoteWriteConfig>> {
    let mut all = Vec::new();
    for receiver in &config.metrics_generator.storage.remote_write {
        let url = receiver.get("url").and_then(|url| url.as_str()).unwrap_or_default();
        if is_own(url) {
            continue;
        }
        let mut receiver = receiver.clone();
        let keep = serde_json::json!([
            { "source_labels": ["__metrics_gen_instance"], "regex": ".+", "action": "keep" }
        ]);
        if let Some(map) = receiver.as_object_mut() {
            // What tempo.yml relabels itself comes after.
            let own = map.remove("write_relabel_configs").and_then(|own| own.as_array().cloned());
            let rules = keep.as_array().cloned().into_iter().chain(own).flatten().collect();
            map.insert("write_relabel_configs".to_owned(), serde_json::Value::Array(rules));
        }
        let text = serde_json::json!({ "remote_write": [receiver] }).to_string();
        let parsed = Config::parse(&text, file).context("metrics_generator.storage.remote_write")?;
        all.extend(parsed.remote_write);
    }
    Ok(all)
}

/// Whether an address is that of the metric store of this process, as configurations for several containers or one host spell it.
fn is_own(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let is_here = matches!(host, "prometheus" | "localhost") || host.starts_with("127.") || host == "[::1]";
    is_here && uri.path().ends_with("/api/v1/write") && matches!(uri.port_u16(), None | Some(9090))
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

//! Metrics out of spans: how often, how long and how large ([`span_metrics`]), and who calls whom ([`graph`]).
//!
//! [`Generator::observe`] counts spans as they come, in memory; [`Generator::collect`] writes what was counted to the metric store
//! every so often. Names, labels and buckets are Tempo's.

mod graph;
mod policy;
mod registry;
mod seen;
mod span_metrics;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use reba_model::{
    Tenant,
    spans::{SpanBatch, ValueRef},
};
use reba_storage::{AppendError, MetricAppender};

use self::{graph::Graph, registry::Registry, seen::Seen, span_metrics::SpanMetrics};
use super::{
    called,
    config::{Limits, Processor, TempoConfig},
};

/// What a generator is told at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratorOptions {
    /// The label `__metrics_gen_instance` of all series: which host made them.
    pub instance: String,
}

/// Counters of a tenant since the start.
#[derive(Debug, Default)]
pub struct GeneratorCounters {
    /// Spans that were looked at (`tempo_metrics_generator_spans_received_total`).
    pub spans: AtomicU64,
    /// Spans that ended too long ago, or end in the future (`…_spans_discarded_total`).
    pub outside_slack: AtomicU64,
    /// Spans that a policy left out.
    pub filtered: AtomicU64,
    /// Spans that were counted before: somebody sent them again.
    pub repeated: AtomicU64,
    /// Series in memory (`…_registry_active_series`).
    pub active_series: AtomicU64,
    /// Times that a series was not made because of `max_active_series`.
    pub limited: AtomicU64,
    /// Edges of the graph of services (`…_processor_service_graphs_edges`).
    pub edges: AtomicU64,
    /// Halves of edges whose other half never came.
    pub expired_edges: AtomicU64,
    /// Spans for whose halves there was no room.
    pub dropped_spans: AtomicU64,
    /// Samples written.
    pub samples: AtomicU64,
    /// Samples that the store did not take.
    pub failed_samples: AtomicU64,
}

/// Makes metrics out of spans.
pub struct Generator {
    appender: Arc<dyn MetricAppender>,
    config: Arc<ArcSwap<TempoConfig>>,
    options: GeneratorOptions,
    tenants: Mutex<BTreeMap<Tenant, Arc<Instance>>>,
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator").finish_non_exhaustive()
    }
}

/// The metrics of a tenant.
#[derive(Debug)]
struct Instance {
    counters: Arc<GeneratorCounters>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What the rest was made by.
    config: Arc<TempoConfig>,
    registry: Registry,
    span_metrics: Option<SpanMetrics>,
    graph: Option<Graph>,
    seen: Seen,
    collected_ns: i64,
}

impl Generator {
    /// A generator that writes to `appender`, as the configuration in force says.
    pub fn new(
        appender: Arc<dyn MetricAppender>,
        config: Arc<ArcSwap<TempoConfig>>,
        options: GeneratorOptions,
    ) -> Self {
        Generator { appender, config, options, tenants: Mutex::default() }
    }

    /// Counts the spans of a batch that was stored just now.
    pub fn observe(&self, tenant: &Tenant, batch: &SpanBatch, now_ns: i64) {
        let config = self.config.load_full();
        if config.limits_of(tenant).processors.iter().all(|p| *p == Processor::LocalBlocks) {
            return;
        }
        let instance = self.instance(tenant, &config);
        let mut state = instance.state.lock();
        state.follow(&config, tenant, &self.options, &instance.counters);
        state.observe(batch, now_ns, &instance.counters);
    }

    /// Writes what was counted, of tenants for whom it is time. Blocks for the store's log.
    pub fn collect(&self, now_ns: i64) {
        self.write(now_ns, false);
    }

    /// Writes what was counted since the last time, of all tenants: afterwards nobody counts any more. Blocks for the store's log.
    pub fn finish(&self, now_ns: i64) {
        self.write(now_ns, true);
    }

    fn write(&self, now_ns: i64, is_last: bool) {
        let all: Vec<(Tenant, Arc<Instance>)> =
            self.tenants.lock().iter().map(|(tenant, i)| (tenant.clone(), Arc::clone(i))).collect();
        let config = self.config.load_full();
        for (tenant, instance) in all {
            let mut state = instance.state.lock();
            state.follow(&config, &tenant, &self.options, &instance.counters);
            if is_last {
                // Due at once.
                state.collected_ns = 0;
            }
            if let Err(error) = state.collect(&tenant, now_ns, self.appender.as_ref(), &instance.counters) {
                tracing::warn!(%tenant, %error, "metrics out of spans could not be written");
            }
        }
    }

    /// Calls for each tenant, by what Tempo calls it, with its counters.
    pub fn each_tenant(&self, mut visit: impl FnMut(&str, &GeneratorCounters)) {
        let all: Vec<(Tenant, Arc<Instance>)> =
            self.tenants.lock().iter().map(|(tenant, i)| (tenant.clone(), Arc::clone(i))).collect();
        for (tenant, instance) in all {
            visit(called(&tenant), &instance.counters);
        }
    }

    fn instance(&self, tenant: &Tenant, config: &Arc<TempoConfig>) -> Arc<Instance> {
        let mut tenants = self.tenants.lock();
        let instance = tenants.entry(tenant.clone()).or_insert_with(|| {
            let state = State::new(config, tenant, &self.options);
            Arc::new(Instance { counters: Arc::default(), state: Mutex::new(state) })
        });
        Arc::clone(instance)
    }
}

impl State {
    fn new(config: &Arc<TempoConfig>, tenant: &Tenant, options: &GeneratorOptions) -> Self {
        let limits = config.limits_of(tenant);
        let wants = |processor| limits.processors.contains(&processor);
        let span_metrics = [
            Processor::SpanMetrics,
            Processor::SpanMetricsLatency,
            Processor::SpanMetricsCount,
            Processor::SpanMetricsSize,
        ];
        State {
            registry: Registry::new(config, limits, tenant, options),
            span_metrics: span_metrics.into_iter().any(wants).then(|| SpanMetrics::new(config, limits)),
            graph: wants(Processor::ServiceGraphs).then(|| Graph::new(config, limits)),
            seen: Seen::default(),
            collected_ns: 0,
            config: Arc::clone(config),
        }
    }

    /// Begins anew where the configuration of what is made has changed: series of other labels are other series.
    fn follow(
        &mut self,
        config: &Arc<TempoConfig>,
        tenant: &Tenant,
        options: &GeneratorOptions,
        counters: &GeneratorCounters,
    ) {
        if Arc::ptr_eq(&self.config, config) {
            return;
        }
        let made_by = |config: &TempoConfig| {
            (config.metrics_generator.clone(), config.limits_of(tenant).clone(), config.multitenancy_enabled)
        };
        if made_by(&self.config) == made_by(config) {
            self.config = Arc::clone(config);
        } else {
            *self = State::new(config, tenant, options);
            counters.active_series.store(0, Ordering::Relaxed);
        }
    }

    fn observe(&mut self, batch: &SpanBatch, now_ns: i64, counters: &GeneratorCounters) {
        let slack = self.config.metrics_generator.metrics_ingestion_time_range_slack.as_ns();
        for group in batch.groups() {
            let resource = group.resource();
            let service = resource.text("service.name").unwrap_or("");
            for (span, bytes) in group.spans().zip(group.records().map(<[u8]>::len)) {
                counters.spans.fetch_add(1, Ordering::Relaxed);
                if span.end_ns < now_ns.saturating_sub(slack) || span.end_ns > now_ns.saturating_add(slack) {
                    counters.outside_slack.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                if !self.seen.is_new(span.trace_id, span.span_id, span.kind, now_ns) {
                    counters.repeated.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let spot = Spot { service, resource, span: &span, bytes, now_ns };
                if let Some(metrics) = &mut self.span_metrics {
                    metrics.observe(&spot, &mut self.registry, counters);
                }
                if let Some(graph) = &mut self.graph {
                    graph.observe(&spot, &mut self.registry, counters);
                }
            }
        }
        counters.active_series.store(self.registry.active(), Ordering::Relaxed);
    }

    fn collect(
        &mut self,
        tenant: &Tenant,
        now_ns: i64,
        appender: &dyn MetricAppender,
        counters: &GeneratorCounters,
    ) -> Result<(), AppendError> {
        if let Some(graph) = &mut self.graph {
            graph.expire(now_ns, &mut self.registry, counters);
        }
        let limits = self.config.limits_of(tenant);
        let interval = interval_ns(&self.config, limits);
        if limits.disable_collection || now_ns.saturating_sub(self.collected_ns) < interval {
            return Ok(());
        }
        self.collected_ns = now_ns;
        let written = self.registry.collect(now_ns, appender)?;
        counters.samples.fetch_add(written.appended, Ordering::Relaxed);
        counters.failed_samples.fetch_add(written.rejected, Ordering::Relaxed);
        counters.active_series.store(self.registry.active(), Ordering::Relaxed);
        Ok(())
    }
}

/// How often a tenant's series are written.
fn interval_ns(config: &TempoConfig, limits: &Limits) -> i64 {
    let own = limits.collection_interval;
    let interval = if own.is_zero() { config.metrics_generator.registry.collection_interval } else { own };
    interval.as_ns().max(1_000_000_000)
}

/// A span and what is around it.
struct Spot<'s, 'b> {
    service: &'b str,
    resource: reba_model::spans::AttributeList<'b>,
    span: &'s reba_model::spans::SpanView<'b>,
    bytes: usize,
    now_ns: i64,
}

impl Spot<'_, '_> {
    /// An attribute of the span, else of the resource, as text.
    fn text(&self, name: &str) -> Option<String> {
        self.span.attributes().get(name).or_else(|| self.resource.get(name)).map(value_text)
    }

    /// How long it took, in seconds; clocks that were set make no negative ones.
    fn seconds(&self) -> f64 {
        self.span.duration_ns().max(0) as f64 / 1e9
    }
}

/// A value as a label has it.
fn value_text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Str(text) => text.to_owned(),
        ValueRef::Int(n) => n.to_string(),
        ValueRef::Float(v) => reba_model::float::format_g(v),
        ValueRef::Bool(b) => b.to_string(),
        ValueRef::Bytes(bytes) => {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.encode(bytes)
        }
        other => format!("{:?}", other.to_owned()),
    }
}

/// A name of a label: what may not stand in one becomes `_`.
fn label_name(text: &str) -> String {
    let mut name: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

#[cfg(test)]
mod tests;

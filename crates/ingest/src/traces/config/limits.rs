//! `overrides`: limits, in the flat shape of old and in the nested one, for all tenants and for single ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Bytes, Period};

/// Something that makes metrics out of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Processor {
    /// Who calls whom.
    ServiceGraphs,
    /// How often, how long, how large.
    SpanMetrics,
    /// Of [`Processor::SpanMetrics`], how long.
    SpanMetricsLatency,
    /// Of [`Processor::SpanMetrics`], how often.
    SpanMetricsCount,
    /// Of [`Processor::SpanMetrics`], how large.
    SpanMetricsSize,
    /// Queries for series over recent spans, which Reba answers over all of them.
    LocalBlocks,
}

/// The limits of a tenant. 0 means no limit, unless something else is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Bytes a second.
    pub rate_limit_bytes: u64,
    /// Bytes at once.
    pub burst_size_bytes: u64,
    /// Live traces: those that had a span just now. Upstream's default is 10,000, since it keeps them in memory; Reba's is none.
    pub max_traces_per_user: u64,
    /// Bytes of a trace.
    pub max_bytes_per_trace: u64,
    /// Bytes of an answer with values of an attribute.
    pub max_bytes_per_tag_values_query: u64,
    /// Longest range of a search; 0: as all others.
    pub max_search_duration: Period,
    /// How long spans are kept; 0: as all others.
    pub block_retention: Period,
    /// Which metrics are made.
    pub processors: BTreeSet<Processor>,
    /// Series of metrics that are made.
    pub max_active_series: u64,
    /// How often they are told; 0: as all others.
    pub collection_interval: Period,
    /// Whether they are kept and not told.
    pub disable_collection: bool,
    /// In the place of those of `metrics_generator.processor.span_metrics`.
    pub span_metrics: ProcessorOverride,
    /// In the place of those of `metrics_generator.processor.service_graphs`.
    pub service_graphs: ProcessorOverride,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            rate_limit_bytes: 15_000_000,
            burst_size_bytes: 20_000_000,
            max_traces_per_user: 0,
            max_bytes_per_trace: 5_000_000,
            max_bytes_per_tag_values_query: 5_000_000,
            max_search_duration: Period::ZERO,
            block_retention: Period::ZERO,
            processors: BTreeSet::new(),
            max_active_series: 0,
            collection_interval: Period::ZERO,
            disable_collection: false,
            span_metrics: ProcessorOverride::default(),
            service_graphs: ProcessorOverride::default(),
        }
    }
}

/// What a tenant may have of its own of a processor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessorOverride {
    /// Upper bounds of buckets, in seconds.
    pub histogram_buckets: Option<Vec<f64>>,
    /// Attributes that become labels.
    pub dimensions: Option<Vec<String>>,
    /// Whether there is `traces_target_info`.
    pub enable_target_info: Option<bool>,
    /// Attributes that name whom a client calls.
    pub peer_attributes: Option<Vec<String>>,
    /// Whether labels of the two sides are told apart.
    pub enable_client_server_prefix: Option<bool>,
}

/// Limits as they are written, of all tenants or of one. What is not written is inherited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Overrides {
    /// The file with limits of tenants.
    pub(super) per_tenant_override_config: PathBuf,
    /// How often it is read.
    pub(super) per_tenant_override_period: Period,
    defaults: Option<Box<Overrides>>,

    ingestion: Option<Ingestion>,
    read: Option<Read>,
    compaction: Option<Keep>,
    metrics_generator: Option<Generator>,
    global: Option<Global>,

    ingestion_rate_limit_bytes: Option<Bytes>,
    ingestion_burst_size_bytes: Option<Bytes>,
    max_traces_per_user: Option<Bytes>,
    max_bytes_per_trace: Option<Bytes>,
    max_bytes_per_tag_values_query: Option<Bytes>,
    max_search_duration: Option<Period>,
    block_retention: Option<Period>,
    metrics_generator_processors: Option<BTreeSet<Processor>>,
    metrics_generator_max_active_series: Option<Bytes>,
    metrics_generator_collection_interval: Option<Period>,
    metrics_generator_disable_collection: Option<bool>,
    metrics_generator_processor_span_metrics_histogram_buckets: Option<Vec<f64>>,
    metrics_generator_processor_span_metrics_dimensions: Option<Vec<String>>,
    metrics_generator_processor_span_metrics_enable_target_info: Option<bool>,
    metrics_generator_processor_service_graphs_histogram_buckets: Option<Vec<f64>>,
    metrics_generator_processor_service_graphs_dimensions: Option<Vec<String>>,
    metrics_generator_processor_service_graphs_peer_attributes: Option<Vec<String>>,
    metrics_generator_processor_service_graphs_enable_client_server_prefix: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Ingestion {
    rate_limit_bytes: Option<Bytes>,
    burst_size_bytes: Option<Bytes>,
    max_traces_per_user: Option<Bytes>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Read {
    max_bytes_per_tag_values_query: Option<Bytes>,
    max_search_duration: Option<Period>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Keep {
    block_retention: Option<Period>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Global {
    max_bytes_per_trace: Option<Bytes>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Generator {
    processors: Option<BTreeSet<Processor>>,
    max_active_series: Option<Bytes>,
    collection_interval: Option<Period>,
    disable_collection: Option<bool>,
    processor: Option<OfProcessors>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct OfProcessors {
    span_metrics: Option<ProcessorOverride>,
    service_graphs: Option<ProcessorOverride>,
}

/// The file with limits of tenants.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TenantFile {
    /// By tenant; `*` is all others.
    pub(super) overrides: BTreeMap<String, Overrides>,
}

impl Limits {
    /// The limits in upstream's nested shape; what says nothing is left out.
    pub(super) fn written(&self) -> Value {
        let number = |n: u64| Some(Bytes(n));
        let period = |period: Period| (!period.is_zero()).then_some(period);
        let own = |of: &ProcessorOverride| (*of != ProcessorOverride::default()).then(|| of.clone());
        let processor =
            OfProcessors { span_metrics: own(&self.span_metrics), service_graphs: own(&self.service_graphs) };
        let all = Overrides {
            ingestion: Some(Ingestion {
                rate_limit_bytes: number(self.rate_limit_bytes),
                burst_size_bytes: number(self.burst_size_bytes),
                max_traces_per_user: number(self.max_traces_per_user),
            }),
            read: Some(Read {
                max_bytes_per_tag_values_query: number(self.max_bytes_per_tag_values_query),
                max_search_duration: period(self.max_search_duration),
            }),
            compaction: period(self.block_retention).map(|keep| Keep { block_retention: Some(keep) }),
            metrics_generator: Some(Generator {
                processors: Some(self.processors.clone()),
                max_active_series: number(self.max_active_series),
                collection_interval: period(self.collection_interval),
                disable_collection: Some(self.disable_collection),
                processor: (processor != OfProcessors::default()).then_some(processor),
            }),
            global: Some(Global { max_bytes_per_trace: number(self.max_bytes_per_trace) }),
            ..Overrides::default()
        };
        let mut value = serde_json::to_value(all).unwrap_or_default();
        if let Value::Object(map) = &mut value {
            // These are about the file, not limits.
            map.retain(|key, _| !key.starts_with("per_tenant_override"));
        }
        without_nothing(&mut value);
        value
    }
}

/// Takes out what is null, everywhere. Limits are nested three deep.
fn without_nothing(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, value| !value.is_null());
        map.values_mut().for_each(without_nothing);
    }
}

/// Puts what is written in the place of what was there.
fn put<T: Clone>(place: &mut T, written: Option<&T>) {
    if let Some(value) = written {
        place.clone_from(value);
    }
}

fn put_number(place: &mut u64, written: Option<Bytes>) {
    if let Some(number) = written {
        *place = number.0;
    }
}

fn put_some<T: Clone>(place: &mut Option<T>, written: Option<&T>) {
    if written.is_some() {
        *place = written.cloned();
    }
}

impl Overrides {
    /// With all keys of both shapes.
    pub(super) fn every() -> Self {
        let processors = OfProcessors {
            span_metrics: Some(ProcessorOverride::default()),
            service_graphs: Some(ProcessorOverride::default()),
        };
        let one = Overrides {
            ingestion: Some(Ingestion::default()),
            read: Some(Read::default()),
            compaction: Some(Keep::default()),
            metrics_generator: Some(Generator { processor: Some(processors), ..Generator::default() }),
            global: Some(Global::default()),
            ..Overrides::default()
        };
        Overrides { defaults: Some(Box::new(one.clone())), ..one }
    }

    /// The limits of tenants without their own.
    pub(super) fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        self.put_into(&mut limits);
        limits
    }

    /// The limits of a tenant that has these.
    pub(super) fn limits_with(&self, own: &Overrides) -> Limits {
        let mut limits = self.limits();
        own.put_into(&mut limits);
        limits
    }

    fn put_into(&self, limits: &mut Limits) {
        self.put_flat(limits);
        self.put_nested(limits);
        if let Some(defaults) = &self.defaults {
            defaults.put_into(limits);
        }
    }

    fn put_flat(&self, to: &mut Limits) {
        put_number(&mut to.rate_limit_bytes, self.ingestion_rate_limit_bytes);
        put_number(&mut to.burst_size_bytes, self.ingestion_burst_size_bytes);
        put_number(&mut to.max_traces_per_user, self.max_traces_per_user);
        put_number(&mut to.max_bytes_per_trace, self.max_bytes_per_trace);
        put_number(&mut to.max_bytes_per_tag_values_query, self.max_bytes_per_tag_values_query);
        put(&mut to.max_search_duration, self.max_search_duration.as_ref());
        put(&mut to.block_retention, self.block_retention.as_ref());
        put(&mut to.processors, self.metrics_generator_processors.as_ref());
        put_number(&mut to.max_active_series, self.metrics_generator_max_active_series);
        put(&mut to.collection_interval, self.metrics_generator_collection_interval.as_ref());
        put(&mut to.disable_collection, self.metrics_generator_disable_collection.as_ref());
        to.span_metrics.put(&ProcessorOverride {
            histogram_buckets: self.metrics_generator_processor_span_metrics_histogram_buckets.clone(),
            dimensions: self.metrics_generator_processor_span_metrics_dimensions.clone(),
            enable_target_info: self.metrics_generator_processor_span_metrics_enable_target_info,
            ..ProcessorOverride::default()
        });
        to.service_graphs.put(&ProcessorOverride {
            histogram_buckets: self.metrics_generator_processor_service_graphs_histogram_buckets.clone(),
            dimensions: self.metrics_generator_processor_service_graphs_dimensions.clone(),
            peer_attributes: self.metrics_generator_processor_service_graphs_peer_attributes.clone(),
            enable_client_server_prefix: self
                .metrics_generator_processor_service_graphs_enable_client_server_prefix,
            ..ProcessorOverride::default()
        });
    }

    fn put_nested(&self, to: &mut Limits) {
        if let Some(ingestion) = &self.ingestion {
            put_number(&mut to.rate_limit_bytes, ingestion.rate_limit_bytes);
            put_number(&mut to.burst_size_bytes, ingestion.burst_size_bytes);
            put_number(&mut to.max_traces_per_user, ingestion.max_traces_per_user);
        }
        if let Some(read) = &self.read {
            put_number(&mut to.max_bytes_per_tag_values_query, read.max_bytes_per_tag_values_query);
            put(&mut to.max_search_duration, read.max_search_duration.as_ref());
        }
        put(&mut to.block_retention, self.compaction.as_ref().and_then(|c| c.block_retention.as_ref()));
        put_number(&mut to.max_bytes_per_trace, self.global.as_ref().and_then(|g| g.max_bytes_per_trace));
        if let Some(generator) = &self.metrics_generator {
            put(&mut to.processors, generator.processors.as_ref());
            put_number(&mut to.max_active_series, generator.max_active_series);
            put(&mut to.collection_interval, generator.collection_interval.as_ref());
            put(&mut to.disable_collection, generator.disable_collection.as_ref());
            if let Some(processor) = &generator.processor {
                processor.span_metrics.iter().for_each(|own| to.span_metrics.put(own));
                processor.service_graphs.iter().for_each(|own| to.service_graphs.put(own));
            }
        }
    }

    /// The first value that makes no sense.
    pub(super) fn fault(&self) -> Option<(String, String)> {
        let limits = self.limits();
        let less = limits.rate_limit_bytes > 0 && limits.burst_size_bytes == 0;
        less.then(|| ("overrides".to_owned(), "a burst of 0 bytes lets nothing in".to_owned()))
    }
}

impl ProcessorOverride {
    fn put(&mut self, own: &ProcessorOverride) {
        put_some(&mut self.histogram_buckets, own.histogram_buckets.as_ref());
        put_some(&mut self.dimensions, own.dimensions.as_ref());
        put_some(&mut self.enable_target_info, own.enable_target_info.as_ref());
        put_some(&mut self.peer_attributes, own.peer_attributes.as_ref());
        put_some(&mut self.enable_client_server_prefix, own.enable_client_server_prefix.as_ref());
    }
}

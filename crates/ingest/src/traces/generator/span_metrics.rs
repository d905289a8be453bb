//! How often, how long and how large: `traces_spanmetrics_*`.

use std::sync::{Arc, atomic::Ordering};

use reba_model::spans::{SpanKind, SpanStatus, ValueRef};

use super::{
    GeneratorCounters, Spot, label_name,
    policy::Policy,
    registry::{Key, Part, Registry},
    value_text,
};
use crate::traces::config::{self, Limits, Processor, TempoConfig};

/// Labels that have a meaning of their own: a dimension of such a name gets two more underscores.
const INTRINSIC: [&str; 5] = ["service", "span_name", "span_kind", "status_code", "status_message"];

/// The processor.
#[derive(Debug)]
pub(super) struct SpanMetrics {
    config: config::SpanMetrics,
    bounds: Arc<[f64]>,
    /// Attributes and their labels.
    dimensions: Vec<(String, String)>,
    policies: Vec<Policy>,
    counts: bool,
    latency: bool,
    sizes: bool,
    key: Key,
}

impl SpanMetrics {
    pub(super) fn new(config: &TempoConfig, limits: &Limits) -> Self {
        let mut own = config.metrics_generator.processor.span_metrics.clone();
        let over = &limits.span_metrics;
        if let Some(buckets) = &over.histogram_buckets {
            own.histogram_buckets.clone_from(buckets);
        }
        if let Some(dimensions) = &over.dimensions {
            own.dimensions.clone_from(dimensions);
        }
        own.enable_target_info = over.enable_target_info.unwrap_or(own.enable_target_info);
        let wants =
            |part| limits.processors.contains(&Processor::SpanMetrics) || limits.processors.contains(&part);
        SpanMetrics {
            bounds: sorted(&own.histogram_buckets),
            dimensions: own.dimensions.iter().map(|name| (name.clone(), dimension(name))).collect(),
            policies: own.filter_policies.iter().map(Policy::new).collect(),
            counts: wants(Processor::SpanMetricsCount),
            latency: wants(Processor::SpanMetricsLatency),
            sizes: wants(Processor::SpanMetricsSize),
            key: Key::default(),
            config: own,
        }
    }

    pub(super) fn observe(
        &mut self,
        spot: &Spot<'_, '_>,
        registry: &mut Registry,
        counters: &GeneratorCounters,
    ) {
        if !self.policies.iter().all(|policy| policy.admits(spot)) {
            counters.filtered.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let labels = labels(&self.config, &self.dimensions, spot);
        self.key.begin(b's');
        for (_, value) in &labels {
            self.key.text(value);
        }
        let (bounds, parts) = (&self.bounds, (self.counts, self.latency, self.sizes));
        let make = || (owned(&labels), make_parts(bounds, parts));
        let Some(group) = registry.group(self.key.hash(), spot.now_ns, make) else {
            counters.limited.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let weight = self.weight(spot);
        let (seconds, trace) = (spot.seconds(), spot.span.trace_id);
        let mut parts = group.parts.iter_mut();
        if self.counts
            && let Some(calls) = parts.next()
        {
            calls.add(weight);
        }
        if self.latency
            && let Some(latency) = parts.next()
        {
            latency.observe(seconds, weight, trace, spot.span.end_ns);
        }
        if self.sizes
            && let Some(size) = parts.next()
        {
            size.add(spot.bytes as f64 * weight);
        }
        if self.config.enable_target_info {
            self.target_info(spot, registry, counters);
        }
    }

    /// For how many spans this one stands.
    fn weight(&self, spot: &Spot<'_, '_>) -> f64 {
        let key = self.config.span_multiplier_key.as_str();
        if key.is_empty() {
            return 1.0;
        }
        let found = spot.span.attributes().get(key).or_else(|| spot.resource.get(key));
        match found {
            Some(ValueRef::Float(x)) if x > 0.0 && x.is_finite() => x,
            Some(ValueRef::Int(x)) if x > 0 => x as f64,
            _ => 1.0,
        }
    }

    /// `traces_target_info`: what is known of who made the span.
    fn target_info(&mut self, spot: &Spot<'_, '_>, registry: &mut Registry, counters: &GeneratorCounters) {
        let (job, instance) = job_and_instance(spot);
        if job.is_empty() && instance.is_empty() {
            return;
        }
        let mut labels = vec![("job".to_owned(), job), ("instance".to_owned(), instance)];
        let known = ["service.name", "service.namespace", "service.instance.id"];
        let excluded = &self.config.target_info_excluded_dimensions;
        for (name, value) in spot.resource.iter() {
            if !known.contains(&name) && !excluded.iter().any(|e| e == name) {
                labels.push((label_name(name), value_text(value)));
            }
        }
        if labels.len() < 3 {
            return;
        }
        self.key.begin(b't');
        for (name, value) in &labels {
            self.key.text(name);
            self.key.text(value);
        }
        match registry
            .group(self.key.hash(), spot.now_ns, || (labels, vec![Part::gauge("traces_target_info")]))
        {
            Some(group) => group.parts.iter_mut().for_each(|part| part.add(1.0)),
            None => {
                counters.limited.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Names and values, always the same names in the same order.
fn labels<'c>(
    config: &'c config::SpanMetrics,
    dimensions: &'c [(String, String)],
    spot: &Spot<'_, '_>,
) -> Vec<(&'c str, String)> {
    let (span, wanted) = (spot.span, &config.intrinsic_dimensions);
    let mut labels: Vec<(&str, String)> = Vec::with_capacity(8 + dimensions.len());
    if wanted.service {
        labels.push(("service", spot.service.to_owned()));
    }
    if wanted.span_name {
        labels.push(("span_name", span.name.to_owned()));
    }
    if wanted.span_kind {
        labels.push(("span_kind", kind_name(span.kind).to_owned()));
    }
    if wanted.status_code {
        labels.push(("status_code", status_name(span.status).to_owned()));
    }
    if wanted.status_message {
        labels.push(("status_message", span.status_message.to_owned()));
    }
    for (attribute, label) in dimensions {
        labels.push((label, spot.text(attribute).unwrap_or_default()));
    }
    for mapping in &config.dimension_mappings {
        let values: Vec<String> = mapping.source_labels.iter().filter_map(|name| spot.text(name)).collect();
        labels.push((&mapping.name, values.join(&mapping.join)));
    }
    if config.enable_target_info {
        let (job, instance) = job_and_instance(spot);
        labels.push(("job", job));
        labels.push(("instance", instance));
    }
    labels
}

fn make_parts(bounds: &Arc<[f64]>, (counts, latency, sizes): (bool, bool, bool)) -> Vec<Part> {
    let all = [
        counts.then(|| Part::counter("traces_spanmetrics_calls_total")),
        latency.then(|| Part::histogram("traces_spanmetrics_latency", bounds)),
        sizes.then(|| Part::counter("traces_spanmetrics_size_total")),
    ];
    all.into_iter().flatten().collect()
}

fn owned(labels: &[(&str, String)]) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// The label of a dimension.
fn dimension(attribute: &str) -> String {
    let name = label_name(attribute);
    if INTRINSIC.contains(&name.as_str()) { format!("__{name}") } else { name }
}

/// Upper bounds by size, without what is none.
pub(super) fn sorted(bounds: &[f64]) -> Arc<[f64]> {
    let mut bounds: Vec<f64> = bounds.iter().copied().filter(|b| b.is_finite()).collect();
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    bounds.into()
}

fn job_and_instance(spot: &Spot<'_, '_>) -> (String, String) {
    let job = match spot.resource.text("service.namespace") {
        Some(namespace) if !namespace.is_empty() => format!("{namespace}/{}", spot.service),
        _ => spot.service.to_owned(),
    };
    (job, spot.resource.text("service.instance.id").unwrap_or("").to_owned())
}

fn kind_name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "SPAN_KIND_UNSPECIFIED",
        SpanKind::Internal => "SPAN_KIND_INTERNAL",
        SpanKind::Server => "SPAN_KIND_SERVER",
        SpanKind::Client => "SPAN_KIND_CLIENT",
        SpanKind::Producer => "SPAN_KIND_PRODUCER",
        SpanKind::Consumer => "SPAN_KIND_CONSUMER",
    }
}

fn status_name(status: SpanStatus) -> &'static str {
    match status {
        SpanStatus::Unset => "STATUS_CODE_UNSET",
        SpanStatus::Ok => "STATUS_CODE_OK",
        SpanStatus::Error => "STATUS_CODE_ERROR",
    }
}

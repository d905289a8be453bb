//! Series that are counted in memory, and written every so often.

use std::{collections::HashMap, sync::Arc};

use reba_model::{
    Exemplar, Labels, LabelsBuilder, METRIC_NAME, STALE_NAN, Tenant, float::format_g, spans::TraceId,
};
use reba_storage::{
    AppendError, AppendMode, FloatSample, MetricAppender, RejectReason, SeriesRef, WriteBatch,
};

use super::{GeneratorOptions, label_name};
use crate::traces::{
    config::{Limits, TempoConfig},
    incoming::char_boundary,
};

/// Series of one set of labels that are counted together.
#[derive(Debug)]
pub(super) struct Group {
    labels: Vec<(String, String)>,
    pub(super) parts: Vec<Part>,
    touched_ns: i64,
    /// When it was first counted, until it was written: a zero before it lets rates see the first count.
    born_ns: Option<i64>,
    refs: Vec<SeriesRef>,
}

/// One or more series of a group.
#[derive(Debug)]
pub(super) enum Part {
    /// A counter, or a gauge.
    Value { name: &'static str, value: f64, is_counter: bool },
    /// A histogram: `_bucket`, `_sum`, `_count`.
    Histogram(Histogram),
}

/// A histogram.
#[derive(Debug)]
pub(super) struct Histogram {
    name: &'static str,
    bounds: Arc<[f64]>,
    /// One for each bound, and one beyond them; not added up.
    counts: Vec<f64>,
    sum: f64,
    /// The newest span of each bucket since they were written last.
    exemplars: Vec<Option<(f64, TraceId, i64)>>,
}

impl Part {
    pub(super) fn counter(name: &'static str) -> Self {
        Part::Value { name, value: 0.0, is_counter: true }
    }

    pub(super) fn gauge(name: &'static str) -> Self {
        Part::Value { name, value: 0.0, is_counter: false }
    }

    pub(super) fn histogram(name: &'static str, bounds: &Arc<[f64]>) -> Self {
        let buckets = bounds.len() + 1;
        Part::Histogram(Histogram {
            name,
            bounds: Arc::clone(bounds),
            counts: vec![0.0; buckets],
            sum: 0.0,
            exemplars: vec![None; buckets],
        })
    }

    /// How many series it is.
    fn series(&self) -> usize {
        match self {
            Part::Value { .. } => 1,
            Part::Histogram(h) => h.counts.len() + 2,
        }
    }

    /// Adds to a counter, or sets a gauge.
    pub(super) fn add(&mut self, n: f64) {
        if let Part::Value { value, is_counter, .. } = self {
            *value = if *is_counter { *value + n } else { n };
        }
    }

    /// Adds `weight` observations to a histogram.
    pub(super) fn observe(&mut self, seconds: f64, weight: f64, trace: TraceId, ns: i64) {
        if let Part::Histogram(h) = self {
            let at = h.bounds.partition_point(|bound| *bound < seconds);
            if let (Some(count), Some(exemplar)) = (h.counts.get_mut(at), h.exemplars.get_mut(at)) {
                *count += weight;
                *exemplar = Some((seconds, trace, ns));
            }
            h.sum += seconds * weight;
        }
    }
}

/// What became of a collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) appended: u64,
    pub(super) rejected: u64,
}

/// All series of a tenant.
#[derive(Debug)]
pub(super) struct Registry {
    groups: HashMap<u128, Group>,
    common: Vec<(String, String)>,
    active: u64,
    max_active: u64,
    stale_ns: i64,
    max_value: usize,
    max_name: usize,
    batch: WriteBatch,
}

impl Registry {
    pub(super) fn new(
        config: &TempoConfig,
        limits: &Limits,
        tenant: &Tenant,
        options: &GeneratorOptions,
    ) -> Self {
        let registry = &config.metrics_generator.registry;
        let mut common: Vec<(String, String)> =
            registry.external_labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        common.push(("__metrics_gen_instance".to_owned(), options.instance.clone()));
        if config.multitenancy_enabled {
            // One store for all: upstream tells tenants apart by a header.
            common.push(("tenant".to_owned(), tenant.as_str().to_owned()));
        }
        Registry {
            groups: HashMap::new(),
            common,
            active: 0,
            max_active: limits.max_active_series,
            stale_ns: registry.stale_duration.as_ns(),
            max_value: registry.max_label_value_length,
            max_name: registry.max_label_name_length,
            batch: WriteBatch::default(),
        }
    }

    /// Series in memory.
    pub(super) fn active(&self) -> u64 {
        self.active
    }

    /// The group of a key, made if it is not there; `None` if there are too many series.
    pub(super) fn group(
        &mut self,
        key: u128,
        now_ns: i64,
        make: impl FnOnce() -> (Vec<(String, String)>, Vec<Part>),
    ) -> Option<&mut Group> {
        if !self.groups.contains_key(&key) {
            let (mut labels, parts) = make();
            let series: u64 = parts.iter().map(|part| part.series() as u64).sum();
            if self.max_active > 0 && self.active + series > self.max_active {
                return None;
            }
            self.active += series;
            for (name, value) in &mut labels {
                name.truncate(char_boundary(name, self.max_name));
                value.truncate(char_boundary(value, self.max_value));
            }
            let group = Group { labels, parts, touched_ns: now_ns, born_ns: Some(now_ns), refs: Vec::new() };
            self.groups.insert(key, group);
        }
        let group = self.groups.get_mut(&key)?;
        group.touched_ns = now_ns;
        Some(group)
    }

    /// Writes all series; those that nobody touched for a while end.
    pub(super) fn collect(
        &mut self,
        now_ns: i64,
        appender: &dyn MetricAppender,
    ) -> Result<Written, AppendError> {
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        let since = now_ns.saturating_sub(self.stale_ns);
        let result = self.groups.values_mut().try_for_each(|group| {
            group.write(&self.common, now_ns, group.touched_ns < since, appender, &mut batch)
        });
        let written = result.and_then(|()| appender.append(&batch, AppendMode::Partial)).map(|report| {
            if report.rejected.iter().any(|r| r.reason == RejectReason::UnknownSeries) {
                // The store gave them up: they are looked up anew.
                self.groups.values_mut().for_each(|group| group.refs.clear());
            }
            let exemplars = batch.exemplars.len();
            let samples = batch.samples();
            let rejected = report.rejected.iter().filter(|r| r.index < samples).count();
            debug_assert!(report.appended + rejected <= samples + exemplars, "more than there was");
            Written { appended: report.appended as u64, rejected: rejected as u64 }
        });
        self.batch = batch;
        let written = written?;
        let mut gone = 0;
        self.groups.retain(|_, group| {
            let stays = group.touched_ns >= since;
            group.born_ns = None;
            gone += if stays { 0 } else { group.parts.iter().map(Part::series).sum() };
            stays
        });
        self.active = self.active.saturating_sub(gone as u64);
        Ok(written)
    }
}

impl Group {
    fn write(
        &mut self,
        common: &[(String, String)],
        now_ns: i64,
        ends: bool,
        appender: &dyn MetricAppender,
        out: &mut WriteBatch,
    ) -> Result<(), AppendError> {
        if self.refs.is_empty() {
            self.refs = self.resolve(common, appender)?;
        }
        let t = now_ns / 1_000_000;
        let born = self.born_ns.map(|ns| (ns / 1_000_000 - 1).min(t - 1));
        let mut refs = self.refs.iter().copied();
        let mut put = |value: f64, is_counter: bool, out: &mut WriteBatch| {
            let series = refs.next()?;
            if let Some(t) = born.filter(|_| is_counter) {
                out.floats.push(FloatSample { series, t, v: 0.0 });
            }
            out.floats.push(FloatSample { series, t, v: if ends { STALE_NAN } else { value } });
            Some(series)
        };
        for part in &mut self.parts {
            match part {
                Part::Value { value, is_counter, .. } => {
                    put(*value, *is_counter, out);
                }
                Part::Histogram(h) => {
                    let mut total = 0.0;
                    for (count, exemplar) in h.counts.iter().zip(&mut h.exemplars) {
                        total += count;
                        if let (Some(series), Some(exemplar)) = (put(total, true, out), exemplar.take()) {
                            out.exemplars.push((series, as_exemplar(exemplar)));
                        }
                    }
                    put(h.sum, true, out);
                    put(total, true, out);
                }
            }
        }
        Ok(())
    }

    /// The references of all series in the order in which they are written.
    fn resolve(
        &self,
        common: &[(String, String)],
        appender: &dyn MetricAppender,
    ) -> Result<Vec<SeriesRef>, AppendError> {
        let mut builder = LabelsBuilder::new();
        for (name, value) in self.labels.iter().chain(common) {
            builder.set(&label_name(name), value);
        }
        let mut refs = Vec::new();
        let mut resolve = |name: &str, le: Option<&str>| {
            builder.set(METRIC_NAME, name);
            match le {
                Some(le) => builder.set("le", le),
                None => builder.remove("le"),
            };
            appender.series_ref(&builder.build()).map(|series| refs.push(series))
        };
        for part in &self.parts {
            match part {
                Part::Value { name, .. } => resolve(name, None)?,
                Part::Histogram(h) => {
                    let bucket = format!("{}_bucket", h.name);
                    for bound in h.bounds.iter().chain([&f64::INFINITY]) {
                        resolve(&bucket, Some(&format_g(*bound)))?;
                    }
                    resolve(&format!("{}_sum", h.name), None)?;
                    resolve(&format!("{}_count", h.name), None)?;
                }
            }
        }
        Ok(refs)
    }
}

fn as_exemplar((value, trace, ns): (f64, TraceId, i64)) -> Exemplar {
    let id = format!("{:x}", u128::from_be_bytes(trace.0));
    Exemplar { labels: Labels::from_pairs([("traceID", id)]), value, t: ns / 1_000_000 }
}

/// The key of a group: what tells it from others.
#[derive(Debug, Default)]
pub(super) struct Key(Vec<u8>);

impl Key {
    /// Begins anew, for a kind of group.
    pub(super) fn begin(&mut self, kind: u8) {
        self.0.clear();
        self.0.push(kind);
    }

    /// Adds a text.
    pub(super) fn text(&mut self, text: &str) {
        self.0.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn hash(&self) -> u128 {
        xxhash_rust::xxh3::xxh3_128(&self.0)
    }
}

//! From a request to a batch.

use std::{collections::HashSet, sync::Arc};

use reba_model::{
    Exemplar, Labels, LabelsBuilder, METRIC_NAME, Metadata, MetricType, STALE_NAN, float::format_f,
};
use reba_storage::{FloatSample, MetricAppender, SeriesRef, WriteBatch};

use super::{
    super::{
        OtlpError,
        common::{Scope, submessages},
        names::NameKind,
    },
    MAX_SAMPLES, Problem, Walked, WalkedMetric, histogram,
    labels::{ResourceLabels, Rules, size},
    point::Point,
};
use crate::{
    series_cache::SeriesCache,
    wire::{Fields, WireError},
};

/// Most bytes of the labels of all new series of a request: an attribute of the resource stands once in the message, but
/// may become a label of a million series.
const MAX_REQUEST_LABEL_BYTES: usize = 128 << 20;

/// Most samples of `target_info` for one resource: its points may lie decades apart.
const MAX_INFO_SAMPLES: i64 = 1000;

/// Where samples go, and by which rules.
pub(super) struct Target<'a> {
    pub(super) appender: &'a dyn MetricAppender,
    pub(super) rules: &'a Rules,
    pub(super) cache: &'a SeriesCache,
    /// Whether the cache may answer; it learns in any case.
    pub(super) use_cache: bool,
    /// Latest time that a sample may have.
    pub(super) latest: i64,
    /// Milliseconds between samples of `target_info`.
    pub(super) info_step: i64,
}

/// The data of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    Gauge,
    Sum,
    Histogram,
    Exponential,
    Summary,
}

/// Series that a data point may have.
#[derive(Clone, Copy, Debug)]
enum Part {
    Itself,
    Sum,
    Count,
    Bucket(f64),
    LastBucket,
    Quantile(f64),
}

/// What all points of a metric have in common.
struct Metric<'a> {
    /// The name in the store.
    name: String,
    resource: &'a ResourceLabels,
    scope: &'a Labels,
    /// Stands for all of that in keys of the cache.
    key: Vec<u8>,
}

/// The data point that is being written.
struct Current<'a, 'm> {
    metric: &'a Metric<'a>,
    point: &'a Point<'m>,
    number: u32,
    key: [u8; 16],
    /// Its labels but for the name, once they were needed.
    labels: Option<LabelsBuilder>,
}

impl Current<'_, '_> {
    /// The value, or the mark that there is none any more.
    fn value(&self, v: f64) -> f64 {
        if self.point.ended { STALE_NAN } else { v }
    }
}

/// Takes a request apart and fills a batch.
pub(super) struct Sink<'a> {
    target: Target<'a>,
    batch: &'a mut WriteBatch,
    walked: Walked,
    points: u32,
    /// Samples, buckets and exemplars so far.
    weight: usize,
    /// Bytes of labels of new series so far.
    label_bytes: usize,
    labels: LabelsBuilder,
    key: Vec<u8>,
    /// Samples of `target_info` so far: several resources may have one series.
    infos: HashSet<(SeriesRef, i64)>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(target: Target<'a>, batch: &'a mut WriteBatch) -> Self {
        Sink {
            target,
            batch,
            walked: Walked::default(),
            points: 0,
            weight: 0,
            label_bytes: 0,
            labels: LabelsBuilder::new(),
            key: Vec::new(),
            infos: HashSet::new(),
        }
    }

    pub(super) fn done(self) -> Walked {
        self.walked
    }

    /// Reads an `ExportMetricsServiceRequest`.
    pub(super) fn request(&mut self, message: &[u8]) -> Result<(), Problem> {
        for resource_metrics in submessages(message, 1) {
            let resource_metrics = resource_metrics?;
            let result = self.resource_metrics(resource_metrics);
            self.refuse_item(result, || points_of_resource(resource_metrics))?;
        }
        Ok(())
    }

    /// Turns the refusal of an item into a line of the answer; `points` counts what was in it.
    fn refuse_item(
        &mut self,
        result: Result<(), Problem>,
        points: impl FnOnce() -> Result<u64, WireError>,
    ) -> Result<(), Problem> {
        match result {
            Err(Problem::Item(reason)) => {
                self.walked.refusals.add(points()?, || reason);
                Ok(())
            }
            other => other,
        }
    }

    fn resource_metrics(&mut self, message: &[u8]) -> Result<(), Problem> {
        let resource_message = last_of(message, 1)?;
        let resource = self.target.rules.resource(resource_message)?;
        let key = self.target.cache.key(resource_message).bytes();
        // Earliest and latest point.
        let mut times: Option<(i64, i64)> = None;
        for scope_metrics in submessages(message, 2) {
            let scope_metrics = scope_metrics?;
            let result = self.scope_metrics(scope_metrics, &resource, key, &mut times);
            self.refuse_item(result, || points_of_scope(scope_metrics))?;
        }
        match times {
            // What is wrong with it is no data point's fault.
            Some(times) => match self.target_info(resource_message, &resource, times) {
                Err(Problem::Item(_)) => Ok(()),
                other => other,
            },
            None => Ok(()),
        }
    }

    fn scope_metrics(
        &mut self,
        message: &[u8],
        resource: &ResourceLabels,
        resource_key: [u8; 16],
        times: &mut Option<(i64, i64)>,
    ) -> Result<(), Problem> {
        let scope = last_of(message, 1)?;
        let schema_url = std::str::from_utf8(last_of(message, 3)?).map_err(|_| WireError::Utf8(3))?;
        let labels = self.target.rules.scope(Scope::read(scope)?, schema_url)?;
        let mut key = resource_key.to_vec();
        key.extend(self.target.cache.key(labels.as_packed().as_bytes()).bytes());
        for metric in submessages(message, 2) {
            let metric = metric?;
            let result = self.metric(metric, resource, &labels, &key, times);
            self.refuse_item(result, || points_of_metric(metric))?;
        }
        Ok(())
    }

    fn metric(
        &mut self,
        message: &[u8],
        resource: &ResourceLabels,
        scope: &Labels,
        key: &[u8],
        times: &mut Option<(i64, i64)>,
    ) -> Result<(), Problem> {
        let (mut name, mut help, mut unit) = ("", "", "");
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => name = field.string()?,
                2 => help = field.string()?,
                3 => unit = field.string()?,
                _ => {}
            }
        }
        let Some((kind, data)) = data_of(message)? else {
            return Ok(());
        };
        let name_kind = name_kind(kind, data, name)?;
        let namer = self.target.rules.namer;
        let name = namer.metric(name, unit, name_kind).map_err(Problem::Item)?;
        let type_in_store = type_of(kind, name_kind);
        let metadata = Metadata { kind: type_in_store, help: help.to_owned(), unit: namer.unit(unit) };
        let mut key = key.to_vec();
        key.extend((name.len() as u64).to_le_bytes());
        key.extend_from_slice(name.as_bytes());
        self.walked.metrics.push(WalkedMetric { first: self.points, name: name.clone(), metadata });
        let metric = Metric { name, resource, scope, key };
        let mut point = Point::default();
        for message in submessages(data, 1) {
            self.point(kind, message?, &metric, &mut point, times)?;
        }
        Ok(())
    }

    /// Reads a data point and writes it; what is wrong with it is noted.
    fn point<'m>(
        &mut self,
        kind: Data,
        message: &'m [u8],
        metric: &Metric<'_>,
        point: &mut Point<'m>,
        times: &mut Option<(i64, i64)>,
    ) -> Result<(), Problem> {
        match kind {
            Data::Gauge | Data::Sum => point.read_number(message)?,
            Data::Histogram => point.read_histogram(message)?,
            Data::Exponential => point.read_exponential(message)?,
            Data::Summary => point.read_summary(message)?,
        }
        self.weight += point.weight();
        if self.weight > MAX_SAMPLES {
            return Err(Problem::Request(OtlpError::TooManySamples { limit: MAX_SAMPLES }));
        }
        let number = self.points;
        self.points += 1;
        let result = self.write_point(kind, metric, point, number);
        if result.is_ok() {
            let t = point.millis();
            let (first, last) = times.unwrap_or((t, t));
            *times = Some((first.min(t), last.max(t)));
        }
        match result {
            Err(Problem::Item(reason)) => {
                self.walked.refusals.add(1, || format!("{}: {reason}", metric.name));
                Ok(())
            }
            other => other,
        }
    }

    fn write_point(
        &mut self,
        kind: Data,
        metric: &Metric<'_>,
        point: &Point<'_>,
        number: u32,
    ) -> Result<(), Problem> {
        if point.millis() > self.target.latest {
            return Err(Problem::Item("out of bounds: timestamp is too far in the future".to_owned()));
        }
        self.key.clear();
        self.key.extend_from_slice(&metric.key);
        for attribute in &point.attributes {
            self.key.extend_from_slice(&(attribute.len() as u64).to_le_bytes());
            self.key.extend_from_slice(attribute);
        }
        let key = self.target.cache.key(&self.key).bytes();
        let mut current = Current { metric, point, number, key, labels: None };
        match kind {
            Data::Gauge => self.float(&mut current, Part::Itself, point.value).map(drop),
            Data::Sum => {
                let series = self.float(&mut current, Part::Itself, point.value)?;
                self.exemplars(series, point)
            }
            Data::Histogram if !self.target.rules.config.convert_histograms_to_nhcb => {
                self.classic(&mut current)
            }
            Data::Histogram => self.native(&mut current, histogram::custom),
            Data::Exponential => self.native(&mut current, histogram::exponential),
            Data::Summary => self.summary(&mut current),
        }
    }

    /// Adds a float to the series of a part of the point.
    fn float(&mut self, current: &mut Current<'_, '_>, part: Part, v: f64) -> Result<SeriesRef, Problem> {
        let series = self.series(current, part)?;
        self.batch.floats.push(FloatSample { series, t: current.point.millis(), v: current.value(v) });
        self.walked.floats.push(Some(current.number));
        Ok(series)
    }

    fn native(
        &mut self,
        current: &mut Current<'_, '_>,
        convert: impl Fn(&Point<'_>) -> Result<reba_model::Histogram, Problem>,
    ) -> Result<(), Problem> {
        if current.point.ended {
            return self.float(current, Part::Itself, 0.0).map(drop);
        }
        let h = convert(current.point)?;
        let series = self.series(current, Part::Itself)?;
        self.batch.histograms.push((series, current.point.millis(), Arc::new(h)));
        self.walked.histograms.push(Some(current.number));
        self.exemplars(series, current.point)
    }

    /// A histogram with a series for each bucket. An exemplar belongs to the first bucket that holds its value.
    fn classic(&mut self, current: &mut Current<'_, '_>) -> Result<(), Problem> {
        let point = current.point;
        if let Some(sum) = point.sum {
            self.float(current, Part::Sum, sum)?;
        }
        self.float(current, Part::Count, point.count as f64)?;
        let exemplars = point.exemplars(&mut self.labels)?;
        let mut buckets = Vec::with_capacity(if exemplars.is_empty() { 0 } else { point.bounds.len() });
        let mut sum = 0u64;
        for (bound, n) in point.bounds.iter().zip(&point.counts) {
            sum = sum.wrapping_add(*n);
            let series = self.float(current, Part::Bucket(*bound), sum as f64)?;
            if !exemplars.is_empty() {
                buckets.push((*bound, series));
            }
        }
        let last = self.float(current, Part::LastBucket, point.count as f64)?;
        for e in exemplars {
            let series =
                buckets.iter().find(|(bound, _)| e.value <= *bound).map_or(last, |(_, series)| *series);
            self.exemplar(series, e);
        }
        Ok(())
    }

    fn summary(&mut self, current: &mut Current<'_, '_>) -> Result<(), Problem> {
        let point = current.point;
        self.float(current, Part::Sum, point.sum.unwrap_or(0.0))?;
        self.float(current, Part::Count, point.count as f64)?;
        for (quantile, v) in &point.quantiles {
            self.float(current, Part::Quantile(*quantile), *v)?;
        }
        Ok(())
    }

    fn exemplars(&mut self, series: SeriesRef, point: &Point<'_>) -> Result<(), Problem> {
        for e in point.exemplars(&mut self.labels)? {
            self.exemplar(series, e);
        }
        Ok(())
    }

    fn exemplar(&mut self, series: SeriesRef, e: Exemplar) {
        if e.t <= self.target.latest {
            self.batch.exemplars.push((series, e));
        }
    }

    /// The series of a part of the point.
    fn series(&mut self, current: &mut Current<'_, '_>, part: Part) -> Result<SeriesRef, Problem> {
        let (kind, bits) = match part {
            Part::Itself => (0, 0),
            Part::Sum => (1, 0),
            Part::Count => (2, 0),
            Part::Bucket(bound) => (3, bound.to_bits()),
            Part::LastBucket => (4, 0),
            Part::Quantile(quantile) => (5, quantile.to_bits()),
        };
        let mut key = [0; 25];
        key[..16].copy_from_slice(&current.key);
        key[16] = kind;
        key[17..].copy_from_slice(&u64::to_le_bytes(bits));
        let key = self.target.cache.key(&key);
        if self.target.use_cache
            && let Some(series) = self.target.cache.get(key)
        {
            return Ok(series);
        }
        let labels = self.labels_of(current, part)?;
        let series = self.target.appender.series_ref(&labels)?;
        self.target.cache.insert(key, series);
        Ok(series)
    }

    fn labels_of(&mut self, current: &mut Current<'_, '_>, part: Part) -> Result<Labels, Problem> {
        let Metric { name, resource, scope, .. } = current.metric;
        let labels = match &mut current.labels {
            Some(labels) => labels,
            none => {
                let mut labels = LabelsBuilder::new();
                let attributes = current.point.attributes.iter().copied();
                self.target.rules.point(attributes, resource, scope, &mut labels)?;
                none.insert(labels)
            }
        };
        self.label_bytes += size(labels) + name.len();
        if self.label_bytes > MAX_REQUEST_LABEL_BYTES {
            let text = format!("labels of the request take more than {MAX_REQUEST_LABEL_BYTES} bytes");
            return Err(Problem::Item(text));
        }
        let (suffix, extra) = match part {
            Part::Itself => ("", None),
            Part::Sum => ("_sum", None),
            Part::Count => ("_count", None),
            Part::Bucket(bound) => ("_bucket", Some(("le", format_f(bound)))),
            Part::LastBucket => ("_bucket", Some(("le", "+Inf".to_owned()))),
            Part::Quantile(quantile) => ("", Some(("quantile", format_f(quantile)))),
        };
        let name = format!("{name}{suffix}");
        let Some((extra_name, extra)) = extra else {
            return Ok(labels.set(METRIC_NAME, &name).build());
        };
        // An attribute of that name may be in its place; it must be back for the next part.
        let before = labels.value(extra_name).to_owned();
        let out = labels.set(METRIC_NAME, &name).set(extra_name, &extra).build();
        labels.set(extra_name, &before);
        Ok(out)
    }

    /// Says what the resource is, from its first to its last point often enough to be found by queries.
    fn target_info(
        &mut self,
        message: &[u8],
        resource: &ResourceLabels,
        (first, last): (i64, i64),
    ) -> Result<(), Problem> {
        // No other key has this length.
        self.key.clear();
        self.key.extend_from_slice(&self.target.cache.key(message).bytes());
        let key = self.target.cache.key(&self.key);
        let cached = if self.target.use_cache { self.target.cache.get(key) } else { None };
        let series = match cached {
            Some(series) => series,
            None => {
                if !self.target.rules.target_info(message, resource, &mut self.labels)? {
                    return Ok(());
                }
                let series = self.target.appender.series_ref(&self.labels.build())?;
                self.target.cache.insert(key, series);
                series
            }
        };
        let step = self.target.info_step;
        let mut t = first.max(last.saturating_sub(step.saturating_mul(MAX_INFO_SAMPLES)));
        while t < last {
            self.info(series, t);
            t = t.saturating_add(step);
        }
        self.info(series, last);
        Ok(())
    }

    fn info(&mut self, series: SeriesRef, t: i64) {
        if self.infos.insert((series, t)) {
            self.batch.floats.push(FloatSample { series, t, v: 1.0 });
            self.walked.floats.push(None);
        }
    }
}

/// The last occurrence of a field that holds bytes; empty if there is none.
fn last_of(message: &[u8], number: u32) -> Result<&[u8], WireError> {
    submessages(message, number).try_fold(&[][..], |_, part| part)
}

/// The data of a metric; `None` if it has none of a known kind.
fn data_of(message: &[u8]) -> Result<Option<(Data, &[u8])>, WireError> {
    let mut out = None;
    for field in Fields::new(message) {
        let field = field?;
        let kind = match field.number {
            5 => Data::Gauge,
            7 => Data::Sum,
            9 => Data::Histogram,
            10 => Data::Exponential,
            11 => Data::Summary,
            _ => continue,
        };
        out = Some((kind, field.bytes()?));
    }
    Ok(out)
}

/// How the metric is named; an error if it counts differences, or does not say what it counts.
fn name_kind(kind: Data, data: &[u8], name: &str) -> Result<NameKind, Problem> {
    const CUMULATIVE: u64 = 2;
    let (mut temporality, mut monotonic) = (0, false);
    for field in Fields::new(data) {
        let field = field?;
        match field.number {
            2 => temporality = field.varint()?,
            3 => monotonic = field.varint()? != 0,
            _ => {}
        }
    }
    let accumulates = matches!(kind, Data::Sum | Data::Histogram | Data::Exponential);
    if accumulates && temporality != CUMULATIVE {
        return Err(Problem::Item(format!(
            "invalid temporality and type combination for metric {name:?}: only cumulative values are taken"
        )));
    }
    Ok(match kind {
        Data::Gauge => NameKind::Gauge,
        Data::Sum if monotonic => NameKind::Counter,
        _ => NameKind::Other,
    })
}

/// The type that metadata names. What may fall is a gauge.
fn type_of(data: Data, name_kind: NameKind) -> MetricType {
    match data {
        Data::Sum if name_kind == NameKind::Counter => MetricType::Counter,
        Data::Gauge | Data::Sum => MetricType::Gauge,
        Data::Histogram | Data::Exponential => MetricType::Histogram,
        Data::Summary => MetricType::Summary,
    }
}

fn points_of_resource(message: &[u8]) -> Result<u64, WireError> {
    submessages(message, 2).map(|scope| points_of_scope(scope?)).sum()
}

fn points_of_scope(message: &[u8]) -> Result<u64, WireError> {
    submessages(message, 2).map(|metric| points_of_metric(metric?)).sum()
}

fn points_of_metric(message: &[u8]) -> Result<u64, WireError> {
    match data_of(message)? {
        Some((_, data)) => submessages(data, 1).map(|point| point.map(|_| 1)).sum(),
        None => Ok(0),
    }
}

//! The RAM store: simple and obviously right, so that it can be the oracle of every engine.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroU64,
    sync::Arc,
};

use parking_lot::RwLock;
use reba_model::{
    Chunk, Exemplar, Histogram, HistogramSample, Labels, METRIC_NAME, Matcher, RawColumns, Series, Texts,
    TimeRange,
};
use reba_storage::{
    AppendError, AppendMode, AppendReport, Budget, ChangeLog, ExemplarSeries, MetricAppender, MetricQuerier,
    QueryError, RejectReason, Rejection, SelectRequest, SeriesRef, StoreStats, TopEntry, WriteBatch,
};

/// What a [`MemStore`] accepts.
#[derive(Clone, Copy, Debug)]
pub struct MemConfig {
    /// Samples may be older than the newest of their series if they are not older than the newest of the store by more
    /// than this, milliseconds. 0 admits none.
    pub out_of_order_window: i64,
    /// How much older than the newest sample of the store a sample may be that is in order, milliseconds.
    pub accept_back: i64,
}

impl Default for MemConfig {
    /// No out-of-order samples, and series may begin at any time.
    fn default() -> Self {
        MemConfig { out_of_order_window: 0, accept_back: i64::MAX }
    }
}

/// A store of metrics in plain maps.
#[derive(Debug, Default)]
pub struct MemStore {
    config: MemConfig,
    inner: RwLock<Inner>,
    changes: ChangeLog,
}

#[derive(Debug, Default)]
struct Inner {
    refs: HashMap<Labels, SeriesRef>,
    series: BTreeMap<SeriesRef, MemSeries>,
    /// Time of the newest sample.
    newest: Option<i64>,
}

#[derive(Clone, Debug, Default)]
struct MemSeries {
    labels: Labels,
    samples: BTreeMap<i64, Value>,
    exemplars: Vec<Exemplar>,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl Value {
    /// Bit by bit, so that a NaN equals itself and a staleness marker no other NaN.
    fn same(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::Histogram(a), Value::Histogram(b)) => a.equals(b),
            _ => false,
        }
    }
}

impl MemStore {
    /// An empty store.
    pub fn new(config: MemConfig) -> Self {
        MemStore { config, inner: RwLock::default(), changes: ChangeLog::new() }
    }

    /// Forgets everything. References to series become invalid.
    pub fn clear(&self) {
        let mut inner = self.inner.write();
        self.changes.note(i64::MIN);
        *inner = Inner::default();
    }

    /// Removes samples of the series that match all of `matchers`.
    pub fn delete(&self, matchers: &[Matcher], range: TimeRange) {
        let mut inner = self.inner.write();
        self.changes.note(range.start);
        for series in inner.series.values_mut().filter(|s| Matcher::all(matchers, &s.labels)) {
            series.samples.retain(|t, _| !range.contains(*t));
        }
    }

    /// Removes the series of a reference, as an engine does that drops what is too old.
    pub fn forget(&self, series: SeriesRef) {
        let mut inner = self.inner.write();
        self.changes.note(i64::MIN);
        if let Some(s) = inner.series.remove(&series) {
            inner.refs.remove(&s.labels);
        }
    }

    fn check(
        &self,
        newest: Option<i64>,
        series: &MemSeries,
        t: i64,
        value: &Value,
    ) -> Result<(), RejectReason> {
        if let Value::Histogram(h) = value
            && h.validate().is_err()
        {
            return Err(RejectReason::InvalidHistogram);
        }
        let behind = |back: i64| newest.is_some_and(|newest| t < newest.saturating_sub(back));
        let last = series.samples.last_key_value();
        if let Some((_, last)) = last.filter(|(at, _)| **at == t) {
            return if last.same(value) { Ok(()) } else { Err(RejectReason::DuplicateTimestamp) };
        }
        let in_order = last.is_none_or(|(at, _)| *at < t);
        if in_order && !behind(self.config.accept_back) {
            return Ok(());
        }
        let window = self.config.out_of_order_window;
        if window > 0 {
            return match series.samples.get(&t) {
                _ if behind(window) => Err(RejectReason::TooOld),
                Some(old) if !old.same(value) => Err(RejectReason::DuplicateTimestamp),
                _ => Ok(()),
            };
        }
        Err(if behind(self.config.accept_back) { RejectReason::TooOld } else { RejectReason::OutOfOrder })
    }
}

impl MetricAppender for MemStore {
    fn series_ref(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        let mut inner = self.inner.write();
        if let Some(r) = inner.refs.get(labels) {
            return Ok(*r);
        }
        let next = inner.series.last_key_value().map_or(1, |(r, _)| r.0.get() + 1);
        let r = SeriesRef(NonZeroU64::new(next).unwrap_or(NonZeroU64::MIN));
        inner.refs.insert(labels.clone(), r);
        inner.series.insert(r, MemSeries { labels: labels.clone(), ..MemSeries::default() });
        Ok(r)
    }

    fn append(&self, batch: &WriteBatch, mode: AppendMode) -> Result<AppendReport, AppendError> {
        let mut inner = self.inner.write();
        // Work on copies of the series that are touched; publish them only if all is well.
        let mut touched: BTreeMap<SeriesRef, MemSeries> = BTreeMap::new();
        let mut report = AppendReport::default();
        let (mut newest, mut oldest) = (inner.newest, None);
        let floats = batch.floats.iter().map(|s| (s.series, s.t, Value::Float(s.v)));
        let histograms = batch.histograms.iter().map(|(r, t, h)| (*r, *t, Value::Histogram(Arc::clone(h))));
        for (index, (r, t, value)) in floats.chain(histograms).enumerate() {
            let outcome = match copy_of(&inner, &mut touched, r) {
                None => Err(RejectReason::UnknownSeries),
                Some(series) => self.check(inner.newest, series, t, &value).map(|()| {
                    series.samples.entry(t).or_insert(value);
                }),
            };
            match outcome {
                Ok(()) => {
                    report.appended += 1;
                    newest = newest.max(Some(t));
                    oldest = Some(oldest.map_or(t, |o: i64| o.min(t)));
                }
                Err(reason) => report.rejected.push(Rejection { index, reason }),
            }
        }
        if mode == AppendMode::AllOrNothing && !report.rejected.is_empty() {
            report.appended = 0;
            return Ok(report);
        }
        for (i, (r, exemplar)) in batch.exemplars.iter().enumerate() {
            let outcome = match copy_of(&inner, &mut touched, *r) {
                None => Err(RejectReason::UnknownSeries),
                Some(series) => add_exemplar(series, exemplar),
            };
            if let Err(reason) = outcome {
                report.rejected.push(Rejection { index: batch.samples() + i, reason });
            }
        }
        if let Some(oldest) = oldest {
            self.changes.note(oldest);
        }
        inner.series.extend(touched);
        inner.newest = newest;
        Ok(report)
    }
}

fn copy_of<'a>(
    inner: &Inner,
    touched: &'a mut BTreeMap<SeriesRef, MemSeries>,
    r: SeriesRef,
) -> Option<&'a mut MemSeries> {
    let stored = inner.series.get(&r)?;
    Some(touched.entry(r).or_insert_with(|| stored.clone()))
}

fn add_exemplar(series: &mut MemSeries, exemplar: &Exemplar) -> Result<(), RejectReason> {
    match series.exemplars.last() {
        Some(last) if last == exemplar => Ok(()),
        Some(last) if exemplar.t < last.t => Err(RejectReason::ExemplarOutOfOrder),
        _ => {
            series.exemplars.push(exemplar.clone());
            Ok(())
        }
    }
}

impl MemSeries {
    fn in_range(&self, range: TimeRange) -> RawColumns {
        let mut columns = RawColumns::default();
        if range.start > range.end {
            return columns;
        }
        for (t, value) in self.samples.range(range.start..=range.end) {
            match value {
                Value::Float(v) => {
                    columns.t.push(*t);
                    columns.v.push(*v);
                }
                Value::Histogram(h) => columns.h.push(HistogramSample { t: *t, h: Arc::clone(h) }),
            }
        }
        columns
    }

    fn has_samples_in(&self, range: TimeRange) -> bool {
        range.start <= range.end && self.samples.range(range.start..=range.end).next().is_some()
    }
}

impl Inner {
    /// Series that match any of the sets and have samples in the range, by reference.
    fn matching<'a>(
        &'a self,
        sets: &'a [Vec<Matcher>],
        range: TimeRange,
    ) -> impl Iterator<Item = &'a MemSeries> {
        self.series.values().filter(move |s| {
            (sets.is_empty() || sets.iter().any(|set| Matcher::all(set, &s.labels)))
                && s.has_samples_in(range)
        })
    }
}

impl MetricQuerier for MemStore {
    fn select(&self, request: &SelectRequest<'_>) -> Result<Vec<Series>, QueryError> {
        let inner = self.inner.read();
        let mut out = Vec::new();
        for s in inner.series.values().filter(|s| Matcher::all(request.matchers, &s.labels)) {
            let columns = s.in_range(request.range);
            if columns.t.is_empty() && columns.h.is_empty() {
                continue;
            }
            let bytes = 16 * columns.t.len() + 200 * columns.h.len();
            request.budget.spend(1, bytes as u64)?;
            out.push(Series { labels: s.labels.clone(), chunks: vec![Chunk::raw_columns(columns)] });
        }
        Ok(out)
    }

    fn series(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<Labels>, QueryError> {
        let inner = self.inner.read();
        let found: BTreeSet<Labels> = inner.matching(sets, range).map(|s| s.labels.clone()).collect();
        budget.spend(found.len() as u64, 0)?;
        Ok(found.into_iter().collect())
    }

    fn label_names(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<String>, QueryError> {
        budget.check()?;
        let inner = self.inner.read();
        let names: BTreeSet<String> =
            inner.matching(sets, range).flat_map(|s| s.labels.iter().map(|(n, _)| n.to_owned())).collect();
        Ok(names.into_iter().collect())
    }

    fn label_values(
        &self,
        name: &str,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Texts, QueryError> {
        budget.check()?;
        let inner = self.inner.read();
        let values: BTreeSet<&str> = inner.matching(sets, range).filter_map(|s| s.labels.get(name)).collect();
        Ok(values.into_iter().collect())
    }

    fn exemplars(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<Vec<ExemplarSeries>, QueryError> {
        let inner = self.inner.read();
        let mut out: Vec<ExemplarSeries> = inner
            .series
            .values()
            .filter(|s| sets.is_empty() || sets.iter().any(|set| Matcher::all(set, &s.labels)))
            .map(|s| ExemplarSeries {
                labels: s.labels.clone(),
                exemplars: s.exemplars.iter().filter(|e| range.contains(e.t)).cloned().collect(),
            })
            .filter(|s| !s.exemplars.is_empty())
            .collect();
        out.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(out)
    }

    fn stats(&self, limit: usize) -> StoreStats {
        let inner = self.inner.read();
        let mut stats = StoreStats { min_time: i64::MAX, max_time: i64::MIN, ..StoreStats::default() };
        let mut by_metric = Counter::default();
        let mut by_pair = Counter::default();
        let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for s in inner.series.values() {
            stats.series += 1;
            stats.chunks += 1;
            if let (Some((first, _)), Some((last, _))) =
                (s.samples.first_key_value(), s.samples.last_key_value())
            {
                stats.min_time = stats.min_time.min(*first);
                stats.max_time = stats.max_time.max(*last);
            }
            for (n, v) in &s.labels {
                if n == METRIC_NAME {
                    by_metric.add(v.to_owned());
                }
                by_pair.add(format!("{n}={v}"));
                values.entry(n.to_owned()).or_default().insert(v.to_owned());
            }
        }
        stats.label_pairs = by_pair.0.len() as u64;
        let mut by_count = Counter::default();
        let mut by_bytes = Counter::default();
        for (name, values) in values {
            by_bytes.0.insert(name.clone(), values.iter().map(|v| v.len() as u64).sum());
            by_count.0.insert(name, values.len() as u64);
        }
        stats.series_by_metric = by_metric.top(limit);
        stats.values_by_label = by_count.top(limit);
        stats.bytes_by_label = by_bytes.top(limit);
        stats.series_by_pair = by_pair.top(limit);
        stats
    }

    fn change_log(&self) -> Option<&ChangeLog> {
        Some(&self.changes)
    }
}

#[derive(Default)]
struct Counter(BTreeMap<String, u64>);

impl Counter {
    fn add(&mut self, name: String) {
        *self.0.entry(name).or_default() += 1;
    }

    /// The largest first; equal ones by name.
    fn top(self, limit: usize) -> Vec<TopEntry> {
        let mut entries: Vec<TopEntry> =
            self.0.into_iter().map(|(name, value)| TopEntry { name, value }).collect();
        entries.sort_by(|a, b| b.value.cmp(&a.value).then_with(|| a.name.cmp(&b.name)));
        entries.truncate(limit);
        entries
    }
}

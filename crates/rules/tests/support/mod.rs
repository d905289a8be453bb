//! A store and a query engine for tests: small, in memory, under the test's control.

use std::{
    collections::BTreeMap,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use reba_model::{AlertBatch, Chunk, Labels, Matcher, Series, Texts, TimeRange, is_stale_nan};
use reba_rules::{
    FileOptions, ManagerOptions, Parts, RuleFile, RuleManager, RuleQuerier, RuleQueryError, RuleSample,
    RuleSettings, SampleValue,
};
use reba_storage::{
    AppendError, AppendMode, AppendReport, Budget, ExemplarSeries, MetricAppender, MetricQuerier, QueryError,
    RejectReason, Rejection, SelectRequest, SeriesRef, StoreStats, WriteBatch,
};
use tokio::sync::mpsc;

pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

/// Times and values.
pub type Samples = Vec<(i64, f64)>;

/// Series in the order of their references, and whether writing fails.
#[derive(Default)]
pub struct FakeStore {
    pub series: Mutex<Vec<(Labels, Samples)>>,
    pub failing: Mutex<Option<AppendError>>,
}

impl FakeStore {
    /// The samples of one series, markers as `None`.
    pub fn samples(&self, of: &Labels) -> Vec<(i64, Option<f64>)> {
        let series = self.series.lock();
        let found = series.iter().find(|(labels, _)| labels == of);
        found.map_or(Vec::new(), |(_, samples)| {
            samples.iter().map(|(t, v)| (*t, (!is_stale_nan(*v)).then_some(*v))).collect()
        })
    }

    pub fn put(&self, of: &Labels, t: i64, v: f64) {
        let mut series = self.series.lock();
        if !series.iter().any(|(l, _)| l == of) {
            series.push((of.clone(), Vec::new()));
        }
        series.iter_mut().find(|(l, _)| l == of).unwrap().1.push((t, v));
    }

    /// What an instant selector by metric name sees at `t`.
    pub fn instant(&self, name: &str, t: i64) -> Vec<RuleSample> {
        let series = self.series.lock();
        let mut out = Vec::new();
        for (labels, samples) in series.iter().filter(|(l, _)| l.metric_name() == name) {
            let last = samples.iter().rev().find(|s| s.0 <= t && s.0 > t - 300_000);
            if let Some((_, v)) = last.filter(|s| !is_stale_nan(s.1)) {
                out.push(RuleSample { labels: labels.clone(), value: SampleValue::Float(*v) });
            }
        }
        out
    }
}

impl MetricAppender for FakeStore {
    fn series_ref(&self, of: &Labels) -> Result<SeriesRef, AppendError> {
        let mut series = self.series.lock();
        let at = series.iter().position(|(l, _)| l == of).unwrap_or_else(|| {
            series.push((of.clone(), Vec::new()));
            series.len() - 1
        });
        Ok(SeriesRef(NonZeroU64::new(at as u64 + 1).unwrap()))
    }

    fn append(&self, batch: &WriteBatch, _mode: AppendMode) -> Result<AppendReport, AppendError> {
        if let Some(error) = self.failing.lock().clone() {
            return Err(error);
        }
        let mut series = self.series.lock();
        let mut report = AppendReport::default();
        for (index, sample) in batch.floats.iter().enumerate() {
            let samples = &mut series[sample.series.0.get() as usize - 1].1;
            let reason = match samples.last() {
                Some((t, _)) if *t > sample.t => Some(RejectReason::OutOfOrder),
                Some((t, v)) if *t == sample.t && v.to_bits() != sample.v.to_bits() => {
                    Some(RejectReason::DuplicateTimestamp)
                }
                Some((t, _)) if *t == sample.t => None,
                _ => {
                    samples.push((sample.t, sample.v));
                    None
                }
            };
            match reason {
                Some(reason) => report.rejected.push(Rejection { index, reason }),
                None => report.appended += 1,
            }
        }
        Ok(report)
    }
}

impl MetricQuerier for FakeStore {
    fn select(&self, request: &SelectRequest<'_>) -> Result<Vec<Series>, QueryError> {
        let series = self.series.lock();
        let matching = series.iter().filter(|(l, _)| Matcher::all(request.matchers, l));
        Ok(matching
            .map(|(labels, samples)| Series {
                labels: labels.clone(),
                chunks: vec![Chunk::raw(
                    samples.iter().map(|s| s.0).collect(),
                    samples.iter().map(|s| s.1).collect(),
                )],
            })
            .collect())
    }

    fn series(&self, _: &[Vec<Matcher>], _: TimeRange, _: &Budget) -> Result<Vec<Labels>, QueryError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &[Vec<Matcher>], _: TimeRange, _: &Budget) -> Result<Vec<String>, QueryError> {
        Ok(Vec::new())
    }

    fn label_values(
        &self,
        _: &str,
        _: &[Vec<Matcher>],
        _: TimeRange,
        _: &Budget,
    ) -> Result<Texts, QueryError> {
        Ok(Texts::default())
    }

    fn exemplars(&self, _: &[Vec<Matcher>], _: TimeRange) -> Result<Vec<ExemplarSeries>, QueryError> {
        Ok(Vec::new())
    }

    fn stats(&self, _: usize) -> StoreStats {
        StoreStats::default()
    }
}

/// Answers set by the test by query; every other query is a selector by name on the store.
pub struct FakeEngine {
    pub store: Arc<FakeStore>,
    pub answers: Mutex<BTreeMap<String, Result<Vec<RuleSample>, String>>>,
}

impl RuleQuerier for FakeEngine {
    fn instant<'a>(
        &'a self,
        query: &'a str,
        t: i64,
    ) -> BoxFuture<'a, Result<Vec<RuleSample>, RuleQueryError>> {
        if query == "hang" {
            return Box::pin(std::future::pending());
        }
        let answer = self.answers.lock().get(query).cloned();
        if query == "panic" && answer.is_none() {
            return Box::pin(async { panic!("on purpose") });
        }
        let answer = answer.unwrap_or_else(|| Ok(self.store.instant(query, t)));
        Box::pin(async move { answer.map_err(RuleQueryError) })
    }
}

/// A manager with everything around it.
pub struct World {
    pub store: Arc<FakeStore>,
    pub engine: Arc<FakeEngine>,
    pub manager: Arc<RuleManager>,
    pub sent: mpsc::Receiver<AlertBatch>,
    pub now: Arc<AtomicI64>,
}

impl World {
    pub fn new() -> Self {
        World::with_store(Arc::new(FakeStore::default()), 100)
    }

    pub fn with_store(store: Arc<FakeStore>, queue: usize) -> Self {
        let engine = Arc::new(FakeEngine { store: store.clone(), answers: Mutex::default() });
        let (alerts, sent) = mpsc::channel(queue);
        let now = Arc::new(AtomicI64::new(0));
        let for_clock = now.clone();
        let parts = Parts {
            querier: engine.clone(),
            store: store.clone(),
            appender: store.clone(),
            alerts,
            clock: Arc::new(move || for_clock.load(Ordering::Relaxed)),
        };
        let manager = Arc::new(RuleManager::new(parts, ManagerOptions::default()));
        World { store, engine, manager, sent, now }
    }

    /// Loads one file.
    pub async fn load(&self, text: &str) {
        let file = RuleFile::parse("rules.yml", text, &FileOptions::default()).unwrap();
        self.manager.apply(&[file], &settings()).await;
    }

    /// Sets what `query` answers: label sets with values.
    pub fn answer(&self, query: &str, elements: &[(&[(&str, &str)], f64)]) {
        let samples = elements
            .iter()
            .map(|(pairs, v)| RuleSample { labels: labels(pairs), value: SampleValue::Float(*v) });
        self.engine.answers.lock().insert(query.to_owned(), Ok(samples.collect()));
    }

    pub fn fail(&self, query: &str, error: &str) {
        self.engine.answers.lock().insert(query.to_owned(), Err(error.to_owned()));
    }

    /// Evaluates everything at a time.
    pub async fn at(&self, now: i64) {
        self.now.store(now, Ordering::Relaxed);
        self.manager.evaluate_once(now).await;
    }

    /// State and value of every alert: `name{…} state`.
    pub fn alerts(&self) -> Vec<String> {
        self.manager.alerts().iter().map(|a| format!("{} {}", a.labels, a.state.as_str())).collect()
    }

    /// What was sent since the last call.
    pub fn take_sent(&mut self) -> AlertBatch {
        let mut all = Vec::new();
        while let Ok(batch) = self.sent.try_recv() {
            all.extend(batch);
        }
        all
    }
}

pub fn settings() -> RuleSettings {
    RuleSettings {
        interval: 60_000,
        query_offset: 0,
        external_labels: labels(&[("cluster", "kgl")]),
        external_url: "http://reba:9090".to_owned(),
    }
}

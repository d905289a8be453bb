//! Families of metrics: one member a set of label values, in order, and never more than a limit.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::SystemTime,
};

use parking_lot::RwLock;
use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::{
        MetricType, TypedMetric,
        exemplar::{CounterWithExemplar, HistogramWithExemplars},
        gauge::Gauge,
    },
};

use crate::trace::TraceContext;

/// The value that all labels get once a family has reached its limit, so that totals stay right.
pub const OTHER: &str = "other";

/// How many members a family may have: more than any honest service needs, little enough for every scraper.
const MEMBER_LIMIT: usize = 2_000;

pub(crate) type TraceLabels = [(&'static str, String); 2];

/// Counters with the labels `N`.
pub type Counters<const N: usize> = Family<N, CounterWithExemplar<TraceLabels>>;
/// Gauges with the labels `N`.
pub type Gauges<const N: usize> = Family<N, Gauge<f64, AtomicU64>>;
/// Histograms with the labels `N`.
pub type Histograms<const N: usize> = Family<N, HistogramWithExemplars<TraceLabels>>;

/// A metric family with `N` labels. Members are kept sorted by their values, so that two expositions of a service
/// that did not change are equal byte for byte. Clones share their members.
pub struct Family<const N: usize, M> {
    inner: Arc<Inner<N, M>>,
}

struct Inner<const N: usize, M> {
    names: [&'static str; N],
    make: Box<dyn Fn() -> M + Send + Sync>,
    limit: usize,
    members: RwLock<Vec<([String; N], M)>>,
}

impl<const N: usize, M: Clone> Family<N, M> {
    pub(crate) fn new(names: [&'static str; N], make: impl Fn() -> M + Send + Sync + 'static) -> Self {
        Self::with_limit(names, MEMBER_LIMIT, make)
    }

    pub(crate) fn with_limit(
        names: [&'static str; N],
        limit: usize,
        make: impl Fn() -> M + Send + Sync + 'static,
    ) -> Self {
        Self { inner: Arc::new(Inner { names, make: Box::new(make), limit, members: RwLock::default() }) }
    }

    /// The member with these label values, made if it is new. Beyond the limit it is the member whose values are
    /// all [`OTHER`].
    pub fn with(&self, values: [&str; N]) -> M {
        if let Ok(found) = self.find(values) {
            return found;
        }
        let mut members = self.inner.members.write();
        let values = if members.len() < self.inner.limit { values } else { [OTHER; N] };
        match position(&members, values) {
            Ok(at) => members[at].1.clone(),
            Err(at) => {
                let made = (self.inner.make)();
                members.insert(at, (values.map(str::to_owned), made.clone()));
                made
            }
        }
    }

    fn find(&self, values: [&str; N]) -> Result<M, usize> {
        let members = self.inner.members.read();
        position(&members, values).map(|at| members[at].1.clone())
    }
}

fn position<const N: usize, M>(members: &[([String; N], M)], values: [&str; N]) -> Result<usize, usize> {
    members.binary_search_by(|(key, _)| key.iter().map(String::as_str).cmp(values))
}

impl<const N: usize> Counters<N> {
    pub(crate) fn counters(names: [&'static str; N]) -> Self {
        Self::new(names, CounterWithExemplar::default)
    }

    /// Counts one more.
    pub fn inc(&self, values: [&str; N]) {
        self.inc_traced(values, None);
    }

    /// Counts one more and remembers the trace as the counter's exemplar.
    pub(crate) fn inc_traced(&self, values: [&str; N], exemplar: Option<(TraceLabels, SystemTime)>) {
        let (labels, at) = exemplar.unzip();
        self.with(values).inc_by(1, labels, at);
    }

    /// The count so far.
    pub fn get(&self, values: [&str; N]) -> u64 {
        self.find(values).map_or(0, |c| c.get().0)
    }
}

impl<const N: usize> Gauges<N> {
    pub(crate) fn gauges(names: [&'static str; N]) -> Self {
        Self::new(names, Gauge::default)
    }

    /// Sets the value.
    pub fn set(&self, values: [&str; N], value: f64) {
        self.with(values).set(value);
    }

    /// Adds to the value; a negative `delta` takes away.
    pub fn add(&self, values: [&str; N], delta: f64) {
        self.with(values).inc_by(delta);
    }

    /// The value now.
    pub fn get(&self, values: [&str; N]) -> f64 {
        self.find(values).map_or(0.0, |g| g.get())
    }
}

impl<const N: usize> Histograms<N> {
    pub(crate) fn histograms(names: [&'static str; N], buckets: Vec<f64>) -> Self {
        Self::new(names, move || HistogramWithExemplars::new(buckets.clone().into_iter()))
    }

    /// Observes one value.
    pub fn observe(&self, values: [&str; N], value: f64) {
        self.observe_traced(values, value, None);
    }

    /// Observes one value and remembers the trace as its bucket's exemplar.
    pub(crate) fn observe_traced(
        &self,
        values: [&str; N],
        value: f64,
        exemplar: Option<(TraceLabels, SystemTime)>,
    ) {
        let (labels, at) = exemplar.unzip();
        self.with(values).observe(value, labels, at);
    }
}

/// The labels of an exemplar that leads to a span; nothing for a trace that is not sampled, since it is not kept.
pub(crate) fn trace_labels(trace: &TraceContext) -> Option<TraceLabels> {
    trace
        .sampled()
        .then(|| [("trace_id", trace.trace_id().to_string()), ("span_id", trace.span_id().to_string())])
}

impl<const N: usize, M: EncodeMetric + TypedMetric> EncodeMetric for Family<N, M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (values, metric) in self.inner.members.read().iter() {
            let labels: Vec<(&str, &str)> =
                self.inner.names.iter().copied().zip(values.iter().map(String::as_str)).collect();
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        self.inner.members.read().is_empty()
    }
}

impl<const N: usize, M> Clone for Family<N, M> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<const N: usize, M> fmt::Debug for Family<N, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").field("labels", &self.inner.names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_limit_new_label_values_are_counted_as_other() {
        let family: Counters<1> = Family::with_limit(["route"], 2, CounterWithExemplar::default);
        for route in ["/a", "/b", "/c", "/d", "/a"] {
            family.inc([route]);
        }
        assert_eq!(family.get(["/a"]), 2);
        assert_eq!(family.get(["/b"]), 1);
        assert_eq!(family.get(["/c"]), 0);
        assert_eq!(family.get([OTHER]), 2);
    }

    #[test]
    fn clones_share_their_members() {
        let family = Gauges::gauges(["kind"]);
        family.clone().add(["x"], 2.5);
        family.add(["x"], -1.0);
        assert_eq!(family.get(["x"]), 1.5);
    }
}

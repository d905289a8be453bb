//! Families of metrics: one member a set of label values, in order, and never more than a limit.

use std::{fmt, sync::Arc, sync::atomic::AtomicU64, time::SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::{MetricType, TypedMetric, exemplar::HistogramWithExemplars, gauge},
};

use crate::{
    counter::{Counter, TraceLabels},
    trace::TraceContext,
};

/// The value that all labels get once a family has reached its limit, so that totals stay right.
pub const OTHER: &str = "other";

/// How many members a family may have: more than any honest service needs, little enough for every scraper.
const MEMBER_LIMIT: usize = 2_000;

/// A value that rises and falls.
pub type Gauge = gauge::Gauge<f64, AtomicU64>;
/// How often values fell into each of some buckets, with exemplars.
pub type Histogram = HistogramWithExemplars<TraceLabels>;

/// Counters with the labels `N`.
pub type Counters<const N: usize> = Family<N, Counter>;
/// Gauges with the labels `N`.
pub type Gauges<const N: usize> = Family<N, Gauge>;
/// Histograms with the labels `N`.
pub type Histograms<const N: usize> = Family<N, Histogram>;

/// A metric family with `N` labels. Members are kept sorted by their values, so that two expositions of a service
/// that did not change are equal byte for byte. Clones share their members.
///
/// Looking a member up takes no lock: neither a scrape nor a new member holds up those that count.
pub struct Family<const N: usize, M> {
    inner: Arc<Inner<N, M>>,
}

/// Makes a member from its values.
type Make<const N: usize, M> = Box<dyn Fn([&str; N]) -> M + Send + Sync>;

struct Inner<const N: usize, M> {
    names: [&'static str; N],
    make: Make<N, M>,
    limit: usize,
    members: ArcSwap<Vec<Member<N, M>>>,
    /// Held by whoever adds a member.
    growing: Mutex<()>,
}

#[derive(Clone)]
struct Member<const N: usize, M> {
    values: Arc<[String; N]>,
    metric: M,
}

impl<const N: usize, M: Clone> Family<N, M> {
    /// A family whose members `make` makes, from their values.
    pub(crate) fn new(
        names: [&'static str; N],
        make: impl Fn([&str; N]) -> M + Send + Sync + 'static,
    ) -> Self {
        Self::with_limit(names, MEMBER_LIMIT, make)
    }

    pub(crate) fn with_limit(
        names: [&'static str; N],
        limit: usize,
        make: impl Fn([&str; N]) -> M + Send + Sync + 'static,
    ) -> Self {
        let members = ArcSwap::from_pointee(Vec::new());
        let inner = Inner { names, make: Box::new(make), limit, members, growing: Mutex::new(()) };
        Self { inner: Arc::new(inner) }
    }

    /// The member with these label values, made if it is new. Beyond the limit it is the member whose values are
    /// all [`OTHER`]. What is counted very often is best kept rather than looked up each time.
    pub fn with(&self, values: [&str; N]) -> M {
        self.apply(values, Clone::clone)
    }

    /// Does `work` with the member with these label values, made if it is new.
    pub(crate) fn apply<R>(&self, values: [&str; N], work: impl FnOnce(&M) -> R) -> R {
        let members = self.inner.members.load();
        match position(&members, values) {
            Ok(at) => work(&members[at].metric),
            Err(_) => work(&self.grow(values)),
        }
    }

    /// Adds a member, or finds the one that somebody else just added.
    fn grow(&self, values: [&str; N]) -> M {
        let _alone = self.inner.growing.lock();
        let members = self.inner.members.load();
        let full = members.len() >= self.inner.limit && position(&members, values).is_err();
        let values = if full { [OTHER; N] } else { values };
        match position(&members, values) {
            Ok(at) => members[at].metric.clone(),
            Err(at) => {
                let metric = (self.inner.make)(values);
                let values = Arc::new(values.map(str::to_owned));
                let mut more = Vec::with_capacity(members.len() + 1);
                more.extend_from_slice(&members);
                more.insert(at, Member { values, metric: metric.clone() });
                self.inner.members.store(Arc::new(more));
                metric
            }
        }
    }

    /// What `read` says of a member, if there is one with these values.
    fn look<R>(&self, values: [&str; N], read: impl FnOnce(&M) -> R) -> Option<R> {
        let members = self.inner.members.load();
        position(&members, values).ok().map(|at| read(&members[at].metric))
    }
}

fn position<const N: usize, M>(members: &[Member<N, M>], values: [&str; N]) -> Result<usize, usize> {
    members.binary_search_by(|member| member.values.iter().map(String::as_str).cmp(values))
}

impl<const N: usize> Counters<N> {
    pub(crate) fn counters(names: [&'static str; N]) -> Self {
        Self::new(names, |_| Counter::default())
    }

    /// Counts one more.
    pub fn inc(&self, values: [&str; N]) {
        self.apply(values, Counter::inc);
    }

    /// Counts one more and remembers the trace as the counter's exemplar.
    pub(crate) fn inc_traced(&self, values: [&str; N], exemplar: Option<(TraceLabels, SystemTime)>) {
        self.apply(values, |counter| counter.inc_traced(exemplar));
    }

    /// The count so far.
    pub fn get(&self, values: [&str; N]) -> u64 {
        self.look(values, Counter::get).unwrap_or(0)
    }
}

impl<const N: usize> Gauges<N> {
    pub(crate) fn gauges(names: [&'static str; N]) -> Self {
        Self::new(names, |_| Gauge::default())
    }

    /// Sets the value.
    pub fn set(&self, values: [&str; N], value: f64) {
        self.apply(values, |gauge| gauge.set(value));
    }

    /// Adds to the value; a negative `delta` takes away.
    pub fn add(&self, values: [&str; N], delta: f64) {
        self.apply(values, |gauge| gauge.inc_by(delta));
    }

    /// The value now.
    pub fn get(&self, values: [&str; N]) -> f64 {
        self.look(values, Gauge::get).unwrap_or(0.0)
    }
}

impl<const N: usize> Histograms<N> {
    pub(crate) fn histograms(names: [&'static str; N], buckets: Vec<f64>) -> Self {
        Self::new(names, move |_| Histogram::new(buckets.clone().into_iter()))
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
        self.apply(values, |histogram| histogram.observe(value, labels, at));
    }
}

/// The labels of an exemplar that leads to a span; nothing for a trace that is not sampled, since it is not kept.
pub(crate) fn trace_labels(trace: &TraceContext) -> Option<TraceLabels> {
    trace.sampled().then(|| TraceLabels::of(trace))
}

impl<const N: usize, M: EncodeMetric + TypedMetric> EncodeMetric for Family<N, M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for Member { values, metric } in self.inner.members.load().iter() {
            let values = values.iter().map(String::as_str);
            let labels: Vec<(&str, &str)> = self.inner.names.iter().copied().zip(values).collect();
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        self.inner.members.load().is_empty()
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
        let family: Counters<1> = Family::with_limit(["route"], 2, |_| Counter::default());
        for route in ["/a", "/b", "/c", "/d", "/a"] {
            family.inc([route]);
        }
        assert_eq!(family.get(["/a"]), 2);
        assert_eq!(family.get(["/b"]), 1);
        assert_eq!(family.get(["/c"]), 0);
        assert_eq!(family.get([OTHER]), 2);
    }

    #[test]
    fn nothing_is_lost_when_threads_add_members_at_once() {
        let family = Counters::counters(["n"]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..200).for_each(|n| family.inc([&n.to_string()])));
            }
        });
        let counts: Vec<u64> = (0..200).map(|n| family.get([&n.to_string()])).collect();
        assert_eq!(counts, [4; 200]);
    }

    #[test]
    fn clones_share_their_members() {
        let family = Gauges::gauges(["kind"]);
        family.clone().add(["x"], 2.5);
        family.add(["x"], -1.0);
        assert_eq!(family.get(["x"]), 1.5);
    }
}

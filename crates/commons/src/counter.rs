//! Counters that cost an atomic addition.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder},
    metrics::{MetricType, TypedMetric, exemplar::CounterWithExemplar},
};

use crate::trace::{SpanId, TraceContext, TraceId};

/// The labels `trace_id` and `span_id` of an exemplar: written as text when a scraper asks, not when one is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceLabels {
    trace_id: TraceId,
    span_id: SpanId,
}

impl TraceLabels {
    pub(crate) fn of(trace: &TraceContext) -> Self {
        Self { trace_id: trace.trace_id(), span_id: trace.span_id() }
    }
}

impl EncodeLabelSet for TraceLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        [("trace_id", self.trace_id.to_string()), ("span_id", self.span_id.to_string())].encode(encoder)
    }
}

/// A count that never falls, with the last trace that was counted. Clones share it.
///
/// The client library's own counter with an exemplar takes a lock for each addition; this one takes one only for
/// exemplars.
#[derive(Clone, Debug, Default)]
pub struct Counter {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    count: AtomicU64,
    exemplar: Mutex<Option<(TraceLabels, SystemTime)>>,
}

impl Counter {
    /// Counts one more.
    pub fn inc(&self) {
        self.inc_by(1);
    }

    /// Counts `more`.
    pub fn inc_by(&self, more: u64) {
        self.inner.count.fetch_add(more, Ordering::Relaxed);
    }

    /// Counts one more and remembers the trace, if there is one.
    pub(crate) fn inc_traced(&self, exemplar: Option<(TraceLabels, SystemTime)>) {
        self.inc();
        if exemplar.is_some() {
            *self.inner.exemplar.lock() = exemplar;
        }
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.inner.count.load(Ordering::Relaxed)
    }
}

impl EncodeMetric for Counter {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        // Only the library's counter can make exemplars: it is made anew for each page.
        let exemplar = *self.inner.exemplar.lock();
        let page = CounterWithExemplar::<TraceLabels>::default();
        let last = u64::from(exemplar.is_some());
        page.inc_by(self.get().saturating_sub(last), None, None);
        if let Some((labels, at)) = exemplar {
            page.inc_by(last, Some(labels), Some(at));
        }
        page.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Counter {
    const TYPE: MetricType = MetricType::Counter;
}

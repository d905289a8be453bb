//! What queries cost.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use reba_promql::eval::EvalStats;

use crate::ExecError;

/// What one query cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Where the time went.
    pub timings: QueryTimings,
    /// Samples that selectors handed to the expression, summed over all steps (`totalQueryableSamples`).
    pub total_samples: u64,
    /// Most samples held at once (`peakSamples`).
    pub peak_samples: u64,
    /// Series fetched from the store.
    pub series: u64,
    /// Bytes of chunks fetched from the store.
    pub bytes: u64,
}

impl QueryStats {
    pub(crate) fn add_evaluation(&mut self, eval: EvalStats) {
        self.total_samples = eval.total_samples;
        self.peak_samples = eval.peak_samples;
    }
}

/// Where the time of a query went; the names are those of upstream's statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryTimings {
    /// Waiting for others (`execQueueTime`).
    pub exec_queue: Duration,
    /// Parsing, planning and fetching (`queryPreparationTime`).
    pub query_preparation: Duration,
    /// Evaluating what was fetched (`innerEvalTime`).
    pub inner_eval: Duration,
    /// Sorting the result (`resultSortTime`). The evaluator sorts as part of its work: always zero.
    pub result_sort: Duration,
    /// Everything but the queue (`evalTotalTime`).
    pub eval_total: Duration,
    /// Everything (`execTotalTime`).
    pub exec_total: Duration,
}

/// What all queries of an engine have cost so far: counters and sums that only rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineTotals {
    /// Queries that ran to an end, however it was; not those that gave up in the queue.
    pub queries: u64,
    /// Those of them that ended in an error, cancellations included.
    pub failed: u64,
    /// Samples as in [`QueryStats::total_samples`].
    pub samples: u64,
    /// Time in the queue.
    pub queue_time: Duration,
    /// Time for parsing, planning and fetching.
    pub prepare_time: Duration,
    /// Time for evaluating.
    pub inner_eval: Duration,
}

/// The counters behind [`EngineTotals`].
#[derive(Debug, Default)]
pub(crate) struct Totals {
    queries: AtomicU64,
    failed: AtomicU64,
    samples: AtomicU64,
    queue_nanos: AtomicU64,
    prepare_nanos: AtomicU64,
    eval_nanos: AtomicU64,
}

impl Totals {
    /// Counts a query that ended. A failed one has the timings of what it got to.
    pub(crate) fn count(&self, stats: &QueryStats, error: Option<&ExecError>) {
        let add = |counter: &AtomicU64, n: u64| counter.fetch_add(n, Ordering::Relaxed);
        let nanos = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        add(&self.queries, 1);
        add(&self.failed, u64::from(error.is_some()));
        add(&self.samples, stats.total_samples);
        add(&self.queue_nanos, nanos(stats.timings.exec_queue));
        add(&self.prepare_nanos, nanos(stats.timings.query_preparation));
        add(&self.eval_nanos, nanos(stats.timings.inner_eval));
    }

    pub(crate) fn snapshot(&self) -> EngineTotals {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        EngineTotals {
            queries: get(&self.queries),
            failed: get(&self.failed),
            samples: get(&self.samples),
            queue_time: Duration::from_nanos(get(&self.queue_nanos)),
            prepare_time: Duration::from_nanos(get(&self.prepare_nanos)),
            inner_eval: Duration::from_nanos(get(&self.eval_nanos)),
        }
    }
}

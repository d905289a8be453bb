//! Scans of a store on as many threads as are free.

use std::{
    collections::HashSet,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use reba_model::{NanoRange, Tenant, spans::TraceId};
use reba_promql::eval::Executor as _;
use reba_storage::{Budget, SpanQuerier, SpanRequest, SpanRows, SpanScan, SpanWant};
use reba_traceql::{EvalOptions, Trace};

use super::{TraceEngineConfig, TraceError, TraceLimits, TraceStats};
use crate::helpers::Helpers;

/// What a query is answered from.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) store: &'a dyn SpanQuerier,
    pub(super) config: &'a TraceEngineConfig,
    pub(super) limits: &'a TraceLimits,
    pub(super) helpers: &'a Helpers,
    pub(super) budget: &'a Arc<Budget>,
    pub(super) tenant: &'a Tenant,
    /// How long it waited for others.
    pub(super) queue: Duration,
    /// When it began.
    pub(super) since: Instant,
}

/// What a thread makes of spans: of those of several scans, until it is merged with those of others.
pub(super) trait Worker: Send {
    /// Whether a scan could matter at all.
    fn wants(&self, scan: NanoRange) -> bool {
        let _ = scan;
        true
    }

    /// Whether spans that start so late matter; asked before a trace is put together.
    fn wants_trace(&self, start_ns: i64) -> bool {
        let _ = start_ns;
        true
    }

    /// Takes a trace, or spans of any traces; whether it wants more of this scan.
    fn take(&mut self, trace: &Trace) -> Result<ControlFlow<()>, TraceError>;

    /// Hands over what others may show, where somebody reads parts of the answer.
    fn end_of_scan(&mut self) {}
}

/// Who looks on while scans run.
pub(super) trait Onlooker: Sync {
    /// These scans will run, in about this order.
    fn begun(&self, scans: Vec<NanoRange>) {
        let _ = scans;
    }

    /// A scan has ended, by its place among those told of, and what all did so far. Some are still to end.
    fn ended(&self, scan: usize, so_far: TraceStats);
}

impl Context<'_> {
    /// How the language is to be evaluated.
    pub(super) fn options(&self, spans_per_spanset: usize) -> EvalOptions {
        EvalOptions { anchored_regex: self.config.anchored_regex, spans_per_spanset }
    }

    /// Statistics of a query that ends now.
    pub(super) fn finished(&self, stats: TraceStats) -> TraceStats {
        TraceStats { queue: self.queue, exec: self.since.elapsed(), ..stats }
    }

    /// Runs the scans of a request, in about the order given, on the threads that are free. `make` makes a worker for each thread
    /// that takes part (at least one).
    ///
    /// # Errors
    /// The first that any of the threads met.
    pub(super) fn run<W: Worker>(
        &self,
        want: &SpanWant,
        range: NanoRange,
        make: &(dyn Fn() -> Result<W, TraceError> + Sync),
        onlooker: Option<&dyn Onlooker>,
    ) -> Result<(Vec<W>, TraceStats), TraceError> {
        self.budget.check()?;
        let idle = Mutex::new(vec![make()?]);
        let request = SpanRequest { tenant: self.tenant, range, want, budget: self.budget };
        let scans = if range.is_empty() { Vec::new() } else { self.store.scan_spans(&request)? };
        if let Some(onlooker) = onlooker {
            onlooker.begun(scans.iter().map(|scan| scan.range()).collect());
        }
        let stats = Mutex::new(TraceStats { scans: scans.len() as u64, ..TraceStats::default() });
        let failed: Mutex<Option<TraceError>> = Mutex::new(None);
        let stop = AtomicBool::new(false);
        let seen = Mutex::default();
        let slots: Vec<Mutex<Option<Box<dyn SpanScan>>>> =
            scans.into_iter().map(|scan| Mutex::new(Some(scan))).collect();
        let work = |piece: usize| {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let Some(scan) = slots[piece].lock().take() else { return };
            let worker = idle.lock().pop();
            let result = worker.map_or_else(make, Ok).and_then(|mut worker| {
                let did = self.run_scan(&mut worker, scan, range, &seen)?;
                if onlooker.is_some() {
                    worker.end_of_scan();
                }
                idle.lock().push(worker);
                let so_far = {
                    let mut stats = stats.lock();
                    stats.add(&did);
                    *stats
                };
                match onlooker {
                    Some(onlooker) if so_far.scans_done < so_far.scans => onlooker.ended(piece, so_far),
                    _ => {}
                }
                Ok(())
            });
            if let Err(e) = result {
                stop.store(true, Ordering::Relaxed);
                failed.lock().get_or_insert(e);
            }
        };
        self.helpers.run(slots.len(), &work);
        match failed.into_inner() {
            Some(e) => Err(e),
            None => Ok((idle.into_inner(), stats.into_inner())),
        }
    }

    fn run_scan<W: Worker>(
        &self,
        worker: &mut W,
        scan: Box<dyn SpanScan>,
        range: NanoRange,
        seen: &Mutex<HashSet<TraceId>>,
    ) -> Result<TraceStats, TraceError> {
        self.budget.check()?;
        let mut stats = TraceStats { scans_done: 1, ..TraceStats::default() };
        if !worker.wants(scan.range()) {
            return Ok(stats);
        }
        let mut failed = None;
        let did = scan.run(&mut |rows| {
            let result = self.budget.check().map_err(TraceError::from).and_then(|()| {
                let Some(trace) = put_together(rows, range, seen, worker) else {
                    return Ok(ControlFlow::Continue(()));
                };
                stats.traces += 1;
                stats.spans += trace.spans().len() as u64;
                worker.take(&trace)
            });
            result.unwrap_or_else(|e| {
                failed = Some(e);
                ControlFlow::Break(())
            })
        });
        // What the reader found is the cause where both say that something failed.
        if let Some(e) = failed {
            return Err(e);
        }
        stats.store = did?;
        stats.scans_run = 1;
        Ok(stats)
    }
}

/// What a scan handed over, if the worker wants it and it was not there before.
fn put_together<W: Worker>(
    rows: SpanRows,
    range: NanoRange,
    seen: &Mutex<HashSet<TraceId>>,
    worker: &W,
) -> Option<Trace> {
    match rows {
        SpanRows::Spans(mut spans) => {
            spans.retain(|span| range.contains(span.start_ns));
            (!spans.is_empty()).then(|| Trace::loose(spans))
        }
        SpanRows::Trace { spans, again } => {
            let start = spans.iter().map(|span| span.start_ns).min()?;
            let is_wanted = worker.wants_trace(start) && spans.iter().any(|s| range.contains(s.start_ns));
            let is_new = is_wanted && (!again || seen.lock().insert(spans.first()?.trace_id));
            is_new.then(|| Trace::new(spans))
        }
    }
}

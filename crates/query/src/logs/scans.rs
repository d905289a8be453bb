//! Scans of a store on as many threads as are free.

use std::{
    ops::ControlFlow,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use reba_model::{LogBlock, Matcher, NanoRange, Tenant};
use reba_promql::eval::Executor as _;
use reba_storage::{Budget, LogCounter, LogHead, LogQuerier, LogRequest, LogScan, LogWant};

use super::{LogEngineConfig, LogError, LogLimits, LogStats};
use crate::helpers::Helpers;

/// What a query is answered from.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) store: &'a dyn LogQuerier,
    pub(super) config: &'a LogEngineConfig,
    pub(super) limits: &'a LogLimits,
    pub(super) helpers: &'a Helpers,
    pub(super) budget: &'a Arc<Budget>,
    pub(super) tenant: &'a Tenant,
    /// Time of the query, Unix nanoseconds.
    pub(super) now_ns: i64,
}

/// A scan and its place among those of its request.
pub(super) type Numbered = (usize, Box<dyn LogScan>);

/// What a thread makes of rows: of those of several scans, until it is merged with those of others.
pub(super) trait Worker: Send {
    /// Whether a scan could matter at all.
    fn wants(&self, scan: NanoRange) -> bool {
        let _ = scan;
        true
    }

    /// Takes the rows of a block of the scan with this number; whether it wants more of this scan.
    fn block(&mut self, scan: usize, block: &LogBlock) -> Result<ControlFlow<()>, LogError>;

    /// Whether it may be told of rows instead of being given them, and then whether the bytes of lines matter.
    fn counts(&self) -> Option<bool> {
        None
    }

    /// Counts rows that it does not see; whether it could.
    fn count(&mut self, head: &LogHead<'_>) -> Result<bool, LogError> {
        let _ = head;
        Ok(false)
    }

    /// Where it counts what it does.
    fn stats(&mut self) -> &mut LogStats;
}

impl Context<'_> {
    /// The scans of a request.
    pub(super) fn scans(
        &self,
        matchers: &[Matcher],
        range: NanoRange,
        want: &LogWant,
    ) -> Result<Vec<Box<dyn LogScan>>, LogError> {
        self.budget.check()?;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let request = LogRequest { tenant: self.tenant, matchers, range, want, budget: self.budget };
        Ok(self.store.scan_logs(&request)?)
    }

    /// Runs scans, in about the order given, on the threads that are free. `make` makes a worker for each thread that takes part
    /// (at least one).
    ///
    /// # Errors
    /// The first that any of the threads met.
    pub(super) fn run_scans<W: Worker>(
        &self,
        scans: Vec<Numbered>,
        make: &(dyn Fn() -> Result<W, LogError> + Sync),
    ) -> Result<Vec<W>, LogError> {
        let first = make()?;
        let idle = Mutex::new(vec![first]);
        let failed: Mutex<Option<LogError>> = Mutex::new(None);
        let stop = AtomicBool::new(false);
        let slots: Vec<Mutex<Option<Numbered>>> =
            scans.into_iter().map(|scan| Mutex::new(Some(scan))).collect();
        let work = |piece: usize| {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let Some((number, scan)) = slots[piece].lock().take() else { return };
            let worker = idle.lock().pop();
            let result = worker.map_or_else(make, Ok).and_then(|mut worker| {
                self.run_scan(&mut worker, number, scan)?;
                idle.lock().push(worker);
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
            None => Ok(idle.into_inner()),
        }
    }

    fn run_scan<W: Worker>(
        &self,
        worker: &mut W,
        number: usize,
        scan: Box<dyn LogScan>,
    ) -> Result<(), LogError> {
        self.budget.check()?;
        if !worker.wants(scan.range()) {
            return Ok(());
        }
        let line_bytes = worker.counts();
        let mut feed =
            Feed { worker, number, budget: self.budget, line_bytes: line_bytes == Some(true), failed: None };
        let did = match line_bytes {
            Some(_) => scan.run_counting(&mut feed),
            None => scan.run(&mut |block| feed.visit(block)),
        };
        let failed = feed.failed;
        // What the reader found is the cause where both say that something failed.
        let did = match failed {
            Some(e) => return Err(e),
            None => did?,
        };
        let stats = worker.stats();
        stats.scans += 1;
        stats.store.add(did);
        Ok(())
    }
}

/// Leads what a scan finds to a worker.
struct Feed<'a, W> {
    worker: &'a mut W,
    number: usize,
    budget: &'a Budget,
    line_bytes: bool,
    /// Why the scan was broken off.
    failed: Option<LogError>,
}

impl<W: Worker> LogCounter for Feed<'_, W> {
    fn wants_line_bytes(&self) -> bool {
        self.line_bytes
    }

    fn count(&mut self, head: &LogHead<'_>) -> bool {
        // After a failure nothing is looked at any more; the next block ends the scan.
        if self.failed.is_some() {
            return false;
        }
        self.worker.count(head).unwrap_or_else(|e| {
            self.failed = Some(e);
            false
        })
    }

    fn visit(&mut self, block: LogBlock) -> ControlFlow<()> {
        if self.failed.is_some() {
            return ControlFlow::Break(());
        }
        let result = match self.budget.check() {
            Ok(()) => self.worker.block(self.number, &block),
            Err(e) => Err(e.into()),
        };
        result.unwrap_or_else(|e| {
            self.failed = Some(e);
            ControlFlow::Break(())
        })
    }
}

//! The queue on disk: everything that is to be sent, once for all receivers.
//!
//! Every segment says anew what its series are, so that it can be read without those before it, which may be gone.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use reba_disk::{Dir, DiskError, Env, FRAME_HEADER, Log, LogConfig, SEGMENT_HEADER, segment_name, segments};
use reba_model::Labels;
use reba_storage::{AppendMode, AppendReport, SeriesRef, WriteBatch};
use tokio::sync::watch;

use crate::record::RecordWriter;

/// A segment is long enough when it has so many times the bytes of its series.
const SERIES_SHARE: u64 = 4;

/// But no longer than so many times what is configured.
const LONGEST: u64 = 16;

/// Says what the labels of a stored series are; `None` if the store has dropped it.
pub type LabelsOf = Arc<dyn Fn(SeriesRef) -> Option<Labels> + Send + Sync>;

/// A place in the queue: a segment, and a byte in it where a frame begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// How large a queue may be.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// A segment of so many bytes is closed, unless most of it says what the series are: then it may grow to sixteen
    /// times as much, for the next one would say it all again.
    pub segment_bytes: u64,
    /// When the queue has more bytes, its oldest segments go, sent or not.
    pub max_bytes: u64,
}

impl Default for QueueLimits {
    /// 2 GiB in segments of 16 MiB.
    fn default() -> Self {
        QueueLimits { segment_bytes: 16 << 20, max_bytes: 2 << 30 }
    }
}

#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) dir: Dir,
    env: Env,
    /// Another one after the disk has failed.
    log: Mutex<Arc<Log>>,
    limits: QueueLimits,
    state: Mutex<State>,
    /// Rises with every batch.
    changed: watch::Sender<u64>,
    /// The segments that receivers still need.
    needed: Mutex<BTreeMap<String, u64>>,
    /// Unix milliseconds of the newest sample, or `i64::MIN`.
    pub(crate) newest: AtomicI64,
    /// Samples that could not be queued.
    pub(crate) refused: AtomicU64,
    /// Samples ever queued by this process.
    pub(crate) queued: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    known: HashSet<SeriesRef>,
    /// Bytes of frames in the current segment.
    bytes: u64,
    /// Of these, what says what the series are.
    series_bytes: u64,
    records: RecordWriter,
    failing: bool,
    /// The log is not begun anew before, by the clock that never leaps.
    not_before: Duration,
}

/// A log that a failing disk has poisoned is begun anew no more often than this.
const REOPEN_PAUSE: Duration = Duration::from_secs(5);

fn log_config() -> LogConfig {
    // Segments are changed here, where it is known what their series are.
    LogConfig { segment_bytes: u64::MAX, ..LogConfig::default() }
}

impl Queue {
    pub(crate) fn open(env: &Env, dir: Dir, limits: QueueLimits, first: u64) -> Result<Self, DiskError> {
        let log = Log::open(env, dir.clone(), log_config(), first)?;
        Ok(Queue {
            dir,
            env: env.clone(),
            log: Mutex::new(Arc::new(log)),
            limits,
            state: Mutex::default(),
            changed: watch::Sender::new(0),
            needed: Mutex::default(),
            newest: AtomicI64::new(i64::MIN),
            refused: AtomicU64::new(0),
            queued: AtomicU64::new(0),
        })
    }

    fn log(&self) -> Arc<Log> {
        Arc::clone(&self.log.lock())
    }

    /// The log if it takes anything. One that was poisoned is begun anew in another segment; what it held is lost, and its
    /// samples were counted as refused.
    fn ready(&self, state: &mut State) -> Result<Arc<Log>, DiskError> {
        let log = self.log();
        match log.ready() {
            Ok(()) => return Ok(log),
            Err(DiskError::Poisoned { .. }) if self.env.clock.monotonic() >= state.not_before => {}
            Err(e) => return Err(e),
        }
        state.not_before = self.env.clock.monotonic() + REOPEN_PAUSE;
        let first = log.stats().segment + 1;
        let new = Arc::new(Log::open(&self.env, self.dir.clone(), log_config(), first)?);
        tracing::warn!(
            segment = first,
            "the remote write queue goes on behind what the disk has failed to write"
        );
        state.begin_segment();
        *self.log.lock() = Arc::clone(&new);
        Ok(new)
    }

    /// Tells when there is more.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Where the next batch will stand.
    pub(crate) fn end(&self) -> Place {
        let state = self.state.lock();
        Place { segment: self.log().stats().segment, offset: SEGMENT_HEADER as u64 + state.bytes }
    }

    /// Queues what the store took of a batch. The store has it already, so a queue that fails loses only what would
    /// be sent: that is counted, and said once.
    pub(crate) fn push(
        &self,
        batch: &WriteBatch,
        mode: AppendMode,
        report: &AppendReport,
        labels: &LabelsOf,
    ) {
        if mode == AppendMode::AllOrNothing && !report.rejected.is_empty() {
            return;
        }
        if let Err(error) = self.try_push(batch, report, labels) {
            self.refused.fetch_add(batch.samples() as u64, Ordering::Relaxed);
            if !std::mem::replace(&mut self.state.lock().failing, true) {
                tracing::error!(%error, "the remote write queue takes nothing; samples are stored but will not be sent");
            }
        }
    }

    fn try_push(
        &self,
        batch: &WriteBatch,
        report: &AppendReport,
        labels: &LabelsOf,
    ) -> Result<(), DiskError> {
        let mut state = self.state.lock();
        // What a full disk refused must not pile up in memory.
        let log = self.ready(&mut state)?;
        state.failing = false;
        let newest = state.write(batch, report, labels);
        if state.records.is_empty() {
            return Ok(());
        }
        let payload = state.records.payload();
        let samples = state.records.samples;
        let seq = log.push(&payload);
        state.bytes += (payload.len() + FRAME_HEADER) as u64;
        state.series_bytes += state.records.series_bytes() as u64;
        if self.is_full(&state) {
            self.next_segment(&log, &mut state)?;
        }
        drop(state);
        log.commit(seq)?;
        self.newest.fetch_max(newest, Ordering::Relaxed);
        self.queued.fetch_add(samples, Ordering::Relaxed);
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
        Ok(())
    }

    fn is_full(&self, state: &State) -> bool {
        let limit = self.limits.segment_bytes;
        let worth_it = state.bytes >= state.series_bytes.saturating_mul(SERIES_SHARE);
        state.bytes >= if worth_it { limit } else { limit.saturating_mul(LONGEST) }
    }

    fn next_segment(&self, log: &Log, state: &mut State) -> Result<(), DiskError> {
        let current = log.rotate()?;
        state.begin_segment();
        let mut room = self.limits.max_bytes;
        let sizes: HashMap<String, u64> = self.dir.list()?.into_iter().map(|e| (e.name, e.len)).collect();
        for number in segments(&self.dir)?.into_iter().rev() {
            let size = sizes.get(&segment_name(number)).copied().unwrap_or(0);
            if size > room && number != current {
                return log.remove_before(number + 1);
            }
            room = room.saturating_sub(size);
        }
        Ok(())
    }

    /// A receiver is known to need everything from `segment` on. Said of all of them before any says that it needs less.
    pub(crate) fn keep_for(&self, receiver: &str, segment: u64) {
        self.needed.lock().insert(receiver.to_owned(), segment);
    }

    /// A receiver needs nothing before `segment` any more; what nobody needs is removed.
    pub(crate) fn needs(&self, receiver: &str, segment: u64) {
        let mut needed = self.needed.lock();
        let before = needed.insert(receiver.to_owned(), segment);
        if before != Some(segment) {
            self.trim(&needed);
        }
    }

    /// A receiver is gone.
    pub(crate) fn forget(&self, receiver: &str) {
        let mut needed = self.needed.lock();
        needed.remove(receiver);
        self.trim(&needed);
    }

    fn trim(&self, needed: &BTreeMap<String, u64>) {
        let Some(first) = needed.values().min() else { return };
        if let Err(error) = self.log().remove_before(*first) {
            tracing::warn!(%error, "segments of the remote write queue could not be removed");
        }
    }

    /// Makes everything durable.
    pub(crate) fn sync(&self) -> Result<(), DiskError> {
        self.log().sync()
    }
}

impl State {
    /// Forgets what the segment before said.
    fn begin_segment(&mut self) {
        self.known.clear();
        (self.bytes, self.series_bytes) = (0, 0);
    }

    /// Encodes a batch without what was rejected; returns the time of its newest sample.
    fn write(&mut self, batch: &WriteBatch, report: &AppendReport, labels: &LabelsOf) -> i64 {
        self.records.clear();
        let mut newest = i64::MIN;
        let mut rejected = report.rejected.iter().map(|r| r.index).peekable();
        let mut taken = |i: usize| {
            while rejected.next_if(|r| *r < i).is_some() {}
            rejected.peek() != Some(&i)
        };
        for (i, s) in batch.floats.iter().enumerate() {
            if taken(i) && self.knows(s.series, labels) {
                self.records.float(s.series.0.get(), s.t, s.v);
                newest = newest.max(s.t);
            }
        }
        let floats = batch.floats.len();
        for (i, (series, t, h)) in batch.histograms.iter().enumerate() {
            if taken(floats + i) && self.knows(*series, labels) {
                self.records.histogram(series.0.get(), *t, h);
                newest = newest.max(*t);
            }
        }
        let samples = batch.samples();
        for (i, (series, e)) in batch.exemplars.iter().enumerate() {
            if taken(samples + i) && self.knows(*series, labels) {
                self.records.exemplar(series.0.get(), e);
            }
        }
        newest
    }

    /// Sees to it that the segment says what this series is.
    fn knows(&mut self, series: SeriesRef, labels: &LabelsOf) -> bool {
        if self.known.contains(&series) {
            return true;
        }
        let Some(labels) = labels(series) else { return false };
        self.records.series(series.0.get(), &labels);
        self.known.insert(series)
    }
}

#[cfg(test)]
mod tests;

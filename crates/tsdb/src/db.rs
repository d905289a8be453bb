//! The store: head, log and blocks behind the two traits.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use reba_disk::{Dir, DiskError, Env, Lock, Log};
use reba_model::{Labels, Matcher, Series, Texts, TimeRange};
use reba_storage::{
    AppendError, AppendMode, AppendReport, Budget, ChangeLog, ExemplarSeries, MetricAppender, MetricQuerier,
    QueryError, SelectRequest, SeriesRef, StoreStats, WriteBatch,
};

use crate::{
    TsdbConfig, TsdbError, TsdbMetrics,
    blocks::Blocks,
    checkpoint, downsample,
    error::append_error,
    head::{AppendScratch, ChunkFiles, Head},
    maintain::Maintenance,
    wal::RecordWriter,
};

/// Called while the log is read: files done, files in all. May be called from several threads.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// An open store.
#[derive(Debug)]
pub struct Tsdb {
    pub(crate) env: Env,
    pub(crate) config: TsdbConfig,
    pub(crate) dir: Dir,
    pub(crate) wal: Dir,
    pub(crate) checkpoints: Dir,
    pub(crate) head: Head,
    pub(crate) log: Log,
    pub(crate) blocks: Blocks,
    pub(crate) closed: AtomicBool,
    scratch: Mutex<Vec<AppendScratch>>,
    /// Held by whoever maintains or deletes.
    pub(crate) maintenance: Mutex<Maintenance>,
    pub(crate) counters: DiskCounters,
    _lock: Lock,
}

#[derive(Debug, Default)]
pub(crate) struct DiskCounters {
    pub(crate) checkpoints: AtomicU64,
    pub(crate) checkpoints_failed: AtomicU64,
    pub(crate) compactions: AtomicU64,
    pub(crate) compactions_failed: AtomicU64,
    pub(crate) last_compaction_ms: AtomicU64,
    pub(crate) time_retentions: AtomicU64,
    pub(crate) size_retentions: AtomicU64,
    wal_corruptions: AtomicU64,
    replay_ms: AtomicU64,
}

impl Tsdb {
    /// Opens the store in `path`, made if there is none, and reads the log.
    pub fn open(
        env: &Env,
        path: impl Into<PathBuf>,
        config: TsdbConfig,
        progress: Progress<'_>,
    ) -> Result<Self, TsdbError> {
        let start = env.clock.monotonic();
        let config = config.sane();
        let dir = env.dir(path)?;
        let lock = dir.lock("lock").map_err(|e| match e {
            DiskError::Io { cause, .. } if cause.kind() == io::ErrorKind::WouldBlock => {
                TsdbError::Locked { path: dir.path().display().to_string() }
            }
            e => e.into(),
        })?;
        let (wal, checkpoints) = (dir.subdir("wal")?, dir.subdir("checkpoint")?);
        let blocks = Blocks::open(dir.subdir("blocks")?)?;
        let files = checkpoint::files(&wal, &checkpoints)?;
        let shards = checkpoint::shards_of(&files)?.unwrap_or(config.shards);
        let mut head = Head::new(&config, shards, ChunkFiles::open(dir.subdir("head")?)?);
        head.changes = Arc::clone(&blocks.changes);
        let replayed = checkpoint::replay(&head, &files, progress)?;
        if let Some(end) = blocks.end() {
            head.truncate(end);
        }
        let left_behind = wal.size()?;
        let log = Log::open(env, wal.clone(), config.wal, checkpoint::first_segment(&checkpoints)?)?;
        if shards != config.shards {
            head = head.reshard(config.shards);
            checkpoint::write(&head, &log, &checkpoints)?;
        }
        // Files of chunks that nobody uses any more stay until the next checkpoint: the one that was read may name them, and is
        // read again if there is no other before the next start.
        let mut first = RecordWriter::default();
        first.shards(config.shards);
        log.push(first.frame());
        let db = Tsdb {
            env: env.clone(),
            config,
            dir,
            wal,
            checkpoints,
            head,
            log,
            blocks,
            closed: AtomicBool::new(false),
            scratch: Mutex::new(Vec::new()),
            maintenance: Mutex::new(Maintenance::new(left_behind)),
            counters: DiskCounters::default(),
            _lock: lock,
        };
        let elapsed = env.clock.monotonic().saturating_sub(start);
        db.counters.wal_corruptions.store(replayed.corruptions, Ordering::Relaxed);
        db.counters.replay_ms.store(elapsed.as_millis() as u64, Ordering::Relaxed);
        tracing::info!(
            series = db.head.series_count(),
            samples = replayed.samples,
            ms = elapsed.as_millis() as u64,
            "metric store is open"
        );
        Ok(db)
    }

    /// Figures for the metrics page. Walks the head: call it no more than every few seconds.
    pub fn metrics(&self) -> TsdbMetrics {
        let mut out = TsdbMetrics { head: self.head.metrics(), ..TsdbMetrics::default() };
        let get = |a: &AtomicU64| a.load(Ordering::Relaxed);
        let blocks = self.blocks.all();
        out.disk.blocks = blocks.len() as u64;
        out.disk.block_bytes = self.blocks.bytes();
        out.disk.total_bytes = self.disk_bytes().unwrap_or(0);
        out.disk.lowest_time = blocks.iter().map(|b| b.meta.min_time).min().unwrap_or(i64::MAX);
        out.disk.lowest_time = out.disk.lowest_time.min(out.head.min_time);
        out.disk.quarantined = get(&self.blocks.quarantined);
        out.disk.compactions = get(&self.counters.compactions);
        out.disk.compactions_failed = get(&self.counters.compactions_failed);
        out.disk.last_compaction_ms = get(&self.counters.last_compaction_ms);
        out.disk.time_retentions = get(&self.counters.time_retentions);
        out.disk.size_retentions = get(&self.counters.size_retentions);
        out.disk.checkpoints = get(&self.counters.checkpoints);
        out.disk.checkpoints_failed = get(&self.counters.checkpoints_failed);
        out.disk.wal_corruptions = get(&self.counters.wal_corruptions);
        out.disk.replay_ms = get(&self.counters.replay_ms);
        out.disk.wal = self.log.stats();
        out
    }

    /// The labels of a series of the head; `None` if it was dropped.
    pub fn labels_of(&self, series: SeriesRef) -> Option<Labels> {
        self.head.labels_of(series)
    }

    /// Changes the out-of-order window (configuration reload); zero turns it off.
    pub fn set_out_of_order_window(&self, ms: i64) {
        self.head.out_of_order_window.store(ms.max(0), Ordering::Relaxed);
    }
}

impl MetricAppender for Tsdb {
    fn series_ref(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(AppendError::Closed);
        }
        self.head.series_ref(labels)
    }

    fn append(&self, batch: &WriteBatch, mode: AppendMode) -> Result<AppendReport, AppendError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(AppendError::Closed);
        }
        self.log.ready().map_err(|e| append_error(&e))?;
        let mut scratch = self.scratch.lock().pop().unwrap_or_default();
        let now = self.env.clock.now_ms();
        let (report, seq) =
            self.head.append(batch, mode, now, &mut scratch, |records| self.log.push(records.frame()));
        self.scratch.lock().push(scratch);
        if let Some(seq) = seq {
            self.log.commit(seq).map_err(|e| append_error(&e))?;
        }
        Ok(report)
    }
}

impl MetricQuerier for Tsdb {
    fn select(&self, request: &SelectRequest<'_>) -> Result<Vec<Series>, QueryError> {
        // The head first: what moves to a block meanwhile is then seen twice, never not at all.
        let mut out = Vec::new();
        self.head.select(request, &mut out)?;
        let blocks = self.blocks.overlapping(request.range);
        if blocks.is_empty() {
            return Ok(out);
        }
        if blocks.iter().any(|b| !b.meta.is_raw()) {
            let samples_from = self.blocks.samples_from.load(Ordering::Relaxed);
            return downsample::select(request, &blocks, samples_from, out);
        }
        let mut parts = Vec::with_capacity(blocks.len() + 1);
        for block in blocks {
            let mut part = Vec::new();
            block.select(request, &mut part)?;
            parts.push(part);
        }
        parts.push(out);
        Ok(join(parts))
    }

    fn series(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<Labels>, QueryError> {
        let mut out = BTreeSet::new();
        self.head.series(sets, range, budget, &mut out)?;
        for block in self.blocks.overlapping(range) {
            block.series(sets, budget, &mut out)?;
        }
        Ok(out.into_iter().collect())
    }

    fn label_names(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<String>, QueryError> {
        let mut out = BTreeSet::new();
        self.head.label_names(sets, range, &mut out);
        for block in self.blocks.overlapping(range) {
            budget.check()?;
            block.label_names(sets, &mut out)?;
        }
        Ok(out.into_iter().collect())
    }

    fn label_values(
        &self,
        name: &str,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Texts, QueryError> {
        let mut out = Texts::default();
        self.head.label_values(name, sets, range, &mut out);
        for block in self.blocks.overlapping(range) {
            budget.check()?;
            block.label_values(name, sets, &mut out)?;
        }
        Ok(out.into_sorted())
    }

    fn exemplars(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<Vec<ExemplarSeries>, QueryError> {
        Ok(self.head.exemplars.lock().select(sets, range))
    }

    fn stats(&self, limit: usize) -> StoreStats {
        self.head.stats(limit)
    }

    fn change_log(&self) -> Option<&ChangeLog> {
        Some(&self.blocks.changes)
    }

    fn is_at_hand(&self) -> bool {
        true
    }
}

/// Puts the parts of each series together; chunks of later parts stand behind those of earlier ones that begin at the
/// same time.
pub(crate) fn join(parts: Vec<Vec<Series>>) -> Vec<Series> {
    let mut parts = parts.into_iter().filter(|p| !p.is_empty());
    let mut out = parts.next().unwrap_or_default();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut joined = false;
    for part in parts {
        if !joined {
            places = out.iter().enumerate().map(|(i, s)| (s.labels.clone(), i)).collect();
            joined = true;
        }
        for series in part {
            match places.entry(series.labels.clone()) {
                Entry::Occupied(at) => out[*at.get()].chunks.extend(series.chunks),
                Entry::Vacant(at) => {
                    at.insert(out.len());
                    out.push(series);
                }
            }
        }
    }
    if joined {
        for series in &mut out {
            series.chunks.sort_by_key(|c| c.range().start);
        }
    }
    out
}

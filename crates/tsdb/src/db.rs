//! The store: head, log and blocks behind the two traits.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::Mutex;
use reba_disk::{Dir, DiskError, Env, Lock, Log};
use reba_model::{Labels, Matcher, Series, TimeRange};
use reba_storage::{
    AppendError, AppendMode, AppendReport, Budget, ExemplarSeries, MetricAppender, MetricQuerier, QueryError,
    SelectRequest, SeriesRef, StoreStats, WriteBatch,
};

use crate::{
    TsdbConfig, TsdbError, TsdbMetrics, checkpoint,
    error::append_error,
    head::{AppendScratch, ChunkFiles, Head},
    wal::RecordWriter,
};

/// Called while the log is read: files done, files in all. May be called from several threads.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// An open store.
#[derive(Debug)]
pub struct Tsdb {
    env: Env,
    config: TsdbConfig,
    head: Head,
    log: Log,
    checkpoints: Dir,
    closed: AtomicBool,
    scratch: Mutex<Vec<AppendScratch>>,
    /// Held by whoever maintains.
    maintenance: Mutex<Maintenance>,
    counters: DiskCounters,
    _lock: Lock,
}

#[derive(Debug, Default)]
struct Maintenance {
    /// Bytes of the log when the last checkpoint was taken.
    logged_at_checkpoint: u64,
}

#[derive(Debug, Default)]
struct DiskCounters {
    checkpoints: AtomicU64,
    checkpoints_failed: AtomicU64,
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
            DiskError::Io { .. } => TsdbError::Locked { path: dir.path().display().to_string() },
            e => e.into(),
        })?;
        let (wal, checkpoints) = (dir.subdir("wal")?, dir.subdir("checkpoint")?);
        let files = checkpoint::files(&wal, &checkpoints)?;
        let shards = checkpoint::shards_of(&files)?.unwrap_or(config.shards);
        let mut head = Head::new(&config, shards, ChunkFiles::open(dir.subdir("head")?)?);
        let replayed = checkpoint::replay(&head, &files, progress)?;
        let log = Log::open(env, wal, config.wal)?;
        if shards != config.shards {
            head = head.reshard(config.shards);
            checkpoint::write(&head, &log, &checkpoints)?;
        } else {
            head.remove_unused_files()?;
        }
        let mut first = RecordWriter::default();
        first.shards(config.shards);
        log.push(first.frame());
        let db = Tsdb {
            env: env.clone(),
            config,
            head,
            log,
            checkpoints,
            closed: AtomicBool::new(false),
            scratch: Mutex::new(Vec::new()),
            maintenance: Mutex::new(Maintenance::default()),
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

    /// Refuses further writes, takes a checkpoint so that the next start is quick, and makes everything durable.
    pub fn close(&self) -> Result<(), TsdbError> {
        self.closed.store(true, Ordering::SeqCst);
        let mut maintenance = self.maintenance.lock();
        self.log.sync()?;
        self.checkpoint(&mut maintenance)
    }

    /// Does what is due: fsync, checkpoint, blocks, compaction, retention. Call it every second from one thread; it
    /// may take long, and appends and queries go on meanwhile. `now_ms` is for retention only.
    pub fn maintain(&self, now_ms: i64) -> Result<(), TsdbError> {
        let _ = now_ms;
        let mut maintenance = self.maintenance.lock();
        self.log.sync_if_due()?;
        if self.head.sealed_bytes() >= self.config.sealed_memory_bytes {
            self.head.flush_sealed()?;
        }
        let logged = self.log.stats().written_bytes;
        if logged - maintenance.logged_at_checkpoint >= self.config.checkpoint_bytes {
            self.checkpoint(&mut maintenance)?;
        }
        Ok(())
    }

    fn checkpoint(&self, maintenance: &mut Maintenance) -> Result<(), TsdbError> {
        let logged = self.log.stats().written_bytes;
        if let Err(e) = checkpoint::write(&self.head, &self.log, &self.checkpoints) {
            self.counters.checkpoints_failed.fetch_add(1, Ordering::Relaxed);
            return Err(e.into());
        }
        maintenance.logged_at_checkpoint = logged;
        self.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Figures for the metrics page. Walks the head: call it no more than every few seconds.
    pub fn metrics(&self) -> TsdbMetrics {
        let mut out = TsdbMetrics { head: self.head.metrics(), ..TsdbMetrics::default() };
        let get = |a: &AtomicU64| a.load(Ordering::Relaxed);
        out.disk.checkpoints = get(&self.counters.checkpoints);
        out.disk.checkpoints_failed = get(&self.counters.checkpoints_failed);
        out.disk.wal_corruptions = get(&self.counters.wal_corruptions);
        out.disk.replay_ms = get(&self.counters.replay_ms);
        out.disk.wal = self.log.stats();
        out
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
        let mut out = Vec::new();
        self.head.select(request, &mut out)?;
        Ok(out)
    }

    fn series(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<Labels>, QueryError> {
        let mut out = BTreeSet::new();
        self.head.series(sets, range, budget, &mut out)?;
        Ok(out.into_iter().collect())
    }

    fn label_names(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<String>, QueryError> {
        budget.check()?;
        let mut out = BTreeSet::new();
        self.head.label_names(sets, range, &mut out);
        Ok(out.into_iter().collect())
    }

    fn label_values(
        &self,
        name: &str,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<String>, QueryError> {
        budget.check()?;
        let mut out = Vec::new();
        self.head.label_values(name, sets, range, &mut out);
        out.sort_unstable();
        out.dedup();
        Ok(out)
    }

    fn exemplars(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<Vec<ExemplarSeries>, QueryError> {
        Ok(self.head.exemplars.lock().select(sets, range))
    }

    fn stats(&self, limit: usize) -> StoreStats {
        self.head.stats(limit)
    }
}

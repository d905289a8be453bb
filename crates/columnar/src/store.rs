//! The store: opening, appending.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use reba_disk::{Dir, DiskError, Env, Lock, Log, Seq};
use reba_model::{LogBatch, Tenant};
use reba_storage::{AppendError, LogAppender, LogReport};

use crate::{
    ColumnarConfig, ColumnarError, Retention, catalog::Catalog, duplicates::Duplicates, error::append_error,
    flush::Flushing, maintain::Maintenance, metrics::Counters, recover, state::State, wal,
};

/// Batches whose record would be longer are refused: a frame of the log holds less than 4 GiB.
const MAX_RECORD_BYTES: usize = 1 << 30;

/// An open store of logs.
#[derive(Debug)]
pub struct Columnar {
    pub(crate) env: Env,
    pub(crate) config: ColumnarConfig,
    pub(crate) retention: RwLock<Retention>,
    pub(crate) wal: Dir,
    pub(crate) log: Log,
    pub(crate) state: RwLock<State>,
    pub(crate) catalog: Catalog,
    pub(crate) duplicates: Duplicates,
    /// Held by whoever writes the table to parts.
    pub(crate) flushing: Mutex<Flushing>,
    /// Held by whoever merges, drops or deletes; taken before `flushing`.
    pub(crate) maintenance: Mutex<Maintenance>,
    pub(crate) counters: Counters,
    closed: AtomicBool,
    _lock: Lock,
}

impl Columnar {
    /// Opens the store in `path`, made if there is none, and reads the log.
    pub fn open(env: &Env, path: impl Into<PathBuf>, config: ColumnarConfig) -> Result<Self, ColumnarError> {
        let start = env.clock.monotonic();
        let mut config = config.sane();
        let dir = env.dir(path)?;
        let lock = dir.lock("lock").map_err(|e| match e {
            DiskError::Io { cause, .. } if cause.kind() == io::ErrorKind::WouldBlock => {
                ColumnarError::Locked { path: dir.path().display().to_string() }
            }
            e => e.into(),
        })?;
        let wal = dir.subdir("wal")?;
        let opened = Catalog::open(&dir)?;
        let duplicates = Duplicates::default();
        let recovered = recover::replay(&wal, &opened, &duplicates, env)?;
        let log = Log::open(env, wal.clone(), config.wal, opened.first_segment)?;
        let retention = std::mem::take(&mut config.retention);
        let store = Columnar {
            env: env.clone(),
            config,
            retention: RwLock::new(retention),
            wal,
            log,
            state: RwLock::new(State {
                active: recovered.table,
                frozen: None,
                parts: Arc::new(opened.parts),
                next_seq: recovered.next_seq,
                pushed: None,
            }),
            catalog: opened.catalog,
            duplicates,
            flushing: Mutex::default(),
            maintenance: Mutex::default(),
            counters: Counters::default(),
            closed: AtomicBool::new(false),
            _lock: lock,
        };
        let ms = env.clock.monotonic().saturating_sub(start).as_millis() as u64;
        store.counters.wal_corruptions.store(recovered.corruptions, Ordering::Relaxed);
        store.counters.replay_ms.store(ms, Ordering::Relaxed);
        tracing::info!(rows = store.state.read().active.rows, ms, "log store is open");
        Ok(store)
    }

    /// Refuses further writes, and writes what is in memory to parts, so that the next start is quick.
    pub fn close(&self) -> Result<(), ColumnarError> {
        self.closed.store(true, Ordering::SeqCst);
        self.log.sync()?;
        self.flush_all()
    }

    /// Changes how long logs are kept (configuration reload).
    pub fn set_retention(&self, retention: Retention) {
        *self.retention.write() = retention;
    }

    /// Adds a batch to the table and its record to the log; returns how far the log must be committed.
    fn insert(&self, tenant: &Tenant, batch: &LogBatch, mut record: Vec<u8>) -> (LogReport, Option<Seq>) {
        loop {
            let parts = Arc::clone(&self.state.read().parts);
            let mut known = self.duplicates.find(parts.of(tenant), batch, self.config.duplicate_reads);
            let mut state = self.state.write();
            if !Arc::ptr_eq(&state.parts, &parts) {
                // Rows may have moved from memory to a part that was not looked at.
                continue;
            }
            let state = &mut *state;
            let older = state.frozen.as_ref().map(|f| &f.table);
            let appended = state.active.insert(tenant, batch, older, &mut known);
            let report = LogReport { appended, duplicates: batch.len() - appended };
            if appended == 0 {
                // Who brought them first may not have been told yet that they are safe.
                return (report, state.pushed);
            }
            if report.duplicates > 0 {
                record = wal::encode(tenant, batch, |i| !known[i]);
            }
            let seq = state.next_seq;
            state.next_seq += 1;
            state.active.last_seq = seq;
            state.active.since.get_or_insert_with(|| self.env.clock.monotonic());
            wal::set_seq(&mut record, seq);
            // Pushed under the lock, so that the log has the batches in the order of their numbers.
            state.pushed = Some(self.log.push(&record));
            return (report, state.pushed);
        }
    }
}

impl LogAppender for Columnar {
    fn append_logs(&self, tenant: &Tenant, batch: &LogBatch) -> Result<LogReport, AppendError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(AppendError::Closed);
        }
        if batch.is_empty() {
            return Ok(LogReport::default());
        }
        self.log.ready().map_err(|e| append_error(&e))?;
        self.make_room()?;
        let record = wal::encode(tenant, batch, |_| true);
        if record.len() > MAX_RECORD_BYTES {
            return Err(AppendError::Limit { limit: "bytes of a batch", value: MAX_RECORD_BYTES as u64 });
        }
        let (report, seq) = self.insert(tenant, batch, record);
        self.counters.appended.fetch_add(report.appended as u64, Ordering::Relaxed);
        self.counters.duplicates.fetch_add(report.duplicates as u64, Ordering::Relaxed);
        if let Some(seq) = seq {
            self.log.commit(seq).map_err(|e| append_error(&e))?;
        }
        Ok(report)
    }
}

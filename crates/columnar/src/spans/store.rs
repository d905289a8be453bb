//! The store of spans: opening, appending.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use reba_disk::{Dir, DiskError, Env, Lock, Log, Seq};
use reba_model::{
    Tenant,
    spans::{SpanBatch, SpanView, TraceId},
};
use reba_storage::{AdminError, AppendError, SpanAdmin, SpanAppender, SpanReport};

use super::{
    hash::{self, Seeded},
    memory::{Known, KnownTrace, SpanTable},
    origins::Origins,
    part::{SpanPart, entry_hash},
    wal,
};
use crate::{
    ColumnarConfig, ColumnarError, ColumnarMetrics, Retention,
    catalog::{Catalog, PartSet},
    error::append_error,
    flush::Flushing,
    maintain::Maintenance,
    metrics::{Counters, Figures},
    part::LivePart,
    recover::read_log,
    state::{Rows as _, State},
    wal::set_seq,
};

/// Batches whose record would be longer are refused: a frame of the log holds less than 4 GiB.
const MAX_RECORD_BYTES: usize = 1 << 30;

/// How long spans are kept unless somebody says otherwise.
const KEEP: Duration = Duration::from_secs(7 * 86_400);

/// Hashes of traces of which there are spans in more than one place.
pub(super) type Shared = HashSet<u64, Seeded>;

/// An open store of spans.
#[derive(Debug)]
pub struct SpanStore {
    pub(super) env: Env,
    pub(super) config: ColumnarConfig,
    pub(super) retention: RwLock<Retention>,
    wal_dir: Dir,
    pub(super) log: Log,
    pub(super) state: RwLock<State<SpanTable, SpanPart>>,
    pub(super) catalog: Catalog<SpanPart>,
    /// Held by whoever writes the table to parts.
    pub(super) flushing: Mutex<Flushing>,
    /// Held by whoever merges or drops; taken before `flushing`.
    pub(super) maintenance: Mutex<Maintenance>,
    pub(super) counters: Counters,
    /// A trace of which a query finds spans in one place may have others if it is among these. There may be too many.
    pub(super) shared: RwLock<Arc<Shared>>,
    pub(super) origins: Arc<Origins>,
    closed: AtomicBool,
    _lock: Lock,
}

impl SpanStore {
    /// What fits a store of spans: kept for a week; a small table, since it is searched span by span.
    pub fn default_config() -> ColumnarConfig {
        let mut retention = Retention::default();
        retention.periods.keep = Some(KEEP);
        ColumnarConfig {
            flush_bytes: 32 << 20,
            memory_bytes: 96 << 20,
            flush_age: Duration::from_secs(5 * 60),
            max_part_streams: u64::MAX,
            retention,
            ..ColumnarConfig::default()
        }
    }

    /// Opens the store in `path`, made if there is none, and reads the log.
    ///
    /// # Errors
    /// If another process has it, or files cannot be read or written.
    pub fn open(env: &Env, path: impl Into<PathBuf>, config: ColumnarConfig) -> Result<Self, ColumnarError> {
        let start = env.clock.monotonic();
        let mut config = config.sane();
        config.max_part_streams = u64::MAX;
        let dir = env.dir(path)?;
        let lock = dir.lock("lock").map_err(|e| match e {
            DiskError::Io { cause, .. } if cause.kind() == io::ErrorKind::WouldBlock => {
                ColumnarError::Locked { path: dir.path().display().to_string() }
            }
            e => e.into(),
        })?;
        let wal_dir = dir.subdir("wal")?;
        let opened = Catalog::<SpanPart>::open(&dir)?;
        let mut shared = shared_by(&opened.parts);
        let mut table = SpanTable::default();
        let mut next_seq = opened.flushed_seq + 1;
        let corruptions = read_log(&wal_dir, opened.first_segment, &mut |frame| {
            match wal::seq_of(frame) {
                Some(seq) if seq <= opened.flushed_seq => return true,
                Some(_) => {}
                None => return false,
            }
            let Some(record) = wal::decode(frame) else { return false };
            let known = known(&opened.parts, &record.tenant, &record.batch, None);
            table.insert(&record.tenant, &record.batch, None, &known, &mut |id| {
                shared.insert(hash::of_trace(id));
            });
            table.last_seq = table.last_seq.max(record.seq);
            next_seq = next_seq.max(record.seq + 1);
            true
        })?;
        if !table.is_empty() {
            table.since = Some(env.clock.monotonic());
        }
        let log = Log::open(env, wal_dir.clone(), config.wal, opened.first_segment)?;
        let retention = std::mem::take(&mut config.retention);
        let parts = Arc::new(opened.parts);
        let store = SpanStore {
            env: env.clone(),
            config,
            retention: RwLock::new(retention),
            wal_dir,
            log,
            state: RwLock::new(State { active: table, frozen: None, parts, next_seq, pushed: None }),
            catalog: opened.catalog,
            flushing: Mutex::default(),
            maintenance: Mutex::default(),
            counters: Counters::default(),
            shared: RwLock::new(Arc::new(shared)),
            origins: Arc::default(),
            closed: AtomicBool::new(false),
            _lock: lock,
        };
        let ms = env.clock.monotonic().saturating_sub(start).as_millis() as u64;
        store.counters.wal_corruptions.store(corruptions, Ordering::Relaxed);
        store.counters.replay_ms.store(ms, Ordering::Relaxed);
        tracing::info!(rows = store.state.read().active.rows, ms, "span store is open");
        Ok(store)
    }

    /// Refuses further writes, and writes what is in memory to parts, so that the next start is quick.
    ///
    /// # Errors
    /// If that fails; what is in memory is in the log, too.
    pub fn close(&self) -> Result<(), ColumnarError> {
        self.closed.store(true, Ordering::SeqCst);
        self.log.sync()?;
        self.flush_all()
    }

    /// Changes how long spans are kept (configuration reload). Rules about streams do not apply to spans.
    pub fn set_retention(&self, retention: Retention) {
        *self.retention.write() = retention;
    }

    /// Makes a copy of the store, as [`Columnar::snapshot`](crate::Columnar::snapshot) does.
    ///
    /// # Errors
    /// If what is in memory cannot be written to parts, or files cannot be linked.
    pub fn snapshot(&self, name: &str) -> Result<PathBuf, ColumnarError> {
        self.flush_all()?;
        Ok(self.catalog.snapshot(name)?)
    }

    /// Figures for the metrics page.
    pub fn metrics(&self) -> ColumnarMetrics {
        let figures = Figures { wal: &self.wal_dir, log: &self.log, set_aside: &self.catalog.set_aside };
        let mut out = figures.metrics(&self.counters);
        let state = self.state.read();
        for table in state.tables() {
            out.memory_rows += table.rows;
            out.memory_bytes += table.bytes;
            out.memory_streams += table.trace_count() as u64;
        }
        for part in state.parts.all() {
            out.add_part(part.info(), part.bad_blocks());
        }
        out
    }

    /// Adds a batch to the table and its record to the log; returns how far the log must be committed.
    fn insert(&self, tenant: &Tenant, batch: &SpanBatch) -> Result<(SpanReport, Option<Seq>), AppendError> {
        let mut record = wal::encode(tenant, batch, |_| true);
        if record.len() > MAX_RECORD_BYTES {
            return Err(AppendError::Limit { limit: "bytes of a batch", value: MAX_RECORD_BYTES as u64 });
        }
        loop {
            let parts = Arc::clone(&self.state.read().parts);
            let known = known(&parts, tenant, batch, Some(self));
            let mut state = self.state.write();
            if !Arc::ptr_eq(&state.parts, &parts) {
                // Spans may have moved from memory to a part that was not looked at.
                continue;
            }
            let state = &mut *state;
            let older = state.frozen.as_ref().map(|f| &f.table);
            let mut shared = Vec::new();
            let added = state.active.insert(tenant, batch, older, &known, &mut |id| shared.push(id));
            if !shared.is_empty() {
                let mut all = self.shared.write();
                Arc::make_mut(&mut all).extend(shared.into_iter().map(hash::of_trace));
            }
            let appended = added.iter().filter(|is_new| **is_new).count();
            let report = SpanReport { appended, duplicates: added.len() - appended };
            if appended == 0 {
                // Who brought them first may not have been told yet that they are safe.
                return Ok((report, state.pushed));
            }
            if report.duplicates > 0 {
                record = wal::encode(tenant, batch, |i| added.get(i).copied().unwrap_or(false));
            }
            let seq = state.next_seq;
            state.next_seq += 1;
            state.active.last_seq = seq;
            state.active.since.get_or_insert_with(|| self.env.clock.monotonic());
            set_seq(&mut record, seq);
            // Pushed under the lock, so that the log has the batches in the order of their numbers.
            state.pushed = Some(self.log.push(&record));
            return Ok((report, state.pushed));
        }
    }
}

impl SpanAppender for SpanStore {
    fn append_spans(&self, tenant: &Tenant, batch: &SpanBatch) -> Result<SpanReport, AppendError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(AppendError::Closed);
        }
        if batch.is_empty() {
            return Ok(SpanReport::default());
        }
        self.log.ready().map_err(|e| append_error(&e))?;
        self.make_room()?;
        let (report, seq) = self.insert(tenant, batch)?;
        self.counters.appended.fetch_add(report.appended as u64, Ordering::Relaxed);
        self.counters.duplicates.fetch_add(report.duplicates as u64, Ordering::Relaxed);
        if let Some(seq) = seq {
            self.log.commit(seq).map_err(|e| append_error(&e))?;
        }
        Ok(report)
    }
}

impl SpanAdmin for SpanStore {
    fn flush_spans(&self) -> Result<(), AdminError> {
        Ok(self.flush_all()?)
    }
}

/// What parts know of the traces of a batch. Of traces that are in memory and in no part nothing is asked; without `store`, of all.
fn known(parts: &PartSet<SpanPart>, tenant: &Tenant, batch: &SpanBatch, store: Option<&SpanStore>) -> Known {
    let mut known: Known = HashMap::default();
    let mut last = None;
    for view in batch.groups().flat_map(|group| group.records().filter_map(SpanView::read)) {
        // Spans of a trace mostly follow each other.
        if last != Some(view.trace_id) {
            last = Some(view.trace_id);
            known.entry(view.trace_id).or_default();
        }
    }
    if let Some(store) = store {
        let state = store.state.read();
        if let Some(table) = state.active.tenant(tenant) {
            known.retain(|id, _| table.trace(*id).is_none_or(|trace| trace.is_shared));
        }
    }
    let parts = parts.of(tenant);
    if parts.is_empty() {
        return known;
    }
    for (id, trace) in &mut known {
        let hash = hash::of_trace(*id);
        for part in parts {
            // A part that cannot be read has been told of, and will be set aside.
            for place in part.find(hash).into_iter().flatten() {
                trace.in_parts |= ids(part, place, *id, trace);
            }
        }
    }
    known
}

/// Adds the spans that a block has of a trace; whether there are some.
fn ids(part: &SpanPart, place: &super::part::Place, id: TraceId, out: &mut KnownTrace) -> bool {
    let Some(block) = part.block(place) else { return false };
    let Some(trace) = block.find(id) else { return false };
    let found =
        block.rows_of(trace).and_then(|rows| Ok((rows, block.numbers_of(super::block::Kind::KindStatus)?)));
    match found {
        Ok((rows, codes)) => {
            out.spans.extend(rows.map(|row| (block.span_id(row), (codes[row] & 7) as u8)));
            true
        }
        Err(e) => {
            part.mark_bad(place, e.0);
            false
        }
    }
}

/// Traces of which several parts, or several blocks of one, have spans.
fn shared_by(parts: &PartSet<SpanPart>) -> Shared {
    let mut shared = Shared::default();
    for (_, parts) in parts.tenants() {
        let mut all: Vec<u64> = Vec::new();
        for part in parts {
            all.extend(part.index().into_iter().flatten().map(entry_hash));
        }
        all.sort_unstable();
        shared.extend(all.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]));
    }
    shared
}

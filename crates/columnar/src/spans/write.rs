//! From the table to parts, and from small parts to larger ones.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use reba_model::{
    Tenant,
    spans::{SpanBatch, SpanId, SpanView, TraceId},
};
use reba_storage::AppendError;

use super::{
    SpanStore,
    block::{MAX_BLOCK_ROWS, SpanRow, TARGET_BYTES, TARGET_ROWS},
    hash::{self, Seeded},
    memory::{MemTrace, SpanTable, TenantSpans},
    part::{Place, SpanPart, SpanPartWriter, entry_block, entry_hash},
};
use crate::{
    ColumnarError,
    catalog::Change,
    day::Day,
    flush::{Machine, Write},
    merge,
    part::{LivePart, PartSpec, file_name},
};

/// Spans that a merge puts together at a time: blocks whose traces are in several places, and small blocks. Others are copied.
const MAX_HELD_SPANS: u64 = 250_000;

/// Blocks of fewer rows are put together with others.
const SMALL_ROWS: u32 = TARGET_ROWS as u32 / 2;

impl SpanStore {
    /// Before an append: writes the table to parts if it is full.
    pub(super) fn make_room(&self) -> Result<(), AppendError> {
        self.machine(&|table, add| self.write_table(table, add)).make_room()
    }

    /// Writes the table if it is full or old.
    pub(super) fn flush_if_due(&self) -> Result<(), ColumnarError> {
        self.machine(&|table, add| self.write_table(table, add)).flush_if_due()
    }

    /// Writes everything that is in memory now to parts.
    pub(super) fn flush_all(&self) -> Result<(), ColumnarError> {
        self.machine(&|table, add| self.write_table(table, add)).flush_all()
    }

    fn machine<'a>(&'a self, write: &'a Write<'a, SpanTable, SpanPart>) -> Machine<'a, SpanTable, SpanPart> {
        let SpanStore { env, config, log, state, catalog, flushing, counters, .. } = self;
        Machine { env, config, log, state, catalog, flushing, counters, write }
    }

    fn write_table(&self, table: &SpanTable, add: &mut Vec<Arc<SpanPart>>) -> Result<(), ColumnarError> {
        for (tenant, spans) in table.tenants() {
            let mut days: BTreeMap<Day, Vec<(i64, TraceId, &MemTrace)>> = BTreeMap::new();
            for (id, trace) in spans.traces() {
                if trace.rows.len() > MAX_BLOCK_ROWS {
                    // It will lie in several blocks, of which each alone is not all of it.
                    Arc::make_mut(&mut self.shared.write()).insert(hash::of_trace(*id));
                }
                days.entry(Day::of(trace.min_ns)).or_default().push((trace.min_ns, *id, trace));
            }
            for (day, mut traces) in days {
                traces.sort_unstable_by_key(|(start, id, _)| (*start, *id));
                let traces: Vec<&MemTrace> = traces.into_iter().map(|(_, _, trace)| trace).collect();
                add.extend(self.write_day(tenant, day, spans, &traces)?);
            }
        }
        Ok(())
    }

    fn write_day(
        &self,
        tenant: &Tenant,
        day: Day,
        spans: &TenantSpans,
        traces: &[&MemTrace],
    ) -> Result<Option<Arc<SpanPart>>, ColumnarError> {
        let number = self.catalog.next_number();
        let spec = PartSpec { number, day, tenant: tenant.clone(), parents: Vec::new() };
        self.write_part(spec, |writer| {
            let mut blocks = Blocks::new(writer);
            for trace in traces {
                blocks.trace(trace.rows.iter().filter_map(|row| spans.row(row)).collect())?;
            }
            blocks.end()
        })
    }

    /// Writes a part and opens it; nothing of it is left after an error.
    pub(super) fn write_part(
        &self,
        spec: PartSpec,
        fill: impl FnOnce(&mut SpanPartWriter) -> Result<(), ColumnarError>,
    ) -> Result<Option<Arc<SpanPart>>, ColumnarError> {
        let dir = self.catalog.day_dir(spec.day)?;
        let mut writer = SpanPartWriter::new(&dir, spec)?;
        if let Err(e) = fill(&mut writer) {
            writer.abandon();
            return Err(e);
        }
        let tmp = writer.tmp_name();
        let number = writer.finish().inspect_err(|_| {
            if let Err(error) = dir.remove_file(&tmp) {
                tracing::debug!(%error, "an unfinished part is left for the next start");
            }
        })?;
        let Some(number) = number else { return Ok(None) };
        match SpanPart::open(&dir, number) {
            Ok(part) => Ok(Some(Arc::new(part))),
            Err(e) => {
                dir.remove_file(&file_name(number))?;
                Err(e.into())
            }
        }
    }

    /// Merges some parts, if there are such that should be one; whether there were. To be called by whoever holds `maintenance`.
    pub(super) fn merge_some(&self, now_ns: i64) -> Result<bool, ColumnarError> {
        let parts = Arc::clone(&self.state.read().parts);
        let Some(mut group) = merge::choose(&parts, now_ns, &self.config) else { return Ok(false) };
        group.sort_by_key(|p| p.info().number);
        let merged = self.merge(&group).inspect_err(|_| {
            self.counters.merges_failed.fetch_add(1, Ordering::Relaxed);
        })?;
        let bytes = group.iter().map(|p| p.info().bytes).sum();
        let (add, united): (Vec<_>, _) = (merged.iter().cloned().collect(), merged);
        self.catalog.commit(&self.state, Change { add, remove: group, flushed: false })?;
        if let Some(part) = united {
            // To remember too many costs little.
            if let Err(error) = self.forget_united(&part) {
                tracing::debug!(%error, "traces that are united now are not forgotten");
            }
        }
        self.counters.merges.fetch_add(1, Ordering::Relaxed);
        self.counters.merged_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(true)
    }

    /// Writes the spans of parts into one; those of a trace come together.
    pub(super) fn merge(&self, group: &[Arc<SpanPart>]) -> Result<Option<Arc<SpanPart>>, ColumnarError> {
        let Some(first) = group.first() else { return Ok(None) };
        let spec = PartSpec {
            number: self.catalog.next_number(),
            day: first.info().day,
            tenant: first.info().tenant.clone(),
            parents: group.iter().map(|p| p.info().number).collect(),
        };
        let together = to_unite(group);
        self.write_part(spec, |writer| {
            let mut all: Vec<(usize, &Place)> = group
                .iter()
                .enumerate()
                .flat_map(|(i, part)| part.blocks().iter().map(move |b| (i, b)))
                .collect();
            all.sort_by_key(|(i, place)| (place.min_ns, *i, place.number));
            let (mut held, mut spans) = (Vec::new(), 0);
            for (i, place) in all {
                let is_held = together.contains(&(i, place.number)) || place.rows < SMALL_ROWS;
                if is_held {
                    held.push((i, place));
                    spans += u64::from(place.rows);
                } else if let Some(bytes) = group[i].bytes(place)
                    && let Some(block) = group[i].block(place)
                {
                    writer.copy(place, &block, bytes)?;
                }
                if spans > MAX_HELD_SPANS {
                    unite(writer, group, &held)?;
                    held.clear();
                    spans = 0;
                }
            }
            unite(writer, group, &held)
        })
    }

    /// After a merge: traces that were in several parts may be in one now.
    fn forget_united(&self, part: &SpanPart) -> Result<(), ColumnarError> {
        let before = Arc::clone(&self.shared.read());
        let parts = Arc::clone(&self.state.read().parts);
        let tenant = &part.info().tenant;
        let mut united = Vec::new();
        for hash in part.index()?.iter().map(entry_hash).filter(|hash| before.contains(hash)) {
            let mut places = 0;
            for part in parts.of(tenant) {
                places += part.find(hash)?.count();
            }
            if places <= 1 {
                united.push(hash);
            }
        }
        drop(before);
        let state = self.state.read();
        if !Arc::ptr_eq(&state.parts, &parts) {
            // There is a new part that was not looked at. To remember too many costs little.
            return Ok(());
        }
        let tables = state.tables().filter_map(|table| table.tenant(tenant));
        let in_memory: HashSet<u64> =
            tables.flat_map(TenantSpans::traces).map(|(id, _)| hash::of_trace(*id)).collect();
        let mut shared = self.shared.write();
        let all = Arc::make_mut(&mut shared);
        for hash in united.iter().filter(|hash| !in_memory.contains(hash)) {
            all.remove(hash);
        }
        Ok(())
    }
}

/// Blocks that have spans of traces of which there are others in other blocks.
fn to_unite(group: &[Arc<SpanPart>]) -> BTreeSet<(usize, u32)> {
    let mut all: Vec<(u64, u32, u32)> = Vec::new();
    for (i, part) in group.iter().enumerate() {
        // Without its index a part is copied.
        all.extend(
            part.index().into_iter().flatten().map(|entry| (entry_hash(entry), i as u32, entry_block(entry))),
        );
    }
    all.sort_unstable();
    let mut out = BTreeSet::new();
    for same in all.chunk_by(|a, b| a.0 == b.0).filter(|same| same.len() > 1) {
        out.extend(same.iter().map(|(_, part, block)| (*part as usize, *block)));
    }
    out
}

/// Writes the traces of some blocks anew, each whole and each span once.
fn unite(
    writer: &mut SpanPartWriter,
    group: &[Arc<SpanPart>],
    held: &[(usize, &Place)],
) -> Result<(), ColumnarError> {
    let mut batch = SpanBatch::default();
    for (i, place) in held {
        let Some(block) = group[*i].block(place) else { continue };
        if let Err(e) = block.records(&|_| true, &mut batch) {
            group[*i].mark_bad(place, e.0);
        }
    }
    let mut traces: HashMap<TraceId, Vec<SpanRow<'_>>, Seeded> = HashMap::default();
    for part in batch.groups() {
        for view in part.records().filter_map(SpanView::read) {
            traces.entry(view.trace_id).or_default().push(SpanRow { view, source: part.source() });
        }
    }
    let mut traces: Vec<(i64, TraceId, Vec<SpanRow<'_>>)> = traces
        .into_iter()
        .map(|(id, rows)| (rows.iter().map(|row| row.view.start_ns).min().unwrap_or(0), id, rows))
        .collect();
    traces.sort_unstable_by_key(|(start, id, _)| (*start, *id));
    let mut blocks = Blocks::new(writer);
    for (_, _, mut rows) in traces {
        let mut seen: HashSet<(SpanId, u8), Seeded> = HashSet::default();
        rows.retain(|row| seen.insert((row.view.span_id, row.view.kind as u8)));
        blocks.trace(rows)?;
    }
    blocks.end()
}

/// Cuts traces into blocks.
struct Blocks<'w, 'a> {
    writer: &'w mut SpanPartWriter,
    traces: Vec<Vec<SpanRow<'a>>>,
    rows: usize,
    bytes: usize,
}

impl<'w, 'a> Blocks<'w, 'a> {
    fn new(writer: &'w mut SpanPartWriter) -> Self {
        Blocks { writer, traces: Vec::new(), rows: 0, bytes: 0 }
    }

    /// Adds a trace, whose spans come in any order.
    fn trace(&mut self, mut rows: Vec<SpanRow<'a>>) -> Result<(), ColumnarError> {
        rows.sort_by_key(|row| (row.view.start_ns, row.view.span_id));
        if rows.len() > MAX_BLOCK_ROWS {
            self.end()?;
            for piece in rows.chunks(MAX_BLOCK_ROWS) {
                self.writer.traces(&[piece])?;
            }
            return Ok(());
        }
        if self.rows + rows.len() > MAX_BLOCK_ROWS {
            self.end()?;
        }
        self.rows += rows.len();
        self.bytes += rows.iter().map(|row| row.view.byte_len()).sum::<usize>();
        self.traces.push(rows);
        if self.rows >= TARGET_ROWS || self.bytes >= TARGET_BYTES { self.end() } else { Ok(()) }
    }

    /// Writes what is there.
    fn end(&mut self) -> Result<(), ColumnarError> {
        if !self.traces.is_empty() {
            let traces: Vec<&[SpanRow<'_>]> = self.traces.iter().map(Vec::as_slice).collect();
            self.writer.traces(&traces)?;
        }
        self.traces.clear();
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

/// After a full disk nothing large is written for so long.
const FULL_DISK_PAUSE: Duration = Duration::from_secs(30);

impl SpanStore {
    /// Does what is due: fsync, retention, flush, a merge. Call it every second from one thread; it may take long, and appends
    /// and queries go on meanwhile. Returns whether there is more to do at once.
    ///
    /// # Errors
    /// If files cannot be written. It may be called again.
    pub fn maintain(&self, now_ms: i64) -> Result<bool, ColumnarError> {
        self.log.sync_if_due()?;
        let mut state = self.maintenance.lock();
        let state = &mut *state;
        self.catalog.settle(&self.state)?;
        // Retention first: it may be what makes room for the rest.
        self.retain(now_ms, &mut state.watch)?;
        self.flush_if_due()?;
        let clock = self.env.clock.monotonic();
        if state.not_before.is_some_and(|t| clock < t) {
            return Ok(false);
        }
        let result = self.rewrite(now_ms);
        let is_full = result.as_ref().is_err_and(ColumnarError::is_full);
        state.not_before = is_full.then(|| clock + FULL_DISK_PAUSE);
        result
    }

    fn rewrite(&self, now_ms: i64) -> Result<bool, ColumnarError> {
        self.heal()?;
        match self.merge_some(now_ms.saturating_mul(1_000_000)) {
            // It has been marked, and is set aside next time.
            Err(ColumnarError::Damaged { .. }) => Ok(true),
            result => result,
        }
    }

    /// Writes a part anew whose index or blocks are not all readable, if there is one: the index is made of the blocks again, and
    /// only blocks that are damaged are missing. The old part is set aside.
    fn heal(&self) -> Result<(), ColumnarError> {
        let parts = Arc::clone(&self.state.read().parts);
        let Some(part) = parts.all().find(|p| p.bad_blocks() > 0 || p.damage().is_some()) else {
            return Ok(());
        };
        let add = match self.merge(std::slice::from_ref(part)) {
            Ok(rest) => rest.into_iter().collect(),
            Err(ColumnarError::Damaged { .. }) => return Ok(()),
            Err(e) => return Err(e),
        };
        self.counters.bad_blocks.fetch_add(part.bad_blocks(), Ordering::Relaxed);
        let change = Change { add, remove: vec![Arc::clone(part)], flushed: false };
        Ok(self.catalog.commit(&self.state, change)?)
    }

    /// Drops parts that are too old or too many.
    fn retain(&self, now_ms: i64, watch: &mut crate::retention::Watch) -> Result<(), ColumnarError> {
        let parts = Arc::clone(&self.state.read().parts);
        let remove = crate::retention::outdated(&parts, &self.retention.read(), &self.env, now_ms, watch);
        if remove.is_empty() {
            return Ok(());
        }
        let count = remove.len() as u64;
        tracing::info!(parts = count, "parts of spans are dropped for their age or size");
        self.catalog.commit(&self.state, Change { remove, ..Change::default() })?;
        self.counters.parts_expired.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }
}

//! The newest spans, in memory until they are written to a part.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use reba_model::{
    NanoRange, Tenant,
    spans::{SpanBatch, SpanId, SpanView, TraceId},
};

use super::{block::SpanRow, hash::Seeded};
use crate::state::Rows;

/// Records are put together in pieces of this size, so that there are few of them.
const CHUNK: usize = 256 << 10;

/// Traces of more spans are searched for duplicates through a set.
const MANY: usize = 48;

/// What a trace costs besides its spans, roughly.
const TRACE_BYTES: u64 = 160;

/// Spans of all tenants.
#[derive(Debug, Default)]
pub(crate) struct SpanTable {
    tenants: BTreeMap<Tenant, TenantSpans>,
    /// Memory in use, roughly.
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    /// Monotonic time of the first row.
    pub(crate) since: Option<Duration>,
    /// Number of the newest batch.
    pub(crate) last_seq: u64,
}

impl Rows for SpanTable {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn is_empty(&self) -> bool {
        self.rows == 0
    }

    fn since(&self) -> Option<Duration> {
        self.since
    }

    fn last_seq(&self) -> u64 {
        self.last_seq
    }
}

/// Spans of one tenant.
#[derive(Debug, Default)]
pub(crate) struct TenantSpans {
    /// Records, one behind the other.
    chunks: Vec<Arc<Vec<u8>>>,
    /// What made spans.
    sources: Vec<Arc<[u8]>>,
    source_of: HashMap<Arc<[u8]>, u32, Seeded>,
    traces: HashMap<TraceId, MemTrace, Seeded>,
}

/// Spans of one trace, in the order they came.
#[derive(Debug)]
pub(crate) struct MemTrace {
    pub(crate) rows: Vec<RowRef>,
    pub(crate) min_ns: i64,
    pub(crate) max_ns: i64,
    /// Whether other spans of it are in parts, or in the table that is being written to one.
    pub(crate) is_shared: bool,
    seen: Option<HashSet<(SpanId, u8), Seeded>>,
}

/// Where a span stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowRef {
    chunk: u32,
    start: u32,
    end: u32,
    source: u32,
    span_id: SpanId,
    kind: u8,
}

/// What is known of the traces of a batch before it is inserted.
pub(crate) type Known = HashMap<TraceId, KnownTrace, Seeded>;

/// What is known of a trace elsewhere.
#[derive(Debug, Default)]
pub(crate) struct KnownTrace {
    /// Whether parts have spans of it.
    pub(crate) in_parts: bool,
    /// Which.
    pub(crate) spans: HashSet<(SpanId, u8), Seeded>,
}

impl MemTrace {
    fn holds(&self, id: SpanId, kind: u8) -> bool {
        match &self.seen {
            Some(seen) => seen.contains(&(id, kind)),
            None => self.rows.iter().any(|row| row.span_id == id && row.kind == kind),
        }
    }

    fn push(&mut self, row: RowRef, start_ns: i64) {
        if let Some(seen) = &mut self.seen {
            seen.insert((row.span_id, row.kind));
        }
        self.rows.push(row);
        if self.rows.len() == MANY {
            self.seen = Some(self.rows.iter().map(|row| (row.span_id, row.kind)).collect());
        }
        self.min_ns = self.min_ns.min(start_ns);
        self.max_ns = self.max_ns.max(start_ns);
    }
}

impl SpanTable {
    pub(crate) fn tenant(&self, tenant: &Tenant) -> Option<&TenantSpans> {
        self.tenants.get(tenant)
    }

    pub(crate) fn tenants(&self) -> impl Iterator<Item = (&Tenant, &TenantSpans)> {
        self.tenants.iter()
    }

    pub(crate) fn trace_count(&self) -> usize {
        self.tenants.values().map(|t| t.traces.len()).sum()
    }

    /// Adds the spans of a batch that are neither here, nor in `older`, nor `known` to be in parts. Says of each whether it was
    /// added, and calls `shared` for each trace that is found to be elsewhere, too.
    pub(crate) fn insert(
        &mut self,
        tenant: &Tenant,
        batch: &SpanBatch,
        older: Option<&SpanTable>,
        known: &Known,
        shared: &mut dyn FnMut(TraceId),
    ) -> Vec<bool> {
        let older = older.and_then(|table| table.tenant(tenant));
        if !self.tenants.contains_key(tenant) {
            self.tenants.insert(tenant.clone(), TenantSpans::default());
        }
        let mut added = Vec::with_capacity(batch.len());
        let Some(table) = self.tenants.get_mut(tenant) else { return added };
        for group in batch.groups().filter(|group| !group.is_empty()) {
            let source = table.source(group.source(), &mut self.bytes);
            for record in group.records() {
                let is_new = SpanView::read(record).is_some_and(|view| {
                    let is_new = table.add(&view, record, source, older, known, shared);
                    self.bytes += if is_new { (record.len() + size_of::<RowRef>()) as u64 } else { 0 };
                    is_new
                });
                self.rows += u64::from(is_new);
                added.push(is_new);
            }
        }
        self.bytes += TRACE_BYTES * known.len() as u64;
        added
    }
}

impl TenantSpans {
    fn source(&mut self, source: &[u8], bytes: &mut u64) -> u32 {
        if let Some(known) = self.source_of.get(source) {
            return *known;
        }
        let (number, source) = (self.sources.len() as u32, Arc::<[u8]>::from(source));
        *bytes += 2 * source.len() as u64 + 100;
        self.sources.push(Arc::clone(&source));
        self.source_of.insert(source, number);
        number
    }

    fn add(
        &mut self,
        view: &SpanView<'_>,
        record: &[u8],
        source: u32,
        older: Option<&TenantSpans>,
        known: &Known,
        shared: &mut dyn FnMut(TraceId),
    ) -> bool {
        let (id, kind) = (view.span_id, view.kind as u8);
        let stored = known.get(&view.trace_id);
        if stored.is_some_and(|trace| trace.spans.contains(&(id, kind))) {
            return false;
        }
        let before = older.and_then(|table| table.traces.get(&view.trace_id));
        if before.is_some_and(|trace| trace.holds(id, kind)) {
            return false;
        }
        let trace = self.traces.entry(view.trace_id).or_insert_with(|| {
            let is_shared = before.is_some() || stored.is_some_and(|trace| trace.in_parts);
            if is_shared {
                shared(view.trace_id);
            }
            MemTrace { rows: Vec::new(), min_ns: i64::MAX, max_ns: i64::MIN, is_shared, seen: None }
        });
        if trace.holds(id, kind) {
            return false;
        }
        let (chunk, start) = place(&mut self.chunks, record);
        let end = start + record.len() as u32;
        trace.push(RowRef { chunk, start, end, source, span_id: id, kind }, view.start_ns);
        true
    }

    pub(crate) fn trace(&self, id: TraceId) -> Option<&MemTrace> {
        self.traces.get(&id)
    }

    pub(crate) fn traces(&self) -> impl Iterator<Item = (&TraceId, &MemTrace)> {
        self.traces.iter().filter(|(_, trace)| !trace.rows.is_empty())
    }

    /// The span at a place.
    pub(crate) fn row(&self, row: &RowRef) -> Option<SpanRow<'_>> {
        read(&self.chunks, &self.sources, row)
    }

    /// What a query keeps of it: traces with spans in the range, and those of which there is more elsewhere.
    pub(crate) fn snapshot(&self, range: NanoRange) -> MemSnapshot {
        let mut out = MemSnapshot {
            chunks: self.chunks.clone(),
            sources: self.sources.clone(),
            rows: Vec::new(),
            traces: Vec::new(),
            shared: HashMap::default(),
        };
        for (id, trace) in self.traces() {
            let overlaps = range.start <= trace.max_ns && trace.min_ns < range.end;
            if !overlaps && !trace.is_shared {
                continue;
            }
            if trace.is_shared {
                out.shared.insert(*id, out.traces.len());
            }
            let start = out.rows.len();
            out.rows.extend_from_slice(&trace.rows);
            out.traces.push(SnapshotTrace {
                rows: start..out.rows.len(),
                min_ns: trace.min_ns,
                max_ns: trace.max_ns,
                is_shared: trace.is_shared,
            });
        }
        out
    }
}

fn read<'a>(chunks: &'a [Arc<Vec<u8>>], sources: &'a [Arc<[u8]>], row: &RowRef) -> Option<SpanRow<'a>> {
    let record = chunks.get(row.chunk as usize)?.get(row.start as usize..row.end as usize)?;
    Some(SpanRow { view: SpanView::read(record)?, source: sources.get(row.source as usize)? })
}

/// Keeps a record; returns its chunk and its place there.
fn place(chunks: &mut Vec<Arc<Vec<u8>>>, record: &[u8]) -> (u32, u32) {
    let count = chunks.len() as u32;
    if let Some(last) = chunks.last_mut()
        && last.len() + record.len() <= CHUNK
        // A query that reads it keeps it as it is.
        && let Some(last) = Arc::get_mut(last)
    {
        let start = last.len() as u32;
        last.extend_from_slice(record);
        return (count - 1, start);
    }
    chunks.push(Arc::new(record.to_vec()));
    (count, 0)
}

/// Spans of one tenant as a query sees them.
#[derive(Debug)]
pub(crate) struct MemSnapshot {
    chunks: Vec<Arc<Vec<u8>>>,
    sources: Vec<Arc<[u8]>>,
    rows: Vec<RowRef>,
    pub(crate) traces: Vec<SnapshotTrace>,
    /// Traces of which there is more elsewhere.
    shared: HashMap<TraceId, usize, Seeded>,
}

/// A trace of a snapshot.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotTrace {
    rows: std::ops::Range<usize>,
    pub(crate) min_ns: i64,
    pub(crate) max_ns: i64,
    pub(crate) is_shared: bool,
}

impl MemSnapshot {
    /// The spans of a trace, each with the number of what made it.
    pub(crate) fn spans(&self, trace: &SnapshotTrace) -> impl Iterator<Item = (SpanView<'_>, usize)> {
        let rows = self.rows.get(trace.rows.clone()).unwrap_or_default();
        let view =
            |row: &RowRef| read(&self.chunks, &self.sources, row).map(|r| (r.view, row.source as usize));
        rows.iter().filter_map(view)
    }

    /// What made spans, by number.
    pub(crate) fn sources(&self) -> &[Arc<[u8]>] {
        &self.sources
    }

    /// A trace of which there is more elsewhere.
    pub(crate) fn shared(&self, id: TraceId) -> Option<&SnapshotTrace> {
        self.shared.get(&id).and_then(|trace| self.traces.get(*trace))
    }

    /// How many spans there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

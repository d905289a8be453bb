//! Queries: traces by id, scans, names and values.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    ops::{ControlFlow, Range},
    sync::Arc,
};

use parking_lot::Mutex;
use reba_model::{
    NanoRange, Tenant,
    spans::{Span, SpanId, SpanView, TraceId},
};
use reba_storage::{
    AttributeScope, Budget, QueryError, ScanStats, SpanDetails, SpanField, SpanQuerier, SpanRequest,
    SpanRows, SpanScan, SpanValue, SpanWant,
};

use super::{
    SpanStore,
    block::{Context, FieldNames, SpanBlock, Wanted},
    filter::{self, Mask},
    hash::{self, Seeded},
    memory::{MemSnapshot, SnapshotTrace},
    origins::{BlockOrigins, Origin, Origins},
    part::{Place, SpanPart},
    store::Shared,
};
use crate::{block::BlockError, catalog::PartSet};

/// Traces of a block that are put together at a time, the newest first: a reader may have enough after a few. Then four times as many.
const FIRST_TRACES: usize = 32;

/// What all scans of a request share: the store at one moment.
#[derive(Debug)]
struct View {
    tenant: Tenant,
    parts: Arc<PartSet<SpanPart>>,
    /// The older table first, each with what made its spans.
    memory: Vec<(MemSnapshot, Vec<Origin>)>,
    shared: Arc<Shared>,
    origins: Arc<Origins>,
    contexts: Contexts,
}

/// What blocks are unpacked with, handed from one to the next.
#[derive(Default)]
struct Contexts(Mutex<Vec<Context>>);

impl fmt::Debug for Contexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contexts")
    }
}

impl Contexts {
    fn lend(&self, block: &SpanBlock<'_>) {
        block.lend(self.0.lock().pop());
    }

    fn take_back(&self, block: &SpanBlock<'_>) {
        self.0.lock().extend(block.take_back());
    }
}

impl View {
    fn is_shared(&self, id: TraceId) -> bool {
        !self.shared.is_empty() && self.shared.contains(&hash::of_trace(id))
    }

    /// All spans of a trace, wherever they are, each once.
    fn trace(&self, id: TraceId, budget: &Budget) -> Result<Vec<Span>, QueryError> {
        let mut spans = Vec::new();
        let hash = hash::of_trace(id);
        for part in self.parts.of(&self.tenant) {
            let Ok(places) = part.find(hash).map(|places| places.copied().collect::<Vec<Place>>()) else {
                budget.warn(left_out());
                continue;
            };
            for place in places {
                budget.spend(0, u64::from(place.len))?;
                spans.extend(self.of_block(part, &place, id, budget));
            }
        }
        for (memory, origins) in &self.memory {
            if let Some(trace) = memory.shared(id) {
                spans.extend(memory.spans(trace).filter_map(|row| span(&row, origins)));
            }
        }
        let mut seen: HashSet<(SpanId, u8), Seeded> = HashSet::default();
        spans.retain(|span: &Span| seen.insert((span.span_id, span.kind as u8)));
        spans.sort_by_key(|span| (span.start_ns, span.span_id));
        Ok(spans)
    }

    fn of_block(&self, part: &SpanPart, place: &Place, id: TraceId, budget: &Budget) -> Vec<Span> {
        let Some(block) = part.block(place) else {
            budget.warn(left_out());
            return Vec::new();
        };
        let read = || -> Result<Vec<Span>, BlockError> {
            let Some(trace) = block.find(id) else { return Ok(Vec::new()) };
            let rows: Vec<u32> = block.rows_of(trace)?.map(|row| row as u32).collect();
            block.spans(&rows, &Wanted::all(&block), &self.origins.of_block(&block)?)
        };
        read().unwrap_or_else(|e| {
            part.mark_bad(place, e.0);
            budget.warn(left_out());
            Vec::new()
        })
    }
}

/// A span of memory on its own.
fn span((view, source): &(SpanView<'_>, usize), origins: &[Origin]) -> Option<Span> {
    origins.get(*source).map(|origin| view.to_span(&origin.resource, &origin.scope))
}

/// What a reader is told of blocks that cannot be read.
fn left_out() -> String {
    "some stored spans are damaged and were left out".to_owned()
}

impl SpanStore {
    /// The store as it is now; of memory the traces with spans in the range, and those of which there is more elsewhere.
    fn view(&self, tenant: &Tenant, range: NanoRange) -> Arc<View> {
        let state = self.state.read();
        let tables = state.tables().filter_map(|table| table.tenant(tenant));
        Arc::new(View {
            tenant: tenant.clone(),
            memory: tables.map(|table| self.with_origins(table.snapshot(range))).collect(),
            parts: Arc::clone(&state.parts),
            shared: Arc::clone(&self.shared.read()),
            origins: Arc::clone(&self.origins),
            contexts: Contexts::default(),
        })
    }

    fn with_origins(&self, memory: MemSnapshot) -> (MemSnapshot, Vec<Origin>) {
        // What stands in memory was read when it came; nothing is left out here.
        let origin = |source: &Arc<[u8]>| self.origins.of(source).unwrap_or_default();
        let origins = memory.sources().iter().map(origin).collect();
        (memory, origins)
    }
}

/// Who looks at blocks.
type Visit<'v> = dyn FnMut(&SpanBlock<'_>, &[Origin]) -> Result<ControlFlow<()>, BlockError> + 'v;

impl View {
    /// Visits the blocks of parts near a range, until the reader breaks off.
    fn each_block(&self, range: NanoRange, budget: &Budget, visit: &mut Visit<'_>) -> Result<(), QueryError> {
        for part in self.parts.overlapping(&self.tenant, range) {
            for place in part.blocks().iter().filter(|place| place.overlaps(range)) {
                budget.spend(0, u64::from(place.len))?;
                let Some(block) = part.block(place) else {
                    budget.warn(left_out());
                    continue;
                };
                match self.origins.of_block(&block).and_then(|origins| visit(&block, &origins)) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => return Ok(()),
                    Err(e) => {
                        part.mark_bad(place, e.0);
                        budget.warn(left_out());
                    }
                }
            }
        }
        Ok(())
    }
}

impl SpanQuerier for SpanStore {
    fn trace(
        &self,
        tenant: &Tenant,
        id: TraceId,
        _range: Option<NanoRange>,
        budget: &Budget,
    ) -> Result<Vec<Span>, QueryError> {
        let (parts, mut spans) = {
            let state = self.state.read();
            let mut spans = Vec::new();
            for table in state.tables().filter_map(|table| table.tenant(tenant)) {
                let rows = table.trace(id).map_or(&[][..], |trace| trace.rows.as_slice());
                for row in rows.iter().filter_map(|row| table.row(row)) {
                    let Some(origin) = self.origins.of(row.source) else { continue };
                    spans.push(row.view.to_span(&origin.resource, &origin.scope));
                }
            }
            (Arc::clone(&state.parts), spans)
        };
        let (tenant, origins) = (tenant.clone(), Arc::clone(&self.origins));
        let view = View {
            tenant,
            parts,
            memory: Vec::new(),
            shared: Arc::default(),
            origins,
            contexts: Contexts::default(),
        };
        let stored = view.trace(id, budget)?;
        if spans.is_empty() {
            return Ok(stored);
        }
        spans.extend(stored);
        let mut seen: HashSet<(SpanId, u8), Seeded> = HashSet::default();
        spans.retain(|span| seen.insert((span.span_id, span.kind as u8)));
        spans.sort_by_key(|span| (span.start_ns, span.span_id));
        Ok(spans)
    }

    fn scan_spans(&self, request: &SpanRequest<'_>) -> Result<Vec<Box<dyn SpanScan>>, QueryError> {
        let range = request.range;
        let view = self.view(request.tenant, range);
        let asked = Arc::new(Asked { range, want: request.want.clone(), budget: Arc::clone(request.budget) });
        let mut scans: Vec<Box<dyn SpanScan>> = Vec::new();
        for table in 0..view.memory.len() {
            let (view, asked) = (Arc::clone(&view), Arc::clone(&asked));
            scans.push(Box::new(MemScan { view, asked, table }));
        }
        for part in view.parts.overlapping(request.tenant, range) {
            for place in part.blocks().iter().filter(|place| place.overlaps(range)) {
                let (view, asked, part) = (Arc::clone(&view), Arc::clone(&asked), Arc::clone(part));
                scans.push(Box::new(BlockScan { view, asked, part, place: *place }));
            }
        }
        scans.sort_by_cached_key(|scan| std::cmp::Reverse(scan.range().end));
        Ok(scans)
    }

    fn attribute_names(
        &self,
        tenant: &Tenant,
        range: NanoRange,
        budget: &Budget,
    ) -> Result<Vec<(AttributeScope, String)>, QueryError> {
        let view = self.view(tenant, range);
        let mut names = FieldNames::new();
        for (memory, origins) in &view.memory {
            for row in memory.traces.iter().flat_map(|trace| memory.spans(trace)) {
                let is_wanted = range.contains(row.0.start_ns);
                let Some(span) = is_wanted.then(|| span(&row, origins)).flatten() else { continue };
                names_of(&span, &mut names);
            }
        }
        view.each_block(range, budget, &mut |block, origins| {
            block.names(origins, &mut names)?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(names.into_iter().collect())
    }

    fn field_values(
        &self,
        tenant: &Tenant,
        field: &SpanField,
        range: NanoRange,
        budget: &Budget,
        visit: &mut dyn FnMut(SpanValue) -> ControlFlow<()>,
    ) -> Result<(), QueryError> {
        let view = self.view(tenant, range);
        let mut values = Vec::new();
        for (memory, origins) in &view.memory {
            for row in memory.traces.iter().flat_map(|trace| memory.spans(trace)) {
                let is_wanted = range.contains(row.0.start_ns);
                let Some(span) = is_wanted.then(|| span(&row, origins)).flatten() else { continue };
                field.values(&span, &mut values);
                for value in values.drain(..) {
                    if visit(value).is_break() {
                        return Ok(());
                    }
                }
            }
        }
        view.each_block(range, budget, &mut |block, origins| {
            if let Some(done) = block.values(field, origins, visit)? {
                return Ok(done);
            }
            let wanted = Wanted::of(&SpanDetails::Only(vec![field.clone()]), block);
            let rows: Vec<u32> = (0..block.rows() as u32).collect();
            for span in block.spans(&rows, &wanted, origins)? {
                field.values(&span, &mut values);
                for value in values.drain(..) {
                    if visit(value).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    fn tenants(&self) -> Vec<Tenant> {
        let state = self.state.read();
        let in_parts = state.parts.tenants().map(|(tenant, _)| tenant);
        let in_memory = state.tables().flat_map(|table| table.tenants().map(|(tenant, _)| tenant));
        let all: BTreeSet<&Tenant> = in_parts.chain(in_memory).collect();
        all.into_iter().cloned().collect()
    }
}

fn names_of(span: &Span, out: &mut FieldNames) {
    let mut all = |scope, attributes: &reba_model::spans::Attributes| {
        out.extend(attributes.iter().map(|(name, _)| (scope, name.to_owned())));
    };
    all(AttributeScope::Span, &span.attributes);
    all(AttributeScope::Resource, &span.resource.attributes);
    all(AttributeScope::Instrumentation, &span.scope.attributes);
    span.events.iter().for_each(|event| all(AttributeScope::Event, &event.attributes));
    span.links.iter().for_each(|link| all(AttributeScope::Link, &link.attributes));
}

/// What a request asks for.
#[derive(Debug)]
struct Asked {
    range: NanoRange,
    want: SpanWant,
    budget: Arc<Budget>,
}

impl Asked {
    /// Whether a trace matters, out of which needs are met by any of its spans.
    fn matters(&self, mut is_met: impl FnMut(usize) -> bool) -> bool {
        let needs = self.want.needs.len();
        match self.want.every {
            _ if needs == 0 => true,
            true => (0..needs).all(is_met),
            false => (0..needs).any(&mut is_met),
        }
    }
}

/// The spans of one table in memory.
struct MemScan {
    view: Arc<View>,
    asked: Arc<Asked>,
    table: usize,
}

impl SpanScan for MemScan {
    fn range(&self) -> NanoRange {
        let traces = self.view.memory.get(self.table).map_or(&[][..], |(memory, _)| &memory.traces);
        let min = traces.iter().map(|trace| trace.min_ns).min().unwrap_or(0);
        let max = traces.iter().map(|trace| trace.max_ns).max().unwrap_or(0);
        NanoRange::new(min, max.saturating_add(1))
    }

    fn run(
        self: Box<Self>,
        visit: &mut dyn FnMut(SpanRows) -> ControlFlow<()>,
    ) -> Result<ScanStats, QueryError> {
        let Some((memory, origins)) = self.view.memory.get(self.table) else {
            return Ok(ScanStats::default());
        };
        let stats = ScanStats { blocks: 1, rows: memory.len() as u64, ..ScanStats::default() };
        let mut traces: Vec<&SnapshotTrace> = memory.traces.iter().collect();
        traces.sort_by_key(|trace| std::cmp::Reverse(trace.min_ns));
        for (n, trace) in traces.into_iter().enumerate() {
            if n % 64 == 0 {
                self.asked.budget.check()?;
            }
            if let Some(rows) = self.rows(memory, origins, trace)?
                && visit(rows).is_break()
            {
                break;
            }
        }
        Ok(stats)
    }
}

impl MemScan {
    fn rows(
        &self,
        memory: &MemSnapshot,
        origins: &[Origin],
        trace: &SnapshotTrace,
    ) -> Result<Option<SpanRows>, QueryError> {
        let (range, want) = (self.asked.range, &self.asked.want);
        let is_wanted = |view: &SpanView<'_>| range.contains(view.start_ns);
        let meets = |need: usize, (view, source): &(SpanView<'_>, usize)| {
            origins.get(*source).is_some_and(|origin| filter::may_meet(&want.needs[need], view, origin))
        };
        if !want.whole_traces {
            let matters = |row: &(SpanView<'_>, usize)| {
                is_wanted(&row.0) && self.asked.matters(|need| meets(need, row))
            };
            let rows = memory.spans(trace).filter(matters);
            let spans: Vec<Span> = rows.filter_map(|row| span(&row, origins)).collect();
            return Ok((!spans.is_empty()).then_some(SpanRows::Spans(spans)));
        }
        let rows: Vec<(SpanView<'_>, usize)> = memory.spans(trace).collect();
        let Some((first, _)) = rows.iter().find(|(view, _)| is_wanted(view)) else { return Ok(None) };
        if trace.is_shared {
            let spans = self.view.trace(first.trace_id, &self.asked.budget)?;
            return Ok(Some(SpanRows::Trace { spans, again: true }));
        }
        if !self.asked.matters(|need| rows.iter().any(|row| meets(need, row))) {
            return Ok(None);
        }
        let spans = rows.iter().filter_map(|row| span(row, origins)).collect();
        Ok(Some(SpanRows::Trace { spans, again: false }))
    }
}

/// The spans of one block.
struct BlockScan {
    view: Arc<View>,
    asked: Arc<Asked>,
    part: Arc<SpanPart>,
    place: Place,
}

impl SpanScan for BlockScan {
    fn range(&self) -> NanoRange {
        NanoRange::new(self.place.min_ns, self.place.max_ns.saturating_add(1))
    }

    fn run(
        self: Box<Self>,
        visit: &mut dyn FnMut(SpanRows) -> ControlFlow<()>,
    ) -> Result<ScanStats, QueryError> {
        let BlockScan { view, asked, part, place } = &*self;
        asked.budget.spend(0, u64::from(place.len))?;
        let mut stats = ScanStats { blocks: 1, bytes_read: u64::from(place.len), ..ScanStats::default() };
        let Some(block) = part.block(place) else {
            asked.budget.warn(left_out());
            return Ok(stats);
        };
        view.contexts.lend(&block);
        let reading = Reading { view, asked, block: &block };
        match reading.run(visit) {
            Ok(Ok(true)) => stats.rows = u64::from(place.rows),
            Ok(Ok(false)) => stats = ScanStats { blocks_skipped: 1, ..stats },
            Ok(Err(e)) => return Err(e),
            Err(e) => {
                part.mark_bad(place, e.0);
                asked.budget.warn(left_out());
            }
        }
        view.contexts.take_back(&block);
        stats.bytes_decoded = block.unpacked();
        Ok(stats)
    }
}

/// A block that is being scanned.
struct Reading<'s, 'a> {
    view: &'s View,
    asked: &'s Asked,
    block: &'s SpanBlock<'a>,
}

impl Reading<'_, '_> {
    /// Whether something was found; what went wrong inside of the block, or outside of it.
    fn run(
        &self,
        visit: &mut dyn FnMut(SpanRows) -> ControlFlow<()>,
    ) -> Result<Result<bool, QueryError>, BlockError> {
        let (block, want) = (self.block, &self.asked.want);
        let origins = BlockOrigins::new(&self.view.origins, block);
        let mut masks = Vec::with_capacity(want.needs.len());
        for need in &want.needs {
            masks.push(filter::rows(need, block, &origins)?);
        }
        let wanted = Wanted::of(&want.details, block);
        if want.whole_traces {
            return self.traces(&masks, &wanted, &origins, visit);
        }
        if !want.needs.is_empty() && masks.iter().all(|mask| *mask == Mask::None) {
            return Ok(Ok(false));
        }
        let times = self.times()?;
        let matters = |row: &u32| {
            let row = *row as usize;
            self.asked.matters(|need| masks[need].has(row))
                && times.as_ref().is_none_or(|times| self.asked.range.contains(times[row]))
        };
        let rows: Vec<u32> = (0..block.rows() as u32).filter(matters).collect();
        if rows.is_empty() {
            return Ok(Ok(false));
        }
        let _ = visit(SpanRows::Spans(block.spans(&rows, &wanted, origins.get()?)?));
        Ok(Ok(true))
    }

    /// Starts of spans, if they have to be looked at: not if all of them are in the range.
    fn times(&self) -> Result<Option<Vec<i64>>, BlockError> {
        use super::block::Kind;
        let range = self.asked.range;
        let starts = self.block.numbers_of(Kind::TraceStarts)?;
        let offsets = self.block.numbers_of(Kind::Starts)?;
        let mut times = Vec::with_capacity(self.block.rows());
        for (trace, start) in starts.iter().enumerate() {
            times.extend(self.block.rows_of(trace)?.map(|row| start.wrapping_add(offsets[row])));
        }
        Ok((!times.iter().all(|ns| range.contains(*ns))).then_some(times))
    }

    fn traces(
        &self,
        masks: &[Mask],
        wanted: &Wanted,
        origins: &BlockOrigins<'_, '_>,
        visit: &mut dyn FnMut(SpanRows) -> ControlFlow<()>,
    ) -> Result<Result<bool, QueryError>, BlockError> {
        let block = self.block;
        let none = !masks.is_empty() && masks.iter().all(|mask| *mask == Mask::None);
        if none && self.view.shared.is_empty() {
            return Ok(Ok(false));
        }
        let times = self.times()?;
        let is_wanted = |rows: &Range<usize>| {
            times
                .as_ref()
                .is_none_or(|times| times[rows.clone()].iter().any(|ns| self.asked.range.contains(*ns)))
        };
        let (mut own, mut shared) = (Vec::new(), Vec::new());
        for trace in (0..block.traces()).rev() {
            let rows = block.rows_of(trace)?;
            if !is_wanted(&rows) {
                continue;
            }
            let id = block.trace_id(trace);
            if self.view.is_shared(id) {
                shared.push(id);
            } else if self.asked.matters(|need| masks[need].has_any(rows.clone())) {
                own.push(rows);
            }
        }
        let found = !own.is_empty() || !shared.is_empty();
        for id in shared {
            let spans = match self.view.trace(id, &self.asked.budget) {
                Ok(spans) => spans,
                Err(e) => return Ok(Err(e)),
            };
            if visit(SpanRows::Trace { spans, again: true }).is_break() {
                return Ok(Ok(found));
            }
        }
        let (mut start, mut count) = (0, FIRST_TRACES);
        while start < own.len() {
            let end = (start + count).min(own.len());
            // Blocks are read from their start: the newest come last.
            let traces: Vec<&Range<usize>> = own[start..end].iter().rev().collect();
            let rows: Vec<u32> =
                traces.iter().flat_map(|rows| (*rows).clone()).map(|row| row as u32).collect();
            let mut spans = block.spans(&rows, wanted, origins.get()?)?;
            for rows in traces.iter().rev() {
                let spans = spans.split_off(spans.len() - rows.len());
                if visit(SpanRows::Trace { spans, again: false }).is_break() {
                    return Ok(Ok(found));
                }
            }
            (start, count) = (end, count * 4);
        }
        Ok(Ok(found))
    }
}

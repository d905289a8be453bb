//! Reading: scans over parts and memory, and what streams there are.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use reba_model::{Labels, LogBatch, LogBlock, Matcher, NanoRange, Tenant, TextColumn};
use reba_storage::{
    Budget, LogCounter, LogHead, LogQuerier, LogRequest, LogScan, LogWant, MetadataWant, QueryError,
    ScanStats, StreamInfo,
};

use crate::{
    Columnar, ColumnarError,
    block::{Block, BlockError, MAX_ROWS, OwnedRow, ReadCost, Reading},
    memory::{RowRef, Table, text_bytes},
    part::{BlockRef, Part, small},
};

/// A scan has at most so many blocks, of so many bytes of text together: it is what one thread does at a time.
const SCAN_BLOCKS: usize = 32;
const SCAN_TEXT_BYTES: u64 = 16 << 20;

/// Rows of memory in one scan.
const SCAN_ROWS: usize = 16 << 10;

impl LogQuerier for Columnar {
    fn scan_logs(&self, request: &LogRequest<'_>) -> Result<Vec<Box<dyn LogScan>>, QueryError> {
        if request.range.is_empty() {
            return Ok(Vec::new());
        }
        let want = Arc::new(request.want.clone());
        let mut scans: Vec<Box<dyn LogScan>> = Vec::new();
        let parts = {
            // Memory and parts under one lock: a row is in one of them.
            let state = self.state.read();
            for table in state.tables() {
                memory_scans(table, request, &want, &mut scans);
            }
            Arc::clone(&state.parts)
        };
        for part in parts.overlapping(request.tenant, request.range) {
            request.budget.check()?;
            part_scans(part, request, &want, &mut scans)?;
        }
        Ok(scans)
    }

    fn streams(
        &self,
        tenant: &Tenant,
        sets: &[Vec<Matcher>],
        range: NanoRange,
        budget: &Budget,
    ) -> Result<Vec<StreamInfo>, QueryError> {
        let mut found: BTreeMap<Labels, StreamInfo> = BTreeMap::new();
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let parts = {
            let state = self.state.read();
            for table in state.tables() {
                streams_of_table(table, tenant, sets, range, &mut found);
            }
            Arc::clone(&state.parts)
        };
        for part in parts.overlapping(tenant, range) {
            budget.check()?;
            or_warn(streams_of_part(part, sets, range, budget, &mut found), budget)?;
        }
        Ok(found.into_values().collect())
    }

    fn tenants(&self) -> Vec<Tenant> {
        let state = self.state.read();
        let mut out: Vec<Tenant> = state.parts.tenants().map(|(t, _)| t.clone()).collect();
        for table in state.tables() {
            out.extend(table.tenants().filter(|(_, t)| t.streams().next().is_some()).map(|(t, _)| t.clone()));
        }
        out.sort_unstable();
        out.dedup();
        out
    }
}

/// A damaged part is left out of the answer, which says so. It is set aside by maintenance.
fn or_warn(result: Result<(), ReadError>, budget: &Budget) -> Result<(), QueryError> {
    match result {
        Err(ReadError::Store(e @ ColumnarError::Damaged { .. })) => {
            budget.warn(format!("logs are missing from the answer: {e}"));
            Ok(())
        }
        Err(ReadError::Store(e)) => Err(e.into()),
        Err(ReadError::Query(e)) => Err(e),
        Ok(()) => Ok(()),
    }
}

/// Either kind of error, as it comes out of a walk through a part.
enum ReadError {
    Store(ColumnarError),
    Query(QueryError),
}

impl From<ColumnarError> for ReadError {
    fn from(e: ColumnarError) -> Self {
        ReadError::Store(e)
    }
}

fn packed_labels(part: &Part, packed: &str) -> Result<Labels, ReadError> {
    Ok(Labels::from_packed(packed).ok_or_else(|| part.damaged("labels of a stream are malformed"))?)
}

fn part_scans(
    part: &Arc<Part>,
    request: &LogRequest<'_>,
    want: &Arc<LogWant>,
    scans: &mut Vec<Box<dyn LogScan>>,
) -> Result<(), QueryError> {
    let mut streams: Vec<Labels> = Vec::new();
    let mut blocks: Vec<(u32, BlockRef)> = Vec::new();
    let collected = part.matching(request.matchers).map_err(ReadError::Store).and_then(|wanted| {
        part.each_stream(wanted.as_ref(), request.range, &mut |entry| {
            let stream = streams.len() as u32;
            let mut near = entry.blocks.iter().filter(|b| b.overlaps(request.range)).peekable();
            if near.peek().is_some() {
                // First the labels: without them the blocks are nobody's.
                streams.push(packed_labels(part, entry.packed)?);
                blocks.extend(near.map(|b| (stream, *b)));
            }
            Ok(())
        })
    });
    or_warn(collected, request.budget)?;
    // Blocks that are close in time go together, so that a reader who wants the newest can leave the rest.
    blocks.sort_by_key(|(_, b)| (b.last_ns, b.first_ns));
    let streams: Arc<[Labels]> = streams.into();
    let mut rest = blocks.as_slice();
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |(_, b): &&(u32, BlockRef)| {
            bytes += b.text_bytes;
            bytes <= SCAN_TEXT_BYTES
        };
        let n = rest.iter().take(SCAN_BLOCKS).take_while(fits).count().max(1);
        let (group, later) = rest.split_at(n);
        rest = later;
        scans.push(Box::new(PartScan {
            part: Arc::clone(part),
            streams: Arc::clone(&streams),
            blocks: group.to_vec(),
            range: request.range,
            want: Arc::clone(want),
            budget: Arc::clone(request.budget),
        }));
    }
    Ok(())
}

struct PartScan {
    part: Arc<Part>,
    streams: Arc<[Labels]>,
    /// With the stream of each.
    blocks: Vec<(u32, BlockRef)>,
    range: NanoRange,
    want: Arc<LogWant>,
    budget: Arc<Budget>,
}

impl PartScan {
    fn warn(&self) {
        self.budget.warn("logs are missing from the answer: a block is damaged".into());
    }
}

impl LogScan for PartScan {
    fn range(&self) -> NanoRange {
        let first = self.blocks.iter().map(|(_, b)| b.first_ns).min().unwrap_or(0);
        let last = self.blocks.iter().map(|(_, b)| b.last_ns).max().unwrap_or(0);
        NanoRange::new(first, last.saturating_add(1)).intersection(self.range)
    }

    fn run(
        self: Box<Self>,
        visit: &mut dyn FnMut(LogBlock) -> ControlFlow<()>,
    ) -> Result<ScanStats, QueryError> {
        let (mut stats, mut reading) = (ScanStats::default(), Reading::default());
        for (stream, block) in &self.blocks {
            self.budget.check()?;
            if self.visit_block(*stream, block, &mut stats, &mut reading, visit)?.is_break() {
                break;
            }
        }
        Ok(stats)
    }

    fn run_counting(self: Box<Self>, counter: &mut dyn LogCounter) -> Result<ScanStats, QueryError> {
        let (mut stats, mut reading) = (ScanStats::default(), Reading::default());
        for (stream, block) in &self.blocks {
            self.budget.check()?;
            if let Some(head) = self.head(*stream, block, counter.wants_line_bytes())
                && counter.count(&head)
            {
                stats.blocks += 1;
                stats.blocks_skipped += 1;
                continue;
            }
            let visit = &mut |rows| counter.visit(rows);
            if self.visit_block(*stream, block, &mut stats, &mut reading, visit)?.is_break() {
                break;
            }
        }
        Ok(stats)
    }
}

impl PartScan {
    /// What the index tells of a block of which every row is wanted.
    fn head(&self, stream: u32, block: &BlockRef, line_bytes: bool) -> Option<LogHead<'_>> {
        let is_inside = self.range.contains(block.first_ns) && self.range.contains(block.last_ns);
        if !is_inside || block.rows == 0 || self.part.is_bad(block) {
            return None;
        }
        let measured = || Block::open(self.part.block(block)?).ok()?.line_bytes();
        Some(LogHead {
            stream: &self.streams[stream as usize],
            rows: u64::from(block.rows),
            line_bytes: if line_bytes && !block.is_small { measured() } else { None },
            first_ns: block.first_ns,
            last_ns: block.last_ns,
        })
    }

    /// Hands over the rows of a block, if any matters.
    fn visit_block(
        &self,
        stream: u32,
        block: &BlockRef,
        stats: &mut ScanStats,
        reading: &mut Reading,
        visit: &mut dyn FnMut(LogBlock) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, QueryError> {
        stats.blocks += 1;
        let labels = &self.streams[stream as usize];
        let Some(bytes) = self.part.block(block) else {
            self.warn();
            return Ok(ControlFlow::Continue(()));
        };
        reading.cost = ReadCost::default();
        let read = if block.is_small {
            stats.rows += u64::from(block.rows);
            reading.cost = ReadCost { bytes_read: bytes.len() as u64, bytes_decoded: block.text_bytes };
            let damaged = BlockError("rows contradict themselves");
            let rows = small::rows(bytes, block.rows, block.first_ns).ok_or(damaged);
            rows.map(|rows| block_of_small(labels, rows, self.range, &self.want))
        } else {
            Block::open(bytes).and_then(|opened| {
                if !opened.may_match(labels, &self.want.conditions, reading) {
                    stats.blocks_skipped += 1;
                    return Ok(None);
                }
                stats.rows += u64::from(block.rows);
                opened.read(labels, self.range, &self.want, reading)
            })
        };
        let cost = reading.cost;
        stats.bytes_read += cost.bytes_read;
        stats.bytes_decoded += cost.bytes_decoded;
        self.budget.spend(0, cost.bytes_read)?;
        Ok(match read {
            Ok(Some(rows)) => visit(rows),
            Ok(None) => ControlFlow::Continue(()),
            Err(e) => {
                self.part.mark_bad(block, e.0);
                self.warn();
                ControlFlow::Continue(())
            }
        })
    }
}

fn memory_scans(
    table: &Table,
    request: &LogRequest<'_>,
    want: &Arc<LogWant>,
    scans: &mut Vec<Box<dyn LogScan>>,
) {
    let Some(tenant) = table.tenant(request.tenant) else { return };
    let mut batches: Option<Arc<[Arc<LogBatch>]>> = None;
    let mut scan: Option<MemoryScan> = None;
    for (labels, stream) in tenant.streams() {
        if !stream.overlaps(request.range) || !Matcher::all(request.matchers, labels) {
            continue;
        }
        let rows: Vec<RowRef> =
            stream.rows.iter().filter(|r| request.range.contains(r.ns)).copied().collect();
        if rows.is_empty() {
            continue;
        }
        let open = scan.get_or_insert_with(|| MemoryScan {
            batches: Arc::clone(batches.get_or_insert_with(|| tenant.batches.clone().into())),
            streams: Vec::new(),
            rows: 0,
            want: Arc::clone(want),
            budget: Arc::clone(request.budget),
        });
        open.rows += rows.len();
        open.streams.push((labels.clone(), rows));
        if open.rows >= SCAN_ROWS
            && let Some(full) = scan.take()
        {
            scans.push(Box::new(full));
        }
    }
    scans.extend(scan.map(|s| Box::new(s) as Box<dyn LogScan>));
}

struct MemoryScan {
    batches: Arc<[Arc<LogBatch>]>,
    streams: Vec<(Labels, Vec<RowRef>)>,
    rows: usize,
    want: Arc<LogWant>,
    budget: Arc<Budget>,
}

impl LogScan for MemoryScan {
    fn range(&self) -> NanoRange {
        let times = || self.streams.iter().flat_map(|(_, rows)| rows).map(|r| r.ns);
        NanoRange::new(times().min().unwrap_or(0), times().max().unwrap_or(0).saturating_add(1))
    }

    fn run(
        mut self: Box<Self>,
        visit: &mut dyn FnMut(LogBlock) -> ControlFlow<()>,
    ) -> Result<ScanStats, QueryError> {
        let mut stats = ScanStats::default();
        for (labels, mut rows) in std::mem::take(&mut self.streams) {
            rows.sort_by_key(|r| r.ns);
            for rows in rows.chunks(MAX_ROWS) {
                self.budget.check()?;
                let bytes: usize = rows.iter().map(|r| text_bytes(&r.entry(&self.batches))).sum();
                self.budget.spend(0, bytes as u64)?;
                stats.blocks += 1;
                stats.rows += rows.len() as u64;
                stats.bytes_read += bytes as u64;
                stats.bytes_decoded += bytes as u64;
                if visit(block_of(&labels, rows, &self.batches, &self.want)).is_break() {
                    return Ok(stats);
                }
            }
        }
        Ok(stats)
    }
}

fn block_of(labels: &Labels, rows: &[RowRef], batches: &[Arc<LogBatch>], want: &LogWant) -> LogBlock {
    let entries = || rows.iter().map(|r| r.entry(batches));
    // Lines are at hand, and whoever wants parsed values can take them from there.
    LogBlock {
        stream: labels.clone(),
        times: rows.iter().map(|r| r.ns).collect(),
        lines: (want.lines || want.extract.is_some()).then(|| TextColumn::plain(entries().map(|e| e.line))),
        metadata: metadata_of(rows.len(), entries().map(|e| e.metadata()), &want.metadata),
        extracted: None,
    }
}

fn block_of_small(
    labels: &Labels,
    mut rows: Vec<OwnedRow>,
    range: NanoRange,
    want: &LogWant,
) -> Option<LogBlock> {
    rows.retain(|row| range.contains(row.ns));
    if rows.is_empty() {
        return None;
    }
    Some(LogBlock {
        stream: labels.clone(),
        times: rows.iter().map(|r| r.ns).collect(),
        lines: (want.lines || want.extract.is_some())
            .then(|| TextColumn::plain(rows.iter().map(|r| r.line.as_str()))),
        metadata: metadata_of(rows.len(), rows.iter().map(OwnedRow::pairs), &want.metadata),
        extracted: None,
    })
}

type Texts<'a> = (BTreeMap<&'a str, u32>, Vec<Arc<str>>, Vec<u32>);

/// Columns of the wanted metadata of so many rows.
fn metadata_of<'a, P: IntoIterator<Item = (&'a str, &'a str)>>(
    count: usize,
    rows: impl Iterator<Item = P>,
    want: &MetadataWant,
) -> Vec<(Arc<str>, TextColumn)> {
    let is_wanted = |name: &str| match want {
        MetadataWant::All => true,
        MetadataWant::Names(names) => names.iter().any(|n| n == name),
    };
    let mut columns: BTreeMap<&str, Texts<'_>> = BTreeMap::new();
    for (i, pairs) in rows.enumerate() {
        for (name, value) in pairs.into_iter().filter(|(name, _)| is_wanted(name)) {
            let (known, values, codes) = columns
                .entry(name)
                .or_insert_with(|| (BTreeMap::new(), Vec::new(), vec![TextColumn::ABSENT; count]));
            if codes[i] != TextColumn::ABSENT {
                // The first of a name counts.
                continue;
            }
            codes[i] = *known.entry(value).or_insert_with(|| {
                values.push(Arc::from(value));
                values.len() as u32 - 1
            });
        }
    }
    columns
        .into_iter()
        .map(|(name, (_, values, codes))| (Arc::from(name), TextColumn::Dict { values, codes }))
        .collect()
}

/// Adds what a stream has in one place.
fn add(found: &mut BTreeMap<Labels, StreamInfo>, labels: &Labels, entries: u64, bytes: u64, blocks: u64) {
    if entries == 0 {
        return;
    }
    let info = found.entry(labels.clone()).or_insert_with(|| StreamInfo {
        labels: labels.clone(),
        entries: 0,
        bytes: 0,
        blocks: 0,
    });
    info.entries += entries;
    info.bytes += bytes;
    info.blocks += blocks;
}

fn streams_of_table(
    table: &Table,
    tenant: &Tenant,
    sets: &[Vec<Matcher>],
    range: NanoRange,
    found: &mut BTreeMap<Labels, StreamInfo>,
) {
    let Some(tenant) = table.tenant(tenant) else { return };
    for (labels, stream) in tenant.streams().filter(|(_, s)| s.overlaps(range)) {
        if !sets.is_empty() && !sets.iter().any(|s| Matcher::all(s, labels)) {
            continue;
        }
        let (first, last) = stream.span();
        let (entries, bytes) = if range.contains(first) && range.contains(last) {
            (stream.rows.len() as u64, stream.text_bytes)
        } else {
            let inside = stream.rows.iter().filter(|r| range.contains(r.ns));
            inside.fold((0, 0), |(n, b), r| (n + 1, b + text_bytes(&r.entry(&tenant.batches)) as u64))
        };
        add(found, labels, entries, bytes, 1);
    }
}

fn streams_of_part(
    part: &Part,
    sets: &[Vec<Matcher>],
    range: NanoRange,
    budget: &Budget,
    found: &mut BTreeMap<Labels, StreamInfo>,
) -> Result<(), ReadError> {
    let mut wanted = None;
    for (i, set) in sets.iter().enumerate() {
        let of_set = part.matching(set)?;
        wanted = match (wanted, of_set) {
            (Some(w), Some(s)) if i > 0 => Some(w | s),
            (None, s) if i == 0 => s,
            _ => None,
        };
        if wanted.is_none() {
            break;
        }
    }
    part.each_stream(wanted.as_ref(), range, &mut |entry| {
        budget.check().map_err(|e| ReadError::Query(e.into()))?;
        let (mut entries, mut bytes, mut blocks) = (0, 0, 0);
        for block in entry.blocks.iter().filter(|b| b.overlaps(range)) {
            let share = share_inside(block, range);
            entries += ((f64::from(block.rows) * share).ceil() as u64).max(1);
            bytes += (block.text_bytes as f64 * share).ceil() as u64;
            blocks += 1;
        }
        if blocks > 0 {
            add(found, &packed_labels(part, entry.packed)?, entries, bytes, blocks);
        }
        Ok(())
    })
}

/// Which share of a block's time lies in the range.
fn share_inside(block: &BlockRef, range: NanoRange) -> f64 {
    let whole = NanoRange::new(block.first_ns, block.last_ns.saturating_add(1));
    let inside = whole.intersection(range);
    let length = |r: NanoRange| (i128::from(r.end) - i128::from(r.start)).max(0) as f64;
    if inside == whole { 1.0 } else { (length(inside) / length(whole)).clamp(0.0, 1.0) }
}

//! Merging small parts of one tenant and one day.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, atomic::Ordering},
};

use reba_model::Labels;

use crate::{
    Columnar, ColumnarConfig, ColumnarError,
    block::{MAX_ROWS, MAX_TEXT_BYTES, OwnedRow, Reading},
    catalog::{Change, PartSet},
    day::{DAY_NS, Day},
    duplicates::read,
    part::{BlockRef, LivePart, Part, PartInfo, PartSpec, PartWriter, StreamCursor},
};

/// Parts of about one size are merged when there are so many, and never more at a time than [`MAX_INPUTS`]. As long as blocks are
/// small, more parts are waited for, up to [`PATIENCE`]: then a row is encoded anew once or twice, and copied with its block after.
const MIN_INPUTS: usize = 4;
const PATIENCE: usize = 12;
const MAX_INPUTS: usize = 16;

/// The smallest level: parts up to this size are as good as equal.
const SMALLEST: u64 = 256 << 10;

/// Of parts of a day that is over, one is merged with smaller ones only if they have an eighth of its size together.
const WORTH: u64 = 8;

/// A day is over so long after its end: few late entries come after that.
const DAY_IS_OVER_NS: i64 = 2 * 3600 * 1_000_000_000;

/// Rows of a stream that are held in memory at a time, where blocks overlap.
const MAX_HELD_BYTES: usize = 32 << 20;

/// Which size class a part is in: each is four times as large as the one before.
fn level(info: &PartInfo) -> u32 {
    (info.bytes / SMALLEST).max(1).ilog(4)
}

/// Chooses parts that should be one, if there are such.
pub(crate) fn choose<P: LivePart>(
    parts: &PartSet<P>,
    now_ns: i64,
    config: &ColumnarConfig,
) -> Option<Vec<Arc<P>>> {
    let mut days: BTreeMap<Day, Vec<&Arc<P>>> = BTreeMap::new();
    for (_, parts) in parts.tenants() {
        days.clear();
        for part in parts.iter().filter(|p| p.info().bytes <= config.max_part_bytes / 2) {
            days.entry(part.info().day).or_default().push(part);
        }
        for (day, parts) in &mut days {
            parts.sort_by_key(|p| (p.info().bytes, p.info().number));
            let end = i64::from(day.0 + 1).saturating_mul(DAY_NS);
            let is_over = now_ns.saturating_sub(end) > DAY_IS_OVER_NS;
            if let Some(group) =
                equals(parts, config).or_else(|| if is_over { rest(parts, config) } else { None })
            {
                return Some(group);
            }
        }
    }
    None
}

/// As many of the smallest as may go into one part.
fn fitting<P: LivePart>(parts: &[&Arc<P>], config: &ColumnarConfig) -> Vec<Arc<P>> {
    let (mut bytes, mut streams) = (0, 0);
    let fits = |p: &&&Arc<P>| {
        bytes += p.info().bytes;
        streams += p.info().streams;
        bytes <= config.max_part_bytes && streams <= config.max_part_streams
    };
    parts.iter().take(MAX_INPUTS).take_while(fits).map(|p| Arc::clone(p)).collect()
}

/// Parts of one level, sorted by size.
fn equals<P: LivePart>(parts: &[&Arc<P>], config: &ColumnarConfig) -> Option<Vec<Arc<P>>> {
    parts
        .chunk_by(|a, b| level(a.info()) == level(b.info()))
        .map(|group| fitting(group, config))
        .find(|group| group.len() >= enough(group))
}

/// How many parts like these make blocks that are full.
fn enough<P: LivePart>(parts: &[Arc<P>]) -> usize {
    if parts.iter().all(|p| level(p.info()) == 0) {
        // The smallest cost next to nothing, and every one of them costs each query something.
        return MIN_INPUTS;
    }
    let sum = |of: fn(&PartInfo) -> u64| parts.iter().map(|p| of(p.info())).sum::<u64>();
    let blocks = sum(|i| i.blocks).max(1);
    let (bytes, rows) = (sum(|i| i.text_bytes) / blocks, sum(|i| i.rows) / blocks);
    let by_bytes = (MAX_TEXT_BYTES as u64).div_ceil(bytes.max(1));
    let by_rows = (MAX_ROWS as u64).div_ceil(rows.max(1));
    (by_bytes.min(by_rows) as usize).clamp(MIN_INPUTS, PATIENCE)
}

/// What is left of a day that is over.
fn rest<P: LivePart>(parts: &[&Arc<P>], config: &ColumnarConfig) -> Option<Vec<Arc<P>>> {
    let mut group = fitting(parts, config);
    while let Some((largest, smaller)) = group.split_last() {
        let together: u64 = smaller.iter().map(|p| p.info().bytes).sum();
        if together.saturating_mul(WORTH) >= largest.info().bytes {
            break;
        }
        group.pop();
    }
    (group.len() >= 2).then_some(group)
}

impl Columnar {
    /// Merges some parts, if there are such that should be one; whether there were. To be called by whoever holds `maintenance`.
    pub(crate) fn merge_some(&self, now_ns: i64) -> Result<bool, ColumnarError> {
        let parts = Arc::clone(&self.state.read().parts);
        let Some(mut group) = choose(&parts, now_ns, &self.config) else { return Ok(false) };
        group.sort_by_key(|p| p.info.number);
        let merged = self.merge(&group).inspect_err(|_| {
            self.counters.merges_failed.fetch_add(1, Ordering::Relaxed);
        })?;
        let bytes = group.iter().map(|p| p.info.bytes).sum();
        let change = Change { add: merged.into_iter().collect(), remove: group, flushed: false };
        self.catalog.commit(&self.state, change)?;
        self.counters.merges.fetch_add(1, Ordering::Relaxed);
        self.counters.merged_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(true)
    }

    /// Writes the rows of parts, older ones first, into one.
    fn merge(&self, group: &[Arc<Part>]) -> Result<Option<Arc<Part>>, ColumnarError> {
        let Some(first) = group.first() else { return Ok(None) };
        let spec = PartSpec {
            number: self.catalog.next_number(),
            day: first.info.day,
            tenant: first.info.tenant.clone(),
            parents: group.iter().map(|p| p.info.number).collect(),
        };
        self.write_part(spec, |writer| {
            let mut cursors =
                group.iter().map(|p| StreamCursor::new(Arc::clone(p))).collect::<Result<Vec<_>, _>>()?;
            let mut reading = Reading::default();
            while let Some(labels) = next_stream(&cursors) {
                let mut blocks = Vec::new();
                for (i, cursor) in cursors.iter_mut().enumerate() {
                    if cursor.labels() == Some(&labels)
                        && let Some((_, own)) = cursor.take()?
                    {
                        blocks.extend(own.into_iter().map(|b| (i, b)));
                    }
                }
                blocks.sort_by_key(|(i, b)| (b.first_ns, *i));
                StreamMerge::new(writer, group, &mut reading).run(&blocks)?;
                writer.end_stream(&labels);
            }
            Ok(())
        })
    }
}

/// The stream that comes first of those the cursors stand at.
fn next_stream(cursors: &[StreamCursor]) -> Option<Labels> {
    cursors.iter().filter_map(StreamCursor::labels).min_by(|a, b| a.as_packed().cmp(b.as_packed())).cloned()
}

/// Whether a block is large enough to be copied as it is.
fn is_large(block: &BlockRef) -> bool {
    block.rows as usize >= MAX_ROWS / 2 || block.text_bytes >= MAX_TEXT_BYTES as u64 / 2
}

/// Rows and bytes of text of a block, so that what has to be encoded anew becomes blocks of about one size: a small one at the end
/// would have to be encoded once more.
fn target(blocks: &[(usize, BlockRef)]) -> (usize, usize) {
    let small = || blocks.iter().map(|(_, b)| b).filter(|b| !is_large(b));
    let rows: usize = small().map(|b| b.rows as usize).sum();
    let bytes: usize = small().map(|b| b.text_bytes as usize).sum();
    let parts = rows.div_ceil(MAX_ROWS).max(bytes.div_ceil(MAX_TEXT_BYTES)).max(1);
    // A little more, since no cut is exact.
    let of = |all: usize, most: usize| (all.div_ceil(parts) + most / 64).min(most);
    (of(rows, MAX_ROWS), of(bytes, MAX_TEXT_BYTES))
}

/// Merges the blocks of one stream, by their first row.
struct StreamMerge<'a> {
    writer: &'a mut PartWriter,
    parts: &'a [Arc<Part>],
    reading: &'a mut Reading,
    /// How many rows and bytes of text are written into one block: as much in each of them.
    target: (usize, usize),
    /// Rows in their final order, not enough yet for a block.
    ready: Vec<OwnedRow>,
    ready_bytes: usize,
    /// Rows that later blocks may come before, with the number of their part.
    open: Vec<(usize, OwnedRow)>,
    open_bytes: usize,
}

impl<'a> StreamMerge<'a> {
    fn new(writer: &'a mut PartWriter, parts: &'a [Arc<Part>], reading: &'a mut Reading) -> Self {
        let (ready, open) = (Vec::new(), Vec::new());
        let target = (MAX_ROWS, MAX_TEXT_BYTES);
        StreamMerge { writer, parts, reading, target, ready, ready_bytes: 0, open, open_bytes: 0 }
    }

    fn run(mut self, blocks: &[(usize, BlockRef)]) -> Result<(), ColumnarError> {
        self.target = target(blocks);
        for (n, (part, block)) in blocks.iter().enumerate() {
            self.settle(block.first_ns)?;
            let next = blocks.get(n + 1).map_or(i64::MAX, |(_, b)| b.first_ns);
            let is_alone = self.open.is_empty() && block.last_ns < next;
            let is_large = blocks.len() == 1 || is_large(block);
            let source = Arc::clone(&self.parts[*part]);
            if is_alone && is_large {
                self.write(0)?;
                if let Some(bytes) = source.block(block) {
                    self.writer.copy(block, bytes)?;
                }
            } else if let Some(rows) = read(&source, block, self.reading) {
                self.open_bytes += rows.iter().map(OwnedRow::text_bytes).sum::<usize>();
                self.open.extend(rows.into_iter().map(|row| (*part, row)));
            }
            if self.open_bytes > MAX_HELD_BYTES {
                // Blocks may overlap: that costs a reader time and nothing else.
                self.settle(i64::MAX)?;
            }
        }
        self.settle(i64::MAX)?;
        self.write(0)
    }

    /// Gives the rows before `until` their final order, and leaves out those that are there twice.
    fn settle(&mut self, until: i64) -> Result<(), ColumnarError> {
        if self.open.is_empty() {
            return Ok(());
        }
        self.open.sort_by_key(|(part, row)| (row.ns, *part));
        let n = self.open.partition_point(|(_, row)| row.ns < until || until == i64::MAX);
        let rest = self.open.split_off(n);
        let settled = std::mem::replace(&mut self.open, rest);
        let mut rows = settled.into_iter().map(|(_, row)| row).peekable();
        // Of the rows at one time: where they begin, and what they are recognised by.
        let (mut start, mut seen) = (self.ready.len(), HashSet::new());
        while let Some(row) = rows.next() {
            let bytes = row.text_bytes();
            self.open_bytes -= bytes;
            let is_first = self.ready.get(start).is_none_or(|r| r.ns != row.ns);
            if is_first {
                start = self.ready.len();
                seen.clear();
            }
            let is_alone = is_first && rows.peek().is_none_or(|r| r.ns != row.ns);
            if !is_alone && !seen.insert(row.fingerprint()) && self.ready[start..].contains(&row) {
                continue;
            }
            self.ready_bytes += bytes;
            self.ready.push(row);
        }
        self.write(self.target.0)
    }

    /// Writes what is ready, if it is more than `rows` or as many bytes as a block may have.
    fn write(&mut self, rows: usize) -> Result<(), ColumnarError> {
        let (most_rows, most_bytes) = self.target;
        while self.ready.len() > rows || rows > 0 && self.ready_bytes > most_bytes {
            let mut bytes = 0;
            let fits = |row: &&OwnedRow| {
                bytes += row.text_bytes();
                bytes <= most_bytes
            };
            let n = self.ready.iter().take(most_rows).take_while(fits).count().max(1);
            let block: Vec<OwnedRow> = self.ready.drain(..n).collect();
            self.ready_bytes -= block.iter().map(OwnedRow::text_bytes).sum::<usize>();
            self.writer.owned_rows(&block)?;
        }
        Ok(())
    }
}

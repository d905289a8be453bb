//! Log queries: lines, the newest or the oldest first.

use std::{
    collections::BinaryHeap,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use parking_lot::Mutex;
use reba_logql::{
    pipeline::{LineState, Origin, Pipeline, Wanted},
    syntax::LogExpr,
};
use reba_model::{Labels, LogBlock, Matcher, NanoRange};
use reba_storage::{LogRow, LogWant, RowFilter};

use super::{
    Direction, Line, LineLabels, LogError, LogStats, plan,
    scans::{Context, Worker},
};

/// Which lines are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selection {
    pub(super) range: NanoRange,
    /// Fewest nanoseconds between two lines; 0: all lines.
    pub(super) interval: i64,
    pub(super) limit: usize,
    pub(super) direction: Direction,
}

/// Bytes of lines that are held while an answer is put together.
const MAX_HELD_BYTES: usize = 512 << 20;

/// The lines of the answer, in its order.
///
/// The range is asked for piece by piece, the piece where the answer begins first, each piece eight times as long as what came
/// before it: a query for the newest hundred lines of a busy stream reads a part of the range, and one that finds nothing reads
/// little twice (blocks that lie across a border).
pub(super) fn answer(
    log: &LogExpr,
    selection: Selection,
    context: Context<'_>,
    stats: &mut LogStats,
) -> Result<Vec<Line>, LogError> {
    let pipeline = Pipeline::compile(&log.stages, Wanted::All, context.now_ns)?;
    let want = LogWant { conditions: plan::conditions(log, None), ..LogWant::everything() };
    let mut lines: Vec<Line> = Vec::new();
    let mut kept_key = None;
    for range in pieces(selection) {
        let limit = selection.limit - lines.len();
        let piece = Piece {
            pipeline: &pipeline,
            direction: selection.direction,
            // Which lines an interval leaves out shows only when all are there.
            limit: if selection.interval == 0 { limit } else { usize::MAX },
            bound: AtomicI64::new(i64::MAX),
        };
        let rows = piece.rows(log, &want, range, context, stats)?;
        for row in rows {
            if kept_key.is_some_and(|kept: i64| row.key.saturating_sub(kept) < selection.interval) {
                continue;
            }
            if lines.len() == selection.limit {
                break;
            }
            kept_key = Some(row.key);
            lines.push(row.line);
        }
        if lines.len() == selection.limit {
            break;
        }
    }
    Ok(lines)
}

/// Shortest first piece.
const MIN_PIECE_NS: i64 = 60_000_000_000;

/// The range cut into pieces, in the order in which the answer needs them.
fn pieces(selection: Selection) -> Vec<NanoRange> {
    let NanoRange { start, end } = selection.range;
    if selection.range.is_empty() {
        return Vec::new();
    }
    let length = i128::from(end) - i128::from(start);
    let mut reach = (length / 64 + 1).max(i128::from(MIN_PIECE_NS));
    let mut pieces = Vec::new();
    let mut rest = selection.range;
    while !rest.is_empty() {
        // Within the range, so within 64 bits.
        let far = i64::try_from(reach).unwrap_or(i64::MAX);
        let whole = reach >= length;
        let piece = match selection.direction {
            _ if whole => rest,
            Direction::Backward => NanoRange::new(end.saturating_sub(far), rest.end),
            Direction::Forward => NanoRange::new(rest.start, start.saturating_add(far)),
        };
        match selection.direction {
            Direction::Backward => rest.end = piece.start,
            Direction::Forward => rest.start = piece.end,
        }
        pieces.push(piece);
        reach = reach.saturating_mul(8);
    }
    pieces
}

/// Time as the answer orders it: less is earlier in the answer.
fn key(direction: Direction, ns: i64) -> i64 {
    match direction {
        Direction::Forward => ns,
        Direction::Backward => !ns,
    }
}

/// One piece of the range.
struct Piece<'a> {
    pipeline: &'a Pipeline,
    direction: Direction,
    limit: usize,
    /// Lines behind this key do not belong to the answer any more: somebody holds enough before it.
    bound: AtomicI64,
}

impl Piece<'_> {
    fn rows(
        &self,
        log: &LogExpr,
        want: &LogWant,
        range: NanoRange,
        context: Context<'_>,
        stats: &mut LogStats,
    ) -> Result<Vec<Row>, LogError> {
        let scans = context.scans(&log.matchers, range, want)?;
        let mut scans: Vec<_> = scans.into_iter().enumerate().collect();
        scans.sort_by_key(|(_, scan)| self.first_key(scan.range()));
        let make = || Ok(RowWorker::new(self));
        let workers = context.run_scans(scans, &make)?;
        let mut rows = Vec::new();
        for worker in workers {
            stats.add(&worker.stats);
            rows.extend(worker.best);
        }
        stats.splits += 1;
        rows.sort_unstable();
        rows.truncate(self.limit);
        Ok(rows)
    }

    /// The first key that a row in a range may have.
    fn first_key(&self, range: NanoRange) -> i64 {
        match self.direction {
            Direction::Forward => range.start,
            Direction::Backward => key(self.direction, range.end.saturating_sub(1)),
        }
    }
}

/// A line that may belong to the answer.
#[derive(Debug)]
struct Row {
    key: i64,
    /// The stream, the scan and the place in it: lines of one time stay in the order in which they were written.
    stream: Labels,
    scan: usize,
    number: u64,
    line: Line,
}

impl Row {
    fn place(&self) -> (i64, &str, usize, u64) {
        (self.key, self.stream.as_packed(), self.scan, self.number)
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Row {}

impl PartialOrd for Row {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Row {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

/// One thread's share of the lines.
struct RowWorker<'a> {
    piece: &'a Piece<'a>,
    state: LineState,
    /// The best so far, the worst of them on top.
    best: BinaryHeap<Row>,
    held_bytes: usize,
    /// The labels of the line before, which are those of the next one most of the time.
    labels: Arc<LineLabels>,
    number: u64,
    stats: LogStats,
}

impl<'a> RowWorker<'a> {
    fn new(piece: &'a Piece<'a>) -> Self {
        RowWorker {
            piece,
            state: LineState::default(),
            best: BinaryHeap::new(),
            held_bytes: 0,
            labels: Arc::default(),
            number: 0,
            stats: LogStats::default(),
        }
    }

    /// Takes one row; false if no row behind it can belong to the answer.
    fn row(&mut self, scan: usize, block: &LogBlock, row: usize) -> Result<bool, LogError> {
        let ns = block.times[row];
        let key = key(self.piece.direction, ns);
        if key > self.piece.bound.load(Ordering::Relaxed) {
            return Ok(false);
        }
        self.stats.lines += 1;
        let line = block.lines.as_ref().and_then(|lines| lines.get(row)).unwrap_or("");
        let metadata = block.metadata.iter().filter_map(|(name, column)| Some((&**name, column.get(row)?)));
        if !self.piece.pipeline.run(&mut self.state, &block.stream, (ns, line), metadata) {
            return Ok(true);
        }
        self.stats.lines_passed += 1;
        let number = self.number + row as u64;
        let full = self.best.len() == self.piece.limit;
        if full {
            let worst = self.best.peek().map(Row::place);
            if worst.is_some_and(|worst| (key, block.stream.as_packed(), scan, number) > worst) {
                return Ok(true);
            }
        }
        self.share_labels();
        let text = self.state.line(line).to_owned();
        self.held_bytes += text.len();
        let line = Line { ns, text, labels: Arc::clone(&self.labels) };
        self.best.push(Row { key, stream: block.stream.clone(), scan, number, line });
        if full && let Some(out) = self.best.pop() {
            self.held_bytes -= out.line.text.len();
        }
        if self.best.len() == self.piece.limit
            && let Some(worst) = self.best.peek()
        {
            self.piece.bound.fetch_min(worst.key, Ordering::Relaxed);
        }
        if self.held_bytes > MAX_HELD_BYTES {
            return Err(LogError::bad(
                "the lines of the answer are larger than 512 MiB together; ask for fewer or for a shorter time",
            ));
        }
        Ok(true)
    }

    /// Makes `labels` those of the line in `state`.
    fn share_labels(&mut self) {
        let labels = line_labels(&self.state);
        if *self.labels != labels {
            self.labels = Arc::new(labels);
        }
    }
}

impl Worker for RowWorker<'_> {
    fn wants(&self, scan: NanoRange) -> bool {
        self.piece.first_key(scan) <= self.piece.bound.load(Ordering::Relaxed)
    }

    fn block(&mut self, scan: usize, block: &LogBlock) -> Result<ControlFlow<()>, LogError> {
        let rows = block.times.len();
        // From the end where the answer begins: what is behind a row that comes too late comes too late as well.
        for i in 0..rows {
            let row = match self.piece.direction {
                Direction::Forward => i,
                Direction::Backward => rows - 1 - i,
            };
            if !self.row(scan, block, row)? {
                break;
            }
        }
        self.number += rows as u64;
        Ok(ControlFlow::Continue(()))
    }

    fn stats(&mut self) -> &mut LogStats {
        &mut self.stats
    }
}

/// The labels of a line that has passed its pipeline.
pub(super) fn line_labels(state: &LineState) -> LineLabels {
    let all = state.final_labels();
    let of = |origin: Origin| {
        let mut pairs: Vec<_> =
            state.labels().filter(|(_, _, o)| *o == origin).map(|(n, v, _)| (n, v)).collect();
        pairs.sort_unstable();
        Labels::from_sorted_verbatim(pairs)
    };
    let (stream, metadata) = (of(Origin::Stream), of(Origin::Metadata));
    let rest = all.iter().filter(|(name, _)| stream.get(name).is_none() && metadata.get(name).is_none());
    LineLabels { parsed: Labels::from_sorted_verbatim(rest), all: all.clone(), stream, metadata }
}

/// The matchers of a query and, if it has a pipeline, which rows of the matching streams it selects: for deletions.
///
/// # Errors
/// If a stage makes no sense.
pub fn deletion_filter(log: &LogExpr) -> Result<(Vec<Matcher>, Option<Box<RowFilter>>), LogError> {
    if log.stages.is_empty() {
        return Ok((log.matchers.clone(), None));
    }
    let pipeline = Pipeline::compile(&log.stages, Wanted::All, 0)?;
    let state = Mutex::new(LineState::default());
    let filter = move |row: LogRow<'_>| {
        pipeline.run(&mut state.lock(), row.stream, (row.ns, row.line), row.metadata.iter().copied())
    };
    Ok((log.matchers.clone(), Some(Box::new(filter))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_the_range_once_beginning_where_the_answer_does() {
        let hour = 3_600_000_000_000;
        for direction in [Direction::Forward, Direction::Backward] {
            let range = NanoRange::new(5, 5 + 24 * hour);
            let selection = Selection { range, interval: 0, limit: 1, direction };
            let mut pieces = pieces(selection);
            assert_eq!(pieces.len(), 3, "{pieces:?}");
            if direction == Direction::Backward {
                pieces.reverse();
            }
            assert_eq!((pieces[0].start, pieces[2].end), (range.start, range.end));
            assert!(pieces.windows(2).all(|p| p[0].end == p[1].start));
        }
        let all = Selection { range: NanoRange::ALL, interval: 0, limit: 1, direction: Direction::Backward };
        assert!(pieces(all).len() < 6);
    }
}

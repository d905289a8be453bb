//! Reading a block, column by column.

use std::cell::OnceCell;

use reba_model::spans::{Span, SpanId, SpanKind, SpanStatus, TraceId};
use reba_storage::SpanNeed;

use super::{
    Kind, MAX_BLOCK_ROWS, Type, Wanted,
    columns::{Context, Strings, Unpacker, may_hold},
};
use crate::{
    block::{BlockError, wire::Reader},
    spans::{
        filter,
        origins::{BlockOrigins, Origins},
    },
};

/// Most columns that a reader accepts.
const MOST_COLUMNS: usize = 4096;

/// A column that is not read yet, or is.
pub(crate) struct Column<'a> {
    pub(crate) kind: Kind,
    pub(crate) type_: Type,
    /// Of an attribute.
    pub(crate) name: &'a str,
    pub(crate) count: usize,
    /// The least and the greatest of whole numbers.
    pub(crate) range: (i64, i64),
    bytes: &'a [u8],
    strings: OnceCell<Strings>,
    numbers: OnceCell<Vec<i64>>,
}

/// Which columns each row has values in.
pub(crate) struct Shapes {
    /// Columns by shape.
    pub(crate) table: Vec<Vec<u32>>,
    /// Shapes by row.
    pub(crate) of: Vec<u16>,
}

/// A block that can be read.
pub struct SpanBlock<'a> {
    rows: usize,
    traces: usize,
    columns: Vec<Column<'a>>,
    /// Where the columns begin that shapes name.
    first: usize,
    unpacker: std::cell::RefCell<Unpacker>,
    trace_ends: OnceCell<Vec<u32>>,
    shapes: OnceCell<Shapes>,
}

impl std::fmt::Debug for SpanBlock<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpanBlock")
            .field("rows", &self.rows)
            .field("traces", &self.traces)
            .finish_non_exhaustive()
    }
}

impl<'a> SpanBlock<'a> {
    /// Reads what a block consists of.
    ///
    /// # Errors
    /// If the bytes are not those of a block. What else is wrong with them is found when columns are read.
    pub fn open(bytes: &'a [u8]) -> Result<Self, BlockError> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != 1 {
            return Err(BlockError("unknown version"));
        }
        let (rows, traces) = (reader.u32()? as usize, reader.u32()? as usize);
        if rows > MAX_BLOCK_ROWS || traces > rows {
            return Err(BlockError("too many rows"));
        }
        let len = reader.u32()? as usize;
        let mut head = Reader::new(reader.take(len)?);
        let count = head.count(MOST_COLUMNS)?;
        let first = head.count(count)?;
        let mut columns = Vec::with_capacity(count);
        for _ in 0..count {
            columns.push(column(&mut head, &mut reader)?);
        }
        if !head.rest.is_empty() || !reader.rest.is_empty() {
            return Err(BlockError("has more bytes than it says"));
        }
        let (unpacker, trace_ends, shapes) = Default::default();
        let block = SpanBlock { rows, traces, columns, first, unpacker, trace_ends, shapes };
        let is_whole = |kind, count, len| {
            block
                .column(kind)
                .is_some_and(|column| column.count == count && (len == 0 || column.bytes.len() == len))
        };
        let sane = is_whole(Kind::TraceIds, traces, traces * 16)
            && is_whole(Kind::SpanIds, rows, rows * 8)
            && is_whole(Kind::TraceRows, traces, 0)
            && is_whole(Kind::TraceStarts, traces, 0)
            && [
                Kind::Parents,
                Kind::Starts,
                Kind::Durations,
                Kind::KindStatus,
                Kind::Sources,
                Kind::Shapes,
                Kind::Names,
            ]
            .into_iter()
            .all(|kind| is_whole(kind, rows, 0));
        if sane { Ok(block) } else { Err(BlockError("a column is missing")) }
    }

    /// Its spans, in their order.
    ///
    /// # Errors
    /// If a column is not what was written.
    pub fn all_spans(&self) -> Result<Vec<Span>, BlockError> {
        let origins = Origins::default().of_block(self)?;
        let rows: Vec<u32> = (0..self.rows as u32).collect();
        self.spans(&rows, &Wanted::all(self), &origins)
    }

    /// Rows that may meet a need: all that do, and perhaps others.
    ///
    /// # Errors
    /// If a column is not what was written.
    pub fn rows_that_may_meet(&self, need: &SpanNeed) -> Result<Vec<usize>, BlockError> {
        let mask = filter::rows(need, self, &BlockOrigins::new(&Origins::default(), self))?;
        Ok((0..self.rows).filter(|row| mask.has(*row)).collect())
    }

    /// How many spans it has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many traces it has.
    pub fn traces(&self) -> usize {
        self.traces
    }

    /// Lends it what another block was unpacked with.
    pub(crate) fn lend(&self, context: Option<Context>) {
        self.unpacker.borrow_mut().lend(context);
    }

    /// Gives back what it was lent, or made itself.
    pub(crate) fn take_back(&self) -> Option<Context> {
        self.unpacker.borrow_mut().take_back()
    }

    /// Bytes that were unpacked so far.
    pub(crate) fn unpacked(&self) -> u64 {
        self.unpacker.borrow().unpacked
    }

    /// The only column of that kind.
    pub(crate) fn column(&self, kind: Kind) -> Option<&Column<'a>> {
        self.columns.iter().find(|column| column.kind == kind)
    }

    /// Columns that shapes name, with their numbers.
    pub(crate) fn counted(&self) -> impl Iterator<Item = (u32, &Column<'a>)> {
        (0u32..).zip(self.columns.get(self.first..).unwrap_or_default())
    }

    /// A column that shapes name.
    pub(crate) fn number(&self, number: u32) -> Option<&Column<'a>> {
        self.columns.get(self.first + number as usize)
    }

    /// Where the rows of a trace begin and end.
    pub(crate) fn rows_of(&self, trace: usize) -> Result<std::ops::Range<usize>, BlockError> {
        let ends = self.trace_ends()?;
        let start = trace.checked_sub(1).and_then(|t| ends.get(t)).copied().unwrap_or(0);
        Ok(start as usize..ends.get(trace).copied().unwrap_or(start) as usize)
    }

    fn trace_ends(&self) -> Result<&Vec<u32>, BlockError> {
        once(&self.trace_ends, || {
            let mut end = 0i64;
            let mut ends = Vec::with_capacity(self.traces);
            for rows in self.numbers_of(Kind::TraceRows)? {
                end = end.saturating_add((*rows).max(0));
                ends.push(u32::try_from(end).unwrap_or(u32::MAX));
            }
            if end == self.rows as i64 { Ok(ends) } else { Err(BlockError("traces have other rows")) }
        })
    }

    /// Id of a trace.
    pub(crate) fn trace_id(&self, trace: usize) -> TraceId {
        let ids = self.column(Kind::TraceIds).map_or(&[][..], |column| column.bytes);
        ids.as_chunks::<16>().0.get(trace).copied().map(TraceId).unwrap_or_default()
    }

    /// The trace of that id, if it is here.
    pub(crate) fn find(&self, id: TraceId) -> Option<usize> {
        let ids = self.column(Kind::TraceIds)?.bytes;
        ids.as_chunks::<16>().0.iter().position(|other| *other == id.0)
    }

    /// Id of a span.
    pub(crate) fn span_id(&self, row: usize) -> SpanId {
        let ids = self.column(Kind::SpanIds).map_or(&[][..], |column| column.bytes);
        ids.as_chunks::<8>().0.get(row).copied().map(SpanId).unwrap_or_default()
    }

    /// The one of the parents outside that is `n`th.
    pub(crate) fn foreign_parent(&self, n: usize) -> SpanId {
        let ids = self.column(Kind::ForeignParents).map_or(&[][..], |column| column.bytes);
        ids.as_chunks::<8>().0.get(n).copied().map(SpanId).unwrap_or_default()
    }

    /// The numbers of a column that every row, or every trace, has.
    pub(crate) fn numbers_of(&self, kind: Kind) -> Result<&[i64], BlockError> {
        self.numbers(self.column(kind).ok_or(BlockError("a column is missing"))?)
    }

    /// The numbers of a column.
    pub(crate) fn numbers<'b>(&self, column: &'b Column<'a>) -> Result<&'b [i64], BlockError> {
        let read = || self.unpacker.borrow_mut().numbers(column.bytes, column.count);
        once(&column.numbers, read).map(Vec::as_slice)
    }

    /// The texts or blobs of a column.
    pub(crate) fn strings<'b>(&self, column: &'b Column<'a>) -> Result<&'b Strings, BlockError> {
        once(&column.strings, || {
            let mut unpacker = self.unpacker.borrow_mut();
            match column.type_ {
                Type::Text => unpacker.strings(column.bytes, column.count),
                _ => unpacker.only_blobs(column.bytes, column.count),
            }
        })
    }

    /// Texts of a column that a block need not have.
    pub(crate) fn list(&self, kind: Kind) -> Result<Option<&Strings>, BlockError> {
        self.column(kind).map(|column| self.strings(column)).transpose()
    }

    /// Whether a text may be among those of a column; no column is read for that.
    pub(crate) fn may_hold(column: &Column<'_>, text: &str) -> Result<bool, BlockError> {
        may_hold(column.bytes, text)
    }

    /// Which columns each row has.
    pub(crate) fn shapes(&self) -> Result<&Shapes, BlockError> {
        once(&self.shapes, || {
            let packed = self.list(Kind::ShapeTable)?.ok_or(BlockError("a column is missing"))?;
            let counted = (self.columns.len() - self.first) as u64;
            let mut table = Vec::with_capacity(packed.entries());
            for i in 0..packed.entries() {
                let mut reader = Reader::new(packed.get(i));
                let mut shape = Vec::new();
                while !reader.rest.is_empty() {
                    let column = reader.varint()?;
                    if column >= counted {
                        return Err(BlockError("a shape has a column that is not there"));
                    }
                    shape.push(column as u32);
                }
                table.push(shape);
            }
            let shape = |n: &i64| u16::try_from(*n).ok().filter(|n| usize::from(*n) < table.len());
            let of: Option<Vec<u16>> = self.numbers_of(Kind::Shapes)?.iter().map(shape).collect();
            Ok(Shapes { of: of.ok_or(BlockError("a row has a shape that is not there"))?, table })
        })
    }

    /// The part a span plays.
    pub(crate) fn kind_and_status(code: i64) -> (SpanKind, SpanStatus) {
        let kind = SpanKind::ALL.get((code & 7) as usize).copied().unwrap_or_default();
        (kind, SpanStatus::ALL.get((code >> 3 & 3) as usize).copied().unwrap_or_default())
    }
}

/// Reads a column's place.
fn column<'a>(head: &mut Reader<'a>, body: &mut Reader<'a>) -> Result<Column<'a>, BlockError> {
    let kind = Kind::of(head.byte()?).ok_or(BlockError("unknown column"))?;
    let type_ = Type::of(head.byte()?).ok_or(BlockError("unknown type"))?;
    let name = if kind == Kind::Attribute { head.text()? } else { "" };
    let count = head.count(MAX_BLOCK_ROWS)?;
    let len = head.count(usize::MAX)?;
    let range = if type_ == Type::Int { (head.signed()?, head.signed()?) } else { (i64::MIN, i64::MAX) };
    let bytes = body.take(len)?;
    let (strings, numbers) = Default::default();
    Ok(Column { kind, type_, name, count, range, bytes, strings, numbers })
}

/// Fills a cell at its first use.
pub(in crate::spans) fn once<T>(
    cell: &OnceCell<T>,
    read: impl FnOnce() -> Result<T, BlockError>,
) -> Result<&T, BlockError> {
    if cell.get().is_none() {
        // Nobody else fills it meanwhile: a block belongs to one thread.
        let _ = cell.set(read()?);
    }
    cell.get().ok_or(BlockError("cannot be read"))
}

//! From columns back to spans.

use reba_model::spans::{
    AttributeValue, Attributes, Item, Span, SpanBatch, SpanBatchFull, SpanEvent, SpanExtra, SpanHead, SpanId,
    SpanLink, ValueRef, read_items,
};
use reba_storage::{AttributeScope, SpanDetails, SpanField};

use super::{Column, Kind, Shapes, SpanBlock, Type};
use crate::{
    block::{BlockError, wire::Reader},
    spans::origins::Origin,
};

/// Which columns of a block are wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted(Vec<bool>);

impl Wanted {
    pub(crate) fn all(block: &SpanBlock<'_>) -> Self {
        Wanted(vec![true; block.counted().count()])
    }

    pub(crate) fn of(details: &SpanDetails, block: &SpanBlock<'_>) -> Self {
        let SpanDetails::Only(fields) = details else { return Self::all(block) };
        Wanted(block.counted().map(|(_, column)| fields.iter().any(|field| has(column, field))).collect())
    }
}

/// Whether a column has something of the field.
fn has(column: &Column<'_>, field: &SpanField) -> bool {
    match (column.kind, field) {
        (Kind::Attribute, SpanField::Attribute { scope: None | Some(AttributeScope::Span), name }) => {
            column.name == name
        }
        (Kind::Rest, SpanField::Attribute { scope: None | Some(AttributeScope::Span), .. })
        | (Kind::StatusMessage, SpanField::StatusMessage)
        | (
            Kind::Events,
            SpanField::EventName
            | SpanField::EventTime
            | SpanField::Attribute { scope: Some(AttributeScope::Event), .. },
        )
        | (
            Kind::Links,
            SpanField::LinkTraceId
            | SpanField::LinkSpanId
            | SpanField::Attribute { scope: Some(AttributeScope::Link), .. },
        ) => true,
        _ => false,
    }
}

/// Goes through the rows of a block and knows where the values of each stand.
struct Walk<'b, 'a> {
    block: &'b SpanBlock<'a>,
    shapes: &'b Shapes,
    /// By shape the columns that are wanted.
    columns: Vec<Vec<u32>>,
    /// By column how many values stand before the row.
    before: Vec<u32>,
    row: usize,
    trace: usize,
    rows_of_trace: std::ops::Range<usize>,
    parents: &'b [i64],
    foreign: usize,
}

impl<'b, 'a> Walk<'b, 'a> {
    fn new(block: &'b SpanBlock<'a>, wanted: &Wanted) -> Result<Self, BlockError> {
        let shapes = block.shapes()?;
        let is_wanted = |column: &u32| wanted.0.get(*column as usize).copied().unwrap_or(false);
        Ok(Walk {
            block,
            shapes,
            columns: shapes.table.iter().map(|s| s.iter().copied().filter(is_wanted).collect()).collect(),
            before: vec![0; wanted.0.len()],
            row: 0,
            trace: 0,
            rows_of_trace: block.rows_of(0)?,
            parents: block.numbers_of(Kind::Parents)?,
            foreign: 0,
        })
    }

    fn shape(&self) -> &[u32] {
        let shape = self.shapes.of.get(self.row).copied().unwrap_or(0);
        self.columns.get(usize::from(shape)).map_or(&[], Vec::as_slice)
    }

    fn has_foreign_parent(&self) -> bool {
        self.parents.get(self.row).is_some_and(|p| *p > self.rows_of_trace.len() as i64)
    }

    /// Goes to a row that is not before the one it stands at.
    fn go_to(&mut self, row: usize) -> Result<(), BlockError> {
        while self.row < row {
            let shape = usize::from(self.shapes.of.get(self.row).copied().unwrap_or(0));
            for column in self.columns.get(shape).map_or(&[][..], Vec::as_slice) {
                self.before[*column as usize] += 1;
            }
            self.foreign += usize::from(self.has_foreign_parent());
            self.row += 1;
            while self.row >= self.rows_of_trace.end && self.trace + 1 < self.block.traces() {
                self.trace += 1;
                self.rows_of_trace = self.block.rows_of(self.trace)?;
            }
        }
        Ok(())
    }

    fn parent(&self) -> SpanId {
        match self.parents.get(self.row).copied().unwrap_or(0) {
            0 => SpanId::NONE,
            _ if self.has_foreign_parent() => self.block.foreign_parent(self.foreign),
            // A negative number is in no block that we wrote.
            n => usize::try_from(n.saturating_sub(1))
                .map_or(SpanId::NONE, |n| self.block.span_id(self.rows_of_trace.start.saturating_add(n))),
        }
    }

    /// Calls for each value of the row.
    fn values(
        &self,
        visit: &mut dyn FnMut(&Column<'a>, Cell<'_>) -> Result<(), BlockError>,
    ) -> Result<(), BlockError> {
        for number in self.shape() {
            let column = self.block.number(*number).ok_or(BlockError("a column is missing"))?;
            let place = self.before[*number as usize] as usize;
            if place >= column.count {
                return Err(BlockError("a column has too few values"));
            }
            let cell = match column.type_ {
                Type::Text => Cell::Text(
                    std::str::from_utf8(self.block.strings(column)?.get(place))
                        .map_err(|_| BlockError("is not UTF-8"))?,
                ),
                Type::Raw | Type::Blob => Cell::Blob(self.block.strings(column)?.get(place)),
                Type::Int | Type::Float | Type::Bool => {
                    Cell::Number(self.block.numbers(column)?.get(place).copied().unwrap_or(0))
                }
            };
            visit(column, cell)?;
        }
        Ok(())
    }
}

/// A value of a row.
#[derive(Clone, Copy)]
enum Cell<'b> {
    Text(&'b str),
    Number(i64),
    Blob(&'b [u8]),
}

impl SpanBlock<'_> {
    /// Spans of rows, which rise, with the columns that are wanted. `origins` are those of the block.
    pub(crate) fn spans(
        &self,
        rows: &[u32],
        wanted: &Wanted,
        origins: &[Origin],
    ) -> Result<Vec<Span>, BlockError> {
        let mut walk = Walk::new(self, wanted)?;
        let names = self.list(Kind::Names)?.ok_or(BlockError("a column is missing"))?;
        let (starts, durations) = (self.numbers_of(Kind::Starts)?, self.numbers_of(Kind::Durations)?);
        let (codes, sources) = (self.numbers_of(Kind::KindStatus)?, self.numbers_of(Kind::Sources)?);
        let trace_starts = self.numbers_of(Kind::TraceStarts)?;
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            let row = *row as usize;
            if row >= self.rows() {
                return Err(BlockError("a row that is not there"));
            }
            walk.go_to(row)?;
            let (kind, status) = SpanBlock::kind_and_status(codes[row]);
            let start_ns = trace_starts[walk.trace].wrapping_add(starts[row]);
            let origin = usize::try_from(sources[row])
                .ok()
                .and_then(|source| origins.get(source))
                .ok_or(BlockError("a source is missing"))?;
            let mut span = Span {
                trace_id: self.trace_id(walk.trace),
                span_id: self.span_id(row),
                parent_id: walk.parent(),
                name: std::str::from_utf8(names.get(row)).map_err(|_| BlockError("is not UTF-8"))?.to_owned(),
                kind,
                status,
                start_ns,
                end_ns: start_ns.wrapping_add(durations[row]),
                resource: origin.resource.clone(),
                scope: origin.scope.clone(),
                ..Span::default()
            };
            walk.values(&mut |column, cell| fill(&mut span, column, cell))?;
            out.push(span);
        }
        Ok(out)
    }

    /// The rows of some traces as records, each behind what made it.
    pub(crate) fn records(
        &self,
        traces: &dyn Fn(usize) -> bool,
        out: &mut SpanBatch,
    ) -> Result<(), BlockError> {
        let full = |_: SpanBatchFull| BlockError("spans take more than a batch holds");
        let mut walk = Walk::new(self, &Wanted::all(self))?;
        let names = self.list(Kind::Names)?.ok_or(BlockError("a column is missing"))?;
        let (starts, durations) = (self.numbers_of(Kind::Starts)?, self.numbers_of(Kind::Durations)?);
        let (codes, sources) = (self.numbers_of(Kind::KindStatus)?, self.numbers_of(Kind::Sources)?);
        let trace_starts = self.numbers_of(Kind::TraceStarts)?;
        let table = self.list(Kind::SourceTable)?.ok_or(BlockError("a column is missing"))?;
        let mut source = None;
        for trace in (0..self.traces()).filter(|trace| traces(*trace)) {
            for row in self.rows_of(trace)? {
                walk.go_to(row)?;
                if source != Some(sources[row]) {
                    source = Some(sources[row]);
                    let place = usize::try_from(sources[row]).ok().filter(|place| *place < table.entries());
                    out.begin_raw_group(table.entry(place.ok_or(BlockError("a source is missing"))?));
                }
                let (kind, status) = SpanBlock::kind_and_status(codes[row]);
                let start_ns = trace_starts[trace].wrapping_add(starts[row]);
                let (mut message, mut state, mut extra) =
                    (String::new(), String::new(), SpanExtra::default());
                let mut writer = out.span();
                walk.values(&mut |column, cell| {
                    match (column.kind, column.type_, cell) {
                        (Kind::StatusMessage, _, Cell::Text(text)) => text.clone_into(&mut message),
                        (Kind::TraceState, _, Cell::Text(text)) => text.clone_into(&mut state),
                        (Kind::Extra, _, Cell::Blob(bytes)) => extra = extra_of(bytes)?,
                        (_, _, Cell::Blob(bytes)) => writer.raw(bytes),
                        (_, _, Cell::Text(text)) => writer.attribute(column.name, ValueRef::Str(text)),
                        (_, Type::Float, Cell::Number(n)) => {
                            writer.attribute(column.name, ValueRef::Float(f64::from_bits(n as u64)));
                        }
                        (_, Type::Bool, Cell::Number(n)) => {
                            writer.attribute(column.name, ValueRef::Bool(n != 0));
                        }
                        (_, _, Cell::Number(n)) => writer.attribute(column.name, ValueRef::Int(n)),
                    }
                    Ok(())
                })?;
                let name = std::str::from_utf8(names.get(row)).map_err(|_| BlockError("is not UTF-8"))?;
                writer
                    .finish(&SpanHead {
                        trace_id: self.trace_id(trace),
                        span_id: self.span_id(row),
                        parent_id: walk.parent(),
                        start_ns,
                        end_ns: start_ns.wrapping_add(durations[row]),
                        kind,
                        status,
                        name,
                        status_message: &message,
                        trace_state: &state,
                        extra,
                    })
                    .map_err(full)?;
            }
        }
        Ok(())
    }
}

/// Puts a value where it belongs.
fn fill(span: &mut Span, column: &Column<'_>, cell: Cell<'_>) -> Result<(), BlockError> {
    let value = match (column.kind, column.type_, cell) {
        (Kind::StatusMessage, _, Cell::Text(text)) => {
            text.clone_into(&mut span.status_message);
            return Ok(());
        }
        (Kind::TraceState, _, Cell::Text(text)) => {
            text.clone_into(&mut span.trace_state);
            return Ok(());
        }
        (Kind::Extra, _, Cell::Blob(bytes)) => {
            span.extra = extra_of(bytes)?;
            return Ok(());
        }
        (_, _, Cell::Blob(bytes)) => {
            items(span, bytes);
            return Ok(());
        }
        (_, _, Cell::Text(text)) => AttributeValue::Str(text.to_owned()),
        (_, Type::Float, Cell::Number(n)) => AttributeValue::Float(f64::from_bits(n as u64)),
        (_, Type::Bool, Cell::Number(n)) => AttributeValue::Bool(n != 0),
        (_, _, Cell::Number(n)) => AttributeValue::Int(n),
    };
    span.attributes.0.push((column.name.to_owned(), value));
    Ok(())
}

/// Events, links and attributes as a record has them.
fn items(span: &mut Span, bytes: &[u8]) {
    for item in read_items(bytes) {
        match item {
            Item::Attribute(name, value) => {
                let Attributes(list) = &mut span.attributes;
                list.push((name.to_owned(), value.to_owned()));
            }
            Item::Event { ns, name, attributes } => span.events.push(SpanEvent {
                ns,
                name: name.to_owned(),
                attributes: attributes.to_attributes(),
            }),
            Item::Link { trace_id, span_id, trace_state, attributes } => span.links.push(SpanLink {
                trace_id,
                span_id,
                trace_state: trace_state.to_owned(),
                attributes: attributes.to_attributes(),
            }),
        }
    }
}

fn extra_of(bytes: &[u8]) -> Result<SpanExtra, BlockError> {
    let mut reader = Reader::new(bytes);
    let mut next = || u32::try_from(reader.varint()?).map_err(|_| BlockError("a number is too large"));
    Ok(SpanExtra {
        flags: next()?,
        dropped_attributes: next()?,
        dropped_events: next()?,
        dropped_links: next()?,
    })
}

//! From records to a block.

use std::collections::{BTreeSet, HashMap};

use reba_model::spans::{Item, SpanExtra, SpanId, SpanView, ValueRef};

use super::{Kind, MAX_COLUMNS, MAX_NAMES, Type, columns::Packer};
use crate::{
    block::wire::{push_signed, push_sized, push_varint},
    spans::hash::Seeded,
};

const VERSION: u8 = 1;

/// A span to be written.
#[derive(Clone, Copy, Debug)]
pub struct SpanRow<'a> {
    /// The span.
    pub view: SpanView<'a>,
    /// What made it: resource and scope as a batch has them.
    pub source: &'a [u8],
}

/// What is known of a block without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanSummary {
    /// Spans.
    pub rows: u32,
    /// Traces.
    pub traces: u32,
    /// Start of the first span, Unix nanoseconds.
    pub min_ns: i64,
    /// Start of the last span.
    pub max_ns: i64,
}

/// Encodes one block after the other.
#[derive(Default)]
pub struct SpanBlockEncoder {
    packer: Packer,
    seed: Seeded,
}

impl std::fmt::Debug for SpanBlockEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpanBlockEncoder").finish_non_exhaustive()
    }
}

impl SpanBlockEncoder {
    /// Encodes traces, by rising start and each with its spans by rising start, behind what is in `out` already. They have at
    /// least one span and at most [`super::MAX_BLOCK_ROWS`].
    pub fn encode(&mut self, traces: &[&[SpanRow<'_>]], out: &mut Vec<u8>) -> SpanSummary {
        let mut block = Builder::new(self.seed);
        for trace in traces.iter().filter(|trace| !trace.is_empty()) {
            block.trace(trace);
        }
        block.write(&mut self.packer, out)
    }
}

/// Values of one column.
struct Column<'a> {
    kind: Kind,
    type_: Type,
    name: &'a str,
    values: Values<'a>,
}

enum Values<'a> {
    Texts { codes_of: HashMap<&'a str, u32, Seeded>, texts: Vec<&'a str>, codes: Vec<u32> },
    Numbers(Vec<i64>),
    Blobs(Vec<Vec<u8>>),
}

impl<'a> Values<'a> {
    fn of(type_: Type, seed: Seeded) -> Self {
        match type_ {
            Type::Text => {
                Values::Texts { codes_of: HashMap::with_hasher(seed), texts: Vec::new(), codes: Vec::new() }
            }
            Type::Int | Type::Float | Type::Bool => Values::Numbers(Vec::new()),
            Type::Raw | Type::Blob => Values::Blobs(Vec::new()),
        }
    }

    fn text(&mut self, text: &'a str) {
        let Values::Texts { codes_of, texts, codes } = self else { return };
        let last = codes.last().copied();
        let code = match last {
            Some(code) if texts.get(code as usize) == Some(&text) => code,
            _ => *codes_of.entry(text).or_insert_with(|| {
                texts.push(text);
                texts.len() as u32 - 1
            }),
        };
        codes.push(code);
    }

    fn number(&mut self, n: i64) {
        if let Values::Numbers(values) = self {
            values.push(n);
        }
    }

    fn blob(&mut self, blob: Vec<u8>) {
        if let Values::Blobs(values) = self {
            values.push(blob);
        }
    }

    fn len(&self) -> usize {
        match self {
            Values::Texts { codes, .. } => codes.len(),
            Values::Numbers(values) => values.len(),
            Values::Blobs(values) => values.len(),
        }
    }

    fn write(&self, packer: &mut Packer, out: &mut Vec<u8>) {
        match self {
            Values::Texts { texts, codes, .. } => packer.strings(texts, codes, out),
            Values::Numbers(values) => packer.numbers(values, out),
            Values::Blobs(values) => packer.blobs(values.iter().map(Vec::as_slice), out),
        }
    }
}

/// A block that is being put together.
struct Builder<'a> {
    seed: Seeded,
    trace_ids: Vec<u8>,
    trace_rows: Vec<i64>,
    trace_starts: Vec<i64>,
    span_ids: Vec<u8>,
    parents: Vec<i64>,
    foreign_parents: Vec<u8>,
    starts: Vec<i64>,
    durations: Vec<i64>,
    kind_status: Vec<i64>,
    names: Values<'a>,
    sources: HashMap<&'a [u8], u32, Seeded>,
    source_table: Vec<&'a [u8]>,
    source_of: Vec<i64>,
    columns: Vec<Column<'a>>,
    column_of: HashMap<(Kind, Type, &'a str), u32, Seeded>,
    shapes: HashMap<Vec<u32>, u32, Seeded>,
    shape_table: Vec<Vec<u32>>,
    shape_of: Vec<i64>,
    event_names: BTreeSet<&'a str>,
    event_keys: BTreeSet<&'a str>,
    link_keys: BTreeSet<&'a str>,
    min_ns: i64,
    max_ns: i64,
}

impl<'a> Builder<'a> {
    fn new(seed: Seeded) -> Self {
        Builder {
            seed,
            trace_ids: Vec::new(),
            trace_rows: Vec::new(),
            trace_starts: Vec::new(),
            span_ids: Vec::new(),
            parents: Vec::new(),
            foreign_parents: Vec::new(),
            starts: Vec::new(),
            durations: Vec::new(),
            kind_status: Vec::new(),
            names: Values::of(Type::Text, seed),
            sources: HashMap::with_hasher(seed),
            source_table: Vec::new(),
            source_of: Vec::new(),
            columns: Vec::new(),
            column_of: HashMap::with_hasher(seed),
            shapes: HashMap::with_hasher(seed),
            shape_table: Vec::new(),
            shape_of: Vec::new(),
            event_names: BTreeSet::new(),
            event_keys: BTreeSet::new(),
            link_keys: BTreeSet::new(),
            min_ns: i64::MAX,
            max_ns: i64::MIN,
        }
    }

    fn trace(&mut self, rows: &[SpanRow<'a>]) {
        let Some(first) = rows.first() else { return };
        let start = rows.iter().map(|row| row.view.start_ns).min().unwrap_or(0);
        self.trace_ids.extend_from_slice(&first.view.trace_id.0);
        self.trace_rows.push(rows.len() as i64);
        self.trace_starts.push(start);
        // Small traces are searched faster than hashed.
        let places: HashMap<SpanId, usize, Seeded> = if rows.len() > 16 {
            let mut places = HashMap::with_capacity_and_hasher(rows.len(), self.seed);
            for (i, row) in rows.iter().enumerate() {
                places.entry(row.view.span_id).or_insert(i);
            }
            places
        } else {
            HashMap::with_hasher(self.seed)
        };
        let place = |id: SpanId| match rows.len() {
            0..=16 => rows.iter().position(|row| row.view.span_id == id),
            _ => places.get(&id).copied(),
        };
        for row in rows {
            let parent = match row.view.parent_id {
                SpanId::NONE => 0,
                id => place(id).map_or(rows.len() as i64 + 1, |i| i as i64 + 1),
            };
            if parent > rows.len() as i64 {
                self.foreign_parents.extend_from_slice(&row.view.parent_id.0);
            }
            self.parents.push(parent);
            self.row(row, start);
        }
    }

    fn row(&mut self, row: &SpanRow<'a>, trace_start: i64) {
        let view = &row.view;
        self.min_ns = self.min_ns.min(view.start_ns);
        self.max_ns = self.max_ns.max(view.start_ns);
        self.span_ids.extend_from_slice(&view.span_id.0);
        self.starts.push(view.start_ns.wrapping_sub(trace_start));
        self.durations.push(view.end_ns.wrapping_sub(view.start_ns));
        self.kind_status.push(view.kind as i64 | (view.status as i64) << 3);
        self.names.text(view.name);
        let source = match self.sources.get(row.source) {
            Some(source) => *source,
            None => {
                let source = self.source_table.len() as u32;
                self.sources.insert(row.source, source);
                self.source_table.push(row.source);
                source
            }
        };
        self.source_of.push(i64::from(source));
        self.details(view);
    }

    fn details(&mut self, view: &SpanView<'a>) {
        let mut shape = Vec::with_capacity(16);
        let (mut events, mut links, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for (item, raw) in view.raw_items() {
            match item {
                Item::Attribute(name, value) => {
                    if !self.attribute(name, value, raw, &mut shape) {
                        rest.extend_from_slice(raw);
                    }
                }
                Item::Event { name, attributes, .. } => {
                    self.event_names.insert(name);
                    self.event_keys.extend(attributes.iter().map(|(name, _)| name));
                    events.extend_from_slice(raw);
                }
                Item::Link { attributes, .. } => {
                    self.link_keys.extend(attributes.iter().map(|(name, _)| name));
                    links.extend_from_slice(raw);
                }
            }
        }
        for (kind, blob) in [(Kind::Events, events), (Kind::Links, links), (Kind::Rest, rest)] {
            if !blob.is_empty() {
                self.blob(kind, blob, &mut shape);
            }
        }
        for (kind, text) in [(Kind::StatusMessage, view.status_message), (Kind::TraceState, view.trace_state)]
        {
            if !text.is_empty()
                && let Some(column) = self.column(kind, Type::Text, "")
            {
                shape.push(column);
                self.columns[column as usize].values.text(text);
            }
        }
        let extra = view.extra;
        if extra != SpanExtra::default() {
            let mut blob = Vec::new();
            for n in [extra.flags, extra.dropped_attributes, extra.dropped_events, extra.dropped_links] {
                push_varint(&mut blob, u64::from(n));
            }
            self.blob(Kind::Extra, blob, &mut shape);
        }
        let shapes = self.shape_table.len() as u32;
        let known = self.shapes.get(&shape).copied();
        let shape = known.unwrap_or_else(|| {
            self.shape_table.push(shape.clone());
            self.shapes.insert(shape, shapes);
            shapes
        });
        self.shape_of.push(i64::from(shape));
    }

    /// Puts an attribute into its column; whether it has one. What a span has a second time has none: the first one counts.
    fn attribute(&mut self, name: &'a str, value: ValueRef<'a>, raw: &'a [u8], shape: &mut Vec<u32>) -> bool {
        let type_ = match value {
            ValueRef::Str(_) => Type::Text,
            ValueRef::Int(_) => Type::Int,
            ValueRef::Float(_) => Type::Float,
            ValueRef::Bool(_) => Type::Bool,
            _ => Type::Blob,
        };
        let is_name = |column: &u32| self.columns.get(*column as usize).is_some_and(|c| c.name == name);
        if shape.iter().any(is_name) {
            return false;
        }
        let Some(column) = self.column(Kind::Attribute, type_, name) else { return false };
        shape.push(column);
        let values = &mut self.columns[column as usize].values;
        match value {
            ValueRef::Str(text) => values.text(text),
            ValueRef::Int(n) => values.number(n),
            ValueRef::Float(v) => values.number(v.to_bits() as i64),
            ValueRef::Bool(b) => values.number(i64::from(b)),
            _ => values.blob(raw.to_vec()),
        }
        true
    }

    fn blob(&mut self, kind: Kind, blob: Vec<u8>, shape: &mut Vec<u32>) {
        if let Some(column) = self.column(kind, Type::Blob, "") {
            shape.push(column);
            self.columns[column as usize].values.blob(blob);
        }
    }

    /// The column of that name; none if there are too many columns for another attribute.
    fn column(&mut self, kind: Kind, type_: Type, name: &'a str) -> Option<u32> {
        if let Some(column) = self.column_of.get(&(kind, type_, name)) {
            return Some(*column);
        }
        if kind == Kind::Attribute && self.columns.len() >= MAX_COLUMNS {
            return None;
        }
        let column = self.columns.len() as u32;
        self.columns.push(Column { kind, type_, name, values: Values::of(type_, self.seed) });
        self.column_of.insert((kind, type_, name), column);
        Some(column)
    }

    fn write(self, packer: &mut Packer, out: &mut Vec<u8>) -> SpanSummary {
        let mut file = Sections::default();
        // Ids are as good as random: they are not compressed.
        file.raw(Kind::TraceIds, self.trace_ids.len() / 16, &self.trace_ids);
        file.raw(Kind::SpanIds, self.span_ids.len() / 8, &self.span_ids);
        file.raw(Kind::ForeignParents, self.foreign_parents.len() / 8, &self.foreign_parents);
        for (kind, values) in [
            (Kind::TraceRows, &self.trace_rows),
            (Kind::TraceStarts, &self.trace_starts),
            (Kind::Parents, &self.parents),
            (Kind::Starts, &self.starts),
            (Kind::Durations, &self.durations),
            (Kind::KindStatus, &self.kind_status),
            (Kind::Sources, &self.source_of),
            (Kind::Shapes, &self.shape_of),
        ] {
            file.numbers(kind, values, packer);
        }
        file.blobs(Kind::SourceTable, self.source_table.iter().copied(), packer);
        let shapes: Vec<Vec<u8>> = self.shape_table.iter().map(|shape| shape_bytes(shape)).collect();
        file.blobs(Kind::ShapeTable, shapes.iter().map(Vec::as_slice), packer);
        for (kind, names) in [
            (Kind::EventNames, &self.event_names),
            (Kind::EventKeys, &self.event_keys),
            (Kind::LinkKeys, &self.link_keys),
        ] {
            if !names.is_empty() && names.len() <= MAX_NAMES {
                file.blobs(kind, names.iter().map(|name| name.as_bytes()), packer);
            }
        }
        file.column(&Column { kind: Kind::Names, type_: Type::Text, name: "", values: self.names }, packer);
        // Columns that shapes name by their number stand last, in that order.
        file.first_counted = file.count;
        self.columns.iter().for_each(|column| file.column(column, packer));
        let summary = SpanSummary {
            rows: self.parents.len() as u32,
            traces: self.trace_rows.len() as u32,
            min_ns: self.min_ns,
            max_ns: self.max_ns,
        };
        file.write(&summary, out);
        summary
    }
}

fn shape_bytes(shape: &[u32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(shape.len());
    for column in shape {
        push_varint(&mut out, u64::from(*column));
    }
    out
}

/// What is written, and the list of it that stands before.
#[derive(Default)]
struct Sections {
    list: Vec<u8>,
    bytes: Vec<u8>,
    count: u64,
    first_counted: u64,
}

impl Sections {
    fn add(
        &mut self,
        (kind, type_, name): (Kind, Type, &str),
        count: usize,
        range: Option<(i64, i64)>,
        start: usize,
    ) {
        self.list.extend([kind as u8, type_ as u8]);
        if kind == Kind::Attribute {
            push_sized(&mut self.list, name.as_bytes());
        }
        push_varint(&mut self.list, count as u64);
        push_varint(&mut self.list, (self.bytes.len() - start) as u64);
        if type_ == Type::Int {
            let (min, max) = range.unwrap_or((0, 0));
            push_signed(&mut self.list, min);
            push_signed(&mut self.list, max);
        }
        self.count += 1;
    }

    fn raw(&mut self, kind: Kind, count: usize, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.add((kind, Type::Raw, ""), count, None, start);
    }

    fn numbers(&mut self, kind: Kind, values: &[i64], packer: &mut Packer) {
        let start = self.bytes.len();
        packer.numbers(values, &mut self.bytes);
        self.add((kind, Type::Int, ""), values.len(), range(values), start);
    }

    fn blobs<'b>(&mut self, kind: Kind, blobs: impl ExactSizeIterator<Item = &'b [u8]>, packer: &mut Packer) {
        let (start, count) = (self.bytes.len(), blobs.len());
        packer.blobs(blobs, &mut self.bytes);
        self.add((kind, Type::Blob, ""), count, None, start);
    }

    fn column(&mut self, column: &Column<'_>, packer: &mut Packer) {
        let start = self.bytes.len();
        column.values.write(packer, &mut self.bytes);
        let of_values = match &column.values {
            Values::Numbers(values) => range(values),
            _ => None,
        };
        self.add((column.kind, column.type_, column.name), column.values.len(), of_values, start);
    }

    fn write(self, summary: &SpanSummary, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend(summary.rows.to_le_bytes());
        out.extend(summary.traces.to_le_bytes());
        let mut head = Vec::new();
        push_varint(&mut head, self.count);
        push_varint(&mut head, self.first_counted);
        head.extend_from_slice(&self.list);
        out.extend((head.len() as u32).to_le_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(&self.bytes);
    }
}

fn range(values: &[i64]) -> Option<(i64, i64)> {
    Some((values.iter().copied().min()?, values.iter().copied().max()?))
}

//! A span as bytes: how spans lie in a batch, in a write-ahead log and in memory (`docs/format/spans.md`).
//!
//! A record is written once, by whoever decodes what a producer sent, and then copied as it is. Reading it costs no
//! allocation: a view borrows texts from the record.

use std::sync::Arc;

use super::{
    AttributeValue, Attributes, InstrumentationScope, Resource, Span, SpanEvent, SpanExtra, SpanId, SpanKind,
    SpanLink, SpanStatus, TraceId,
};

/// How deep arrays and maps may lie in each other; what lies deeper is left out when a record is written, and makes a
/// record unreadable.
pub const MAX_NESTING: usize = 32;

/// Bytes of a record before its first item.
pub(super) const HEAD: usize = 54;

/// What an item of a list is. Zero ends a list.
pub(super) mod tag {
    pub(crate) const END: u8 = 0;
    pub(crate) const STR: u8 = 1;
    pub(crate) const INT: u8 = 2;
    pub(crate) const FLOAT: u8 = 3;
    pub(crate) const FALSE: u8 = 4;
    pub(crate) const TRUE: u8 = 5;
    pub(crate) const ARRAY: u8 = 6;
    pub(crate) const MAP: u8 = 7;
    pub(crate) const BYTES: u8 = 8;
    pub(crate) const EVENT: u8 = 9;
    pub(crate) const LINK: u8 = 10;
}

pub(super) fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends an attribute; of values too deep, nothing.
pub(super) fn put_attribute(out: &mut Vec<u8>, name: &str, value: ValueRef<'_>) {
    out.push(value.tag());
    put_bytes(out, name.as_bytes());
    put_value(out, value, 0);
}

/// Appends what stands behind the tag of a value.
fn put_value(out: &mut Vec<u8>, value: ValueRef<'_>, depth: usize) {
    match value {
        ValueRef::Str(text) => put_bytes(out, text.as_bytes()),
        ValueRef::Int(n) => put(out, ((n << 1) ^ (n >> 63)) as u64),
        ValueRef::Float(v) => out.extend_from_slice(&v.to_bits().to_le_bytes()),
        ValueRef::Bool(_) => {}
        ValueRef::Bytes(bytes) => put_bytes(out, bytes),
        ValueRef::Array(values) => {
            for value in values.iter().filter(|_| depth < MAX_NESTING) {
                let value = ValueRef::from(value);
                out.push(value.tag());
                put_value(out, value, depth + 1);
            }
            out.push(tag::END);
        }
        ValueRef::Map(values) => {
            for (name, value) in values.0.iter().filter(|_| depth < MAX_NESTING) {
                let value = ValueRef::from(value);
                out.push(value.tag());
                put_bytes(out, name.as_bytes());
                put_value(out, value, depth + 1);
            }
            out.push(tag::END);
        }
        ValueRef::RawArray(list) | ValueRef::RawMap(list) => {
            out.extend_from_slice(list.0);
            out.push(tag::END);
        }
    }
}

/// A value that somebody else owns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// A text.
    Str(&'a str),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Raw bytes.
    Bytes(&'a [u8]),
    /// Values in order.
    Array(&'a [AttributeValue]),
    /// Named values in order.
    Map(&'a Attributes),
    /// Values of a record, in order.
    RawArray(AttributeList<'a>),
    /// Named values of a record, in order.
    RawMap(AttributeList<'a>),
}

impl<'a> From<&'a AttributeValue> for ValueRef<'a> {
    fn from(value: &'a AttributeValue) -> Self {
        match value {
            AttributeValue::Str(text) => ValueRef::Str(text),
            AttributeValue::Int(n) => ValueRef::Int(*n),
            AttributeValue::Float(v) => ValueRef::Float(*v),
            AttributeValue::Bool(b) => ValueRef::Bool(*b),
            AttributeValue::Array(values) => ValueRef::Array(values),
            AttributeValue::Map(values) => ValueRef::Map(values),
            AttributeValue::Bytes(bytes) => ValueRef::Bytes(bytes),
        }
    }
}

impl ValueRef<'_> {
    fn tag(self) -> u8 {
        match self {
            ValueRef::Str(_) => tag::STR,
            ValueRef::Int(_) => tag::INT,
            ValueRef::Float(_) => tag::FLOAT,
            ValueRef::Bool(false) => tag::FALSE,
            ValueRef::Bool(true) => tag::TRUE,
            ValueRef::Array(_) | ValueRef::RawArray(_) => tag::ARRAY,
            ValueRef::Map(_) | ValueRef::RawMap(_) => tag::MAP,
            ValueRef::Bytes(_) => tag::BYTES,
        }
    }

    /// The value on its own.
    pub fn to_owned(self) -> AttributeValue {
        match self {
            ValueRef::Str(text) => AttributeValue::Str(text.to_owned()),
            ValueRef::Int(n) => AttributeValue::Int(n),
            ValueRef::Float(v) => AttributeValue::Float(v),
            ValueRef::Bool(b) => AttributeValue::Bool(b),
            ValueRef::Bytes(bytes) => AttributeValue::Bytes(bytes.to_vec()),
            ValueRef::Array(values) => AttributeValue::Array(values.to_vec()),
            ValueRef::Map(values) => AttributeValue::Map(values.clone()),
            ValueRef::RawArray(list) => {
                AttributeValue::Array(Items::values(list.0).map(|(_, v)| v.to_owned()).collect())
            }
            ValueRef::RawMap(list) => AttributeValue::Map(list.to_attributes()),
        }
    }
}

/// Attributes in a record.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AttributeList<'a>(pub(super) &'a [u8]);

impl<'a> AttributeList<'a> {
    /// All of them in order.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, ValueRef<'a>)> {
        Items::named(self.0).filter_map(|item| match item {
            Item::Attribute(name, value) => Some((name, value)),
            Item::Event { .. } | Item::Link { .. } => None,
        })
    }

    /// The first value of that name.
    pub fn get(self, name: &str) -> Option<ValueRef<'a>> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// The first value of that name, if it is a text.
    pub fn text(self, name: &str) -> Option<&'a str> {
        match self.get(name) {
            Some(ValueRef::Str(text)) => Some(text),
            _ => None,
        }
    }

    /// All of them on their own.
    pub fn to_attributes(self) -> Attributes {
        Attributes(self.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

/// One thing that a record holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Item<'a> {
    /// An attribute of the span.
    Attribute(&'a str, ValueRef<'a>),
    /// Something that happened.
    Event {
        /// When.
        ns: i64,
        /// What.
        name: &'a str,
        /// Details.
        attributes: AttributeList<'a>,
    },
    /// Another span.
    Link {
        /// Its trace.
        trace_id: TraceId,
        /// Its id.
        span_id: SpanId,
        /// Vendors' state of that trace.
        trace_state: &'a str,
        /// Details.
        attributes: AttributeList<'a>,
    },
}

/// Reads items until the list ends, or makes no sense.
#[derive(Clone, Debug)]
pub(super) struct Items<'a> {
    pub(super) rest: &'a [u8],
    has_names: bool,
}

impl<'a> Items<'a> {
    pub(super) fn named(bytes: &'a [u8]) -> Self {
        Items { rest: bytes, has_names: true }
    }

    fn values(bytes: &'a [u8]) -> impl Iterator<Item = (&'a str, ValueRef<'a>)> {
        Items { rest: bytes, has_names: false }.filter_map(|item| match item {
            Item::Attribute(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// Whether the list ends here.
    fn is_at_end(&self) -> bool {
        self.rest.first().is_none_or(|tag| *tag == tag::END)
    }

    /// The next item; none at the end, or if it makes no sense.
    pub(super) fn step(&mut self, depth: usize) -> Option<Item<'a>> {
        if self.is_at_end() {
            return None;
        }
        let (&tag, rest) = self.rest.split_first()?;
        let mut r = Bytes(rest);
        let item = match tag {
            tag::EVENT if self.has_names && depth == 0 => {
                Item::Event { ns: r.i64()?, name: r.text()?, attributes: r.list(true, 1)? }
            }
            tag::LINK if self.has_names && depth == 0 => Item::Link {
                trace_id: TraceId(r.array()?),
                span_id: SpanId(r.array()?),
                trace_state: r.text()?,
                attributes: r.list(true, 1)?,
            },
            _ => {
                let name = if self.has_names { r.text()? } else { "" };
                Item::Attribute(name, r.value(tag, depth)?)
            }
        };
        self.rest = r.0;
        Some(item)
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        self.step(0)
    }
}

/// Reads items that [`SpanView::raw_items`] gave, one behind the other, as far as they make sense.
pub fn read_items(bytes: &[u8]) -> impl Iterator<Item = Item<'_>> {
    Items::named(bytes)
}

/// Reads from the front of bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub(super) fn unsigned(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(n);
            }
        }
        None
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.unsigned()?).ok()?;
        self.take(len)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn value(&mut self, tag: u8, depth: usize) -> Option<ValueRef<'a>> {
        Some(match tag {
            tag::STR => ValueRef::Str(self.text()?),
            tag::INT => {
                let n = self.unsigned()?;
                ValueRef::Int((n >> 1) as i64 ^ -((n & 1) as i64))
            }
            tag::FLOAT => ValueRef::Float(f64::from_bits(u64::from_le_bytes(self.array()?))),
            tag::FALSE => ValueRef::Bool(false),
            tag::TRUE => ValueRef::Bool(true),
            tag::ARRAY => ValueRef::RawArray(self.list(false, depth + 1)?),
            tag::MAP => ValueRef::RawMap(self.list(true, depth + 1)?),
            tag::BYTES => ValueRef::Bytes(self.bytes()?),
            _ => return None,
        })
    }

    /// A list and the zero that ends it.
    pub(super) fn list(&mut self, has_names: bool, depth: usize) -> Option<AttributeList<'a>> {
        if depth > MAX_NESTING + 2 {
            return None;
        }
        let start = self.0;
        let mut items = Items { rest: start, has_names };
        while !items.is_at_end() {
            items.step(depth)?;
        }
        let len = start.len() - items.rest.len();
        let (list, rest) = start.split_at_checked(len)?;
        // Without the zero the list was cut off.
        let (_, rest) = rest.split_first()?;
        self.0 = rest;
        Some(AttributeList(list))
    }
}

/// A span in a record.
#[derive(Clone, Copy, Debug)]
pub struct SpanView<'a> {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// The span that caused it.
    pub parent_id: SpanId,
    /// When it began.
    pub start_ns: i64,
    /// When it ended.
    pub end_ns: i64,
    /// The part it plays.
    pub kind: SpanKind,
    /// How it ended.
    pub status: SpanStatus,
    /// What was done.
    pub name: &'a str,
    /// Why it failed.
    pub status_message: &'a str,
    /// Vendors' state of the trace.
    pub trace_state: &'a str,
    /// What the producer says of it.
    pub extra: SpanExtra,
    items: &'a [u8],
}

impl<'a> SpanView<'a> {
    /// Reads a record; `None` if it contradicts itself. Its items are looked at when they are asked for.
    pub fn read(record: &'a [u8]) -> Option<Self> {
        let mut r = Bytes(record);
        let (trace_id, span_id, parent_id) = (TraceId(r.array()?), SpanId(r.array()?), SpanId(r.array()?));
        let (start_ns, end_ns) = (r.i64()?, r.i64()?);
        let [kind, status] = r.array()?;
        let tail_at = u32::from_le_bytes(r.array()?) as usize;
        let items = record.get(HEAD..tail_at)?;
        let mut tail = Bytes(record.get(tail_at..)?);
        let (name, status_message, trace_state) = (tail.text()?, tail.text()?, tail.text()?);
        let mut count = || tail.unsigned().and_then(|n| u32::try_from(n).ok());
        let extra = SpanExtra {
            flags: count()?,
            dropped_attributes: count()?,
            dropped_events: count()?,
            dropped_links: count()?,
        };
        Some(SpanView {
            trace_id,
            span_id,
            parent_id,
            start_ns,
            end_ns,
            kind: *SpanKind::ALL.get(usize::from(kind))?,
            status: *SpanStatus::ALL.get(usize::from(status))?,
            name,
            status_message,
            trace_state,
            extra,
            items,
        })
    }

    /// Whether all its items can be read, to their end.
    pub fn is_whole(&self) -> bool {
        let mut items = Items::named(self.items);
        while items.step(0).is_some() {}
        items.rest.is_empty()
    }

    /// Bytes of its items.
    pub fn byte_len(&self) -> usize {
        self.items.len()
    }

    /// Attributes, events and links in the order in which they came.
    pub fn items(&self) -> impl Iterator<Item = Item<'a>> {
        Items::named(self.items)
    }

    /// The same, each with its bytes: [`read_items`] reads them again.
    pub fn raw_items(&self) -> impl Iterator<Item = (Item<'a>, &'a [u8])> {
        let mut items = Items::named(self.items);
        std::iter::from_fn(move || {
            let before = items.rest;
            let item = items.next()?;
            Some((item, &before[..before.len() - items.rest.len()]))
        })
    }

    /// Its attributes.
    pub fn attributes(&self) -> AttributeList<'a> {
        AttributeList(self.items)
    }

    /// How long it took, in nanoseconds.
    pub fn duration_ns(&self) -> i64 {
        self.end_ns.saturating_sub(self.start_ns)
    }

    /// The span on its own.
    pub fn to_span(&self, resource: &Arc<Resource>, scope: &Arc<InstrumentationScope>) -> Span {
        let (mut attributes, mut events, mut links) = (Vec::new(), Vec::new(), Vec::new());
        for item in self.items() {
            match item {
                Item::Attribute(name, value) => attributes.push((name.to_owned(), value.to_owned())),
                Item::Event { ns, name, attributes } => {
                    events.push(SpanEvent {
                        ns,
                        name: name.to_owned(),
                        attributes: attributes.to_attributes(),
                    });
                }
                Item::Link { trace_id, span_id, trace_state, attributes } => links.push(SpanLink {
                    trace_id,
                    span_id,
                    trace_state: trace_state.to_owned(),
                    attributes: attributes.to_attributes(),
                }),
            }
        }
        Span {
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent_id: self.parent_id,
            trace_state: self.trace_state.to_owned(),
            name: self.name.to_owned(),
            kind: self.kind,
            status: self.status,
            status_message: self.status_message.to_owned(),
            start_ns: self.start_ns,
            end_ns: self.end_ns,
            attributes: Attributes(attributes),
            events,
            links,
            extra: self.extra,
            resource: Arc::clone(resource),
            scope: Arc::clone(scope),
        }
    }
}

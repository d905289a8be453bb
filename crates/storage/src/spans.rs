//! Writing and reading spans.
//!
//! A reader asks for *scans*, as of logs: independent pieces of work, the newest first, which it runs on as many threads as it
//! likes and leaves off when it has enough. What it is looking for travels along ([`SpanWant`]), so that an engine can skip
//! blocks, columns and spans that could not matter.

use std::{fmt, ops::ControlFlow, sync::Arc};

use reba_model::{
    GoRegex, NanoRange, Tenant,
    spans::{AttributeValue, Attributes, Span, SpanBatch, SpanKind, SpanStatus, TraceId},
};

use crate::{AdminError, AppendError, Budget, Comparison, QueryError, ScanStats};

/// What became of a batch of spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanReport {
    /// Spans that are now in the store.
    pub appended: usize,
    /// Spans the store had already: same trace, id and kind. They are not an error.
    pub duplicates: usize,
}

/// The write half of a span store. Calls may block for the write-ahead log.
pub trait SpanAppender: Send + Sync {
    /// Writes a batch, in any order. When this returns, the batch survives the death of the process, and queries see it.
    ///
    /// Limits, rates and ages are the business of whoever took the spans in: a store takes what it is given.
    fn append_spans(&self, tenant: &Tenant, batch: &SpanBatch) -> Result<SpanReport, AppendError>;
}

/// Where an attribute is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttributeScope {
    /// On the span.
    Span,
    /// On the resource that made it.
    Resource,
    /// On its events.
    Event,
    /// On its links.
    Link,
    /// On the library that made it.
    Instrumentation,
}

/// Something a span has, as far as an engine can look for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SpanField {
    /// What was done.
    Name,
    /// The part it plays.
    Kind,
    /// How it ended.
    Status,
    /// Why it failed.
    StatusMessage,
    /// From its start to its end.
    Duration,
    /// Its id, in hex.
    SpanId,
    /// Its parent's id, in hex; empty for a root.
    ParentId,
    /// Its trace, in hex.
    TraceId,
    /// Names of its events.
    EventName,
    /// When its events happened, from its start.
    EventTime,
    /// Traces of its links, in hex.
    LinkTraceId,
    /// Spans of its links, in hex.
    LinkSpanId,
    /// Name of the library that made it.
    InstrumentationName,
    /// Version of that library.
    InstrumentationVersion,
    /// What an instrumented program gave a name to.
    Attribute {
        /// Where it is looked for; `None`: on the span, and if it is not there, on the resource.
        scope: Option<AttributeScope>,
        /// Its name.
        name: String,
    },
}

impl SpanField {
    /// Adds what a span has there; of an array each value. Maps, bytes, and arrays in arrays are not told. Texts of the model
    /// that a span does not have are empty.
    pub fn values(&self, span: &Span, out: &mut Vec<SpanValue>) {
        let text = |text: &str| SpanValue::Str(text.to_owned());
        match self {
            SpanField::Name => out.push(text(&span.name)),
            SpanField::Kind => out.push(SpanValue::Kind(span.kind)),
            SpanField::Status => out.push(SpanValue::Status(span.status)),
            SpanField::StatusMessage => out.push(text(&span.status_message)),
            SpanField::Duration => out.push(SpanValue::Duration(span.duration_ns())),
            SpanField::SpanId => out.push(text(&span.span_id.to_string())),
            SpanField::ParentId if span.parent_id.is_none() => out.push(text("")),
            SpanField::ParentId => out.push(text(&span.parent_id.to_string())),
            SpanField::TraceId => out.push(text(&span.trace_id.to_string())),
            SpanField::EventName => out.extend(span.events.iter().map(|e| text(&e.name))),
            SpanField::EventTime => {
                let since = |ns: i64| SpanValue::Duration(ns.saturating_sub(span.start_ns));
                out.extend(span.events.iter().map(|e| since(e.ns)));
            }
            SpanField::LinkTraceId => out.extend(span.links.iter().map(|l| text(&l.trace_id.to_string()))),
            SpanField::LinkSpanId => out.extend(span.links.iter().map(|l| text(&l.span_id.to_string()))),
            SpanField::InstrumentationName => out.push(text(&span.scope.name)),
            SpanField::InstrumentationVersion => out.push(text(&span.scope.version)),
            SpanField::Attribute { scope, name } => of_attribute(span, *scope, name, out),
        }
    }
}

fn of_attribute(span: &Span, scope: Option<AttributeScope>, name: &str, out: &mut Vec<SpanValue>) {
    let mut of = |attributes: &Attributes| {
        let found = attributes.get(name);
        if let Some(value) = found {
            flat(value, out);
        }
        found.is_some()
    };
    match scope {
        None if of(&span.attributes) => {}
        None | Some(AttributeScope::Resource) => {
            of(&span.resource.attributes);
        }
        Some(AttributeScope::Span) => {
            of(&span.attributes);
        }
        Some(AttributeScope::Instrumentation) => {
            of(&span.scope.attributes);
        }
        Some(AttributeScope::Event) => span.events.iter().for_each(|event| {
            of(&event.attributes);
        }),
        Some(AttributeScope::Link) => span.links.iter().for_each(|link| {
            of(&link.attributes);
        }),
    }
}

/// The value, or those of an array.
fn flat(value: &AttributeValue, out: &mut Vec<SpanValue>) {
    match value {
        AttributeValue::Str(text) => out.push(SpanValue::Str(text.clone())),
        AttributeValue::Int(n) => out.push(SpanValue::Int(*n)),
        AttributeValue::Float(v) => out.push(SpanValue::Float(*v)),
        AttributeValue::Bool(b) => out.push(SpanValue::Bool(*b)),
        AttributeValue::Array(values) => values
            .iter()
            .filter(|value| !matches!(value, AttributeValue::Array(_)))
            .for_each(|value| flat(value, out)),
        AttributeValue::Map(_) | AttributeValue::Bytes(_) => {}
    }
}

/// A value of a span.
#[derive(Clone, Debug, PartialEq)]
pub enum SpanValue {
    /// A text.
    Str(String),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Nanoseconds.
    Duration(i64),
    /// How a span ended.
    Status(SpanStatus),
    /// The part it plays.
    Kind(SpanKind),
}

/// A question about a field. Numbers compare with each other, whatever their types; other types only with their own kind. A span
/// without the field meets no question. Of several values (an array, events, links) any may meet it.
#[derive(Clone, Debug)]
pub enum SpanTest {
    /// The span has it.
    Exists,
    /// It compares so; `NotEqual`, too, wants that it is there and of the same type.
    Compare(Comparison, SpanValue),
    /// It is a text that the expression matches.
    Matches(Arc<GoRegex>),
    /// It is a text that the expression does not match.
    NotMatches(Arc<GoRegex>),
}

/// A question about one field of a span.
#[derive(Clone, Debug)]
pub struct SpanCondition {
    /// What is asked about.
    pub field: SpanField,
    /// The question.
    pub test: SpanTest,
}

/// When a span can matter. An engine may leave out spans that certainly do not meet it.
#[derive(Clone, Debug, Default)]
pub struct SpanNeed {
    /// What is asked. Empty: every span matters.
    pub conditions: Vec<SpanCondition>,
    /// Whether all conditions must hold, or any.
    pub all: bool,
}

/// Which details of spans are wanted. Ids, times, name, kind, status, and the resource's `service.name` always come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanDetails {
    /// Everything that was written.
    All,
    /// These fields only; others may be missing.
    Only(Vec<SpanField>),
}

/// What a reader does with spans.
#[derive(Clone, Debug)]
pub struct SpanWant {
    /// One for each set of spans that the reader looks for.
    pub needs: Vec<SpanNeed>,
    /// Whether a trace matters only if it has spans for each of `needs`; else any is enough.
    pub every: bool,
    /// Whether a trace that matters must come with all its spans, wherever they lie in time, together. Else spans that matter
    /// come, each once, in any company.
    pub whole_traces: bool,
    /// What is needed of them.
    pub details: SpanDetails,
}

impl SpanWant {
    /// Every span with all details.
    pub fn everything() -> Self {
        SpanWant { needs: Vec::new(), every: false, whole_traces: true, details: SpanDetails::All }
    }
}

/// A request for spans.
#[derive(Clone, Debug)]
pub struct SpanRequest<'a> {
    /// Whose.
    pub tenant: &'a Tenant,
    /// Spans wanted: those that start in the range. Of whole traces it is enough that one span starts there; those that meet the
    /// needs may start elsewhere.
    pub range: NanoRange,
    /// What for.
    pub want: &'a SpanWant,
    /// What may be used; scans keep it.
    pub budget: &'a Arc<Budget>,
}

/// What a scan hands over.
#[derive(Clone, Debug)]
pub enum SpanRows {
    /// A trace, whole and without duplicates.
    Trace {
        /// Its spans, in any order.
        spans: Vec<Span>,
        /// Whether another scan of the request may hand over the same trace.
        again: bool,
    },
    /// Spans of any traces.
    Spans(Vec<Span>),
}

/// One independent piece of a request.
pub trait SpanScan: Send {
    /// Where spans that it finds may start. A trace that it hands over does not begin after the end.
    fn range(&self) -> NanoRange;

    /// Hands over what it finds until the reader breaks off: traces if `whole_traces` was asked for, else spans.
    fn run(
        self: Box<Self>,
        visit: &mut dyn FnMut(SpanRows) -> ControlFlow<()>,
    ) -> Result<ScanStats, QueryError>;
}

/// The read half of a span store. Calls may read files: run them on the query pool.
pub trait SpanQuerier: Send + Sync {
    /// All spans of a trace, without duplicates, by start; none if there is no such trace. If `range` is given, only what was
    /// written near it needs to be looked at.
    fn trace(
        &self,
        tenant: &Tenant,
        id: TraceId,
        range: Option<NanoRange>,
        budget: &Budget,
    ) -> Result<Vec<Span>, QueryError>;

    /// The scans that together find everything that matters, the one that ends last first.
    fn scan_spans(&self, request: &SpanRequest<'_>) -> Result<Vec<Box<dyn SpanScan>>, QueryError>;

    /// Names of the attributes of spans near `range`, sorted.
    fn attribute_names(
        &self,
        tenant: &Tenant,
        range: NanoRange,
        budget: &Budget,
    ) -> Result<Vec<(AttributeScope, String)>, QueryError>;

    /// Tells the distinct values that a field has near `range`, in any order and perhaps more than once, until the reader breaks
    /// off.
    fn field_values(
        &self,
        tenant: &Tenant,
        field: &SpanField,
        range: NanoRange,
        budget: &Budget,
        visit: &mut dyn FnMut(SpanValue) -> ControlFlow<()>,
    ) -> Result<(), QueryError>;

    /// Tenants that have data, sorted.
    fn tenants(&self) -> Vec<Tenant>;
}

impl fmt::Debug for dyn SpanQuerier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpanQuerier")
    }
}

/// What an administrator may do to a span store.
pub trait SpanAdmin: Send + Sync {
    /// Writes what is only in memory and in the write-ahead log into parts.
    fn flush_spans(&self) -> Result<(), AdminError>;
}

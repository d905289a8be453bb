//! Spans: what traces are made of, on their way from a producer to a store and back.
//!
//! Times are Unix **nanoseconds** and are named `ns`, as those of log entries.

mod batch;
mod record;

use std::{fmt, sync::Arc};

pub use batch::{SpanBatch, SpanBatchFull, SpanGroup, SpanHead, SpanWriter, read_source};
pub use record::{AttributeList, Item, MAX_NESTING, SpanView, ValueRef, read_items};

/// Which trace: 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(pub [u8; 16]);

/// Which span of a trace: 8 bytes, all zero for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(pub [u8; 8]);

impl SpanId {
    /// The parent of a root.
    pub const NONE: SpanId = SpanId([0; 8]);

    /// Whether it names no span.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

impl TraceId {
    /// Reads up to 32 hex digits; shorter ones are padded with zeros on the left.
    pub fn from_hex(text: &str) -> Option<Self> {
        let valid = !text.is_empty() && text.len() <= 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        valid.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(|n| TraceId(n.to_be_bytes()))
    }
}

impl SpanId {
    /// Reads up to 16 hex digits; shorter ones are padded with zeros on the left.
    pub fn from_hex(text: &str) -> Option<Self> {
        let valid = !text.is_empty() && text.len() <= 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        valid.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(|n| SpanId(n.to_be_bytes()))
    }
}

/// 32 lower-case hex digits.
impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// 16 lower-case hex digits.
impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// What part a span plays in a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are OpenTelemetry's")]
pub enum SpanKind {
    #[default]
    Unspecified,
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

impl SpanKind {
    /// All kinds, in the order of their numbers on the wire.
    pub const ALL: [SpanKind; 6] = [
        SpanKind::Unspecified,
        SpanKind::Internal,
        SpanKind::Server,
        SpanKind::Client,
        SpanKind::Producer,
        SpanKind::Consumer,
    ];

    /// The word of the query language.
    pub fn as_str(self) -> &'static str {
        match self {
            SpanKind::Unspecified => "unspecified",
            SpanKind::Internal => "internal",
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            SpanKind::Producer => "producer",
            SpanKind::Consumer => "consumer",
        }
    }
}

/// How a span ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are OpenTelemetry's")]
pub enum SpanStatus {
    #[default]
    Unset,
    Ok,
    Error,
}

impl SpanStatus {
    /// All of them, in the order of their numbers on the wire.
    pub const ALL: [SpanStatus; 3] = [SpanStatus::Unset, SpanStatus::Ok, SpanStatus::Error];

    /// The word of the query language.
    pub fn as_str(self) -> &'static str {
        match self {
            SpanStatus::Unset => "unset",
            SpanStatus::Ok => "ok",
            SpanStatus::Error => "error",
        }
    }
}

/// What an attribute holds.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    /// A text.
    Str(String),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Values in order.
    Array(Vec<AttributeValue>),
    /// Named values in order.
    Map(Attributes),
    /// Raw bytes.
    Bytes(Vec<u8>),
}

/// Named values in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(pub Vec<(String, AttributeValue)>);

impl Attributes {
    /// The first value of that name.
    pub fn get(&self, name: &str) -> Option<&AttributeValue> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The first value of that name, if it is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(AttributeValue::Str(text)) => Some(text),
            _ => None,
        }
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &AttributeValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }
}

/// What made spans: a service, a process, a host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    /// What is known of it.
    pub attributes: Attributes,
}

impl Resource {
    /// The attribute that says which service it is.
    pub const SERVICE_NAME: &str = "service.name";

    /// Which service; empty if it does not say.
    pub fn service_name(&self) -> &str {
        self.attributes.text(Self::SERVICE_NAME).unwrap_or("")
    }
}

/// The library that made spans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InstrumentationScope {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What else it says of itself.
    pub attributes: Attributes,
}

/// Something that happened while a span ran.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanEvent {
    /// When.
    pub ns: i64,
    /// What.
    pub name: String,
    /// Details.
    pub attributes: Attributes,
}

/// Another span that this one has to do with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanLink {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// Vendors' state of that trace, as it came.
    pub trace_state: String,
    /// Details.
    pub attributes: Attributes,
}

/// What a producer left out of a span, and the bits it set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SpanExtra {
    /// W3C trace flags in the lowest byte, OpenTelemetry's own above.
    pub flags: u32,
    /// Attributes that were left out.
    pub dropped_attributes: u32,
    /// Events that were left out.
    pub dropped_events: u32,
    /// Links that were left out.
    pub dropped_links: u32,
}

/// One operation of one service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Span {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// The span that caused it; [`SpanId::NONE`] for a root.
    pub parent_id: SpanId,
    /// Vendors' state of the trace, as it came.
    pub trace_state: String,
    /// What was done.
    pub name: String,
    /// The part it plays.
    pub kind: SpanKind,
    /// How it ended.
    pub status: SpanStatus,
    /// Why it failed.
    pub status_message: String,
    /// When it began.
    pub start_ns: i64,
    /// When it ended; clocks that were set make it lie before the start.
    pub end_ns: i64,
    /// Details.
    pub attributes: Attributes,
    /// What happened meanwhile.
    pub events: Vec<SpanEvent>,
    /// Other spans it has to do with.
    pub links: Vec<SpanLink>,
    /// What the producer says of the above.
    pub extra: SpanExtra,
    /// What made it; shared by its spans.
    pub resource: Arc<Resource>,
    /// The library that made it; shared by its spans.
    pub scope: Arc<InstrumentationScope>,
}

impl Span {
    /// How long it took, in nanoseconds; negative if clocks were set meanwhile.
    pub fn duration_ns(&self) -> i64 {
        self.end_ns.saturating_sub(self.start_ns)
    }
}

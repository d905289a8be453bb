//! Spans on their way from a producer to a store.

use std::sync::Arc;

use thiserror::Error;

use super::{
    InstrumentationScope, Resource, Span, SpanExtra, SpanId, SpanKind, SpanStatus, TraceId,
    record::{AttributeList, Bytes, HEAD, SpanView, ValueRef, put, put_attribute, put_bytes, tag},
};

/// A batch has no room for more; send what it holds.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a batch of spans holds at most 1 GiB")]
pub struct SpanBatchFull;

/// Most bytes of a batch.
const MAX_BYTES: usize = 1 << 30;

/// What is written together: an export request.
///
/// Everything lies in one arena, so that a span costs no allocation; producers reuse the batch for the next write.
#[derive(Clone, Debug, Default)]
pub struct SpanBatch {
    bytes: Vec<u8>,
    groups: Vec<GroupPlace>,
    /// Where each span's record begins; it ends where the next thing begins.
    spans: Vec<(u32, u32)>,
}

/// Where the source of spans stands, and which spans follow it.
#[derive(Clone, Copy, Debug)]
struct GroupPlace {
    start: u32,
    end: u32,
    first_span: u32,
}

/// What a span says of itself in places of fixed size, and its texts.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "as in Span")]
pub struct SpanHead<'a> {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    pub parent_id: SpanId,
    pub start_ns: i64,
    pub end_ns: i64,
    pub kind: SpanKind,
    pub status: SpanStatus,
    pub name: &'a str,
    pub status_message: &'a str,
    pub trace_state: &'a str,
    pub extra: SpanExtra,
}

impl SpanBatch {
    /// Empties the batch, keeping its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.groups.clear();
        self.spans.clear();
    }

    /// How many spans it holds.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of all it holds.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Says what made the spans written from here on. The same source may come more than once in a batch.
    pub fn begin_group(&mut self, resource: &Resource, scope: &InstrumentationScope) {
        let start = self.bytes.len() as u32;
        for (name, value) in &resource.attributes.0 {
            put_attribute(&mut self.bytes, name, ValueRef::from(value));
        }
        self.bytes.push(tag::END);
        put_bytes(&mut self.bytes, scope.name.as_bytes());
        put_bytes(&mut self.bytes, scope.version.as_bytes());
        for (name, value) in &scope.attributes.0 {
            put_attribute(&mut self.bytes, name, ValueRef::from(value));
        }
        self.bytes.push(tag::END);
        let place = GroupPlace { start, end: self.bytes.len() as u32, first_span: self.spans.len() as u32 };
        self.groups.push(place);
    }

    /// As [`SpanBatch::begin_group`], out of what [`SpanGroup::source`] gave.
    pub fn begin_raw_group(&mut self, source: &[u8]) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(source);
        let place = GroupPlace { start, end: self.bytes.len() as u32, first_span: self.spans.len() as u32 };
        self.groups.push(place);
    }

    /// Begins a span of the group begun last (without one, of an unknown source). It is part of the batch once the writer
    /// was told its head; dropped before, it leaves nothing.
    pub fn span(&mut self) -> SpanWriter<'_> {
        if self.groups.is_empty() {
            self.begin_group(&Resource::default(), &InstrumentationScope::default());
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEAD]);
        SpanWriter { batch: self, start, done: false }
    }

    /// Adds a span, of the group begun last: what made it is not looked at.
    ///
    /// # Errors
    /// If the batch is full.
    pub fn push(&mut self, span: &Span) -> Result<(), SpanBatchFull> {
        let mut writer = self.span();
        for (name, value) in &span.attributes.0 {
            writer.attribute(name, ValueRef::from(value));
        }
        for event in &span.events {
            writer.event(event.ns, &event.name);
            event.attributes.0.iter().for_each(|(name, value)| writer.attribute(name, ValueRef::from(value)));
            writer.end();
        }
        for link in &span.links {
            writer.link(link.trace_id, link.span_id, &link.trace_state);
            link.attributes.0.iter().for_each(|(name, value)| writer.attribute(name, ValueRef::from(value)));
            writer.end();
        }
        writer.finish(&SpanHead {
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent_id: span.parent_id,
            start_ns: span.start_ns,
            end_ns: span.end_ns,
            kind: span.kind,
            status: span.status,
            name: &span.name,
            status_message: &span.status_message,
            trace_state: &span.trace_state,
            extra: span.extra,
        })
    }

    /// Adds what a writer of records left out: an item as [`SpanView::raw_items`] gave it.
    pub(crate) fn raw(&mut self, item: &[u8]) {
        self.bytes.extend_from_slice(item);
    }

    /// Adds a span as [`SpanGroup::records`] gave it.
    ///
    /// # Errors
    /// If the batch is full.
    pub fn push_record(&mut self, record: &[u8]) -> Result<(), SpanBatchFull> {
        if self.groups.is_empty() {
            self.begin_group(&Resource::default(), &InstrumentationScope::default());
        }
        if self.bytes.len() + record.len() > MAX_BYTES {
            return Err(SpanBatchFull);
        }
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(record);
        self.spans.push((start, self.bytes.len() as u32));
        Ok(())
    }

    /// Adds spans one by one, each with what made it; those of one source should follow each other.
    ///
    /// # Errors
    /// If they do not fit.
    pub fn of<'a>(spans: impl IntoIterator<Item = &'a Span>) -> Result<SpanBatch, SpanBatchFull> {
        let mut batch = SpanBatch::default();
        let mut source: Option<(&Arc<Resource>, &Arc<InstrumentationScope>)> = None;
        for span in spans {
            if source.is_none_or(|(r, s)| *r != span.resource || *s != span.scope) {
                batch.begin_group(&span.resource, &span.scope);
                source = Some((&span.resource, &span.scope));
            }
            batch.push(span)?;
        }
        Ok(batch)
    }

    /// The spans, by what made them.
    pub fn groups(&self) -> impl Iterator<Item = SpanGroup<'_>> {
        self.groups.iter().enumerate().map(|(i, place)| {
            let end = self.groups.get(i + 1).map_or(self.spans.len(), |next| next.first_span as usize);
            SpanGroup {
                source: &self.bytes[place.start as usize..place.end as usize],
                spans: &self.spans[place.first_span as usize..end],
                bytes: &self.bytes,
            }
        })
    }
}

/// Spans of one source.
#[derive(Clone, Copy, Debug)]
pub struct SpanGroup<'a> {
    source: &'a [u8],
    spans: &'a [(u32, u32)],
    bytes: &'a [u8],
}

impl<'a> SpanGroup<'a> {
    /// Resource and scope as bytes: the same for the same source.
    pub fn source(&self) -> &'a [u8] {
        self.source
    }

    /// What made the spans; `None` if it cannot be read.
    pub fn origin(&self) -> Option<(Resource, InstrumentationScope)> {
        read_source(self.source)
    }

    /// Attributes of the resource.
    pub fn resource(&self) -> AttributeList<'a> {
        Bytes(self.source).list(true, 1).unwrap_or_default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The spans as bytes.
    pub fn records(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        self.spans.iter().map(move |(start, end)| &bytes[*start as usize..*end as usize])
    }

    /// The spans; what cannot be read is left out, which only a batch that came as bytes can have.
    pub fn spans(&self) -> impl Iterator<Item = SpanView<'a>> + use<'a> {
        self.records().filter_map(SpanView::read)
    }
}

/// Reads what [`SpanGroup::source`] gave.
pub fn read_source(source: &[u8]) -> Option<(Resource, InstrumentationScope)> {
    let mut r = Bytes(source);
    let resource = Resource { attributes: r.list(true, 1)?.to_attributes() };
    let (name, version) = (r.text()?.to_owned(), r.text()?.to_owned());
    let attributes = r.list(true, 1)?.to_attributes();
    r.0.is_empty().then_some((resource, InstrumentationScope { name, version, attributes }))
}

/// Writes one span into a batch: attributes, events and links in any order, the rest at the end.
#[derive(Debug)]
pub struct SpanWriter<'a> {
    batch: &'a mut SpanBatch,
    start: usize,
    done: bool,
}

impl SpanWriter<'_> {
    /// Adds an attribute: of the span, or of the event or link that was begun.
    pub fn attribute(&mut self, name: &str, value: ValueRef<'_>) {
        put_attribute(&mut self.batch.bytes, name, value);
    }

    /// Adds items as [`SpanView::raw_items`] gave them.
    pub fn raw(&mut self, items: &[u8]) {
        self.batch.raw(items);
    }

    /// Begins an event; [`SpanWriter::end`] ends it.
    pub fn event(&mut self, ns: i64, name: &str) {
        let out = &mut self.batch.bytes;
        out.push(tag::EVENT);
        out.extend_from_slice(&ns.to_le_bytes());
        put_bytes(out, name.as_bytes());
    }

    /// Begins a link; [`SpanWriter::end`] ends it.
    pub fn link(&mut self, trace_id: TraceId, span_id: SpanId, trace_state: &str) {
        let out = &mut self.batch.bytes;
        out.push(tag::LINK);
        out.extend_from_slice(&trace_id.0);
        out.extend_from_slice(&span_id.0);
        put_bytes(out, trace_state.as_bytes());
    }

    /// Ends an event or a link.
    pub fn end(&mut self) {
        self.batch.bytes.push(tag::END);
    }

    /// Bytes of the span so far.
    pub fn byte_len(&self) -> usize {
        self.batch.bytes.len() - self.start
    }

    /// Makes the span part of the batch.
    ///
    /// # Errors
    /// If the batch is full; the span is not in it then.
    pub fn finish(mut self, head: &SpanHead<'_>) -> Result<(), SpanBatchFull> {
        let out = &mut self.batch.bytes;
        let tail_at = (out.len() - self.start) as u32;
        put_bytes(out, head.name.as_bytes());
        put_bytes(out, head.status_message.as_bytes());
        put_bytes(out, head.trace_state.as_bytes());
        let extra = head.extra;
        for n in [extra.flags, extra.dropped_attributes, extra.dropped_events, extra.dropped_links] {
            put(out, u64::from(n));
        }
        if out.len() > MAX_BYTES {
            return Err(SpanBatchFull);
        }
        let fixed = &mut out[self.start..self.start + HEAD];
        fixed[..16].copy_from_slice(&head.trace_id.0);
        fixed[16..24].copy_from_slice(&head.span_id.0);
        fixed[24..32].copy_from_slice(&head.parent_id.0);
        fixed[32..40].copy_from_slice(&head.start_ns.to_le_bytes());
        fixed[40..48].copy_from_slice(&head.end_ns.to_le_bytes());
        fixed[48] = head.kind as u8;
        fixed[49] = head.status as u8;
        fixed[50..54].copy_from_slice(&tail_at.to_le_bytes());
        self.batch.spans.push((self.start as u32, self.batch.bytes.len() as u32));
        self.done = true;
        Ok(())
    }
}

impl Drop for SpanWriter<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.batch.bytes.truncate(self.start);
        }
    }
}

//! Spans of `tracing`, kept until they end and handed to whoever sends them.
//!
//! Fields with the names that tracing-opentelemetry has for it steer a span: `otel.name`, `otel.kind`,
//! `otel.status_code` (`OK`, `ERROR`), `otel.status_message`.

use std::{error::Error, fmt, sync::Arc, time::SystemTime};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer, registry::LookupSpan};

use crate::{
    clock::Clock,
    mask,
    otlp::Spans,
    scope,
    trace::{IdGenerator, TraceContext},
};

/// The target of the spans that this crate itself makes.
pub(crate) const OWN_TARGET: &str = "easymo_commons";

/// OpenTelemetry's own limits for what a span may hold.
const MAX_ATTRIBUTES: usize = 128;
const MAX_EVENTS: usize = 128;

/// On which side of a call a span stands; the numbers are the protocol's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
    Consumer = 5,
}

/// How a span ended; the numbers are the protocol's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Status {
    #[default]
    Unset = 0,
    Ok = 1,
    Error = 2,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AttributeValue {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// What is said of a span or of an event in it, texts masked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AttributeList {
    pub(crate) all: Vec<(&'static str, AttributeValue)>,
    pub(crate) dropped: usize,
}

impl AttributeList {
    fn set(&mut self, name: &'static str, value: AttributeValue) {
        match self.all.iter().position(|(known, _)| *known == name) {
            Some(at) => self.all[at].1 = value,
            None if self.all.len() < MAX_ATTRIBUTES => self.all.push((name, value)),
            None => self.dropped += 1,
        }
    }
}

/// Something that happened within a span.
#[derive(Clone, Debug)]
pub(crate) struct SpanEvent {
    pub(crate) at: SystemTime,
    pub(crate) name: String,
    pub(crate) attributes: AttributeList,
}

/// A span, from its beginning to its end.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) context: TraceContext,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) started: SystemTime,
    pub(crate) ended: SystemTime,
    pub(crate) attributes: AttributeList,
    pub(crate) events: Vec<SpanEvent>,
    pub(crate) dropped_events: usize,
    pub(crate) status: Status,
    pub(crate) status_message: String,
}

/// What `tracing`'s registry keeps for a span: where it stands, and, if its trace is recorded, what is known of it.
struct Kept {
    context: TraceContext,
    recorded: Option<Box<Span>>,
}

/// Makes spans of `tracing` spans of a trace.
#[derive(Debug)]
pub(crate) struct SpanLayer {
    ids: IdGenerator,
    clock: Clock,
    /// Where spans go that ended; nowhere if the service sends none.
    ended: Option<Arc<Spans>>,
}

impl SpanLayer {
    pub(crate) fn new(ids: IdGenerator, clock: Clock, ended: Option<Arc<Spans>>) -> Self {
        Self { ids, clock, ended }
    }

    /// The context of a new span: the one that was made for it, else one below the span around it.
    fn context<S>(&self, attributes: &Attributes<'_>, context: &layer::Context<'_, S>) -> TraceContext
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if let Some(own) = scope::adopted() {
            return own;
        }
        let named = attributes.parent().and_then(|id| context.span(id));
        let named = named.and_then(|span| span.extensions().get().map(|kept: &Kept| kept.context.clone()));
        let above = named.or_else(|| attributes.is_contextual().then(TraceContext::current).flatten());
        above.map_or_else(|| TraceContext::root(&self.ids), |above| above.child(&self.ids))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: layer::Context<'_, S>) {
        let own = self.context(attributes, &context);
        let recorded = (own.sampled() && self.ended.is_some()).then(|| {
            let started = self.clock.wall();
            let mut span = Box::new(Span {
                context: own.clone(),
                name: attributes.metadata().name().to_owned(),
                kind: Kind::Internal,
                started,
                ended: started,
                attributes: AttributeList::default(),
                events: Vec::new(),
                dropped_events: 0,
                status: Status::Unset,
                status_message: String::new(),
            });
            attributes.record(&mut SpanVisitor(&mut span));
            span
        });
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Kept { context: own, recorded });
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: layer::Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(Kept { recorded: Some(span), .. }) = span.extensions_mut().get_mut() {
            values.record(&mut SpanVisitor(span));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: layer::Context<'_, S>) {
        let Some(span) = context.event_span(event) else { return };
        if let Some(Kept { recorded: Some(span), .. }) = span.extensions_mut().get_mut() {
            self.note(event, span);
        }
    }

    fn on_enter(&self, id: &Id, context: layer::Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(Kept { context, .. }) = span.extensions().get()
        {
            scope::push(context);
        }
    }

    fn on_exit(&self, id: &Id, context: layer::Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(Kept { context, .. }) = span.extensions().get()
        {
            scope::leave(context.span_id());
        }
    }

    fn on_close(&self, id: Id, context: layer::Context<'_, S>) {
        let kept = context.span(&id).and_then(|span| span.extensions_mut().remove::<Kept>());
        if let (Some(Kept { recorded: Some(mut span), .. }), Some(ended)) = (kept, &self.ended) {
            span.ended = self.clock.wall().max(span.started);
            ended.push(*span);
        }
    }
}

impl SpanLayer {
    /// Keeps an event in its span; an error makes it a failed one, unless it says otherwise itself.
    fn note(&self, event: &Event<'_>, span: &mut Span) {
        let level = *event.metadata().level();
        let mut visitor = EventVisitor::default();
        event.record(&mut visitor);
        if level == Level::ERROR && span.status == Status::Unset {
            span.status = Status::Error;
            span.status_message.clone_from(&visitor.message);
        }
        if span.events.len() >= MAX_EVENTS {
            span.dropped_events += 1;
            return;
        }
        visitor.attributes.set("level", AttributeValue::Text(level.to_string()));
        let at = self.clock.wall();
        span.events.push(SpanEvent { at, name: visitor.message, attributes: visitor.attributes });
    }
}

fn masked(field: &Field, text: &str) -> AttributeValue {
    AttributeValue::Text(mask::mask_field(field.name(), text).into_owned())
}

/// A whole number, unless its field says that it is somebody's.
fn whole(field: &Field, value: i64) -> AttributeValue {
    if mask::is_private(field.name()) || u64::try_from(value).is_ok_and(mask::is_phone) {
        return masked(field, &value.to_string());
    }
    AttributeValue::Int(value)
}

/// Reads the fields of a span, and what steers it.
struct SpanVisitor<'a>(&'a mut Span);

impl SpanVisitor<'_> {
    fn text(&mut self, field: &Field, text: &str) {
        match field.name() {
            "otel.name" => text.clone_into(&mut self.0.name),
            "otel.kind" => {
                self.0.kind = match text.to_ascii_lowercase().as_str() {
                    "server" => Kind::Server,
                    "client" => Kind::Client,
                    "producer" => Kind::Producer,
                    "consumer" => Kind::Consumer,
                    _ => Kind::Internal,
                }
            }
            "otel.status_code" => {
                self.0.status = match text.to_ascii_uppercase().as_str() {
                    "OK" => Status::Ok,
                    "ERROR" => Status::Error,
                    _ => Status::Unset,
                }
            }
            "otel.status_message" => self.0.status_message = mask::mask_text(text).into_owned(),
            _ => self.0.attributes.set(field.name(), masked(field, text)),
        }
    }
}

impl Visit for SpanVisitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.attributes.set(field.name(), whole(field, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.attributes.set(field.name(), whole(field, i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.attributes.set(field.name(), AttributeValue::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.attributes.set(field.name(), AttributeValue::Bool(value));
    }
}

/// Reads the fields of an event.
#[derive(Default)]
struct EventVisitor {
    message: String,
    attributes: AttributeList,
}

impl EventVisitor {
    fn text(&mut self, field: &Field, text: &str) {
        match field.name() {
            "message" => self.message = mask::mask_text(text).into_owned(),
            name => self.attributes.set(name, masked(field, text)),
        }
    }
}

impl Visit for EventVisitor {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        self.text(field, &error.to_string());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attributes.set(field.name(), whole(field, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.attributes.set(field.name(), whole(field, i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.attributes.set(field.name(), AttributeValue::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attributes.set(field.name(), AttributeValue::Bool(value));
    }
}

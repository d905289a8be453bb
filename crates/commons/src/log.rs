//! Structured lines: one JSON object each, in the shape of pino, with the trace they belong to and nobody's data.

use std::{error::Error, fmt, io::Write, sync::Arc, time::UNIX_EPOCH};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer, layer,
    registry::{LookupSpan, Scope},
};

use crate::{clock::Clock, mask, spans::OWN_TARGET, trace::TraceContext};

/// Where lines go.
pub(crate) type Output = Arc<Mutex<Box<dyn Write + Send>>>;

/// How deep the causes of an error are told.
const CAUSES: usize = 8;
/// Names that every line has from us, and what a field of that name is called instead.
const TAKEN: &[(&str, &str)] = &[
    ("level", "level_"),
    ("time", "time_"),
    ("pid", "pid_"),
    ("hostname", "hostname_"),
    ("module", "module_"),
    ("service", "service_"),
    ("environment", "environment_"),
    ("trace_id", "trace_id_"),
    ("span_id", "span_id_"),
    ("msg", "msg_"),
];

/// Who writes the lines.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) service: String,
    pub(crate) environment: String,
    pub(crate) hostname: String,
    pub(crate) pid: u32,
}

/// Writes each event as a line; a line is written before the event's macro returns, so there is nothing to flush.
pub(crate) struct LogLayer {
    clock: Clock,
    /// `,"pid":…,"hostname":…`
    process: String,
    /// `,"service":…,"environment":…`
    service: String,
    output: Output,
}

impl LogLayer {
    pub(crate) fn new(writer: &Writer, clock: Clock, output: Output) -> Self {
        let (mut process, mut service) = (String::new(), String::new());
        put(&mut process, "pid", &writer.pid.into());
        put(&mut process, "hostname", &writer.hostname.as_str().into());
        put(&mut service, "service", &writer.service.as_str().into());
        put(&mut service, "environment", &writer.environment.as_str().into());
        Self { clock, process, service, output }
    }

    /// The beginning of a line, without the brace at its end.
    fn head(&self, level: Level, module: &str) -> String {
        let time = self.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let mut line = format!("{{\"level\":{},\"time\":{time}", pino_level(level));
        line.push_str(&self.process);
        put(&mut line, "module", &module.into());
        line.push_str(&self.service);
        if let Some(trace) = TraceContext::current() {
            line.push_str(&format!(
                ",\"trace_id\":\"{}\",\"span_id\":\"{}\"",
                trace.trace_id(),
                trace.span_id()
            ));
        }
        line
    }
}

/// pino's numbers for levels.
fn pino_level(level: Level) -> u8 {
    match level {
        Level::TRACE => 10,
        Level::DEBUG => 20,
        Level::INFO => 30,
        Level::WARN => 40,
        Level::ERROR => 50,
    }
}

fn put(line: &mut String, name: &str, value: &Value) {
    line.push_str(&format!(",{}:{value}", Value::from(name)));
}

/// The fields of a span of the service, kept for the lines within it.
struct SpanFields(Fields);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: layer::Context<'_, S>) {
        // What our own spans say of a request is in its trace; in every line it would be noise.
        if attributes.metadata().target() == OWN_TARGET {
            return;
        }
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanFields(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: layer::Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(SpanFields(fields)) = span.extensions_mut().get_mut() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: layer::Context<'_, S>) {
        let mut line = self.head(*event.metadata().level(), event.metadata().target());
        let mut own = Fields::default();
        event.record(&mut own);
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(SpanFields(of_span)) = span.extensions().get() {
                fields.extend(of_span);
            }
        }
        fields.extend(&own);
        for (name, value) in &fields.all {
            put(&mut line, name, value);
        }
        put(&mut line, "msg", &own.message.unwrap_or_default().into());
        line.push_str("}\n");
        // A log that cannot be written must not end the service.
        let _ = self.output.lock().write_all(line.as_bytes());
    }
}

/// The masked fields of an event or span, in the order in which they came.
#[derive(Default)]
struct Fields {
    all: Vec<(&'static str, Value)>,
    message: Option<String>,
}

impl Fields {
    fn put(&mut self, name: &'static str, value: Value) {
        match self.all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.all.push((name, value)),
        }
    }

    fn extend(&mut self, others: &Self) {
        for (name, value) in &others.all {
            self.put(name, value.clone());
        }
    }

    fn text(&mut self, field: &Field, text: &str) {
        match field.name() {
            "message" => self.message = Some(mask::mask_text(text).into_owned()),
            name => self.put(free_name(name), mask::mask_field(name, text).into()),
        }
    }

    fn number(&mut self, field: &Field, value: Value, phone: bool) {
        let name = field.name();
        if mask::is_private(name) {
            self.put(free_name(name), mask::mask_field(name, &value.to_string()).into());
        } else if phone {
            self.put(free_name(name), mask::mask_phone(&value.to_string()).into());
        } else {
            self.put(free_name(name), value);
        }
    }
}

fn free_name(name: &'static str) -> &'static str {
    TAKEN.iter().find(|(taken, _)| *taken == name).map_or(name, |(_, instead)| *instead)
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value.into(), u64::try_from(value).is_ok_and(mask::is_phone));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value.into(), mask::is_phone(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.number(field, value.into(), false);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(free_name(field.name()), value.into());
    }

    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        let name = if field.name() == "error" { "err" } else { free_name(field.name()) };
        self.put(name, error_value(error));
    }
}

/// An error as pino's serializer writes it; Rust's errors have causes where others have stacks.
fn error_value(error: &(dyn Error + 'static)) -> Value {
    let message = mask::mask_text(&error.to_string()).into_owned();
    let (mut stack, mut cause) = (message.clone(), error.source());
    for _ in 0..CAUSES {
        let Some(why) = cause else { break };
        stack.push_str(&format!("\n    caused by: {}", mask::mask_text(&why.to_string())));
        cause = why.source();
    }
    json!({ "type": "Error", "message": message, "stack": stack })
}

impl fmt::Debug for LogLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogLayer")
    }
}

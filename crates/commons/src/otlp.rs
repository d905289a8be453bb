//! Sends spans that ended as OTLP over HTTP, in JSON: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.
//!
//! One thread, a bounded queue, no runtime: a service that ends can wait for it, and whoever is away costs spans, never
//! the service.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ::http::HeaderMap;
use parking_lot::{Condvar, Mutex};
use serde_json::{Value, json};

use crate::{
    post::{Endpoint, post},
    spans::{AttributeList, AttributeValue, Span, SpanEvent, Status},
};

/// What may wait to be sent: as many spans as a busy service makes in a few seconds. What comes above it is dropped.
const QUEUE: usize = 4_096;
/// How many spans one request has at most; receivers refuse bodies of many megabytes.
const BATCH: usize = 512;
/// How long spans wait for others.
const PAUSE: Duration = Duration::from_secs(1);
/// How long one try to send may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The waits before a request is tried again; what is then still not taken is dropped.
const RETRIES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];
/// What the receiver may take a little later.
const LATER: [u16; 4] = [429, 502, 503, 504];

/// The spans that ended and were not sent yet.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    state: Mutex<State>,
    /// Wakes the sender.
    work: Condvar,
    /// Wakes those who wait for it.
    sent: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Span>,
    /// How often somebody wanted everything sent, and how many of these wishes are fulfilled.
    wanted: u64,
    fulfilled: u64,
    /// Takes no more spans.
    closed: bool,
    /// Nobody sends any more.
    ended: bool,
    dropped: u64,
}

impl State {
    fn is_due(&self) -> bool {
        self.waiting.len() >= BATCH || self.wanted > self.fulfilled || self.closed
    }
}

impl Spans {
    /// Takes a span that ended. Beyond the queue's end, or after its close, it is counted as dropped.
    pub(crate) fn push(&self, span: Span) {
        let mut state = self.state.lock();
        if state.closed || state.waiting.len() >= QUEUE {
            state.dropped += 1;
            return;
        }
        state.waiting.push(span);
        if state.waiting.len() == BATCH {
            self.work.notify_one();
        }
    }

    /// How many spans were lost: the queue was full, or the receiver did not take them.
    pub(crate) fn dropped(&self) -> u64 {
        self.state.lock().dropped
    }

    /// Waits until what ended before is sent, or dropped, but no longer than `patience`; whether it was in time.
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        self.settle(patience, false)
    }

    /// The same, and takes no more spans.
    fn close(&self, patience: Duration) -> bool {
        self.settle(patience, true)
    }

    fn settle(&self, patience: Duration, close: bool) -> bool {
        let end = Instant::now() + patience;
        let mut state = self.state.lock();
        state.closed |= close;
        state.wanted += 1;
        let mine = state.wanted;
        self.work.notify_one();
        while state.fulfilled < mine && !state.ended {
            if self.sent.wait_until(&mut state, end).timed_out() {
                break;
            }
        }
        state.fulfilled >= mine || state.ended
    }

    /// Waits a second for spans, less if there are many or somebody wants them sent. With them comes how many wishes
    /// are fulfilled once they are. Nothing after the end.
    fn take(&self) -> Option<(Vec<Span>, u64)> {
        let mut state = self.state.lock();
        let end = Instant::now() + PAUSE;
        while !state.is_due() && !self.work.wait_until(&mut state, end).timed_out() {}
        if state.closed && state.waiting.is_empty() && state.wanted == state.fulfilled {
            state.ended = true;
            self.sent.notify_all();
            return None;
        }
        Some((std::mem::take(&mut state.waiting), state.wanted))
    }

    fn done(&self, wanted: u64, dropped: usize) {
        let mut state = self.state.lock();
        state.fulfilled = state.fulfilled.max(wanted);
        state.dropped += dropped as u64;
        self.sent.notify_all();
    }

    fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

/// The thread that sends.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) spans: Arc<Spans>,
    thread: Option<JoinHandle<()>>,
}

impl Sender {
    /// Starts to send to `endpoint`; `resource` says of all spans who made them.
    pub(crate) fn start(
        endpoint: Endpoint,
        headers: HeaderMap,
        resource: Vec<(&'static str, AttributeValue)>,
    ) -> io::Result<Self> {
        let spans = Arc::new(Spans::default());
        let queue = spans.clone();
        let work = move || {
            while let Some((spans, wanted)) = queue.take() {
                let mut dropped = 0;
                for batch in spans.chunks(BATCH) {
                    let body = request(batch, &resource).to_string();
                    if !deliver(&endpoint, &headers, &body, &queue) {
                        dropped += batch.len();
                    }
                }
                queue.done(wanted, dropped);
            }
        };
        let thread = thread::Builder::new().name("easymo-traces".to_owned()).spawn(work)?;
        Ok(Self { spans, thread: Some(thread) })
    }

    /// Takes no more spans, sends those that are waiting, and waits for that no longer than `patience`.
    pub(crate) fn stop(&mut self, patience: Duration) -> bool {
        let Some(thread) = self.thread.take() else { return true };
        let sent = self.spans.close(patience);
        // A receiver that hangs keeps its thread for some seconds more; the process need not wait for it.
        if sent {
            let _ = thread.join();
        }
        sent
    }
}

/// Sends one request, again if the receiver may take it later; whether it was taken. Who ends does not try again.
fn deliver(endpoint: &Endpoint, headers: &HeaderMap, body: &str, queue: &Spans) -> bool {
    for wait in RETRIES.iter().map(Some).chain([None]) {
        let retryable = match post(endpoint, headers, body.as_bytes(), PATIENCE) {
            Ok(200..=299) => return true,
            Ok(status) => LATER.contains(&status),
            Err(_) => true,
        };
        match wait {
            Some(wait) if retryable && !queue.is_closed() => thread::sleep(*wait),
            _ => return false,
        }
    }
    false
}

/// An `ExportTraceServiceRequest`.
fn request(spans: &[Span], resource: &[(&'static str, AttributeValue)]) -> Value {
    let scope = json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") });
    let spans: Vec<Value> = spans.iter().map(span_json).collect();
    json!({ "resourceSpans": [{
        "resource": { "attributes": attributes_json(resource) },
        "scopeSpans": [{ "scope": scope, "spans": spans }],
    }] })
}

fn span_json(span: &Span) -> Value {
    let context = &span.context;
    let mut out = json!({
        "traceId": context.trace_id().to_string(),
        "spanId": context.span_id().to_string(),
        "flags": u32::from(context.sampled()),
        "name": span.name,
        "kind": span.kind as u8,
        "startTimeUnixNano": nanoseconds(span.started),
        "endTimeUnixNano": nanoseconds(span.ended),
        "attributes": attributes_json(&span.attributes.all),
        "droppedAttributesCount": span.attributes.dropped,
        "events": span.events.iter().map(event_json).collect::<Vec<Value>>(),
        "droppedEventsCount": span.dropped_events,
    });
    if let Some(parent) = context.parent() {
        out["parentSpanId"] = parent.to_string().into();
    }
    if let Some(state) = context.tracestate() {
        out["traceState"] = state.into();
    }
    if span.status != Status::Unset {
        out["status"] = json!({ "code": span.status as u8, "message": span.status_message });
    }
    out
}

fn event_json(event: &SpanEvent) -> Value {
    let AttributeList { all, dropped } = &event.attributes;
    json!({
        "timeUnixNano": nanoseconds(event.at),
        "name": event.name,
        "attributes": attributes_json(all),
        "droppedAttributesCount": dropped,
    })
}

/// Nanoseconds since 1970 in decimal digits: JSON's numbers are too short for them.
fn nanoseconds(at: SystemTime) -> String {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

fn attributes_json(attributes: &[(&'static str, AttributeValue)]) -> Vec<Value> {
    let pair = |(key, value): &(&'static str, AttributeValue)| {
        let value = match value {
            AttributeValue::Text(text) => json!({ "stringValue": text }),
            // 64-bit integers are strings in protobuf's JSON.
            AttributeValue::Int(number) => json!({ "intValue": number.to_string() }),
            AttributeValue::Float(number) => json!({ "doubleValue": number }),
            AttributeValue::Bool(yes) => json!({ "boolValue": yes }),
        };
        json!({ "key": key, "value": value })
    };
    attributes.iter().map(pair).collect()
}

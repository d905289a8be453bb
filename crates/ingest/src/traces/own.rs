//! What this process does itself, as spans for its own store: what was slow, what failed, and what belongs to a trace of somebody
//! who wants to see it; never more than a few a second.
//!
//! Finished spans wait in memory until [`OwnSpans::flush`] stores them, and are dropped where there are too many. Nobody waits for it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use reba_model::{
    Tenant,
    spans::{
        AttributeValue, Attributes, InstrumentationScope, Resource, Span, SpanBatch, SpanId, SpanStatus,
        TraceId,
    },
};
use reba_storage::SpanAppender;

use super::NowNs;
use crate::loki::rate::{Bucket, Rate};

/// Spans that wait to be stored; more are lost. At a few records a second that is minutes of a store that stands still.
const WAITING: usize = 2_000;

/// Records that may come at once, in seconds of the rate.
const BURST_S: f64 = 10.0;

/// Most spans of one record.
const MAX_SPANS: usize = 21;

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnSpansPolicy {
    /// What takes at least so long, in nanoseconds, is recorded; what fails, always.
    pub slow_ns: i64,
    /// Records a second, at most; ten seconds' worth may come at once.
    pub max_per_second: u32,
}

/// Where a span has its place: made before it begins, so that what it causes can name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// Who caused it, if anybody said so.
    pub parent_id: SpanId,
    /// Whether the trace is one that is recorded.
    pub sampled: bool,
}

/// Something that was done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deed {
    /// When it began, in Unix nanoseconds.
    pub start_ns: i64,
    /// How long it took, in nanoseconds.
    pub duration_ns: i64,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// Records spans of this process.
pub struct OwnSpans {
    policy: OwnSpansPolicy,
    now_ns: NowNs,
    /// Makes ids together with `next`.
    seed: u64,
    next: AtomicU64,
    resource: Arc<Resource>,
    scope: Arc<InstrumentationScope>,
    waiting: Mutex<Waiting>,
    lost: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    spans: Vec<Span>,
    bucket: Bucket,
}

impl fmt::Debug for OwnSpans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnSpans").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl OwnSpans {
    /// Records by a policy. `seed` is a number that no other process has; `version` is that of this program.
    pub fn new(policy: OwnSpansPolicy, version: &str, seed: u64, now_ns: NowNs) -> Self {
        let text = |text: &str| AttributeValue::Str(text.to_owned());
        let attributes = vec![
            (Resource::SERVICE_NAME.to_owned(), text("reba")),
            ("service.version".to_owned(), text(version)),
        ];
        let scope = InstrumentationScope {
            name: "reba".to_owned(),
            version: version.to_owned(),
            attributes: Attributes::default(),
        };
        OwnSpans {
            policy,
            now_ns,
            seed,
            next: AtomicU64::new(0),
            resource: Arc::new(Resource { attributes: Attributes(attributes) }),
            scope: Arc::new(scope),
            waiting: Mutex::default(),
            lost: AtomicU64::new(0),
        }
    }

    /// The time, in Unix nanoseconds.
    pub fn now_ns(&self) -> i64 {
        (self.now_ns)()
    }

    /// A place in the trace that the header `traceparent` (W3C Trace Context) names, or in a new one.
    pub fn place(&self, traceparent: Option<&str>) -> Place {
        let span_id = SpanId(self.id().to_be_bytes());
        match traceparent.and_then(parse) {
            Some((trace_id, parent_id, sampled)) => Place { trace_id, span_id, parent_id, sampled },
            None => {
                let (high, low) = (u128::from(self.id()), u128::from(self.id()));
                let trace_id = TraceId((high << 64 | low).to_be_bytes());
                Place { trace_id, span_id, parent_id: SpanId::NONE, sampled: false }
            }
        }
    }

    /// Records something that was done at a place, if it is worth it; `describe` says what it was.
    pub fn record(&self, place: Place, deed: Deed, describe: impl FnOnce(&mut Span)) {
        self.record_with(place, deed, |span| {
            describe(span);
            Vec::new()
        });
    }

    /// Records something that was done in steps; `describe` gives these back, each with what it was. Steps that took less than a
    /// tenth of the whole and did not fail are left out.
    pub fn record_with(
        &self,
        place: Place,
        deed: Deed,
        describe: impl FnOnce(&mut Span) -> Vec<(Deed, Span)>,
    ) {
        let is_worth = place.sampled || deed.failure.is_some() || deed.duration_ns >= self.policy.slow_ns;
        if !is_worth || !self.may_record() {
            return;
        }
        let least_ns = deed.duration_ns / 10;
        let mut whole = self.span(place, deed, Span::default());
        let steps = describe(&mut whole);
        let matter =
            steps.into_iter().filter(|(step, _)| step.failure.is_some() || step.duration_ns > least_ns);
        let mut spans = Vec::new();
        for (step, span) in matter.take(MAX_SPANS - 1) {
            let span_id = SpanId(self.id().to_be_bytes());
            spans.push(self.span(Place { span_id, parent_id: place.span_id, ..place }, step, span));
        }
        spans.push(whole);
        let mut waiting = self.waiting.lock();
        if waiting.spans.len() + spans.len() > WAITING {
            self.lost.fetch_add(spans.len() as u64, Ordering::Relaxed);
        } else {
            waiting.spans.append(&mut spans);
        }
    }

    /// Stores what waits. Blocks for the store's log.
    pub fn flush(&self, store: &dyn SpanAppender, tenant: &Tenant) {
        let spans = std::mem::take(&mut self.waiting.lock().spans);
        let batch = SpanBatch::of(&spans);
        // To say that it failed would help nobody: the store says what is wrong with it.
        let stored = batch.is_ok_and(|batch| batch.is_empty() || store.append_spans(tenant, &batch).is_ok());
        if !stored {
            self.lost.fetch_add(spans.len() as u64, Ordering::Relaxed);
        }
    }

    /// Spans that were not stored, because there were too many or the store did not take them.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn may_record(&self) -> bool {
        let bytes = f64::from(self.policy.max_per_second);
        let now_ns = self.now_ns();
        bytes > 0.0 && self.waiting.lock().bucket.take(now_ns, 1, Rate { bytes, burst: bytes * BURST_S })
    }

    fn span(&self, place: Place, deed: Deed, span: Span) -> Span {
        Span {
            trace_id: place.trace_id,
            span_id: place.span_id,
            parent_id: place.parent_id,
            status: if deed.failure.is_some() { SpanStatus::Error } else { SpanStatus::Unset },
            status_message: deed.failure.unwrap_or_default(),
            start_ns: deed.start_ns,
            end_ns: deed.start_ns.saturating_add(deed.duration_ns),
            resource: Arc::clone(&self.resource),
            scope: Arc::clone(&self.scope),
            ..span
        }
    }

    /// A number that is not 0 and does not come again (SplitMix64; Steele, Lea, Flood 2014).
    fn id(&self) -> u64 {
        let n = self.next.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let z = self.seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).max(1)
    }
}

impl fmt::Display for Place {
    /// As `traceparent` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

/// Reads `00-TRACE-PARENT-FLAGS`. Later versions may have more behind that.
fn parse(traceparent: &str) -> Option<(TraceId, SpanId, bool)> {
    let mut fields = traceparent.trim().split('-');
    let mut field = |len: usize| {
        let field = fields.next().filter(|f| f.len() == len)?;
        field.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).then_some(field)
    };
    let (version, trace, parent, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
    let (trace, parent) = (TraceId::from_hex(trace)?, SpanId::from_hex(parent)?);
    let is_valid = version != "ff" && trace.0 != [0; 16] && !parent.is_none();
    is_valid.then_some((trace, parent, u8::from_str_radix(flags, 16).ok()? & 1 == 1))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use reba_storage::{AppendError, SpanReport};

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[derive(Default)]
    struct Store(Mutex<Vec<Span>>);

    impl SpanAppender for Store {
        fn append_spans(&self, _: &Tenant, batch: &SpanBatch) -> Result<SpanReport, AppendError> {
            let mut spans = self.0.lock();
            for group in batch.groups() {
                let (resource, scope) = group.origin().unwrap();
                let (resource, scope) = (Arc::new(resource), Arc::new(scope));
                spans.extend(group.spans().map(|span| span.to_span(&resource, &scope)));
            }
            Ok(SpanReport { appended: batch.len(), duplicates: 0 })
        }
    }

    fn own(clock: &Arc<AtomicI64>) -> OwnSpans {
        let clock = Arc::clone(clock);
        let policy = OwnSpansPolicy { slow_ns: SECOND, max_per_second: 1 };
        OwnSpans::new(policy, "1.0", 7, Arc::new(move || clock.load(Ordering::Relaxed)))
    }

    fn took(duration_ns: i64) -> Deed {
        Deed { start_ns: 5, duration_ns, failure: None }
    }

    fn stored(own: &OwnSpans) -> Vec<Span> {
        let store = Store::default();
        own.flush(&store, &Tenant::single());
        store.0.into_inner()
    }

    #[test]
    fn what_is_slow_fails_or_is_asked_for_is_recorded_and_nothing_else() {
        let own = own(&Arc::default());
        let named = |name: &'static str| move |span: &mut Span| span.name = name.to_owned();
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        own.record(own.place(None), took(SECOND), named("slow"));
        own.record(own.place(None), took(SECOND - 1), named("quick"));
        own.record(own.place(None), Deed { failure: Some("no".to_owned()), ..took(1) }, named("failed"));
        own.record(own.place(Some(parent)), took(1), named("asked for"));
        let spans = stored(&own);
        let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["slow", "failed", "asked for"]);
        assert_eq!((spans[1].status, spans[1].status_message.as_str()), (SpanStatus::Error, "no"));
        assert_eq!(spans[2].trace_id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(spans[2].parent_id.to_string(), "b7ad6b7169203331");
        assert_eq!((spans[0].resource.service_name(), spans[0].duration_ns()), ("reba", SECOND));
        assert!(spans[0].trace_id != spans[1].trace_id && stored(&own).is_empty());
    }

    #[test]
    fn steps_that_matter_stand_below_what_they_belong_to() {
        let own = own(&Arc::default());
        let step = |ns, failure: Option<&str>| {
            (Deed { failure: failure.map(str::to_owned), ..took(ns) }, Span::default())
        };
        own.record_with(own.place(None), took(10 * SECOND), |_| {
            vec![step(9 * SECOND, None), step(SECOND, None), step(0, Some("bad"))]
        });
        let spans = stored(&own);
        let [first, failed, whole] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!((first.parent_id, failed.parent_id), (whole.span_id, whole.span_id));
        assert_eq!((first.trace_id, whole.parent_id.is_none()), (whole.trace_id, true));
    }

    #[test]
    fn there_are_never_more_than_a_few_a_second() {
        let clock = Arc::new(AtomicI64::new(SECOND));
        let own = own(&clock);
        let recorded = || {
            (0..100).for_each(|_| own.record(own.place(None), took(SECOND), |_| ()));
            stored(&own).len()
        };
        assert_eq!((recorded(), recorded()), (10, 0));
        clock.store(4 * SECOND, Ordering::Relaxed);
        assert_eq!(recorded(), 3);
    }

    #[test]
    fn a_parent_is_read_as_the_standard_writes_it() {
        let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        assert_eq!(parse(&format!("00-{trace}-{parent}-01")).map(|p| p.2), Some(true));
        assert_eq!(parse(&format!("cc-{trace}-{parent}-02-more")).map(|p| p.2), Some(false));
        for wrong in [
            String::new(),
            format!("00-{trace}-{parent}"),
            format!("ff-{trace}-{parent}-01"),
            format!("00-{}-{parent}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{parent}-01", trace.to_uppercase()),
            format!("00-{trace}-{parent}-+1"),
        ] {
            assert_eq!(parse(&wrong), None, "{wrong}");
        }
        let own = own(&Arc::default());
        let place = own.place(None);
        assert_eq!(parse(&place.to_string()), Some((place.trace_id, place.span_id, false)));
    }
}

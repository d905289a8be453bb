//! W3C trace context (level 1): the `traceparent` and `tracestate` headers, and the layer that reads or starts one.
//!
//! Format: <https://www.w3.org/TR/trace-context/#traceparent-header>.

use std::{
    fmt,
    str::FromStr,
    sync::Arc,
    task::{Context, Poll},
};

use ::http::{HeaderMap, HeaderName, HeaderValue, Request};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use thiserror::Error;
use tower::{Layer, Service};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const SAMPLED: u8 = 1;
/// Length of a version 00 `traceparent`: `00-` 32 digits `-` 16 digits `-` 2 digits.
const TRACEPARENT_LEN: usize = 55;
/// What the standard asks everybody to pass on at least; longer lists are dropped whole.
const TRACESTATE_LIMIT: usize = 512;

/// Identifies a trace: 16 bytes, not all zero, written as 32 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

/// Identifies a span in its trace: 8 bytes, not all zero, written as 16 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// The id with these bytes, or nothing if they are all zero.
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// Its bytes, in the order they are written.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl SpanId {
    /// The id with these bytes, or nothing if they are all zero.
    pub fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// Its bytes, in the order they are written.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpanId({self})")
    }
}

/// Makes ids, and decides which new traces are recorded. A seeded generator gives the same ids again, which simulations
/// and tests want.
#[derive(Clone, Debug)]
pub struct IdGenerator {
    random: Arc<Mutex<SmallRng>>,
    ratio: f64,
}

impl IdGenerator {
    /// Ids that nobody can foresee or repeat; every trace is recorded.
    pub fn random() -> Self {
        Self::from(SmallRng::from_rng(&mut rand::rng()))
    }

    /// The same ids for the same seed; every trace is recorded.
    pub fn seeded(seed: u64) -> Self {
        Self::from(SmallRng::seed_from_u64(seed))
    }

    fn from(random: SmallRng) -> Self {
        Self { random: Arc::new(Mutex::new(random)), ratio: 1.0 }
    }

    /// The same ids, of whose new traces the share `ratio`, 0 to 1, is recorded. The id decides, as in OpenTelemetry's
    /// `TraceIdRatioBased`: services with one ratio record the same traces.
    pub fn recording(self, ratio: f64) -> Self {
        Self { ratio: if ratio.is_nan() { 1.0 } else { ratio.clamp(0.0, 1.0) }, ..self }
    }

    /// A new trace id.
    pub fn trace_id(&self) -> TraceId {
        TraceId(self.random.lock().random_range(1..=u128::MAX).to_be_bytes())
    }

    /// A new span id.
    pub fn span_id(&self) -> SpanId {
        SpanId(self.random.lock().random_range(1..=u64::MAX).to_be_bytes())
    }

    /// Whether a new trace of this id is recorded: its lowest 63 bits lie in the lowest `ratio` of their range.
    fn records(&self, trace: TraceId) -> bool {
        let low = u128::from_be_bytes(trace.0) as u64 & (u64::MAX >> 1);
        self.ratio >= 1.0 || (low as f64) < self.ratio * 2f64.powi(63)
    }
}

/// Why a `traceparent` was not taken.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TraceparentError {
    /// Not `version-traceid-spanid-flags` in lowercase hexadecimal digits.
    #[error("malformed traceparent")]
    Malformed,
    /// Version `ff`, which the standard forbids.
    #[error("forbidden traceparent version")]
    ForbiddenVersion,
    /// A trace or span id of zeros only.
    #[error("trace or span id is all zeros")]
    ZeroId,
}

/// Where a request stands: its trace, the span that handles it, and that span's parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: TraceId,
    span_id: SpanId,
    parent: Option<SpanId>,
    flags: u8,
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// Starts a trace, sampled as `ids` decide.
    pub fn root(ids: &IdGenerator) -> Self {
        let trace_id = ids.trace_id();
        let flags = if ids.records(trace_id) { SAMPLED } else { 0 };
        Self { flags, ..Self::in_trace(trace_id, ids.span_id()) }
    }

    /// Starts a sampled trace with ids that the caller chose.
    pub fn in_trace(trace_id: TraceId, span_id: SpanId) -> Self {
        Self { trace_id, span_id, parent: None, flags: SAMPLED, state: None }
    }

    /// A new span below this one, in the same trace, with the same sampling decision and state.
    pub fn child(&self, ids: &IdGenerator) -> Self {
        Self { span_id: ids.span_id(), parent: Some(self.span_id), ..self.clone() }
    }

    /// The trace.
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// This span.
    pub fn span_id(&self) -> SpanId {
        self.span_id
    }

    /// The span that this one stands below; nothing for a root or for a context read from a header.
    pub fn parent(&self) -> Option<SpanId> {
        self.parent
    }

    /// Whether whoever started the trace decided to record it.
    pub fn sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The value of the `traceparent` header.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace_id, self.span_id, self.flags)
    }

    /// The value of the `tracestate` header, passed on unread.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The same context with another `tracestate`; one that is too long is left out.
    pub fn with_tracestate(self, state: &str) -> Self {
        Self { state: (state.len() <= TRACESTATE_LIMIT).then(|| state.into()), ..self }
    }

    /// The context of whoever sent these headers; nothing if there is none or it is malformed, since the standard
    /// wants a new trace then.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut context: Self = headers.get(TRACEPARENT)?.to_str().ok()?.parse().ok()?;
        let states: Vec<&str> = headers.get_all(TRACESTATE).iter().filter_map(|v| v.to_str().ok()).collect();
        let state = states.join(",");
        if !state.is_empty() && state.len() <= TRACESTATE_LIMIT {
            context.state = Some(state.into());
        }
        Some(context)
    }

    /// Writes `traceparent` and `tracestate` for a request that this span sends.
    pub fn inject(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.traceparent()) {
            headers.insert(TRACEPARENT, value);
        }
        if let Some(Ok(value)) = self.tracestate().map(HeaderValue::from_str) {
            headers.insert(TRACESTATE, value);
        }
    }
}

impl FromStr for TraceContext {
    type Err = TraceparentError;

    fn from_str(s: &str) -> Result<Self, TraceparentError> {
        let version = hex::<1>(s.get(..2))?[0];
        match (version, s.len(), s.as_bytes().get(TRACEPARENT_LEN)) {
            (0xff, ..) => return Err(TraceparentError::ForbiddenVersion),
            (_, TRACEPARENT_LEN, _) | (1.., _, Some(b'-')) => {}
            _ => return Err(TraceparentError::Malformed),
        }
        if [2, 35, 52].iter().any(|&at| s.as_bytes().get(at) != Some(&b'-')) {
            return Err(TraceparentError::Malformed);
        }
        let trace_id = TraceId::from_bytes(hex(s.get(3..35))?).ok_or(TraceparentError::ZeroId)?;
        let span_id = SpanId::from_bytes(hex(s.get(36..52))?).ok_or(TraceparentError::ZeroId)?;
        let flags = hex::<1>(s.get(53..55))?[0] & SAMPLED;
        Ok(Self { trace_id, span_id, parent: None, flags, state: None })
    }
}

fn hex<const N: usize>(digits: Option<&str>) -> Result<[u8; N], TraceparentError> {
    let digits = digits.ok_or(TraceparentError::Malformed)?.as_bytes();
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(out)
}

fn digit(c: u8) -> Result<u8, TraceparentError> {
    match c {
        b'0'..=b'9' => Ok(c - b'0'),
        b'a'..=b'f' => Ok(c - b'a' + 10),
        _ => Err(TraceparentError::Malformed),
    }
}

/// Gives every request a [`TraceContext`] in its extensions: a child of the sender's, or a new trace.
#[derive(Clone, Debug)]
pub struct TraceContextLayer {
    ids: IdGenerator,
}

impl TraceContextLayer {
    /// A layer that takes new ids from `ids`.
    pub fn new(ids: IdGenerator) -> Self {
        Self { ids }
    }
}

impl<S> Layer<S> for TraceContextLayer {
    type Service = TraceContextService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TraceContextService { inner, ids: self.ids.clone() }
    }
}

/// The service that [`TraceContextLayer`] makes.
#[derive(Clone, Debug)]
pub struct TraceContextService<S> {
    inner: S,
    ids: IdGenerator,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for TraceContextService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let context = match TraceContext::from_headers(request.headers()) {
            Some(sender) => sender.child(&self.ids),
            None => TraceContext::root(&self.ids),
        };
        request.extensions_mut().insert(context);
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_and_written_the_same() {
        let context: TraceContext = EXAMPLE.parse().unwrap();
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
        assert!(context.sampled());
        assert_eq!(context.traceparent(), EXAMPLE);
    }

    #[test]
    fn what_the_standard_forbids_is_refused() {
        use TraceparentError::{ForbiddenVersion, Malformed, ZeroId};
        for (text, error) in [
            ("", Malformed),
            ("00", Malformed),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", ForbiddenVersion),
            ("00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Malformed),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", Malformed),
            ("00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Malformed),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", ZeroId),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", ZeroId),
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_later_version_may_carry_more_behind_a_dash() {
        let more = EXAMPLE.replacen("00", "01", 1) + "-what-comes-later";
        assert_eq!(more.parse::<TraceContext>().unwrap().traceparent(), EXAMPLE);
        assert!((EXAMPLE.replacen("00", "01", 1) + "x").parse::<TraceContext>().is_err());
    }

    #[test]
    fn a_child_stays_in_its_trace_and_names_its_parent() {
        let ids = IdGenerator::seeded(7);
        let parent: TraceContext = EXAMPLE.parse().unwrap();
        let child = parent.child(&ids);
        assert_eq!(child.trace_id(), parent.trace_id());
        assert_eq!(child.parent(), Some(parent.span_id()));
        assert_ne!(child.span_id(), parent.span_id());
    }

    #[test]
    fn the_share_of_new_traces_that_was_asked_for_is_recorded() {
        for (ratio, from, to) in
            [(0.0, 0, 0), (0.25, 400, 600), (1.0, 2_000, 2_000), (f64::NAN, 2_000, 2_000)]
        {
            let ids = IdGenerator::seeded(7).recording(ratio);
            let sampled = (0..2_000).filter(|_| TraceContext::root(&ids).sampled()).count();
            assert!((from..=to).contains(&sampled), "{ratio}: {sampled}");
        }
    }

    #[test]
    fn trace_state_is_passed_on_unread() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(EXAMPLE));
        headers.append(TRACESTATE, HeaderValue::from_static("a=1"));
        headers.append(TRACESTATE, HeaderValue::from_static("b=2"));
        let mut sent = HeaderMap::new();
        TraceContext::from_headers(&headers).unwrap().inject(&mut sent);
        assert_eq!(sent[TRACESTATE], "a=1,b=2");
        assert_eq!(sent[TRACEPARENT], EXAMPLE);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,70}") {
            let _ = text.parse::<TraceContext>();
        }

        #[test]
        fn every_context_survives_the_header(seed: u64) {
            let context = TraceContext::root(&IdGenerator::seeded(seed));
            prop_assert_eq!(context.traceparent().parse::<TraceContext>().unwrap(), context);
        }
    }
}

//! What is remembered of a tenant from request to request: how fast it sends, and how large its traces have become.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use reba_model::{Tenant, spans::TraceId};

use super::config::Limits;
use crate::loki::rate::{Bucket, Rate};

/// Parts that traces are spread over, so that requests seldom wait for each other.
const PARTS: usize = 16;

/// Traces whose size is remembered, of one tenant: 48 bytes each. Beyond, sizes are forgotten, and counted anew.
const MAX_TRACES: usize = 1 << 20;

/// How long a trace without spans is remembered, where the number of live traces has no limit.
const REMEMBERED_NS: i64 = 60_000_000_000;

/// What Tempo calls a tenant; where tenants are not told apart, there is one of this name. (Our stores have it as Loki calls it.)
pub fn called(tenant: &Tenant) -> &str {
    if *tenant == Tenant::single() { "single-tenant" } else { tenant.as_str() }
}

/// A trace, as far as limits go.
#[derive(Clone, Copy, Debug)]
struct Live {
    bytes: u64,
    seen_ns: i64,
}

#[derive(Debug, Default)]
struct Part {
    traces: HashMap<TraceId, Live>,
    swept_ns: i64,
}

/// Counters of a tenant since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Spans of requests that could be read, stored or not.
    pub spans: AtomicU64,
    /// Bytes of these requests, decompressed and in protobuf.
    pub bytes: AtomicU64,
    /// Spans of requests that came too fast.
    pub rate_limited: AtomicU64,
    /// Spans beyond the limit of live traces.
    pub live_traces: AtomicU64,
    /// Spans beyond the limit of their trace.
    pub too_large: AtomicU64,
    /// Spans whose ids make no sense, or with values nested too deeply.
    pub invalid: AtomicU64,
    /// Spans that the store could not take.
    pub internal: AtomicU64,
    /// Attributes that were cut.
    pub truncated: AtomicU64,
}

/// A tenant.
#[derive(Debug)]
pub(super) struct TenantState {
    pub(super) name: Tenant,
    bucket: Mutex<Bucket>,
    parts: [Mutex<Part>; PARTS],
    live: AtomicUsize,
    pub(super) counters: Counters,
}

impl TenantState {
    pub(super) fn new(name: Tenant) -> Self {
        TenantState {
            name,
            bucket: Mutex::default(),
            parts: Default::default(),
            live: AtomicUsize::new(0),
            counters: Counters::default(),
        }
    }

    /// Takes so many bytes of the tenant's rate; if there are not as many, says in how many seconds to try again.
    pub(super) fn take(&self, now_ns: i64, bytes: usize, limits: &Limits) -> Result<(), u32> {
        let rate = Rate { bytes: limits.rate_limit_bytes as f64, burst: limits.burst_size_bytes as f64 };
        let mut bucket = self.bucket.lock();
        if bucket.take(now_ns, bytes, rate) { Ok(()) } else { Err(bucket.wait_s(bytes, rate)) }
    }

    /// How many traces are live.
    pub(super) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }
}

/// Lets spans through as long as their traces are within limits.
#[derive(Debug)]
pub(super) struct Gate<'a> {
    /// Nobody, in tests of decoders.
    tenant: Option<(&'a TenantState, &'a Limits)>,
    now_ns: i64,
    idle_ns: i64,
}

impl<'a> Gate<'a> {
    /// A gate at a time. A trace without spans for `idle_ns` is not live any more.
    pub(super) fn new(tenant: &'a TenantState, limits: &'a Limits, now_ns: i64, idle_ns: i64) -> Self {
        Gate { tenant: Some((tenant, limits)), now_ns, idle_ns }
    }

    /// A gate that lets everything through.
    #[cfg(test)]
    pub(super) fn open() -> Gate<'static> {
        Gate { tenant: None, now_ns: 0, idle_ns: 0 }
    }

    /// Counts a span of so many bytes; or says with Tempo's words why it is not taken. A trace may have twice as many bytes
    /// of spans that matter.
    pub(super) fn admit(&self, id: TraceId, bytes: usize, matters: bool) -> Result<(), String> {
        let Some((tenant, limits)) = self.tenant else { return Ok(()) };
        if limits.max_bytes_per_trace == 0 && limits.max_traces_per_user == 0 {
            return Ok(());
        }
        // Ids are random in their last bytes; some have zeros in the first.
        let part = &tenant.parts[usize::from(id.0[15]) % PARTS];
        let mut part = part.lock();
        self.sweep(&mut part, tenant, limits);
        let known = part.traces.get(&id).copied();
        if known.is_none() && limits.max_traces_per_user > 0 {
            let most = limits.max_traces_per_user;
            if tenant.live() as u64 >= most {
                tenant.counters.live_traces.fetch_add(1, Ordering::Relaxed);
                let actual = tenant.live();
                return Err(format!(
                    "LIVE_TRACES_EXCEEDED: max live traces exceeded for tenant {}: per-user traces limit (local: {most} \
                     global: 0 actual local: {actual}) exceeded (max_traces_per_user)",
                    called(&tenant.name)
                ));
            }
        }
        let before = known.map_or(0, |live| live.bytes);
        let after = before.saturating_add(bytes as u64);
        let most = limits.max_bytes_per_trace;
        let room = if matters { most.saturating_mul(2) } else { most };
        if most > 0 && after > room {
            tenant.counters.too_large.fetch_add(1, Ordering::Relaxed);
            return Err(format!(
                "TRACE_TOO_LARGE: max size of trace ({most}) exceeded while adding {bytes} bytes to trace {id} for tenant \
                 {} (max_bytes_per_trace)",
                called(&tenant.name)
            ));
        }
        if known.is_none() {
            tenant.live.fetch_add(1, Ordering::Relaxed);
        }
        part.traces.insert(id, Live { bytes: after, seen_ns: self.now_ns });
        Ok(())
    }

    /// Forgets traces without spans for a while, every second or when there is no more room.
    fn sweep(&self, part: &mut Part, tenant: &TenantState, limits: &Limits) {
        const SECOND: i64 = 1_000_000_000;
        let full = part.traces.len() >= MAX_TRACES / PARTS;
        if !full && self.now_ns.saturating_sub(part.swept_ns) < SECOND {
            return;
        }
        part.swept_ns = self.now_ns;
        let idle = if limits.max_traces_per_user > 0 { self.idle_ns } else { REMEMBERED_NS };
        let before = part.traces.len();
        let since = self.now_ns.saturating_sub(idle);
        part.traces.retain(|_, live| live.seen_ns >= since);
        if part.traces.len() >= MAX_TRACES / PARTS {
            part.traces.clear();
        }
        tenant.live.fetch_sub(before - part.traces.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn limits(traces: u64, bytes: u64) -> Limits {
        Limits { max_traces_per_user: traces, max_bytes_per_trace: bytes, ..Limits::default() }
    }

    fn id(n: u8) -> TraceId {
        TraceId([n; 16])
    }

    #[test]
    fn a_trace_that_is_too_large_takes_only_what_matters_and_that_not_for_ever() {
        let (tenant, limits) = (TenantState::new(Tenant::single()), limits(0, 100));
        let gate = Gate::new(&tenant, &limits, SECOND, SECOND);
        assert_eq!(gate.admit(id(1), 90, false), Ok(()));
        let refused = gate.admit(id(1), 11, false).unwrap_err();
        assert!(
            refused.starts_with(
                "TRACE_TOO_LARGE: max size of trace (100) exceeded while adding 11 bytes to trace 0101"
            ),
            "{refused}"
        );
        assert_eq!((gate.admit(id(1), 100, true), gate.admit(id(2), 11, false)), (Ok(()), Ok(())));
        assert!(gate.admit(id(1), 11, true).is_err());
        assert_eq!(tenant.counters.too_large.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn live_traces_are_those_that_had_a_span_just_now() {
        let (tenant, limits) = (TenantState::new(Tenant::single()), limits(2, 0));
        let at = |s: i64| Gate::new(&tenant, &limits, s * SECOND, 10 * SECOND);
        assert!(at(1).admit(id(1), 1, false).is_ok() && at(1).admit(id(17), 1, false).is_ok());
        let refused = at(2).admit(id(3), 1, true).unwrap_err();
        assert!(
            refused.starts_with("LIVE_TRACES_EXCEEDED: max live traces exceeded for tenant "),
            "{refused}"
        );
        assert!(at(2).admit(id(1), 1, false).is_ok());
        // The sweep of their part lets both go.
        assert!(at(60).admit(id(1), 1, false).is_ok());
        assert_eq!(tenant.live(), 1);
    }

    #[test]
    fn without_limits_nothing_is_remembered() {
        let (tenant, limits) = (TenantState::new(Tenant::single()), limits(0, 0));
        let gate = Gate::new(&tenant, &limits, SECOND, SECOND);
        assert_eq!(gate.admit(id(1), usize::MAX, false), Ok(()));
        assert_eq!(tenant.live(), 0);
    }
}

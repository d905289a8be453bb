//! Which spans were counted just now: exporters send a request again whose answer they did not get.

use std::collections::HashSet;

use reba_model::spans::{SpanId, SpanKind, TraceId};

/// How long a span is remembered at least.
const REMEMBERED_NS: i64 = 150_000_000_000;

/// Spans of one generation: 16 bytes each, with the room that a set needs.
const MOST: usize = 1 << 20;

/// Two generations of spans, by hash.
#[derive(Debug, Default)]
pub(super) struct Seen {
    now: HashSet<u64>,
    before: HashSet<u64>,
    since_ns: i64,
}

impl Seen {
    /// Whether a span was not counted in the last minutes.
    pub(super) fn is_new(&mut self, trace: TraceId, span: SpanId, kind: SpanKind, now_ns: i64) -> bool {
        if self.now.len() >= MOST || now_ns.saturating_sub(self.since_ns) >= REMEMBERED_NS {
            self.before = std::mem::take(&mut self.now);
            self.since_ns = now_ns;
        }
        let mut key = [0; 25];
        key[..16].copy_from_slice(&trace.0);
        key[16..24].copy_from_slice(&span.0);
        key[24] = kind as u8;
        let hash = xxhash_rust::xxh3::xxh3_64(&key);
        !self.before.contains(&hash) && self.now.insert(hash)
    }
}

//! Counter resets.

use super::{
    CounterResetHint, Histogram,
    algebra::{KahanParts, widened_zero_bucket},
    buckets::CoarseBuckets,
    custom,
    spans::Indexed,
};

impl CounterResetHint {
    /// The hint of a sum or difference, and whether the two contradict each other: one saw a reset where the other
    /// excludes it. A gauge wins over everything, then the unknown.
    pub fn combined(self, other: CounterResetHint) -> (CounterResetHint, bool) {
        use CounterResetHint::{Gauge, Unknown};
        if self == other {
            return (self, false);
        }
        match (self, other) {
            (Gauge, _) | (_, Gauge) => (Gauge, false),
            (Unknown, _) | (_, Unknown) => (Unknown, false),
            _ => (Unknown, true),
        }
    }
}

impl Histogram {
    /// Whether a counter was reset between `previous` and this histogram.
    ///
    /// The hint decides if it says anything; a gauge is treated like an unknown. Otherwise there was a reset if any
    /// count is smaller than before or a populated bucket is gone. A finer schema or a narrower zero bucket come only
    /// with a reset; for a coarser schema or a wider zero bucket `previous` is brought to the same shape first.
    pub fn detect_reset(&self, previous: &Histogram) -> bool {
        match self.hint {
            CounterResetHint::CounterReset => return true,
            CounterResetHint::NotCounterReset => return false,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
        if self.count < previous.count {
            return true;
        }
        if self.uses_custom_buckets() {
            if !previous.uses_custom_buckets() {
                return true;
            }
            if self.custom_values != previous.custom_values {
                let with_bounds = |h| (Histogram::side(h, true), &h.custom_values[..]);
                return custom::any_decreased(with_bounds(self), with_bounds(previous));
            }
        } else if previous.uses_custom_buckets() {
            return true;
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let no_parts = KahanParts::default();
        let (zero_count, threshold, _) = widened_zero_bucket(previous, &no_parts, self.zero_threshold);
        if threshold != self.zero_threshold || self.zero_count < zero_count {
            return true;
        }
        [true, false].into_iter().any(|positive| {
            if let Some(shrank) = self.same_layout_shrank(previous, positive) {
                return shrank;
            }
            let now = self.coarse(positive, self.schema, self.zero_threshold);
            let before = previous.coarse(positive, self.schema, self.zero_threshold);
            any_bucket_shrank(now, before)
        })
    }

    /// The common case, no bucket appeared or vanished: whether any count of the side is smaller than in `previous`.
    fn same_layout_shrank(&self, previous: &Histogram, positive: bool) -> Option<bool> {
        let (now, before) = (self.side(positive), previous.side(positive));
        let same = now.spans == before.spans
            && now.counts.len() == before.counts.len()
            && self.schema == previous.schema
            && self.zero_threshold == previous.zero_threshold
            && now.leading_inside(self.schema, self.zero_threshold) == 0;
        // Counting instead of searching: the loop then has no branch.
        same.then(|| now.counts.iter().zip(before.counts).filter(|(n, b)| n < b).count() > 0)
    }

    fn coarse(&self, positive: bool, schema: i32, threshold: f64) -> CoarseBuckets<'_> {
        let side = self.side(positive);
        CoarseBuckets::new(Indexed::new(side.spans, side.counts), self.schema, schema, threshold)
    }
}

/// Whether a bucket that is populated in `before` is smaller or missing in `now`.
fn any_bucket_shrank(mut now: CoarseBuckets<'_>, before: CoarseBuckets<'_>) -> bool {
    let mut current = now.next();
    for (index, count) in before {
        while current.is_some_and(|(i, _)| i < index) {
            current = now.next();
        }
        match current {
            Some((i, c)) if i == index => {
                if c < count {
                    return true;
                }
            }
            _ => {
                if count != 0.0 {
                    return true;
                }
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{super::parse, *};

    fn h(s: &str) -> Histogram {
        parse::parse_notation(s).unwrap().0
    }

    #[test]
    fn a_reset_is_a_smaller_count_or_a_bucket_that_is_gone() {
        let base = "{{schema:1 count:9 z_bucket:2 z_bucket_w:0.001 buckets:[1 0 3 1] n_buckets:[2]}}";
        for (now, reset) in [
            (base, false),
            ("{{schema:1 count:9 z_bucket:2 z_bucket_w:0.001 buckets:[1 0 3 1 5] n_buckets:[2]}}", false),
            ("{{schema:1 count:9 z_bucket:2 z_bucket_w:0.001 buckets:[1 1 3 1] n_buckets:[2]}}", false),
            ("{{schema:1 count:8 z_bucket:2 z_bucket_w:0.001 buckets:[1 0 3 1] n_buckets:[2]}}", true),
            ("{{schema:1 count:9 z_bucket:1 z_bucket_w:0.001 buckets:[1 0 3 1] n_buckets:[2]}}", true),
            ("{{schema:1 count:9 z_bucket:2 z_bucket_w:0.001 buckets:[1 0 2 1] n_buckets:[2]}}", true),
            ("{{schema:1 count:9 z_bucket:2 z_bucket_w:0.001 buckets:[1 0 3] n_buckets:[2]}}", true),
            ("{{schema:1 count:9 z_bucket:2 z_bucket_w:0.001 offset:2 buckets:[3 1] n_buckets:[2]}}", true),
            ("{{schema:1 count:9 z_bucket:2 z_bucket_w:0.001 buckets:[1 0 3 1]}}", true),
            // Finer, or with a narrower zero bucket.
            ("{{schema:2 count:9 z_bucket:2 z_bucket_w:0.001 buckets:[1 0 3 1] n_buckets:[2]}}", true),
            ("{{schema:1 count:9 z_bucket:2 z_bucket_w:0.0001 buckets:[1 0 3 1] n_buckets:[2]}}", true),
            // Coarser: buckets 0, 1-2, 3 become 0, 1, 2.
            ("{{schema:0 count:9 z_bucket:2 z_bucket_w:0.001 buckets:[1 3 1] n_buckets:[2]}}", false),
            ("{{schema:0 count:9 z_bucket:2 z_bucket_w:0.001 buckets:[1 2 1] n_buckets:[2]}}", true),
            // A wider zero bucket swallows bucket 0 of both sides.
            ("{{schema:1 count:9 z_bucket:5 z_bucket_w:1 buckets:[0 0 3 1]}}", false),
            ("{{schema:1 count:9 z_bucket:4 z_bucket_w:1 buckets:[0 0 3 1]}}", true),
            // It ends inside a populated bucket.
            ("{{schema:1 count:9 z_bucket:50 z_bucket_w:2.1 buckets:[0 0 0 3 1]}}", true),
            ("{{schema:1 count:1 counter_reset_hint:not_reset}}", false),
            (
                "{{schema:1 count:99 z_bucket:2 buckets:[9 9 9 9] n_buckets:[9] counter_reset_hint:reset}}",
                true,
            ),
        ] {
            assert_eq!(h(now).detect_reset(&h(base)), reset, "{now}");
        }
    }

    #[test]
    fn custom_buckets_are_compared_on_the_bounds_they_share() {
        let before = h("{{schema:-53 count:6 custom_values:[1 2 5] buckets:[1 2 2 1]}}");
        let same_total = h("{{schema:-53 count:6 custom_values:[1 5] buckets:[1 4 1]}}");
        assert!(!same_total.detect_reset(&before));
        let moved = h("{{schema:-53 count:6 custom_values:[1 5] buckets:[1 3 2]}}");
        assert!(moved.detect_reset(&before));
        assert!(before.detect_reset(&h("{{count:1 buckets:[1]}}")));
        assert!(h("{{count:9 buckets:[1]}}").detect_reset(&before));
    }

    #[test]
    fn hints_combine_to_the_weaker_one() {
        use CounterResetHint::{CounterReset, Gauge, NotCounterReset, Unknown};
        for (a, b, both) in [
            (Gauge, CounterReset, (Gauge, false)),
            (Unknown, CounterReset, (Unknown, false)),
            (CounterReset, CounterReset, (CounterReset, false)),
            (CounterReset, NotCounterReset, (Unknown, true)),
        ] {
            assert_eq!(a.combined(b), both);
            assert_eq!(b.combined(a), both);
        }
    }
}

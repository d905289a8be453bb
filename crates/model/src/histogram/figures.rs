//! Histograms without their buckets, for queries that ask for counts and sums only.

use std::sync::Arc;

use super::{CounterResetHint, Histogram};
use crate::{HistogramSample, is_stale_nan};

/// Reduces histograms of one series, by rising time, to count, sum, schema and hint. What the buckets would have told
/// about counter resets is kept as a hint: every sample but the first says whether the counter was reset before it.
pub fn keep_figures_only(samples: &mut [HistogramSample]) {
    let mut previous: Option<Arc<Histogram>> = None;
    for s in samples {
        let hint = match (s.h.hint, &previous) {
            (CounterResetHint::Unknown, Some(previous)) if !is_stale_nan(s.h.sum) => {
                if s.h.detect_reset(previous) {
                    CounterResetHint::CounterReset
                } else {
                    CounterResetHint::NotCounterReset
                }
            }
            (hint, _) => hint,
        };
        let figures =
            Histogram { schema: s.h.schema, hint, count: s.h.count, sum: s.h.sum, ..Histogram::default() };
        let whole = std::mem::replace(&mut s.h, Arc::new(figures));
        if !is_stale_nan(whole.sum) {
            previous = Some(whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::parse_notation, *};
    use crate::STALE_NAN;

    #[test]
    fn resets_that_only_buckets_show_become_hints() {
        let mut samples: Vec<HistogramSample> = [
            "{{count:2 sum:3 buckets:[1 1]}}",
            "{{count:3 sum:4 buckets:[1 2]}}",
            "{{count:4 sum:5 buckets:[2]}}",
            "{{count:5 sum:6 buckets:[9] counter_reset_hint:gauge}}",
        ]
        .iter()
        .enumerate()
        .map(|(i, s)| HistogramSample { t: i as i64, h: Arc::new(parse_notation(s).unwrap().0) })
        .collect();
        let stale = Histogram { sum: STALE_NAN, ..Histogram::default() };
        samples.insert(2, HistogramSample { t: 1, h: Arc::new(stale) });
        keep_figures_only(&mut samples);
        let hints: Vec<CounterResetHint> = samples.iter().map(|s| s.h.hint).collect();
        use CounterResetHint::{CounterReset, Gauge, NotCounterReset, Unknown};
        assert_eq!(hints, [Unknown, NotCounterReset, Unknown, CounterReset, Gauge]);
        assert!(samples.iter().all(|s| s.h.positive_buckets.is_empty()));
        assert_eq!((samples[1].h.count, samples[1].h.sum), (3.0, 4.0));
    }
}

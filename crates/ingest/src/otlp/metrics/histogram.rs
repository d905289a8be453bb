//! From OpenTelemetry's histograms to native ones.

use reba_model::{
    CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Histogram, Span,
    histogram::{IntegerHistogram, MAX_EXPONENTIAL_SCHEMA, MIN_EXPONENTIAL_SCHEMA},
};

use super::{
    Problem,
    point::{Buckets, Point},
};

/// The width of the zero bucket where the sender says none, as upstream.
const ZERO_THRESHOLD: f64 = 1e-128;

/// Empty buckets in a row that are written out: more cost less as a span of their own.
const WRITTEN_GAP: i64 = 2;

/// The native histogram of an exponential one. Scales that are too fine are made coarser.
pub(super) fn exponential(p: &Point<'_>) -> Result<Histogram, Problem> {
    if p.scale < MIN_EXPONENTIAL_SCHEMA {
        return Err(Problem::Item(format!(
            "cannot convert exponential to native histogram. Scale must be >= {MIN_EXPONENTIAL_SCHEMA}, was {}",
            p.scale
        )));
    }
    fit(p.zero_count, p.positive.counts.iter().chain(&p.negative.counts))?;
    let schema = p.scale.min(MAX_EXPONENTIAL_SCHEMA);
    // OpenTelemetry's bucket 0 lies above 1, and Prometheus' below it.
    let side =
        |b: &Buckets| layout(&b.counts, |i| ((i + i64::from(b.offset)) >> (p.scale - schema).min(62)) + 1);
    let (positive_spans, positive_deltas) = side(&p.positive)?;
    let (negative_spans, negative_deltas) = side(&p.negative)?;
    checked(&IntegerHistogram {
        schema,
        hint: CounterResetHint::Unknown,
        zero_threshold: if p.zero_threshold > 0.0 { p.zero_threshold } else { ZERO_THRESHOLD },
        zero_count: p.zero_count,
        count: p.count,
        sum: p.sum.unwrap_or(0.0),
        positive_spans,
        positive_deltas,
        negative_spans,
        negative_deltas,
        custom_values: Vec::new(),
    })
}

/// The native histogram with custom buckets of one with explicit bounds.
pub(super) fn custom(p: &Point<'_>) -> Result<Histogram, Problem> {
    fit(0, &p.counts)?;
    let (positive_spans, positive_deltas) = layout(&p.counts, |i| i)?;
    checked(&IntegerHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        hint: CounterResetHint::Unknown,
        zero_threshold: 0.0,
        zero_count: 0,
        count: p.count,
        sum: p.sum.unwrap_or(0.0),
        positive_spans,
        positive_deltas,
        negative_spans: Vec::new(),
        negative_deltas: Vec::new(),
        custom_values: p.bounds.clone(),
    })
}

fn too_large() -> Problem {
    Problem::Item("histogram with counts or indexes that are too large".to_owned())
}

/// Refuses counts that together are more than 64 bits hold: they would seem to add up to what is left of them.
fn fit<'a>(zero_count: u64, counts: impl IntoIterator<Item = &'a u64>) -> Result<(), Problem> {
    counts.into_iter().try_fold(zero_count, |sum, n| sum.checked_add(*n)).map(drop).ok_or_else(too_large)
}

fn checked(h: &IntegerHistogram) -> Result<Histogram, Problem> {
    h.validate().map_err(|e| Problem::Item(e.to_string()))?;
    Ok(h.to_float())
}

/// Spans and differences of counts, for buckets in a row whose place `index` gives; it never falls, and buckets of one
/// index are added. Together they [`fit`].
fn layout(counts: &[u64], index: impl Fn(i64) -> i64) -> Result<(Vec<Span>, Vec<i64>), Problem> {
    let (mut spans, mut deltas): (Vec<Span>, Vec<i64>) = Default::default();
    let mut filled =
        counts.iter().enumerate().filter(|(_, n)| **n > 0).map(|(i, n)| (index(i as i64), *n)).peekable();
    // The index behind the last bucket so far, and its count.
    let (mut next, mut last) = (0i64, 0i64);
    while let Some((at, mut sum)) = filled.next() {
        while let Some((_, n)) = filled.next_if(|(same, _)| *same == at) {
            sum += n;
        }
        let count = i64::try_from(sum).map_err(|_| too_large())?;
        let gap = at - next;
        match spans.last_mut().filter(|_| gap <= WRITTEN_GAP) {
            Some(span) => {
                for _ in 0..gap {
                    deltas.push(-last);
                    last = 0;
                }
                span.length += gap as u32 + 1;
            }
            None => spans.push(Span { offset: i32::try_from(gap).map_err(|_| too_large())?, length: 1 }),
        }
        deltas.push(count - last);
        (next, last) = (at + 1, count);
    }
    Ok((spans, deltas))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spans(list: &[(i32, u32)]) -> Vec<Span> {
        list.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect()
    }

    fn point(scale: i32, offset: i32, counts: &[u64]) -> Point<'static> {
        let positive = Buckets { offset, counts: counts.to_vec() };
        Point { scale, count: counts.iter().sum(), sum: Some(1.0), positive, ..Point::default() }
    }

    #[test]
    fn bucket_0_lies_above_1_and_not_below() {
        let h = exponential(&point(0, 0, &[4, 3, 0, 0, 2])).unwrap();
        assert_eq!(h.positive_spans, spans(&[(1, 5)]));
        assert_eq!(h.positive_buckets, [4.0, 3.0, 0.0, 0.0, 2.0]);
        assert_eq!((h.schema, h.zero_threshold, h.count), (0, 1e-128, 9.0));
    }

    #[test]
    fn a_gap_of_more_than_two_buckets_begins_a_span() {
        let h = exponential(&point(1, -3, &[0, 1, 0, 0, 0, 5, 6])).unwrap();
        assert_eq!(h.positive_spans, spans(&[(-1, 1), (3, 2)]));
        assert_eq!(h.positive_buckets, [1.0, 5.0, 6.0]);
    }

    #[test]
    fn too_fine_a_scale_is_made_coarser() {
        let h = exponential(&point(9, -1, &[1, 2, 3, 4])).unwrap();
        assert_eq!((h.schema, h.positive_spans), (8, spans(&[(0, 3)])));
        // Indexes -1 | 0, 1 | 2 share a bucket each.
        assert_eq!(h.positive_buckets, [1.0, 5.0, 4.0]);
        assert!(matches!(exponential(&point(-5, 0, &[1])), Err(Problem::Item(e)) if e.contains(">= -4")));
    }

    #[test]
    fn explicit_bounds_become_custom_buckets() {
        let p = Point {
            counts: vec![0, 2, 0, 1],
            bounds: vec![0.1, 0.5, 1.0],
            count: 3,
            sum: Some(2.0),
            ..Point::default()
        };
        let h = custom(&p).unwrap();
        assert_eq!((h.schema, h.positive_spans), (CUSTOM_BUCKETS_SCHEMA, spans(&[(1, 3)])));
        assert_eq!((h.positive_buckets, h.custom_values), (vec![2.0, 0.0, 1.0], vec![0.1, 0.5, 1.0]));
        let more_than_buckets = Point { count: 4, ..p };
        assert!(matches!(custom(&more_than_buckets), Err(Problem::Item(_))));
    }

    #[test]
    fn counts_of_more_than_64_bits_together_are_refused() {
        let half = 1u64 << 63;
        // What a sender says who lets them wrap around.
        let point = |positive: &[u64], negative: &[u64], zero_count: u64| Point {
            count: positive.iter().chain(negative).fold(zero_count, |a, b| a.wrapping_add(*b)),
            zero_count,
            positive: Buckets { offset: 0, counts: positive.to_vec() },
            negative: Buckets { offset: 0, counts: negative.to_vec() },
            ..Point::default()
        };
        let max = half - 1;
        for (positive, negative, zero) in
            [(&[half][..], &[][..], 0), (&[max, max, 3], &[], 0), (&[max], &[max], 3), (&[1], &[], u64::MAX)]
        {
            let refused = exponential(&point(positive, negative, zero));
            assert!(
                matches!(refused, Err(Problem::Item(_))),
                "{positive:?} {negative:?} {zero}: {refused:?}"
            );
        }
        assert!(exponential(&point(&[max], &[], 1)).is_ok());
    }

    proptest! {
        #[test]
        fn nothing_of_the_counts_is_lost(
            scale in -5..40i32, offset: i32, counts in proptest::collection::vec(prop_oneof![Just(0), any::<u64>(), 1..9u64], 0..20),
        ) {
            let count = counts.iter().fold(0u64, |a, b| a.wrapping_add(*b));
            let p = Point { count, positive: Buckets { offset, counts }, scale, ..Point::default() };
            if let Ok(h) = exponential(&p) {
                prop_assert!(h.validate().is_ok());
                let sum: f64 = h.positive_buckets.iter().sum();
                prop_assert!((sum - h.count).abs() <= h.count * 1e-9);
            }
        }
    }
}

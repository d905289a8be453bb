//! When two results count as equal.

use reba_model::{Histogram, Span, is_stale_nan};

/// Relative error that is allowed, the same as upstream's.
const EPSILON: f64 = 0.000_001;

/// Whether two floats are equal but for rounding. Staleness markers equal only themselves, any other NaN equals any
/// other NaN.
pub fn almost_equal(a: f64, b: f64) -> bool {
    if is_stale_nan(a) || is_stale_nan(b) {
        return is_stale_nan(a) && is_stale_nan(b);
    }
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}

/// Whether two histograms are equal but for rounding and empty buckets; the hints only if `with_hint`.
pub fn histograms_match(expected: &Histogram, actual: &Histogram, with_hint: bool) -> bool {
    let (mut a, mut b) = (expected.clone(), actual.clone());
    a.compact(0);
    b.compact(0);
    let bounds = |h: &Histogram| h.custom_values.clone();
    a.schema == b.schema
        && almost_equal(a.count, b.count)
        && almost_equal(a.sum, b.sum)
        && bounds(&a) == bounds(&b)
        && a.zero_threshold == b.zero_threshold
        && almost_equal(a.zero_count, b.zero_count)
        && buckets_match((&a.positive_spans, &a.positive_buckets), (&b.positive_spans, &b.positive_buckets))
        && buckets_match((&a.negative_spans, &a.negative_buckets), (&b.negative_spans, &b.negative_buckets))
        && (!with_hint || a.hint == b.hint)
}

fn buckets_match(a: (&[Span], &[f64]), b: (&[Span], &[f64])) -> bool {
    let indexed = |(spans, counts): (&[Span], &[f64])| -> Vec<(i64, f64)> {
        let mut index = 0;
        let mut out = Vec::new();
        for span in spans {
            index += i64::from(span.offset);
            for _ in 0..span.length {
                out.push((index, counts.get(out.len()).copied().unwrap_or(f64::NAN)));
                index += 1;
            }
        }
        out
    };
    let (a, b) = (indexed(a), indexed(b));
    a.len() == b.len() && a.iter().zip(&b).all(|(x, y)| x.0 == y.0 && almost_equal(x.1, y.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_forgiven_and_staleness_is_not() {
        assert!(almost_equal(1.0, 1.000_000_1) && !almost_equal(1.0, 1.000_01));
        assert!(almost_equal(f64::NAN, -f64::NAN) && !almost_equal(f64::NAN, reba_model::STALE_NAN));
        assert!(!almost_equal(0.0, 1e-9) && !almost_equal(f64::INFINITY, f64::MAX));
    }
}

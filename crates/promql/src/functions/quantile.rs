//! Quantiles of plain numbers.

use std::cmp::Ordering;

use super::notes;
use crate::eval::value::{KernelContext, Point, Window};

/// The quantile `q` of `values` (which are reordered), interpolated linearly between neighbours. NaN counts as the
/// smallest value. `-Inf` for q < 0, `+Inf` for q > 1, NaN for no values or if `q` is NaN.
pub fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let n = values.len();
    let rank = q * (n - 1) as f64;
    let lower = (rank.floor() as usize).min(n - 1);
    let weight = rank - rank.floor();
    let (_, low, above) = values.select_nth_unstable_by(lower, nan_first);
    let low = *low;
    let high = above.iter().copied().min_by(nan_first).unwrap_or(low);
    low * (1.0 - weight) + high * weight
}

fn nan_first(a: &f64, b: &f64) -> Ordering {
    b.is_nan().cmp(&a.is_nan()).then_with(|| a.total_cmp(b))
}

/// Values that fit here are sorted without an allocation.
const ON_STACK: usize = 64;

/// Calls `f` with a copy of `v` that it may reorder.
fn with_copy(v: &[f64], f: impl FnOnce(&mut [f64]) -> f64) -> f64 {
    if v.len() <= ON_STACK {
        let mut buffer = [0.0; ON_STACK];
        let copy = &mut buffer[..v.len()];
        copy.copy_from_slice(v);
        f(copy)
    } else {
        f(&mut v.to_vec())
    }
}

pub(super) fn quantile_over_time(w: &Window<'_>, args: &[f64], cx: &mut KernelContext<'_>) -> Point {
    let Some(q) = args.first().copied().filter(|_| !w.v.is_empty()) else { return Point::Absent };
    notes::check_quantiles(cx, &[q], 0);
    if !w.h.is_empty() {
        notes::histograms_ignored(cx);
    }
    Point::Float(with_copy(w.v, |v| quantile(q, v)))
}

/// The median of the distances from the median.
pub(super) fn mad_over_time(w: &Window<'_>, _: &[f64], cx: &mut KernelContext<'_>) -> Point {
    if w.v.is_empty() {
        return Point::Absent;
    }
    if !w.h.is_empty() {
        notes::histograms_ignored(cx);
    }
    if w.v.iter().any(|v| v.is_nan()) {
        return Point::Float(f64::NAN);
    }
    Point::Float(with_copy(w.v, |v| {
        let median = quantile(0.5, v);
        for x in v.iter_mut() {
            *x = (*x - median).abs();
        }
        quantile(0.5, v)
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_interpolate_between_neighbours() {
        for (q, want) in [(0.0, 1.0), (0.5, 2.5), (0.75, 3.25), (1.0, 4.0), (-0.1, f64::NEG_INFINITY)] {
            assert_eq!(quantile(q, &mut [4.0, 1.0, 3.0, 2.0]), want);
        }
        assert!(quantile(0.1, &mut [1.0, f64::NAN]).is_nan());
        assert_eq!(quantile(1.0, &mut [1.0, f64::NAN, 3.0]), 3.0);
        assert!(quantile(0.5, &mut []).is_nan());
    }

    proptest! {
        #[test]
        fn selecting_equals_sorting(v in proptest::collection::vec(-50i32..50, 1..80), q in 0.0..=1.0f64) {
            let v: Vec<f64> = v.into_iter().map(f64::from).collect();
            let mut sorted = v.clone();
            sorted.sort_by(f64::total_cmp);
            let rank = q * (v.len() - 1) as f64;
            let (low, weight) = (rank.floor() as usize, rank - rank.floor());
            let want = sorted[low] * (1.0 - weight) + sorted[(low + 1).min(v.len() - 1)] * weight;
            prop_assert_eq!(with_copy(&v, |v| quantile(q, v)), want);
        }
    }
}

//! Lines through samples, and smoothing.

use reba_model::histogram::kahan;

use super::notes;
use crate::eval::value::{KernelContext, Point, Window};

/// Notes histograms that are left out; returns whether there are enough floats, two.
fn two_floats(w: &Window<'_>, cx: &mut KernelContext<'_>) -> bool {
    if !w.v.is_empty() && !w.h.is_empty() {
        notes::histograms_ignored(cx);
    }
    w.v.len() >= 2
}

pub(super) fn deriv(w: &Window<'_>, _: &[f64], cx: &mut KernelContext<'_>) -> Point {
    if !two_floats(w, cx) {
        return Point::Absent;
    }
    // A time near the samples keeps the products small.
    Point::Float(linear_regression(w, w.t[0]).0)
}

pub(super) fn predict_linear(w: &Window<'_>, args: &[f64], cx: &mut KernelContext<'_>) -> Point {
    let Some(seconds) = args.first().copied() else { return Point::Absent };
    if !two_floats(w, cx) {
        return Point::Absent;
    }
    let (slope, intercept) = linear_regression(w, cx.t);
    Point::Float(slope * seconds + intercept)
}

/// The least-squares line: its slope per second, and its value at time `at`.
fn linear_regression(w: &Window<'_>, at: i64) -> (f64, f64) {
    let first = w.v[0];
    if w.v.iter().all(|y| *y == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let mut sums = [(0.0, 0.0); 4];
    for (t, y) in w.t.iter().zip(w.v) {
        let x = t.saturating_sub(at) as f64 / 1e3;
        for ((sum, c), term) in sums.iter_mut().zip([x, *y, x * y, x * x]) {
            (*sum, *c) = kahan::add(term, *sum, *c);
        }
    }
    let n = w.v.len() as f64;
    let [x, y, xy, xx] = sums.map(|(sum, c)| sum + c);
    let covariance = xy - x * y / n;
    let variance = xx - x * x / n;
    let slope = covariance / variance;
    (slope, y / n - slope * x / n)
}

/// Holt's linear method: `args` are the smoothing factor and the trend factor, both strictly between 0 and 1.
pub(super) fn double_exponential_smoothing(
    w: &Window<'_>,
    args: &[f64],
    cx: &mut KernelContext<'_>,
) -> Point {
    let [smoothing, trend_factor, ..] = *args else { return Point::Absent };
    if !two_floats(w, cx) {
        return Point::Absent;
    }
    let (mut previous, mut level) = (0.0, w.v[0]);
    let mut trend = w.v[1] - w.v[0];
    for (i, v) in w.v.iter().enumerate().skip(1) {
        if i > 1 {
            trend = trend_factor * (level - previous) + (1.0 - trend_factor) * trend;
        }
        let next = smoothing * v + (1.0 - smoothing) * (level + trend);
        (previous, level) = (level, next);
    }
    Point::Float(level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::value::RangeMode;

    fn window<'a>(t: &'a [i64], v: &'a [f64]) -> Window<'a> {
        Window { t, v, h: &[], start: 0, end: 100_000, mode: RangeMode::Plain }
    }

    #[test]
    fn a_line_is_found_exactly() {
        let w = window(&[10_000, 20_000, 40_000], &[5.0, 10.0, 20.0]);
        let (slope, at_60) = linear_regression(&w, 60_000);
        assert!((slope - 0.5).abs() < 1e-15 && (at_60 - 30.0).abs() < 1e-12);
        assert_eq!(linear_regression(&window(&[1, 2], &[7.0, 7.0]), 0), (0.0, 7.0));
        assert!(linear_regression(&window(&[1, 2], &[f64::INFINITY; 2]), 0).0.is_nan());
    }
}

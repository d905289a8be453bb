//! Aggregations of one series over a window.

use std::sync::Arc;

use reba_model::histogram::kahan;

use super::{notes, over_time_histograms};
use crate::eval::value::{KernelContext, Point, Window};

pub(super) fn count(w: &Window<'_>, _: &[f64], _: &mut KernelContext<'_>) -> Point {
    Point::Float((w.v.len() + w.h.len()) as f64)
}

pub(super) fn present(_: &Window<'_>, _: &[f64], _: &mut KernelContext<'_>) -> Point {
    Point::Float(1.0)
}

pub(super) fn first(w: &Window<'_>, _: &[f64], _: &mut KernelContext<'_>) -> Point {
    match (w.t.first(), w.h.first()) {
        (Some(t), Some(h)) if *t >= h.t => Point::Histogram(Arc::clone(&h.h)),
        (None, Some(h)) => Point::Histogram(Arc::clone(&h.h)),
        _ => w.v.first().map_or(Point::Absent, |v| Point::Float(*v)),
    }
}

pub(super) fn last(w: &Window<'_>, _: &[f64], _: &mut KernelContext<'_>) -> Point {
    match (w.t.last(), w.h.last()) {
        (Some(t), Some(h)) if *t <= h.t => Point::Histogram(Arc::clone(&h.h)),
        (None, Some(h)) => Point::Histogram(Arc::clone(&h.h)),
        _ => w.v.last().map_or(Point::Absent, |v| Point::Float(*v)),
    }
}

pub(super) fn ts_of_first(w: &Window<'_>, _: &[f64], _: &mut KernelContext<'_>) -> Point {
    let t = w.t.first().copied().into_iter().chain(w.h.first().map(|h| h.t)).min();
    t.map_or(Point::Absent, |t| Point::Float(t as f64 / 1000.0))
}

pub(super) fn ts_of_last(w: &Window<'_>, _: &[f64], _: &mut KernelContext<'_>) -> Point {
    let t = w.t.last().copied().into_iter().chain(w.h.last().map(|h| h.t)).max();
    t.map_or(Point::Absent, |t| Point::Float(t as f64 / 1000.0))
}

/// The float that `better(candidate, best)` prefers over all others, and its position. NaN loses against anything.
fn best(v: &[f64], better: impl Fn(f64, f64) -> bool) -> Option<(f64, usize)> {
    let mut best = (*v.first()?, 0);
    for (i, x) in v.iter().enumerate() {
        if better(*x, best.0) || best.0.is_nan() {
            best = (*x, i);
        }
    }
    Some(best)
}

/// Notes histograms that a function of floats leaves out; returns whether there are floats at all.
fn floats_only(w: &Window<'_>, cx: &mut KernelContext<'_>) -> bool {
    if !w.v.is_empty() && !w.h.is_empty() {
        notes::histograms_ignored(cx);
    }
    !w.v.is_empty()
}

pub(super) fn min(w: &Window<'_>, _: &[f64], cx: &mut KernelContext<'_>) -> Point {
    floats_only(w, cx);
    best(w.v, |x, min| x < min).map_or(Point::Absent, |(v, _)| Point::Float(v))
}

pub(super) fn max(w: &Window<'_>, _: &[f64], cx: &mut KernelContext<'_>) -> Point {
    floats_only(w, cx);
    best(w.v, |x, max| x > max).map_or(Point::Absent, |(v, _)| Point::Float(v))
}

pub(super) fn ts_of_min(w: &Window<'_>, _: &[f64], cx: &mut KernelContext<'_>) -> Point {
    floats_only(w, cx);
    best(w.v, |x, min| x <= min).map_or(Point::Absent, |(_, i)| Point::Float(w.t[i] as f64 / 1000.0))
}

pub(super) fn ts_of_max(w: &Window<'_>, _: &[f64], cx: &mut KernelContext<'_>) -> Point {
    floats_only(w, cx);
    best(w.v, |x, max| x >= max).map_or(Point::Absent, |(_, i)| Point::Float(w.t[i] as f64 / 1000.0))
}

pub(super) fn sum(w: &Window<'_>, _: &[f64], cx: &mut KernelContext<'_>) -> Point {
    match (w.v.is_empty(), w.h.is_empty()) {
        (false, false) => {
            notes::mixed_floats_histograms(cx);
            Point::Absent
        }
        (true, _) => over_time_histograms::sum(w.h, cx),
        (false, true) => Point::Float(sum_of(w.v)),
    }
}

pub(super) fn avg(w: &Window<'_>, _: &[f64], cx: &mut KernelContext<'_>) -> Point {
    match (w.v.is_empty(), w.h.is_empty()) {
        (false, false) => {
            notes::mixed_floats_histograms(cx);
            Point::Absent
        }
        (true, _) => over_time_histograms::avg(w.h, cx),
        (false, true) => Point::Float(avg_of(w.v)),
    }
}

/// The Kahan sum; an infinite one drops the compensation.
pub(super) fn sum_of(v: &[f64]) -> f64 {
    let (mut sum, mut c) = (0.0, 0.0);
    for x in v {
        (sum, c) = kahan::add(*x, sum, c);
    }
    if sum.is_infinite() { sum } else { sum + c }
}

/// The mean: the Kahan sum divided by the count, or, from the value on with which the sum would overflow, a mean that is
/// moved by each value. `v` is not empty.
pub(super) fn avg_of(v: &[f64]) -> f64 {
    let Some((first, rest)) = v.split_first() else { return f64::NAN };
    let (mut sum, mut c) = (*first, 0.0);
    for (i, x) in rest.iter().enumerate() {
        let (new_sum, new_c) = kahan::add(*x, sum, c);
        if new_sum.is_infinite() {
            let count = (i + 1) as f64;
            return moving_mean(&rest[i..], sum / count, c / count, count);
        }
        (sum, c) = (new_sum, new_c);
    }
    let count = v.len() as f64;
    sum / count + c / count
}

/// Moves the mean of `count` values by `rest`.
fn moving_mean(rest: &[f64], mut mean: f64, mut c: f64, mut count: f64) -> f64 {
    for x in rest {
        count += 1.0;
        let q = (count - 1.0) / count;
        (mean, c) = kahan::add(x / count, q * mean, q * c);
    }
    mean + c
}

/// The population variance, by Welford's method with Kahan sums.
fn variance(v: &[f64]) -> f64 {
    let mut count = 0.0;
    let (mut mean, mut c_mean) = (0.0, 0.0);
    let (mut aux, mut c_aux) = (0.0, 0.0);
    for x in v {
        count += 1.0;
        let delta = x - (mean + c_mean);
        (mean, c_mean) = kahan::add(delta / count, mean, c_mean);
        (aux, c_aux) = kahan::add(delta * (x - (mean + c_mean)), aux, c_aux);
    }
    (aux + c_aux) / count
}

pub(super) fn stdvar(w: &Window<'_>, _: &[f64], cx: &mut KernelContext<'_>) -> Point {
    if floats_only(w, cx) { Point::Float(variance(w.v)) } else { Point::Absent }
}

pub(super) fn stddev(w: &Window<'_>, _: &[f64], cx: &mut KernelContext<'_>) -> Point {
    if floats_only(w, cx) { Point::Float(variance(w.v).sqrt()) } else { Point::Absent }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_means_lose_no_small_terms_and_survive_overflow() {
        assert_eq!(sum_of(&[1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(sum_of(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(sum_of(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert_eq!(avg_of(&[1.0, 1e100, 1.0, -1e100]), 0.5);
        assert!(avg_of(&[f64::MAX, f64::MAX, f64::MAX]) / f64::MAX > 1.0 - 1e-12);
        assert_eq!(avg_of(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(avg_of(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }

    #[test]
    fn nan_is_the_smallest_and_the_largest_only_if_alone() {
        assert_eq!(best(&[f64::NAN, 2.0, 1.0, 3.0], |x, b| x > b), Some((3.0, 3)));
        assert_eq!(best(&[2.0, f64::NAN, 1.0], |x, b| x < b), Some((1.0, 2)));
        assert!(best(&[f64::NAN, f64::NAN], |x, b| x < b).unwrap().0.is_nan());
        assert_eq!(best(&[], |x, b| x < b), None);
    }

    #[test]
    fn the_variance_is_that_of_the_population() {
        assert!((variance(&[0.0, 8.0, 8.0, 2.0, 3.0]) - 10.56).abs() < 1e-12);
        assert_eq!(variance(&[5.0]), 0.0);
    }
}

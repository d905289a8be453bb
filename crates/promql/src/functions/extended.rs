//! `rate`, `increase` and `delta` with `anchored` and `smoothed`: no extrapolation, but the value at the bounds of the
//! window taken from the sample before it, or interpolated with the sample behind it.

use std::sync::Arc;

use reba_model::{CounterResetHint, Histogram, HistogramSample, histogram::IncompatibleSchemas};

use super::{
    notes::{self, Operation},
    rate::{Kind, seconds},
};
use crate::eval::value::{KernelContext, Point, RangeMode, Window};

/// Computes from the floats of the window, or from its histograms; it does not have both.
pub(super) fn compute(w: &Window<'_>, kind: Kind, cx: &mut KernelContext<'_>) -> Point {
    if !w.v.is_empty() {
        return of_floats(w, kind).map_or(Point::Absent, Point::Float);
    }
    match of_histograms(w, kind, cx) {
        Ok(h) => h.map_or(Point::Absent, Point::histogram),
        Err(IncompatibleSchemas) => {
            notes::mixed_exponential_custom(cx);
            Point::Absent
        }
    }
}

/// Positions of the samples that the bounds are taken from, or nothing if none is of use.
fn bounding<T>(samples: &[T], time: impl Fn(&T) -> i64, w: &Window<'_>) -> Option<(usize, usize)> {
    let last = samples.len().checked_sub(1)?;
    let smoothed = w.mode == RangeMode::Smoothed;
    let first = samples[..last].partition_point(|s| time(s) <= w.start).saturating_sub(1);
    let last = if smoothed { samples[..last].partition_point(|s| time(s) < w.end) } else { last };
    let useless = time(&samples[last]) <= w.start || (smoothed && time(&samples[first]) > w.end);
    (!useless).then_some((first, last))
}

fn of_floats(w: &Window<'_>, kind: Kind) -> Option<f64> {
    let (first, last) = bounding(w.t, |t| *t, w)?;
    let smoothed = w.mode == RangeMode::Smoothed;
    let at = |i: usize| (w.t[i], w.v[i]);
    let left = if smoothed && w.t[first] < w.start && first + 1 < w.t.len() {
        interpolate(at(first), at(first + 1), w.start, kind.is_counter())
    } else {
        w.v[first]
    };
    let right = if smoothed && last > 0 && w.t[last] > w.end {
        interpolate(at(last - 1), at(last), w.end, kind.is_counter())
    } else {
        w.v[last]
    };
    let mut total = right - left;
    if kind.is_counter() {
        // Resets at the bounds are part of the interpolation already.
        let from = if w.t[first] <= w.start { first + 1 } else { first };
        let to = if w.t[last] >= w.end { last } else { last + 1 };
        total += lost_in_resets(left, right, w.v.get(from..to).unwrap_or_default());
    }
    Some(if kind == Kind::Rate { total / seconds(w.range()) } else { total })
}

/// The value at `t` on the line between two samples; a counter that was reset between them started at zero.
fn interpolate((t1, v1): (i64, f64), (t2, v2): (i64, f64), t: i64, is_counter: bool) -> f64 {
    let v1 = if is_counter && v2 < v1 { 0.0 } else { v1 };
    v1 + (v2 - v1) * (t - t1) as f64 / (t2 - t1) as f64
}

fn lost_in_resets(left: f64, right: f64, between: &[f64]) -> f64 {
    let mut lost = 0.0;
    let mut previous = left;
    for v in between.iter().chain([&right]) {
        if *v < previous {
            lost += previous;
        }
        previous = *v;
    }
    lost
}

fn of_histograms(
    w: &Window<'_>,
    kind: Kind,
    cx: &mut KernelContext<'_>,
) -> Result<Option<Histogram>, IncompatibleSchemas> {
    let Some((first, last)) = bounding(w.h, |s| s.t, w) else { return Ok(None) };
    let used = w.h.get(first..=last).unwrap_or_default();
    if used.windows(2).any(|p| p[0].h.uses_custom_buckets() != p[1].h.uses_custom_buckets()) {
        return Err(IncompatibleSchemas);
    }
    let is_gauge = |h: &Histogram| h.hint == CounterResetHint::Gauge;
    if kind.is_counter() && used.iter().any(|s| is_gauge(&s.h)) {
        notes::not_a_counter(cx);
    }
    let smoothed = w.mode == RangeMode::Smoothed;
    let left = if smoothed && w.h[first].t < w.start && first + 1 < w.h.len() {
        interpolate_histograms(&w.h[first], &w.h[first + 1], w.start, kind, cx)?
    } else {
        Arc::clone(&w.h[first].h)
    };
    let right = if smoothed && last > 0 && w.h[last].t > w.end {
        interpolate_histograms(&w.h[last - 1], &w.h[last], w.end, kind, cx)?
    } else {
        Arc::clone(&w.h[last].h)
    };
    if !kind.is_counter() && !(is_gauge(&left) && is_gauge(&right)) {
        notes::not_a_gauge(cx);
    }
    let mut total = Histogram::clone(&right);
    notes::combined(cx, total.sub(&left)?, Operation::Subtraction);
    if kind.is_counter()
        && let Some(lost) = lost_in_histogram_resets(w, (first, last), &left, &right, cx)?
    {
        notes::combined(cx, total.add(&lost)?, Operation::Addition);
    }
    if kind == Kind::Rate {
        total.div(seconds(w.range()));
    }
    total.hint = CounterResetHint::Gauge;
    total.compact(0);
    Ok(Some(total))
}

/// The histogram at `t` on the line between two samples; a counter that was reset between them started empty.
fn interpolate_histograms(
    a: &HistogramSample,
    b: &HistogramSample,
    t: i64,
    kind: Kind,
    cx: &mut KernelContext<'_>,
) -> Result<Arc<Histogram>, IncompatibleSchemas> {
    if t == a.t {
        return Ok(Arc::clone(&a.h));
    }
    if t == b.t {
        return Ok(Arc::clone(&b.h));
    }
    let fraction = (t - a.t) as f64 / (b.t - a.t) as f64;
    let mut h = Histogram::clone(&b.h);
    if kind.is_counter() && b.h.detect_reset(&a.h) {
        h.mul(fraction);
        return Ok(Arc::new(h));
    }
    notes::combined(cx, h.sub(&a.h)?, Operation::Subtraction);
    h.mul(fraction);
    notes::combined(cx, h.add(&a.h)?, Operation::Addition);
    Ok(Arc::new(h))
}

/// What a counter held at its resets between the bounds.
fn lost_in_histogram_resets(
    w: &Window<'_>,
    (first, last): (usize, usize),
    left: &Histogram,
    right: &Histogram,
    cx: &mut KernelContext<'_>,
) -> Result<Option<Histogram>, IncompatibleSchemas> {
    let mut from = first + 1;
    let mut previous = left;
    let smoothed = w.mode == RangeMode::Smoothed;
    if smoothed
        && w.h[first].t < w.start
        && let Some(next) = w.h.get(first + 1)
        && next.h.detect_reset(&w.h[first].h)
    {
        // The interpolation at the left bound accounts for this reset.
        previous = &next.h;
        from += 1;
    }
    // The last sample is what `right` was made from, and carries the same hint: it is compared as `right` only.
    if from > last {
        return Ok(None);
    }
    let mut lost: Option<Histogram> = None;
    for current in w.h[from..last].iter().map(|s| &*s.h).chain([right]) {
        if current.detect_reset(previous) {
            match &mut lost {
                None => lost = Some(previous.clone()),
                Some(sum) => notes::combined(cx, sum.add(previous)?, Operation::Addition),
            }
        }
        previous = current;
    }
    Ok(lost)
}

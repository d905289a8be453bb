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
    let gauges = is_gauge(&left) && is_gauge(&right);
    if !kind.is_counter() && !gauges {
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

#[cfg(test)]
mod tests {
    use reba_model::{Labels, parse_notation};

    use super::*;
    use crate::eval::annotations::Annotations;

    const T: [i64; 5] = [0, 10_000, 20_000, 30_000, 40_000];

    fn floats(v: &[f64], mode: RangeMode, start: i64, end: i64, kind: Kind) -> Option<f64> {
        of_floats(&Window { t: &T, v, h: &[], start, end, mode }, kind)
    }

    #[test]
    fn anchored_ranges_begin_with_the_sample_before_them() {
        let v = [1.0, 3.0, 6.0, 2.0, 4.0];
        let increase = |start, end| floats(&v, RangeMode::Anchored, start, end, Kind::Increase);
        // From 3 (at 10 s): up to 6, reset, up to 4.
        assert_eq!(increase(15_000, 40_000), Some(7.0));
        assert_eq!(floats(&v, RangeMode::Anchored, 15_000, 40_000, Kind::Delta), Some(1.0));
        assert_eq!(floats(&v, RangeMode::Anchored, 15_000, 40_000, Kind::Rate), Some(7.0 / 25.0));
        assert_eq!(increase(40_000, 50_000), None);
    }

    #[test]
    fn smoothed_ranges_are_interpolated_at_both_bounds() {
        let v = [1.0, 3.0, 6.0, 2.0, 4.0];
        let increase = |start, end| floats(&v, RangeMode::Smoothed, start, end, Kind::Increase);
        // From 2 at 5 s to 4.5 at 15 s.
        assert_eq!(increase(5_000, 15_000), Some(2.5));
        // From 4.5 at 15 s to 6, and from 0 to 1 at 25 s, half way to 2 after the reset.
        assert_eq!(increase(15_000, 25_000), Some(2.5));
        assert_eq!(floats(&v, RangeMode::Smoothed, 5_000, 35_000, Kind::Delta), Some(1.0));
    }

    #[test]
    fn histograms_are_treated_like_floats() {
        let counts = [1.0, 3.0, 6.0, 2.0, 4.0];
        let h: Vec<HistogramSample> = T
            .iter()
            .zip(counts)
            .map(|(t, c)| {
                let text = format!("{{{{count:{c} sum:{c} buckets:[{c}]}}}}");
                HistogramSample { t: *t, h: Arc::new(parse_notation(&text).unwrap().0) }
            })
            .collect();
        for (mode, start, end) in [
            (RangeMode::Anchored, 15_000, 40_000),
            (RangeMode::Anchored, 0, 40_000),
            (RangeMode::Smoothed, 5_000, 15_000),
            (RangeMode::Smoothed, 15_000, 25_000),
            (RangeMode::Smoothed, 5_000, 38_000),
            (RangeMode::Smoothed, 21_000, 29_000),
        ] {
            for kind in [Kind::Rate, Kind::Increase] {
                let mut cx = KernelContext {
                    t: 0,
                    labels: &Labels::empty(),
                    call_pos: 0,
                    arg_pos: &[],
                    delayed_name_removal: false,
                    annotations: &mut Annotations::new(),
                };
                let w = Window { t: &[], v: &[], h: &h, start, end, mode };
                let got = of_histograms(&w, kind, &mut cx).unwrap().unwrap();
                let want = floats(&counts, mode, start, end, kind).unwrap();
                assert!((got.count - want).abs() < 1e-12, "{mode:?} {start} {end} {kind:?}: {got} {want}");
                assert!((got.positive_buckets[0] - want).abs() < 1e-12);
                assert!(cx.annotations.is_empty());
            }
        }
    }
}

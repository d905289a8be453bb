//! How often a series changed, or was reset.

use reba_model::Histogram;

use crate::eval::value::{KernelContext, Point, RangeMode, Window};

/// A sample of either kind.
#[derive(Clone, Copy)]
enum Either<'a> {
    Float(f64),
    Histogram(&'a Histogram),
}

pub(super) fn changes(w: &Window<'_>, _: &[f64], _: &mut KernelContext<'_>) -> Point {
    count_pairs(w, |a, b| a != b && !(a.is_nan() && b.is_nan()), |a, b| !b.equals(a))
}

pub(super) fn resets(w: &Window<'_>, _: &[f64], _: &mut KernelContext<'_>) -> Point {
    count_pairs(w, |a, b| b < a, |a, b| b.detect_reset(a))
}

/// Counts pairs of neighbours that the conditions hold for; a change of kind always counts.
fn count_pairs(
    w: &Window<'_>,
    floats: impl Fn(f64, f64) -> bool,
    histograms: impl Fn(&Histogram, &Histogram) -> bool,
) -> Point {
    let Some((first_float, first_histogram)) = first_samples(w) else { return Point::Absent };
    let (t, v, h) = (&w.t[first_float..], &w.v[first_float..], &w.h[first_histogram..]);
    if h.is_empty() {
        return Point::Float(v.windows(2).filter(|p| floats(p[0], p[1])).count() as f64);
    }
    let (mut i, mut j, mut n) = (0, 0, 0u32);
    let mut previous = None;
    while i < t.len() || j < h.len() {
        let current = if j >= h.len() || (i < t.len() && t[i] <= h[j].t) {
            i += 1;
            Either::Float(v[i - 1])
        } else {
            j += 1;
            Either::Histogram(&h[j - 1].h)
        };
        n += u32::from(match (previous.replace(current), current) {
            (None, _) => false,
            (Some(Either::Float(a)), Either::Float(b)) => floats(a, b),
            (Some(Either::Histogram(a)), Either::Histogram(b)) => histograms(a, b),
            _ => true,
        });
    }
    Point::Float(f64::from(n))
}

/// Where the comparison begins. An anchored range begins with the newest sample at or before its start, of either kind,
/// and must have one behind its start.
fn first_samples(w: &Window<'_>) -> Option<(usize, usize)> {
    if w.mode != RangeMode::Anchored {
        return Some((0, 0));
    }
    let floats = w.t.partition_point(|t| *t <= w.start);
    let histograms = w.h.partition_point(|s| s.t <= w.start);
    if floats >= w.t.len() && histograms >= w.h.len() {
        return None;
    }
    let anchor_float = floats.checked_sub(1).map(|i| w.t[i]);
    let anchor_histogram = histograms.checked_sub(1).map(|i| w.h[i].t);
    Some(match (anchor_float, anchor_histogram) {
        (None, None) => (0, 0),
        (Some(f), h) if h.is_none_or(|h| f >= h) => (floats - 1, histograms),
        _ => (floats, histograms - 1),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use reba_model::{HistogramSample, Labels};

    use super::*;
    use crate::eval::annotations::Annotations;

    fn both(w: &Window<'_>) -> (Point, Point) {
        let mut cx = KernelContext {
            t: 0,
            labels: &Labels::empty(),
            call_pos: 0,
            arg_pos: &[],
            delayed_name_removal: false,
            annotations: &mut Annotations::new(),
        };
        (changes(w, &[], &mut cx), resets(w, &[], &mut cx))
    }

    #[test]
    fn neighbours_are_compared_and_a_change_of_kind_counts() {
        let h = |t, count| HistogramSample { t, h: Arc::new(Histogram { count, ..Histogram::default() }) };
        let hists = [h(35, 1.0), h(36, 1.0), h(37, 0.0)];
        let mut w = Window {
            t: &[10, 20, 30, 40],
            v: &[1.0, 1.0, 0.0, 2.0],
            h: &[],
            start: 5,
            end: 50,
            mode: RangeMode::Plain,
        };
        assert_eq!(both(&w), (Point::Float(2.0), Point::Float(1.0)));
        w.h = &hists;
        // 1 1 0 | 1 1 0 | 2
        assert_eq!(both(&w), (Point::Float(4.0), Point::Float(4.0)));
        (w.mode, w.start) = (RangeMode::Anchored, 35);
        assert_eq!(both(&w), (Point::Float(2.0), Point::Float(2.0)));
        w.start = 40;
        assert_eq!(both(&w), (Point::Absent, Point::Absent));
        let nans = Window { t: &[1, 2], v: &[f64::NAN, f64::NAN], h: &[], mode: RangeMode::Plain, ..w };
        assert_eq!(both(&nans), (Point::Float(0.0), Point::Float(0.0)));
    }
}

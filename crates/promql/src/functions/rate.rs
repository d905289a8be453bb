//! `rate`, `increase` and `delta`, extrapolated to the bounds of their window.

use reba_model::Histogram;

use super::{extended, notes, rate_histograms, rolling::Windows};
use crate::eval::value::{KernelContext, Point, RangeMode, Window};

/// Which of the three functions is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Per second, resets corrected.
    Rate,
    /// In all, resets corrected.
    Increase,
    /// In all, of a gauge.
    Delta,
}

impl Kind {
    pub(super) fn is_counter(self) -> bool {
        self != Kind::Delta
    }
}

pub(super) fn rate(w: &Window<'_>, _: &[f64], cx: &mut KernelContext<'_>) -> Point {
    compute(w, Kind::Rate, cx)
}

pub(super) fn increase(w: &Window<'_>, _: &[f64], cx: &mut KernelContext<'_>) -> Point {
    compute(w, Kind::Increase, cx)
}

pub(super) fn delta(w: &Window<'_>, _: &[f64], cx: &mut KernelContext<'_>) -> Point {
    compute(w, Kind::Delta, cx)
}

fn compute(w: &Window<'_>, kind: Kind, cx: &mut KernelContext<'_>) -> Point {
    if !w.v.is_empty() && !w.h.is_empty() {
        notes::mixed_floats_histograms(cx);
        return Point::Absent;
    }
    if w.mode != RangeMode::Plain {
        return extended::compute(w, kind, cx);
    }
    if w.h.is_empty() { of_floats(w, kind) } else { of_histograms(w, kind, cx) }
}

fn of_floats(w: &Window<'_>, kind: Kind) -> Point {
    let (Some(first), Some(last)) = (w.v.first(), w.v.last()) else { return Point::Absent };
    if w.v.len() < 2 {
        return Point::Absent;
    }
    let mut total = last - first;
    if kind.is_counter() {
        for pair in w.v.windows(2).filter(|p| p[1] < p[0]) {
            total += pair[0];
        }
    }
    let extent = Extent::of(w.t[0], w.t[w.t.len() - 1], w.t.len(), w.start, w.end);
    let to_zero = (kind.is_counter() && total > 0.0 && *first >= 0.0).then(|| first / total);
    Point::Float(total * extent.factor(to_zero, kind))
}

fn of_histograms(w: &Window<'_>, kind: Kind, cx: &mut KernelContext<'_>) -> Point {
    let (Some(first), Some(last)) = (w.h.first(), w.h.last()) else { return Point::Absent };
    if w.h.len() < 2 {
        return Point::Absent;
    }
    let Some(mut total): Option<Histogram> = rate_histograms::increase(w.h, kind.is_counter(), cx) else {
        return Point::Absent;
    };
    let extent = Extent::of(first.t, last.t, w.h.len(), w.start, w.end);
    let grows = kind.is_counter() && total.count > 0.0 && first.h.count >= 0.0;
    let to_zero = grows.then(|| first.h.count / total.count);
    total.mul(extent.factor(to_zero, kind));
    Point::histogram(total)
}

/// Where the samples of a window lie in it; all in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    /// From the first to the last sample.
    sampled: f64,
    /// From the start of the window to the first sample.
    to_start: f64,
    /// From the last sample to the end of the window.
    to_end: f64,
    /// From a sample to the next, on average.
    average: f64,
    /// Of the window.
    range: f64,
}

impl Extent {
    /// `n` samples from `first` to `last` in a window from `start` to `end` (milliseconds); `n` is at least 2.
    #[inline]
    pub(super) fn of(first: i64, last: i64, n: usize, start: i64, end: i64) -> Self {
        let sampled = (last - first) as f64 / 1000.0;
        Extent {
            sampled,
            to_start: (first - start) as f64 / 1000.0,
            to_end: (end - last) as f64 / 1000.0,
            average: sampled / (n - 1) as f64,
            range: seconds(end - start),
        }
    }

    /// What the window is taken as covered before its first sample.
    #[inline]
    fn before_first(&self) -> f64 {
        if self.to_start >= self.average * 1.1 { self.average / 2.0 } else { self.to_start }
    }

    /// What the increase between the samples is multiplied by.
    ///
    /// The window is taken as covered up to a bound that is nearer than 1.1 times the average distance of samples;
    /// otherwise the series is taken to begin or end half such a distance beyond its samples. A counter does not
    /// begin before it would have been zero: `to_zero` is that time, in multiples of the sampled interval.
    #[inline]
    pub(super) fn factor(&self, to_zero: Option<f64>, kind: Kind) -> f64 {
        let threshold = self.average * 1.1;
        let mut to_start = self.before_first();
        if let Some(to_zero) = to_zero.map(|share| self.sampled * share).filter(|z| *z < to_start) {
            to_start = to_zero;
        }
        let to_end = if self.to_end >= threshold { self.average / 2.0 } else { self.to_end };
        let factor =
            if self.sampled == 0.0 { 1.0 } else { (self.sampled + to_start + to_end) / self.sampled };
        if kind == Kind::Rate { factor / self.range } else { factor }
    }
}

/// What the increase in a window is multiplied by, as far as the times of its samples say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scale {
    /// Without a bound at zero.
    factor: f64,
    /// What is added before the first sample does not exceed the sampled interval.
    short_start: bool,
    extent: Extent,
}

impl Scale {
    fn of(extent: Extent, kind: Kind) -> Self {
        let short_start = extent.before_first() <= extent.sampled;
        Scale { factor: extent.factor(None, kind), short_start, extent }
    }

    /// What `total`, the increase from `first` on, is multiplied by.
    #[inline]
    pub(super) fn factor(&self, first: f64, total: f64, kind: Kind) -> f64 {
        // A counter that was at least as large as its increase would have been zero before the sampled interval's length:
        // no bound. That saves a division.
        let unbounded = !kind.is_counter() || (first >= total && self.short_start);
        if unbounded {
            return self.factor;
        }
        let to_zero = (total > 0.0 && first >= 0.0).then(|| first / total);
        self.extent.factor(to_zero, kind)
    }
}

/// Windows whose samples lie alike come again after so many windows at most, or are computed anew: a step of 15 s sees samples
/// that come every minute in four ways.
const PERIOD: usize = 4;

/// The scales of all windows, of which no two that are near and alike are computed.
#[derive(Debug, Default)]
pub(super) struct Scales(Vec<Scale>);

impl Scales {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Scale> {
        self.0.iter()
    }

    /// Prepares for windows, unless that is done.
    pub(super) fn fit(&mut self, w: &Windows<'_>, kind: Kind) {
        if self.0.len() == w.samples.len() {
            return;
        }
        self.0.clear();
        self.0.reserve_exact(w.samples.len());
        // First sample behind the start, last sample before the end (milliseconds), samples.
        let mut places = [(0, 0, 0); PERIOD];
        for (i, ((from, to), end)) in w.iter().zip(w.ends).enumerate() {
            if to < from + 2 {
                places[i % PERIOD] = (0, 0, 0);
                self.0.push(Scale::default());
                continue;
            }
            let (first, last, start) = (w.t[from], w.t[to - 1], end.saturating_sub(w.range));
            let place = (first - start, end - last, to - from);
            let known = (1..=PERIOD.min(i)).find(|back| places[(i - back) % PERIOD] == place);
            let scale = match known {
                Some(back) => self.0[i - back],
                None => Scale::of(Extent::of(first, last, to - from, start, *end), kind),
            };
            places[i % PERIOD] = place;
            self.0.push(scale);
        }
    }
}

/// Milliseconds in seconds, rounded as Go rounds a duration.
pub(super) fn seconds(ms: i64) -> f64 {
    (ms / 1000) as f64 + (ms % 1000) as f64 * 1e6 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(t: &[i64], v: &[f64], kind: Kind) -> Point {
        of_floats(&Window { t, v, h: &[], start: 0, end: 60_000, mode: RangeMode::Plain }, kind)
    }

    #[track_caller]
    fn assert_near(got: Point, want: f64) {
        assert!(matches!(got, Point::Float(v) if (v - want).abs() < 1e-12 * want.abs()), "{got:?} {want}");
    }

    #[test]
    fn the_increase_is_extrapolated_to_the_bounds_of_the_window() {
        // Samples every 15 s from 5 s to 50 s: both bounds are near, 45 s become 60 s.
        let t = [5_000, 20_000, 35_000, 50_000];
        assert_near(of(&t, &[100.0, 115.0, 130.0, 145.0], Kind::Increase), 60.0);
        assert_near(of(&t, &[100.0, 115.0, 130.0, 145.0], Kind::Rate), 1.0);
        // The counter was zero 3 s before its first sample.
        assert_near(of(&t, &[3.0, 18.0, 33.0, 48.0], Kind::Increase), 45.0 * (58.0 / 45.0));
        // A reset counts from zero: 15 + 15 (the reset to 15) + 15.
        assert_near(of(&t, &[100.0, 115.0, 15.0, 30.0], Kind::Increase), 60.0);
        assert_near(of(&t, &[100.0, 115.0, 15.0, 30.0], Kind::Delta), -70.0 * (60.0 / 45.0));
    }

    #[test]
    fn a_series_that_begins_late_is_extrapolated_by_half_a_distance() {
        let t = [30_000, 40_000, 50_000];
        // 10 s to the end of the window, less than 11 s; half of 10 s to the start.
        assert_near(of(&t, &[100.0, 110.0, 120.0], Kind::Increase), 35.0);
        assert_eq!(of(&t[..1], &[100.0], Kind::Increase), Point::Absent);
    }
}

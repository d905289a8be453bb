//! Functions of ranges over downsampled data.
//!
//! A range that begins and ends with windows of the data has the result that its samples would give. At an edge inside a
//! rollup its samples are taken to be evenly spaced, and a counter to rise evenly.

use reba_model::{Rollup, kahan_add};

use super::rate::{Extent, Kind};
use crate::{eval::value::ABSENT, syntax::Func};

/// The ranges of one series.
#[derive(Clone, Copy, Debug)]
pub struct RollupRanges<'a> {
    /// Sorted, apart, without staleness markers.
    pub rollups: &'a [Rollup],
    /// The end of each range, inclusive, rising.
    pub ends: &'a [i64],
    /// Milliseconds of every range.
    pub range: i64,
}

/// A range, and the rollups that reach into it.
struct Ranged<'a> {
    start: i64,
    end: i64,
    from: usize,
    rollups: &'a [Rollup],
}

impl<'a> RollupRanges<'a> {
    fn iter(&self) -> impl Iterator<Item = Ranged<'a>> {
        let Self { rollups, ends, range } = *self;
        let (mut from, mut to) = (0, 0);
        ends.iter().map(move |end| {
            let start = end.saturating_sub(range);
            while rollups.get(from).is_some_and(|r| r.last_t <= start) {
                from += 1;
            }
            while rollups.get(to).is_some_and(|r| r.first_t <= *end) {
                to += 1;
            }
            to = to.max(from);
            Ranged { start, end: *end, from, rollups: &rollups[from..to] }
        })
    }

    /// How many rollups each range touches.
    pub fn widths(&self) -> impl Iterator<Item = usize> {
        self.iter().map(|r| r.rollups.len())
    }

    /// The most rollups that one range touches.
    pub fn widest(&self) -> usize {
        self.widths().max().unwrap_or(0)
    }
}

/// Appends one float a range to `out`; [`ABSENT`] where the function has no result.
pub type RollupKernel = fn(&RollupRanges<'_>, out: &mut Vec<f64>);

/// The form of a function of one range vector for rollups, if there is one. The others get the samples that are known.
pub fn rollup_kernel(func: Func) -> Option<RollupKernel> {
    Some(match func {
        Func::Rate => |r, out| increases(r, Kind::Rate, out),
        Func::Increase => |r, out| increases(r, Kind::Increase, out),
        Func::Delta => |r, out| increases(r, Kind::Delta, out),
        Func::Irate => |r, out| last_pairs(r, true, out),
        Func::Idelta => |r, out| last_pairs(r, false, out),
        Func::SumOverTime => {
            |r, out| totals(r, out, |sum, c, _| if sum.is_infinite() { sum } else { sum + c })
        }
        Func::AvgOverTime => |r, out| totals(r, out, |sum, c, n| sum / n + c / n),
        Func::CountOverTime => |r, out| totals(r, out, |_, _, n| n),
        Func::MinOverTime => |r, out| extremes(r, out, |r| r.min, |new, best| new < best),
        Func::MaxOverTime => |r, out| extremes(r, out, |r| r.max, |new, best| new > best),
        _ => return None,
    })
}

/// How much of the time from the first sample to the last has passed at `t`, which lies between the two.
fn passed(r: &Rollup, t: i64) -> f64 {
    (t - r.first_t) as f64 / (r.last_t - r.first_t) as f64
}

/// How many samples of a rollup lie at or before `t`.
fn samples_until(r: &Rollup, t: i64) -> f64 {
    if t < r.first_t {
        0.0
    } else if t >= r.last_t {
        f64::from(r.count)
    } else {
        1.0 + (f64::from(r.count) - 1.0) * passed(r, t)
    }
    .floor()
}

fn samples_within(r: &Rollup, range: &Ranged<'_>) -> f64 {
    samples_until(r, range.end) - samples_until(r, range.start)
}

/// `finish` gets a Kahan sum, its compensation and the number of samples.
fn totals(ranges: &RollupRanges<'_>, out: &mut Vec<f64>, finish: impl Fn(f64, f64, f64) -> f64) {
    out.extend(ranges.iter().map(|range| {
        let (mut sum, mut c, mut n) = (0.0, 0.0, 0.0);
        for r in range.rollups {
            let within = samples_within(r, &range);
            if within > 0.0 {
                let all = f64::from(r.count);
                let part = if within < all { r.sum * (within / all) } else { r.sum };
                (sum, c) = kahan_add(part, sum, c);
                n += within;
            }
        }
        if n > 0.0 { finish(sum, c, n) } else { ABSENT }
    }));
}

/// Minimum or maximum. A rollup counts if any of its samples lies in the range.
fn extremes(
    ranges: &RollupRanges<'_>,
    out: &mut Vec<f64>,
    figure: impl Fn(&Rollup) -> f64,
    better: impl Fn(f64, f64) -> bool,
) {
    out.extend(ranges.iter().map(|range| {
        let mut inside = range.rollups.iter().filter(|r| samples_within(r, &range) > 0.0).map(&figure);
        let Some(first) = inside.next() else { return ABSENT };
        inside.fold(first, |best, new| if better(new, best) || best.is_nan() { new } else { best })
    }));
}

/// A counter at a moment.
#[derive(Clone, Copy, Debug)]
struct Place {
    t: i64,
    v: f64,
    /// What it had lost by resets until then.
    lost: f64,
    /// How many samples there were until then.
    n: f64,
}

/// What was before each rollup: samples, and what a counter lost.
struct Before {
    n: Vec<f64>,
    lost: Vec<f64>,
}

impl Before {
    fn of(rollups: &[Rollup]) -> Self {
        let mut before =
            Before { n: Vec::with_capacity(rollups.len()), lost: Vec::with_capacity(rollups.len()) };
        let (mut n, mut lost) = (0.0, 0.0);
        for (i, r) in rollups.iter().enumerate() {
            lost += i.checked_sub(1).map_or(0.0, |p| rollups[p].lost_before(r));
            before.n.push(n);
            before.lost.push(lost);
            n += f64::from(r.count);
            lost += r.lost;
        }
        before
    }

    fn at_first(&self, i: usize, r: &Rollup) -> Place {
        Place { t: r.first_t, v: r.first, lost: self.lost[i], n: self.n[i] + 1.0 }
    }

    fn at_last(&self, i: usize, r: &Rollup) -> Place {
        Place { t: r.last_t, v: r.last, lost: self.lost[i] + r.lost, n: self.n[i] + f64::from(r.count) }
    }

    /// At a moment between its first and last sample.
    fn inside(&self, i: usize, r: &Rollup, t: i64) -> Place {
        let share = passed(r, t);
        Place {
            t,
            v: r.first + (r.last - r.first) * share,
            lost: self.lost[i] + r.lost * share,
            n: self.n[i] + samples_until(r, t),
        }
    }

    /// The first and the last place in a range.
    fn ends(&self, range: &Ranged<'_>) -> Option<(Place, Place)> {
        let (first, last) = (range.rollups.first()?, range.rollups.last()?);
        let (i, j) = (range.from, range.from + range.rollups.len() - 1);
        let from = if first.first_t > range.start {
            self.at_first(i, first)
        } else {
            self.inside(i, first, range.start)
        };
        let to =
            if last.last_t <= range.end { self.at_last(j, last) } else { self.inside(j, last, range.end) };
        (from.t < to.t).then_some((from, to))
    }
}

/// `rate` and its siblings.
fn increases(ranges: &RollupRanges<'_>, kind: Kind, out: &mut Vec<f64>) {
    let before = Before::of(ranges.rollups);
    out.extend(ranges.iter().map(|range| {
        let Some((from, to)) = before.ends(&range) else { return ABSENT };
        let mut total = to.v - from.v;
        if kind.is_counter() {
            total += to.lost - from.lost;
        }
        let n = (to.n - from.n + 1.0).max(2.0) as usize;
        let extent = Extent::of(from.t, to.t, n, range.start, range.end);
        let to_zero = (kind.is_counter() && total > 0.0 && from.v >= 0.0).then(|| from.v / total);
        total * extent.factor(to_zero, kind)
    }));
}

/// `irate` and `idelta`: the last two places that are known.
fn last_pairs(ranges: &RollupRanges<'_>, is_rate: bool, out: &mut Vec<f64>) {
    let before = Before::of(ranges.rollups);
    out.extend(ranges.iter().map(|range| {
        let Some((from, to)) = before.ends(&range) else { return ABSENT };
        let j = range.from + range.rollups.len() - 1;
        let last = &ranges.rollups[j];
        let previous = match j.checked_sub(1) {
            _ if last.first_t < to.t => before.at_first(j, last),
            Some(i) => before.at_last(i, &ranges.rollups[i]),
            None => from,
        };
        let previous = if previous.t > range.start { previous } else { from };
        let mut difference = to.v - previous.v;
        if is_rate {
            difference += to.lost - previous.lost;
            difference /= (to.t - previous.t) as f64 / 1000.0;
        }
        difference
    }));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reba_model::Downsampler;

    use super::*;
    use crate::{
        eval::value::is_absent,
        functions::rolling::{Shared, Windows, rolling_kernel},
    };

    const RES: i64 = 300_000;

    const EXACT: [Func; 8] = [
        Func::Rate,
        Func::Increase,
        Func::Delta,
        Func::SumOverTime,
        Func::AvgOverTime,
        Func::CountOverTime,
        Func::MinOverTime,
        Func::MaxOverTime,
    ];

    fn rollups(t: &[i64], v: &[f64]) -> Vec<Rollup> {
        let mut d = Downsampler::new(RES, 24 * RES);
        d.extend(t.iter().zip(v).map(|(t, v)| Rollup::sample(*t, *v)));
        d.finish()
    }

    fn both(func: Func, t: &[i64], v: &[f64], ends: &[i64], range: i64) -> (Vec<f64>, Vec<f64>) {
        let position = |at: i64| t.partition_point(|x| *x <= at) as u32;
        let samples: Vec<_> = ends.iter().map(|e| (position(e - range), position(*e))).collect();
        let (mut want, mut got) = (Vec::new(), Vec::new());
        let windows = Windows { t, v, samples: &samples, ends, range };
        rolling_kernel(func).unwrap()(&windows, &mut Shared::default(), &mut want);
        rollup_kernel(func).unwrap()(&RollupRanges { rollups: &rollups(t, v), ends, range }, &mut got);
        (got, want)
    }

    fn near(a: f64, b: f64, tolerance: f64) -> bool {
        (is_absent(a) == is_absent(b))
            && (a.is_nan() && b.is_nan() || (a - b).abs() <= tolerance * b.abs().max(1e-3))
    }

    proptest! {
        #[test]
        fn ranges_of_whole_windows_have_the_results_of_their_samples(
            steps in proptest::collection::vec((1i64..20, 0u32..40), 0..300),
            scale in prop_oneof![Just(1.0), Just(0.1)],
            windows in 1i64..5,
            every in 1i64..4,
        ) {
            let mut now = 0;
            let (t, v): (Vec<i64>, Vec<f64>) = steps.iter().map(|(gap, x)| {
                // Now and then long gaps; values that fall are resets for counters.
                now += if *gap == 19 { 900_000 } else { gap * 5_000 };
                (now, f64::from(*x) * scale)
            }).unzip();
            let ends: Vec<i64> = (0..60).map(|i| i * every * RES).collect();
            for func in EXACT {
                let (got, want) = both(func, &t, &v, &ends, windows * RES);
                let exact = scale == 1.0 && matches!(
                    func, Func::SumOverTime | Func::AvgOverTime | Func::CountOverTime | Func::MinOverTime | Func::MaxOverTime
                );
                for ((g, w), end) in got.iter().zip(&want).zip(&ends) {
                    let tolerance = if exact { 0.0 } else { 1e-9 };
                    prop_assert!(near(*g, *w, tolerance), "{:?} at {}: {} is not {}", func, end, g, w);
                }
            }
        }
    }

    #[test]
    fn ranges_that_cut_windows_are_near_to_their_samples() {
        // Every 15 s, with a reset in every 37th sample.
        let t: Vec<i64> = (1..2000).map(|i| i * 15_000 + 3_000).collect();
        let v: Vec<f64> = (1..2000).map(|i| f64::from(i % 37) * 2.0).collect();
        let ends: Vec<i64> = (0..100).map(|i| 7_200_000 + i * 61_000).collect();
        for (func, tolerance) in [
            (Func::CountOverTime, 0.0),
            (Func::Rate, 0.01),
            (Func::Increase, 0.01),
            (Func::AvgOverTime, 0.05),
            (Func::SumOverTime, 0.05),
        ] {
            let (got, want) = both(func, &t, &v, &ends, 12 * RES);
            for (g, w) in got.iter().zip(&want) {
                assert!(near(*g, *w, tolerance), "{func:?}: {g} is not within {tolerance} of {w}");
            }
        }
    }

    #[test]
    fn ranges_shorter_than_a_window_get_what_there_is() {
        let t: Vec<i64> = (0..21).map(|i| 1_000 + i * 14_000).collect();
        let v: Vec<f64> = (0..21).map(|i| f64::from(i) * 28.0).collect();
        let ends = [150_000];
        let (got, _) = both(Func::Rate, &t, &v, &ends, 60_000);
        assert!(near(got[0], 2.0, 1e-12), "{got:?}");
        let (got, want) = both(Func::CountOverTime, &t, &v, &ends, 60_000);
        assert_eq!(got, want);
        assert_eq!(both(Func::MaxOverTime, &t, &v, &ends, 60_000).0, [560.0]);
        assert_eq!(both(Func::Irate, &t, &v, &ends, 60_000).0, [2.0]);
        let (got, _) = both(Func::Rate, &t, &v, &[RES * 3], 60_000);
        assert!(is_absent(got[0]), "nothing is made up beyond the last sample");
    }
}

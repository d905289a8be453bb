//! Functions over all windows of one column of floats at once.
//!
//! Windows of consecutive steps share most of their samples. Some functions can then be computed without looking at
//! every sample of every window, with exactly the result of their plain kernel (a property test compares bits).

use std::collections::VecDeque;

use super::{
    over_time,
    rate::{Kind, Scales},
};
use crate::{eval::value::ABSENT, syntax::Func};

/// The windows of one series of floats, without staleness markers and without histograms, in plain mode.
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a> {
    /// Times, rising.
    pub t: &'a [i64],
    /// Values; same length as `t`.
    pub v: &'a [f64],
    /// The samples of each window, as positions in `t`; neither starts nor ends ever fall. May be empty ranges.
    pub samples: &'a [(u32, u32)],
    /// The end of each window, inclusive; same length as `samples`.
    pub ends: &'a [i64],
    /// Milliseconds of every window.
    pub range: i64,
}

impl<'a> Windows<'a> {
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, usize)> + 'a {
        let n = self.v.len();
        self.samples.iter().map(move |(from, to)| {
            let to = (*to as usize).min(n);
            ((*from as usize).min(to), to)
        })
    }
}

/// What one function knows of its windows without looking at values. It holds for all columns in which the windows lie alike,
/// and is to be cleared before others.
#[derive(Debug, Default)]
pub struct Shared {
    scales: Scales,
}

impl Shared {
    /// Forgets the windows.
    pub fn clear(&mut self) {
        self.scales.clear();
    }
}

/// Appends one float a window to `out`; [`ABSENT`] where the function has no result.
pub type RollingKernel = fn(&Windows<'_>, shared: &mut Shared, out: &mut Vec<f64>);

/// The fast form of a function of one range vector, if there is one.
pub fn rolling_kernel(func: Func) -> Option<RollingKernel> {
    Some(match func {
        Func::Rate => |w, shared, out| rates(w, Kind::Rate, shared, out),
        Func::Increase => |w, shared, out| rates(w, Kind::Increase, shared, out),
        Func::Delta => |w, shared, out| rates(w, Kind::Delta, shared, out),
        Func::Irate => |w, _, out| last_pairs(w, true, out),
        Func::Idelta => |w, _, out| last_pairs(w, false, out),
        Func::CountOverTime => |w, _, out| each(w, out, |v| v.len() as f64),
        Func::PresentOverTime | Func::AbsentOverTime => |w, _, out| each(w, out, |_| 1.0),
        Func::FirstOverTime => |w, _, out| each(w, out, |v| v[0]),
        Func::LastOverTime => |w, _, out| each(w, out, |v| v[v.len() - 1]),
        Func::MinOverTime => |w, _, out| extremes(w, out, |new, best| new < best),
        Func::MaxOverTime => |w, _, out| extremes(w, out, |new, best| new > best),
        Func::SumOverTime => |w, _, out| sums(w, out),
        Func::AvgOverTime => |w, _, out| means(w, out),
        Func::Changes => |w, _, out| pairs(w, out, |a, b| a != b && !(a.is_nan() && b.is_nan())),
        Func::Resets => |w, _, out| pairs(w, out, |a, b| b < a),
        _ => return None,
    })
}

/// One value from each window that is not empty.
#[inline]
fn each(w: &Windows<'_>, out: &mut Vec<f64>, f: impl Fn(&[f64]) -> f64) {
    out.extend(w.iter().map(|(from, to)| if from < to { f(&w.v[from..to]) } else { ABSENT }));
}

/// The positions of all samples that a counter was reset at, and the first of them in the current window.
struct Resets {
    at: Vec<u32>,
    first: usize,
}

impl Resets {
    fn of(v: &[f64]) -> Self {
        /// Pairs that are looked at together: most blocks have no reset, and that is found without a branch.
        const BLOCK: usize = 64;
        let mut at = Vec::new();
        let next = v.get(1..).unwrap_or_default();
        for (block, (a, b)) in v.chunks(BLOCK).zip(next.chunks(BLOCK)).enumerate() {
            if a.iter().zip(b).filter(|(a, b)| b < a).count() == 0 {
                continue;
            }
            let falls = a.iter().zip(b).enumerate().filter(|(_, (a, b))| b < a);
            at.extend(falls.map(|(i, _)| (block * BLOCK + i) as u32 + 1));
        }
        Resets { at, first: 0 }
    }

    /// Resets between samples of the window; windows must move forward.
    fn within(&mut self, from: usize, to: usize) -> impl Iterator<Item = usize> + '_ {
        while self.at.get(self.first).is_some_and(|at| *at as usize <= from) {
            self.first += 1;
        }
        self.at[self.first..].iter().map(|at| *at as usize).take_while(move |at| *at < to)
    }
}

/// `rate` and its siblings: only first and last sample and the resets between them matter.
fn rates(w: &Windows<'_>, kind: Kind, shared: &mut Shared, out: &mut Vec<f64>) {
    let mut resets = if kind.is_counter() { Resets::of(w.v) } else { Resets { at: Vec::new(), first: 0 } };
    let has_resets = !resets.at.is_empty();
    shared.scales.fit(w, kind);
    let scales = &shared.scales;
    out.extend(w.iter().zip(scales.iter()).map(|((from, to), scale)| {
        if to < from + 2 {
            return ABSENT;
        }
        let first = w.v[from];
        let mut total = w.v[to - 1] - first;
        if has_resets {
            for at in resets.within(from, to) {
                total += w.v[at - 1];
            }
        }
        total * scale.factor(first, total, kind)
    }));
}

/// `irate` and `idelta`.
fn last_pairs(w: &Windows<'_>, is_rate: bool, out: &mut Vec<f64>) {
    out.extend(w.iter().map(|(from, to)| {
        if to < from + 2 || w.t[to - 1] == w.t[to - 2] {
            return ABSENT;
        }
        let (a, b) = (w.v[to - 2], w.v[to - 1]);
        if !is_rate {
            return b - a;
        }
        let difference = if b < a { b } else { b - a };
        difference / ((w.t[to - 1] - w.t[to - 2]) as f64 / 1000.0)
    }));
}

/// Counts neighbours that the condition holds for.
fn pairs(w: &Windows<'_>, out: &mut Vec<f64>, holds: impl Fn(f64, f64) -> bool) {
    // Before sample i: how many pairs up to and including (i - 1, i).
    let mut before = Vec::with_capacity(w.v.len());
    let mut n = 0u32;
    before.extend(w.v.first().map(|_| 0));
    before.extend(w.v.windows(2).map(|p| {
        n += u32::from(holds(p[0], p[1]));
        n
    }));
    out.extend(w.iter().map(
        |(from, to)| {
            if from < to { f64::from(before[to - 1] - before[from]) } else { ABSENT }
        },
    ));
}

/// Minimum or maximum: a queue of candidates, each better than all behind it in its window.
fn extremes(w: &Windows<'_>, out: &mut Vec<f64>, better: impl Fn(f64, f64) -> bool) {
    let mut candidates: VecDeque<usize> = VecDeque::new();
    let mut seen = 0;
    out.extend(w.iter().map(|(from, to)| {
        if from >= to {
            return ABSENT;
        }
        seen = seen.max(from);
        for i in seen..to {
            if !w.v[i].is_nan() {
                while candidates.back().is_some_and(|b| better(w.v[i], w.v[*b])) {
                    candidates.pop_back();
                }
                candidates.push_back(i);
            }
        }
        seen = seen.max(to);
        while candidates.front().is_some_and(|f| *f < from) {
            candidates.pop_front();
        }
        // Without any candidate all are NaN: then the last one is the result.
        candidates.front().map_or(w.v[to - 1], |f| w.v[*f])
    }));
}

/// Sums of all samples before each one, if they are exact: then differences of them are what Kahan sums of any window
/// come to. That is so for integers while the sum of their amounts stays below 2^53.
fn exact_prefix_sums(v: &[f64]) -> Option<Vec<f64>> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    let mut prefix = Vec::with_capacity(v.len() + 1);
    let (mut sum, mut amount) = (0.0, 0.0);
    prefix.push(sum);
    for x in v {
        amount += x.abs();
        // False for NaN too.
        let exact = x.trunc() == *x && amount < LIMIT;
        if !exact {
            return None;
        }
        sum += x;
        prefix.push(sum);
    }
    Some(prefix)
}

fn sums(w: &Windows<'_>, out: &mut Vec<f64>) {
    match exact_prefix_sums(w.v) {
        Some(prefix) => {
            out.extend(w.iter().map(|(from, to)| if from < to { prefix[to] - prefix[from] } else { ABSENT }));
        }
        None => kahan_sums(w, out, |sum, c, _| sum + c, over_time::sum_of),
    }
}

fn means(w: &Windows<'_>, out: &mut Vec<f64>) {
    match exact_prefix_sums(w.v) {
        Some(prefix) => out.extend(w.iter().map(|(from, to)| {
            if from < to { (prefix[to] - prefix[from]) / (to - from) as f64 } else { ABSENT }
        })),
        None => kahan_sums(w, out, |sum, c, n| sum / n + c / n, over_time::avg_of),
    }
}

/// Windows that are summed side by side.
const LANES: usize = 4;

/// Kahan sums of all windows. Each is a chain of dependent additions, so several windows are summed at once where they
/// overlap: every chain still sees its samples in their order. `finish` gets sum, compensation and count; a window whose
/// sum is not finite goes to `plain` instead.
fn kahan_sums(
    w: &Windows<'_>,
    out: &mut Vec<f64>,
    finish: impl Fn(f64, f64, f64) -> f64,
    plain: impl Fn(&[f64]) -> f64,
) {
    let windows: Vec<(usize, usize)> = w.iter().collect();
    for group in windows.chunks(LANES) {
        let sums = match <&[(usize, usize); LANES]>::try_from(group) {
            Ok(group) if overlap_by_half(group) => side_by_side(w.v, group),
            _ => {
                out.extend(
                    group.iter().map(|(from, to)| if from < to { plain(&w.v[*from..*to]) } else { ABSENT }),
                );
                continue;
            }
        };
        out.extend(group.iter().zip(sums).map(|((from, to), (sum, c))| {
            let finite = sum.is_finite() && c.is_finite();
            if finite { finish(sum, c, (to - from) as f64) } else { plain(&w.v[*from..*to]) }
        }));
    }
}

/// Whether at least half of the first window also lies in the last one of the group.
fn overlap_by_half(group: &[(usize, usize); LANES]) -> bool {
    let (first, last) = (group[0], group[LANES - 1]);
    first.0 < first.1 && first.1.saturating_sub(last.0) * 2 >= first.1 - first.0
}

/// Sums with their compensations: first what only earlier windows hold, then what all hold, then the rest of the later.
fn side_by_side(v: &[f64], group: &[(usize, usize); LANES]) -> [(f64, f64); LANES] {
    let (shared_from, shared_to) = (group[LANES - 1].0, group[0].1);
    let mut sums = [0.0; LANES];
    let mut rests = [0.0; LANES];
    for lane in 0..LANES {
        for x in &v[group[lane].0..shared_from] {
            (sums[lane], rests[lane]) = kahan_add_finite(*x, sums[lane], rests[lane]);
        }
    }
    for x in &v[shared_from..shared_to] {
        for lane in 0..LANES {
            (sums[lane], rests[lane]) = kahan_add_finite(*x, sums[lane], rests[lane]);
        }
    }
    for lane in 0..LANES {
        for x in &v[shared_to..group[lane].1] {
            (sums[lane], rests[lane]) = kahan_add_finite(*x, sums[lane], rests[lane]);
        }
    }
    std::array::from_fn(|lane| (sums[lane], rests[lane]))
}

/// As `kahan_add`, with the same bits while the sum is finite (and a sum that is not finite once it is not): the error of
/// an addition is found by Knuth's TwoSum, which needs no branch.
#[inline(always)]
pub(crate) fn kahan_add_finite(x: f64, sum: f64, c: f64) -> (f64, f64) {
    let t = sum + x;
    let rounded = t - sum;
    let error = (sum - (t - rounded)) + (x - rounded);
    (t, c + error)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reba_model::Labels;

    use super::*;
    use crate::{
        eval::{
            annotations::Annotations,
            value::{KernelContext, Point, RangeMode, Window, is_absent},
        },
        functions::range_kernel,
    };

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            8 => (-20i32..20).prop_map(f64::from),
            2 => (0u32..1000).prop_map(|x| f64::from(x) * 0.1),
            1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(-0.0), Just(1e300)],
        ]
    }

    fn integers() -> impl Strategy<Value = Vec<f64>> {
        proptest::collection::vec((-5i32..50).prop_map(f64::from), 0..60)
    }

    fn check(v: &[f64], gaps: &[i64], range: i64, step: i64) -> Result<(), TestCaseError> {
        let mut now = 0;
        let t: Vec<i64> = gaps
            .iter()
            .take(v.len())
            .map(|g| {
                now += g;
                now
            })
            .collect();
        let v = &v[..t.len()];
        let ends: Vec<i64> = (0..40).map(|i| i * step).collect();
        let position = |at: i64| t.partition_point(|x| *x <= at) as u32;
        let samples: Vec<(u32, u32)> = ends.iter().map(|e| (position(e - range), position(*e))).collect();
        let windows = Windows { t: &t, v, samples: &samples, ends: &ends, range };
        for func in Func::ALL {
            let Some(rolling) = rolling_kernel(func) else { continue };
            let plain = range_kernel(func).unwrap();
            let (mut got, mut shared) = (Vec::new(), Shared::default());
            // What a column leaves behind for the next changes nothing.
            let other = Windows { v: &vec![1.0; v.len()], ..windows };
            rolling(&other, &mut shared, &mut got);
            got.clear();
            rolling(&windows, &mut shared, &mut got);
            for ((got, (from, to)), end) in got.into_iter().zip(&samples).zip(&ends) {
                let (from, to) = (*from as usize, *to as usize);
                if from == to {
                    prop_assert!(is_absent(got));
                    continue;
                }
                let w = Window {
                    t: &t[from..to],
                    v: &v[from..to],
                    h: &[],
                    start: end - range,
                    end: *end,
                    mode: RangeMode::Plain,
                };
                let mut cx = KernelContext {
                    t: *end,
                    labels: &Labels::empty(),
                    call_pos: 0,
                    arg_pos: &[],
                    delayed_name_removal: false,
                    annotations: &mut Annotations::new(),
                };
                match plain(&w, &[], &mut cx) {
                    Point::Float(want) if want.is_nan() => prop_assert!(got.is_nan() && !is_absent(got)),
                    Point::Float(want) => {
                        prop_assert_eq!(got.to_bits(), want.to_bits(), "{:?} {} {}", func, got, want);
                    }
                    _ => prop_assert!(is_absent(got)),
                }
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn every_window_has_the_result_of_the_plain_kernel(
            v in prop_oneof![integers(), proptest::collection::vec(value(), 0..60)],
            gaps in proptest::collection::vec(1i64..60, 60), range in 1i64..200, step in 1i64..100,
        ) {
            check(&v, &gaps, range, step)?;
        }
    }
}

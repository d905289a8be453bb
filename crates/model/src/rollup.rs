//! Downsampling: what is kept of the samples of one series in one window of time.

use crate::{STALE_NAN, is_stale_nan};

/// Samples further apart than this never share a [`Rollup`]: between them an instant selector with the usual lookback
/// finds nothing, and a rollup would hide that.
pub const MAX_ROLLUP_GAP_MS: i64 = 300_000;

/// A run of floats of one series inside one window: neighbours are at most [`MAX_ROLLUP_GAP_MS`] apart, and no staleness
/// marker stands between them.
///
/// A staleness marker is a rollup of no sample; see [`Rollup::stale`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rollup {
    /// When the first sample was taken, Unix milliseconds.
    pub first_t: i64,
    /// When the last sample was taken.
    pub last_t: i64,
    /// How many samples there are; 0 for a staleness marker.
    pub count: u32,
    /// Their sum.
    pub sum: f64,
    /// The smallest; NaN only if all are.
    pub min: f64,
    /// The largest; NaN only if all are.
    pub max: f64,
    /// The first value.
    pub first: f64,
    /// The last value.
    pub last: f64,
    /// What a counter lost by resets: the sum of the values that a smaller one follows. The increase from the first
    /// sample to the last is `last - first + lost`.
    pub lost: f64,
}

impl Rollup {
    /// The rollup of one sample, which may be a staleness marker.
    pub fn sample(t: i64, v: f64) -> Self {
        if is_stale_nan(v) {
            return Self::stale(t);
        }
        Rollup { first_t: t, last_t: t, count: 1, sum: v, min: v, max: v, first: v, last: v, lost: 0.0 }
    }

    /// A staleness marker.
    pub fn stale(t: i64) -> Self {
        let zero = 0.0;
        Rollup {
            first_t: t,
            last_t: t,
            count: 0,
            sum: zero,
            min: zero,
            max: zero,
            first: zero,
            last: zero,
            lost: zero,
        }
    }

    /// Whether this is a staleness marker.
    #[inline]
    pub fn is_stale(&self) -> bool {
        self.count == 0
    }

    /// The increase of a counter from the first sample to the last.
    pub fn increase(&self) -> f64 {
        self.last - self.first + self.lost
    }

    /// What a counter lost between this rollup and the next one.
    #[inline]
    pub fn lost_before(&self, next: &Rollup) -> f64 {
        if next.first < self.last { self.last } else { 0.0 }
    }

    /// Takes in the rollup that follows.
    fn extend(&mut self, next: &Rollup) {
        self.lost += next.lost + self.lost_before(next);
        self.last_t = next.last_t;
        self.count = self.count.saturating_add(next.count);
        self.sum += next.sum;
        if next.min < self.min || self.min.is_nan() {
            self.min = next.min;
        }
        if next.max > self.max || self.max.is_nan() {
            self.max = next.max;
        }
        self.last = next.last;
    }

    /// Samples of the series as they were: the first and the last, once if they are the same, or the marker.
    pub fn known_samples(&self) -> impl Iterator<Item = (i64, f64)> {
        let last = if self.is_stale() { STALE_NAN } else { self.last };
        let first = (self.first_t < self.last_t).then_some((self.first_t, self.first));
        first.into_iter().chain([(self.last_t, last)])
    }
}

/// Sorts samples into windows. Windows of `resolution` milliseconds are open at their start and closed at their end, as
/// ranges of PromQL are, so that a range whose ends are multiples of the resolution is made of whole rollups.
///
/// No rollup crosses a multiple of `span` either, which belongs to what follows it: there data may be cut off.
#[derive(Debug)]
pub struct Downsampler {
    resolution: i64,
    span: i64,
    out: Vec<Rollup>,
}

impl Downsampler {
    /// One for windows of `resolution` milliseconds; both lengths are at least 1.
    pub fn new(resolution: i64, span: i64) -> Self {
        Downsampler { resolution: resolution.max(1), span: span.max(1), out: Vec::new() }
    }

    fn place(&self, t: i64) -> (i64, i64) {
        (t.saturating_sub(1).div_euclid(self.resolution), t.div_euclid(self.span))
    }

    fn push(&mut self, next: Rollup) {
        match self.out.last().copied() {
            Some(last) if last.is_stale() && next.is_stale() => {}
            Some(last) if self.fit(&last, &next) => {
                if let Some(last) = self.out.last_mut() {
                    last.extend(&next);
                }
            }
            _ => self.out.push(next),
        }
    }

    fn fit(&self, a: &Rollup, b: &Rollup) -> bool {
        !a.is_stale()
            && !b.is_stale()
            && b.first_t.saturating_sub(a.last_t) <= MAX_ROLLUP_GAP_MS
            && self.place(a.last_t) == self.place(b.last_t)
    }

    /// What came together.
    pub fn finish(self) -> Vec<Rollup> {
        self.out
    }
}

impl Extend<Rollup> for Downsampler {
    /// Adds samples, one at a time or in rollups of no longer windows; times must rise.
    fn extend<I: IntoIterator<Item = Rollup>>(&mut self, rollups: I) {
        for next in rollups {
            self.push(next);
        }
    }
}

/// Puts rollups of two sources together, each sorted. Where both have something at the same time, what is made of more
/// samples stays, of equals the newer one: data that came twice is not counted twice.
pub fn merge_rollups(old: &[Rollup], new: &[Rollup]) -> Vec<Rollup> {
    let mut all: Vec<Rollup> = Vec::with_capacity(old.len() + new.len());
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        let is_old = match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) => a.first_t <= b.first_t,
            (a, _) => a.is_some(),
        };
        let (next, from) = if is_old { (old[i], &mut i) } else { (new[j], &mut j) };
        *from += 1;
        let mut wins = true;
        while let Some(last) = all.last().filter(|l| l.last_t >= next.first_t) {
            // Against what came before, which is larger or newer?
            if last.count > next.count || (last.count == next.count && is_old) {
                wins = false;
                break;
            }
            all.pop();
        }
        if wins {
            all.push(next);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIN: i64 = 60_000;

    fn rollups(samples: &[(i64, f64)], resolution: i64) -> Vec<Rollup> {
        let mut d = Downsampler::new(resolution, 120 * MIN);
        d.extend(samples.iter().map(|(t, v)| Rollup::sample(*t, *v)));
        d.finish()
    }

    #[test]
    fn a_window_keeps_what_a_counter_lost() {
        let got =
            rollups(&[(MIN, 5.0), (2 * MIN, 9.0), (3 * MIN, 2.0), (4 * MIN, 4.0), (5 * MIN, 1.0)], 5 * MIN);
        let want = Rollup {
            first_t: MIN,
            last_t: 5 * MIN,
            count: 5,
            sum: 21.0,
            min: 1.0,
            max: 9.0,
            first: 5.0,
            last: 1.0,
            lost: 13.0,
        };
        assert_eq!(got, [want]);
        assert_eq!(got[0].increase(), 4.0 + 2.0 + 2.0 + 1.0);
    }

    #[test]
    fn windows_gaps_markers_and_spans_part_rollups() {
        let starts = |samples: &[(i64, f64)]| -> Vec<i64> {
            rollups(samples, 60 * MIN).iter().map(|r| r.first_t).collect()
        };
        // The end of a window belongs to it, its start does not.
        assert_eq!(starts(&[(59 * MIN, 0.0), (60 * MIN, 0.0), (61 * MIN, 0.0)]), [59 * MIN, 61 * MIN]);
        assert_eq!(starts(&[(MIN, 0.0), (6 * MIN, 0.0), (11 * MIN + 1, 0.0)]), [MIN, 11 * MIN + 1]);
        let stale = [(MIN, 0.0), (2 * MIN, STALE_NAN), (3 * MIN, STALE_NAN), (4 * MIN, 0.0)];
        assert_eq!(starts(&stale), [MIN, 2 * MIN, 4 * MIN]);
        // 120 minutes end a window, but begin what follows.
        assert_eq!(
            starts(&[(119 * MIN, 0.0), (120 * MIN, 0.0), (121 * MIN, 0.0)]),
            [119, 120, 121].map(|m| m * MIN)
        );
    }

    #[test]
    fn what_came_twice_is_kept_once_and_the_fuller_one_wins() {
        let all: Vec<(i64, f64)> = (1..=20).map(|i| (i * MIN, i as f64)).collect();
        let full = rollups(&all, 5 * MIN);
        assert_eq!(merge_rollups(&full, &full), full);
        let part = rollups(&all[7..8], 5 * MIN);
        assert_eq!(merge_rollups(&full, &part), full);
        assert_eq!(merge_rollups(&part, &full), full);
        let (a, b) = full.split_at(2);
        assert_eq!(merge_rollups(b, a), full);
    }

    proptest! {
        #[test]
        fn rollups_of_rollups_are_those_of_the_samples(
            gaps in proptest::collection::vec((1i64..20 * MIN, 0u32..100), 0..200),
        ) {
            let mut t = 0;
            let samples: Vec<(i64, f64)> = gaps.iter().map(|(gap, v)| {
                t += gap / 10;
                (t, if *v == 99 { STALE_NAN } else { f64::from(*v) })
            }).collect();
            let mut again = Downsampler::new(60 * MIN, 120 * MIN);
            again.extend(rollups(&samples, 5 * MIN));
            prop_assert_eq!(again.finish(), rollups(&samples, 60 * MIN));
        }
    }
}

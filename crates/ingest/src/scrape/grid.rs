//! When a target is scraped.

/// Points of time at a fixed distance, all in milliseconds since 1970: `phase`, `phase + interval`, …
///
/// The phase comes from a hash, so that targets are spread over the interval, and the same target is scraped at the
/// same phase after every restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    interval: i64,
    phase: i64,
}

/// A scrape that begins so little beside its point still gets the time of its point: regular times compress to nothing.
const TOLERANCE_MS: i64 = 2;

impl Grid {
    /// The grid of a target with this hash; `seed` sets installations apart.
    pub fn new(interval_ms: i64, hash: u64, seed: u64) -> Self {
        let interval = interval_ms.max(1);
        Grid { interval, phase: ((hash ^ seed) % interval as u64) as i64 }
    }

    /// The next point, given the last one. Points that were missed are skipped but for the newest, which is due now.
    pub fn next(&self, last: Option<i64>, now: i64) -> i64 {
        let newest = self.point(now);
        match last {
            Some(last) if newest > last => newest,
            // The clock may stand a little before the last point: it is slewed. Set back by more than an interval, it
            // begins the grid anew.
            Some(last) if last - now < self.interval => last + self.interval,
            _ if newest == now => now,
            _ => newest + self.interval,
        }
    }

    /// The point that a scrape at time `t` was made for.
    pub fn point(&self, t: i64) -> i64 {
        t - (t - self.phase).rem_euclid(self.interval)
    }

    /// The time that the samples get which are scraped for the point `due` and begin at `now`.
    pub fn stamp(&self, due: i64, now: i64) -> i64 {
        let tolerance = TOLERANCE_MS.min(self.interval / 100);
        if (now - due).abs() <= tolerance { due } else { now }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_late_scrape_keeps_its_time_within_two_milliseconds() {
        let g = Grid::new(15_000, 0, 0);
        assert_eq!((g.stamp(15_000, 15_002), g.stamp(15_000, 15_003)), (15_000, 15_003));
        assert_eq!(Grid::new(100, 0, 0).stamp(100, 102), 102);
    }

    #[test]
    fn missed_points_are_skipped() {
        let g = Grid::new(1000, 300, 0);
        assert_eq!(g.next(None, 0), 300);
        assert_eq!(g.next(Some(300), 301), 1300);
        assert_eq!(g.next(Some(300), 4500), 4300);
    }

    #[test]
    fn a_clock_that_is_slewed_makes_no_second_scrape_and_one_set_back_no_gap() {
        let g = Grid::new(1000, 300, 0);
        assert_eq!(g.next(Some(1300), 1299), 2300);
        assert_eq!(g.next(Some(1300), 301), 2300);
        assert_eq!(g.next(Some(1300), 300), 300);
        assert_eq!(g.next(Some(9300), 100), 300);
        assert_eq!(Grid::new(15_000, 0, 0).stamp(15_000, 14_998), 15_000);
    }

    proptest! {
        #[test]
        fn points_rise_and_stay_on_the_grid(
            interval in 1i64..100_000, hash: u64, seed: u64, now in 0i64..1_000_000, step in 1i64..50_000,
        ) {
            let g = Grid::new(interval, hash, seed);
            let first = g.next(None, now);
            prop_assert!((now..=now + interval).contains(&first));
            let second = g.next(Some(first), first + step);
            prop_assert!(second > first && (second - g.phase) % interval == 0);
            prop_assert!(second <= first + step || second == first + interval);
        }
    }
}

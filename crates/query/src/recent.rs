//! How long the latest queries took, as quantiles.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::QueryTimings;

/// The quantiles that upstream shows.
pub const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

/// Queries that are remembered.
const CAPACITY: usize = 1024;

/// How long they are, as upstream's summaries do it.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Seconds that queries took, at each of [`QUANTILES`]; NaN if there was no query in the last ten minutes. They are exact for
/// the newest thousand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecentTimings {
    /// Waiting for others.
    pub queue: [f64; 3],
    /// Parsing, planning and fetching.
    pub prepare: [f64; 3],
    /// Evaluating.
    pub inner_eval: [f64; 3],
}

/// When a query ended, and seconds of its parts.
type Entry = (Instant, [f64; 3]);

#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<Entry>>);

impl Recent {
    pub(crate) fn push(&self, now: Instant, timings: &QueryTimings) {
        let parts = [timings.exec_queue, timings.query_preparation, timings.inner_eval];
        let mut entries = self.0.lock();
        if entries.len() == CAPACITY {
            entries.pop_front();
        }
        entries.push_back((now, parts.map(|d| d.as_secs_f64())));
    }

    pub(crate) fn quantiles(&self, now: Instant) -> RecentTimings {
        let young = |e: &&Entry| now.saturating_duration_since(e.0) <= MAX_AGE;
        let entries: Vec<[f64; 3]> = self.0.lock().iter().filter(young).map(|e| e.1).collect();
        let of = |part: usize| quantiles(entries.iter().map(|e| e[part]).collect());
        RecentTimings { queue: of(0), prepare: of(1), inner_eval: of(2) }
    }
}

/// The value of the nearest rank at each quantile.
fn quantiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    QUANTILES.map(|q| {
        let rank = (q * values.len() as f64).ceil() as usize;
        values.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(ms: u64) -> QueryTimings {
        QueryTimings { inner_eval: Duration::from_millis(ms), ..QueryTimings::default() }
    }

    #[test]
    fn quantiles_are_those_of_the_last_ten_minutes() {
        let recent = Recent::default();
        let start = Instant::now();
        assert!(recent.quantiles(start).inner_eval.iter().all(|v| v.is_nan()));
        recent.push(start, &took(1_000_000));
        let later = start + Duration::from_secs(601);
        (1..=100).for_each(|ms| recent.push(later, &took(ms)));
        let timings = recent.quantiles(later);
        assert_eq!(timings.inner_eval, [0.05, 0.09, 0.099]);
        assert_eq!(timings.queue, [0.0; 3]);
    }

    #[test]
    fn the_newest_thousand_are_kept() {
        let recent = Recent::default();
        let now = Instant::now();
        (0..5000).for_each(|ms| recent.push(now, &took(ms)));
        assert_eq!(recent.0.lock().len(), CAPACITY);
        assert!(recent.quantiles(now).inner_eval[0] > 3.9);
    }
}

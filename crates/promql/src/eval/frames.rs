//! Where the windows of all steps lie in a column of times.

use super::{node::When, value::Steps};
use crate::functions::rolling::{RollingKernel, Shared, Windows};

/// The windows of one range selector; the memory serves series after series.
#[derive(Debug)]
pub(super) struct Frames {
    range: i64,
    /// The end of each window, inclusive.
    pub ends: Vec<i64>,
    /// The samples of each window, as positions in the column.
    pub samples: Vec<(u32, u32)>,
    /// Samples in all windows together.
    pub total: u64,
    /// Samples in the fullest window.
    pub widest: usize,
    /// The column they lie in. What is scraped together has the same times.
    t: Vec<i64>,
    /// What functions find out about the windows, which holds for all columns of these times.
    shared: Shared,
}

impl Frames {
    pub fn new(steps: &Steps, when: When, range: i64) -> Self {
        let ends: Vec<i64> = steps.iter().map(|t| when.time(t)).collect();
        let samples = vec![(0, 0); ends.len()];
        Frames { range, ends, samples, total: 0, widest: 0, t: Vec::new(), shared: Shared::default() }
    }

    /// Finds the windows in `t`, which rises.
    pub fn find(&mut self, t: &[i64]) {
        if self.t == t {
            return;
        }
        self.t.clear();
        self.t.extend_from_slice(t);
        self.shared.clear();
        self.samples.clear();
        (self.total, self.widest) = (0, 0);
        let (mut from, mut to) = (Edge::default(), Edge::default());
        for end in &self.ends {
            to.move_behind(t, *end);
            from.move_behind(t, end.saturating_sub(self.range));
            let width = to.at - from.at;
            self.samples.push((from.at as u32, to.at as u32));
            self.total += width as u64;
            self.widest = self.widest.max(width);
        }
    }

    /// Applies a function to the windows, in which the values `v` lie at the times last given; appends one value a window.
    pub fn apply(&mut self, kernel: RollingKernel, v: &[f64], out: &mut Vec<f64>) {
        let Frames { range, ends, samples, t, shared, .. } = self;
        kernel(&Windows { t, v, samples, ends, range: *range }, shared, out);
    }
}

/// One end of the windows as it moves over the samples.
#[derive(Default)]
struct Edge {
    /// The first sample behind it.
    at: usize,
    /// By how many samples it moved last.
    stride: usize,
}

impl Edge {
    /// Moves behind all samples up to `bound`. Samples and steps mostly come evenly, so it looks first where the stride of
    /// last time leads.
    #[inline]
    fn move_behind(&mut self, t: &[i64], bound: i64) {
        let before = self.at;
        let guess = before + self.stride;
        if self.stride > 0 && t.get(guess - 1).is_some_and(|t| *t <= bound) {
            self.at = guess;
        }
        while t.get(self.at).is_some_and(|t| *t <= bound) {
            self.at += 1;
        }
        self.stride = self.at - before;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_window_has_the_samples_behind_its_start_up_to_its_end(
            gaps in proptest::collection::vec(prop_oneof![8 => Just(10i64), 2 => 1i64..90], 0..80),
            start in -50i64..50, interval in 1i64..60, range in 1i64..200, offset in -30i64..30,
        ) {
            let t: Vec<i64> = gaps.iter().scan(0, |now, g| { *now += g; Some(*now) }).collect();
            let steps = Steps { start, interval, count: 40 };
            let mut frames = Frames::new(&steps, When { offset, at: None }, range);
            frames.find(&[1, 2, 3]);
            frames.find(&t);
            frames.find(&t);
            let position = |at: i64| t.partition_point(|x| *x <= at) as u32;
            let expected: Vec<(u32, u32)> =
                steps.iter().map(|s| (position(s - offset - range), position(s - offset))).collect();
            prop_assert_eq!(&frames.samples, &expected);
            prop_assert_eq!(frames.total, expected.iter().map(|(a, b)| u64::from(b - a)).sum::<u64>());
            prop_assert_eq!(frames.widest, expected.iter().map(|(a, b)| (b - a) as usize).max().unwrap());
        }
    }
}

//! Steps of time, and what is counted in each.

use std::collections::BTreeMap;

use super::EvalError;

/// Most steps of a grid.
const MAX_STEPS: i64 = 11_000;

/// Steps of equal length; the step that ends at `t` holds what started in `(t - step, t]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    start: i64,
    step: i64,
    steps: usize,
}

impl Grid {
    /// The grid of a range: the start moves back, the end ahead to whole steps.
    ///
    /// # Errors
    /// If the end is not after the start, the step is not positive, or there are more than 11,000 steps.
    pub fn range(start_ns: i64, end_ns: i64, step_ns: i64) -> Result<Grid, EvalError> {
        if step_ns <= 0 {
            return Err(EvalError::Grid("step must be greater than 0"));
        }
        if end_ns <= start_ns {
            return Err(EvalError::Grid("end must be after start"));
        }
        let start = start_ns.div_euclid(step_ns).saturating_mul(step_ns);
        let length = i128::from(end_ns) - i128::from(start);
        let steps = (length + i128::from(step_ns) - 1) / i128::from(step_ns);
        if steps > i128::from(MAX_STEPS) {
            return Err(EvalError::Grid("too many steps: make the step longer or the range shorter"));
        }
        Ok(Grid { start, step: step_ns, steps: steps as usize })
    }

    /// A single step, exactly from start to end.
    ///
    /// # Errors
    /// If the end is not after the start.
    pub fn instant(start_ns: i64, end_ns: i64) -> Result<Grid, EvalError> {
        match end_ns.checked_sub(start_ns) {
            Some(step) if step > 0 => Ok(Grid { start: start_ns, step, steps: 1 }),
            _ => Err(EvalError::Grid("end must be after start")),
        }
    }

    /// How many steps there are.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The length of a step, in nanoseconds.
    pub fn step_ns(&self) -> i64 {
        self.step
    }

    /// The end of a step, which is its timestamp.
    pub fn time(&self, step: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(step as i64 + 1))
    }

    /// Nanoseconds that belong to the grid, first and last.
    pub fn bounds(&self) -> (i64, i64) {
        (self.start.saturating_add(1), self.time(self.steps.saturating_sub(1)))
    }

    /// The step to which a time belongs.
    pub fn index(&self, ns: i64) -> Option<usize> {
        let offset = ns.checked_sub(self.start).filter(|offset| *offset > 0)?;
        let index = ((offset - 1) / self.step) as usize;
        (index < self.steps).then_some(index)
    }
}

/// Steps of a sketch to each power of two: values are off by at most half a percent.
const FINE: f64 = 64.0;

/// Counts of values in buckets that grow by a fixed factor (as in DDSketch, Masson et al. 2019), with the exact extremes.
#[derive(Clone, Debug, Default)]
pub(super) struct Sketch {
    buckets: BTreeMap<i32, u64>,
    /// Values that are zero or less.
    low: u64,
    extremes: Option<(f64, f64)>,
}

impl Sketch {
    pub(super) fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        let (min, max) = self.extremes.unwrap_or((value, value));
        self.extremes = Some((min.min(value), max.max(value)));
        if value > 0.0 {
            *self.buckets.entry((value.log2() * FINE).ceil() as i32).or_default() += 1;
        } else {
            self.low += 1;
        }
    }

    pub(super) fn merge(&mut self, other: &Sketch) {
        for (bucket, count) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += count;
        }
        self.low += other.low;
        self.extremes = match (self.extremes, other.extremes) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (mine, others) => mine.or(others),
        };
    }

    /// The smallest value that at least this share of values does not exceed; none if there are none.
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        let (min, max) = self.extremes?;
        let total = self.low + self.buckets.values().sum::<u64>();
        let rank = ((q * total as f64).ceil() as u64).clamp(1, total);
        if rank == total {
            return Some(max);
        }
        let mut seen = self.low;
        if rank <= seen {
            return Some(min);
        }
        for (bucket, count) in &self.buckets {
            seen += count;
            if rank <= seen {
                // The middle of the bucket, on the scale on which it is one step wide.
                return Some(((f64::from(*bucket) - 0.5) / FINE).exp2().clamp(min, max));
            }
        }
        Some(max)
    }
}

/// What a series keeps of each step.
#[derive(Clone, Debug)]
pub(super) enum Cells {
    Counts(Vec<u64>),
    /// The smallest and largest value, and the sum with the count: whatever of them is asked for.
    Measures(Vec<Option<Measure>>),
    Sketches(Vec<Sketch>),
}

/// What is known of the values of one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    pub min: f64,
    pub max: f64,
    pub sum: f64,
    pub count: u64,
}

impl Cells {
    pub(super) fn add(&mut self, step: usize, value: f64) {
        match self {
            Cells::Counts(counts) => counts[step] += 1,
            Cells::Sketches(sketches) => sketches[step].add(value),
            Cells::Measures(measures) => {
                let one = Measure { min: value, max: value, sum: value, count: 1 };
                measures[step] = joined(measures[step], Some(one));
            }
        }
    }

    pub(super) fn merge(&mut self, other: Cells) {
        match (self, other) {
            (Cells::Counts(mine), Cells::Counts(others)) => {
                mine.iter_mut().zip(others).for_each(|(mine, other)| *mine += other);
            }
            (Cells::Measures(mine), Cells::Measures(others)) => {
                mine.iter_mut().zip(others).for_each(|(mine, other)| *mine = joined(*mine, other));
            }
            (Cells::Sketches(mine), Cells::Sketches(others)) => {
                mine.iter_mut().zip(&others).for_each(|(mine, other)| mine.merge(other));
            }
            // Parts of one evaluation have cells of one kind.
            _ => {}
        }
    }
}

fn joined(a: Option<Measure>, b: Option<Measure>) -> Option<Measure> {
    match (a, b) {
        (Some(a), Some(b)) => Some(Measure {
            min: a.min.min(b.min),
            max: a.max.max(b.max),
            sum: a.sum + b.sum,
            count: a.count + b.count,
        }),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_step_holds_its_end_and_not_its_start() {
        let grid = Grid::range(10, 35, 10).unwrap();
        assert_eq!((grid.steps(), grid.time(0), grid.time(2)), (3, 20, 40));
        let found: Vec<_> = [10, 11, 20, 21, 40, 41].map(|ns| grid.index(ns)).to_vec();
        assert_eq!(found, [None, Some(0), Some(0), Some(1), Some(2), None]);
        assert_eq!(Grid::range(13, 35, 10).unwrap(), grid);
        assert!(Grid::range(0, 1_000_000, 1).is_err());
        assert!(Grid::range(5, 5, 1).is_err());
        assert!(Grid::instant(i64::MIN, i64::MAX).is_err());
    }

    #[test]
    fn quantiles_of_a_sketch_are_within_a_percent() {
        let mut sketch = Sketch::default();
        (1..=1000).for_each(|n| sketch.add(f64::from(n)));
        for (q, exact) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0)] {
            let found = sketch.quantile(q).unwrap();
            assert!((found / exact - 1.0).abs() < 0.01, "{q}: {found}");
        }
        assert_eq!(sketch.quantile(1.0), Some(1000.0));
        let mut halves = Sketch::default();
        halves.merge(&sketch);
        halves.merge(&sketch);
        assert_eq!(halves.quantile(0.5), sketch.quantile(0.5));
        assert_eq!(Sketch::default().quantile(0.5), None);
    }
}

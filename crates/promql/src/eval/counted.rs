//! How many samples selectors hand to an expression, as upstream counts them.

use super::value::{Column, histogram_weight, is_absent};

/// Samples handed over so far, by instant selectors one a step, by range selectors the whole window at each step.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    pub total: u64,
    /// Those of each step, if anyone wants to know.
    pub steps: Option<Vec<u64>>,
}

impl Counted {
    /// No samples; `steps` says how many steps are told apart.
    pub fn new(steps: Option<usize>) -> Self {
        Counted { total: 0, steps: steps.map(|n| vec![0; n]) }
    }

    /// No samples, of steps that are told apart if they are here.
    pub fn empty(&self) -> Self {
        Counted::new(self.steps.as_ref().map(Vec::len))
    }

    /// Counts samples at a step.
    pub fn at(&mut self, step: usize, samples: u64) {
        self.total += samples;
        if let Some(slot) = self.steps.as_mut().and_then(|steps| steps.get_mut(step)) {
            *slot += samples;
        }
    }

    /// Counts the elements of a column, each at its step.
    pub fn column(&mut self, column: &Column) {
        if self.steps.is_none() {
            self.total += column.weight() as u64;
            return;
        }
        for i in 0..column.len() {
            let histogram = column.histogram(i).map_or(0, |h| histogram_weight(h));
            self.at(i, u64::from(!is_absent(column.v[i])) + histogram as u64);
        }
    }

    /// Counts windows, of which each step has one; together they have `total` samples.
    pub fn windows(&mut self, windows: &[(u32, u32)], total: u64) {
        if self.steps.is_none() {
            self.total += total;
            return;
        }
        for (i, (from, to)) in windows.iter().enumerate() {
            self.at(i, u64::from(to - from));
        }
    }

    /// Counts what another one counted.
    pub fn add(&mut self, other: &Counted) {
        self.total += other.total;
        if let (Some(steps), Some(others)) = (&mut self.steps, &other.steps) {
            steps.iter_mut().zip(others).for_each(|(step, other)| *step += other);
        }
    }
}

//! What is known of a series while rows come in.

use super::{Grid, samples};
use crate::syntax::{RangeAggregation, RangeOp};

/// What is known of a series.
#[derive(Clone, Debug)]
pub(super) enum Cells {
    /// For sums of whole numbers.
    Changes(Changes),
    /// Everything, for functions that need it.
    Samples(Vec<(i64, f64)>),
}

/// How sums change from one step to the next. Only the steps between the first and the last change are held: a series that lives
/// for a moment costs as little in a query for a month. The first of them needs no memory of its own: a query for one time may have
/// millions of series.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    /// Which step is the first; `None` without any.
    first: Option<usize>,
    /// Change of the sum, and of the number of rows, at the first step.
    one: (i64, i64),
    /// And at those behind it.
    more: Vec<(i64, i64)>,
}

impl Changes {
    fn add(&mut self, step: usize, sum: i64, rows: i64) {
        let place = self.place(step);
        place.0 += sum;
        place.1 += rows;
    }

    fn place(&mut self, step: usize) -> &mut (i64, i64) {
        let mut first = *self.first.get_or_insert(step);
        if step < first {
            let between = std::iter::repeat_n((0, 0), first - step - 1);
            self.more.splice(0..0, between.chain([self.one]));
            self.one = (0, 0);
            first = step;
            self.first = Some(step);
        }
        let Some(at) = (step - first).checked_sub(1) else { return &mut self.one };
        if at >= self.more.len() {
            self.more.resize(at + 1, (0, 0));
        }
        &mut self.more[at]
    }

    /// The steps that may bring a change.
    fn steps(&self) -> impl Iterator<Item = (usize, (i64, i64))> {
        let all = std::iter::once(&self.one).chain(&self.more);
        let numbered = self.first.map(|first| (first..).zip(all.copied()));
        numbered.into_iter().flatten()
    }

    fn at(&self, step: usize) -> (i64, i64) {
        match self.first.and_then(|first| step.checked_sub(first)) {
            None => (0, 0),
            Some(0) => self.one,
            Some(at) => self.more.get(at - 1).copied().unwrap_or_default(),
        }
    }
}

/// Whether only sums of whole numbers are needed.
pub(super) fn counts(op: RangeOp, unwrapped: bool) -> bool {
    matches!(op, RangeOp::Count | RangeOp::Bytes | RangeOp::BytesRate | RangeOp::Absent)
        || (op == RangeOp::Rate && !unwrapped)
}

impl Cells {
    pub(super) fn new(op: RangeOp, unwrapped: bool) -> Self {
        if counts(op, unwrapped) { Cells::Changes(Changes::default()) } else { Cells::Samples(Vec::new()) }
    }

    /// Adds a row that is in the windows from the first to before the second: its time, its value, and what it counts for.
    #[inline]
    pub(super) fn add(
        &mut self,
        steps: usize,
        (ns, value, amount): (i64, f64, i64),
        (first, end): (usize, usize),
    ) {
        match self {
            Cells::Changes(changes) => {
                changes.add(first, amount, 1);
                if end < steps {
                    changes.add(end, -amount, -1);
                }
            }
            Cells::Samples(samples) => samples.push((ns, value)),
        }
    }

    /// Adds so many rows that are in the same windows, and what they count for together. Only for sums.
    pub(super) fn add_rows(
        &mut self,
        steps: usize,
        (rows, amount): (i64, i64),
        (first, end): (usize, usize),
    ) {
        if let Cells::Changes(changes) = self {
            changes.add(first, amount, rows);
            if end < steps {
                changes.add(end, -amount, -rows);
            }
        }
    }

    pub(super) fn merge(&mut self, other: Cells) {
        match (self, other) {
            (Cells::Changes(mine), Cells::Changes(theirs)) => {
                for (step, (sum, rows)) in theirs.steps().filter(|(_, change)| *change != (0, 0)) {
                    mine.add(step, sum, rows);
                }
            }
            (Cells::Samples(samples), Cells::Samples(theirs)) => samples.extend(theirs),
            // Both come from one aggregation, which has one kind.
            _ => {}
        }
    }

    /// The value at the first step, as [`Cells::finish`] has it, if there is one and nothing has to be put together for it.
    pub(super) fn first_sum(&self, aggregation: &RangeAggregation) -> Option<f64> {
        let Cells::Changes(changes) = self else { return None };
        let (sum, rows) = changes.at(0);
        (rows > 0).then(|| sum as f64 / divisor(aggregation))
    }

    /// Bytes held besides the value itself.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Cells::Changes(changes) => changes.more.capacity() * size_of::<(i64, i64)>(),
            Cells::Samples(samples) => samples.capacity() * size_of::<(i64, f64)>(),
        }
    }

    pub(super) fn finish(self, aggregation: &RangeAggregation, grid: Grid) -> Vec<Option<f64>> {
        match self {
            Cells::Changes(changes) => {
                let divisor = divisor(aggregation);
                let (mut sum, mut count) = (0, 0);
                (0..grid.count)
                    .map(|k| {
                        let (change, rows) = changes.at(k);
                        sum += change;
                        count += rows;
                        (count > 0).then(|| sum as f64 / divisor)
                    })
                    .collect()
            }
            Cells::Samples(mut samples) => {
                samples.sort_by_key(|(ns, _)| *ns);
                windows_over(&samples, aggregation, grid)
            }
        }
    }
}

/// What sums are divided by.
fn divisor(aggregation: &RangeAggregation) -> f64 {
    let per_second = matches!(aggregation.op, RangeOp::Rate | RangeOp::BytesRate);
    if per_second { aggregation.range as f64 / 1e9 } else { 1.0 }
}

/// Evaluates every window over samples sorted by time.
fn windows_over(samples: &[(i64, f64)], aggregation: &RangeAggregation, grid: Grid) -> Vec<Option<f64>> {
    let (mut from, mut to) = (0, 0);
    let parameter = aggregation.parameter.unwrap_or(f64::NAN);
    (0..grid.count)
        .map(|k| {
            let end = grid.time(k).saturating_sub(aggregation.offset);
            let start = end.saturating_sub(aggregation.range);
            while samples.get(to).is_some_and(|(ns, _)| *ns <= end) {
                to += 1;
            }
            while from < to && samples[from].0 <= start {
                from += 1;
            }
            let window = &samples[from..to];
            (!window.is_empty())
                .then(|| samples::over(aggregation.op, parameter, window, aggregation.range, end))
        })
        .collect()
}

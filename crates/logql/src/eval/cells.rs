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
/// for a moment costs as little in a query for a month.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    first: usize,
    /// Change of the sum, and of the number of rows.
    steps: Vec<(i64, i64)>,
}

impl Changes {
    fn add(&mut self, step: usize, sum: i64, rows: i64) {
        let place = self.place(step);
        place.0 += sum;
        place.1 += rows;
    }

    fn place(&mut self, step: usize) -> &mut (i64, i64) {
        if self.steps.is_empty() {
            self.first = step;
        }
        if step < self.first {
            let more = self.first - step;
            self.steps.splice(0..0, std::iter::repeat_n((0, 0), more));
            self.first = step;
        }
        let at = step - self.first;
        if at >= self.steps.len() {
            self.steps.resize(at + 1, (0, 0));
        }
        &mut self.steps[at]
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

    pub(super) fn merge(&mut self, other: Cells) {
        match (self, other) {
            (Cells::Changes(mine), Cells::Changes(theirs)) => {
                for (i, (sum, rows)) in theirs.steps.into_iter().enumerate() {
                    if (sum, rows) != (0, 0) {
                        mine.add(theirs.first + i, sum, rows);
                    }
                }
            }
            (Cells::Samples(samples), Cells::Samples(theirs)) => samples.extend(theirs),
            // Both come from one aggregation, which has one kind.
            _ => {}
        }
    }

    /// Bytes held besides the value itself.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Cells::Changes(changes) => changes.steps.capacity() * size_of::<(i64, i64)>(),
            Cells::Samples(samples) => samples.capacity() * size_of::<(i64, f64)>(),
        }
    }

    pub(super) fn finish(self, aggregation: &RangeAggregation, grid: Grid) -> Vec<Option<f64>> {
        match self {
            Cells::Changes(changes) => {
                let per_second = matches!(aggregation.op, RangeOp::Rate | RangeOp::BytesRate);
                let divisor = if per_second { aggregation.range as f64 / 1e9 } else { 1.0 };
                let (mut sum, mut count) = (0, 0);
                (0..grid.count)
                    .map(|k| {
                        let change = k.checked_sub(changes.first).and_then(|at| changes.steps.get(at));
                        let (change, rows) = change.copied().unwrap_or_default();
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

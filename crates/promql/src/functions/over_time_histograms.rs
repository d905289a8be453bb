//! Sums and means of native histograms over a window.

use reba_model::{
    CounterResetHint, Histogram, HistogramSample,
    histogram::{Combined, HistogramSum, IncompatibleSchemas},
};

use super::notes::{self, Operation};
use crate::eval::value::{KernelContext, Point};

/// What to tell about a sum once it is complete.
#[derive(Default)]
struct Seen {
    reset: bool,
    no_reset: bool,
    bounds_reconciled: bool,
}

impl Seen {
    fn hint(&mut self, hint: CounterResetHint) {
        self.reset |= hint == CounterResetHint::CounterReset;
        self.no_reset |= hint == CounterResetHint::NotCounterReset;
    }

    fn combined(&mut self, combined: Combined) {
        self.bounds_reconciled |= combined.bounds_reconciled;
    }

    fn tell(&self, cx: &mut KernelContext<'_>) {
        if self.reset && self.no_reset {
            notes::hint_collision(cx, Operation::Aggregation);
        }
        if self.bounds_reconciled {
            notes::bounds_reconciled(cx, Operation::Aggregation);
        }
    }
}

pub(super) fn sum(h: &[HistogramSample], cx: &mut KernelContext<'_>) -> Point {
    finish(h, cx, |first, rest, seen| {
        let mut sum = HistogramSum::new(first);
        for sample in rest {
            seen.hint(sample.h.hint);
            seen.combined(sum.add(&sample.h)?);
        }
        Ok(sum.finish())
    })
}

pub(super) fn avg(h: &[HistogramSample], cx: &mut KernelContext<'_>) -> Point {
    let Some(original) = h.first().map(|s| &*s.h) else { return Point::Absent };
    finish(h, cx, |first, rest, seen| {
        if rest.is_empty() {
            return Ok(first);
        }
        let mut sum = HistogramSum::new(first);
        for (i, sample) in rest.iter().enumerate() {
            seen.hint(sample.h.hint);
            seen.combined(sum.add(&sample.h)?);
            if sum.rough().has_overflow() {
                let mut before = HistogramSum::new(Histogram::clone(original));
                for earlier in &rest[..i] {
                    before.add(&earlier.h)?;
                }
                return moving_mean(before, &rest[i..], (i + 1) as f64, seen);
            }
        }
        sum.div((rest.len() + 1) as f64);
        Ok(sum.finish())
    })
}

/// From the histogram on with which the sum would overflow, the mean is moved by each next one instead.
fn moving_mean(
    mut mean: HistogramSum,
    rest: &[HistogramSample],
    mut count: f64,
    seen: &mut Seen,
) -> Result<Histogram, IncompatibleSchemas> {
    mean.div(count);
    for sample in rest {
        count += 1.0;
        seen.hint(sample.h.hint);
        mean.mul((count - 1.0) / count);
        let mut share = Histogram::clone(&sample.h);
        share.div(count);
        seen.combined(mean.add(&share)?);
    }
    Ok(mean.finish())
}

fn finish(
    h: &[HistogramSample],
    cx: &mut KernelContext<'_>,
    fold: impl Fn(Histogram, &[HistogramSample], &mut Seen) -> Result<Histogram, IncompatibleSchemas>,
) -> Point {
    let Some((first, rest)) = h.split_first() else { return Point::Absent };
    let mut seen = Seen::default();
    seen.hint(first.h.hint);
    match fold(Histogram::clone(&first.h), rest, &mut seen) {
        Ok(result) => {
            seen.tell(cx);
            Point::histogram(result)
        }
        Err(IncompatibleSchemas) => {
            notes::mixed_exponential_custom(cx);
            Point::Absent
        }
    }
}

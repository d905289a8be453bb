//! Running totals of aggregations: columns with one slot a step.

use std::sync::Arc;

use reba_model::{CounterResetHint, Histogram, HistogramSum, Labels, float, kahan_add};

use super::{
    aggregate::ignored_histogram,
    annotations::Annotations,
    value::{ABSENT, Column, Point, is_absent},
};
use crate::{functions::rolling::kahan_add_finite, syntax::AggregateOp as Op};

/// What is aggregated how, and where notes go.
pub(super) struct Context<'a> {
    pub op: Op,
    pub pos: usize,
    pub annotations: &'a mut Annotations,
}

/// Running columns of one group. What they mean depends on the operator:
/// `a` is the sum, the extreme, the count, or the sum of squared differences; absent as long as nothing was added;
/// `b` is the compensation of the sum, or the mean.
pub(super) struct Totals {
    op: Op,
    a: Vec<f64>,
    b: Vec<f64>,
    count: Vec<f64>,
    /// `avg` only: steps whose sum would overflow; there `a` is the running mean.
    means: Vec<bool>,
    histograms: Vec<Option<Box<HistogramTotal>>>,
    pub drop_name: bool,
}

/// Sums that are added to together: most blocks have a finite value at every step.
const BLOCK: usize = 64;

/// Adds floats to Kahan sums, some of which may be absent.
fn add_to_sums(v: &[f64], a: &mut [f64], b: &mut [f64]) {
    // False for NaN, and so for what is absent, too.
    let unusual = v.iter().zip(a.iter()).filter(|(v, a)| !(**v + **a).is_finite()).count();
    for (v, (a, b)) in v.iter().zip(a.iter_mut().zip(b)) {
        if unusual == 0 {
            (*a, *b) = kahan_add_finite(*v, *a, *b);
        } else if is_absent(*a) {
            *a = *v;
        } else if !is_absent(*v) {
            (*a, *b) = kahan_add(*v, *a, *b);
        }
    }
}

/// Histograms of one group at one step.
#[derive(Default)]
struct HistogramTotal {
    /// None if a float came first: the step is lost anyway.
    sum: Option<HistogramSum>,
    incompatible: bool,
    reset_seen: bool,
    no_reset_seen: bool,
    /// `avg` only: the sum would overflow, it is the running mean now.
    is_mean: bool,
}

impl Totals {
    pub fn new(op: Op, steps: usize) -> Self {
        let column = |used: bool, v: f64| if used { vec![v; steps] } else { Vec::new() };
        let squares = matches!(op, Op::Stddev | Op::Stdvar);
        Totals {
            op,
            a: column(true, ABSENT),
            b: column(squares || matches!(op, Op::Sum | Op::Avg), 0.0),
            count: column(squares || op == Op::Avg, 0.0),
            means: Vec::new(),
            histograms: Vec::new(),
            drop_name: false,
        }
    }

    /// Adds floats at all steps.
    pub fn add_column(&mut self, v: &[f64]) {
        if self.op == Op::Sum && self.histograms.is_empty() {
            let blocks = self.a.chunks_mut(BLOCK).zip(self.b.chunks_mut(BLOCK));
            v.chunks(BLOCK).zip(blocks).for_each(|(v, (a, b))| add_to_sums(v, a, b));
            return;
        }
        for (i, v) in v.iter().enumerate() {
            if !is_absent(*v) {
                self.add_float(i, *v);
            }
        }
    }

    pub fn add_float(&mut self, i: usize, v: f64) {
        if self.histogram(i).is_some_and(|h| h.incompatible) {
            return;
        }
        let first = is_absent(self.a[i]);
        let a = &mut self.a[i];
        match self.op {
            Op::Sum if first => *a = v,
            Op::Sum => (*a, self.b[i]) = kahan_add(v, *a, self.b[i]),
            Op::Avg => self.add_to_average(i, v),
            Op::Count => *a = if first { 1.0 } else { *a + 1.0 },
            Op::Group => *a = 1.0,
            Op::Min if first || *a > v || a.is_nan() => *a = v,
            Op::Max if first || *a < v || a.is_nan() => *a = v,
            Op::Stddev | Op::Stdvar if first => {
                *a = if v.is_finite() { 0.0 } else { f64::NAN };
                (self.b[i], self.count[i]) = (v, 1.0);
            }
            Op::Stddev | Op::Stdvar => {
                // Welford's running variance.
                self.count[i] += 1.0;
                let delta = v - self.b[i];
                self.b[i] += delta / self.count[i];
                *a += delta * (v - self.b[i]);
            }
            _ => {}
        }
    }

    /// Sums up as long as the sum is finite, then continues with a running mean.
    fn add_to_average(&mut self, i: usize, v: f64) {
        let n = self.count[i] + 1.0;
        self.count[i] = n;
        let (a, b) = (self.a[i], self.b[i]);
        if is_absent(a) {
            self.a[i] = v;
            return;
        }
        if !self.means.get(i).copied().unwrap_or(false) {
            let (sum, compensation) = kahan_add(v, a, b);
            if !sum.is_infinite() {
                (self.a[i], self.b[i]) = (sum, compensation);
                return;
            }
            self.means.resize(self.a.len(), false);
            self.means[i] = true;
            (self.a[i], self.b[i]) = (a / (n - 1.0), b / (n - 1.0));
        }
        let share = (n - 1.0) / n;
        (self.a[i], self.b[i]) = kahan_add(v / n, share * self.a[i], share * self.b[i]);
    }

    fn histogram(&self, i: usize) -> Option<&HistogramTotal> {
        self.histograms.get(i).and_then(Option::as_deref)
    }

    pub fn add_histogram(&mut self, i: usize, h: &Arc<Histogram>, labels: &Labels, cx: &mut Context<'_>) {
        match self.op {
            Op::Count | Op::Group => self.add_float(i, 1.0),
            Op::Sum | Op::Avg => {
                if self.histogram(i).is_some_and(|h| h.incompatible) {
                    return;
                }
                let float_first = self.histogram(i).is_none() && !is_absent(self.a[i]);
                if self.op == Op::Avg {
                    self.count[i] += 1.0;
                }
                let n = self.count.get(i).copied().unwrap_or(0.0);
                if self.histograms.is_empty() {
                    self.histograms.resize_with(self.a.len(), || None);
                }
                let total = self.histograms[i].get_or_insert_default();
                if !float_first {
                    total.add(h, n, labels, cx);
                }
            }
            op => cx.annotations.info(cx.pos, ignored_histogram(op)),
        }
    }

    pub fn finish(mut self, cx: &mut Context<'_>) -> Column {
        let mut column = Column::absent(self.a.len());
        for i in 0..self.a.len() {
            let histograms = self.histograms.get_mut(i).and_then(Option::take);
            let a = self.a[i];
            let Some(histograms) = histograms else {
                if !is_absent(a) {
                    column.v[i] = self.finish_float(i);
                }
                continue;
            };
            if !is_absent(a) {
                cx.annotations.warn(cx.pos, "encountered a mix of histograms and floats for aggregation");
            } else if !histograms.incompatible {
                let n = self.count.get(i).copied().unwrap_or(1.0);
                column.set(i, histograms.finish(n, cx));
            }
        }
        column
    }

    fn finish_float(&self, i: usize) -> f64 {
        let a = self.a[i];
        match self.op {
            Op::Sum => a + self.b[i],
            Op::Avg if self.means.get(i).copied().unwrap_or(false) => a + self.b[i],
            Op::Avg => a / self.count[i] + self.b[i] / self.count[i],
            Op::Stdvar => a / self.count[i],
            Op::Stddev => (a / self.count[i]).sqrt(),
            _ => a,
        }
    }
}

impl HistogramTotal {
    /// Adds a histogram; `n` is the number of elements so far if an average is computed, this one included.
    fn add(&mut self, h: &Arc<Histogram>, n: f64, labels: &Labels, cx: &mut Context<'_>) {
        self.reset_seen |= h.hint == CounterResetHint::CounterReset;
        self.no_reset_seen |= h.hint == CounterResetHint::NotCounterReset;
        let Some(sum) = &mut self.sum else {
            self.sum = Some(HistogramSum::new(Histogram::clone(h)));
            return;
        };
        let added = if cx.op == Op::Avg { self.average(h, n) } else { sum.add(h) };
        match added {
            Ok(combined) if combined.bounds_reconciled => {
                cx.annotations.info(cx.pos, "mismatched custom buckets were reconciled during aggregation");
            }
            Ok(_) => {}
            Err(_) => {
                self.incompatible = true;
                cx.annotations.warn(
                    cx.pos,
                    format!(
                        "vector contains a mix of histograms with exponential and custom buckets schemas for metric \
                         name {}",
                        float::go_quote(labels.metric_name())
                    ),
                );
            }
        }
    }

    /// Sums up as long as the sum is finite, then continues with a running mean, as for floats.
    fn average(
        &mut self,
        h: &Histogram,
        n: f64,
    ) -> Result<reba_model::Combined, reba_model::IncompatibleSchemas> {
        let Some(sum) = &mut self.sum else { return Ok(reba_model::Combined::default()) };
        if !self.is_mean {
            let mut next = sum.clone();
            let combined = next.add(h)?;
            if !next.rough().has_overflow() {
                *sum = next;
                return Ok(combined);
            }
            self.is_mean = true;
            sum.div(n - 1.0);
        }
        sum.mul((n - 1.0) / n);
        let mut share = h.clone();
        share.div(n);
        sum.add(&share)
    }

    fn finish(self, n: f64, cx: &mut Context<'_>) -> Point {
        let Some(mut sum) = self.sum else { return Point::Absent };
        if self.reset_seen && self.no_reset_seen {
            cx.annotations.warn(cx.pos, "conflicting counter resets during histogram aggregation");
        }
        if cx.op == Op::Avg && !self.is_mean {
            sum.div(n);
        }
        let mut h = sum.finish();
        h.compact(0);
        Point::histogram(h)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(op: Op, values: &[f64]) -> f64 {
        let mut totals = Totals::new(op, 1);
        for v in values {
            totals.add_column(&[*v]);
        }
        totals.finish_float(0)
    }

    #[test]
    fn an_average_survives_values_whose_sum_overflows() {
        // The mean that is moved by each value may be off by a rounding.
        assert!(total(Op::Avg, &[f64::MAX, f64::MAX, f64::MAX]) / f64::MAX > 1.0 - 1e-12);
        assert_eq!(total(Op::Avg, &[1.0, 2.0, 6.0]), 3.0);
    }

    #[test]
    fn sums_of_columns_are_those_of_their_values() {
        let odd = [ABSENT, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -0.0, 1e-300];
        let column = |seed: u64| -> Vec<f64> {
            let value = |i: u64| match (i * 7919 + seed * 104_729) % 97 {
                k if k < 7 && seed.is_multiple_of(3) => odd[k as usize],
                k => (k as f64 - 40.0) * 0.1 * 10f64.powi((seed % 30) as i32),
            };
            (0..200).map(value).collect()
        };
        let columns: Vec<Vec<f64>> = (1..40).map(column).collect();
        let mut totals = Totals::new(Op::Sum, 200);
        for column in &columns {
            totals.add_column(column);
        }
        for i in 0..200 {
            let values: Vec<f64> = columns.iter().map(|c| c[i]).filter(|v| !is_absent(*v)).collect();
            let (sum, rest) =
                values[1..].iter().fold((values[0], 0.0), |(sum, rest), v| kahan_add(*v, sum, rest));
            let (got, want) = (totals.finish_float(i), sum + rest);
            assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{got} {want}");
        }
    }

    #[test]
    fn a_sum_keeps_small_terms_between_large_ones() {
        assert_eq!(total(Op::Sum, &[1.0, 1e100, 1.0, -1e100]), 2.0);
    }

    #[test]
    fn nan_loses_against_every_number_in_min_and_max() {
        assert_eq!(total(Op::Min, &[f64::NAN, 3.0, 2.0]), 2.0);
        assert_eq!(total(Op::Max, &[3.0, f64::NAN, 2.0]), 3.0);
        assert!(total(Op::Max, &[f64::NAN]).is_nan());
    }
}

//! Metric queries: from rows to series, and the algebra on series.

mod binary;
mod cells;
mod columns;
mod needs;
mod range;
mod samples;
mod vector;
mod wanted;

use std::fmt;

use reba_model::{Labels, NanoRange};
use thiserror::Error;

pub use needs::{ExtractNeeds, Parsed, RowNeeds};
pub use range::{RangeEval, RangeOptions};
pub use wanted::{pushed_grouping, wanted_labels};

use crate::syntax::{MetricExpr, ParseError, RangeAggregation, VectorAggregation, VectorOp};

/// Why a metric query has no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EvalError {
    /// The query makes no sense.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A line could not be processed, and the query does not say that this is all right.
    #[error(
        "pipeline error: '{error}' for series: '{series}'.\nUse a label filter to intentionally skip this error. \
         (e.g | __error__!=\"{error}\").\nTo skip all potential errors you can match empty errors.(e.g __error__=\"\")\nThe label \
         filter can also be specified after unwrap. (e.g | unwrap latency | __error__=\"\" )\n"
    )]
    Pipeline {
        /// The kind of error.
        error: String,
        /// The labels of the line, error and details included.
        series: String,
    },
    /// Series of two sides do not fit together.
    #[error("{0}")]
    Matching(String),
    /// A limit was reached.
    #[error("maximum of series ({limit}) reached for a single query")]
    Series {
        /// The limit.
        limit: usize,
    },
    /// What has to be held is too large.
    #[error(
        "the query holds more than its {limit} bytes of samples and series; ask for fewer series, for a shorter time or for \
         larger steps"
    )]
    Memory {
        /// The limit.
        limit: usize,
    },
    /// More points than an answer may have.
    #[error(
        "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter"
    )]
    Points,
}

/// The times a query is evaluated at, Unix nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The first.
    pub start: i64,
    /// Between one and the next; at least 1.
    pub step: i64,
    /// How many, at least 1.
    pub count: usize,
    /// Whether it is one time only, by the question.
    pub instant: bool,
}

impl Grid {
    /// Most times of one query.
    pub const MAX_POINTS: usize = 11_000;

    /// One time.
    pub fn instant(ns: i64) -> Self {
        Grid { start: ns, step: 1, count: 1, instant: true }
    }

    /// From `start` to `end`, both included if the steps meet it.
    ///
    /// # Errors
    /// If these are too many. `step` must be positive and `end` not before `start`.
    pub fn range(start: i64, end: i64, step: i64) -> Result<Self, EvalError> {
        let count = (i128::from(end) - i128::from(start)) / i128::from(step.max(1)) + 1;
        match usize::try_from(count) {
            Ok(count) if count <= Self::MAX_POINTS + 1 => {
                Ok(Grid { start, step: step.max(1), count: count.max(1), instant: false })
            }
            _ => Err(EvalError::Points),
        }
    }

    /// The time of a step.
    pub fn time(&self, index: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(index as i64))
    }

    /// What the windows of all steps together cover: each is left-open and right-closed.
    pub fn rows(&self, range: i64, offset: i64) -> NanoRange {
        let first = self.start.saturating_sub(offset).saturating_sub(range).saturating_add(1);
        let last = self.time(self.count - 1).saturating_sub(offset);
        NanoRange::new(first, last.saturating_add(1))
    }

    /// The steps whose window holds a row at `ns`: from the first to before the second.
    pub(crate) fn windows(&self, ns: i64, range: i64, offset: i64) -> (usize, usize) {
        // The window of step k is (time(k) - offset - range, time(k) - offset].
        let shifted = i128::from(ns) + i128::from(offset) - i128::from(self.start);
        let step = i128::from(self.step);
        let first = shifted.max(0).div_euclid(step) + i128::from(shifted.max(0).rem_euclid(step) != 0);
        let beyond = shifted + i128::from(range);
        let end = if beyond <= 0 { 0 } else { (beyond - 1).div_euclid(step) + 1 };
        let clamp = |n: i128| n.clamp(0, self.count as i128) as usize;
        (clamp(first), clamp(end))
    }
}

/// Remembers the windows of the row before: rows come by rising time, and many of them share theirs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowCursor {
    grid: Grid,
    range: i64,
    offset: i64,
    /// The first and the last time for which `windows` is right.
    from: i64,
    until: i64,
    windows: (usize, usize),
}

impl WindowCursor {
    pub(crate) fn new(grid: Grid, range: i64, offset: i64) -> Self {
        WindowCursor { grid, range, offset, from: 1, until: 0, windows: (0, 0) }
    }

    /// See [`Grid::windows`].
    #[inline]
    pub(crate) fn windows(&mut self, ns: i64) -> (usize, usize) {
        if !(self.from <= ns && ns <= self.until) {
            self.seek(ns);
        }
        self.windows
    }

    /// The windows that hold all rows from the first to the last time, if those are the same for each of them.
    pub(crate) fn shared(&mut self, first_ns: i64, last_ns: i64) -> Option<(usize, usize)> {
        // Both numbers only rise with time.
        let windows = self.windows(first_ns);
        (self.windows(last_ns) == windows).then_some(windows)
    }

    fn seek(&mut self, ns: i64) {
        let (first, end) = self.grid.windows(ns, self.range, self.offset);
        let time = |k: usize| i128::from(self.grid.start) + i128::from(self.grid.step) * k as i128;
        let mut until = i128::from(i64::MAX);
        if first < self.grid.count {
            until = until.min(time(first) - i128::from(self.offset));
        }
        if end < self.grid.count {
            until = until.min(time(end) - i128::from(self.offset) - i128::from(self.range));
        }
        self.windows = (first, end);
        self.from = ns;
        self.until = i64::try_from(until).unwrap_or(ns);
    }
}

/// A series of the answer: a value a step, where it has one.
#[derive(Clone, Debug, PartialEq)]
pub struct GridSeries {
    /// Its labels.
    pub labels: Labels,
    /// A value a step.
    pub values: Vec<Option<f64>>,
}

/// What a metric query answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A number alone, the same at every step.
    Scalar(f64),
    /// Series; those without any value left out.
    Series(Vec<GridSeries>),
}

/// Evaluates everything above the range aggregations. `leaf` gives the series of one of those.
///
/// # Errors
/// What `leaf` answers, and series that do not fit together.
pub fn evaluate<E: From<EvalError>>(
    expr: &MetricExpr,
    grid: Grid,
    leaf: &mut dyn FnMut(&RangeAggregation) -> Result<Vec<GridSeries>, E>,
) -> Result<Answer, E> {
    let answer = evaluate_inner(expr, grid, leaf)?;
    Ok(match answer {
        Answer::Scalar(value) => Answer::Scalar(value),
        Answer::Series(mut series) => {
            series.retain(|s| s.values.iter().any(Option::is_some));
            series.sort_by(|a, b| a.labels.iter().cmp(b.labels.iter()));
            if let (true, Some(descending)) = (grid.instant, value_order(expr)) {
                vector::sort_by_value(&mut series, descending);
            }
            Answer::Series(series)
        }
    })
}

fn evaluate_inner<E: From<EvalError>>(
    expr: &MetricExpr,
    grid: Grid,
    leaf: &mut dyn FnMut(&RangeAggregation) -> Result<Vec<GridSeries>, E>,
) -> Result<Answer, E> {
    Ok(match expr {
        MetricExpr::Literal(value) => Answer::Scalar(*value),
        MetricExpr::VectorLiteral(value) => Answer::Series(vec![GridSeries {
            labels: Labels::empty(),
            values: vec![Some(*value); grid.count],
        }]),
        MetricExpr::Range(aggregation) => Answer::Series(leaf(aggregation)?),
        MetricExpr::Vector(aggregation) => {
            if aggregation.op == VectorOp::ApproxTopK && !grid.instant {
                let message = "approx_topk is only supported on instant queries".to_owned();
                return Err(EvalError::Matching(message).into());
            }
            let inner = series_of(evaluate_inner(&aggregation.inner, grid, leaf)?, grid);
            Answer::Series(vector::aggregate(aggregation, inner, grid))
        }
        MetricExpr::Binary(binary) => {
            let left = evaluate_inner(&binary.left, grid, leaf)?;
            let right = evaluate_inner(&binary.right, grid, leaf)?;
            binary::apply(binary, left, right, grid)?
        }
        MetricExpr::LabelReplace(call) => {
            let inner = series_of(evaluate_inner(&call.inner, grid, leaf)?, grid);
            Answer::Series(vector::label_replace(call, inner)?)
        }
    })
}

/// A number alone counts as a series without labels where series are wanted.
fn series_of(answer: Answer, grid: Grid) -> Vec<GridSeries> {
    match answer {
        Answer::Series(series) => series,
        Answer::Scalar(value) => {
            vec![GridSeries { labels: Labels::empty(), values: vec![Some(value); grid.count] }]
        }
    }
}

/// Whether the answer is to be sorted by value, and then whether the largest comes first: if `sort` or `sort_desc` stands anywhere
/// in the query.
fn value_order(expr: &MetricExpr) -> Option<bool> {
    match expr {
        MetricExpr::Vector(aggregation) => match aggregation.op {
            VectorOp::Sort => Some(false),
            VectorOp::SortDesc => Some(true),
            _ => value_order(&aggregation.inner),
        },
        MetricExpr::Binary(binary) => value_order(&binary.left).or_else(|| value_order(&binary.right)),
        MetricExpr::LabelReplace(call) => value_order(&call.inner),
        MetricExpr::Range(_) | MetricExpr::Literal(_) | MetricExpr::VectorLiteral(_) => None,
    }
}

/// The range aggregations of an expression, each with the aggregation directly around it.
pub fn leaves(expr: &MetricExpr) -> Vec<(&RangeAggregation, Option<&VectorAggregation>)> {
    let mut all = Vec::new();
    collect(expr, None, &mut all);
    all
}

/// How many of the largest (`true`) or smallest series of a range aggregation matter at each step, if all others are dropped by an
/// aggregation around: directly, or where one between them makes the very same series ([`pushed_grouping`]).
pub fn extremes_wanted(expr: &MetricExpr, aggregation: &RangeAggregation) -> Option<(usize, bool)> {
    match expr {
        MetricExpr::Vector(outer) => {
            let largest = match outer.op {
                VectorOp::TopK => Some(true),
                VectorOp::BottomK => Some(false),
                _ => None,
            };
            let k = outer.k.and_then(|k| usize::try_from(k).ok());
            let chosen = k.zip(largest).filter(|_| outer.grouping.is_none());
            let is_meant = |inner: &RangeAggregation| std::ptr::eq(inner, aggregation);
            match (&*outer.inner, chosen) {
                (MetricExpr::Range(inner), Some(chosen)) => is_meant(inner).then_some(chosen),
                (MetricExpr::Vector(between), Some(chosen)) => match &*between.inner {
                    MetricExpr::Range(inner) => {
                        (is_meant(inner) && pushed_grouping(Some(between), inner).is_some()).then_some(chosen)
                    }
                    _ => extremes_wanted(&outer.inner, aggregation),
                },
                (inner, _) => extremes_wanted(inner, aggregation),
            }
        }
        MetricExpr::Binary(binary) => {
            extremes_wanted(&binary.left, aggregation).or_else(|| extremes_wanted(&binary.right, aggregation))
        }
        MetricExpr::LabelReplace(call) => extremes_wanted(&call.inner, aggregation),
        MetricExpr::Range(_) | MetricExpr::Literal(_) | MetricExpr::VectorLiteral(_) => None,
    }
}

fn collect<'e>(
    expr: &'e MetricExpr,
    around: Option<&'e VectorAggregation>,
    all: &mut Vec<(&'e RangeAggregation, Option<&'e VectorAggregation>)>,
) {
    match expr {
        MetricExpr::Range(aggregation) => all.push((aggregation, around)),
        MetricExpr::Vector(aggregation) => collect(&aggregation.inner, Some(aggregation), all),
        MetricExpr::Binary(binary) => {
            collect(&binary.left, None, all);
            collect(&binary.right, None, all);
        }
        MetricExpr::LabelReplace(call) => collect(&call.inner, None, all),
        MetricExpr::Literal(_) | MetricExpr::VectorLiteral(_) => {}
    }
}

/// All range aggregations of an expression.
pub fn range_aggregations(expr: &MetricExpr) -> Vec<&RangeAggregation> {
    leaves(expr).into_iter().map(|(aggregation, _)| aggregation).collect()
}

/// Labels as errors show them.
pub(crate) struct Shown<'a>(pub(crate) &'a Labels);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{name}={}", reba_model::float::go_quote(value))?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_is_in_exactly_the_windows_that_hold_it(
            ns in -50i64..150, start in -20i64..20, step in 1i64..15, count in 1usize..12, range in 1i64..30, offset in -10i64..10,
        ) {
            let grid = Grid { start, step, count, instant: false };
            let (first, end) = grid.windows(ns, range, offset);
            let mut cursor = WindowCursor::new(grid, range, offset);
            for before in (-50..ns).step_by(7).chain([ns]) {
                prop_assert_eq!(cursor.windows(before), grid.windows(before, range, offset), "at {}", before);
            }
            for k in 0..count {
                let at = grid.time(k) - offset;
                prop_assert_eq!(at - range < ns && ns <= at, (first..end).contains(&k), "step {}", k);
            }
            if first < end {
                prop_assert!(grid.rows(range, offset).contains(ns));
            }
        }
    }
}

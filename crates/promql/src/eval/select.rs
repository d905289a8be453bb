//! Selectors: from chunks to columns.

use std::sync::Arc;

use reba_model::{
    Histogram, Matcher, SampleColumns, Series, TimeRange, histogram::keep_figures_only, is_stale_nan,
};

use super::{
    Evaluator,
    error::EvalError,
    parallel::map_pieces,
    plan::{MatrixNode, VectorNode, When},
    value::{Column, MatrixSeries, Point, RangeMode, Steps, VectorSeries},
};

impl<'a> Evaluator<'a> {
    /// The series of a selector, filtered again and sorted by labels.
    pub(super) fn selected(&self, selector: usize) -> Result<Vec<&'a Series>, EvalError> {
        let all: &'a [Vec<Series>] = self.series;
        let planned = self.plan.selectors().get(selector);
        let (Some(planned), Some(series)) = (planned, all.get(selector)) else {
            return Err(EvalError::Bug("a selector is not in the plan"));
        };
        let mut out: Vec<&'a Series> =
            series.iter().filter(|s| Matcher::all(&planned.matchers, &s.labels)).collect();
        if !out.is_sorted_by(|a, b| a.labels <= b.labels) {
            out.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        Ok(out)
    }

    /// The samples that a selector needs.
    pub(super) fn selected_range(&self, selector: usize) -> TimeRange {
        self.plan.selectors().get(selector).map_or(TimeRange::new(0, -1), |s| s.range)
    }

    /// Whether histograms of a selector are wanted without their buckets.
    pub(super) fn figures_only(&self, selector: usize) -> bool {
        self.plan.selectors().get(selector).is_some_and(|s| s.figures_only)
    }

    pub(super) fn select_vector(
        &mut self,
        node: &VectorNode,
        steps: &Steps,
    ) -> Result<Vec<VectorSeries>, EvalError> {
        self.select_with(node, &|samples, lookback| {
            let mut column = Column::absent(steps.count);
            latest_at_steps(samples, steps, node.when, lookback, |i, latest| match latest.point {
                PointRef::Float(v) => column.v[i] = v,
                PointRef::Histogram(h) => column.set(i, Point::Histogram(Arc::clone(h))),
            });
            column
        })
    }

    /// As [`Self::select_vector`], with the times of the samples (seconds) in place of their values.
    pub(super) fn select_timestamps(
        &mut self,
        node: &VectorNode,
        steps: &Steps,
    ) -> Result<Vec<VectorSeries>, EvalError> {
        self.select_with(node, &|samples, lookback| {
            let mut column = Column::absent(steps.count);
            latest_at_steps(samples, steps, node.when, lookback, |i, latest| {
                column.v[i] = latest.t as f64 / 1000.0;
            });
            column
        })
    }

    fn select_with(
        &mut self,
        node: &VectorNode,
        read: &(dyn Fn(&SampleColumns, i64) -> Column + Sync),
    ) -> Result<Vec<VectorSeries>, EvalError> {
        let found = self.selected(node.selector)?;
        let range = self.selected_range(node.selector);
        let figures_only = self.figures_only(node.selector);
        let lookback = self.plan.options.lookback;
        let room = self.room();
        let cancelled = self.options.cancelled;
        let pieces = map_pieces(self.options.executor, &found, |part| {
            let mut samples = SampleColumns::default();
            let mut out = Vec::with_capacity(part.len());
            let mut weight = 0;
            for series in part {
                if cancelled() {
                    return Err(EvalError::Cancelled);
                }
                series.read_into(range, &mut samples)?;
                if figures_only {
                    keep_figures_only(&mut samples.h);
                }
                let column = read(&samples, lookback);
                if column.is_all_absent() {
                    continue;
                }
                weight += column.weight().max(column.len() / 4);
                if weight > room {
                    return Err(EvalError::TooManySamples);
                }
                out.push(VectorSeries { labels: series.labels.clone(), drop_name: false, column });
            }
            Ok(out)
        })?;
        let out: Vec<VectorSeries> = pieces.into_iter().flatten().collect();
        self.stats.total_samples += out.iter().map(|s| s.column.weight() as u64).sum::<u64>();
        Ok(out)
    }

    /// The samples of a range selector that is itself the query; there is one step.
    pub(super) fn select_matrix(
        &mut self,
        node: &MatrixNode,
        steps: &Steps,
    ) -> Result<Vec<MatrixSeries>, EvalError> {
        let found = self.selected(node.selector)?;
        let end = node.when.time(steps.start);
        let start = end.saturating_sub(node.range);
        let (before, after) = match node.mode {
            RangeMode::Plain => (0, 0),
            RangeMode::Anchored => (self.plan.options.lookback, 0),
            RangeMode::Smoothed => (self.plan.options.lookback, self.plan.options.lookback),
        };
        let range = TimeRange::new(start.saturating_sub(before).saturating_add(1), end.saturating_add(after));
        let room = self.room();
        let pieces = map_pieces(self.options.executor, &found, |part| {
            let mut out = Vec::with_capacity(part.len());
            let mut weight = 0;
            for series in part {
                let mut samples = SampleColumns::default();
                series.read_into(range, &mut samples)?;
                strip_stale(&mut samples);
                if node.mode != RangeMode::Plain {
                    samples = extend(&samples, start, end, node.mode)?;
                }
                weight += samples.len();
                if weight > room {
                    return Err(EvalError::TooManySamples);
                }
                if !samples.is_empty() {
                    out.push(MatrixSeries { labels: series.labels.clone(), drop_name: false, samples });
                }
            }
            Ok(out)
        })?;
        let out: Vec<MatrixSeries> = pieces.into_iter().flatten().collect();
        self.stats.total_samples += out.iter().map(|s| s.samples.len() as u64).sum::<u64>();
        Ok(out)
    }
}

/// A sample, and when it was taken.
struct Latest<'a> {
    t: i64,
    point: PointRef<'a>,
}

enum PointRef<'a> {
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}

/// Calls `found` for each step at which the newest sample is younger than the lookback and no staleness marker.
fn latest_at_steps<'a>(
    samples: &'a SampleColumns,
    steps: &Steps,
    when: When,
    lookback: i64,
    mut found: impl FnMut(usize, Latest<'a>),
) {
    // Behind the newest sample that is not after the moment of the step; moments never fall.
    let (mut floats, mut hists) = (0, 0);
    for i in 0..steps.count {
        let moment = when.time(steps.at(i));
        while samples.t.get(floats).is_some_and(|t| *t <= moment) {
            floats += 1;
        }
        while samples.h.get(hists).is_some_and(|s| s.t <= moment) {
            hists += 1;
        }
        let float = floats.checked_sub(1).map(|k| (samples.t[k], samples.v[k]));
        let hist = hists.checked_sub(1).map(|k| &samples.h[k]);
        let latest = match (float, hist) {
            (Some((t, v)), None) => Latest { t, point: PointRef::Float(v) },
            (Some((t, v)), Some(h)) if t > h.t => Latest { t, point: PointRef::Float(v) },
            (_, Some(h)) => Latest { t: h.t, point: PointRef::Histogram(&h.h) },
            (None, None) => continue,
        };
        let stale = match &latest.point {
            PointRef::Float(v) => is_stale_nan(*v),
            PointRef::Histogram(h) => is_stale_nan(h.sum),
        };
        if !stale && latest.t > moment.saturating_sub(lookback) {
            found(i, latest);
        }
    }
}

/// Removes staleness markers.
pub(super) fn strip_stale(samples: &mut SampleColumns) {
    if samples.v.iter().any(|v| is_stale_nan(*v)) {
        let mut kept = 0;
        for i in 0..samples.v.len() {
            if !is_stale_nan(samples.v[i]) {
                samples.t[kept] = samples.t[i];
                samples.v[kept] = samples.v[i];
                kept += 1;
            }
        }
        samples.t.truncate(kept);
        samples.v.truncate(kept);
    }
    samples.h.retain(|s| !is_stale_nan(s.h.sum));
}

/// The samples of a range whose ends were given values: the newest before, or what lies between two samples.
fn extend(
    samples: &SampleColumns,
    start: i64,
    end: i64,
    mode: RangeMode,
) -> Result<SampleColumns, EvalError> {
    let name = if mode == RangeMode::Smoothed { "smoothed" } else { "anchored" };
    if !samples.h.is_empty() {
        return Err(EvalError::Execution(format!("{name} modifier is not supported with histograms")));
    }
    let (t, v) = (&samples.t, &samples.v);
    let mut out = SampleColumns::default();
    let Some(last) = t.len().checked_sub(1) else { return Ok(out) };
    if t[last] <= start {
        return Ok(out);
    }
    let between = |at: i64, i: usize| {
        let share = (at - t[i]) as f64 / (t[i + 1] - t[i]) as f64;
        v[i] + (v[i + 1] - v[i]) * share
    };
    let smoothed = mode == RangeMode::Smoothed;
    // First sample behind each end.
    let (after_start, after_end) = (t.partition_point(|x| *x <= start), t.partition_point(|x| *x <= end));
    let left = match after_start.checked_sub(1) {
        Some(i) if smoothed && t[i] < start => between(start, i),
        Some(i) => v[i],
        None => v[0],
    };
    out.push(start, left);
    let inner_end = t.partition_point(|x| *x < end);
    for i in after_start..inner_end {
        out.push(t[i], v[i]);
    }
    let right = match after_end.checked_sub(1) {
        Some(i) if smoothed && t[i] < end && i + 1 < t.len() => between(end, i),
        Some(i) => v[i],
        None => v[0],
    };
    out.push(end, right);
    Ok(out)
}

//! Selectors: from chunks to columns.

use std::sync::Arc;

use reba_model::{
    Histogram, Labels, Matcher, SampleColumns, Series, TimeRange, histogram::keep_figures_only, is_stale_nan,
};

use super::{
    Evaluator,
    annotations::Annotations,
    downsampled,
    error::EvalError,
    node::{MatrixNode, VectorNode, When},
    parallel::map_pieces,
    plan::{Plan, PlannedSelector},
    room::charge,
    smooth::Smoothing,
    value::{Column, MatrixSeries, Point, RangeMode, Steps, VectorSeries, histogram_weight},
};

impl<'a> Evaluator<'a> {
    /// The series of a selector, filtered again and sorted by labels.
    pub(super) fn selected(&self, selector: usize) -> Result<Vec<&'a Series>, EvalError> {
        let all: &'a [Vec<Series>] = self.series;
        let planned = self.planned(selector)?;
        let series = all.get(selector).ok_or(EvalError::Bug("a selector without series"))?;
        let mut out: Vec<&'a Series> =
            series.iter().filter(|s| Matcher::all(&planned.matchers, &s.labels)).collect();
        if !out.is_sorted_by(|a, b| a.labels <= b.labels) {
            out.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        Ok(out)
    }

    /// What was planned for a selector.
    pub(super) fn planned(&self, selector: usize) -> Result<&'a PlannedSelector, EvalError> {
        let plan: &'a Plan = self.plan;
        plan.selectors().get(selector).ok_or(EvalError::Bug("a selector is not in the plan"))
    }

    pub(super) fn select_vector(
        &mut self,
        node: &VectorNode,
        pos: usize,
        steps: &Steps,
    ) -> Result<Vec<VectorSeries>, EvalError> {
        let lookback = self.plan.options.lookback;
        if node.smoothed {
            let smoothing = Smoothing { node, steps, lookback, pos };
            return self.select_with(node, &|samples, labels, annotations| {
                strip_stale(samples);
                Ok(smoothing.column(samples, labels, annotations))
            });
        }
        self.select_with(node, &|samples, _, _| {
            let mut column = Column::absent(steps.count);
            latest_at_steps(samples, steps, node.when, lookback, |i, latest| match latest.point {
                PointRef::Float(v) => column.v[i] = v,
                PointRef::Histogram(h) => column.set(i, Point::Histogram(Arc::clone(h))),
            });
            Ok(column)
        })
    }

    /// As [`Self::select_vector`], with the times of the samples (seconds) in place of their values. With
    /// `only_floats` a histogram is an error.
    pub(super) fn select_timestamps(
        &mut self,
        node: &VectorNode,
        steps: &Steps,
        only_floats: bool,
    ) -> Result<Vec<VectorSeries>, EvalError> {
        let lookback = self.plan.options.lookback;
        self.select_with(node, &|samples, labels, _| {
            let mut column = Column::absent(steps.count);
            let mut histograms = false;
            latest_at_steps(samples, steps, node.when, lookback, |i, latest| {
                histograms |= matches!(latest.point, PointRef::Histogram(_));
                column.v[i] = latest.t as f64 / 1000.0;
            });
            if histograms && only_floats {
                let text = format!("this should be an info metric, with float samples: {labels}");
                return Err(EvalError::Execution(text));
            }
            Ok(column)
        })
    }

    fn select_with(
        &mut self,
        node: &VectorNode,
        read: ReadColumn<'_>,
    ) -> Result<Vec<VectorSeries>, EvalError> {
        let found = self.selected(node.selector)?;
        let planned = self.planned(node.selector)?;
        let room = self.room();
        let cancelled = self.options.cancelled;
        let pieces = map_pieces(self.options.executor, &found, |part| {
            let mut samples = SampleColumns::default();
            let mut annotations = Annotations::new();
            let mut out = Vec::with_capacity(part.len());
            for series in part {
                if cancelled() {
                    return Err(EvalError::Cancelled);
                }
                read_samples(series, planned, &mut samples)?;
                let column = read(&mut samples, &series.labels, &mut annotations)?;
                if column.is_all_absent() {
                    continue;
                }
                room.take(charge(&column))?;
                out.push(VectorSeries { labels: series.labels.clone(), drop_name: false, column });
            }
            Ok((out, annotations))
        })?;
        let mut out: Vec<VectorSeries> = Vec::with_capacity(found.len());
        for (series, annotations) in pieces {
            out.extend(series);
            self.annotations.merge(annotations);
        }
        for s in &out {
            self.counted.column(&s.column);
        }
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
            for series in part {
                let mut samples = SampleColumns::default();
                series.read_into(range, &mut samples)?;
                strip_stale(&mut samples);
                if node.mode != RangeMode::Plain {
                    samples = extend(&samples, start, end, node.mode)?;
                }
                room.take(samples.len())?;
                if !samples.is_empty() {
                    out.push(MatrixSeries { labels: series.labels.clone(), drop_name: false, samples });
                }
            }
            Ok(out)
        })?;
        let out: Vec<MatrixSeries> = pieces.into_iter().flatten().collect();
        let histograms = |s: &MatrixSeries| s.samples.h.iter().map(|s| histogram_weight(&s.h)).sum::<usize>();
        let samples: usize = out.iter().map(|s| s.samples.t.len() + histograms(s)).sum();
        self.counted.at(0, samples as u64);
        Ok(out)
    }
}

/// Turns the samples of a series into a column.
type ReadColumn<'a> =
    &'a (dyn Fn(&mut SampleColumns, &Labels, &mut Annotations) -> Result<Column, EvalError> + Sync);

/// Decodes the samples of a series that its selector needs.
pub(super) fn read_samples(
    series: &Series,
    planned: &PlannedSelector,
    out: &mut SampleColumns,
) -> Result<(), EvalError> {
    if downsampled::is_downsampled(series) {
        downsampled::read_samples(series, planned, out)?;
    } else {
        series.read_into(planned.range, out)?;
    }
    if planned.figures_only {
        keep_figures_only(&mut out.h);
    }
    Ok(())
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

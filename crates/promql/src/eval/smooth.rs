//! `smoothed` instant selectors (experimental): values on the line between the samples around a step.

use std::sync::Arc;

use reba_model::{
    CounterResetHint, Histogram, HistogramSample, IncompatibleSchemas, Labels, SampleColumns, float,
};

use super::{
    annotations::Annotations,
    node::VectorNode,
    value::{Column, Point, Steps},
};

/// Where a selector is smoothed, and what is said about it.
pub(super) struct Smoothing<'a> {
    pub node: &'a VectorNode,
    pub steps: &'a Steps,
    pub lookback: i64,
    pub pos: usize,
}

impl Smoothing<'_> {
    /// The smoothed elements of one series, given its samples without staleness markers.
    pub fn column(&self, samples: &SampleColumns, labels: &Labels, annotations: &mut Annotations) -> Column {
        let mut column = Column::absent(self.steps.count);
        for i in 0..self.steps.count {
            let t = self.node.when.time(self.steps.at(i));
            let (from, to) = (t.saturating_sub(self.lookback), t.saturating_add(self.lookback));
            let floats = within(&samples.t, from, to, |t| *t);
            let hists = within(&samples.h, from, to, |s| s.t);
            let (t_near, v_near) = (&samples.t[floats.clone()], &samples.v[floats]);
            let h_near = &samples.h[hists];
            if !t_near.is_empty() && !h_near.is_empty() {
                let name = float::go_quote(labels.metric_name());
                let text = format!("encountered a mix of histograms and floats for metric name {name}");
                annotations.warn(self.pos, text);
                continue;
            }
            if let Some(v) = smooth_float(t_near, v_near, t) {
                column.v[i] = v;
            }
            match smooth_histogram(h_near, t, self.pos, annotations) {
                Ok(Some(h)) => column.set(i, Point::Histogram(h)),
                Ok(None) => {}
                Err(IncompatibleSchemas) => annotations.warn(
                    self.pos,
                    format!(
                        "vector contains a mix of histograms with exponential and custom buckets schemas for metric \
                         name {}",
                        float::go_quote(labels.metric_name())
                    ),
                ),
            }
        }
        column
    }
}

/// Positions of the samples with `from < t <= to`.
fn within<T>(samples: &[T], from: i64, to: i64, time: impl Fn(&T) -> i64) -> std::ops::Range<usize> {
    let start = samples.partition_point(|s| time(s) <= from);
    start..samples.partition_point(|s| time(s) <= to).max(start)
}

/// The value at `t`; behind the last sample the last value, before the first none.
fn smooth_float(times: &[i64], values: &[f64], t: i64) -> Option<f64> {
    let next = times.partition_point(|x| *x < t);
    if times.get(next) == Some(&t) {
        return Some(values[next]);
    }
    let before = next.checked_sub(1)?;
    if next == times.len() {
        return Some(values[before]);
    }
    let (a, b) = (values[before], values[next]);
    Some(a + (b - a) * (t - times[before]) as f64 / (times[next] - times[before]) as f64)
}

/// As [`smooth_float`]; a counter that was reset between two samples started empty.
fn smooth_histogram(
    samples: &[HistogramSample],
    t: i64,
    pos: usize,
    annotations: &mut Annotations,
) -> Result<Option<Arc<Histogram>>, IncompatibleSchemas> {
    let next = samples.partition_point(|s| s.t < t);
    if let Some(exact) = samples.get(next).filter(|s| s.t == t) {
        return Ok(Some(Arc::clone(&exact.h)));
    }
    let Some(before) = next.checked_sub(1).map(|k| &samples[k]) else { return Ok(None) };
    let Some(after) = samples.get(next) else {
        let unknown = Histogram { hint: CounterResetHint::Unknown, ..Histogram::clone(&before.h) };
        return Ok(Some(Arc::new(unknown)));
    };
    if before.h.uses_custom_buckets() != after.h.uses_custom_buckets() {
        return Err(IncompatibleSchemas);
    }
    let is_gauge = |h: &Histogram| h.hint == CounterResetHint::Gauge;
    let is_counter = !is_gauge(&before.h) || !is_gauge(&after.h);
    let share = (t - before.t) as f64 / (after.t - before.t) as f64;
    let mut h = Histogram::clone(&after.h);
    if is_counter && h.detect_reset(&before.h) {
        h.mul(share);
        return Ok(Some(Arc::new(h)));
    }
    let subtracted = h.sub(&before.h)?;
    h.mul(share);
    let added = h.add(&before.h)?;
    for (combined, operation) in [(subtracted, "subtraction"), (added, "addition")] {
        if combined.bounds_reconciled {
            annotations.info(pos, format!("mismatched custom buckets were reconciled during {operation}"));
        }
    }
    Ok(Some(Arc::new(h)))
}

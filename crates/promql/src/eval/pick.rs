//! Aggregations that pick elements and leave them as they are: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use reba_model::{Labels, float};

use super::{
    Evaluator,
    aggregate::ignored_histogram,
    error::EvalError,
    group::Groups,
    labelling::by_value,
    value::{Column, Steps, VectorSeries, is_absent},
};
use crate::syntax::AggregateOp as Op;

impl Evaluator<'_> {
    /// Picks elements of each group at each step. `places` are where the aggregation and its parameter stand.
    pub(super) fn pick(
        &mut self,
        op: Op,
        param: &[f64],
        places: (usize, usize),
        series: Vec<VectorSeries>,
        groups: &Groups,
        steps: &Steps,
    ) -> Result<Vec<VectorSeries>, EvalError> {
        if !self.check_parameter(op, param, places.1)? {
            return Ok(Vec::new());
        }
        if matches!(op, Op::Topk | Op::Bottomk) && series.iter().any(|s| s.column.has_histograms()) {
            self.annotations.info(places.0, ignored_histogram(op));
        }
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); groups.labels.len()];
        for (i, group) in groups.of.iter().enumerate() {
            members[*group as usize].push(i);
        }
        let mut picked: Vec<Column> = series.iter().map(|_| Column::default()).collect();
        // Order of the result of an instant query: groups as first seen, inside of them as ranked.
        let mut order = Vec::new();
        let mut chosen = Vec::new();
        for (i, param) in param.iter().enumerate() {
            for group in &members {
                chosen.clear();
                chosen.extend(group.iter().copied().filter(|k| series[*k].column.is_present(i)));
                choose(op, *param, &series, i, &mut chosen);
                for k in &chosen {
                    if picked[*k].is_empty() {
                        picked[*k] = Column::absent(steps.count);
                        order.push(*k);
                    }
                    picked[*k].set(i, series[*k].column.get(i));
                }
            }
        }
        let mut series: Vec<Option<VectorSeries>> = series.into_iter().map(Some).collect();
        let ranked = order.into_iter().filter_map(|k| {
            let column = std::mem::take(&mut picked[k]);
            series[k].take().map(|s| VectorSeries { column, ..s })
        });
        Ok(ranked.collect())
    }

    /// Refuses parameters that make no sense; false if nothing can be picked.
    fn check_parameter(&mut self, op: Op, param: &[f64], pos: usize) -> Result<bool, EvalError> {
        let max = param.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let min = param.iter().copied().fold(f64::INFINITY, f64::min);
        let has_nan = param.iter().any(|v| v.is_nan());
        let fail = |text: String| Err(EvalError::Execution(text));
        if op == Op::LimitRatio {
            if max == 0.0 && min == 0.0 && !has_nan {
                return Ok(false);
            }
            if has_nan {
                return fail("Ratio value is NaN".to_owned());
            }
            for (value, limit) in [(max, 1.0), (min, -1.0)] {
                if value.abs() > 1.0 && value.signum() == limit {
                    let text = format!(
                        "ratio value should be between -1 and 1, got {}, capping to {limit}",
                        float::format_g(value)
                    );
                    self.annotations.warn(pos, text);
                }
            }
            return Ok(true);
        }
        if max < 1.0 && !has_nan {
            return Ok(false);
        }
        if has_nan {
            return fail("Parameter value is NaN".to_owned());
        }
        // Two to the 63rd: what an integer of Go holds.
        let limit = 9_223_372_036_854_775_808.0;
        if min <= -limit {
            return fail(format!("Scalar value {} underflows int64", float::format_g(min)));
        }
        if max >= limit {
            return fail(format!("Scalar value {} overflows int64", float::format_g(max)));
        }
        Ok(true)
    }
}

/// Reduces `chosen`, the series of a group that have an element at step `i`, to the picked ones in ranked order.
fn choose(op: Op, param: f64, series: &[VectorSeries], i: usize, chosen: &mut Vec<usize>) {
    let k = if param >= 1.0 { param as usize } else { 0 };
    match op {
        Op::Topk | Op::Bottomk => {
            let value = |k: &usize| series[*k].column.v[i];
            chosen.retain(|k| !is_absent(value(k)));
            chosen.sort_by(|a, b| by_value(value(a), value(b), op == Op::Topk));
            chosen.truncate(k);
        }
        Op::LimitRatio => {
            let ratio = param.clamp(-1.0, 1.0);
            chosen.retain(|k| in_ratio(ratio, &series[*k].labels));
        }
        _ => chosen.truncate(k),
    }
}

/// Whether a series belongs to a share of all series; a negative share is the complement of `1 + ratio`.
fn in_ratio(ratio: f64, labels: &Labels) -> bool {
    let place = upstream_hash(labels) as f64 / u64::MAX as f64;
    if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio }
}

/// Upstream's hash of a label set, so that the same series are picked: XXH64 of names and values, each behind its
/// length in one byte, or behind 255 and three bytes.
fn upstream_hash(labels: &Labels) -> u64 {
    let mut bytes = Vec::with_capacity(labels.memory_bytes());
    for s in labels.iter().flat_map(|(n, v)| [n, v]) {
        if s.len() < 255 {
            bytes.push(s.len() as u8);
        } else {
            bytes.push(255);
            bytes.extend_from_slice(&(s.len() as u32).to_le_bytes()[..3]);
        }
        bytes.extend_from_slice(s.as_bytes());
    }
    xxhash_rust::xxh64::xxh64(&bytes, 0)
}

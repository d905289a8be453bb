//! Aggregations that give one series a group: every group has running columns, one slot a step.

use reba_model::{Labels, float};

use super::{
    Evaluator,
    error::EvalError,
    group::{Grouping, Groups},
    node::{AggregateNode, NodeKind},
    totals::{Context, Totals},
    value::{Column, Point, Steps, VectorSeries, is_absent},
};
use crate::syntax::{AggregateOp as Op, quote_bytes};

impl Evaluator<'_> {
    pub(super) fn eval_aggregate(
        &mut self,
        node: &AggregateNode,
        pos: usize,
        steps: &Steps,
    ) -> Result<Vec<VectorSeries>, EvalError> {
        if node.op == Op::CountValues {
            return self.eval_count_values(node, steps);
        }
        if let Some(series) = self.eval_fused(node, steps)? {
            return Ok(series);
        }
        let param = match &node.param {
            Some(param) => Some((self.eval_scalar(param, steps)?, param.pos)),
            None => None,
        };
        let mut series = self.eval_vector(&node.expr, steps)?;
        self.settle_order(node.op, &mut series);
        let grouping = Grouping { labels: &node.grouping, without: node.without };
        let groups = grouping.groups(series.iter().map(|s| &s.labels));
        match (node.op, param) {
            (Op::Topk | Op::Bottomk | Op::Limitk | Op::LimitRatio, Some((param, param_pos))) => {
                self.pick(node.op, &param, (pos, param_pos), series, &groups, steps)
            }
            (Op::Quantile, Some((param, param_pos))) => {
                self.warn_of_quantiles(&param, param_pos);
                Ok(self.quantile(&param, &series, groups, node.expr.pos, steps))
            }
            _ => self.accumulate(node, &series, groups, steps),
        }
    }

    /// The order of series decides between equal values, and the last bits of sums. In a range query it must not depend on
    /// what there is at other steps, so that parts of a range add up to the range.
    fn settle_order(&self, op: Op, series: &mut [VectorSeries]) {
        let matters = matches!(op, Op::Sum | Op::Avg | Op::Stddev | Op::Stdvar | Op::Topk | Op::Bottomk);
        if matters && !self.plan.is_instant() && !series.is_sorted_by(|a, b| a.labels <= b.labels) {
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
    }

    fn accumulate(
        &mut self,
        node: &AggregateNode,
        series: &[VectorSeries],
        groups: Groups,
        steps: &Steps,
    ) -> Result<Vec<VectorSeries>, EvalError> {
        // A group has up to three running columns.
        self.room().take(groups.labels.len().saturating_mul(steps.count))?;
        let mut totals: Vec<Totals> =
            groups.labels.iter().map(|_| Totals::new(node.op, steps.count)).collect();
        let cancelled = self.options.cancelled;
        let mut cx = Context { op: node.op, pos: node.expr.pos, annotations: &mut self.annotations };
        for (s, group) in series.iter().zip(&groups.of) {
            if cancelled() {
                return Err(EvalError::Cancelled);
            }
            let total = &mut totals[*group as usize];
            total.drop_name |= s.drop_name;
            if s.column.has_histograms() {
                for i in 0..steps.count {
                    match s.column.get(i) {
                        Point::Float(v) => total.add_float(i, v),
                        Point::Histogram(h) => total.add_histogram(i, &h, &s.labels, &mut cx),
                        Point::Absent => {}
                    }
                }
            } else {
                total.add_column(&s.column.v);
            }
        }
        let finished = totals.into_iter().zip(groups.labels).map(|(total, labels)| {
            let drop_name = total.drop_name;
            VectorSeries { labels, drop_name, column: total.finish(&mut cx) }
        });
        Ok(finished.filter(|s| !s.column.is_all_absent()).collect())
    }

    fn warn_of_quantiles(&mut self, quantiles: &[f64], pos: usize) {
        let text = |q: f64| format!("quantile value should be between 0 and 1, got {}", float::format_g(q));
        if quantiles.iter().any(|q| q.is_nan()) {
            self.annotations.warn(pos, text(f64::NAN));
        }
        let max = quantiles.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if max > 1.0 {
            self.annotations.warn(pos, text(max));
        }
        let min = quantiles.iter().copied().fold(f64::INFINITY, f64::min);
        if min < 0.0 {
            self.annotations.warn(pos, text(min));
        }
    }

    fn quantile(
        &mut self,
        quantiles: &[f64],
        series: &[VectorSeries],
        groups: Groups,
        pos: usize,
        steps: &Steps,
    ) -> Vec<VectorSeries> {
        if series.iter().any(|s| s.column.h.iter().any(Option::is_some)) {
            self.annotations.info(pos, ignored_histogram(Op::Quantile));
        }
        let mut members: Vec<Vec<&VectorSeries>> = vec![Vec::new(); groups.labels.len()];
        for (s, group) in series.iter().zip(&groups.of) {
            members[*group as usize].push(s);
        }
        let mut values = Vec::new();
        let mut out = Vec::with_capacity(members.len());
        for (labels, members) in groups.labels.into_iter().zip(members) {
            let mut column = Column::absent(steps.count);
            for (i, (slot, q)) in column.v.iter_mut().zip(quantiles).enumerate() {
                values.clear();
                values.extend(members.iter().map(|s| s.column.v[i]).filter(|v| !is_absent(*v)));
                if !values.is_empty() {
                    *slot = quantile_of(*q, &mut values);
                }
            }
            let drop_name = members.iter().any(|s| s.drop_name);
            if !column.is_all_absent() {
                out.push(VectorSeries { labels, drop_name, column });
            }
        }
        out
    }

    /// `count_values("label", v)`: one series for each group and value.
    fn eval_count_values(
        &mut self,
        node: &AggregateNode,
        steps: &Steps,
    ) -> Result<Vec<VectorSeries>, EvalError> {
        let Some(NodeKind::String(label)) = node.param.as_ref().map(|p| &p.kind) else {
            return Err(EvalError::Bug("count_values without label"));
        };
        let name = &label.value;
        if name.is_empty() || label.raw.is_some() {
            let quoted = label.raw.as_deref().map_or_else(|| float::go_quote(name), quote_bytes);
            return Err(EvalError::Execution(format!("invalid label name {quoted}")));
        }
        let mut names = node.grouping.clone();
        if !node.without {
            names.push(name.clone());
        }
        let grouping = Grouping { labels: &names, without: node.without };
        let series = self.eval_vector(&node.expr, steps)?;
        let mut index = std::collections::HashMap::new();
        let mut out: Vec<VectorSeries> = Vec::new();
        let room = self.room();
        for s in &series {
            self.go_on()?;
            // Values often stay the same from step to step.
            let mut last: Option<(Point, usize)> = None;
            for i in 0..steps.count {
                let point = s.column.get(i);
                let at = match &last {
                    _ if point == Point::Absent => continue,
                    Some((same, at)) if *same == point => *at,
                    _ => {
                        let key = grouping.key(&with_value(&s.labels, name, &point));
                        if let Some(at) = index.get(&key) {
                            *at
                        } else {
                            room.take(steps.count.div_ceil(2))?;
                            index.insert(key.clone(), out.len());
                            let column = Column::absent(steps.count);
                            out.push(VectorSeries { labels: key, drop_name: false, column });
                            out.len() - 1
                        }
                    }
                };
                let slot = &mut out[at].column.v[i];
                *slot = if is_absent(*slot) { 1.0 } else { *slot + 1.0 };
                last = Some((point, at));
            }
        }
        self.unite(out, steps)
    }
}

fn with_value(labels: &Labels, name: &str, point: &Point) -> Labels {
    let text = match point {
        Point::Float(v) => float::format_f(*v),
        Point::Histogram(h) => h.to_string(),
        Point::Absent => String::new(),
    };
    let mut builder = labels.to_builder();
    builder.set(name, &text);
    builder.build()
}

/// Upstream's info about an aggregation that only knows floats.
pub(super) fn ignored_histogram(op: Op) -> String {
    format!("ignored histogram in {} aggregation", op.as_str())
}

/// The φ-quantile of some values, interpolated linearly between two ranks. NaN counts as the smallest.
fn quantile_of(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b)));
    let last = values.len() - 1;
    let rank = q * last as f64;
    let lower = (rank.floor() as usize).min(last);
    let upper = (lower + 1).min(last);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_between_two_ranks() {
        let mut v = [3.0, 1.0, 2.0];
        assert_eq!(quantile_of(0.25, &mut v), 1.5);
        assert_eq!(quantile_of(1.5, &mut v), f64::INFINITY);
        assert!(quantile_of(f64::NAN, &mut v).is_nan());
    }
}

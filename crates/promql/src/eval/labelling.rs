//! Functions on label sets, and orders.

use std::cmp::Ordering;

use reba_model::{GoRegex, Labels, METRIC_NAME};

use super::{
    Evaluator,
    error::EvalError,
    group,
    node::{CallNode, NodeKind},
    room::charge_labels,
    value::{Steps, VectorSeries, is_absent},
};
use crate::syntax::{Func, StringLiteral};

impl Evaluator<'_> {
    /// `label_replace(v, dst, replacement, src, regex)`
    pub(super) fn eval_label_replace(
        &mut self,
        call: &CallNode,
        steps: &Steps,
    ) -> Result<Vec<VectorSeries>, EvalError> {
        let (dst, template) = (text(call, 1)?, &text(call, 2)?.value);
        let (src, pattern) = (&text(call, 3)?.value, &text(call, 4)?.value);
        let regex = GoRegex::anchored(pattern).map_err(|_| {
            EvalError::Execution(format!("invalid regular expression in label_replace(): {pattern}"))
        })?;
        check_label_name(dst, "destination", "label_replace")?;
        let mut series = self.eval_arg(call, 0, steps)?;
        let room = self.room();
        for s in &mut series {
            self.go_on()?;
            let Some((value, cut)) = regex.expand_bounded(s.labels.value(src), template, MAX_VALUE) else {
                continue;
            };
            if cut || value.len() > MAX_VALUE {
                return Err(too_long("label_replace"));
            }
            set_label(s, &dst.value, &value);
            room.take(charge_labels(&s.labels))?;
        }
        group::unite(series)
    }

    /// `label_join(v, dst, separator, src, …)`
    pub(super) fn eval_label_join(
        &mut self,
        call: &CallNode,
        steps: &Steps,
    ) -> Result<Vec<VectorSeries>, EvalError> {
        let (dst, separator) = (text(call, 1)?, &text(call, 2)?.value);
        let mut sources = Vec::new();
        for i in 3..call.args.len() {
            let src = text(call, i)?;
            check_label_name(src, "source", "label_join")?;
            sources.push(src.value.as_str());
        }
        check_label_name(dst, "destination", "label_join")?;
        let mut series = self.eval_arg(call, 0, steps)?;
        let room = self.room();
        for s in &mut series {
            self.go_on()?;
            let values: Vec<&str> = sources.iter().map(|src| s.labels.value(src)).collect();
            let separators = separator.len().saturating_mul(values.len().saturating_sub(1));
            if values.iter().map(|v| v.len()).sum::<usize>().saturating_add(separators) > MAX_VALUE {
                return Err(too_long("label_join"));
            }
            let joined = values.join(separator);
            set_label(s, &dst.value, &joined);
            room.take(charge_labels(&s.labels))?;
        }
        group::unite(series)
    }

    /// `sort` and its kin. Only the results of instant queries have an order.
    pub(super) fn eval_sort(
        &mut self,
        call: &CallNode,
        pos: usize,
        steps: &Steps,
    ) -> Result<Vec<VectorSeries>, EvalError> {
        if steps.count != 1 {
            let text = "sort is ineffective for range queries since results are always ordered by labels";
            self.annotations.warn(pos, text);
        }
        let mut series = self.eval_arg(call, 0, steps)?;
        if matches!(call.func, Func::Sort | Func::SortDesc) {
            for s in &mut series {
                s.column.h.clear();
            }
            series.retain(|s| !s.column.is_all_absent());
        }
        if steps.count != 1 {
            return Ok(series);
        }
        match call.func {
            Func::Sort | Func::SortDesc => {
                let descending = call.func == Func::SortDesc;
                series.sort_by(|a, b| by_value(a.column.v[0], b.column.v[0], descending));
            }
            _ => {
                let mut names = Vec::new();
                for i in 1..call.args.len() {
                    names.push(text(call, i)?.value.as_str());
                }
                let descending = call.func == Func::SortByLabelDesc;
                series.sort_by(|a, b| {
                    let order = by_labels(&a.labels, &b.labels, &names);
                    if descending { order.reverse() } else { order }
                });
            }
        }
        Ok(series)
    }
}

/// Argument `i`, a string literal.
fn text(call: &CallNode, i: usize) -> Result<&StringLiteral, EvalError> {
    match call.args.get(i).map(|a| &a.kind) {
        Some(NodeKind::String(s)) => Ok(s),
        _ => Err(EvalError::Bug("a string literal was expected")),
    }
}

fn check_label_name(name: &StringLiteral, role: &str, function: &str) -> Result<(), EvalError> {
    if name.value.is_empty() || name.raw.is_some() {
        return Err(EvalError::Execution(format!(
            "invalid {role} label name in {function}(): {}",
            name.value
        )));
    }
    Ok(())
}

/// Longest label value that a function makes, in bytes. Nobody reads more, and a few nested calls can ask for more than
/// there is memory.
const MAX_VALUE: usize = 1 << 20;

fn too_long(function: &str) -> EvalError {
    EvalError::Execution(format!("{function}() makes a label value of more than {MAX_VALUE} bytes"))
}

fn set_label(s: &mut VectorSeries, name: &str, value: &str) {
    let mut builder = s.labels.to_builder();
    builder.set(name, value);
    s.labels = builder.build();
    // A name that was given by hand is not the one that was to go.
    s.drop_name &= name != METRIC_NAME;
}

/// Orders by value; NaN and empty slots come last in either direction.
pub(super) fn by_value(a: f64, b: f64, descending: bool) -> Ordering {
    let last = |v: f64| v.is_nan() || is_absent(v);
    match (last(a), last(b)) {
        (false, false) => {
            let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
            if descending { order.reverse() } else { order }
        }
        (a, b) => a.cmp(&b),
    }
}

/// Orders by the values of some labels, numbers in them compared as numbers, then by all labels.
fn by_labels(a: &Labels, b: &Labels, names: &[&str]) -> Ordering {
    names.iter().map(|n| natural(a.value(n), b.value(n))).find(|o| o.is_ne()).unwrap_or_else(|| a.cmp(b))
}

/// Orders runs of digits as numbers and the rest as text.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    while !a.is_empty() && !b.is_empty() {
        let (run_a, rest_a) = split_run(a);
        let (run_b, rest_b) = split_run(b);
        let order = match (run_a.parse::<i64>(), run_b.parse::<i64>()) {
            (Ok(x), Ok(y)) => x.cmp(&y),
            _ => run_a.cmp(run_b),
        };
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    a.len().cmp(&b.len())
}

/// The run of digits or of other characters at the beginning, and the rest.
fn split_run(s: &str) -> (&str, &str) {
    let digits = s.starts_with(|c: char| c.is_ascii_digit());
    s.split_at(s.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(s.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_labels_are_compared_as_numbers() {
        let mut names = ["node10", "node9", "node", "a", "node9b", "10", "9"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["9", "10", "a", "node", "node9", "node9b", "node10"]);
    }

    #[test]
    fn nan_is_last_in_either_order() {
        for (descending, expected) in [(false, [1.0, 2.0]), (true, [2.0, 1.0])] {
            let mut v = [f64::NAN, 1.0, 2.0];
            v.sort_by(|a, b| by_value(*a, *b, descending));
            assert_eq!(v[..2], expected);
        }
    }
}

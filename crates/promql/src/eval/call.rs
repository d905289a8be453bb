//! Calls of functions.

use reba_model::Labels;

use super::{
    Evaluator,
    error::EvalError,
    node::{CallNode, NodeKind},
    value::{ABSENT, Column, KernelContext, Point, Steps, Value, VectorArg, VectorSeries, is_absent},
};
use crate::functions::{element_kernel, vector_kernel};
use crate::syntax::Func;

impl Evaluator<'_> {
    pub(super) fn eval_call(
        &mut self,
        call: &CallNode,
        pos: usize,
        steps: &Steps,
    ) -> Result<Value, EvalError> {
        let is_range = |kind: &NodeKind| matches!(kind, NodeKind::Matrix(_) | NodeKind::Subquery(_));
        if let Some(index) = call.args.iter().position(|a| is_range(&a.kind)) {
            return self.eval_range_call(call, pos, index, steps);
        }
        match call.func {
            Func::Time => Ok(Value::Scalar(steps.iter().map(|t| t as f64 / 1000.0).collect())),
            Func::Pi => Ok(Value::Scalar(vec![std::f64::consts::PI; steps.count])),
            Func::MinOf | Func::MaxOf => self.eval_extreme_of(call, steps),
            Func::Scalar => {
                let series = self.eval_arg(call, 0, steps)?;
                Ok(Value::Scalar(single_floats(&series, steps)))
            }
            Func::Vector => {
                let v = self.eval_scalar_arg(call, 0, steps)?;
                Ok(Value::Vector(vec![nameless(Column::floats(v))]))
            }
            Func::Absent => {
                let series = self.eval_arg(call, 0, steps)?;
                Ok(Value::Vector(absent(&series, &call.absent, steps)))
            }
            Func::Timestamp => self.eval_timestamp(call, steps).map(Value::Vector),
            Func::StartTimestamp => {
                // Stores keep no start timestamps; upstream's answer is empty then, too.
                self.eval_arg(call, 0, steps)?;
                Ok(Value::Vector(Vec::new()))
            }
            Func::LabelReplace => self.eval_label_replace(call, steps).map(Value::Vector),
            Func::LabelJoin => self.eval_label_join(call, steps).map(Value::Vector),
            Func::Sort | Func::SortDesc | Func::SortByLabel | Func::SortByLabelDesc => {
                self.eval_sort(call, pos, steps).map(Value::Vector)
            }
            _ => self.eval_kernel(call, pos, steps).map(Value::Vector),
        }
    }

    /// Argument `i`, a vector.
    pub(super) fn eval_arg(
        &mut self,
        call: &CallNode,
        i: usize,
        steps: &Steps,
    ) -> Result<Vec<VectorSeries>, EvalError> {
        let arg = call.args.get(i).ok_or(EvalError::Bug("an argument is missing"))?;
        self.eval_vector(arg, steps)
    }

    fn eval_scalar_arg(&mut self, call: &CallNode, i: usize, steps: &Steps) -> Result<Vec<f64>, EvalError> {
        let arg = call.args.get(i).ok_or(EvalError::Bug("an argument is missing"))?;
        self.eval_scalar(arg, steps)
    }

    /// `min_of` and `max_of`. NaN wins over everything, and -0 is below 0, as in Go's `math.Min`.
    fn eval_extreme_of(&mut self, call: &CallNode, steps: &Steps) -> Result<Value, EvalError> {
        let a = self.eval_scalar_arg(call, 0, steps)?;
        let b = self.eval_scalar_arg(call, 1, steps)?;
        let pick = |a: f64, b: f64| {
            if a.is_nan() || b.is_nan() {
                return f64::NAN;
            }
            let a_first = a.total_cmp(&b).is_le();
            if a_first == (call.func == Func::MinOf) { a } else { b }
        };
        Ok(Value::Scalar(a.into_iter().zip(b).map(|(a, b)| pick(a, b)).collect()))
    }

    /// `timestamp`: the time of the sample if applied to a selector, else the time of the step.
    fn eval_timestamp(&mut self, call: &CallNode, steps: &Steps) -> Result<Vec<VectorSeries>, EvalError> {
        let mut series = match call.args.first().map(|a| &a.kind) {
            Some(NodeKind::Vector(selector)) => self.select_timestamps(selector, steps, false)?,
            // Pinned by `@`: still a selector.
            Some(NodeKind::StepInvariant(inner)) if matches!(inner.kind, NodeKind::Vector(_)) => {
                let NodeKind::Vector(selector) = &inner.kind else {
                    return Err(EvalError::Bug("a selector was expected"));
                };
                self.select_timestamps(selector, steps, false)?
            }
            _ => {
                let mut series = self.eval_arg(call, 0, steps)?;
                for s in &mut series {
                    let present = |i: usize| s.column.is_present(i);
                    let v = (0..steps.count)
                        .map(|i| if present(i) { steps.at(i) as f64 / 1000.0 } else { ABSENT })
                        .collect();
                    s.column = Column::floats(v);
                }
                series
            }
        };
        for s in &mut series {
            self.drop_name(&mut s.labels, &mut s.drop_name);
        }
        self.unite(series, steps)
    }

    /// A function that is computed element by element, or on the vector as a whole.
    fn eval_kernel(
        &mut self,
        call: &CallNode,
        pos: usize,
        steps: &Steps,
    ) -> Result<Vec<VectorSeries>, EvalError> {
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            args.push(match self.eval(arg, steps)? {
                Value::Vector(series) => VectorArg::Vector(series),
                Value::Scalar(v) => VectorArg::Scalar(v),
                Value::String(s) => VectorArg::String(s),
                Value::Matrix(_) => return Err(EvalError::Bug("a range vector where none belongs")),
            });
        }
        if let Some(kernel) = vector_kernel(call.func) {
            let labels = Labels::empty();
            let mut cx = KernelContext {
                t: steps.start,
                labels: &labels,
                call_pos: pos,
                arg_pos: &call.arg_pos,
                delayed_name_removal: self.options.delayed_name_removal,
                annotations: &mut self.annotations,
            };
            let mut out = kernel(args, steps, &mut cx).map_err(EvalError::Execution)?;
            out.retain(|s| !s.column.is_all_absent());
            return self.unite(out, steps);
        }
        let kernel = element_kernel(call.func).ok_or(EvalError::Bug("a function without kernel"))?;
        let (mut series, scalars) = split_args(args, steps);
        let mut buffer = vec![0.0; scalars.len()];
        for s in &mut series {
            for i in 0..steps.count {
                let point = s.column.get(i);
                if point == Point::Absent {
                    continue;
                }
                buffer.iter_mut().zip(&scalars).for_each(|(slot, column)| *slot = column[i]);
                let mut cx = KernelContext {
                    t: steps.at(i),
                    labels: &s.labels,
                    call_pos: pos,
                    arg_pos: &call.arg_pos,
                    delayed_name_removal: self.options.delayed_name_removal,
                    annotations: &mut self.annotations,
                };
                s.column.set(i, kernel(point, &buffer, &mut cx));
            }
            self.drop_name(&mut s.labels, &mut s.drop_name);
        }
        series.retain(|s| !s.column.is_all_absent());
        self.unite(series, steps)
    }
}

/// The vector among the arguments, and the scalars. Without any vector it is the time of the step, as for `hour()`.
fn split_args(args: Vec<VectorArg>, steps: &Steps) -> (Vec<VectorSeries>, Vec<Vec<f64>>) {
    let (mut vector, mut scalars) = (None, Vec::new());
    for arg in args {
        match arg {
            VectorArg::Vector(series) => vector = Some(series),
            VectorArg::Scalar(v) => scalars.push(v),
            VectorArg::String(_) => {}
        }
    }
    let now = || vec![nameless(Column::floats(steps.iter().map(|t| t.div_euclid(1000) as f64).collect()))];
    (vector.unwrap_or_else(now), scalars)
}

fn nameless(column: Column) -> VectorSeries {
    VectorSeries { labels: Labels::empty(), drop_name: false, column }
}

/// `scalar`: the float of each step that has exactly one, else NaN.
fn single_floats(series: &[VectorSeries], steps: &Steps) -> Vec<f64> {
    let mut out = vec![f64::NAN; steps.count];
    let mut seen = vec![0u8; steps.count];
    for s in series {
        for (i, v) in s.column.v.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
            seen[i] = (seen[i] + 1).min(2);
            out[i] = if seen[i] == 1 { *v } else { f64::NAN };
        }
    }
    out
}

/// `absent`: one series with the value 1 at each step at which no series has an element.
pub(super) fn absent(series: &[VectorSeries], labels: &Labels, steps: &Steps) -> Vec<VectorSeries> {
    let mut v = vec![1.0; steps.count];
    for s in series {
        for (i, slot) in v.iter_mut().enumerate() {
            if s.column.is_present(i) {
                *slot = ABSENT;
            }
        }
    }
    if v.iter().all(|v| is_absent(*v)) {
        return Vec::new();
    }
    vec![VectorSeries { labels: labels.clone(), drop_name: false, column: Column::floats(v) }]
}

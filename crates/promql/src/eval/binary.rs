//! Binary operators on scalars, and on a vector and a scalar; what two elements give.

use std::sync::Arc;

use reba_model::{CounterResetHint, Histogram, Trim};

use super::{
    Evaluator,
    annotations::Severity,
    error::EvalError,
    node::BinaryNode,
    value::{Column, Point, Steps, Value, VectorSeries, is_absent},
};
use crate::syntax::BinaryOp as Op;

impl Evaluator<'_> {
    pub(super) fn eval_binary(
        &mut self,
        node: &BinaryNode,
        pos: usize,
        steps: &Steps,
    ) -> Result<Value, EvalError> {
        let lhs = self.eval(&node.lhs, steps)?;
        let rhs = self.eval(&node.rhs, steps)?;
        match (lhs, rhs) {
            (Value::Scalar(l), Value::Scalar(r)) => {
                let f = float_op(node.op).ok_or(EvalError::Bug("an operator that scalars do not have"))?;
                Ok(Value::Scalar(l.into_iter().zip(r).map(|(l, r)| f(l, r)).collect()))
            }
            (Value::Vector(l), Value::Scalar(r)) => {
                self.with_scalar(node, pos, l, &r, false, steps).map(Value::Vector)
            }
            (Value::Scalar(l), Value::Vector(r)) => {
                self.with_scalar(node, pos, r, &l, true, steps).map(Value::Vector)
            }
            (Value::Vector(l), Value::Vector(r)) => {
                let result = if node.op.is_set() {
                    self.set_operation(node, l, r, steps)
                } else {
                    self.match_vectors(node, pos, l, r, steps)
                };
                result.map(Value::Vector)
            }
            _ => Err(EvalError::Bug("operands of a type that the parser refuses")),
        }
    }

    /// A vector and a scalar; `swapped` if the scalar stands on the left.
    fn with_scalar(
        &mut self,
        node: &BinaryNode,
        pos: usize,
        mut series: Vec<VectorSeries>,
        scalar: &[f64],
        swapped: bool,
        steps: &Steps,
    ) -> Result<Vec<VectorSeries>, EvalError> {
        let mut notes = Notes::new(steps.count);
        let renames = changes_metric(node.op) || node.bool_modifier;
        for s in &mut series {
            if s.column.has_histograms() {
                for (i, scalar) in scalar.iter().enumerate() {
                    let result = element_with_scalar(node, &s.column.get(i), *scalar, swapped, i, &mut notes);
                    s.column.set(i, result);
                }
            } else {
                floats_with_scalar(node, &mut s.column, scalar, swapped, &mut notes);
            }
            if renames {
                self.drop_name(&mut s.labels, &mut s.drop_name);
            }
        }
        notes.report(self, pos);
        series.retain(|s| !s.column.is_all_absent());
        self.unite(series, steps)
    }

    /// Unary minus.
    pub(super) fn negate(&mut self, value: Value, steps: &Steps) -> Result<Value, EvalError> {
        match value {
            Value::Scalar(v) => Ok(Value::Scalar(v.into_iter().map(|v| -v).collect())),
            Value::Vector(mut series) => {
                for s in &mut series {
                    s.column.v.iter_mut().filter(|v| !is_absent(**v)).for_each(|v| *v = -*v);
                    for h in s.column.h.iter_mut().flatten() {
                        let mut negative = Histogram::clone(h);
                        negative.mul(-1.0);
                        *h = Arc::new(negative);
                    }
                    self.drop_name(&mut s.labels, &mut s.drop_name);
                }
                self.unite(series, steps).map(Value::Vector)
            }
            _ => Err(EvalError::Bug("unary minus on a type that the parser refuses")),
        }
    }
}

/// Whether the result of an operator is another metric, so that its name must go.
pub(super) fn changes_metric(op: Op) -> bool {
    matches!(op, Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Pow | Op::Mod | Op::Atan2)
}

/// Operators on floats; a comparison gives 0 or 1.
fn float_op(op: Op) -> Option<fn(f64, f64) -> f64> {
    Some(match op {
        Op::Add => |l, r| l + r,
        Op::Sub => |l, r| l - r,
        Op::Mul => |l, r| l * r,
        Op::Div => |l, r| l / r,
        Op::Mod => |l, r| l % r,
        Op::Pow => f64::powf,
        Op::Atan2 => f64::atan2,
        Op::Eq => |l, r| f64::from(u8::from(l == r)),
        Op::Ne => |l, r| f64::from(u8::from(l != r)),
        Op::Lt => |l, r| f64::from(u8::from(l < r)),
        Op::Le => |l, r| f64::from(u8::from(l <= r)),
        Op::Gt => |l, r| f64::from(u8::from(l > r)),
        Op::Ge => |l, r| f64::from(u8::from(l >= r)),
        Op::TrimUpper | Op::TrimLower | Op::And | Op::Or | Op::Unless => return None,
    })
}

fn floats_with_scalar(
    node: &BinaryNode,
    column: &mut Column,
    scalar: &[f64],
    swapped: bool,
    notes: &mut Notes,
) {
    let Some(f) = float_op(node.op) else {
        for i in 0..column.len() {
            if !is_absent(column.v[i]) {
                notes.incompatible(i, "float", node.op, "float");
                column.set(i, Point::Absent);
            }
        }
        return;
    };
    let filters = node.op.is_comparison() && !node.bool_modifier;
    for (v, scalar) in column.v.iter_mut().zip(scalar) {
        if is_absent(*v) {
            continue;
        }
        let result = if swapped { f(*scalar, *v) } else { f(*v, *scalar) };
        if !filters {
            *v = result;
        } else if result == 0.0 {
            *v = super::value::ABSENT;
        }
    }
}

fn element_with_scalar(
    node: &BinaryNode,
    point: &Point,
    scalar: f64,
    swapped: bool,
    step: usize,
    notes: &mut Notes,
) -> Point {
    if *point == Point::Absent {
        return Point::Absent;
    }
    let scalar = Point::Float(scalar);
    let (l, r) = if swapped { (&scalar, point) } else { (point, &scalar) };
    match elements(node.op, l, r, step, notes) {
        Element::None => Point::Absent,
        Element::Compared(keep) if node.bool_modifier => Point::Float(f64::from(u8::from(keep))),
        Element::Compared(true) => point.clone(),
        Element::Compared(false) => Point::Absent,
        Element::Value(value) => value,
    }
}

/// What two elements give.
pub(super) enum Element {
    /// Nothing: they do not fit, which was noted.
    None,
    /// A comparison, and whether it holds.
    Compared(bool),
    /// A value.
    Value(Point),
}

/// The one thing of each step that a person should be told: the last, as upstream does it.
pub(super) struct Notes {
    by_step: Vec<Option<(Severity, String)>>,
    steps: usize,
}

impl Notes {
    pub fn new(steps: usize) -> Self {
        Notes { by_step: Vec::new(), steps }
    }

    fn add(&mut self, step: usize, severity: Severity, text: String) {
        if self.by_step.is_empty() {
            self.by_step.resize(self.steps, None);
        }
        self.by_step[step] = Some((severity, text));
    }

    fn incompatible(&mut self, step: usize, left: &str, op: Op, right: &str) {
        let op = op.as_str();
        let text = format!(
            "incompatible sample types encountered for binary operator \"{op}\": {left} {op} {right}"
        );
        self.add(step, Severity::Info, text);
    }

    /// Adds the notes of all steps to the annotations of the query.
    pub fn report(self, evaluator: &mut Evaluator<'_>, pos: usize) {
        for (severity, text) in self.by_step.into_iter().flatten() {
            match severity {
                Severity::Warning => evaluator.annotations.warn(pos, text),
                Severity::Info => evaluator.annotations.info(pos, text),
            }
        }
    }
}

/// Applies an operator to two elements, which are not absent.
pub(super) fn elements(op: Op, l: &Point, r: &Point, step: usize, notes: &mut Notes) -> Element {
    match (l, r) {
        (Point::Float(a), Point::Float(b)) => match float_op(op) {
            Some(f) if op.is_comparison() => Element::Compared(f(*a, *b) != 0.0),
            Some(f) => Element::Value(Point::Float(f(*a, *b))),
            None => refuse(op, "float", "float", step, notes),
        },
        (Point::Float(a), Point::Histogram(h)) => match op {
            Op::Mul => Element::Value(scaled(h, |h| h.mul(*a))),
            _ => refuse(op, "float", "histogram", step, notes),
        },
        (Point::Histogram(h), Point::Float(b)) => match op {
            Op::Mul => Element::Value(scaled(h, |h| h.mul(*b))),
            Op::Div => Element::Value(scaled(h, |h| h.div(*b))),
            Op::TrimUpper => Element::Value(trimmed(h, *b, Trim::KeepBelow)),
            Op::TrimLower => Element::Value(trimmed(h, *b, Trim::KeepAbove)),
            _ => refuse(op, "histogram", "float", step, notes),
        },
        (Point::Histogram(a), Point::Histogram(b)) => match op {
            Op::Add | Op::Sub => sum_of_histograms(op, a, b, step, notes),
            Op::Eq => Element::Compared(a.equals(b)),
            Op::Ne => Element::Compared(!a.equals(b)),
            _ => refuse(op, "histogram", "histogram", step, notes),
        },
        (Point::Absent, _) | (_, Point::Absent) => Element::None,
    }
}

fn refuse(op: Op, left: &str, right: &str, step: usize, notes: &mut Notes) -> Element {
    notes.incompatible(step, left, op, right);
    Element::None
}

fn scaled(h: &Histogram, scale: impl FnOnce(&mut Histogram)) -> Point {
    let mut h = h.clone();
    scale(&mut h);
    h.compact(0);
    Point::histogram(h)
}

fn trimmed(h: &Histogram, at: f64, keep: Trim) -> Point {
    let mut h = h.clone();
    h.trim(at, keep);
    Point::histogram(h)
}

fn sum_of_histograms(op: Op, a: &Histogram, b: &Histogram, step: usize, notes: &mut Notes) -> Element {
    let mut sum = a.clone();
    let (combined, operation) =
        if op == Op::Add { (sum.add(b), "addition") } else { (sum.sub(b), "subtraction") };
    let Ok(combined) = combined else {
        let op = op.as_str();
        let text = format!("incompatible bucket layout encountered for binary operator {op}");
        notes.add(step, Severity::Warning, text);
        return Element::None;
    };
    if combined.hint_collision {
        notes.add(
            step,
            Severity::Warning,
            format!("conflicting counter resets during histogram {operation}"),
        );
        return Element::None;
    }
    if combined.bounds_reconciled {
        notes.add(
            step,
            Severity::Info,
            format!("mismatched custom buckets were reconciled during {operation}"),
        );
    }
    if op == Op::Sub {
        sum.hint = CounterResetHint::Gauge;
    }
    sum.compact(0);
    Element::Value(Point::histogram(sum))
}

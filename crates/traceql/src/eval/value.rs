//! What expressions on a span come to.

use std::borrow::Cow;

use reba_model::spans::{AttributeValue, SpanKind, SpanStatus};

use crate::syntax::{Op, Static};

/// A value of a span, borrowed from it where that is possible.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// The span does not have it.
    Nil,
    Int(i64),
    Float(f64),
    Str(Cow<'a, str>),
    Bool(bool),
    Duration(i64),
    Status(SpanStatus),
    Kind(SpanKind),
    /// An array, or a field of all events or links; never empty.
    Many(Vec<Value<'a>>),
    /// Bytes and maps: they are there, and nothing compares with them.
    Opaque,
}

impl<'a> From<&'a AttributeValue> for Value<'a> {
    fn from(value: &'a AttributeValue) -> Self {
        match value {
            AttributeValue::Str(text) => Value::Str(Cow::Borrowed(text)),
            AttributeValue::Int(n) => Value::Int(*n),
            AttributeValue::Float(v) => Value::Float(*v),
            AttributeValue::Bool(b) => Value::Bool(*b),
            AttributeValue::Map(_) | AttributeValue::Bytes(_) => Value::Opaque,
            // Arrays in arrays are as deep as a client likes: they are not looked into.
            AttributeValue::Array(values) => Value::many(values.iter().map(|value| match value {
                AttributeValue::Array(_) => Value::Opaque,
                flat => Value::from(flat),
            })),
        }
    }
}

impl<'a> From<&'a Static> for Value<'a> {
    fn from(value: &'a Static) -> Self {
        match value {
            Static::Nil => Value::Nil,
            Static::Int(n) => Value::Int(*n),
            Static::Float(v) => Value::Float(*v),
            Static::Str(text) => Value::Str(Cow::Borrowed(text)),
            Static::Bool(b) => Value::Bool(*b),
            Static::Duration(ns) => Value::Duration(*ns),
            Static::Status(status) => Value::Status(*status),
            Static::Kind(kind) => Value::Kind(*kind),
            Static::Many(values) => Value::many(values.iter().map(Value::from)),
        }
    }
}

impl<'a> Value<'a> {
    /// Values of which any may match; nil if there are none.
    pub(super) fn many(values: impl IntoIterator<Item = Value<'a>>) -> Self {
        let values: Vec<Value<'a>> = values.into_iter().filter(|v| *v != Value::Nil).collect();
        if values.is_empty() { Value::Nil } else { Value::Many(values) }
    }

    /// The value on its own, to be kept or shown.
    pub(super) fn to_static(&self) -> Static {
        match self {
            Value::Nil => Static::Nil,
            Value::Int(n) => Static::Int(*n),
            Value::Float(v) => Static::Float(*v),
            Value::Str(text) => Static::Str(text.clone().into_owned()),
            Value::Bool(b) => Static::Bool(*b),
            Value::Duration(ns) => Static::Duration(*ns),
            Value::Status(status) => Static::Status(*status),
            Value::Kind(kind) => Static::Kind(*kind),
            Value::Many(values) => Static::Many(values.iter().map(Value::to_static).collect()),
            Value::Opaque => Static::Str("<binary>".to_owned()),
        }
    }

    /// The one value by which a span is grouped or measured: the first one of several.
    pub(super) fn single(self) -> Value<'a> {
        match self {
            Value::Many(values) => values.into_iter().next().unwrap_or(Value::Nil),
            other => other,
        }
    }

    /// The number it is; durations in nanoseconds.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Value::Int(n) | Value::Duration(n) => Some(*n as f64),
            Value::Float(v) => Some(*v),
            _ => None,
        }
    }

    pub(super) fn is_true(&self) -> bool {
        *self == Value::Bool(true)
    }
}

/// Compares. What is missing, or of another type, compares with nothing, not even by `!=`. Of several values any may
/// match; `!=` wants that none is equal.
pub(super) fn compare(op: Op, left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Many(values), other) | (other, Value::Many(values)) => {
            let swapped = !matches!(left, Value::Many(_));
            let one = |op, value| if swapped { compare(op, other, value) } else { compare(op, value, other) };
            match op {
                Op::Ne => *other != Value::Nil && !values.iter().any(|value| one(Op::Eq, value)),
                _ => values.iter().any(|value| one(op, value)),
            }
        }
        (Value::Int(l), Value::Int(r)) => holds(op, l.partial_cmp(r)),
        (Value::Str(l), Value::Str(r)) => holds(op, l.partial_cmp(r)),
        (Value::Bool(l), Value::Bool(r)) => holds(op, l.partial_cmp(r)),
        (Value::Status(l), Value::Status(r)) => holds(op, l.partial_cmp(r)),
        (Value::Kind(l), Value::Kind(r)) => holds(op, l.partial_cmp(r)),
        _ => match (left.number(), right.number()) {
            (Some(l), Some(r)) => holds(op, l.partial_cmp(&r)),
            _ => false,
        },
    }
}

/// Whether a comparison holds for things that stand in this order; NaN stands in none and differs from everything.
pub(super) fn holds(op: Op, order: Option<std::cmp::Ordering>) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match op {
        Op::Eq => order == Some(Equal),
        Op::Ne => order != Some(Equal),
        Op::Lt => order == Some(Less),
        Op::Le => matches!(order, Some(Less | Equal)),
        Op::Gt => order == Some(Greater),
        Op::Ge => matches!(order, Some(Greater | Equal)),
        _ => false,
    }
}

/// A text that is the same for equal values only.
pub(super) fn key(values: &[Static]) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for value in values {
        let tag = match value {
            Static::Nil => 'n',
            Static::Int(_) => 'i',
            Static::Float(_) => 'f',
            Static::Str(_) => 's',
            Static::Bool(_) => 'b',
            Static::Duration(_) => 'd',
            Static::Status(_) => 't',
            Static::Kind(_) => 'k',
            Static::Many(_) => 'm',
        };
        let _ = write!(out, "{tag}{value}\0");
    }
    out
}

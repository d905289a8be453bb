//! Expressions on a span, made ready to run: regular expressions compiled, tests for nil told from comparisons.

use std::borrow::Cow;

use reba_model::{
    GoRegex,
    spans::{Attributes, Span},
};

use super::{EvalError, EvalOptions, value::Value, value::compare};
use crate::{
    numbers,
    syntax::{Field, FieldExpr, Intrinsic, Op, Scope, Static, UnaryOp},
    trace::Trace,
};

/// A span and the trace it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub trace: &'a Trace,
    pub index: usize,
    pub span: &'a Span,
}

/// An expression that is ready to run.
pub(super) enum Node {
    Static(Static),
    Field(Field),
    Not(Box<Node>),
    Neg(Box<Node>),
    /// Whether the value is nil.
    IsNil(Box<Node>, bool),
    Regex(Box<Node>, GoRegex, bool),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Compare(Op, Box<Node>, Box<Node>),
    Arithmetic(Op, Box<Node>, Box<Node>),
}

impl Node {
    pub(super) fn new(expr: &FieldExpr, options: &EvalOptions) -> Result<Node, EvalError> {
        let inner = |expr: &FieldExpr| Node::new(expr, options).map(Box::new);
        Ok(match expr {
            FieldExpr::Static(value) => Node::Static(value.clone()),
            FieldExpr::Field(field) if field.is_of_parent() => {
                return Err(EvalError::Unsupported("parent".to_owned()));
            }
            FieldExpr::Field(field) => Node::Field(field.clone()),
            FieldExpr::Unary(UnaryOp::Not, of) => Node::Not(inner(of)?),
            FieldExpr::Unary(UnaryOp::Neg, of) => Node::Neg(inner(of)?),
            FieldExpr::Binary { op, left, right } if op.is_regex() => {
                let FieldExpr::Static(Static::Str(pattern)) = right.as_ref() else {
                    return Err(EvalError::Unsupported("regular expression that is no literal".to_owned()));
                };
                let compile = if options.anchored_regex { GoRegex::anchored } else { GoRegex::search };
                let regex = compile(pattern).map_err(|e| EvalError::Regex(e.to_string()))?;
                Node::Regex(inner(left)?, regex, *op == Op::Match)
            }
            FieldExpr::Binary { op: op @ (Op::Eq | Op::Ne), left, right }
                if is_nil(left) || is_nil(right) =>
            {
                let of = if is_nil(left) { right } else { left };
                Node::IsNil(inner(of)?, *op == Op::Eq)
            }
            FieldExpr::Binary { op, left, right } => {
                let (l, r) = (operand(left, right, options)?, operand(right, left, options)?);
                match op {
                    Op::And => Node::And(l, r),
                    Op::Or => Node::Or(l, r),
                    op if op.is_arithmetic() => Node::Arithmetic(*op, l, r),
                    op => Node::Compare(*op, l, r),
                }
            }
        })
    }

    /// Whether it is true of a span.
    pub(super) fn is_true(&self, place: Place<'_>) -> bool {
        self.value(place).is_true()
    }

    pub(super) fn value<'a>(&'a self, place: Place<'a>) -> Value<'a> {
        match self {
            Node::Static(value) => Value::from(value),
            Node::Field(field) => place.field(field),
            Node::Not(of) => match of.value(place) {
                Value::Bool(b) => Value::Bool(!b),
                _ => Value::Nil,
            },
            Node::Neg(of) => computed(numbers::negated(&of.value(place).single().to_static())),
            Node::IsNil(of, wanted) => Value::Bool((of.value(place) == Value::Nil) == *wanted),
            Node::Regex(of, regex, wanted) => Value::Bool(matches(regex, &of.value(place), *wanted)),
            Node::And(l, r) => Value::Bool(l.is_true(place) && r.is_true(place)),
            Node::Or(l, r) => Value::Bool(l.is_true(place) || r.is_true(place)),
            Node::Compare(op, l, r) => Value::Bool(compare(*op, &l.value(place), &r.value(place))),
            Node::Arithmetic(op, l, r) => {
                let (l, r) = (l.value(place).single().to_static(), r.value(place).single().to_static());
                computed(numbers::arithmetic(*op, &l, &r))
            }
        }
    }
}

fn is_nil(expr: &FieldExpr) -> bool {
    matches!(expr, FieldExpr::Static(Static::Nil))
}

/// One side of an operator. Ids are written with or without their leading zeros, in any case; spans have them whole.
fn operand(expr: &FieldExpr, beside: &FieldExpr, options: &EvalOptions) -> Result<Box<Node>, EvalError> {
    let width = match beside {
        FieldExpr::Field(Field::Intrinsic { intrinsic, .. }) => match intrinsic {
            Intrinsic::TraceId | Intrinsic::LinkTraceId => 32,
            Intrinsic::SpanId | Intrinsic::ParentId | Intrinsic::LinkSpanId => 16,
            _ => 0,
        },
        _ => 0,
    };
    match expr {
        FieldExpr::Static(Static::Str(id))
            if width > 0 && !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit()) =>
        {
            Ok(Box::new(Node::Static(Static::Str(format!("{:0>width$}", id.to_ascii_lowercase())))))
        }
        _ => Node::new(expr, options).map(Box::new),
    }
}

fn computed<'a>(value: Option<Static>) -> Value<'a> {
    match value {
        Some(Static::Int(n)) => Value::Int(n),
        Some(Static::Float(v)) => Value::Float(v),
        Some(Static::Duration(ns)) => Value::Duration(ns),
        _ => Value::Nil,
    }
}

fn matches(regex: &GoRegex, value: &Value<'_>, wanted: bool) -> bool {
    match value {
        Value::Str(text) => regex.is_match(text) == wanted,
        Value::Many(values) => {
            let any = values.iter().any(|value| matches!(value, Value::Str(text) if regex.is_match(text)));
            any == wanted
        }
        _ => false,
    }
}

impl<'a> Place<'a> {
    /// What the span has under that name.
    pub(super) fn field(self, field: &Field) -> Value<'a> {
        match field {
            Field::Intrinsic { intrinsic, .. } => self.intrinsic(*intrinsic),
            Field::Attribute { parent: true, .. } => Value::Nil,
            Field::Attribute { scope, name, .. } => {
                let span = self.span;
                let found = |attributes: &'a Attributes| attributes.get(name).map_or(Value::Nil, Value::from);
                match scope {
                    Scope::Any => match found(&span.attributes) {
                        Value::Nil => found(&span.resource.attributes),
                        value => value,
                    },
                    Scope::Span => found(&span.attributes),
                    Scope::Resource => found(&span.resource.attributes),
                    Scope::Instrumentation => found(&span.scope.attributes),
                    Scope::Event => flat(span.events.iter().map(|event| found(&event.attributes))),
                    Scope::Link => flat(span.links.iter().map(|link| found(&link.attributes))),
                }
            }
        }
    }

    fn intrinsic(self, intrinsic: Intrinsic) -> Value<'a> {
        let (span, nested) = (self.span, self.trace.nested(self.index));
        let root = self.trace.root();
        let text = |text: &'a str| Value::Str(Cow::Borrowed(text));
        match intrinsic {
            Intrinsic::Duration => Value::Duration(span.duration_ns()),
            Intrinsic::Name => text(&span.name),
            Intrinsic::Status => Value::Status(span.status),
            Intrinsic::StatusMessage => text(&span.status_message),
            Intrinsic::Kind => Value::Kind(span.kind),
            Intrinsic::ChildCount => Value::Int(i64::from(self.trace.child_count(self.index))),
            Intrinsic::SpanId => Value::Str(Cow::Owned(span.span_id.to_string())),
            Intrinsic::ParentId if span.parent_id.is_none() => text(""),
            Intrinsic::ParentId => Value::Str(Cow::Owned(span.parent_id.to_string())),
            Intrinsic::Parent => Value::Nil,
            Intrinsic::TraceDuration => Value::Duration(self.trace.duration_ns()),
            Intrinsic::TraceRootName => text(root.map_or("", |root| &root.name)),
            Intrinsic::TraceRootService => text(root.map_or("", |root| root.resource.service_name())),
            Intrinsic::TraceId => Value::Str(Cow::Owned(span.trace_id.to_string())),
            Intrinsic::EventName => Value::many(span.events.iter().map(|event| text(&event.name))),
            Intrinsic::EventTimeSinceStart => Value::many(
                span.events.iter().map(|event| Value::Duration(event.ns.saturating_sub(span.start_ns))),
            ),
            Intrinsic::LinkTraceId => {
                Value::many(span.links.iter().map(|link| Value::Str(Cow::Owned(link.trace_id.to_string()))))
            }
            Intrinsic::LinkSpanId => {
                Value::many(span.links.iter().map(|link| Value::Str(Cow::Owned(link.span_id.to_string()))))
            }
            Intrinsic::InstrumentationName => text(&span.scope.name),
            Intrinsic::InstrumentationVersion => text(&span.scope.version),
            Intrinsic::NestedSetLeft => Value::Int(i64::from(nested.left)),
            Intrinsic::NestedSetRight => Value::Int(i64::from(nested.right)),
            Intrinsic::NestedSetParent => Value::Int(i64::from(nested.parent)),
        }
    }
}

/// Values of several events or links, arrays among them taken apart.
fn flat<'a>(values: impl Iterator<Item = Value<'a>>) -> Value<'a> {
    Value::many(values.flat_map(|value| match value {
        Value::Many(values) => values,
        one => vec![one],
    }))
}

//! From tree to text, which parses back to the same tree.

use std::fmt::{self, Display, Formatter};

use reba_model::float;

use super::{
    ast::{
        Aggregate, Field, FieldExpr, Hint, MetricsAggregate, MetricsExpr, MetricsFunction, Op, Pipeline,
        Query, Relation, RelationMode, Root, ScalarExpr, ScalarFilter, SecondStage, SpansetExpr, SpansetOp,
        Stage, Static, UnaryOp,
    },
    lexer::is_plain_name,
};
use crate::units;

fn list<T: Display>(f: &mut Formatter<'_>, items: &[T]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        write!(f, "{comma}{item}")?;
    }
    Ok(())
}

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.root {
            Root::Search(pipeline) => write!(f, "{pipeline}")?,
            Root::Metrics(metrics) => write!(f, "{metrics}")?,
        }
        if self.hints.is_empty() {
            return Ok(());
        }
        f.write_str(" with(")?;
        list(f, &self.hints)?;
        f.write_str(")")
    }
}

impl Display for Hint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

impl Display for Pipeline {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, stage) in self.stages.iter().enumerate() {
            let pipe = if i == 0 { "" } else { " | " };
            write!(f, "{pipe}{stage}")?;
        }
        Ok(())
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Spanset(spanset) => write!(f, "{spanset}"),
            Stage::Scalar(filter) => write!(f, "{filter}"),
            Stage::Coalesce => f.write_str("coalesce()"),
            Stage::By(keys) => {
                f.write_str("by(")?;
                list(f, keys)?;
                f.write_str(")")
            }
            Stage::Select(fields) => {
                f.write_str("select(")?;
                list(f, fields)?;
                f.write_str(")")
            }
        }
    }
}

impl Display for SpansetExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let operand = |f: &mut Formatter<'_>, side: &SpansetExpr| match side {
            SpansetExpr::Binary { .. } => write!(f, "({side})"),
            _ => write!(f, "{side}"),
        };
        match self {
            SpansetExpr::Filter(expr) => write!(f, "{{ {expr} }}"),
            SpansetExpr::Pipeline(pipeline) => write!(f, "({pipeline})"),
            SpansetExpr::Binary { op, left, right } => {
                match left.as_ref() {
                    SpansetExpr::Binary { op: same, .. } if same == op => write!(f, "{left}")?,
                    _ => operand(f, left)?,
                }
                write!(f, " {op} ")?;
                operand(f, right)
            }
        }
    }
}

impl Display for SpansetOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            SpansetOp::And => f.write_str("&&"),
            SpansetOp::Or => f.write_str("||"),
            SpansetOp::Related(relation, mode) => {
                f.write_str(match mode {
                    RelationMode::Plain => "",
                    RelationMode::Negated => "!",
                    RelationMode::Union => "&",
                })?;
                f.write_str(match relation {
                    Relation::Child => ">",
                    Relation::Parent => "<",
                    Relation::Descendant => ">>",
                    Relation::Ancestor => "<<",
                    Relation::Sibling => "~",
                })
            }
        }
    }
}

impl Display for ScalarFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.left, self.op, self.right)
    }
}

impl Display for ScalarExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let operand = |f: &mut Formatter<'_>, side: &ScalarExpr| match side {
            ScalarExpr::Binary { .. } => write!(f, "({side})"),
            _ => write!(f, "{side}"),
        };
        match self {
            ScalarExpr::Static(value) => write!(f, "{value}"),
            ScalarExpr::Aggregate(aggregate, Some(of)) => write!(f, "{aggregate}({of})"),
            ScalarExpr::Aggregate(aggregate, None) => write!(f, "{aggregate}()"),
            ScalarExpr::Binary { op, left, right } => {
                match left.as_ref() {
                    ScalarExpr::Binary { op: same, .. } if same == op && *op != Op::Pow => {
                        write!(f, "{left}")?;
                    }
                    _ => operand(f, left)?,
                }
                write!(f, " {op} ")?;
                operand(f, right)
            }
            ScalarExpr::Pipeline(pipeline, last) => write!(f, "({pipeline} | {last})"),
        }
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Aggregate::Count => "count",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
            Aggregate::Avg => "avg",
            Aggregate::Sum => "sum",
        })
    }
}

impl Display for FieldExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            FieldExpr::Static(value) => write!(f, "{value}"),
            FieldExpr::Field(field) => write!(f, "{field}"),
            FieldExpr::Unary(op, of) => {
                f.write_str(match op {
                    UnaryOp::Not => "!",
                    UnaryOp::Neg => "-",
                })?;
                match of.as_ref() {
                    FieldExpr::Field(_) => write!(f, "{of}"),
                    _ => write!(f, "({of})"),
                }
            }
            FieldExpr::Binary { op, left, right } => {
                match left.as_ref() {
                    // Operators bind to the left, but for powers.
                    FieldExpr::Binary { op: same, .. } if same == op && *op != Op::Pow => {
                        write!(f, "{left}")?;
                    }
                    _ => field_operand(f, *op, left)?,
                }
                write!(f, " {op} ")?;
                field_operand(f, *op, right)
            }
        }
    }
}

/// A sign before an operand would take the operator behind it along.
fn field_operand(f: &mut Formatter<'_>, op: Op, side: &FieldExpr) -> fmt::Result {
    let signed = match side {
        FieldExpr::Unary(..) => true,
        FieldExpr::Static(Static::Int(n) | Static::Duration(n)) => *n < 0 && *n != i64::MIN,
        FieldExpr::Static(Static::Float(v)) => v.is_sign_negative(),
        _ => false,
    };
    match side {
        FieldExpr::Binary { .. } => write!(f, "({side})"),
        _ if signed && op.is_arithmetic() => write!(f, "({side})"),
        _ => write!(f, "{side}"),
    }
}

impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Op::And => "&&",
            Op::Or => "||",
            Op::Eq => "=",
            Op::Ne => "!=",
            Op::Match => "=~",
            Op::NotMatch => "!~",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Gt => ">",
            Op::Ge => ">=",
            Op::Add => "+",
            Op::Sub => "-",
            Op::Mul => "*",
            Op::Div => "/",
            Op::Mod => "%",
            Op::Pow => "^",
        })
    }
}

impl Display for Static {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Static::Nil => f.write_str("nil"),
            Static::Int(i64::MIN) => f.write_str("minInt"),
            Static::Int(n) => write!(f, "{n}"),
            Static::Float(v) => {
                let text = float::format_f(*v);
                let point = if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') { ".0" } else { "" };
                write!(f, "{text}{point}")
            }
            // Raw where that is possible, as upstream prints it.
            Static::Str(text) if text.chars().any(|c| c == '`' || c.is_control()) => {
                f.write_str(&float::go_quote(text))
            }
            Static::Str(text) => write!(f, "`{text}`"),
            Static::Bool(value) => write!(f, "{value}"),
            Static::Duration(ns) => f.write_str(&units::format_duration(*ns)),
            Static::Status(status) => f.write_str(status.as_str()),
            Static::Kind(kind) => f.write_str(kind.as_str()),
            Static::Many(values) => {
                f.write_str("[")?;
                list(f, values)?;
                f.write_str("]")
            }
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Field::Intrinsic { intrinsic, scoped } => {
                let (with, without) = (intrinsic.scoped_name(), intrinsic.bare_name());
                let name = if *scoped { with.or(without) } else { without.or(with) };
                f.write_str(name.unwrap_or_default())
            }
            Field::Attribute { parent, scope, name } => {
                f.write_str(if *parent { "parent." } else { "" })?;
                let prefix = scope.prefix();
                match (*parent, prefix) {
                    (true, "") => {}
                    _ => write!(f, "{prefix}.")?,
                }
                // Behind `parent.`, `span.x` would be read as a scope and a name.
                let ambiguous = *parent
                    && prefix.is_empty()
                    && (name.starts_with("span.") || name.starts_with("resource."));
                if is_plain_name(name) && !ambiguous {
                    f.write_str(name)
                } else {
                    write!(f, "\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
                }
            }
        }
    }
}

impl Display for MetricsExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let operand = |f: &mut Formatter<'_>, side: &MetricsExpr| match side {
            MetricsExpr::Number(_) => write!(f, "{side}"),
            _ => write!(f, "({side})"),
        };
        match self {
            MetricsExpr::Aggregate(aggregate) => write!(f, "{aggregate}"),
            MetricsExpr::Second(of, SecondStage::TopK(n)) => write!(f, "{of} | topk({n})"),
            MetricsExpr::Second(of, SecondStage::BottomK(n)) => write!(f, "{of} | bottomk({n})"),
            MetricsExpr::Second(of, SecondStage::Filter(op, value)) => write!(f, "{of} {op} {value}"),
            MetricsExpr::Number(value) => write!(f, "{value}"),
            MetricsExpr::Binary { op, left, right } => {
                match left.as_ref() {
                    MetricsExpr::Binary { op: same, .. } if same == op => write!(f, "{left}")?,
                    _ => operand(f, left)?,
                }
                write!(f, " {op} ")?;
                operand(f, right)
            }
        }
    }
}

impl Display for MetricsAggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} | {}", self.pipeline, self.function)?;
        if self.by.is_empty() {
            return Ok(());
        }
        f.write_str(" by(")?;
        list(f, &self.by)?;
        f.write_str(")")
    }
}

impl MetricsFunction {
    /// The function's name.
    pub fn name(&self) -> &'static str {
        match self {
            MetricsFunction::Rate => "rate",
            MetricsFunction::CountOverTime => "count_over_time",
            MetricsFunction::MinOverTime(_) => "min_over_time",
            MetricsFunction::MaxOverTime(_) => "max_over_time",
            MetricsFunction::AvgOverTime(_) => "avg_over_time",
            MetricsFunction::SumOverTime(_) => "sum_over_time",
            MetricsFunction::QuantileOverTime(..) => "quantile_over_time",
            MetricsFunction::HistogramOverTime(_) => "histogram_over_time",
            MetricsFunction::Compare(_) => "compare",
        }
    }

    /// The field it measures, if it measures one.
    pub fn field(&self) -> Option<&Field> {
        match self {
            MetricsFunction::Rate | MetricsFunction::CountOverTime | MetricsFunction::Compare(_) => None,
            MetricsFunction::MinOverTime(field)
            | MetricsFunction::MaxOverTime(field)
            | MetricsFunction::AvgOverTime(field)
            | MetricsFunction::SumOverTime(field)
            | MetricsFunction::QuantileOverTime(field, _)
            | MetricsFunction::HistogramOverTime(field) => Some(field),
        }
    }
}

impl Display for MetricsFunction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name())?;
        if let Some(field) = self.field() {
            write!(f, "{field}")?;
        }
        match self {
            MetricsFunction::QuantileOverTime(_, quantiles) => {
                for quantile in quantiles {
                    write!(f, ", {}", Static::Float(*quantile))?;
                }
            }
            MetricsFunction::Compare(compare) => {
                write!(f, "{{ {} }}, {}", compare.selection, compare.top)?;
                if let Some((start, end)) = compare.window {
                    write!(f, ", {start}, {end}")?;
                }
            }
            _ => {}
        }
        f.write_str(")")
    }
}

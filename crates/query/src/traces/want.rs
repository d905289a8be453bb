//! From the plan of a query to what a store is told of it.

use std::sync::Arc;

use reba_model::GoRegex;
use reba_storage::{
    AttributeScope, Comparison, SpanCondition, SpanDetails, SpanField, SpanNeed, SpanTest, SpanValue,
    SpanWant,
};
use reba_traceql::{
    Condition, FetchPlan,
    syntax::{Field, Intrinsic, MetricsFunction, Op, Pipeline, Scope, SpansetExpr, Stage, Static},
};

/// The field as stores know it; none of what only a whole trace knows.
pub(super) fn span_field(field: &Field) -> Option<SpanField> {
    Some(match field {
        Field::Attribute { parent: true, .. } => return None,
        Field::Attribute { scope, name, .. } => {
            let scope = match scope {
                Scope::Any => None,
                Scope::Span => Some(AttributeScope::Span),
                Scope::Resource => Some(AttributeScope::Resource),
                Scope::Event => Some(AttributeScope::Event),
                Scope::Link => Some(AttributeScope::Link),
                Scope::Instrumentation => Some(AttributeScope::Instrumentation),
            };
            SpanField::Attribute { scope, name: name.clone() }
        }
        Field::Intrinsic { intrinsic, .. } => match intrinsic {
            Intrinsic::Duration => SpanField::Duration,
            Intrinsic::Name => SpanField::Name,
            Intrinsic::Status => SpanField::Status,
            Intrinsic::StatusMessage => SpanField::StatusMessage,
            Intrinsic::Kind => SpanField::Kind,
            Intrinsic::SpanId => SpanField::SpanId,
            Intrinsic::ParentId => SpanField::ParentId,
            Intrinsic::TraceId => SpanField::TraceId,
            Intrinsic::EventName => SpanField::EventName,
            Intrinsic::EventTimeSinceStart => SpanField::EventTime,
            Intrinsic::LinkTraceId => SpanField::LinkTraceId,
            Intrinsic::LinkSpanId => SpanField::LinkSpanId,
            Intrinsic::InstrumentationName => SpanField::InstrumentationName,
            Intrinsic::InstrumentationVersion => SpanField::InstrumentationVersion,
            Intrinsic::ChildCount
            | Intrinsic::Parent
            | Intrinsic::TraceDuration
            | Intrinsic::TraceRootName
            | Intrinsic::TraceRootService
            | Intrinsic::NestedSetLeft
            | Intrinsic::NestedSetRight
            | Intrinsic::NestedSetParent => return None,
        },
    })
}

/// What a search needs: whole traces, since every answer says how long they took and what services are in them.
pub(super) fn of_search(plan: &FetchPlan, anchored: bool) -> SpanWant {
    SpanWant {
        needs: plan.spans.iter().map(|need| span_need(need, anchored)).collect(),
        every: plan.every,
        whole_traces: true,
        details: details(plan.fields.iter().chain(&plan.selected)),
    }
}

/// What the aggregates of a query for series need together.
pub(super) fn of_metrics(
    plans: &[FetchPlan],
    functions: &[(&Pipeline, &MetricsFunction)],
    anchored: bool,
) -> SpanWant {
    let looks_at_each = functions.iter().all(|(pipeline, _)| looks_at_each_span(pipeline));
    let compares = functions.iter().any(|(_, function)| matches!(function, MetricsFunction::Compare(_)));
    SpanWant {
        needs: plans.iter().flat_map(|p| &p.spans).map(|need| span_need(need, anchored)).collect(),
        every: matches!(plans, [plan] if plan.every),
        whole_traces: !looks_at_each || plans.iter().any(|plan| plan.whole_trace),
        details: if compares {
            SpanDetails::All
        } else {
            details(plans.iter().flat_map(|plan| &plan.fields))
        },
    }
}

/// Whether a pipeline says of each span alone whether it is part of the answer.
pub(super) fn looks_at_each_span(pipeline: &Pipeline) -> bool {
    pipeline.stages.iter().all(|stage| match stage {
        Stage::Spanset(SpansetExpr::Filter(_)) | Stage::Select(_) | Stage::Coalesce => true,
        Stage::Spanset(SpansetExpr::Pipeline(inner)) => looks_at_each_span(inner),
        Stage::Spanset(SpansetExpr::Binary { .. }) | Stage::Scalar(_) | Stage::By(_) => false,
    })
}

fn details<'a>(fields: impl Iterator<Item = &'a Field>) -> SpanDetails {
    SpanDetails::Only(fields.filter_map(span_field).collect())
}

fn span_need(need: &reba_traceql::SpanNeed, anchored: bool) -> SpanNeed {
    let conditions: Vec<Option<SpanCondition>> =
        need.conditions.iter().map(|condition| span_condition(condition, anchored)).collect();
    if !need.all && conditions.iter().any(Option::is_none) {
        // Spans that meet the one that cannot be told matter too.
        return SpanNeed { conditions: Vec::new(), all: true };
    }
    SpanNeed { conditions: conditions.into_iter().flatten().collect(), all: need.all }
}

fn span_condition(condition: &Condition, anchored: bool) -> Option<SpanCondition> {
    let field = span_field(&condition.field)?;
    let test = match (condition.op, &condition.value) {
        (Op::Ne, Static::Nil) => SpanTest::Exists,
        (op @ (Op::Match | Op::NotMatch), Static::Str(pattern)) => {
            let compile = if anchored { GoRegex::anchored } else { GoRegex::search };
            let regex = Arc::new(compile(pattern).ok()?);
            if op == Op::Match { SpanTest::Matches(regex) } else { SpanTest::NotMatches(regex) }
        }
        (op, value) => SpanTest::Compare(comparison(op)?, span_value(&field, value)?),
    };
    Some(SpanCondition { field, test })
}

fn comparison(op: Op) -> Option<Comparison> {
    Some(match op {
        Op::Eq => Comparison::Equal,
        Op::Ne => Comparison::NotEqual,
        Op::Lt => Comparison::Less,
        Op::Le => Comparison::LessOrEqual,
        Op::Gt => Comparison::Greater,
        Op::Ge => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

/// A literal as stores know it; ids are written with or without their leading zeros, and stores have them whole.
fn span_value(field: &SpanField, value: &Static) -> Option<SpanValue> {
    let width = match field {
        SpanField::TraceId | SpanField::LinkTraceId => 32,
        SpanField::SpanId | SpanField::ParentId | SpanField::LinkSpanId => 16,
        _ => 0,
    };
    Some(match value {
        Static::Str(id) if width > 0 && !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit()) => {
            SpanValue::Str(format!("{:0>width$}", id.to_ascii_lowercase()))
        }
        Static::Str(text) => SpanValue::Str(text.clone()),
        Static::Int(n) => SpanValue::Int(*n),
        Static::Float(v) => SpanValue::Float(*v),
        Static::Bool(b) => SpanValue::Bool(*b),
        Static::Duration(ns) => SpanValue::Duration(*ns),
        Static::Status(status) => SpanValue::Status(*status),
        Static::Kind(kind) => SpanValue::Kind(*kind),
        Static::Nil | Static::Many(_) => return None,
    })
}

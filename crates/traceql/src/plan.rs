//! What of a query a store can use to leave out spans and columns.
//!
//! A plan never promises more than the query: whoever follows it fetches too much at worst, and the evaluator filters again.

use std::collections::BTreeSet;

use crate::syntax::{
    Field, FieldExpr, Intrinsic, MetricsExpr, MetricsFunction, Op, Pipeline, Query, RelationMode, Root,
    ScalarExpr, SpansetExpr, SpansetOp, Stage, Static,
};

/// A comparison of a field with a literal.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// What is compared.
    pub field: Field,
    /// How; the field stands before the operator. With nil only [`Op::Ne`] appears: the span has the field.
    pub op: Op,
    /// With what.
    pub value: Static,
}

/// When a span can matter to one spanset of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanNeed {
    /// What is asked of it. Empty: every span matters.
    pub conditions: Vec<Condition>,
    /// Whether all conditions must hold, or any.
    pub all: bool,
    /// Whether the conditions are all there is to know; if not, spans that meet them must be looked at again.
    pub exact: bool,
}

impl SpanNeed {
    fn everything() -> Self {
        SpanNeed { conditions: Vec::new(), all: true, exact: false }
    }
}

/// What an engine must fetch.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchPlan {
    /// One for each filter that looks at a whole trace.
    pub spans: Vec<SpanNeed>,
    /// Whether a trace can only answer if it has spans for every one of `spans`; else any one will do.
    pub every: bool,
    /// Fields that decide whether a span matches, or that series are made of.
    pub fields: Vec<Field>,
    /// Fields only shown of spans that match: to be fetched in a second pass.
    pub selected: Vec<Field>,
    /// Whether spans must be seen beside all others of their trace: for structure, or for what only a whole trace knows.
    pub whole_trace: bool,
    /// Whether spans that meet the conditions must be evaluated again before they are an answer.
    pub second_pass: bool,
}

impl FetchPlan {
    /// The plans of a query: one for a search, one for each aggregate of a query for series, from left to right.
    pub fn of(query: &Query) -> Vec<FetchPlan> {
        let mut plans = Vec::new();
        match &query.root {
            Root::Search(pipeline) => plans.push(of_pipeline(pipeline)),
            Root::Metrics(metrics) => of_metrics(metrics, &mut plans),
        }
        plans
    }
}

fn of_metrics(metrics: &MetricsExpr, plans: &mut Vec<FetchPlan>) {
    match metrics {
        MetricsExpr::Number(_) => {}
        MetricsExpr::Second(of, _) => of_metrics(of, plans),
        MetricsExpr::Binary { left, right, .. } => {
            of_metrics(left, plans);
            of_metrics(right, plans);
        }
        MetricsExpr::Aggregate(aggregate) => {
            let mut plan = of_pipeline(&aggregate.pipeline);
            let mut fields: BTreeSet<Field> = plan.fields.into_iter().collect();
            fields.extend(aggregate.by.iter().chain(aggregate.function.field()).cloned().map(Field::normal));
            if let MetricsFunction::Compare(compare) = &aggregate.function {
                each_field(&compare.selection, &mut |field| {
                    fields.insert(field.clone().normal());
                });
            }
            plan.whole_trace |= fields.iter().any(needs_trace);
            plan.fields = fields.into_iter().collect();
            plans.push(plan);
        }
    }
}

fn of_pipeline(pipeline: &Pipeline) -> FetchPlan {
    let mut walk = Walk::default();
    walk.pipeline(pipeline);
    let Walk { spans, every, fields, selected, structural, second_pass, .. } = walk;
    let selected = selected.into_iter().filter(|field| !fields.contains(field)).collect();
    let second_pass = second_pass || spans.iter().any(|need| !need.exact);
    FetchPlan {
        every,
        selected,
        whole_trace: structural || fields.iter().any(needs_trace),
        second_pass,
        fields: fields.into_iter().collect(),
        spans,
    }
}

/// All fields that a search shows of its spans, in the order in which the query names them.
pub(crate) fn fields_shown(pipeline: &Pipeline) -> Vec<Field> {
    let mut walk = Walk::default();
    walk.pipeline(pipeline);
    walk.order
}

fn needs_trace(field: &Field) -> bool {
    let Field::Intrinsic { intrinsic, .. } = field else { return false };
    matches!(
        intrinsic,
        Intrinsic::TraceDuration
            | Intrinsic::TraceRootName
            | Intrinsic::TraceRootService
            | Intrinsic::ChildCount
            | Intrinsic::NestedSetLeft
            | Intrinsic::NestedSetRight
            | Intrinsic::NestedSetParent
    )
}

struct Walk {
    spans: Vec<SpanNeed>,
    every: bool,
    fields: BTreeSet<Field>,
    selected: BTreeSet<Field>,
    order: Vec<Field>,
    structural: bool,
    second_pass: bool,
    /// Whether a filter has been met: later ones only see what it left.
    filtered: bool,
}

impl Default for Walk {
    fn default() -> Self {
        Walk {
            spans: Vec::new(),
            every: true,
            fields: BTreeSet::new(),
            selected: BTreeSet::new(),
            order: Vec::new(),
            structural: false,
            second_pass: false,
            filtered: false,
        }
    }
}

impl Walk {
    fn pipeline(&mut self, pipeline: &Pipeline) {
        for stage in &pipeline.stages {
            match stage {
                Stage::Spanset(spanset) if !self.filtered => {
                    self.spanset(spanset);
                    self.filtered = true;
                }
                Stage::Spanset(spanset) => {
                    self.second_pass = true;
                    self.later(spanset);
                }
                Stage::Scalar(filter) => {
                    self.needs_everything();
                    self.second_pass = true;
                    self.scalar(&filter.left);
                    self.scalar(&filter.right);
                }
                Stage::By(keys) => {
                    self.needs_everything();
                    for key in keys {
                        self.uses(key);
                    }
                }
                Stage::Coalesce => {}
                Stage::Select(fields) => {
                    self.needs_everything();
                    for field in fields {
                        self.shows(field);
                        self.selected.insert(field.clone().normal());
                    }
                }
            }
        }
    }

    /// A stage that sees the whole trace.
    fn needs_everything(&mut self) {
        if !self.filtered {
            self.filtered = true;
            self.spans.push(SpanNeed::everything());
        }
    }

    fn spanset(&mut self, spanset: &SpansetExpr) {
        match spanset {
            SpansetExpr::Filter(filter) => {
                self.uses(filter);
                self.spans.push(need(filter));
            }
            SpansetExpr::Pipeline(pipeline) => {
                let before = std::mem::replace(&mut self.filtered, false);
                self.pipeline(pipeline);
                self.filtered = before;
            }
            SpansetExpr::Binary { op, left, right } => {
                self.second_pass = true;
                self.structural |= matches!(op, SpansetOp::Related(..));
                // Negated operators answer where the left side is missing.
                let negated = matches!(op, SpansetOp::Related(_, RelationMode::Negated));
                self.every &= !negated && *op != SpansetOp::Or;
                self.spanset(left);
                self.spanset(right);
            }
        }
    }

    /// A filter of what another one left.
    fn later(&mut self, spanset: &SpansetExpr) {
        match spanset {
            SpansetExpr::Filter(filter) => self.uses(filter),
            SpansetExpr::Pipeline(pipeline) => self.pipeline(pipeline),
            SpansetExpr::Binary { op, left, right } => {
                self.structural |= matches!(op, SpansetOp::Related(..));
                self.later(left);
                self.later(right);
            }
        }
    }

    fn scalar(&mut self, scalar: &ScalarExpr) {
        match scalar {
            ScalarExpr::Static(_) | ScalarExpr::Aggregate(_, None) => {}
            ScalarExpr::Aggregate(_, Some(of)) => self.uses(of),
            ScalarExpr::Binary { left, right, .. } => {
                self.scalar(left);
                self.scalar(right);
            }
            ScalarExpr::Pipeline(pipeline, last) => {
                self.pipeline(pipeline);
                self.scalar(last);
            }
        }
    }

    fn uses(&mut self, expr: &FieldExpr) {
        each_field(expr, &mut |field| {
            self.shows(field);
            self.fields.insert(field.clone().normal());
        });
    }

    fn shows(&mut self, field: &Field) {
        let field = field.clone().normal();
        if !self.order.contains(&field) {
            self.order.push(field);
        }
    }
}

/// Calls for each field of an expression, from left to right.
fn each_field(expr: &FieldExpr, found: &mut impl FnMut(&Field)) {
    match expr {
        FieldExpr::Static(_) => {}
        FieldExpr::Field(field) => found(field),
        FieldExpr::Unary(_, of) => each_field(of, found),
        FieldExpr::Binary { left, right, .. } => {
            each_field(left, found);
            each_field(right, found);
        }
    }
}

/// What a filter asks of a span, as far as it can be said in conditions.
fn need(filter: &FieldExpr) -> SpanNeed {
    match filter {
        FieldExpr::Static(Static::Bool(true)) => SpanNeed { exact: true, ..SpanNeed::everything() },
        FieldExpr::Field(field) => one(field, Op::Eq, &Static::Bool(true)),
        FieldExpr::Binary { op: Op::And, left, right } => both(need(left), need(right)),
        FieldExpr::Binary { op: Op::Or, left, right } => either(need(left), need(right)),
        FieldExpr::Binary { op, left, right } => match (left.as_ref(), right.as_ref()) {
            (FieldExpr::Field(field), FieldExpr::Static(value)) => one(field, *op, value),
            (FieldExpr::Static(value), FieldExpr::Field(field)) => match op.mirrored() {
                Some(op) => one(field, op, value),
                None => SpanNeed::everything(),
            },
            _ => SpanNeed::everything(),
        },
        _ => SpanNeed::everything(),
    }
}

fn one(field: &Field, op: Op, value: &Static) -> SpanNeed {
    // Nothing can be looked up by what is not there.
    let absent = *value == Static::Nil && op != Op::Ne;
    if !op.is_comparison() || absent || field.is_of_parent() {
        return SpanNeed::everything();
    }
    let condition = Condition { field: field.clone().normal(), op, value: value.clone() };
    SpanNeed { conditions: vec![condition], all: true, exact: true }
}

/// Of two needs that both must be met: both if they can be said together, else the one that says more.
fn both(left: SpanNeed, right: SpanNeed) -> SpanNeed {
    let said = |need: &SpanNeed| need.all || need.conditions.len() == 1;
    match (said(&left), said(&right)) {
        (true, true) => {
            let exact = left.exact && right.exact;
            let mut conditions = left.conditions;
            conditions.extend(right.conditions);
            SpanNeed { conditions, all: true, exact }
        }
        (true, false) if left.conditions.is_empty() => SpanNeed { exact: left.exact && right.exact, ..right },
        (false, true) if right.conditions.is_empty() => SpanNeed { exact: left.exact && right.exact, ..left },
        (false, true) => SpanNeed { exact: false, ..right },
        _ => SpanNeed { exact: false, ..left },
    }
}

/// Of two needs of which one must be met.
fn either(left: SpanNeed, right: SpanNeed) -> SpanNeed {
    if left.conditions.is_empty() || right.conditions.is_empty() {
        return SpanNeed::everything();
    }
    let said = |need: &SpanNeed| !need.all || need.conditions.len() == 1;
    let exact = left.exact && right.exact && said(&left) && said(&right);
    let mut conditions = Vec::new();
    for need in [left, right] {
        // Of conditions that must all hold any one stands for all; an equality says the most.
        let strongest = need.conditions.iter().position(|c| c.op == Op::Eq).unwrap_or(0);
        if need.all {
            conditions.extend(need.conditions.into_iter().nth(strongest));
        } else {
            conditions.extend(need.conditions);
        }
    }
    SpanNeed { conditions, all: false, exact }
}

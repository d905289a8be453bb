//! Pipelines over the spansets of one trace.

use std::collections::{BTreeSet, HashMap};

use super::{
    EvalError, EvalOptions,
    node::{Node, Place},
    structural,
    value::{Value, compare, key},
};
use crate::{
    syntax::{Aggregate, Op, Pipeline, RelationMode, ScalarExpr, SpansetExpr, SpansetOp, Stage, Static},
    trace::Trace,
};

/// Spans of a trace by their index, and what is known of them as a whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Spanset {
    pub spans: Vec<usize>,
    /// What `by` and aggregates found: `by(name)`, `count()`.
    pub attributes: Vec<(String, Static)>,
}

/// A pipeline that is ready to run.
pub(super) struct Plan(Vec<Step>);

enum Step {
    Spanset(Source),
    Scalar { aggregate: Aggregate, of: Option<Node>, op: Op, threshold: Static, name: String },
    By(Vec<(Node, String)>),
    Coalesce,
    Select,
}

enum Source {
    Filter(Node),
    Pipeline(Plan),
    Binary(SpansetOp, Box<Source>, Box<Source>),
}

impl Plan {
    pub(super) fn new(pipeline: &Pipeline, options: &EvalOptions) -> Result<Plan, EvalError> {
        pipeline.stages.iter().map(|stage| Step::new(stage, options)).collect::<Result<_, _>>().map(Plan)
    }

    /// The spansets of the whole trace that are left in the end; none is empty.
    pub(super) fn run(&self, trace: &Trace) -> Result<Vec<Spanset>, EvalError> {
        let all = Spanset { spans: (0..trace.spans().len()).collect(), attributes: Vec::new() };
        self.run_on(trace, vec![all])
    }

    fn run_on(&self, trace: &Trace, mut sets: Vec<Spanset>) -> Result<Vec<Spanset>, EvalError> {
        for step in &self.0 {
            sets.retain(|set| !set.spans.is_empty());
            if sets.is_empty() {
                break;
            }
            sets = step.run(trace, sets)?;
        }
        sets.retain(|set| !set.spans.is_empty());
        Ok(sets)
    }
}

impl Step {
    fn new(stage: &Stage, options: &EvalOptions) -> Result<Step, EvalError> {
        Ok(match stage {
            Stage::Spanset(spanset) => Step::Spanset(Source::new(spanset, options)?),
            Stage::Coalesce => Step::Coalesce,
            Stage::Select(_) => Step::Select,
            Stage::By(keys) => {
                let key = |expr| Ok((Node::new(expr, options)?, format!("by({expr})")));
                Step::By(keys.iter().map(key).collect::<Result<_, EvalError>>()?)
            }
            Stage::Scalar(filter) => match (&filter.left, &filter.right) {
                (ScalarExpr::Aggregate(aggregate, of), ScalarExpr::Static(threshold)) => Step::Scalar {
                    aggregate: *aggregate,
                    of: of.as_ref().map(|of| Node::new(of, options)).transpose()?,
                    op: filter.op,
                    threshold: threshold.clone(),
                    name: filter.left.to_string(),
                },
                _ => return Err(EvalError::Unsupported("complex scalar filters".to_owned())),
            },
        })
    }

    fn run(&self, trace: &Trace, sets: Vec<Spanset>) -> Result<Vec<Spanset>, EvalError> {
        match self {
            Step::Select => Ok(sets),
            Step::Coalesce => {
                let spans: BTreeSet<usize> = sets.into_iter().flat_map(|set| set.spans).collect();
                Ok(vec![Spanset { spans: spans.into_iter().collect(), attributes: Vec::new() }])
            }
            Step::Spanset(source) => {
                let mut out = Vec::new();
                for set in sets {
                    out.extend(source.run(trace, set)?);
                }
                Ok(out)
            }
            Step::By(keys) => Ok(sets.into_iter().flat_map(|set| groups(trace, set, keys)).collect()),
            Step::Scalar { aggregate, of, op, threshold, name } => {
                let mut out = Vec::new();
                for mut set in sets {
                    let Some(value) = aggregated(trace, &set.spans, *aggregate, of.as_ref()) else {
                        continue;
                    };
                    if compare(*op, &Value::from(&value), &Value::from(threshold)) {
                        set.attributes.push((name.clone(), value));
                        out.push(set);
                    }
                }
                Ok(out)
            }
        }
    }
}

impl Source {
    fn new(spanset: &SpansetExpr, options: &EvalOptions) -> Result<Source, EvalError> {
        Ok(match spanset {
            SpansetExpr::Filter(filter) => Source::Filter(Node::new(filter, options)?),
            SpansetExpr::Pipeline(pipeline) => Source::Pipeline(Plan::new(pipeline, options)?),
            SpansetExpr::Binary { op, left, right } => {
                let (left, right) = (Source::new(left, options)?, Source::new(right, options)?);
                Source::Binary(*op, Box::new(left), Box::new(right))
            }
        })
    }

    fn run(&self, trace: &Trace, set: Spanset) -> Result<Vec<Spanset>, EvalError> {
        match self {
            Source::Pipeline(plan) => plan.run_on(trace, vec![set]),
            Source::Filter(node) => {
                let Spanset { mut spans, attributes } = set;
                spans.retain(|&i| place(trace, i).is_some_and(|place| node.is_true(place)));
                Ok(vec![Spanset { spans, attributes }])
            }
            Source::Binary(op, left, right) => {
                let left = single(left.run(trace, set.clone())?)?;
                let right = single(right.run(trace, set)?)?;
                let spans = match op {
                    SpansetOp::And if left.spans.is_empty() || right.spans.is_empty() => Vec::new(),
                    SpansetOp::And | SpansetOp::Or => {
                        let both: BTreeSet<usize> = left.spans.iter().chain(&right.spans).copied().collect();
                        both.into_iter().collect()
                    }
                    SpansetOp::Related(relation, mode) => {
                        structural::related(trace, *relation, *mode, &left.spans, &right.spans)
                    }
                };
                // What was found of the left side is not true of spans of the right one alone.
                let right_only =
                    matches!(op, SpansetOp::Related(_, RelationMode::Plain | RelationMode::Negated));
                let mut attributes = if right_only { Vec::new() } else { left.attributes };
                for attribute in right.attributes {
                    if !attributes.contains(&attribute) {
                        attributes.push(attribute);
                    }
                }
                Ok(vec![Spanset { spans, attributes }])
            }
        }
    }
}

/// The only spanset of a side of an operator.
fn single(mut sets: Vec<Spanset>) -> Result<Spanset, EvalError> {
    sets.retain(|set| !set.spans.is_empty());
    if sets.len() > 1 {
        return Err(EvalError::ManySpansets);
    }
    Ok(sets.pop().unwrap_or_default())
}

pub(super) fn place(trace: &Trace, index: usize) -> Option<Place<'_>> {
    trace.spans().get(index).map(|span| Place { trace, index, span })
}

/// Splits a spanset; groups come in the order of their first spans.
fn groups(trace: &Trace, set: Spanset, keys: &[(Node, String)]) -> Vec<Spanset> {
    let mut groups: Vec<Spanset> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for &i in &set.spans {
        let Some(place) = place(trace, i) else { continue };
        let values: Vec<Static> =
            keys.iter().map(|(node, _)| node.value(place).single().to_static()).collect();
        let group = *known.entry(key(&values)).or_insert_with(|| {
            let mut attributes = set.attributes.clone();
            attributes.extend(keys.iter().map(|(_, name)| name.clone()).zip(values));
            groups.push(Spanset { spans: Vec::new(), attributes });
            groups.len() - 1
        });
        groups[group].spans.push(i);
    }
    groups
}

/// What an aggregate makes of spans; none if no span has a number there.
fn aggregated(trace: &Trace, spans: &[usize], aggregate: Aggregate, of: Option<&Node>) -> Option<Static> {
    let Some(of) = of else { return Some(Static::Int(spans.len() as i64)) };
    let values: Vec<Static> = spans
        .iter()
        .filter_map(|&i| place(trace, i))
        .map(|place| of.value(place).single())
        .filter(|value| value.number().is_some())
        .map(|value| value.to_static())
        .collect();
    let number = |value: &Static| Value::from(value).number().unwrap_or(f64::NAN);
    let least = |a: Static, b: Static| if number(&b) < number(&a) { b } else { a };
    let most = |a: Static, b: Static| if number(&b) > number(&a) { b } else { a };
    let add = |a: Static, b: Static| crate::numbers::arithmetic(Op::Add, &a, &b).unwrap_or(Static::Nil);
    let count = values.len() as f64;
    let mut values = values.into_iter();
    let first = values.next()?;
    Some(match aggregate {
        Aggregate::Count => Static::Int(count as i64),
        Aggregate::Min => values.fold(first, least),
        Aggregate::Max => values.fold(first, most),
        Aggregate::Sum => values.fold(first, add),
        Aggregate::Avg => {
            let sum = values.fold(first, add);
            crate::numbers::arithmetic(Op::Div, &sum, &Static::Float(count))?
        }
    })
}

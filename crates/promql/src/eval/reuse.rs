//! Whether what a range query gave at a step can be kept for the next query.
//!
//! It can if its value at a step follows from that step and from samples up to some time alone: not from where the query
//! starts and ends, not from what is found at other steps. Everything that is not known to be so is refused.

use reba_model::{METRIC_NAME, MatchOp, Matcher};

use crate::syntax::{
    Aggregate, AggregateOp as Op, Binary, Call, Duration, Expr, ExprKind, Func, MatchCardinality,
    VectorSelector,
};

/// How far past each step an expression looks for samples, milliseconds: 0 for a plain selector, less with an `offset`,
/// more with a negative one, `i64::MIN` if it looks at none. `None` if results at one step may depend on more than
/// that step and the samples before this bound.
///
/// Call it for expressions that a plan was made of: those are not too deep.
pub fn reach(expr: &Expr) -> Option<i64> {
    look(expr).map(|seen| seen.ahead)
}

/// What is known of an expression.
#[derive(Clone, Copy)]
struct Seen<'a> {
    ahead: i64,
    names: Names<'a>,
}

/// The metric names among the series of an expression.
///
/// Where names are dropped, series of several names may fall together. Whether that is an error then depends on all
/// steps of the query, for some functions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names<'a> {
    /// No series has one.
    Nameless,
    /// All have this one.
    One(&'a str),
    /// There may be several.
    Several,
}

/// What looks at no samples.
const CONSTANT: Seen<'static> = Seen { ahead: i64::MIN, names: Names::Nameless };

impl<'a> Seen<'a> {
    /// After an operation that drops names.
    fn dropping_names(self) -> Option<Seen<'a>> {
        (self.names != Names::Several).then_some(Seen { names: Names::Nameless, ..self })
    }
}

fn look(expr: &Expr) -> Option<Seen<'_>> {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => Some(CONSTANT),
        ExprKind::Paren(inner) => look(inner),
        ExprKind::Unary(unary) => look(&unary.expr)?.dropping_names(),
        ExprKind::Vector(selector) => of_selector(selector),
        ExprKind::Matrix(matrix) => {
            fixed(&matrix.range)?;
            of_selector(&matrix.selector)
        }
        ExprKind::Subquery(subquery) => {
            fixed(&subquery.range)?;
            subquery.step.as_ref().map_or(Some(0), fixed)?;
            let offset = fixed(&subquery.offset)?;
            if subquery.at.is_some() {
                return None;
            }
            let inner = look(&subquery.expr)?;
            Some(Seen { ahead: inner.ahead.saturating_sub(offset), ..inner })
        }
        ExprKind::Call(call) => of_call(call),
        ExprKind::Aggregate(aggregate) => of_aggregate(aggregate),
        ExprKind::Binary(binary) => of_binary(binary),
    }
}

/// A duration that does not depend on the query.
fn fixed(duration: &Duration) -> Option<i64> {
    duration.expr.is_none().then_some(duration.ms)
}

fn of_selector(selector: &VectorSelector) -> Option<Seen<'_>> {
    if selector.at.is_some() || selector.anchored || selector.smoothed {
        return None;
    }
    let offset = fixed(&selector.offset)?;
    let is_name = |m: &&Matcher| m.name == METRIC_NAME && m.op == MatchOp::Equal && !m.value.is_empty();
    let names = selector.matchers.iter().find(is_name).map_or(Names::Several, |m| Names::One(&m.value));
    Some(Seen { ahead: 0i64.saturating_sub(offset), names })
}

fn of_call(call: &Call) -> Option<Seen<'_>> {
    // Experimental functions may ask about the query itself; `sort` warns; histograms are not kept anyway.
    let refused = call.func.signature().experimental
        || matches!(call.func, Func::Sort | Func::SortDesc | Func::Info | Func::StartTimestamp);
    if refused {
        return None;
    }
    let mut all = CONSTANT;
    for arg in &call.args {
        let seen = look(arg)?;
        all.ahead = all.ahead.max(seen.ahead);
        if seen.names != Names::Nameless {
            all.names = seen.names;
        }
    }
    match call.func {
        Func::LastOverTime => Some(all),
        Func::LabelReplace | Func::LabelJoin => {
            let target = call.args.get(1).map(|e| &e.without_parens().kind);
            let renames = !matches!(target, Some(ExprKind::String(s)) if s.value != METRIC_NAME);
            Some(if renames { Seen { names: Names::Several, ..all } } else { all })
        }
        // Here it does not matter which series there are, only whether.
        Func::Absent | Func::AbsentOverTime | Func::Scalar => Some(Seen { names: Names::Nameless, ..all }),
        _ => all.dropping_names(),
    }
}

fn of_aggregate(aggregate: &Aggregate) -> Option<Seen<'_>> {
    if aggregate.op.is_experimental() {
        return None;
    }
    let inner = look(&aggregate.expr)?;
    // Any other parameter may be taken from the first step for all.
    let is_literal = |e: &Expr| match &e.without_parens().kind {
        ExprKind::Number(_) | ExprKind::String(_) => true,
        ExprKind::Unary(unary) => matches!(unary.expr.without_parens().kind, ExprKind::Number(_)),
        _ => false,
    };
    if !aggregate.param.as_ref().is_none_or(is_literal) {
        return None;
    }
    let keeps_names = matches!(aggregate.op, Op::Topk | Op::Bottomk)
        || (!aggregate.without && aggregate.grouping.iter().any(|l| l == METRIC_NAME));
    let names = match aggregate.op {
        Op::CountValues => Names::Several,
        _ if keeps_names => inner.names,
        _ => Names::Nameless,
    };
    Some(Seen { names, ..inner })
}

fn of_binary(binary: &Binary) -> Option<Seen<'_>> {
    let (lhs, rhs) = (look(&binary.lhs)?, look(&binary.rhs)?);
    let ahead = lhs.ahead.max(rhs.ahead);
    let names = if binary.op.is_set() {
        match (binary.op.as_str(), lhs.names == rhs.names) {
            ("or", false) => Names::Several,
            _ => lhs.names,
        }
    } else if binary.op.is_comparison() && !binary.bool_modifier {
        match &binary.matching {
            None if lhs.names == Names::Nameless => rhs.names,
            Some(m) if m.card == MatchCardinality::OneToMany => rhs.names,
            _ => lhs.names,
        }
    } else if lhs.names == Names::Several || rhs.names == Names::Several {
        return None;
    } else {
        Names::Nameless
    };
    Some(Seen { ahead, names })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{ParseOptions, parse};

    fn reach_of(query: &str) -> Option<i64> {
        reach(&parse(query, ParseOptions::all()).unwrap())
    }

    #[test]
    fn what_looks_back_only_can_be_kept() {
        for query in [
            "m",
            "{job=\"a\"}",
            "rate(m[5m])",
            "sum by (job) (rate(m[5m])) / on (job) group_left sum by (job) (n)",
            "topk(5, sum by (pod) (rate(m[5m])))",
            "histogram_quantile(0.9, sum by (le) (rate(m_bucket[5m])))",
            "max_over_time(rate(m[1m])[1h:])",
            "label_replace(rate(m[5m]), \"a\", \"$1\", \"b\", \"(.*)\")",
            "rate(m[5m]) or rate(n[5m])",
            "absent({job=\"a\"}) * 2",
            "count_values(\"v\", m)",
            "m > 0 and m < 5",
            "quantile(-(1), m)",
        ] {
            assert_eq!(reach_of(query), Some(0), "{query}");
        }
    }

    #[test]
    fn offsets_move_the_bound() {
        assert_eq!(reach_of("m offset 1m"), Some(-60_000));
        assert_eq!(reach_of("rate(m[5m] offset -1m)"), Some(60_000));
        assert_eq!(reach_of("m offset 1m + m offset 2m"), Some(-60_000));
        assert_eq!(reach_of("max_over_time((m offset -2m)[1h:1m] offset 1m)"), Some(60_000));
        assert_eq!(reach_of("time() + hour() + 1"), Some(i64::MIN));
        assert_eq!(reach_of("vector(1)"), Some(i64::MIN));
    }

    #[test]
    fn what_depends_on_more_is_refused() {
        for query in [
            "m @ end()",
            "m @ 100",
            "rate(m[5m] @ start())",
            "max_over_time(m[1h:1m] @ end())",
            "m * start()",
            "m * step()",
            "rate(m[range()])",
            "m offset step()",
            "max_over_time(m[1h:step()])",
            "rate(m[5m] smoothed)",
            "rate(m[5m] anchored)",
            "m smoothed",
            "limitk(2, m)",
            "info(m)",
            "sort(m)",
            "topk(scalar(m), vector(1))",
            // Series of several names may fall together, and at which steps they do decides whether that is an error.
            "rate({job=\"a\"}[5m])",
            "rate({__name__=~\"a|b\"}[5m])",
            "abs(m or n)",
            "{job=\"a\"} * 2",
            "-{job=\"a\"}",
            "rate(label_replace(m, \"__name__\", \"$1\", \"b\", \"(.*)\")[5m:])",
            "rate(count_values(\"__name__\", m)[5m:])",
        ] {
            assert_eq!(reach_of(query), None, "{query}");
        }
    }
}

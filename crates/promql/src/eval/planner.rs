//! From a syntax tree to the nodes of a plan: times resolved, selectors numbered, parts that do not change with the
//! step found.

use reba_model::{Labels, LabelsBuilder, METRIC_NAME, MatchOp, Matcher, TimeRange};

use super::{
    error::EvalError,
    node::{
        AggregateNode, BinaryNode, CallNode, InfoNode, MatrixNode, Node, NodeKind, SubqueryNode, VectorNode,
        When, inner_steps,
    },
    plan::{PlanOptions, PlannedSelector, QueryTimes, SelectorHints},
    value::{RangeMode, Steps},
};
use crate::syntax::{
    Aggregate, At, Binary, BinaryOp, Call, Duration, Expr, ExprKind, Func, MatrixSelector, Sign, Subquery,
    VectorSelector,
};

/// How deep a query may nest. Each level costs stack here and in the evaluator.
const MAX_DEPTH: usize = 500;

/// The root of the plan of `expr`, and its selectors.
pub(super) fn plan(
    expr: &Expr,
    times: QueryTimes,
    options: PlanOptions,
) -> Result<(Node, Vec<PlannedSelector>), EvalError> {
    let mut planner = Planner { times, options, selectors: Vec::new(), depth: 0 };
    let around = Around { steps: times.steps(), function: "", group: None, figures: Figures::NotAsked };
    let root = planner.build(expr, &around)?.wrapped();
    Ok((root, planner.selectors))
}

/// A node, and whether it is the same at every step.
struct Built {
    node: Node,
    /// The value does not change with the step.
    invariant: bool,
    /// It is worth evaluating once and repeating.
    wrap: bool,
}

impl Built {
    fn varying(kind: NodeKind, pos: usize) -> Built {
        Built { node: Node { kind, pos }, invariant: false, wrap: false }
    }

    fn constant(kind: NodeKind, pos: usize) -> Built {
        Built { node: Node { kind, pos }, invariant: true, wrap: false }
    }

    fn wrapped(self) -> Node {
        if self.wrap { self.node.step_invariant() } else { self.node }
    }
}

/// What stands around an expression.
#[derive(Clone)]
struct Around<'a> {
    steps: Steps,
    function: &'static str,
    group: Option<&'a Aggregate>,
    figures: Figures,
}

/// Whether native histograms are needed with their buckets. As upstream decides it: resets are then detected once, as
/// the samples are read, which can be seen in warnings about resets that contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figures {
    /// Nothing around asks for figures of histograms.
    NotAsked,
    /// `histogram_count`, `histogram_sum` or `histogram_avg` stands around.
    Enough,
    /// Something around needs the buckets.
    NotEnough,
}

impl Figures {
    fn below(self, func: Func) -> Figures {
        match func {
            Func::HistogramQuantile | Func::HistogramQuantiles | Func::HistogramFraction => {
                Figures::NotEnough
            }
            Func::HistogramCount | Func::HistogramSum | Func::HistogramAvg if self == Figures::NotAsked => {
                Figures::Enough
            }
            _ => self,
        }
    }
}

struct Planner {
    times: QueryTimes,
    options: PlanOptions,
    selectors: Vec<PlannedSelector>,
    depth: usize,
}

impl Planner {
    fn build(&mut self, expr: &Expr, around: &Around<'_>) -> Result<Built, EvalError> {
        if self.depth >= MAX_DEPTH {
            return Err(EvalError::Execution("query nests too deeply".to_owned()));
        }
        self.depth += 1;
        let pos = expr.span.start as usize;
        let built = match &expr.kind {
            ExprKind::Number(n) => Ok(Built::constant(NodeKind::Number(n.value), pos)),
            ExprKind::String(s) => Ok(Built::constant(NodeKind::String(s.clone()), pos)),
            ExprKind::Vector(selector) => Ok(self.vector(selector, pos, around)),
            ExprKind::Matrix(matrix) => Ok(self.matrix(matrix, pos, around)),
            ExprKind::Subquery(subquery) => self.subquery(subquery, pos, around),
            ExprKind::Call(call) => self.call(call, pos, around),
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate, pos, around),
            ExprKind::Binary(binary) => self.binary(binary, pos, around),
            ExprKind::Unary(unary) => self.build(&unary.expr, around).map(|b| match unary.op {
                Sign::Plus => b,
                Sign::Minus => Built {
                    node: Node { kind: NodeKind::Negate(Box::new(b.node)), pos },
                    invariant: b.invariant,
                    wrap: b.wrap,
                },
            }),
            ExprKind::Paren(inner) => self.build(inner, around),
        };
        self.depth -= 1;
        built
    }

    fn when(&self, offset: &Duration, at: Option<At>) -> When {
        let (start, end) = self.times.bounds();
        let at = at.map(|at| match at {
            At::Timestamp(t) => t,
            At::Start => start,
            At::End => end,
        });
        When { offset: offset.ms, at }
    }

    fn add_selector(
        &mut self,
        matchers: &[Matcher],
        range: TimeRange,
        length: i64,
        around: &Around<'_>,
    ) -> usize {
        // A range of one step is still one: stores may choose by the step, and must choose alike for all parts of a range.
        let instant = around.steps.count == 1 && matches!(self.times, QueryTimes::Instant { .. });
        let hints = SelectorHints {
            function: around.function,
            step: if instant { 0 } else { around.steps.interval },
            range: length,
            grouping: around.group.map(|a| a.grouping.clone()).unwrap_or_default(),
            by: around.group.is_some_and(|a| !a.without),
            newest: false,
        };
        let figures_only = around.figures == Figures::Enough;
        let stretch = if length > 0 { length } else { self.options.lookback };
        let matchers = matchers.to_vec();
        self.selectors.push(PlannedSelector { matchers, range, hints, figures_only, stretch, pos: 0 });
        self.selectors.len() - 1
    }

    fn vector(&mut self, selector: &VectorSelector, pos: usize, around: &Around<'_>) -> Built {
        let when = self.when(&selector.offset, selector.at);
        let (first, last) = when.bounds(&around.steps);
        let lookback = self.options.lookback;
        let ahead = if selector.smoothed { lookback } else { 0 };
        let range =
            TimeRange::new(first.saturating_sub(lookback).saturating_add(1), last.saturating_add(ahead));
        let index = self.add_selector(&selector.matchers, range, 0, around);
        self.selectors[index].pos = pos;
        self.selectors[index].hints.newest = first == last && !selector.smoothed;
        let node = VectorNode { selector: index, when, smoothed: selector.smoothed };
        let pinned = when.at.is_some();
        Built { node: Node { kind: NodeKind::Vector(node), pos }, invariant: pinned, wrap: pinned }
    }

    fn matrix(&mut self, matrix: &MatrixSelector, pos: usize, around: &Around<'_>) -> Built {
        let selector = &matrix.selector;
        let when = self.when(&selector.offset, selector.at);
        let (first, last) = when.bounds(&around.steps);
        let mode = match (selector.anchored, selector.smoothed) {
            (true, _) => RangeMode::Anchored,
            (_, true) => RangeMode::Smoothed,
            _ => RangeMode::Plain,
        };
        let lookback = self.options.lookback;
        let before = if mode == RangeMode::Plain { 0 } else { lookback };
        let after = if mode == RangeMode::Smoothed { lookback } else { 0 };
        let start = first.saturating_sub(matrix.range.ms).saturating_sub(before).saturating_add(1);
        let range = TimeRange::new(start, last.saturating_add(after));
        let index = self.add_selector(&selector.matchers, range, matrix.range.ms, around);
        let planned = &mut self.selectors[index];
        planned.pos = pos;
        if mode != RangeMode::Plain {
            // Samples beyond the range matter: what is told is not the function's usual need.
            planned.hints.function = "";
        }
        let node = MatrixNode { selector: index, when, range: matrix.range.ms, mode };
        Built { node: Node { kind: NodeKind::Matrix(node), pos }, invariant: when.at.is_some(), wrap: false }
    }

    fn subquery(&mut self, subquery: &Subquery, pos: usize, around: &Around<'_>) -> Result<Built, EvalError> {
        let when = self.when(&subquery.offset, subquery.at);
        let range = subquery.range.ms;
        let step = subquery.step.as_ref().map_or(self.options.subquery_step, |d| d.ms).max(1);
        let inner = Around {
            steps: inner_steps(when, range, step, &around.steps),
            // Resets between the samples of a subquery must be found in the buckets.
            figures: Figures::NotEnough,
            ..around.clone()
        };
        let built = self.build(&subquery.expr, &inner)?;
        let expr = if built.invariant { built.node.step_invariant() } else { built.node };
        let node = SubqueryNode { expr, when, range, step };
        let kind = NodeKind::Subquery(Box::new(node));
        Ok(Built { node: Node { kind, pos }, invariant: when.at.is_some(), wrap: false })
    }

    fn call(&mut self, call: &Call, pos: usize, around: &Around<'_>) -> Result<Built, EvalError> {
        if let Some(number) = self.query_context(call.func) {
            return Ok(Built::constant(NodeKind::Number(number), pos));
        }
        let inner = Around {
            steps: around.steps,
            function: call.func.name(),
            group: None,
            figures: around.figures.below(call.func),
        };
        if call.func == Func::Info {
            return self.info(call, pos, &inner);
        }
        if let Some(ExprKind::Matrix(matrix)) =
            call.args.iter().map(|a| &a.without_parens().kind).find(is_matrix)
        {
            check_modifiers(call.func, &matrix.selector)?;
        }
        let mut built = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            built.push(self.build(arg.without_parens(), &inner)?);
        }
        let args_invariant = built.iter().all(|b| b.invariant);
        let pinned_timestamp = call.func == Func::Timestamp
            && built.iter().all(|b| b.invariant && matches!(b.node.kind, NodeKind::Vector(_)));
        let invariant = (args_invariant && !depends_on_time(call.func)) || pinned_timestamp;
        let arg_pos = built.iter().map(|b| b.node.pos).collect();
        let args = built.into_iter().map(|b| if invariant { b.node } else { b.wrapped() }).collect();
        let absent = match call.func {
            Func::Absent | Func::AbsentOverTime => call.args.first().map(absent_labels).unwrap_or_default(),
            _ => Labels::empty(),
        };
        let kind = NodeKind::Call(CallNode { func: call.func, args, arg_pos, absent });
        Ok(Built { node: Node { kind, pos }, invariant, wrap: invariant })
    }

    /// Values of the functions that ask about the query itself.
    fn query_context(&self, func: Func) -> Option<f64> {
        let (start, end) = self.times.bounds();
        let ms = match func {
            Func::Start => start,
            Func::End => end,
            Func::Range => end.saturating_sub(start),
            Func::Step => self.times.step(),
            _ => return None,
        };
        Some(ms as f64 / 1000.0)
    }

    fn info(&mut self, call: &Call, pos: usize, around: &Around<'_>) -> Result<Built, EvalError> {
        let [first, rest @ ..] = call.args.as_slice() else {
            return Err(EvalError::Bug("info without arguments"));
        };
        let expr = self.build(first.without_parens(), around)?;
        let when = self.info_when(first);
        let matchers = match rest.first().map(|e| &e.without_parens().kind) {
            Some(ExprKind::Vector(selector)) => selector.matchers.clone(),
            _ => Vec::new(),
        };
        let (names, data_matchers): (Vec<_>, Vec<_>) =
            matchers.into_iter().partition(|m| m.name == METRIC_NAME);
        let name_matchers = effective_info_names(names)?;
        let (from, to) = when.bounds(&around.steps);
        let range = TimeRange::new(from.saturating_sub(self.options.lookback).saturating_add(1), to);
        let wanted: Vec<Matcher> = name_matchers.iter().chain(&data_matchers).cloned().collect();
        let selector = self.add_selector(&wanted, range, 0, around);
        let expr = expr.wrapped();
        let kind = NodeKind::Info(Box::new(InfoNode { expr, selector, when, name_matchers, data_matchers }));
        Ok(Built::varying(kind, pos))
    }

    /// The moment at which info series are looked up: that of the first selector in the argument.
    fn info_when(&self, expr: &Expr) -> When {
        fn first_selector(expr: &Expr, path: &mut Vec<(i64, Option<At>)>) -> bool {
            match &expr.kind {
                ExprKind::Vector(s) => path.push((s.offset.ms, s.at)),
                ExprKind::Matrix(m) => path.push((m.selector.offset.ms, m.selector.at)),
                ExprKind::Subquery(s) => {
                    path.push((s.offset.ms, s.at));
                    if first_selector(&s.expr, path) {
                        return true;
                    }
                    path.pop();
                    return false;
                }
                _ => return expr.children().into_iter().any(|c| first_selector(c, path)),
            }
            true
        }
        let mut path = Vec::new();
        first_selector(expr, &mut path);
        let mut when = When { offset: 0, at: None };
        for (offset, at) in path.into_iter().rev() {
            when.offset = when.offset.saturating_add(offset);
            if at.is_some() {
                when.at = self.when(&Duration::default(), at).at;
                break;
            }
        }
        when
    }

    fn aggregate(
        &mut self,
        aggregate: &Aggregate,
        pos: usize,
        around: &Around<'_>,
    ) -> Result<Built, EvalError> {
        let inner = Around {
            steps: around.steps,
            function: aggregate.op.as_str(),
            group: Some(aggregate),
            figures: around.figures,
        };
        let expr = self.build(aggregate.expr.without_parens(), &inner)?;
        let param = match &aggregate.param {
            Some(param) => {
                let plain = Around { group: None, ..inner };
                Some(self.build(param.without_parens(), &plain)?)
            }
            None => None,
        };
        // The parameter does not count: upstream evaluates an aggregation once as soon as its vector is pinned.
        let (invariant, wrap) = (expr.invariant, expr.wrap);
        let mut grouping = aggregate.grouping.clone();
        grouping.sort();
        let node = AggregateNode {
            op: aggregate.op,
            expr: expr.node,
            param: param.map(|p| p.node),
            grouping,
            without: aggregate.without,
        };
        Ok(Built { node: Node { kind: NodeKind::Aggregate(Box::new(node)), pos }, invariant, wrap })
    }

    fn binary(&mut self, binary: &Binary, pos: usize, around: &Around<'_>) -> Result<Built, EvalError> {
        let figures = match binary.op {
            BinaryOp::TrimUpper | BinaryOp::TrimLower => Figures::NotEnough,
            _ => around.figures,
        };
        let inner = Around { steps: around.steps, function: "", group: None, figures };
        let lhs = self.build(&binary.lhs, &inner)?;
        let rhs = self.build(&binary.rhs, &inner)?;
        let invariant = lhs.invariant && rhs.invariant;
        let (lhs, rhs) = if invariant { (lhs.node, rhs.node) } else { (lhs.wrapped(), rhs.wrapped()) };
        let node = BinaryNode {
            op: binary.op,
            lhs,
            rhs,
            bool_modifier: binary.bool_modifier,
            matching: binary.matching.clone().unwrap_or_default(),
        };
        Ok(Built { node: Node { kind: NodeKind::Binary(Box::new(node)), pos }, invariant, wrap: invariant })
    }
}

fn is_matrix(kind: &&ExprKind) -> bool {
    matches!(kind, ExprKind::Matrix(_))
}

/// Functions whose result may change with the step though no argument does.
fn depends_on_time(func: Func) -> bool {
    func.depends_on_step_time(true)
}

/// Functions that accept samples from outside of the range, for `anchored` and for `smoothed`.
const ANCHORED: [Func; 5] = [Func::Changes, Func::Delta, Func::Increase, Func::Rate, Func::Resets];
const SMOOTHED: [Func; 3] = [Func::Delta, Func::Increase, Func::Rate];

fn check_modifiers(func: Func, selector: &VectorSelector) -> Result<(), EvalError> {
    let (modifier, allowed): (_, &[Func]) = match (selector.anchored, selector.smoothed) {
        (true, _) => ("anchored", &ANCHORED),
        (_, true) => ("smoothed", &SMOOTHED),
        _ => return Ok(()),
    };
    if allowed.contains(&func) {
        return Ok(());
    }
    let names: Vec<&str> = allowed.iter().map(|f| f.name()).collect();
    Err(EvalError::Execution(format!(
        "{modifier} modifier can only be used with: {} - not with {}",
        names.join(", "),
        func.name()
    )))
}

/// Labels that the `=` matchers of a selector promise, each named by one matcher only.
fn absent_labels(arg: &Expr) -> Labels {
    let matchers = match &arg.without_parens().kind {
        ExprKind::Vector(selector) => &selector.matchers,
        ExprKind::Matrix(matrix) => &matrix.selector.matchers,
        _ => return Labels::empty(),
    };
    let mut labels = LabelsBuilder::new();
    let mut seen: Vec<&str> = Vec::new();
    for m in matchers.iter().filter(|m| m.name != METRIC_NAME) {
        if m.op == MatchOp::Equal && !seen.contains(&m.name.as_str()) {
            labels.set(&m.name, &m.value);
            seen.push(&m.name);
        } else {
            labels.remove(&m.name);
        }
    }
    labels.build()
}

/// The conditions on the names of info series: `target_info` if there is none, any `…_info` if all are negative.
fn effective_info_names(mut names: Vec<Matcher>) -> Result<Vec<Matcher>, EvalError> {
    if names.is_empty() {
        return Ok(vec![Matcher::equal(METRIC_NAME, "target_info")]);
    }
    if !names.iter().any(|m| matches!(m.op, MatchOp::Equal | MatchOp::Regex)) {
        let any = Matcher::new(MatchOp::Regex, METRIC_NAME, ".+_info");
        names.insert(0, any.map_err(|_| EvalError::Bug("a constant expression does not compile"))?);
    }
    Ok(names)
}

//! The nodes of a plan: expressions with their times resolved and their selectors numbered.

use reba_model::{Labels, Matcher};

use super::value::{RangeMode, Steps};
use crate::syntax::{AggregateOp, BinaryOp, Func, StringLiteral, VectorMatching};

/// A node of a plan, with the place of its expression in the query (byte offset).
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub kind: NodeKind,
    pub pos: usize,
}

#[derive(Clone, Debug)]
pub(super) enum NodeKind {
    Number(f64),
    String(StringLiteral),
    Vector(VectorNode),
    Matrix(MatrixNode),
    Subquery(Box<SubqueryNode>),
    Call(CallNode),
    Aggregate(Box<AggregateNode>),
    Binary(Box<BinaryNode>),
    Negate(Box<Node>),
    Info(Box<InfoNode>),
    /// Evaluated at the first step only, the result repeated.
    StepInvariant(Box<Node>),
}

/// The moment a selector looks at, given the time of a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    pub offset: i64,
    pub at: Option<i64>,
}

impl When {
    #[inline]
    pub fn time(&self, t: i64) -> i64 {
        self.at.unwrap_or(t).saturating_sub(self.offset)
    }

    /// First and last moment over all steps.
    pub fn bounds(&self, steps: &Steps) -> (i64, i64) {
        (self.time(steps.start), self.time(steps.end()))
    }
}

#[derive(Clone, Debug)]
pub(super) struct VectorNode {
    pub selector: usize,
    pub when: When,
    pub smoothed: bool,
}

#[derive(Clone, Debug)]
pub(super) struct MatrixNode {
    pub selector: usize,
    pub when: When,
    pub range: i64,
    pub mode: RangeMode,
}

#[derive(Clone, Debug)]
pub(super) struct SubqueryNode {
    pub expr: Node,
    pub when: When,
    pub range: i64,
    pub step: i64,
}

impl SubqueryNode {
    /// The inner steps for all outer `steps`: aligned to multiples of the inner step, the first one after the start of
    /// the first range.
    pub fn steps(&self, steps: &Steps) -> Steps {
        inner_steps(self.when, self.range, self.step, steps)
    }
}

/// The steps of a subquery that looks at `range` milliseconds before each moment of the outer steps.
pub(super) fn inner_steps(when: When, range: i64, step: i64, steps: &Steps) -> Steps {
    let (first, last) = when.bounds(steps);
    let open = first.saturating_sub(range);
    let start = open.div_euclid(step).saturating_add(1).saturating_mul(step);
    Steps::range(start, last, step)
}

#[derive(Clone, Debug)]
pub(super) struct CallNode {
    pub func: Func,
    pub args: Vec<Node>,
    pub arg_pos: Vec<usize>,
    /// What `absent` and `absent_over_time` know of the series that is not there.
    pub absent: Labels,
}

#[derive(Clone, Debug)]
pub(super) struct AggregateNode {
    pub op: AggregateOp,
    pub expr: Node,
    pub param: Option<Node>,
    /// Sorted.
    pub grouping: Vec<String>,
    pub without: bool,
}

#[derive(Clone, Debug)]
pub(super) struct BinaryNode {
    pub op: BinaryOp,
    pub lhs: Node,
    pub rhs: Node,
    pub bool_modifier: bool,
    pub matching: VectorMatching,
}

#[derive(Clone, Debug)]
pub(super) struct InfoNode {
    pub expr: Node,
    pub selector: usize,
    pub when: When,
    pub name_matchers: Vec<Matcher>,
    pub data_matchers: Vec<Matcher>,
}

impl Node {
    pub fn step_invariant(self) -> Node {
        let pos = self.pos;
        Node { kind: NodeKind::StepInvariant(Box::new(self)), pos }
    }
}

//! The tree of a query.

use reba_model::spans::{SpanKind, SpanStatus};

/// A whole query.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// What it asks for.
    pub root: Root,
    /// `with (name=value, …)`, as written.
    pub hints: Vec<Hint>,
}

/// What a query answers with.
#[derive(Clone, Debug, PartialEq)]
pub enum Root {
    /// Traces with their matching spans.
    Search(Pipeline),
    /// Series.
    Metrics(MetricsExpr),
}

/// One `name=value` of `with (…)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Hint {
    /// Its name; unknown ones are kept and ignored.
    pub name: String,
    /// Its value.
    pub value: Static,
}

/// Stages with `|` between them; never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// In the order in which they run.
    pub stages: Vec<Stage>,
}

/// What is done to the spansets of one trace.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Selects spans out of those of each spanset.
    Spanset(SpansetExpr),
    /// Keeps the spansets for which a comparison of aggregates holds.
    Scalar(ScalarFilter),
    /// Splits each spanset into groups.
    By(Vec<FieldExpr>),
    /// Joins all spansets of the trace.
    Coalesce,
    /// Adds fields to the answer.
    Select(Vec<Field>),
}

/// An expression of spansets.
#[derive(Clone, Debug, PartialEq)]
pub enum SpansetExpr {
    /// `{ … }`.
    Filter(FieldExpr),
    /// A pipeline in parentheses.
    Pipeline(Pipeline),
    /// Two spansets combined.
    Binary {
        /// How.
        op: SpansetOp,
        /// What stands before the operator.
        left: Box<SpansetExpr>,
        /// What stands behind it: structural operators answer with spans of this side.
        right: Box<SpansetExpr>,
    },
}

/// How spansets are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpansetOp {
    /// Both, if both have spans.
    And,
    /// Both.
    Or,
    /// Spans of the right side by how they are related to spans of the left one.
    Related(Relation, RelationMode),
}

/// What a span of the right side must be to one of the left side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `>`.
    Child,
    /// `<`.
    Parent,
    /// `>>`.
    Descendant,
    /// `<<`.
    Ancestor,
    /// `~`.
    Sibling,
}

/// Which spans a structural operator answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationMode {
    /// Those of the right side that are related.
    Plain,
    /// `!`: those of the right side that are not.
    Negated,
    /// `&`: both sides of every related pair.
    Union,
}

/// A comparison of what aggregates say of a spanset.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalarFilter {
    /// The comparison.
    pub op: Op,
    /// Before it.
    pub left: ScalarExpr,
    /// Behind it.
    pub right: ScalarExpr,
}

/// A number for a spanset.
#[derive(Clone, Debug, PartialEq)]
pub enum ScalarExpr {
    /// A literal, arithmetic on literals already done.
    Static(Static),
    /// An aggregate of the spanset.
    Aggregate(Aggregate, Option<FieldExpr>),
    /// Arithmetic.
    Binary {
        /// Which.
        op: Op,
        /// Before the operator.
        left: Box<ScalarExpr>,
        /// Behind it.
        right: Box<ScalarExpr>,
    },
    /// `({ … } | count())`.
    Pipeline(Pipeline, Box<ScalarExpr>),
}

/// Functions from spansets to numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Spans; the only one without a field.
    Count,
    /// The smallest value.
    Min,
    /// The largest one.
    Max,
    /// The mean.
    Avg,
    /// The sum.
    Sum,
}

/// An expression on one span.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldExpr {
    /// A literal.
    Static(Static),
    /// Something of the span.
    Field(Field),
    /// `!x` or `-x`.
    Unary(UnaryOp, Box<FieldExpr>),
    /// Everything else.
    Binary {
        /// Which operator.
        op: Op,
        /// Before it.
        left: Box<FieldExpr>,
        /// Behind it.
        right: Box<FieldExpr>,
    },
}

/// Operators before an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `!`.
    Not,
    /// `-`.
    Neg,
}

/// Operators between two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// `&&`.
    And,
    /// `||`.
    Or,
    /// `=`.
    Eq,
    /// `!=`.
    Ne,
    /// `=~`.
    Match,
    /// `!~`.
    NotMatch,
    /// `<`.
    Lt,
    /// `<=`.
    Le,
    /// `>`.
    Gt,
    /// `>=`.
    Ge,
    /// `+`.
    Add,
    /// `-`.
    Sub,
    /// `*`.
    Mul,
    /// `/`.
    Div,
    /// `%`.
    Mod,
    /// `^`.
    Pow,
}

impl Op {
    /// Whether it compares two values.
    pub fn is_comparison(self) -> bool {
        matches!(self, Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge) || self.is_regex()
    }

    /// Whether its right side is a regular expression.
    pub fn is_regex(self) -> bool {
        matches!(self, Op::Match | Op::NotMatch)
    }

    /// Whether it computes a number.
    pub fn is_arithmetic(self) -> bool {
        matches!(self, Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Mod | Op::Pow)
    }

    /// The operator that says the same with the sides swapped; none for those that have a direction of their own.
    pub fn mirrored(self) -> Option<Op> {
        match self {
            Op::Eq | Op::Ne => Some(self),
            Op::Lt => Some(Op::Gt),
            Op::Gt => Some(Op::Lt),
            Op::Le => Some(Op::Ge),
            Op::Ge => Some(Op::Le),
            _ => None,
        }
    }
}

/// A literal, and what a field of a span holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Static {
    /// `nil`: what a span does not have.
    Nil,
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Str(String),
    /// `true`, `false`.
    Bool(bool),
    /// Nanoseconds.
    Duration(i64),
    /// `ok`, `error`, `unset`.
    Status(SpanStatus),
    /// `server`, `client`, …
    Kind(SpanKind),
    /// Several values: an array of a span, or a field of all its events or links. Never a literal.
    Many(Vec<Static>),
}

/// Something a span has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// What the model of spans gives a name to.
    Intrinsic {
        /// Which.
        intrinsic: Intrinsic,
        /// Whether it was written with its scope (`span:name`) or in the older form (`name`).
        scoped: bool,
    },
    /// What an instrumented program gave a name to.
    Attribute {
        /// Of the parent span, not of the span itself.
        parent: bool,
        /// Where it is looked for.
        scope: Scope,
        /// Its name.
        name: String,
    },
}

impl Field {
    /// Whether the field is read from the parent of a span.
    pub fn is_of_parent(&self) -> bool {
        match self {
            Field::Intrinsic { intrinsic, .. } => *intrinsic == Intrinsic::Parent,
            Field::Attribute { parent, .. } => *parent,
        }
    }

    /// The same field, however it was written.
    pub fn normal(self) -> Self {
        match self {
            Field::Intrinsic { intrinsic, .. } => {
                Field::Intrinsic { intrinsic, scoped: intrinsic.bare_name().is_none() }
            }
            attribute @ Field::Attribute { .. } => attribute,
        }
    }
}

/// Where an attribute is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// `.x`: on the span, then on its resource.
    Any,
    /// On the span.
    Span,
    /// On the resource that made it.
    Resource,
    /// On its events.
    Event,
    /// On its links.
    Link,
    /// On the library that made it.
    Instrumentation,
}

impl Scope {
    /// What stands before the dot.
    pub fn prefix(self) -> &'static str {
        match self {
            Scope::Any => "",
            Scope::Span => "span",
            Scope::Resource => "resource",
            Scope::Event => "event",
            Scope::Link => "link",
            Scope::Instrumentation => "instrumentation",
        }
    }
}

/// Fields that every span has by the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Intrinsic {
    /// From its start to its end.
    Duration,
    /// What was done.
    Name,
    /// How it ended.
    Status,
    /// Why it failed.
    StatusMessage,
    /// The part it plays.
    Kind,
    /// How many spans it is the parent of.
    ChildCount,
    /// Its id, in hex.
    SpanId,
    /// Its parent's id, in hex.
    ParentId,
    /// The parent span itself; parses, and is refused.
    Parent,
    /// From the first start to the last end of its trace.
    TraceDuration,
    /// The name of the root.
    TraceRootName,
    /// The service of the root.
    TraceRootService,
    /// Its trace, in hex.
    TraceId,
    /// What happened meanwhile.
    EventName,
    /// When it happened, from the start of the span.
    EventTimeSinceStart,
    /// The traces it has to do with, in hex.
    LinkTraceId,
    /// The spans it has to do with, in hex.
    LinkSpanId,
    /// The library that made it.
    InstrumentationName,
    /// That library's version.
    InstrumentationVersion,
    /// Counted when a walk of the trace enters the span.
    NestedSetLeft,
    /// Counted when the walk leaves it.
    NestedSetRight,
    /// `NestedSetLeft` of the parent; -1 for a root, 0 if the parent is not there.
    NestedSetParent,
}

/// Each intrinsic with its name with a scope and its older one.
const INTRINSICS: [(Intrinsic, Option<&str>, Option<&str>); 22] = [
    (Intrinsic::Duration, Some("span:duration"), Some("duration")),
    (Intrinsic::Name, Some("span:name"), Some("name")),
    (Intrinsic::Status, Some("span:status"), Some("status")),
    (Intrinsic::StatusMessage, Some("span:statusMessage"), Some("statusMessage")),
    (Intrinsic::Kind, Some("span:kind"), Some("kind")),
    (Intrinsic::ChildCount, Some("span:childCount"), Some("childCount")),
    (Intrinsic::SpanId, Some("span:id"), None),
    (Intrinsic::ParentId, Some("span:parentID"), None),
    (Intrinsic::Parent, None, Some("parent")),
    (Intrinsic::TraceDuration, Some("trace:duration"), Some("traceDuration")),
    (Intrinsic::TraceRootName, Some("trace:rootName"), Some("rootName")),
    (Intrinsic::TraceRootService, Some("trace:rootService"), Some("rootServiceName")),
    (Intrinsic::TraceId, Some("trace:id"), None),
    (Intrinsic::EventName, Some("event:name"), None),
    (Intrinsic::EventTimeSinceStart, Some("event:timeSinceStart"), None),
    (Intrinsic::LinkTraceId, Some("link:traceID"), None),
    (Intrinsic::LinkSpanId, Some("link:spanID"), None),
    (Intrinsic::InstrumentationName, Some("instrumentation:name"), None),
    (Intrinsic::InstrumentationVersion, Some("instrumentation:version"), None),
    (Intrinsic::NestedSetLeft, None, Some("nestedSetLeft")),
    (Intrinsic::NestedSetRight, None, Some("nestedSetRight")),
    (Intrinsic::NestedSetParent, None, Some("nestedSetParent")),
];

impl Intrinsic {
    /// By its name with a scope, `span:duration`.
    pub fn by_scoped_name(name: &str) -> Option<Self> {
        INTRINSICS.iter().find(|(_, scoped, _)| *scoped == Some(name)).map(|(intrinsic, _, _)| *intrinsic)
    }

    /// By its older name, `duration`.
    pub fn by_bare_name(name: &str) -> Option<Self> {
        INTRINSICS.iter().find(|(_, _, bare)| *bare == Some(name)).map(|(intrinsic, _, _)| *intrinsic)
    }

    /// `span:duration`; the three of nested sets have none.
    pub fn scoped_name(self) -> Option<&'static str> {
        INTRINSICS.iter().find(|(i, _, _)| *i == self).and_then(|(_, scoped, _)| *scoped)
    }

    /// `duration`; newer intrinsics have none.
    pub fn bare_name(self) -> Option<&'static str> {
        INTRINSICS.iter().find(|(i, _, _)| *i == self).and_then(|(_, _, bare)| *bare)
    }
}

/// An expression of series.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricsExpr {
    /// Spans counted or measured over time.
    Aggregate(MetricsAggregate),
    /// What is done to finished series.
    Second(Box<MetricsExpr>, SecondStage),
    /// Arithmetic between series, matched by labels.
    Binary {
        /// `+ - * /`.
        op: Op,
        /// Before the operator.
        left: Box<MetricsExpr>,
        /// Behind it.
        right: Box<MetricsExpr>,
    },
    /// A number beside series.
    Number(Static),
}

/// `{ … } | rate() by (…)`.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricsAggregate {
    /// Which spans.
    pub pipeline: Pipeline,
    /// What is made of them.
    pub function: MetricsFunction,
    /// One series for each combination of these.
    pub by: Vec<Field>,
}

/// Functions from spans to series.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricsFunction {
    /// Spans per second.
    Rate,
    /// Spans per step.
    CountOverTime,
    /// The smallest value of a step.
    MinOverTime(Field),
    /// The largest one.
    MaxOverTime(Field),
    /// The mean.
    AvgOverTime(Field),
    /// The sum.
    SumOverTime(Field),
    /// Quantiles; a series for each.
    QuantileOverTime(Field, Vec<f64>),
    /// Spans by the power of two that bounds their value.
    HistogramOverTime(Field),
    /// How selected spans differ from the others.
    Compare(Compare),
}

/// The parameters of `compare(…)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Compare {
    /// Which spans are the selection; the others are the baseline.
    pub selection: FieldExpr,
    /// Values shown of each attribute.
    pub top: i64,
    /// Start and end, in Unix nanoseconds: spans that start outside are no selection.
    pub window: Option<(i64, i64)>,
}

/// What is done to finished series.
#[derive(Clone, Debug, PartialEq)]
pub enum SecondStage {
    /// The largest of each step.
    TopK(i64),
    /// The smallest of each step.
    BottomK(i64),
    /// Points for which it holds.
    Filter(Op, Static),
}

//! The syntax tree. Every node knows where in the query it stands.

use reba_model::Matcher;

use super::function::Func;

/// A range of bytes in the query, `start..end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// First byte behind.
    pub end: u32,
}

impl Span {
    /// The range `start..end`.
    pub fn new(start: usize, end: usize) -> Self {
        Span { start: start as u32, end: end as u32 }
    }

    /// From the first byte of `self` to the last one of `other`.
    pub fn to(self, other: Span) -> Self {
        Span { start: self.start, end: other.end }
    }
}

/// What an expression evaluates to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// One number a step.
    Scalar,
    /// An instant vector: one sample a series.
    Vector,
    /// A range vector: several samples a series.
    Matrix,
    /// A text.
    String,
}

impl ValueType {
    /// As it is named in errors about types.
    pub fn describe(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
            ValueType::String => "string",
        }
    }

    /// As it is named in answers of the API (`resultType`) and in the tree of `/api/v1/parse_query`.
    pub fn as_str(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "vector",
            ValueType::Matrix => "matrix",
            ValueType::String => "string",
        }
    }
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// Two expressions are equal if they mean the same, wherever they stand. NaN equals NaN.
impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// The kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `1.5`, `0x1f`, `NaN`, `5m`
    Number(Number),
    /// `"text"`
    String(StringLiteral),
    /// `metric{label="value"} offset 5m @ end()`
    Vector(VectorSelector),
    /// `metric[5m]`
    Matrix(MatrixSelector),
    /// `expr[1h:5m]`
    Subquery(Box<Subquery>),
    /// `rate(…)`
    Call(Call),
    /// `sum by (job) (…)`
    Aggregate(Box<Aggregate>),
    /// `a + on (job) b`
    Binary(Box<Binary>),
    /// `-a`
    Unary(Box<Unary>),
    /// `(a)`
    Paren(Box<Expr>),
}

/// A number.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// Its value; seconds if it was written as a duration.
    pub value: f64,
    /// Whether it was written as a duration (`5m`); matters to printing only.
    pub duration: bool,
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        let same = self.value == other.value || (self.value.is_nan() && other.value.is_nan());
        same && self.duration == other.duration
    }
}

/// A text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StringLiteral {
    /// The text; what an escape like `\xff` made invalid UTF-8 is replaced by U+FFFD.
    pub value: String,
    /// The exact bytes, only if they are not valid UTF-8. They matter to printing, and to the name of a label, which
    /// they cannot be.
    pub raw: Option<Box<[u8]>>,
}

/// A length of time in a selector.
///
/// `expr` is there only if the query gave an experimental duration expression that depends on the query
/// (`[step() * 2]`); `resolve_durations` then works out `ms` before evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Duration {
    /// Milliseconds. Ranges and steps are above zero, offsets may be negative.
    pub ms: i64,
    /// The expression that `ms` is worked out from.
    pub expr: Option<Box<DurationExpr>>,
}

impl Duration {
    /// A plain duration.
    pub fn from_ms(ms: i64) -> Self {
        Duration { ms, expr: None }
    }
}

/// Arithmetic on durations (experimental). Values are seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationExpr {
    /// A number of seconds, or a duration.
    Number(Number),
    /// `step()`
    Step,
    /// `range()`
    Range,
    /// `-a` (a plus is dropped)
    Neg(Box<DurationExpr>),
    /// `a + b`: any of `+ - * / % ^`
    Binary(BinaryOp, Box<DurationExpr>, Box<DurationExpr>),
    /// `min_of(a, b)`
    MinOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `max_of(a, b)`
    MaxOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `(a)`
    Paren(Box<DurationExpr>),
}

/// The `@` modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Unix milliseconds.
    Timestamp(i64),
    /// `@ start()`: the first step of the query.
    Start,
    /// `@ end()`: the last step of the query.
    End,
}

/// A selector of instant vectors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorSelector {
    /// The metric name, if it was given before the braces, else empty.
    pub name: String,
    /// All conditions, those on `__name__` included that follow from `name` (it is the last) and from `{"name"}`.
    pub matchers: Vec<Matcher>,
    /// `offset`: how far back in time.
    pub offset: Duration,
    /// `@`
    pub at: Option<At>,
    /// `anchored` (experimental): a range takes in the last sample at or before its start.
    pub anchored: bool,
    /// `smoothed` (experimental): values at the ends of a range are interpolated.
    pub smoothed: bool,
}

/// A selector of range vectors.
#[derive(Clone, Debug)]
pub struct MatrixSelector {
    /// Which series, with offset and `@`.
    pub selector: VectorSelector,
    /// Where the selector stands, without the brackets.
    pub selector_span: Span,
    /// How much time.
    pub range: Duration,
}

impl PartialEq for MatrixSelector {
    fn eq(&self, other: &Self) -> bool {
        self.selector == other.selector && self.range == other.range
    }
}

/// A subquery.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// What is evaluated at each step.
    pub expr: Expr,
    /// How much time.
    pub range: Duration,
    /// Time between steps; none means the default evaluation interval.
    pub step: Option<Duration>,
    /// `offset`: how far back in time.
    pub offset: Duration,
    /// `@`
    pub at: Option<At>,
}

/// A call of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function.
    pub func: Func,
    /// Checked against the function's signature.
    pub args: Vec<Expr>,
}

/// An aggregation.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// How it aggregates.
    pub op: AggregateOp,
    /// The vector.
    pub expr: Expr,
    /// For those operators that take one: a scalar, or the text of `count_values`.
    pub param: Option<Expr>,
    /// Labels of `by` or `without`, as written.
    pub grouping: Vec<String>,
    /// Whether the labels are dropped rather than kept.
    pub without: bool,
}

/// An operation on two operands.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operation.
    pub op: BinaryOp,
    /// The left operand.
    pub lhs: Expr,
    /// The right operand.
    pub rhs: Expr,
    /// `bool`: a comparison gives 0 or 1 instead of filtering.
    pub bool_modifier: bool,
    /// How series find each other; there if and only if both operands are vectors.
    pub matching: Option<VectorMatching>,
}

/// A sign before an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Unary {
    /// The sign.
    pub op: Sign,
    /// The operand.
    pub expr: Expr,
}

/// `+` or `-` before an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// `+`
    Plus,
    /// `-`
    Minus,
}

impl Sign {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Sign::Plus => "+",
            Sign::Minus => "-",
        }
    }
}

/// How many series of one side may match one of the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MatchCardinality {
    /// No `group_left` or `group_right`.
    #[default]
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
    /// `and`, `or`, `unless`
    ManyToMany,
}

impl MatchCardinality {
    /// As upstream names it in errors and in the tree of `/api/v1/parse_query`.
    pub fn as_str(self) -> &'static str {
        match self {
            MatchCardinality::OneToOne => "one-to-one",
            MatchCardinality::ManyToOne => "many-to-one",
            MatchCardinality::OneToMany => "one-to-many",
            MatchCardinality::ManyToMany => "many-to-many",
        }
    }
}

/// How the series of two vectors find each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorMatching {
    /// How many may match.
    pub card: MatchCardinality,
    /// Labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Whether only `labels` count (`on`), or all but them (`ignoring`, or no modifier).
    pub on: bool,
    /// Labels of `group_left` or `group_right`: copied from the "one" side.
    pub include: Vec<String>,
    /// `fill_left` (experimental): the value of a missing series on the left.
    pub fill_left: Option<f64>,
    /// `fill_right` (experimental): the value of a missing series on the right.
    pub fill_right: Option<f64>,
}

/// Aggregation operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "every one is the PromQL word of the same name")]
pub enum AggregateOp {
    Avg,
    Bottomk,
    Count,
    CountValues,
    Group,
    LimitRatio,
    Limitk,
    Max,
    Min,
    Quantile,
    Stddev,
    Stdvar,
    Sum,
    Topk,
}

impl AggregateOp {
    /// Every operator, by name.
    pub const ALL: [AggregateOp; 14] = [
        AggregateOp::Avg,
        AggregateOp::Bottomk,
        AggregateOp::Count,
        AggregateOp::CountValues,
        AggregateOp::Group,
        AggregateOp::LimitRatio,
        AggregateOp::Limitk,
        AggregateOp::Max,
        AggregateOp::Min,
        AggregateOp::Quantile,
        AggregateOp::Stddev,
        AggregateOp::Stdvar,
        AggregateOp::Sum,
        AggregateOp::Topk,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            AggregateOp::Avg => "avg",
            AggregateOp::Bottomk => "bottomk",
            AggregateOp::Count => "count",
            AggregateOp::CountValues => "count_values",
            AggregateOp::Group => "group",
            AggregateOp::LimitRatio => "limit_ratio",
            AggregateOp::Limitk => "limitk",
            AggregateOp::Max => "max",
            AggregateOp::Min => "min",
            AggregateOp::Quantile => "quantile",
            AggregateOp::Stddev => "stddev",
            AggregateOp::Stdvar => "stdvar",
            AggregateOp::Sum => "sum",
            AggregateOp::Topk => "topk",
        }
    }

    /// The type of its parameter, if it takes one.
    pub fn param_type(self) -> Option<ValueType> {
        use AggregateOp as Op;
        match self {
            Op::CountValues => Some(ValueType::String),
            Op::Topk | Op::Bottomk | Op::Quantile | Op::Limitk | Op::LimitRatio => Some(ValueType::Scalar),
            _ => None,
        }
    }

    /// Whether it is accepted only with experimental functions switched on.
    pub fn is_experimental(self) -> bool {
        matches!(self, AggregateOp::Limitk | AggregateOp::LimitRatio)
    }
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `atan2`
    Atan2,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `</`: keeps the part of a histogram below
    TrimUpper,
    /// `>/`: keeps the part of a histogram above
    TrimLower,
    /// `and`
    And,
    /// `or`
    Or,
    /// `unless`
    Unless,
}

impl BinaryOp {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::TrimUpper => "</",
            BinaryOp::TrimLower => ">/",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Unless => "unless",
        }
    }

    /// How strongly it binds, from 1 (`or`) to 6 (`^`).
    pub fn precedence(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And | BinaryOp::Unless => 2,
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => 3,
            BinaryOp::TrimUpper | BinaryOp::TrimLower => 3,
            BinaryOp::Add | BinaryOp::Sub => 4,
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => 5,
            BinaryOp::Pow => 6,
        }
    }

    /// Whether `a op b op c` means `a op (b op c)`.
    pub fn is_right_associative(self) -> bool {
        self == BinaryOp::Pow
    }

    /// Whether it is one of `== != < <= > >=`.
    pub fn is_comparison(self) -> bool {
        use BinaryOp as Op;
        matches!(self, Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge)
    }

    /// Whether it is one of `and or unless`.
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }
}

impl Expr {
    /// What the expression evaluates to.
    pub fn value_type(&self) -> ValueType {
        let mut expr = self;
        loop {
            return match &expr.kind {
                ExprKind::Number(_) => ValueType::Scalar,
                ExprKind::String(_) => ValueType::String,
                ExprKind::Vector(_) | ExprKind::Aggregate(_) => ValueType::Vector,
                ExprKind::Matrix(_) | ExprKind::Subquery(_) => ValueType::Matrix,
                ExprKind::Call(call) => call.func.signature().returns,
                ExprKind::Binary(binary) => return binary.value_type(),
                ExprKind::Unary(unary) => {
                    expr = &unary.expr;
                    continue;
                }
                ExprKind::Paren(inner) => {
                    expr = inner;
                    continue;
                }
            };
        }
    }

    /// The expressions directly below, in the order in which upstream visits them.
    pub fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Vector(_) | ExprKind::Matrix(_) => vec![],
            ExprKind::Subquery(subquery) => vec![&subquery.expr],
            ExprKind::Call(call) => call.args.iter().collect(),
            ExprKind::Aggregate(agg) => std::iter::once(&agg.expr).chain(&agg.param).collect(),
            ExprKind::Binary(binary) => vec![&binary.lhs, &binary.rhs],
            ExprKind::Unary(unary) => vec![&unary.expr],
            ExprKind::Paren(inner) => vec![inner],
        }
    }

    /// Calls `visit` for this expression and all below it, parents first.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Expr)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }

    /// The expression inside of any parentheses.
    pub fn without_parens(&self) -> &Expr {
        let mut expr = self;
        while let ExprKind::Paren(inner) = &expr.kind {
            expr = inner;
        }
        expr
    }

    /// All selectors in it, those of ranges included, in the order of the query.
    pub fn selectors(&self) -> Vec<&VectorSelector> {
        let mut found = Vec::new();
        self.walk(&mut |e| match &e.kind {
            ExprKind::Vector(selector) => found.push(selector),
            ExprKind::Matrix(matrix) => found.push(&matrix.selector),
            _ => {}
        });
        found
    }

    /// Whether it has the same value at every step of a query, the stored samples unchanged: all its selectors
    /// are pinned by `@`, and none of its functions looks at the time of the step.
    pub fn is_step_invariant(&self) -> bool {
        match &self.kind {
            ExprKind::Number(_) | ExprKind::String(_) => true,
            ExprKind::Vector(selector) => selector.at.is_some(),
            ExprKind::Matrix(matrix) => matrix.selector.at.is_some(),
            ExprKind::Subquery(subquery) => subquery.at.is_some(),
            ExprKind::Call(call) if call.func == Func::Timestamp => call.args.iter().all(|arg| {
                // Of a plain selector the times of its samples are taken, of anything else that of the step.
                let arg = arg.without_parens();
                matches!(arg.kind, ExprKind::Vector(_)) && arg.is_step_invariant()
            }),
            ExprKind::Call(call) => {
                !call.func.depends_on_step_time(call.args.is_empty())
                    && call.args.iter().all(Expr::is_step_invariant)
            }
            _ => self.children().into_iter().all(Expr::is_step_invariant),
        }
    }
}

impl Binary {
    /// A scalar if both operands are, else a vector. The left spine is walked in a loop, for it may be long.
    fn value_type(&self) -> ValueType {
        let mut binary = self;
        loop {
            if binary.rhs.value_type() != ValueType::Scalar {
                return ValueType::Vector;
            }
            let ExprKind::Binary(left) = &binary.lhs.kind else { break };
            binary = left;
        }
        if binary.lhs.value_type() == ValueType::Scalar { ValueType::Scalar } else { ValueType::Vector }
    }
}

//! The tree of a query.

use reba_model::Matcher;

/// A query.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// Answers with log lines.
    Log(LogExpr),
    /// Answers with numbers.
    Metric(MetricExpr),
}

/// A selector and what is done to each line it selects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogExpr {
    /// About the stream's labels; all must match.
    pub matchers: Vec<Matcher>,
    /// In the order in which they run.
    pub stages: Vec<Stage>,
}

/// One step of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// `|= "x"`
    Line(LineFilter),
    /// `| json`, `| json a="b.c"`
    Json(Vec<Extraction>),
    /// `| logfmt`, `| logfmt --strict a="b"`
    Logfmt {
        /// Whether a malformed pair is an error.
        strict: bool,
        /// Whether empty values become labels.
        keep_empty: bool,
        /// What to take; everything if empty.
        extractions: Vec<Extraction>,
    },
    /// `| regexp "(?P<x>…)"`
    Regexp(String),
    /// `| pattern "<x> …"`
    Pattern(String),
    /// `| unpack`
    Unpack,
    /// `| level="error"`
    Label(LabelFilter),
    /// `| line_format "…"`
    LineFormat(String),
    /// `| label_format a=b, c="…"`
    LabelFormat(Vec<LabelFormat>),
    /// `| decolorize`
    Decolorize,
    /// `| drop a, b="x"`
    Drop(Vec<LabelPick>),
    /// `| keep a, b="x"`
    Keep(Vec<LabelPick>),
}

/// How a line is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineOp {
    /// `|=`
    Contains,
    /// `!=`
    NotContains,
    /// `|~`
    Matches,
    /// `!~`
    NotMatches,
    /// `|>`
    Pattern,
    /// `!>`
    NotPattern,
}

impl LineOp {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            LineOp::Contains => "|=",
            LineOp::NotContains => "!=",
            LineOp::Matches => "|~",
            LineOp::NotMatches => "!~",
            LineOp::Pattern => "|>",
            LineOp::NotPattern => "!>",
        }
    }

    /// Whether lines that match are dropped.
    pub fn is_negative(self) -> bool {
        matches!(self, LineOp::NotContains | LineOp::NotMatches | LineOp::NotPattern)
    }
}

/// `|= "a" or ip("10.0.0.0/8")`: a line passes if any alternative holds; with a negative operator, if none does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFilter {
    /// The operator.
    pub op: LineOp,
    /// At least one.
    pub alternatives: Vec<LineMatch>,
}

impl LineFilter {
    /// Whether it lets every line through: `|= ""`, `|~ ""`.
    pub fn is_trivial(&self) -> bool {
        let empty = |a: &LineMatch| matches!(a, LineMatch::Text(t) if t.is_empty());
        matches!(self.op, LineOp::Contains | LineOp::Matches) && self.alternatives.iter().any(empty)
    }
}

/// What a line is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineMatch {
    /// A text, an expression or a pattern, as the operator has it.
    Text(String),
    /// `ip("…")`: an address, a range or a network.
    Ip(String),
}

/// `label="path"` behind `json` and `logfmt`; a bare `label` is its own path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extraction {
    /// The label to set.
    pub label: String,
    /// Where the value stands.
    pub path: String,
}

/// A condition on labels.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelFilter {
    /// On the text of the value.
    Text(Matcher),
    /// On the value as a number.
    Number(Compared<f64>),
    /// On the value as a duration, in nanoseconds.
    Duration(Compared<i64>),
    /// On the value as a size, in bytes.
    Bytes(Compared<u64>),
    /// On the value as an address.
    Ip {
        /// The label.
        name: String,
        /// `!=` instead of `=`.
        negated: bool,
        /// An address, a range or a network.
        pattern: String,
    },
    /// Both.
    And(Box<LabelFilter>, Box<LabelFilter>),
    /// Either; the right one is not asked if the left one holds.
    Or(Box<LabelFilter>, Box<LabelFilter>),
}

/// A label compared with a constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared<T> {
    /// The label.
    pub name: String,
    /// How.
    pub op: CompareOp,
    /// With what.
    pub value: T,
}

/// How numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    /// `==`, also written `=` in label filters
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
}

impl CompareOp {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            CompareOp::Eq => "==",
            CompareOp::Ne => "!=",
            CompareOp::Lt => "<",
            CompareOp::Le => "<=",
            CompareOp::Gt => ">",
            CompareOp::Ge => ">=",
        }
    }

    /// Whether `a` stands to `b` as the operator says.
    pub fn holds<T: PartialOrd>(self, a: T, b: T) -> bool {
        match self {
            CompareOp::Eq => a == b,
            CompareOp::Ne => a != b,
            CompareOp::Lt => a < b,
            CompareOp::Le => a <= b,
            CompareOp::Gt => a > b,
            CompareOp::Ge => a >= b,
        }
    }
}

/// One part of `label_format`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelFormat {
    /// `to=from`: the label `from` is renamed.
    Rename {
        /// The new name.
        to: String,
        /// The old name.
        from: String,
    },
    /// `to="template"`
    Template {
        /// The label to set.
        to: String,
        /// The Go template that makes its value.
        template: String,
    },
}

/// One part of `drop` or `keep`.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelPick {
    /// The label whatever its value.
    Name(String),
    /// The label if its value matches.
    Match(Matcher),
}

/// What makes a number of a line's label.
#[derive(Clone, Debug, PartialEq)]
pub struct Unwrap {
    /// The label.
    pub label: String,
    /// How its text becomes a number.
    pub conversion: Conversion,
    /// Filters behind it.
    pub filters: Vec<LabelFilter>,
}

/// How an unwrapped text becomes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// As a float.
    Float,
    /// `duration(l)`: seconds.
    Duration,
    /// `duration_seconds(l)`: seconds as well.
    DurationSeconds,
    /// `bytes(l)`
    Bytes,
}

impl Conversion {
    /// The function's name; empty for floats.
    pub fn as_str(self) -> &'static str {
        match self {
            Conversion::Float => "",
            Conversion::Duration => "duration",
            Conversion::DurationSeconds => "duration_seconds",
            Conversion::Bytes => "bytes",
        }
    }
}

/// An expression whose answer is numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricExpr {
    /// `rate({…}[5m])`
    Range(RangeAggregation),
    /// `sum by (a) (…)`
    Vector(VectorAggregation),
    /// `a / b`
    Binary(Box<Binary>),
    /// `label_replace(v, "dst", "$1", "src", "re")`
    LabelReplace(Box<LabelReplace>),
    /// `2`
    Literal(f64),
    /// `vector(2)`
    VectorLiteral(f64),
}

/// A function over the lines of a window.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeAggregation {
    /// The function.
    pub op: RangeOp,
    /// The quantile of `quantile_over_time`.
    pub parameter: Option<f64>,
    /// The lines.
    pub log: LogExpr,
    /// What makes numbers of them, if it is not their count or size.
    pub unwrap: Option<Unwrap>,
    /// Length of the window, nanoseconds.
    pub range: i64,
    /// How far the window is shifted into the past, nanoseconds.
    pub offset: i64,
    /// Labels of the answer.
    pub grouping: Option<Grouping>,
}

macro_rules! names {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// As it is written.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            /// The one that is written so.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some($name::$variant),)+ _ => None }
            }
        }
    };
}

names! {
    /// A function over the lines of a window.
    pub enum RangeOp {
        /// Lines.
        Count = "count_over_time",
        /// Lines, or the sum of values, a second.
        Rate = "rate",
        /// Increase of a counter a second.
        RateCounter = "rate_counter",
        /// Bytes of lines.
        Bytes = "bytes_over_time",
        /// Bytes of lines a second.
        BytesRate = "bytes_rate",
        /// 1 where there are no lines.
        Absent = "absent_over_time",
        /// Sum of values.
        Sum = "sum_over_time",
        /// Mean of values.
        Avg = "avg_over_time",
        /// Largest value.
        Max = "max_over_time",
        /// Smallest value.
        Min = "min_over_time",
        /// Population variance of values.
        Stdvar = "stdvar_over_time",
        /// Population standard deviation of values.
        Stddev = "stddev_over_time",
        /// Quantile of values.
        Quantile = "quantile_over_time",
        /// Value of the earliest line.
        First = "first_over_time",
        /// Value of the latest line.
        Last = "last_over_time",
    }
}

names! {
    /// A function over series.
    pub enum VectorOp {
        /// Sum.
        Sum = "sum",
        /// Mean.
        Avg = "avg",
        /// Smallest.
        Min = "min",
        /// Largest.
        Max = "max",
        /// How many.
        Count = "count",
        /// Population standard deviation.
        Stddev = "stddev",
        /// Population variance.
        Stdvar = "stdvar",
        /// The k largest.
        TopK = "topk",
        /// The k smallest.
        BottomK = "bottomk",
        /// About the k largest.
        ApproxTopK = "approx_topk",
        /// Sorted by rising value.
        Sort = "sort",
        /// Sorted by falling value.
        SortDesc = "sort_desc",
    }
}

names! {
    /// An operator between two expressions.
    pub enum BinaryOp {
        /// Union.
        Or = "or",
        /// Intersection.
        And = "and",
        /// Complement.
        Unless = "unless",
        /// Sum.
        Add = "+",
        /// Difference.
        Sub = "-",
        /// Product.
        Mul = "*",
        /// Quotient.
        Div = "/",
        /// Remainder.
        Mod = "%",
        /// Power.
        Pow = "^",
        /// Equal.
        Eq = "==",
        /// Not equal.
        Ne = "!=",
        /// Greater.
        Gt = ">",
        /// Greater or equal.
        Ge = ">=",
        /// Less.
        Lt = "<",
        /// Less or equal.
        Le = "<=",
    }
}

impl BinaryOp {
    /// Whether it works on sets of series.
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::Or | BinaryOp::And | BinaryOp::Unless)
    }

    /// Whether it compares.
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Gt | BinaryOp::Ge | BinaryOp::Lt | BinaryOp::Le
        )
    }
}

/// A function over series.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorAggregation {
    /// The function.
    pub op: VectorOp,
    /// The k of `topk` and its like.
    pub k: Option<u64>,
    /// The series.
    pub inner: Box<MetricExpr>,
    /// Labels of the answer.
    pub grouping: Option<Grouping>,
}

/// `by (a, b)` or `without (a, b)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// Whether the labels are dropped instead of kept.
    pub without: bool,
    /// The labels.
    pub labels: Vec<String>,
}

/// An operator between two expressions.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Its left side.
    pub left: MetricExpr,
    /// Its right side.
    pub right: MetricExpr,
    /// Whether a comparison answers with 0 and 1 instead of filtering.
    pub bool_modifier: bool,
    /// Which series belong together.
    pub matching: Option<Matching>,
}

/// Which series of the two sides belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    /// `on` (true) or `ignoring`.
    pub on: bool,
    /// The labels behind it.
    pub labels: Vec<String>,
    /// `group_left` or `group_right`.
    pub group: Option<Group>,
}

/// The side with many series for one of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// `group_left`, or else `group_right`.
    pub left: bool,
    /// Labels taken over from the other side.
    pub include: Vec<String>,
}

/// `label_replace(v, "dst", "$1", "src", "re")`
#[derive(Clone, Debug, PartialEq)]
pub struct LabelReplace {
    /// The series.
    pub inner: MetricExpr,
    /// The label to set.
    pub dst: String,
    /// What to, with `$1` for the first group.
    pub replacement: String,
    /// The label to read.
    pub src: String,
    /// The expression, anchored.
    pub regex: String,
}

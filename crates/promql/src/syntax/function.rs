//! The functions of PromQL and their signatures.

use super::ast::ValueType::{self, Matrix, Scalar, String as Text, Vector};

/// What a function takes and gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name in queries.
    pub name: &'static str,
    /// Types of the arguments; the last one repeats if more are allowed.
    pub args: &'static [ValueType],
    /// Arguments beyond or below `args`.
    pub variadic: Variadic,
    /// Type of the result.
    pub returns: ValueType,
    /// Whether it is accepted only with experimental functions switched on.
    pub experimental: bool,
}

/// How many arguments a function takes beside those of its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variadic {
    /// Exactly the declared ones.
    No,
    /// The last declared one may be left out, or be given up to so many times in all.
    UpTo(usize),
    /// The last declared one may be left out, or be given any number of times.
    Any,
}

/// Every function of Prometheus 2.48 and 3.x.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "every one is the PromQL function of the same name")]
pub enum Func {
    Abs,
    Absent,
    AbsentOverTime,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    AvgOverTime,
    Ceil,
    Changes,
    Clamp,
    ClampMax,
    ClampMin,
    Cos,
    Cosh,
    CountOverTime,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    DaysInMonth,
    Deg,
    Delta,
    Deriv,
    DoubleExponentialSmoothing,
    End,
    Exp,
    FirstOverTime,
    Floor,
    HistogramAvg,
    HistogramCount,
    HistogramFraction,
    HistogramQuantile,
    HistogramQuantiles,
    HistogramStddev,
    HistogramStdvar,
    HistogramSum,
    HoltWinters,
    Hour,
    Idelta,
    Increase,
    Info,
    Irate,
    LabelJoin,
    LabelReplace,
    LastOverTime,
    Ln,
    Log10,
    Log2,
    MadOverTime,
    MaxOf,
    MaxOverTime,
    MinOf,
    MinOverTime,
    Minute,
    Month,
    Pi,
    PredictLinear,
    PresentOverTime,
    QuantileOverTime,
    Rad,
    Range,
    Rate,
    Resets,
    Round,
    Scalar,
    Sgn,
    Sin,
    Sinh,
    Sort,
    SortByLabel,
    SortByLabelDesc,
    SortDesc,
    Sqrt,
    Start,
    StartTimestamp,
    StddevOverTime,
    StdvarOverTime,
    Step,
    SumOverTime,
    Tan,
    Tanh,
    Time,
    Timestamp,
    TsOfFirstOverTime,
    TsOfLastOverTime,
    TsOfMaxOverTime,
    TsOfMinOverTime,
    Vector,
    Year,
}

/// Signatures in the order of [`Func`], which is the order of names.
#[rustfmt::skip]
static SIGNATURES: [Signature; 91] = [
    stable("abs", &[Vector], Variadic::No, Vector),
    stable("absent", &[Vector], Variadic::No, Vector),
    stable("absent_over_time", &[Matrix], Variadic::No, Vector),
    stable("acos", &[Vector], Variadic::No, Vector),
    stable("acosh", &[Vector], Variadic::No, Vector),
    stable("asin", &[Vector], Variadic::No, Vector),
    stable("asinh", &[Vector], Variadic::No, Vector),
    stable("atan", &[Vector], Variadic::No, Vector),
    stable("atanh", &[Vector], Variadic::No, Vector),
    stable("avg_over_time", &[Matrix], Variadic::No, Vector),
    stable("ceil", &[Vector], Variadic::No, Vector),
    stable("changes", &[Matrix], Variadic::No, Vector),
    stable("clamp", &[Vector, Scalar, Scalar], Variadic::No, Vector),
    stable("clamp_max", &[Vector, Scalar], Variadic::No, Vector),
    stable("clamp_min", &[Vector, Scalar], Variadic::No, Vector),
    stable("cos", &[Vector], Variadic::No, Vector),
    stable("cosh", &[Vector], Variadic::No, Vector),
    stable("count_over_time", &[Matrix], Variadic::No, Vector),
    stable("day_of_month", &[Vector], Variadic::UpTo(1), Vector),
    stable("day_of_week", &[Vector], Variadic::UpTo(1), Vector),
    stable("day_of_year", &[Vector], Variadic::UpTo(1), Vector),
    stable("days_in_month", &[Vector], Variadic::UpTo(1), Vector),
    stable("deg", &[Vector], Variadic::No, Vector),
    stable("delta", &[Matrix], Variadic::No, Vector),
    stable("deriv", &[Matrix], Variadic::No, Vector),
    experimental("double_exponential_smoothing", &[Matrix, Scalar, Scalar], Variadic::No, Vector),
    experimental("end", &[], Variadic::No, Scalar),
    stable("exp", &[Vector], Variadic::No, Vector),
    stable("first_over_time", &[Matrix], Variadic::No, Vector),
    stable("floor", &[Vector], Variadic::No, Vector),
    stable("histogram_avg", &[Vector], Variadic::No, Vector),
    stable("histogram_count", &[Vector], Variadic::No, Vector),
    stable("histogram_fraction", &[Scalar, Scalar, Vector], Variadic::No, Vector),
    stable("histogram_quantile", &[Scalar, Vector], Variadic::No, Vector),
    experimental("histogram_quantiles", &[Vector, Text, Scalar, Scalar], Variadic::UpTo(9), Vector),
    stable("histogram_stddev", &[Vector], Variadic::No, Vector),
    stable("histogram_stdvar", &[Vector], Variadic::No, Vector),
    stable("histogram_sum", &[Vector], Variadic::No, Vector),
    stable("holt_winters", &[Matrix, Scalar, Scalar], Variadic::No, Vector),
    stable("hour", &[Vector], Variadic::UpTo(1), Vector),
    stable("idelta", &[Matrix], Variadic::No, Vector),
    stable("increase", &[Matrix], Variadic::No, Vector),
    experimental("info", &[Vector, Vector], Variadic::UpTo(1), Vector),
    stable("irate", &[Matrix], Variadic::No, Vector),
    stable("label_join", &[Vector, Text, Text, Text], Variadic::Any, Vector),
    stable("label_replace", &[Vector, Text, Text, Text, Text], Variadic::No, Vector),
    stable("last_over_time", &[Matrix], Variadic::No, Vector),
    stable("ln", &[Vector], Variadic::No, Vector),
    stable("log10", &[Vector], Variadic::No, Vector),
    stable("log2", &[Vector], Variadic::No, Vector),
    experimental("mad_over_time", &[Matrix], Variadic::No, Vector),
    experimental("max_of", &[Scalar, Scalar], Variadic::No, Scalar),
    stable("max_over_time", &[Matrix], Variadic::No, Vector),
    experimental("min_of", &[Scalar, Scalar], Variadic::No, Scalar),
    stable("min_over_time", &[Matrix], Variadic::No, Vector),
    stable("minute", &[Vector], Variadic::UpTo(1), Vector),
    stable("month", &[Vector], Variadic::UpTo(1), Vector),
    stable("pi", &[], Variadic::No, Scalar),
    stable("predict_linear", &[Matrix, Scalar], Variadic::No, Vector),
    stable("present_over_time", &[Matrix], Variadic::No, Vector),
    stable("quantile_over_time", &[Scalar, Matrix], Variadic::No, Vector),
    stable("rad", &[Vector], Variadic::No, Vector),
    experimental("range", &[], Variadic::No, Scalar),
    stable("rate", &[Matrix], Variadic::No, Vector),
    stable("resets", &[Matrix], Variadic::No, Vector),
    stable("round", &[Vector, Scalar], Variadic::UpTo(1), Vector),
    stable("scalar", &[Vector], Variadic::No, Scalar),
    stable("sgn", &[Vector], Variadic::No, Vector),
    stable("sin", &[Vector], Variadic::No, Vector),
    stable("sinh", &[Vector], Variadic::No, Vector),
    stable("sort", &[Vector], Variadic::No, Vector),
    experimental("sort_by_label", &[Vector, Text], Variadic::Any, Vector),
    experimental("sort_by_label_desc", &[Vector, Text], Variadic::Any, Vector),
    stable("sort_desc", &[Vector], Variadic::No, Vector),
    stable("sqrt", &[Vector], Variadic::No, Vector),
    experimental("start", &[], Variadic::No, Scalar),
    experimental("start_timestamp", &[Vector], Variadic::No, Vector),
    stable("stddev_over_time", &[Matrix], Variadic::No, Vector),
    stable("stdvar_over_time", &[Matrix], Variadic::No, Vector),
    experimental("step", &[], Variadic::No, Scalar),
    stable("sum_over_time", &[Matrix], Variadic::No, Vector),
    stable("tan", &[Vector], Variadic::No, Vector),
    stable("tanh", &[Vector], Variadic::No, Vector),
    stable("time", &[], Variadic::No, Scalar),
    stable("timestamp", &[Vector], Variadic::No, Vector),
    experimental("ts_of_first_over_time", &[Matrix], Variadic::No, Vector),
    experimental("ts_of_last_over_time", &[Matrix], Variadic::No, Vector),
    experimental("ts_of_max_over_time", &[Matrix], Variadic::No, Vector),
    experimental("ts_of_min_over_time", &[Matrix], Variadic::No, Vector),
    stable("vector", &[Scalar], Variadic::No, Vector),
    stable("year", &[Vector], Variadic::UpTo(1), Vector),
];

const fn stable(
    name: &'static str,
    args: &'static [ValueType],
    variadic: Variadic,
    returns: ValueType,
) -> Signature {
    Signature { name, args, variadic, returns, experimental: false }
}

const fn experimental(
    name: &'static str,
    args: &'static [ValueType],
    variadic: Variadic,
    returns: ValueType,
) -> Signature {
    Signature { name, args, variadic, returns, experimental: true }
}

impl Func {
    /// Every function, by name.
    #[rustfmt::skip]
    pub const ALL: [Func; 91] = [
        Func::Abs, Func::Absent, Func::AbsentOverTime, Func::Acos, Func::Acosh, Func::Asin, Func::Asinh,
        Func::Atan, Func::Atanh, Func::AvgOverTime, Func::Ceil, Func::Changes, Func::Clamp, Func::ClampMax,
        Func::ClampMin, Func::Cos, Func::Cosh, Func::CountOverTime, Func::DayOfMonth, Func::DayOfWeek,
        Func::DayOfYear, Func::DaysInMonth, Func::Deg, Func::Delta, Func::Deriv,
        Func::DoubleExponentialSmoothing, Func::End, Func::Exp, Func::FirstOverTime, Func::Floor,
        Func::HistogramAvg, Func::HistogramCount, Func::HistogramFraction, Func::HistogramQuantile,
        Func::HistogramQuantiles, Func::HistogramStddev, Func::HistogramStdvar, Func::HistogramSum,
        Func::HoltWinters, Func::Hour, Func::Idelta, Func::Increase, Func::Info, Func::Irate,
        Func::LabelJoin, Func::LabelReplace, Func::LastOverTime, Func::Ln, Func::Log10, Func::Log2,
        Func::MadOverTime, Func::MaxOf, Func::MaxOverTime, Func::MinOf, Func::MinOverTime, Func::Minute,
        Func::Month, Func::Pi, Func::PredictLinear, Func::PresentOverTime, Func::QuantileOverTime,
        Func::Rad, Func::Range, Func::Rate, Func::Resets, Func::Round, Func::Scalar, Func::Sgn, Func::Sin,
        Func::Sinh, Func::Sort, Func::SortByLabel, Func::SortByLabelDesc, Func::SortDesc, Func::Sqrt,
        Func::Start, Func::StartTimestamp, Func::StddevOverTime, Func::StdvarOverTime, Func::Step,
        Func::SumOverTime, Func::Tan, Func::Tanh, Func::Time, Func::Timestamp, Func::TsOfFirstOverTime,
        Func::TsOfLastOverTime, Func::TsOfMaxOverTime, Func::TsOfMinOverTime, Func::Vector, Func::Year,
    ];

    /// The function of this name. Names are case-sensitive.
    pub fn from_name(name: &str) -> Option<Func> {
        SIGNATURES.binary_search_by(|s| s.name.cmp(name)).ok().map(|i| Func::ALL[i])
    }

    /// What it takes and gives.
    pub fn signature(self) -> &'static Signature {
        &SIGNATURES[self as usize]
    }

    /// The name in queries.
    pub fn name(self) -> &'static str {
        self.signature().name
    }

    /// Whether the result changes with the time of the step even if no argument does. `timestamp` counts, unless
    /// the caller knows that its argument is pinned and no plain selector; the functions of dates count only
    /// without an argument.
    pub fn depends_on_step_time(self, no_args: bool) -> bool {
        use Func as F;
        match self {
            F::End | F::PredictLinear | F::Range | F::Start | F::Step | F::Time | F::Timestamp => true,
            F::DaysInMonth | F::DayOfMonth | F::DayOfWeek | F::DayOfYear => no_args,
            F::Hour | F::Minute | F::Month | F::Year => no_args,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_found_by_its_name() {
        for func in Func::ALL {
            assert_eq!(Func::from_name(func.name()), Some(func));
        }
        assert_eq!(Func::from_name("Rate"), None);
    }
}

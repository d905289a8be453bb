//! From tree to text, on one line.

use std::fmt::{self, Display, Formatter};

use reba_model::float::{format_f, go_quote};

use super::ast::{
    Binary, Conversion, Expr, Extraction, Grouping, LabelFilter, LabelFormat, LabelPick, LineFilter,
    LineMatch, LogExpr, Matching, MetricExpr, RangeAggregation, Stage, Unwrap, VectorAggregation,
};
use crate::units::{format_byte_size, format_duration, format_go_duration};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Log(log) => log.fmt(f),
            Expr::Metric(metric) => metric.fmt(f),
        }
    }
}

/// Writes `items` with `separator` between them.
fn join<T: Display>(f: &mut Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

impl LogExpr {
    fn write_selector(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        join(f, &self.matchers, ", ")?;
        f.write_str("}")
    }

    fn write_stages(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for stage in &self.stages {
            write!(f, " {stage}")?;
        }
        Ok(())
    }
}

impl Display for LogExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.write_selector(f)?;
        self.write_stages(f)
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Line(filter) => filter.fmt(f),
            Stage::Json(extractions) => {
                f.write_str("| json")?;
                write_extractions(f, extractions)
            }
            Stage::Logfmt { strict, keep_empty, extractions } => {
                f.write_str("| logfmt")?;
                f.write_str(if *strict { " --strict" } else { "" })?;
                f.write_str(if *keep_empty { " --keep-empty" } else { "" })?;
                write_extractions(f, extractions)
            }
            Stage::Regexp(expression) => write!(f, "| regexp {}", go_quote(expression)),
            Stage::Pattern(pattern) => write!(f, "| pattern {}", go_quote(pattern)),
            Stage::Unpack => f.write_str("| unpack"),
            Stage::Label(filter) => write!(f, "| {filter}"),
            Stage::LineFormat(template) => write!(f, "| line_format {}", go_quote(template)),
            Stage::LabelFormat(formats) => {
                f.write_str("| label_format ")?;
                join(f, formats, ", ")
            }
            Stage::Decolorize => f.write_str("| decolorize"),
            Stage::Drop(picks) => {
                f.write_str("| drop ")?;
                join(f, picks, ", ")
            }
            Stage::Keep(picks) => {
                f.write_str("| keep ")?;
                join(f, picks, ", ")
            }
        }
    }
}

fn write_extractions(f: &mut Formatter<'_>, extractions: &[Extraction]) -> fmt::Result {
    f.write_str(if extractions.is_empty() { "" } else { " " })?;
    join(f, extractions, ",")
}

impl Display for Extraction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.label, go_quote(&self.path))
    }
}

impl Display for LineFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.op.as_str())?;
        join(f, &self.alternatives, " or ")
    }
}

impl Display for LineMatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LineMatch::Text(text) => f.write_str(&go_quote(text)),
            LineMatch::Ip(pattern) => write!(f, "ip({})", go_quote(pattern)),
        }
    }
}

impl Display for LabelFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LabelFilter::Text(matcher) => matcher.fmt(f),
            LabelFilter::Number(c) => write!(f, "{} {} {}", c.name, c.op.as_str(), format_f(c.value)),
            LabelFilter::Duration(c) => {
                write!(f, "{} {} {}", c.name, c.op.as_str(), format_go_duration(c.value))
            }
            LabelFilter::Bytes(c) => write!(f, "{} {} {}", c.name, c.op.as_str(), exact_size(c.value)),
            LabelFilter::Ip { name, negated, pattern } => {
                write!(f, "{name} {} ip({})", if *negated { "!=" } else { "=" }, go_quote(pattern))
            }
            LabelFilter::And(left, right) => write!(f, "({left} and {right})"),
            LabelFilter::Or(left, right) => write!(f, "({left} or {right})"),
        }
    }
}

/// A size in the words of people where that is exact, else in bytes.
fn exact_size(bytes: u64) -> String {
    let nice = format_byte_size(bytes);
    if crate::units::byte_size(&nice) == Ok(bytes) { nice } else { format!("{bytes}B") }
}

impl Display for LabelFormat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LabelFormat::Rename { to, from } => write!(f, "{to}={from}"),
            LabelFormat::Template { to, template } => write!(f, "{to}={}", go_quote(template)),
        }
    }
}

impl Display for LabelPick {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LabelPick::Name(name) => f.write_str(name),
            LabelPick::Match(matcher) => matcher.fmt(f),
        }
    }
}

impl Display for Unwrap {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.conversion {
            Conversion::Float => write!(f, "| unwrap {}", self.label)?,
            conversion => write!(f, "| unwrap {}({})", conversion.as_str(), self.label)?,
        }
        self.filters.iter().try_for_each(|filter| write!(f, " | {filter}"))
    }
}

impl Display for MetricExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            MetricExpr::Range(aggregation) => aggregation.fmt(f),
            MetricExpr::Vector(aggregation) => aggregation.fmt(f),
            MetricExpr::Binary(binary) => binary.fmt(f),
            MetricExpr::LabelReplace(call) => write!(
                f,
                "label_replace({}, {}, {}, {}, {})",
                call.inner,
                go_quote(&call.dst),
                go_quote(&call.replacement),
                go_quote(&call.src),
                go_quote(&call.regex)
            ),
            MetricExpr::Literal(value) => f.write_str(&format_f(*value)),
            MetricExpr::VectorLiteral(value) => write!(f, "vector({})", format_f(*value)),
        }
    }
}

impl Display for RangeAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.op.as_str())?;
        if let Some(parameter) = self.parameter {
            write!(f, "{}, ", format_f(parameter))?;
        }
        self.log.fmt(f)?;
        if let Some(unwrap) = &self.unwrap {
            write!(f, " {unwrap}")?;
        }
        write!(f, "[{}]", format_duration(self.range))?;
        if self.offset != 0 {
            write!(f, " offset {}", format_duration(self.offset))?;
        }
        f.write_str(")")?;
        match &self.grouping {
            Some(grouping) => write!(f, " {grouping}"),
            None => Ok(()),
        }
    }
}

impl Display for VectorAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.op.as_str())?;
        if let Some(grouping) = &self.grouping {
            write!(f, " {grouping}")?;
        }
        match self.k {
            Some(k) => write!(f, "({k}, {})", self.inner),
            None => write!(f, "({})", self.inner),
        }
    }
}

impl Display for Grouping {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", if self.without { "without" } else { "by" }, self.labels.join(", "))
    }
}

impl Display for Binary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "({} {}", self.left, self.op.as_str())?;
        f.write_str(if self.bool_modifier { " bool" } else { "" })?;
        if let Some(matching) = &self.matching {
            write!(f, " {matching}")?;
        }
        write!(f, " {})", self.right)
    }
}

impl Display for Matching {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", if self.on { "on" } else { "ignoring" }, self.labels.join(", "))?;
        match &self.group {
            Some(group) => {
                let side = if group.left { "group_left" } else { "group_right" };
                write!(f, " {side} ({})", group.include.join(", "))
            }
            None => Ok(()),
        }
    }
}

//! From a tree to text: on one line as upstream's `Expr.String()`, or over several as its `Pretty()`.

use std::fmt::{self, Display, Formatter, Write as _};

use reba_model::{
    METRIC_NAME, MatchOp, duration,
    float::{format_f, format_g, go_quote},
    is_legacy_label_name,
};

use super::{
    ast::{
        Aggregate, At, Binary, Call, Duration, DurationExpr, Expr, ExprKind, MatchCardinality,
        MatrixSelector, Number, StringLiteral, Subquery, VectorMatching, VectorSelector,
    },
    literal::quote_bytes,
};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(number) => number.fmt(f),
            ExprKind::String(text) => text.fmt(f),
            ExprKind::Vector(selector) => selector.fmt(f),
            ExprKind::Matrix(matrix) => matrix.fmt(f),
            ExprKind::Subquery(subquery) => {
                subquery.expr.fmt(f)?;
                subquery.write_suffix(f)
            }
            ExprKind::Call(call) => call.fmt(f),
            ExprKind::Aggregate(aggregate) => aggregate.fmt(f),
            ExprKind::Binary(binary) => binary.fmt(f),
            ExprKind::Unary(unary) => write!(f, "{}{}", unary.op.as_str(), unary.expr),
            ExprKind::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.duration {
            return f.write_str(&duration::format((self.value * 1000.0).round() as i64));
        }
        f.write_str(&format_f(self.value))
    }
}

impl Display for StringLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.raw {
            Some(raw) => f.write_str(&quote_bytes(raw)),
            None => f.write_str(&go_quote(&self.value)),
        }
    }
}

impl Display for Duration {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.expr {
            Some(expr) => expr.fmt(f),
            None => f.write_str(&duration::format(self.ms)),
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            DurationExpr::Number(number) => number.fmt(f),
            DurationExpr::Step => f.write_str("step()"),
            DurationExpr::Range => f.write_str("range()"),
            DurationExpr::Neg(inner) => write!(f, "-{inner}"),
            DurationExpr::Binary(op, a, b) => write!(f, "{a} {} {b}", op.as_str()),
            DurationExpr::MinOf(a, b) => write!(f, "min_of({a}, {b})"),
            DurationExpr::MaxOf(a, b) => write!(f, "max_of({a}, {b})"),
            DurationExpr::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

impl Display for VectorSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.write_series(f)?;
        write_at(f, self.at)?;
        self.write_extension(f)?;
        write_offset(f, &self.offset)
    }
}

impl VectorSelector {
    /// Name and matchers, these sorted by their text.
    fn write_series(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let is_name = |m: &&reba_model::Matcher| {
            m.name == METRIC_NAME && m.op == MatchOp::Equal && m.value == self.name
        };
        let mut shown: Vec<String> = self
            .matchers
            .iter()
            .filter(|m| m.value.is_empty() || !is_name(m))
            .map(|m| m.to_string())
            .collect();
        if shown.is_empty() {
            return Ok(());
        }
        shown.sort();
        write!(f, "{{{}}}", shown.join(","))
    }

    fn write_extension(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.anchored, self.smoothed) {
            (true, _) => f.write_str(" anchored"),
            (false, true) => f.write_str(" smoothed"),
            (false, false) => Ok(()),
        }
    }
}

impl Display for MatrixSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.selector.write_series(f)?;
        write!(f, "[{}]", self.range)?;
        self.selector.write_extension(f)?;
        write_at(f, self.selector.at)?;
        write_offset(f, &self.selector.offset)
    }
}

impl Subquery {
    fn write_suffix(&self, f: &mut impl fmt::Write) -> fmt::Result {
        write!(f, "[{}:", self.range)?;
        if let Some(step) = &self.step {
            write!(f, "{step}")?;
        }
        f.write_char(']')?;
        write_at(f, self.at)?;
        write_offset(f, &self.offset)
    }
}

fn write_at(f: &mut impl fmt::Write, at: Option<At>) -> fmt::Result {
    match at {
        None => Ok(()),
        Some(At::Timestamp(ms)) => write!(f, " @ {:.3}", ms as f64 / 1000.0),
        Some(At::Start) => f.write_str(" @ start()"),
        Some(At::End) => f.write_str(" @ end()"),
    }
}

fn write_offset(f: &mut impl fmt::Write, offset: &Duration) -> fmt::Result {
    if offset.expr.is_none() && offset.ms == 0 {
        return Ok(());
    }
    write!(f, " offset {offset}")
}

fn write_labels(f: &mut impl fmt::Write, labels: &[String]) -> fmt::Result {
    for (i, label) in labels.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        if is_legacy_label_name(label) {
            f.write_str(label)?;
        } else {
            f.write_str(&go_quote(label))?;
        }
    }
    Ok(())
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.func.name())?;
        for (i, arg) in self.args.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            arg.fmt(f)?;
        }
        f.write_char(')')
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.write_head(f)?;
        f.write_char('(')?;
        if let Some(param) = &self.param {
            write!(f, "{param}, ")?;
        }
        write!(f, "{})", self.expr)
    }
}

impl Aggregate {
    fn write_head(&self, f: &mut impl fmt::Write) -> fmt::Result {
        f.write_str(self.op.as_str())?;
        if !self.without && self.grouping.is_empty() {
            return Ok(());
        }
        f.write_str(if self.without { " without (" } else { " by (" })?;
        write_labels(f, &self.grouping)?;
        f.write_str(") ")
    }
}

impl Display for Binary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.lhs)?;
        self.write_operator(f)?;
        write!(f, " {}", self.rhs)
    }
}

impl Binary {
    /// The operator with its modifiers.
    fn write_operator(&self, f: &mut impl fmt::Write) -> fmt::Result {
        f.write_str(self.op.as_str())?;
        if self.bool_modifier {
            f.write_str(" bool")?;
        }
        self.matching.as_ref().map_or(Ok(()), |matching| matching.write_to(f))
    }
}

impl VectorMatching {
    fn write_to(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let group = match self.card {
            MatchCardinality::ManyToOne => Some("group_left"),
            MatchCardinality::OneToMany => Some("group_right"),
            MatchCardinality::OneToOne | MatchCardinality::ManyToMany => None,
        };
        if !self.labels.is_empty() || self.on || group.is_some() {
            f.write_str(if self.on { " on (" } else { " ignoring (" })?;
            write_labels(f, &self.labels)?;
            f.write_char(')')?;
        }
        if let Some(group) = group {
            write!(f, " {group} (")?;
            write_labels(f, &self.include)?;
            f.write_char(')')?;
        }
        match (self.fill_left, self.fill_right) {
            (Some(left), Some(right)) if left == right => write!(f, " fill ({})", format_g(left)),
            (left, right) => {
                left.map_or(Ok(()), |v| write!(f, " fill_left ({})", format_g(v)))?;
                right.map_or(Ok(()), |v| write!(f, " fill_right ({})", format_g(v)))
            }
        }
    }
}

/// An expression that is longer than this is spread over several lines.
const MAX_WIDTH: usize = 100;

impl Expr {
    /// The expression over several lines, two blanks of indentation a level, as `/api/v1/format_query` shows it.
    pub fn pretty(&self) -> String {
        self.pretty_within(MAX_WIDTH)
    }

    /// The same with lines of another width; one that is short shows every split.
    pub fn pretty_within(&self, width: usize) -> String {
        let mut pretty = Pretty { text: String::new(), width };
        // Writing to a text does not fail.
        let _ = pretty.expr(self, 0);
        pretty.text
    }
}

/// A text that refuses to become longer than a line, so that to find out whether an expression is short takes no
/// longer than to print a short one.
struct Line {
    text: String,
    width: usize,
}

impl Line {
    fn of(expr: &Expr, width: usize) -> Option<String> {
        let mut line = Line { text: String::new(), width };
        write!(line, "{expr}").ok().map(|()| line.text)
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        if self.text.len() + s.len() > self.width {
            return Err(fmt::Error);
        }
        self.text.push_str(s);
        Ok(())
    }
}

/// One rendering: what is short enough stays on its line, everything else is split at its outermost joint.
struct Pretty {
    text: String,
    width: usize,
}

impl Pretty {
    fn indent(&mut self, level: usize) {
        self.text.extend(std::iter::repeat_n("  ", level));
    }

    /// The expression at a level of indentation, for which the parent has begun a new line.
    fn expr(&mut self, expr: &Expr, level: usize) -> fmt::Result {
        if let ExprKind::Unary(unary) = &expr.kind {
            self.indent(level);
            let mut operand = Pretty { text: String::new(), width: self.width };
            operand.expr(&unary.expr, level)?;
            return write!(self.text, "{}{}", unary.op.as_str(), operand.text.trim());
        }
        if let Some(line) = Line::of(expr, self.width) {
            // Upstream leaves a subquery that fits on its line without indentation.
            if !matches!(expr.kind, ExprKind::Subquery(_)) {
                self.indent(level);
            }
            self.text.push_str(&line);
            return Ok(());
        }
        match &expr.kind {
            ExprKind::Aggregate(aggregate) => {
                self.indent(level);
                aggregate.write_head(&mut self.text)?;
                let args = aggregate.param.iter().chain([&aggregate.expr]);
                self.args(args, level)
            }
            ExprKind::Call(call) => {
                self.indent(level);
                self.text.push_str(call.func.name());
                self.args(call.args.iter(), level)
            }
            ExprKind::Paren(inner) => {
                self.indent(level);
                self.args([&**inner], level)
            }
            ExprKind::Binary(binary) => {
                self.expr(&binary.lhs, level + 1)?;
                self.text.push('\n');
                self.indent(level);
                binary.write_operator(&mut self.text)?;
                self.text.push('\n');
                self.expr(&binary.rhs, level + 1)
            }
            ExprKind::Subquery(subquery) => {
                self.expr(&subquery.expr, level)?;
                subquery.write_suffix(&mut self.text)
            }
            _ => {
                self.indent(level);
                write!(self.text, "{expr}")
            }
        }
    }

    /// Parentheses with one argument a line.
    fn args<'a>(&mut self, args: impl IntoIterator<Item = &'a Expr>, level: usize) -> fmt::Result {
        self.text.push_str("(\n");
        for (i, arg) in args.into_iter().enumerate() {
            if i > 0 {
                self.text.push_str(",\n");
            }
            self.expr(arg, level + 1)?;
        }
        self.text.push('\n');
        self.indent(level);
        self.text.push(')');
        Ok(())
    }
}

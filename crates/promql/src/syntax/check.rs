//! Types, numbers of arguments, and what else makes sense of a tree that is well-formed.

use reba_model::{METRIC_NAME, float::go_quote};

use super::{
    ast::{
        Aggregate, Binary, Call, Expr, ExprKind, MatchCardinality, Span, Subquery, Unary, ValueType,
        VectorSelector,
    },
    error::ParseError,
    function::{Func, Variadic},
};

type Checked<T = ()> = Result<T, ParseError>;

/// Checks the tree and settles what depends on types: which operations match vectors, and how.
pub(super) fn check(query: &str, expr: &mut Expr) -> Checked {
    Checker { query }.expr(expr).map(|_| ())
}

struct Checker<'a> {
    query: &'a str,
}

impl Checker<'_> {
    fn fail<T>(&self, span: Span, message: impl Into<String>) -> Checked<T> {
        Err(ParseError::new(self.query, span, message.into()))
    }

    /// Checks everything below first, so that the innermost error is reported.
    fn expr(&self, expr: &mut Expr) -> Checked<ValueType> {
        let span = expr.span;
        match &mut expr.kind {
            ExprKind::Number(_) => Ok(ValueType::Scalar),
            ExprKind::String(_) => Ok(ValueType::String),
            ExprKind::Vector(selector) => {
                self.selector(selector, span, false)?;
                Ok(ValueType::Vector)
            }
            ExprKind::Matrix(matrix) => {
                self.selector(&matrix.selector, matrix.selector_span, false)?;
                Ok(ValueType::Matrix)
            }
            ExprKind::Subquery(subquery) => self.subquery(subquery, span),
            ExprKind::Call(call) => self.call(call, span),
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate),
            ExprKind::Binary(binary) => self.binary(binary, span),
            ExprKind::Unary(unary) => self.unary(unary, span),
            ExprKind::Paren(inner) => self.expr(inner),
        }
    }

    fn subquery(&self, subquery: &mut Subquery, span: Span) -> Checked<ValueType> {
        match self.expr(&mut subquery.expr)? {
            ValueType::Vector => Ok(ValueType::Matrix),
            other => {
                let other = other.as_str();
                self.fail(span, format!("subquery is only allowed on instant vector, got {other} instead"))
            }
        }
    }

    fn unary(&self, unary: &mut Unary, span: Span) -> Checked<ValueType> {
        match self.expr(&mut unary.expr)? {
            numeric @ (ValueType::Scalar | ValueType::Vector) => Ok(numeric),
            other => {
                let other = go_quote(other.describe());
                self.fail(
                    span,
                    format!(
                        "unary expression only allowed on expressions of type scalar or instant vector, \
                         got {other}"
                    ),
                )
            }
        }
    }

    fn expect(&self, expr: &mut Expr, wanted: ValueType, context: &str) -> Checked {
        let found = self.expr(expr)?;
        if found == wanted {
            return Ok(());
        }
        let (wanted, found) = (wanted.describe(), found.describe());
        self.fail(expr.span, format!("expected type {wanted} in {context}, got {found}"))
    }

    fn aggregate(&self, aggregate: &mut Aggregate) -> Checked<ValueType> {
        self.expect(&mut aggregate.expr, ValueType::Vector, "aggregation expression")?;
        if let (Some(param), Some(wanted)) = (&mut aggregate.param, aggregate.op.param_type()) {
            self.expect(param, wanted, "aggregation parameter")?;
        }
        Ok(ValueType::Vector)
    }

    fn call(&self, call: &mut Call, span: Span) -> Checked<ValueType> {
        let signature = call.func.signature();
        self.arg_count(call, span)?;
        let is_info = call.func == Func::Info;
        if let (true, Some(arg)) = (is_info, call.args.get(1)) {
            self.info_selector(arg, span)?;
        }
        let last = signature.args.len().saturating_sub(1);
        for (i, arg) in call.args.iter_mut().enumerate() {
            if let (true, 1, ExprKind::Vector(selector)) = (is_info, i, &arg.kind) {
                self.selector(selector, arg.span, true)?;
                continue;
            }
            let context = || format!("call to function {}", go_quote(signature.name));
            if let Some(wanted) = signature.args.get(i.min(last)) {
                self.expect(arg, *wanted, &context())?;
            }
        }
        Ok(signature.returns)
    }

    fn arg_count(&self, call: &Call, span: Span) -> Checked {
        let signature = call.func.signature();
        let (declared, found) = (signature.args.len(), call.args.len());
        let at_least = declared.saturating_sub(1);
        let (bound, wanted) = match signature.variadic {
            Variadic::No if found != declared => ("", declared),
            Variadic::UpTo(_) | Variadic::Any if found < at_least => ("at least ", at_least),
            Variadic::UpTo(more) if found > at_least + more => ("at most ", at_least + more),
            _ => return Ok(()),
        };
        let name = go_quote(signature.name);
        self.fail(span, format!("expected {bound}{wanted} argument(s) in call to {name}, got {found}"))
    }

    /// The second argument of `info`: braces with matchers on labels, any of them.
    fn info_selector(&self, arg: &Expr, call: Span) -> Checked {
        let found = arg.value_type();
        if found != ValueType::Vector {
            let found = found.describe();
            return self.fail(
                call,
                format!("expected type instant vector in call to function \"info\", got {found}"),
            );
        }
        match &arg.kind {
            ExprKind::Vector(selector) if selector.name.is_empty() => Ok(()),
            ExprKind::Vector(_) => {
                self.fail(arg.span, "expected label selectors only, got vector selector instead")
            }
            _ => self.fail(arg.span, "expected label selectors only"),
        }
    }

    fn selector(&self, selector: &VectorSelector, span: Span, may_be_empty: bool) -> Checked {
        if let Some((_, others)) = selector.matchers.split_last().filter(|_| !selector.name.is_empty()) {
            let Some(other) = others.iter().find(|m| m.name == METRIC_NAME) else { return Ok(()) };
            let (first, second) = (go_quote(&selector.name), go_quote(&other.value));
            return self.fail(span, format!("metric name must not be set twice: {first} or {second}"));
        }
        if !may_be_empty && selector.matchers.iter().all(|m| m.matches_empty()) {
            return self.fail(span, "vector selector must contain at least one non-empty matcher");
        }
        Ok(())
    }

    fn binary(&self, binary: &mut Binary, span: Span) -> Checked<ValueType> {
        let left = self.expr(&mut binary.lhs)?;
        let right = self.expr(&mut binary.rhs)?;
        self.binary_modifiers(binary, left, right)?;
        for (side, found) in [(&binary.lhs, left), (&binary.rhs, right)] {
            if !matches!(found, ValueType::Scalar | ValueType::Vector) {
                return self
                    .fail(side.span, "binary expression must contain only scalar and instant vector types");
            }
        }
        let vectors = left == ValueType::Vector && right == ValueType::Vector;
        self.matching(binary, vectors, span)?;
        if !vectors {
            binary.matching = None;
            if binary.op.is_set() {
                let op = go_quote(binary.op.as_str());
                return self.fail(span, format!("set operator {op} not allowed in binary scalar expression"));
            }
        }
        let scalar = left == ValueType::Scalar && right == ValueType::Scalar;
        Ok(if scalar { ValueType::Scalar } else { ValueType::Vector })
    }

    /// What is wrong with the modifiers whatever the operands are.
    fn binary_modifiers(&self, binary: &Binary, left: ValueType, right: ValueType) -> Checked {
        let op = binary.op;
        if binary.bool_modifier && !op.is_comparison() {
            return self
                .fail(self.operator_span(binary), "bool modifier can only be used on comparison operators");
        }
        let scalars = left == ValueType::Scalar && right == ValueType::Scalar;
        if op.is_comparison() && !binary.bool_modifier && scalars {
            return self
                .fail(self.operator_span(binary), "comparisons between scalars must use BOOL modifier");
        }
        let Some(matching) = binary.matching.as_ref().filter(|m| m.on) else { return Ok(()) };
        match matching.labels.iter().find(|label| matching.include.contains(label)) {
            None => Ok(()),
            Some(label) => {
                let label = go_quote(label);
                self.fail(
                    self.operator_span(binary),
                    format!("label {label} must not occur in ON and GROUP clause at once"),
                )
            }
        }
    }

    fn matching(&self, binary: &mut Binary, vectors: bool, span: Span) -> Checked {
        let op = binary.op;
        let Some(matching) = &mut binary.matching else { return Ok(()) };
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        if !vectors {
            if !matching.labels.is_empty() {
                return self.fail(span, "vector matching only allowed between instant vectors");
            }
            if fills {
                return self.fail(span, "filling in missing series only allowed between instant vectors");
            }
            return Ok(());
        }
        if !op.is_set() {
            return Ok(());
        }
        if matching.card != MatchCardinality::OneToOne {
            return self.fail(span, format!("no grouping allowed for {} operation", go_quote(op.as_str())));
        }
        if fills {
            return self.fail(span, "filling in missing series not allowed for set operators");
        }
        matching.card = MatchCardinality::ManyToMany;
        Ok(())
    }

    /// The operator and its modifiers: what stands between the operands, less the blanks.
    fn operator_span(&self, binary: &Binary) -> Span {
        let (start, end) = (binary.lhs.span.end as usize, binary.rhs.span.start as usize);
        let between = self.query.get(start..end).unwrap_or_default();
        let blanks = between.len() - between.trim_start().len();
        Span::new(start + blanks, start + between.trim_end().len())
    }
}

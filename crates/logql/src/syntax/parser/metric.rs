//! Expressions whose answer is numbers.

use super::{
    super::{
        ast::{
            Binary, BinaryOp, Expr, Group, Grouping, LabelReplace, LogExpr, Matching, MetricExpr,
            RangeAggregation, RangeOp, Unwrap, VectorAggregation, VectorOp,
        },
        error::ParseError,
        lexer::number_value,
        token::Token,
    },
    Parsed, Parser,
};

/// A selector with window, as it stands inside a range aggregation.
#[derive(Default)]
struct LogRange {
    log: LogExpr,
    unwrap: Option<Unwrap>,
    range: Option<i64>,
    offset: i64,
}

/// How tightly an operator binds.
fn precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 1,
        BinaryOp::And | BinaryOp::Unless => 2,
        op if op.is_comparison() => 3,
        BinaryOp::Add | BinaryOp::Sub => 4,
        BinaryOp::Pow => 6,
        _ => 5,
    }
}

impl Parser<'_> {
    /// Any expression.
    pub(super) fn expr(&mut self) -> Parsed<Expr> {
        self.nested(|p| p.expr_above(0))
    }

    fn expr_above(&mut self, floor: u8) -> Parsed<Expr> {
        let mut left = self.primary()?;
        while let Some(op) = self.binary_op() {
            let binds = precedence(op);
            if binds <= floor {
                break;
            }
            self.operator()?;
            let (bool_modifier, matching) = self.modifiers(op)?;
            // `^` is right-associative: its right side may hold operators that bind as tightly.
            let floor = if op == BinaryOp::Pow { binds - 1 } else { binds };
            let right = self.nested(|p| p.expr_above(floor))?;
            left = Expr::Metric(binary(op, left, right, bool_modifier, matching)?);
        }
        Ok(left)
    }

    fn binary_op(&self) -> Option<BinaryOp> {
        match self.peek() {
            Token::Sign(sign) => BinaryOp::from_name(sign),
            Token::Ident(name) if matches!(name.as_str(), "or" | "and" | "unless") => {
                BinaryOp::from_name(name)
            }
            _ => None,
        }
    }

    fn modifiers(&mut self, op: BinaryOp) -> Parsed<(bool, Option<Matching>)> {
        if self.is_name("bool") && !op.is_comparison() {
            return Err(self.unexpected(&[]));
        }
        let bool_modifier = self.accept_name("bool");
        let on = self.accept_name("on");
        if !on && !self.accept_name("ignoring") {
            return Ok((bool_modifier, None));
        }
        let labels = self.label_list()?;
        let left = self.accept_name("group_left");
        let group = if left || self.accept_name("group_right") {
            let include = if self.is_sign("(") { self.label_list()? } else { Vec::new() };
            if op.is_set() {
                return Err(self.fail(format!("no grouping allowed for set operation {}", op.as_str())));
            }
            Some(Group { left, include })
        } else {
            None
        };
        Ok((bool_modifier, Some(Matching { on, labels, group })))
    }

    /// `(a, b)`; may be empty.
    fn label_list(&mut self) -> Parsed<Vec<String>> {
        self.expect("(")?;
        if self.accept(")") {
            return Ok(Vec::new());
        }
        let labels = self.list(Self::ident)?;
        self.expect(")")?;
        Ok(labels)
    }

    fn primary(&mut self) -> Parsed<Expr> {
        match self.peek().clone() {
            Token::Sign("{") => self.log_expr().map(Expr::Log),
            Token::Sign("(") => {
                self.next += 1;
                let inner = self.expr()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Sign("+") | Token::Sign("-") | Token::Number(_) => {
                self.signed_number().map(|v| Expr::Metric(MetricExpr::Literal(v)))
            }
            Token::Ident(name) => self.call(&name).map(Expr::Metric),
            _ => Err(self.unexpected(&[])),
        }
    }

    /// A number with a sign directly before it.
    fn signed_number(&mut self) -> Parsed<f64> {
        let negative = self.is_sign("-");
        if negative || self.is_sign("+") {
            self.next += 1;
        }
        let value = self.number()?;
        Ok(if negative { -value } else { value })
    }

    fn number(&mut self) -> Parsed<f64> {
        let pos = self.pos();
        match self.advance() {
            Token::Number(text) => number_value(&text).map_err(|e| ParseError::at(self.query, pos, e)),
            _ => Err(self.unexpected_last(&["NUMBER"])),
        }
    }

    /// A function by its name.
    fn call(&mut self, name: &str) -> Parsed<MetricExpr> {
        let opens = matches!(self.peek_at(1), Token::Sign("("));
        let groups = matches!(self.peek_at(1), Token::Ident(n) if n == "by" || n == "without");
        if let Some(op) = RangeOp::from_name(name)
            && opens
        {
            self.next += 1;
            return self.range_aggregation(op);
        }
        if let Some(op) = VectorOp::from_name(name)
            && (opens || groups)
        {
            self.next += 1;
            return self.vector_aggregation(op);
        }
        match name {
            "label_replace" if opens => {
                self.next += 1;
                self.label_replace()
            }
            "vector" if opens => {
                self.next += 2;
                let value = self.number()?;
                self.expect(")")?;
                Ok(MetricExpr::VectorLiteral(value))
            }
            _ => Err(self.unexpected(&[])),
        }
    }

    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let without = self.accept_name("without");
        if !without && !self.accept_name("by") {
            return Ok(None);
        }
        Ok(Some(Grouping { without, labels: self.label_list()? }))
    }

    fn vector_aggregation(&mut self, op: VectorOp) -> Parsed<MetricExpr> {
        let before = self.grouping()?;
        self.expect("(")?;
        let parameter = match (self.peek(), self.peek_at(1)) {
            (Token::Number(_), Token::Sign(",")) => {
                let Token::Number(text) = self.advance() else {
                    return Err(self.unexpected_last(&["NUMBER"]));
                };
                self.next += 1;
                Some(text)
            }
            _ => None,
        };
        let inner = self.metric()?;
        self.expect(")")?;
        let grouping = match before {
            Some(grouping) => Some(grouping),
            None => self.grouping()?,
        };
        check_vector_grouping(op, grouping.as_ref())?;
        let k = k_parameter(op, parameter.as_deref())?;
        Ok(MetricExpr::Vector(VectorAggregation { op, k, inner: Box::new(inner), grouping }))
    }

    /// An expression that must answer with numbers.
    fn metric(&mut self) -> Parsed<MetricExpr> {
        let start = self.pos();
        match self.expr()? {
            Expr::Metric(metric) => Ok(metric),
            Expr::Log(_) if matches!(self.peek(), Token::Range(_)) => Err(self.unexpected(&[])),
            Expr::Log(_) => {
                Err(ParseError::at(self.query, start, "syntax error: unexpected {, expecting a metric query"))
            }
        }
    }

    fn label_replace(&mut self) -> Parsed<MetricExpr> {
        self.expect("(")?;
        let inner = self.metric()?;
        let mut argument = || {
            self.expect(",")?;
            self.text()
        };
        let (dst, replacement, src, regex) = (argument()?, argument()?, argument()?, argument()?);
        self.expect(")")?;
        if let Err(e) = reba_model::GoRegex::anchored(&regex) {
            return Err(ParseError::whole(format!("invalid regex in label_replace: {e}")));
        }
        Ok(MetricExpr::LabelReplace(Box::new(LabelReplace { inner, dst, replacement, src, regex })))
    }

    fn range_aggregation(&mut self, op: RangeOp) -> Parsed<MetricExpr> {
        self.expect("(")?;
        let parameter = match self.peek() {
            Token::Number(_) => {
                let value = self.number()?;
                self.expect(",")?;
                Some(value)
            }
            _ => None,
        };
        let window = self.log_range()?;
        let Some(range) = window.range else { return Err(self.unexpected(&["RANGE"])) };
        self.expect(")")?;
        let grouping = self.grouping()?;
        let LogRange { log, unwrap, offset, .. } = window;
        let aggregation = RangeAggregation { op, parameter, log, unwrap, range, offset, grouping };
        check_range(&aggregation)?;
        Ok(MetricExpr::Range(aggregation))
    }

    /// A selector with its window. The window may stand behind the selector or behind the pipeline, and parentheses around
    /// either.
    fn log_range(&mut self) -> Parsed<LogRange> {
        if self.accept("(") {
            let mut inner = self.nested(Self::log_range)?;
            self.expect(")")?;
            if inner.range.is_none() {
                self.window(&mut inner)?;
            }
            return Ok(inner);
        }
        let mut window = LogRange::default();
        window.log.matchers = self.selector()?;
        self.window(&mut window)?;
        let (stages, unwrap) = self.pipeline()?;
        window.log.stages = stages;
        window.unwrap = unwrap;
        if window.range.is_none() {
            self.window(&mut window)?;
        }
        Ok(window)
    }

    /// `[5m] offset 1h`, if it is there.
    fn window(&mut self, window: &mut LogRange) -> Parsed<()> {
        let Token::Range(ns) = *self.peek() else { return Ok(()) };
        self.next += 1;
        window.range = Some(ns);
        if self.accept_name("offset") {
            let negative = self.accept("-");
            window.offset = match self.advance() {
                Token::Duration(ns) if negative => -ns,
                Token::Duration(ns) => ns,
                _ => return Err(self.unexpected_last(&["DURATION"])),
            };
        }
        Ok(())
    }
}

/// An operator between two expressions, if it makes sense there.
fn binary(
    op: BinaryOp,
    left: Expr,
    right: Expr,
    bool_modifier: bool,
    matching: Option<Matching>,
) -> Parsed<MetricExpr> {
    let side = |expr, side| match expr {
        Expr::Metric(metric) => Ok(metric),
        Expr::Log(_) => Err(ParseError::whole(format!(
            "unexpected type for {side} leg of binary operation ({}): a log query",
            op.as_str()
        ))),
    };
    let (left, right) = (side(left, "left")?, side(right, "right")?);
    for (leg, expr) in [("left", &left), ("right", &right)] {
        if let (true, MetricExpr::Literal(value)) = (op.is_set(), expr) {
            return Err(ParseError::whole(format!(
                "unexpected literal for {leg} leg of logical/set binary operation ({}): {value:.6}",
                op.as_str()
            )));
        }
    }
    Ok(MetricExpr::Binary(Box::new(Binary { op, left, right, bool_modifier, matching })))
}

fn check_vector_grouping(op: VectorOp, grouping: Option<&Grouping>) -> Parsed<()> {
    match op {
        _ if grouping.is_none() => Ok(()),
        VectorOp::Sort | VectorOp::SortDesc => {
            Err(ParseError::whole("sort and sort_desc doesn't allow grouping by "))
        }
        VectorOp::ApproxTopK => Err(ParseError::whole("grouping not allowed for approx_topk aggregation")),
        _ => Ok(()),
    }
}

fn k_parameter(op: VectorOp, parameter: Option<&str>) -> Parsed<Option<u64>> {
    let name = op.as_str();
    match (op, parameter) {
        (VectorOp::TopK | VectorOp::BottomK | VectorOp::ApproxTopK, None) => {
            Err(ParseError::whole(format!("parameter required for operation {name}")))
        }
        (VectorOp::TopK | VectorOp::BottomK | VectorOp::ApproxTopK, Some(text)) => {
            match text.parse::<u64>() {
                Ok(0) => Err(ParseError::whole(format!(
                    "invalid parameter (must be greater than 0) {name}({text})"
                ))),
                Ok(k) => Ok(Some(k)),
                Err(_) => Err(ParseError::whole(format!(
                    "invalid parameter {name}({text},): {text} is no whole number"
                ))),
            }
        }
        (_, Some(text)) => {
            Err(ParseError::whole(format!("unsupported parameter for operation {name}({text},)")))
        }
        (_, None) => Ok(None),
    }
}

/// Which functions need numbers, which need lines, and which may group.
fn check_range(aggregation: &RangeAggregation) -> Parsed<()> {
    let op = aggregation.op;
    let name = op.as_str();
    let grouped = matches!(
        op,
        RangeOp::Avg
            | RangeOp::Max
            | RangeOp::Min
            | RangeOp::Stdvar
            | RangeOp::Stddev
            | RangeOp::Quantile
            | RangeOp::First
            | RangeOp::Last
    );
    if aggregation.grouping.is_some() && !grouped {
        return Err(ParseError::whole(format!("grouping not allowed for {name} aggregation")));
    }
    let (takes_lines, takes_numbers) = match op {
        RangeOp::Count | RangeOp::Bytes | RangeOp::BytesRate => (true, false),
        RangeOp::Rate | RangeOp::Absent => (true, true),
        _ => (false, true),
    };
    match aggregation.unwrap {
        Some(_) if !takes_numbers => {
            return Err(ParseError::whole(format!("invalid aggregation {name} with unwrap")));
        }
        None if !takes_lines => {
            return Err(ParseError::whole(format!("invalid aggregation {name} without unwrap")));
        }
        _ => {}
    }
    match (op, aggregation.parameter) {
        (RangeOp::Quantile, None) => {
            Err(ParseError::whole(format!("parameter required for operation {name}")))
        }
        (RangeOp::Quantile, Some(_)) | (_, None) => Ok(()),
        (_, Some(value)) => {
            Err(ParseError::whole(format!("parameter {value} not supported for operation {name}")))
        }
    }
}

//! Durations in brackets and behind `offset`, with the experimental arithmetic on them.

use super::{Fail, Node, Parsed, Parser, SIGN_OPERAND};
use crate::syntax::{
    ast::{BinaryOp, Duration, DurationExpr, Number, Sign, Span},
    token::{Lexeme, Token, Word},
};

/// Upstream keeps durations as an `i64` of nanoseconds.
const MAX_SECONDS: f64 = 9_223_372_036.854_775;

/// A duration expression with its place and the height of its tree.
struct Operand {
    expr: DurationExpr,
    span: Span,
    height: u32,
}

impl Parser<'_> {
    /// What stands in brackets. A plain number must be above zero; of an expression it is not known yet.
    pub(super) fn positive_duration(&mut self) -> Parsed<Duration> {
        let operand = self.duration_expr(0)?;
        self.look_ahead()?;
        if let DurationExpr::Number(number) = operand.expr
            && number.value <= 0.0
        {
            return self.fail(operand.span, "duration must be greater than 0");
        }
        Ok(assembled(operand.expr))
    }

    /// What stands behind `offset`. Here `offset 5m ^ 2` is `(offset 5m) ^ 2`, for operators belong to the query
    /// around unless the duration is in parentheses.
    pub(super) fn offset_duration(&mut self) -> Parsed<Duration> {
        let start = self.at;
        let sign = self.sign();
        if sign.is_some() {
            self.advance();
        }
        let closed = match self.token() {
            Token::Number | Token::Duration => true,
            Token::Word(Word::Step | Word::Range | Word::MaxOf | Word::MinOf) => true,
            Token::LeftParen => sign.is_some(),
            _ => false,
        };
        self.at = start;
        if closed {
            return Ok(assembled(self.duration_operand(false)?.expr));
        }
        let operand = self.duration_expr(0)?;
        self.look_ahead()?;
        Ok(assembled(operand.expr))
    }

    fn duration_expr(&mut self, min: u8) -> Parsed<Operand> {
        let mut left = self.nested(|p| p.duration_operand(true))?;
        while let Token::Operator(op) = self.token() {
            let precedence = op.precedence();
            if !is_duration_op(op) || precedence < min {
                break;
            }
            let op_span = self.advance().span;
            let right_min = if op.is_right_associative() { precedence } else { precedence + 1 };
            let right = self.nested(|p| p.duration_expr(right_min))?;
            self.look_ahead()?;
            self.require_enabled(left.span)?;
            let by_zero = matches!(right.expr, DurationExpr::Number(n) if n.value == 0.0);
            match op {
                BinaryOp::Div if by_zero => return self.fail(op_span, "division by zero"),
                BinaryOp::Mod if by_zero => return self.fail(op_span, "modulo by zero"),
                _ => {}
            }
            let span = left.span.to(right.span);
            let height = self.check_height(span, left.height.max(right.height) + 1)?;
            let expr = DurationExpr::Binary(op, Box::new(left.expr), Box::new(right.expr));
            left = Operand { expr, span, height };
        }
        Ok(left)
    }

    /// An operand. With `powers`, a sign applies to `a ^ b` as a whole, else to the next operand alone.
    fn duration_operand(&mut self, powers: bool) -> Parsed<Operand> {
        let Lexeme { token, span } = self.lexeme();
        if let Some(sign) = self.sign() {
            self.advance();
            let inner = match self.token() {
                _ if powers => self.duration_expr(SIGN_OPERAND)?,
                // Its range is checked with its sign.
                Token::Number | Token::Duration => {
                    let (number, span) = self.number()?;
                    Operand { expr: DurationExpr::Number(number), span, height: 1 }
                }
                _ => self.nested(|p| p.duration_operand(false))?,
            };
            return self.signed_duration(sign, span, inner);
        }
        match token {
            Token::Number | Token::Duration => {
                let (number, span) = self.number()?;
                self.check_range(number, span)?;
                Ok(Operand { expr: DurationExpr::Number(number), span, height: 1 })
            }
            Token::Word(Word::Step) => self.query_time(DurationExpr::Step),
            Token::Word(Word::Range) => self.query_time(DurationExpr::Range),
            Token::Word(word @ (Word::MinOf | Word::MaxOf)) => self.extreme(word),
            Token::LeftParen => self.duration_in_parens(),
            _ => Err(Fail::Unexpected),
        }
    }

    fn signed_duration(&self, sign: Sign, sign_span: Span, inner: Operand) -> Parsed<Operand> {
        let Operand { mut expr, span, mut height } = inner;
        if let DurationExpr::Number(number) = &mut expr {
            if sign == Sign::Minus {
                number.value = -number.value;
            }
            self.check_range(*number, sign_span)?;
        } else if sign == Sign::Minus {
            height = self.check_height(span, height + 1)?;
            expr = DurationExpr::Neg(Box::new(expr));
        }
        Ok(Operand { expr, span: sign_span.to(span), height })
    }

    /// `step()` or `range()`
    fn query_time(&mut self, expr: DurationExpr) -> Parsed<Operand> {
        let start = self.advance().span;
        self.expect(Token::LeftParen)?;
        let span = start.to(self.expect(Token::RightParen)?.span);
        self.require_enabled(span)?;
        Ok(Operand { expr, span, height: 1 })
    }

    /// `min_of(a, b)` or `max_of(a, b)`
    fn extreme(&mut self, word: Word) -> Parsed<Operand> {
        let start = self.advance().span;
        self.expect(Token::LeftParen)?;
        let a = self.duration_expr(0)?;
        self.expect(Token::Comma)?;
        let b = self.duration_expr(0)?;
        let span = start.to(self.expect(Token::RightParen)?.span);
        self.require_enabled(span)?;
        let height = self.check_height(span, a.height.max(b.height) + 1)?;
        let make = if word == Word::MinOf { DurationExpr::MinOf } else { DurationExpr::MaxOf };
        Ok(Operand { expr: make(Box::new(a.expr), Box::new(b.expr)), span, height })
    }

    fn duration_in_parens(&mut self) -> Parsed<Operand> {
        let open = self.advance().span;
        let inner = self.duration_expr(0)?;
        let span = open.to(self.expect(Token::RightParen)?.span);
        self.require_enabled(inner.span)?;
        let height = self.check_height(span, inner.height + 1)?;
        // Parentheses around parentheses say nothing more.
        let expr = match inner.expr {
            wrapped @ DurationExpr::Paren(_) => wrapped,
            bare => DurationExpr::Paren(Box::new(bare)),
        };
        Ok(Operand { expr, span, height })
    }

    fn require_enabled(&self, span: Span) -> Parsed<()> {
        if self.options.duration_expressions {
            return Ok(());
        }
        self.fail(span, "experimental duration expression is not enabled")
    }

    fn check_range(&self, number: Number, span: Span) -> Parsed<()> {
        if number.value.abs() > MAX_SECONDS {
            return self.fail(span, "duration out of range");
        }
        Ok(())
    }

    /// Duration expressions are bounded like any other.
    fn check_height(&self, span: Span, height: u32) -> Parsed<u32> {
        let kind = crate::syntax::ast::ExprKind::Number(Number { value: 0.0, duration: true });
        let Node { height, .. } = self.node(kind, span, height)?;
        Ok(height)
    }
}

fn is_duration_op(op: BinaryOp) -> bool {
    use BinaryOp as Op;
    matches!(op, Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Mod | Op::Pow)
}

/// A plain number is worked out at once.
fn assembled(expr: DurationExpr) -> Duration {
    match expr {
        DurationExpr::Number(number) => Duration::from_ms(seconds_to_ms(number.value)),
        expr => Duration { ms: 0, expr: Some(Box::new(expr)) },
    }
}

/// Cut to milliseconds, but for what is less than half a nanosecond below the next one (upstream rounds to nanoseconds
/// first), or no more than a float's own inexactness.
fn seconds_to_ms(seconds: f64) -> i64 {
    let ms = seconds * 1000.0;
    let nearest = ms.round();
    let tolerance = (ms.abs() * 2.0 * f64::EPSILON).max(5e-7);
    if (ms - nearest).abs() <= tolerance { nearest as i64 } else { ms as i64 }
}

//! What follows an operand and belongs to it: `[…]`, `offset`, `@`, `anchored`, `smoothed`.

use super::{Fail, Node, Parsed, Parser};
use crate::syntax::{
    ast::{At, BinaryOp, Duration, Expr, ExprKind, MatrixSelector, Span, Subquery, VectorSelector},
    token::{Lexeme, Token, Word},
};

/// What a duration may be, as the errors say it.
const DURATION: &str = "number, duration, step(), or range()";

impl Parser<'_> {
    pub(super) fn postfixes(&mut self, mut node: Node) -> Parsed<Node> {
        loop {
            match self.token() {
                Token::LeftBracket => node = self.bracket(node)?,
                Token::Word(Word::Offset) => self.offset(&mut node.expr)?,
                Token::At => self.at_modifier(&mut node.expr)?,
                Token::Word(Word::Anchored) => self.extend_range(&mut node.expr, Word::Anchored)?,
                Token::Word(Word::Smoothed) => self.extend_range(&mut node.expr, Word::Smoothed)?,
                _ => return Ok(node),
            }
        }
    }

    /// `[5m]`, `[5m:]` or `[5m:1m]`
    fn bracket(&mut self, node: Node) -> Parsed<Node> {
        let open = self.advance().span;
        let range = self.within("subquery or range selector", DURATION, Self::positive_duration)?;
        if self.take(Token::RightBracket).is_some() {
            return self.matrix(node, open, range);
        }
        self.within("subquery or range", r#"":" or "]""#, |p| p.expect(Token::Colon))?;
        let mut step = None;
        if self.token() != Token::RightBracket {
            let expected = format!(r#"{}, or "]""#, DURATION.replace(" or ", " "));
            step = Some(self.within("subquery selector", &expected, Self::positive_duration)?);
        }
        self.within("subquery selector", r#""]""#, |p| p.expect(Token::RightBracket))?;
        let Node { expr, height } = node;
        let span = Span { start: expr.span.start, end: self.last_end() };
        let subquery = Subquery { expr, range, step, offset: Duration::default(), at: None };
        self.node(ExprKind::Subquery(Box::new(subquery)), span, height + 1)
    }

    fn matrix(&self, node: Node, open: Span, range: Duration) -> Parsed<Node> {
        let end = self.last_end();
        let brackets = Span { start: open.start, end };
        let Expr { kind: ExprKind::Vector(selector), span } = node.expr else {
            return self.fail(brackets, "ranges only allowed for vector selectors");
        };
        if is_set(&selector.offset) {
            return self.fail(brackets, "no offset modifiers allowed before range");
        }
        if selector.at.is_some() {
            return self.fail(brackets, "no @ modifiers allowed before range");
        }
        let matrix = MatrixSelector { selector, selector_span: span, range };
        self.node(ExprKind::Matrix(matrix), Span { start: span.start, end }, node.height + 1)
    }

    fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.advance();
        let offset = self.within("offset", DURATION, Self::offset_duration)?;
        let span = expr.span;
        let Some((slot, _)) = time_modifiers(expr) else {
            return self.fail(span, misplaced("offset"));
        };
        if is_set(slot) {
            return self.fail(span, "offset may not be set multiple times");
        }
        *slot = offset;
        expr.span.end = self.last_end();
        Ok(())
    }

    fn at_modifier(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.advance();
        let span = expr.span;
        let at = self.within("@", "timestamp", |p| p.at_value(span))?;
        let Some((_, slot)) = time_modifiers(expr) else {
            return self.fail(span, misplaced("@"));
        };
        if slot.is_some() {
            return self.fail(span, "@ <timestamp> may not be set multiple times");
        }
        *slot = Some(at);
        expr.span.end = self.last_end();
        Ok(())
    }

    /// A number of seconds, `start()` or `end()`. `span` is where an error about the number is shown.
    fn at_value(&mut self, span: Span) -> Parsed<At> {
        let at = match self.token() {
            Token::Word(Word::Start) => At::Start,
            Token::Word(Word::End) => At::End,
            _ => return self.at_timestamp(span),
        };
        self.advance();
        self.expect(Token::LeftParen)?;
        self.expect(Token::RightParen)?;
        Ok(at)
    }

    fn at_timestamp(&mut self, span: Span) -> Parsed<At> {
        let negative = match self.token() {
            Token::Operator(BinaryOp::Sub) => true,
            Token::Operator(BinaryOp::Add) => false,
            _ => return self.unsigned_timestamp(span, 1.0),
        };
        self.advance();
        self.unsigned_timestamp(span, if negative { -1.0 } else { 1.0 })
    }

    fn unsigned_timestamp(&mut self, span: Span, sign: f64) -> Parsed<At> {
        let (number, _) = self.number()?;
        let seconds = sign * number.value;
        if !(seconds < i64::MAX as f64 && seconds > i64::MIN as f64) {
            let shown = match seconds {
                s if s.is_finite() => format!("{s:.6}"),
                s => reba_model::float::format_f(s),
            };
            return self.fail(span, format!("timestamp out of bounds for @ modifier: {shown}"));
        }
        Ok(At::Timestamp((seconds * 1000.0).round() as i64))
    }

    /// `anchored` and `smoothed`
    fn extend_range(&mut self, expr: &mut Expr, word: Word) -> Parsed<()> {
        let Lexeme { span: word_span, .. } = self.advance();
        let name = self.text(word_span).to_ascii_lowercase();
        if !self.options.extended_range_selectors {
            return self.fail(expr.span, format!("{name} modifier is experimental and not enabled"));
        }
        let selector: &mut VectorSelector = match &mut expr.kind {
            ExprKind::Vector(selector) => selector,
            ExprKind::Matrix(matrix) => &mut matrix.selector,
            ExprKind::Subquery(_) => {
                return self.fail(expr.span, format!("{name} modifier is not supported for subqueries"));
            }
            _ => return self.fail(expr.span, format!("{name} modifier not implemented")),
        };
        match word {
            Word::Anchored => selector.anchored = true,
            _ => selector.smoothed = true,
        }
        if selector.anchored && selector.smoothed {
            return self.fail(expr.span, "anchored and smoothed modifiers cannot be used together");
        }
        Ok(())
    }

    /// A number or a duration, with its place.
    pub(super) fn number(&mut self) -> Parsed<(crate::syntax::ast::Number, Span)> {
        let Lexeme { token, span } = self.lexeme();
        let text = self.text(span);
        let number = match token {
            Token::Number => crate::syntax::literal::number(text),
            Token::Duration => crate::syntax::literal::duration(text),
            _ => return Err(Fail::Unexpected),
        };
        let number = number.map_err(|message| self.error(span, message))?;
        self.advance();
        Ok((number, span))
    }
}

fn is_set(offset: &Duration) -> bool {
    offset.ms != 0 || offset.expr.is_some()
}

fn misplaced(modifier: &str) -> String {
    format!(
        "{modifier} modifier must be preceded by an instant vector selector or range vector selector \
         or a subquery"
    )
}

/// Offset and `@` of an expression that may have them.
fn time_modifiers(expr: &mut Expr) -> Option<(&mut Duration, &mut Option<At>)> {
    match &mut expr.kind {
        ExprKind::Vector(selector) => Some((&mut selector.offset, &mut selector.at)),
        ExprKind::Matrix(matrix) => Some((&mut matrix.selector.offset, &mut matrix.selector.at)),
        ExprKind::Subquery(subquery) => Some((&mut subquery.offset, &mut subquery.at)),
        _ => None,
    }
}

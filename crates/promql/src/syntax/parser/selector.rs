//! Selectors and lists of labels.

use reba_model::{GoRegex, METRIC_NAME, MatchOp, Matcher, RegexError, float::go_quote};

use super::{Fail, Parsed, Parser};
use crate::syntax::{
    ast::{BinaryOp, Span, VectorSelector},
    token::Token,
};

impl Parser<'_> {
    /// A name, braces with matchers, or both.
    pub(super) fn vector_selector(&mut self) -> Parsed<(VectorSelector, Span)> {
        let mut selector = VectorSelector::default();
        let mut span = self.lexeme().span;
        if self.token() != Token::LeftBrace {
            let name = self.advance().span;
            self.text(name).clone_into(&mut selector.name);
        }
        if self.token() == Token::LeftBrace {
            selector.matchers = self.matchers()?;
            span.end = self.last_end();
        }
        if !selector.name.is_empty() {
            selector.matchers.push(Matcher::equal(METRIC_NAME, selector.name.as_str()));
        }
        Ok((selector, span))
    }

    fn matchers(&mut self) -> Parsed<Vec<Matcher>> {
        self.expect(Token::LeftBrace)?;
        let mut matchers = Vec::new();
        while self.take(Token::RightBrace).is_none() {
            let matcher = self.within("label matching", r#"identifier or "}""#, Self::matcher)?;
            matchers.push(matcher);
            if self.token() != Token::RightBrace {
                self.within("label matching", r#""," or "}""#, |p| p.expect(Token::Comma))?;
            }
        }
        Ok(matchers)
    }

    /// `name="value"`, or a quoted text alone, which is the name of the metric.
    fn matcher(&mut self) -> Parsed<Matcher> {
        let start = self.lexeme().span;
        let name = match self.token() {
            Token::Identifier => {
                self.advance();
                self.text(start).to_owned()
            }
            Token::String => {
                self.advance();
                let text = self.string(start)?.value;
                if !matches!(self.token(), Token::Invalid) && self.match_op().is_none() {
                    return Ok(Matcher::equal(METRIC_NAME, text));
                }
                text
            }
            _ => return Err(Fail::Unexpected),
        };
        let op = self.within("label matching", "label matching operator", |p| {
            let op = p.match_op().ok_or(Fail::Unexpected)?;
            p.advance();
            Ok(op)
        })?;
        let value_span = self.within("label matching", "string", |p| p.expect(Token::String))?.span;
        let value = self.string(value_span)?.value;
        let matcher = Matcher::new(op, name, value)
            .map_err(|error: RegexError| self.error(start.to(value_span), error.to_string()))?;
        self.regex_size = self.regex_size.saturating_add(matcher.regex().map_or(0, GoRegex::size));
        if self.regex_size > GoRegex::MAX_TOGETHER {
            return self.fail(start.to(value_span), "regular expressions of the query are too large");
        }
        Ok(matcher)
    }

    fn match_op(&self) -> Option<MatchOp> {
        match self.token() {
            Token::Assign => Some(MatchOp::Equal),
            Token::Operator(BinaryOp::Ne) => Some(MatchOp::NotEqual),
            Token::Matches => Some(MatchOp::Regex),
            Token::NotMatches => Some(MatchOp::NotRegex),
            _ => None,
        }
    }

    /// Labels in parentheses.
    pub(super) fn label_list(&mut self) -> Parsed<Vec<String>> {
        const CONTEXT: &str = "grouping opts";
        self.within(CONTEXT, r#""(""#, |p| p.expect(Token::LeftParen))?;
        let mut labels = Vec::new();
        while self.take(Token::RightParen).is_none() {
            labels.push(self.within(CONTEXT, "label", Self::label)?);
            if self.token() != Token::RightParen {
                self.within(CONTEXT, r#""," or ")""#, |p| p.expect(Token::Comma))?;
            }
        }
        Ok(labels)
    }

    fn label(&mut self) -> Parsed<String> {
        let span = self.lexeme().span;
        let label = match self.token() {
            Token::String => self.string(span)?.value,
            token if token.is_label_name() => self.text(span).to_owned(),
            _ => return Err(Fail::Unexpected),
        };
        self.advance();
        if label.is_empty() {
            return self.fail(span, format!("invalid label name for grouping: {}", go_quote(&label)));
        }
        Ok(label)
    }
}

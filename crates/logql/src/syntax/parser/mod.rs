//! From words to tree: recursive descent, one word of look-ahead.

mod filter;
mod metric;
mod stage;

use reba_model::{GoRegex, MatchOp, Matcher};

use super::{
    MAX_QUERY_BYTES,
    ast::{Expr, LogExpr},
    error::ParseError,
    lexer::lex,
    token::{Spanned, Token},
};

/// How deep parentheses may nest.
const MAX_DEPTH: usize = 100;

/// How many operators a query may have: `1+1+1+…` is a tree as deep as it is long, which whoever walks it must survive.
const MAX_OPERATORS: usize = 1000;

/// What is said of regular expressions that are too large together.
pub(crate) const TOO_LARGE: &str = "regular expressions are too large together";

type Parsed<T> = Result<T, ParseError>;

pub(super) struct Parser<'a> {
    query: &'a str,
    words: Vec<Spanned>,
    next: usize,
    depth: usize,
    operators: usize,
    /// States of all expressions of matchers.
    regex_size: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(query: &'a str) -> Parsed<Self> {
        if query.len() > MAX_QUERY_BYTES {
            let (len, max) = (query.len(), MAX_QUERY_BYTES);
            return Err(ParseError::whole(format!("input size too long ({len} > {max})")));
        }
        Ok(Parser { query, words: lex(query)?, next: 0, depth: 0, operators: 0, regex_size: 0 })
    }

    /// The whole query.
    pub(super) fn query(mut self) -> Parsed<Expr> {
        let expr = self.expr()?;
        match self.peek() {
            Token::End => Ok(expr),
            _ => Err(self.unexpected(&[])),
        }
    }

    fn peek(&self) -> &Token {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> &Token {
        self.words.get(self.next + ahead).map_or(&Token::End, |w| &w.token)
    }

    fn pos(&self) -> usize {
        self.words.get(self.next).map_or(self.query.len(), |w| w.pos)
    }

    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(s) if *s == sign)
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Token::Ident(n) if n == name)
    }

    /// Takes the sign if it is next.
    fn accept(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        self.next += usize::from(found);
        found
    }

    /// Takes the name if it is next.
    fn accept_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Parsed<()> {
        if self.accept(sign) { Ok(()) } else { Err(self.unexpected(&[sign])) }
    }

    fn ident(&mut self) -> Parsed<String> {
        match self.advance() {
            Token::Ident(name) => Ok(name),
            _ => Err(self.unexpected_last(&["IDENTIFIER"])),
        }
    }

    fn text(&mut self) -> Parsed<String> {
        match self.advance() {
            Token::Text(text) => Ok(text),
            _ => Err(self.unexpected_last(&["STRING"])),
        }
    }

    fn fail(&self, message: impl Into<String>) -> ParseError {
        ParseError::at(self.query, self.pos(), message)
    }

    /// The next word does not belong here.
    fn unexpected(&self, expected: &[&str]) -> ParseError {
        let mut message = format!("syntax error: unexpected {}", self.peek().name());
        if !expected.is_empty() {
            message.push_str(", expecting ");
            message.push_str(&expected.join(" or "));
        }
        self.fail(message)
    }

    /// The word just taken does not belong there.
    fn unexpected_last(&mut self, expected: &[&str]) -> ParseError {
        self.next -= 1;
        self.unexpected(expected)
    }

    /// Runs `parse` one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_DEPTH {
            return Err(self.fail(format!("expression is nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Takes the next word as an operator of a chain.
    fn operator(&mut self) -> Parsed<()> {
        if self.operators == MAX_OPERATORS {
            return Err(self.fail(format!("expression has more than {MAX_OPERATORS} operators")));
        }
        self.operators += 1;
        self.next += 1;
        Ok(())
    }

    /// `{a="b", c=~"d"}`
    fn selector(&mut self) -> Parsed<Vec<Matcher>> {
        self.expect("{")?;
        let mut matchers = Vec::new();
        while !self.accept("}") {
            matchers.push(self.matcher()?);
            if !self.accept(",") && !self.is_sign("}") {
                return Err(self.unexpected(&["}", ","]));
            }
        }
        Ok(matchers)
    }

    /// `a="b"`
    fn matcher(&mut self) -> Parsed<Matcher> {
        let name = self.ident()?;
        let op = match self.match_op() {
            Some(op) => op,
            None => return Err(self.unexpected(&["=", "=~", "!~", "!="])),
        };
        self.next += 1;
        let pos = self.pos();
        let value = self.text()?;
        let matcher = Matcher::new(op, name, value);
        let matcher = matcher.map_err(|e| ParseError::at(self.query, pos, e.to_string()))?;
        // Each expression alone is bounded, but a query has room for many.
        self.regex_size += matcher.regex().map_or(0, GoRegex::size);
        if self.regex_size > GoRegex::MAX_TOGETHER {
            return Err(ParseError::at(self.query, pos, TOO_LARGE));
        }
        Ok(matcher)
    }

    fn match_op(&self) -> Option<MatchOp> {
        Some(match self.peek() {
            Token::Sign("=") => MatchOp::Equal,
            Token::Sign("!=") => MatchOp::NotEqual,
            Token::Sign("=~") => MatchOp::Regex,
            Token::Sign("!~") => MatchOp::NotRegex,
            _ => return None,
        })
    }

    /// A selector with its pipeline, at the top of a query.
    fn log_expr(&mut self) -> Parsed<LogExpr> {
        let matchers = self.selector()?;
        let (stages, unwrap) = self.pipeline()?;
        if unwrap.is_some() {
            return Err(self.fail("syntax error: unexpected unwrap: it needs a range aggregation around it"));
        }
        Ok(LogExpr { matchers, stages })
    }
}

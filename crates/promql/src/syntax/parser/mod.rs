//! From tokens to a tree: a Pratt parser (Vaughan Pratt, "Top down operator precedence", 1973).
//!
//! [`Parser::expr`] reads an operand and then as many operators as bind at least as strongly as it was told to; each
//! operator's right side is another call of it, told to stop one level higher. Brackets, `offset`, `@` and the
//! like bind to the operand they follow, stronger than any operator.
//!
//! Upstream's parser is generated and recovers from errors; what it reports is the first error it meets, in the
//! words of the innermost construct around that has words of its own. [`Parser::within`] does the same here.

mod call;
mod duration;
mod modifier;
mod selector;

use reba_model::Matcher;

use super::{
    ast::{Binary, BinaryOp, Expr, ExprKind, MatchCardinality, Sign, Span, Unary, VectorMatching},
    check,
    error::ParseError,
    lexer::{Lexed, lex},
    literal,
    token::{Lexeme, Token, Word, describe},
};

/// Which younger parts of the language are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseOptions {
    /// Functions and aggregations that upstream calls experimental.
    pub experimental_functions: bool,
    /// Arithmetic, `step()`, `range()`, `min_of` and `max_of` where a duration is expected.
    pub duration_expressions: bool,
    /// `anchored` and `smoothed`.
    pub extended_range_selectors: bool,
    /// `fill`, `fill_left` and `fill_right`.
    pub fill_modifiers: bool,
}

impl Default for ParseOptions {
    /// As the newest upstream has it without feature flags: duration expressions, nothing experimental.
    fn default() -> Self {
        ParseOptions {
            experimental_functions: false,
            duration_expressions: true,
            extended_range_selectors: false,
            fill_modifiers: false,
        }
    }
}

impl ParseOptions {
    /// Everything is accepted.
    pub fn all() -> Self {
        ParseOptions {
            experimental_functions: true,
            duration_expressions: true,
            extended_range_selectors: true,
            fill_modifiers: true,
        }
    }
}

/// How deep parentheses, calls and signs may be nested.
const MAX_NESTING: u32 = 128;

/// How high the tree may be: whoever walks it needs stack for each level. A chain of operators is as high as it is
/// long, so this is more than `MAX_NESTING`.
const MAX_HEIGHT: u32 = 400;

/// The precedence of a sign: that of `*`, so that its operand takes in `^` only.
const SIGN_OPERAND: u8 = 6;

/// Reads a query and checks its types.
pub fn parse(query: &str, options: ParseOptions) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(query, options);
    let mut expr = parser.top(Parser::whole_expr)?;
    check::check(query, &mut expr)?;
    Ok(expr)
}

/// Reads a selector alone, as it stands in `match[]`: a name, braces, or both.
pub fn parse_selector(query: &str) -> Result<Vec<Matcher>, ParseError> {
    let mut parser = Parser::new(query, ParseOptions::default());
    parser.top(Parser::whole_selector)
}

/// Why a production could not be parsed.
enum Fail {
    /// The current token does not fit; nobody has said yet what was expected.
    Unexpected,
    /// The error is made out.
    Reported(Box<ParseError>),
}

type Parsed<T> = Result<T, Fail>;

/// An expression with the height of its tree.
struct Node {
    expr: Expr,
    height: u32,
}

/// What may stand between a binary operator and its right side.
#[derive(Default)]
struct BinaryModifiers {
    bool_modifier: bool,
    matching: VectorMatching,
}

struct Parser<'a> {
    query: &'a str,
    lexed: Lexed,
    /// Index of the current token.
    at: usize,
    nesting: u32,
    /// States of the regular expressions so far.
    regex_size: usize,
    options: ParseOptions,
}

impl<'a> Parser<'a> {
    fn new(query: &'a str, options: ParseOptions) -> Self {
        Parser { query, lexed: lex(query), at: 0, nesting: 0, regex_size: 0, options }
    }

    /// Runs a production for the whole query and makes out its error.
    fn top<T>(&mut self, production: impl FnOnce(&mut Self) -> Parsed<T>) -> Result<T, ParseError> {
        production(self).map_err(|fail| match fail {
            Fail::Reported(error) => *error,
            Fail::Unexpected => self.unexpected("", ""),
        })
    }

    fn whole_expr(&mut self) -> Parsed<Expr> {
        if self.token() == Token::End {
            return self.fail(Span::default(), "no expression found in input");
        }
        let node = self.expr(0)?;
        self.expect(Token::End)?;
        Ok(node.expr)
    }

    fn whole_selector(&mut self) -> Parsed<Vec<Matcher>> {
        if !self.token().is_metric_name() && self.token() != Token::LeftBrace {
            return Err(Fail::Unexpected);
        }
        let (selector, _) = self.vector_selector()?;
        self.expect(Token::End)?;
        Ok(selector.matchers)
    }

    fn lexeme(&self) -> Lexeme {
        let end = Lexeme { token: Token::End, span: Span::new(self.query.len(), self.query.len()) };
        self.lexed.lexemes.get(self.at).copied().unwrap_or(end)
    }

    fn token(&self) -> Token {
        self.lexeme().token
    }

    /// The token behind the current one.
    fn next_token(&self) -> Token {
        self.lexed.lexemes.get(self.at + 1).map_or(Token::End, |lexeme| lexeme.token)
    }

    fn text(&self, span: Span) -> &'a str {
        self.query.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Takes the current token. The last one stays where it is.
    fn advance(&mut self) -> Lexeme {
        let lexeme = self.lexeme();
        if !matches!(lexeme.token, Token::End | Token::Invalid) {
            self.at += 1;
        }
        lexeme
    }

    fn take(&mut self, token: Token) -> Option<Lexeme> {
        (self.token() == token).then(|| self.advance())
    }

    fn take_word(&mut self, word: Word) -> bool {
        self.take(Token::Word(word)).is_some()
    }

    fn expect(&mut self, token: Token) -> Parsed<Lexeme> {
        self.take(token).ok_or(Fail::Unexpected)
    }

    /// The last byte of the token before the current one.
    fn last_end(&self) -> u32 {
        let before = self.at.checked_sub(1).and_then(|at| self.lexed.lexemes.get(at));
        before.map_or(0, |lexeme| lexeme.span.end)
    }

    fn error(&self, span: Span, message: impl Into<String>) -> Fail {
        Fail::Reported(Box::new(ParseError::new(self.query, span, message.into())))
    }

    fn fail<T>(&self, span: Span, message: impl Into<String>) -> Parsed<T> {
        Err(self.error(span, message))
    }

    /// The error about the current token. What the lexer could not read is its own error.
    fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        let Lexeme { token, span } = self.lexeme();
        if token == Token::Invalid {
            return ParseError::new(self.query, span, self.lexed.problem.clone());
        }
        let mut message = format!("unexpected {}", describe(token, self.text(span)));
        if !context.is_empty() {
            message = format!("{message} in {context}");
        }
        if !expected.is_empty() {
            message = format!("{message}, expected {expected}");
        }
        ParseError::new(self.query, span, message)
    }

    /// Runs a production; if a token does not fit in it, and nothing inside of it has said so yet, the error says
    /// that it happened in `context` and what was `expected`.
    fn within<T>(
        &mut self,
        context: &str,
        expected: &str,
        production: impl FnOnce(&mut Self) -> Parsed<T>,
    ) -> Parsed<T> {
        production(self).map_err(|fail| match fail {
            Fail::Unexpected => Fail::Reported(Box::new(self.unexpected(context, expected))),
            reported @ Fail::Reported(_) => reported,
        })
    }

    fn node(&self, kind: ExprKind, span: Span, height: u32) -> Parsed<Node> {
        if height > MAX_HEIGHT {
            return self.fail(span, format!("expression is more than {MAX_HEIGHT} levels deep"));
        }
        Ok(Node { expr: Expr { kind, span }, height })
    }

    /// Fails if the lexer could not read the token that decides where the production before it ends: upstream has
    /// looked at it by then, so that this error comes before those about the production.
    fn look_ahead(&self) -> Parsed<()> {
        if self.token() == Token::Invalid { Err(Fail::Unexpected) } else { Ok(()) }
    }

    /// Runs a production one level deeper.
    fn nested<T>(&mut self, production: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting >= MAX_NESTING {
            let span = self.lexeme().span;
            return self.fail(span, format!("expression is nested more than {MAX_NESTING} levels deep"));
        }
        self.nesting += 1;
        let result = production(self);
        self.nesting -= 1;
        result
    }

    /// An operand and all operators behind it that bind at least as strongly as `min`.
    fn expr(&mut self, min: u8) -> Parsed<Node> {
        let mut left = self.nested(Self::operand)?;
        while let Token::Operator(op) = self.token() {
            let precedence = op.precedence();
            if precedence < min {
                break;
            }
            self.advance();
            let modifiers = self.binary_modifiers()?;
            let right_min = if op.is_right_associative() { precedence } else { precedence + 1 };
            let right = self.nested(|p| p.expr(right_min))?;
            left = self.binary(op, left, right, modifiers)?;
        }
        Ok(left)
    }

    fn binary(&self, op: BinaryOp, left: Node, right: Node, modifiers: BinaryModifiers) -> Parsed<Node> {
        let span = left.expr.span.to(right.expr.span);
        let BinaryModifiers { bool_modifier, matching } = modifiers;
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        if fills && !self.options.fill_modifiers {
            return self.fail(span, "binop fill modifiers are experimental and not enabled");
        }
        let height = left.height.max(right.height) + 1;
        let (lhs, rhs) = (left.expr, right.expr);
        let binary = Binary { op, lhs, rhs, bool_modifier, matching: Some(matching) };
        self.node(ExprKind::Binary(Box::new(binary)), span, height)
    }

    /// A sign with its operand, or a primary expression with all that belongs to it.
    fn operand(&mut self) -> Parsed<Node> {
        match self.sign() {
            Some(sign) => self.signed(sign),
            None => {
                let primary = self.primary()?;
                self.postfixes(primary)
            }
        }
    }

    /// The sign that the current token is.
    fn sign(&self) -> Option<Sign> {
        match self.token() {
            Token::Operator(BinaryOp::Add) => Some(Sign::Plus),
            Token::Operator(BinaryOp::Sub) => Some(Sign::Minus),
            _ => None,
        }
    }

    /// A sign before a number becomes part of it.
    fn signed(&mut self, op: Sign) -> Parsed<Node> {
        let start = self.advance().span;
        let mut node = self.expr(SIGN_OPERAND)?;
        let span = start.to(node.expr.span);
        if let ExprKind::Number(number) = &mut node.expr.kind {
            if op == Sign::Minus {
                number.value = -number.value;
            }
            node.expr.span = span;
            return Ok(node);
        }
        let unary = Unary { op, expr: node.expr };
        self.node(ExprKind::Unary(Box::new(unary)), span, node.height + 1)
    }

    fn primary(&mut self) -> Parsed<Node> {
        let Lexeme { token, span } = self.lexeme();
        match token {
            Token::Number | Token::Duration => {
                let (number, span) = self.number()?;
                self.node(ExprKind::Number(number), span, 1)
            }
            Token::String => {
                self.advance();
                let literal = self.string(span)?;
                self.node(ExprKind::String(literal), span, 1)
            }
            Token::LeftParen => self.paren(),
            Token::LeftBrace => self.selector(),
            Token::Aggregate(op) if self.aggregation_follows() => self.aggregation(op),
            Token::Identifier if self.next_token() == Token::LeftParen => self.call(),
            Token::Word(Word::Start | Word::End | Word::Step | Word::Range | Word::MaxOf | Word::MinOf)
                if self.next_token() == Token::LeftParen =>
            {
                self.call()
            }
            token if token.is_metric_name() => self.selector(),
            _ => Err(Fail::Unexpected),
        }
    }

    fn paren(&mut self) -> Parsed<Node> {
        let open = self.advance().span;
        let inner = self.expr(0)?;
        let close = self.expect(Token::RightParen)?.span;
        self.node(ExprKind::Paren(Box::new(inner.expr)), open.to(close), inner.height + 1)
    }

    fn selector(&mut self) -> Parsed<Node> {
        let (selector, span) = self.vector_selector()?;
        self.node(ExprKind::Vector(selector), span, 1)
    }

    /// The value of the string token at `span`.
    fn string(&self, span: Span) -> Parsed<super::ast::StringLiteral> {
        let text = self.text(span);
        literal::string(text).ok_or_else(|| {
            let quoted = reba_model::float::go_quote(text);
            self.error(span, format!("error unquoting string {quoted}: invalid syntax"))
        })
    }

    /// `bool`, `on`, `ignoring`, `group_left`, `group_right` and the fills, in this order.
    fn binary_modifiers(&mut self) -> Parsed<BinaryModifiers> {
        let mut modifiers =
            BinaryModifiers { bool_modifier: self.take_word(Word::Bool), ..BinaryModifiers::default() };
        let matching = &mut modifiers.matching;
        let on = self.take_word(Word::On);
        if on || self.take_word(Word::Ignoring) {
            matching.on = on;
            matching.labels = self.label_list()?;
            let left = self.take_word(Word::GroupLeft);
            if left || self.take_word(Word::GroupRight) {
                matching.card = if left { MatchCardinality::ManyToOne } else { MatchCardinality::OneToMany };
                if !self.modifiers_end() {
                    matching.include = self.label_list()?;
                }
            }
        }
        self.fills(matching)?;
        Ok(modifiers)
    }

    /// Whether what may stand behind `group_left` without labels follows.
    fn modifiers_end(&self) -> bool {
        let fill = matches!(self.token(), Token::Word(Word::Fill | Word::FillLeft | Word::FillRight));
        fill || (self.token() != Token::LeftParen && self.operand_follows())
    }

    fn fills(&mut self, matching: &mut VectorMatching) -> Parsed<()> {
        if self.take_word(Word::Fill) {
            let value = self.fill_value()?;
            matching.fill_left = Some(value);
            matching.fill_right = Some(value);
        } else if self.take_word(Word::FillLeft) {
            matching.fill_left = Some(self.fill_value()?);
            if self.take_word(Word::FillRight) {
                matching.fill_right = Some(self.fill_value()?);
            }
        } else if self.take_word(Word::FillRight) {
            matching.fill_right = Some(self.fill_value()?);
            if self.take_word(Word::FillLeft) {
                matching.fill_left = Some(self.fill_value()?);
            }
        }
        Ok(())
    }

    fn fill_value(&mut self) -> Parsed<f64> {
        self.expect(Token::LeftParen)?;
        let sign = self.sign();
        if sign.is_some() {
            self.advance();
        }
        let (number, _) = self.number()?;
        self.expect(Token::RightParen)?;
        Ok(if sign == Some(Sign::Minus) { -number.value } else { number.value })
    }
}

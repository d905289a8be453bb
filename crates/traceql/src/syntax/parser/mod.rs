//! From words to tree: operators by precedence, one word of look-ahead.
//!
//! `&&` and `||` bind alike and to the left, inside braces and between them, as in upstream's grammar.

mod field;
mod item;
mod metrics;
mod pipeline;

use super::{
    MAX_QUERY_BYTES,
    ast::{Field, Hint, Intrinsic, Op, Query, Root, Static},
    error::ParseError,
    lexer::{Spanned, Token, lex},
};
use crate::numbers::negated;
use item::Item;
use reba_model::spans::{SpanKind, SpanStatus};

/// How deep parentheses and signs may nest.
const MAX_DEPTH: usize = 100;

/// How many operators a query may have: `1+1+1+…` is a tree as deep as it is long, which whoever walks it must survive.
const MAX_OPERATORS: usize = 500;

type Parsed<T> = Result<T, ParseError>;

pub(super) struct Parser<'a> {
    query: &'a str,
    words: Vec<Spanned>,
    next: usize,
    depth: usize,
    operators: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(query: &'a str) -> Parsed<Self> {
        if query.len() > MAX_QUERY_BYTES {
            let message = format!("query is too long ({} > {MAX_QUERY_BYTES})", query.len());
            return Err(ParseError::at(query, 0, message));
        }
        Ok(Parser { query, words: lex(query)?, next: 0, depth: 0, operators: 0 })
    }

    /// The whole query.
    pub(super) fn query(mut self) -> Parsed<Query> {
        let root = match self.sequence()? {
            Item::Pipeline(pipeline) => Root::Search(pipeline),
            Item::Metrics(metrics) => Root::Metrics(metrics),
            _ => return Err(self.unexpected()),
        };
        let hints = if self.eat_word("with") { self.hints()? } else { Vec::new() };
        match self.peek() {
            Token::End => Ok(Query { root, hints }),
            _ => Err(self.unexpected()),
        }
    }

    /// A field and nothing else.
    pub(super) fn only_field(mut self) -> Parsed<Field> {
        let field = self.field()?;
        match self.peek() {
            Token::End => Ok(field),
            _ => Err(self.unexpected()),
        }
    }

    fn hints(&mut self) -> Parsed<Vec<Hint>> {
        self.expect("(")?;
        let mut hints = Vec::new();
        loop {
            let Token::Ident(name) = self.peek().clone() else { return Err(self.unexpected()) };
            self.next += 1;
            self.expect("=")?;
            let negative = self.eat("-");
            let value = match self.literal() {
                Some(value) if !negative => value,
                Some(value) => negated(&value).ok_or_else(|| self.unexpected())?,
                None => return Err(self.unexpected()),
            };
            hints.push(Hint { name, value });
            if !self.eat(",") {
                self.expect(")")?;
                return Ok(hints);
            }
        }
    }

    fn peek(&self) -> &Token {
        self.words.get(self.next).map_or(&Token::End, |word| &word.token)
    }

    fn sign(&self) -> Option<&'static str> {
        match self.peek() {
            Token::Sign(sign) => Some(sign),
            _ => None,
        }
    }

    fn eat(&mut self, sign: &str) -> bool {
        let found = self.sign() == Some(sign);
        self.next += usize::from(found);
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Ident(ident) if ident == word);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Parsed<()> {
        if self.eat(sign) { Ok(()) } else { Err(self.unexpected_but(sign)) }
    }

    /// A word that stands for a value; takes it.
    fn literal(&mut self) -> Option<Static> {
        let value = match self.peek() {
            Token::Int(n) => Static::Int(*n),
            Token::Float(v) => Static::Float(*v),
            Token::Duration(ns) => Static::Duration(*ns),
            Token::Str(text) => Static::Str(text.clone()),
            Token::Ident(word) => keyword(word)?,
            _ => return None,
        };
        self.next += 1;
        Some(value)
    }

    /// An attribute or an intrinsic.
    fn field(&mut self) -> Parsed<Field> {
        let field = match self.peek() {
            Token::Field(field) => Some(field.clone()),
            Token::Ident(word) => {
                Intrinsic::by_bare_name(word).map(|intrinsic| Field::Intrinsic { intrinsic, scoped: false })
            }
            _ => None,
        };
        let field = field.ok_or_else(|| self.unexpected())?;
        self.next += 1;
        Ok(field)
    }

    /// Runs `inner` one level deeper.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_DEPTH {
            return Err(self.fail(format!("expression is nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Takes an operator, of which there is a limit.
    fn take_operator(&mut self) -> Parsed<usize> {
        self.operators += 1;
        if self.operators > MAX_OPERATORS {
            return Err(self.fail(format!("query has more than {MAX_OPERATORS} operators")));
        }
        let pos = self.pos();
        self.next += 1;
        Ok(pos)
    }

    fn pos(&self) -> usize {
        self.words.get(self.next).map_or(self.query.len(), |word| word.pos)
    }

    fn fail(&self, message: impl Into<String>) -> ParseError {
        ParseError::at(self.query, self.pos(), message)
    }

    fn unexpected(&self) -> ParseError {
        self.fail(format!("syntax error: unexpected {}", name_of(self.peek())))
    }

    fn unexpected_but(&self, wanted: &str) -> ParseError {
        self.fail(format!("syntax error: unexpected {}, expecting {wanted}", name_of(self.peek())))
    }
}

/// What a bare word stands for.
fn keyword(word: &str) -> Option<Static> {
    Some(match word {
        "true" => Static::Bool(true),
        "false" => Static::Bool(false),
        "nil" => Static::Nil,
        "minInt" => Static::Int(i64::MIN),
        "maxInt" => Static::Int(i64::MAX),
        _ => {
            let status = SpanStatus::ALL.into_iter().find(|s| s.as_str() == word).map(Static::Status);
            let kind = || SpanKind::ALL.into_iter().find(|k| k.as_str() == word).map(Static::Kind);
            return status.or_else(kind);
        }
    })
}

/// The operator that a sign stands for between two values.
fn operator(sign: &str) -> Option<Op> {
    Some(match sign {
        "&&" => Op::And,
        "||" => Op::Or,
        "=" => Op::Eq,
        "!=" => Op::Ne,
        "=~" => Op::Match,
        "!~" => Op::NotMatch,
        "<" => Op::Lt,
        "<=" => Op::Le,
        ">" => Op::Gt,
        ">=" => Op::Ge,
        "+" => Op::Add,
        "-" => Op::Sub,
        "*" => Op::Mul,
        "/" => Op::Div,
        "%" => Op::Mod,
        "^" => Op::Pow,
        _ => return None,
    })
}

/// How a word is called in errors.
fn name_of(token: &Token) -> String {
    match token {
        Token::Sign(sign) => (*sign).to_owned(),
        Token::Ident(word) => {
            let known = keyword(word).is_some()
                || Intrinsic::by_bare_name(word).is_some()
                || pipeline::is_function(word);
            if known { word.clone() } else { "IDENTIFIER".to_owned() }
        }
        Token::Field(Field::Intrinsic { intrinsic, .. }) => {
            intrinsic.scoped_name().unwrap_or("IDENTIFIER").to_owned()
        }
        Token::Field(Field::Attribute { parent: true, .. }) => "parent.".to_owned(),
        Token::Field(Field::Attribute { scope, .. }) => format!("{}.", scope.prefix()),
        Token::Str(_) => "STRING".to_owned(),
        Token::Int(_) => "INTEGER".to_owned(),
        Token::Float(_) => "FLOAT".to_owned(),
        Token::Duration(_) => "DURATION".to_owned(),
        Token::End => "$end".to_owned(),
    }
}

//! From text to words.

use reba_model::{float, notation};

use super::{
    ast::{Field, Intrinsic, Scope},
    error::ParseError,
};
use crate::units;

/// Signs, the longer ones first.
const SIGNS: [&str; 38] = [
    "!>>", "!<<", "&>>", "&<<", "!>", "!<", "!~", "!=", "&>", "&<", "&~", "&&", ">>", "<<", ">=", "<=", "=~",
    "||", "|", "=", ">", "<", "~", "!", "+", "-", "*", "/", "%", "^", "(", ")", "{", "}", ",", "[", "]", ":",
];

/// Ends the name of an attribute, as does white space.
const ENDS_NAME: &str = "{}()=~!<>&|^,";

/// A word of a query.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Sign(&'static str),
    Ident(String),
    /// An attribute, or an intrinsic with its scope.
    Field(Field),
    Str(String),
    Int(i64),
    Float(f64),
    Duration(i64),
    End,
}

/// A word and the byte at which it starts.
#[derive(Clone, Debug)]
pub(super) struct Spanned {
    pub token: Token,
    pub pos: usize,
}

/// Splits a query into words; the last one is [`Token::End`].
pub(super) fn lex(query: &str) -> Result<Vec<Spanned>, ParseError> {
    let mut lexer = Lexer { query, pos: 0 };
    let mut words = Vec::new();
    loop {
        lexer.skip_blanks_and_comments()?;
        let pos = lexer.pos;
        let token = lexer.next()?;
        let end = token == Token::End;
        words.push(Spanned { token, pos });
        if end {
            return Ok(words);
        }
    }
}

/// Whether a name can stand without quotes.
pub(super) fn is_plain_name(name: &str) -> bool {
    let ends = |c: char| c.is_whitespace() || ENDS_NAME.contains(c) || c == '"' || c == '\\';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.contains(ends)
}

struct Lexer<'a> {
    query: &'a str,
    pos: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.query[self.pos..]
    }

    fn fail<T>(&self, pos: usize, message: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError::at(self.query, pos, message))
    }

    /// Takes the characters for which `wanted` holds.
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.pos += len;
        &rest[..len]
    }

    fn skip_blanks_and_comments(&mut self) -> Result<(), ParseError> {
        loop {
            self.take(char::is_whitespace);
            let rest = self.rest();
            if rest.starts_with("//") {
                self.take(|c| c != '\n');
            } else if rest.starts_with("/*") {
                match rest.find("*/") {
                    Some(end) => self.pos += end + 2,
                    None => return self.fail(self.pos, "comment not terminated"),
                }
            } else {
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> Result<Token, ParseError> {
        let rest = self.rest();
        let digit_second = rest.get(1..).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()));
        match rest.chars().next() {
            None => Ok(Token::End),
            Some('"' | '`') => self.text(),
            Some('0'..='9') => self.number(),
            Some('.') if digit_second => self.number(),
            Some('.') => {
                let start = self.pos;
                self.pos += 1;
                self.attribute(start, false, Scope::Any)
            }
            Some(c) if c == '_' || c.is_ascii_alphabetic() => self.word(),
            Some(c) => match SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
                Some(sign) => {
                    self.pos += sign.len();
                    Ok(Token::Sign(sign))
                }
                None => self
                    .fail(self.pos, format!("syntax error: unexpected {}", float::go_quote(&c.to_string()))),
            },
        }
    }

    fn text(&mut self) -> Result<Token, ParseError> {
        let rest = self.rest();
        let Some((text, after)) = notation::quoted(rest) else {
            return self.fail(self.pos, "literal not terminated");
        };
        if rest.starts_with('"') && rest[..rest.len() - after.len()].contains('\n') {
            return self.fail(self.pos, "literal not terminated");
        }
        self.pos = self.query.len() - after.len();
        Ok(Token::Str(text))
    }

    /// A number, or a duration if letters follow.
    fn number(&mut self) -> Result<Token, ParseError> {
        let start = self.pos;
        let mut text = self.take(|c| c.is_ascii_digit() || c == '.');
        let rest = self.rest();
        let exponent = rest.strip_prefix(['e', 'E']).map(|r| r.strip_prefix(['+', '-']).unwrap_or(r));
        if exponent.is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit())) {
            self.pos += 2;
            self.take(|c| c.is_ascii_digit());
            text = &self.query[start..self.pos];
        } else if rest.starts_with(|c: char| c.is_alphabetic()) {
            self.take(|c| c.is_alphanumeric() || c == '.');
            let text = &self.query[start..self.pos];
            return match units::parse_duration(text) {
                Some(ns) => Ok(Token::Duration(ns)),
                None => self.fail(start, format!("time: invalid duration {}", float::go_quote(text))),
            };
        }
        if let Ok(n) = text.parse::<i64>() {
            return Ok(Token::Int(n));
        }
        let whole = text.bytes().all(|b| b.is_ascii_digit());
        match text.parse::<f64>() {
            Ok(v) if v.is_finite() && !whole => Ok(Token::Float(v)),
            _ => self
                .fail(start, format!("strconv.Atoi: parsing {}: value out of range", float::go_quote(text))),
        }
    }

    /// A bare word, or a field if it is a scope with `.` or `:` behind it.
    fn word(&mut self) -> Result<Token, ParseError> {
        let start = self.pos;
        let word = self.take(|c| c == '_' || c.is_ascii_alphanumeric());
        if self.rest().starts_with(':') {
            let mark = self.pos;
            self.pos += 1;
            self.take(|c| c == '_' || c.is_ascii_alphanumeric());
            if let Some(intrinsic) = Intrinsic::by_scoped_name(&self.query[start..self.pos]) {
                return Ok(Token::Field(Field::Intrinsic { intrinsic, scoped: true }));
            }
            self.pos = mark;
        }
        if self.rest().starts_with('.') {
            let scope = match word {
                "span" => Some((false, Scope::Span)),
                "resource" => Some((false, Scope::Resource)),
                "event" => Some((false, Scope::Event)),
                "link" => Some((false, Scope::Link)),
                "instrumentation" => Some((false, Scope::Instrumentation)),
                "parent" => Some((true, Scope::Any)),
                _ => None,
            };
            if let Some((parent, mut scope)) = scope {
                self.pos += 1;
                for (prefix, inner) in [("span.", Scope::Span), ("resource.", Scope::Resource)] {
                    if parent && scope == Scope::Any && self.rest().starts_with(prefix) {
                        self.pos += prefix.len();
                        scope = inner;
                    }
                }
                return self.attribute(start, parent, scope);
            }
        }
        Ok(Token::Ident(word.to_owned()))
    }

    /// The name behind the dot, of bare and quoted parts.
    fn attribute(&mut self, start: usize, parent: bool, scope: Scope) -> Result<Token, ParseError> {
        let mut name = String::new();
        loop {
            name.push_str(self.take(|c| !c.is_whitespace() && !ENDS_NAME.contains(c) && c != '"'));
            if !self.rest().starts_with('"') {
                break;
            }
            let quote = self.pos;
            self.pos += 1;
            loop {
                name.push_str(self.take(|c| c != '"' && c != '\\'));
                match self.rest().as_bytes() {
                    [b'"', ..] => {
                        self.pos += 1;
                        break;
                    }
                    [b'\\', escaped @ (b'"' | b'\\'), ..] => {
                        name.push(char::from(*escaped));
                        self.pos += 2;
                    }
                    [b'\\', ..] => {
                        return self.fail(self.pos, "unsupported escape sequence in attribute name");
                    }
                    _ => return self.fail(quote, "unclosed quote in attribute name"),
                }
            }
        }
        if name.is_empty() {
            return self.fail(start, "syntax error: unexpected END_ATTRIBUTE, expecting IDENTIFIER");
        }
        Ok(Token::Field(Field::Attribute { parent, scope, name }))
    }
}

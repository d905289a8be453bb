//! From text to words.

use reba_model::float;

use super::{
    error::ParseError,
    token::{Spanned, Token},
};
use crate::units;

/// Signs, the longer ones first.
const SIGNS: [&str; 27] = [
    "|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=", "|", "=", ">", "<", "{", "}", "(", ")", ",",
    "+", "-", "*", "/", "%", "^", ":", ".",
];

/// Splits a query into words; the last one is [`Token::End`].
pub(super) fn lex(query: &str) -> Result<Vec<Spanned>, ParseError> {
    let mut lexer = Lexer { query, pos: 0 };
    let mut words = Vec::new();
    loop {
        let word = lexer.next()?;
        let end = word.token == Token::End;
        words.push(word);
        if end {
            return Ok(words);
        }
    }
}

struct Lexer<'a> {
    query: &'a str,
    pos: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.query[self.pos..]
    }

    /// Takes the characters for which `wanted` holds.
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.pos += len;
        &rest[..len]
    }

    fn skip_blanks_and_comments(&mut self) {
        loop {
            self.take(char::is_whitespace);
            if !self.rest().starts_with('#') {
                return;
            }
            self.take(|c| c != '\n');
        }
    }

    fn next(&mut self) -> Result<Spanned, ParseError> {
        self.skip_blanks_and_comments();
        let pos = self.pos;
        let rest = self.rest();
        let token = match rest.chars().next() {
            None => Token::End,
            Some('"' | '`' | '\'') => self.text()?,
            Some('[') => self.range()?,
            Some(c) if c == '_' || c.is_alphabetic() => {
                Token::Ident(self.take(|c| c == '_' || c.is_alphanumeric()).to_owned())
            }
            Some('0'..='9') => self.number(),
            Some('.') if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(),
            Some('-')
                if rest[1..].starts_with('-') && rest[2..].starts_with(|c: char| c.is_ascii_alphabetic()) =>
            {
                self.pos += 2;
                Token::Flag(self.take(|c| c == '-' || c.is_ascii_alphanumeric()).to_owned())
            }
            Some(_) => self.sign()?,
        };
        Ok(Spanned { token, pos })
    }

    fn sign(&mut self) -> Result<Token, ParseError> {
        let rest = self.rest();
        match SIGNS.iter().find(|s| rest.starts_with(**s)) {
            Some(sign) => {
                self.pos += sign.len();
                Ok(Token::Sign(sign))
            }
            None => {
                let c: String = rest.chars().take(1).collect();
                Err(ParseError::at(self.query, self.pos, format!("syntax error: unexpected {c}")))
            }
        }
    }

    /// A text in double quotes with Go's escapes, or in back quotes without any. Single quotes stand for double ones, as in
    /// PromQL (upstream refuses them): a shell leaves them alone, and our server puts them where an address has bare double ones.
    fn text(&mut self) -> Result<Token, ParseError> {
        let start = self.pos;
        let body = &self.rest()[1..];
        let malformed = |why: &str| Err(ParseError::at(self.query, start, why));
        if self.rest().starts_with('`') {
            let Some(end) = body.find('`') else { return malformed("literal not terminated") };
            self.pos += end + 2;
            return Ok(Token::Text(body[..end].replace('\r', "")));
        }
        let quote = self.rest().as_bytes().first().copied().unwrap_or(b'"');
        let mut escaped = false;
        let end = body.bytes().position(|b| match b {
            b if b == quote && !escaped => true,
            b => {
                escaped = b == b'\\' && !escaped;
                b == b'\n'
            }
        });
        match end {
            Some(end) if body.as_bytes()[end] == quote => match unquote(&body[..end]) {
                Some(text) => {
                    self.pos += end + 2;
                    Ok(Token::Text(text))
                }
                None => malformed("invalid syntax"),
            },
            _ => malformed("literal not terminated"),
        }
    }

    /// `[5m]`
    fn range(&mut self) -> Result<Token, ParseError> {
        let start = self.pos;
        let body = &self.rest()[1..];
        let Some(end) = body.find(']') else {
            return Err(ParseError::at(self.query, start, "missing closing ']' in duration"));
        };
        let ns =
            units::query_duration(body[..end].trim()).map_err(|e| ParseError::at(self.query, start, e))?;
        self.pos += end + 2;
        Ok(Token::Range(ns))
    }

    /// A number in any of Go's notations, or one with units: a duration or a size. A duration is tried first, so that `1mb` is one
    /// minute and a stray `b`.
    fn number(&mut self) -> Token {
        let start = self.pos;
        let number = self.bare_number();
        let after_number = self.pos;

        let units = self.take(|c| c.is_ascii_digit() || ".nsuµμmhdwy".contains(c));
        if units.contains(char::is_alphabetic)
            && let Ok(ns) = units::query_duration(&self.query[start..self.pos])
        {
            return Token::Duration(ns);
        }
        self.pos = after_number;

        let units = self.take(|c| "bBiIkKMGTPE".contains(c));
        if !units.is_empty()
            && let Ok(bytes) = units::byte_size(&self.query[start..self.pos])
        {
            return Token::Bytes(bytes);
        }
        self.pos = after_number;
        Token::Number(number.to_owned())
    }

    fn bare_number(&mut self) -> &'a str {
        let start = self.pos;
        let rest = self.rest();
        let prefix = rest.as_bytes().get(1).map(u8::to_ascii_lowercase);
        let (is_digit, exponent): (fn(char) -> bool, char) = match prefix {
            Some(b'x') if rest.starts_with('0') => (|c| c.is_ascii_hexdigit() || c == '_', 'p'),
            _ => (|c| c.is_ascii_digit() || c == '_', 'e'),
        };
        if rest.starts_with('0') && matches!(prefix, Some(b'x' | b'b' | b'o')) {
            self.pos += 2;
        }
        self.take(is_digit);
        if self.rest().starts_with('.') {
            self.pos += 1;
            self.take(is_digit);
        }
        let mut chars = self.rest().chars();
        if chars.next().is_some_and(|c| c.to_ascii_lowercase() == exponent) {
            let signed = matches!(chars.next(), Some('+' | '-'));
            let digits_at = self.pos + 1 + usize::from(signed);
            if self.query[digits_at..].starts_with(|c: char| c.is_ascii_digit()) {
                self.pos = digits_at;
                self.take(|c| c.is_ascii_digit());
            }
        }
        &self.query[start..self.pos]
    }
}

/// The value of a number as Go's `ParseFloat` reads it.
pub(super) fn number_value(text: &str) -> Result<f64, String> {
    float::parse_go(text).ok_or_else(|| format!("unable to parse literal as a float: {text}"))
}

/// Resolves Go's escapes; none if one of them is malformed. Bytes that are no UTF-8 become U+FFFD, as in lines.
fn unquote(body: &str) -> Option<String> {
    if !body.contains('\\') {
        return Some(body.to_owned());
    }
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = unescape(&rest[at + 1..], &mut out)?;
    }
    out.extend_from_slice(rest.as_bytes());
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// Resolves one escape, its backslash taken off already; returns what follows it.
fn unescape<'a>(rest: &'a str, out: &mut Vec<u8>) -> Option<&'a str> {
    let first = *rest.as_bytes().first()?;
    let (byte, used) = match first {
        b'a' => (0x07, 1),
        b'b' => (0x08, 1),
        b'f' => (0x0c, 1),
        b'n' => (b'\n', 1),
        b'r' => (b'\r', 1),
        b't' => (b'\t', 1),
        b'v' => (0x0b, 1),
        b'\\' | b'"' | b'\'' => (first, 1),
        b'0'..=b'7' => (u8::from_str_radix(rest.get(..3)?, 8).ok()?, 3),
        b'x' => (u8::from_str_radix(rest.get(1..3)?, 16).ok()?, 3),
        b'u' | b'U' => {
            let end = if first == b'u' { 5 } else { 9 };
            let c = char::from_u32(u32::from_str_radix(rest.get(1..end)?, 16).ok()?)?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return rest.get(end..);
        }
        _ => return None,
    };
    out.push(byte);
    rest.get(used..)
}

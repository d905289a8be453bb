//! The UTF-8 grammar: `{ name op value , … }`, where names and values are quoted, or free of reserved characters.

use reba_model::{MatchOp, Matcher};

use super::{MatcherError, is_reserved};

/// A piece of the text, with the characters (not bytes) at which it begins and ends.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    from: usize,
    to: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    OpenBrace,
    CloseBrace,
    Comma,
    Op(MatchOp),
    Quoted,
    Unquoted,
}

/// Reads a list. Nothing may be left behind it.
pub(super) fn list(text: &str) -> Result<Vec<Matcher>, MatcherError> {
    let mut p = Parser { lexer: Lexer { text, pos: 0, column: 0 } };
    let braced = p.accept(Kind::OpenBrace)?;
    let mut matchers = Vec::new();
    while let Some(token) = p.peek()?
        && token.kind != Kind::CloseBrace
    {
        matchers.push(p.matcher()?);
        match p.peek()? {
            None => {}
            Some(t) if t.kind == Kind::CloseBrace => {}
            Some(t) if t.kind == Kind::Comma => {
                p.next()?;
            }
            Some(t) => return Err(unexpected(&t, "expected a comma or close brace")),
        }
    }
    let closed = p.accept(Kind::CloseBrace)?;
    match (braced, closed) {
        (true, false) => return Err(syntax(p.lexer.column, "expected close brace")),
        (false, true) => return Err(syntax(p.lexer.column, "expected opening brace")),
        _ => {}
    }
    match p.next()? {
        Some(t) => Err(unexpected(&t, "expected end of input")),
        None => Ok(matchers),
    }
}

fn syntax(column: usize, what: &str) -> MatcherError {
    MatcherError::Syntax(format!("{column}: {what}"))
}

fn unexpected(token: &Token<'_>, what: &str) -> MatcherError {
    MatcherError::Syntax(format!("{}:{}: {}: {what}", token.from, token.to, token.text))
}

struct Parser<'a> {
    lexer: Lexer<'a>,
}

impl<'a> Parser<'a> {
    /// The next token, which stays the next.
    fn peek(&self) -> Result<Option<Token<'a>>, MatcherError> {
        self.lexer.clone().scan()
    }

    fn next(&mut self) -> Result<Option<Token<'a>>, MatcherError> {
        self.lexer.scan()
    }

    fn accept(&mut self, kind: Kind) -> Result<bool, MatcherError> {
        let is = self.peek()?.is_some_and(|t| t.kind == kind);
        if is {
            self.next()?;
        }
        Ok(is)
    }

    fn expect(&mut self, what: &str) -> Result<Token<'a>, MatcherError> {
        self.next()?.ok_or_else(|| syntax(self.lexer.column, &format!("end of input: {what}")))
    }

    fn matcher(&mut self) -> Result<Matcher, MatcherError> {
        let name = self.word("expected label name")?;
        let op = self.expect("expected an operator such as '=', '!=', '=~' or '!~'")?;
        let Kind::Op(op) = op.kind else {
            return Err(unexpected(&op, "expected an operator such as '=', '!=', '=~' or '!~'"));
        };
        let value = self.word("expected label value")?;
        Ok(Matcher::new(op, name, value)?)
    }

    fn word(&mut self, what: &str) -> Result<String, MatcherError> {
        let token = self.expect(what)?;
        match token.kind {
            Kind::Unquoted => Ok(token.text.to_owned()),
            Kind::Quoted => unquote(token.text).ok_or_else(|| unexpected(&token, "invalid input")),
            _ => Err(unexpected(&token, what)),
        }
    }
}

#[derive(Clone)]
struct Lexer<'a> {
    text: &'a str,
    /// Bytes read.
    pos: usize,
    /// Characters read.
    column: usize,
}

impl<'a> Lexer<'a> {
    /// The next token; none at the end.
    fn scan(&mut self) -> Result<Option<Token<'a>>, MatcherError> {
        let blanks = self.rest().find(|c: char| !c.is_whitespace()).unwrap_or(self.rest().len());
        self.take(blanks);
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(None) };
        let (kind, len) = match first {
            '{' => (Kind::OpenBrace, 1),
            '}' => (Kind::CloseBrace, 1),
            ',' => (Kind::Comma, 1),
            '=' if rest.starts_with("=~") => (Kind::Op(MatchOp::Regex), 2),
            '=' => (Kind::Op(MatchOp::Equal), 1),
            '!' if rest.starts_with("!=") => (Kind::Op(MatchOp::NotEqual), 2),
            '!' if rest.starts_with("!~") => (Kind::Op(MatchOp::NotRegex), 2),
            '"' => {
                let end = closing_quote(rest).ok_or_else(|| self.error(rest, "missing end \""))?;
                (Kind::Quoted, end + 1)
            }
            c if !is_reserved(c) => (Kind::Unquoted, rest.find(is_reserved).unwrap_or(rest.len())),
            _ => return Err(self.error(&rest[..first.len_utf8()], "invalid input")),
        };
        Ok(Some(self.take_token(kind, len)))
    }

    fn rest(&self) -> &'a str {
        &self.text[self.pos..]
    }

    fn take(&mut self, len: usize) -> &'a str {
        let taken = &self.rest()[..len];
        self.pos += len;
        self.column += taken.chars().count();
        taken
    }

    fn take_token(&mut self, kind: Kind, len: usize) -> Token<'a> {
        let from = self.column;
        let text = self.take(len);
        Token { kind, text, from, to: self.column }
    }

    fn error(&self, text: &str, what: &str) -> MatcherError {
        let to = self.column + text.chars().count();
        MatcherError::Syntax(format!("{}:{to}: {text}: {what}", self.column))
    }
}

/// Where the quote that opens `text` is closed.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(i),
            _ => {}
        }
    }
    None
}

/// The text of a string in double quotes with Go's escapes.
fn unquote(quoted: &str) -> Option<String> {
    let body = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\n' => return None,
            '\\' => {
                let escape = rest.chars().next()?;
                rest = &rest[escape.len_utf8()..];
                if let Some(digits) = hex_digits(escape) {
                    out.push(number(&mut rest, digits, 16, escape == 'x')?);
                } else if escape.is_digit(8) {
                    rest = &body[body.len() - rest.len() - 1..];
                    out.push(number(&mut rest, 3, 8, true)?);
                } else {
                    out.push(simple_escape(escape)?);
                }
            }
            c => out.push(c),
        }
    }
    Some(out)
}

fn hex_digits(escape: char) -> Option<usize> {
    match escape {
        'x' => Some(2),
        'u' => Some(4),
        'U' => Some(8),
        _ => None,
    }
}

fn simple_escape(escape: char) -> Option<char> {
    Some(match escape {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' => '\\',
        '"' => '"',
        _ => return None,
    })
}

/// A character by its number. Escapes of single bytes above ASCII would make the text invalid UTF-8 and are refused.
fn number(rest: &mut &str, digits: usize, radix: u32, byte: bool) -> Option<char> {
    let text = rest.get(..digits)?;
    if !text.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    *rest = &rest[digits..];
    let n = u32::from_str_radix(text, radix).ok()?;
    if byte && n > 0x7f { None } else { char::from_u32(n) }
}

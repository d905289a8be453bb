//! From text to tokens, in one pass over the bytes.
//!
//! What a character means depends on where it stands: inside braces every word is the name of a label, inside
//! brackets only durations are expected. The lexer therefore knows whether a brace or a bracket is open. The first
//! thing it cannot read ends the list with [`Token::Invalid`]; what the parser finds wrong before that is reported
//! first.

use reba_model::float::go_quote;

use super::{
    ast::{BinaryOp, Span},
    token::{Lexeme, Token, Word},
};

/// The tokens of a query; the last one is [`Token::End`] or [`Token::Invalid`].
pub(super) struct Lexed {
    pub(super) lexemes: Vec<Lexeme>,
    /// Why the last token is invalid.
    pub(super) problem: String,
}

/// Splits a query into tokens. Comments and blanks are dropped.
pub(super) fn lex(input: &str) -> Lexed {
    let mut lexer = Lexer::new(input);
    let mut problem = String::new();
    loop {
        lexer.start = lexer.pos;
        match lexer.next_token() {
            Ok(Some(token)) => {
                lexer.emit(token);
                if token == Token::End {
                    break;
                }
            }
            Ok(None) => {}
            Err(reason) => {
                problem = reason;
                lexer.pos = input.len();
                lexer.emit(Token::Invalid);
                break;
            }
        }
    }
    Lexed { lexemes: lexer.lexemes, problem }
}

/// A token, nothing (a blank, a comment), or what is wrong.
type Step = Result<Option<Token>, String>;

struct Lexer<'a> {
    input: &'a str,
    bytes: &'a [u8],
    lexemes: Vec<Lexeme>,
    /// Where the current token starts.
    start: usize,
    /// The next byte to be read.
    pos: usize,
    parens: usize,
    in_braces: bool,
    in_brackets: bool,
    /// Inside brackets: an operand of a duration is expected.
    in_duration: bool,
    saw_duration: bool,
    saw_colon: bool,
}

impl<'a> Lexer<'a> {
    fn new(input: &'a str) -> Self {
        Lexer {
            input,
            bytes: input.as_bytes(),
            lexemes: Vec::with_capacity(input.len() / 4 + 1),
            start: 0,
            pos: 0,
            parens: 0,
            in_braces: false,
            in_brackets: false,
            in_duration: false,
            saw_duration: false,
            saw_colon: false,
        }
    }

    fn emit(&mut self, token: Token) {
        self.lexemes.push(Lexeme { token, span: Span::new(self.start, self.pos) });
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }

    fn accept(&mut self, set: &[u8]) -> bool {
        let found = self.peek().is_some_and(|b| set.contains(&b));
        self.pos += usize::from(found);
        found
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.pos += 1;
        }
    }

    /// The whole character that starts at the next byte.
    fn next_char(&mut self) -> Option<char> {
        let c = self.input.get(self.pos..)?.chars().next()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn text(&self) -> &'a str {
        self.input.get(self.start..self.pos).unwrap_or_default()
    }

    fn next_token(&mut self) -> Step {
        if self.peek().is_some_and(is_blank) {
            self.skip_while(is_blank);
            return Ok(None);
        }
        if self.in_duration {
            return self.inside_duration();
        }
        if self.peek() == Some(b'#') {
            self.skip_while(|b| b != b'\n' && b != b'\r');
            return Ok(None);
        }
        if self.in_braces { self.inside_braces() } else { self.in_the_open() }
    }

    fn in_the_open(&mut self) -> Step {
        let Some(c) = self.next_char() else { return self.at_end() };
        let token = match c {
            ',' => Token::Comma,
            '@' => Token::At,
            '=' => match self.peek() {
                Some(b'=') => self.operator(BinaryOp::Eq),
                Some(b'~') => return Err("unexpected character after '=': '~'".to_owned()),
                _ => Token::Assign,
            },
            '!' => match self.next_char() {
                Some('=') => Token::Operator(BinaryOp::Ne),
                other => return Err(format!("unexpected character after '!': {}", quote_char(other))),
            },
            '<' => match self.peek() {
                Some(b'=') => self.operator(BinaryOp::Le),
                Some(b'/') => self.operator(BinaryOp::TrimUpper),
                _ => Token::Operator(BinaryOp::Lt),
            },
            '>' => match self.peek() {
                Some(b'=') => self.operator(BinaryOp::Ge),
                Some(b'/') => self.operator(BinaryOp::TrimLower),
                _ => Token::Operator(BinaryOp::Gt),
            },
            '"' | '\'' => return self.string(c as u8),
            '`' => return self.raw_string(),
            '(' | ')' => return self.paren(c),
            '{' => {
                self.in_braces = true;
                Token::LeftBrace
            }
            '[' => return self.left_bracket(),
            ']' if !self.in_brackets => return Err("unexpected right bracket ']'".to_owned()),
            ']' => {
                self.in_brackets = false;
                Token::RightBracket
            }
            c if is_number_start(c, self.peek()) => return self.number_or_duration(),
            c if c == ':' || is_word_start(c) => return self.word_or_colon(c),
            c => match arithmetic(c) {
                Some(op) => Token::Operator(op),
                None => return Err(format!("unexpected character: {}", quote_char(Some(c)))),
            },
        };
        Ok(Some(token))
    }

    /// Takes the second character of an operator.
    fn operator(&mut self, op: BinaryOp) -> Token {
        self.pos += 1;
        Token::Operator(op)
    }

    fn at_end(&self) -> Step {
        if self.parens > 0 {
            Err("unclosed left parenthesis".to_owned())
        } else if self.in_brackets {
            Err("unclosed left bracket".to_owned())
        } else {
            Ok(Some(Token::End))
        }
    }

    fn paren(&mut self, c: char) -> Step {
        if c == '(' {
            self.parens += 1;
            return Ok(Some(Token::LeftParen));
        }
        if self.parens == 0 {
            self.start = self.pos;
            return Err("unexpected right parenthesis ')'".to_owned());
        }
        self.parens -= 1;
        Ok(Some(Token::RightParen))
    }

    fn left_bracket(&mut self) -> Step {
        if self.in_brackets {
            return Err("unexpected left bracket '['".to_owned());
        }
        self.in_brackets = true;
        self.in_duration = true;
        self.saw_colon = false;
        Ok(Some(Token::LeftBracket))
    }

    fn word_or_colon(&mut self, first: char) -> Step {
        if !self.in_brackets {
            self.skip_while(|b| is_word_byte(b) || b == b':');
            let token = match Token::of_word(self.text()) {
                // These came late: without a parenthesis they stay the names of metrics that they may have been.
                Token::Word(Word::Fill | Word::FillLeft | Word::FillRight) if !self.paren_follows() => {
                    Token::Identifier
                }
                token => token,
            };
            return Ok(Some(token));
        }
        if first == ':' {
            if self.saw_colon {
                return Err("unexpected colon ':'".to_owned());
            }
            self.saw_colon = true;
            return Ok(Some(Token::Colon));
        }
        self.duration_word()
            .map(Some)
            .ok_or_else(|| format!("unexpected character: {}, expected ':'", quote_char(Some(first))))
    }

    fn paren_follows(&self) -> bool {
        self.bytes.get(self.pos..).unwrap_or_default().iter().find(|b| !is_blank(**b)) == Some(&b'(')
    }

    /// Inside brackets, where an operand of a duration is expected.
    fn inside_duration(&mut self) -> Step {
        let Some(c) = self.next_char() else {
            return Err("unexpected end of input in duration expression".to_owned());
        };
        match c {
            ']' => {
                self.in_brackets = false;
                self.in_duration = false;
                Ok(Some(Token::RightBracket))
            }
            ':' if !self.saw_duration => {
                self.start = self.pos;
                Err("unexpected colon before duration in duration expression".to_owned())
            }
            ':' if self.saw_colon => {
                self.start = self.pos;
                Err("unexpected repeated colon in duration expression".to_owned())
            }
            ':' => {
                self.saw_colon = true;
                Ok(Some(Token::Colon))
            }
            '(' | ')' => self.paren(c),
            ',' => Ok(Some(Token::Comma)),
            c if is_number_start(c, self.peek()) => {
                self.in_duration = false;
                self.saw_duration = true;
                self.number_or_duration()
            }
            c => {
                if let Some(op) = arithmetic(c) {
                    return Ok(Some(Token::Operator(op)));
                }
                let word = if is_word_start(c) { self.duration_word() } else { None };
                self.saw_duration |= word.is_some();
                word.map(Some).ok_or_else(|| {
                    format!("unexpected character in duration expression: {}", quote_char(Some(c)))
                })
            }
        }
    }

    /// The rest of `step`, `range`, `min_of` or `max_of`.
    fn duration_word(&mut self) -> Option<Token> {
        self.skip_while(|b| b.is_ascii_alphabetic() || b == b'_');
        match Token::of_word(self.text()) {
            token @ Token::Word(Word::Step | Word::Range | Word::MaxOf | Word::MinOf) => Some(token),
            _ => None,
        }
    }

    fn inside_braces(&mut self) -> Step {
        let Some(c) = self.next_char() else {
            return Err("unexpected end of input inside braces".to_owned());
        };
        let token = match c {
            ',' => Token::Comma,
            '"' | '\'' => return self.string(c as u8),
            '`' => return self.raw_string(),
            '=' if self.accept(b"~") => Token::Matches,
            '=' => Token::Assign,
            '!' => match self.next_char() {
                Some('~') => Token::NotMatches,
                Some('=') => Token::Operator(BinaryOp::Ne),
                other => {
                    let shown = quote_char(other);
                    return Err(format!("unexpected character after '!' inside braces: {shown}"));
                }
            },
            '{' => return Err("unexpected left brace '{'".to_owned()),
            '}' => {
                self.in_braces = false;
                Token::RightBrace
            }
            c if is_word_start(c) => {
                self.skip_while(is_word_byte);
                Token::Identifier
            }
            c => return Err(format!("unexpected character inside braces: {}", quote_char(Some(c)))),
        };
        Ok(Some(token))
    }

    fn string(&mut self, quote: u8) -> Step {
        loop {
            match self.next_char() {
                None | Some('\n') => return Err("unterminated quoted string".to_owned()),
                Some('\u{fffd}') => return Err("invalid UTF-8 rune".to_owned()),
                Some('\\') => self.escape(quote)?,
                Some(c) if c == char::from(quote) => return Ok(Some(Token::String)),
                Some(_) => {}
            }
        }
    }

    fn raw_string(&mut self) -> Step {
        loop {
            match self.next_char() {
                None => return Err("unterminated raw string".to_owned()),
                Some('\u{fffd}') => return Err("invalid UTF-8 rune".to_owned()),
                Some('`') => return Ok(Some(Token::String)),
                Some(_) => {}
            }
        }
    }

    /// Checks what follows a backslash.
    fn escape(&mut self, quote: u8) -> Result<(), String> {
        let unterminated = || "escape sequence not terminated".to_owned();
        let first = self.next_char().ok_or_else(unterminated)?;
        let (digits, radix, max) = match first {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => return Ok(()),
            c if c == char::from(quote) => return Ok(()),
            '0'..='7' => {
                self.pos -= 1;
                (3, 8, 0xff)
            }
            'x' => (2, 16, 0xff),
            'u' => (4, 16, char::MAX as u32),
            'U' => (8, 16, char::MAX as u32),
            c => return Err(format!("unknown escape sequence {}", unicode_name(c))),
        };
        let mut code: u32 = 0;
        for _ in 0..digits {
            let c = self.next_char().ok_or_else(unterminated)?;
            let digit = c
                .to_digit(radix)
                .ok_or_else(|| format!("illegal character {} in escape sequence", unicode_name(c)))?;
            code = code.wrapping_mul(radix).wrapping_add(digit);
        }
        if code > max || (0xd800..0xe000).contains(&code) {
            return Err("escape sequence is an invalid Unicode code point".to_owned());
        }
        Ok(())
    }

    fn number_or_duration(&mut self) -> Step {
        self.pos = self.start;
        if self.number() {
            return Ok(Some(Token::Number));
        }
        if self.rest_of_duration() {
            return Ok(Some(Token::Duration));
        }
        Err(format!("bad number or duration syntax: {}", go_quote(self.text())))
    }

    /// Reads a number as upstream's scanner does: what it takes need not be a valid one, the parser finds that out.
    /// If it fails, it has read as far as it could.
    fn number(&mut self) -> bool {
        let mut hex = false;
        if self.accept(b"0") && self.accept(b"xX") {
            self.accept(b"_");
            hex = true;
        }
        let is_digit = |b: u8| if hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
        self.accept(b".");
        if self.peek().is_some_and(is_digit) {
            self.pos += 1;
        }
        let (mut dot, mut exponent) = (false, false);
        while let Some(b) = self.peek() {
            match b {
                b'.' => {
                    self.pos += 1;
                    if dot || self.accept(b"_.") || hex {
                        return false;
                    }
                    dot = true;
                }
                b'e' | b'E' => {
                    self.pos += 1;
                    if exponent {
                        return false;
                    }
                    exponent = true;
                    self.accept(b"+-");
                    if self.accept(b"._eE") || self.peek().is_none() {
                        return false;
                    }
                }
                b'_' => {
                    self.pos += 1;
                    if self.accept(b"._eE") || self.peek().is_none() {
                        return false;
                    }
                }
                b if is_digit(b) => self.skip_while(is_digit),
                _ => break,
            }
        }
        self.pos > self.start && !self.peek().is_some_and(is_word_byte)
    }

    /// Reads on from the digits of a duration: units with more digits between them. Which units may follow each
    /// other is for the parser to find out.
    fn rest_of_duration(&mut self) -> bool {
        if !self.accept(b"smhdwy") {
            return false;
        }
        self.accept(b"s");
        while self.accept(b"0123456789") {
            self.skip_while(|b| b.is_ascii_digit());
            if !self.accept(b"smhdw") {
                return false;
            }
            self.accept(b"s");
        }
        let ends = !self.peek().is_some_and(is_word_byte);
        // What is too much belongs into the error.
        self.pos += usize::from(!ends);
        ends
    }
}

fn arithmetic(c: char) -> Option<BinaryOp> {
    Some(match c {
        '+' => BinaryOp::Add,
        '-' => BinaryOp::Sub,
        '*' => BinaryOp::Mul,
        '/' => BinaryOp::Div,
        '%' => BinaryOp::Mod,
        '^' => BinaryOp::Pow,
        _ => return None,
    })
}

fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_word_start(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

fn is_word_byte(b: u8) -> bool {
    b == b'_' || b.is_ascii_alphanumeric()
}

fn is_number_start(c: char, next: Option<u8>) -> bool {
    c.is_ascii_digit() || (c == '.' && next.is_some_and(|b| b.is_ascii_digit()))
}

/// A character in single quotes, as Go writes it; the end of input is an invalid one.
fn quote_char(c: Option<char>) -> String {
    match c {
        None => "'\u{fffd}'".to_owned(),
        Some('\'') => "'\\''".to_owned(),
        Some('"') => "'\"'".to_owned(),
        Some(c) => {
            let quoted = go_quote(c.encode_utf8(&mut [0; 4]));
            format!("'{}'", quoted.trim_matches('"'))
        }
    }
}

/// `U+0063 'c'`
fn unicode_name(c: char) -> String {
    let code = c as u32;
    if c.is_control() { format!("U+{code:04X}") } else { format!("U+{code:04X} '{c}'") }
}

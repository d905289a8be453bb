//! Cuts the text of a template into tokens, by the rules of Go's `text/template`.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Error,
    Eof,
    Text,
    LeftDelim,
    RightDelim,
    Space,
    Assign,
    Declare,
    Pipe,
    LeftParen,
    RightParen,
    Comma,
    OtherChar,
    Bool,
    Char,
    Number,
    String,
    RawString,
    Identifier,
    Field,
    Variable,
    Dot,
    Nil,
    Keyword(Keyword),
}

/// The words that begin a control structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
}

/// A piece of the template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: Kind,
    /// Byte at which it begins.
    pub pos: usize,
    /// Its text, or the message of an error.
    pub text: String,
    /// Line at which it begins, from 1.
    pub line: usize,
}

impl Token {
    /// As upstream's messages print a token.
    pub fn describe(&self) -> String {
        match self.kind {
            Kind::Eof => "EOF".to_owned(),
            Kind::Error => self.text.clone(),
            Kind::Dot | Kind::Nil | Kind::Keyword(_) => format!("<{}>", self.text),
            _ if self.text.len() > 10 => {
                let short: String = self.text.chars().take(10).collect();
                format!("{}...", reba_model::float::go_quote(&short))
            }
            _ => reba_model::float::go_quote(&self.text),
        }
    }
}

const LEFT: &str = "{{";
const RIGHT: &str = "}}";

/// All tokens of `input`. The last one is the end or an error.
pub(crate) fn tokens(input: &str) -> Vec<Token> {
    let mut lexer = Lexer { input, pos: 0, start: 0, line: 1, start_line: 1, parens: 0, out: Vec::new() };
    while lexer.text() {}
    lexer.out
}

struct Lexer<'a> {
    input: &'a str,
    pos: usize,
    start: usize,
    line: usize,
    start_line: usize,
    parens: usize,
    out: Vec<Token>,
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.input.get(self.pos..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn ignore(&mut self) {
        self.start = self.pos;
        self.start_line = self.line;
    }

    /// Moves over text that is looked at as a whole.
    fn skip(&mut self, to: usize) {
        self.line += self.input[self.pos..to].matches('\n').count();
        self.pos = to;
    }

    fn emit(&mut self, kind: Kind) {
        let text = self.input[self.start..self.pos].to_owned();
        self.out.push(Token { kind, pos: self.start, text, line: self.start_line });
        self.ignore();
    }

    fn error(&mut self, message: impl Into<String>) -> bool {
        self.out.push(Token {
            kind: Kind::Error,
            pos: self.start,
            text: message.into(),
            line: self.start_line,
        });
        false
    }

    /// Plain text up to the next action, and that action. Returns false at the end.
    fn text(&mut self) -> bool {
        let Some(at) = self.rest().find(LEFT) else {
            self.skip(self.input.len());
            if self.pos > self.start {
                self.emit(Kind::Text);
            }
            self.emit(Kind::Eof);
            return false;
        };
        let delim = self.pos + at;
        let text = &self.input[self.pos..delim];
        let kept = if has_left_trim(&self.input[delim + LEFT.len()..]) {
            text.trim_end_matches(is_space).len()
        } else {
            text.len()
        };
        self.skip(self.pos + kept);
        if self.pos > self.start {
            self.emit(Kind::Text);
        }
        self.skip(delim);
        self.ignore();
        self.action()
    }

    fn action(&mut self) -> bool {
        self.skip(self.pos + LEFT.len());
        let trim = has_left_trim(self.rest());
        let after_marker = self.pos + if trim { 2 } else { 0 };
        if self.input[after_marker..].starts_with("/*") {
            self.skip(after_marker);
            self.ignore();
            return self.comment();
        }
        self.emit(Kind::LeftDelim);
        self.skip(after_marker);
        self.ignore();
        self.parens = 0;
        while !self.at_right_delim().0 {
            if !self.inside() {
                return false;
            }
        }
        if self.parens > 0 {
            return self.error("unclosed left paren");
        }
        self.right_delim()
    }

    fn comment(&mut self) -> bool {
        let Some(end) = self.rest().get(2..).and_then(|r| r.find("*/")) else {
            return self.error("unclosed comment");
        };
        self.skip(self.pos + 2 + end + 2);
        let (delim, trim) = self.at_right_delim();
        if !delim {
            return self.error("comment ends before closing delimiter");
        }
        self.close(trim);
        self.ignore();
        true
    }

    fn right_delim(&mut self) -> bool {
        let (_, trim) = self.at_right_delim();
        if trim {
            self.skip(self.pos + 2);
            self.ignore();
        }
        self.skip(self.pos + RIGHT.len());
        self.emit(Kind::RightDelim);
        if trim {
            self.skip_spaces();
            self.ignore();
        }
        true
    }

    fn close(&mut self, trim: bool) {
        self.skip(self.pos + RIGHT.len() + if trim { 2 } else { 0 });
        if trim {
            self.skip_spaces();
        }
    }

    fn skip_spaces(&mut self) {
        let n = self.rest().len() - self.rest().trim_start_matches(is_space).len();
        self.skip(self.pos + n);
    }

    /// Whether the right delimiter is next, and whether with a trim marker.
    fn at_right_delim(&self) -> (bool, bool) {
        let rest = self.rest();
        if has_right_trim(rest) && rest[2..].starts_with(RIGHT) {
            return (true, true);
        }
        (rest.starts_with(RIGHT), false)
    }

    /// One token inside an action.
    fn inside(&mut self) -> bool {
        let Some(c) = self.next() else {
            return self.error("unclosed action");
        };
        match c {
            c if is_space(c) => self.space(),
            '=' => self.emit(Kind::Assign),
            ':' => {
                if self.next() != Some('=') {
                    return self.error("expected :=");
                }
                self.emit(Kind::Declare);
            }
            '|' => self.emit(Kind::Pipe),
            '"' => return self.quoted('"', Kind::String, "unterminated quoted string"),
            '\'' => return self.quoted('\'', Kind::Char, "unterminated character constant"),
            '`' => {
                let Some(end) = self.rest().find('`') else {
                    return self.error("unterminated raw quoted string");
                };
                self.skip(self.pos + end + 1);
                self.emit(Kind::RawString);
            }
            '$' => return self.field_or_variable(Kind::Variable),
            '.' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                return self.field_or_variable(Kind::Field);
            }
            '.' | '+' | '-' | '0'..='9' => return self.number(),
            c if is_alphanumeric(c) => return self.identifier(),
            '(' => {
                self.parens += 1;
                self.emit(Kind::LeftParen);
            }
            ')' => {
                if self.parens == 0 {
                    return self.error("unexpected right paren");
                }
                self.parens -= 1;
                self.emit(Kind::RightParen);
            }
            ',' => self.emit(Kind::Comma),
            c if c.is_ascii_graphic() => self.emit(Kind::OtherChar),
            c => {
                let text = format!("unrecognized character in action: {}", unicode(c));
                return self.error(text);
            }
        }
        true
    }

    fn space(&mut self) {
        while self.peek().is_some_and(is_space) {
            // A trim marker before the right delimiter begins with a space of its own.
            let at_marker =
                has_right_trim(&self.input[self.pos..]) && self.input[self.pos + 2..].starts_with(RIGHT);
            if at_marker {
                break;
            }
            self.next();
        }
        let last = self.pos - 1;
        if has_right_trim(&self.input[last..]) && self.input[last + 2..].starts_with(RIGHT) {
            if self.input.as_bytes().get(last) == Some(&b'\n') {
                self.line -= 1;
            }
            self.pos = last;
            if self.pos == self.start {
                return;
            }
        }
        self.emit(Kind::Space);
    }

    fn quoted(&mut self, quote: char, kind: Kind, unterminated: &str) -> bool {
        loop {
            match self.next() {
                Some('\\') => {
                    if matches!(self.next(), None | Some('\n')) {
                        return self.error(unterminated);
                    }
                }
                None | Some('\n') => return self.error(unterminated),
                Some(c) if c == quote => break,
                Some(_) => {}
            }
        }
        self.emit(kind);
        true
    }

    fn field_or_variable(&mut self, kind: Kind) -> bool {
        if self.at_terminator() {
            self.emit(if kind == Kind::Variable { Kind::Variable } else { Kind::Dot });
            return true;
        }
        while self.peek().is_some_and(is_alphanumeric) {
            self.next();
        }
        if !self.at_terminator() {
            return self.bad_character();
        }
        self.emit(kind);
        true
    }

    fn identifier(&mut self) -> bool {
        while self.peek().is_some_and(is_alphanumeric) {
            self.next();
        }
        if !self.at_terminator() {
            return self.bad_character();
        }
        let kind = match &self.input[self.start..self.pos] {
            "true" | "false" => Kind::Bool,
            "nil" => Kind::Nil,
            "block" => Kind::Keyword(Keyword::Block),
            "break" => Kind::Keyword(Keyword::Break),
            "continue" => Kind::Keyword(Keyword::Continue),
            "define" => Kind::Keyword(Keyword::Define),
            "else" => Kind::Keyword(Keyword::Else),
            "end" => Kind::Keyword(Keyword::End),
            "if" => Kind::Keyword(Keyword::If),
            "range" => Kind::Keyword(Keyword::Range),
            "template" => Kind::Keyword(Keyword::Template),
            "with" => Kind::Keyword(Keyword::With),
            _ => Kind::Identifier,
        };
        self.emit(kind);
        true
    }

    fn bad_character(&mut self) -> bool {
        let text = self
            .peek()
            .map_or_else(|| "unclosed action".to_owned(), |c| format!("bad character {}", unicode(c)));
        self.error(text)
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None => true,
            Some(c) if is_space(c) => true,
            Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(_) => self.rest().starts_with(RIGHT),
        }
    }

    fn number(&mut self) -> bool {
        self.pos = self.start;
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        while self.accept(digits) {}
        if self.accept(".") {
            while self.accept(digits) {}
        }
        let exponent = match digits.len() {
            11 => "eE",
            23 => "pP",
            _ => "",
        };
        if self.accept(exponent) {
            self.accept("+-");
            while self.accept("0123456789_") {}
        }
        if self.peek().is_some_and(is_alphanumeric) {
            self.next();
            let text = reba_model::float::go_quote(&self.input[self.start..self.pos]);
            return self.error(format!("bad number syntax: {text}"));
        }
        self.emit(Kind::Number);
        true
    }

    fn accept(&mut self, set: &str) -> bool {
        let yes = self.peek().is_some_and(|c| set.contains(c));
        if yes {
            self.next();
        }
        yes
    }
}

fn has_left_trim(s: &str) -> bool {
    let mut chars = s.chars();
    chars.next() == Some('-') && chars.next().is_some_and(is_space)
}

fn has_right_trim(s: &str) -> bool {
    let mut chars = s.chars();
    chars.next().is_some_and(is_space) && chars.next() == Some('-')
}

/// Go's `%#U`.
fn unicode(c: char) -> String {
    let visible = !c.is_control() && (c == ' ' || !c.is_whitespace());
    if visible { format!("U+{:04X} '{c}'", c as u32) } else { format!("U+{:04X}", c as u32) }
}

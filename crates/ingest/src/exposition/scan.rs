//! A position in a page, and the pieces that both text formats are made of.

use super::ParseError;

/// A position in a page.
#[derive(Clone, Debug)]
pub struct Scan<'a> {
    pub(super) page: &'a [u8],
    pub(super) at: usize,
}

/// What separates the pieces of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blanks {
    /// Any run of blanks and tabs, also none; commas between labels may be missing (text 0.0.4).
    Any,
    /// None.
    None,
}

impl<'a> Scan<'a> {
    pub(super) fn new(page: &'a [u8]) -> Self {
        Scan { page, at: 0 }
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.page.get(self.at).copied()
    }

    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.page.get(self.at..).unwrap_or_default()
    }

    /// Goes behind `byte` if it comes next.
    #[inline]
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Goes behind `text` if it comes next.
    pub(super) fn eat_all(&mut self, text: &[u8]) -> bool {
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    /// Takes bytes as long as `wanted` holds.
    #[inline]
    pub(super) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let n = rest.iter().position(|b| !wanted(*b)).unwrap_or(rest.len());
        self.at += n;
        &rest[..n]
    }

    /// Goes over blanks and tabs; returns whether there were any.
    #[inline]
    pub(super) fn skip_blanks(&mut self) -> bool {
        !self.take_while(|b| matches!(b, b' ' | b'\t')).is_empty()
    }

    pub(super) fn error(&self, what: impl Into<String>) -> ParseError {
        ParseError::new(self.page, self.at, what)
    }

    /// "expected …, got …" at the current place.
    pub(super) fn expected(&self, what: &str) -> ParseError {
        match self.peek() {
            None => self.error(format!("expected {what}, got the end of the page")),
            Some(b'\n') => self.error(format!("expected {what}, got the end of the line")),
            Some(b) => self.error(format!("expected {what}, got {:?}", char::from(b))),
        }
    }

    /// A name without quotes; empty if none comes next. Only metric names may hold colons.
    pub(super) fn name(&mut self, colons: bool) -> &'a [u8] {
        let rest = self.rest();
        let n = rest
            .iter()
            .enumerate()
            .position(|(i, b)| {
                !(b.is_ascii_alphabetic()
                    || *b == b'_'
                    || colons && *b == b':'
                    || i > 0 && b.is_ascii_digit())
            })
            .unwrap_or(rest.len());
        self.at += n;
        &rest[..n]
    }

    /// A text in double quotes, returned without them and with its escapes.
    #[inline]
    pub(super) fn quoted(&mut self, lines: bool) -> Result<&'a [u8], ParseError> {
        if !self.eat(b'"') {
            return Err(self.expected("a text in quotes"));
        }
        let from = self.at;
        loop {
            let rest = self.rest();
            let Some(n) = rest.iter().position(|b| matches!(b, b'"' | b'\\' | b'\n')) else {
                return Err(ParseError::new(self.page, from, "text in quotes does not end"));
            };
            self.at += n;
            match rest[n] {
                b'"' => {
                    self.at += 1;
                    return Ok(&self.page[from..self.at - 1]);
                }
                b'\\' if rest.get(n + 1).is_some_and(|b| *b != b'\n') => self.at += 2,
                b'\n' if lines => self.at += 1,
                _ => return Err(self.error("line ends inside a text in quotes")),
            }
        }
    }

    /// Name and labels of a series: `name`, `name{…}` or `{"name",…}`. Returns their bytes.
    pub(super) fn series(&mut self, blanks: Blanks) -> Result<&'a [u8], ParseError> {
        let from = self.at;
        let mut named = !self.name(true).is_empty();
        let end_of_name = self.at;
        if blanks == Blanks::Any {
            self.skip_blanks();
        }
        if self.eat(b'{') {
            self.label_pairs(blanks, &mut named)?;
        } else if named {
            // Blanks behind a bare name do not belong to the series.
            self.at = end_of_name;
        } else {
            return Err(self.expected("a metric name or a comment"));
        }
        if !named {
            return Err(ParseError::new(self.page, from, "metric name not set"));
        }
        Ok(&self.page[from..self.at])
    }

    /// The labels of an exemplar with their braces; the opening one was read already.
    pub(super) fn exemplar_labels(&mut self) -> Result<&'a [u8], ParseError> {
        let from = self.at - 1;
        // A name in quotes that is no label is refused as if there were a metric name already.
        self.label_pairs(Blanks::None, &mut true)?;
        Ok(&self.page[from..self.at])
    }

    /// Reads from behind the opening brace to behind the closing one. `named` says whether there is a metric name.
    fn label_pairs(&mut self, blanks: Blanks, named: &mut bool) -> Result<(), ParseError> {
        let skip = |s: &mut Self| {
            if blanks == Blanks::Any {
                s.skip_blanks();
            }
        };
        loop {
            skip(self);
            if self.eat(b'}') {
                return Ok(());
            }
            let in_quotes = self.peek() == Some(b'"');
            let start = self.at;
            if in_quotes {
                self.quoted(true)?;
            } else if self.name(false).is_empty() {
                return Err(self.expected("label name"));
            }
            skip(self);
            if in_quotes && matches!(self.peek(), Some(b',' | b'}')) {
                if std::mem::replace(named, true) {
                    return Err(ParseError::new(self.page, start, "metric name already set"));
                }
                self.eat(b',');
                continue;
            }
            if !self.eat(b'=') {
                return Err(self.expected("'='"));
            }
            skip(self);
            let at = self.at;
            let value = self.quoted(blanks == Blanks::Any)?;
            if std::str::from_utf8(value).is_err() {
                return Err(ParseError::new(self.page, at, "invalid UTF-8 label value"));
            }
            skip(self);
            if !self.eat(b',') && blanks == Blanks::None && self.peek() != Some(b'}') {
                return Err(self.expected("',' or '}'"));
            }
        }
    }
}

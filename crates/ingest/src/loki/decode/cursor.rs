//! A place in a JSON text that moves forward over it.

use super::PushFault;

/// Lists and objects that are passed over may be so deep.
const MAX_DEPTH: usize = 64;

/// A place in a JSON text.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

/// A text of JSON: as it stands, or, with escapes, in the buffer that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text<'a> {
    /// As it stands.
    Plain(&'a str),
    /// In the buffer.
    Unescaped,
}

impl<'a> Text<'a> {
    /// The text, of which `buffer` is where it was put if it had escapes.
    pub(super) fn get<'b>(self, buffer: &'b str) -> &'b str
    where
        'a: 'b,
    {
        match self {
            Text::Plain(text) => text,
            Text::Unescaped => buffer,
        }
    }
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Cursor { text, at: 0 }
    }

    /// Bytes before the place.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Goes to another place, which a cursor of this text was at.
    pub(super) fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    /// The text from a place to where the cursor is.
    pub(super) fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    pub(super) fn fault(&self, reason: impl Into<String>) -> PushFault {
        PushFault::new(self.at, reason)
    }

    /// The next byte that is no blank, which is not passed.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b) = bytes.get(self.at) {
            match b {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                b => return Some(*b),
            }
        }
        None
    }

    /// Passes `byte` if it comes next.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Passes `byte`, or says what stands in its place.
    #[inline]
    pub(super) fn expect(&mut self, byte: u8, what: &str) -> Result<(), PushFault> {
        if self.take(byte) { Ok(()) } else { Err(self.unexpected(what)) }
    }

    pub(super) fn unexpected(&mut self, what: &str) -> PushFault {
        self.peek();
        match self.text[self.at..].chars().next() {
            Some(c) => self.fault(format!("expected {what}, found {c:?}")),
            None => self.fault(format!("expected {what}, found the end")),
        }
    }

    /// Nothing but blanks may be left.
    pub(super) fn end(&mut self) -> Result<(), PushFault> {
        if self.peek().is_some() { Err(self.unexpected("nothing more")) } else { Ok(()) }
    }

    /// Passes `null` if it comes next.
    pub(super) fn null(&mut self) -> bool {
        let found = self.peek() == Some(b'n') && self.text[self.at..].starts_with("null");
        self.at += if found { 4 } else { 0 };
        found
    }

    /// In a list or object: whether another item comes, before which a comma is passed. The closing byte is passed if not.
    #[inline]
    pub(super) fn another(&mut self, first: bool, close: u8) -> Result<bool, PushFault> {
        if self.take(close) {
            return Ok(false);
        }
        if !first {
            self.expect(b',', if close == b']' { "',' or ']'" } else { "',' or '}'" })?;
        }
        Ok(true)
    }

    /// A key of an object and the colon behind it.
    pub(super) fn key(&mut self, buffer: &mut String) -> Result<Text<'a>, PushFault> {
        let key = self.string(buffer, "a name in quotes")?;
        self.expect(b':', "':'")?;
        Ok(key)
    }

    /// A text. Control characters are taken as they are, as upstream does.
    #[inline]
    pub(super) fn string(&mut self, buffer: &mut String, what: &str) -> Result<Text<'a>, PushFault> {
        if !self.take(b'"') {
            return Err(self.unexpected(what));
        }
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        match memchr::memchr2(b'"', b'\\', rest) {
            Some(n) if rest[n] == b'"' => {
                self.at = start + n + 1;
                Ok(Text::Plain(&self.text[start..start + n]))
            }
            Some(_) => {
                self.unescape(buffer)?;
                Ok(Text::Unescaped)
            }
            None => Err(PushFault::new(start - 1, "a text without an end")),
        }
    }

    /// Reads a text with escapes, behind its first quote, into `out`.
    fn unescape(&mut self, out: &mut String) -> Result<(), PushFault> {
        out.clear();
        let bytes = self.text.as_bytes();
        let begin = self.at - 1;
        loop {
            let rest = &bytes[self.at..];
            let n = memchr::memchr2(b'"', b'\\', rest)
                .ok_or_else(|| PushFault::new(begin, "a text without an end"))?;
            out.push_str(&self.text[self.at..self.at + n]);
            self.at += n + 1;
            if rest[n] == b'"' {
                return Ok(());
            }
            let escaped = rest.get(n + 1).copied();
            self.at += 1;
            out.push(match escaped {
                Some(b @ (b'"' | b'\\' | b'/')) => char::from(b),
                Some(b'n') => '\n',
                Some(b't') => '\t',
                Some(b'r') => '\r',
                Some(b'b') => '\u{8}',
                Some(b'f') => '\u{c}',
                Some(b'u') => self.unicode()?,
                Some(_) => return Err(PushFault::new(self.at - 2, "an unknown escape in a text")),
                None => return Err(PushFault::new(begin, "a text without an end")),
            });
        }
    }

    /// The character of `\uXXXX`, or of two of them, behind the first `u`. Half a pair is a character that says so.
    fn unicode(&mut self) -> Result<char, PushFault> {
        let first = self.hex4()?;
        if !(0xD800..0xDC00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let behind = self.at;
        if self.text[behind..].starts_with("\\u") {
            self.at += 2;
            let second = self.hex4()?;
            if (0xDC00..0xE000).contains(&second) {
                let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = behind;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex4(&mut self) -> Result<u32, PushFault> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let digits = digits.filter(|d| d.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else {
            return Err(self.fault("expected four hexadecimal digits"));
        };
        self.at += 4;
        Ok(digits.iter().fold(0, |x, b| x << 4 | char::from(*b).to_digit(16).unwrap_or(0)))
    }

    /// Passes a value of any kind.
    pub(super) fn skip(&mut self, buffer: &mut String) -> Result<(), PushFault> {
        self.skip_in(buffer, 0)
    }

    fn skip_in(&mut self, buffer: &mut String, depth: usize) -> Result<(), PushFault> {
        if depth == MAX_DEPTH {
            return Err(self.fault("lists and objects are nested too deeply"));
        }
        match self.peek() {
            Some(b'"') => self.string(buffer, "a text").map(drop),
            Some(open @ (b'[' | b'{')) => {
                self.at += 1;
                let close = open + 2;
                let mut first = true;
                while self.another(first, close)? {
                    if open == b'{' {
                        self.key(buffer)?;
                    }
                    self.skip_in(buffer, depth + 1)?;
                    first = false;
                }
                Ok(())
            }
            Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                let start = self.at;
                let rest = &self.text.as_bytes()[start..];
                let word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
                self.at += rest.iter().take_while(|b| word(b)).count();
                let whole = self.since(start);
                let known = matches!(whole, "true" | "false" | "null");
                if known || whole.parse::<f64>().is_ok() && !whole.ends_with(['f', 'n', 'y']) {
                    return Ok(());
                }
                Err(PushFault::new(start, format!("{whole:?} is no value")))
            }
            _ => Err(self.unexpected("a value")),
        }
    }
}

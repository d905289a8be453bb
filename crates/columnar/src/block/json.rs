//! JSON objects in lines, as `| json` of LogQL reads them: where each value lies, and under which name it is found.
//!
//! What is accepted, and the names, are exactly those of the language's own reader: a property test compares the two.

use super::shape::{Found, Source};

const MAX_DEPTH: usize = 128;

/// The values of the object in `line`; nothing if the parser refuses the line.
pub(super) fn find(line: &str) -> Option<Vec<Found>> {
    let mut cursor = Cursor { text: line, pos: 0 };
    let mut found = Vec::new();
    cursor.expect(b'{')?;
    let mut name = String::new();
    // Lengths of `name` outside of each open object.
    let mut open = vec![0];
    let mut first = true;
    while let Some(&outside) = open.last() {
        if cursor.peek() == Some(b'}') {
            cursor.pos += 1;
            open.pop();
            first = false;
            continue;
        }
        if !first {
            cursor.expect(b',')?;
        }
        first = false;
        name.truncate(outside);
        push_key(&mut name, cursor.text_value()?)?;
        cursor.expect(b':')?;
        let from = cursor.peek().map(|_| cursor.pos)?;
        let mut add = |source, start, end| found.push(Found { source, start, end, name: name.clone() });
        match line.as_bytes()[from] {
            b'"' => {
                let raw = cursor.text_value()?;
                escapes_are_valid(raw).then_some(())?;
                add(Source::JsonText, from + 1, cursor.pos - 1);
            }
            b'{' => {
                cursor.pos += 1;
                if open.len() == MAX_DEPTH {
                    return None;
                }
                open.push(name.len());
                first = true;
            }
            b'[' => {
                cursor.pos = from + array_len(&line[from..])?;
                add(Source::JsonArray, from, cursor.pos);
            }
            _ => {
                cursor.pos = from + bare_len(&line.as_bytes()[from..])?;
                add(Source::JsonBare, from, cursor.pos);
            }
        }
    }
    cursor.peek().is_none().then_some(found)
}

/// Whether the line begins as an object does: then even a broken line may have values that the parser finds.
pub(super) fn begins_object(line: &str) -> bool {
    line.bytes().find(|b| !is_blank(*b)) == Some(b'{')
}

fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r')
}

struct Cursor<'a> {
    text: &'a str,
    pos: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.pos..];
        self.pos += rest.iter().take_while(|b| is_blank(**b)).count();
        self.text.as_bytes().get(self.pos).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.pos += 1)
    }

    /// A text without its quotes.
    fn text_value(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let start = self.pos;
        let len = text_len(&self.text.as_bytes()[start..])?;
        self.pos = start + len + 1;
        Some(&self.text[start..start + len])
    }
}

/// Bytes up to the closing quote.
#[inline]
pub(super) fn text_len(rest: &[u8]) -> Option<usize> {
    let mut pos = 0;
    loop {
        pos += memchr::memchr2(b'"', b'\\', rest.get(pos..)?)?;
        if rest[pos] == b'"' {
            return Some(pos);
        }
        pos += 2;
    }
}

/// Bytes of the number, `true`, `false` or `null` at the beginning.
#[inline]
pub(super) fn bare_len(rest: &[u8]) -> Option<usize> {
    let len =
        rest.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')).count();
    is_bare(&rest[..len]).then_some(len)
}

fn is_bare(word: &[u8]) -> bool {
    let plain_number = !word.is_empty() && word.len() < 19 && word.iter().all(u8::is_ascii_digit);
    plain_number || matches!(word, b"null" | b"true" | b"false") || is_number(word)
}

/// As the language has it: anything the standard library takes for a number that begins with a digit.
fn is_number(word: &[u8]) -> bool {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    let text = std::str::from_utf8(word).unwrap_or_default();
    digits.first().is_some_and(u8::is_ascii_digit) && text.parse::<f64>().is_ok()
}

/// Bytes of the array at the beginning; like the parser, which passes over arrays, it only counts brackets.
pub(super) fn array_len(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut pos) = (0usize, 0);
    loop {
        match bytes.get(pos)? {
            b'"' => pos += 1 + text_len(&bytes[pos + 1..])?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        pos += 1;
        if depth == 0 {
            return Some(pos);
        }
    }
}

/// Whether every escape means something.
#[inline]
pub(super) fn escapes_are_valid(raw: &str) -> bool {
    memchr::memchr(b'\\', raw.as_bytes()).is_none() || unescape(raw, &mut String::new()).is_some()
}

/// Resolves escapes behind what is in `out` already.
pub(super) fn unescape(raw: &str, out: &mut String) -> Option<()> {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let escape = *rest.as_bytes().get(at + 1)?;
        rest = rest.get(at + 2..)?;
        out.push(match escape {
            b'"' | b'\\' | b'/' => escape as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (c, behind) = unicode(rest)?;
                rest = behind;
                c
            }
            _ => return None,
        });
    }
    out.push_str(rest);
    Some(())
}

/// The character of four hexadecimal digits or of a pair of surrogates; half a pair is U+FFFD.
fn unicode(rest: &str) -> Option<(char, &str)> {
    let unit = |t: &str| u32::from_str_radix(t.get(..4)?, 16).ok();
    let first = unit(rest)?;
    let behind = rest.get(4..)?;
    let second = behind.strip_prefix("\\u").and_then(unit);
    match second {
        Some(low) if (0xd800..0xdc00).contains(&first) && (0xdc00..0xe000).contains(&low) => {
            let c = char::from_u32(0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00))?;
            Some((c, behind.get(6..)?))
        }
        _ => Some((char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), behind)),
    }
}

/// Adds a key to the name so far.
fn push_key(name: &mut String, raw: &str) -> Option<()> {
    let mut resolved = String::new();
    unescape(raw, &mut resolved)?;
    let key = resolved.trim();
    if !name.is_empty() || key.starts_with(|c: char| c.is_ascii_digit()) {
        name.push('_');
    }
    push_sanitized(name, key);
    Some(())
}

/// Adds text with every character that no label's name may have as `_`.
pub(super) fn push_sanitized(out: &mut String, text: &str) {
    out.extend(text.chars().map(|c| if c == '_' || c.is_ascii_alphanumeric() { c } else { '_' }));
}

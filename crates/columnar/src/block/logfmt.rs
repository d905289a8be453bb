//! `key=value` pairs in lines, as `| logfmt` of LogQL reads them: where each value lies, and under which name it is found.
//!
//! A property test compares this with the language's own reader.

use super::{
    json::push_sanitized,
    shape::{Found, Source},
};

/// The values of a line that is nothing but well-formed pairs, for the most part with values.
pub(super) fn find(line: &str) -> Option<Vec<Found>> {
    let bytes = line.as_bytes();
    memchr::memchr(b'=', bytes)?;
    let mut found = Vec::new();
    let (mut pos, mut bare_words) = (0, 0);
    loop {
        pos += bytes[pos..].iter().take_while(|b| **b <= b' ').count();
        if pos == bytes.len() {
            break;
        }
        let start = pos;
        pos += word_len(&bytes[pos..]);
        match bytes.get(pos) {
            Some(b'=') if pos > start => {
                let name = name_of(&line[start..pos]);
                pos += 1;
                let quoted = bytes.get(pos) == Some(&b'"');
                let (source, start, end) = if quoted {
                    let len = quoted_len(&bytes[pos + 1..])?;
                    (Source::LogfmtQuoted, pos + 1, pos + 1 + len)
                } else {
                    (Source::LogfmtBare, pos, pos + bare_len(&bytes[pos..])?)
                };
                pos = end + usize::from(quoted);
                found.push(Found { source, start, end, name });
            }
            Some(b'=' | b'"') => return None,
            _ => bare_words += 1,
        }
    }
    // Prose in which an equal sign occurs is better kept as text.
    (found.len() > 1 && found.len() >= bare_words).then_some(found)
}

/// Bytes up to a blank, `=` or `"`.
fn word_len(rest: &[u8]) -> usize {
    rest.iter().position(|b| *b <= b' ' || matches!(b, b'=' | b'"')).unwrap_or(rest.len())
}

/// Bytes of a value without quotes; none if it is malformed.
#[inline]
pub(super) fn bare_len(rest: &[u8]) -> Option<usize> {
    let len = word_len(rest);
    rest.get(len).is_none_or(|b| *b <= b' ').then_some(len)
}

/// Bytes up to the closing quote.
#[inline]
pub(super) fn quoted_len(rest: &[u8]) -> Option<usize> {
    super::json::text_len(rest)
}

fn name_of(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    if key.starts_with(|c: char| c.is_ascii_digit()) {
        name.push('_');
    }
    push_sanitized(&mut name, key);
    name
}

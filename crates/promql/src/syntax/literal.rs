//! Literals: from the text of a token to its value.

use reba_model::{duration, float};

use super::ast::{Number, StringLiteral};

/// The value of a number. Integers may be hexadecimal, octal (a leading zero) or binary; `_` may separate digits.
/// The error is in the words of Go, which upstream passes on.
pub(super) fn number(text: &str) -> Result<Number, String> {
    let value = match integer(text) {
        Some(value) => Some(value),
        None if !underscores_separate_digits(text) => None,
        None => float::parse_go(&text.replace('_', "")),
    };
    let fail = |reason: &str| {
        format!("error parsing number: strconv.ParseFloat: parsing {}: {reason}", float::go_quote(text))
    };
    match value {
        None => Err(fail("invalid syntax")),
        Some(v) if v.is_infinite() && text.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            Err(fail("value out of range"))
        }
        Some(value) => Ok(Number { value, duration: false }),
    }
}

/// An integer of at most 63 bits, in the bases of Go's literals.
fn integer(text: &str) -> Option<f64> {
    if !underscores_separate_digits(text) {
        return None;
    }
    let digits = text.replace('_', "").to_ascii_lowercase();
    let (radix, digits) = match digits.strip_prefix('0') {
        Some(rest) => match rest.as_bytes().first() {
            Some(b'x') => (16, &rest[1..]),
            Some(b'o') => (8, &rest[1..]),
            Some(b'b') => (2, &rest[1..]),
            Some(_) => (8, rest),
            None => (10, "0"),
        },
        None => (10, digits.as_str()),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(digits, radix).ok().map(|n| n as f64)
}

/// Whether every `_` stands between two digits, or between the prefix of a base and a digit.
fn underscores_separate_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let hex = bytes.len() > 1 && bytes[0] == b'0' && matches!(bytes[1], b'x' | b'X');
    let is_digit = |b: u8| b.is_ascii_digit() || (hex && (b.is_ascii_hexdigit() || matches!(b, b'x' | b'X')));
    let at = |i: Option<usize>| i.and_then(|i| bytes.get(i)).is_some_and(|b| is_digit(*b));
    bytes.iter().enumerate().all(|(i, b)| *b != b'_' || (at(i.checked_sub(1)) && at(Some(i + 1))))
}

/// The value of a duration, in seconds.
pub(super) fn duration(text: &str) -> Result<Number, String> {
    if let Some(unit) = unknown_unit(text) {
        return Err(format!("unknown unit {} in duration {}", float::go_quote(unit), float::go_quote(text)));
    }
    let ms = duration::parse(text).map_err(|e| e.to_string())?;
    Ok(Number { value: ms as f64 / 1000.0, duration: true })
}

/// The first unit that does not exist, if all before it is well-formed: the lexer takes more for a duration than there
/// is.
fn unknown_unit(text: &str) -> Option<&str> {
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len() - digits);
        if digits == 0 || letters == 0 {
            return None;
        }
        let unit = &rest[digits..digits + letters];
        if !matches!(unit, "ms" | "s" | "m" | "h" | "d" | "w" | "y") {
            return Some(unit);
        }
        rest = &rest[digits + letters..];
    }
    None
}

/// The value of a string in any of the three kinds of quotes, escapes resolved as in Go; none if it is malformed.
pub(super) fn string(quoted: &str) -> Option<StringLiteral> {
    let quote = *quoted.as_bytes().first()?;
    let body = quoted.get(1..quoted.len().checked_sub(1)?)?;
    if quote == b'`' || !body.contains('\\') {
        return Some(StringLiteral { value: body.to_owned(), raw: None });
    }
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = unescape(&rest[at + 1..], quote, &mut out)?;
    }
    out.extend_from_slice(rest.as_bytes());
    Some(match String::from_utf8(out) {
        Ok(value) => StringLiteral { value, raw: None },
        Err(e) => {
            let raw = e.into_bytes().into_boxed_slice();
            StringLiteral { value: String::from_utf8_lossy(&raw).into_owned(), raw: Some(raw) }
        }
    })
}

/// Resolves one escape, its backslash taken off already; returns what follows it.
fn unescape<'a>(rest: &'a str, quote: u8, out: &mut Vec<u8>) -> Option<&'a str> {
    let first = *rest.as_bytes().first()?;
    let simple = match first {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' => b'\\',
        b if b == quote => b,
        b'0'..=b'7' => {
            out.push(u8::from_str_radix(rest.get(..3)?, 8).ok()?);
            return rest.get(3..);
        }
        b'x' => {
            out.push(u8::from_str_radix(rest.get(1..3)?, 16).ok()?);
            return rest.get(3..);
        }
        b'u' | b'U' => {
            let end = if first == b'u' { 5 } else { 9 };
            let c = char::from_u32(u32::from_str_radix(rest.get(1..end)?, 16).ok()?)?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return rest.get(end..);
        }
        _ => return None,
    };
    out.push(simple);
    rest.get(1..)
}

/// Bytes in double quotes with Go's escapes; those that are no UTF-8 as `\xff`.
pub(crate) fn quote_bytes(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        let quoted = float::go_quote(chunk.valid());
        out.push_str(&quoted[1..quoted.len() - 1]);
        for b in chunk.invalid() {
            out.push_str(&format!("\\x{b:02x}"));
        }
    }
    out.push('"');
    out
}

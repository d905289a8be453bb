//! Constants of templates: quoted texts and numbers, by the rules of Go's `strconv`.

use reba_model::float::go_quote;

use crate::node::Number;

/// Reads a text in double quotes or backquotes.
pub(crate) fn unquote(quoted: &str) -> Result<String, String> {
    if let Some(raw) = quoted.strip_prefix('`').and_then(|s| s.strip_suffix('`')) {
        return Ok(raw.replace('\r', ""));
    }
    let inner = quoted.strip_prefix('"').and_then(|s| s.strip_suffix('"')).ok_or("invalid syntax")?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while !rest.is_empty() {
        rest = escape(rest, '"', &mut bytes).ok_or("invalid syntax")?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads one character, escaped or not, and returns what follows it.
fn escape<'a>(s: &'a str, quote: char, out: &mut Vec<u8>) -> Option<&'a str> {
    let mut chars = s.chars();
    let first = chars.next()?;
    if first != '\\' {
        let mut buffer = [0; 4];
        out.extend_from_slice(first.encode_utf8(&mut buffer).as_bytes());
        return Some(chars.as_str());
    }
    let kind = chars.next()?;
    let rest = chars.as_str();
    let simple = match kind {
        'a' => Some(7),
        'b' => Some(8),
        'f' => Some(12),
        'n' => Some(10),
        'r' => Some(13),
        't' => Some(9),
        'v' => Some(11),
        '\\' => Some(b'\\'),
        c if c == quote => Some(c as u8),
        _ => None,
    };
    if let Some(byte) = simple {
        out.push(byte);
        return Some(rest);
    }
    let (digits, radix) = match kind {
        'x' => (rest.get(..2)?, 16),
        'u' => (rest.get(..4)?, 16),
        'U' => (rest.get(..8)?, 16),
        '0'..='7' => (s.get(1..4)?, 8),
        _ => return None,
    };
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let code = u32::from_str_radix(digits, radix).ok()?;
    match kind {
        'u' | 'U' => {
            let mut buffer = [0; 4];
            out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut buffer).as_bytes());
        }
        _ => out.push(u8::try_from(code).ok()?),
    }
    let used = digits.len() + if radix == 8 { 1 } else { 2 };
    s.get(used..)
}

/// Reads a number or a character constant.
pub(crate) fn number(text: &str) -> Result<Number, String> {
    if let Some(inner) = text.strip_prefix('\'') {
        return character(inner).ok_or_else(|| format!("malformed character constant: {text}"));
    }
    let illegal = || format!("illegal number syntax: {}", go_quote(text));
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if let Some((radix, body)) = integer_base(digits) {
        let body = without_underscores(body).ok_or_else(illegal)?;
        return match u64::from_str_radix(&body, radix) {
            Ok(n) => Ok(signed(n, negative)),
            Err(_) if !body.is_empty() && body.chars().all(|c| c.is_digit(radix)) => {
                Err(format!("integer overflow: {}", go_quote(text)))
            }
            Err(_) => Err(illegal()),
        };
    }
    let plain = without_underscores(digits);
    let v = plain.as_deref().and_then(reba_model::float::parse_go).ok_or_else(illegal)?;
    Ok(Number::Float(if negative { -v } else { v }))
}

fn signed(n: u64, negative: bool) -> Number {
    let value = if negative { 0i64.checked_sub_unsigned(n) } else { i64::try_from(n).ok() };
    value.map_or(Number::Overflow, Number::Int)
}

/// The base of an integer and its digits; `None` for a float.
fn integer_base(s: &str) -> Option<(u32, &str)> {
    let lower = s.to_ascii_lowercase();
    if lower.starts_with("0x") {
        return (!lower.contains(['.', 'p'])).then(|| (16, &s[2..]));
    }
    if lower.starts_with("0b") {
        return Some((2, &s[2..]));
    }
    if lower.starts_with("0o") {
        return Some((8, &s[2..]));
    }
    if lower.contains(['.', 'e']) {
        return None;
    }
    if s.len() > 1 && s.starts_with('0') { Some((8, &s[1..])) } else { Some((10, s)) }
}

/// Underscores may stand between digits.
fn without_underscores(s: &str) -> Option<String> {
    (!s.contains("__") && !s.ends_with('_')).then(|| s.replace('_', ""))
}

fn character(inner: &str) -> Option<Number> {
    let inner = inner.strip_suffix('\'')?;
    let mut bytes = Vec::new();
    let rest = escape(inner, '\'', &mut bytes)?;
    if !rest.is_empty() || inner == "'" {
        return None;
    }
    let code = match std::str::from_utf8(&bytes) {
        Ok(s) => s.chars().next()? as i64,
        Err(_) => i64::from(*bytes.first()?),
    };
    Some(Number::Int(code))
}

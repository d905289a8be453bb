//! The classic grammar: `name op value`, where the value is everything that is left, quoted or not.

use reba_model::{MatchOp, Matcher, is_legacy_metric_name};

use super::MatcherError;

/// Reads a list. A comma outside double quotes ends a matcher; the last one may be followed by a comma.
pub(super) fn list(text: &str) -> Result<Vec<Matcher>, MatcherError> {
    let text = text.strip_prefix('{').unwrap_or(text);
    let text = text.strip_suffix('}').unwrap_or(text);
    split(text).into_iter().map(one).collect()
}

/// Cuts at commas outside quotes. Only a last piece may be blank without being an error later.
fn split(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut quoted, mut escaped, mut start) = (false, false, 0);
    for (i, c) in text.char_indices() {
        match c {
            ',' if !quoted => {
                pieces.push(&text[start..i]);
                start = i + 1;
                // A comma does not end an escape, as upstream has it.
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            '\\' => {
                escaped = !escaped;
                continue;
            }
            _ => {}
        }
        escaped = false;
    }
    let last = text[start..].trim();
    if !last.is_empty() {
        pieces.push(last);
    }
    pieces
}

/// Reads one matcher.
pub(super) fn one(text: &str) -> Result<Matcher, MatcherError> {
    let bad = || MatcherError::Format(text.to_owned());
    // Upstream's expression knows ASCII blanks only.
    let trimmed = text.trim_matches(is_blank);
    let name_end =
        trimmed.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))).ok_or_else(bad)?;
    let (name, rest) = trimmed.split_at(name_end);
    if !is_legacy_metric_name(name) {
        return Err(bad());
    }
    let rest = rest.trim_start_matches(is_blank);
    let (op, raw) =
        [("=~", MatchOp::Regex), ("=", MatchOp::Equal), ("!=", MatchOp::NotEqual), ("!~", MatchOp::NotRegex)]
            .into_iter()
            .find_map(|(sign, op)| Some((op, rest.strip_prefix(sign)?)))
            .ok_or_else(bad)?;
    let value = unescape(raw.trim_start_matches(is_blank))?;
    Ok(Matcher::new(op, name, value)?)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

/// The value without its quotes and escapes. A backslash before anything but `n`, `"` and `\` is a character like any other.
fn unescape(raw: &str) -> Result<String, MatcherError> {
    let bad = || MatcherError::Quote(raw.to_owned());
    let quoted = raw.starts_with('"');
    let mut expects_end = quoted;
    let body = if quoted { &raw[1..] } else { raw };
    let mut value = String::with_capacity(body.len());
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                None => value.push('\\'),
                Some('n') => value.push('\n'),
                Some(c @ ('"' | '\\')) => value.push(c),
                Some(c) => {
                    value.push('\\');
                    value.push(c);
                }
            },
            '"' if !expects_end || chars.peek().is_some() => return Err(bad()),
            '"' => expects_end = false,
            c => value.push(c),
        }
    }
    if expects_end { Err(bad()) } else { Ok(value) }
}

//! The escapers of Go's `html/template`, one for each kind of place.

use std::fmt::Write as _;

/// For HTML text and quoted attributes.
pub(super) fn html(s: &str) -> String {
    replaced(s, &|c| entity(c, true))
}

/// The same for what is HTML already: entities in it stay.
pub(super) fn html_again(s: &str) -> String {
    replaced(s, &|c| entity(c, false))
}

/// For attributes without quotes.
pub(super) fn unquoted(s: &str) -> String {
    replaced(s, &|c| entity(c, true).or_else(|| blank(c)))
}

/// The same for what is HTML already.
pub(super) fn unquoted_again(s: &str) -> String {
    replaced(s, &|c| entity(c, false).or_else(|| blank(c)))
}

fn replaced(s: &str, by: &dyn Fn(char) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(s.len() + 16);
    for c in s.chars() {
        match by(c) {
            Some(entity) => out.push_str(entity),
            None => out.push(c),
        }
    }
    out
}

fn entity(c: char, ampersand: bool) -> Option<&'static str> {
    Some(match c {
        '\0' => "\u{fffd}",
        '"' => "&#34;",
        '&' if ampersand => "&amp;",
        '\'' => "&#39;",
        '+' => "&#43;",
        '<' => "&lt;",
        '>' => "&gt;",
        _ => return None,
    })
}

fn blank(c: char) -> Option<&'static str> {
    Some(match c {
        '\t' => "&#9;",
        '\n' => "&#10;",
        '\u{b}' => "&#11;",
        '\u{c}' => "&#12;",
        '\r' => "&#13;",
        ' ' => "&#32;",
        '=' => "&#61;",
        '`' => "&#96;",
        _ => return None,
    })
}

/// A part of an attribute's or element's name.
pub(super) fn name(s: &str) -> String {
    let plain = !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric());
    let lower = s.to_ascii_lowercase();
    let active = lower.starts_with("on") || ["style", "src", "href"].contains(&lower.as_str());
    if plain && !active { lower } else { "ZgotmplZ".to_owned() }
}

/// Replaces the entities that templates write in attributes.
pub(super) fn unescape(s: &str) -> String {
    if !s.contains('&') {
        return s.to_owned();
    }
    let mut out = s.to_owned();
    for (entity, c) in
        [("&#34;", "\""), ("&quot;", "\""), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")]
    {
        out = out.replace(entity, c);
    }
    out
}

/// HTML without its tags and comments.
pub(super) fn without_tags(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        let behind = &rest[open + 1..];
        let is_tag = behind.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        let Some(close) = behind.find('>').filter(|_| is_tag) else {
            out.push_str(&rest[..=open]);
            rest = behind;
            continue;
        };
        out.push_str(&rest[..open]);
        rest = &behind[close + 1..];
    }
    out.push_str(rest);
    out
}

/// Whether a URL has no scheme, or one that runs nothing.
pub(super) fn is_safe_url(url: &str) -> bool {
    match url.split_once(':') {
        Some((scheme, _)) if !scheme.contains('/') => {
            ["http", "https", "mailto"].iter().any(|s| scheme.eq_ignore_ascii_case(s))
        }
        _ => true,
    }
}

/// Percent-encodes; with `keep` what has a meaning in URLs stays as it is.
pub(super) fn url(s: &str, keep: bool) -> String {
    let bytes = s.as_bytes();
    let mut out = String::with_capacity(s.len());
    for (i, b) in bytes.iter().enumerate() {
        let plain = match b {
            b'!' | b'#' | b'$' | b'&' | b'*' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'?' | b'@'
            | b'[' | b']' => keep,
            b'-' | b'.' | b'_' | b'~' => true,
            b'%' => {
                let hex = bytes.get(i + 1..i + 3);
                keep && hex.is_some_and(|h| h.iter().all(u8::is_ascii_hexdigit))
            }
            b => b.is_ascii_alphanumeric(),
        };
        if plain {
            out.push(char::from(*b));
        } else {
            let _ = write!(out, "%{b:02x}");
        }
    }
    out
}

/// A text as a value of a script; what could end the script is escaped.
pub(super) fn js_value(s: &str) -> String {
    let mut out = String::with_capacity(s.len() + 2);
    for c in serde_json::Value::from(s).to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}

/// Inside of a text of a script.
pub(super) fn js_text(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    for c in s.chars() {
        match c {
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '/' => out.push_str("\\/"),
            '\\' => out.push_str("\\\\"),
            '\0' | '\u{b}' | '"' | '`' | '&' | '\'' | '+' | '<' | '>' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}

/// A value of a style sheet: simple ones only.
pub(super) fn css_value(s: &str) -> String {
    let bad = |c: char| "\0\"'()/;@[\\]`{}".contains(c);
    let lower = s.to_ascii_lowercase();
    let runs = ["expression", "mozbinding", "-moz-binding", "javascript:", "<!--", "-->"];
    if s.contains(bad) || runs.iter().any(|r| lower.contains(r)) {
        "ZgotmplZ".to_owned()
    } else {
        s.to_owned()
    }
}

/// Inside of a text of a style sheet.
pub(super) fn css_text(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    let mut chars = s.chars().peekable();
    while let Some(c) = chars.next() {
        let escape = c.is_control() || "\"&'()+/:;<>\\{}".contains(c);
        if !escape {
            out.push(c);
            continue;
        }
        let _ = write!(out, "\\{:x}", c as u32);
        // A digit or blank behind it would belong to the escape.
        if chars.peek().is_none_or(|n| n.is_ascii_hexdigit() || n.is_ascii_whitespace()) {
            out.push(' ');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Content, Context};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_text_panics_and_no_action_opens_a_tag(
            before in "[a-z<>=\"'!/ -]{0,30}", action in "[a-z<>\"'&+= é]{0,10}", after in "[a-z<>=\"' ]{0,10}"
        ) {
            let mut context = Context::new();
            let mut out = String::new();
            context.text(&before, &mut out);
            let shown = context.action(&action, Content::Plain, None);
            prop_assert!(!shown.contains(['<', '>']), "{shown}");
            context.text(&after, &mut out);
        }
    }
}

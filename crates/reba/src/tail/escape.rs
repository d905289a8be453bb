//! Text of strangers on a terminal.

use std::{borrow::Cow, fmt::Write as _};

/// What a terminal obeys instead of showing it, or what hides how a text really reads: control characters, and those that turn the
/// direction of writing.
fn dangerous(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Shows control characters as `\x1b`, others as `\u{202e}`; tabs and the characters of `keep` stay.
fn shown<'a>(text: &'a str, keep: &[char]) -> Cow<'a, str> {
    let bad = |c: char| dangerous(c) && c != '\t' && !keep.contains(&c);
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        let _ = match c {
            '\n' if bad(c) => write!(out, "\\n"),
            '\r' if bad(c) => write!(out, "\\r"),
            c if bad(c) && c.is_ascii() => write!(out, "\\x{:02x}", u32::from(c)),
            c if bad(c) => write!(out, "\\u{{{:x}}}", u32::from(c)),
            c => {
                out.push(c);
                Ok(())
            }
        };
    }
    Cow::Owned(out)
}

/// As one line.
pub fn one_line(text: &str) -> Cow<'_, str> {
    shown(text, &[])
}

/// With its line breaks.
pub fn lines(text: &str) -> Cow<'_, str> {
    shown(text, &['\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_would_obey_comes_through() {
        assert_eq!(one_line("plain \t text ü 価"), "plain \t text ü 価");
        assert_eq!(one_line("\u{1b}]0;title\u{7}\u{1b}[2J"), "\\x1b]0;title\\x07\\x1b[2J");
        assert_eq!(one_line("a\r\nb\u{9b}31m\u{202e}c\u{7f}\u{0}"), "a\\r\\nb\\u{9b}31m\\u{202e}c\\x7f\\x00");
        assert_eq!(lines("a\nb\r\u{8}"), "a\nb\\r\\x08");
        for c in (0..0x20u8).chain(0x7f..=0x9f) {
            let c = char::from(c);
            let out = one_line(&format!("x{c}")).into_owned();
            assert!(c == '\t' || !out.contains(c), "{c:?}");
        }
    }
}

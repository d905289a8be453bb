//! Masks within a text: one pass for each kind of thing, each of them linear.

use std::borrow::Cow;

use super::{REDACTED, is_word, mask_email, numbers};

/// Longer texts are cut: a log line is no place for them.
const MAX_TEXT: usize = 16_384;
/// The most signs of an address before its `@`, and of each part of a host's name.
const LOCAL_PART: usize = 64;
const HOST_LABEL: usize = 63;
/// The most signs of a user and password within an address such as that of a database.
const CREDENTIALS: usize = 256;
/// Shorter words behind `Bearer` are words.
const SECRET_LENGTH: usize = 6;

/// Something found in a text: the bytes that it takes, and what is written in their place.
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) masked: String,
}

/// Masks all that looks like a person's within a text. Texts above 16 KiB are cut.
pub fn mask_text(text: &str) -> Cow<'_, str> {
    let short = cut(text);
    if !is_suspect(&short) {
        return short;
    }
    let passes: [fn(&str, usize) -> Option<Found>; 8] = [
        token,
        authorization,
        credentials,
        email,
        numbers::national_id,
        numbers::card,
        numbers::phone,
        numbers::local_phone,
    ];
    passes.into_iter().fold(short, |text, find| replaced(text, find))
}

fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_TEXT {
        return Cow::Borrowed(text);
    }
    let end = (0..=MAX_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    Cow::Owned(format!("{}…", &text[..end]))
}

/// Passes over the lines, nearly all, that hold nothing to mask: no `@`, no eight digits with at most a separator
/// between them, none of the words that secrets stand behind.
fn is_suspect(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (mut digits, mut gap) = (0, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                gap = false;
                if digits == 8 {
                    return true;
                }
            }
            b' ' | b'.' | b'-' if digits > 0 && !gap => gap = true,
            b'@' => return true,
            b'e' if bytes[at..].starts_with(b"eyJ") => return true,
            b'b' | b'B' if scheme(&bytes[at..]).is_some() => return true,
            _ => digits = 0,
        }
    }
    false
}

/// Replaces everything that `find` finds, from left to right.
fn replaced(text: Cow<'_, str>, find: fn(&str, usize) -> Option<Found>) -> Cow<'_, str> {
    let (mut out, mut done) = (String::new(), 0);
    while let Some(found) = find(&text, done) {
        out.push_str(&text[done..found.start]);
        out.push_str(&found.masked);
        done = found.end;
    }
    if done == 0 {
        return text;
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

/// Whether the sign that ends before `at` is part of a word.
pub(super) fn word_before(text: &str, at: usize) -> bool {
    text[..at].chars().next_back().is_some_and(is_word)
}

pub(super) fn word_at(text: &str, at: usize) -> bool {
    text[at..].chars().next().is_some_and(is_word)
}

/// How many bytes from `at` on `belongs` takes.
fn run(text: &str, at: usize, belongs: fn(char) -> bool) -> usize {
    let rest = &text[at..];
    rest.find(|c| !belongs(c)).unwrap_or(rest.len())
}

fn is_host(c: char) -> bool {
    is_word(c) || c == '-'
}

/// A JSON web token: `eyJ….….…`.
fn token(text: &str, from: usize) -> Option<Found> {
    let mut at = from;
    loop {
        let start = at + text[at..].find("eyJ")?;
        at = start + 3;
        let header = run(text, at, is_host);
        let dot = at + header;
        if word_before(text, start) || header < 4 || !text[dot..].starts_with('.') {
            continue;
        }
        let payload = run(text, dot + 1, is_host);
        if payload < 2 {
            continue;
        }
        let mut end = dot + 1 + payload;
        if text[end..].starts_with('.') {
            end += 1 + run(text, end + 1, is_host);
        }
        return Some(Found { start, end, masked: REDACTED.to_owned() });
    }
}

/// The length of `bearer` or `basic`, in any case, if it stands here.
fn scheme(bytes: &[u8]) -> Option<usize> {
    ["bearer", "basic"]
        .into_iter()
        .find(|word| bytes.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes())))
        .map(str::len)
}

/// The secret of an `Authorization` header.
fn authorization(text: &str, from: usize) -> Option<Found> {
    let is_secret = |c: char| is_word(c) || matches!(c, '.' | '~' | '+' | '/' | '=' | '-');
    for (at, _) in text[from..].match_indices(['b', 'B']) {
        let start = from + at;
        let Some(length) = scheme(&text.as_bytes()[start..]) else { continue };
        let gap = start + length;
        let secret = gap + run(text, gap, char::is_whitespace);
        let end = secret + run(text, secret, is_secret);
        if !word_before(text, start) && secret > gap && end - secret >= SECRET_LENGTH {
            let masked = format!("{} {REDACTED}", &text[start..gap]);
            return Some(Found { start, end, masked });
        }
    }
    None
}

/// The user and password of an address: `://user:password@`.
fn credentials(text: &str, from: usize) -> Option<Found> {
    for (at, _) in text[from..].match_indices("://") {
        let start = from + at;
        let inner = start + 3;
        let length = run(text, inner, |c| !c.is_whitespace() && c != '/' && c != '@');
        if (1..=CREDENTIALS).contains(&length) && text[inner + length..].starts_with('@') {
            return Some(Found { start, end: inner + length + 1, masked: "://***@".to_owned() });
        }
    }
    None
}

/// An e-mail or WhatsApp address. Signs that are rare in addresses and common around them (`=`, `/`, `?`, `{`) end
/// one; what stands in quotes before the `@` stays, and with it no more than a sign.
fn email(text: &str, from: usize) -> Option<Found> {
    let is_local = |c: char| is_word(c) || "%.+!#$^~*-".contains(c);
    for (at, _) in text[from..].match_indices('@') {
        let at = from + at;
        let Some(end) = domain(text, at + 1) else { continue };
        let before = &text[from..at];
        let local = before
            .bytes()
            .rev()
            .take(LOCAL_PART)
            .take_while(|b| b.is_ascii() && is_local(char::from(*b)))
            .count();
        if local == 0 && text[..at].chars().next_back().is_none_or(char::is_whitespace) {
            continue;
        }
        let start = at - local;
        return Some(Found { start, end, masked: mask_email(&text[start..end]) });
    }
    None
}

/// Where a host's name of at least two parts ends.
fn domain(text: &str, from: usize) -> Option<usize> {
    let label = |at: usize| match run(text, at, is_host) {
        0 => None,
        length => Some(at + length.min(HOST_LABEL)),
    };
    let mut end = label(from)?;
    let mut parts = 1;
    while text[end..].starts_with('.')
        && let Some(next) = label(end + 1)
    {
        end = next;
        parts += 1;
    }
    (parts > 1).then_some(end)
}

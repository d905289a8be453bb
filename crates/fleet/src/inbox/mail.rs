//! What a mail says: its headers, and its text without codings (RFC 5322, 2045, 2047).

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{Channel, Draft};

/// Parts inside each other that are looked into.
const MAX_DEPTH: usize = 8;

type Headers = BTreeMap<String, String>;

/// Makes a message of a mail and the addresses of its envelope.
pub fn read(to: &[String], data: &[u8]) -> Draft {
    let (headers, body) = split(data);
    let subject = headers.get("subject").map_or_else(String::new, |s| decode_words(s));
    let text = text_of(&headers, body, MAX_DEPTH).1;
    let shown: Headers = headers.into_iter().map(|(n, v)| (n, decode_words(&v))).collect();
    Draft { channel: Channel::Email, to: to.join(", "), subject, text, body: json!({ "headers": shown }) }
}

/// Headers by small name, folded lines joined; and what follows them.
fn split(data: &[u8]) -> (Headers, &[u8]) {
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut rest = data;
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let line = String::from_utf8_lossy(&rest[..end]);
        let line = line.trim_end_matches('\r').to_owned();
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        match (line.starts_with([' ', '\t']), headers.last_mut()) {
            (true, Some((_, value))) => *value = format!("{value} {}", line.trim()),
            _ => {
                if let Some((name, value)) = line.split_once(':') {
                    headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                }
            }
        }
    }
    (headers.into_iter().collect(), rest)
}

/// How good the text is (plain is better than made of HTML), and the text.
fn text_of(headers: &Headers, body: &[u8], depth: usize) -> (u8, String) {
    let kind = headers.get("content-type").map_or("text/plain", String::as_str);
    let media = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if media.starts_with("multipart/") && depth > 0 {
        let Some(boundary) = parameter(kind, "boundary") else { return (0, String::new()) };
        let parts = parts(body, &boundary).into_iter().map(|part| {
            let (headers, body) = split(part);
            text_of(&headers, body, depth - 1)
        });
        return parts.max_by_key(|(quality, _)| *quality).unwrap_or_default();
    }
    let coding = headers.get("content-transfer-encoding").map_or("", String::as_str).to_ascii_lowercase();
    let bytes = match coding.as_str() {
        "quoted-printable" => quoted_printable(body, false),
        "base64" => {
            let tight: Vec<u8> = body.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
            STANDARD.decode(tight).unwrap_or_default()
        }
        _ => body.to_vec(),
    };
    let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
    match media.as_str() {
        "text/html" => (1, without_tags(&text)),
        m if m.starts_with("text/") && !text.trim().is_empty() => (2, text.trim().to_owned()),
        _ => (0, String::new()),
    }
}

/// The value of a parameter of a header.
fn parameter(header: &str, name: &str) -> Option<String> {
    header.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        (key.trim().eq_ignore_ascii_case(name)).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// What stands between lines of the boundary.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let mark = format!("--{boundary}");
    let (mut out, mut from, mut at) = (Vec::new(), None, 0);
    for line in body.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(mark.as_bytes()) {
            if let Some(from) = from {
                out.push(&body[from..at]);
            }
            from = (!line.starts_with(format!("{mark}--").as_bytes())).then_some(at + line.len());
        }
        at += line.len();
    }
    out
}

/// Decodes `=C3=A9` and soft ends of lines; in headers `_` is a blank.
fn quoted_printable(text: &[u8], header: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match (first, behind) {
            (b'=', [b'\r', b'\n', behind @ ..] | [b'\n', behind @ ..]) => rest = behind,
            (b'=', [high, low, behind @ ..]) => {
                let digit = |b: &u8| char::from(*b).to_digit(16);
                if let (Some(high), Some(low)) = (digit(high), digit(low)) {
                    out.push((high * 16 + low) as u8);
                    rest = behind;
                } else {
                    out.push(b'=');
                }
            }
            (b'_', _) if header => out.push(b' '),
            (byte, _) => out.push(*byte),
        }
    }
    out
}

/// Decodes `=?utf-8?q?…?=` and `=?utf-8?b?…?=`; blanks between two of them go.
fn decode_words(text: &str) -> String {
    let (mut out, mut rest, mut after_word) = (String::new(), text, false);
    while let Some(start) = rest.find("=?") {
        let before = &rest[..start];
        let Some((word, length)) = word(&rest[start..]) else {
            out.push_str(&rest[..start + 2]);
            (rest, after_word) = (&rest[start + 2..], false);
            continue;
        };
        if !after_word || !before.trim().is_empty() {
            out.push_str(before);
        }
        out.push_str(&word);
        (rest, after_word) = (&rest[start + length..], true);
    }
    out + rest
}

/// An encoded word at the start of `text`, and its length.
fn word(text: &str) -> Option<(String, usize)> {
    let mut fields = text[2..].splitn(3, '?');
    let (charset, coding) = (fields.next()?, fields.next()?);
    let (content, _) = fields.next()?.split_once("?=")?;
    let bytes = match coding {
        "q" | "Q" => quoted_printable(content.as_bytes(), true),
        "b" | "B" => STANDARD.decode(content).ok()?,
        _ => return None,
    };
    let length = 2 + charset.len() + 1 + coding.len() + 1 + content.len() + 2;
    Some((String::from_utf8_lossy(&bytes).into_owned(), length))
}

/// The words of a page: no tags, no styles, no runs of blanks.
fn without_tags(html: &str) -> String {
    let (mut text, mut rest) = (String::new(), html);
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start]);
        let tag = &rest[start..];
        let small = tag.get(..6).unwrap_or("").to_ascii_lowercase();
        let end = if small == "<style" { tag.find("</style>").map(|at| at + 7) } else { tag.find('>') };
        if small.starts_with("</") || small.starts_with("<br") {
            text.push('\n');
        }
        rest = end.map_or("", |end| &tag[end + 1..]);
    }
    text.push_str(rest);
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if !line.is_empty() {
            lines.push(line);
        }
    }
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&nbsp;", " "),
        ("&#43;", "+"),
        ("&amp;", "&"),
    ];
    entities.iter().fold(lines.join("\n"), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAIL: &str = "From: a@x\r\nTo: b@y\r\nSubject: =?utf-8?q?Zahlung_f=C3=A4llt?=\r\n =?utf-8?B?IGF1cw==?= now\r\n\
        Content-Type: multipart/alternative;\r\n boundary=\"q1\"\r\n\r\npreamble\r\n--q1\r\nContent-Type: text/html\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\n<style>p{}</style><p>1 &lt; 2<br>caf=C3=A9=\r\n!</p>\r\n--q1--\r\n";

    #[test]
    fn headers_are_unfolded_and_decoded_and_pages_become_text() {
        let draft = read(&["b@y".to_owned(), "c@z".to_owned()], MAIL.as_bytes());
        assert_eq!(draft.subject, "Zahlung fällt aus now");
        assert_eq!(draft.text, "1 < 2\ncafé!");
        assert_eq!(draft.to, "b@y, c@z");
        assert_eq!(draft.body["headers"]["from"], "a@x");
    }

    #[test]
    fn plain_text_is_preferred_to_a_page() {
        let mail = MAIL.replace("preamble\r\n", "--q1\r\n\r\nplain words\r\n");
        assert_eq!(read(&[], mail.as_bytes()).text, "plain words");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn no_mail_whatever_is_in_it_stops_the_inbox(data: Vec<u8>, text in r"[=?_a-z<>/\r\n:; -]{0,80}") {
            let _ = read(&[], &data);
            let _ = read(&[], format!("Subject: {text}\r\nContent-Type: multipart/x; boundary=a\r\n\r\n--a\r\n{text}").as_bytes());
            let _ = without_tags(&text);
        }
    }
}

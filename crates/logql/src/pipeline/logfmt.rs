//! `key=value key2="two words"` in lines.

use reba_model::logfmt::unquote;

use super::json::More;

/// One thing a line of pairs holds.
enum Item<'a> {
    Pair {
        key: &'a str,
        value: Value<'a>,
    },
    /// What is wrong, and at which byte.
    Malformed {
        at: usize,
        why: &'static str,
    },
}

enum Value<'a> {
    Plain(&'a str),
    /// Between quotes, escapes still in it.
    Quoted(&'a str),
}

/// Hands over the pairs of a line. A key without `=` has an empty value. Malformed pairs are left out, or with `strict` end it.
pub(super) fn pairs(
    line: &str,
    strict: bool,
    mut found: impl FnMut(&str, &str) -> More,
) -> Result<(), String> {
    let mut pos = 0;
    let mut resolved = String::new();
    while let Some(item) = next(line, &mut pos) {
        let more = match item {
            Item::Pair { key, value: Value::Plain(value) } => found(key, value),
            Item::Pair { key, value: Value::Quoted(raw) } => {
                resolved.clear();
                unquote(raw, &mut resolved);
                found(key, &resolved)
            }
            Item::Malformed { at, why } if strict => {
                return Err(format!("logfmt syntax error at pos {} : {why}", at + 1));
            }
            Item::Malformed { .. } => More::Yes,
        };
        if more == More::No {
            break;
        }
    }
    Ok(())
}

fn next<'a>(line: &'a str, pos: &mut usize) -> Option<Item<'a>> {
    let bytes = line.as_bytes();
    while *bytes.get(*pos)? <= b' ' {
        *pos += 1;
    }
    let start = *pos;
    let word_end =
        |from: usize| bytes[from..].iter().position(|b| *b <= b' ').map_or(bytes.len(), |n| from + n);
    let key_end = bytes[start..].iter().position(|b| *b <= b' ' || matches!(b, b'=' | b'"'));
    let key_end = key_end.map_or(bytes.len(), |n| start + n);
    match bytes.get(key_end) {
        Some(b'=') if key_end == start => {
            *pos = word_end(start);
            Some(Item::Malformed { at: start, why: "unexpected '='" })
        }
        Some(b'"') => {
            *pos = word_end(key_end);
            Some(Item::Malformed { at: key_end, why: "unexpected '\"'" })
        }
        Some(b'=') => Some(value(line, pos, start, key_end)),
        _ => {
            *pos = key_end;
            Some(Item::Pair { key: &line[start..key_end], value: Value::Plain("") })
        }
    }
}

/// The value behind `key=`.
fn value<'a>(line: &'a str, pos: &mut usize, start: usize, key_end: usize) -> Item<'a> {
    let bytes = line.as_bytes();
    let key = &line[start..key_end];
    let from = key_end + 1;
    if bytes.get(from) != Some(&b'"') {
        let len = bytes[from..].iter().position(|b| *b <= b' ' || matches!(b, b'=' | b'"'));
        let end = len.map_or(bytes.len(), |n| from + n);
        if matches!(bytes.get(end), Some(b'=' | b'"')) {
            let why = if bytes[end] == b'=' { "unexpected '='" } else { "unexpected '\"'" };
            *pos = bytes[end..].iter().position(|b| *b <= b' ').map_or(bytes.len(), |n| end + n);
            return Item::Malformed { at: end, why };
        }
        *pos = end;
        return Item::Pair { key, value: Value::Plain(&line[from..end]) };
    }
    let mut at = from + 1;
    loop {
        match memchr::memchr2(b'"', b'\\', &bytes[at..]).map(|n| at + n) {
            Some(end) if bytes[end] == b'"' => {
                *pos = end + 1;
                return Item::Pair { key, value: Value::Quoted(&line[from + 1..end]) };
            }
            Some(escape) if escape + 1 < bytes.len() => at = escape + 2,
            _ => {
                *pos = bytes.len();
                return Item::Malformed { at: bytes.len(), why: "unterminated quoted value" };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(line: &str, strict: bool) -> Result<Vec<(String, String)>, String> {
        let mut all = Vec::new();
        pairs(line, strict, |k, v| {
            all.push((k.to_owned(), v.to_owned()));
            More::Yes
        })?;
        Ok(all)
    }

    fn owned(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn pairs_are_read_with_and_without_quotes() {
        assert_eq!(
            read(r#"a-b=1 msg="hi \"there\"\n" empty= bare é="ü""#, true),
            Ok(owned(&[("a-b", "1"), ("msg", "hi \"there\"\n"), ("empty", ""), ("bare", ""), ("é", "ü")]))
        );
    }

    #[test]
    fn a_malformed_pair_is_left_out_or_an_error() {
        let line = r#"good=1 bad="unterminated"#;
        assert_eq!(read(line, false), Ok(owned(&[("good", "1")])));
        assert_eq!(
            read(line, true),
            Err("logfmt syntax error at pos 25 : unterminated quoted value".to_owned())
        );
        assert_eq!(read("=x a=1", false), Ok(owned(&[("a", "1")])));
        assert_eq!(read("a=b=c d=1", false), Ok(owned(&[("d", "1")])));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(line in "[a-c=\"\\\\ u0-9é]{0,40}") {
            let _ = read(&line, false);
            let _ = read(&line, true);
        }
    }
}

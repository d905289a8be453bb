//! Values of `key="value"` pairs in lines.

/// Appends a quoted value with its escapes resolved; what is no escape stays as it is.
pub fn unquote(raw: &str, out: &mut String) {
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let mut chars = rest[at + 1..].chars();
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let hex = chars.as_str().get(..4);
                match hex.and_then(|h| u32::from_str_radix(h, 16).ok()) {
                    Some(code) => {
                        out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                        rest = &chars.as_str()[4..];
                        continue;
                    }
                    None => out.push_str("\\u"),
                }
            }
            Some(c) => out.push(c),
            None => out.push('\\'),
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_escape_stays_as_it_is() {
        for (raw, want) in [
            ("plain", "plain"),
            (r#"\"a\" \n"#, "\"a\" \n"),
            (r"\u00e9\u12\x\", "é\\u12x\\"),
            (r"\ud800", "\u{fffd}"),
        ] {
            let mut out = String::new();
            unquote(raw, &mut out);
            assert_eq!(out, want);
        }
    }
}

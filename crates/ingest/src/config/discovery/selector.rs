//! Whether the API server of Kubernetes would read a selector.

/// A selector of fields: terms `path=value`, `path==value` or `path!=value`, joined by commas.
pub(super) fn check_fields(selector: &str) -> Result<(), String> {
    for term in selector.split(',').filter(|t| !t.is_empty()) {
        if !term.contains('=') {
            return Err(format!("invalid selector: '{selector}'; can't understand '{term}'"));
        }
    }
    Ok(())
}

/// A selector of labels: `key`, `!key`, `key=value`, `key!=value`, `key in (a, b)`, `key notin (a)`, `key>1`, joined
/// by commas.
pub(super) fn check_labels(selector: &str) -> Result<(), String> {
    let mut rest = selector.trim();
    if rest.is_empty() {
        return Ok(());
    }
    loop {
        rest = requirement(rest)
            .ok_or_else(|| format!("unable to parse requirement: cannot understand {rest:?}"))?
            .trim_start();
        if rest.is_empty() {
            return Ok(());
        }
        rest = rest.strip_prefix(',').ok_or_else(|| {
            format!("unable to parse requirement: found {rest:?}, expected: ',' or 'end of string'")
        })?;
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/')
}

/// A key or a value, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_at(text.find(|c| !is_word(c)).unwrap_or(text.len()))
}

/// What follows the first requirement of a text.
fn requirement(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let (negated, text) = text.strip_prefix('!').map_or((false, text), |t| (true, t));
    let (key, rest) = word(text);
    if key.is_empty() {
        return None;
    }
    let rest = rest.trim_start();
    if negated || rest.is_empty() || rest.starts_with(',') {
        return Some(rest);
    }
    if let Some(value) = ["==", "!=", "="].iter().find_map(|o| rest.strip_prefix(o)) {
        return Some(word(value).1);
    }
    if let Some(value) = rest.strip_prefix(['>', '<']) {
        let (number, rest) = word(value);
        return number.parse::<i64>().is_ok().then_some(rest);
    }
    let list = ["in", "notin"].iter().find_map(|o| rest.strip_prefix(o))?.trim_start().strip_prefix('(')?;
    let (values, rest) = list.split_once(')')?;
    values.chars().all(|c| is_word(c) || c == ',' || c == ' ').then_some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn selectors_are_taken_or_refused_as_the_api_server_does() {
        for good in
            ["", "a", "!a", "a=b", "a == b", "a!=b,c", "x in (a, b),y notin (c)", "n>1", "a.b/c=d-e_f", "a="]
        {
            assert_eq!(check_labels(good), Ok(()), "{good}");
        }
        for bad in ["=b", "a b", "a in b", "a in (b", "n>x", "a,,b", "!", "a=b c", ","] {
            assert!(check_labels(bad).is_err(), "{bad}");
        }
        assert_eq!(check_fields("metadata.name=x,status.phase!=Running"), Ok(()));
        assert!(check_fields("metadata.status-Running").is_err());
    }

    proptest! {
        #[test]
        fn any_text_never_panics(s in ".{0,30}") {
            let _ = (check_labels(&s), check_fields(&s));
        }
    }
}

//! Searches by tags, as they were before TraceQL, put in its words.

use reba_model::logfmt::unquote;

/// Reads `service.name=api error=true name="GET /"`.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let (mut rest, mut all) = (text.trim_start(), Vec::new());
    while !rest.is_empty() {
        let Some((name, after)) = rest.split_once('=') else {
            return Err(format!("{rest:?} has no value"));
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(format!("{name:?} is no name of a tag"));
        }
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                let end = closing_quote(quoted).ok_or_else(|| format!("the value of {name} has no end"))?;
                let mut value = String::new();
                unquote(&quoted[..end], &mut value);
                (value, &quoted[end + 1..])
            }
            None => {
                let end = after.find(char::is_whitespace).unwrap_or(after.len());
                (after[..end].to_owned(), &after[end..])
            }
        };
        all.push((name.to_owned(), value));
        rest = after.trim_start();
    }
    Ok(all)
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => return Some(at),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

/// A query for traces that have, somewhere, each of these tags; for an engine whose regular expressions match whole texts, or not.
pub fn query(tags: &[(String, String)], anchored: bool) -> String {
    if tags.is_empty() {
        return "{}".to_owned();
    }
    let all: Vec<String> =
        tags.iter().map(|(name, value)| format!("{{ {} }}", condition(name, value, anchored))).collect();
    all.join(" && ")
}

fn condition(name: &str, value: &str, anchored: bool) -> String {
    let contains = |field: &str, text: &str| contains(field, text, anchored);
    match (name, value) {
        ("status.code", "ok" | "error" | "unset") => format!("status = {value}"),
        ("error", "true") => "status = error".to_owned(),
        ("name", _) => contains("name", value),
        ("root.name", _) => contains("rootName", value),
        ("root.service.name", _) => contains("rootServiceName", value),
        _ => {
            let field = format!(".{}", quoted(name));
            let text = contains(&field, value);
            // What looks like a number or a truth value may be one.
            let plain = value.bytes().all(|b| b.is_ascii_digit()) && !value.is_empty() && value.len() < 19;
            if plain || matches!(value, "true" | "false") {
                format!("{field} = {value} || {text}")
            } else {
                text
            }
        }
    }
}

/// That a text has another one in it, whatever its case.
fn contains(field: &str, text: &str, anchored: bool) -> String {
    let mut pattern = String::from(if anchored { "(?is).*" } else { "(?i)" });
    for c in text.chars() {
        if "\\.+*?()|[]{}^$".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    if anchored {
        pattern.push_str(".*");
    }
    format!("{field} =~ {}", quote(&pattern))
}

/// A name of an attribute; one with characters of the language in quotes.
fn quoted(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_alphanumeric() || "._-/".contains(c));
    if plain && !name.is_empty() { name.to_owned() } else { quote(name) }
}

fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tags: &str) -> String {
        query(&pairs(tags).unwrap(), false)
    }

    #[test]
    fn tags_are_conditions_each_on_some_span() {
        for (tags, want) in [
            ("", "{}"),
            ("service.name=api", r#"{ .service.name =~ "(?i)api" }"#),
            ("error=true status.code=ok", "{ status = error } && { status = ok }"),
            ("http.status_code=500", r#"{ .http.status_code = 500 || .http.status_code =~ "(?i)500" }"#),
            (r#"name="GET \"/a.b\"""#, r#"{ name =~ "(?i)GET \"/a\\.b\"" }"#),
            (
                r"root.service.name=x  root.name=y",
                r#"{ rootServiceName =~ "(?i)x" } && { rootName =~ "(?i)y" }"#,
            ),
        ] {
            assert_eq!(of(tags), want, "{tags}");
        }
        let whole = query(&pairs("name=a.b").unwrap(), true);
        assert_eq!(whole, r#"{ name =~ "(?is).*a\\.b.*" }"#);
        for wrong in ["a", "=b", "a b=c", "a=\"b"] {
            assert!(pairs(wrong).is_err(), "{wrong}");
        }
    }
}

//! The part of JMESPath that pipelines use: names, quoted names, indexes: `a.b`, `"x-y".z`, `list[0].name`, `list[-1]`.
//!
//! Everything else (projections, filters, functions, pipes, multi-selects) is refused when the configuration is read.

use std::fmt;

use serde_json::Value;

/// Steps that one path may have.
const MAX_STEPS: usize = 64;

/// A path into a JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    Index(i64),
}

/// Why a path is refused.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PathError(String);

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JMESPath {}: only names, quoted names and indexes (a.\"b-c\"[0].d) are supported", self.0)
    }
}

impl Path {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let refuse = || PathError(format!("{text:?}"));
        let mut steps = Vec::new();
        let mut rest = text.trim();
        // `@` is the value itself.
        if let Some(after) = rest.strip_prefix('@') {
            rest = after.strip_prefix('.').unwrap_or(after);
        }
        let mut wants_name = !rest.starts_with('[') && !rest.is_empty();
        while !rest.is_empty() || wants_name {
            if steps.len() >= MAX_STEPS {
                return Err(refuse());
            }
            if wants_name {
                let (key, after) = name(rest).ok_or_else(refuse)?;
                steps.push(Step::Key(key));
                rest = after;
                wants_name = false;
            } else if let Some(after) = rest.strip_prefix('[') {
                let (index, after) = after.split_once(']').ok_or_else(refuse)?;
                steps.push(Step::Index(index.trim().parse().map_err(|_| refuse())?));
                rest = after;
            } else if let Some(after) = rest.strip_prefix('.') {
                rest = after;
                wants_name = true;
            } else {
                return Err(refuse());
            }
        }
        Ok(Path(steps))
    }

    /// The value that the path leads to; null is none.
    pub fn find<'a>(&self, mut value: &'a Value) -> Option<&'a Value> {
        for step in &self.0 {
            value = match step {
                Step::Key(key) => value.get(key)?,
                Step::Index(i) => {
                    let list = value.as_array()?;
                    let at = if *i < 0 { i.checked_add(list.len() as i64)? } else { *i };
                    list.get(usize::try_from(at).ok()?)?
                }
            };
        }
        (!value.is_null()).then_some(value)
    }
}

/// A bare or quoted name at the start of `text`, and what follows it.
fn name(text: &str) -> Option<(String, &str)> {
    if text.starts_with('"') {
        // Quoted names are JSON texts.
        let mut texts = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let name = texts.next()?.ok()?;
        return Some((name, &text[texts.byte_offset()..]));
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let bare = &text[..end];
    let valid = bare.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    valid.then(|| (bare.to_owned(), &text[end..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_leads_through_names_quoted_names_and_indexes() {
        let json: Value =
            serde_json::from_str(r#"{"a":{"b-c":[{"d":1},{"d":2}]},"n":null,"_x":"y"}"#).unwrap();
        for (path, expected) in [
            (r#"a."b-c"[0].d"#, Some("1")),
            (r#"a."b-c"[-1].d"#, Some("2")),
            (r#"a."b-c"[5].d"#, None),
            ("_x", Some("\"y\"")),
            ("n", None),
            ("a.x.y", None),
            ("@._x", Some("\"y\"")),
        ] {
            let found = Path::parse(path).unwrap().find(&json).map(ToString::to_string);
            assert_eq!(found.as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_plain_path_is_refused_by_name() {
        for path in ["a[*].b", "a | b", "length(a)", "a[?x]", "{a: b}", "a.", "a-b", "a..b", "\"a"] {
            assert!(Path::parse(path).unwrap_err().to_string().contains("JMESPath"), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[a-z\"\\\\\\[\\].@0-9-]{0,20}|.{0,20}") {
            let _ = Path::parse(&text);
        }
    }
}

//! `${…}` in a text: where they stand, and what they say.

use std::ops::Range;

/// What a reference asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What<'a> {
    /// `${NAME}` or `${NAME:-DEFAULT}`.
    Variable { name: &'a str, default: Option<&'a str> },
    /// `${file:PATH}`.
    File(&'a str),
    /// `$${…}`: the text without the first `$`.
    Literal(&'a str),
}

/// One reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    /// Its bytes in the text.
    pub range: Range<usize>,
    pub what: What<'a>,
}

/// All references of a text, in order. Anything else that begins with `$` is none: `$NAME`, `${1}`, `${{`, `$$`.
pub(crate) fn find(text: &str) -> Vec<Reference<'_>> {
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let start = at + found;
        let Some((what, length)) = parse(&text[start + 2..]) else {
            at = start + 2;
            continue;
        };
        let end = start + 2 + length;
        // The `$` before it belongs to the reference before, if that ends here.
        let escaped = start > at && text.as_bytes()[start - 1] == b'$';
        all.push(if escaped {
            Reference { range: start - 1..end, what: What::Literal(&text[start..end]) }
        } else {
            Reference { range: start..end, what }
        });
        at = end;
    }
    all
}

/// What stands behind `${`, and how many bytes of it belong to the reference, the brace included.
fn parse(rest: &str) -> Option<(What<'_>, usize)> {
    let end = rest.find(['}', '\n'])?;
    if !rest[end..].starts_with('}') {
        return None;
    }
    let body = &rest[..end];
    if let Some(path) = body.strip_prefix("file:") {
        return (!path.trim().is_empty()).then(|| (What::File(path.trim()), end + 1));
    }
    let (name, default) = match body.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (body, None),
    };
    is_name(name).then_some((What::Variable { name, default }, end + 1))
}

/// Letters, digits and `_`, not beginning with a digit.
fn is_name(s: &str) -> bool {
    !s.starts_with(|c: char| c.is_ascii_digit())
        && !s.is_empty()
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Names of groups in the regular expressions of a text: `(?P<name>` and `(?<name>`.
pub(crate) fn group_names(text: &str) -> Vec<&str> {
    let behind = text.match_indices("(?").filter_map(|(i, _)| {
        let rest = text[i + 2..].trim_start_matches('P');
        rest.strip_prefix('<')
    });
    behind.filter_map(|rest| rest.split('>').next()).filter(|name| is_name(name)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_names_files_and_defaults_are_references() {
        let text =
            "${A} $B ${1} ${{ $x }} ${} ${B:-a b} ${file:/run/x y} $${C} $$ ${D\n} ${file:} ${E-x} ${A}${B}";
        let found: Vec<&str> = find(text).into_iter().map(|r| &text[r.range]).collect();
        assert_eq!(found, ["${A}", "${B:-a b}", "${file:/run/x y}", "$${C}", "${A}", "${B}"]);
        assert_eq!(find("$${A}")[0].what, What::Literal("${A}"));
        assert_eq!(find("${A:-}")[0].what, What::Variable { name: "A", default: Some("") });
        assert_eq!(group_names("(?P<host>.*):(?<port>x)(?:y)(?P<"), ["host", "port"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn references_are_in_order_and_inside_of_any_text(text in "[$a{}:é\n-]{0,40}") {
            let mut end = 0;
            for r in find(&text) {
                prop_assert!(r.range.start >= end && text.get(r.range.clone()).is_some());
                end = r.range.end;
            }
        }
    }
}

//! Environment variables in configuration files.

/// What became of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The text with what could be filled in.
    pub text: String,
    /// Names that the environment does not have, in the order in which they stand; they stay as they are.
    pub missing: Vec<String>,
}

/// Replaces `${NAME}` by what `lookup` says, before the text is parsed. A name begins with a letter or `_`, so that
/// `${1}` in a relabelling rule stays; so does a name that `lookup` does not know, which may be a group of a rule's
/// expression. `$NAME` without braces is left alone.
pub fn expand_env(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Expanded {
    let mut out = Expanded::default();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.text.push_str(&rest[..at]);
        rest = &rest[at..];
        let name = rest[2..].split('}').next().filter(|n| n.len() + 3 <= rest.len() && is_name(n));
        let Some(name) = name else {
            out.text.push_str("${");
            rest = &rest[2..];
            continue;
        };
        let (whole, after) = rest.split_at(name.len() + 3);
        if let Some(value) = lookup(name) {
            out.text.push_str(&value);
        } else {
            out.missing.push(name.to_owned());
            out.text.push_str(whole);
        }
        rest = after;
    }
    out.text.push_str(rest);
    out
}

fn is_name(s: &str) -> bool {
    reba_model::is_legacy_label_name(s)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &str) -> Option<String> {
        (name == "TOKEN").then(|| "s3cret".to_owned())
    }

    #[test]
    fn secrets_are_filled_in_and_relabelling_groups_stay() {
        let e = expand_env("a: ${TOKEN}\nb: ${1}-$1-${host}\nc: ${\nd: ${}", lookup);
        assert_eq!(e.text, "a: s3cret\nb: ${1}-$1-${host}\nc: ${\nd: ${}");
        assert_eq!(e.missing, ["host"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_text_never_panics_and_stays_without_variables(s in "[a-z${}_é]{0,20}") {
            let e = expand_env(&s, |_| None);
            prop_assert_eq!(e.text, s.clone());
        }
    }
}

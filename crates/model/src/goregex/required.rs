//! Texts that every match of an expression contains.

use regex_syntax::hir::{Hir, HirKind};

/// Of each of these lists every match contains at least one text.
pub(super) type Clauses = Vec<Vec<String>>;

/// Texts shorter than this rule nothing out.
const LEAST: usize = 3;

/// Most clauses, and most texts of one.
const MOST_CLAUSES: usize = 8;
const MOST_TEXTS: usize = 16;

/// What the expression requires, the longest texts first.
pub(super) fn required(hir: &Hir) -> Clauses {
    let mut found = clauses(hir);
    found.retain(|texts| shortest(texts) >= LEAST && texts.len() <= MOST_TEXTS);
    found.sort_by_key(|texts| std::cmp::Reverse(shortest(texts)));
    found.dedup();
    found.truncate(MOST_CLAUSES);
    found
}

fn shortest(texts: &[String]) -> usize {
    texts.iter().map(String::len).min().unwrap_or(0)
}

/// The parser bounds how deep an expression may be nested.
fn clauses(hir: &Hir) -> Clauses {
    match hir.kind() {
        HirKind::Literal(literal) => text_of(&literal.0).map(|t| vec![vec![t]]).unwrap_or_default(),
        HirKind::Capture(capture) => clauses(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => clauses(&repetition.sub),
        HirKind::Concat(parts) => concatenated(parts),
        HirKind::Alternation(branches) => any_of(branches),
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) => Vec::new(),
    }
}

/// Literals side by side are one text; what stands between them without width does not part them.
fn concatenated(parts: &[Hir]) -> Clauses {
    let mut found = Clauses::new();
    let mut run: Vec<u8> = Vec::new();
    let end = |run: &mut Vec<u8>, found: &mut Clauses| {
        if let Some(text) = text_of(run) {
            found.push(vec![text]);
        }
        run.clear();
    };
    for part in parts {
        match bare(part).kind() {
            HirKind::Literal(literal) => run.extend_from_slice(&literal.0),
            HirKind::Look(_) | HirKind::Empty => {}
            _ => {
                end(&mut run, &mut found);
                found.extend(clauses(part));
            }
        }
    }
    end(&mut run, &mut found);
    found
}

/// What is within groups.
fn bare(mut hir: &Hir) -> &Hir {
    while let HirKind::Capture(capture) = hir.kind() {
        hir = &capture.sub;
    }
    hir
}

/// One clause for all branches: the best of each.
fn any_of(branches: &[Hir]) -> Clauses {
    let mut texts = Vec::new();
    for branch in branches {
        match clauses(branch).into_iter().max_by_key(|texts| shortest(texts)) {
            Some(best) => texts.extend(best),
            None => return Clauses::new(),
        }
        if texts.len() > MOST_TEXTS {
            return Clauses::new();
        }
    }
    vec![texts]
}

fn text_of(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().filter(|t| !t.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::GoRegex;

    fn of(pattern: &str) -> Vec<Vec<String>> {
        GoRegex::line_filter(pattern).unwrap().required().to_vec()
    }

    #[test]
    fn an_expression_says_what_its_matches_contain() {
        for (pattern, expected) in [
            ("order_id=8372[0-9]{4}", vec![vec!["order_id=8372"]]),
            ("foo.*(barbar)+x?", vec![vec!["barbar"], vec!["foo"]]),
            ("time(out)? after|connection (reset|refused)", vec![vec!["connection ", " after"]]),
            ("^abc\\b-def$", vec![vec!["abc-def"]]),
            ("abc|.*", vec![]),
            ("(?i)abcd", vec![]),
            ("(abcd)*", vec![]),
            ("ab", vec![]),
            ("x{3}abcd{0}", vec![vec!["abc"]]),
        ] {
            let mut found = of(pattern);
            let mut expected: Vec<Vec<String>> =
                expected.into_iter().map(|c: Vec<&str>| c.into_iter().map(str::to_owned).collect()).collect();
            found.iter_mut().chain(&mut expected).for_each(|clause| clause.sort());
            assert_eq!(found, expected, "{pattern}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn every_match_contains_what_is_required(
            pattern in "(\\^|)(abc|a[bc]d|\\(abc\\|bcd\\)|\\(xyz\\)\\?|\\(dcba\\)\\+|[.]\\*|\\(\\?i:abc\\)){1,5}(\\$|)",
            text in "[abcdxyz]{0,24}",
        ) {
            let regex = GoRegex::line_filter(&pattern).unwrap();
            if regex.is_match(&text) {
                for clause in regex.required() {
                    prop_assert!(clause.iter().any(|t| text.contains(t.as_str())), "{} in {}: {:?}", pattern, text, clause);
                }
            }
        }
    }
}

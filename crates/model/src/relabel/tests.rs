use proptest::prelude::*;

use super::*;
use crate::Labels;

fn rule(action: &str, source: &[&str], regex: &str, target: &str, replacement: &str) -> Relabel {
    let given = |s: &str| (!s.is_empty()).then(|| s.to_owned());
    let spec = RelabelSpec {
        source_labels: (!source.is_empty()).then(|| source.iter().map(|s| (*s).to_owned()).collect()),
        regex: given(regex),
        modulus: if action == "hashmod" { 1000 } else { 0 },
        target_label: target.to_owned(),
        replacement: given(replacement),
        action: action.parse().unwrap(),
        ..RelabelSpec::default()
    };
    Relabel::new(spec, NameScheme::Utf8).unwrap()
}

fn run(input: &[(&str, &str)], rules: &[Relabel]) -> Option<Labels> {
    let mut b = Labels::from_pairs(input.iter().copied()).to_builder();
    Relabel::apply_all(rules, &mut b).then(|| b.build())
}

#[expect(clippy::unnecessary_wraps, reason = "compared with results that may be dropped")]
fn labels(pairs: &[(&str, &str)]) -> Option<Labels> {
    Some(Labels::from_pairs(pairs.iter().copied()))
}

#[test]
fn replace_joins_matches_and_expands() {
    let abc = [("a", "foo"), ("b", "bar"), ("c", "baz")];
    assert_eq!(
        run(
            &abc,
            &[
                rule("replace", &["a", "b"], "f(.*);(.*)r", "a", "b${1}${2}m"),
                rule("replace", &["c", "a"], "(b).*b(.*)ba(.*)", "d", "$1$2$2$3"),
            ]
        ),
        labels(&[("a", "boobam"), ("b", "bar"), ("c", "baz"), ("d", "boooom")])
    );
    // No match changes nothing; an expression must match the whole; a newline is a character like others.
    assert_eq!(run(&abc, &[rule("replace", &["a"], "f|o", "b", "x")]), labels(&abc));
    let lines = [("a", "line1\nline2")];
    assert_eq!(
        run(&lines, &[rule("replace", &["a"], "line1.*line2", "d", "match${1}")]),
        labels(&[("a", "line1\nline2"), ("d", "match")])
    );
}

#[test]
fn an_empty_result_deletes_the_label_and_an_empty_name_changes_nothing() {
    let input = [("a", "foo"), ("f", "baz")];
    assert_eq!(run(&input, &[rule("replace", &["a"], "(f).*", "$1", "$2")]), labels(&[("a", "foo")]));
    assert_eq!(run(&input, &[rule("replace", &["a"], "(f)(z?).*", "$2", "$1")]), labels(&input));
}

#[test]
fn keep_and_drop_decide_over_the_whole_set() {
    let a = [("a", "foo")];
    assert_eq!(run(&a, &[rule("drop", &["a"], ".*o.*", "", "")]), None);
    assert_eq!(run(&a, &[rule("drop", &["a"], "f|o", "", "")]), labels(&a));
    assert_eq!(run(&a, &[rule("keep", &["a"], "no", "", "")]), None);
    assert_eq!(run(&a, &[rule("KEEP", &["a"], "f.*", "", "")]), labels(&a));
    let ports = [("t", "1234"), ("p1", "1234"), ("p2", "5678")];
    assert_eq!(run(&ports, &[rule("keepequal", &["t"], "", "p1", "")]), labels(&ports));
    assert_eq!(run(&ports, &[rule("keepequal", &["t"], "", "p2", "")]), None);
    assert_eq!(run(&ports, &[rule("dropequal", &["t"], "", "p1", "")]), None);
    assert_eq!(run(&ports, &[rule("DropEqual", &["t"], "", "p2", "")]), labels(&ports));
}

#[test]
fn hashmod_gives_the_shards_that_upstream_gives() {
    let d = |l: Option<Labels>| l.unwrap().value("d").to_owned();
    assert_eq!(d(run(&[("c", "baz")], &[rule("hashmod", &["c"], "", "d", "")])), "976");
    assert_eq!(d(run(&[("c", "foo\nbar")], &[rule("hashmod", &["c"], "", "d", "")])), "734");
}

#[test]
fn names_are_mapped_dropped_and_kept() {
    let input = [("a", "foo"), ("b1", "bar"), ("b2", "baz")];
    assert_eq!(
        run(&input, &[rule("labelmap", &[], "(b.*)", "", "bar_${1}")]),
        labels(&[("a", "foo"), ("b1", "bar"), ("b2", "baz"), ("bar_b1", "bar"), ("bar_b2", "baz")])
    );
    assert_eq!(run(&input, &[rule("labeldrop", &[], "(b.*)", "", "")]), labels(&[("a", "foo")]));
    assert_eq!(
        run(&input, &[rule("labelkeep", &[], "(b.*)", "", "")]),
        labels(&[("b1", "bar"), ("b2", "baz")])
    );
}

#[test]
fn case_is_changed_as_unicode_has_it() {
    let got = run(
        &[("f", "bAr1É")],
        &[rule("uppercase", &["f"], "", "u", ""), rule("lowercase", &["f"], "", "l", "")],
    );
    assert_eq!(got, labels(&[("f", "bAr1É"), ("l", "bar1é"), ("u", "BAR1É")]));
}

#[test]
fn tags_of_a_discovery_become_labels() {
    let got = run(
        &[("tags", "path:/secret,job:some-job,label:foo=bar")],
        &[
            rule("replace", &["tags"], "(?:.+,|^)path:(/[^,]+).*", "__metrics_path__", "${1}"),
            rule("replace", &["tags"], "(?:.+,|^)job:([^,]+).*", "job", "${1}"),
            rule("replace", &["tags"], "(?:.+,|^)label:([^=]+)=([^,]+).*", "${1}", "${2}"),
            rule("labeldrop", &[], "tags", "", ""),
        ],
    );
    assert_eq!(got, labels(&[("__metrics_path__", "/secret"), ("job", "some-job"), ("foo", "bar")]));
}

#[test]
fn rules_that_make_no_sense_are_refused_in_upstreams_words() {
    let refuse = |change: fn(&mut RelabelSpec), action: RelabelAction, scheme, text: &str| {
        let mut spec = RelabelSpec { action, ..RelabelSpec::default() };
        change(&mut spec);
        assert_eq!(Relabel::new(spec, scheme).unwrap_err().to_string(), text);
    };
    let utf8 = NameScheme::Utf8;
    refuse(
        |_| {},
        RelabelAction::Replace,
        utf8,
        "relabel configuration for replace action requires 'target_label' value",
    );
    refuse(
        |s| s.target_label = "x".to_owned(),
        RelabelAction::HashMod,
        utf8,
        "relabel configuration for hashmod requires non-zero modulus",
    );
    refuse(
        |s| s.target_label = "${3}".to_owned(),
        RelabelAction::Lowercase,
        NameScheme::Legacy,
        "\"${3}\" is invalid 'target_label' for lowercase action",
    );
    refuse(
        |s| s.source_labels = Some(vec![]),
        RelabelAction::LabelDrop,
        utf8,
        "labeldrop action requires only 'regex', and no other fields",
    );
    refuse(
        |s| (s.target_label, s.regex) = ("x".to_owned(), Some("(.*)".to_owned())),
        RelabelAction::DropEqual,
        utf8,
        "dropequal action requires only 'source_labels' and `target_label`, and no other fields",
    );
    assert_eq!("nope".parse::<RelabelAction>().unwrap_err().to_string(), "unknown relabel action \"nope\"");
}

#[test]
fn templates_of_legacy_names_are_told_from_other_texts() {
    for (s, valid) in [
        ("-label", false),
        ("label", true),
        ("label${1}", true),
        ("${1}label", true),
        ("${1}", true),
        ("${", false),
        ("$", false),
        ("${}", false),
        ("foo${", false),
        ("$1", true),
        ("asd$2asd", true),
        ("-foo${1}bar-", false),
        ("bar.foo${1}bar", false),
        ("_${1}_", true),
        ("foo${bar}foo", true),
        ("0a", false),
    ] {
        assert_eq!(is_name_template(s, NameScheme::Legacy), valid, "{s}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_rule_over_any_set_never_panics(
        action in 0usize..11,
        regex in "[a-c.*()$]{0,6}",
        target in "[a-c$1{}é]{1,5}",
        replacement in "[a-c$1{}]{1,5}",
        pairs in proptest::collection::btree_map("[a-c]{1,2}", "[a-c;]{1,4}", 0..5),
    ) {
        let spec = RelabelSpec {
            source_labels: Some(vec!["a".to_owned(), "b".to_owned()]),
            regex: Some(regex),
            modulus: 3,
            target_label: target,
            replacement: Some(replacement),
            action: RelabelAction::ALL[action],
            ..RelabelSpec::default()
        };
        if let Ok(r) = Relabel::new(spec, NameScheme::Legacy) {
            let mut b = Labels::from_pairs(&pairs).to_builder();
            if r.apply(&mut b) {
                prop_assert_eq!(Labels::from_packed(b.build().as_packed()), Some(b.build()));
            }
        }
    }
}

#[test]
fn labelmap_makes_no_label_without_a_name() {
    let input = [("a", "1"), ("b", "2")];
    assert_eq!(run(&input, &[rule("labelmap", &[], "a()", "", "$1")]), labels(&input));
}

use proptest::prelude::*;
use reba_model::MatchOp;

use super::*;

fn read(text: &str, grammar: Grammar) -> Result<String, String> {
    parse_list(text, grammar).map(|p| MatcherList(&p.matchers).to_string()).map_err(|e| e.to_string())
}

#[test]
fn the_classic_grammar_takes_values_with_and_without_quotes() {
    for (text, want) in [
        ("", "{}"),
        ("{}", "{}"),
        ("a=b", r#"{a="b"}"#),
        ("{a=b,}", r#"{a="b"}"#),
        (r#"{ a = "b,c" , d=~"e|f" }"#, r#"{a="b,c",d=~"e|f"}"#),
        ("a!=b c d", r#"{a!="b c d"}"#),
        ("a!~.*,b=", r#"{a!~".*",b=""}"#),
        (r"a=\d+\n\\", r#"{a="\\d+\n\\"}"#),
        (r#"a="\"""#, r#"{a="\""}"#),
        (r"a=x\", r#"{a="x\\"}"#),
        ("a==b", r#"{a="=b"}"#),
        ("a:b=c", r#"{a:b="c"}"#),
        ("a={b}", r#"{a="{b"}"#),
    ] {
        assert_eq!(read(text, Grammar::Classic).as_deref(), Ok(want), "{text}");
    }
    for text in ["a", "=b", "1a=b", "a=b,,c=d", r#"a=b"c"#, r#"a="b"#, r#"a="b"c"#, "a=~(", "{a=b,é=c}"] {
        assert!(read(text, Grammar::Classic).is_err(), "{text}");
    }
}

#[test]
fn the_utf8_grammar_takes_any_name_that_is_quoted_or_has_no_reserved_character() {
    for (text, want) in [
        ("", "{}"),
        ("{}", "{}"),
        ("foo🙂=bar", r#"{foo🙂="bar"}"#),
        (r#"{"foo bar"="b\u00e9r", x!~y,}"#, r#"{"foo bar"="bér",x!~"y"}"#),
        (r#"a="b\tc""#, "{a=\"b\tc\"}"),
        (r#""a"=~"[a-z]+""#, r#"{a=~"[a-z]+"}"#),
    ] {
        assert_eq!(read(text, Grammar::Utf8).as_deref(), Ok(want), "{text}");
    }
    for text in [
        "{",
        "}",
        "{a=b",
        "a=b}",
        ",",
        "a=b,,",
        "a b",
        "a=b c",
        "a=",
        "=b",
        "a~b",
        "a=[a-z]=",
        r#"a="b"#,
        r#"a="\q""#,
        "a='b'",
    ] {
        assert!(read(text, Grammar::Utf8).is_err(), "{text}");
    }
}

#[test]
fn the_fallback_prefers_the_new_grammar_but_not_against_the_old() {
    let parsed = parse_list("a=b", Grammar::Fallback).unwrap();
    assert_eq!(parsed.warning, None);
    // Only the old one reads it.
    let parsed = parse_list("a=b c", Grammar::Fallback).unwrap();
    assert_eq!(MatcherList(&parsed.matchers).to_string(), r#"{a="b c"}"#);
    assert!(parsed.warning.unwrap().contains(r#"write {a="b c"}"#));
    // Only the new one reads it.
    let parsed = parse_list("é=b", Grammar::Fallback).unwrap();
    assert_eq!((parsed.matchers.len(), parsed.warning), (1, None));
    // Both do, differently: the old one holds.
    let parsed = parse_list(r#"a="\t""#, Grammar::Fallback).unwrap();
    assert_eq!(parsed.matchers[0].value, "\\t");
    assert!(parsed.warning.is_some());
    // None does: upstream shows what the old one says.
    assert_eq!(read("a", Grammar::Fallback), Err("bad matcher format: a".to_owned()));
}

#[test]
fn one_matcher_is_one_matcher() {
    assert_eq!(parse_one("a=b", Grammar::Fallback).unwrap(), Matcher::equal("a", "b"));
    assert!(parse_one("{a=b}", Grammar::Fallback).is_err());
    assert!(parse_one("", Grammar::Utf8).is_err());
    // The old grammar takes what follows as the value.
    assert_eq!(parse_one("a=b,c=d", Grammar::Fallback).unwrap(), Matcher::equal("a", "b,c=d"));
    assert!(parse_one("a=b,c=d", Grammar::Utf8).is_err());
}

#[test]
fn a_text_that_is_too_long_is_refused_by_the_name_of_the_limit() {
    let long = "a=".to_owned() + &"b".repeat(MAX_MATCHERS_BYTES);
    let error = read(&long, Grammar::Fallback).unwrap_err();
    assert!(error.contains("MAX_MATCHERS_BYTES"), "{error}");
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let ops = prop_oneof![Just(MatchOp::Equal), Just(MatchOp::NotEqual)];
    ("[a-zA-Z_][a-zA-Z0-9_]{0,6}|\\PC{1,8}", ops, any::<String>())
        .prop_map(|(name, op, value)| Matcher::new(op, name, value).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_printed_is_read_back(list in proptest::collection::vec(matcher(), 0..4)) {
        let text = MatcherList(&list).to_string();
        // Names with signs of the grammar are quoted, and so is what the old grammar cannot read.
        let legacy = list.iter().all(|m| reba_model::is_legacy_metric_name(&m.name));
        if legacy {
            prop_assert_eq!(parse_list(&text, Grammar::Classic).unwrap().matchers, list.clone());
            prop_assert_eq!(parse_list(&text, Grammar::Fallback).unwrap().matchers, list);
        } else {
            prop_assert_eq!(parse_list(&text, Grammar::Utf8).unwrap().matchers, list);
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}|[ab=~!{},\"\\\\ ]{0,24}") {
        for grammar in [Grammar::Classic, Grammar::Utf8, Grammar::Fallback] {
            let _ = parse_list(&text, grammar);
            let _ = parse_one(&text, grammar);
        }
    }
}

use proptest::prelude::*;

use super::*;

fn printed(query: &str) -> String {
    parse(query).unwrap_or_else(|e| panic!("{query}: {e}")).to_string()
}

fn error(query: &str) -> String {
    parse(query).expect_err(query).to_string()
}

#[test]
fn what_is_printed_reads_back_as_the_same_tree() {
    for query in [
        r#"{app="a"}"#,
        r#"{app="a", env=~"b|c",} |= "x" != "y" |~ "z" !~ `\d+` |> "<_> q" !> "p <_>""#,
        r#"{app="a"} |= "x" or ip("10.0.0.0/8") or "y""#,
        r#"{app="a"} | json | level="error" | status >= 500 and took > 1.5s or size < 1MiB"#,
        r#"{app="a"} | json a, b="c.d[0]" | logfmt --strict --keep-empty x="y" | regexp "(?P<n>.)" | pattern "<a> b" | unpack"#,
        r#"{app="a"} | line_format "{{.x}}" | label_format a=b, c="{{.d}}" | decolorize | drop a, b="c" | keep d, e=~"f""#,
        r#"sum by (a, b) (rate({app="a"} | json | unwrap duration(took) | __error__="" [5m] offset 1h))"#,
        r#"quantile_over_time(0.99, {app="a"} | logfmt | unwrap v [1m]) by (pod)"#,
        r#"topk(3, sum(count_over_time({app="a"}[1m])) by (x)) / on (x) group_left (y) vector(2) > bool 1"#,
        r#"label_replace(rate({a="b"}[1m]), "d", "$1", "s", "(.*)")"#,
        "-1 ^ 2 ^ 3 - 4 - 5",
        r#"{app="a"} | rate="a" | json="b" | sum > 5"#,
    ] {
        let tree = parse(query).unwrap_or_else(|e| panic!("{query}: {e}"));
        assert_eq!(parse(&tree.to_string()).as_ref(), Ok(&tree), "{query}\n{tree}");
    }
}

#[test]
fn single_quotes_stand_for_double_ones() {
    assert_eq!(printed(r#"{app='a"b'} |= 'it\'s' |~ '\\d'"#), printed(r#"{app="a\"b"} |= "it's" |~ "\\d""#));
    assert!(error("{app='a\"}").contains("literal not terminated"));
}

#[test]
fn a_comma_between_filters_takes_in_everything_to_its_right() {
    for (filter, meaning) in [
        (r#"a="1" or b="2", c="3""#, r#"(a="1" or (b="2" and c="3"))"#),
        (r#"a="1", b="2" or c="3""#, r#"(a="1" and (b="2" or c="3"))"#),
        (r#"a="1" b="2", c="3" or d="4""#, r#"(a="1" and (b="2" and (c="3" or d="4")))"#),
        (r#"a="1" or b="2" and c="3""#, r#"(a="1" or (b="2" and c="3"))"#),
        (r#"a="1" and b="2" or c="3""#, r#"((a="1" and b="2") or c="3")"#),
    ] {
        assert_eq!(printed(&format!("{{x=\"y\"}} | {filter}")), format!("{{x=\"y\"}} | {meaning}"));
    }
}

#[test]
fn the_window_may_stand_behind_the_selector_or_behind_the_pipeline() {
    let expected = r#"rate({a="b"} | json[1m])"#;
    for query in [
        r#"rate({a="b"}[1m] | json)"#,
        r#"rate({a="b"} | json [1m])"#,
        r#"rate(({a="b"} | json)[1m])"#,
        r#"rate(({a="b"} | json [1m]))"#,
    ] {
        assert_eq!(printed(query), expected, "{query}");
    }
}

#[test]
fn operators_bind_as_in_arithmetic_and_powers_to_the_right() {
    assert_eq!(printed("2 + 3 * 4 ^ 5 ^ 6"), "(2 + (3 * (4 ^ (5 ^ 6))))");
    assert_eq!(printed("1 - 2 - 3"), "((1 - 2) - 3)");
    assert_eq!(
        printed("vector(1) or vector(2) and vector(3) == vector(4)"),
        "(vector(1) or (vector(2) and (vector(3) == vector(4))))"
    );
}

#[test]
fn errors_are_in_upstreams_words_and_places() {
    for (query, expected) in [
        (r#"unk({foo="bar"}[5m])"#, "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER"),
        (
            r#"label_replace(rate({ foo = "bar" }[5m]),"")"#,
            "parse error at line 1, col 43: syntax error: unexpected ), expecting ,",
        ),
        (
            r#"{ foo = "bar" }|logfmt|addr>=ip("1.2.3.4")"#,
            "parse error at line 1, col 30: syntax error: unexpected ip, expecting BYTES or NUMBER or DURATION",
        ),
        (
            r#"absent_over_time({foo="bar"}[5h]) by (foo)"#,
            "parse error : grouping not allowed for absent_over_time aggregation",
        ),
        (
            r#"count_over_time({a="b"} | unwrap x [1m])"#,
            "parse error : invalid aggregation count_over_time with unwrap",
        ),
        (r#"min({foo="bar"}[5m])"#, "parse error at line 1, col 16: syntax error: unexpected RANGE"),
        ("0x1A", "parse error at line 1, col 1: unable to parse literal as a float: 0x1A"),
        (r#"topk(sum(rate({a="b"}[1m])))"#, "parse error : parameter required for operation topk"),
        (
            "1 or vector(1)",
            "parse error : unexpected literal for left leg of logical/set binary operation (or): 1.000000",
        ),
    ] {
        assert_eq!(error(query), expected, "{query}");
    }
    assert!(error(r#"rate({foo="bar"}[5minutes])"#).contains(r#"not a valid duration string: "5minutes""#));
    assert!(error(r#"rate({foo="bar"}[5)"#).contains("missing closing ']' in duration"));
}

#[test]
fn deep_nesting_is_refused_and_not_a_crash() {
    let deep = format!("{}1{}", "(".repeat(50_000), ")".repeat(50_000));
    assert!(error(&deep).contains("nested deeper than"));
    let filters = format!("{{a=\"b\"}} | {}x=\"1\"", "(".repeat(50_000));
    assert!(error(&filters).contains("nested deeper than"));
    let sums = format!("1{}", "+1".repeat(50_000));
    assert!(error(&sums).contains("more than 1000 operators"));
    let chained = format!("{{a=\"b\"}} | x=\"1\"{}", ", x=\"1\"".repeat(10_000));
    assert!(error(&chained).contains("nested deeper than"));
}

#[test]
fn many_large_expressions_are_refused_and_a_few_are_not() {
    let selector = |n: usize| format!("{{{}}}", vec![r#"a=~"(x{500}y{500}){10}""#; n].join(","));
    assert!(parse(&selector(2)).is_ok());
    assert!(error(&selector(1000)).contains("too large together"));
    let filters = |n: usize| format!("{{}} {}", r#"|~ "(x{500}y{500}){10}""#.repeat(n));
    let compiled = |query: &str| {
        let stages = super::parse_log(query).unwrap().stages;
        crate::pipeline::Pipeline::compile(&stages, crate::pipeline::Wanted::All, 0)
    };
    assert!(compiled(&filters(2)).is_ok());
    assert!(compiled(&filters(1000)).unwrap_err().to_string().contains("too large together"));
    assert!(compiled(&format!("{{}} {}", r#"| regexp "(?P<a>x)""#.repeat(21))).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(query in ".*") {
        let _ = parse(&query);
    }

    #[test]
    fn no_sequence_of_words_makes_the_parser_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "a", "=", "=~", "\"x\"", ",", "|", "|=", "!=", "json", "logfmt", "unwrap", "[5m]", "(", ")", "sum",
                "rate", "by", "or", "and", "5", "1s", "5MB", "ip", "offset", "topk", "bool", "on", "-", "^", "drop", "--strict",
            ]),
            0..30,
        )
    ) {
        if let Ok(tree) = parse(&words.join(" ")) {
            prop_assert_eq!(parse(&tree.to_string()), Ok(tree));
        }
    }
}

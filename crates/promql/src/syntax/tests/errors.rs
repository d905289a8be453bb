//! What is refused, where, and in which words.

use crate::syntax::{ParseOptions, parse, parse_selector};

fn error(query: &str) -> String {
    match parse(query, ParseOptions::all()) {
        Ok(expr) => panic!("{query} must not parse, but is {expr}"),
        Err(e) => e.to_string(),
    }
}

fn check(cases: &[(&str, &str)]) {
    for (query, expected) in cases {
        assert_eq!(error(query), *expected, "{query}");
    }
}

#[test]
fn nothing_is_no_expression() {
    check(&[
        ("", "unknown position: parse error: no expression found in input"),
        (" \n", "1:1: parse error: no expression found in input"),
        ("# a comment", "1:1: parse error: no expression found in input"),
    ]);
}

#[test]
fn positions_count_lines_and_bytes() {
    check(&[
        ("up ==\n  1 )", "2:6: parse error: unexpected right parenthesis ')'"),
        ("\"é\" +", "1:7: parse error: unexpected end of input"),
        ("a\n\n\nb", "4:1: parse error: unexpected identifier \"b\""),
    ]);
}

#[test]
fn what_the_lexer_cannot_read_is_said() {
    check(&[
        ("up and ;", "1:8: parse error: unexpected character: ';'"),
        ("up =~ 2", "1:4: parse error: unexpected character after '=': '~'"),
        ("up !", "1:4: parse error: unexpected character after '!': '\u{fffd}'"),
        ("(up))", "1:6: parse error: unexpected right parenthesis ')'"),
        ("((up)", "1:6: parse error: unclosed left parenthesis"),
        ("up[5m", "1:6: parse error: unclosed left bracket"),
        ("up]", "1:3: parse error: unexpected right bracket ']'"),
        ("up[5m[", "1:6: parse error: unexpected left bracket '['"),
        ("up{", "1:4: parse error: unexpected end of input inside braces"),
        ("up{a={", "1:6: parse error: unexpected left brace '{'"),
        ("up{a!\"b\"}", "1:5: parse error: unexpected character after '!' inside braces: '\"'"),
        ("up{a>\"b\"}", "1:5: parse error: unexpected character inside braces: '>'"),
        ("up[\"5m\"]", "1:4: parse error: unexpected character in duration expression: '\"'"),
        ("up[", "1:4: parse error: unexpected end of input in duration expression"),
        ("up[5m x]", "1:7: parse error: unexpected character: 'x', expected ':'"),
        ("up[5m::1m]", "1:7: parse error: unexpected colon ':'"),
        ("up[step()::1m]", "1:12: parse error: unexpected repeated colon in duration expression"),
        ("up[5m:1m:]", "1:9: parse error: unexpected colon ':'"),
        ("up[:1m]", "1:5: parse error: unexpected colon before duration in duration expression"),
        ("1.5.", "1:1: parse error: bad number or duration syntax: \"1.5.\""),
        ("1__0", "1:1: parse error: bad number or duration syntax: \"1__\""),
        ("0xz", "1:1: parse error: bad number or duration syntax: \"0x\""),
        ("5mm", "1:1: parse error: bad number or duration syntax: \"5mm\""),
        ("up offset 1x", "1:11: parse error: bad number or duration syntax: \"1\""),
    ]);
}

#[test]
fn strings_end_and_escapes_exist() {
    check(&[
        ("\"ab", "1:1: parse error: unterminated quoted string"),
        ("'a\nb'", "1:1: parse error: unterminated quoted string"),
        ("`ab", "1:1: parse error: unterminated raw string"),
        (r#""\q""#, "1:1: parse error: unknown escape sequence U+0071 'q'"),
        (r#""\'""#, "1:1: parse error: unknown escape sequence U+0027 '''"),
        (r#""\x4""#, "1:1: parse error: illegal character U+0022 '\"' in escape sequence"),
        (r#""\400""#, "1:1: parse error: escape sequence is an invalid Unicode code point"),
        (r#""\ud800""#, "1:1: parse error: escape sequence is an invalid Unicode code point"),
        (r#""\U00110000""#, "1:1: parse error: escape sequence is an invalid Unicode code point"),
        ("\"\\", "1:1: parse error: escape sequence not terminated"),
        ("\"\u{fffd}\"", "1:1: parse error: invalid UTF-8 rune"),
    ]);
}

#[test]
fn numbers_and_durations_have_values() {
    let long = "9".repeat(400);
    let out_of_range = format!(
        "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"{long}\": value out of range"
    );
    check(&[
        (&long, &out_of_range),
        (
            "1_ + 1",
            "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"1_\": invalid syntax",
        ),
        ("0x", "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"0x\": invalid syntax"),
        ("up[1h1h]", "1:4: parse error: not a valid duration string: \"1h1h\""),
        ("up[3ys]", "1:4: parse error: unknown unit \"ys\" in duration \"3ys\""),
        ("up[0s]", "1:4: parse error: duration must be greater than 0"),
        ("up[-5m]", "1:4: parse error: duration must be greater than 0"),
        ("up[5m:0]", "1:7: parse error: duration must be greater than 0"),
        ("up[1e11]", "1:4: parse error: duration out of range"),
        ("up[300y]", "1:4: parse error: duration out of range"),
        ("up @ Inf", "1:1: parse error: timestamp out of bounds for @ modifier: +Inf"),
        (
            "up @ 1e19",
            "1:1: parse error: timestamp out of bounds for @ modifier: 10000000000000000000.000000",
        ),
        ("up[1m % 0]", "1:7: parse error: modulo by zero"),
        ("up offset (1m / 0)", "1:15: parse error: division by zero"),
    ]);
}

#[test]
fn an_unexpected_token_is_named_with_the_construct_around_it() {
    check(&[
        ("+", "1:2: parse error: unexpected end of input"),
        ("up up", "1:4: parse error: unexpected identifier \"up\""),
        ("up a:b", "1:4: parse error: unexpected metric identifier \"a:b\""),
        ("up 5", "1:4: parse error: unexpected number \"5\""),
        ("up 5m", "1:4: parse error: unexpected duration \"5m\""),
        ("up 'a long string'", "1:4: parse error: unexpected string \"'a long st\"..."),
        ("1 {}", "1:3: parse error: unexpected \"{\""),
        ("(up", "1:4: parse error: unclosed left parenthesis"),
        ("()", "1:2: parse error: unexpected \")\""),
        ("* 1", "1:1: parse error: unexpected <op:*>"),
        ("up AND", "1:7: parse error: unexpected end of input"),
        ("up by", "1:4: parse error: unexpected <by>"),
        ("up Sum", "1:4: parse error: unexpected <aggr:Sum>"),
        ("up start", "1:4: parse error: unexpected \"start\""),
        ("sum(1 +)", "1:8: parse error: unexpected \")\" in aggregation"),
        ("sum by (a) + 1", "1:12: parse error: unexpected <op:+> in aggregation"),
        ("sum by a (up)", "1:8: parse error: unexpected identifier \"a\" in grouping opts, expected \"(\""),
        ("sum by (1) (up)", "1:9: parse error: unexpected number \"1\" in grouping opts, expected label"),
        (
            "sum by (a b) (up)",
            "1:11: parse error: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\"",
        ),
        ("sum by (\"\") (up)", "1:9: parse error: invalid label name for grouping: \"\""),
        ("a * on b", "1:8: parse error: unexpected identifier \"b\" in grouping opts, expected \"(\""),
        ("a * group_left b", "1:5: parse error: unexpected <group_left>"),
        ("up{a}", "1:5: parse error: unexpected \"}\" in label matching, expected label matching operator"),
        ("up{a=}", "1:6: parse error: unexpected \"}\" in label matching, expected string"),
        (
            "up{a=\"b\" c}",
            "1:10: parse error: unexpected identifier \"c\" in label matching, expected \",\" or \"}\"",
        ),
        ("up{,}", "1:4: parse error: unexpected \",\" in label matching, expected identifier or \"}\""),
        (
            "up[]",
            "1:4: parse error: unexpected \"]\" in subquery or range selector, \
             expected number, duration, step(), or range()",
        ),
        (
            "up[5m 5m]",
            "1:7: parse error: unexpected duration \"5m\" in subquery or range, expected \":\" or \"]\"",
        ),
        (
            "up[5m:1m 1m]",
            "1:10: parse error: unexpected duration \"1m\" in subquery selector, expected \"]\"",
        ),
        (
            "up[5m:/]",
            "1:7: parse error: unexpected <op:/> in subquery selector, \
             expected number, duration, step(), range(), or \"]\"",
        ),
        (
            "up offset",
            "1:10: parse error: unexpected end of input in offset, \
             expected number, duration, step(), or range()",
        ),
        ("up @", "1:5: parse error: unexpected end of input in @, expected timestamp"),
        ("up @ end", "1:9: parse error: unexpected end of input in @, expected timestamp"),
        ("abs(up,)", "1:7: parse error: trailing commas not allowed in function call args"),
        ("abs(,up)", "1:5: parse error: unexpected \",\""),
    ]);
}

#[test]
fn modifiers_stand_where_they_make_sense() {
    check(&[
        (
            "1 offset 5m",
            "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector \
             selector or a subquery",
        ),
        (
            "abs(up) @ 1",
            "1:1: parse error: @ modifier must be preceded by an instant vector selector or range vector \
             selector or a subquery",
        ),
        ("up offset 1m offset 2m", "1:1: parse error: offset may not be set multiple times"),
        ("up @ 1 @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times"),
        ("up @ 1 @ start()", "1:1: parse error: @ <timestamp> may not be set multiple times"),
        ("abs(up)[5m]", "1:8: parse error: ranges only allowed for vector selectors"),
        ("up offset 1m [5m]", "1:14: parse error: no offset modifiers allowed before range"),
        ("up @ 1 [5m]", "1:8: parse error: no @ modifiers allowed before range"),
        ("up anchored smoothed", "1:1: parse error: anchored and smoothed modifiers cannot be used together"),
        ("up[5m:] anchored", "1:1: parse error: anchored modifier is not supported for subqueries"),
        ("abs(up) smoothed", "1:1: parse error: smoothed modifier not implemented"),
    ]);
}

#[test]
fn types_and_arguments_fit() {
    check(&[
        ("nope(up)", "1:1: parse error: unknown function with name \"nope\""),
        ("Rate(up[5m])", "1:1: parse error: unknown function with name \"Rate\""),
        ("1 + abs()", "1:5: parse error: expected 1 argument(s) in call to \"abs\", got 0"),
        (
            "label_join()",
            "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", got 0",
        ),
        ("round(up, 1, 2)", "1:1: parse error: expected at most 2 argument(s) in call to \"round\", got 3"),
        (
            "rate(up)",
            "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
        ),
        ("abs(1)", "1:5: parse error: expected type instant vector in call to function \"abs\", got scalar"),
        (
            "vector(\"a\")",
            "1:8: parse error: expected type scalar in call to function \"vector\", got string",
        ),
        ("sum()", "1:1: parse error: no arguments for aggregate expression provided"),
        (
            "topk(up)",
            "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
        ),
        (
            "sum(a, b)",
            "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 1, got 2",
        ),
        ("sum(1)", "1:5: parse error: expected type instant vector in aggregation expression, got scalar"),
        (
            "topk(up, up)",
            "1:6: parse error: expected type scalar in aggregation parameter, got instant vector",
        ),
        (
            "count_values(1, up)",
            "1:14: parse error: expected type string in aggregation parameter, got scalar",
        ),
        (
            "-\"a\"",
            "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, \
             got \"string\"",
        ),
        ("1[5m:]", "1:1: parse error: subquery is only allowed on instant vector, got scalar instead"),
        ("up[5m][5m:]", "1:1: parse error: subquery is only allowed on instant vector, got matrix instead"),
        (
            "up + up[5m]",
            "1:6: parse error: binary expression must contain only scalar and instant vector types",
        ),
        (
            "\"a\" + up",
            "1:1: parse error: binary expression must contain only scalar and instant vector types",
        ),
        ("info(up, {a=\"b\"} + 1)", "1:10: parse error: expected label selectors only"),
        ("info(up, b{})", "1:10: parse error: expected label selectors only, got vector selector instead"),
        (
            "info(up, 1)",
            "1:1: parse error: expected type instant vector in call to function \"info\", got scalar",
        ),
    ]);
}

#[test]
fn operators_have_operands_that_suit_them() {
    check(&[
        ("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
        ("up   + bool up", "1:6: parse error: bool modifier can only be used on comparison operators"),
        ("1 or up", "1:1: parse error: set operator \"or\" not allowed in binary scalar expression"),
        ("up * on (a) 1", "1:1: parse error: vector matching only allowed between instant vectors"),
        (
            "up * fill(0) 1",
            "1:1: parse error: filling in missing series only allowed between instant vectors",
        ),
        ("up and on (a) group_left b", "1:1: parse error: no grouping allowed for \"and\" operation"),
        ("a or fill(0) b", "1:1: parse error: filling in missing series not allowed for set operators"),
        (
            "a * on (x, y) group_left (z, y) b",
            "1:3: parse error: label \"y\" must not occur in ON and GROUP clause at once",
        ),
    ]);
}

#[test]
fn a_selector_selects_something() {
    check(&[
        ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ("{a=~\".*\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ("up{__name__=\"down\"}", "1:1: parse error: metric name must not be set twice: \"up\" or \"down\""),
    ]);
    assert!(error("up{a=~\"(\"}").starts_with("1:4: parse error: "));
}

#[test]
fn what_is_experimental_is_refused_unless_it_is_switched_on() {
    for (query, expected) in [
        (
            "limitk(1, up)",
            "limitk() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
        ),
        ("sort_by_label(up, \"a\")", "function \"sort_by_label\" is not enabled"),
        ("step()", "function \"step\" is not enabled"),
        ("up[step()]", "experimental duration expression is not enabled"),
        ("up[1m + 1m]", "experimental duration expression is not enabled"),
        ("up offset (1m)", "experimental duration expression is not enabled"),
        ("up[5m] anchored", "anchored modifier is experimental and not enabled"),
        ("a + fill(0) b", "binop fill modifiers are experimental and not enabled"),
    ] {
        let stable = ParseOptions { duration_expressions: false, ..ParseOptions::default() };
        let plain = parse(query, stable).map(|e| e.to_string());
        assert_eq!(plain.map_err(|e| e.message), Err(expected.to_owned()), "{query}");
        assert!(parse(query, ParseOptions::all()).is_ok(), "{query}");
    }
    assert!(parse("holt_winters(up[5m], 0.5, 0.5)", ParseOptions::default()).is_ok());
}

/// Found by giving random queries to this parser and to upstream's.
#[test]
fn of_several_errors_the_one_that_upstream_meets_first_is_reported() {
    check(&[
        ("stdvar(topk(a)", "1:15: parse error: unclosed left parenthesis"),
        ("avg(a, b)) - 52", "1:11: parse error: unexpected right parenthesis ')'"),
        ("1 [ 0", "1:6: parse error: unclosed left bracket"),
        ("foo[-5s)+20s]", "1:9: parse error: unexpected right parenthesis ')'"),
        ("1 offset (1m)^2)", "1:17: parse error: unexpected right parenthesis ')'"),
        ("foo[1m/0[", "1:9: parse error: unexpected left bracket '['"),
        ("info(1, foo)", "1:9: parse error: expected label selectors only, got vector selector instead"),
        (
            "info(1, Inf)",
            "1:1: parse error: expected type instant vector in call to function \"info\", got scalar",
        ),
        (
            "a * on (b) group_left @ c",
            "1:23: parse error: unexpected <op:@> in grouping opts, expected \"(\"",
        ),
        (
            "a * on (b) group_left",
            "1:22: parse error: unexpected end of input in grouping opts, expected \"(\"",
        ),
        (".1h30m", "1:1: parse error: not a valid duration string: \".1h30m\""),
        ("1_5m", "1:1: parse error: unknown unit \"_\" in duration \"1_5m\""),
        ("up offset + 1e20", "1:11: parse error: duration out of range"),
    ]);
}

#[test]
fn depth_is_limited() {
    let deep = |open: &str, middle: &str, close: &str, n: usize| {
        format!("{}{middle}{}", open.repeat(n), close.repeat(n))
    };
    for (open, middle, close) in [
        ("(", "up", ")"),
        ("abs(", "up", ")"),
        ("sum(", "up", ")"),
        ("1 ^ ", "1", ""),
        ("-", "up", ""),
        ("a + (", "b", ")"),
    ] {
        assert!(parse(&deep(open, middle, close, 40), ParseOptions::all()).is_ok(), "{open}");
        let message = error(&deep(open, middle, close, 10_000));
        assert!(message.ends_with("expression is nested more than 128 levels deep"), "{message}");
    }
    let durations = format!("up[{}5m]", "-".repeat(10_000));
    assert!(error(&durations).ends_with("levels deep"));
    let chain = |n: usize| format!("up{}", " or up".repeat(n));
    assert!(parse(&chain(390), ParseOptions::all()).is_ok());
    assert!(error(&chain(100_000)).ends_with("expression is more than 400 levels deep"));
    let subqueries = format!("up{}", "[1m:]".repeat(5000));
    assert!(parse(&subqueries, ParseOptions::all()).is_err());
}

#[test]
fn a_selector_alone_is_nothing_but_a_selector() {
    let matchers = parse_selector("up{a=\"b\"}").unwrap();
    let shown: Vec<String> = matchers.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["a=\"b\"", "__name__=\"up\""]);
    // What it must not select is for the caller to say.
    assert!(parse_selector("{}").unwrap().is_empty());
    for (query, expected) in [
        ("up[5m]", "1:3: parse error: unexpected \"[\""),
        ("up offset 5m", "1:4: parse error: unexpected <offset>"),
        ("1", "1:1: parse error: unexpected number \"1\""),
        ("", "unknown position: parse error: unexpected end of input"),
    ] {
        assert_eq!(parse_selector(query).unwrap_err().to_string(), expected, "{query}");
    }
}

#[test]
fn regular_expressions_of_a_query_are_bounded_together() {
    let selector = |n: usize| {
        let matchers: Vec<String> = (0..n).map(|i| format!(r#"a=~"\\pL{{40}}{i}""#)).collect();
        format!("m{{{}}}", matchers.join(","))
    };
    assert!(parse(&selector(5), ParseOptions::default()).is_ok());
    assert!(error(&selector(60)).ends_with("parse error: regular expressions of the query are too large"));
}

//! What a query means: the shape of its tree.

use super::parsed;
use crate::syntax::{
    At, BinaryOp, ExprKind, Func, MatchCardinality, Number, ParseOptions, ValueType, parse, resolve_durations,
};

/// The tree with all parentheses written out.
fn grouped(query: &str) -> String {
    fn show(expr: &crate::syntax::Expr) -> String {
        match &expr.kind {
            ExprKind::Binary(b) => format!("({} {} {})", show(&b.lhs), b.op.as_str(), show(&b.rhs)),
            ExprKind::Unary(u) => format!("({}{})", u.op.as_str(), show(&u.expr)),
            _ => expr.to_string(),
        }
    }
    show(&parsed(query))
}

#[test]
fn operators_bind_as_upstream_has_it() {
    for (query, expected) in [
        ("a + b * c", "(a + (b * c))"),
        ("a - b - c", "((a - b) - c)"),
        ("a ^ b ^ c", "(a ^ (b ^ c))"),
        ("-a ^ b", "(-(a ^ b))"),
        ("-a * b", "((-a) * b)"),
        ("a ^ -b ^ c * d", "((a ^ (-(b ^ c))) * d)"),
        ("a or b and c unless d", "(a or ((b and c) unless d))"),
        ("a > b + c", "(a > (b + c))"),
        ("a </ b > c", "((a </ b) > c)"),
        ("a atan2 b % c", "((a atan2 b) % c)"),
        ("a == bool b != c", "((a == b) != c)"),
        ("-1 ^ 2", "(-(1 ^ 2))"),
        ("- - 1", "1"),
        ("a offset 5m ^ 2", "(a offset 5m ^ 2)"),
        ("a offset -5m + 1", "(a offset -5m + 1)"),
        ("AND and and", "(AND and and)"),
        ("fill + fill", "(fill + fill)"),
    ] {
        assert_eq!(grouped(query), expected, "{query}");
    }
}

#[test]
fn numbers_have_many_forms() {
    for (query, value, duration) in [
        ("0x1F", 31.0, false),
        ("0X_f", 15.0, false),
        ("0755", 493.0, false),
        ("089", 89.0, false),
        ("1_000.5", 1000.5, false),
        (".5e1", 5.0, false),
        ("5.", 5.0, false),
        ("iNf", f64::INFINITY, false),
        ("-INF", f64::NEG_INFINITY, false),
        ("nAn", f64::NAN, false),
        ("18446744073709551616", 18446744073709551616.0, false),
        ("1h30m", 5400.0, true),
        ("-5ms", -0.005, true),
    ] {
        assert_eq!(parsed(query).kind, ExprKind::Number(Number { value, duration }), "{query}");
    }
}

#[test]
fn strings_have_three_quotes_and_go_escapes() {
    for (query, expected) in [
        (r#""a\tb\"c\x41\101\u00e9\U0001F600""#, "a\tb\"cAA\u{e9}\u{1F600}"),
        (r"'it\'s'", "it's"),
        (r"`\n`", r"\n"),
    ] {
        let ExprKind::String(text) = parsed(query).kind else { panic!("{query}") };
        assert_eq!((text.value.as_str(), text.raw), (expected, None));
    }
    let ExprKind::String(text) = parsed(r#""a\xffb""#).kind else { panic!() };
    assert_eq!(text.value, "a\u{fffd}b");
    assert_eq!(text.raw.as_deref(), Some(&b"a\xffb"[..]));
}

#[test]
fn selectors_take_names_of_any_kind() {
    for (query, name, matchers) in [
        ("up", "up", vec![r#"__name__="up""#]),
        ("job:up:sum{a='b',}", "job:up:sum", vec![r#"a="b""#, r#"__name__="job:up:sum""#]),
        (r#"{"my.metric", "a b"!="c"}"#, "", vec![r#"__name__="my.metric""#, r#""a b"!="c""#]),
        ("sum{by=~'x|y'}", "sum", vec![r#"by=~"x|y""#, r#"__name__="sum""#]),
        ("offset", "offset", vec![r#"__name__="offset""#]),
        ("{a!~'x+'} # a comment", "", vec![r#"a!~"x+""#]),
    ] {
        let Ok(expr) = parse(query, ParseOptions::default()) else {
            assert_eq!(query, "{a!~'x+'} # a comment", "only this one matches the empty text");
            continue;
        };
        let ExprKind::Vector(selector) = expr.kind else { panic!("{query}") };
        let shown: Vec<String> = selector.matchers.iter().map(ToString::to_string).collect();
        assert_eq!(
            (selector.name.as_str(), shown),
            (name, matchers.into_iter().map(str::to_owned).collect())
        );
    }
}

#[test]
fn time_modifiers_stand_in_any_order() {
    for query in ["up[5m] offset -1m @ 12.5", "up[300] @ 12.5 offset -60"] {
        let ExprKind::Matrix(matrix) = parsed(query).kind else { panic!("{query}") };
        assert_eq!(matrix.range.ms, 300_000);
        assert_eq!(matrix.selector.offset.ms, -60_000);
        assert_eq!(matrix.selector.at, Some(At::Timestamp(12_500)));
    }
    let ExprKind::Subquery(subquery) = parsed("rate(up[1m])[1h:30s] @ end() offset 1d").kind else {
        panic!()
    };
    assert_eq!((subquery.range.ms, subquery.step.map(|d| d.ms)), (3_600_000, Some(30_000)));
    assert_eq!((subquery.at, subquery.offset.ms), (Some(At::End), 86_400_000));
    assert_eq!(subquery.expr.value_type(), ValueType::Vector);
}

#[test]
fn matching_is_settled_by_the_operands() {
    let ExprKind::Binary(binary) = parsed("a * ignoring (x) group_right (y, z) b").kind else { panic!() };
    let matching = binary.matching.unwrap();
    assert_eq!((matching.card, matching.on), (MatchCardinality::OneToMany, false));
    assert_eq!(
        (matching.labels, matching.include),
        (vec!["x".to_owned()], vec!["y".to_owned(), "z".to_owned()])
    );

    let ExprKind::Binary(binary) = parsed("a unless on () b").kind else { panic!() };
    assert_eq!(binary.op, BinaryOp::Unless);
    let matching = binary.matching.unwrap();
    assert_eq!((matching.card, matching.on), (MatchCardinality::ManyToMany, true));

    let ExprKind::Binary(binary) = parsed("a >= bool 2").kind else { panic!() };
    assert!(binary.matching.is_none() && binary.bool_modifier);

    let ExprKind::Binary(binary) = parsed("a + fill_right(-1) fill_left(2) b").kind else { panic!() };
    let matching = binary.matching.unwrap();
    assert_eq!((matching.fill_left, matching.fill_right), (Some(2.0), Some(-1.0)));
}

#[test]
fn spans_are_those_of_the_text() {
    let query = "1 + sum by (a) (rate(up{b=\"c\"}[5m] offset 1m)) ";
    let expr = parsed(query);
    let text = |e: &crate::syntax::Expr| &query[e.span.start as usize..e.span.end as usize];
    let mut seen = Vec::new();
    expr.walk(&mut |e| seen.push(text(e)));
    assert_eq!(
        seen,
        [
            "1 + sum by (a) (rate(up{b=\"c\"}[5m] offset 1m))",
            "1",
            "sum by (a) (rate(up{b=\"c\"}[5m] offset 1m))",
            "rate(up{b=\"c\"}[5m] offset 1m)",
            "up{b=\"c\"}[5m] offset 1m",
        ]
    );
}

#[test]
fn aggregations_take_their_labels_before_or_behind() {
    for query in ["topk by (a, \"b c\") (3, up)", "topk(3, up) by (a, \"b c\",)"] {
        let ExprKind::Aggregate(aggregate) = parsed(query).kind else { panic!("{query}") };
        assert_eq!(aggregate.grouping, ["a", "b c"]);
        assert!(!aggregate.without && aggregate.param.is_some());
    }
    let ExprKind::Aggregate(aggregate) = parsed("sum without () (up)").kind else { panic!() };
    assert!(aggregate.without && aggregate.grouping.is_empty());
}

#[test]
fn duration_expressions_are_worked_out_for_a_query() {
    for (query, range, offset) in [
        ("up[step() * 2]", 60_000, 0),
        ("up[5s + 2 ^ 3 * 10s] offset -step()", 85_000, -30_000),
        ("up[max_of(range(), 5s)] offset min_of(1m, (2m))", 600_000, 60_000),
        ("up[-(-7s % 4)] offset (5s-8)", 3_000, -3_000),
    ] {
        let mut expr = parsed(query);
        resolve_durations(&mut expr, 30_000, 600_000).unwrap();
        let ExprKind::Matrix(matrix) = expr.kind else { panic!("{query}") };
        assert_eq!((matrix.range.ms, matrix.selector.offset.ms), (range, offset), "{query}");
    }
    for (query, expected) in [
        ("up[step() - 1h]", "duration must be greater than 0"),
        ("up[1 / (step() - step())]", "division by zero"),
        ("up[1m:range() % (step() - 30)]", "modulo by zero"),
        ("abs(up offset (step() ^ 1000))", "duration is NaN or infinite"),
        ("-up offset (step() ^ 10)", "duration is out of range"),
    ] {
        let mut expr = parsed(query);
        let error = resolve_durations(&mut expr, 30_000, 0).unwrap_err();
        assert_eq!(error.to_string(), expected, "{query}");
    }
}

#[test]
fn what_does_not_change_with_the_step_is_known() {
    for (query, expected) in [
        ("up @ 1", true),
        ("sum(rate(up[5m] @ end())) + 1", true),
        ("up", false),
        ("up @ 1 + time()", false),
        ("timestamp(up @ 1)", true),
        ("timestamp(abs(up @ 1))", false),
        ("hour()", false),
        ("hour(up @ 1)", true),
        ("avg_over_time(up[5m:] @ start())", true),
        ("avg_over_time((up @ 1)[5m:])", false),
        ("predict_linear(up[5m] @ 1, 60)", false),
    ] {
        assert_eq!(parsed(query).is_step_invariant(), expected, "{query}");
    }
}

#[test]
fn functions_that_are_also_words_are_called() {
    for (query, func) in [("start()", Func::Start), ("max_of(1, 2)", Func::MaxOf), ("range()", Func::Range)] {
        let ExprKind::Call(call) = parsed(query).kind else { panic!("{query}") };
        assert_eq!(call.func, func);
    }
    assert!(matches!(parsed("start{end='x'}").kind, ExprKind::Vector(_)));
}

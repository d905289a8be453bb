#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn printed(query: &str) -> String {
    parse(query).unwrap().to_string()
}

fn refusal(query: &str) -> String {
    parse_valid(query).unwrap_err().to_string()
}

#[test]
fn and_binds_no_stronger_than_or() {
    assert_eq!(printed("{ .a || .b && .c }"), "{ (.a || .b) && .c }");
    assert_eq!(printed("{ .a } || { .b } && { .c }"), "({ .a } || { .b }) && { .c }");
}

#[test]
fn a_minus_binds_stronger_than_plus_and_weaker_than_times() {
    assert_eq!(printed("{ -.a + 1 = 2 }"), "{ ((-.a) + 1) = 2 }");
    assert_eq!(printed("{ -.a * 1 = 2 }"), "{ -(.a * 1) = 2 }");
    assert_eq!(printed("{ 2 ^ 3 ^ 2 = .a }"), "{ (2 ^ (3 ^ 2)) = .a }");
}

#[test]
fn structural_operators_bind_stronger_than_logical_ones() {
    assert_eq!(printed("{ .a } && { .b } >> { .c }"), "{ .a } && ({ .b } >> { .c })");
    assert_eq!(printed("{ .a } > { .b } &<< { .c }"), "({ .a } > { .b }) &<< { .c }");
}

#[test]
fn names_end_at_signs_and_quotes_lift_that() {
    assert_eq!(printed("{.http.status-code=200}"), "{ .http.status-code = 200 }");
    assert_eq!(printed(r#"{ span.a."b c".d = 1 }"#), r#"{ span."a.b c.d" = 1 }"#);
    assert_eq!(printed("{ parent.span.x }"), "{ parent.span.x }");
}

#[test]
fn arithmetic_on_literals_beside_series_is_done_at_once() {
    assert_eq!(printed("({} | rate()) > 1 / 2"), "{ true } | rate() > 0");
    assert_eq!(printed("({} | rate()) * 3 / 2"), "(({ true } | rate()) * 3) / 2");
    assert_eq!(printed("3 / 2.0 + ({} | rate())"), "1.5 + ({ true } | rate())");
}

#[test]
fn errors_of_the_grammar_have_a_line_and_a_column() {
    for (query, message) in [
        (
            "{ . }",
            "parse error at line 1, col 3: syntax error: unexpected END_ATTRIBUTE, expecting IDENTIFIER",
        ),
        ("{ < }", "parse error at line 1, col 3: syntax error: unexpected <"),
        ("{ .a < 3", "parse error at line 1, col 9: syntax error: unexpected $end, expecting }"),
        ("{ attribute = 4 }", "parse error at line 1, col 3: syntax error: unexpected IDENTIFIER"),
        ("{ .a\n == 4 }", "parse error at line 2, col 3: syntax error: unexpected ="),
    ] {
        assert_eq!(refusal(query), message, "{query}");
    }
}

#[test]
fn errors_of_types_name_the_expression() {
    for (query, message) in [
        ("{ 1 = \"a\" }", "binary operations must operate on the same type: 1 = `a`"),
        ("{ status > ok }", "illegal operation for the given types: status > ok"),
        ("{ name }", "span filter field expressions must resolve to a boolean: { name }"),
        ("{ parent.a = 1 }", "parent not yet supported"),
        ("{} | rate() | topk(0)", "limit must be greater than 0"),
    ] {
        assert_eq!(refusal(query), message, "{query}");
    }
}

#[test]
fn both_names_of_an_intrinsic_are_one_field_once_normal() {
    let (old, new) = (parse_field("duration").unwrap(), parse_field("span:duration").unwrap());
    assert_ne!(old, new);
    assert_eq!(old.normal(), new.normal());
    assert_eq!(parse_field("span:id").unwrap().normal().to_string(), "span:id");
}

#[test]
fn nesting_and_length_have_limits() {
    let nested = |n: usize| format!("{{ {}true{} }}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&nested(50)).is_ok());
    assert!(refusal(&nested(5000)).contains("nested deeper"));
    assert!(refusal(&"(".repeat(5000)).contains("nested deeper"));
    assert!(refusal(&format!("{{ {}.a }}", "!".repeat(5000))).contains("nested deeper"));
    assert!(refusal(&format!("{{ .a{} }}", " + 1".repeat(5000))).contains("operators"));
    assert!(refusal(&format!("{{}}{}", " && {}".repeat(5000))).contains("operators"));
    assert!(refusal(&format!("{{}} | rate(){}", " > 1".repeat(5000))).contains("operators"));
    assert!(refusal(&" ".repeat(MAX_QUERY_BYTES + 1)).contains("too long"));
}

#[test]
fn a_query_as_long_as_the_limit_allows_is_read_and_printed_whole() {
    for query in [
        format!("{{ .a{} }}", " && .a".repeat(490)),
        format!("{{}}{}", " >> {}".repeat(490)),
        format!("({{}} | rate()){}", " + ({} | rate())".repeat(490)),
        format!("{{}} | rate(){}", " > 1".repeat(490)),
        format!("sum(.a){} > 1", " + sum(.a)".repeat(490)),
    ] {
        let tree = parse(&query).unwrap();
        assert_eq!(parse(&tree.to_string()), Ok(tree.clone()));
        let _ = validate(&tree);
    }
}

fn statics() -> impl Strategy<Value = Static> {
    prop_oneof![
        Just(Static::Nil),
        any::<i64>().prop_map(Static::Int),
        prop::num::f64::NORMAL.prop_map(Static::Float),
        ".{0,6}".prop_map(Static::Str),
        any::<bool>().prop_map(Static::Bool),
        (-i64::MAX..i64::MAX).prop_map(Static::Duration),
        Just(Static::Status(reba_model::spans::SpanStatus::Error)),
        Just(Static::Kind(reba_model::spans::SpanKind::Server)),
    ]
}

fn fields() -> impl Strategy<Value = Field> {
    let scope = prop::sample::select(vec![
        Scope::Any,
        Scope::Span,
        Scope::Resource,
        Scope::Event,
        Scope::Link,
        Scope::Instrumentation,
    ]);
    let attribute = (scope, any::<bool>(), ".{1,8}").prop_map(|(scope, parent, name)| {
        let parent = parent && matches!(scope, Scope::Any | Scope::Span | Scope::Resource);
        Field::Attribute { parent, scope, name }
    });
    let intrinsic =
        prop::sample::select(vec!["duration", "span:name", "trace:id", "event:name", "nestedSetLeft"]);
    prop_oneof![attribute, intrinsic.prop_map(|name| parse_field(name).unwrap())]
}

fn expressions() -> impl Strategy<Value = FieldExpr> {
    let leaf = prop_oneof![statics().prop_map(FieldExpr::Static), fields().prop_map(FieldExpr::Field)];
    let ops = vec![Op::And, Op::Eq, Op::NotMatch, Op::Lt, Op::Add, Op::Sub, Op::Mul, Op::Pow];
    leaf.prop_recursive(4, 24, 2, move |inner| {
        let binary = (prop::sample::select(ops.clone()), inner.clone(), inner.clone())
            .prop_map(|(op, l, r)| FieldExpr::Binary { op, left: Box::new(l), right: Box::new(r) });
        // A minus before a literal is part of it, so that no tree has both.
        let not = inner.prop_map(|of| FieldExpr::Unary(UnaryOp::Not, Box::new(of)));
        let minus = fields().prop_map(|f| FieldExpr::Unary(UnaryOp::Neg, Box::new(FieldExpr::Field(f))));
        prop_oneof![binary, not, minus]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn what_is_printed_parses_back_to_the_same_tree(filter in expressions(), by in fields()) {
        let spanset = Stage::Spanset(SpansetExpr::Filter(filter));
        let query = Query {
            root: Root::Metrics(MetricsExpr::Aggregate(MetricsAggregate {
                pipeline: Pipeline { stages: vec![spanset] },
                function: MetricsFunction::Rate,
                by: vec![by],
            })),
            hints: Vec::new(),
        };
        let text = query.to_string();
        prop_assert_eq!(parse(&text).map_err(|e| format!("{text}: {e}")), Ok(query));
    }

    #[test]
    fn no_input_makes_the_parser_panic(text in "\\PC{0,60}") {
        let _ = parse_valid(&text);
    }

    #[test]
    fn no_order_of_words_makes_the_parser_panic(
        words in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "(", ")", "|", "&&", "||", ">", ">>", "!~", "&<<", "=", "=~", "+", "-", "*", "^", ".a", "span.",
            "\"x", "`y`", "1", "2.5", "3s", "nil", "ok", "name", "parent", "by", "count", "rate", "topk", "select",
            "compare", "with", ",", "coalesce", "quantile_over_time", "max", "9223372036854775808", "span:x", "\n",
        ]), 0..20)
    ) {
        for joint in ["", " "] {
            if let Ok(query) = parse(&words.join(joint)) {
                let text = query.to_string();
                prop_assert_eq!(parse(&text).map_err(|e| format!("{text}: {e}")), Ok(query));
                let _ = parse_valid(&text);
            }
        }
    }
}

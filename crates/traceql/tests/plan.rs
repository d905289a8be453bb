//! What stores are told of queries.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use reba_traceql::{FetchPlan, SpanNeed, syntax::parse_valid};

fn plan(query: &str) -> FetchPlan {
    let mut plans = FetchPlan::of(&parse_valid(query).unwrap());
    assert_eq!(plans.len(), 1);
    plans.remove(0)
}

/// `all a = 1, b = 2` with `?` behind it if spans must be looked at again.
fn needs(plan: &FetchPlan) -> Vec<String> {
    let line = |need: &SpanNeed| {
        let conditions: Vec<String> =
            need.conditions.iter().map(|c| format!("{} {} {}", c.field, c.op, c.value)).collect();
        let exact = if need.exact { "" } else { " ?" };
        format!("{} {}{exact}", if need.all { "all" } else { "any" }, conditions.join(", "))
    };
    plan.spans.iter().map(line).collect()
}

#[test]
fn conditions_that_must_all_hold_are_told_as_such() {
    let plan = plan("{ span.a = 1 && 500 <= .b && span:duration > 1s && name =~ `x.*` && .ok }");
    assert_eq!(needs(&plan), ["all span.a = 1, .b >= 500, duration > 1s, name =~ `x.*`, .ok = true"]);
    assert!(plan.every && !plan.second_pass && !plan.whole_trace);
}

#[test]
fn of_alternatives_any_may_hold() {
    assert_eq!(needs(&plan("{ .a = 1 || .b != nil }")), ["any .a = 1, .b != nil"]);
    assert_eq!(needs(&plan("{ (.a > 1 && .b = 2) || .c = 3 }")), ["any .b = 2, .c = 3 ?"]);
    assert_eq!(needs(&plan("{ .a = 1 && (.b = 2 || .c = 3) }")), ["all .a = 1 ?"]);
    assert_eq!(needs(&plan("{ (.b = 2 || .c = 3) && .a + 1 = 2 }")), ["any .b = 2, .c = 3 ?"]);
}

#[test]
fn what_no_condition_can_say_asks_for_every_span() {
    for query in
        ["{ .a = nil }", "{ !(.a = 1) }", "{ .a + 1 = 2 }", "{ .a = .b }", "{ .a = 1 || true }", "{ false }"]
    {
        assert!(needs(&plan(query))[0].starts_with("all "), "{query}: {:?}", needs(&plan(query)));
        assert!(plan(query).spans[0].conditions.is_empty(), "{query}");
    }
    assert_eq!(needs(&plan("{ .a = nil }")), ["all  ?"]);
    assert_eq!(needs(&plan("{}")), ["all "]);
    assert!(!plan("{}").second_pass);
}

#[test]
fn a_trace_must_have_spans_for_both_sides_unless_one_is_enough() {
    let both = plan("{ .a = 1 } >> { .b = 2 }");
    assert_eq!(needs(&both), ["all .a = 1", "all .b = 2"]);
    assert!(both.every && both.whole_trace && both.second_pass);
    assert!(!plan("{ .a = 1 } || { .b = 2 }").every);
    assert!(!plan("{ .a = 1 } !>> { .b = 2 }").every);
    let and = plan("{ .a = 1 } && { .b = 2 }");
    assert!(and.every && !and.whole_trace);
}

#[test]
fn a_stage_before_any_filter_sees_every_span() {
    assert_eq!(needs(&plan("count() > 2 | { .a = 1 }")), ["all  ?"]);
    assert_eq!(
        needs(&plan("({ .a = 1 } | count() > 1 | { .b = 2 }) && { .c = 3 }")),
        ["all .a = 1", "all .c = 3"]
    );
}

#[test]
fn fields_that_are_only_shown_wait_for_the_second_pass() {
    let plan = plan("{ .a = 1 && span:name = `x` } | select(.b, .a, resource.c) | avg(.d) > 1");
    let names = |fields: &[reba_traceql::syntax::Field]| -> Vec<String> {
        fields.iter().map(ToString::to_string).collect()
    };
    assert_eq!(names(&plan.fields), ["name", ".a", ".d"]);
    assert_eq!(names(&plan.selected), [".b", "resource.c"]);
}

#[test]
fn each_aggregate_of_a_query_for_series_has_a_plan() {
    let query = "({ .a = 1 } | rate() by (rootName)) / ({} | max_over_time(span.b))";
    let plans = FetchPlan::of(&parse_valid(query).unwrap());
    assert_eq!(plans.iter().map(needs).collect::<Vec<_>>(), [vec!["all .a = 1"], vec!["all "]]);
    assert!(plans[0].whole_trace && !plans[1].whole_trace);
    assert_eq!(plans[1].fields[0].to_string(), "span.b");
}

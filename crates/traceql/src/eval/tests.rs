#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use reba_model::spans::{AttributeValue, Attributes, Span, SpanEvent, SpanId};

use super::{EvalOptions, Grid, MetricsEval, MetricsLimits, Search, structural::related};
use crate::{
    plan::FetchPlan,
    syntax::{Relation, RelationMode, Root, parse_valid},
    trace::Trace,
};

/// Spans whose parents are any of 0 (none) to 12, so that there are lost spans, circles and twins.
fn traces() -> impl Strategy<Value = Trace> {
    prop::collection::vec((1..10u64, 0..12u64, -5..50i64), 1..12).prop_map(|spans| {
        let span = |(i, (id, parent, length)): (usize, (u64, u64, i64))| Span {
            span_id: SpanId(id.to_be_bytes()),
            parent_id: SpanId(parent.to_be_bytes()),
            name: format!("n{}", id % 3),
            start_ns: i as i64,
            end_ns: i as i64 + length,
            attributes: Attributes(vec![("a".to_owned(), AttributeValue::Int(length))]),
            events: vec![SpanEvent { ns: length, name: "e".to_owned(), ..SpanEvent::default() }],
            ..Span::default()
        };
        Trace::new(spans.into_iter().enumerate().map(span).collect())
    })
}

/// Whether `r` is to `l` what the relation says, pair by pair.
fn is_related(trace: &Trace, relation: Relation, l: usize, r: usize) -> bool {
    let (a, b) = (trace.nested(l), trace.nested(r));
    match relation {
        Relation::Child => b.parent == a.left,
        Relation::Parent => a.parent == b.left,
        Relation::Descendant => a.left < b.left && b.right < a.right,
        Relation::Ancestor => b.left < a.left && a.right < b.right,
        Relation::Sibling => {
            let (a, b) = (trace.spans()[l].parent_id, trace.spans()[r].parent_id);
            l != r && a == b && !a.is_none()
        }
    }
}

const RELATIONS: [Relation; 5] =
    [Relation::Child, Relation::Parent, Relation::Descendant, Relation::Ancestor, Relation::Sibling];

/// Words out of which queries are made that are mostly nonsense, and mostly parse.
const FILTERS: [&str; 8] = [
    "{}",
    "{ .a > 3 }",
    "{ name = `n1` }",
    "{ .b || .a ^ .a > 1 }",
    "{ !(.a / .a = 1) }",
    "{ event:name =~ `e|f` }",
    "{ -.a < 2s && duration % 7 != 0 }",
    "{ nestedSetParent != nil && childCount >= 0 }",
];
const BETWEEN: [&str; 8] = ["&&", "||", ">", "<<", "~", "!>>", "&~", "|"];
const AFTER: [&str; 12] = [
    "",
    "| count() > 1",
    "| by(.a, name)",
    "| by(.a) | max(duration) > 0 | coalesce()",
    "| rate()",
    "| quantile_over_time(duration, .5, 1) by (name)",
    "| histogram_over_time(.a)",
    "| compare({ .a > 2 }, 2)",
    "| avg_over_time(event:timeSinceStart) by (.a) | topk(2) > 0",
    "| sum_over_time(.a) | bottomk(1)",
    "| select(.a) | min(.a * 2) < 9",
    "| max_over_time(.a) by (.b, .a)",
];

const CONDITIONS: [&str; 9] = [
    "true",
    "false",
    ".a > 3",
    "5 >= .a",
    "name = `n1`",
    ".a = nil",
    "!(.a = 7)",
    ".b != nil",
    ".a + 1 < duration",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn structural_operators_answer_as_comparing_every_pair_does(trace in traces(), sides in any::<[u16; 2]>()) {
        let all = 0..trace.spans().len();
        let side = |bits: u16| -> Vec<usize> { all.clone().filter(|i| bits >> i & 1 == 1).collect() };
        let (left, right) = (side(sides[0]), side(sides[1]));
        for relation in RELATIONS {
            let has = |r: &usize| left.iter().any(|l| is_related(&trace, relation, *l, *r));
            let is_had = |l: &usize| right.iter().any(|r| is_related(&trace, relation, *l, *r));
            let (plain, negated): (Vec<usize>, Vec<usize>) = right.iter().copied().partition(has);
            let union: Vec<usize> = all.clone()
                .filter(|i| plain.contains(i) || (left.contains(i) && is_had(i)))
                .collect();
            let run = |mode| related(&trace, relation, mode, &left, &right);
            prop_assert_eq!(run(RelationMode::Plain), plain, "{:?}", relation);
            prop_assert_eq!(run(RelationMode::Negated), negated, "{:?}", relation);
            prop_assert_eq!(run(RelationMode::Union), union, "{:?}", relation);
        }
    }

    #[test]
    fn spans_that_match_meet_the_conditions_that_stores_are_told(
        trace in traces(),
        terms in prop::collection::vec(prop::sample::select(CONDITIONS.to_vec()), 1..5),
        joints in prop::collection::vec(prop::sample::select(vec!["&&", "||", ") &&", ") ||"]), 4),
    ) {
        let mut filter = terms[0].to_owned();
        for (term, joint) in terms[1..].iter().zip(joints) {
            filter = match joint.strip_prefix(')') {
                Some(joint) => format!("({filter}){joint} {term}"),
                None => format!("{term} {joint} ({filter})"),
            };
        }
        let need = FetchPlan::of(&parse_valid(&format!("{{ {filter} }}")).unwrap())[0].spans[0].clone();
        let conditions: Vec<String> =
            need.conditions.iter().map(|c| format!("{} {} {}", c.field, c.op, c.value)).collect();
        let joint = if need.all { " && " } else { " || " };
        let told = if conditions.is_empty() { "true".to_owned() } else { conditions.join(joint) };
        let found = |filter: &str| -> Vec<SpanId> {
            let search = Search::new(&parse_valid(&format!("{{ {filter} }}")).unwrap(), &EvalOptions::default());
            let sets = search.unwrap().run(&trace).unwrap().map_or(Vec::new(), |found| found.spansets);
            sets.into_iter().flat_map(|set| set.spans).map(|span| span.span_id).collect()
        };
        let (matching, fetched) = (found(&filter), found(&told));
        prop_assert!(matching.iter().all(|id| fetched.contains(id)), "{} is told as {}", filter, told);
        if need.exact {
            prop_assert_eq!(matching, fetched, "{} is told as {}", filter, told);
        }
    }

    #[test]
    fn no_query_on_no_trace_panics(
        trace in traces(),
        first in prop::sample::select(FILTERS.to_vec()),
        joint in prop::sample::select(BETWEEN.to_vec()),
        second in prop::sample::select(FILTERS.to_vec()),
        after in prop::sample::select(AFTER.to_vec()),
    ) {
        let query = parse_valid(&format!("{first} {joint} {second} {after}")).unwrap();
        let options = EvalOptions::default();
        if let Root::Search(_) = query.root {
            let found = Search::new(&query, &options).unwrap().run(&trace).unwrap();
            let empty = found.is_some_and(|t| t.spansets.iter().any(|set| set.spans.is_empty()));
            prop_assert!(!empty);
        } else {
            let limits = MetricsLimits { max_series: 3, max_points: 0, exemplars: 1 };
            let mut eval = MetricsEval::new(&query, Grid::range(-5, 12, 3).unwrap(), &options, limits).unwrap();
            eval.feed(&trace).unwrap();
            for series in eval.finish() {
                prop_assert_eq!(series.points.len(), 6);
            }
        }
    }
}

use reba_model::Labels;

use crate::{
    config::{GroupBy, MAX_ROUTE_DEPTH, RouteSection, Routing, Sections},
    matchers::Grammar,
    testing::{config, pairs},
};

fn routing(text: &str) -> Routing {
    config(text).unwrap().0
}

fn refused(text: &str) -> String {
    config(text).unwrap_err().to_string()
}

fn receivers(routing: &Routing, labels: &str) -> Vec<String> {
    let found = routing.matching(&Labels::from_pairs(pairs(labels)));
    found.into_iter().map(|i| routing.routes()[i].receiver.clone()).collect()
}

const TREE: &str = r#"
route:
  receiver: R
  routes:
  - receiver: A
    matchers: [team="x"]
    continue: true
    routes:
    - receiver: A1
      matchers: [severity="page"]
  - receiver: B
    match_re: {severity: "page|warn"}
  - receiver: C
receivers: [{name: R}, {name: A}, {name: A1}, {name: B}, {name: C}]
"#;

#[test]
fn the_walk_stops_at_a_match_and_not_at_a_sibling_that_fails() {
    let tree = routing(TREE);
    assert_eq!(receivers(&tree, "team=x severity=page"), ["A1", "B"]);
    assert_eq!(receivers(&tree, "team=x severity=info"), ["A", "C"]);
    assert_eq!(receivers(&tree, "team=y severity=warn"), ["B"]);
    assert_eq!(receivers(&tree, "team=y"), ["C"]);
    let without_c = routing(&TREE.replace("  - receiver: C\n", ""));
    assert_eq!(receivers(&without_c, "team=y"), ["R"]);
}

#[test]
fn what_is_not_set_is_inherited_but_for_time_intervals() {
    let tree = routing(
        r"
route:
  receiver: R
  group_by: [b, a]
  group_wait: 1m
  routes:
  - matchers: [x=1]
    mute_time_intervals: [night]
    group_interval: 10m
    routes:
    - matchers: [y=1]
      group_by: []
      repeat_interval: 1h
    - group_by: ['...']
receivers: [{name: R}]
time_intervals: [{name: night, time_intervals: [{times: [{start_time: '22:00', end_time: '24:00'}]}]}]
",
    );
    let [root, x, y, all] = tree.routes() else { panic!("four routes") };
    assert_eq!(
        (root.group_wait_ms, root.group_interval_ms, root.repeat_interval_ms),
        (60_000, 300_000, 14_400_000)
    );
    assert_eq!((x.group_interval_ms, x.receiver.as_str()), (600_000, "R"));
    assert_eq!((y.group_wait_ms, y.group_interval_ms, y.repeat_interval_ms), (60_000, 600_000, 3_600_000));
    assert_eq!(y.group_by, GroupBy::Labels(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(all.group_by, GroupBy::All);
    assert_eq!(x.mute_time_intervals, ["night"]);
    assert!(y.mute_time_intervals.is_empty());
    assert_eq!((&*y.id, &*y.key), (r#"{}/{x="1"}/0/{y="1"}/0"#, r#"{}/{x="1"}/{y="1"}"#));
}

#[test]
fn group_keys_are_upstreams_byte_by_byte() {
    let tree = routing(
        r#"
route:
  receiver: R
  routes:
  - matchers: ['b!="z"', 'a=~"x|y"', 'a="1\"\\\n"']
    match: {c: d}
    match_re: {e: "f|g"}
    group_by: [alertname, q]
receivers: [{name: R}]
"#,
    );
    let [root, child] = tree.routes() else { panic!("two routes") };
    let labels = Labels::from_pairs([("alertname", "A"), ("q", "a\"b"), ("x", "y")]);
    assert_eq!(&*root.group_key(&root.group_labels(&labels)), "{}:{}");
    assert_eq!(
        &*child.group_key(&child.group_labels(&labels)),
        r#"{}/{a="1\"\\\n",a=~"x|y",b!="z",c="d",e=~"^(?:f|g)$"}:{alertname="A", q="a\"b"}"#
    );
}

#[test]
fn faults_are_refused_with_upstreams_words_and_the_key() {
    let with = |route: &str| format!("route:\n  receiver: R\n{route}\nreceivers: [{{name: R}}]\n");
    for (text, want) in [
        ("receivers: []".to_owned(), "key route: no routes provided"),
        ("route: {}".to_owned(), "key route: root route must specify a default receiver"),
        (with("  matchers: [a=b]"), "key route: root route must not have any matchers"),
        (with("  match: {a: b}"), "key route: root route must not have any matchers"),
        (with("  continue: true"), "key route.continue: cannot have continue in root route"),
        (
            with("  mute_time_intervals: [x]"),
            "key route.mute_time_intervals: root route must not have any mute time intervals",
        ),
        (
            with("  active_time_intervals: [x]"),
            "key route.active_time_intervals: root route must not have any active time intervals",
        ),
        (
            with("  routes: [{receiver: x}]"),
            r#"key route.routes[0].receiver: undefined receiver "x" used in route"#,
        ),
        (
            with("  routes: [{active_time_intervals: [x]}]"),
            r#"key route.routes[0].active_time_intervals[0]: undefined time interval "x" used in route"#,
        ),
        (with("  group_by: [a, a]"), r#"key route.group_by: duplicated label "a" in group_by"#),
        (
            with("  group_by: [a, '...']"),
            "key route.group_by: cannot have wildcard group_by (`...`) and other labels at the same time",
        ),
        (with("  group_interval: 0s"), "key route.group_interval: group_interval cannot be zero"),
        (with("  repeat_interval: 0s"), "key route.repeat_interval: repeat_interval cannot be zero"),
        (with("  routes: [{match_re: {a: '('}}]"), "key route.routes[0].match_re: error parsing regexp"),
        (with("  routes: [{matchers: ['a']}]"), "key route.routes[0].matchers[0]: bad matcher format: a"),
        (
            with("inhibit_rules: [{equal: ['']}]"),
            r#"key inhibit_rules[0].equal: invalid label name "" in equal list"#,
        ),
        (with("time_intervals: [{}]"), "key time_intervals[0]: missing name in time interval"),
        (
            with("time_intervals: [{name: a}]\nmute_time_intervals: [{name: a}]"),
            r#"key time_intervals[0]: time interval "a" is not unique"#,
        ),
        (
            with("time_intervals: [{name: a, time_intervals: [{weekdays: ['saturday:sunday']}]}]"),
            "key time_intervals[0].time_intervals[0]: start day cannot be before end day",
        ),
    ] {
        let error = refused(&text);
        assert!(error.starts_with(want), "{error}\nwanted {want}");
    }
}

#[test]
fn a_tree_that_is_too_deep_is_refused_by_the_name_of_the_limit() {
    let mut route = RouteSection::default();
    for _ in 0..=MAX_ROUTE_DEPTH {
        route = RouteSection { routes: Some(vec![route]), ..RouteSection::default() };
    }
    route.receiver = Some("R".to_owned());
    let sections = Sections { route: Some(route), ..Sections::default() };
    let error = Routing::new(&sections, &["R"], Grammar::Fallback).unwrap_err();
    assert!(error.reason.contains("MAX_ROUTE_DEPTH"), "{error}");
}

//! Text out of trees.

use super::parsed;

#[test]
fn expressions_are_printed_as_upstream_prints_them() {
    for (query, expected) in [
        ("sum by()(up)", "sum(up)"),
        ("sum without()(up)", "sum without () (up)"),
        ("SUM(up) BY (job,\"a.b\")", "sum by (job, \"a.b\") (up)"),
        ("quantile(0.9,up)", "quantile(0.9, up)"),
        ("a-on()b", "a - on () b"),
        ("a-ignoring()b", "a - b"),
        ("a - ignoring() group_left b", "a - ignoring () group_left () b"),
        ("a>bool on(x)group_right(y)b", "a > bool on (x) group_right (y) b"),
        ("a + fill_left(2) fill_right(2) b", "a + fill (2) b"),
        ("a + fill_right(1e30) b", "a + fill_right (1e+30) b"),
        ("up{z='1', a!='2', m=~\"3\"}", "up{a!=\"2\",m=~\"3\",z=\"1\"}"),
        ("{__name__='up'}", "{__name__=\"up\"}"),
        ("{'up'}", "{__name__=\"up\"}"),
        ("{__name__='', a='b'}", "{__name__=\"\",a=\"b\"}"),
        ("{'_a'='b', 'c.d'='e'}", "{\"c.d\"=\"e\",_a=\"b\"}"),
        ("up offset 90s", "up offset 1m30s"),
        ("up offset -3600", "up offset -1h"),
        ("up offset 0s", "up"),
        ("up @ 10 offset 1m", "up @ 10.000 offset 1m"),
        ("up[1d] offset 1w @ start()", "up[1d] @ start() offset 1w"),
        ("up[5m] anchored @ 1", "up[5m] anchored @ 1.000"),
        ("up smoothed offset 1m", "up smoothed offset 1m"),
        ("up[1h:]", "up[1h:]"),
        ("rate(up[5m])[1h:5m] @ end()", "rate(up[5m])[1h:5m] @ end()"),
        ("up[step()*2:(1m)]", "up[step() * 2:(1m)]"),
        ("up offset +(5)", "up offset (5)"),
        ("up offset -min_of(10s,+max_of(step()^2,2))", "up offset -min_of(10s, max_of(step() ^ 2, 2))"),
        ("1e3", "1000"),
        ("0x10", "16"),
        ("1e-9", "0.000000001"),
        ("inf", "+Inf"),
        ("-nan", "NaN"),
        ("90m", "1h30m"),
        ("-1500ms", "-1s500ms"),
        ("'a\\'\"\\n\u{e9}'", "\"a'\\\"\\n\u{e9}\""),
        ("'\\xff\\x01'", "\"\\xff\\x01\""),
        ("-(1 + 2)", "-(1 + 2)"),
        ("+up", "+up"),
        ("time ( )", "time()"),
        ("label_replace(up,'a','$1','b','(.*)')", "label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\")"),
    ] {
        assert_eq!(parsed(query).to_string(), expected, "{query}");
    }
}

#[test]
fn a_short_expression_stays_on_its_line() {
    assert_eq!(parsed("sum by(a)(rate(up[5m]))/2").pretty(), "sum by (a) (rate(up[5m])) / 2");
}

#[test]
fn a_long_expression_is_split_at_its_outermost_joints() {
    let query = "sum by (job, instance) (rate(http_request_duration_seconds_count{code=~\"5..\"}[5m])) \
                 / on (job) group_left sum(rate(http_request_duration_seconds_count[5m]))";
    let expected = r#"  sum by (job, instance) (rate(http_request_duration_seconds_count{code=~"5.."}[5m]))
/ on (job) group_left ()
  sum(rate(http_request_duration_seconds_count[5m]))"#;
    assert_eq!(parsed(query).pretty(), expected);
}

#[test]
fn every_joint_is_split_when_lines_are_narrow() {
    for (query, expected) in [
        ("up", "up"),
        ("topk(10,metric_name)", "topk(\n  10,\n  metric_name\n)"),
        ("a1234567 == bool b", "  a1234567\n== bool\n  b"),
        ("(foo + bar + baz)", "(\n    foo + bar\n  +\n    baz\n)"),
        ("-abs(metric_name)", "-abs(\n  metric_name\n)"),
        ("quantile_over_time(0.9,foo[5m])", "quantile_over_time(\n  0.9,\n  foo[5m]\n)"),
        (
            "max_over_time(rate(foo[1m])[5m:1m] offset 1m)",
            "max_over_time(\n  rate(\n    foo[1m]\n  )[5m:1m] offset 1m\n)",
        ),
        ("abs(a_long_name) + ignoring(x) b", "  abs(\n    a_long_name\n  )\n+ ignoring (x)\n  b"),
    ] {
        assert_eq!(parsed(query).pretty_within(10), expected, "{query}");
    }
}

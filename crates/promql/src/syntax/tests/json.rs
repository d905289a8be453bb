//! The JSON tree.

use super::parsed;

#[test]
fn a_tree_has_upstreams_shape() {
    for (query, expected) in [
        ("-1.5e3", r#"{"type":"numberLiteral","val":"-1500"}"#),
        ("'a\"<'", r#"{"type":"stringLiteral","val":"a\"\u003c"}"#),
        (
            "-(up)",
            r#"{"expr":{"expr":{"anchored":false,"matchers":[{"name":"__name__","type":"=","value":"up"}],"name":"up","offset":0,"offsetExpr":null,"smoothed":false,"startOrEnd":null,"timestamp":null,"type":"vectorSelector"},"type":"parenExpr"},"op":"-","type":"unaryExpr"}"#,
        ),
        (
            "{a=~'b'}[5m] anchored @ end() offset -1s",
            r#"{"range":300000,"rangeExpr":null,"anchored":true,"matchers":[{"name":"a","type":"=~","value":"b"}],"name":"","offset":-1000,"offsetExpr":null,"smoothed":false,"startOrEnd":"end","timestamp":null,"type":"matrixSelector"}"#,
        ),
        (
            "vector(1)[step() * -2:(5)] @ 1.5",
            r#"{"expr":{"args":[{"type":"numberLiteral","val":"1"}],"func":{"argTypes":["scalar"],"name":"vector","returnType":"vector","variadic":0},"type":"call"},"offset":0,"offsetExpr":null,"range":0,"rangeExpr":{"lhs":{"lhs":null,"op":"step","rhs":null,"type":"durationExpr","wrapped":false},"op":"*","rhs":{"duration":false,"type":"numberLiteral","val":"-2"},"type":"durationExpr","wrapped":false},"startOrEnd":null,"timestamp":1500,"step":0,"stepExpr":{"lhs":null,"op":"+","rhs":{"duration":false,"type":"numberLiteral","val":"5"},"type":"durationExpr","wrapped":true},"type":"subquery"}"#,
        ),
        (
            "topk by (a, b) (2, vector(0)) > bool 1",
            r#"{"bool":true,"lhs":{"expr":{"args":[{"type":"numberLiteral","val":"0"}],"func":{"argTypes":["scalar"],"name":"vector","returnType":"vector","variadic":0},"type":"call"},"grouping":["a","b"],"op":"topk","param":{"type":"numberLiteral","val":"2"},"type":"aggregation","without":false},"matching":null,"op":"\u003e","rhs":{"type":"numberLiteral","val":"1"},"type":"binaryExpr"}"#,
        ),
    ] {
        assert_eq!(parsed(query).to_json(), expected, "{query}");
    }
    let matched = parsed("a / on (x) group_left (y) fill_right(0) b").to_json();
    let expected = r#""matching":{"card":"many-to-one","fillValues":{"lhs":null,"rhs":0},"include":["y"],"labels":["x"],"on":true},"op":"/""#;
    assert!(matched.contains(expected), "{matched}");
}

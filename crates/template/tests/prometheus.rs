#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_raw_string_hashes,
    clippy::too_many_lines
)]
//! The functions of Prometheus, methods of objects, and the limits.

use std::sync::Arc;

use proptest::prelude::*;
use reba_model::Labels;
use reba_template::{
    Functions, Limits, MissingKey, Object, Options, Template, Value,
    prometheus::{ALERT_PREAMBLE, AlertData, Context, Sample, functions, label_map},
};

fn floats(values: &[f64]) -> Value {
    Value::list(values.iter().map(|v| Value::Float(*v)).collect())
}

fn texts(values: &[&str]) -> Value {
    Value::list(values.iter().map(|v| Value::from(*v)).collect())
}

fn ints(values: &[i64]) -> Value {
    Value::list(values.iter().map(|v| Value::Int(*v)).collect())
}

/// A server on which `query "metric"` has two series, any other query none.
fn context() -> Context {
    let series = |instance: &str, value: f64| Sample {
        labels: Labels::from_pairs([("__name__", "metric"), ("instance", instance), ("__value__", "v")]),
        value: Value::Float(value),
    };
    Context {
        query: Arc::new(move |q| match q {
            "metric" => Ok(vec![series("b", 21.0), series("a", 11.0)]),
            "broken" => Err("it is broken".to_owned()),
            _ => Ok(Vec::new()),
        }),
        external_url: "http://testhost:9090/path/prefix".to_owned(),
        now: 1_353_755_652_000,
    }
}

fn run(source: &str, data: Value) -> Result<String, String> {
    let functions = functions(&context());
    let options = Options { missing_key: MissingKey::Zero, ..Options::default() };
    Template::parse("test", source, &functions)
        .map_err(|e| e.to_string())?
        .execute(&data, &functions, &options)
        .map_err(|e| e.to_string())
}

#[test]
fn functions_print_what_prometheus_prints() {
    let each = |f: &str| format!("{{{{ range . }}}}{{{{ {f} . }}}}:{{{{ end }}}}");
    let max = i64::MAX;
    let cases: Vec<(String, Value, &str)> = vec![
        (each("humanize"), floats(&[0.0, 1.0, 1234567.0, 0.12]), "0:1:1.235M:120m:"),
        (each("humanize"), texts(&["0.0", "1.0", "1234567.0", ".12"]), "0:1:1.235M:120m:"),
        (each("humanize"), ints(&[0, -1, 1, 1234567, max]), "0:-1:1:1.235M:9.223E:"),
        (each("humanize1024"), floats(&[0.0, 1.0, 1048576.0, 0.12]), "0:1:1Mi:0.12:"),
        (each("humanize1024"), ints(&[0, -1, 1, 1234567, max]), "0:-1:1:1.177Mi:8Ei:"),
        (
            each("humanizeDuration"),
            floats(&[0.0, 1.0, 60.0, 3600.0, 86400.0, 90000.0, -183845.0, 899.99]),
            "0s:1s:1m 0s:1h 0m 0s:1d 0h 0m 0s:1d 1h 0m 0s:-2d 3h 4m 5s:14m 59s:",
        ),
        (
            each("humanizeDuration"),
            floats(&[0.1, 0.0001, 0.12345, 60.1, 60.5, 1.2345, 12.345]),
            "100ms:100us:123.5ms:1m 0s:1m 0s:1.234s:12.35s:",
        ),
        (each("humanizeDuration"), ints(&[0, -1, 1, 1234567]), "0s:-1s:1s:14d 6h 56m 7s:"),
        (each("humanizePercentage"), texts(&["-0.22222", "0.0", "0.1234567", "1.23456"]), "-22.22%:0%:12.35%:123.5%:"),
        (each("humanizePercentage"), ints(&[0, -1, 1, 1234567, max]), "0%:-100%:100%:1.235e+08%:9.223e+20%:"),
        (
            "{{ range . }}{{ humanize . }}:{{ humanize1024 . }}:{{ humanizeDuration . }}:{{humanizeTimestamp .}}:{{ end }}".into(),
            floats(&[f64::INFINITY, f64::NEG_INFINITY, f64::NAN]),
            "+Inf:+Inf:+Inf:+Inf:-Inf:-Inf:-Inf:-Inf:NaN:NaN:NaN:NaN:",
        ),
        (
            each("humanizeTimestamp"),
            ints(&[0, -1, 1, 1234567, 9223372036]),
            "1970-01-01 00:00:00 +0000 UTC:1969-12-31 23:59:59 +0000 UTC:1970-01-01 00:00:01 +0000 UTC:1970-01-15 06:56:07 +0000 UTC:2262-04-11 23:47:16 +0000 UTC:",
        ),
        ("{{ 1435065584.128 | humanizeTimestamp }}".into(), Value::Nil, "2015-06-23 13:19:44.128 +0000 UTC"),
        (r#"{{ ("1435065584.128" | toTime).Format "2006" }}"#.into(), Value::Nil, "2015"),
        (r#"{{ (1800 | toDuration).String }}"#.into(), Value::Nil, "30m0s"),
        ("{{ now }}".into(), Value::Nil, "1.353755652e+09"),
        (r#"{{ (now | toTime).Format "Mon Jan 2 15:04:05 2006" }}"#.into(), Value::Nil, "Sat Nov 24 11:14:12 2012"),
        (r#"{{ (now | toTime).Format "Monday, 02-Jan-06 15:04:05.000 -0700 MST Z07:00 3:04PM" }}"#.into(), Value::Nil, "Saturday, 24-Nov-12 11:14:12.000 +0000 UTC Z 11:14AM"),
        (r#"{{ ("-30m" | parseDuration | toDuration | (now | toTime).Add).UnixMilli }}"#.into(), Value::Nil, "1353753852000"),
        (r#"{{ "aa bb CC" | title }} {{ "aa bb CC" | toUpper }} {{ "aA" | toLower }}"#.into(), Value::Nil, "Aa Bb CC AA BB CC aa"),
        (r#"{{ match "a+" "aa" }} {{ match "a+" "b" }} {{ reReplaceAll "(a)b" "x$1" "ab" }}"#.into(), Value::Nil, "true false xa"),
        (r#"{{ graphLink "up" }} {{ tableLink "rate(x[5m]) > 1" }}"#.into(), Value::Nil, "/graph?g0.expr=up&g0.tab=0 /graph?g0.expr=rate%28x%5B5m%5D%29+%3E+1&g0.tab=1"),
        ("{{ pathPrefix }} {{ externalURL }}".into(), Value::Nil, "/path/prefix http://testhost:9090/path/prefix"),
        (r#"{{ printf "%0.2f" (parseDuration "1h2m10ms") }} {{ parseDuration "-1h2m10ms" }}"#.into(), Value::Nil, "3720.01 -3720.01"),
        (each("stripPort"), texts(&["foo.example.com", "foo.example.com:12345", "192.0.2.1:1", "2001:0DB8::1", "[2001:0DB8::1]:12345", "[2001:0DB8::1]::12345"]), "foo.example.com:foo.example.com:192.0.2.1:2001:0DB8::1:2001:0DB8::1:[2001:0DB8::1]::12345:"),
        (each("stripDomain"), texts(&["foo.example.com", "foo.example.com:12345", "192.0.2.1", "192.0.2.1:12345", "2001:0DB8::1", "[2001:0DB8::1]:12345", "[2001:0DB8::1]::12345"]), "foo:foo:12345:192.0.2.1:192.0.2.1:12345:2001:0DB8::1:[2001:0DB8::1]:12345:[2001:0DB8::1]::12345:"),
        (r#"{{ query "metric" | first | value }} {{ query "metric" | first | label "instance" }} {{ query "metric" | first | strvalue }}"#.into(), Value::Nil, "21 b v"),
        (r#"{{ range query "metric" | sortByLabel "instance" }}{{.Labels.instance}}:{{.Value}}: {{end}}"#.into(), Value::Nil, "a:11: b:21: "),
        (r#"{{ $x := query "metric" | first }}{{ $x.Labels.foo }}|{{ $x | label "foo" }}|{{ len (query "metric") }}|{{ if query "none" }}x{{ else }}empty{{ end }}"#.into(), Value::Nil, "||2|empty"),
        (r#"{{define "x"}}{{.arg0}} {{.arg1}}{{end}}{{template "x" (args 1 "2")}}"#.into(), Value::Nil, "1 2"),
        (r#"{{ urlQueryEscape "a b&c" }} {{ safeHtml "<b>" }}"#.into(), Value::Nil, "a+b%26c <b>"),
        ("{{ .Foo }}".into(), Value::Nil, "<no value>"),
        ("{{ gt . 1.0 }} {{ ge . 1.0 }} {{ lt . 1.0 }} {{ le . 1.0 }} {{ eq . . }}".into(), Value::Float(f64::NAN), "true true false false false"),
    ];
    for (source, data, expected) in cases {
        assert_eq!(run(&source, data).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn failing_functions_are_reported_as_go_does() {
    for (source, expected) in [
        (
            r#"{{ query "missing" | first }}"#,
            r#"template: test:1:21: executing "test" at <first>: error calling first: first() called on vector with no elements"#,
        ),
        (
            r#"{{ (query "missing").banana }}"#,
            r#"template: test:1:10: executing "test" at <"missing">: can't evaluate field banana in type template.queryResult"#,
        ),
        (
            r#"{{ humanize "one" }}"#,
            r#"template: test:1:3: executing "test" at <humanize "one">: error calling humanize: strconv.ParseFloat: parsing "one": invalid syntax"#,
        ),
        (
            r#"{{ "one" | humanizePercentage }}"#,
            r#"template: test:1:11: executing "test" at <humanizePercentage>: error calling humanizePercentage: strconv.ParseFloat: parsing "one": invalid syntax"#,
        ),
        (
            r"{{ humanizeTimestamp -9223372036854775808 }}",
            r#"template: test:1:3: executing "test" at <humanizeTimestamp -9223372036854775808>: error calling humanizeTimestamp: -9.223372036854776e+18 cannot be represented as a nanoseconds timestamp since it overflows int64"#,
        ),
        (
            r#"{{ query "broken" }}"#,
            r#"template: test:1:3: executing "test" at <query "broken">: error calling query: it is broken"#,
        ),
        ("{{\u{a0}}}", "template: test:1: unrecognized character in action: U+00A0"),
        (r"{{ toUpper 1 }}", r#"template: test:1:11: executing "test" at <1>: expected string; found 1"#),
        (
            r#"{{ 1 | toUpper }}"#,
            r#"template: test:1:7: executing "test" at <toUpper>: wrong type for value; expected string; got int"#,
        ),
    ] {
        assert_eq!(run(source, Value::Nil).unwrap_err(), expected, "{source}");
    }
}

#[test]
fn newer_syntax_of_go_works_too() {
    for (source, expected) in [
        ("{{with .none}}a{{else with .b}}b{{.}}{{else}}c{{end}}", "bB"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{range $i := 2}}{{$i}}{{end}}{{range 0}}x{{else}}none{{end}}", "01none"),
    ] {
        let data = Value::map([("b".to_owned(), Value::from("B"))].into());
        assert_eq!(run(source, data).as_deref(), Ok(expected), "{source}");
    }
}

/// Alerts as Alertmanager hands them to templates: a list with methods.
struct Alerts(Vec<Value>);

impl Object for Alerts {
    fn type_name(&self) -> &'static str {
        "template.Alerts"
    }

    fn underlying(&self) -> Value {
        Value::list(self.0.clone())
    }

    fn method(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        match (name, args) {
            ("Firing", []) => Some(Ok(Value::object(Alerts(self.0[..1].to_vec())))),
            ("Nth", [Value::Int(n)]) => {
                Some(self.0.get(*n as usize).cloned().ok_or("no such alert".to_owned()))
            }
            _ => None,
        }
    }
}

#[test]
fn an_object_has_methods_and_is_a_list_at_once() {
    let data = Value::map(
        [("Alerts".to_owned(), Value::object(Alerts(vec![Value::from("x"), Value::from("y")])))].into(),
    );
    let source = "{{ .Alerts.Firing | len }}{{ len .Alerts }}{{ range .Alerts }}<{{ . }}>{{ end }}{{ .Alerts }}\
        {{ .Alerts.Nth 1 }}{{ 0 | .Alerts.Nth }}{{ index .Alerts 1 }}{{ if .Alerts }}!{{ end }}";
    assert_eq!(run(source, data.clone()).as_deref(), Ok("12<x><y>[x y]yxy!"));
    assert_eq!(
        run("{{ .Alerts.Nth 7 }}", data).unwrap_err(),
        r#"template: test:1:10: executing "test" at <.Alerts.Nth>: error calling Nth: no such alert"#
    );
}

#[test]
fn an_alert_template_sees_labels_and_value() {
    let functions = functions(&context());
    let source = format!(
        "{ALERT_PREAMBLE}{{{{ $labels.job }}}} {{{{ $value }}}} {{{{ .Value | humanize }}}} {{{{ $labels.none }}}}|{{{{ $externalLabels.dc }}}} {{{{ $externalURL }}}}"
    );
    let data = Value::object(AlertData {
        labels: label_map(&Labels::from_pairs([("job", "api")])),
        external_labels: label_map(&Labels::from_pairs([("dc", "kgl")])),
        external_url: Value::from("http://x"),
        value: Value::Float(1e6),
    });
    let options = Options { missing_key: MissingKey::Zero, ..Options::default() };
    let out =
        Template::parse("a", &source, &functions).unwrap().execute(&data, &functions, &options).unwrap();
    assert_eq!(out, "api 1e+06 1M |kgl http://x");
}

#[test]
fn no_template_hangs_or_explodes() {
    for source in [
        r#"{{define "a"}}{{template "a" .}}{{end}}{{template "a" .}}"#,
        "{{range 9223372036854775807}}{{end}}",
        "{{range 100000}}{{range 100000}}{{end}}{{end}}",
        r#"{{$x := "aaaaaaaaaaaaaaaa"}}{{range 100}}{{$x = printf "%s%s" $x $x}}{{end}}"#,
        r#"{{$x := args 1 2}}{{range 100}}{{$x = args $x $x}}{{end}}{{$x}}"#,
        r#"{{printf "%999999d%999999d" 1 2}}"#,
        r#"{{range 100000}}aaaaaaaaaaaaaaaaaaaaaaaaaaaa{{end}}"#,
        r#"{{$x := printf "%900000d" 1}}{{reReplaceAll "." $x $x}}"#,
        r#"{{range 10000}}{{match "(a{1,50}){1,50}" "b"}}{{end}}"#,
        r#"{{range 100000}}{{$x := query "none"}}{{end}}"#,
    ] {
        let result = run(source, Value::Nil);
        assert!(result.is_err(), "{source}");
    }
    let deep = format!("{}1{}", "{{".to_owned() + &"(".repeat(5001), ")".repeat(5001) + "}}");
    assert!(run(&deep, Value::Nil).unwrap_err().contains("levels deep"));
    let many_ifs = "{{if 1}}".repeat(5000) + &"{{end}}".repeat(5000);
    assert!(run(&many_ifs, Value::Nil).unwrap_err().contains("levels deep"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_parsed_and_run_without_panic(source in ".{0,60}") {
        let _ = run(&source, Value::Nil);
    }

    #[test]
    fn any_mixture_of_template_pieces_runs_without_panic(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "{{", "}}", "{{-", "-}}", " ", "if", "else", "end", "range", "with", "define", "template", "block", "break",
            "\"a\"", "`b`", "1", "2.5", ".", ".a", ".b.c", "$x", ":=", "=", "|", "(", ")", ",", "printf", "len", "index",
            "\"%*d%v\"", "eq", "lt", "slice", "humanize", "query", "first", "é", "\n", "'c'", "nil", "true", "/*", "*/", "\\",
        ]), 0..24)
    ) {
        let data = Value::map([("a".to_owned(), Value::list(vec![Value::Int(1), Value::from("é")]))].into());
        let _ = run(&pieces.concat(), data.clone());
        let _ = run(&pieces.join(" "), data);
    }

    #[test]
    fn any_format_is_printed_without_panic(format in "[%#+ 0-9.*\\[\\]a-zA-Z!é-]{0,20}", v in any::<f64>(), i in any::<i64>()) {
        let args = [Value::Float(v), Value::Int(i), Value::from("é\u{0}x"), Value::Nil];
        let _ = reba_template::sprintf(&format, &args, 10_000);
    }

    #[test]
    fn a_float_prints_so_that_it_reads_back(v in any::<f64>()) {
        let text = reba_template::format_float(v);
        let back: f64 = text.parse().unwrap();
        prop_assert!(back == v || v.is_nan());
    }
}

#[test]
fn limits_are_those_given() {
    let options = Options { limits: Limits { output_bytes: 10, steps: 50, depth: 5 }, ..Options::default() };
    let run = |source: &str| {
        let functions = Functions::new();
        Template::parse("t", source, &functions).unwrap().execute(&Value::Nil, &functions, &options)
    };
    assert_eq!(run("0123456789").unwrap(), "0123456789");
    assert!(run("0123456789x").unwrap_err().0.contains("output is longer than 10 bytes"));
    assert!(run("{{range 60}}{{end}}").unwrap_err().0.contains("exceeded 50 steps"));
    assert!(
        run("{{if 1}}{{if 1}}{{if 1}}{{if 1}}{{if 1}}{{if 1}}{{end}}{{end}}{{end}}{{end}}{{end}}{{end}}")
            .unwrap_err()
            .0
            .contains("depth")
    );
}

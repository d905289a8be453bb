#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_raw_string_hashes
)]
//! The engine against Go's own: same output, same errors.

mod cases;

use std::collections::BTreeMap;

use reba_template::{Functions, MissingKey, Options, Template, Value};

/// What the cases were executed with in Go.
fn data() -> Value {
    let entries = [
        ("S", Value::from("hello")),
        ("N", Value::Int(42)),
        ("F", Value::Float(1e6)),
        ("G", Value::Float(0.25)),
        ("B", Value::Bool(true)),
        ("L", Value::list(vec![Value::Int(1), Value::from("two"), Value::Float(3.5), Value::Nil])),
        ("E", Value::list(vec![])),
        (
            "M",
            Value::map(BTreeMap::from([("b".to_owned(), Value::Int(2)), ("a".to_owned(), Value::from("x"))])),
        ),
        ("SM", Value::string_map([("job", "api"), ("instance", "h:1")])),
        ("Nil", Value::Nil),
        ("Neg", Value::Int(-7)),
        ("Inf", Value::Float(f64::INFINITY)),
    ];
    Value::map(entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
}

fn run(source: &str) -> Result<String, String> {
    let functions = Functions::new();
    let options = Options { missing_key: MissingKey::Zero, ..Options::default() };
    Template::parse("test", source, &functions)
        .map_err(|e| e.to_string())?
        .execute(&data(), &functions, &options)
        .map_err(|e| e.to_string())
}

#[test]
fn templates_print_what_go_prints() {
    let wrong: Vec<String> = cases::OUTPUTS
        .iter()
        .filter_map(|(source, expected)| match run(source) {
            Ok(out) if out == *expected => None,
            other => Some(format!("{source}\n  go:   {expected:?}\n  ours: {other:?}")),
        })
        .collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn errors_read_as_go_writes_them() {
    let wrong: Vec<String> = cases::ERRORS
        .iter()
        .filter_map(|(source, expected)| match run(source) {
            Err(e) if e == *expected => None,
            other => Some(format!("{source}\n  go:   {expected:?}\n  ours: {other:?}")),
        })
        .collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

//! Every query of upstream's test scripts.

use std::path::PathBuf;

use crate::syntax::{ParseOptions, parse};

fn scripts() -> PathBuf {
    let data = std::env::var_os("REBA_CONFORMANCE").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
        PathBuf::from,
    );
    data.join("promql")
}

struct Query {
    text: String,
    place: String,
    may_fail: bool,
}

/// The queries of one script: what follows the times of a line that begins with `eval`.
fn queries(name: &str, script: &str) -> Vec<Query> {
    let lines: Vec<&str> = script.lines().collect();
    let mut found = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let times = match words.as_slice() {
            [first, "instant", ..] if first.starts_with("eval") => 4,
            [first, "range", ..] if first.starts_with("eval") => 8,
            _ => continue,
        };
        let mut text = line.trim_start();
        for _ in 0..times {
            text = text.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
        }
        let expected = lines[i + 1..].iter().take_while(|l| !l.trim().is_empty());
        let may_fail = words[0] == "eval_fail" || expected.into_iter().any(|l| l.contains("expect fail"));
        found.push(Query { text: text.to_owned(), place: format!("{name}:{}", i + 1), may_fail });
    }
    found
}

#[test]
fn every_query_of_the_scripts_parses_and_prints_what_parses_again() {
    let dir = scripts();
    let Ok(entries) = std::fs::read_dir(&dir) else {
        assert!(std::env::var_os("REBA_CONFORMANCE").is_none(), "no scripts in {}", dir.display());
        return;
    };
    let (mut stable, mut experimental, mut refused) = (0, 0, 0);
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for query in queries(&name, &std::fs::read_to_string(&path).unwrap()) {
            let Query { text, place, may_fail } = query;
            let expr = match parse(&text, ParseOptions::all()) {
                Ok(expr) => expr,
                Err(e) => {
                    assert!(may_fail, "{place}: {text}: {e}");
                    refused += 1;
                    continue;
                }
            };
            let printed = expr.to_string();
            let again = parse(&printed, ParseOptions::all()).map(|e| e.to_string());
            assert_eq!(again.as_deref(), Ok(printed.as_str()), "{place}: {text}");
            let pretty = parse(&expr.pretty_within(20), ParseOptions::all()).map(|e| e.to_string());
            assert_eq!(pretty.as_deref(), Ok(printed.as_str()), "{place}: {text}");
            match parse(&text, ParseOptions::default()) {
                Ok(_) => stable += 1,
                Err(e) => {
                    let known = ["experimental", "is not enabled"];
                    assert!(known.iter().any(|k| e.message.contains(k)), "{place}: {text}: {e}");
                    experimental += 1;
                }
            }
        }
    }
    assert!(stable > 1000 && experimental > 100 && refused < 10, "{stable} {experimental} {refused}");
}

//! Upstream's lists of queries: each is accepted or refused as its list says.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::collections::BTreeMap;

use reba_testkit::{Tally, conformance_dir};
use reba_traceql::syntax::{ValidationError, parse, validate};

/// What is wrong with how a query of a list was taken; none if nothing.
fn fault(list: &str, query: &str) -> Option<String> {
    let parsed = match (list, parse(query)) {
        ("parse_fails", Err(_)) => return None,
        ("parse_fails", Ok(tree)) => return Some(format!("parsed as {tree}")),
        (_, Err(e)) => return Some(e.to_string()),
        (_, Ok(parsed)) => parsed,
    };
    match parse(&parsed.to_string()) {
        Ok(again) if again == parsed => {}
        other => return Some(format!("printed as {parsed}, which is {other:?}")),
    }
    match (list, validate(&parsed)) {
        ("valid" | "dump", Ok(())) => None,
        ("validate_fails", Err(ValidationError::Invalid(_))) => None,
        ("unsupported", Err(ValidationError::Unsupported(_))) => None,
        (_, result) => Some(format!("{result:?}")),
    }
}

#[test]
fn every_query_of_upstreams_lists_is_taken_as_its_list_says() {
    let given = std::env::var("REBA_CONFORMANCE").ok();
    let Some(dir) = conformance_dir(given.as_deref(), env!("CARGO_MANIFEST_DIR"), "traceql") else {
        println!("traceql passed 0 failed 0 skipped 1 (no conformance data)");
        return;
    };
    let text = std::fs::read_to_string(dir.join("test_examples.yaml")).unwrap();
    let lists: BTreeMap<String, Option<Vec<String>>> = serde_saphyr::from_str(&text).unwrap();
    assert!(lists.contains_key("valid") && lists.contains_key("parse_fails"));
    let mut tally = Tally::default();
    for (list, queries) in &lists {
        for query in queries.iter().flatten() {
            let fault = fault(list, query);
            if let Some(fault) = &fault {
                println!("failed {list}: {query}: {fault}");
            }
            tally.count(fault.is_none());
        }
    }
    println!("\ntraceql {tally}");
    assert_eq!(tally.failed, 0, "queries are taken otherwise than upstream does");
}

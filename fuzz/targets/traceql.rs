//! Any text parses or is refused; what parses is printed so that it parses again to the same, and a plan is made of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reba_traceql::{
    FetchPlan,
    syntax::{parse, parse_field, parse_valid},
};

fuzz_target!(|text: &str| {
    let _ = parse_field(text);
    if let Ok(query) = parse(text) {
        let printed = query.to_string();
        // What is printed has more parentheses, of which there may be too many.
        if let Ok(again) = parse(&printed) {
            assert_eq!(again.to_string(), printed);
        } else {
            assert!(printed.contains("(((("), "{printed}");
        }
    }
    if let Ok(query) = parse_valid(text) {
        let _ = FetchPlan::of(&query);
    }
});

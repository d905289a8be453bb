//! Any text parses or is refused; what parses is printed so that it parses again to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reba_promql::syntax::{ParseOptions, parse};

fuzz_target!(|text: &str| {
    if let Ok(expr) = parse(text, ParseOptions::all()) {
        let printed = expr.to_string();
        let again = parse(&printed, ParseOptions::all());
        assert!(again.is_ok_and(|e| e.to_string() == printed), "{printed}");
    }
});

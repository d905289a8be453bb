//! Any text parses or is refused; what parses is printed so that it parses again to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reba_logql::syntax::{parse, parse_matchers};

fuzz_target!(|text: &str| {
    let _ = parse_matchers(text);
    if let Ok(query) = parse(text) {
        let printed = query.to_string();
        if printed.contains("Inf") || printed.contains("NaN") {
            // Numbers that arithmetic came to, and that the language has no words for.
            return;
        }
        let again = parse(&printed);
        assert!(again.is_ok_and(|q| q.to_string() == printed), "{printed}");
    }
});

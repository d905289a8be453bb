//! Any pattern compiles or is refused, and its shortcuts agree with the engine. Pattern and text are split at a newline.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reba_model::GoRegex;

fuzz_target!(|text: &str| {
    let (pattern, subject) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(regex) = GoRegex::anchored(pattern) {
        let matched = regex.is_match(subject);
        assert_eq!(matched, regex.expand(subject, "$0").is_some());
    }
});

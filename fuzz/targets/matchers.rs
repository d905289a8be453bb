//! Any text is a list of matchers or is refused, by the classic grammar, by the one of UTF-8, and by both together; what is printed of
//! a list is the same list again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reba_alerting::matchers::{Grammar, MAX_MATCHERS_BYTES, MatcherList, parse_list, parse_one};
use reba_model::Labels;

fuzz_target!(|text: &str| {
    let labels = Labels::from_pairs([("alertname", "A"), ("a", "b")]);
    for grammar in [Grammar::Classic, Grammar::Utf8, Grammar::Fallback] {
        if let Ok(one) = parse_one(text, grammar) {
            let _ = one.matches(labels.value(&one.name));
        }
        let Ok(parsed) = parse_list(text, grammar) else { continue };
        let printed = MatcherList(&parsed.matchers).to_string();
        if printed.len() > MAX_MATCHERS_BYTES {
            continue;
        }
        // Names with signs of the grammar are quoted, which the classic one does not read.
        let classic = parsed.matchers.iter().all(|m| reba_model::is_legacy_metric_name(&m.name));
        let readers: &[Grammar] =
            if classic { &[Grammar::Classic, Grammar::Fallback] } else { &[Grammar::Utf8] };
        for reader in readers {
            let again = parse_list(&printed, *reader);
            assert_eq!(again.map(|p| p.matchers), Ok(parsed.matchers.clone()), "{printed}");
        }
    }
});

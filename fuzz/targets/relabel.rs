//! Any rule is refused or applied, and what it does to a label set ends. Fields of the rule stand between tabs in the
//! first line, labels in those that follow, names and values between tabs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reba_model::{LabelsBuilder, NameScheme, Relabel, RelabelSpec};

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let Some(rule) = lines.next() else { return };
    let mut fields = rule.split('\t');
    let mut field = || fields.next().unwrap_or_default().to_owned();
    let Ok(action) = field().parse() else { return };
    let some = |text: String| if text.is_empty() { None } else { Some(text) };
    let spec = RelabelSpec {
        action,
        source_labels: some(field()).map(|l| l.split(',').map(str::to_owned).collect()),
        regex: some(field()),
        target_label: field(),
        replacement: some(field()),
        separator: some(field()),
        modulus: field().parse().unwrap_or_default(),
    };
    let mut labels = LabelsBuilder::new();
    for line in lines.take(16) {
        let (name, value) = line.split_once('\t').unwrap_or((line, ""));
        // No label without a name comes so far.
        if !name.is_empty() {
            labels.set(name, value);
        }
    }
    for scheme in [NameScheme::Utf8, NameScheme::Legacy] {
        if let Ok(rule) = Relabel::new(spec.clone(), scheme) {
            let mut labels = labels.clone();
            // Twice: the second time it sees what it made.
            if rule.apply(&mut labels) && rule.apply(&mut labels) {
                let built = labels.build();
                assert!(built.iter().all(|(n, v)| !n.is_empty() && !v.is_empty()), "{built}");
            }
        }
    }
});

//! Any text is a configuration or is refused. The first byte chooses of what: prometheus.yml, a file of rules, of rule
//! tests, or the web configuration.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use reba_ingest::config::Config;
use reba_rules::{FileOptions, RuleFile};

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(data) else { return };
    match kind % 3 {
        0 => {
            let file = Path::new("/nonexistent/prometheus.yml");
            if let Ok(config) = Config::parse(text, file) {
                let shown = config.to_yaml();
                let again = Config::parse(&shown.replace("<secret>", "x"), file);
                assert!(again.is_ok(), "{shown}\n{again:?}");
            }
        }
        1 => drop(RuleFile::parse("rules.yml", text, &FileOptions::default())),
        _ => drop(reba_api::web::fuzzing_parse(text)),
    }
});

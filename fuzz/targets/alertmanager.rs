//! Any text is an alertmanager.yml or is refused. What is shown of one, without its secrets, is one again with the same routes, and
//! every alert finds a route.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use reba_config::Variables;
use reba_model::Labels;
use reba_notify::{Options, Receivers, config::parse};

fuzz_target!(|text: &str| {
    // Files that a configuration names are read, and the fuzzer would name those of this machine.
    if ["templates", "file"].iter().any(|word| text.contains(word)) {
        return;
    }
    let (file, variables) = (Path::new("/nonexistent/alertmanager.yml"), Variables::default());
    let Ok((config, _)) = parse(text, file, &variables) else { return };
    let shown = config.original.clone();
    let again = parse(&shown, file, &variables);
    let keys = |config: &reba_notify::config::AlertmanagerFile| -> Vec<String> {
        config.routing.routes().iter().map(|route| route.key.to_string()).collect()
    };
    match &again {
        Ok((again, _)) => assert_eq!(keys(&config), keys(again), "{shown}"),
        Err(error) => panic!("{error}\n{shown}"),
    }
    let routing = config.routing.clone();
    for labels in [Labels::empty(), Labels::from_pairs([("alertname", "A"), ("severity", "critical")])] {
        let found = routing.matching(&labels);
        assert!(!found.is_empty() && found.iter().all(|route| *route < routing.routes().len()));
    }
    drop(Receivers::new(config, Options::default()));
});

//! Any bytes are an Alertmanager's own file or are refused. First byte even: `silences`, odd: `nflog`. What is taken is read back from
//! the state store.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reba_alerting::{Saved, upstream};
use reba_storage::StateStore as _;
use reba_testkit::RamState;

fuzz_target!(|data: &[u8]| {
    let Some((kind, file)) = data.split_first() else { return };
    let read = if kind % 2 == 0 { upstream::read_silences } else { upstream::read_log };
    let Ok(imported) = read(file, 1_000) else { return };
    let store = RamState::default();
    let Ok(imported) = imported.only_news(&store) else { return };
    // Keys may come twice, or be longer than a store takes.
    if store.write(&imported.changes).is_ok() {
        let saved = Saved::load(&store).unwrap();
        assert!(saved.unreadable.is_empty(), "{:?}", saved.unreadable);
        let again = read(file, 1_000).unwrap().only_news(&store).unwrap();
        assert!(again.changes.is_empty());
    }
});

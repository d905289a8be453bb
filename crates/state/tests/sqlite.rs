//! The state store on SQLite: the suite of all state stores, and what is particular to a file.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc, thread};

use reba_state::{OpenError, SqliteState};
use reba_storage::{StateChange, StateError, StateStore as _};
use reba_testkit::state_suite;

fn put(key: &str, body: &str, expected: Option<u64>) -> StateChange {
    let (space, key, body) = ("test".to_owned(), key.to_owned(), body.as_bytes().to_vec());
    StateChange::Put { space, key, body, at_ms: 5, expected, keep_history: true }
}

#[test]
fn it_does_what_every_state_store_must() {
    let folder = tempfile::tempdir().unwrap();
    state_suite(|| SqliteState::open(&folder.path().join("state.db")).unwrap());
}

#[test]
fn what_was_written_is_there_when_the_process_died_without_closing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = SqliteState::open(&path).unwrap();
    store.write(&[put("k", "kept", None)]).unwrap();
    std::mem::forget(store);
    assert_eq!(SqliteState::open(&path).unwrap().get("test", "k").unwrap().unwrap().body, b"kept");
}

#[test]
fn only_one_of_many_writers_who_expect_the_same_version_wins() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteState::open(&folder.path().join("state.db")).unwrap());
    let writers: Vec<_> = (0..8)
        .map(|i| {
            let store = Arc::clone(&store);
            thread::spawn(move || store.write(&[put("k", &i.to_string(), Some(0))]))
        })
        .collect();
    let results: Vec<_> = writers.into_iter().map(|w| w.join().unwrap()).collect();
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    assert!(results.iter().all(|r| matches!(r, Ok(_) | Err(StateError::Conflict { current: 1, .. }))));
}

#[test]
fn nobody_else_may_read_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let store = SqliteState::open(&path).unwrap();
    store.write(&[put("k", "secret", None)]).unwrap();
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_file_that_is_none_of_ours_is_refused_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let text = "this is a text and no database, and it is long enough to have a header of a hundred bytes, or so it hopes";
    fs::write(&path, text).unwrap();
    assert!(matches!(SqliteState::open(&path), Err(OpenError::Sqlite { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    let foreign = folder.path().join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().pragma_update(None, "application_id", 7).unwrap();
    assert!(matches!(SqliteState::open(&foreign), Err(OpenError::Foreign { id: 7, .. })));
    let newer = folder.path().join("newer.db");
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(SqliteState::open(&newer), Err(OpenError::Newer { found: 99, .. })));
}

#[test]
fn a_copy_is_a_store_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteState::open(&folder.path().join("state.db")).unwrap();
    store.write(&[put("k", "before", None)]).unwrap();
    let copy = folder.path().join("copy.db");
    store.copy_to(&copy).unwrap();
    store.write(&[put("k", "after", None)]).unwrap();
    assert_eq!(SqliteState::open(&copy).unwrap().get("test", "k").unwrap().unwrap().body, b"before");
    assert!(
        matches!(store.copy_to(&copy), Err(StateError::Unavailable(_))),
        "an existing file is not overwritten"
    );
}

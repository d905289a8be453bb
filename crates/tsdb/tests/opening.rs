//! What keeps a store from being opened.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use reba_disk::Env;
use reba_tsdb::{Tsdb, TsdbConfig, TsdbError};

fn open(dir: &tempfile::TempDir) -> Result<Tsdb, TsdbError> {
    Tsdb::open(&Env::real(), dir.path(), TsdbConfig::default(), &|_, _| {})
}

#[test]
fn a_directory_is_opened_once_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(&dir).unwrap();
    let second = open(&dir).unwrap_err();
    assert!(matches!(&second, TsdbError::Locked { .. }), "{second}");
    drop(first);
    open(&dir).unwrap();
}

#[test]
fn a_lock_that_cannot_be_made_is_not_taken_for_another_process() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("lock")).unwrap();
    let error = open(&dir).unwrap_err().to_string();
    assert!(error.contains("cannot lock") && error.contains("directory"), "{error}");
    assert!(!error.contains("another process"), "{error}");
}

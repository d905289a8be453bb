//! Copies of a store that goes on.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use reba_columnar::Columnar;
use reba_disk::FaultFs;
use reba_model::{NanoRange, Tenant};
use reba_storage::LogAdmin as _;

fn copy(fs: &FaultFs, name: &str) -> Columnar {
    Columnar::open(&env(fs), format!("/data/snapshots/{name}"), config()).unwrap()
}

#[test]
fn a_copy_has_what_was_written_before_it_and_nothing_of_what_came_later() {
    let fs = FaultFs::new();
    let db = open(&fs, config());
    let before: Vec<i64> = (0..20).map(|i| T0 + i * SECOND).collect();
    for ns in &before {
        write(&db, 3, *ns).unwrap();
    }
    let folder = db.snapshot("one").unwrap();
    assert_eq!(folder.to_str(), Some("/data/snapshots/one"));
    write(&db, 3, T0 + 100 * SECOND).unwrap();
    db.snapshot("two").unwrap();
    assert_eq!(dump(&copy(&fs, "one")), expected(3, before.clone()));
    assert_eq!(dump(&copy(&fs, "two")), expected(3, before.iter().copied().chain([T0 + 100 * SECOND])));
    assert_eq!(dump(&db), dump(&copy(&fs, "two")));
}

#[test]
fn merges_and_deletions_in_the_store_leave_its_copies_alone() {
    let fs = FaultFs::new();
    let db = open(&fs, config());
    let times: Vec<i64> = (0..30).map(|i| T0 + i * SECOND).collect();
    for ns in &times {
        write(&db, 3, *ns).unwrap();
        db.flush_logs().unwrap();
    }
    db.snapshot("whole").unwrap();
    while db.maintain(T0 / 1_000_000).unwrap() {}
    db.delete_logs(&Tenant::single(), &[], NanoRange::ALL, None).unwrap();
    assert_eq!(dump(&db), expected(3, []));
    assert_eq!(dump(&copy(&fs, "whole")), expected(3, times));
}

#[test]
fn an_empty_store_has_an_empty_copy_and_a_copy_goes_on_by_itself() {
    let fs = FaultFs::new();
    open(&fs, config()).snapshot("empty").unwrap();
    let own = copy(&fs, "empty");
    assert_eq!(dump(&own), expected(3, []));
    write(&own, 3, T0).unwrap();
    drop(own);
    assert_eq!(dump(&copy(&fs, "empty")), expected(3, [T0]));
}

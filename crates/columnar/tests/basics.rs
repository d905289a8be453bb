//! Rows go in and come out, from memory, from the log and from parts.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use reba_disk::FaultFs;
use reba_model::{LogBatch, MatchOp, Matcher, NanoRange, Tenant};
use reba_storage::{Budget, LogAdmin, LogAppender, LogQuerier, LogReport};
use reba_testkit::log_rows;

#[test]
fn rows_are_the_same_in_memory_in_a_part_and_after_a_restart() {
    let fs = FaultFs::new();
    let db = open(&fs, config());
    let times: Vec<i64> = (0..20).map(|i| T0 + i * SECOND).collect();
    for ns in &times[..10] {
        write(&db, 7, *ns).unwrap();
    }
    assert_eq!(dump(&db), expected(7, times[..10].to_vec()));
    db.flush_logs().unwrap();
    assert_eq!(db.metrics().memory_rows, 0);
    assert_eq!(dump(&db), expected(7, times[..10].to_vec()));
    for ns in &times[10..] {
        write(&db, 7, *ns).unwrap();
    }
    assert_eq!(dump(&db), expected(7, times.clone()));
    drop(db);
    let db = open(&fs, config());
    assert_eq!((db.metrics().part_rows, db.metrics().memory_rows), (70, 70));
    assert_eq!(dump(&db), expected(7, times.clone()));
    db.close().unwrap();
    drop(db);
    let db = open(&fs, config());
    assert_eq!((db.metrics().part_rows, db.metrics().memory_rows), (140, 0));
    assert_eq!(dump(&db), expected(7, times));
}

#[test]
fn an_entry_that_comes_again_is_stored_once_wherever_it_is() {
    let db = open(&FaultFs::new(), config());
    let all = LogReport { appended: 5, duplicates: 0 };
    let none = LogReport { appended: 0, duplicates: 5 };
    assert_eq!(write(&db, 5, T0).unwrap(), all);
    assert_eq!(write(&db, 5, T0).unwrap(), none);
    assert_eq!(write(&db, 5, T0 + 1).unwrap(), all);
    db.flush_logs().unwrap();
    assert_eq!(write(&db, 5, T0).unwrap(), none);
    assert_eq!(write(&db, 6, T0).unwrap(), LogReport { appended: 1, duplicates: 5 });
    let mut again = LogBatch::default();
    again.begin_stream(stream(0));
    again.push(T0, "another line", []).unwrap();
    again.push(T0, "another line", []).unwrap();
    again.push(T0, "another line", [("with", "metadata")]).unwrap();
    let report = db.append_logs(&Tenant::single(), &again).unwrap();
    assert_eq!(report, LogReport { appended: 2, duplicates: 1 });
}

#[test]
fn matchers_choose_streams_in_memory_and_in_parts_alike() {
    let (memory, parts) = (open(&FaultFs::new(), config()), open(&FaultFs::new(), config()));
    for db in [&memory, &parts] {
        write(db, 300, T0).unwrap();
    }
    parts.flush_logs().unwrap();
    let m = |op, name: &str, value: &str| Matcher::new(op, name, value).unwrap();
    let cases: Vec<(Vec<Matcher>, usize)> = vec![
        (vec![], 300),
        (vec![m(MatchOp::Equal, "pod", "pod-17")], 1),
        (vec![m(MatchOp::Equal, "pod", "pod-1777")], 0),
        (vec![m(MatchOp::Equal, "absent", "")], 300),
        (vec![m(MatchOp::NotEqual, "absent", "")], 0),
        (vec![m(MatchOp::Equal, "app", "service-1"), m(MatchOp::NotEqual, "pod", "pod-1")], 99),
        (vec![m(MatchOp::Regex, "pod", "pod-1.*")], 111),
        (vec![m(MatchOp::Regex, "pod", "pod-(1|2|x)")], 2),
        (vec![m(MatchOp::NotRegex, "pod", "pod-1.*")], 189),
        (vec![m(MatchOp::NotRegex, "pod", ".+")], 0),
        (vec![m(MatchOp::Regex, "pod", ".*9"), m(MatchOp::Equal, "env", "prod")], 30),
        (vec![m(MatchOp::NotEqual, "env", "prod")], 0),
    ];
    let tenant = Tenant::single();
    for (matchers, count) in cases {
        let found = log_rows(&parts, &tenant, &matchers, NanoRange::ALL).unwrap();
        assert_eq!(found.len(), count, "{matchers:?}");
        assert_eq!(found, log_rows(&memory, &tenant, &matchers, NanoRange::ALL).unwrap(), "{matchers:?}");
        let infos = |db: &dyn LogQuerier| {
            db.streams(&tenant, std::slice::from_ref(&matchers), NanoRange::ALL, &Budget::unlimited())
        };
        assert_eq!(infos(&memory).unwrap(), infos(&parts).unwrap(), "{matchers:?}");
        assert_eq!(infos(&parts).unwrap().len(), count, "{matchers:?}");
    }
}

#[test]
fn every_part_belongs_to_one_day_and_one_tenant() {
    let fs = FaultFs::new();
    let db = open(&fs, config());
    let other = Tenant::new("other").unwrap();
    write(&db, 2, T0).unwrap();
    write(&db, 2, T0 - 3 * DAY).unwrap();
    db.append_logs(&other, &batch(1, T0)).unwrap();
    db.flush_logs().unwrap();
    assert_eq!(files(&fs, ".part").len(), 3);
    assert_eq!((files(&fs, "/20231114/").len(), files(&fs, "/20231111/").len()), (2, 1));
    assert_eq!(db.tenants(), [Tenant::single(), other.clone()]);
    assert_eq!(dump(&db), expected(2, [T0, T0 - 3 * DAY]));
    assert_eq!(log_rows(&db, &other, &[], NanoRange::ALL).unwrap(), expected(1, [T0]));
    assert_eq!(db.metrics().memory_rows, 0);
}

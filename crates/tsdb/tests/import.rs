#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! Samples that go to blocks past the head.

mod common;

use std::{collections::BTreeMap, path::Path};

use common::*;
use reba_disk::{Fault, FaultFs, FaultKind, FaultOp};
use reba_model::{Labels, SampleColumns};
use reba_tsdb::{ImportBatch, TsdbConfig, TsdbError};

fn one(labels: Labels, samples: &[(i64, f64)]) -> ImportBatch {
    let mut columns = SampleColumns::default();
    for (t, v) in samples {
        columns.push(*t, *v);
    }
    ImportBatch::from([(labels, columns)])
}

#[test]
fn imported_samples_are_there_at_once_and_after_a_restart_in_any_order() {
    let fs = FaultFs::new();
    let db = open(&fs, TsdbConfig::unbounded());
    let samples: Samples = (0..500).map(|i| (T0 - 40 * HOUR + i * 5 * MINUTE, i as f64 * 0.1)).collect();
    let mut shuffled: Samples = samples.iter().rev().copied().collect();
    shuffled.push(samples[7]);
    assert_eq!(db.import(one(series(0), &shuffled)).unwrap(), 500);
    let want = BTreeMap::from([(series(0).to_string(), samples)]);
    assert_eq!(dump(&db), want);
    db.merge_imported().unwrap();
    assert_eq!(dump(&db), want);
    drop(db);
    assert_eq!(dump(&open(&fs, TsdbConfig::unbounded())), want);
}

#[test]
fn what_is_imported_twice_is_there_once_and_the_later_value_wins() {
    let fs = FaultFs::new();
    let db = open(&fs, TsdbConfig::unbounded());
    let t = T0 - 10 * HOUR;
    db.import(one(series(0), &[(t, 1.0), (t + 1, 2.0), (t, 3.0)])).unwrap();
    db.import(one(series(0), &[(t + 1, 5.0), (t + 2, 6.0)])).unwrap();
    db.import(one(series(1), &[(t, 7.0)])).unwrap();
    let want = BTreeMap::from([
        (series(0).to_string(), vec![(t, 3.0), (t + 1, 5.0), (t + 2, 6.0)]),
        (series(1).to_string(), vec![(t, 7.0)]),
    ]);
    assert_eq!(dump(&db), want);
    assert_eq!(db.metrics().disk.blocks, 3);
    db.merge_imported().unwrap();
    assert_eq!(dump(&db), want);
    assert_eq!(db.metrics().disk.blocks, 1);
}

#[test]
fn importing_around_what_the_head_holds_loses_neither() {
    let fs = FaultFs::new();
    let db = open(&fs, TsdbConfig::unbounded());
    for t in (0..30).map(|i| T0 + i * 10 * MINUTE) {
        write(&db, 2, t).unwrap();
        db.maintain(t).unwrap();
    }
    let mut want = dump(&db);
    // Before, within and behind what is in blocks and in the head.
    let late: Samples = (-20..40).map(|i| (T0 + i * 10 * MINUTE + 17, f64::from(i as i32))).collect();
    db.import(one(series(0), &late)).unwrap();
    db.merge_imported().unwrap();
    let samples = want.get_mut(&series(0).to_string()).unwrap();
    samples.extend(late);
    samples.sort_by_key(|s| s.0);
    assert_eq!(dump(&db), want);
    drop(db);
    let db = open(&fs, TsdbConfig::unbounded());
    assert_eq!(dump(&db), want);
    // The head goes on, is written to blocks, and is compacted with what was imported.
    for t in (30..60).map(|i| T0 + i * 10 * MINUTE) {
        write(&db, 2, t).unwrap();
        db.maintain(t).unwrap();
        for i in 0..2 {
            want.get_mut(&series(i).to_string()).unwrap().push((t, value(i, t)));
        }
    }
    for samples in want.values_mut() {
        samples.sort_by_key(|s| s.0);
    }
    assert_eq!(dump(&db), want);
    db.close().unwrap();
    drop(db);
    assert_eq!(dump(&open(&fs, TsdbConfig::unbounded())), want);
}

#[test]
fn every_bit_of_a_value_is_kept() {
    let fs = FaultFs::new();
    let db = open(&fs, TsdbConfig::unbounded());
    let values = [
        0.1,
        -0.0,
        f64::INFINITY,
        f64::MIN_POSITIVE / 2.0,
        f64::MAX,
        reba_model::STALE_NAN,
        1e-300,
        f64::NAN,
    ];
    let samples: Samples = values.iter().enumerate().map(|(i, v)| (T0 - i as i64 * 1000, *v)).collect();
    db.import(one(series(0), &samples)).unwrap();
    let bits = |s: &Samples| {
        let mut all: Vec<(i64, u64)> = s.iter().map(|(t, v)| (*t, v.to_bits())).collect();
        all.sort_unstable();
        all
    };
    let found = dump(&db);
    let (mut found, want) = (bits(&found[&series(0).to_string()]), bits(&samples));
    // There is one NaN beside the staleness marker.
    for sample in &mut found {
        if f64::from_bits(sample.1).is_nan() && sample.1 != reba_model::STALE_NAN_BITS {
            sample.1 = f64::NAN.to_bits();
        }
    }
    assert_eq!(found, want);
}

#[test]
fn absurd_times_are_refused_before_anything_is_written() {
    let fs = FaultFs::new();
    let db = open(&fs, TsdbConfig::unbounded());
    for t in [i64::MIN, i64::MAX] {
        let refused = db.import(one(series(0), &[(T0, 1.0), (t, 1.0)]));
        assert!(matches!(refused, Err(TsdbError::Refused { .. })), "{refused:?}");
    }
    assert!(dump(&db).is_empty());
}

#[test]
fn a_full_disk_leaves_what_was_there_and_nothing_half_done() {
    let fs = FaultFs::new();
    let db = open(&fs, TsdbConfig::unbounded());
    db.import(one(series(0), &[(T0 - 10 * HOUR, 1.0)])).unwrap();
    let want = dump(&db);
    fs.inject(Fault { op: FaultOp::Write, after: 1, kind: FaultKind::Enospc, forever: true });
    let samples: Samples = (0..2000).map(|i| (T0 - 5 * HOUR + i, i as f64)).collect();
    assert!(matches!(db.import(one(series(1), &samples)), Err(TsdbError::Disk(e)) if e.is_full()));
    assert_eq!(dump(&db), want);
    fs.heal();
    let names: Vec<String> =
        env(&fs).fs.list(Path::new("/data/blocks")).unwrap().into_iter().map(|e| e.name).collect();
    assert!(names.iter().all(|n| !n.contains(".tmp")), "{names:?}");
    assert_eq!(db.import(one(series(1), &samples)).unwrap(), 2000);
    assert_eq!(dump(&db).len(), 2);
}

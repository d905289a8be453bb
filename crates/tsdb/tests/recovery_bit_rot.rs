//! Bits change on the disk.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{collections::BTreeMap, path::Path};

use common::*;
use reba_disk::{FaultFs, Fs as _};
use reba_model::{Matcher, SampleColumns, TimeRange};
use reba_storage::{Budget, MetricQuerier, SelectHints, SelectRequest};
use reba_tsdb::{Tsdb, TsdbConfig};

const N: usize = 4;

fn config() -> TsdbConfig {
    TsdbConfig { sealed_memory_bytes: 1, out_of_order_window_ms: 12 * HOUR, ..TsdbConfig::unbounded() }
}

/// Blocks in order and of late samples with tombstones, a checkpoint, chunk files of the head, and log behind the checkpoint.
/// Returns the times of what was not deleted.
fn build() -> (FaultFs, Vec<i64>) {
    let fs = FaultFs::new();
    let db = open(&fs, config());
    let mut times: Vec<i64> = (0..8 * 60 + 50).map(|i| T0 + i * MINUTE).collect();
    let late: Vec<i64> = (0..20).map(|i| T0 + i * 5 * MINUTE + 1000).collect();
    for t in &times {
        write(&db, N, *t).unwrap();
        db.maintain(*t).unwrap();
    }
    // Imported, which leaves the block beside that of the same span until the next compaction.
    let columns = |i| {
        let mut columns = SampleColumns::default();
        for t in &late {
            columns.push(*t, value(i, *t));
        }
        columns
    };
    db.import((0..N).map(|i| (series(i), columns(i))).collect()).unwrap();
    let deleted = TimeRange::new(T0 + 10 * MINUTE, T0 + 30 * MINUTE);
    db.delete_series(&[vec![Matcher::equal("job", "test")]], deleted).unwrap();
    for t in (50..53).map(|i| T0 + 8 * HOUR + i * MINUTE) {
        times.push(t);
        write(&db, N, t).unwrap();
    }
    times.extend(late);
    times.sort_unstable();
    times.retain(|t| !deleted.contains(*t));
    (fs, times)
}

/// The same files on another disk.
fn copy(fs: &FaultFs) -> FaultFs {
    let new = FaultFs::new();
    for path in files(fs, "") {
        let path = Path::new(&path);
        new.create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = new.create(path).unwrap();
        file.append(&fs.read(path).unwrap()).unwrap();
        file.sync().unwrap();
    }
    new
}

/// Everything, or nothing if the query fails.
fn try_dump(db: &Tsdb) -> Option<BTreeMap<String, Samples>> {
    let matchers = [Matcher::equal("__name__", "m")];
    let request = SelectRequest {
        matchers: &matchers,
        range: TimeRange::ALL,
        hints: &SelectHints::default(),
        budget: &Budget::unlimited(),
    };
    let mut out = BTreeMap::new();
    for s in db.select(&request).ok()? {
        let mut columns = SampleColumns::default();
        s.read_into(TimeRange::ALL, &mut columns).ok()?;
        out.insert(s.labels.to_string(), columns.t.into_iter().zip(columns.v).collect());
    }
    Some(out)
}

/// Whether all samples are ones that were written.
fn is_true(found: &BTreeMap<String, Samples>, want: &BTreeMap<String, Samples>) -> bool {
    found.iter().all(|(labels, samples)| {
        want.get(labels).is_some_and(|all| {
            samples.iter().all(|s| all.binary_search_by_key(&s.0, |a| a.0).is_ok_and(|i| all[i].1 == s.1))
        })
    })
}

#[test]
fn a_flipped_bit_in_any_file_never_gives_a_wrong_value_and_never_stops_the_store() {
    let (fs, times) = build();
    let want = expected(N, times);
    assert_eq!(dump(&open(&copy(&fs), config())), want);
    let all = files(&fs, "");
    let is_late = |f: &&String| {
        f.ends_with("meta.json")
            && String::from_utf8_lossy(&fs.read(Path::new(f)).unwrap()).contains("\"out_of_order\": true")
    };
    assert!(all.iter().find(is_late).is_some(), "there is a block of late samples: {all:?}");
    for part in ["/wal/", "/checkpoint/", "/head/", "/index", "/chunks", "/meta.json", "/tombstones"] {
        assert!(all.iter().any(|f| f.contains(part)), "there is a file of every kind: {part} in {all:?}");
    }
    for path in all.iter().filter(|p| !p.ends_with("lock")) {
        let size = len(&fs, path);
        for k in 0..12 {
            let fs = copy(&fs);
            let offset = (size * k / 12 + k).min(size - 1) as usize;
            fs.corrupt(Path::new(path), offset, 1 << (k % 8)).unwrap();
            let db = open(&fs, config());
            let first = try_dump(&db);
            if let Some(found) = &first {
                assert!(is_true(found, &want), "{path} at {offset}");
            }
            // What a query could not read is set aside, and the next one works.
            db.maintain(T0 + 9 * HOUR).unwrap_or_else(|e| panic!("{path} at {offset}: {e}"));
            let found = try_dump(&db);
            assert!(found.as_ref().is_some_and(|f| is_true(f, &want)), "{path} at {offset}: {found:?}");
            write(&db, N, T0 + 10 * HOUR).unwrap();
        }
    }
}

#[test]
fn damage_in_the_middle_of_the_log_costs_the_rest_of_that_segment_and_is_counted() {
    let fs = FaultFs::new();
    let mut config = config();
    config.wal.segment_bytes = 2000;
    let db = open(&fs, config.clone());
    let times: Vec<i64> = (0..200).map(|i| T0 + i * 15_000).collect();
    for t in &times {
        write(&db, N, *t).unwrap();
    }
    drop(db);
    let segments = files(&fs, "/wal/");
    assert!(segments.len() > 3);
    fs.corrupt(Path::new(&segments[1]), 500, 4).unwrap();
    let db = open(&fs, config);
    assert_eq!(db.metrics().disk.wal_corruptions, 1);
    let found = dump(&db);
    let kept: Vec<usize> = found.values().map(Vec::len).collect();
    assert!(kept.iter().all(|n| (100..200).contains(n)), "{kept:?}");
    assert!(is_true(&found, &expected(N, times.clone())));
    assert_eq!(found.values().next().unwrap().last().unwrap().0, times[199], "later segments are read");
}

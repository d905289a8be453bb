//! The log contradicts itself: it says two things of one slot, as it does when a checkpoint between them is lost, or what no
//! store would write (the fuzzer came upon these). What comes next must be kept, once.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::*;
use reba_disk::{FaultFs, Fs, push_frame, segment_header};
use reba_model::{Labels, Matcher, OpenChunk, SampleColumns, TimeRange};
use reba_storage::{
    AppendMode, AppendReport, Budget, FloatSample, MetricAppender, MetricQuerier, SelectHints, SelectRequest,
    WriteBatch,
};
use reba_tsdb::{Tsdb, TsdbConfig};

/// A record of series, each with its slot and one label `x`.
fn series_record(shard: u8, series: &[(u8, &str)]) -> Vec<u8> {
    let mut body = vec![series.len() as u8];
    for (_, value) in series {
        let pair = [&[1, b'x', value.len() as u8], value.as_bytes()].concat();
        body.push(pair.len() as u8);
        body.extend(pair);
    }
    body.push(series.len() as u8);
    for (i, (slot, _)) in series.iter().enumerate() {
        body.extend([*slot, 1, i as u8]);
    }
    [vec![1, shard, body.len() as u8], body].concat()
}

/// A disk with a log of these frames.
fn log_of(frames: &[Vec<u8>]) -> FaultFs {
    let fs = FaultFs::new();
    fs.create_dir_all(Path::new("/data/wal")).unwrap();
    let mut log = segment_header(1).to_vec();
    for frame in frames {
        push_frame(&mut log, frame);
    }
    fs.create(Path::new("/data/wal/0000000001.log")).unwrap().append(&log).unwrap();
    fs
}

fn write(db: &Tsdb, x: &str, t: i64) -> AppendReport {
    let series = db.series_ref(&Labels::from_pairs([("x", x)])).unwrap();
    let floats = vec![FloatSample { series, t, v: f64::from(x.as_bytes()[0]) }];
    db.append(&WriteBatch { floats, ..WriteBatch::default() }, AppendMode::Partial).unwrap()
}

/// Times and values of the only series with this label.
fn read(db: &Tsdb, x: &str) -> (Vec<i64>, Vec<f64>) {
    let (matchers, hints, budget) = ([Matcher::equal("x", x)], SelectHints::default(), Budget::unlimited());
    let range = TimeRange::ALL;
    let request = SelectRequest { matchers: &matchers, range, hints: &hints, budget: &budget };
    let found = db.select(&request).unwrap();
    assert_eq!(found.len(), 1, "{x} is there once");
    let mut columns = SampleColumns::default();
    found[0].read_into(range, &mut columns).unwrap();
    (columns.t, columns.v)
}

#[test]
fn a_series_whose_slot_went_to_another_gets_a_new_one_and_keeps_what_comes() {
    // One shard. Slot 3 is `a`, and later `b`, which is in slot 4 already.
    let fs = log_of(&[vec![7, 1, 0], series_record(0, &[(3, "a"), (4, "b")]), series_record(0, &[(3, "b")])]);
    let config = TsdbConfig { shards: 1, ..TsdbConfig::unbounded() };
    let times = [T0, T0 + MINUTE, T0 + 2 * MINUTE];
    for t in times {
        // Opened again each time: what was written is read back from the log.
        let db = open(&fs, config.clone());
        for x in ["a", "b"] {
            assert_eq!(write(&db, x, t).appended, 1);
        }
    }
    let db = open(&fs, config);
    assert_eq!(read(&db, "a"), (times.to_vec(), vec![97.0; 3]));
    assert_eq!(read(&db, "b"), (times.to_vec(), vec![98.0; 3]));
}

#[test]
fn a_series_in_a_shard_that_is_not_its_own_is_not_there_twice() {
    let names = ["a", "b", "c", "d"];
    let slots: Vec<(u8, &str)> = (0..).zip(names).collect();
    let fs = log_of(&[vec![7, 2, 0], series_record(0, &slots), series_record(1, &slots)]);
    let config = TsdbConfig { shards: 2, ..TsdbConfig::unbounded() };
    let times = [T0, T0 + MINUTE, T0 + 2 * MINUTE];
    for t in times {
        let db = open(&fs, config.clone());
        for x in names {
            assert_eq!(write(&db, x, t).appended, 1);
        }
    }
    let db = open(&fs, config);
    for x in names {
        assert_eq!(read(&db, x), (times.to_vec(), vec![f64::from(x.as_bytes()[0]); 3]));
    }
}

#[test]
fn what_a_checkpoint_says_of_the_newest_sample_does_not_let_older_ones_in() {
    let mut open_chunk = OpenChunk::new();
    let old: Vec<i64> = (180..190).map(|m| T0 + m * MINUTE).collect();
    for t in &old {
        assert!(open_chunk.append(*t, 97.0));
    }
    let open_chunk = open_chunk.snapshot().unwrap().as_bytes().unwrap().to_vec();
    // Slot 0; the newest sample is at 0 and 0.0; no sealed chunks; the open one.
    let chunks = [vec![0; 11], vec![open_chunk.len() as u8], open_chunk].concat();
    let record = [vec![6, 0, chunks.len() as u8], chunks].concat();
    let fs = log_of(&[vec![7, 1, 0], [series_record(0, &[(0, "a")]), record].concat()]);
    let config = TsdbConfig { shards: 1, ..TsdbConfig::unbounded() };
    let db = open(&fs, config.clone());
    assert_eq!(write(&db, "a", T0).rejected.len(), 1);
    let new = T0 + 200 * MINUTE;
    assert_eq!(write(&db, "a", new).appended, 1);
    drop(db);
    let db = open(&fs, config);
    assert_eq!(read(&db, "a").0, [old, vec![new]].concat());
}

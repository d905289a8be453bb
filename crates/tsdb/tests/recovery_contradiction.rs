//! The log says two things of one slot, as it does when a checkpoint between them is lost.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::*;
use reba_disk::{FaultFs, Fs, push_frame, segment_header};
use reba_tsdb::TsdbConfig;

/// A record of series in shard 0, each with its slot and one label `x`.
fn series_record(series: &[(u8, &str)]) -> Vec<u8> {
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
    [vec![1, 0, body.len() as u8], body].concat()
}

#[test]
fn a_series_whose_slot_went_to_another_gets_a_new_one_and_keeps_what_comes() {
    let fs = FaultFs::new();
    fs.create_dir_all(Path::new("/data/wal")).unwrap();
    let mut log = segment_header(1).to_vec();
    // One shard. Slot 3 is `a`, and later `b`, which is in slot 4 already.
    push_frame(&mut log, &[7, 1, 0]);
    push_frame(&mut log, &series_record(&[(3, "a"), (4, "b")]));
    push_frame(&mut log, &series_record(&[(3, "b")]));
    fs.create(Path::new("/data/wal/0000000001.log")).unwrap().append(&log).unwrap();
    let config = TsdbConfig { shards: 1, ..TsdbConfig::unbounded() };
    let write = |db: &reba_tsdb::Tsdb, t: i64| {
        use reba_storage::{AppendMode, FloatSample, MetricAppender, WriteBatch};
        let floats = ["a", "b"].map(|x| FloatSample {
            series: db.series_ref(&reba_model::Labels::from_pairs([("x", x)])).unwrap(),
            t,
            v: f64::from(x.as_bytes()[0]),
        });
        let batch = WriteBatch { floats: floats.to_vec(), ..WriteBatch::default() };
        assert_eq!(db.append(&batch, AppendMode::Partial).unwrap().appended, 2);
    };
    let times = [T0, T0 + MINUTE, T0 + 2 * MINUTE];
    for t in times {
        // Opened again each time: what was written is read back from the log.
        write(&open(&fs, config.clone()), t);
    }
    let db = open(&fs, config);
    let (mut columns, budget) = (reba_model::SampleColumns::default(), reba_storage::Budget::unlimited());
    for x in ["a", "b"] {
        use reba_storage::MetricQuerier;
        let matchers = [reba_model::Matcher::equal("x", x)];
        let hints = reba_storage::SelectHints::default();
        let range = reba_model::TimeRange::ALL;
        let request =
            reba_storage::SelectRequest { matchers: &matchers, range, hints: &hints, budget: &budget };
        let found = db.select(&request).unwrap();
        found[0].read_into(range, &mut columns).unwrap();
        assert_eq!(columns.t, times, "{x}");
        assert_eq!(columns.v, [f64::from(x.as_bytes()[0]); 3], "{x}");
    }
}

//! A store whose log was damaged opens, says so, and takes what is written next. The first two bytes choose the place,
//! the rest is written over it.
#![no_main]

use std::{path::Path, sync::Arc};

use libfuzzer_sys::fuzz_target;
use reba_disk::{Env, FaultFs, Fs, ManualClock};
use reba_model::{Labels, Matcher, TimeRange};
use reba_storage::{
    AppendMode, Budget, FloatSample, MetricAppender, MetricQuerier, SelectHints, SelectRequest, WriteBatch,
};
use reba_tsdb::{Tsdb, TsdbConfig};

const T0: i64 = 1_700_000_000_000;

fn open(fs: &FaultFs) -> Tsdb {
    let env = Env { fs: Arc::new(fs.clone()), clock: Arc::new(ManualClock::new(T0)) };
    Tsdb::open(&env, "/db", TsdbConfig::unbounded(), &|_, _| ()).unwrap()
}

fn write(db: &Tsdb, t: i64) {
    let mut batch = WriteBatch::default();
    for i in 0..8 {
        let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("i", i.to_string())]);
        let series = db.series_ref(&labels).unwrap();
        batch.floats.push(FloatSample { series, t, v: i as f64 });
    }
    db.append(&batch, AppendMode::Partial).unwrap();
}

fuzz_target!(|data: &[u8]| {
    let Some((place, bytes)) = data.split_first_chunk::<2>() else { return };
    let fs = FaultFs::new();
    let db = open(&fs);
    (0..4).for_each(|i| write(&db, T0 + i * 15_000));
    drop(db);
    let segment = fs.list(Path::new("/db/wal")).unwrap()[0].name.clone();
    let path = Path::new("/db/wal").join(segment);
    let len = fs.read(&path).unwrap().len();
    for (i, mask) in bytes.iter().enumerate() {
        let at = (usize::from(u16::from_le_bytes(*place)) + i) % len;
        let _ = fs.corrupt(&path, at, *mask);
    }
    let db = open(&fs);
    write(&db, T0 + 3_600_000);
    let budget = Budget::unlimited();
    let matchers = [Matcher::equal("__name__", "m")];
    let request = SelectRequest {
        matchers: &matchers,
        range: TimeRange::ALL,
        hints: &SelectHints::default(),
        budget: &budget,
    };
    assert!(db.select(&request).unwrap().len() >= 8);
});

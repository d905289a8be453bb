//! A store over files in memory, for the targets that make its files.
#![allow(dead_code)]

use std::{path::Path, sync::Arc};

use reba_disk::{Env, FaultFs, Fs, ManualClock};
use reba_model::{Labels, MatchOp, Matcher, SampleColumns, TimeRange};
use reba_storage::{
    AppendMode, Budget, FloatSample, MetricAppender, MetricQuerier, QueryError, SelectHints, SelectRequest,
    WriteBatch,
};
use reba_tsdb::{Tsdb, TsdbConfig};

pub const T0: i64 = 1_700_000_000_000 / 7_200_000 * 7_200_000;

pub fn open(fs: &FaultFs) -> Tsdb {
    let env = Env { fs: Arc::new(fs.clone()), clock: Arc::new(ManualClock::new(T0)) };
    Tsdb::open(&env, "/db", TsdbConfig { sealed_memory_bytes: 100, ..TsdbConfig::unbounded() }, &|_, _| ())
        .unwrap()
}

pub fn put(fs: &FaultFs, path: &str, bytes: &[u8]) {
    let path = Path::new(path);
    fs.create_dir_all(path.parent().unwrap()).unwrap();
    fs.create(path).unwrap().append(bytes).unwrap();
}

/// Writes a sample of each of eight series; `false` if any was refused.
pub fn write(db: &Tsdb, t: i64) -> bool {
    let mut batch = WriteBatch::default();
    for i in 0..8 {
        let labels = Labels::from_pairs([("__name__", "written".to_owned()), ("i", i.to_string())]);
        let Ok(series) = db.series_ref(&labels) else { return false };
        batch.floats.push(FloatSample { series, t, v: i as f64 });
    }
    db.append(&batch, AppendMode::Partial).is_ok_and(|r| r.rejected.is_empty())
}

/// Every sample by every way of asking.
pub fn read_all(db: &Tsdb) -> Result<Vec<(Labels, i64)>, QueryError> {
    let budget = Budget::unlimited();
    let any = [Matcher::new(MatchOp::Regex, "__name__", ".+").unwrap()];
    let some = [Matcher::equal("i", "3"), Matcher::new(MatchOp::NotRegex, "job", "a.*").unwrap()];
    let hints = SelectHints::default();
    let mut out = Vec::new();
    let mut columns = SampleColumns::default();
    for matchers in [&some[..], &any] {
        out.clear();
        let request = SelectRequest { matchers, range: TimeRange::ALL, hints: &hints, budget: &budget };
        for series in db.select(&request)? {
            let _ = series.read_into(TimeRange::ALL, &mut columns);
            out.extend(
                columns.t.iter().chain(columns.h.iter().map(|h| &h.t)).map(|t| (series.labels.clone(), *t)),
            );
        }
    }
    for name in db.label_names(&[], TimeRange::ALL, &budget)? {
        db.label_values(&name, &[some.to_vec()], TimeRange::ALL, &budget)?;
        db.label_values(&name, &[], TimeRange::ALL, &budget)?;
    }
    db.series(&[], TimeRange::ALL, &budget)?;
    db.exemplars(&[any.to_vec()], TimeRange::ALL)?;
    Ok(out)
}

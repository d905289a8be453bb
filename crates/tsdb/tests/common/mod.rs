//! What the recovery tests share.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, sync::Arc};

use reba_disk::{Env, FaultFs, Fs as _, ManualClock};
use reba_model::{Labels, Matcher, SampleColumns, TimeRange};
use reba_storage::{
    AppendError, AppendMode, AppendReport, Budget, FloatSample, MetricAppender, MetricQuerier, SelectHints,
    SelectRequest, WriteBatch,
};
use reba_tsdb::{Tsdb, TsdbConfig};

pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 60 * MINUTE;

/// A multiple of two hours.
pub const T0: i64 = 1_700_000_000_000 / (2 * HOUR) * (2 * HOUR);

pub type Samples = Vec<(i64, f64)>;

/// A file system in memory and a clock that stands still.
pub fn env(fs: &FaultFs) -> Env {
    Env { fs: Arc::new(fs.clone()), clock: Arc::new(ManualClock::new(T0)) }
}

pub fn open(fs: &FaultFs, config: TsdbConfig) -> Tsdb {
    Tsdb::open(&env(fs), "/data", config, &|_, _| {}).unwrap()
}

pub fn series(i: usize) -> Labels {
    let pod = format!("pod-{i}");
    let instance = format!("10.0.0.{}:9100", i % 7);
    Labels::from_pairs([("__name__", "m"), ("job", "test"), ("pod", &pod), ("instance", &instance)])
}

/// One sample for each of `n` series at `t`.
pub fn batch(db: &Tsdb, n: usize, t: i64) -> WriteBatch {
    let floats = (0..n)
        .map(|i| FloatSample { series: db.series_ref(&series(i)).unwrap(), t, v: value(i, t) })
        .collect();
    WriteBatch { floats, ..WriteBatch::default() }
}

pub fn value(i: usize, t: i64) -> f64 {
    (i as f64) * 1000.0 + (t.saturating_sub(T0) / 1000) as f64 * 0.25
}

pub fn write(db: &Tsdb, n: usize, t: i64) -> Result<AppendReport, AppendError> {
    db.append(&batch(db, n, t), AppendMode::Partial)
}

/// Every series with all its samples.
pub fn dump(db: &Tsdb) -> BTreeMap<String, Samples> {
    dump_range(db, TimeRange::ALL)
}

pub fn dump_range(db: &Tsdb, range: TimeRange) -> BTreeMap<String, Samples> {
    let matchers = [Matcher::new(reba_model::MatchOp::Regex, "__name__", ".+").unwrap()];
    let request = SelectRequest {
        matchers: &matchers,
        range,
        hints: &SelectHints::default(),
        budget: &Budget::unlimited(),
    };
    let mut out = BTreeMap::new();
    let mut columns = SampleColumns::default();
    for s in db.select(&request).unwrap() {
        s.read_into(range, &mut columns).unwrap();
        if columns.is_empty() {
            continue;
        }
        let samples = columns.t.iter().copied().zip(columns.v.iter().copied()).collect();
        assert!(out.insert(s.labels.to_string(), samples).is_none(), "a series comes once");
    }
    out
}

/// What [`write`] at each of `times` must have left behind.
pub fn expected(n: usize, times: impl IntoIterator<Item = i64> + Clone) -> BTreeMap<String, Samples> {
    (0..n)
        .map(|i| (series(i).to_string(), times.clone().into_iter().map(|t| (t, value(i, t))).collect()))
        .collect()
}

/// Bytes of a file.
pub fn len(fs: &FaultFs, path: &str) -> u64 {
    fs.read(path.as_ref()).unwrap().len() as u64
}

/// Files below `/data` whose path contains `part`, sorted.
pub fn files(fs: &FaultFs, part: &str) -> Vec<String> {
    fn walk(fs: &FaultFs, dir: &str, out: &mut Vec<String>) {
        for entry in fs.list(dir.as_ref()).unwrap() {
            let path = format!("{dir}/{}", entry.name);
            if entry.is_dir { walk(fs, &path, out) } else { out.push(path) }
        }
    }
    let mut out = Vec::new();
    walk(fs, "/data", &mut out);
    out.retain(|p| p.contains(part));
    out
}

/// Cuts a file.
pub fn cut(fs: &FaultFs, path: &str, len: u64) {
    fs.open(path.as_ref()).unwrap().set_len(len).unwrap();
}

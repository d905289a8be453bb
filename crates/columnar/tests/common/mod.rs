//! What the tests share.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{sync::Arc, time::Duration};

use reba_columnar::{Columnar, ColumnarConfig};
use reba_disk::{Env, FaultFs, Fs as _, LogConfig, ManualClock};
use reba_model::{Labels, LogBatch, NanoRange, Tenant};
use reba_storage::{AppendError, LogAppender, LogReport};
use reba_testkit::{LogRows, log_rows};

pub const SECOND: i64 = 1_000_000_000;
pub const DAY: i64 = 86_400 * SECOND;
pub const T0: i64 = 1_700_000_000 * SECOND;

/// A file system in memory and a clock that stands still.
pub fn env(fs: &FaultFs) -> Env {
    env_at(fs, &Arc::new(ManualClock::new(T0 / 1_000_000)))
}

pub fn env_at(fs: &FaultFs, clock: &Arc<ManualClock>) -> Env {
    Env { fs: Arc::new(fs.clone()), clock: Arc::clone(clock) as _ }
}

/// Every duplicate is found, whatever it costs.
pub fn config() -> ColumnarConfig {
    ColumnarConfig { duplicate_reads: usize::MAX, ..ColumnarConfig::default() }
}

/// An fsync before every answer.
pub fn durable() -> ColumnarConfig {
    ColumnarConfig { wal: LogConfig { fsync_interval: Duration::ZERO, ..LogConfig::default() }, ..config() }
}

pub fn open(fs: &FaultFs, config: ColumnarConfig) -> Columnar {
    Columnar::open(&env(fs), "/data", config).unwrap()
}

pub fn stream(i: usize) -> Labels {
    Labels::from_pairs([
        ("app", format!("service-{}", i % 3).as_str()),
        ("pod", &format!("pod-{i}")),
        ("env", "prod"),
    ])
}

pub fn line(i: usize, ns: i64) -> String {
    format!(r#"{{"level":"info","msg":"request served","stream":{i},"at":{ns}}}"#)
}

/// One entry for each of `n` streams.
pub fn batch(n: usize, ns: i64) -> LogBatch {
    let mut batch = LogBatch::default();
    for i in 0..n {
        batch.begin_stream(stream(i));
        let trace = format!("{:016x}", ns.wrapping_mul(31));
        batch.push(ns, &line(i, ns), [("trace_id", trace.as_str())]).unwrap();
    }
    batch
}

pub fn write(db: &Columnar, n: usize, ns: i64) -> Result<LogReport, AppendError> {
    db.append_logs(&Tenant::single(), &batch(n, ns))
}

/// Everything of the tenant without a name.
pub fn dump(db: &Columnar) -> LogRows {
    log_rows(db, &Tenant::single(), &[], NanoRange::ALL).unwrap()
}

/// What [`write`] at each of `times` must have left behind.
pub fn expected(n: usize, times: impl IntoIterator<Item = i64>) -> LogRows {
    let oracle = reba_testkit::MemLogStore::default();
    for ns in times {
        oracle.append_logs(&Tenant::single(), &batch(n, ns)).unwrap();
    }
    log_rows(&oracle, &Tenant::single(), &[], NanoRange::ALL).unwrap()
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

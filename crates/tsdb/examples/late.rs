//! Measures samples that come late, the worst way round: those of one series, the newest first.
//!
//! `cargo run --release -p reba-tsdb --example late -- [SAMPLES] [PER-REQUEST]`
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{sync::Arc, time::Instant};

use reba_disk::{Clock, Env, ManualClock, RealFs};
use reba_model::{Labels, TimeRange};
use reba_storage::{AppendMode, FloatSample, MetricAppender, WriteBatch};
use reba_tsdb::{Tsdb, TsdbConfig};

const T0: i64 = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;

fn main() {
    let mut args = std::env::args().skip(1).map(|a| a.parse::<usize>().unwrap());
    let (samples, per_request) = (args.next().unwrap_or(100_000), args.next().unwrap_or(1000));
    let folder = tempfile::tempdir().unwrap();
    let env = Env { fs: Arc::new(RealFs), clock: Arc::new(ManualClock::new(T0)) as Arc<dyn Clock> };
    let config = TsdbConfig { out_of_order_window_ms: 24 * HOUR, ..TsdbConfig::unbounded() };
    let open = || Tsdb::open(&env, folder.path().to_str().unwrap(), config.clone(), &|_, _| {}).unwrap();

    let db = open();
    let series = db.series_ref(&Labels::from_pairs([("__name__", "late")])).unwrap();
    let write = |floats| {
        let batch = WriteBatch { floats, ..WriteBatch::default() };
        assert!(db.append(&batch, AppendMode::Partial).unwrap().rejected.is_empty());
    };
    write(vec![FloatSample { series, t: T0, v: 0.0 }]);
    let late: Vec<FloatSample> =
        (1..=samples as i64).map(|i| FloatSample { series, t: T0 - i * 100, v: i as f64 }).collect();
    let start = Instant::now();
    for (n, request) in late.chunks(per_request).enumerate() {
        write(request.to_vec());
        if (n + 1) % (samples / per_request / 4).max(1) == 0 {
            println!("{:>9} late samples: {:.2?}", (n + 1) * per_request, start.elapsed());
        }
    }
    drop(db);

    let start = Instant::now();
    let db = open();
    println!("read again from the log: {:.2?}", start.elapsed());
    let start = Instant::now();
    let sets = [vec![reba_model::Matcher::equal("__name__", "late")]];
    db.delete_series(&sets, TimeRange::new(T0 - 12 * HOUR, T0)).unwrap();
    println!("deleted: {:.2?}", start.elapsed());
}

//! Random writes, maintenance, failures, kills and power losses with downsampling on: every sample that was acknowledged
//! is counted exactly once, as a sample or in a window.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/crash.rs"]
mod crash;

use std::collections::BTreeSet;

use common::*;
use crash::{History, WRITES, cases, run, steps};
use proptest::prelude::*;
use reba_disk::FaultFs;
use reba_model::{Matcher, Rollup, TimeRange};
use reba_storage::{Budget, MetricAppender, MetricQuerier, SelectHints, SelectRequest};
use reba_tsdb::{DownsampleLevel, Tsdb, TsdbConfig};

#[derive(Default)]
struct Model {
    acknowledged: BTreeSet<i64>,
    attempted: BTreeSet<i64>,
    now: i64,
}

impl History for Model {
    /// A sample, so many minutes after the one before.
    type Act = i64;

    /// Samples for eight hours, windows of what is older than three, of five minutes and of an hour.
    fn config() -> TsdbConfig {
        let level = |resolution_ms| DownsampleLevel {
            resolution_ms,
            after_ms: 3 * HOUR,
            keep_ms: i64::MAX,
            matchers: Vec::new(),
        };
        TsdbConfig {
            retention_ms: Some(8 * HOUR),
            downsampling: vec![level(5 * MINUTE), level(HOUR)],
            ..crash::config()
        }
    }

    fn act(&mut self, minutes: i64, db: &Tsdb, _: &FaultFs, _: bool) {
        self.now += minutes * MINUTE;
        let t = T0 + self.now;
        if db.series_ref(&series(0)).is_err() {
            return;
        }
        self.attempted.insert(t);
        if write(db, 1, t).is_ok_and(|report| report.appended == 1) {
            self.acknowledged.insert(t);
        }
    }

    fn check(&self, db: &Tsdb) {
        for step in [0, 25 * MINUTE, 5 * HOUR] {
            let hints = SelectHints { step, ..SelectHints::default() };
            let rollups = rollups(db, &hints);
            let all: u32 = rollups.iter().map(|r| r.count).sum();
            let least = self.acknowledged.len() as u32;
            let most = self.attempted.len() as u32;
            assert!((least..=most).contains(&all), "{all} samples of {least} to {most}, step {step}");
            for r in &rollups {
                assert!(self.attempted.contains(&r.first_t) && self.attempted.contains(&r.last_t));
                assert_eq!((r.first, r.last), (value(0, r.first_t), value(0, r.last_t)));
                let inside = self.attempted.range(r.first_t..=r.last_t).count() as u32;
                let sure = self.acknowledged.range(r.first_t..=r.last_t).count() as u32;
                assert!((sure..=inside).contains(&r.count), "a window of {} samples", r.count);
            }
        }
    }
}

fn rollups(db: &Tsdb, hints: &SelectHints) -> Vec<Rollup> {
    let matchers = [Matcher::equal("__name__", "m")];
    let budget = Budget::unlimited();
    let request = SelectRequest { matchers: &matchers, range: TimeRange::ALL, hints, budget: &budget };
    let mut out = Vec::new();
    for chunk in db.select(&request).unwrap().iter().flat_map(|s| &s.chunks) {
        chunk.rollups_into(TimeRange::ALL, &mut out).unwrap();
    }
    assert!(out.windows(2).all(|w| w[0].last_t < w[1].first_t), "nothing is there twice");
    out
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn every_acknowledged_sample_is_counted_once(steps in steps(1i64..40, &WRITES, 40..200)) {
        run(Model::default(), steps);
    }
}

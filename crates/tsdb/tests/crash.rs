//! Random writes, maintenance, failures, kills and power losses: what was acknowledged is always there, and nothing is
//! there that was never written.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/crash.rs"]
mod crash;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use crash::{History, WRITES, cases, run, steps};
use proptest::prelude::*;
use reba_disk::FaultFs;
use reba_storage::{AppendMode, FloatSample, MetricAppender, WriteBatch};
use reba_tsdb::{Tsdb, TsdbConfig};

#[derive(Default)]
struct Model {
    acknowledged: BTreeMap<String, BTreeSet<i64>>,
    attempted: BTreeMap<String, BTreeSet<i64>>,
    now: i64,
}

impl History for Model {
    /// Samples for the series of a mask, so many minutes after the ones before.
    type Act = (u8, i64);

    fn config() -> TsdbConfig {
        crash::config()
    }

    fn act(&mut self, (mask, minutes): (u8, i64), db: &Tsdb, _: &FaultFs, _: bool) {
        self.now += minutes * MINUTE;
        let t = T0 + self.now;
        let mut batch = WriteBatch::default();
        let mut names = Vec::new();
        for i in (0..8).filter(|i| mask >> i & 1 == 1) {
            let Ok(series) = db.series_ref(&series(i)) else { return };
            batch.floats.push(FloatSample { series, t, v: value(i, t) });
            names.push(common::series(i).to_string());
        }
        let result = db.append(&batch, AppendMode::AllOrNothing);
        for name in names {
            self.attempted.entry(name.clone()).or_default().insert(t);
            if let Ok(report) = &result {
                assert!(report.rejected.is_empty(), "{report:?}");
                self.acknowledged.entry(name).or_default().insert(t);
            }
        }
    }

    fn check(&self, db: &Tsdb) {
        let found = dump(db);
        let all: BTreeMap<String, Samples> = expected(8, (0..=self.now / MINUTE).map(|m| T0 + m * MINUTE));
        for (name, times) in &self.acknowledged {
            let have: BTreeSet<i64> = found.get(name).into_iter().flatten().map(|s| s.0).collect();
            let lost: Vec<&i64> = times.difference(&have).collect();
            assert!(lost.is_empty(), "{name} lost {lost:?}");
        }
        for (name, samples) in &found {
            let attempted = &self.attempted[name];
            for (t, v) in samples {
                assert!(attempted.contains(t), "{name} has a sample at {t} that was never written");
                let written = all[name].iter().find(|s| s.0 == *t).unwrap().1;
                assert_eq!(written, *v, "{name} at {t}");
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn nothing_acknowledged_is_ever_lost(steps in steps((any::<u8>(), 1i64..40), &WRITES, 1..120)) {
        run(Model::default(), steps);
    }
}

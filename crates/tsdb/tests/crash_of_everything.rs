//! What `crash.rs` does with floats in order, with everything a store takes: late samples, native histograms,
//! exemplars, deletion, cleaning, snapshots. What was acknowledged is there, what was deleted is not, ever again.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/crash.rs"]
mod crash;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use common::{HOUR, MINUTE, T0, env, series};
use crash::{History, cases, run, steps};
use proptest::prelude::*;
use reba_disk::{FaultFs, FaultOp};
use reba_model::{Exemplar, Histogram, Labels, MatchOp, Matcher, SampleColumns, TimeRange};
use reba_storage::{
    AppendMode, Budget, FloatSample, MetricAppender, MetricQuerier, SelectHints, SelectRequest, SeriesRef,
    WriteBatch,
};
use reba_tsdb::{Tsdb, TsdbConfig};

/// Series of floats; as many of histograms follow.
const N: usize = 4;

#[derive(Clone, Debug)]
enum Act {
    /// Samples for the series of a mask, so many minutes after the ones before.
    Write(u8, i64),
    /// A late sample for each series of a mask, so many minutes back.
    Late(u8, i64),
    Exemplar(u8),
    /// Samples of the series of a mask from so many minutes back on, for so many.
    Delete(u8, i64, i64),
    Clean,
    Snapshot(bool),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        24 => (any::<u8>(), 1i64..40).prop_map(|(mask, minutes)| Act::Write(mask, minutes)),
        8 => (any::<u8>(), 1i64..400).prop_map(|(mask, back)| Act::Late(mask, back)),
        3 => any::<u8>().prop_map(Act::Exemplar),
        3 => (any::<u8>(), 0i64..600, 1i64..200).prop_map(|(mask, back, len)| Act::Delete(mask, back, len)),
        1 => Just(Act::Clean),
        1 => any::<bool>().prop_map(Act::Snapshot),
    ]
}

const OPS: [FaultOp; 6] =
    [FaultOp::Write, FaultOp::Sync, FaultOp::Create, FaultOp::Rename, FaultOp::SyncDir, FaultOp::Read];

/// What is known of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Acknowledged.
    There,
    /// Refused, or a deletion that was meant for it failed: either may be.
    Perhaps,
    /// Deleted.
    Gone,
}

#[derive(Default)]
struct Model {
    samples: BTreeMap<usize, BTreeMap<i64, State>>,
    exemplars: BTreeSet<(usize, i64)>,
    now: i64,
    /// Makes every time different from all others.
    odd: i64,
    snapshots: usize,
}

/// The value of series `i` at `t`; for a histogram its count.
fn value(i: usize, t: i64) -> f64 {
    ((t - T0) / 7 % 10_007 + i as i64 * 3) as f64
}

fn histogram(count: f64) -> Arc<Histogram> {
    Arc::new(Histogram { zero_threshold: 0.001, zero_count: count, count, sum: 1.0, ..Histogram::default() })
}

fn chosen(mask: u8) -> impl Iterator<Item = usize> {
    (0..2 * N).filter(move |i| mask >> i & 1 == 1)
}

fn push(batch: &mut WriteBatch, i: usize, series: SeriesRef, t: i64) {
    if i < N {
        batch.floats.push(FloatSample { series, t, v: value(i, t) });
    } else {
        batch.histograms.push((series, t, histogram(value(i, t))));
    }
}

impl Model {
    fn write(&mut self, db: &Tsdb, mask: u8, minutes: i64) {
        self.now += minutes * MINUTE;
        let t = T0 + self.now;
        self.append(db, mask, t);
    }

    fn late(&mut self, db: &Tsdb, mask: u8, back: i64) {
        // Behind the other samples of its minute, and not where a sample stands already.
        self.odd += 1;
        let t = T0 + self.now - back * MINUTE + self.odd % MINUTE;
        if t < T0 + self.now {
            self.append(db, mask, t);
        }
    }

    /// One batch a series, so that the store may refuse one and take the others.
    fn append(&mut self, db: &Tsdb, mask: u8, t: i64) {
        for i in chosen(mask) {
            if self.samples.entry(i).or_default().contains_key(&t) {
                continue;
            }
            let Ok(series) = db.series_ref(&series(i)) else { return };
            let mut batch = WriteBatch::default();
            push(&mut batch, i, series, t);
            let state = match db.append(&batch, AppendMode::Partial) {
                Ok(report) if report.rejected.is_empty() => State::There,
                Ok(_) => continue,
                Err(_) => State::Perhaps,
            };
            self.samples.entry(i).or_default().insert(t, state);
        }
    }

    fn exemplar(&mut self, db: &Tsdb, mask: u8) {
        let t = T0 + self.now;
        for i in chosen(mask).filter(|i| self.state(*i, t) == Some(State::There)).collect::<Vec<_>>() {
            let Ok(series) = db.series_ref(&series(i)) else { return };
            let exemplar = Exemplar { labels: Labels::from_pairs([("trace_id", "x")]), value: 1.0, t };
            let batch = WriteBatch { exemplars: vec![(series, exemplar)], ..WriteBatch::default() };
            if db.append(&batch, AppendMode::Partial).is_ok_and(|r| r.rejected.is_empty()) {
                self.exemplars.insert((i, t));
            }
        }
    }

    fn delete(&mut self, db: &Tsdb, mask: u8, back: i64, len: i64) {
        let start = T0 + self.now - back * MINUTE;
        let range = TimeRange::new(start, start + len * MINUTE);
        let sets: Vec<Vec<Matcher>> =
            chosen(mask).map(|i| vec![Matcher::equal("pod", format!("pod-{i}"))]).collect();
        if sets.is_empty() {
            return;
        }
        let done = db.delete_series(&sets, range).is_ok();
        for i in chosen(mask) {
            let doomed = self.samples.entry(i).or_default().range_mut(range.start..=range.end);
            for (_, state) in doomed {
                *state = match (done, *state) {
                    (true, _) | (_, State::Gone) => State::Gone,
                    _ => State::Perhaps,
                };
            }
        }
    }

    fn snapshot(&mut self, fs: &FaultFs, db: &Tsdb, with_head: bool, healthy: bool) {
        self.snapshots += 1;
        let name = format!("s{}", self.snapshots);
        if db.snapshot(&name, with_head).is_ok() && with_head {
            let Ok(copy) =
                Tsdb::open(&env(fs), format!("/data/snapshots/{name}"), Model::config(), &|_, _| {})
            else {
                // The disk fails or is full, as it may.
                return;
            };
            if healthy {
                self.check(&copy);
            }
        }
    }

    fn state(&self, i: usize, t: i64) -> Option<State> {
        self.samples.get(&i)?.get(&t).copied()
    }
}

impl History for Model {
    type Act = Act;

    fn config() -> TsdbConfig {
        TsdbConfig { out_of_order_window_ms: 4 * HOUR, ..crash::config() }
    }

    fn act(&mut self, act: Act, db: &Tsdb, fs: &FaultFs, healthy: bool) {
        match act {
            Act::Write(mask, minutes) => self.write(db, mask, minutes),
            Act::Late(mask, back) => self.late(db, mask, back),
            Act::Exemplar(mask) => self.exemplar(db, mask),
            Act::Delete(mask, back, len) => self.delete(db, mask, back, len),
            Act::Clean => drop(db.clean_tombstones()),
            Act::Snapshot(with_head) => self.snapshot(fs, db, with_head, healthy),
        }
    }

    fn check(&self, db: &Tsdb) {
        let found = everything(db);
        for i in 0..2 * N {
            let labels = series(i).to_string();
            let have: BTreeMap<i64, f64> = found.get(&labels).cloned().unwrap_or_default();
            let known = self.samples.get(&i).cloned().unwrap_or_default();
            for (t, state) in &known {
                let there = have.contains_key(t);
                assert!(*state != State::There || there, "{labels} lost its sample at {}", t - T0);
                assert!(*state != State::Gone || !there, "{labels} has again what was deleted at {}", t - T0);
            }
            for (t, v) in &have {
                assert!(known.contains_key(t), "{labels} has a sample at {} that was never written", t - T0);
                assert_eq!(*v, value(i, *t), "{labels} at {}", t - T0);
            }
        }
    }

    /// Exemplars live as long as their series is in the head.
    fn check_volatile(&self, db: &Tsdb) {
        let found = db.exemplars(&[vec![Matcher::equal("job", "test")]], TimeRange::ALL).unwrap();
        let have: BTreeSet<(String, i64)> =
            found.iter().flat_map(|s| s.exemplars.iter().map(|e| (s.labels.to_string(), e.t))).collect();
        let recent =
            |(i, t): &&(usize, i64)| *t > T0 + self.now - HOUR && self.state(*i, *t) == Some(State::There);
        for (i, t) in self.exemplars.iter().filter(recent) {
            assert!(
                have.contains(&(series(*i).to_string(), *t)),
                "the exemplar of {i} at {} is lost",
                t - T0
            );
        }
    }
}

/// Every series with all its samples, none of them twice.
fn everything(db: &Tsdb) -> BTreeMap<String, BTreeMap<i64, f64>> {
    let matchers = [Matcher::new(MatchOp::Regex, "__name__", ".+").unwrap()];
    let (budget, hints) = (Budget::unlimited(), SelectHints::default());
    let request =
        SelectRequest { matchers: &matchers, range: TimeRange::ALL, hints: &hints, budget: &budget };
    let mut out: BTreeMap<String, BTreeMap<i64, f64>> = BTreeMap::new();
    let mut columns = SampleColumns::default();
    for s in db.select(&request).unwrap() {
        s.read_into(TimeRange::ALL, &mut columns).unwrap();
        let floats = columns.t.iter().copied().zip(columns.v.iter().copied());
        let all: Vec<(i64, f64)> = floats.chain(columns.h.iter().map(|h| (h.t, h.h.count))).collect();
        let map: BTreeMap<i64, f64> = all.iter().copied().collect();
        assert_eq!(map.len(), all.len(), "{} has a sample twice", s.labels);
        assert!(out.insert(s.labels.to_string(), map).is_none(), "a series comes once");
    }
    out
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn nothing_acknowledged_is_lost_and_nothing_deleted_comes_back(steps in steps(act(), &OPS, 1..120)) {
        run(Model::default(), steps);
    }
}

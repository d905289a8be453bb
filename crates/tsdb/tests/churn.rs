//! Series come and go all day: the head keeps those that live, and the files stay within bounds.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{collections::VecDeque, sync::Arc};

use common::*;
use reba_disk::{Env, FaultFs, ManualClock};
use reba_model::{Labels, Matcher, STALE_NAN_BITS, SampleColumns, TimeRange};
use reba_storage::{
    AppendMode, Budget, FloatSample, MetricAppender, MetricQuerier, SelectHints, SelectRequest, SeriesRef,
    WriteBatch,
};
use reba_tsdb::{Tsdb, TsdbConfig};

/// A tenth of the series is replaced every ten minutes.
const LIFETIME: usize = 10;

/// What was seen at its highest.
#[derive(Debug, Default)]
struct Peak {
    series: u64,
    label_pairs: u64,
    index_bytes: u64,
    log_bytes: u64,
}

struct Churn {
    db: Tsdb,
    clock: Arc<ManualClock>,
    live: VecDeque<Vec<SeriesRef>>,
    generations: usize,
    /// Whether dying series are marked, as scrapes do it.
    markers: bool,
    peak: Peak,
}

fn labels(generation: usize, i: usize) -> Labels {
    let (pod, instance) = (format!("pod-{generation}-{}", i / 10), format!("10.0.0.{}:9100", i % 50));
    let (container, id) = (format!("c{}", i % 10), format!("/kubepods/{generation}/{i}"));
    Labels::from_pairs([
        ("__name__", "container_cpu_usage_seconds_total"),
        ("job", "kubelet"),
        ("instance", &instance),
        ("pod", &pod),
        ("container", &container),
        ("id", &id),
    ])
}

impl Churn {
    fn new(fs: &FaultFs, markers: bool) -> Self {
        let clock = Arc::new(ManualClock::new(T0));
        let env = Env { fs: Arc::new(fs.clone()), clock: clock.clone() };
        let config = TsdbConfig { checkpoint_bytes: 4 << 20, retention_ms: None, ..TsdbConfig::default() };
        let db = Tsdb::open(&env, "/data", config, &|_, _| {}).unwrap();
        Churn { db, clock, live: VecDeque::new(), generations: 0, markers, peak: Peak::default() }
    }

    /// So many series of a new generation; the oldest one ends.
    fn replace(&mut self, n: usize, now: i64) {
        let name = |i| self.db.series_ref(&labels(self.generations, i)).unwrap();
        self.live.push_back((0..n).map(name).collect());
        self.generations += 1;
        if self.live.len() > LIFETIME {
            let dead = self.live.pop_front().unwrap();
            if self.markers {
                self.write(dead.into_iter(), now, f64::from_bits(STALE_NAN_BITS));
            }
        }
    }

    fn write(&self, series: impl Iterator<Item = SeriesRef>, t: i64, v: f64) {
        let floats: Vec<FloatSample> = series.map(|series| FloatSample { series, t, v }).collect();
        let n = floats.len();
        let batch = WriteBatch { floats, ..WriteBatch::default() };
        let report = self.db.append(&batch, AppendMode::Partial).unwrap();
        assert_eq!((report.appended, report.rejected.len()), (n, 0));
    }

    /// Writes every `interval` for `duration`; a tenth of `n` series is replaced every ten minutes.
    fn run(&mut self, n: usize, interval: i64, duration: i64) {
        for _ in 0..LIFETIME - 1 {
            self.replace(n / LIFETIME, T0);
        }
        for at in (0..duration).step_by(interval as usize) {
            if at % (10 * MINUTE) == 0 {
                self.replace(n / LIFETIME, T0 + at);
            }
            self.write(self.live.iter().flatten().copied(), T0 + at, at as f64 / 1000.0);
            self.clock.advance(interval);
            self.db.maintain(T0 + at).unwrap();
            self.look();
        }
    }

    fn look(&mut self) {
        let (m, peak) = (self.db.metrics(), &mut self.peak);
        peak.series = peak.series.max(m.head.series);
        peak.index_bytes = peak.index_bytes.max(m.head.memory_bytes);
        peak.log_bytes = peak.log_bytes.max(m.disk.total_bytes - m.disk.block_bytes);
        if m.head.series == peak.series {
            peak.label_pairs = self.db.stats(0).label_pairs;
        }
    }

    /// Every series of all generations is found with all its samples.
    fn assert_complete(&self, per_generation: usize, interval: i64, duration: i64) {
        for generation in (0..self.generations).step_by(7) {
            let born = (generation as i64 - LIFETIME as i64 + 1).max(0) * 10 * MINUTE;
            let died = ((generation as i64 + 1) * 10 * MINUTE).min(duration);
            let mut samples = (died - born) / interval;
            samples += i64::from(self.markers && died < duration);
            let id = format!("/kubepods/{generation}/{}", per_generation / 2);
            let columns = self.select(&[Matcher::equal("id", &id)]);
            assert_eq!(columns.len() as i64, samples, "generation {generation}");
        }
    }

    fn select(&self, matchers: &[Matcher]) -> SampleColumns {
        let (hints, budget) = (SelectHints::default(), Budget::unlimited());
        let request = SelectRequest { matchers, range: TimeRange::ALL, hints: &hints, budget: &budget };
        let found = self.db.select(&request).unwrap();
        assert_eq!(found.len(), 1);
        let mut columns = SampleColumns::default();
        found[0].read_into(TimeRange::ALL, &mut columns).unwrap();
        columns
    }
}

#[test]
fn churn_with_staleness_markers_costs_a_quarter_more_than_none() {
    churn_with_markers(4 * HOUR);
}

#[test]
#[ignore = "takes minutes without optimisation"]
fn so_it_does_after_a_day() {
    churn_with_markers(24 * HOUR);
}

fn churn_with_markers(duration: i64) {
    const N: usize = 6000;
    let (fs, still) = (FaultFs::new(), FaultFs::new());
    let mut churn = Churn::new(&fs, true);
    churn.run(N, 10 * MINUTE, duration);
    let mut calm = Churn::new(&still, true);
    calm.run(N, 10 * MINUTE, 10 * MINUTE);
    let (peak, base) = (&churn.peak, &calm.peak);
    assert!(peak.series <= base.series * 5 / 4, "{peak:?} {base:?}");
    assert!(peak.label_pairs <= base.label_pairs * 5 / 4, "{peak:?} {base:?}");
    // Samples of two hours are in there, too: the calm one has one each.
    assert!(peak.index_bytes <= base.index_bytes * 7 / 4, "{peak:?} {base:?}");
    assert!(peak.log_bytes < 12 << 20, "{peak:?}");
    churn.assert_complete(N / LIFETIME, 10 * MINUTE, duration);
}

#[test]
fn without_markers_a_series_is_given_up_when_twenty_samples_are_missing() {
    const N: usize = 6000;
    let fs = FaultFs::new();
    let mut churn = Churn::new(&fs, false);
    churn.run(N, 30_000, HOUR);
    assert!(churn.peak.series < N as u64 * 13 / 10, "{:?}", churn.peak);
    churn.assert_complete(N / LIFETIME, 30_000, HOUR);
}

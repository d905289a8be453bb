//! The wall clock leaps, both ways: what was written stays, and what comes after is taken.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{collections::BTreeMap, sync::Arc};

use common::*;
use reba_disk::{Env, FaultFs, ManualClock};
use reba_tsdb::{Tsdb, TsdbConfig};

const SERIES: usize = 6;
const YEAR: i64 = 365 * 24 * HOUR;
const DAY: i64 = 24 * HOUR;

/// A store that is scraped every minute, at the time that the clock shows.
struct Scraped {
    fs: FaultFs,
    clock: Arc<ManualClock>,
    db: Option<Tsdb>,
    written: Vec<i64>,
    refused: usize,
    /// Killed and opened again after every so many minutes.
    kill_every: usize,
}

impl Scraped {
    fn new(kill_every: usize) -> Self {
        let (fs, clock) = (FaultFs::new(), Arc::new(ManualClock::new(T0)));
        let mut scraped = Scraped { fs, clock, db: None, written: Vec::new(), refused: 0, kill_every };
        scraped.open();
        scraped
    }

    fn open(&mut self) {
        self.db = None;
        let env = Env { fs: Arc::new(self.fs.clone()), clock: self.clock.clone() };
        let config = TsdbConfig { retention_ms: Some(15 * DAY), ..TsdbConfig::default() };
        self.db = Some(Tsdb::open(&env, "/data", config, &|_, _| {}).unwrap());
    }

    fn db(&self) -> &Tsdb {
        self.db.as_ref().unwrap()
    }

    fn now(&self) -> i64 {
        use reba_disk::Clock as _;
        self.clock.now_ms()
    }

    fn run(&mut self, minutes: usize) {
        for minute in 1..=minutes {
            self.clock.advance(MINUTE);
            let now = self.now();
            self.db().maintain(now).unwrap();
            let report = write(self.db(), SERIES, now).unwrap();
            if report.appended == SERIES {
                self.written.push(now);
            } else {
                assert_eq!(report.appended, 0);
                self.refused += 1;
            }
            if minute % self.kill_every == 0 {
                self.open();
            }
        }
    }

    fn leap(&self, by: i64) {
        self.clock.set(self.now() + by);
    }

    fn assert_complete(&self) {
        let mut times = self.written.clone();
        times.sort_unstable();
        let expected: BTreeMap<String, Samples> = expected(SERIES, times);
        assert_eq!(dump(self.db()), expected);
    }
}

#[test]
fn after_a_leap_a_year_ahead_and_back_everything_is_there_and_nothing_is_refused() {
    for kill_every in [7, 1000] {
        let mut store = Scraped::new(kill_every);
        store.run(200);
        store.leap(YEAR);
        store.run(10);
        store.leap(-YEAR);
        store.run(200);
        store.assert_complete();
        assert_eq!(store.refused, 0);
        store.leap(YEAR);
        store.run(5);
        store.leap(-YEAR);
        store.run(30);
        store.assert_complete();
        assert_eq!(store.refused, 0);
    }
}

#[test]
fn after_a_leap_a_year_back_and_forth_everything_is_there() {
    for kill_every in [7, 1000] {
        let mut store = Scraped::new(kill_every);
        store.run(100);
        store.leap(-YEAR);
        store.run(10);
        store.leap(YEAR);
        store.run(300);
        store.assert_complete();
        assert_eq!(store.refused, 0);
    }
}

#[test]
fn a_leap_of_minutes_back_costs_no_more_than_these_minutes() {
    let mut store = Scraped::new(1000);
    store.run(50);
    store.leap(-8 * MINUTE);
    store.run(60);
    assert!(store.refused <= 8, "{}", store.refused);
    store.written.dedup();
    store.assert_complete();
}

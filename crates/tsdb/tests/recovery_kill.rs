//! The process is killed while it appends.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use common::*;
use reba_disk::Env;
use reba_tsdb::{Tsdb, TsdbConfig};

const CHILD: &str = "REBA_TSDB_KILL_TEST_DIR";
const N: usize = 50;

fn config() -> TsdbConfig {
    TsdbConfig { checkpoint_bytes: 30_000, sealed_memory_bytes: 5_000, ..TsdbConfig::unbounded() }
}

fn open_real(dir: &std::path::Path) -> Tsdb {
    Tsdb::open(&Env::real(), dir, config(), &|_, _| {}).unwrap()
}

/// Not a test of its own: the process that is killed. It says what was acknowledged.
#[test]
#[ignore = "started by the test below"]
fn child_appends_until_it_is_killed() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let db = open_real(dir.as_ref());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                db.maintain(i64::MAX).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        for i in 0.. {
            let t = T0 + i * MINUTE;
            match write(&db, N, t) {
                Ok(report) => println!("acknowledged {t} {}", report.appended),
                Err(e) => println!("refused {e}"),
            }
        }
    });
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there_once() {
    let exe = std::env::current_exe().unwrap();
    for round in 0..6 {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(&exe)
            .args(["--ignored", "--exact", "child_appends_until_it_is_killed", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = Vec::new();
        while acknowledged.len() < 60 + round * 130 {
            let line = lines.next().expect("the child lives until it is killed").unwrap();
            let Some((_, rest)) = line.split_once("acknowledged ") else { continue };
            let (t, n) = rest.split_once(' ').unwrap();
            assert_eq!(n, N.to_string());
            acknowledged.push(t.parse::<i64>().unwrap());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What was said before the kill and not read yet.
        for line in lines.map_while(Result::ok) {
            let complete = line.split_once("acknowledged ").and_then(|(_, r)| r.split_once(' '));
            if let Some((t, n)) = complete.filter(|(_, n)| *n == N.to_string()) {
                let _ = n;
                acknowledged.push(t.parse().unwrap());
            }
        }
        let db = open_real(dir.path());
        let found = dump(&db);
        let want = expected(N, acknowledged.clone());
        assert_eq!(found.len(), N);
        for (labels, samples) in &found {
            let want = &want[labels];
            // One batch may have been written and not acknowledged.
            assert!(samples.len() >= want.len() && samples.len() <= want.len() + 1, "round {round}");
            assert_eq!(&samples[..want.len()], &want[..], "round {round} {labels}");
            assert!(samples.windows(2).all(|w| w[0].0 < w[1].0));
        }
        let whole = found.values().map(Vec::len).min() == found.values().map(Vec::len).max();
        assert!(whole, "a batch is there as a whole or not at all");
    }
}

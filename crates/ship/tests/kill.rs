//! A shipper that is killed again and again, in the middle of everything.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::format_collect)]

mod support;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use reba_ship::Shipper;
use support::{append, around, config, receiver, until};

/// Says to the child where it ships from and to.
const FOLDER: &str = "SHIP_KILL_FOLDER";
const CLIENTS: &str = "SHIP_KILL_CLIENTS";

/// The process that is killed; without its variables there is nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipper_of_the_other_test() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let clients = std::env::var(CLIENTS).unwrap();
    let stages = "[{multiline: {firstline: '^\\d', max_wait_time: 50ms}}]";
    let _shipper = Shipper::start(config(&folder, &clients, stages), &around(None)).unwrap();
    // Not for ever: the other test may have been stopped itself.
    tokio::time::sleep(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shipper_that_is_killed_at_any_moment_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("a.log");
    let receiver = receiver(|n| if n % 5 == 4 { 503 } else { 204 }).await;
    let clients = format!(
        "[{{url: '{}', batchwait: 5ms, batchsize: 5000, backoff_config: {{min_period: 5ms, max_period: 20ms}}}}]",
        receiver.url
    );
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_shipper_of_the_other_test"])
            .env(FOLDER, dir.path())
            .env(CLIENTS, &clients)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let (mut n, mut dice) = (0, 12345u64);
    for round in 0..12 {
        let mut child = start();
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let steps = 20 + (dice >> 40) % 60;
        for _ in 0..steps {
            append(&log, &(n..n + 20).map(|i| format!("{i}\n")).collect::<String>());
            n += 20;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if round % 3 == 2 {
            fs::rename(&log, dir.path().join(format!("a.log.{round}"))).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut child = start();
    until("every line arrives", || receiver.seen.lock().len() >= n).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let seen = receiver.seen.lock();
    assert!((0..n).all(|i| seen.contains_key(&i.to_string())));
}

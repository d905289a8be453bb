//! From files to stores, with everything in between.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::{
    fs,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use reba_ship::Shipper;
use support::{Store, append, around, config, receiver, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_arrive_once_through_rotations_restarts_and_a_store_that_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("a.log");
    let store = Arc::new(Store::default());
    let mut n = 0;
    for round in 0..3 {
        store.refusals.store(2, Ordering::SeqCst);
        let config = config(dir.path(), "[{url: 'http://ours/push'}]", "[]");
        let shipper = Shipper::start(config, &around(Some(Arc::clone(&store)))).unwrap();
        for _ in 0..4 {
            (n..n + 100).for_each(|i| append(&log, &format!("{i}\n")));
            n += 100;
            if n % 200 == 0 {
                fs::rename(&log, dir.path().join(format!("a.log.{n}"))).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        if round == 1 {
            // Ends in the middle of it all.
            shipper.stop().await;
        } else {
            until("all lines arrive", || store.lines.lock().len() >= n).await;
            shipper.stop().await;
        }
    }
    until("all lines are there", || store.lines.lock().len() >= n).await;
    let mut seen: Vec<usize> = store.lines.lock().iter().map(|(_, l)| l.parse().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..n).collect::<Vec<_>>());
    let labels = store.lines.lock()[0].0.clone();
    assert!(labels.contains("job=\"j\"") && labels.contains("filename="), "{labels}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_is_not_complete_is_not_forgotten_by_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    append(&dir.path().join("a.log"), "1 first\n  second\n");
    let store = Arc::new(Store::default());
    let stages = "[{multiline: {firstline: '^\\d', max_wait_time: 1h}}]";
    let start = || {
        Shipper::start(
            config(dir.path(), "[{url: 'http://ours/push'}]", stages),
            &around(Some(Arc::clone(&store))),
        )
    };
    let shipper = start().unwrap();
    let file = dir.path().join("positions.yaml");
    until("positions are written", || file.exists()).await;
    assert!(store.lines.lock().is_empty());
    let positions = fs::read_to_string(&file).unwrap();
    assert!(positions.contains("\"0\""), "{positions}");
    shipper.stop().await;
    assert_eq!(store.lines.lock()[0].1, "1 first\n  second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_was_away_for_long_gets_everything_and_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (away, there) = (receiver(|n| if n < 20 { 503 } else { 204 }).await, receiver(|_| 204).await);
    let (late, early) = (away.seen, there.seen);
    let (away, there) = (away.url, there.url);
    let backoff = "batchwait: 10ms, backoff_config: {min_period: 10ms, max_period: 50ms}";
    let clients = format!("[{{url: '{away}', {backoff}}}, {{url: '{there}', {backoff}}}]");
    for n in 0..500 {
        append(&dir.path().join("a.log"), &format!("{n}\n"));
    }
    let shipper = Shipper::start(config(dir.path(), &clients, "[]"), &around(None)).unwrap();
    until("the one that is there has all", || early.lock().len() == 500).await;
    shipper.stop().await;
    // What waits in the queue outlives a restart.
    let shipper = Shipper::start(config(dir.path(), &clients, "[]"), &around(None)).unwrap();
    until("the other has all", || late.lock().len() == 500).await;
    shipper.stop().await;
    assert!(early.lock().values().all(|n| *n == 1));
    assert!(late.lock().values().all(|n| *n == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_for_good_is_kept_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let support::Receiver { url, seen, .. } = receiver(|n| if n == 0 { 400 } else { 204 }).await;
    append(&dir.path().join("a.log"), "bad\n");
    let clients = format!("[{{url: '{url}', name: c, batchwait: 10ms}}]");
    let shipper = Shipper::start(config(dir.path(), &clients, "[]"), &around(None)).unwrap();
    let file = dir.path().join("positions.queue/c/rejected.ndjson");
    until("it is refused", || fs::read_to_string(&file).is_ok_and(|t| t.ends_with('\n'))).await;
    append(&dir.path().join("a.log"), "good\n");
    until("what follows arrives", || seen.lock().contains_key("good")).await;
    let mut text = String::new();
    shipper.write_metrics(&mut text);
    assert!(text.contains("promtail_dropped_entries_total{host="), "{text}");
    shipper.stop().await;
    let kept = fs::read_to_string(&file).unwrap();
    assert!(kept.contains("\"line\":\"bad\"") && kept.contains("400 Bad Request: said no"), "{kept}");
    assert!(!seen.lock().contains_key("bad"));
}

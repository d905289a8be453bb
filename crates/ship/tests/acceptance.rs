//! What a shipper must stand: rotations under load, stores that are away, limits, very many files.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::format_collect)]

mod support;

use std::{
    fs,
    io::Write as _,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use reba_config::Variables;
use reba_ship::{ShipConfig, Shipper};
use support::{Store, append, around, config, receiver, until};

const OURS: &str = "[{url: 'http://ours/push'}]";

fn numbers(store: &Store) -> Vec<usize> {
    store.lines.lock().iter().map(|(_, l)| l.parse().unwrap()).collect()
}

fn parse(dir: &Path, text: &str) -> ShipConfig {
    let text = text.replace("DIR", &dir.display().to_string());
    ShipConfig::parse(&text, Path::new("p.yml"), &Variables::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_by_rename_under_load_loses_nothing_although_only_one_name_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (log, store) = (dir.path().join("a.log"), Arc::new(Store::default()));
    append(&log, "");
    let text = "positions: {filename: DIR/p.yaml}\nscrape_configs:\n- job_name: j\n  static_configs: [{labels: {job: j, __path__: 'DIR/a.log'}}]\n";
    let shipper = Shipper::start(parse(dir.path(), text), &around(Some(Arc::clone(&store)))).unwrap();
    until("the file is found", || !shipper.targets().is_empty()).await;
    let total = 60_000;
    let writer = tokio::task::spawn_blocking(move || {
        for part in 0..12 {
            let mut file = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
            for chunk in 0..10 {
                let first = part * 5000 + chunk * 500;
                let lines: String = (first..first + 500).map(|n| format!("{n}\n")).collect();
                file.write_all(lines.as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(40));
                if chunk == 8 {
                    // The writer goes on in the old file for a while, as all do until they are told.
                    fs::rename(&log, log.with_extension(format!("log.{part}"))).unwrap();
                }
            }
        }
    });
    writer.await.unwrap();
    until("all lines arrive", || store.lines.lock().len() >= total).await;
    shipper.stop().await;
    let mut seen = numbers(&store);
    seen.sort_unstable();
    assert_eq!(seen, (0..total).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copytruncate_under_load_doubles_nothing_and_loses_only_what_was_cut_unread() {
    let dir = tempfile::tempdir().unwrap();
    let (log, store) = (dir.path().join("a.log"), Arc::new(Store::default()));
    let shipper = Shipper::start(config(dir.path(), OURS, "[]"), &around(Some(Arc::clone(&store)))).unwrap();
    let mut n = 0;
    for _ in 0..10 {
        for _ in 0..10 {
            append(&log, &(n..n + 100).map(|i| format!("{i}\n")).collect::<String>());
            n += 100;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // It is cut when it has been read, as far as a test can know.
        until("it has been read", || store.lines.lock().len() >= n).await;
        fs::File::create(&log).unwrap();
    }
    shipper.stop().await;
    assert_eq!(numbers(&store), (0..n).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_store_gets_lines_in_their_order_even_when_stages_hold_some_back() {
    let dir = tempfile::tempdir().unwrap();
    let (log, store) = (dir.path().join("a.log"), Arc::new(Store::default()));
    let stages = "[{multiline: {firstline: '^\\d', max_wait_time: 1ms}}]";
    let shipper =
        Shipper::start(config(dir.path(), OURS, stages), &around(Some(Arc::clone(&store)))).unwrap();
    let total = 3000;
    for n in 0..total {
        append(&log, &format!("{n}\n"));
        if n % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
    until("all lines arrive", || store.lines.lock().len() >= total).await;
    shipper.stop().await;
    assert_eq!(numbers(&store), (0..total).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_full_makes_readers_wait_and_positions_stay_and_memory_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::default());
    store.refusals.store(usize::MAX, Ordering::SeqCst);
    let line = "x".repeat(999);
    append(&dir.path().join("a.log"), &format!("{line}\n").repeat(40_000));
    let shipper = Shipper::start(config(dir.path(), OURS, "[]"), &around(Some(Arc::clone(&store)))).unwrap();
    let positions = dir.path().join("positions.yaml");
    until("positions are written", || positions.exists()).await;
    let mut text = String::new();
    shipper.write_metrics(&mut text);
    let read = text.lines().find_map(|l| l.strip_prefix("promtail_read_bytes_total")?.split(' ').next_back());
    let read: usize = read.unwrap().parse().unwrap();
    assert!((1..20_000_000).contains(&read), "{read} of 40 MB were read");
    assert!(fs::read_to_string(&positions).unwrap().contains("\"0\""), "nothing has been acknowledged");
    assert!(text.contains("promtail_batch_retries_total"), "{text}");
    // There is room again.
    store.refusals.store(0, Ordering::SeqCst);
    until("all lines arrive", || store.lines.lock().len() >= 40_000).await;
    until("positions follow", || fs::read_to_string(&positions).unwrap().contains("\"40000000\"")).await;
    shipper.stop().await;
    assert_eq!(store.lines.lock().len(), 40_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_fails_every_third_request_gets_every_line_once() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = receiver(|n| if n % 3 == 2 { 500 } else { 204 }).await;
    let clients = format!(
        "[{{url: '{}', batchwait: 5ms, batchsize: 20000, backoff_config: {{min_period: 5ms, max_period: 10ms}}}}]",
        receiver.url
    );
    let shipper = Shipper::start(config(dir.path(), &clients, "[]"), &around(None)).unwrap();
    let total = 20_000;
    for part in 0..20 {
        let lines: String = (part * 1000..(part + 1) * 1000).map(|n| format!("line {n}\n")).collect();
        append(&dir.path().join("a.log"), &lines);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until("all lines arrive", || receiver.seen.lock().len() == total).await;
    until("the queue is empty", || shipper.is_drained()).await;
    let mut text = String::new();
    shipper.write_metrics(&mut text);
    shipper.stop().await;
    assert!(receiver.seen.lock().values().all(|n| *n == 1));
    assert!(text.contains("promtail_request_duration_seconds_count{host="), "{text}");
    assert!(text.contains("status_code=\"500\"") && text.contains("status_code=\"204\""), "{text}");
    assert!(text.contains("reba_ship_queue_bytes") && text.contains("promtail_build_info"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_wants_to_be_left_alone_for_a_while_is() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = receiver(|n| if n == 0 { 429 } else { 204 }).await;
    let clients = format!(
        "[{{url: '{}', batchwait: 5ms, backoff_config: {{min_period: 5ms, max_period: 10ms}}}}]",
        receiver.url
    );
    append(&dir.path().join("a.log"), "x\n");
    let shipper = Shipper::start(config(dir.path(), &clients, "[]"), &around(None)).unwrap();
    until("it arrives", || !receiver.seen.lock().is_empty()).await;
    shipper.stop().await;
    let times = receiver.times.lock();
    assert!(times[1] - times[0] >= Duration::from_millis(990), "{:?}", times[1] - times[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_ten_megabytes_stays_within_its_limit() {
    for (truncate, expected) in [(false, 1), (true, 2)] {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::default());
        let mut config = config(dir.path(), OURS, "[]");
        (config.limits.max_line_size, config.limits.truncate) = (100_000, truncate);
        append(&dir.path().join("a.log"), &format!("{}\nshort\n", "\u{e9}".repeat(5_000_000)));
        let shipper = Shipper::start(config, &around(Some(Arc::clone(&store)))).unwrap();
        until("what is short arrives", || store.lines.lock().iter().any(|(_, l)| l == "short")).await;
        let mut text = String::new();
        shipper.write_metrics(&mut text);
        shipper.stop().await;
        let lines = store.lines.lock();
        assert_eq!(lines.len(), expected);
        assert!(lines.iter().all(|(_, l)| l.len() <= 100_000));
        let bytes = if truncate { "promtail_mutated_bytes_total" } else { "promtail_dropped_bytes_total" };
        let lost: usize =
            text.lines().find_map(|l| l.strip_prefix(bytes)?.split(' ').next_back()?.parse().ok()).unwrap();
        assert!(lost >= 9_900_000, "{lost}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_jobs_read_one_file_each_at_its_own_pace_through_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::default());
    let job = |name: &str| {
        format!(
            "- job_name: {name}\n  static_configs: [{{labels: {{job: {name}, __path__: 'DIR/a.log'}}}}]\n"
        )
    };
    let text = format!("positions: {{filename: DIR/p.yaml}}\nscrape_configs:\n{}{}", job("a"), job("b"));
    for round in 1..=3 {
        append(&dir.path().join("a.log"), &format!("{round}\n"));
        let shipper = Shipper::start(parse(dir.path(), &text), &around(Some(Arc::clone(&store)))).unwrap();
        until("both have it", || store.lines.lock().len() >= 2 * round).await;
        shipper.stop().await;
        assert_eq!(store.lines.lock().len(), 2 * round);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_files_are_read_where_that_is_asked_for_and_passed_over_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::default());
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(b"one\ntwo\n").unwrap();
    let gz = gz.finish().unwrap();
    // It is still being written when it is found.
    fs::write(dir.path().join("a.gz"), &gz[..gz.len() - 9]).unwrap();
    let job = |name: &str, more: &str| {
        format!(
            "- job_name: {name}\n  static_configs: [{{labels: {{job: {name}, __path__: 'DIR/*.gz'}}}}]\n{more}"
        )
    };
    let packed = job("packed", "  decompression: {enabled: true, format: gz}\n");
    let text = format!("positions: {{filename: DIR/p.yaml}}\nscrape_configs:\n{packed}{}", job("plain", ""));
    let shipper = Shipper::start(parse(dir.path(), &text), &around(Some(Arc::clone(&store)))).unwrap();
    until("it is found", || !shipper.targets().is_empty()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    fs::write(dir.path().join("a.gz"), &gz).unwrap();
    until("both lines arrive", || store.lines.lock().len() >= 2).await;
    shipper.stop().await;
    let lines: Vec<String> = store.lines.lock().iter().map(|(_, l)| l.clone()).collect();
    assert_eq!(lines, ["one", "two"]);
    assert!(store.lines.lock().iter().all(|(labels, _)| labels.contains("job=\"packed\"")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_files_cost_next_to_nothing_while_they_are_silent_and_none_is_late() {
    let dir = tempfile::tempdir().unwrap();
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let files = usize::try_from(most.saturating_sub(300)).unwrap().min(10_000);
    for n in 0..files {
        fs::write(dir.path().join(format!("{n}.log")), format!("{n}\n")).unwrap();
    }
    let store = Arc::new(Store::default());
    let text = "positions: {filename: DIR/p.yaml}\nscrape_configs:\n- job_name: j\n  static_configs: [{labels: {job: j, __path__: 'DIR/*.log'}}]\n";
    let shipper = Shipper::start(parse(dir.path(), text), &around(Some(Arc::clone(&store)))).unwrap();
    until("all are read", || store.lines.lock().len() == files).await;
    // A line in one of them is there at once, not when its turn comes.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let begun = std::time::Instant::now();
    append(&dir.path().join("77.log"), "new\n");
    until("the new line arrives", || store.lines.lock().len() == files + 1).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    shipper.stop().await;
}

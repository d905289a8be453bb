//! From files to stores, with everything in between.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use parking_lot::Mutex;
use reba_config::Variables;
use reba_disk::Env;
use reba_http::ProxyEnv;
use reba_ingest::wire::Fields;
use reba_model::{LogBatch, Tenant};
use reba_ship::{ShipConfig, Shipper, Surroundings, system_now_ns};
use reba_storage::{AppendError, LogAppender, LogReport};

/// Notes every line that it takes, and takes none while it is away.
#[derive(Default)]
struct Store {
    lines: Mutex<Vec<(String, String)>>,
    refusals: AtomicUsize,
}

impl LogAppender for Store {
    fn append_logs(&self, _: &Tenant, batch: &LogBatch) -> Result<LogReport, AppendError> {
        let left = |n: usize| n.checked_sub(1);
        if self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_ok() {
            return Err(AppendError::Full("test".to_owned()));
        }
        let mut lines = self.lines.lock();
        for stream in batch.streams() {
            lines.extend(stream.entries().map(|e| (stream.labels().to_string(), e.line.to_owned())));
        }
        Ok(LogReport { appended: batch.len(), duplicates: 0 })
    }
}

fn around(store: Option<Arc<Store>>) -> Surroundings {
    let is_ours: reba_ship::IsOurs = Arc::new(|uri| uri.host() == Some("ours"));
    Surroundings {
        env: Env::real(),
        store: store.map(|s| (s as Arc<dyn LogAppender>, is_ours)),
        host: "here".to_owned(),
        now_ns: Arc::new(system_now_ns),
        user_agent: "test".to_owned(),
        proxies: ProxyEnv::default(),
    }
}

fn config(dir: &Path, clients: &str, stages: &str) -> ShipConfig {
    let dir = dir.display();
    let text = format!(
        "positions: {{filename: {dir}/positions.yaml, sync_period: 100ms}}\n\
         global: {{file_watch_config: {{min_poll_frequency: 10ms}}}}\n\
         target_config: {{sync_period: 50ms}}\n\
         clients: {clients}\n\
         scrape_configs:\n\
         - job_name: files\n\
         \x20 static_configs: [{{labels: {{job: j, __path__: '{dir}/*.log*'}}}}]\n\
         \x20 pipeline_stages: {stages}\n"
    );
    ShipConfig::parse(&text, Path::new("p.yml"), &Variables::default()).unwrap()
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1500 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

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

/// A receiver over HTTP that answers with these statuses first.
async fn receiver(statuses: Vec<u16>) -> (String, Arc<Mutex<BTreeMap<String, usize>>>) {
    let seen: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let (into, answered) = (Arc::clone(&seen), Arc::new(AtomicUsize::new(0)));
    let push = post(move |body: Bytes| async move {
        let i = answered.fetch_add(1, Ordering::SeqCst);
        let status = statuses.get(i).copied().unwrap_or(204);
        if status == 204 {
            let plain = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
            for stream in Fields::new(&plain) {
                for field in Fields::new(stream.unwrap().bytes().unwrap()) {
                    let field = field.unwrap();
                    if field.number == 2 {
                        let parts = Fields::new(field.bytes().unwrap()).map(Result::unwrap);
                        let line = parts.filter(|f| f.number == 2).map(|f| f.string().unwrap().to_owned());
                        *into.lock().entry(line.collect()).or_default() += 1;
                    }
                }
            }
        }
        (StatusCode::from_u16(status).unwrap(), "said no\nmore")
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/push", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/push", push)).await });
    (url, seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_was_away_for_long_gets_everything_and_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (away, late) = receiver(vec![503; 20]).await;
    let (there, early) = receiver(vec![]).await;
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
    let (url, seen) = receiver(vec![400]).await;
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

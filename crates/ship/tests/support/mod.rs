//! What tests of the whole shipper have in common.
#![allow(missing_docs, dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use parking_lot::Mutex;
use reba_config::Variables;
use reba_disk::Env;
use reba_http::ProxyEnv;
use reba_ingest::wire::Fields;
use reba_model::{LogBatch, Tenant};
use reba_ship::{ShipConfig, Surroundings, system_now_ns};
use reba_storage::{AppendError, LogAppender, LogReport};

/// Notes every line that it takes, and takes none while it is away.
#[derive(Default)]
pub struct Store {
    pub lines: Mutex<Vec<(String, String)>>,
    pub refusals: AtomicUsize,
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

pub fn around(store: Option<Arc<Store>>) -> Surroundings {
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

pub fn config(dir: &Path, clients: &str, stages: &str) -> ShipConfig {
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

pub fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

pub async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1500 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

/// A receiver over HTTP: how often it took each line.
pub struct Receiver {
    pub url: String,
    pub seen: Arc<Mutex<BTreeMap<String, usize>>>,
    /// When requests came.
    pub times: Arc<Mutex<Vec<Instant>>>,
}

/// A receiver that answers as `status` says of the number of the request.
pub async fn receiver(status: impl Fn(usize) -> u16 + Send + Sync + 'static) -> Receiver {
    let seen: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let (into, when, status) = (Arc::clone(&seen), Arc::clone(&times), Arc::new(status));
    let push = post(move |body: Bytes| async move {
        let number = {
            let mut times = when.lock();
            times.push(Instant::now());
            times.len() - 1
        };
        let status = status(number);
        if status == 204 {
            for line in lines_of(&body) {
                *into.lock().entry(line).or_default() += 1;
            }
        }
        (
            StatusCode::from_u16(status).unwrap(),
            [("retry-after", if status == 429 { "1" } else { "0" })],
            "said no\nmore",
        )
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/push", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/push", push)).await });
    Receiver { url, seen, times }
}

fn lines_of(body: &[u8]) -> Vec<String> {
    let plain = snap::raw::Decoder::new().decompress_vec(body).unwrap();
    let mut out = Vec::new();
    for stream in Fields::new(&plain) {
        for field in
            Fields::new(stream.unwrap().bytes().unwrap()).map(Result::unwrap).filter(|f| f.number == 2)
        {
            let parts = Fields::new(field.bytes().unwrap()).map(Result::unwrap);
            out.push(parts.filter(|f| f.number == 2).map(|f| f.string().unwrap().to_owned()).collect());
        }
    }
    out
}

//! The same targets scraped by the real Prometheus and by us give the same series. Runs where a `prometheus` is at hand
//! (named by `REBA_PROMETHEUS`, or unpacked under `target/peers`).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{Router, http::header, response::IntoResponse, routing::get};
use reba_http::{BodyBuffer, Client, HttpClientConfig, ProxyEnv, Request};
use reba_ingest::{
    config::Config,
    scrape::{ScrapeManager, ScrapeOptions},
};
use reba_model::{Labels, TimeRange};
use reba_storage::{Budget, MetricQuerier};
use reba_testkit::MemStore;

/// No `le="1"`, which since 3.0 becomes `1.0` in every format: the packaged program may be older.
const PAGE: &str = "# TYPE rides counter\nrides{job=\"own\",instance=\"x\",zone=\"a b\"} 3 \n\
    # TYPE lat histogram\nlat_bucket{le=\"1.5\"} 1\nlat_bucket{le=\"+Inf\"} 2\nlat_sum 3.5\nlat_count 2\n\
    drop_me 1\nexported_job_clash{exported_job=\"e\",job=\"j\"} 1\nodd{q=\"a\\\"b\\\\c\\nd\",empty=\"\"} +Inf\n\
    shard{k=\"one\"} 1\nshard{k=\"two\"} 1\nrenamed_x_total 5\n";

fn config(address: &str) -> String {
    format!(
        "global: {{scrape_interval: 500ms, scrape_timeout: 400ms}}
scrape_configs:
- job_name: plain
  static_configs: [{{targets: ['{address}'], labels: {{env: prod, zone: target}}}}]
- job_name: honoring
  honor_labels: true
  params: {{module: [one, two]}}
  static_configs: [{{targets: ['{address}']}}]
- job_name: rewriting
  metrics_path: /other
  static_configs: [{{targets: ['{address}', 'dropped:1'], labels: {{__meta_team: wallet, path: /metrics}}}}]
  relabel_configs:
  - {{source_labels: [__address__], regex: 'dropped.*', action: drop}}
  - {{source_labels: [path], target_label: __metrics_path__}}
  - {{regex: '__meta_(.+)', action: labelmap}}
  - {{regex: path, action: labeldrop}}
  - {{source_labels: [team], target_label: TEAM, action: uppercase}}
  - {{source_labels: [__address__, job], separator: '/', target_label: instance}}
  metric_relabel_configs:
  - {{source_labels: [__name__], regex: 'drop_.*', action: drop}}
  - {{source_labels: [k], target_label: shard, modulus: 7, action: hashmod}}
  - {{source_labels: [__name__], regex: 'renamed_(.*)', target_label: __name__, replacement: 'new_$1'}}
  - {{source_labels: [zone], regex: '(.) (.)', target_label: zone, replacement: '${{2}}-$1-$$'}}
"
    )
}

fn peer() -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/usr/bin/prometheus");
    let peer = std::env::var_os("REBA_PROMETHEUS").map_or(unpacked, PathBuf::from);
    peer.is_file().then_some(peer)
}

struct Kill(Child);

impl Drop for Kill {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn theirs(port: u16) -> BTreeSet<String> {
    let client = Client::new(&HttpClientConfig::default(), "reba-test", &ProxyEnv::default()).unwrap();
    let url = format!("http://127.0.0.1:{port}/api/v1/series?match[]=%7Bjob%21%3D%22%22%7D");
    let mut buffer = BodyBuffer::default();
    let request = Request::get(url.parse().unwrap(), Duration::from_secs(5), 10 << 20);
    if client.send(request, &mut buffer).await.is_err() {
        return BTreeSet::new();
    }
    let answer: serde_json::Value = serde_json::from_slice(&buffer.data).unwrap_or_default();
    let labels = |s: &serde_json::Value| {
        let pairs = s.as_object().unwrap().iter().map(|(n, v)| (n.clone(), v.as_str().unwrap().to_owned()));
        Labels::from_pairs(pairs.collect::<Vec<_>>()).to_string()
    };
    answer["data"].as_array().map(|d| d.iter().map(labels).collect()).unwrap_or_default()
}

fn ours(store: &MemStore) -> BTreeSet<String> {
    let series = store.series(&[], TimeRange::ALL, &Budget::unlimited()).unwrap();
    series.iter().map(Labels::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_prometheus_makes_the_same_series_of_the_same_targets() {
    let Some(peer) = peer() else {
        println!("skipped: no prometheus at hand");
        return;
    };
    let page = || async { ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], PAGE).into_response() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let app = Router::new().route("/metrics", get(page));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("prometheus.yml");
    std::fs::write(&file, config(&address)).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _peer = Kill(
        Command::new(peer)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let store = Arc::new(MemStore::default());
    let options = ScrapeOptions {
        seed: 0,
        user_agent: "reba".to_owned(),
        proxies: ProxyEnv::default(),
        default_port: true,
        cpus: 2,
        max_page_bytes: 1 << 30,
        clock: Arc::new(|| {
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as i64
        }),
    };
    let manager = ScrapeManager::new(store.clone(), options);
    manager.apply_config(&Config::load(&file).unwrap()).unwrap();
    let (mut a, mut b) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..150 {
        (a, b) = (ours(&store), theirs(port).await);
        if a == b && a.len() > 40 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{} series of ours, {} of theirs", a.len(), b.len());
    assert_eq!(a.difference(&b).collect::<Vec<_>>(), [""; 0], "only ours");
    assert_eq!(b.difference(&a).collect::<Vec<_>>(), [""; 0], "only theirs");
    assert!(a.len() > 40);
}

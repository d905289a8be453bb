//! Scraping real servers into the RAM store.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use reba_http::ProxyEnv;
use reba_ingest::{
    config::Config,
    scrape::{Health, ScrapeManager, ScrapeOptions, TargetStatus},
};
use reba_model::{Matcher, SampleColumns, TimeRange, is_stale_nan};
use reba_storage::{Budget, MetricQuerier, SelectHints, SelectRequest};
use reba_testkit::MemStore;

/// A server on a free port.
async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

fn page(text: &'static str) -> Router {
    Router::new().route("/metrics", get(move || async move { metrics(text) }))
}

fn metrics(text: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text.into()).into_response()
}

struct Harness {
    store: Arc<MemStore>,
    manager: ScrapeManager,
}

impl Harness {
    fn new() -> Self {
        let store = Arc::new(MemStore::default());
        let options = ScrapeOptions {
            seed: 1,
            user_agent: "Prometheus/2.48.0".to_owned(),
            proxies: ProxyEnv::default(),
            default_port: true,
            cpus: 2,
            max_page_bytes: 1 << 30,
            clock: Arc::new(|| {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
                now.as_nanos() as i64
            }),
        };
        Harness { manager: ScrapeManager::new(store.clone(), options), store }
    }

    fn apply(&self, yaml: &str) {
        self.manager.apply_config(&Config::parse(yaml, Path::new("prometheus.yml")).unwrap()).unwrap();
    }

    /// A harness that scrapes one target every 100 ms.
    async fn scraping(address: &str, more: &str) -> Self {
        let h = Harness::new();
        h.apply(&job("j", address, more));
        h.until("the first scrape", |h| h.targets().iter().any(|t| t.last.at.is_some())).await;
        h
    }

    fn targets(&self) -> Vec<TargetStatus> {
        self.manager.targets().into_iter().flat_map(|p| p.active).collect()
    }

    fn target(&self) -> TargetStatus {
        self.targets().pop().expect("a target")
    }

    /// Waits until `what` holds, at most ten seconds.
    async fn until(&self, what: &str, holds: impl Fn(&Harness) -> bool) {
        for _ in 0..1000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what} did not happen: {:?}", self.targets().iter().map(|t| &t.last).collect::<Vec<_>>());
    }

    /// Series of a metric with their samples, sorted by labels.
    fn series(&self, name: &str) -> Vec<(String, Vec<(i64, f64)>)> {
        let budget = Budget::unlimited();
        let request = SelectRequest {
            matchers: &[Matcher::equal("__name__", name)],
            range: TimeRange::ALL,
            hints: &SelectHints::default(),
            budget: &budget,
        };
        let mut out: Vec<_> = self
            .store
            .select(&request)
            .unwrap()
            .into_iter()
            .map(|s| {
                let mut columns = SampleColumns::default();
                s.read_into(TimeRange::ALL, &mut columns).unwrap();
                (s.labels.to_string(), columns.t.into_iter().zip(columns.v).collect::<Vec<_>>())
            })
            .collect();
        out.sort_by(|a, b| a.0.cmp(&b.0));
        out
    }

    fn last(&self, name: &str) -> Option<f64> {
        self.series(name).first().and_then(|(_, s)| s.last()).map(|s| s.1)
    }

    fn is_stale(&self, name: &str) -> bool {
        self.last(name).is_some_and(is_stale_nan)
    }
}

fn job(name: &str, address: &str, more: &str) -> String {
    format!(
        "scrape_configs:\n- job_name: {name}\n  scrape_interval: 100ms\n  scrape_timeout: 90ms\n  \
         static_configs: [{{targets: ['{address}']}}]\n{more}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_is_scraped_with_up_and_report_series_on_a_regular_grid() {
    let address = serve(page("# TYPE a counter\na 1\nb{x=\"1\"} 2\n")).await;
    let h = Harness::scraping(&address, "").await;
    h.until("five scrapes", |h| h.series("up").first().is_some_and(|s| s.1.len() >= 5)).await;
    let (labels, samples) = h.series("a").remove(0);
    assert_eq!(labels, format!("{{__name__=\"a\", instance=\"{address}\", job=\"j\"}}"));
    assert!(samples.iter().all(|s| s.1 == 1.0));
    assert_eq!(h.last("up"), Some(1.0));
    assert_eq!(h.last("scrape_samples_scraped"), Some(2.0));
    assert_eq!(h.last("scrape_samples_post_metric_relabeling"), Some(2.0));
    assert_eq!(h.series("scrape_series_added")[0].1[0].1, 2.0);
    assert_eq!(h.last("scrape_series_added"), Some(0.0));
    assert!(h.last("scrape_timeout_seconds").is_none());
    let t = h.target();
    assert_eq!((t.last.health, t.last.error.as_str()), (Health::Up, ""));
    assert_eq!(t.metadata["a"].kind, reba_model::MetricType::Counter);
    assert_eq!(t.target.url.to_string(), format!("http://{address}/metrics"));
    h.manager.shutdown().await;
    assert!(!h.is_stale("a"), "no markers at shutdown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_request_says_what_upstreams_says() {
    let seen: Arc<parking_lot::Mutex<HeaderMap>> = Arc::default();
    let app = Router::new()
        .route(
            "/metrics",
            get(|State(seen): State<Arc<parking_lot::Mutex<HeaderMap>>>, headers: HeaderMap| async move {
                *seen.lock() = headers;
                metrics("a 1\n")
            }),
        )
        .with_state(seen.clone());
    let address = serve(app).await;
    let h = Harness::scraping(&address, "  basic_auth: {username: me, password: s3cret}\n").await;
    let seen = seen.lock().clone();
    let header = |name: &str| seen.get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
    assert_eq!(header("user-agent"), "Prometheus/2.48.0");
    assert_eq!(header("x-prometheus-scrape-timeout-seconds"), "0.09");
    assert_eq!(header("accept-encoding"), "gzip");
    assert!(header("accept").starts_with("application/openmetrics-text;version=1.0.0"));
    assert_eq!(header("authorization"), "Basic bWU6czNjcmV0");
    assert_eq!(h.last("up"), Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_that_vanish_and_targets_that_fail_go_stale() {
    let state = Arc::new(AtomicUsize::new(0));
    let app = Router::new()
        .route(
            "/metrics",
            get(|State(state): State<Arc<AtomicUsize>>| async move {
                match state.load(Ordering::SeqCst) {
                    0 => metrics("a 1\nb 2\n"),
                    1 => metrics("a 1\n"),
                    _ => StatusCode::NOT_FOUND.into_response(),
                }
            }),
        )
        .with_state(state.clone());
    let address = serve(app).await;
    let h = Harness::scraping(&address, "").await;
    assert_eq!(h.last("b"), Some(2.0));
    state.store(1, Ordering::SeqCst);
    h.until("b going stale", |h| h.is_stale("b")).await;
    assert_eq!(h.last("a"), Some(1.0));
    state.store(2, Ordering::SeqCst);
    h.until("a going stale", |h| h.is_stale("a")).await;
    h.until("up falling", |h| h.last("up") == Some(0.0)).await;
    let t = h.target();
    assert_eq!(
        (t.last.health, t.last.error.as_str()),
        (Health::Down, "server returned HTTP status 404 Not Found")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_never_ends_meets_the_timeout() {
    let app = Router::new().route(
        "/metrics",
        get(|| async {
            let drip = futures::stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Ok::<_, std::io::Error>(Bytes::from_static(b"#\n")), ()))
            });
            metrics(Body::from_stream(drip))
        }),
    );
    let address = serve(app).await;
    let h = Harness::scraping(&address, "").await;
    let t = h.target();
    assert_eq!(t.last.error, format!("Get \"http://{address}/metrics\": context deadline exceeded"));
    assert!(t.last.duration < Duration::from_secs(2));
    assert_eq!(h.last("up"), Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_fail_the_scrape_and_are_counted_while_decompressing() {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for i in 0..10_000 {
        writeln!(gzip, "m{{i=\"{i}\"}} 1").unwrap();
    }
    let body = gzip.finish().unwrap();
    let app = Router::new().route(
        "/metrics",
        get(|| async move {
            let headers = [(header::CONTENT_TYPE, "text/plain"), (header::CONTENT_ENCODING, "gzip")];
            (headers, body).into_response()
        }),
    );
    let address = serve(app).await;
    for (more, error, up) in [
        ("  body_size_limit: 50KB\n", "body size limit exceeded", 0.0),
        ("  sample_limit: 100\n", "sample limit exceeded", 0.0),
        ("  label_limit: 2\n", "label", 0.0),
        ("  body_size_limit: 1MB\n  sample_limit: 10000\n", "", 1.0),
    ] {
        let h = Harness::scraping(&address, &format!("  extra_scrape_metrics: true\n{more}")).await;
        let t = h.target();
        assert!(
            t.last.error.contains(error) && t.last.error.is_empty() == error.is_empty(),
            "{}",
            t.last.error
        );
        assert_eq!(h.last("up"), Some(up), "{more}");
        if error.starts_with("body") {
            assert_eq!(h.last("scrape_body_size_bytes"), Some(-1.0));
        }
        h.manager.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zstd_redirects_and_honored_labels_work() {
    let app = Router::new().route("/metrics", get(|| async { Redirect::temporary("/real") })).route(
        "/real",
        get(|| async {
            let body = zstd::encode_all(&b"a{job=\"mine\"} 1\n"[..], 1).unwrap();
            ([(header::CONTENT_TYPE, "text/plain"), (header::CONTENT_ENCODING, "zstd")], body).into_response()
        }),
    );
    let address = serve(app).await;
    let h = Harness::scraping(&address, "  honor_labels: true\n").await;
    assert!(h.series("a")[0].0.contains("job=\"mine\""));
    let h = Harness::scraping(&address, "").await;
    assert!(h.series("a")[0].0.contains("exported_job=\"mine\""));
    let h = Harness::scraping(&address, "  follow_redirects: false\n").await;
    assert_eq!(h.target().last.error, "server returned HTTP status 307 Temporary Redirect");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_leaves_what_did_not_change_and_removed_targets_go_stale() {
    let address = serve(page("a 1\n")).await;
    let other = serve(page("b 1\n")).await;
    let both = |more: &str| {
        let second = job("k", &other, "").replace("scrape_configs:\n", "");
        format!("{}{second}", job("j", &address, more))
    };
    let h = Harness::new();
    h.apply(&both(""));
    h.until("both up", |h| h.targets().len() == 2 && h.targets().iter().all(|t| t.last.health == Health::Up))
        .await;
    let before = h.targets();
    // Only j changes: k's target is the very same, j's keeps what is known about it, and no series goes stale.
    h.apply(&both("  sample_limit: 100\n"));
    h.until("j's new loop", |h| h.targets().iter().any(|t| !Arc::ptr_eq(&t.target, &before[0].target))).await;
    let after = h.targets();
    assert!(
        Arc::ptr_eq(&before[1].target, &after[1].target),
        "the target of the job that did not change stays"
    );
    assert_eq!(after[0].last.health, Health::Up);
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(h.series("a")[0].1.iter().all(|s| s.1 == 1.0), "no marker after a reload");
    let times: Vec<i64> = h.series("a")[0].1.iter().map(|s| s.0).collect();
    assert!(times.windows(2).all(|w| w[1] - w[0] < 250), "no scrape is lost: {times:?}");
    // k goes: its series go stale after a while, those of j do not.
    h.apply(&job("j", &address, "  sample_limit: 100\n"));
    h.until("b going stale", |h| h.is_stale("b")).await;
    assert!(h.series("up").iter().any(|(_, s)| is_stale_nan(s.last().unwrap().1)));
    assert_eq!(h.last("a"), Some(1.0));
    assert_eq!(h.manager.pool_names(), ["j"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_targets_fail_all_and_files_bring_new_ones() {
    let address = serve(page("a 1\n")).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.json");
    std::fs::write(&file, format!("[{{\"targets\":[\"{address}\"]}}]")).unwrap();
    let h = Harness::new();
    h.apply(&format!(
        "scrape_configs:\n- job_name: j\n  scrape_interval: 100ms\n  scrape_timeout: 90ms\n  target_limit: 1\n  \
         file_sd_configs: [{{files: ['{}'], refresh_interval: 100ms}}]\n",
        file.display()
    ));
    h.until("up", |h| h.last("up") == Some(1.0)).await;
    let url = format!("http://{address}/metrics");
    assert_eq!(h.target().target.url.to_string(), url);
    std::fs::write(&file, format!("[{{\"targets\":[\"{address}\", \"127.0.0.1:1\"]}}]")).unwrap();
    h.until("all failing", |h| {
        h.targets().len() == 2 && h.targets().iter().all(|t| t.last.error.contains("target_limit exceeded"))
    })
    .await;
    assert!(h.is_stale("a"));
    std::fs::write(&file, format!("[{{\"targets\":[\"{address}\"]}}]")).unwrap();
    h.until("recovery", |h| h.targets().len() == 1 && h.last("a") == Some(1.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_down_says_why_and_comes_back() {
    let up = Arc::new(AtomicBool::new(false));
    let app = Router::new()
        .route(
            "/metrics",
            get(|State(up): State<Arc<AtomicBool>>| async move {
                if up.load(Ordering::SeqCst) { metrics("a 1\n") } else { metrics("a{ 1\n") }
            }),
        )
        .with_state(up.clone());
    let address = serve(app).await;
    let h = Harness::scraping(&address, "").await;
    assert_eq!(h.target().last.health, Health::Down);
    assert!(!h.target().last.error.is_empty());
    up.store(true, Ordering::SeqCst);
    h.until("up", |h| h.last("up") == Some(1.0)).await;
    let h = Harness::scraping("127.0.0.1:1", "").await;
    assert_eq!(
        h.target().last.error,
        "Get \"http://127.0.0.1:1/metrics\": dial tcp 127.0.0.1:1: connect: connection refused"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_that_the_store_has_dropped_is_asked_for_anew() {
    use reba_storage::MetricAppender;
    let address = serve(page("a 1\nb 2\n")).await;
    let h = Harness::scraping(&address, "").await;
    for name in ["a", "up"] {
        let labels = [("__name__", name), ("instance", address.as_str()), ("job", "j")];
        h.store.forget(h.store.series_ref(&reba_model::Labels::from_pairs(labels)).unwrap());
    }
    h.until("a and up coming back", |h| h.last("a") == Some(1.0) && h.last("up") == Some(1.0)).await;
    assert!(!h.is_stale("b"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_target_says_of_itself_loses_against_the_report() {
    let address = serve(page("up 7\na 1\n")).await;
    let h = Harness::scraping(&address, "").await;
    h.until("three scrapes", |h| h.series("a").first().is_some_and(|s| s.1.len() >= 3)).await;
    assert_eq!(h.series("up").len(), 1);
    assert!(h.series("up")[0].1.iter().all(|s| s.1 == 1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_configuration_that_cannot_work_leaves_the_old_one() {
    let address = serve(page("a 1\n")).await;
    let h = Harness::scraping(&address, "").await;
    let bad = job("j", &address, "  proxy_url: 'gopher://proxy:1'\n");
    let bad = Config::parse(&bad, Path::new("prometheus.yml")).unwrap();
    let e = h.manager.apply_config(&bad).unwrap_err();
    assert_eq!(
        e.to_string(),
        "scrape pool \"j\": error creating HTTP client: unsupported proxy scheme \"gopher\""
    );
    let before = h.series("a")[0].1.len();
    h.until("more scrapes", |h| h.series("a")[0].1.len() > before + 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_keeps_the_targets_of_a_source_until_the_new_one_answers() {
    let answers = Arc::new(AtomicBool::new(false));
    let address = serve(page("a 1\n")).await;
    let list = format!("[{{\"targets\": [\"{address}\"]}}]");
    fn json(list: String) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], list).into_response()
    }
    let now = list.clone();
    let app = Router::new().route("/now", get(move || async move { json(now) })).route(
        "/later",
        get(|State(answers): State<Arc<AtomicBool>>| async move {
            let found = answers.load(Ordering::SeqCst);
            if found { json("[]".to_owned()) } else { StatusCode::SERVICE_UNAVAILABLE.into_response() }
        }),
    );
    let source = serve(app.with_state(answers.clone())).await;
    let config = |path: &str| {
        format!(
            "scrape_configs:\n- job_name: j\n  scrape_interval: 100ms\n  scrape_timeout: 90ms\n  \
             http_sd_configs: [{{url: 'http://{source}/{path}', refresh_interval: 200ms}}]\n"
        )
    };
    let h = Harness::new();
    h.apply(&config("now"));
    h.until("a", |h| h.last("a") == Some(1.0)).await;
    h.apply(&config("later"));
    let before = h.series("a")[0].1.len();
    h.until("more of a", |h| h.series("a")[0].1.len() > before + 10).await;
    assert_eq!(h.targets().len(), 1);
    answers.store(true, Ordering::SeqCst);
    h.until("the target going", |h| h.targets().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_scrapes_are_told_to_the_file_that_the_job_names() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let more = format!("  scrape_failure_log_file: '{}'\n", file.path().display());
    let h = Harness::scraping("127.0.0.1:1", &more).await;
    let text = std::fs::read_to_string(file.path()).unwrap();
    let line = text.lines().next().unwrap();
    for part in [
        "\"level\":\"ERROR\"",
        "connection refused\",\"job_name\":\"j\"",
        "\"target\":\"http://127.0.0.1:1/metrics\"",
    ] {
        assert!(line.contains(part), "{line}");
    }
    drop(h);
}

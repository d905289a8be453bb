//! Sending to a receiver that works, fails, hangs, asks for patience, or goes away for a while.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, response::IntoResponse};
use reba_disk::Env;
use reba_http::ProxyEnv;
use reba_ingest::{
    config::{Config, RemoteWriteConfig},
    remote_write::{RemoteWriteLimits, RemoteWriteReceiver},
};
use reba_model::{Exemplar, Histogram, Labels, Matcher, SampleColumns, TimeRange};
use reba_remote::{QueueLimits, RemoteWrite, RemoteWriteOptions};
use reba_storage::{
    AppendMode, Budget, FloatSample, MetricAppender, MetricQuerier, SelectHints, SelectRequest, SeriesRef,
    WriteBatch,
};
use reba_testkit::{MemConfig, MemStore};

/// What the receiver does with a request, by its number.
type Mood = Box<dyn Fn(usize) -> Option<axum::response::Response> + Send + Sync>;

struct Receiver {
    store: Arc<MemStore>,
    receiver: RemoteWriteReceiver,
    requests: AtomicUsize,
    headers: Mutex<Vec<HeaderMap>>,
    mood: Mood,
}

async fn receive(
    State(r): State<Arc<Receiver>>,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    let n = r.requests.fetch_add(1, Ordering::SeqCst);
    let v2 = headers["content-type"].to_str().unwrap().contains("v2");
    r.headers.lock().unwrap().push(headers);
    if let Some(answer) = (r.mood)(n) {
        if answer.status() == StatusCode::REQUEST_TIMEOUT {
            std::future::pending::<()>().await;
        }
        return answer;
    }
    if v2 {
        let done = r.receiver.handle_v2(&body, i64::MAX).unwrap();
        assert_eq!(done.refused.text(), None);
    } else {
        r.receiver.handle_v1(&body, i64::MAX).unwrap();
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn receiver(mood: Mood) -> (Arc<Receiver>, SocketAddr) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (serve(mood, listener), address)
}

fn serve(mood: Mood, listener: tokio::net::TcpListener) -> Arc<Receiver> {
    let store = Arc::new(MemStore::new(MemConfig::default()));
    let receiver = Arc::new(Receiver {
        receiver: RemoteWriteReceiver::new(Arc::clone(&store) as _, RemoteWriteLimits::with_seed(1)),
        store,
        requests: AtomicUsize::new(0),
        headers: Mutex::default(),
        mood,
    });
    let app = Router::new().fallback(receive).with_state(Arc::clone(&receiver));
    tokio::spawn(async move { axum::serve(listener, app).await });
    receiver
}

fn configs(yaml: &str) -> Vec<RemoteWriteConfig> {
    Config::parse(yaml, std::path::Path::new("prometheus.yml")).unwrap().remote_write
}

fn to(address: SocketAddr, more: &str) -> Vec<RemoteWriteConfig> {
    configs(&format!(
        "remote_write:\n- url: http://{address}/w\n  name: r\n  remote_timeout: 500ms\n\
         \x20 queue_config: {{batch_send_deadline: 50ms, max_samples_per_send: 10, min_backoff: 5ms, max_backoff: 20ms, retry_on_http_429: true}}\n{more}"
    ))
}

/// A store with remote write before it.
struct Source {
    folder: tempfile::TempDir,
    remote: RemoteWrite,
    appender: Arc<dyn MetricAppender>,
    names: Arc<Mutex<BTreeMap<SeriesRef, Labels>>>,
}

fn open(folder: tempfile::TempDir, limits: QueueLimits) -> Source {
    let remote = RemoteWrite::new(RemoteWriteOptions {
        env: Env::real(),
        path: folder.path().join("remote"),
        limits,
        user_agent: "test".to_owned(),
        proxies: ProxyEnv::default(),
    });
    let names: Arc<Mutex<BTreeMap<SeriesRef, Labels>>> = Arc::default();
    let known = Arc::clone(&names);
    let store = Arc::new(MemStore::new(MemConfig::default()));
    let labels_of = Arc::new(move |r: SeriesRef| known.lock().unwrap().get(&r).cloned());
    let appender = remote.appender(store, labels_of);
    Source { folder, remote, appender, names }
}

fn source() -> Source {
    open(tempfile::tempdir().unwrap(), QueueLimits::default())
}

impl Source {
    fn series(&self, i: usize) -> SeriesRef {
        let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("i", i.to_string())]);
        let series = self.appender.series_ref(&labels).unwrap();
        self.names.lock().unwrap().insert(series, labels);
        series
    }

    /// One sample of each of `series` series at each of `times`.
    fn write(&self, series: usize, times: std::ops::Range<i64>) {
        for t in times {
            let mut batch = WriteBatch::default();
            for i in 0..series {
                batch.floats.push(FloatSample { series: self.series(i), t, v: t as f64 + i as f64 / 1000.0 });
            }
            let report = self.appender.append(&batch, AppendMode::Partial).unwrap();
            assert_eq!(report.rejected, []);
        }
    }

    async fn restart(self) -> Source {
        self.remote.shutdown().await;
        open(self.folder, QueueLimits::default())
    }
}

fn stored(store: &MemStore) -> BTreeMap<String, Vec<i64>> {
    let matchers = [Matcher::equal("__name__", "m")];
    let (hints, budget) = (SelectHints::default(), Budget::unlimited());
    let request =
        SelectRequest { matchers: &matchers, range: TimeRange::ALL, hints: &hints, budget: &budget };
    let mut columns = SampleColumns::default();
    let mut out = BTreeMap::new();
    for series in store.select(&request).unwrap() {
        series.read_into(TimeRange::ALL, &mut columns).unwrap();
        out.insert(series.labels.value("i").to_owned(), columns.t.clone());
    }
    out
}

fn stored_histograms(store: &MemStore) -> Vec<Histogram> {
    let request = SelectRequest {
        matchers: &[],
        range: TimeRange::ALL,
        hints: &SelectHints::default(),
        budget: &Budget::unlimited(),
    };
    let mut out = Vec::new();
    for series in store.select(&request).unwrap() {
        let mut columns = SampleColumns::default();
        series.read_into(TimeRange::ALL, &mut columns).unwrap();
        out.extend(columns.h.iter().map(|s| Histogram::clone(&s.h)));
    }
    out
}

async fn until(what: &str, mut check: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if check() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within ten seconds: {what}");
}

/// All of `series` series with all of `times`, each once and in order.
async fn arrives(store: &MemStore, series: usize, times: std::ops::Range<i64>) {
    let expected: BTreeMap<String, Vec<i64>> =
        (0..series).map(|i| (i.to_string(), times.clone().collect())).collect();
    until("all samples arrive", || stored(store) == expected).await;
}

fn status(code: u16) -> axum::response::Response {
    StatusCode::from_u16(code).unwrap().into_response()
}

fn always() -> Mood {
    Box::new(|_| None)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_arrives_once_and_in_order() {
    let (receiver, address) = receiver(always()).await;
    let source = source();
    source.write(3, 0..5); // before there is a receiver: not sent
    source.remote.apply(&to(address, ""), &Labels::empty()).await.unwrap();
    source.write(25, 5..30);
    arrives(&receiver.store, 25, 5..30).await;
    let metrics = Arc::clone(&source.remote.status()[0].metrics);
    assert_eq!(metrics.samples_total.load(Ordering::Relaxed), 25 * 25);
    assert_eq!(metrics.samples_failed_total.load(Ordering::Relaxed), 0);
    assert_eq!(metrics.highest_sent_ms.load(Ordering::Relaxed), 29);
    let headers = receiver.headers.lock().unwrap()[0].clone();
    assert_eq!(headers["content-encoding"], "snappy");
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(headers["x-prometheus-remote-write-version"], "0.1.0");
    assert!(!headers.contains_key("retry-attempt"));
    source.remote.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_and_hanging_receivers_are_tried_again_without_loss() {
    let (receiver, address) = receiver(Box::new(|n| match n {
        0 => Some(status(500)),
        1 => Some(status(408)), // hangs until the timeout
        2 | 5 | 9 => Some(status(503)),
        _ => None,
    }))
    .await;
    let source = source();
    source.remote.apply(&to(address, ""), &Labels::empty()).await.unwrap();
    source.write(10, 0..20);
    arrives(&receiver.store, 10, 0..20).await;
    assert!(
        receiver.headers.lock().unwrap().iter().any(|h| h.get("retry-attempt").is_some_and(|n| n == "2"))
    );
    let metrics = Arc::clone(&source.remote.status()[0].metrics);
    assert!(metrics.samples_retried_total.load(Ordering::Relaxed) >= 30);
    source.remote.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_asks_for_patience_gets_it() {
    let begun = std::time::Instant::now();
    let (receiver, address) = receiver(Box::new(|n| {
        (n == 0).then(|| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response())
    }))
    .await;
    let source = source();
    source.remote.apply(&to(address, ""), &Labels::empty()).await.unwrap();
    source.write(1, 0..5);
    arrives(&receiver.store, 1, 0..5).await;
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    source.remote.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_dropped_and_counted_and_the_rest_goes_on() {
    let (receiver, address) = receiver(Box::new(|n| if n == 0 { Some(status(400)) } else { None })).await;
    let source = source();
    source.remote.apply(&to(address, ""), &Labels::empty()).await.unwrap();
    source.write(10, 0..1);
    let metrics = Arc::clone(&source.remote.status()[0].metrics);
    until("the refusal", || metrics.samples_failed_total.load(Ordering::Relaxed) == 10).await;
    source.write(10, 1..3);
    arrives(&receiver.store, 10, 1..3).await;
    source.remote.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_may_be_away_while_we_restart() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let source = source();
    source.remote.apply(&to(address, ""), &Labels::empty()).await.unwrap();
    source.write(30, 0..10);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let source = source.restart().await;
    source.remote.apply(&to(address, ""), &Labels::empty()).await.unwrap();
    source.write(30, 10..20);
    let receiver = serve(always(), tokio::net::TcpListener::bind(address).await.unwrap());
    arrives(&receiver.store, 30, 0..20).await;
    source.remote.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_that_wait_for_more_are_not_lost_by_a_restart() {
    let (receiver, address) = receiver(always()).await;
    // An old sample, which is dropped and counted as soon as it is read, tells that those beside it are read as well.
    let config = |deadline: &str| {
        configs(&format!(
            "remote_write:\n- url: http://{address}/w\n  name: r\n  queue_config: {{batch_send_deadline: {deadline}, sample_age_limit: 1d}}\n"
        ))
    };
    let source = source();
    source.remote.apply(&config("1h"), &Labels::empty()).await.unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let mut batch = WriteBatch::default();
    for (i, t) in [(0, 1), (1, now), (2, now)] {
        batch.floats.push(FloatSample { series: source.series(i), t, v: 1.0 });
    }
    source.appender.append(&batch, AppendMode::Partial).unwrap();
    let metrics = Arc::clone(&source.remote.status()[0].metrics);
    until("they are read", || metrics.dropped_old.load(Ordering::Relaxed) == 1).await;
    assert_eq!(receiver.requests.load(Ordering::SeqCst), 0);
    let source = source.restart().await;
    source.remote.apply(&config("20ms"), &Labels::empty()).await.unwrap();
    until("they arrive", || stored(&receiver.store).values().filter(|times| **times == [now]).count() == 2)
        .await;
    source.remote.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_what_one_receiver_still_needs_and_another_has() {
    let (quick, quick_address) = receiver(always()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slow_address = listener.local_addr().unwrap();
    drop(listener);
    let queue = "queue_config: {batch_send_deadline: 20ms, min_backoff: 5ms, max_backoff: 20ms}";
    let both = configs(&format!(
        "remote_write:\n- {{url: 'http://{quick_address}/w', name: quick, {queue}}}\n- {{url: 'http://{slow_address}/w', name: slow, {queue}}}\n"
    ));
    let limits = QueueLimits { segment_bytes: 4 << 10, max_bytes: 64 << 20 };
    let source = open(tempfile::tempdir().unwrap(), limits);
    source.remote.apply(&both, &Labels::empty()).await.unwrap();
    source.write(20, 0..200);
    arrives(&quick.store, 20, 0..200).await;
    source.remote.shutdown().await;
    let source = open(source.folder, limits);
    source.remote.apply(&both, &Labels::empty()).await.unwrap();
    let slow = serve(always(), tokio::net::TcpListener::bind(slow_address).await.unwrap());
    arrives(&slow.store, 20, 0..200).await;
    source.remote.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_position_loses_nothing_that_is_queued() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let source = source();
    source.remote.apply(&to(address, ""), &Labels::empty()).await.unwrap();
    source.write(30, 0..10);
    let source = source.restart().await;
    let folder = std::fs::read_dir(source.folder.path().join("remote")).unwrap();
    let mut positions =
        folder.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "position"));
    let position = positions.next().unwrap();
    // Another segment, far ahead.
    let text = std::fs::read_to_string(&position).unwrap();
    std::fs::write(&position, text.replacen(' ', " 9", 1)).unwrap();
    source.remote.apply(&to(address, ""), &Labels::empty()).await.unwrap();
    source.write(30, 10..20);
    let receiver = serve(always(), tokio::net::TcpListener::bind(address).await.unwrap());
    arrives(&receiver.store, 30, 0..20).await;
    source.remote.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_the_same_requests_are_sent_again() {
    let (receiver, address) = receiver(Box::new(|n| if n < 3 { None } else { Some(status(503)) })).await;
    let source = source();
    source.remote.apply(&to(address, ""), &Labels::empty()).await.unwrap();
    source.write(10, 0..40);
    until("some of it arrives", || receiver.requests.load(Ordering::SeqCst) >= 4).await;
    // The process dies: nothing is told to stop, and another one opens what is on disk.
    let path = source.folder.path().join("remote");
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("remote")).unwrap();
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join("remote").join(entry.file_name())).unwrap();
    }
    source.remote.shutdown().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let again = listener.local_addr().unwrap();
    // The second receiver has what the first one took.
    let second = Arc::new(Receiver {
        store: Arc::clone(&receiver.store),
        receiver: RemoteWriteReceiver::new(Arc::clone(&receiver.store) as _, RemoteWriteLimits::with_seed(1)),
        requests: AtomicUsize::new(0),
        headers: Mutex::default(),
        mood: always(),
    });
    let app = Router::new().fallback(receive_or_refuse).with_state(second);
    tokio::spawn(async move { axum::serve(listener, app).await });
    let source = open(copy, QueueLimits::default());
    source.remote.apply(&to(again, ""), &Labels::empty()).await.unwrap();
    arrives(&receiver.store, 10, 0..40).await;
    source.remote.shutdown().await;
}

/// As upstream: a request with a sample that is older than the newest of its series is refused as a whole.
async fn receive_or_refuse(State(r): State<Arc<Receiver>>, body: Bytes) -> StatusCode {
    match r.receiver.handle_v1(&body, i64::MAX) {
        Ok(_) => StatusCode::NO_CONTENT,
        Err(e) => StatusCode::from_u16(e.status()).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn relabelling_external_labels_and_reload() {
    let (receiver, address) = receiver(always()).await;
    let source = source();
    let rules = "  write_relabel_configs:\n  - {source_labels: [i], regex: '1', action: drop}\n";
    source
        .remote
        .apply(&to(address, rules), &Labels::from_pairs([("cluster", "c"), ("i", "x")]))
        .await
        .unwrap();
    source.write(3, 0..5);
    until("all but one series", || stored(&receiver.store).keys().eq(["0", "2"])).await;
    let all = receiver.store.series(&[], TimeRange::ALL, &Budget::unlimited()).unwrap();
    assert!(all.iter().all(|l| l.value("cluster") == "c"));
    let metrics = Arc::clone(&source.remote.status()[0].metrics);
    until("they are counted", || metrics.dropped_series.load(Ordering::Relaxed) == 5).await;
    // The same receiver with other rules goes on where it was.
    let rules = "  write_relabel_configs:\n  - {target_label: j, replacement: y}\n";
    source.remote.apply(&to(address, rules), &Labels::empty()).await.unwrap();
    source.write(3, 5..8);
    until("the new rules", || {
        let all = receiver.store.series(&[], TimeRange::ALL, &Budget::unlimited()).unwrap();
        all.iter().filter(|l| l.value("j") == "y").count() == 3
    })
    .await;
    // Without receivers nothing is queued, and nothing is left behind.
    source.remote.apply(&[], &Labels::empty()).await.unwrap();
    assert!(source.remote.queue_status().is_none());
    source.write(3, 8..9);
    assert_eq!(std::fs::read_dir(source.folder.path().join("remote")).unwrap().count(), 0);
    assert!(!source.remote.status().iter().any(|_| true));
    assert!(matches!(
        source.remote.apply(&[to(address, ""), to(address, "")].concat(), &Labels::empty()).await,
        Err(reba_remote::RemoteWriteError::SameName(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn histograms_and_exemplars_go_along_in_both_versions_when_they_are_wanted() {
    for version in ["", "  protobuf_message: io.prometheus.write.v2.Request\n"] {
        for wanted in [true, false] {
            let (receiver, address) = receiver(always()).await;
            let source = source();
            let more = format!("  send_exemplars: {wanted}\n  send_native_histograms: {wanted}\n{version}");
            source.remote.apply(&to(address, &more), &Labels::empty()).await.unwrap();
            let (a, b) = (source.series(0), source.series(1));
            let mut batch = WriteBatch::default();
            batch.floats.push(FloatSample { series: a, t: 1, v: reba_model::STALE_NAN });
            let histogram = Histogram {
                schema: 3,
                hint: reba_model::CounterResetHint::CounterReset,
                zero_threshold: 0.5,
                zero_count: 1.0,
                count: 6.5,
                sum: 1.5,
                positive_spans: vec![reba_model::Span { offset: -2, length: 2 }],
                positive_buckets: vec![2.0, 3.5],
                ..Histogram::default()
            };
            batch.histograms.push((b, 1, Arc::new(histogram.clone())));
            let trace = Labels::from_pairs([("trace_id", "t")]);
            let exemplar = Exemplar { labels: trace, value: 0.5, t: 1 };
            batch.exemplars.push((a, exemplar.clone()));
            source.appender.append(&batch, AppendMode::Partial).unwrap();
            until("the marker", || stored(&receiver.store).get("0").is_some_and(|t| t == &[1])).await;
            let expected = usize::from(wanted);
            let metrics = Arc::clone(&source.remote.status()[0].metrics);
            until("what was sent is counted", || metrics.highest_sent_ms.load(Ordering::Relaxed) == 1).await;
            until("histograms", || stored(&receiver.store).len() == 1 + expected).await;
            let found = receiver.store.exemplars(&[], TimeRange::ALL).unwrap();
            assert_eq!(found.len(), expected, "{version} {wanted}");
            assert!(found.iter().all(|f| f.exemplars == [exemplar.clone()]), "{version} {found:?}");
            let got = stored_histograms(&receiver.store);
            assert_eq!(got, vec![histogram; expected], "{version}");
            source.remote.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_loses_the_oldest_and_says_so() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let limits = QueueLimits { segment_bytes: 4 << 10, max_bytes: 16 << 10 };
    let source = open(tempfile::tempdir().unwrap(), limits);
    source.remote.apply(&to(address, ""), &Labels::empty()).await.unwrap();
    source.write(20, 0..500);
    let bytes: u64 = std::fs::read_dir(source.folder.path().join("remote"))
        .unwrap()
        .map(|e| e.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes < 40 << 10, "{bytes}");
    let receiver = serve(always(), tokio::net::TcpListener::bind(address).await.unwrap());
    until("the newest arrives", || stored(&receiver.store).get("7").is_some_and(|t| t.last() == Some(&499)))
        .await;
    let metrics = Arc::clone(&source.remote.status()[0].metrics);
    assert!(metrics.segments_missed.load(Ordering::Relaxed) > 0);
    source.remote.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_queue_dropped_while_we_were_away_does_not_hide_what_is_left() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let limits = QueueLimits { segment_bytes: 4 << 10, max_bytes: 16 << 10 };
    let source = open(tempfile::tempdir().unwrap(), limits);
    source.remote.apply(&to(address, ""), &Labels::empty()).await.unwrap();
    source.write(20, 0..500);
    source.remote.shutdown().await;
    let source = open(source.folder, limits);
    source.remote.apply(&to(address, ""), &Labels::empty()).await.unwrap();
    let receiver = serve(always(), tokio::net::TcpListener::bind(address).await.unwrap());
    until("the newest of before arrives", || {
        stored(&receiver.store).get("7").is_some_and(|t| t.last() == Some(&499))
    })
    .await;
    source.remote.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_may_say_who_we_are_and_metrics_do_not_repeat_the_password() {
    let (receiver, address) = receiver(always()).await;
    let source = source();
    let mut config = configs(&format!("remote_write:\n- url: http://me:secret@{address}/w\n"));
    config[0].queue_config.batch_send_deadline = reba_ingest::config::Millis(20);
    source.remote.apply(&config, &Labels::empty()).await.unwrap();
    source.write(1, 0..2);
    arrives(&receiver.store, 1, 0..2).await;
    assert_eq!(receiver.headers.lock().unwrap()[0]["authorization"], "Basic bWU6c2VjcmV0");
    assert!(!format!("{:?}", source.remote.status()[0].url).contains("secret"));
    source.remote.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_sent_in_turn_and_its_failure_holds_up_nothing() {
    let (receiver, address) = receiver(Box::new(|n| (n == 0).then(|| status(500)))).await;
    let source = source();
    source.remote.set_metadata(Arc::new(|| {
        let what = reba_model::Metadata { help: "Help.".to_owned(), ..reba_model::Metadata::default() };
        (0..5).map(|i| (format!("m{i}"), what.clone())).collect()
    }));
    let more = "  metadata_config: {send_interval: 30ms, max_samples_per_send: 2}\n";
    source.remote.apply(&to(address, more), &Labels::empty()).await.unwrap();
    let metrics = Arc::clone(&source.remote.status()[0].metrics);
    until("two turns", || metrics.metadata_total.load(Ordering::Relaxed) >= 10).await;
    assert_eq!(metrics.metadata_failed_total.load(Ordering::Relaxed), 2);
    source.write(2, 0..3);
    arrives(&receiver.store, 2, 0..3).await;
    source.remote.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_reaches_the_receiver_in_both_versions() {
    for version in ["", "  protobuf_message: io.prometheus.write.v2.Request\n"] {
        let (receiver, address) = receiver(always()).await;
        let source = source();
        let what = reba_model::Metadata {
            kind: reba_model::MetricType::Counter,
            help: "Help.".to_owned(),
            unit: "s".to_owned(),
        };
        let all: BTreeMap<_, _> = [("m".to_owned(), what.clone())].into();
        let known = all.clone();
        source.remote.set_metadata(Arc::new(move || known.clone()));
        let more = format!("  metadata_config: {{send_interval: 30ms}}\n{version}");
        source.remote.apply(&to(address, &more), &Labels::empty()).await.unwrap();
        // What was known when a request was made goes along, so the first may come without.
        for t in 0..1000 {
            if receiver.receiver.metadata().all() == all {
                break;
            }
            source.write(1, t..t + 1);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(receiver.receiver.metadata().all(), all, "{version}");
        source.remote.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_sent_by_many_shards_and_series_stay_in_order() {
    let (receiver, address) = receiver(Box::new(|n| if n < 40 { Some(status(503)) } else { None })).await;
    let source = source();
    source.remote.apply(&to(address, ""), &Labels::empty()).await.unwrap();
    source.write(50, 0..100);
    arrives(&receiver.store, 50, 0..100).await;
    assert!(source.remote.status()[0].metrics.shards.load(Ordering::Relaxed) > 1);
    // What was sent is given back.
    source.remote.shutdown().await;
}

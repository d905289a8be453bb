#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! The notifier against Alertmanagers that are small HTTP servers of the test.

use std::{sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use parking_lot::Mutex;
use reba_http::{Client, HttpClientConfig, ProxyEnv};
use reba_model::{Alert, Labels, NameScheme, Relabel, RelabelAction, RelabelSpec};
use reba_notify::alertmanager::{
    ALERTS_PATH, AlertmanagerTarget, Alertmanagers, Inside, Notifier, NotifierOptions, NotifierSettings,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// What an Alertmanager got, and what it answers.
#[derive(Clone)]
struct Fake {
    got: Arc<Mutex<Vec<serde_json::Value>>>,
    status: StatusCode,
    delay: Duration,
}

async fn take(State(fake): State<Fake>, Json(body): Json<serde_json::Value>) -> StatusCode {
    tokio::time::sleep(fake.delay).await;
    fake.got.lock().push(body);
    fake.status
}

/// Starts an Alertmanager under `/prefix` and returns it with a target for it.
async fn alertmanager(status: StatusCode, delay: Duration) -> (Fake, AlertmanagerTarget) {
    let fake = Fake { got: Arc::default(), status, delay };
    let router = Router::new().route("/prefix/api/v2/alerts", post(take)).with_state(fake.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/prefix{ALERTS_PATH}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let target = AlertmanagerTarget {
        url: url.parse().unwrap(),
        client: Client::new(&HttpClientConfig::default(), "test", &ProxyEnv::default()).unwrap(),
        timeout: Duration::from_millis(500),
        alert_relabel: Arc::from([]),
        inside: None,
    };
    (fake, target)
}

fn alert(n: usize) -> Alert {
    Alert {
        labels: Labels::from_pairs([("alertname", "A"), ("n", n.to_string().as_str())]),
        annotations: Labels::empty(),
        starts_at: 0,
        ends_at: 1,
        generator_url: String::new(),
    }
}

fn drop_label_value(label: &str, value: &str) -> Relabel {
    let spec = RelabelSpec {
        source_labels: Some(vec![label.to_owned()]),
        regex: Some(value.to_owned()),
        action: RelabelAction::Drop,
        ..RelabelSpec::default()
    };
    Relabel::new(spec, NameScheme::Utf8).unwrap()
}

/// A running notifier.
struct Running {
    notifier: Arc<Notifier>,
    targets: watch::Sender<Arc<Alertmanagers>>,
    batches: mpsc::Sender<Vec<Alert>>,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn start(active: Vec<AlertmanagerTarget>, options: NotifierOptions) -> Running {
    let (targets, receiver) = watch::channel(Arc::new(Alertmanagers { active, dropped: Vec::new() }));
    let notifier = Arc::new(Notifier::new(receiver, options));
    let (batches, rx) = mpsc::channel(16);
    let cancel = CancellationToken::new();
    let task = tokio::spawn({
        let (notifier, cancel) = (notifier.clone(), cancel.clone());
        async move { notifier.run(rx, cancel).await }
    });
    Running { notifier, targets, batches, cancel, task }
}

impl Running {
    /// Sends what is queued and ends.
    async fn finish(self) -> Arc<Notifier> {
        self.cancel.cancel();
        self.task.await.unwrap();
        self.notifier
    }
}

#[tokio::test]
async fn alerts_reach_every_alertmanager_in_batches_with_external_labels() {
    let (a, to_a) = alertmanager(StatusCode::OK, Duration::ZERO).await;
    let (b, mut to_b) = alertmanager(StatusCode::OK, Duration::ZERO).await;
    to_b.alert_relabel = Arc::from([drop_label_value("n", "7")]);
    let running = start(
        vec![to_a.clone(), to_a.clone(), to_b],
        NotifierOptions { queue_capacity: 1000, max_batch: 64 },
    );
    running.notifier.apply(NotifierSettings {
        external_labels: Labels::from_pairs([("dc", "kgl"), ("n", "never")]),
        alert_relabel: vec![drop_label_value("n", "3")],
    });
    running.batches.send((0..100).map(alert).collect()).await.unwrap();
    let notifier = running.finish().await;
    let sizes =
        |fake: &Fake| -> Vec<usize> { fake.got.lock().iter().map(|b| b.as_array().unwrap().len()).collect() };
    assert_eq!(sizes(&a), [64, 35], "number 3 is dropped for all, and the URL counts once");
    assert_eq!(sizes(&b), [63, 35], "number 7 is dropped for this one");
    let first = a.got.lock()[0][0].clone();
    assert_eq!(first["labels"], serde_json::json!({"alertname": "A", "dc": "kgl", "n": "0"}));
    let metrics = notifier.metrics();
    assert_eq!(metrics.managers[&to_a.url.to_string()].sent, 99);
    assert_eq!((metrics.dropped, metrics.queue_length, metrics.alertmanagers_discovered), (0, 0, 2));
}

#[tokio::test]
async fn one_alertmanager_that_takes_the_alerts_is_enough() {
    let (_bad, to_bad) = alertmanager(StatusCode::INTERNAL_SERVER_ERROR, Duration::ZERO).await;
    let (good, to_good) = alertmanager(StatusCode::OK, Duration::ZERO).await;
    let mut gone = to_good.clone();
    gone.url = "http://127.0.0.1:1/api/v2/alerts".parse().unwrap();
    let bad_url = to_bad.url.to_string();
    let running = start(vec![to_bad.clone(), gone.clone(), to_good], NotifierOptions::default());
    running.batches.send(vec![alert(1)]).await.unwrap();
    let notifier = running.finish().await;
    assert_eq!(good.got.lock().len(), 1);
    assert_eq!((notifier.metrics().dropped, notifier.metrics().managers[&bad_url].errors), (0, 1));

    let running = start(vec![to_bad, gone], NotifierOptions::default());
    running.batches.send(vec![alert(1), alert(2)]).await.unwrap();
    assert_eq!(running.finish().await.metrics().dropped, 2, "nobody took them");
}

#[tokio::test]
async fn a_full_queue_loses_the_oldest_alerts() {
    let (_, receiver) = watch::channel(Arc::new(Alertmanagers::default()));
    let notifier = Notifier::new(receiver, NotifierOptions { queue_capacity: 5, max_batch: 64 });
    notifier.enqueue((0..4).map(alert).collect());
    notifier.enqueue((4..8).map(alert).collect());
    let metrics = notifier.metrics();
    assert_eq!((metrics.queue_length, metrics.queue_capacity, metrics.dropped), (5, 5, 3));
}

#[tokio::test]
async fn a_slow_alertmanager_is_given_up_after_its_timeout() {
    let (_, mut slow) = alertmanager(StatusCode::OK, Duration::from_secs(60)).await;
    slow.timeout = Duration::from_millis(50);
    let url = slow.url.to_string();
    let running = start(vec![slow], NotifierOptions::default());
    running.batches.send(vec![alert(1)]).await.unwrap();
    let metrics = running.finish().await.metrics();
    assert_eq!((metrics.dropped, metrics.managers[&url].errors), (1, 1));
}

#[tokio::test]
async fn the_set_of_alertmanagers_changes_while_it_runs() {
    let (first, to_first) = alertmanager(StatusCode::OK, Duration::ZERO).await;
    let (second, to_second) = alertmanager(StatusCode::OK, Duration::ZERO).await;
    let running = start(vec![to_first.clone()], NotifierOptions::default());
    running.batches.send(vec![alert(1)]).await.unwrap();
    while first.got.lock().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let dropped = vec!["http://dropped/api/v2/alerts".to_owned()];
    running
        .targets
        .send_replace(Arc::new(Alertmanagers { active: vec![to_second.clone()], dropped: dropped.clone() }));
    running.batches.send(vec![alert(2)]).await.unwrap();
    let notifier = running.finish().await;
    assert_eq!((first.got.lock().len(), second.got.lock().len()), (1, 1));
    assert_eq!(notifier.alertmanagers(), (vec![to_second.url.to_string()], dropped));
    assert!(!notifier.metrics().managers.contains_key(&to_first.url.to_string()));
}

#[tokio::test]
async fn an_alertmanager_of_this_process_needs_no_socket() {
    let (_, target) = alertmanager(StatusCode::OK, Duration::ZERO).await;
    let got: Arc<Mutex<Vec<serde_json::Value>>> = Arc::default();
    let kept = Arc::clone(&got);
    let inside = Inside::new(move |body| {
        let kept = Arc::clone(&kept);
        Box::pin(async move {
            kept.lock().push(serde_json::from_slice(&body).unwrap());
            StatusCode::OK
        })
    });
    let slow = Inside::new(|_| Box::pin(std::future::pending()));
    // Nobody listens there.
    let at = |port: u16, inside| AlertmanagerTarget {
        url: format!("http://127.0.0.1:{port}{ALERTS_PATH}").parse().unwrap(),
        timeout: Duration::from_millis(100),
        inside: Some(inside),
        ..target.clone()
    };
    let running = start(vec![at(1, inside), at(2, slow)], NotifierOptions::default());
    running.batches.send(vec![alert(1)]).await.unwrap();
    let metrics = running.finish().await.metrics();
    assert_eq!(got.lock()[0][0]["labels"]["n"], "1");
    let errors: Vec<u64> = metrics.managers.values().map(|m| m.errors).collect();
    assert_eq!((errors, metrics.dropped), (vec![0, 1], 0));
}

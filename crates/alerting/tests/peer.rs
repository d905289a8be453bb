#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! Alerting beside the real Alertmanager: the same configuration, the same alerts at the same moments, the same notifications.
//!
//! The binary is Debian's (`prometheus-alertmanager`, unpacked into `target/peers` or the folder named by `REBA_PEERS`); without it
//! the test says so and passes. Both run for fifteen seconds of real time; what happens, happens half a second and more away from
//! every tick.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures::future::BoxFuture;
use jiff::Timestamp;
use reba_alerting::{
    Deliver, DeliverError, Delivered, Integration, IntegrationKey, Notification, Options, PostedAlert,
    PostedSilence,
    config::{InhibitSection, RouteSection, Routing, Sections},
    matchers::{Grammar, parse_list},
    shell::{Alerting, Setup},
    upstream,
};
use reba_storage::{Document, StateStore};
use reba_testkit::RamState;
use serde::Deserialize;
use serde_json::{Value, json};

/// What comes before the receivers, which differ.
const ROUTING: &str = r"
route:
  receiver: root
  group_by: [alertname]
  group_wait: 1s
  group_interval: 2s
  repeat_interval: 5s
  routes:
  - receiver: pager
    matchers: [severity=critical]
    continue: true
    repeat_interval: 1h
  - receiver: chat
    match_re: {team: x|y}
    group_by: [team, alertname]
    routes:
    - receiver: all
      matchers: ['n=~each.*']
      group_by: ['...']
inhibit_rules:
- source_matchers: [severity=critical]
  target_matchers: [severity=warning]
  equal: [host]
";

const RECEIVERS: [(&str, bool); 4] = [("root", true), ("pager", false), ("chat", true), ("all", true)];

/// Receiver and group, with what was told of it in order: firing and resolved alerts by `n`.
type Heard = BTreeMap<String, Vec<String>>;

/// What happens, seconds after the start.
enum Step {
    Fire(&'static str),
    Resolve(&'static str),
    Silence(&'static str),
}

fn script() -> Vec<(u64, Step)> {
    use Step::{Fire, Resolve, Silence};
    vec![
        (0, Fire("alertname=A n=a1 team=x")),
        (0, Fire("alertname=A n=a2 team=x")),
        (0, Fire("alertname=A n=other")),
        (0, Fire("alertname=W n=w1 host=h severity=warning")),
        (0, Fire("alertname=C n=c1 host=h severity=critical team=y")),
        (0, Fire("alertname=E n=each1 team=x")),
        (0, Fire("alertname=E n=each2 team=x")),
        (0, Silence("n=s1")),
        (0, Fire("alertname=S n=s1")),
        (0, Fire("alertname=S n=s2")),
        // Ticks are at the odd seconds.
        (2, Fire("alertname=A n=a3 team=x")),
        (2, Fire("alertname=C n=c2 host=i severity=critical team=y")),
        (4, Resolve("alertname=A n=a1 team=x")),
        (4, Resolve("alertname=E n=each1 team=x")),
        (4, Resolve("alertname=C n=c1 host=h severity=critical team=y")),
        (4, Fire("alertname=A n=flap")),
        (6, Resolve("alertname=A n=other")),
        (6, Resolve("alertname=S n=s1")),
        (8, Resolve("alertname=A n=a2 team=x")),
        (8, Resolve("alertname=A n=a3 team=x")),
        (8, Resolve("alertname=C n=c2 host=i severity=critical team=y")),
        (10, Fire("alertname=A n=a1 team=x")),
        (10, Fire("alertname=C n=c1 host=h severity=critical team=y")),
        (12, Resolve("alertname=A n=flap")),
    ]
}

const END: u64 = 14;

/// How often it is played again if a busy machine was late.
const MORE_TRIES: usize = 2;

fn labels(text: &str) -> Vec<(String, String)> {
    text.split(' ').filter_map(|p| p.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn heard(
    log: &Mutex<Heard>,
    receiver: &str,
    group: &str,
    mut firing: Vec<String>,
    mut resolved: Vec<String>,
) {
    firing.sort();
    resolved.sort();
    let line = format!("+{} -{}", firing.join(","), resolved.join(","));
    log.lock().unwrap().entry(format!("{receiver} {group}")).or_default().push(line);
}

// ---- the peer ----

struct Peer {
    process: Child,
    address: String,
    log: Arc<Mutex<Heard>>,
    folder: tempfile::TempDir,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn binary() -> Option<PathBuf> {
    let folder = std::env::var_os("REBA_PEERS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/peers"), PathBuf::from);
    let path = folder.join("usr/bin/prometheus-alertmanager");
    path.is_file().then_some(path)
}

/// Takes webhooks until the test ends.
fn inbox() -> (String, Arc<Mutex<Heard>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let log: Arc<Mutex<Heard>> = Arc::default();
    let sink = log.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let sink = sink.clone();
            thread::spawn(move || serve(stream, &sink));
        }
    });
    (address, log)
}

fn serve(mut stream: TcpStream, log: &Mutex<Heard>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(body) = read_message(&mut reader) {
        let note: Value = serde_json::from_slice(&body).unwrap();
        let names = |status: &str| {
            let alerts = note["alerts"].as_array().unwrap().iter().filter(|a| a["status"] == status);
            alerts.map(|a| a["labels"]["n"].as_str().unwrap().to_owned()).collect()
        };
        let text = |key: &str| note[key].as_str().unwrap();
        heard(log, text("receiver"), text("groupKey"), names("firing"), names("resolved"));
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}

/// The body of an HTTP message that has a length.
fn read_message(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let lower = line.to_lowercase();
        if let Some(n) = lower.strip_prefix("content-length:") {
            length = n.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

fn request(address: &str, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn start_peer(binary: &Path) -> Peer {
    let (inbox, log) = inbox();
    let folder = tempfile::tempdir().unwrap();
    let mut config = ROUTING.to_owned() + "receivers:\n";
    for (name, send_resolved) in RECEIVERS {
        config += &format!(
            "- name: {name}\n  webhook_configs: [{{url: 'http://{inbox}/', send_resolved: {send_resolved}}}]\n"
        );
    }
    let file = folder.path().join("a.yml");
    fs::write(&file, config).unwrap();
    // The port is free now, and nobody else has a reason to take it.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let process = Command::new(binary)
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let peer = Peer { process, address, log, folder };
    let deadline = Instant::now() + Duration::from_secs(30);
    while !request(&peer.address, "GET", "/-/ready", "").is_ok_and(|a| a.starts_with("HTTP/1.1 200")) {
        assert!(Instant::now() < deadline, "the peer does not start");
        thread::sleep(Duration::from_millis(50));
    }
    peer
}

impl Peer {
    fn post(&self, alerts: &[PostedAlert]) {
        let time = |ms: i64| Timestamp::from_millisecond(ms).unwrap().to_string();
        let alerts: Vec<Value> = alerts
            .iter()
            .map(|a| {
                let labels: BTreeMap<_, _> = a.labels.iter().cloned().collect();
                json!({
                    "labels": labels,
                    "startsAt": time(a.starts_at_ms.unwrap()),
                    "endsAt": time(a.ends_at_ms.unwrap()),
                })
            })
            .collect();
        self.send("/api/v2/alerts", &json!(alerts));
    }

    fn silence(&self, matcher: &str, from_ms: i64) {
        let time = |ms: i64| Timestamp::from_millisecond(ms).unwrap().to_string();
        let (name, value) = matcher.split_once('=').unwrap();
        let silence = json!({
            "matchers": [{"name": name, "value": value, "isRegex": false, "isEqual": true}],
            "startsAt": time(from_ms), "endsAt": time(from_ms + 3_600_000),
            "createdBy": "me", "comment": "test",
        });
        self.send("/api/v2/silences", &silence);
    }

    fn send(&self, path: &str, body: &Value) {
        let answer = request(&self.address, "POST", path, &body.to_string()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

// ---- ours ----

struct Inbox(Arc<Mutex<Heard>>);

impl Deliver for Inbox {
    fn deliver<'a>(
        &'a self,
        _: &'a IntegrationKey,
        note: &'a Notification,
    ) -> BoxFuture<'a, Result<Delivered, DeliverError>> {
        let names = |firing: bool| {
            let alerts = note.alerts.iter().filter(|a| a.firing == firing);
            alerts.map(|a| a.labels.value("n").to_owned()).collect()
        };
        heard(&self.0, &note.receiver, &note.group_key, names(true), names(false));
        Box::pin(async { Ok(Delivered::default()) })
    }
}

#[derive(Default, Deserialize)]
struct Configuration {
    route: RouteSection,
    inhibit_rules: Vec<InhibitSection>,
}

async fn start_ours(store: Arc<RamState>) -> (Alerting, Arc<Mutex<Heard>>) {
    let document: Configuration = reba_config::read(ROUTING, Path::new("a.yml")).unwrap();
    let sections = Sections {
        route: Some(document.route),
        inhibit_rules: Some(document.inhibit_rules),
        ..Sections::default()
    };
    let names = RECEIVERS.map(|(name, _)| name);
    let routing = Routing::new(&sections, &names, Grammar::Fallback).unwrap().routing;
    let integration = |name: &str, send_resolved| Integration {
        key: IntegrationKey { receiver: name.to_owned(), integration: "webhook", index: 0 },
        send_resolved,
    };
    let integrations =
        RECEIVERS.iter().map(|(name, r)| ((*name).to_owned(), vec![integration(name, *r)])).collect();
    let log: Arc<Mutex<Heard>> = Arc::default();
    let alerting = Alerting::start(Setup {
        routing: Arc::new(routing),
        integrations,
        options: Options::default(),
        store,
        deliver: Arc::new(Inbox(log.clone())),
        on_event: Arc::new(|_| {}),
        clock: Arc::new(now_ms),
    })
    .await
    .unwrap();
    (alerting, log)
}

// ---- both ----

/// Both logs of notifications and silences, as documents of our state store: group and receiver with the hashes of alerts.
type Logs = (BTreeMap<String, Value>, BTreeMap<String, Value>);

/// What a store keeps of notifications, without times.
fn told(store: &dyn StateStore) -> BTreeMap<String, Value> {
    let entry = |document: Document| {
        let body: Value = serde_json::from_slice(&document.body).unwrap();
        (document.key, json!([body["firing"], body["resolved"]]))
    };
    store.list("alerting.log").unwrap().into_iter().map(entry).collect()
}

impl Peer {
    /// Ends the peer, which then writes its files, and reads these as we do when we take its place.
    fn files(&mut self) -> RamState {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.process.wait().unwrap();
        let read = |name: &str| fs::read(self.folder.path().join("data").join(name)).unwrap();
        let log = upstream::read_log(&read("nflog"), now_ms()).unwrap();
        let silences = upstream::read_silences(&read("silences"), now_ms()).unwrap();
        assert_eq!((silences.taken, &silences.left_out[..]), (1, &[][..]));
        assert_eq!(&log.left_out[..], &[] as &[String]);
        let store = RamState::default();
        store.write(&log.changes).unwrap();
        store.write(&silences.changes).unwrap();
        store
    }
}

async fn play(binary: &Path) -> ((Heard, Heard), Logs) {
    let mut peer = start_peer(binary);
    let store = Arc::new(RamState::default());
    let (ours, our_log) = start_ours(store.clone()).await;
    let (began, began_ms) = (Instant::now(), now_ms());
    let sleep_to = async |second: u64| {
        let left = Duration::from_secs(second).saturating_sub(began.elapsed());
        tokio::time::sleep(left).await;
    };
    for (second, step) in script() {
        sleep_to(second).await;
        let alert = |text: &str, ends_at_ms: i64| PostedAlert {
            labels: labels(text),
            starts_at_ms: Some(began_ms.max(ends_at_ms - 3_600_000)),
            ends_at_ms: Some(ends_at_ms),
            ..PostedAlert::default()
        };
        match step {
            Step::Fire(text) => {
                let fires = alert(text, now_ms() + 3_600_000);
                peer.post(std::slice::from_ref(&fires));
                ours.post(&[fires]);
            }
            Step::Resolve(text) => {
                let over = PostedAlert { starts_at_ms: Some(began_ms), ..alert(text, now_ms()) };
                peer.post(std::slice::from_ref(&over));
                ours.post(&[over]);
            }
            Step::Silence(matcher) => {
                peer.silence(matcher, now_ms());
                let silence = PostedSilence {
                    matchers: parse_list(matcher, Grammar::Fallback).unwrap().matchers,
                    starts_at_ms: now_ms(),
                    ends_at_ms: now_ms() + 3_600_000,
                    ..PostedSilence::default()
                };
                ours.set_silence(&silence).await.unwrap();
            }
        }
    }
    sleep_to(END).await;
    let heard = (our_log.lock().unwrap().clone(), peer.log.lock().unwrap().clone());
    ours.stop().await;
    let logs = (told(&*store), told(&peer.files()));
    (heard, logs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_hear_the_same_as_from_alertmanager() {
    let Some(binary) = binary() else {
        eprintln!("skipped: no prometheus-alertmanager in target/peers");
        return;
    };
    // A machine that stands still for half a second moves a step past a tick: then once more.
    let (mut heard, mut logs) = play(&binary).await;
    for _ in 0..MORE_TRIES {
        if heard.0 == heard.1 && logs.0 == logs.1 {
            break;
        }
        (heard, logs) = play(&binary).await;
    }
    let (ours, peers) = heard;
    assert_eq!(ours, peers);
    // Keys of groups and hashes of alerts are the same: whoever moves from one to the other is told nothing twice.
    assert!(logs.0.len() >= 8, "{logs:#?}");
    assert_eq!(logs.0, logs.1);
    let told: usize = ours.values().map(Vec::len).sum();
    assert!(ours.len() >= 8 && told >= 20, "too little was told to compare: {ours:#?}");
}

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! The notifier against the real Alertmanager, where its binary lies in `target/peers` (Debian's package
//! `prometheus-alertmanager`, unpacked) or in the folder named by `REBA_PEERS`.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use reba_http::{BodyBuffer, Client, HttpClientConfig, ProxyEnv, Request};
use reba_model::{Alert, Labels};
use reba_notify::alertmanager::{
    ALERTS_PATH, AlertmanagerTarget, Alertmanagers, Notifier, NotifierOptions, NotifierSettings,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// A process that ends with the test.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn binary() -> Option<PathBuf> {
    let folder = std::env::var_os("REBA_PEERS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/peers"), PathBuf::from);
    let path = folder.join("usr/bin/prometheus-alertmanager");
    // Debian's build reads its default templates from where the package puts them.
    let templates = Path::new("/usr/share/prometheus/alertmanager/default.tmpl");
    (path.is_file() && templates.is_file()).then_some(path)
}

/// Asks until something answers with 200; `None` after 15 seconds.
async fn get(client: &Client, url: &str) -> Option<Vec<u8>> {
    for _ in 0..300 {
        let mut body = BodyBuffer::default();
        let request = Request::get(url.parse().unwrap(), Duration::from_secs(2), 1 << 20);
        let answer = client.send(request, &mut body).await;
        if answer.is_ok_and(|r| r.status.is_success()) {
            return Some(body.data);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}

#[tokio::test]
async fn the_real_alertmanager_takes_our_alerts() {
    let Some(binary) = binary() else {
        println!("skipped: no prometheus-alertmanager in target/peers, or its templates are not installed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("alertmanager.yml");
    std::fs::write(&config, "route: {receiver: none}\nreceivers: [{name: none}]\n").unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let base = format!("http://127.0.0.1:{port}/am");
    let _peer = Peer(
        Command::new(binary)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.path().display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--web.route-prefix=/am")
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let client = Client::new(&HttpClientConfig::default(), "test", &ProxyEnv::default()).unwrap();
    get(&client, &format!("{base}/-/ready")).await.expect("alertmanager is ready");

    let target = AlertmanagerTarget {
        url: format!("{base}{ALERTS_PATH}").parse().unwrap(),
        client: client.clone(),
        timeout: Duration::from_secs(10),
        alert_relabel: Arc::from([]),
        inside: None,
    };
    let alertmanagers = Alertmanagers { active: vec![target.clone()], dropped: Vec::new() };
    let (_targets, receiver) = watch::channel(Arc::new(alertmanagers));
    let notifier = Notifier::new(receiver, NotifierOptions::default());
    let external_labels = Labels::from_pairs([("cluster", "kgl")]);
    notifier.apply(NotifierSettings { external_labels, alert_relabel: Vec::new() });
    // Far enough in the future to be firing whenever this runs.
    let alert = Alert {
        labels: Labels::from_pairs([("alertname", "ServiceDown"), ("severity", "critical")]),
        annotations: Labels::from_pairs([("summary", "agent-core is \"down\"")]),
        starts_at: 1_700_000_000_123,
        ends_at: 4_102_444_800_000,
        generator_url: "http://reba:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1".to_owned(),
    };
    let (batches, rx) = mpsc::channel(1);
    batches.send(vec![alert]).await.unwrap();
    let cancel = CancellationToken::new();
    cancel.cancel();
    notifier.run(rx, cancel).await;
    let metrics = notifier.metrics();
    assert_eq!((metrics.dropped, metrics.managers[&target.url.to_string()].sent), (0, 1));

    let body = get(&client, &format!("{base}{ALERTS_PATH}")).await.unwrap();
    let alerts: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let labels = serde_json::json!({"alertname": "ServiceDown", "cluster": "kgl", "severity": "critical"});
    assert_eq!(alerts[0]["labels"], labels);
    assert_eq!(alerts[0]["annotations"]["summary"], "agent-core is \"down\"");
    assert_eq!(alerts[0]["startsAt"], "2023-11-14T22:13:20.123Z");
    assert_eq!(alerts[0]["status"]["state"], "active");
}

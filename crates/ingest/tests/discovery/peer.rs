//! The same servers asked by the real Prometheus and by us name the same targets with the same labels. Runs where a
//! `prometheus` is at hand (named by `REBA_PROMETHEUS`, or unpacked under `target/peers`).

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use axum::{
    Router,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use reba_http::{BodyBuffer, Client, HttpClientConfig, ProxyEnv, Request};
use reba_model::Labels;

use super::{Running, serve};

const LIST: &str = r#"[{"targets":["127.0.0.1:1","[::1]:2"],"labels":{"x":"1","__meta_team":"é"}},
    {"targets":["127.0.0.1:3"],"labels":null},{"targets":null}]"#;

/// In one network each and with addresses of IPv4, so that older releases agree with newer ones.
const CONTAINERS: &str = r#"[
 {"Id":"c1","Names":["/web","/alias"],"Labels":{"com.x/y":"z","1":"2"},"HostConfig":{"NetworkMode":"front"},
  "Ports":[{"PrivatePort":80,"Type":"tcp"},{"IP":"0.0.0.0","PrivatePort":9100,"PublicPort":39100,"Type":"tcp"},
           {"PrivatePort":53,"Type":"udp"}],
  "NetworkSettings":{"Networks":{"front":{"NetworkID":"n1","IPAddress":"172.0.0.2"}}}},
 {"Id":"c2","Names":["/agent"],"HostConfig":{"NetworkMode":"host"},
  "NetworkSettings":{"Networks":{"host":{"NetworkID":"n2","IPAddress":""}}}},
 {"Id":"c3","Names":["/quiet"],"HostConfig":{"NetworkMode":"front"},"Ports":[{"PrivatePort":53,"Type":"udp"}],
  "NetworkSettings":{"Networks":{"front":{"NetworkID":"n1","IPAddress":"172.0.0.3"}}}}
]"#;

const NETWORKS: &str = r#"[
 {"Id":"n1","Name":"front","Scope":"local","Internal":true,"Ingress":false,"Labels":{"tier-x":"1"}},
 {"Id":"n2","Name":"host","Scope":"local","Internal":false,"Ingress":false,"Labels":null}
]"#;

/// Docker's client puts its version in front of the paths.
async fn answer(uri: Uri) -> Response {
    let body = match uri.path() {
        "/list" => LIST,
        p if p.ends_with("/containers/json") => CONTAINERS,
        p if p.ends_with("/networks") => NETWORKS,
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

struct Kill(Child);

impl Drop for Kill {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn peer() -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/usr/bin/prometheus");
    let peer = std::env::var_os("REBA_PROMETHEUS").map_or(unpacked, PathBuf::from);
    peer.is_file().then_some(peer)
}

/// What discovery said about each target of the peer on this port.
async fn theirs(port: u16) -> BTreeSet<String> {
    let client = Client::new(&HttpClientConfig::default(), "reba-test", &ProxyEnv::default()).unwrap();
    let url = format!("http://127.0.0.1:{port}/api/v1/targets?state=active");
    let mut buffer = BodyBuffer::default();
    let request = Request::get(url.parse().unwrap(), Duration::from_secs(5), 10 << 20);
    if client.send(request, &mut buffer).await.is_err() {
        return BTreeSet::new();
    }
    let answer: serde_json::Value = serde_json::from_slice(&buffer.data).unwrap_or_default();
    let labels = |t: &serde_json::Value| {
        let pairs = t["discoveredLabels"].as_object().unwrap().iter();
        let pairs = pairs.map(|(n, v)| (n.clone(), v.as_str().unwrap().to_owned()));
        shown(&Labels::from_pairs(pairs.collect::<Vec<_>>()))
    };
    answer["data"]["activeTargets"].as_array().map(|t| t.iter().map(labels).collect()).unwrap_or_default()
}

/// The labels that discovery gives, not those of the section.
fn shown(target: &Labels) -> String {
    let own = target.iter().filter(|(n, _)| !n.starts_with("__scrape") && *n != "job");
    Labels::from_pairs(own.filter(|(n, _)| *n != "__scheme__" && *n != "__metrics_path__")).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_prometheus_finds_the_same_targets_with_the_same_labels() {
    let Some(peer) = peer() else {
        println!("skipped: no prometheus at hand");
        return;
    };
    let server = serve(Router::new().fallback(answer)).await;
    let section = format!(
        "http_sd_configs: [{{url: 'http://127.0.0.1:{server}/list'}}]\n\
         docker_sd_configs: [{{host: 'tcp://127.0.0.1:{server}', port: 81, host_networking_host: 'me:1'}}]"
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("prometheus.yml");
    let indented = section.replace('\n', "\n  ");
    std::fs::write(&file, format!("scrape_configs:\n- job_name: j\n  {indented}\n")).unwrap();
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
    let mut running = Running::start(&section);
    let targets = running.until(|t| t.len() == 7).await;
    let ours: BTreeSet<String> = targets.iter().map(shown).collect();
    let mut theirs_now = BTreeSet::new();
    // It tells its own scraper of new targets every five seconds.
    for _ in 0..300 {
        theirs_now = theirs(port).await;
        if theirs_now.len() == ours.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(ours, theirs_now);
}

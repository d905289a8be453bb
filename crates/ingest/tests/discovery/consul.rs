use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::Ordering},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use tokio::sync::watch;

use super::{Running, addresses, eventually, load, serve};

const WEB: &str = r#"[
 {"Node":{"Node":"n1","Address":"10.0.0.1","Meta":{"os-kind":"linux"},"TaggedAddresses":{"wan":"1.2.3.4"}},
  "Service":{"ID":"web-1","Service":"web","Tags":["a","b"],"Address":"","Port":80,"Meta":{"v":"2"},"Namespace":"ns1"},
  "Checks":[{"CheckID":"x","Status":"passing"},{"CheckID":"y","Status":"critical"}]},
 {"Node":{"Node":"n2","Address":"10.0.0.2","Meta":null},
  "Service":{"ID":"web-2","Tags":null,"Address":"fd00::2","Port":81,"Meta":null},"Checks":[]}
]"#;

/// What is said at each path, and the index, whose change wakes those who wait.
#[derive(Clone)]
struct Server {
    paths: Arc<Mutex<BTreeMap<&'static str, String>>>,
    index: watch::Sender<u64>,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Server {
    async fn start() -> (Self, u16) {
        let server = Server { paths: Arc::default(), index: watch::Sender::new(7), asked: Arc::default() };
        server.say("/v1/agent/self", r#"{"Config":{"Datacenter":"kigali"}}"#);
        server.say("/v1/health/service/web", WEB);
        let port = serve(Router::new().fallback(answer).with_state(server.clone())).await;
        (server, port)
    }

    fn say(&self, path: &'static str, body: &str) {
        self.paths.lock().unwrap().insert(path, body.to_owned());
        self.index.send_modify(|i| *i += 1);
    }

    fn asked(&self, part: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|(uri, _)| uri.contains(part))
    }
}

async fn answer(State(s): State<Server>, uri: Uri, headers: HeaderMap) -> Response {
    let token = headers.get("x-consul-token").map_or("", |v| v.to_str().unwrap());
    s.asked.lock().unwrap().push((uri.to_string(), token.to_owned()));
    let mut query = uri.query().unwrap_or_default().split('&');
    if let Some(known) = query.find_map(|q| q.strip_prefix("index=")?.parse::<u64>().ok()) {
        s.index.subscribe().wait_for(|i| *i != known).await.unwrap();
    }
    let body = s.paths.lock().unwrap().get(uri.path()).cloned();
    let index = s.index.borrow().to_string();
    match body {
        Some(body) => ([("x-consul-index", index)], body).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[tokio::test]
async fn services_are_followed_as_they_come_change_and_go() {
    let (server, port) = Server::start().await;
    server.say("/v1/catalog/services", r#"{"web":["a","b"],"db":["a"]}"#);
    let mut running = Running::start(&format!(
        "consul_sd_configs:\n- server: 127.0.0.1:{port}\n  refresh_interval: 10ms\n  tags: [a, b]\n  token: hunter2\n  \
         node_meta: {{rack: r 1}}\n  filter: x == 1\n  health_filter: y\n  namespace: ns1\n  partition: p1"
    ));
    let targets = running.until(|t| t.len() == 2).await;
    assert_eq!(addresses(&targets), ["10.0.0.1:80", "[fd00::2]:81"]);
    let labels: Vec<(&str, &str)> = targets[0].iter().collect();
    assert_eq!(
        labels,
        [
            ("__address__", "10.0.0.1:80"),
            ("__meta_consul_address", "10.0.0.1"),
            ("__meta_consul_dc", "kigali"),
            ("__meta_consul_health", "critical"),
            ("__meta_consul_metadata_os_kind", "linux"),
            ("__meta_consul_namespace", "ns1"),
            ("__meta_consul_node", "n1"),
            ("__meta_consul_service", "web"),
            ("__meta_consul_service_id", "web-1"),
            ("__meta_consul_service_metadata_v", "2"),
            ("__meta_consul_service_port", "80"),
            ("__meta_consul_tagged_address_wan", "1.2.3.4"),
            ("__meta_consul_tags", ",a,b,"),
        ]
    );
    assert_eq!(targets[1].value("__meta_consul_tags"), ",,");
    assert_eq!(targets[1].value("__meta_consul_health"), "passing");
    let common = "ns=ns1&partition=p1";
    assert!(server.asked(&format!("/v1/agent/self?{common}")));
    assert!(server.asked(&format!(
        "/v1/catalog/services?wait=120000ms&stale=&node-meta=rack%3Ar%201&filter=x%20%3D%3D%201&{common}"
    )));
    assert!(
        server.asked(
            "/v1/health/service/web?wait=120000ms&stale=&node-meta=rack%3Ar%201&filter=y&tag=a&tag=b&"
        )
    );
    eventually(|| server.asked("services?wait=120000ms&index=")).await;
    assert!(!server.asked("/service/db"), "it lacks a tag");
    assert!(server.asked.lock().unwrap().iter().all(|(_, token)| token == "hunter2"));
    server.say("/v1/health/service/web", "[]");
    running.until(<[_]>::is_empty).await;
    server.say("/v1/health/service/web", WEB);
    running.until(|t| t.len() == 2).await;
    server.say("/v1/catalog/services", "{}");
    running.until(<[_]>::is_empty).await;
}

#[tokio::test]
async fn services_that_are_named_need_no_list_and_keep_their_targets_on_errors() {
    let (server, port) = Server::start().await;
    let mut running = Running::start(&format!(
        "consul_sd_configs:\n- {{server: '127.0.0.1:{port}', services: [web], allow_stale: false, \
         datacenter: dc1, tag_separator: ';', refresh_interval: 10ms}}"
    ));
    let targets = running.until(|t| t.len() == 2).await;
    assert_eq!(targets[0].value("__meta_consul_tags"), ";a;b;");
    assert_eq!(targets[0].value("__meta_consul_dc"), "dc1");
    assert!(server.asked("?wait=120000ms&dc=dc1") && !server.asked("catalog") && !server.asked("agent"));
    server.say("/v1/health/service/web", "{");
    eventually(|| running.metrics.consul_failures.load(Ordering::Relaxed) > 0).await;
    assert_eq!(running.now(), targets);
}

#[test]
fn sections_that_make_no_sense_are_refused_in_upstreams_words() {
    for (section, text) in [
        (
            "{server: ' '}",
            "p.yml:4:5: key scrape_configs[0].consul_sd_configs[0].server: consul SD configuration requires a server address",
        ),
        (
            "{username: a, basic_auth: {username: b}}",
            "at most one of consul SD configuration username and password and basic auth can be configured",
        ),
        (
            "{token: a, authorization: {credentials: b}}",
            "at most one of consul SD token, authorization, or oauth2 can be configured",
        ),
        ("{server: 'unix:///x'}", "unknown protocol scheme: unix"),
        ("{nonsense: 1}", "key scrape_configs[0].consul_sd_configs[0].nonsense: unknown key"),
    ] {
        let e = load(&format!("consul_sd_configs:\n- {section}")).unwrap_err();
        assert!(e.contains(text), "{section}: {e}");
    }
    let text =
        load("consul_sd_configs:\n- {token: hunter2, username: u, password: hunter3}").unwrap().to_yaml();
    for part in [
        "server: localhost:8500",
        "allow_stale: true",
        "refresh_interval: 30s",
        "tag_separator: ",
        "username: u",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("hunter"), "{text}");
}

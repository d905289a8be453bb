use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{Router, extract::Query, http::StatusCode, routing::get};

use super::{Running, addresses, eventually, load, serve};

const CONTAINERS: &str = r#"[
 {"Id":"c1","Names":["/web"],"Image":"web:1","ImageID":"sha256:1","Labels":{"com.x/y":"z"},
  "HostConfig":{"NetworkMode":"front"},
  "Ports":[{"PrivatePort":80,"Type":"tcp"},{"IP":"0.0.0.0","PrivatePort":9100,"PublicPort":39100,"Type":"tcp"},
           {"PrivatePort":53,"Type":"udp"}],
  "NetworkSettings":{"Networks":{"front":{"NetworkID":"n1","IPAddress":"172.0.0.2"},
                                 "back":{"NetworkID":"n2","IPAddress":"172.1.0.2"},"a":null}}},
 {"Id":"c2","Names":["/side"],"Image":"side:1","HostConfig":{"NetworkMode":"container:c1"},"Ports":null,
  "NetworkSettings":{"Networks":{}}},
 {"Id":"c3","Names":["/agent"],"HostConfig":{"NetworkMode":"host"},
  "NetworkSettings":{"Networks":{"host":{"NetworkID":"n3","IPAddress":""}}}},
 {"Id":"c4","Names":["/six"],"HostConfig":{"NetworkMode":"front"},"Ports":[],
  "NetworkSettings":{"Networks":{"front":{"NetworkID":"n1","IPAddress":"","GlobalIPv6Address":"fd00::4"}}}},
 {"Id":"c5","Names":null},
 {"Id":"c6","Names":["/alone"],"HostConfig":{"NetworkMode":"none"}}
]"#;

const NETWORKS: &str = r#"[
 {"Id":"n1","Name":"front","Scope":"local","Internal":false,"Ingress":false,"Labels":{"tier":"1"}},
 {"Id":"n2","Name":"back","Scope":"local","Internal":true,"Ingress":false,"Labels":null}
]"#;

struct Daemon {
    broken: Arc<AtomicBool>,
    filters: Arc<Mutex<String>>,
}

fn daemon() -> (Daemon, Router) {
    let daemon = Daemon { broken: Arc::default(), filters: Arc::default() };
    let (broken, filters) = (Arc::clone(&daemon.broken), Arc::clone(&daemon.filters));
    let containers = move |Query(query): Query<HashMap<String, String>>| async move {
        *filters.lock().unwrap() = query.get("filters").cloned().unwrap_or_default();
        if broken.load(Ordering::Relaxed) {
            (StatusCode::INTERNAL_SERVER_ERROR, "{}")
        } else {
            (StatusCode::OK, CONTAINERS)
        }
    };
    let router = Router::new()
        .route("/containers/json", get(containers))
        .route("/networks", get(|| async { NETWORKS }));
    (daemon, router)
}

#[tokio::test]
async fn containers_are_found_through_a_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("d.sock");
    let (daemon, router) = daemon();
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let section = "docker_sd_configs:\n- host: unix://SOCKET\n  refresh_interval: 50ms\n  host_networking_host: me:1\n  \
                   filters: [{name: label, values: [a=b, c]}, {name: name, values: [x]}, {name: none, values: []}]";
    let mut running = Running::start(&section.replace("SOCKET", socket.to_str().unwrap()));
    let targets = running.until(|t| !t.is_empty()).await;
    assert_eq!(
        addresses(&targets),
        ["172.1.0.2:80", "172.1.0.2:9100", "172.1.0.2:80", "me:1", "[fd00::4]:80"],
        "the first network by name, ports of TCP, the shared network, the host's, IPv6"
    );
    let labels: Vec<(&str, &str)> = targets[1].iter().collect();
    assert_eq!(
        labels,
        [
            ("__address__", "172.1.0.2:9100"),
            ("__meta_docker_container_id", "c1"),
            ("__meta_docker_container_image", "web:1"),
            ("__meta_docker_container_image_id", "sha256:1"),
            ("__meta_docker_container_label_com_x_y", "z"),
            ("__meta_docker_container_name", "/web"),
            ("__meta_docker_container_network_mode", "front"),
            ("__meta_docker_network_id", "n2"),
            ("__meta_docker_network_ingress", "false"),
            ("__meta_docker_network_internal", "true"),
            ("__meta_docker_network_ip", "172.1.0.2"),
            ("__meta_docker_network_name", "back"),
            ("__meta_docker_network_scope", "local"),
            ("__meta_docker_port_private", "9100"),
            ("__meta_docker_port_public", "39100"),
            ("__meta_docker_port_public_ip", "0.0.0.0"),
        ]
    );
    assert_eq!(*daemon.filters.lock().unwrap(), r#"{"label":{"a=b":true,"c":true},"name":{"x":true}}"#);
    daemon.broken.store(true, Ordering::Relaxed);
    eventually(|| running.metrics.docker.failures.load(Ordering::Relaxed) > 0).await;
    assert_eq!(running.now(), targets);
}

#[tokio::test]
async fn containers_are_found_over_tcp_in_all_their_networks() {
    let (_daemon, router) = daemon();
    let port = serve(router).await;
    for scheme in ["tcp", "http"] {
        let mut running = Running::start(&format!(
            "docker_sd_configs:\n- {{host: '{scheme}://127.0.0.1:{port}', match_first_network: false, port: 81}}"
        ));
        let targets = running.until(|t| !t.is_empty()).await;
        assert_eq!(
            addresses(&targets),
            [
                "172.1.0.2:80",
                "172.1.0.2:9100",
                "172.0.0.2:80",
                "172.0.0.2:9100",
                "172.1.0.2:81",
                "172.0.0.2:81",
                "localhost",
                "[fd00::4]:81"
            ]
        );
        assert_eq!(targets[2].value("__meta_docker_network_label_tier"), "1");
    }
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_a_failed_refresh() {
    let running =
        Running::start("docker_sd_configs:\n- {host: 'unix:///nowhere/d.sock', refresh_interval: 10ms}");
    eventually(|| running.metrics.docker.failures.load(Ordering::Relaxed) > 1).await;
    assert!(running.now().is_empty());
}

#[test]
fn sections_that_make_no_sense_are_refused_in_upstreams_words() {
    for (section, text) in [
        ("{port: 1}", "p.yml:4:5: key scrape_configs[0].docker_sd_configs[0].host: host missing"),
        ("{host: 'npipe:////./pipe/x'}", "unable to parse docker host"),
        ("{host: 'unix:///x', filters: [{nam: x}]}", "unknown key"),
        ("{host: 'unix:///x', hosts: y}", "key scrape_configs[0].docker_sd_configs[0].hosts: unknown key"),
    ] {
        let e = load(&format!("docker_sd_configs:\n- {section}")).unwrap_err();
        assert!(e.contains(text), "{section}: {e}");
    }
    let text = load("docker_sd_configs:\n- host: unix:///x").unwrap().to_yaml();
    for part in
        ["port: 80", "host_networking_host: localhost", "refresh_interval: 1m", "match_first_network: true"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
}

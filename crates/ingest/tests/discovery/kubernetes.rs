use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, atomic::Ordering},
};

use axum::{
    Router,
    body::Body,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use futures::stream;
use reba_ingest::discovery::{DiscoveryOptions, InCluster};
use reba_model::Labels;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Running, addresses, eventually, load, serve};

/// Objects by path, and all that ever happened to them; the version is the number of events.
#[derive(Default)]
struct State_ {
    objects: BTreeMap<&'static str, BTreeMap<String, Value>>,
    events: Vec<(&'static str, Value)>,
    /// Watches from before this version are told that it is too old.
    oldest: usize,
    /// Whether watches end and nothing is answered any more.
    broken: bool,
    asked: Vec<String>,
    tokens: Vec<String>,
}

/// An API server.
#[derive(Clone)]
struct Cluster {
    state: Arc<Mutex<State_>>,
    version: watch::Sender<usize>,
}

impl Cluster {
    async fn start() -> (Self, u16) {
        let cluster = Cluster { state: Arc::default(), version: watch::Sender::new(0) };
        let port = serve(Router::new().fallback(answer).with_state(cluster.clone())).await;
        (cluster, port)
    }

    fn event(&self, kind: &str, path: &'static str, mut object: Value) {
        let mut state = self.state.lock().unwrap();
        let version = state.events.len() + 1;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        if kind == "DELETED" {
            state.objects.entry(path).or_default().remove(&name);
        } else {
            state.objects.entry(path).or_default().insert(name, object.clone());
        }
        state.events.push((path, json!({"type": kind, "object": object})));
        drop(state);
        self.version.send_replace(version);
    }

    fn put(&self, path: &'static str, object: Value) {
        self.event("ADDED", path, object);
    }

    fn asked(&self, part: &str) -> bool {
        self.state.lock().unwrap().asked.iter().any(|uri| uri.contains(part))
    }
}

type Params = Query<HashMap<String, String>>;

async fn answer(State(c): State<Cluster>, uri: Uri, Query(query): Params, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches("/prefix").to_owned();
    let mut state = c.state.lock().unwrap();
    state.asked.push(uri.to_string());
    let token = headers.get("authorization").map_or("", |v| v.to_str().unwrap());
    state.tokens.push(token.to_owned());
    if state.broken {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if query.contains_key("watch") {
        let from: usize = query["resourceVersion"].parse().unwrap();
        let oldest = state.oldest;
        drop(state);
        return follow(c, path, from, oldest);
    }
    // Pages of two.
    let all = state.objects.iter().find(|(p, _)| **p == path).map(|(_, o)| o.clone()).unwrap_or_default();
    let start: usize = query.get("continue").map_or(0, |c| c.parse().unwrap());
    let more = if start + 2 < all.len() { (start + 2).to_string() } else { String::new() };
    let items: Vec<Value> = all.into_values().skip(start).take(2).collect();
    let version = state.events.len().to_string();
    let list = json!({"metadata": {"resourceVersion": version, "continue": more}, "items": items});
    (StatusCode::OK, list.to_string()).into_response()
}

/// A body that goes on with every event of `path` after version `from`.
fn follow(c: Cluster, path: String, from: usize, oldest: usize) -> Response {
    if from < oldest {
        let gone = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410}});
        return format!("{gone}\n").into_response();
    }
    // Every line comes in two pieces.
    let body = stream::unfold((c, path, from, String::new()), |(c, path, at, rest)| async move {
        if !rest.is_empty() {
            return Some((Ok::<_, std::io::Error>(rest), (c, path, at, String::new())));
        }
        c.version.subscribe().wait_for(|v| *v > at).await.ok()?;
        let state = c.state.lock().unwrap();
        if state.broken {
            return None;
        }
        let (event_path, event) = state.events[at].clone();
        drop(state);
        let mut line = if event_path == path { format!("{event}\n") } else { String::new() };
        let rest = line.split_off(line.len() / 2);
        Some((Ok(line), (c, path, at + 1, rest)))
    });
    Body::from_stream(body).into_response()
}

const PODS: &str = "/api/v1/pods";
const NODES: &str = "/api/v1/nodes";
const SERVICES: &str = "/api/v1/services";

fn pod(name: &str, ip: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "d", "uid": "u1", "labels": {"app.x/y": "web"}, "annotations": null,
            "ownerReferences": [{"kind": "ReplicaSet", "name": "rs1", "controller": true}]},
        "spec": {"nodeName": "n1",
            "containers": [{"name": "c", "image": "web:1", "ports": [
                {"name": "http", "containerPort": 80, "protocol": "TCP"},
                {"name": "metrics", "containerPort": 9100, "protocol": "TCP"}]}],
            "initContainers": [{"name": "init", "image": "init:1"}]},
        "status": {"podIP": ip, "hostIP": "10.0.0.1", "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "c", "containerID": "docker://1"}]}
    })
}

fn node(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"zone": "a"}},
        "spec": {"providerID": "aws://1"},
        "status": {"addresses": [{"type": "Hostname", "address": "h"}, {"type": "InternalIP", "address": "10.0.0.1"}],
            "conditions": [{"type": "Ready", "status": "True"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}}
    })
}

fn service() -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "d", "annotations": {"scrape": "yes"}},
        "spec": {"type": "ClusterIP", "clusterIP": "10.9.0.1",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
    })
}

fn section(port: u16, more: &str) -> String {
    format!("kubernetes_sd_configs:\n- api_server: http://127.0.0.1:{port}/prefix/\n  {more}")
}

fn value<'a>(target: &'a Labels, name: &str) -> &'a str {
    target.value(&format!("__meta_kubernetes_{name}"))
}

#[tokio::test]
async fn pods_are_listed_page_by_page_and_followed_with_what_they_belong_to() {
    let (cluster, port) = Cluster::start().await;
    cluster.put(NODES, node("n1"));
    cluster.put("/api/v1/namespaces", json!({"metadata": {"name": "d", "labels": {"team": "t"}}}));
    let owner = json!([{"kind": "Deployment", "name": "web", "controller": true}]);
    cluster.put(
        "/apis/apps/v1/replicasets",
        json!({"metadata": {"name": "rs1", "namespace": "d", "ownerReferences": owner}}),
    );
    for (name, ip) in [("p1", "10.1.0.1"), ("p2", "10.1.0.2"), ("p3", "fd00::3"), ("starting", "")] {
        cluster.put(PODS, pod(name, ip));
    }
    let mut running = Running::start(&section(
        port,
        "role: pod\n  attach_metadata: {node: true, namespace: true, deployment: true}\n  \
         selectors: [{role: pod, label: 'app in (a, b)', field: status.phase=Running}]",
    ));
    let targets = running.until(|t| !t.is_empty()).await;
    assert_eq!(
        addresses(&targets),
        [
            "10.1.0.1:80",
            "10.1.0.1:9100",
            "10.1.0.1",
            "10.1.0.2:80",
            "10.1.0.2:9100",
            "10.1.0.2",
            "[fd00::3]:80",
            "[fd00::3]:9100",
            "fd00::3"
        ]
    );
    let labels: Vec<(&str, &str)> =
        targets[0].iter().filter_map(|(n, v)| Some((n.strip_prefix("__meta_kubernetes_")?, v))).collect();
    assert_eq!(
        labels,
        [
            ("namespace", "d"),
            ("namespace_label_team", "t"),
            ("namespace_labelpresent_team", "true"),
            ("node_label_zone", "a"),
            ("node_labelpresent_zone", "true"),
            ("node_name", "n1"),
            ("pod_container_id", "docker://1"),
            ("pod_container_image", "web:1"),
            ("pod_container_init", "false"),
            ("pod_container_name", "c"),
            ("pod_container_port_name", "http"),
            ("pod_container_port_number", "80"),
            ("pod_container_port_protocol", "TCP"),
            ("pod_controller_kind", "ReplicaSet"),
            ("pod_controller_name", "rs1"),
            ("pod_deployment_name", "web"),
            ("pod_host_ip", "10.0.0.1"),
            ("pod_ip", "10.1.0.1"),
            ("pod_label_app_x_y", "web"),
            ("pod_labelpresent_app_x_y", "true"),
            ("pod_name", "p1"),
            ("pod_node_name", "n1"),
            ("pod_phase", "Running"),
            ("pod_ready", "true"),
            ("pod_uid", "u1"),
        ]
    );
    assert_eq!(value(&targets[2], "pod_container_init"), "true");
    assert!(cluster.asked("/prefix/api/v1/pods?labelSelector=app%20in%20%28a%2C%20b%29&fieldSelector=status.phase%3DRunning&limit=500"));
    assert!(cluster.asked("continue=2"));
    cluster.event("DELETED", PODS, pod("p1", ""));
    cluster.event("MODIFIED", PODS, pod("starting", "10.1.0.9"));
    let targets = running.until(|t| addresses(t).contains(&"10.1.0.9:80")).await;
    assert!(!addresses(&targets).contains(&"10.1.0.1:80"));
    cluster.event("DELETED", NODES, node("n1"));
    running.until(<[_]>::is_empty).await;
    let events: BTreeMap<_, _> = running.metrics.kubernetes_events().map(|(r, e, n)| ((r, e), n)).collect();
    let counted =
        [("pod", "add"), ("pod", "update"), ("pod", "delete"), ("node", "delete")].map(|k| events[&k]);
    assert_eq!(counted, [4, 1, 1, 1]);
}

#[tokio::test]
async fn a_watch_that_is_too_old_lists_again() {
    let (cluster, port) = Cluster::start().await;
    cluster.put(NODES, node("n1"));
    // Every watch is too old until the list is newer.
    cluster.state.lock().unwrap().oldest = 2;
    let mut running = Running::start(&section(port, "role: node"));
    let targets = running.until(|t| !t.is_empty()).await;
    assert_eq!(addresses(&targets), ["10.0.0.1:10250"]);
    for (name, text) in [
        ("node_name", "n1"),
        ("node_provider_id", "aws://1"),
        ("node_condition_ready", "true"),
        ("node_address_InternalIP", "10.0.0.1"),
        ("node_address_Hostname", "h"),
        ("node_label_zone", "a"),
    ] {
        assert_eq!(value(&targets[0], name), text, "{name}");
    }
    assert_eq!(targets[0].value("instance"), "n1");
    cluster.put(NODES, node("n2"));
    running.until(|t| t.len() == 2).await;
}

#[tokio::test]
async fn the_last_good_targets_stay_while_the_api_server_is_away() {
    let (cluster, port) = Cluster::start().await;
    cluster.put(NODES, node("n1"));
    let mut running = Running::start(&section(port, "role: node"));
    let targets = running.until(|t| !t.is_empty()).await;
    cluster.state.lock().unwrap().broken = true;
    // Wakes the watch, which ends.
    cluster.put(SERVICES, service());
    eventually(|| running.metrics.kubernetes_failures.load(Ordering::Relaxed) > 1).await;
    assert_eq!(running.now(), targets);
    cluster.state.lock().unwrap().broken = false;
    cluster.event("DELETED", NODES, node("n1"));
    running.until(<[_]>::is_empty).await;
}

#[tokio::test]
async fn endpoints_have_the_labels_of_their_service_and_of_their_pods() {
    let (cluster, port) = Cluster::start().await;
    cluster.put(SERVICES, service());
    cluster.put(PODS, pod("p1", "10.1.0.1"));
    let of_pod = json!({"kind": "Pod", "namespace": "d", "name": "p1"});
    cluster.put(
        "/api/v1/endpoints",
        json!({"metadata": {"name": "web", "namespace": "d", "labels": {"e": "1"}}, "subsets": [{
            "addresses": [{"ip": "10.1.0.1", "nodeName": "n1", "targetRef": of_pod}],
            "notReadyAddresses": [{"ip": "10.1.0.7", "hostname": "x"}],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}]}),
    );
    cluster
        .put("/api/v1/endpoints", json!({"metadata": {"name": "none", "namespace": "d"}, "subsets": null}));
    let mut running = Running::start(&section(port, "role: endpoints"));
    let targets = running.until(|t| !t.is_empty()).await;
    assert_eq!(addresses(&targets), ["10.1.0.1:80", "10.1.0.7:80", "10.1.0.1:9100"]);
    for (target, name, text) in [
        (0, "endpoint_ready", "true"),
        (0, "endpoint_port_name", "http"),
        (0, "endpoint_node_name", "n1"),
        (0, "endpoint_address_target_kind", "Pod"),
        (0, "endpoint_address_target_name", "p1"),
        (0, "service_name", "web"),
        (0, "service_annotation_scrape", "yes"),
        (0, "endpoints_name", "web"),
        (0, "endpoints_label_e", "1"),
        (0, "pod_name", "p1"),
        (0, "pod_container_port_name", "http"),
        (1, "endpoint_ready", "false"),
        (1, "endpoint_hostname", "x"),
        (1, "pod_name", ""),
        (2, "pod_container_port_name", "metrics"),
        (2, "endpoint_ready", ""),
        (2, "service_name", "web"),
    ] {
        assert_eq!(value(&targets[target], name), text, "{target} {name}");
    }
}

#[tokio::test]
async fn slices_are_taken_in_the_first_family_of_addresses_only() {
    let (cluster, port) = Cluster::start().await;
    let mut dual = service();
    dual["spec"]["ipFamilyPolicy"] = json!("PreferDualStack");
    dual["spec"]["ipFamilies"] = json!(["IPv4", "IPv6"]);
    cluster.put("/api/v1/namespaces/d/services", dual);
    let slice = |name: &str, family: &str, address: &str| {
        json!({"metadata": {"name": name, "namespace": "d", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": family,
            "endpoints": [{"addresses": [address], "conditions": {"ready": true, "terminating": false}, "zone": "z",
                "nodeName": "n1", "deprecatedTopology": {"a/b": "c"}}],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "appProtocol": "h2"}]})
    };
    let path = "/apis/discovery.k8s.io/v1/namespaces/d/endpointslices";
    cluster.put(path, slice("a", "IPv4", "10.1.0.1"));
    cluster.put(path, slice("b", "IPv6", "fd00::1"));
    let mut running = Running::start(&section(port, "role: endpointslice\n  namespaces: {names: [d]}"));
    let targets = running.until(|t| !t.is_empty()).await;
    assert_eq!(addresses(&targets), ["10.1.0.1:80"]);
    for (name, text) in [
        ("endpointslice_name", "a"),
        ("endpointslice_address_type", "IPv4"),
        ("endpointslice_port", "80"),
        ("endpointslice_port_app_protocol", "h2"),
        ("endpointslice_endpoint_conditions_ready", "true"),
        ("endpointslice_endpoint_conditions_serving", ""),
        ("endpointslice_endpoint_conditions_terminating", "false"),
        ("endpointslice_endpoint_zone", "z"),
        ("endpointslice_endpoint_node_name", "n1"),
        ("endpointslice_endpoint_topology_a_b", "c"),
        ("endpointslice_endpoint_topology_present_a_b", "true"),
        ("service_name", "web"),
    ] {
        assert_eq!(value(&targets[0], name), text, "{name}");
    }
}

#[tokio::test]
async fn services_and_ingresses_are_targets_by_their_names() {
    let (cluster, port) = Cluster::start().await;
    cluster.put(SERVICES, service());
    cluster.put(
        "/apis/networking.k8s.io/v1/ingresses",
        json!({"metadata": {"name": "i", "namespace": "d"}, "spec": {"ingressClassName": "nginx",
            "tls": [{"hosts": ["*.x"]}],
            "rules": [{"host": "a.x", "http": {"paths": [{"path": "/p"}, {}]}}, {"host": "y"}]}}),
    );
    let mut services = Running::start(&section(port, "role: service"));
    let targets = services.until(|t| !t.is_empty()).await;
    assert_eq!(addresses(&targets), ["web.d.svc:80"]);
    for (name, text) in [
        ("service_port_name", "http"),
        ("service_port_number", "80"),
        ("service_port_protocol", "TCP"),
        ("service_type", "ClusterIP"),
        ("service_cluster_ip", "10.9.0.1"),
    ] {
        assert_eq!(value(&targets[0], name), text, "{name}");
    }
    let mut ingresses = Running::start(&section(port, "role: ingress"));
    let targets = ingresses.until(|t| !t.is_empty()).await;
    let shown: Vec<[&str; 4]> = targets
        .iter()
        .map(|t| ["host", "scheme", "path", "class_name"].map(|n| value(t, &format!("ingress_{n}"))))
        .collect();
    assert_eq!(
        shown,
        [["a.x", "https", "/p", "nginx"], ["a.x", "https", "/", "nginx"], ["y", "http", "/", "nginx"]]
    );
}

#[tokio::test]
async fn within_a_cluster_the_service_account_says_how() {
    let (cluster, port) = Cluster::start().await;
    cluster.put("/api/v1/namespaces/mine/pods", pod("p1", "10.1.0.1"));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "t0ken\n").unwrap();
    std::fs::write(dir.path().join("namespace"), "mine").unwrap();
    let in_cluster = InCluster { server: format!("http://127.0.0.1:{port}"), folder: dir.path().to_owned() };
    let options = DiscoveryOptions { in_cluster, ..Default::default() };
    let yaml = "kubernetes_sd_configs:\n- role: pod\n  namespaces: {own_namespace: true}";
    let mut running = Running::start_with(yaml, options);
    running.until(|t| !t.is_empty()).await;
    assert!(cluster.state.lock().unwrap().tokens.iter().all(|t| t == "Bearer t0ken"));
    let nowhere = InCluster { server: String::new(), folder: dir.path().join("none") };
    let running = Running::start_with(yaml, DiscoveryOptions { in_cluster: nowhere, ..Default::default() });
    eventually(|| running.metrics.kubernetes_failures.load(Ordering::Relaxed) > 0).await;
}

#[tokio::test]
async fn a_kubeconfig_says_how() {
    let (cluster, port) = Cluster::start().await;
    cluster.put(NODES, node("n1"));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    let text = format!(
        "current-context: x\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\nusers: [{{name: u, user: {{token: abc}}}}]\n"
    );
    std::fs::write(&file, text).unwrap();
    let mut running = Running::start(&format!(
        "kubernetes_sd_configs:\n- {{role: node, kubeconfig_file: '{}'}}",
        file.display()
    ));
    running.until(|t| !t.is_empty()).await;
    assert!(cluster.state.lock().unwrap().tokens.iter().all(|t| t == "Bearer abc"));
}

#[test]
fn sections_that_make_no_sense_are_refused_in_upstreams_words() {
    for (section, text) in [
        (
            "{api_server: 'http://x'}",
            "p.yml:4:5: key scrape_configs[0].kubernetes_sd_configs[0].role: role missing (one of: pod, service, \
             endpoints, endpointslice, node, ingress)",
        ),
        ("{role: x}", "unknown Kubernetes SD role \"x\""),
        (
            "{role: pod, api_server: 'http://x', kubeconfig_file: y}",
            "cannot use 'kubeconfig_file' and 'api_server' simultaneously",
        ),
        (
            "{role: pod, bearer_token: x}",
            "to use custom HTTP client configuration please provide the 'api_server' URL explicitly",
        ),
        (
            "{role: pod, kubeconfig_file: x, namespaces: {own_namespace: true}}",
            "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously",
        ),
        ("{role: node, selectors: [{role: pod}]}", "node role supports only node selectors"),
        ("{role: pod, selectors: [{role: pod}, {role: pod}]}", "duplicated selector role: pod"),
        ("{role: pod, selectors: [{role: pod, field: a}]}", "invalid selector: 'a'; can't understand 'a'"),
        ("{role: pod, namespaces: {name: x}}", "unknown key"),
        ("{role: pod, roles: x}", "key scrape_configs[0].kubernetes_sd_configs[0].roles: unknown key"),
    ] {
        let e = load(&format!("kubernetes_sd_configs:\n- {section}")).unwrap_err();
        assert!(e.contains(text), "{section}: {e}");
    }
    let yaml =
        load("kubernetes_sd_configs:\n- {role: pod, api_server: 'https://u:hunter2@h'}").unwrap().to_yaml();
    for part in ["api_server: https://u:xxxxx@h", "role: pod", "own_namespace: false"] {
        assert!(yaml.contains(part), "{part} in {yaml}");
    }
}

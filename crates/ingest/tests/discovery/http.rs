use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::get,
};

use super::{Running, addresses, eventually, load, serve};

type Answer = (StatusCode, &'static str, String);

/// What the server says next, and the headers that it was last asked with.
#[derive(Clone)]
struct Server {
    answer: Arc<Mutex<Answer>>,
    headers: Arc<Mutex<HeaderMap>>,
    asked: Arc<AtomicU64>,
}

impl Server {
    async fn start(body: &str) -> (Self, u16) {
        let server = Server {
            answer: Arc::new(Mutex::new((StatusCode::OK, "application/json", body.to_owned()))),
            headers: Arc::default(),
            asked: Arc::default(),
        };
        let handler = |State(s): State<Server>, headers: HeaderMap| async move {
            *s.headers.lock().unwrap() = headers;
            s.asked.fetch_add(1, Ordering::Relaxed);
            let (status, kind, body) = s.answer.lock().unwrap().clone();
            (status, [("content-type", kind)], body)
        };
        let port = serve(Router::new().route("/t", get(handler)).with_state(server.clone())).await;
        (server, port)
    }

    fn says(&self, status: StatusCode, kind: &'static str, body: &str) {
        *self.answer.lock().unwrap() = (status, kind, body.to_owned());
    }
}

const TWO: &str = r#"[{"targets":["h:1","h:2"],"labels":{"x":"1"}},{"targets":["i:1"]}]"#;

#[tokio::test]
async fn targets_come_from_a_server_with_its_url_and_it_is_told_the_interval() {
    let (server, port) = Server::start(TWO).await;
    let mut running = Running::start(&format!(
        "static_configs: [{{targets: ['s:1']}}]\nhttp_sd_configs:\n- url: http://u:p@127.0.0.1:{port}/t\n  refresh_interval: 30s"
    ));
    assert_eq!(addresses(&running.now()), ["s:1"], "targets of the section itself are there at once");
    let targets = running.until(|t| t.len() > 1).await;
    assert_eq!(addresses(&targets), ["s:1", "h:1", "h:2", "i:1"]);
    assert_eq!(targets[1].value("x"), "1");
    assert_eq!(targets[1].value("__meta_url"), format!("http://u:xxxxx@127.0.0.1:{port}/t"));
    let headers = server.headers.lock().unwrap();
    for (name, value) in [
        ("x-prometheus-refresh-interval-seconds", "30"),
        ("accept", "application/json"),
        ("user-agent", "test/1"),
        ("authorization", "Basic dTpw"),
    ] {
        assert_eq!(headers[name], value);
    }
}

#[tokio::test]
async fn the_last_good_targets_stay_whatever_the_server_answers() {
    let (server, port) = Server::start(TWO).await;
    let mut running = Running::start(&format!(
        "http_sd_configs:\n- url: http://127.0.0.1:{port}/t\n  refresh_interval: 20ms"
    ));
    running.until(|t| t.len() == 3).await;
    let many = format!("[{{\"targets\":[{}\"x\"]}}]", "\"x\",".repeat(100_000));
    for (status, kind, body) in [
        (StatusCode::INTERNAL_SERVER_ERROR, "application/json", "[]"),
        (StatusCode::OK, "text/html", "[]"),
        (StatusCode::OK, "application/json", "[null]"),
        (StatusCode::OK, "application/json", "[{\"target\":[]}]"),
        (StatusCode::OK, "application/json", "{"),
        (StatusCode::OK, "application/json", many.as_str()),
    ] {
        let before = running.metrics.http.failures.load(Ordering::Relaxed);
        server.says(status, kind, body);
        // The first may have been under way before the answer changed.
        eventually(|| running.metrics.http.failures.load(Ordering::Relaxed) > before + 1).await;
        assert_eq!(running.now().len(), 3, "{status} {kind}");
    }
    server.says(StatusCode::OK, "application/json; charset=utf-8", "[]");
    running.until(<[_]>::is_empty).await;
}

#[tokio::test]
async fn nobody_is_asked_once_the_discovery_is_cancelled() {
    let (server, port) = Server::start(TWO).await;
    let mut running = Running::start(&format!(
        "http_sd_configs:\n- url: http://127.0.0.1:{port}/t\n  refresh_interval: 10ms"
    ));
    running.until(|t| t.len() == 3).await;
    running.cancel.cancel();
    // The sender is gone with the task.
    while running.groups.changed().await.is_ok() {}
    let asked = server.asked.load(Ordering::Relaxed);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(server.asked.load(Ordering::Relaxed), asked);
}

#[test]
fn sections_that_make_no_sense_are_refused_in_upstreams_words() {
    for (section, text) in [
        ("{}", "p.yml:4:5: key scrape_configs[0].http_sd_configs[0].url: URL is missing"),
        ("{url: ''}", "URL is missing"),
        ("{url: 'ftp://x'}", "URL scheme must be 'http' or 'https'"),
        ("{url: 'h:80/x'}", "URL scheme must be 'http' or 'https'"),
        ("{url: 'http:///x'}", "host is missing in URL"),
        (
            "{url: 'http://x', nonsense: 1}",
            "p.yml:4:23: key scrape_configs[0].http_sd_configs[0].nonsense: unknown key",
        ),
        (
            "{url: 'http://x', bearer_token: a, bearer_token_file: b}",
            "at most one of bearer_token & bearer_token_file must be configured",
        ),
        ("", "empty or null section in http_sd_configs"),
    ] {
        let e = load(&format!("http_sd_configs:\n- {section}")).unwrap_err();
        assert!(e.contains(text), "{section}: {e}");
    }
}

#[test]
fn the_effective_section_has_its_defaults_and_no_password() {
    let config =
        load("http_sd_configs:\n- url: http://u:hunter2@h/x\n  basic_auth: {username: a, password: hunter3}");
    let text = config.unwrap().to_yaml();
    for part in ["url: http://u:xxxxx@h/x", "refresh_interval: 1m", "follow_redirects: true", "<secret>"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("hunter"), "{text}");
}

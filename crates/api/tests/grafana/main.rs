//! Grafana's role, asked the way its clients ask.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod boards;
mod login;
mod roles;
mod sources;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode},
};
use reba_api::grafana::{App, Cost, GrafanaApi, OwnRole, Parts, Paths, Settings, router};
use reba_config::Variables;
use reba_http::ProxyEnv;
use reba_storage::StateStore;
use reba_testkit::RamState;
use serde_json::{Value, json};
use tower::ServiceExt as _;

const START: i64 = 1_795_444_245_123;

/// A server with a store in memory, and what it is asked.
struct Server {
    router: Router,
    clock: Arc<AtomicI64>,
    store: Arc<dyn StateStore>,
    folder: tempfile::TempDir,
}

/// An answer.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The session of `Set-Cookie`.
    fn session(&self) -> String {
        let cookie = self.headers["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }
}

impl Server {
    fn new() -> Self {
        Self::with(Settings::default(), &[])
    }

    /// A server with these files below `grafana/`.
    fn with(settings: Settings, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join("grafana").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let (store, clock) = (Arc::new(RamState::default()), Arc::new(AtomicI64::new(START)));
        let (router, _) = open(store.clone(), &clock, settings, folder.path());
        Server { router, clock, store, folder }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut request = Request::builder().method(method).uri(path).header("host", "reba:3001");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = axum::body::to_bytes(body, 1 << 26).await.unwrap().to_vec();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    /// Asks as `who`, by user and password.
    async fn ask(&self, who: &str, method: &str, path: &str, body: Value) -> Reply {
        let authorization = basic(who, "correct horse");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, &[("authorization", &authorization)], &body).await
    }

    async fn get(&self, who: &str, path: &str) -> Value {
        let reply = self.ask(who, "GET", path, Value::Null).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.json()
    }

    async fn post(&self, who: &str, path: &str, body: Value) -> Value {
        let reply = self.ask(who, "POST", path, body).await;
        assert!(reply.status.is_success(), "{path}: {} {}", reply.status, reply.text());
        reply.json()
    }

    async fn log_in(&self, user: &str, password: &str) -> Reply {
        self.send("POST", "/login", &[], &json!({"user": user, "password": password}).to_string()).await
    }

    /// Adds somebody with a role, who is named after it.
    async fn add(&self, role: &str) {
        // The login "admin" is the first user's.
        let login = if role == "Admin" { "admin-of-org".to_owned() } else { role.to_lowercase() };
        let form = json!({"login": login, "password": "correct horse", "role": role});
        self.post("admin", "/api/admin/users", form).await;
    }

    fn pass(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::Relaxed);
    }
}

fn basic(user: &str, password: &str) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

/// The role; its administrator's password is "correct horse", unless the settings say something else.
fn open(
    store: Arc<dyn StateStore>,
    clock: &Arc<AtomicI64>,
    mut settings: Settings,
    folder: &std::path::Path,
) -> (Router, Option<reba_http::Secret>) {
    let generated = settings.admin_user == "made-up";
    if !generated {
        settings.admin_password.get_or_insert(reba_http::Secret::new("correct horse"));
    }
    let (clock, counter) = (Arc::clone(clock), AtomicU64::new(0));
    let page: &[u8] = b"<html><head><base href=\"/\" /></head></html>";
    let parts = Parts {
        store,
        app: App::new(&[("index.html", page)], &settings.base()),
        extra: Vec::new(),
        roles: ["prometheus", "loki", "tempo", "alertmanager"].map(own_role).into(),
        paths: Paths::below(folder),
        variables: Variables::new(BTreeMap::from([("NAME".to_owned(), "value".to_owned())])),
        proxies: ProxyEnv::default(),
        user_agent: "test".to_owned(),
        tls: false,
        clock_ms: Arc::new(move || clock.load(Ordering::Relaxed)),
        random: Arc::new(move || {
            let n = counter.fetch_add(1, Ordering::Relaxed);
            std::array::from_fn(|i| (n as u8).wrapping_mul(31).wrapping_add(i as u8 * 7))
        }),
        cost: Cost { memory: 8, passes: 1 },
        renew_made_up: false,
        settings,
    };
    let (api, made_up) = GrafanaApi::open(parts).unwrap();
    (router(api), made_up)
}

/// A role that says what it was asked; some paths answer as the real one would.
fn own_role(name: &'static str) -> OwnRole {
    let port = match name {
        "prometheus" => 9090,
        "loki" => 3100,
        "tempo" => 3200,
        _ => 9093,
    };
    let router = Router::new().fallback(move |request: Request| async move { answer(name, request).await });
    OwnRole { name, port, port_offset: 0, prefix: String::new(), router }
}

async fn answer(name: &'static str, request: Request) -> axum::response::Response {
    use axum::response::IntoResponse as _;
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let headers: BTreeMap<String, String> = parts
        .headers
        .iter()
        .map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
        .collect();
    let form = String::from_utf8_lossy(&body).into_owned();
    let data = match (name, parts.uri.path()) {
        ("prometheus", "/api/v1/query_range") if form.contains("query=broken") => {
            return (StatusCode::BAD_REQUEST, axum::Json(json!({"status": "error", "error": "parse error"})))
                .into_response();
        }
        ("prometheus", "/api/v1/query_range") => {
            json!({"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {"__name__": "up", "job": "a"}, "values": [[1, "1"], [16, "NaN"]]}]}})
        }
        ("prometheus", "/api/v1/query") => {
            json!({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {"job": "a"}, "value": [1, "2"]}]}})
        }
        ("loki", "/loki/api/v1/query_range") => {
            json!({"status": "success", "data": {"resultType": "streams", "result": [{"stream": {"app": "x"}, "values": [["1000000000", "a line"]]}]}})
        }
        ("tempo", "/api/search") => json!({"traces": [{"traceID": "1"}]}),
        ("loki", "/redirect") => {
            return (StatusCode::FOUND, [("location", "http://elsewhere/")]).into_response();
        }
        _ => json!({
            "role": name, "method": parts.method.as_str(), "path": parts.uri.path(), "query": parts.uri.query(), "headers": headers, "body": form,
        }),
    };
    let mut response = axum::Json(data).into_response();
    for (name, value) in
        [("set-cookie", "evil=1"), ("www-authenticate", "Basic"), ("access-control-allow-origin", "*")]
    {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

fn method(text: &str) -> Method {
    text.parse().unwrap()
}

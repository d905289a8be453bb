//! The API over a store in RAM, without a socket.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use arc_swap::ArcSwap;
use axum::{Router, body::Body, http::Request};
use reba_api::{
    answers::Answers,
    loki::{Deletions, Intake, LokiApi, RequestMetrics, router},
    prometheus::Readiness,
};
use reba_ingest::loki::{LokiReceiver, config::LokiConfig, limits::TenantLimits};
use reba_model::GoRegex;
use reba_query::logs::{LogEngineConfig, LogQueryEngine, LogTails};
use reba_storage::{LogAdmin, LogAppender, LogQuerier};
use reba_testkit::MemLogStore;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

pub const SECOND: i64 = 1_000_000_000;
/// What the clock says: 2023-11-14T22:13:20Z.
pub const NOW: i64 = 1_700_000_000 * SECOND;

/// The API and what a test changes around it.
pub struct Api {
    pub router: Router,
    pub readiness: Arc<Readiness>,
    pub now: Arc<AtomicI64>,
    pub stop: CancellationToken,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: axum::http::HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON; statistics, which differ from run to run, are left out.
    pub fn json(&self) -> Value {
        let mut value: Value =
            serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()));
        for at in ["", "/data"] {
            if let Some(object) = value.pointer_mut(at).and_then(Value::as_object_mut) {
                object.remove("stats");
            }
        }
        value
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

/// The configuration of the tests: no tenants.
pub fn config() -> LokiConfig {
    with_tenants(false)
}

/// The defaults, with tenants or without.
pub fn with_tenants(auth_enabled: bool) -> LokiConfig {
    let mut config = LokiConfig::default();
    config.auth_enabled = auth_enabled;
    config
}

/// Parts that a store has in one.
pub trait Store: LogAppender + LogQuerier + LogAdmin + 'static {}
impl<T: LogAppender + LogQuerier + LogAdmin + 'static> Store for T {}

impl Api {
    pub fn new(config: LokiConfig) -> Self {
        Api::over(Arc::new(MemLogStore::default()), config, LogEngineConfig::default())
    }

    pub fn over<S: Store>(store: Arc<S>, config: LokiConfig, engine: LogEngineConfig) -> Self {
        let now = Arc::new(AtomicI64::new(NOW));
        let clock = Arc::clone(&now);
        let clock_ns: Arc<dyn Fn() -> i64 + Send + Sync> = Arc::new(move || clock.load(Ordering::Relaxed));
        let limits = Arc::new(TenantLimits::new(&config));
        let tails = LogTails::new(Arc::clone(&store) as _, config.limits.max_concurrent_tail_requests);
        let receiver =
            LokiReceiver::new(Arc::clone(&tails) as _, Arc::clone(&limits), Arc::clone(&clock_ns), 1);
        let readiness = Arc::new(Readiness::default());
        readiness.set_ready();
        let stop = CancellationToken::new();
        let api = LokiApi {
            engine: Arc::new(LogQueryEngine::new(Arc::clone(&store) as _, engine).unwrap()),
            tails,
            receiver: Arc::new(receiver),
            limits,
            deletions: Arc::new(Deletions::open(Arc::clone(&store) as _, None).unwrap()),
            admin: store,
            ruler: None,
            config: Arc::new(ArcSwap::from_pointee(config)),
            readiness: Arc::clone(&readiness),
            metrics: Vec::new(),
            cors_origin: GoRegex::anchored("https?://localhost(:[0-9]+)?").unwrap(),
            log_level: None,
            clock_ns,
            stop: stop.clone(),
            http: RequestMetrics::default(),
            answers: Answers::default(),
            intake: Intake::default(),
        };
        Api { router: router(Arc::new(api)), readiness, now, stop }
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap().to_vec();
        Reply { status, headers, body }
    }

    pub async fn get(&self, path: &str, params: &[(&str, &str)]) -> Reply {
        self.get_as("", path, params).await
    }

    /// The same for a tenant.
    pub async fn get_as(&self, tenant: &str, path: &str, params: &[(&str, &str)]) -> Reply {
        self.send(request("GET", tenant, path, params).body(Body::empty()).unwrap()).await
    }

    pub async fn push_json(&self, tenant: &str, body: &Value) -> Reply {
        let request = request("POST", tenant, "/loki/api/v1/push", &[]);
        let request = request.header("Content-Type", "application/json; charset=UTF-8");
        self.send(request.body(Body::from(format!("{body}\n"))).unwrap()).await
    }

    /// Pushes lines of one stream, one a second, the last one a second ago.
    pub async fn push(&self, labels: Value, lines: &[&str]) {
        self.push_as("", labels, lines).await;
    }

    pub async fn push_as(&self, tenant: &str, labels: Value, lines: &[&str]) {
        let at = |i: usize| (NOW - (lines.len() - i) as i64 * SECOND).to_string();
        let values: Vec<Value> = lines.iter().enumerate().map(|(i, line)| json!([at(i), line])).collect();
        let reply = self.push_json(tenant, &json!({"streams": [{"stream": labels, "values": values}]})).await;
        assert_eq!((reply.status, reply.text()), (204, ""));
    }
}

pub fn form(params: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish()
}

pub fn request(
    method: &str,
    tenant: &str,
    path: &str,
    params: &[(&str, &str)],
) -> axum::http::request::Builder {
    let query = form(params);
    let uri = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let request = Request::builder().method(method).uri(uri);
    if tenant.is_empty() { request } else { request.header("X-Scope-OrgID", tenant) }
}

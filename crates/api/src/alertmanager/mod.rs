//! Alertmanager's HTTP API, on port 9093: version 2 as of 0.26, and below `/api/v2/reba/` what tells more than upstream does.

mod alerts;
mod body;
mod events;
mod http_metrics;
mod json;
mod metrics;
mod middleware;
mod params;
mod refusal;
mod rehearsal;
mod silences;
mod status;

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Method, header},
    response::Response,
    routing::{MethodRouter, any, delete, get, post},
};
use http_body_util::{BodyExt as _, Limited};
use reba_alerting::{Machine, shell::Alerting};
use reba_model::GoRegex;
use reba_notify::Receivers;
use tokio::sync::Semaphore;
use tower_http::compression::{CompressionLayer, predicate::SizeAbove};

use self::refusal::Answer;
pub use self::{
    events::RecentEvents, http_metrics::HttpMetrics, json::time as rfc3339, refusal::Refusal,
    rehearsal::Rehearsals,
};
use crate::{
    answers::Answers,
    compress,
    loki::{self, Intake},
    prometheus::{MetricsSource, Readiness},
};

/// The upstream version that Reba's answers are compatible with: clients switch features by it.
pub const COMPATIBLE_VERSION: &str = "0.26.0";

/// Bytes that a post of alerts may have.
const ALERTS_LIMIT: usize = 64 << 20;

/// Places of readers. Dashboards ask for everything every few seconds, and must not keep senders out.
#[derive(Debug)]
pub struct Readers {
    places: Semaphore,
    count: usize,
    /// How long one may take, if there is a limit.
    timeout: Option<Duration>,
}

impl Readers {
    /// So many at a time, each for so many milliseconds at most (zero: no limit).
    pub fn new(count: usize, timeout_ms: i64) -> Self {
        let count = count.clamp(1, Semaphore::MAX_PERMITS);
        let timeout = u64::try_from(timeout_ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis);
        Readers { places: Semaphore::new(count), count, timeout }
    }

    /// How many are reading.
    fn busy(&self) -> usize {
        self.count.saturating_sub(self.places.available_permits())
    }
}

/// Answers smaller than this are sent as they are.
const COMPRESS_ABOVE: u64 = 1024;

/// A receiver as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Its name.
    pub name: String,
    /// The ways in which it is told.
    pub integrations: Vec<ReceiverIntegration>,
}

/// One way in which a receiver is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverIntegration {
    /// `email`, `slack`, …
    pub kind: &'static str,
    /// Its place among those of its kind in its receiver, from 0.
    pub index: usize,
    /// Whether it wants to hear of resolved alerts.
    pub send_resolved: bool,
    /// Why it is disabled, if it is.
    pub disabled: Option<String>,
}

/// What of the configuration in force the API shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Current {
    /// The file as YAML, without secrets; it can be loaded again.
    pub original: String,
    /// In the order of the file.
    pub receivers: Vec<Receiver>,
    /// Whether the last attempt to reload succeeded.
    pub reload_ok: bool,
    /// When one last did, Unix milliseconds.
    pub reloaded_ms: i64,
}

/// A piece of work that ends some time; the error is said to whoever asked for it.
pub type Work = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// The parts of Reba that this API shows to the outside.
pub struct AlertmanagerApi {
    /// Decides who hears of what.
    pub alerting: Alerting,
    /// The configuration in force.
    pub current: Arc<ArcSwap<Current>>,
    /// The receivers of that configuration, for previews.
    pub receivers: Arc<ArcSwap<Receivers>>,
    /// The newest events.
    pub events: Arc<RecentEvents>,
    /// Reads the configuration again.
    pub reload: Box<dyn Fn() -> Work + Send + Sync>,
    /// Whether the state has been read.
    pub readiness: Arc<Readiness>,
    /// Metrics of parts that this crate does not know (the process).
    pub metrics: Vec<MetricsSource>,
    /// Origins whose pages may read answers and change something.
    pub cors_origin: GoRegex,
    /// When the process was started, Unix milliseconds.
    pub started_ms: i64,
    /// Requests by handler.
    pub http: HttpMetrics,
    /// Memory for answers on their way.
    pub answers: Answers,
    /// Memory for bodies on their way.
    pub intake: Intake,
    /// Places of readers.
    pub readers: Readers,
    /// Places of those who preview and test receivers.
    pub rehearsals: Rehearsals,
}

impl fmt::Debug for AlertmanagerApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertmanagerApi").finish_non_exhaustive()
    }
}

impl AlertmanagerApi {
    /// Looks at what alerting knows.
    fn look<T>(&self, question: impl FnOnce(&Machine, i64) -> T) -> T {
        self.alerting.read(question)
    }

    /// Makes a large answer on a thread that may block.
    async fn answer(
        self: Arc<Self>,
        make: impl FnOnce(&Self) -> Result<Vec<u8>, Refusal> + Send + 'static,
    ) -> Answer {
        let this = Arc::clone(&self);
        let made = tokio::task::spawn_blocking(move || make(&this)).await;
        let mut body = made.map_err(|e| Refusal::internal(e.to_string()))??;
        body.push(b'\n');
        let room = self.answers.room(body.len()).await;
        let room = room.ok_or_else(|| Refusal::internal("too many large answers are on their way"))?;
        Ok(json_answer(room.keep_until_sent(Body::from(body))))
    }

    /// Reads a large body, and has `work` done with it where threads may block.
    async fn take(
        self: Arc<Self>,
        body: Body,
        work: impl FnOnce(&Self, &[u8]) -> Answer + Send + 'static,
    ) -> Answer {
        let this = Arc::clone(&self);
        let taken = self.intake.take(body, ALERTS_LIMIT, move |bytes| Ok(work(&this, bytes))).await;
        taken.map_err(|loki::Refusal { status, text, .. }| Refusal::say(status, text))?
    }

    /// Reads a small body.
    async fn read(&self, body: Body, most: usize) -> Result<Vec<u8>, Refusal> {
        let read = Limited::new(body, most).collect().await;
        let read = read.map_err(|e| {
            Refusal::bad(format!("the body cannot be read, or has more than {most} bytes: {e}"))
        })?;
        Ok(read.to_bytes().to_vec())
    }
}

/// The routes.
pub fn router(api: Arc<AlertmanagerApi>) -> Router {
    Router::new()
        .nest("/api/v2", v2())
        .route("/api/v1", any(status::gone))
        .route("/api/v1/{*rest}", any(status::gone))
        .route("/", get(status::home))
        .route("/home.css", get(status::style))
        .route("/home.js", get(status::script))
        .route("/-/healthy", get(status::ok))
        .route("/-/ready", get(status::ok))
        .route("/-/reload", post(status::reload))
        .route("/metrics", get(metrics::page))
        .fallback(status::not_found)
        .layer(axum::middleware::from_fn(compress::large))
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(COMPRESS_ABOVE)))
        .route_layer(axum::middleware::from_fn_with_state(Arc::clone(&api), middleware::count))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&api), middleware::around))
        .with_state(api)
}

fn v2() -> Router<Arc<AlertmanagerApi>> {
    Router::new()
        .route("/status", only("GET", get(status::status)))
        .route("/receivers", only("GET", get(alerts::receivers)))
        .route("/alerts", only("GET,POST", get(alerts::list).post(alerts::post)))
        .route("/alerts/groups", only("GET", get(alerts::groups)))
        .route("/silences", only("GET,POST", get(silences::list).post(silences::post)))
        .route("/silence/{id}", only("DELETE,GET", get(silences::get).delete(silences::delete)))
        .route("/reba/receivers", only("GET", get(status::integrations)))
        .route("/reba/route", only("GET", get(status::route)))
        .route("/reba/routes", only("GET", get(status::routes)))
        .route("/reba/events", only("GET", get(status::events)))
        .route("/reba/preview", only("POST", post(rehearsal::preview)))
        .route("/reba/test", only("POST", post(rehearsal::test)))
        .route(
            "/reba/recurring",
            only("GET,POST", get(silences::list_recurring).post(silences::post_recurring)),
        )
        .route("/reba/recurring/{id}", only("DELETE", delete(silences::delete_recurring)))
        .fallback(status::no_path)
}

/// Refuses other methods in upstream's words.
fn only(
    allowed: &'static str,
    router: MethodRouter<Arc<AlertmanagerApi>>,
) -> MethodRouter<Arc<AlertmanagerApi>> {
    router.fallback(move |method: Method| async move { status::no_method(method, allowed) })
}

fn json_answer(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

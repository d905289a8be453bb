//! Promtail's pages: whether it is ready, what it reads, what it dropped, its configuration and metrics; and receivers of pushed lines.
//!
//! What they show comes from closures, so that this crate knows no shipper.

use std::{collections::BTreeMap, fmt::Write as _, future::Future, pin::Pin, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use reba_model::{GoRegex, Labels};
use serde_json::json;

use crate::origins;

/// Something that is read: a file, a container, a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its job.
    pub job: String,
    /// What kind of source it is.
    pub kind: String,
    /// Labels before relabelling.
    pub discovered: Labels,
    /// Labels of its entries.
    pub labels: Labels,
    /// How far it is read, in words.
    pub details: String,
    /// Whether it is read.
    pub ready: bool,
}

/// A piece of work that ends some time; the error is said to whoever asked for it.
pub type Work = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// What the pages show.
#[derive(Clone)]
pub struct PromtailApi {
    /// Whether the configuration has been loaded and is at work.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// What is read at the moment.
    pub targets: Arc<dyn Fn() -> Vec<Target> + Send + Sync>,
    /// The newest lines that pipelines dropped, by reason.
    pub dropped: Arc<dyn Fn() -> BTreeMap<String, Vec<String>> + Send + Sync>,
    /// The configuration as YAML, without secrets.
    pub config: Arc<dyn Fn() -> String + Send + Sync>,
    /// Adds metrics in the text format of Prometheus.
    pub metrics: Arc<dyn Fn(&mut String) + Send + Sync>,
    /// Reads the configuration again, if that may be asked for.
    pub reload: Option<Arc<dyn Fn() -> Work + Send + Sync>>,
    /// Origins whose pages may ask for that.
    pub cors_origin: GoRegex,
}

/// The pages below `/`.
pub fn router(api: PromtailApi) -> Router {
    let trusted = api.cors_origin.clone();
    let router = Router::new()
        .route("/", get(targets))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/targets", get(targets))
        .route("/service-discovery", get(service_discovery))
        .route("/config", get(config))
        .route("/reload", post(reload).put(reload))
        .with_state(api);
    origins::keep_out(router, trusted)
}

async fn ready(State(api): State<PromtailApi>) -> Response {
    if (api.ready)() {
        return "Ready".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "Not ready: the configuration is not at work yet").into_response()
}

async fn metrics(State(api): State<PromtailApi>) -> Response {
    let mut out = String::new();
    (api.metrics)(&mut out);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], out).into_response()
}

async fn config(State(api): State<PromtailApi>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], (api.config)()).into_response()
}

async fn reload(State(api): State<PromtailApi>) -> Response {
    let Some(reload) = &api.reload else {
        let reason = "reloading is not enabled: server.enable_runtime_reload";
        return (StatusCode::FORBIDDEN, reason).into_response();
    };
    match reload().await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(reason) => (StatusCode::INTERNAL_SERVER_ERROR, reason).into_response(),
    }
}

/// Whether a program asks.
fn wants_json(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains("application/json"))
}

async fn targets(State(api): State<PromtailApi>, headers: HeaderMap) -> Response {
    let (targets, dropped) = ((api.targets)(), (api.dropped)());
    if wants_json(&headers) {
        let all: Vec<_> = targets
            .iter()
            .map(|t| {
                json!({
                    "job": t.job, "type": t.kind, "labels": map(&t.labels), "discoveredLabels": map(&t.discovered),
                    "details": t.details, "ready": t.ready,
                })
            })
            .collect();
        return Json(json!({"targets": all, "dropped": dropped})).into_response();
    }
    let mut body = table(&["Job", "Type", "Ready", "Labels", "Details"]);
    for t in &targets {
        let ready = if t.ready { "yes" } else { "no" };
        row(&mut body, &[&t.job, &t.kind, ready, &t.labels.to_string(), &t.details]);
    }
    body.push_str("</table>");
    if !dropped.is_empty() {
        body.push_str("<h2>Lines dropped lately</h2>");
        body.push_str(&table(&["Reason", "Line"]));
        for (reason, lines) in &dropped {
            for line in lines {
                row(&mut body, &[reason, line]);
            }
        }
        body.push_str("</table>");
    }
    page("Targets", &body)
}

async fn service_discovery(State(api): State<PromtailApi>, headers: HeaderMap) -> Response {
    let targets = (api.targets)();
    if wants_json(&headers) {
        let pair = |t: &Target| json!({"job": t.job, "discoveredLabels": map(&t.discovered), "labels": map(&t.labels)});
        return Json(targets.iter().map(pair).collect::<Vec<_>>()).into_response();
    }
    let mut body = table(&["Job", "Discovered labels", "Target labels"]);
    for t in &targets {
        row(&mut body, &[&t.job, &t.discovered.to_string(), &t.labels.to_string()]);
    }
    body.push_str("</table>");
    page("Service discovery", &body)
}

fn map(labels: &Labels) -> BTreeMap<&str, &str> {
    labels.iter().collect()
}

fn table(heads: &[&str]) -> String {
    let mut out = String::from("<table><tr>");
    for head in heads {
        let _ = write!(out, "<th>{head}</th>");
    }
    out.push_str("</tr>\n");
    out
}

fn row(out: &mut String, cells: &[&str]) {
    out.push_str("<tr>");
    for cell in cells {
        out.push_str("<td>");
        escape(out, cell);
        out.push_str("</td>");
    }
    out.push_str("</tr>\n");
}

/// Lines of logs come from anywhere: none of them may become part of the page.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

fn page(title: &str, body: &str) -> Response {
    let style = "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:4px 8px;\
                 text-align:left;font-family:monospace;white-space:pre-wrap;word-break:break-all}";
    let links = "<a href=\"targets\">Targets</a> <a href=\"service-discovery\">Service discovery</a> <a href=\"config\">Configuration</a> \
                 <a href=\"metrics\">Metrics</a>";
    let html = format!(
        "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>{title}</title><style>{style}</style></head>\
         <body><p>{links}</p><h1>{title}</h1>{body}</body></html>"
    );
    let policy = [(header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'")];
    (policy, Html(html)).into_response()
}

/// A receiver of `loki_push_api`; the calls may block, and are made where that is allowed.
#[derive(Clone)]
pub struct PushApi {
    /// Takes a request to `/loki/api/v1/push`: content type, content encoding, body. The error has a status.
    #[expect(clippy::type_complexity, reason = "a closure in the place of a trait with one method")]
    pub push: Arc<dyn Fn(Option<&str>, Option<&str>, &[u8]) -> Result<(), (u16, String)> + Send + Sync>,
    /// Takes lines of text; `false` if we are stopping.
    pub lines: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

/// The paths of a receiver, on a listener of its own; pages may push whose origin is `trusted`.
pub fn push_router(api: PushApi, trusted: GoRegex) -> Router {
    let router = Router::new()
        .route("/loki/api/v1/push", post(push))
        .route("/api/prom/push", post(push))
        .route("/promtail/api/v1/raw", post(raw))
        .route("/ready", get(|| async { "Ready" }))
        .with_state(api);
    origins::keep_out(router, trusted)
}

async fn push(State(api): State<PushApi>, headers: HeaderMap, body: Bytes) -> Response {
    let work = tokio::task::spawn_blocking(move || {
        let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
        (api.push)(text(header::CONTENT_TYPE), text(header::CONTENT_ENCODING), &body)
    });
    match work.await {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err((status, message))) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, message).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn raw(State(api): State<PushApi>, body: Bytes) -> Response {
    let work = tokio::task::spawn_blocking(move || (api.lines)(&String::from_utf8_lossy(&body)));
    match work.await {
        Ok(true) => StatusCode::NO_CONTENT.into_response(),
        _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    fn here() -> GoRegex {
        GoRegex::anchored("http://localhost").unwrap()
    }

    fn api(ready: bool) -> PromtailApi {
        let target = Target {
            job: "j".to_owned(),
            kind: "file".to_owned(),
            discovered: Labels::from_pairs([("__path__", "/x/*.log")]),
            labels: Labels::from_pairs([("filename", "/x/<b>.log")]),
            details: "1 of 2 bytes".to_owned(),
            ready: true,
        };
        PromtailApi {
            ready: Arc::new(move || ready),
            targets: Arc::new(move || vec![target.clone()]),
            dropped: Arc::new(|| BTreeMap::from([("match_stage".to_owned(), vec!["<script>".to_owned()])])),
            config: Arc::new(|| "positions: {}\n".to_owned()),
            metrics: Arc::new(|out| out.push_str("promtail_build_info 1\n")),
            reload: None,
            cors_origin: here(),
        }
    }

    async fn ask(router: Router, method: &str, path: &str, accept: &str, body: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).header("accept", accept);
        let answer = router.oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn pages_show_what_is_read_and_execute_nothing() {
        for (path, status, expected) in [
            ("/ready", 200, "Ready"),
            ("/metrics", 200, "promtail_build_info"),
            ("/config", 200, "positions"),
            ("/targets", 200, "/x/&lt;b&gt;.log"),
            ("/targets", 200, "&lt;script&gt;"),
            ("/service-discovery", 200, "/x/*.log"),
        ] {
            let (is, body) = ask(router(api(true)), "GET", path, "text/html", "").await;
            assert_eq!(is, status, "{path}");
            assert!(body.contains(expected) && !body.contains("<script"), "{path}: {body}");
        }
        assert_eq!(ask(router(api(false)), "GET", "/ready", "*/*", "").await.0, 503);
        assert_eq!(ask(router(api(true)), "POST", "/reload", "*/*", "").await.0, 403);
        let (_, json) = ask(router(api(true)), "GET", "/targets", "application/json", "").await;
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["targets"][0]["discoveredLabels"]["__path__"], "/x/*.log");
        assert_eq!(json["dropped"]["match_stage"][0], "<script>");
    }

    #[tokio::test]
    async fn pushed_lines_are_taken_and_refusals_keep_their_status() {
        let api = PushApi {
            push: Arc::new(|kind, _, body| match (kind, body) {
                (None, b"x") => Ok(()),
                _ => Err((400, "bad".to_owned())),
            }),
            lines: Arc::new(|text| text == "a\nb"),
        };
        let of = |path: &'static str, body: &'static str| {
            ask(push_router(api.clone(), here()), "POST", path, "*/*", body)
        };
        assert_eq!(of("/loki/api/v1/push", "x").await.0, 204);
        assert_eq!(of("/loki/api/v1/push", "y").await, (400, "bad".to_owned()));
        assert_eq!(of("/promtail/api/v1/raw", "a\nb").await.0, 204);
        assert_eq!(of("/promtail/api/v1/raw", "c").await.0, 503);
    }
}

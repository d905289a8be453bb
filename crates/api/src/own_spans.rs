//! Requests of our own APIs as spans of our own.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use reba_ingest::traces::own::{Deed, OwnSpans, Place};
use reba_model::spans::{AttributeValue, Span, SpanKind};

/// Who caused a request (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Bytes of a query, and of a path, that a span has of it.
const MAX_TEXT: usize = 1024;

/// What a client that left is told; nobody reads it.
const CLIENT_LEFT: u16 = 499;

struct Around {
    own: Arc<OwnSpans>,
    role: &'static str,
}

/// Has requests to `router`, of a role, recorded.
pub fn around(router: Router, own: Arc<OwnSpans>, role: &'static str) -> Router {
    router.layer(from_fn_with_state(Arc::new(Around { own, role }), record))
}

async fn record(State(around): State<Arc<Around>>, mut request: Request, next: Next) -> Response {
    let parent = request.headers().get(TRACEPARENT).and_then(|v| v.to_str().ok());
    let place = around.own.place(parent);
    let underway = Underway {
        place,
        start_ns: around.own.now_ns(),
        began: Instant::now(),
        method: request.method().clone(),
        uri: request.uri().clone(),
        route: request.extensions().get::<MatchedPath>().cloned(),
        status: None,
        failure: None,
        around,
    };
    // What this request asks of others, here or elsewhere, is a part of it.
    if let Ok(value) = HeaderValue::from_str(&place.to_string()) {
        request.headers_mut().insert(TRACEPARENT, value);
    }
    let response = next.run(request).await;
    underway.end(&response);
    response
}

/// A request that is being answered. It is recorded when it is dropped, answered or not.
struct Underway {
    around: Arc<Around>,
    place: Place,
    start_ns: i64,
    began: Instant,
    method: Method,
    uri: Uri,
    route: Option<MatchedPath>,
    status: Option<u16>,
    failure: Option<String>,
}

impl Underway {
    fn end(mut self, response: &Response) {
        self.status = Some(response.status().as_u16());
        let failed = response.status().is_server_error();
        let reason = || response.status().canonical_reason().unwrap_or("failed").to_owned();
        self.failure = failed.then(reason).or_else(|| grpc_failure(response.headers()));
    }

    fn describe(&self, span: &mut Span) {
        let text = |text: &str| AttributeValue::Str(clipped(text).to_owned());
        let route = self.route.as_ref().map(MatchedPath::as_str);
        span.name = match route {
            Some(route) => format!("{} {route}", self.method),
            None => self.method.to_string(),
        };
        span.kind = SpanKind::Server;
        let status = AttributeValue::Int(i64::from(self.status.unwrap_or(CLIENT_LEFT)));
        let attributes = &mut span.attributes.0;
        attributes.push(("reba.role".to_owned(), text(self.around.role)));
        attributes.push(("http.request.method".to_owned(), text(self.method.as_str())));
        attributes.push(("url.path".to_owned(), text(self.uri.path())));
        attributes.push(("http.response.status_code".to_owned(), status));
        attributes.extend(route.map(|route| ("http.route".to_owned(), text(route))));
        attributes.extend(query(&self.uri).map(|query| ("reba.query".to_owned(), text(&query))));
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let duration_ns = i64::try_from(self.began.elapsed().as_nanos()).unwrap_or(i64::MAX);
        let deed = Deed { start_ns: self.start_ns, duration_ns, failure: self.failure.take() };
        self.around.own.record(self.place, deed, |span| self.describe(span));
    }
}

/// Why a gRPC call failed, if that is the server's doing (the codes that OpenTelemetry counts as such).
fn grpc_failure(headers: &HeaderMap) -> Option<String> {
    let code = headers.get("grpc-status")?.to_str().ok()?;
    matches!(code, "2" | "4" | "12" | "13" | "14" | "15").then(|| format!("gRPC status {code}"))
}

/// The query in an address: never the rest of it, which may have secrets.
fn query(uri: &Uri) -> Option<String> {
    let mut pairs = form_urlencoded::parse(uri.query()?.as_bytes());
    pairs.find(|(name, _)| name == "query" || name == "q").map(|(_, value)| value.into_owned())
}

fn clipped(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::StatusCode, routing::get};
    use reba_ingest::traces::own::OwnSpansPolicy;
    use reba_model::{NanoRange, Tenant};
    use reba_storage::{Budget, SpanQuerier as _};
    use reba_testkit::MemSpanStore;
    use tower::ServiceExt as _;

    use super::*;

    fn own(slow_ns: i64) -> Arc<OwnSpans> {
        let policy = OwnSpansPolicy { slow_ns, max_per_second: 100 };
        Arc::new(OwnSpans::new(policy, "1.0", 1, Arc::new(|| 1_700_000_000_000_000_000)))
    }

    async fn ask(router: &Router, path: &str, traceparent: &str) {
        let request = Request::builder().uri(path).header(TRACEPARENT, traceparent);
        router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    }

    #[tokio::test]
    async fn a_request_is_a_span_with_its_route_and_query_below_who_caused_it() {
        let own = own(i64::MAX);
        let inner = Router::new().route("/fails/{id}", get(async || StatusCode::BAD_GATEWAY));
        let inner = inner.route("/fine", get(async || "fine"));
        let inner = around(inner, Arc::clone(&own), "inner");
        // As one part of this process asks another: what it was told of who caused it goes along.
        let asks = async move |headers: HeaderMap| {
            let traceparent = headers[TRACEPARENT].to_str().unwrap().to_owned();
            ask(&inner, "/fails/7?token=secret&query=up%7B%7D", &traceparent).await;
            ask(&inner, "/fine", "nonsense").await;
            "asked"
        };
        let outer = around(Router::new().route("/", get(asks)), Arc::clone(&own), "outer");
        ask(&outer, "/", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").await;
        let store = MemSpanStore::default();
        own.flush(&store, &Tenant::single());
        let id = reba_model::spans::TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap();
        let budget = Budget::new(u64::MAX, u64::MAX);
        let spans = store.trace(&Tenant::single(), id, Some(NanoRange::ALL), &budget).unwrap();
        assert_eq!(spans.len(), 2, "{spans:?}");
        let find = |name: &str| spans.iter().find(|s| s.name == name).unwrap();
        let (outer, inner) = (find("GET /"), find("GET /fails/{id}"));
        assert_eq!(
            (outer.parent_id.to_string().as_str(), inner.parent_id),
            ("b7ad6b7169203331", outer.span_id)
        );
        assert_eq!(inner.attributes.text("reba.query"), Some("up{}"));
        assert_eq!(inner.attributes.text("url.path"), Some("/fails/7"));
        assert_eq!(
            (inner.status_message.as_str(), inner.attributes.text("reba.role")),
            ("Bad Gateway", Some("inner"))
        );
    }
}

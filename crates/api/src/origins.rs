//! Pages from elsewhere, in the browser of somebody who may reach this server: which of them may read answers, and what the others may
//! not do. The same for all ports; what their APIs are like, each says in [`Rules`].

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use reba_model::GoRegex;

use crate::prometheus::Readiness;

/// What is particular to an API.
pub(crate) struct Rules {
    /// Whether the router itself answers requests with the method OPTIONS for this path.
    pub(crate) answers_options: fn(&str) -> bool,
    /// What a page from elsewhere may not do. What it may ask, its browser keeps from it.
    pub(crate) is_closed: fn(&Method, &str) -> bool,
    /// Paths that still answer while the server stops. (Until it can answer, another router does.)
    pub(crate) ungated: &'static [&'static str],
    /// Methods that pages of trusted origins may use.
    pub(crate) methods: &'static str,
    /// Headers that they may send.
    pub(crate) headers: &'static str,
}

/// Answers a request as the rules say: itself, or by `answer`; and lets pages of trusted origins read what comes of it.
pub(crate) async fn around<F: Future<Output = Response>>(
    rules: &Rules,
    trusted: &GoRegex,
    readiness: &Readiness,
    request: Request,
    answer: impl FnOnce(Request) -> F,
) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let is_trusted = is_trusted(trusted, origin.as_ref());
    let (method, path) = (request.method(), request.uri().path());
    let mut response = if *method == Method::OPTIONS && (rules.answers_options)(path) {
        StatusCode::NO_CONTENT.into_response()
    } else if !is_trusted && (rules.is_closed)(method, path) {
        refusal()
    } else if !readiness.is_ready() && !rules.ungated.contains(&path) {
        (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable").into_response()
    } else {
        answer(request).await
    };
    if let Some(origin) = origin
        && is_trusted
    {
        rules.allow(response.headers_mut(), origin);
    }
    response
}

impl Rules {
    fn allow(&self, headers: &mut HeaderMap, origin: HeaderValue) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, self.methods),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, self.headers),
            (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
            (header::VARY, "Origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

/// The same for ports that take something and have nothing for pages to read: only those of trusted origins may send to them.
pub(crate) fn keep_out(router: Router, trusted: GoRegex) -> Router {
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let is_trusted = is_trusted(&trusted, request.headers().get(header::ORIGIN));
        let asks = matches!(*request.method(), Method::GET | Method::HEAD);
        async move { if is_trusted || asks { next.run(request).await } else { refusal() } }
    }))
}

/// Browsers name the page's origin; whoever names none is no page.
fn is_trusted(trusted: &GoRegex, origin: Option<&HeaderValue>) -> bool {
    origin.is_none_or(|origin| trusted.is_match(origin.to_str().unwrap_or("")))
}

fn refusal() -> Response {
    (StatusCode::FORBIDDEN, "requests from this origin may not do this (web.cors_origin)\n").into_response()
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::any};
    use tower::ServiceExt as _;

    use super::*;

    const RULES: Rules = Rules {
        answers_options: |path| path.starts_with("/api/"),
        is_closed: |method, path| *method == Method::POST && path == "/api/write",
        ungated: &["/metrics"],
        methods: "GET",
        headers: "Accept",
    };

    async fn ask(ready: bool, method: &str, path: &str, origin: Option<&str>) -> (u16, bool) {
        let readiness = Readiness::default();
        if ready {
            readiness.set_ready();
        }
        let mut request = Request::builder().method(method).uri(path);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let trusted = GoRegex::anchored("http://here").unwrap();
        let request = request.body(Body::empty()).unwrap();
        let response =
            around(&RULES, &trusted, &readiness, request, |_| async { StatusCode::OK.into_response() }).await;
        let readable = response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        (response.status().as_u16(), readable)
    }

    #[tokio::test]
    async fn pages_from_elsewhere_change_nothing_and_read_nothing() {
        let (here, elsewhere) = (Some("http://here"), Some("http://here.evil.example"));
        for (method, path, origin, status, readable) in [
            ("POST", "/api/write", None, 200, false),
            ("POST", "/api/write", here, 200, true),
            ("POST", "/api/write", elsewhere, 403, false),
            ("POST", "/api/write", Some("null"), 403, false),
            ("GET", "/api/query", elsewhere, 200, false),
            ("OPTIONS", "/api/query", elsewhere, 204, false),
            ("OPTIONS", "/api/query", here, 204, true),
            ("OPTIONS", "/else", here, 200, true),
        ] {
            assert_eq!(
                ask(true, method, path, origin).await,
                (status, readable),
                "{method} {path} {origin:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_server_that_stops_answers_what_must_be_answered() {
        assert_eq!(ask(false, "GET", "/api/query", None).await.0, 503);
        assert_eq!(ask(false, "GET", "/metrics", None).await.0, 200);
    }

    #[tokio::test]
    async fn ports_that_take_something_take_it_from_no_page() {
        let router = Router::new().route("/push", any(|| async { StatusCode::NO_CONTENT }));
        let router = keep_out(router, GoRegex::anchored("http://here").unwrap());
        for (method, origin, status) in [
            ("POST", "http://here", 204),
            ("POST", "http://elsewhere", 403),
            ("PUT", "null", 403),
            ("GET", "http://elsewhere", 204),
        ] {
            let request = Request::builder().method(method).uri("/push").header("origin", origin);
            let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(response.status(), status, "{method} {origin}");
        }
    }
}

//! The client.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::Full;

use crate::{
    BodyBuffer, BodyStream, HttpClientConfig, HttpError, ProxyEnv, Secret,
    auth::{self, TokenSource, basic, sensitive},
    body,
    error::root_cause,
    files,
    transport::Transport,
};

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// An absolute URL.
    pub uri: Uri,
    /// Headers besides those that the configuration adds.
    pub headers: HeaderMap,
    /// The body; may be empty.
    pub body: Bytes,
    /// For everything together: connecting, waiting, reading.
    pub timeout: Duration,
    /// More bytes of the answer's body, decompressed, are an error.
    pub body_limit: u64,
}

impl Request {
    /// A `GET` with no headers of its own.
    pub fn get(uri: Uri, timeout: Duration, body_limit: u64) -> Self {
        Request {
            method: Method::GET,
            uri,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout,
            body_limit,
        }
    }

    fn describe(&self) -> String {
        let method = self.method.as_str();
        let (first, rest) = method.split_at(method.len().min(1));
        format!("{first}{} \"{}\"", rest.to_ascii_lowercase(), self.uri)
    }
}

/// An answer; its body stands in the buffer that was passed.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
}

/// An HTTP client as the configuration describes it. Clones share connections and tokens.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    config: HttpClientConfig,
    user_agent: HeaderValue,
    transport: Transport,
    tokens: Option<TokenSource>,
}

/// As many redirects are followed, as in Go.
const MAX_REDIRECTS: usize = 10;

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Client {
    /// A client for a configuration that is valid. Files are read when they are needed.
    pub fn new(config: &HttpClientConfig, user_agent: &str, env: &ProxyEnv) -> Result<Self, HttpError> {
        let transport = Transport::new(config.tls_config.as_ref(), config.proxy(), config.enable_http2, env)?;
        let tokens = config.oauth2.as_ref().map(|o| TokenSource::new(o, env)).transpose()?;
        let user_agent = HeaderValue::from_str(user_agent).map_err(|e| HttpError::Config(e.to_string()))?;
        Ok(Client { inner: Arc::new(Inner { config: config.clone(), user_agent, transport, tokens }) })
    }

    /// Sends a request and reads the whole answer into `buffer`. Any status is an answer.
    pub async fn send(&self, request: Request, buffer: &mut BodyBuffer) -> Result<Response, HttpError> {
        let (timeout, what) = (request.timeout, request.describe());
        match tokio::time::timeout(timeout, self.follow(request, buffer)).await {
            Ok(result) => result,
            Err(_) => Err(HttpError::Timeout { request: what }),
        }
    }

    /// Sends a request whose answer goes on and on. The timeout is for the head of the answer; how long to wait for a
    /// piece of the body, and how much of it to keep, is the caller's to decide.
    pub async fn open(&self, request: Request) -> Result<(Response, BodyStream), HttpError> {
        let (timeout, what) = (request.timeout, request.describe());
        match tokio::time::timeout(timeout, self.answer(request)).await {
            Ok(answer) => {
                let answer = answer?;
                let response = Response { status: answer.status(), headers: answer.headers().clone() };
                Ok((response, BodyStream::new(answer)?))
            }
            Err(_) => Err(HttpError::Timeout { request: what }),
        }
    }

    async fn follow(&self, request: Request, buffer: &mut BodyBuffer) -> Result<Response, HttpError> {
        let limit = request.body_limit;
        let answer = self.answer(request).await?;
        let response = Response { status: answer.status(), headers: answer.headers().clone() };
        body::read(answer, limit, buffer).await?;
        Ok(response)
    }

    /// The first answer that does not lead elsewhere.
    async fn answer(&self, mut request: Request) -> Result<http::Response<hyper::body::Incoming>, HttpError> {
        let first = request.uri.clone();
        for _ in 0..=MAX_REDIRECTS {
            let trusted = same_origin(&first, &request.uri);
            let answer = self.once(&request, trusted).await?;
            let location = answer.headers().get(header::LOCATION);
            let redirects = self.inner.config.follow_redirects && answer.status().is_redirection();
            let Some(location) = location.filter(|_| redirects) else {
                return Ok(answer);
            };
            let next = location.to_str().ok().and_then(|l| join(&request.uri, l));
            let Some(next) = next else {
                let reason = format!("failed to parse Location header {location:?}");
                return Err(HttpError::Redirect { request: request.describe(), reason });
            };
            redirect(&mut request, answer.status(), next);
        }
        let reason = format!("stopped after {MAX_REDIRECTS} redirects");
        Err(HttpError::Redirect { request: request.describe(), reason })
    }

    /// One request without following anything. Credentials go only to the `trusted` origin.
    async fn once(
        &self,
        request: &Request,
        trusted: bool,
    ) -> Result<http::Response<hyper::body::Incoming>, HttpError> {
        let inner = &*self.inner;
        let mut built = http::Request::new(Full::new(request.body.clone()));
        *built.method_mut() = request.method.clone();
        *built.uri_mut() = request.uri.clone();
        *built.headers_mut() = request.headers.clone();
        let headers = built.headers_mut();
        headers.insert(header::USER_AGENT, inner.user_agent.clone());
        if trusted {
            self.add_headers(headers).await?;
            if !headers.contains_key(header::AUTHORIZATION)
                && let Some(value) = auth::authorization(&inner.config, inner.tokens.as_ref()).await?
            {
                headers.insert(header::AUTHORIZATION, value);
            }
        } else {
            headers.remove(header::AUTHORIZATION);
            headers.remove(header::COOKIE);
            remove_secrets(headers);
        }
        if request.uri.scheme_str() == Some("http")
            && let Some((name, password)) = inner.transport.proxy_for(&request.uri).and_then(|p| p.user())
        {
            let value = basic(name, password.map_or("", Secret::expose));
            headers.insert(header::PROXY_AUTHORIZATION, sensitive(&value)?);
        }
        let pool = inner.transport.pool().await?;
        let mut answer = pool.request(built.clone()).await;
        // A server may close a connection that has been idle just as the next request goes out on it: a scrape every 30 s
        // and a server that closes after 30 s would fail each time. As in Go, what may be repeated is repeated once.
        if matches!(*built.method(), Method::GET | Method::HEAD)
            && answer.as_ref().is_err_and(closed_before_answer)
        {
            answer = pool.request(built).await;
        }
        answer.map_err(|e| HttpError::Transport { request: request.describe(), reason: root_cause(&e) })
    }

    /// Adds `http_headers`.
    async fn add_headers(&self, headers: &mut HeaderMap) -> Result<(), HttpError> {
        for (name, values) in &self.inner.config.http_headers {
            let key = HeaderName::try_from(name.as_str())
                .map_err(|_| HttpError::Config(format!("invalid header name {name:?}")))?;
            headers.remove(&key);
            let bad = |_| HttpError::Config(format!("invalid value of header {name:?}"));
            for v in &values.values {
                headers.append(&key, HeaderValue::from_str(v).map_err(bad)?);
            }
            for v in &values.secrets {
                headers.append(&key, sensitive(v.expose())?);
            }
            for file in &values.files {
                headers.append(&key, sensitive(&files::read_text(file).await?)?);
            }
        }
        Ok(())
    }
}

/// Removes headers whose values are marked as secrets: keys of services go by many names.
fn remove_secrets(headers: &mut HeaderMap) {
    let secret = |(name, value): (&HeaderName, &HeaderValue)| value.is_sensitive().then(|| name.clone());
    let names: Vec<HeaderName> = headers.iter().filter_map(secret).collect();
    for name in names {
        headers.remove(name);
    }
}

/// Whether the connection ended before the first byte of an answer.
fn closed_before_answer(e: &hyper_util::client::legacy::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(e);
    while let Some(e) = cause {
        if let Some(e) = e.downcast_ref::<hyper::Error>()
            && (e.is_incomplete_message() || e.is_canceled())
        {
            return true;
        }
        if let Some(e) = e.downcast_ref::<std::io::Error>() {
            return matches!(e.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe);
        }
        cause = e.source();
    }
    false
}

fn same_origin(a: &Uri, b: &Uri) -> bool {
    a.scheme() == b.scheme() && a.authority().map(|a| a.as_str()) == b.authority().map(|b| b.as_str())
}

/// Changes a request as a browser would (RFC 9110, 15.4): 303, and 301 and 302 after a POST, make it a GET.
fn redirect(request: &mut Request, status: StatusCode, next: Uri) {
    let keeps = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    if !keeps && request.method != Method::GET && request.method != Method::HEAD {
        request.method = Method::GET;
        request.body = Bytes::new();
        request.headers.remove(header::CONTENT_TYPE);
        request.headers.remove(header::CONTENT_ENCODING);
    }
    request.uri = next;
}

/// Resolves a reference against the URL in which it was found (RFC 3986, 5.2); only `http` and `https` are taken.
fn join(base: &Uri, reference: &str) -> Option<Uri> {
    let reference = reference.split('#').next().unwrap_or_default();
    let (scheme, authority) = (base.scheme_str()?, base.authority()?.as_str());
    let text = if reference.contains("://") {
        reference.to_owned()
    } else if let Some(rest) = reference.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if reference.starts_with('/') {
        format!("{scheme}://{authority}{}", without_dots(reference))
    } else if reference.starts_with('?') {
        format!("{scheme}://{authority}{}{reference}", base.path())
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(f, _)| f);
        format!("{scheme}://{authority}{}", without_dots(&format!("{folder}/{reference}")))
    };
    let uri: Uri = text.parse().ok()?;
    matches!(uri.scheme_str(), Some("http" | "https")).then_some(uri)
}

/// Removes `.` and `..` from a path.
fn without_dots(path: &str) -> String {
    let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
    let mut out: Vec<&str> = Vec::new();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    for (i, part) in parts.iter().enumerate() {
        match *part {
            "." | ".." => {
                if *part == ".." {
                    out.pop();
                }
                if i + 1 == parts.len() {
                    out.push("");
                }
            }
            p => out.push(p),
        }
    }
    let query = query.map(|q| format!("?{q}")).unwrap_or_default();
    format!("/{}{query}", out.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn references_are_resolved_against_their_page() {
        let base: Uri = "http://h:1/a/b?q=1".parse().unwrap();
        for (reference, url) in [
            ("/x", "http://h:1/x"),
            ("c", "http://h:1/a/c"),
            ("../c?d=1", "http://h:1/c?d=1"),
            ("./", "http://h:1/a/"),
            ("?z=2", "http://h:1/a/b?z=2"),
            ("//other/y", "http://other/y"),
            ("https://o:2/z#frag", "https://o:2/z"),
        ] {
            assert_eq!(join(&base, reference).unwrap().to_string(), url, "{reference}");
        }
        assert!(join(&base, "ftp://x/").is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_reference_never_panics(r in "[a-z/:?#. é]{0,20}") {
            let _ = join(&Uri::from_static("http://h/a/b"), &r);
        }
    }
}

//! Asking a data source: in this process where it is one of our own roles, else over HTTP.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header},
};
use futures::stream;
use http_body_util::{BodyExt as _, Limited};
use hyper::upgrade::OnUpgrade;
use parking_lot::Mutex;
use reba_http::{
    BasicAuth, Client, HeaderValues, HttpClientConfig, HttpError, ProxyEnv, Secret, TlsConfig, Url,
};
use tower::ServiceExt as _;

use super::Source;

/// Bytes of a request's body that go to another host.
const MAX_REQUEST: usize = 16 << 20;

/// How long another host may take for the next piece of an answer.
const SILENCE: Duration = Duration::from_secs(60);

/// A role of this process.
#[derive(Clone, Debug)]
pub struct OwnRole {
    /// The kind of data source it is: `prometheus`, `loki`, `tempo`, `alertmanager`. Containers of the upstream have that name, too.
    pub name: &'static str,
    /// Where it listens.
    pub port: u16,
    /// By how much `--port-offset` moved that.
    pub port_offset: u16,
    /// The path below which it answers: empty, or with a slash at its start and none at its end.
    pub prefix: String,
    /// What answers.
    pub router: Router,
}

impl OwnRole {
    /// Whether a URL means this role: on this host, or in the container of its name, and on its port, as it is or before the offset.
    pub fn is_meant(&self, uri: &Uri) -> bool {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let local = host == self.name
            || host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let port = uri.port_u16();
        local && port.is_some_and(|p| p == self.port || p.checked_add(self.port_offset) == Some(self.port))
    }

    /// Where people would reach it.
    pub(in crate::grafana) fn url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.port, self.prefix)
    }

    /// Posts JSON the way a request would take from the role's socket, without the socket; the status of the answer.
    pub async fn post(&self, uri: &Uri, body: Vec<u8>) -> StatusCode {
        let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let ask = Ask {
            method: Method::POST,
            path: String::new(),
            query: None,
            headers: HeaderMap::from_iter([json]),
            body: Body::from(body),
            upgrade: None,
        };
        inside(self, uri, ask).await.status()
    }
}

/// Why a data source could not be asked.
#[derive(Debug)]
pub(in crate::grafana) struct AskError {
    pub status: StatusCode,
    pub message: String,
}

impl AskError {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        AskError { status, message: message.into() }
    }
}

/// A request to a data source. Headers are those that may be passed on.
#[derive(Debug)]
pub(in crate::grafana) struct Ask {
    pub method: Method,
    /// Raw, relative to the data source's URL, without a slash at its start.
    pub path: String,
    /// Raw, without the question mark.
    pub query: Option<String>,
    pub headers: HeaderMap,
    pub body: Body,
    /// The connection, if it is to become a WebSocket.
    pub upgrade: Option<OnUpgrade>,
}

/// Reaches data sources.
pub(in crate::grafana) struct Upstreams {
    roles: Vec<OwnRole>,
    user_agent: String,
    proxies: ProxyEnv,
    timeout: Duration,
    /// By uid: the settings that the client was made for, and the client.
    clients: Mutex<BTreeMap<String, (HttpClientConfig, Client)>>,
}

impl Upstreams {
    pub(in crate::grafana) fn new(
        roles: Vec<OwnRole>,
        user_agent: String,
        proxies: ProxyEnv,
        timeout: Duration,
    ) -> Self {
        Upstreams { roles, user_agent, proxies, timeout, clients: Mutex::default() }
    }

    pub(in crate::grafana) fn roles(&self) -> &[OwnRole] {
        &self.roles
    }

    /// Sends a request to where the data source is configured to be, and nowhere else.
    pub(in crate::grafana) async fn ask(
        &self,
        source: &Source,
        mut ask: Ask,
    ) -> Result<Response<Body>, AskError> {
        let Some(base) = base_of(&source.url) else {
            return Err(AskError::new(StatusCode::BAD_GATEWAY, "the data source has no http or https URL"));
        };
        let uri = join(&base, &ask.path, ask.query.as_deref())
            .ok_or_else(|| AskError::new(StatusCode::BAD_REQUEST, "not a valid path"))?;
        // Whoever may use the data source uses its tenant, and no other.
        ask.headers.remove("x-scope-orgid");
        for (name, value) in configured_headers(source) {
            ask.headers.insert(name, value);
        }
        match self.roles.iter().find(|role| role.is_meant(&base)) {
            Some(role) => Ok(inside(role, &uri, ask).await),
            None if ask.upgrade.is_some() => Err(AskError::new(
                StatusCode::NOT_IMPLEMENTED,
                "following is supported for the Loki of this process only",
            )),
            None => self.outside(source, uri, ask).await,
        }
    }

    async fn outside(&self, source: &Source, uri: Uri, ask: Ask) -> Result<Response<Body>, AskError> {
        let gateway = |e: HttpError| match e {
            HttpError::Timeout { .. } => {
                AskError::new(StatusCode::GATEWAY_TIMEOUT, "the data source takes too long")
            }
            // Its URL may hold a password; the words of other errors hold the URL.
            HttpError::Transport { reason, .. } => {
                AskError::new(StatusCode::BAD_GATEWAY, format!("the data source does not answer: {reason}"))
            }
            _ => AskError::new(StatusCode::BAD_GATEWAY, "the data source does not answer as it should"),
        };
        let client = self.client(source).map_err(gateway)?;
        let body = Limited::new(ask.body, MAX_REQUEST).collect().await.map_err(|_| {
            let text =
                format!("the body cannot be read, or is larger than {MAX_REQUEST} bytes (MAX_REQUEST)");
            AskError::new(StatusCode::PAYLOAD_TOO_LARGE, text)
        })?;
        let mut headers = ask.headers;
        // The answer comes piece by piece: it can be read only as it is.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let request = reba_http::Request {
            method: ask.method,
            uri,
            headers,
            body: body.to_bytes(),
            timeout: self.timeout,
            body_limit: u64::MAX,
        };
        let (head, body) = client.open(request).await.map_err(gateway)?;
        let pieces = stream::try_unfold(body, |mut body| async move {
            match tokio::time::timeout(SILENCE, body.chunk()).await {
                Ok(Ok(Some(piece))) => Ok(Some((piece, body))),
                Ok(Ok(None)) => Ok(None),
                Ok(Err(e)) => Err(std::io::Error::other(e.to_string())),
                Err(_) => Err(std::io::Error::other("the data source stopped in the middle of its answer")),
            }
        });
        let mut response = Response::new(Body::from_stream(pieces));
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        response.headers_mut().remove(header::CONTENT_LENGTH);
        Ok(response)
    }

    /// The client of a data source; made anew when its settings have changed.
    fn client(&self, source: &Source) -> Result<Client, HttpError> {
        let config = client_config(source);
        if let Some((before, client)) = self.clients.lock().get(&source.uid)
            && *before == config
        {
            return Ok(client.clone());
        }
        let client = Client::new(&config, &self.user_agent, &self.proxies)?;
        self.clients.lock().insert(source.uid.clone(), (config, client.clone()));
        Ok(client)
    }
}

/// Asks a role of this process: the way a request would take from its socket, without the socket.
async fn inside(role: &OwnRole, uri: &Uri, ask: Ask) -> Response<Body> {
    let mut request = Request::new(ask.body);
    *request.method_mut() = ask.method;
    *request.uri_mut() = uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
    *request.headers_mut() = ask.headers;
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
    if let Some(upgrade) = ask.upgrade {
        request.extensions_mut().insert(upgrade);
    }
    let answered = role.router.clone().oneshot(request).await;
    // Routers do not fail.
    answered.unwrap_or_else(|never| match never {})
}

/// A data source's URL, if it is one that requests can be made below.
pub(in crate::grafana) fn base_of(url: &str) -> Option<Uri> {
    let url: Url = url.trim().trim_end_matches('/').parse().ok()?;
    let uri = url.uri().clone();
    let usable =
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none();
    usable.then_some(uri)
}

fn join(base: &Uri, path: &str, query: Option<&str>) -> Option<Uri> {
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let folder = base.path().trim_end_matches('/');
    let query = query.map(|q| format!("?{q}")).unwrap_or_default();
    format!("{scheme}://{authority}{folder}/{path}{query}").parse().ok()
}

/// `httpHeaderName1` and its value, and so on.
fn configured_headers(source: &Source) -> Vec<(HeaderName, HeaderValue)> {
    let mut out = Vec::new();
    for (key, name) in &source.json_data {
        let Some(number) = key.strip_prefix("httpHeaderName") else { continue };
        let value = source.secure_json_data.0.get(&format!("httpHeaderValue{number}"));
        if let (Some(name), Some(value)) = (name.as_str(), value)
            && let (Ok(name), Ok(mut value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>())
        {
            value.set_sensitive(true);
            out.push((name, value));
        }
    }
    out
}

fn client_config(source: &Source) -> HttpClientConfig {
    let secret = |key: &str| source.secure_json_data.0.get(key).filter(|v| !v.is_empty()).map(Secret::new);
    let truth = |key: &str| source.json_data.get(key).and_then(serde_json::Value::as_bool).unwrap_or(false);
    let in_url = source.url.parse::<Url>().ok();
    let in_url = in_url.as_ref().and_then(|url| url.user()).map(|(user, password)| BasicAuth {
        username: Some(user.to_owned()),
        password: password.cloned(),
        ..BasicAuth::default()
    });
    let basic_auth = if source.basic_auth {
        let username = Some(source.basic_auth_user.clone());
        Some(BasicAuth { username, password: secret("basicAuthPassword"), ..BasicAuth::default() })
    } else {
        in_url
    };
    let tls = TlsConfig {
        ca: secret("tlsCACert").map(|s| s.expose().to_owned()),
        cert: secret("tlsClientCert").map(|s| s.expose().to_owned()),
        key: secret("tlsClientKey"),
        server_name: source
            .json_data
            .get("serverName")
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned),
        insecure_skip_verify: truth("tlsSkipVerify"),
        ..TlsConfig::default()
    };
    HttpClientConfig {
        basic_auth,
        tls_config: Some(tls),
        // Or a data source could lead us anywhere.
        follow_redirects: false,
        http_headers: BTreeMap::<String, HeaderValues>::new(),
        ..HttpClientConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_of_our_own_roles_are_answered_inside() {
        let role = |offset| OwnRole {
            name: "loki",
            port: 3100 + offset,
            port_offset: offset,
            prefix: String::new(),
            router: Router::new(),
        };
        let meant = |url: &str, offset| role(offset).is_meant(&url.parse().unwrap());
        for url in
            ["http://127.0.0.1:3100/", "http://loki:3100/x", "http://localhost:3100", "http://[::1]:3100/"]
        {
            assert!(meant(url, 0) && meant(url, 800), "{url}");
        }
        for url in
            ["http://loki/", "http://10.0.0.1:3100/", "http://prometheus:3100/", "http://127.0.0.1:9090/"]
        {
            assert!(!meant(url, 0), "{url}");
        }
    }

    #[test]
    fn requests_stay_below_the_urls_path() {
        let base = base_of("http://u:p@h:1/prom/").unwrap();
        assert_eq!(join(&base, "api/v1/query", Some("a=b")).unwrap(), "http://h:1/prom/api/v1/query?a=b");
        for url in ["file:///etc/passwd", "h:1", "http://h/?x=1", "", "gopher://h/"] {
            assert!(base_of(url).is_none(), "{url}");
        }
    }
}

//! Where a running Reba is, and requests to it: the same for every command that asks one.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use reba_http::{BodyBuffer, Client, HttpClientConfig, HttpError, ProxyEnv, Request};
use serde_json::Value;

use crate::args::Role;

/// Longer than any query may take.
const TIMEOUT: Duration = Duration::from_secs(150);

/// More than an answer to a person ever has.
const BODY_LIMIT: u64 = 1 << 30;

/// Who owns the lines and the spans, on a server with tenants.
pub const TENANT: HeaderName = HeaderName::from_static("x-scope-orgid");

/// Where these options stand in a help text.
const HEADING: &str = "Where to ask";

/// Where to ask.
#[derive(Clone, Debug, Default, Args)]
pub struct At {
    /// The URL of the role that is asked (its own port on this host, if absent).
    #[arg(long, value_name = "URL", global = true, help_heading = HEADING)]
    pub url: Option<String>,
    /// Added to the role's port, as `reba run` or `reba demo` was given it.
    #[arg(long, default_value_t = 0, env = "REBA_PORT_OFFSET", value_name = "N", global = true, help_heading = HEADING)]
    pub port_offset: u16,
    /// Whom to ask as, where `web.config_file` lets in nobody else. The variable keeps the password out of the list of processes.
    #[arg(long, env = "REBA_USER", hide_env_values = true, value_name = "NAME:PASSWORD", global = true, help_heading = HEADING)]
    pub user: Option<String>,
}

impl At {
    /// The server of a role: the one whose URL was given, or the role's port on this host.
    pub fn server(&self, role: Role) -> Result<Server> {
        match &self.url {
            Some(url) => self.known(Server::new(url)?),
            None => self.on_host(Ipv4Addr::LOCALHOST.into(), role),
        }
    }

    /// The server of a role on a host, whatever URL was given.
    pub fn on_host(&self, host: IpAddr, role: Role) -> Result<Server> {
        let port = role.port().checked_add(self.port_offset);
        let port = port.context("--port-offset leads beyond port 65535")?;
        let server = Server::new(&format!("http://{}", SocketAddr::new(host, port)))?;
        self.known(server.hinting("; is Reba running there? --port-offset or --url asks elsewhere"))
    }

    /// The server of a role beside that of `known`, whose URL may have been given: on the same host, as far away from its usual
    /// port.
    pub fn beside(&self, known: Role, role: Role) -> Result<Server> {
        let base = self.server(known)?;
        let uri: Uri = base.url.parse()?;
        let moved = uri.port_u16().and_then(|port| {
            let offset = i32::from(port) - i32::from(known.port());
            u16::try_from(i32::from(role.port()) + offset).ok()
        });
        let (scheme, host) = (uri.scheme_str().unwrap_or("http"), uri.host().unwrap_or("127.0.0.1"));
        let url = format!("{scheme}://{host}:{}", moved.unwrap_or(role.port()));
        Ok(Server { url, ..base })
    }

    /// Another server, asked as the same person.
    pub fn elsewhere(&self, url: &str) -> Result<Server> {
        self.known(Server::new(url)?)
    }

    fn known(&self, mut server: Server) -> Result<Server> {
        if let Some(user) = &self.user {
            if !user.contains(':') {
                bail!("--user: no colon between name and password");
            }
            let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(user)))?;
            value.set_sensitive(true);
            server.headers.insert(header::AUTHORIZATION, value);
        }
        Ok(server)
    }
}

/// A server that answers over HTTP, and what every request to it carries.
#[derive(Clone, Debug)]
pub struct Server {
    url: String,
    headers: HeaderMap,
    /// What a person may do if nobody answers.
    hint: &'static str,
}

impl Server {
    /// The server at `url`, whose API may stand below a path.
    pub fn new(url: &str) -> Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("--url {url:?} is no URL"))?;
        let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            bail!("--url {url:?} does not begin with http:// or https:// and a host");
        };
        if authority.as_str().contains('@') {
            bail!("--url with a password in it: names and passwords stand in --user or REBA_USER");
        }
        Ok(Server { url: url.trim_end_matches('/').to_owned(), headers: HeaderMap::new(), hint: "" })
    }

    /// The same server, and what a person may do if it does not answer: the rest of a sentence.
    pub fn hinting(mut self, hint: &'static str) -> Self {
        self.hint = hint;
        self
    }

    /// The same server, asked for what is a tenant's.
    pub fn for_tenant(mut self, tenant: Option<&str>) -> Result<Self> {
        if let Some(tenant) = tenant {
            let value = HeaderValue::from_str(tenant).with_context(|| format!("--tenant {tenant:?}"))?;
            self.headers.insert(TENANT, value);
        }
        Ok(self)
    }

    /// Where it is, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What every request carries.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What a person may do if nobody answers; empty, or the rest of a sentence.
    pub fn hint(&self) -> &'static str {
        self.hint
    }

    /// Sends a request without a body to a path below the URL; status and body of the answer.
    pub async fn send(&self, method: Method, path: &str) -> Result<(StatusCode, Vec<u8>)> {
        self.send_with(method, path, self.headers.clone(), Vec::new()).await
    }

    /// Asks with these headers instead of [`Server::headers`].
    pub async fn get(&self, path: &str, headers: HeaderMap) -> Result<(StatusCode, Vec<u8>)> {
        self.send_with(Method::GET, path, headers, Vec::new()).await
    }

    /// Posts JSON.
    pub async fn post_json(&self, path: &str, body: &Value) -> Result<(StatusCode, Vec<u8>)> {
        let mut headers = self.headers.clone();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.send_with(Method::POST, path, headers, body.to_string().into_bytes()).await
    }

    async fn send_with(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Vec<u8>)> {
        let url = format!("{}{path}", self.url);
        let uri: Uri = url.parse().with_context(|| format!("{url:?} is no URL"))?;
        let client = Client::new(&HttpClientConfig::default(), crate::run::USER_AGENT, &ProxyEnv::default())?;
        let mut buffer = BodyBuffer::default();
        let request =
            Request { method, headers, body: body.into(), ..Request::get(uri, TIMEOUT, BODY_LIMIT) };
        let response = client.send(request, &mut buffer).await.map_err(|e| self.no_answer(&e))?;
        if response.status == StatusCode::UNAUTHORIZED {
            bail!(Refused::of(response.status, &buffer.data));
        }
        Ok((response.status, buffer.data))
    }

    /// The long URL of the request is nothing for a person who only wants to know who does not answer.
    fn no_answer(&self, error: &HttpError) -> NoAnswer {
        let reason = match error {
            HttpError::Transport { reason, .. } => {
                reason.rsplit_once("connect: ").map_or(reason.as_str(), |(_, why)| why).to_owned()
            }
            HttpError::Timeout { .. } => format!("nothing within {} s", TIMEOUT.as_secs()),
            other => other.to_string(),
        };
        NoAnswer { url: self.url.clone(), reason, hint: self.hint }
    }
}

/// Nobody answers, or not in HTTP.
#[derive(Debug)]
pub struct NoAnswer {
    url: String,
    reason: String,
    hint: &'static str,
}

impl NoAnswer {
    /// Whether nobody listens there.
    pub fn nobody_listens(&self) -> bool {
        self.reason == "connection refused"
    }

    /// Why there is no answer.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer from {}: {}{}", self.url, self.reason, self.hint)
    }
}

impl std::error::Error for NoAnswer {}

/// Why a server did not answer as it should.
#[derive(Debug)]
pub struct Refused {
    /// The status.
    pub status: StatusCode,
    /// What the server said.
    pub reason: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            StatusCode::UNAUTHORIZED => {
                write!(f, "{}: --user NAME:PASSWORD, or REBA_USER, says who asks", self.status)
            }
            status if self.reason.is_empty() => write!(f, "{status}"),
            _ => f.write_str(&self.reason),
        }
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// Whether asking again could help.
    pub fn may_pass(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS || self.status.is_server_error()
    }

    /// From an answer: upstream says why as plain text, proxies and rulers as JSON.
    pub fn of(status: StatusCode, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        let json: Option<Value> = serde_json::from_str(text).ok();
        let said = json.as_ref().and_then(|v| v["error"].as_str().or(v["message"].as_str()).or(v.as_str()));
        Refused { status, reason: said.unwrap_or(text).chars().take(2000).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: Option<&str>, port_offset: u16) -> At {
        At { url: url.map(str::to_owned), port_offset, user: None }
    }

    #[test]
    fn a_role_is_found_by_the_offset_and_beside_another_one() {
        let url = |at: At| at.server(Role::Alertmanager).unwrap().url().to_owned();
        assert_eq!(url(at(None, 100)), "http://127.0.0.1:9193");
        assert_eq!(url(at(Some("http://a/am/"), 100)), "http://a/am");
        assert!(at(None, 60_000).server(Role::Alertmanager).is_err());
        let rules = |at: At| at.beside(Role::Alertmanager, Role::Prometheus).unwrap().url().to_owned();
        assert_eq!(rules(at(None, 100)), "http://127.0.0.1:9190");
        assert_eq!(rules(at(Some("https://host:10093/am"), 0)), "https://host:10090");
        assert_eq!(rules(at(Some("http://host"), 0)), "http://host:9090");
    }

    #[test]
    fn what_is_no_url_is_refused_before_anything_is_sent() {
        for wrong in ["", "foo", "127.0.0.1:9090", "ftp://host", "http:///path", "http://u:secret@host"] {
            let error = at(Some(wrong), 0).server(Role::Prometheus).unwrap_err();
            assert!(error.to_string().contains("--url"), "{wrong}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_password_is_sent_and_never_shown() {
        let known = At { user: Some("watch:tower".to_owned()), ..at(None, 0) };
        let server = known.beside(Role::Alertmanager, Role::Loki).unwrap();
        assert_eq!(server.headers()[header::AUTHORIZATION], "Basic d2F0Y2g6dG93ZXI=");
        assert!(!format!("{server:?}").contains("d2F0"), "{server:?}");
        assert!(At { user: Some("watch".to_owned()), ..at(None, 0) }.server(Role::Loki).is_err());
    }

    #[tokio::test]
    async fn nobody_there_is_said_in_one_short_line() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let server = at(None, 0).on_host(Ipv4Addr::LOCALHOST.into(), Role::Prometheus).unwrap();
        let server = Server { url: format!("http://127.0.0.1:{port}"), ..server };
        let error = server.send(Method::GET, "/api/v1/query?query=up").await.unwrap_err();
        let want = format!(
            "no answer from http://127.0.0.1:{port}: connection refused; is Reba running there? --port-offset or --url asks elsewhere"
        );
        assert_eq!(format!("{error:#}"), want);
        assert!(error.downcast_ref::<NoAnswer>().is_some_and(NoAnswer::nobody_listens));
    }

    #[test]
    fn a_refusal_is_told_in_its_own_words() {
        let of = |body: &str| Refused::of(StatusCode::BAD_REQUEST, body.as_bytes()).to_string();
        assert_eq!(
            of("parse error at line 1, col 2: syntax error\n"),
            "parse error at line 1, col 2: syntax error"
        );
        assert_eq!(of(r#"{"status":"error","error":"no"}"#), "no");
        assert_eq!(of(r#"{"code":602,"message":"x"}"#), "x");
        assert_eq!(of("\"silence not found\"\n"), "silence not found");
        assert_eq!(of(""), "400 Bad Request");
        assert!(Refused::of(StatusCode::TOO_MANY_REQUESTS, b"").may_pass());
        assert!(!Refused::of(StatusCode::BAD_REQUEST, b"").may_pass());
    }
}

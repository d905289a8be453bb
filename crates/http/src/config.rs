//! The client's configuration, in upstream's keys.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Secret, TlsConfig, Url};

/// Why a configuration is not valid, in upstream's words.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ConfigError(pub String);

pub(crate) fn refuse<T>(text: &str) -> Result<T, ConfigError> {
    Err(ConfigError(text.to_owned()))
}

/// User name and password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuth {
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// A file that holds the name, read at every request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username_file: Option<PathBuf>,
    /// The password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// A file that holds the password, read at every request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
}

/// The `Authorization` header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Authorization {
    /// The scheme; `Bearer` if left out.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What follows the scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Secret>,
    /// A file that holds the credentials, read at every request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
}

/// OAuth 2.0 with client credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OAuth2 {
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
    /// A file that holds the secret, read at every request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// Scopes that are asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Where tokens are had.
    pub token_url: String,
    /// More parameters of the request for a token.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoint_params: BTreeMap<String, String>,
    /// TLS towards the token's server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<TlsConfig>,
    /// Proxy towards the token's server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<Url>,
    /// Hosts that are reached without the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_proxy: Option<String>,
    /// Whether `HTTP_PROXY` and its like are honoured.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub proxy_from_environment: bool,
    /// Headers for the proxy's `CONNECT`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
}

/// Values of one header of [`HttpClientConfig::http_headers`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderValues {
    /// Plain values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Values that are not shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
    /// Files that hold values, read at every request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
}

/// How a client connects and authenticates. Call [`HttpClientConfig::validate`] after reading one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpClientConfig {
    /// User and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// The `Authorization` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// OAuth 2.0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    /// Old form of `authorization`; validation moves it there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<Secret>,
    /// Old form of `authorization`; validation moves it there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token_file: Option<PathBuf>,
    /// TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<TlsConfig>,
    /// Whether redirects are followed (at most ten).
    pub follow_redirects: bool,
    /// Whether HTTP/2 is offered.
    pub enable_http2: bool,
    /// The proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<Url>,
    /// Hosts that are reached without the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_proxy: Option<String>,
    /// Whether `HTTP_PROXY` and its like are honoured.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub proxy_from_environment: bool,
    /// Headers for the proxy's `CONNECT`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
    /// Headers of every request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub http_headers: BTreeMap<String, HeaderValues>,
}

impl Default for HttpClientConfig {
    fn default() -> Self {
        HttpClientConfig {
            basic_auth: None,
            authorization: None,
            oauth2: None,
            bearer_token: None,
            bearer_token_file: None,
            tls_config: None,
            follow_redirects: true,
            enable_http2: true,
            proxy_url: None,
            no_proxy: None,
            proxy_from_environment: false,
            proxy_connect_header: BTreeMap::new(),
            http_headers: BTreeMap::new(),
        }
    }
}

/// Headers that the client sets itself, in lower case.
const RESERVED_HEADERS: [&str; 18] = [
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-prometheus-scrape-timeout-seconds",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

fn is_set<T>(v: Option<&T>, empty: impl Fn(&T) -> bool) -> bool {
    v.is_some_and(|v| !empty(v))
}

pub(crate) fn has_text(v: Option<&String>) -> bool {
    is_set(v, String::is_empty)
}

pub(crate) fn has_secret(v: Option<&Secret>) -> bool {
    is_set(v, Secret::is_empty)
}

pub(crate) fn has_path(v: Option<&PathBuf>) -> bool {
    is_set(v, |p| p.as_os_str().is_empty())
}

impl HttpClientConfig {
    /// Checks what excludes each other and moves `bearer_token` to `authorization`.
    pub fn validate(&mut self) -> Result<(), ConfigError> {
        let token = has_secret(self.bearer_token.as_ref());
        let token_file = has_path(self.bearer_token_file.as_ref());
        if token && token_file {
            return refuse("at most one of bearer_token & bearer_token_file must be configured");
        }
        if (self.basic_auth.is_some() || self.oauth2.is_some()) && (token || token_file) {
            return refuse(
                "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
            );
        }
        if let Some(b) = &self.basic_auth {
            b.validate()?;
        }
        self.validate_authorization(token || token_file)?;
        if let Some(o) = &self.oauth2 {
            if self.basic_auth.is_some() {
                return refuse("at most one of basic_auth, oauth2 & authorization must be configured");
            }
            o.validate()?;
        }
        if let Some(tls) = &self.tls_config {
            tls.validate()?;
        }
        self.proxy().validate()?;
        self.validate_headers()
    }

    fn validate_authorization(&mut self, bearer: bool) -> Result<(), ConfigError> {
        let Some(a) = &mut self.authorization else {
            if bearer {
                self.authorization = Some(Authorization {
                    kind: Some("Bearer".to_owned()),
                    credentials: self.bearer_token.take().filter(|s| !s.is_empty()),
                    credentials_file: self.bearer_token_file.take().filter(|f| !f.as_os_str().is_empty()),
                });
            }
            return Ok(());
        };
        if bearer {
            return refuse("authorization is not compatible with bearer_token & bearer_token_file");
        }
        if has_secret(a.credentials.as_ref()) && has_path(a.credentials_file.as_ref()) {
            return refuse("at most one of authorization credentials & credentials_file must be configured");
        }
        let kind = a.kind.as_deref().unwrap_or_default().trim();
        let kind = if kind.is_empty() { "Bearer" } else { kind }.to_owned();
        if kind.eq_ignore_ascii_case("basic") {
            return refuse(r#"authorization type cannot be set to "basic", use "basic_auth" instead"#);
        }
        a.kind = Some(kind);
        if self.basic_auth.is_some() || self.oauth2.is_some() {
            return refuse("at most one of basic_auth, oauth2 & authorization must be configured");
        }
        Ok(())
    }

    fn validate_headers(&self) -> Result<(), ConfigError> {
        for name in self.http_headers.keys() {
            if RESERVED_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                return Err(ConfigError(format!(
                    "setting header \"{}\" is not allowed",
                    canonical_header(name)
                )));
            }
            if http::HeaderName::try_from(name.as_str()).is_err() {
                return Err(ConfigError(format!("invalid header name {name:?}")));
            }
        }
        Ok(())
    }

    /// The proxy's part.
    pub fn proxy(&self) -> ProxyConfig<'_> {
        ProxyConfig {
            url: self.proxy_url.as_ref(),
            no_proxy: self.no_proxy.as_deref().unwrap_or_default(),
            from_environment: self.proxy_from_environment,
            connect_header: &self.proxy_connect_header,
        }
    }

    /// Whether any kind of authentication is set.
    pub fn has_auth(&self) -> bool {
        self.basic_auth.is_some() || self.authorization.is_some() || self.oauth2.is_some()
    }

    /// Joins relative file names with `dir`.
    pub fn set_directory(&mut self, dir: &Path) {
        for file in self.files_mut() {
            if !file.as_os_str().is_empty() {
                *file = dir.join(&*file);
            }
        }
    }

    /// Every file that the configuration names, with the key that names it.
    pub fn files(&self) -> Vec<(&'static str, PathBuf)> {
        let mut out = Vec::new();
        let mut add = |key, f: &Option<PathBuf>| {
            if let Some(f) = f.clone().filter(|f| !f.as_os_str().is_empty()) {
                out.push((key, f));
            }
        };
        if let Some(b) = &self.basic_auth {
            add("basic_auth.username_file", &b.username_file);
            add("basic_auth.password_file", &b.password_file);
        }
        if let Some(a) = &self.authorization {
            add("authorization.credentials_file", &a.credentials_file);
        }
        add("bearer_token_file", &self.bearer_token_file);
        let oauth2_tls = self.oauth2.as_ref().and_then(|o| o.tls_config.as_ref());
        if let Some(o) = &self.oauth2 {
            add("oauth2.client_secret_file", &o.client_secret_file);
        }
        for tls in [self.tls_config.as_ref(), oauth2_tls].into_iter().flatten() {
            add("tls_config.ca_file", &tls.ca_file);
            add("tls_config.cert_file", &tls.cert_file);
            add("tls_config.key_file", &tls.key_file);
        }
        for h in self.http_headers.values() {
            out.extend(h.files.iter().map(|f| ("http_headers.files", f.clone())));
        }
        out
    }

    fn files_mut(&mut self) -> Vec<&mut PathBuf> {
        let mut out: Vec<&mut PathBuf> = Vec::new();
        if let Some(b) = &mut self.basic_auth {
            out.extend([&mut b.username_file, &mut b.password_file].into_iter().flatten());
        }
        if let Some(a) = &mut self.authorization {
            out.extend(&mut a.credentials_file);
        }
        out.extend(&mut self.bearer_token_file);
        if let Some(o) = &mut self.oauth2 {
            out.extend(&mut o.client_secret_file);
            if let Some(tls) = &mut o.tls_config {
                out.extend(tls.files_mut());
            }
        }
        if let Some(tls) = &mut self.tls_config {
            out.extend(tls.files_mut());
        }
        out.extend(self.http_headers.values_mut().flat_map(|h| &mut h.files));
        out
    }
}

/// `x-custom-header` as `X-Custom-Header`.
fn canonical_header(name: &str) -> String {
    let part = |p: &str| {
        let (first, rest) = p.split_at(p.chars().next().map_or(0, char::len_utf8));
        first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
    };
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}

impl BasicAuth {
    fn validate(&self) -> Result<(), ConfigError> {
        if has_text(self.username.as_ref()) && has_path(self.username_file.as_ref()) {
            return refuse("at most one of basic_auth username & username_file must be configured");
        }
        if has_secret(self.password.as_ref()) && has_path(self.password_file.as_ref()) {
            return refuse("at most one of basic_auth password & password_file must be configured");
        }
        Ok(())
    }
}

impl OAuth2 {
    fn validate(&self) -> Result<(), ConfigError> {
        if self.client_id.is_empty() {
            return refuse("oauth2 client_id must be configured");
        }
        if self.token_url.is_empty() {
            return refuse("oauth2 token_url must be configured");
        }
        if has_secret(self.client_secret.as_ref()) && has_path(self.client_secret_file.as_ref()) {
            return refuse("at most one of oauth2 client_secret & client_secret_file must be configured");
        }
        if let Some(tls) = &self.tls_config {
            tls.validate()?;
        }
        self.proxy().validate()
    }

    /// The proxy's part.
    pub fn proxy(&self) -> ProxyConfig<'_> {
        ProxyConfig {
            url: self.proxy_url.as_ref(),
            no_proxy: self.no_proxy.as_deref().unwrap_or_default(),
            from_environment: self.proxy_from_environment,
            connect_header: &self.proxy_connect_header,
        }
    }
}

/// The keys that concern proxies, which the client and its OAuth 2.0 part share.
#[derive(Clone, Copy, Debug)]
pub struct ProxyConfig<'a> {
    /// The proxy.
    pub url: Option<&'a Url>,
    /// Hosts that are reached without it, separated by commas.
    pub no_proxy: &'a str,
    /// Whether the environment decides.
    pub from_environment: bool,
    /// Headers for `CONNECT`.
    pub connect_header: &'a BTreeMap<String, Vec<Secret>>,
}

impl ProxyConfig<'_> {
    fn validate(&self) -> Result<(), ConfigError> {
        if !self.connect_header.is_empty() && !self.from_environment && self.url.is_none() {
            return refuse(
                "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured",
            );
        }
        if self.from_environment && self.url.is_some() {
            return refuse("if proxy_from_environment is configured, proxy_url must not be configured");
        }
        if self.from_environment && !self.no_proxy.is_empty() {
            return refuse("if proxy_from_environment is configured, no_proxy must not be configured");
        }
        if self.url.is_none() && !self.no_proxy.is_empty() {
            return refuse("if no_proxy is configured, proxy_url must also be configured");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<HttpClientConfig, String> {
        let mut c: HttpClientConfig = serde_saphyr::from_str(yaml).map_err(|e| e.to_string())?;
        c.validate().map_err(|e| e.to_string())?;
        Ok(c)
    }

    #[test]
    fn keys_that_exclude_each_other_are_refused_in_upstreams_words() {
        for (yaml, text) in [
            ("bearer_token: a\nbearer_token_file: b", "at most one of bearer_token & bearer_token_file"),
            ("basic_auth: {username: a}\nbearer_token: b", "at most one of basic_auth, oauth2, bearer_token"),
            ("authorization: {type: Basic}", "authorization type cannot be set to \"basic\""),
            ("authorization: {credentials: a}\nbearer_token: b", "authorization is not compatible"),
            ("oauth2: {client_id: x}", "oauth2 token_url must be configured"),
            ("no_proxy: x", "if no_proxy is configured, proxy_url must also be configured"),
            ("tls_config: {cert_file: x}", "exactly one of key or key_file"),
            (
                "tls_config: {min_version: TLS13, max_version: TLS12}",
                "tls_config.max_version must be greater",
            ),
            ("http_headers: {user-agent: {values: [a]}}", "setting header \"User-Agent\" is not allowed"),
            ("tls_config: {min_version: TLS9}", "TLS9"),
            ("nonsense: 1", "nonsense"),
        ] {
            let e = read(yaml).unwrap_err();
            assert!(e.contains(text), "{yaml}: {e}");
        }
    }

    #[test]
    fn bearer_tokens_become_authorization_and_files_are_joined_with_the_directory() {
        let mut c = read("bearer_token_file: token\ntls_config: {ca_file: /abs/ca}").unwrap();
        c.set_directory(Path::new("/etc/reba"));
        let a = c.authorization.clone().unwrap();
        assert_eq!(a.kind.as_deref(), Some("Bearer"));
        assert_eq!(a.credentials_file, Some("/etc/reba/token".into()));
        assert_eq!(
            c.files(),
            [
                ("authorization.credentials_file", "/etc/reba/token".into()),
                ("tls_config.ca_file", "/abs/ca".into())
            ]
        );
    }

    #[test]
    fn secrets_are_not_serialised() {
        let c =
            read("basic_auth: {username: u, password: hunter2}\nproxy_url: http://a:hunter3@p:1").unwrap();
        let shown = serde_saphyr::to_string(&c).unwrap() + &format!("{c:?}");
        assert!(shown.contains("<secret>") && shown.contains("username: u"), "{shown}");
        assert!(!shown.contains("hunter"), "{shown}");
    }
}

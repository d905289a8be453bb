//! `consul_sd_configs`.

use std::collections::BTreeMap;

use reba_http::{BasicAuth, HttpClientConfig, Secret};
use serde::{Deserialize, Serialize};

use crate::config::{Millis, yaml::Invalid};

/// Targets that are services in Consul.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConsulSd {
    /// Host and port of the server.
    pub server: String,
    /// What stands before `/v1`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path_prefix: String,
    /// The token of every request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// The datacenter; empty for that of the server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub datacenter: String,
    /// The namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The admin partition.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub partition: String,
    /// What stands between, before and after the tags of a service.
    pub tag_separator: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Whether any server may answer, which is a lot cheaper.
    pub allow_stale: bool,
    /// The least time between two requests for the same.
    pub refresh_interval: Millis,
    /// The services; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Tags that a service must have, all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What a node must say about itself.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_meta: BTreeMap<String, String>,
    /// An expression for the list of services.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter: String,
    /// An expression for the instances of a service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub health_filter: String,
    /// The client.
    #[serde(flatten)]
    pub http: HttpClientConfig,
}

reba_http::with_http_client_keys! {
    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub(crate) struct ConsulSdYaml {
        server: Option<String>,
        path_prefix: Option<String>,
        token: Option<Secret>,
        datacenter: Option<String>,
        namespace: Option<String>,
        partition: Option<String>,
        tag_separator: Option<String>,
        scheme: Option<String>,
        username: Option<String>,
        password: Option<Secret>,
        allow_stale: Option<bool>,
        refresh_interval: Option<Millis>,
        services: Option<Vec<String>>,
        tags: Option<Vec<String>>,
        node_meta: Option<BTreeMap<String, String>>,
        filter: Option<String>,
        health_filter: Option<String>,
    }
}

impl ConsulSdYaml {
    pub fn build(mut self) -> Result<ConsulSd, Invalid> {
        let server = self.server.take().unwrap_or_else(|| "localhost:8500".to_owned());
        if server.trim().is_empty() {
            let text = "consul SD configuration requires a server address";
            return Err(Invalid::new(text).within("server", None));
        }
        let http = self.client()?;
        // The server may be a URL; then the scheme is its own.
        let given = self.scheme.take().unwrap_or_else(|| "http".to_owned());
        let (scheme, server) = match server.split_once("://") {
            Some((scheme, rest)) => (scheme.to_owned(), rest.trim_end_matches('/').to_owned()),
            None => (given, server),
        };
        if !matches!(scheme.as_str(), "http" | "https") {
            let text = format!("unknown protocol scheme: {scheme}");
            return Err(Invalid::new(text).within("scheme", None));
        }
        Ok(ConsulSd {
            server,
            path_prefix: self.path_prefix.take().unwrap_or_default(),
            token: self.token.take().filter(|t| !t.is_empty()),
            datacenter: self.datacenter.take().unwrap_or_default(),
            namespace: self.namespace.take().unwrap_or_default(),
            partition: self.partition.take().unwrap_or_default(),
            tag_separator: self.tag_separator.take().unwrap_or_else(|| ",".to_owned()),
            scheme,
            allow_stale: self.allow_stale.unwrap_or(true),
            refresh_interval: self.refresh_interval.unwrap_or_default().or(Millis::seconds(30)),
            services: self.services.take().unwrap_or_default(),
            tags: self.tags.take().unwrap_or_default(),
            node_meta: self.node_meta.take().unwrap_or_default(),
            filter: self.filter.take().unwrap_or_default(),
            health_filter: self.health_filter.take().unwrap_or_default(),
            http,
        })
    }

    /// The client with the section's own user and password.
    fn client(&mut self) -> Result<HttpClientConfig, Invalid> {
        let mut http = self.http_client(HttpClientConfig::default());
        let username = self.username.take().filter(|u| !u.is_empty());
        let password = self.password.take().filter(|p| !p.is_empty());
        if username.is_some() || password.is_some() {
            if http.basic_auth.is_some() {
                return Err(Invalid::new(
                    "at most one of consul SD configuration username and password and basic auth can be configured",
                ));
            }
            http.basic_auth = Some(BasicAuth { username, password, ..BasicAuth::default() });
        }
        let token = self.token.as_ref().is_some_and(|t| !t.is_empty());
        if token && (http.authorization.is_some() || http.oauth2.is_some()) {
            let text = "at most one of consul SD token, authorization, or oauth2 can be configured";
            return Err(Invalid::new(text));
        }
        http.validate()?;
        Ok(http)
    }
}

//! `docker_sd_configs`.

use reba_http::HttpClientConfig;
use serde::{Deserialize, Serialize};

use crate::config::{Millis, yaml::Invalid};

/// Targets that are containers of a Docker daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DockerSd {
    /// The daemon: `unix:///var/run/docker.sock`, `tcp://host:2375`, `http://…` or `https://…`.
    pub host: String,
    /// The port of containers that expose none.
    pub port: u16,
    /// Which containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<DockerFilter>,
    /// The address of containers that share the network of their host.
    pub host_networking_host: String,
    /// How often the daemon is asked.
    pub refresh_interval: Millis,
    /// Whether a container in several networks is a target only in the first, by name.
    pub match_first_network: bool,
    /// The client, if the daemon is reached over `http` or `https`.
    #[serde(flatten)]
    pub http: HttpClientConfig,
}

/// A filter of the daemon: any of the values is right.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DockerFilter {
    /// What is looked at: `name`, `label`, `network`, …
    pub name: String,
    /// What it may be.
    pub values: Vec<String>,
}

reba_http::with_http_client_keys! {
    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub(crate) struct DockerSdYaml {
        host: Option<String>,
        port: Option<u16>,
        filters: Option<Vec<DockerFilter>>,
        host_networking_host: Option<String>,
        refresh_interval: Option<Millis>,
        match_first_network: Option<bool>,
    }
}

impl DockerSdYaml {
    pub fn build(mut self) -> Result<DockerSd, Invalid> {
        let host = self.host.take().unwrap_or_default();
        if host.is_empty() {
            return Err(Invalid::new("host missing").within("host", None));
        }
        let usable = match host.split_once("://") {
            Some(("unix", path)) => path.starts_with('/'),
            Some((scheme @ ("tcp" | "http" | "https"), rest)) => {
                let scheme = if scheme == "https" { "https" } else { "http" };
                format!("{scheme}://{rest}").parse::<reba_http::Url>().is_ok()
            }
            _ => false,
        };
        if !usable {
            let text = format!("unable to parse docker host {host:?}");
            return Err(Invalid::new(text).within("host", None));
        }
        let mut http = self.http_client(HttpClientConfig::default());
        http.validate()?;
        let here = || "localhost".to_owned();
        Ok(DockerSd {
            host,
            port: self.port.unwrap_or(80),
            filters: self.filters.unwrap_or_default(),
            host_networking_host: self.host_networking_host.unwrap_or_else(here),
            refresh_interval: self.refresh_interval.unwrap_or_default().or(Millis::seconds(60)),
            match_first_network: self.match_first_network.unwrap_or(true),
            http,
        })
    }
}

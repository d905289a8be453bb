//! The requests to Consul.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use reba_http::BodyBuffer;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    config::ConsulSd,
    discovery::{
        DiscoveryMetrics, DiscoveryOptions, percent_encode,
        refresh::{MAX_TARGETS, SourceError},
        remote::Remote,
    },
};

/// How long Consul may wait for a change before it answers.
const WAIT: Duration = Duration::from_secs(120);

/// How long one may wait for Consul: it adds up to a sixteenth of [`WAIT`] by itself.
const TIMEOUT: Duration = Duration::from_secs(135);

const TOKEN: HeaderName = HeaderName::from_static("x-consul-token");
const INDEX: HeaderName = HeaderName::from_static("x-consul-index");

/// An instance of a service.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Instance {
    pub node: Node,
    pub service: Service,
    pub checks: Option<Vec<Check>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Node {
    pub node: String,
    pub address: String,
    pub meta: Option<BTreeMap<String, String>>,
    pub tagged_addresses: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Service {
    #[serde(rename = "ID")]
    pub id: String,
    pub tags: Option<Vec<String>>,
    pub address: String,
    pub port: i64,
    pub meta: Option<BTreeMap<String, String>>,
    pub namespace: String,
    pub partition: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Check {
    #[serde(rename = "CheckID")]
    pub id: String,
    pub status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Agent {
    config: AgentConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AgentConfig {
    datacenter: String,
}

/// Services by name with their tags.
type Services = BTreeMap<String, Option<Vec<String>>>;

/// A Consul server.
pub(crate) struct Consul {
    pub config: ConsulSd,
    remote: Remote,
    pub metrics: Arc<DiscoveryMetrics>,
}

impl Consul {
    pub fn new(config: ConsulSd, options: DiscoveryOptions, metrics: Arc<DiscoveryMetrics>) -> Self {
        Consul { remote: Remote::new(config.http.clone(), options), config, metrics }
    }

    /// Whether a service is one of those that the section names.
    pub fn wants(&self, name: &str, tags: &[String]) -> bool {
        let by_name = self.config.services.is_empty() || self.config.services.iter().any(|s| s == name);
        by_name && self.config.tags.iter().all(|t| tags.contains(t))
    }

    /// The section's datacenter, or the server's own.
    pub async fn datacenter(&self) -> Result<String, SourceError> {
        if !self.config.datacenter.is_empty() {
            return Ok(self.config.datacenter.clone());
        }
        let agent: Result<(u64, Agent), _> = self.get("/v1/agent/self", Vec::new()).await;
        if agent.is_err() {
            self.metrics.consul_failures.fetch_add(1, Ordering::Relaxed);
        }
        Ok(agent?.1.config.datacenter)
    }

    /// All services with their tags, once the index is another than `index`.
    pub async fn services(&self, index: u64) -> Result<(u64, Services), SourceError> {
        let query = self.blocking(index, &self.config.filter);
        let began = Instant::now();
        let answer = self.get("/v1/catalog/services", query).await;
        self.metrics.consul_catalog.observe(began.elapsed(), answer.is_err());
        self.count(answer)
    }

    /// The instances of a service, once the index is another than `index`.
    pub async fn instances(&self, service: &str, index: u64) -> Result<(u64, Vec<Instance>), SourceError> {
        let mut query = self.blocking(index, &self.config.health_filter);
        query.extend(self.config.tags.iter().map(|t| ("tag", t.clone())));
        let began = Instant::now();
        let answer = self.get(&format!("/v1/health/service/{}", percent_encode(service)), query).await;
        self.metrics.consul_health.observe(began.elapsed(), answer.is_err());
        let (index, instances): (u64, Vec<Instance>) = self.count(answer)?;
        if instances.len() > MAX_TARGETS {
            return Err(SourceError::TooManyTargets);
        }
        Ok((index, instances))
    }

    fn count<T>(&self, answer: Result<T, SourceError>) -> Result<T, SourceError> {
        if answer.is_err() {
            self.metrics.consul_failures.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    fn blocking(&self, index: u64, filter: &str) -> Vec<(&'static str, String)> {
        let mut query = vec![("wait", format!("{}ms", WAIT.as_millis()))];
        if index > 0 {
            query.push(("index", index.to_string()));
        }
        if self.config.allow_stale {
            query.push(("stale", String::new()));
        }
        query.extend(self.config.node_meta.iter().map(|(k, v)| ("node-meta", format!("{k}:{v}"))));
        query.extend((!filter.is_empty()).then(|| ("filter", filter.to_owned())));
        query
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        mut query: Vec<(&'static str, String)>,
    ) -> Result<(u64, T), SourceError> {
        let c = &self.config;
        for (name, value) in [("dc", &c.datacenter), ("ns", &c.namespace), ("partition", &c.partition)] {
            query.extend((!value.is_empty()).then(|| (name, value.clone())));
        }
        let query: Vec<String> = query.iter().map(|(k, v)| format!("{k}={}", percent_encode(v))).collect();
        let prefix = match c.path_prefix.trim_matches('/') {
            "" => String::new(),
            p => format!("/{p}"),
        };
        let uri = format!("{}://{}{prefix}{path}?{}", c.scheme, c.server, query.join("&"));
        let uri = uri.parse().map_err(|e| SourceError::Unusable(format!("{uri:?}: {e}")))?;
        let mut headers = HeaderMap::new();
        if let Some(token) = &c.token {
            let bad = |_| SourceError::Unusable("the token cannot be sent".to_owned());
            let mut value = HeaderValue::from_str(token.expose()).map_err(bad)?;
            value.set_sensitive(true);
            headers.insert(TOKEN, value);
        }
        let mut buffer = BodyBuffer::default();
        let answer = self.remote.get(uri, headers, TIMEOUT, &mut buffer).await?;
        let index = answer.get(INDEX).and_then(|v| v.to_str().ok()?.parse().ok()).unwrap_or(0);
        let body = serde_json::from_slice(&buffer.data);
        Ok((index, body.map_err(|e| SourceError::Unusable(format!("{path}: {e}")))?))
    }
}

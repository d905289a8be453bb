//! A server with Tempo's API, as the commands that read traces ask it.

use anyhow::{Context as _, Result, bail};
use http::{Method, StatusCode};
use serde_json::Value;

use super::loki::query_string;
use crate::client::{self, Refused};

/// A server with Tempo's API.
#[derive(Clone, Debug)]
pub struct Server(client::Server);

impl Server {
    /// A server, asked for what is a tenant's.
    pub fn new(server: client::Server, tenant: Option<&str>) -> Result<Self> {
        server.for_tenant(tenant).map(Server)
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        self.0.url()
    }

    /// Asks, and reads JSON; `None` if there is no such thing.
    pub async fn find(&self, path: &str, params: &[(&str, String)]) -> Result<Option<Value>> {
        let (status, body) = self.send(path, params).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() {
            bail!(Refused::of(status, &body));
        }
        serde_json::from_slice(&body)
            .map(Some)
            .with_context(|| format!("{} does not answer as Tempo does", self.url()))
    }

    /// Asks for something that is there.
    pub async fn get(&self, path: &str, params: &[(&str, String)]) -> Result<Value> {
        let found = self.find(path, params).await?;
        found.with_context(|| format!("{} has no {path}: is it Tempo?", self.url()))
    }

    async fn send(&self, path: &str, params: &[(&str, String)]) -> Result<(StatusCode, Vec<u8>)> {
        let mark = if params.is_empty() { "" } else { "?" };
        self.0.send(Method::GET, &format!("{path}{mark}{}", query_string(params))).await
    }
}

/// A whole number that the API writes as a text.
pub fn long(value: &Value) -> i64 {
    value.as_str().and_then(|text| text.parse().ok()).or_else(|| value.as_i64()).unwrap_or(0)
}

/// The value of an attribute as people read it.
pub fn attribute_text(value: &Value) -> String {
    let Some((kind, value)) = value.as_object().and_then(|map| map.iter().next()) else {
        return String::new();
    };
    match (kind.as_str(), value) {
        (_, Value::String(text)) => text.clone(),
        ("arrayValue" | "kvlistValue", list) => list["values"].to_string(),
        (_, other) => other.to_string(),
    }
}

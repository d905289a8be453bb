//! `clients`: who gets the entries.

use std::{collections::HashSet, time::Duration};

use http::Uri;
use reba_http::{BasicAuth, HeaderValues, HttpClientConfig, Secret};
use reba_model::{Labels, Tenant};

use super::ignore;
use crate::yaml::{Fault, Section, Units as _};

/// One client.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Names its queue and its metrics.
    pub name: String,
    /// Where entries are sent, without user and password.
    pub uri: Uri,
    /// How it is reached.
    pub http: HttpClientConfig,
    /// Whose entries they are if no stage says so.
    pub tenant: Option<Tenant>,
    /// How long a batch waits to be full.
    pub batch_wait: Duration,
    /// Bytes of lines and metadata that make a batch full.
    pub batch_size: usize,
    /// For one request.
    pub timeout: Duration,
    /// When a request that failed is repeated.
    pub backoff: Backoff,
    /// Whether batches that are refused for their rate are given up at once.
    pub drop_rate_limited: bool,
    /// Labels of every stream that has none of that name.
    pub external_labels: Labels,
}

/// Pauses between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first pause.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
    /// Attempts after which a batch is given up; without end if the configuration does not say.
    pub retries: Option<u32>,
}

/// Keys of the HTTP client.
const HTTP_KEYS: [&str; 12] = [
    "basic_auth",
    "authorization",
    "oauth2",
    "bearer_token",
    "bearer_token_file",
    "tls_config",
    "proxy_url",
    "no_proxy",
    "proxy_from_environment",
    "proxy_connect_header",
    "follow_redirects",
    "enable_http2",
];

pub(super) fn clients(root: &Section<'_>, warnings: &mut Vec<Fault>) -> Result<Vec<ClientConfig>, Fault> {
    let mut sections = Vec::new();
    sections.extend(root.section("client")?);
    for (path, node) in root.list("clients")? {
        sections.push(Section::new(node, path)?);
    }
    let (mut out, mut names) = (Vec::new(), HashSet::new());
    for s in sections {
        let client = client(&s)?;
        if !names.insert(client.name.clone()) {
            return Err(
                s.fault("name", format!("duplicate client {:?}: give each a name of its own", client.name))
            );
        }
        s.finish(warnings);
        out.push(client);
    }
    Ok(out)
}

fn client(s: &Section<'_>) -> Result<ClientConfig, Fault> {
    let text = s.text("url")?.unwrap_or_default();
    let url: reba_http::Url =
        serde_json::from_value(text.into()).map_err(|e| s.fault("url", format!("{e}")))?;
    if url.uri().host().is_none() || !matches!(url.uri().scheme_str(), Some("http" | "https")) {
        return Err(s.fault("url", "expected http://host:port/loki/api/v1/push"));
    }
    let mut http = http_config(s)?;
    if http.basic_auth.is_none()
        && let Some((user, password)) = url.user()
    {
        http.basic_auth = Some(BasicAuth {
            username: Some(user.to_owned()),
            password: password.cloned(),
            ..BasicAuth::default()
        });
    }
    http.validate().map_err(|e| s.fault("url", e))?;
    let uri = url.uri().clone();
    // Without a name, the place it sends to is one: it survives a change of the other keys.
    let name = s
        .text("name")?
        .filter(|n| !n.is_empty())
        .unwrap_or_else(|| format!("{:08x}", xxhash_rust::xxh3::xxh3_64(uri.to_string().as_bytes()) >> 32));
    let tenant = s.text("tenant_id")?.filter(|t| !t.is_empty());
    let tenant = tenant.map(|t| Tenant::new(&t)).transpose().map_err(|e| s.fault("tenant_id", e))?;
    ignore(s, &["stream_lag_labels"]);
    Ok(ClientConfig {
        name,
        uri,
        http,
        tenant,
        batch_wait: s.duration("batchwait")?.unwrap_or(Duration::from_secs(1)),
        batch_size: s.bytes("batchsize")?.unwrap_or(1 << 20).clamp(1, 64 << 20) as usize,
        timeout: s.duration("timeout")?.filter(|t| !t.is_zero()).unwrap_or(Duration::from_secs(10)),
        backoff: backoff(s)?,
        drop_rate_limited: s.bool("drop_rate_limited_batches")?.unwrap_or(false),
        external_labels: Labels::from_pairs(s.text_map("external_labels")?),
    })
}

fn backoff(s: &Section<'_>) -> Result<Backoff, Fault> {
    let mut backoff =
        Backoff { min: Duration::from_millis(500), max: Duration::from_secs(300), retries: None };
    if let Some(b) = s.section("backoff_config")? {
        backoff.min = b.duration("min_period")?.filter(|d| !d.is_zero()).unwrap_or(backoff.min);
        backoff.max = b.duration("max_period")?.unwrap_or(backoff.max).max(backoff.min);
        backoff.retries = b.number("max_retries")?.filter(|n| *n > 0);
    }
    Ok(backoff)
}

fn http_config(s: &Section<'_>) -> Result<HttpClientConfig, Fault> {
    let mut keys = serde_json::Map::new();
    for key in HTTP_KEYS {
        if let Some(node) = s.get(key) {
            let mut one = serde_json::Map::new();
            one.insert(key.to_owned(), node.json());
            // Each by itself first, so that an error names the key.
            serde_json::from_value::<HttpClientConfig>(one.clone().into()).map_err(|e| s.fault(key, e))?;
            keys.extend(one);
        }
    }
    let mut http: HttpClientConfig =
        serde_json::from_value(keys.into()).map_err(|e| Fault::new(s.at(), s.path(), e))?;
    for (name, value) in s.text_map("headers")? {
        let values = HeaderValues { secrets: vec![Secret::new(value)], ..HeaderValues::default() };
        http.http_headers.insert(name, values);
    }
    Ok(http)
}

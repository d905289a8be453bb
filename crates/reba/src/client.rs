//! One request to a server, for commands that ask a running Reba.

use std::time::Duration;

use anyhow::{Context, Result};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use reba_http::{BodyBuffer, Client, HttpClientConfig, ProxyEnv, Request};

/// Longer than any query may take.
const TIMEOUT: Duration = Duration::from_secs(150);

/// More than an answer to a person ever has.
const BODY_LIMIT: u64 = 1 << 30;

/// Sends a request without a body; status and body of the answer.
pub async fn send(method: Method, url: &str) -> Result<(StatusCode, Vec<u8>)> {
    send_with(method, url, HeaderMap::new(), Vec::new()).await
}

/// Asks with headers.
pub async fn get(url: &str, headers: HeaderMap) -> Result<(StatusCode, Vec<u8>)> {
    send_with(Method::GET, url, headers, Vec::new()).await
}

/// Posts JSON.
pub async fn post_json(url: &str, body: &serde_json::Value) -> Result<(StatusCode, Vec<u8>)> {
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    send_with(Method::POST, url, HeaderMap::from_iter([kind]), body.to_string().into_bytes()).await
}

async fn send_with(
    method: Method,
    url: &str,
    headers: HeaderMap,
    body: Vec<u8>,
) -> Result<(StatusCode, Vec<u8>)> {
    let uri: Uri = url.parse().with_context(|| format!("{url:?} is no URL"))?;
    let client = Client::new(&HttpClientConfig::default(), crate::run::USER_AGENT, &ProxyEnv::default())?;
    let mut buffer = BodyBuffer::default();
    let request = Request { method, headers, body: body.into(), ..Request::get(uri, TIMEOUT, BODY_LIMIT) };
    let response = client.send(request, &mut buffer).await?;
    Ok((response.status, buffer.data))
}

//! One request to a server, for commands that ask a running Reba.

use std::time::Duration;

use anyhow::{Context, Result};
use http::{HeaderMap, Method, StatusCode, Uri};
use reba_http::{BodyBuffer, Client, HttpClientConfig, ProxyEnv, Request};

/// Longer than any query may take.
const TIMEOUT: Duration = Duration::from_secs(150);

/// More than an answer to a person ever has.
const BODY_LIMIT: u64 = 1 << 30;

/// Sends a request without a body; status and body of the answer.
pub async fn send(method: Method, url: &str) -> Result<(StatusCode, Vec<u8>)> {
    send_with(method, url, HeaderMap::new()).await
}

/// Asks with headers.
pub async fn get(url: &str, headers: HeaderMap) -> Result<(StatusCode, Vec<u8>)> {
    send_with(Method::GET, url, headers).await
}

async fn send_with(method: Method, url: &str, headers: HeaderMap) -> Result<(StatusCode, Vec<u8>)> {
    let uri: Uri = url.parse().with_context(|| format!("{url:?} is no URL"))?;
    let client = Client::new(&HttpClientConfig::default(), crate::run::USER_AGENT, &ProxyEnv::default())?;
    let mut buffer = BodyBuffer::default();
    let request = Request { method, headers, ..Request::get(uri, TIMEOUT, BODY_LIMIT) };
    let response = client.send(request, &mut buffer).await?;
    Ok((response.status, buffer.data))
}

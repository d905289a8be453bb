//! A small keep-alive client.

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};

/// Speaks to one server on this machine.
#[derive(Clone)]
pub struct Client {
    inner: legacy::Client<HttpConnector, Full<Bytes>>,
    port: u16,
}

impl Client {
    /// A client of the server on `port`.
    pub fn new(port: u16) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Client { inner: legacy::Client::builder(TokioExecutor::new()).build(connector), port }
    }

    /// Status and body of a GET.
    pub async fn get(&self, path: &str) -> Result<(u16, Bytes)> {
        self.send(Request::builder().method(Method::GET), path, Bytes::new()).await
    }

    /// Status and body of a POST.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: Bytes) -> Result<(u16, Bytes)> {
        let request = Request::builder().method(Method::POST);
        let request = headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
        self.send(request, path, body).await
    }

    async fn send(
        &self,
        request: hyper::http::request::Builder,
        path: &str,
        body: Bytes,
    ) -> Result<(u16, Bytes)> {
        let uri = format!("http://127.0.0.1:{}{path}", self.port);
        let response = self.inner.request(request.uri(uri).body(Full::new(body))?).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

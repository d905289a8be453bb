//! A small keep-alive client.

use anyhow::{Context as _, Result, bail};
use bytes::{BufMut as _, Bytes, BytesMut};
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
        Self::build(port, false)
    }

    /// A client that speaks HTTP/2 from its first byte, as gRPC does.
    pub fn of_grpc(port: u16) -> Self {
        Self::build(port, true)
    }

    fn build(port: u16, http2: bool) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let inner = legacy::Client::builder(TokioExecutor::new()).http2_only(http2).build(connector);
        Client { inner, port }
    }

    /// Calls a method of one message (`/package.Service/Method`), whose answer is only looked at for its status.
    pub async fn call(&self, method: &str, message: &[u8]) -> Result<()> {
        let mut body = BytesMut::with_capacity(message.len() + 5);
        // Not compressed, and how long it is.
        body.put_u8(0);
        body.put_u32(
            u32::try_from(message.len()).context("a message of gRPC has four bytes for its length")?,
        );
        body.put_slice(message);
        let request = Request::post(format!("http://127.0.0.1:{}{method}", self.port))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(body.freeze()))?;
        let (head, body) = self.inner.request(request).await?.into_parts();
        let body = body.collect().await?;
        // An error without a message stands in the headers, everything else in the trailers.
        let headers = body.trailers().unwrap_or(&head.headers);
        match headers.get("grpc-status").map(|status| status.as_bytes()) {
            Some(b"0") => Ok(()),
            status => bail!("{method} is answered with {status:?}: {:?}", headers.get("grpc-message")),
        }
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

//! How services call each other.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use easymo_commons::TraceContext;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::Service;

/// Longer than the slowest answer of a slow database takes, so that slowness stays slowness.
const TIMEOUT: Duration = Duration::from_secs(30);
/// No answer in the fleet is longer than a few kilobytes.
const ANSWER_LIMIT: usize = 64 * 1024;
/// Idle connections kept to each service.
const IDLE_CONNECTIONS: usize = 16;

/// Marks requests of people: nobody who sends spans caused them.
pub(crate) const FROM_OUTSIDE: HeaderName = HeaderName::from_static("x-easymo-from-outside");

/// An HTTP client that knows where every service is.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    /// In the order of [`Service::ALL`].
    directory: Arc<[SocketAddr]>,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    body: Bytes,
}

impl Answer {
    /// The body, if the request succeeded and the body is what was expected.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        self.status.is_success().then(|| serde_json::from_slice(&self.body).ok())?
    }
}

impl Caller {
    pub(crate) fn new(directory: Arc<[SocketAddr]>) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build_http();
        Self { client, directory }
    }

    pub(crate) async fn get(&self, trace: &TraceContext, service: Service, path: &str) -> Option<Answer> {
        self.send(trace, service, Method::GET, path, Bytes::new()).await
    }

    pub(crate) async fn post<T: Serialize>(
        &self,
        trace: &TraceContext,
        service: Service,
        path: &str,
        body: &T,
    ) -> Option<Answer> {
        let body = serde_json::to_vec(body).ok()?;
        self.send(trace, service, Method::POST, path, body.into()).await
    }

    /// Sends a request on behalf of the span `trace`; nothing if the service cannot be reached.
    async fn send(
        &self,
        trace: &TraceContext,
        service: Service,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Option<Answer> {
        let uri = format!("http://{}{path}", self.directory[service.index()]);
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(headers) = request.headers_mut() {
            trace.inject(headers);
            // Services call with a span below the one that handles their own request.
            if trace.parent().is_none() {
                headers.insert(FROM_OUTSIDE, HeaderValue::from_static("1"));
            }
        }
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::new(body)).ok()?;
        let exchange = async {
            let answer = self.client.request(request).await.ok()?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_LIMIT).collect().await.ok()?.to_bytes();
            Some(Answer { status, body })
        };
        tokio::time::timeout(TIMEOUT, exchange).await.ok()?
    }
}

//! Lists the objects of one kind, then follows their changes.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use reba_http::{BodyBuffer, BodyStream, Request};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{
    access::Access,
    object::{Kind, List, Object},
};
use crate::discovery::{
    DiscoveryMetrics, percent_encode,
    refresh::{MAX_BODY_BYTES, SourceError},
};

/// Objects of a page.
const PAGE: usize = 500;

/// More objects of one kind are an accident.
const MAX_OBJECTS: usize = 250_000;

/// A longer event is an accident; the store of a cluster takes objects of 1.5 MiB.
const MAX_EVENT: usize = 8 << 20;

const TIMEOUT: Duration = Duration::from_secs(60);

/// How long the API server is asked to keep a watch open.
const WATCH: Duration = Duration::from_secs(300);

/// After an error it is waited this long, and twice as long after each further one.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What is watched.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub kind: Kind,
    /// Empty for all.
    pub namespace: String,
    pub label_selector: String,
    pub field_selector: String,
}

/// What a watch tells.
pub(crate) enum Change {
    /// All objects there are.
    Listed(Vec<Object>),
    /// One that is new or another.
    Put(Box<Object>),
    /// One that is gone.
    Gone(Box<Object>),
}

pub(crate) struct Watch {
    pub access: Arc<Access>,
    pub subject: Subject,
    /// Which of the section's watches this is; it stands before every change.
    pub number: usize,
    pub sender: mpsc::Sender<(usize, Change)>,
    pub metrics: Arc<DiscoveryMetrics>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: serde_json::Value,
}

/// Why a watch ended.
enum End {
    /// As agreed; it goes on from this version.
    Over(String),
    /// The version is too old: all must be listed again.
    Expired,
    /// Nobody reads any more.
    Closed,
}

impl Watch {
    /// Runs until nobody reads any more.
    pub async fn run(&self) {
        let mut wait = RETRY.0;
        loop {
            match self.list_and_watch(&mut wait).await {
                Ok(()) => return,
                Err(e) => {
                    self.metrics.kubernetes_failures.fetch_add(1, Ordering::Relaxed);
                    let kind = self.subject.kind;
                    tracing::warn!(?kind, error = %e, "watching Kubernetes failed, the last good targets stay");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(RETRY.1);
                }
            }
        }
    }

    async fn list_and_watch(&self, wait: &mut Duration) -> Result<(), SourceError> {
        loop {
            let (objects, mut version) = self.list().await?;
            if self.tell(Change::Listed(objects)).await.is_err() {
                return Ok(());
            }
            *wait = RETRY.0;
            loop {
                let began = Instant::now();
                let end = self.watch(version).await?;
                if began.elapsed() < RETRY.0 {
                    // A server that ends every watch at once is not asked without a pause.
                    tokio::time::sleep(RETRY.0).await;
                }
                match end {
                    End::Over(next) => version = next,
                    End::Expired => break,
                    End::Closed => return Ok(()),
                }
            }
        }
    }

    async fn tell(&self, change: Change) -> Result<(), ()> {
        self.sender.send((self.number, change)).await.map_err(|_| ())
    }

    fn uri(&self, more: &[(&str, &str)]) -> Result<http::Uri, SourceError> {
        let Subject { kind, namespace, label_selector, field_selector } = &self.subject;
        let selectors = [("labelSelector", label_selector.as_str()), ("fieldSelector", field_selector)];
        let query: Vec<String> = selectors
            .iter()
            .chain(more)
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", percent_encode(value)))
            .collect();
        let uri = format!("{}{}?{}", self.access.base, kind.path(namespace), query.join("&"));
        uri.parse().map_err(|e| SourceError::Unusable(format!("{uri:?}: {e}")))
    }

    /// All objects, page by page, and the version of the list.
    async fn list(&self) -> Result<(Vec<Object>, String), SourceError> {
        let (mut out, mut more) = (Vec::new(), String::new());
        let mut buffer = BodyBuffer::default();
        loop {
            let uri = self.uri(&[("limit", &PAGE.to_string()), ("continue", &more)])?;
            self.access.remote.get(uri, HeaderMap::new(), TIMEOUT, &mut buffer).await?;
            let page: List = serde_json::from_slice(&buffer.data)
                .map_err(|e| SourceError::Unusable(format!("list cannot be read: {e}")))?;
            out.extend(page.items);
            if out.len() > MAX_OBJECTS {
                return Err(SourceError::Unusable(format!("more than {MAX_OBJECTS} objects")));
            }
            more = page.metadata.more;
            if more.is_empty() {
                return Ok((out, page.metadata.resource_version));
            }
        }
    }

    /// Follows what changes after `version`.
    async fn watch(&self, mut version: String) -> Result<End, SourceError> {
        let seconds = WATCH.as_secs().to_string();
        let query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", &seconds),
            ("resourceVersion", &version),
        ];
        let mut request = Request::get(self.uri(&query)?, TIMEOUT, MAX_BODY_BYTES);
        request.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let (answer, mut body) = self.access.remote.client()?.open(request).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::GONE => return Ok(End::Expired),
            status => return Err(SourceError::Status(status)),
        }
        let mut lines = Lines { pending: Vec::new(), searched: 0 };
        while let Some(line) = lines.next(&mut body).await? {
            let event: Event = serde_json::from_slice(&line).map_err(|e| unreadable(&e))?;
            if event.kind == "ERROR" {
                let code = event.object.get("code").and_then(serde_json::Value::as_u64);
                if code == Some(410) {
                    return Ok(End::Expired);
                }
                let text = event.object.get("message").and_then(|m| m.as_str()).unwrap_or_default();
                return Err(SourceError::Unusable(format!("watch: {text}")));
            }
            let object: Object = serde_json::from_value(event.object).map_err(|e| unreadable(&e))?;
            version.clone_from(&object.metadata.resource_version);
            let change = match event.kind.as_str() {
                "ADDED" | "MODIFIED" => Change::Put(Box::new(object)),
                "DELETED" => Change::Gone(Box::new(object)),
                // A bookmark tells only the version.
                _ => continue,
            };
            if self.tell(change).await.is_err() {
                return Ok(End::Closed);
            }
        }
        Ok(End::Over(version))
    }
}

fn unreadable(e: &serde_json::Error) -> SourceError {
    SourceError::Unusable(format!("event cannot be read: {e}"))
}

/// The lines of a body, one event each.
struct Lines {
    pending: Vec<u8>,
    /// So many bytes of `pending` hold no end of a line.
    searched: usize,
}

impl Lines {
    async fn next(&mut self, body: &mut BodyStream) -> Result<Option<Vec<u8>>, SourceError> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.pending[self.searched..]) {
                let mut line: Vec<u8> = self.pending.drain(..=self.searched + at).collect();
                self.searched = 0;
                line.pop();
                if !line.iter().all(u8::is_ascii_whitespace) {
                    return Ok(Some(line));
                }
                continue;
            }
            self.searched = self.pending.len();
            if self.pending.len() > MAX_EVENT {
                return Err(SourceError::Unusable(format!("an event is longer than {MAX_EVENT} bytes")));
            }
            // The server ends the watch; one that does not is dead.
            let chunk = tokio::time::timeout(WATCH + TIMEOUT, body.chunk()).await;
            let late = |_| SourceError::Unusable("watch: nothing came for too long".to_owned());
            match chunk.map_err(late)?? {
                Some(chunk) => self.pending.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}

//! The sender of one client: takes records from its queue, in order, and does not go on before they are done with.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;
use reba_disk::DiskError;
use reba_http::{BodyBuffer, Client as HttpClient, HttpError, ProxyEnv, Request};
use reba_model::Tenant;
use tokio_util::sync::CancellationToken;

use super::{
    Pauses, Rejects,
    queue::{Place, Queue, Record},
};
use crate::{config::ClientConfig, metrics::Counters};

/// Bytes of an answer that are read.
const ANSWER: u64 = 64 << 10;

/// Pause after the queue could not be read.
const UNREADABLE: Duration = Duration::from_secs(1);

/// No receiver may ask for a longer pause.
const LONGEST_WISH: Duration = Duration::from_secs(300);

/// Whose entries they are.
const TENANT: HeaderName = HeaderName::from_static("x-scope-orgid");

/// What an answer means for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Taken,
    /// The same may be taken later.
    Later,
    /// It never will be.
    Refused,
}

/// What a status means.
pub(super) fn verdict(status: StatusCode, drop_rate_limited: bool) -> Verdict {
    match status.as_u16() {
        200..=299 => Verdict::Taken,
        429 if drop_rate_limited => Verdict::Refused,
        // Redirects that were not followed are a mistake of the configuration that may be mended.
        429 | 500..=599 | 300..=399 => Verdict::Later,
        _ => Verdict::Refused,
    }
}

/// For how long the receiver asks not to be asked again; times of day are no such wish.
fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok());
    seconds.map_or(Duration::ZERO, Duration::from_secs).min(LONGEST_WISH)
}

/// A sender at work.
pub(crate) struct Sender {
    config: ClientConfig,
    http: HttpClient,
    queue: Arc<Queue>,
    /// Behind a lock only since a file may not be shared between threads.
    rejects: Mutex<Rejects>,
    counters: Arc<Counters>,
    stop: CancellationToken,
    host: String,
}

/// A sender for a queue.
pub(crate) fn sender(
    config: ClientConfig,
    (queue, rejects): (Arc<Queue>, Rejects),
    counters: Arc<Counters>,
    (user_agent, proxies): (&str, &ProxyEnv),
    stop: CancellationToken,
) -> Result<Sender, HttpError> {
    let http = HttpClient::new(&config.http, user_agent, proxies)?;
    let host = config.uri.authority().map(ToString::to_string).unwrap_or_default();
    Ok(Sender { config, http, queue, rejects: Mutex::new(rejects), counters, stop, host })
}

/// How a batch ended.
enum End {
    Done,
    GivenUp { reason: &'static str, text: String },
    Stopped,
}

impl Sender {
    /// Sends until it is stopped.
    pub async fn run(self) {
        let mut changed = self.queue.watch();
        let mut place = self.queue.start();
        loop {
            changed.mark_unchanged();
            let read = match self.read(place).await {
                Ok(read) => read,
                Err(error) => {
                    tracing::error!(%error, "the queue of logs cannot be read");
                    if self.pause(UNREADABLE).await {
                        return;
                    }
                    continue;
                }
            };
            let bytes: u64 = read.iter().map(|(r, _)| r.framed()).sum();
            if read.is_empty() {
                tokio::select! {
                    _ = changed.changed() => {}
                    () = self.stop.cancelled() => return,
                }
                // A batch gathers for a while.
                if self.pause(self.config.batch_wait).await {
                    return;
                }
                continue;
            }
            let Some((_, end)) = read.last() else { continue };
            let end = *end;
            if !self.send(read).await {
                return;
            }
            self.advance(&mut place, end, bytes).await;
        }
    }

    /// Waits; `true` if it was stopped.
    async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => false,
            () = self.stop.cancelled() => true,
        }
    }

    async fn read(&self, place: Place) -> Result<Vec<(Record, Place)>, DiskError> {
        let (queue, most) = (Arc::clone(&self.queue), self.config.batch_size);
        match tokio::task::spawn_blocking(move || queue.read(place, most)).await {
            Ok(read) => read,
            // The runtime is ending.
            Err(_) => Ok(Vec::new()),
        }
    }

    async fn advance(&self, place: &mut Place, end: Place, bytes: u64) {
        *place = end;
        let queue = Arc::clone(&self.queue);
        let done = tokio::task::spawn_blocking(move || queue.done(end, bytes)).await;
        if let Ok(Err(error)) = done {
            tracing::warn!(%error, "the position in the queue cannot be written; after a crash more is sent twice");
        }
    }

    /// Sends one batch until it is done with; `false` if it was stopped before.
    async fn send(&self, read: Vec<(Record, Place)>) -> bool {
        let entries: u64 = read.iter().map(|(r, _)| r.entries).sum();
        let tenant = read.first().and_then(|(r, _)| r.tenant.clone());
        let plain: Vec<u8> = read.into_iter().flat_map(|(r, _)| r.request).collect();
        let Ok(body) = snap::raw::Encoder::new().compress_vec(&plain) else { return true };
        let body = Bytes::from(body);
        let host = [("host", self.host.as_str())];
        self.counters.add("promtail_encoded_bytes_total", &host, body.len() as u64);
        match self.deliver(&body, tenant.as_ref()).await {
            End::Stopped => return false,
            End::Done => {
                self.counters.add("promtail_sent_bytes_total", &host, body.len() as u64);
                self.counters.add("promtail_sent_entries_total", &host, entries);
            }
            End::GivenUp { reason, text } => {
                tracing::error!(host = %self.host, entries, %text, "entries are given up, and kept in rejected.ndjson");
                let labels = [("host", self.host.as_str()), ("reason", reason)];
                self.counters.add("promtail_dropped_entries_total", &labels, entries);
                self.counters.add("promtail_dropped_bytes_total", &labels, body.len() as u64);
                let tenant = tenant.as_ref().map_or("", Tenant::as_str);
                if let Err(error) = self.rejects.lock().add(tenant, &plain, &text) {
                    tracing::error!(%error, "rejected.ndjson cannot be written");
                }
            }
        }
        true
    }

    async fn deliver(&self, body: &Bytes, tenant: Option<&Tenant>) -> End {
        let mut pauses = Pauses::new(self.config.backoff);
        loop {
            let mut wanted = Duration::ZERO;
            let (reason, text) = match self.attempt(body, tenant, &mut wanted).await {
                Ok((status, text)) => match verdict(status, self.config.drop_rate_limited) {
                    Verdict::Taken => return End::Done,
                    Verdict::Later if status == StatusCode::TOO_MANY_REQUESTS => ("rate_limited", text),
                    Verdict::Later => ("ingester_error", text),
                    Verdict::Refused => {
                        let limited = status == StatusCode::TOO_MANY_REQUESTS;
                        let reason = if limited { "rate_limited" } else { "ingester_error" };
                        return End::GivenUp { reason, text };
                    }
                },
                Err(error) => ("ingester_error", error.to_string()),
            };
            let Some(pause) = pauses.next(&mut rand::rng()) else {
                return End::GivenUp { reason, text };
            };
            let pause = pause.max(wanted);
            tracing::warn!(host = %self.host, %text, pause_ms = pause.as_millis() as u64, "sending logs failed; it is tried again");
            self.counters.add("promtail_batch_retries_total", &[("host", &self.host)], 1);
            if self.pause(pause).await {
                return End::Stopped;
            }
        }
    }

    async fn attempt(
        &self,
        body: &Bytes,
        tenant: Option<&Tenant>,
        wanted: &mut Duration,
    ) -> Result<(StatusCode, String), HttpError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        if let Some(value) = tenant.and_then(|t| HeaderValue::from_str(t.as_str()).ok()) {
            headers.insert(TENANT, value);
        }
        let request = Request {
            method: Method::POST,
            uri: self.config.uri.clone(),
            headers,
            body: body.clone(),
            timeout: self.config.timeout,
            body_limit: ANSWER,
        };
        let mut buffer = BodyBuffer::default();
        let begun = Instant::now();
        let answer = self.http.send(request, &mut buffer).await;
        let code = answer.as_ref().map_or_else(|_| "failed".to_owned(), |a| a.status.as_u16().to_string());
        let labels = [("status_code", code.as_str()), ("host", self.host.as_str())];
        self.counters.observe("promtail_request_duration_seconds", &labels, begun.elapsed());
        let answer = answer?;
        *wanted = retry_after(&answer.headers);
        let text = String::from_utf8_lossy(&buffer.data);
        let first = text.lines().next().unwrap_or_default();
        Ok((answer.status, format!("{}: {first}", answer.status)))
    }
}

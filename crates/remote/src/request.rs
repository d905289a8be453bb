//! One request: its body, and its attempts.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use jiff::fmt::rfc2822;
use reba_http::{BodyBuffer, Client, HttpError, Request, Response};
use reba_ingest::{
    config::RemoteWriteConfig,
    remote_write::{WriteRequest, WriteRequestV2},
};
use reba_model::{Metadata, Sample};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    follow::{Item, Value},
    metadata::{self, Known},
    metrics::{Counts, RemoteMetrics},
};

/// The message of version 2.0.
const V2: &str = "io.prometheus.write.v2.Request";

/// Bytes of an answer that are read: it says why a request was refused.
const ANSWER_LIMIT: u64 = 64 << 10;

/// A receiver that asks for more patience is asked again after this.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// How long the attempt that is under way may still take when the sender is to stop.
const LAST_ATTEMPT: Duration = Duration::from_secs(3);

/// Unix milliseconds.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What sends requests to one receiver.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) client: Client,
    pub(crate) config: RemoteWriteConfig,
    pub(crate) metrics: Arc<RemoteMetrics>,
    pub(crate) clock: Clock,
    pub(crate) stop: CancellationToken,
    pub(crate) known: Known,
}

/// A request before it is sent.
pub(crate) struct Body {
    bytes: Bytes,
    counts: Counts,
    newest: i64,
}

/// What became of an attempt.
enum Outcome {
    /// The receiver has it, or so much of it.
    Taken(Counts),
    /// It never will.
    Refused(Counts, String),
    /// Perhaps later; it may say when.
    Later(Option<Duration>, String),
}

impl Sender {
    /// Encodes a request.
    pub(crate) fn encode(&self, items: &[Item]) -> Result<Body, snap::Error> {
        let (mut counts, mut newest) = (Counts::default(), 0);
        for item in items {
            match &item.value {
                Value::Float(t, _) => (counts.floats, newest) = (counts.floats + 1, newest.max(*t)),
                Value::Histogram(t, _) => {
                    (counts.histograms, newest) = (counts.histograms + 1, newest.max(*t));
                }
                Value::Exemplar(_) => counts.exemplars += 1,
            }
        }
        let bytes = if self.is_v2() { encode_v2(items, &self.known.get()) } else { encode_v1(items) }?;
        Ok(Body { bytes: bytes.into(), counts, newest })
    }

    pub(crate) fn is_v2(&self) -> bool {
        self.config.protobuf_message == V2
    }

    /// Sends a request until it is taken or refused; `false` if the sender stopped before.
    pub(crate) async fn deliver(&self, body: Body) -> bool {
        let queue = &self.config.queue_config;
        let mut backoff = queue.min_backoff.as_std();
        let m = &self.metrics;
        for attempt in 0u64.. {
            m.sent(body.counts);
            m.bytes_total.fetch_add(body.bytes.len() as u64, Ordering::Relaxed);
            let begin = Instant::now();
            let Some(outcome) = self.attempt(&body, attempt).await else { return false };
            m.requests.fetch_add(1, Ordering::Relaxed);
            m.request_micros.fetch_add(begin.elapsed().as_micros() as u64, Ordering::Relaxed);
            match outcome {
                Outcome::Taken(counts) => {
                    m.failed(body.counts.minus(counts));
                    m.highest_sent_ms.fetch_max(body.newest, Ordering::Relaxed);
                    return true;
                }
                Outcome::Refused(taken, reason) => {
                    m.failed(body.counts.minus(taken));
                    tracing::error!(
                        url = %self.config.url, samples = body.counts.all(), taken = taken.all(), reason,
                        "remote write: the receiver refuses samples, and they are dropped"
                    );
                    return true;
                }
                Outcome::Later(pause, reason) => {
                    m.retried(body.counts);
                    if attempt == 0 {
                        tracing::warn!(url = %self.config.url, reason, "remote write fails and is tried again");
                    } else {
                        tracing::debug!(url = %self.config.url, reason, attempt, "remote write fails again");
                    }
                    let pause = pause_before_next(backoff, pause);
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.stop.cancelled() => return false,
                    }
                    backoff = (backoff * 2).min(queue.max_backoff.as_std()).max(Duration::from_millis(1));
                }
            }
        }
        false
    }

    /// Sends metadata, once.
    pub(crate) async fn send_metadata(&self, bytes: Vec<u8>, entries: u64) {
        let m = &self.metrics;
        m.metadata_total.fetch_add(entries, Ordering::Relaxed);
        m.metadata_bytes_total.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let body = Body { bytes: bytes.into(), counts: Counts::default(), newest: 0 };
        if let Some(Outcome::Refused(_, reason) | Outcome::Later(_, reason)) = self.attempt(&body, 0).await {
            m.metadata_failed_total.fetch_add(entries, Ordering::Relaxed);
            tracing::warn!(url = %self.config.url, entries, reason, "metadata could not be sent");
        }
    }

    /// One attempt; `None` if the sender was stopped and the attempt did not end soon after.
    async fn attempt(&self, body: &Body, attempt: u64) -> Option<Outcome> {
        let request = match self.request(body, attempt) {
            Ok(request) => request,
            Err(reason) => return Some(Outcome::Refused(Counts::default(), reason)),
        };
        let mut buffer = BodyBuffer::default();
        let answer = {
            let send = self.client.send(request, &mut buffer);
            tokio::pin!(send);
            tokio::select! {
                answer = &mut send => answer,
                () = self.stop.cancelled() => tokio::time::timeout(LAST_ATTEMPT, &mut send).await.ok()?,
            }
        };
        Some(self.judge(answer, &buffer.data, body))
    }

    fn judge(&self, answer: Result<Response, HttpError>, text: &[u8], body: &Body) -> Outcome {
        let answer = match answer {
            Ok(answer) => answer,
            Err(e) => return Outcome::Later(None, e.to_string()),
        };
        let status = answer.status;
        if status.is_success() {
            return Outcome::Taken(if self.is_v2() {
                written(&answer.headers, body.counts)
            } else {
                body.counts
            });
        }
        let text = String::from_utf8_lossy(text);
        let reason =
            format!("server returned HTTP status {status}: {}", text.lines().next().unwrap_or_default());
        let again = status.is_server_error()
            || (status == StatusCode::TOO_MANY_REQUESTS && self.config.queue_config.retry_on_http_429);
        if again {
            return Outcome::Later(retry_after(&answer.headers, (self.clock)()), reason);
        }
        let taken =
            if self.is_v2() { written(&answer.headers, Counts::default()) } else { Counts::default() };
        Outcome::Refused(taken, reason)
    }

    fn request(&self, body: &Body, attempt: u64) -> Result<Request, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.config.headers {
            let name = HeaderName::try_from(name).map_err(|e| e.to_string())?;
            headers.insert(name, HeaderValue::try_from(value).map_err(|e| e.to_string())?);
        }
        let (kind, version) = if self.is_v2() {
            ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0")
        } else {
            ("application/x-protobuf", "0.1.0")
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert("x-prometheus-remote-write-version", HeaderValue::from_static(version));
        if attempt > 0 {
            headers.insert("retry-attempt", attempt.into());
        }
        Ok(Request {
            method: Method::POST,
            uri: self.config.url.uri().clone(),
            headers,
            body: body.bytes.clone(),
            timeout: self.config.remote_timeout.as_std(),
            body_limit: ANSWER_LIMIT,
        })
    }
}

/// How many the receiver says it wrote; `default` if it does not say.
fn written(headers: &HeaderMap, default: Counts) -> Counts {
    let number = |kind: &str| {
        let value = headers.get(format!("x-prometheus-remote-write-{kind}-written"))?;
        value.to_str().ok()?.parse::<u64>().ok()
    };
    match number("samples") {
        None => default,
        Some(floats) => Counts {
            floats,
            histograms: number("histograms").unwrap_or(0),
            exemplars: number("exemplars").unwrap_or(0),
        },
    }
}

/// What `Retry-After` says: seconds, or a date.
fn retry_after(headers: &HeaderMap, now_ms: i64) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = rfc2822::parse(text).ok()?.timestamp().as_millisecond();
    u64::try_from(at.saturating_sub(now_ms)).ok().map(Duration::from_millis)
}

/// How long to wait for the next attempt, of which the receiver may have said something: one that says "at once" again and
/// again must not make us spin, and only the configuration may make us wait for longer than [`LONGEST_PAUSE`].
fn pause_before_next(backoff: Duration, asked: Option<Duration>) -> Duration {
    asked.map_or(backoff, |asked| asked.min(LONGEST_PAUSE).max(backoff))
}

fn encode_v1(items: &[Item]) -> Result<Vec<u8>, snap::Error> {
    let mut request = WriteRequest::new();
    for Item { labels, value } in items {
        request.begin_series(labels);
        match value {
            Value::Float(t, v) => request.sample(Sample { t: *t, v: *v }),
            Value::Histogram(t, h) => request.histogram(*t, h),
            Value::Exemplar(e) => request.exemplar(e),
        };
        request.end_series();
    }
    request.body()
}

/// In version 2.0 a series must have a sample: exemplars go with the sample of their series before them. Those that have
/// none in their request are left out, for a receiver would refuse the series.
fn encode_v2(items: &[Item], known: &BTreeMap<String, Metadata>) -> Result<Vec<u8>, snap::Error> {
    let mut exemplars: Vec<&Item> = items.iter().filter(|i| matches!(i.value, Value::Exemplar(_))).collect();
    exemplars.sort_by(|a, b| a.labels.cmp(&b.labels));
    let mut request = WriteRequestV2::new();
    for Item { labels, value } in items {
        match value {
            Value::Float(t, v) => request.begin_series(labels).sample(Sample { t: *t, v: *v }),
            Value::Histogram(t, h) => request.begin_series(labels).histogram(*t, h),
            Value::Exemplar(_) => continue,
        };
        if let Some(metadata) = metadata::of_series(known, labels.metric_name()) {
            request.metadata(metadata);
        }
        let from = exemplars.partition_point(|e| e.labels < *labels);
        let to = exemplars.partition_point(|e| e.labels <= *labels);
        for e in exemplars.drain(from..to) {
            if let Value::Exemplar(e) = &e.value {
                request.exemplar(e);
            }
        }
        request.end_series();
    }
    request.body()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_may_ask_for_patience_in_seconds_or_until_a_date() {
        let after = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, 784_111_777_000 - 5000)
        };
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(5)));
        assert_eq!(after("Sun, 06 Nov 1994 08:00:00 GMT"), None);
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn a_receiver_that_asks_for_patience_is_heard_within_bounds_whatever_the_backoff() {
        let pause = |backoff, asked: Option<u64>| {
            pause_before_next(Duration::from_secs(backoff), asked.map(Duration::from_secs)).as_secs()
        };
        assert_eq!(pause(2, None), 2);
        assert_eq!(pause(2, Some(0)), 2);
        assert_eq!(pause(2, Some(60)), 60);
        assert_eq!(pause(2, Some(u64::MAX)), 600);
        // A configured pause may be longer than any that we let ourselves be told.
        assert_eq!(pause(3600, Some(60)), 3600);
    }
}

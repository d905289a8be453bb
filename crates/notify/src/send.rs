//! One request of a receiver, and what its answer means.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use reba_alerting::{DeliverError, FailureReason};
use reba_http::{BodyBuffer, Client, HttpError, Request, Secret};

use crate::{diverted::Diversion, text::excerpt};

/// A request that is ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub method: Method,
    /// Where to; it may hold a secret.
    pub url: Secret,
    /// Headers besides those of the client; values may hold secrets.
    pub headers: Vec<(&'static str, Secret)>,
    pub body: String,
    /// Of the body.
    pub content_type: &'static str,
}

impl Outgoing {
    /// A `POST` of JSON.
    pub fn json(url: impl Into<String>, body: &impl serde::Serialize) -> Result<Self, DeliverError> {
        let body = serde_json::to_string(body)
            .map_err(|e| DeliverError::permanent(format!("the message cannot be written as JSON: {e}")))?;
        Ok(Outgoing {
            method: Method::POST,
            url: Secret::new(url),
            headers: Vec::new(),
            body,
            content_type: "application/json",
        })
    }

    /// A `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Outgoing {
            method: Method::GET,
            url: Secret::new(url),
            headers: Vec::new(),
            body: String::new(),
            content_type: "",
        }
    }

    /// The same with another method.
    pub fn with_method(self, method: Method) -> Self {
        Outgoing { method, ..self }
    }

    /// The same with one more header.
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, Secret::new(value)));
        self
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// In one line, for events.
    pub fn line(&self) -> String {
        self.status.to_string()
    }

    pub fn is_json(&self) -> bool {
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        kind.is_some_and(|k| k.starts_with("application/json"))
    }
}

/// A client with what every request of an integration has in common.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub client: Client,
    /// For one request.
    pub timeout: Duration,
    /// Where requests go in the place of where they are for.
    pub diversion: Option<Diversion>,
}

/// More of an answer's body nobody needs.
const BODY_LIMIT: u64 = 1 << 20;

impl Sender {
    /// Sends a request. Any status is an answer; what comes without one may be tried again.
    pub async fn send(&self, out: &Outgoing) -> Result<Answer, DeliverError> {
        let led = self.diversion.map(|diversion| diversion.lead(out));
        let out = led.as_ref().unwrap_or(out);
        let uri: Uri = out.url.expose().parse().map_err(|_| DeliverError::permanent("the URL is none"))?;
        let mut headers = HeaderMap::new();
        if !out.content_type.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(out.content_type));
        }
        for (name, value) in &out.headers {
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| {
                DeliverError::permanent(format!("the value of the header {name} cannot be sent"))
            })?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        let request = Request {
            method: out.method.clone(),
            uri,
            headers,
            body: out.body.clone().into(),
            timeout: self.timeout,
            body_limit: BODY_LIMIT,
        };
        let mut buffer = BodyBuffer::default();
        let response = self.client.send(request, &mut buffer).await;
        match response {
            Ok(r) => Ok(Answer { status: r.status, headers: r.headers, body: buffer.data }),
            Err(e) => Err(failure(&out.method, self.timeout, &e)),
        }
    }

    /// Sends a request and takes only a success for an answer.
    pub async fn ask(&self, out: &Outgoing, rule: &Rule) -> Result<Answer, DeliverError> {
        let answer = self.send(out).await?;
        rule.check(&answer)?;
        Ok(answer)
    }
}

/// Why there is no answer; URLs may be secrets, and are left out.
fn failure(method: &Method, timeout: Duration, e: &HttpError) -> DeliverError {
    match e {
        HttpError::Timeout { .. } => {
            DeliverError::transient(format!("{method}: no answer within {timeout:?}"))
                .because(FailureReason::ContextDeadlineExceeded)
        }
        HttpError::Transport { reason, .. } | HttpError::Redirect { reason, .. } => {
            DeliverError::transient(format!("{method}: {reason}"))
        }
        HttpError::TooLarge { limit } => {
            DeliverError::transient(format!("{method}: the answer is longer than {limit} bytes"))
        }
        // A file may come back, and so may a token's server.
        other => DeliverError::transient(format!("{method}: {other}")),
    }
}

/// Which answers are worth another try.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rule {
    /// Besides all of 5xx.
    pub retry: &'static [u16],
    /// What of the body is shown in an error.
    pub details: Option<fn(&Answer) -> String>,
}

/// Too many requests: to be tried again when the service says so.
const TOO_MANY: u16 = 429;

impl Rule {
    pub const fn retrying(retry: &'static [u16]) -> Self {
        Rule { retry, details: None }
    }

    /// Whether the answer is a success; 2xx always is.
    pub fn check(&self, answer: &Answer) -> Result<(), DeliverError> {
        let code = answer.status.as_u16();
        if answer.status.is_success() {
            return Ok(());
        }
        let retry_after_ms = retry_after(&answer.headers);
        let asked_to_wait = code == TOO_MANY && retry_after_ms.is_some();
        let retry = code / 100 == 5 || self.retry.contains(&code) || asked_to_wait;
        let details = self.details.map_or_else(|| excerpt(&answer.body), |d| d(answer));
        let colon = if details.is_empty() { "" } else { ": " };
        Err(DeliverError {
            retry,
            message: format!("unexpected status code {code}{colon}{details}"),
            reason: reason(answer.status),
            retry_after_ms: retry_after_ms.filter(|_| retry),
        })
    }
}

/// Whose fault an answer is.
pub(crate) fn reason(status: StatusCode) -> FailureReason {
    match status.as_u16() / 100 {
        4 => FailureReason::ClientError,
        5 => FailureReason::ServerError,
        _ => FailureReason::Other,
    }
}

/// `Retry-After` in seconds, as milliseconds; dates are not understood. An hour at most.
fn retry_after(headers: &HeaderMap) -> Option<i64> {
    let seconds: i64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.clamp(0, 3600) * 1000)
}

/// Texts that no error may show.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hidden(pub Vec<Secret>);

/// Shorter texts are words more often than secrets.
const MIN_HIDDEN: usize = 4;

impl Hidden {
    /// The error without secrets, which a service may have sent back.
    pub fn hide(&self, mut e: DeliverError) -> DeliverError {
        for secret in self.0.iter().map(Secret::expose).filter(|s| s.len() >= MIN_HIDDEN) {
            if e.message.contains(secret) {
                e.message = e.message.replace(secret, reba_http::SECRET_TEXT);
            }
        }
        e
    }
}

/// A JSON object that is built key by key; what is empty is left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object(pub serde_json::Map<String, serde_json::Value>);

impl Object {
    /// Sets a key.
    pub fn set(&mut self, key: &str, value: impl Into<serde_json::Value>) -> &mut Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// Sets a key unless its text is empty.
    pub fn fill(&mut self, key: &str, text: String) -> &mut Self {
        if text.is_empty() { self } else { self.set(key, text) }
    }

    /// Sets a key to `true`, or leaves it out.
    pub fn flag(&mut self, key: &str, value: bool) -> &mut Self {
        if value { self.set(key, true) } else { self }
    }

    /// Sets a key to a list unless that is empty.
    pub fn list(&mut self, key: &str, items: Vec<serde_json::Value>) -> &mut Self {
        if items.is_empty() { self } else { self.set(key, items) }
    }

    pub fn take(&mut self) -> serde_json::Value {
        std::mem::take(&mut self.0).into()
    }
}

/// What is remembered of a group between notifications.
pub(crate) type Remembered = BTreeMap<String, String>;

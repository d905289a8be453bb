//! The request of a scrape.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use reba_http::{BodyBuffer, Client, HttpError, MemoryExceeded, Request};
use thiserror::Error;

use super::Target;
use crate::config::{ScrapeConfig, ScrapeProtocol};

/// Why a scrape failed, in upstream's words.
#[derive(Debug, Error)]
pub(crate) enum ScrapeError {
    /// No page.
    #[error(transparent)]
    Http(HttpError),
    /// An answer, but not with status 200.
    #[error("server returned HTTP status {} {}", .0.as_u16(), .0.canonical_reason().unwrap_or_default())]
    Status(StatusCode),
    /// The page cannot be used.
    #[error(transparent)]
    Page(super::page::PageError),
    /// The pool fails all its targets.
    #[error("{0}")]
    Forced(String),
    /// The pages of all targets together take too much memory.
    #[error("limit `scrape.max_page_bytes` of {limit} for the pages of all targets together reached")]
    Memory {
        /// The limit in bytes.
        limit: u64,
    },
    /// The store does not take the samples.
    #[error("{0}")]
    Append(#[from] reba_storage::AppendError),
}

impl From<MemoryExceeded> for ScrapeError {
    fn from(e: MemoryExceeded) -> Self {
        ScrapeError::Memory { limit: e.limit }
    }
}

impl From<HttpError> for ScrapeError {
    fn from(e: HttpError) -> Self {
        match e {
            HttpError::Memory(e) => e.into(),
            e => ScrapeError::Http(e),
        }
    }
}

/// A page without a configured limit may have this many bytes; beyond it a scrape would threaten the whole process.
const MAX_BODY: u64 = 256 << 20;

/// What all requests of a job have in common.
#[derive(Debug)]
pub(crate) struct Scraper {
    client: Client,
    headers: HeaderMap,
    body_limit: u64,
}

impl Scraper {
    pub fn new(client: Client, config: &ScrapeConfig) -> Self {
        let mut headers = HeaderMap::new();
        let accept = accept(&config.scrape_protocols, config.name_escaping.as_str());
        if let Ok(accept) = HeaderValue::from_str(&accept) {
            headers.insert(header::ACCEPT, accept);
        }
        let coding = if config.enable_compression { "gzip" } else { "identity" };
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(coding));
        // Upstream fails a body that reaches the limit, not only one that exceeds it.
        let limit = config.limits.body_size_limit.0;
        Scraper { client, headers, body_limit: if limit == 0 { MAX_BODY } else { limit - 1 } }
    }

    /// Reads a page into `buffer`; returns its Content-Type.
    pub async fn fetch(&self, target: &Target, buffer: &mut BodyBuffer) -> Result<String, ScrapeError> {
        let mut request = Request::get(target.url.clone(), target.timeout, self.body_limit);
        request.headers = self.headers.clone();
        if let Ok(seconds) = HeaderValue::from_str(&seconds(target.timeout)) {
            request.headers.insert("x-prometheus-scrape-timeout-seconds", seconds);
        }
        let response = self.client.send(request, buffer).await?;
        if response.status != StatusCode::OK {
            return Err(ScrapeError::Status(response.status));
        }
        let content_type = response.headers.get(header::CONTENT_TYPE);
        Ok(content_type.and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned())
    }
}

fn seconds(d: Duration) -> String {
    d.as_secs_f64().to_string()
}

/// Formats with falling weights, then anything.
fn accept(protocols: &[ScrapeProtocol], escaping: &str) -> String {
    let mut weight = ScrapeProtocol::ALL.len() + 1;
    let mut out = String::new();
    for p in protocols {
        out.push_str(p.media_type());
        if matches!(p, ScrapeProtocol::PrometheusText1_0_0 | ScrapeProtocol::OpenMetricsText1_0_0) {
            out.push_str(&format!(";escaping={escaping}"));
        }
        out.push_str(&format!(";q=0.{weight},"));
        weight -= 1;
    }
    out.push_str(&format!("*/*;q=0.{weight}"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_asked_for_with_falling_weights() {
        assert_eq!(
            accept(&ScrapeProtocol::DEFAULT, "allow-utf-8"),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        assert!(
            accept(&ScrapeProtocol::PROTO_FIRST, "x").ends_with("text/plain;version=0.0.4;q=0.2,*/*;q=0.1")
        );
        assert_eq!(seconds(Duration::from_millis(10_500)), "10.5");
        assert_eq!(seconds(Duration::from_secs(10)), "10");
    }
}

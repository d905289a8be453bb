//! Targets that an HTTP server lists as JSON.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use reba_http::BodyBuffer;

use super::{
    DiscoveryOptions, TargetGroup,
    group::{self, GroupTexts},
    refresh::SourceError,
    remote::Remote,
};
use crate::config::HttpSd;

/// The label that names the URL a target comes from.
const URL_LABEL: &str = "__meta_url";

/// The header that tells the server how often it is asked.
const INTERVAL_HEADER: HeaderName = HeaderName::from_static("x-prometheus-refresh-interval-seconds");

pub(crate) struct HttpSource {
    config: HttpSd,
    /// The URL as labels have it: without a password.
    shown: String,
    remote: Remote,
    buffer: BodyBuffer,
}

impl HttpSource {
    pub fn new(config: HttpSd, options: DiscoveryOptions) -> Self {
        let remote = Remote::for_url(&config.url, config.http.clone(), options);
        HttpSource { shown: config.url.to_string(), config, remote, buffer: BodyBuffer::default() }
    }

    pub fn interval(&self) -> Duration {
        self.config.refresh_interval.as_std()
    }

    pub async fn refresh(&mut self) -> Result<Vec<TargetGroup>, SourceError> {
        let every = self.interval();
        let mut headers = HeaderMap::new();
        if let Ok(seconds) = HeaderValue::from_str(&every.as_secs_f64().to_string()) {
            headers.insert(INTERVAL_HEADER, seconds);
        }
        let uri = self.config.url.uri().clone();
        let answer = self.remote.get(uri, headers, every, &mut self.buffer).await?;
        let kind = answer.get(header::CONTENT_TYPE).map_or("", |v| v.to_str().unwrap_or("?"));
        if !is_json(kind) {
            return Err(SourceError::Unusable(format!("unsupported content type {kind:?}")));
        }
        let texts: GroupTexts =
            serde_json::from_slice(&self.buffer.data).map_err(|e| SourceError::Unusable(e.to_string()))?;
        group::build(texts, &self.shown, URL_LABEL, &self.shown).map_err(SourceError::Unusable)
    }
}

/// Whether a Content-Type is `application/json`, perhaps in UTF-8.
fn is_json(kind: &str) -> bool {
    let kind = kind.trim().to_ascii_lowercase();
    let Some(parameter) = kind.strip_prefix("application/json") else { return false };
    let charset = parameter.strip_prefix(';').map(|p| p.trim_start());
    parameter.is_empty() || matches!(charset, Some("charset=utf-8" | "charset=\"utf-8\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_is_taken() {
        for kind in
            ["application/json", "Application/JSON; charset=utf-8", " application/json;charset=\"utf-8\" "]
        {
            assert!(is_json(kind), "{kind}");
        }
        for kind in ["", "text/json", "application/json; charset=latin1", "application/jsonx"] {
            assert!(!is_json(kind), "{kind}");
        }
    }
}

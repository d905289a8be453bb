//! `reba.yml`: what upstream has no place for. Every key has a default; without the file all works.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use reba_ingest::config::ByteSize;
use reba_model::duration;
use serde::Deserialize;

/// The file as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    metrics: RawMetrics,
    query: RawQuery,
    listen: RawListen,
    web: RawWeb,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawMetrics {
    retention: Option<String>,
    retention_size: ByteSize,
    fsync_interval: Option<String>,
    max_series: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawQuery {
    timeout: Option<String>,
    max_samples: Option<u64>,
    max_series: Option<u64>,
    max_bytes: Option<u64>,
    max_concurrency: Option<usize>,
    lookback_delta: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawListen {
    prometheus: Option<SocketAddr>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawWeb {
    external_url: Option<String>,
    cors_origin: Option<String>,
    admin_api: bool,
    config_file: Option<PathBuf>,
}

/// The settings in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `metrics.retention`: how long samples are kept, in milliseconds (30 days).
    pub retention_ms: i64,
    /// `metrics.retention_size`: bytes of blocks at most; 0: no limit.
    pub retention_bytes: u64,
    /// `metrics.fsync_interval`: milliseconds between two fsyncs of the write-ahead log (1 s); 0: before every acknowledgement.
    pub fsync_interval_ms: i64,
    /// `metrics.max_series`: active series at most; 0: no limit.
    pub max_series: u64,
    /// `query.timeout`, in milliseconds (2 minutes).
    pub query_timeout_ms: i64,
    /// `query.max_samples` that one query may hold at once (50 million).
    pub query_max_samples: u64,
    /// `query.max_series` that one query may fetch (5 million).
    pub query_max_series: u64,
    /// `query.max_bytes` of chunks that one query may fetch (8 GiB).
    pub query_max_bytes: u64,
    /// `query.max_concurrency` (20).
    pub query_max_concurrency: usize,
    /// `query.lookback_delta`, in milliseconds (5 minutes).
    pub lookback_delta_ms: i64,
    /// `listen.prometheus`: in the place of `--bind` and port 9090; `--port-offset` is added to it, too.
    pub listen_prometheus: Option<SocketAddr>,
    /// `web.external_url`: the address by which people reach Reba, for links in alerts.
    pub external_url: Option<String>,
    /// `web.cors_origin`: an anchored expression of origins whose pages may read the API (this machine's own).
    pub cors_origin: String,
    /// `web.admin_api`: whether series may be deleted, and the store copied, over HTTP (no).
    pub admin_api: bool,
    /// `web.config_file`: TLS, users and headers in upstream's web configuration file, by default none.
    pub web_config_file: Option<PathBuf>,
}

/// Most queries at a time: their threads are started with the engine.
const MAX_CONCURRENCY: usize = 1000;

impl Settings {
    /// Reads `path`; a missing file is an empty one.
    pub fn read(path: &Path) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(e).with_context(|| path.display().to_string()),
        };
        let mut settings = Self::parse(&text).with_context(|| path.display().to_string())?;
        if let (Some(file), Some(folder)) = (&mut settings.web_config_file, path.parent()) {
            *file = folder.join(&*file);
        }
        Ok(settings)
    }

    fn parse(text: &str) -> Result<Self> {
        let raw: Raw = if text.trim().is_empty() { Raw::default() } else { serde_saphyr::from_str(text)? };
        let ms = |key: &str, value: &Option<String>, default: i64| match value {
            None => Ok(default),
            Some(text) => duration::parse(text).with_context(|| key.to_owned()),
        };
        let settings = Settings {
            retention_ms: ms("metrics.retention", &raw.metrics.retention, 30 * 24 * 3_600_000)?,
            retention_bytes: raw.metrics.retention_size.0,
            fsync_interval_ms: ms("metrics.fsync_interval", &raw.metrics.fsync_interval, 1000)?,
            max_series: raw.metrics.max_series.unwrap_or(0),
            query_timeout_ms: ms("query.timeout", &raw.query.timeout, 120_000)?,
            query_max_samples: raw.query.max_samples.unwrap_or(50_000_000),
            query_max_series: raw.query.max_series.unwrap_or(5_000_000),
            query_max_bytes: raw.query.max_bytes.unwrap_or(8 << 30),
            query_max_concurrency: raw.query.max_concurrency.unwrap_or(20),
            lookback_delta_ms: ms("query.lookback_delta", &raw.query.lookback_delta, 300_000)?,
            listen_prometheus: raw.listen.prometheus,
            external_url: raw.web.external_url,
            admin_api: raw.web.admin_api,
            web_config_file: raw.web.config_file,
            cors_origin: raw
                .web
                .cors_origin
                .unwrap_or_else(|| r"https?://(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?".to_owned()),
        };
        for (key, zero) in [
            ("metrics.retention", settings.retention_ms == 0),
            ("query.timeout", settings.query_timeout_ms == 0),
            ("query.max_samples", settings.query_max_samples == 0),
            ("query.max_series", settings.query_max_series == 0),
            ("query.max_bytes", settings.query_max_bytes == 0),
            ("query.max_concurrency", settings.query_max_concurrency == 0),
            ("query.lookback_delta", settings.lookback_delta_ms == 0),
        ] {
            if zero {
                bail!("{key}: must be above zero");
            }
        }
        // Each admitted query has a thread of its own.
        if settings.query_max_concurrency > MAX_CONCURRENCY {
            bail!("query.max_concurrency: must be {MAX_CONCURRENCY} at most");
        }
        reba_model::GoRegex::anchored(&settings.cors_origin).context("web.cors_origin")?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_file_everything_has_a_default() {
        let s = Settings::read(Path::new("/nonexistent/reba.yml")).unwrap();
        assert_eq!(
            (s.retention_ms, s.lookback_delta_ms, s.query_max_concurrency),
            (2_592_000_000, 300_000, 20)
        );
    }

    #[test]
    fn sizes_have_units_as_upstream_writes_them() {
        assert_eq!(Settings::parse("metrics: {retention_size: 10GB}").unwrap().retention_bytes, 10 << 30);
        assert!(Settings::parse("metrics: {retention_size: 10}").is_err());
    }

    #[test]
    fn errors_name_the_line_or_the_key() {
        let unknown = Settings::parse("metrics:\n  retention: 1d\n  nope: 1\n").unwrap_err();
        assert!(
            format!("{unknown:#}").contains("nope") && format!("{unknown:#}").contains('3'),
            "{unknown:#}"
        );
        let wrong = Settings::parse("query: {timeout: soon}").unwrap_err();
        assert!(format!("{wrong:#}").starts_with("query.timeout"), "{wrong:#}");
        assert!(Settings::parse("query: {timeout: 0s}").is_err());
        let many = Settings::parse("query: {max_concurrency: 18446744073709551615}").unwrap_err();
        assert_eq!(many.to_string(), "query.max_concurrency: must be 1000 at most");
    }
}

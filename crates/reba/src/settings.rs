//! `reba.yml`: what upstream has no place for. Every key has a default; without the file all works.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use reba_config::{ConfigError, Unknown, Variables};
use reba_ingest::{config::ByteSize, influx::InfluxConfig, traces::own::OwnSpansPolicy};
use reba_model::duration;
use reba_tsdb::{DownsampleLevel, RetentionRule};
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use crate::{
    alertmanager_settings::{AlertmanagerSettings, RawAlertmanager},
    args::Role,
    exporters::ExporterSettings,
    retention::{self, RawLevel, RawRule},
};

/// A value that remembers where it stands.
pub type Value<T> = Option<Spanned<T>>;

/// The file as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    metrics: RawMetrics,
    logs: RawLogs,
    traces: RawTraces,
    scrape: RawScrape,
    query: RawQuery,
    influx: RawInflux,
    listen: RawListen,
    web: RawWeb,
    alertmanager: RawAlertmanager,
    exporters: ExporterSettings,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawMetrics {
    retention: Value<String>,
    retention_size: ByteSize,
    retention_rules: Vec<RawRule>,
    downsampling: Vec<RawLevel>,
    fsync_interval: Value<String>,
    max_series: Value<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLogs {
    retention_size: ByteSize,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTraces {
    retention_size: ByteSize,
    anchored_regex: bool,
    own: RawOwnSpans,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawOwnSpans {
    enabled: Option<bool>,
    slow: Value<String>,
    max_per_second: Value<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawScrape {
    max_page_bytes: Value<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawQuery {
    timeout: Value<String>,
    max_samples: Value<u64>,
    max_series: Value<u64>,
    max_bytes: Value<u64>,
    max_concurrency: Value<usize>,
    lookback_delta: Value<String>,
    result_cache: Option<ByteSize>,
    max_result_series: Value<u64>,
    max_result_bytes: Value<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawInflux {
    measurement_field_separator: Option<String>,
    skip_single_field: bool,
    skip_measurement: bool,
    db_label: Option<String>,
}

impl From<RawInflux> for InfluxConfig {
    fn from(raw: RawInflux) -> Self {
        let default = InfluxConfig::default();
        InfluxConfig {
            separator: raw.measurement_field_separator.unwrap_or(default.separator),
            skip_single_field: raw.skip_single_field,
            skip_measurement: raw.skip_measurement,
            db_label: raw.db_label.unwrap_or(default.db_label),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawListen {
    prometheus: Option<SocketAddr>,
    loki: Option<SocketAddr>,
    grafana: Option<SocketAddr>,
    alertmanager: Option<SocketAddr>,
    promtail: Option<SocketAddr>,
    otlp_grpc: Option<SocketAddr>,
    otlp_http: Option<SocketAddr>,
    tempo: Option<SocketAddr>,
    zipkin: Option<SocketAddr>,
    jaeger_thrift: Option<SocketAddr>,
    jaeger_grpc: Option<SocketAddr>,
    node: Option<SocketAddr>,
    postgres: Option<SocketAddr>,
    redis: Option<SocketAddr>,
}

impl RawListen {
    fn addresses(&self) -> BTreeMap<Role, SocketAddr> {
        let all = [
            (Role::Prometheus, self.prometheus),
            (Role::Loki, self.loki),
            (Role::Grafana, self.grafana),
            (Role::Alertmanager, self.alertmanager),
            (Role::Promtail, self.promtail),
            (Role::OtlpGrpc, self.otlp_grpc),
            (Role::OtlpHttp, self.otlp_http),
            (Role::Tempo, self.tempo),
            (Role::Zipkin, self.zipkin),
            (Role::JaegerThrift, self.jaeger_thrift),
            (Role::JaegerGrpc, self.jaeger_grpc),
            (Role::Node, self.node),
            (Role::Postgres, self.postgres),
            (Role::Redis, self.redis),
        ];
        all.into_iter().filter_map(|(role, address)| Some((role, address?))).collect()
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawWeb {
    external_url: Option<String>,
    route_prefix: Option<String>,
    cors_origin: Value<String>,
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
    /// `metrics.retention_rules`: series that are kept for another time; the first that matches counts (none).
    pub retention_rules: Vec<RetentionRule>,
    /// `metrics.downsampling`: what is kept of samples that are older, by rising resolution (nothing).
    pub downsampling: Vec<DownsampleLevel>,
    /// `metrics.fsync_interval`: milliseconds between two fsyncs of the write-ahead log (1 s); 0: before every acknowledgement.
    pub fsync_interval_ms: i64,
    /// `metrics.max_series`: active series at most; 0: no limit.
    pub max_series: u64,
    /// `logs.retention_size`: bytes of log entries at most; 0: no limit. How long they are kept stands in loki-config.yml.
    pub log_retention_bytes: u64,
    /// `traces.retention_size`: bytes of spans at most; 0: no limit. How long they are kept stands in tempo.yml.
    pub trace_retention_bytes: u64,
    /// `traces.anchored_regex`: whether expressions of TraceQL match the whole text, as from Tempo 2.7 on (no).
    pub trace_anchored_regex: bool,
    /// `traces.own`: what Reba records of itself (what fails or takes a second, ten a second at most); none: nothing.
    pub own_spans: Option<OwnSpansPolicy>,
    /// `scrape.max_page_bytes` that the pages of all targets may take together (2 GiB).
    pub scrape_max_page_bytes: u64,
    /// `query.timeout`, in milliseconds (2 minutes).
    pub query_timeout_ms: i64,
    /// `query.max_samples` that one query may hold at once (50 million).
    pub query_max_samples: u64,
    /// `query.max_series` that one query may fetch (5 million).
    pub query_max_series: u64,
    /// `query.max_bytes` of chunks that one query may fetch (8 GiB).
    pub query_max_bytes: u64,
    /// `query.max_result_series` (1 million).
    pub query_max_result_series: u64,
    /// `query.max_result_bytes`, about, of an answer (1 GiB).
    pub query_max_result_bytes: u64,
    /// `query.max_concurrency` (20).
    pub query_max_concurrency: usize,
    /// `query.lookback_delta`, in milliseconds (5 minutes).
    pub lookback_delta_ms: i64,
    /// `query.result_cache`: bytes of results of range queries that are kept for the next refresh (64 MB); 0: none are.
    pub result_cache_bytes: u64,
    /// `influx`: how lines of InfluxDB's protocol become series.
    pub influx: InfluxConfig,
    /// `listen.prometheus` and so on: in the place of `--bind` and the role's port; `--port-offset` is added to it, too.
    pub listen: BTreeMap<Role, SocketAddr>,
    /// `alertmanager`.
    pub alertmanager: AlertmanagerSettings,
    /// `web.external_url`: the address by which people reach Reba, for links in alerts.
    pub external_url: Option<String>,
    /// `web.route_prefix`: the path below which Reba answers (that of `web.external_url`).
    pub route_prefix: Option<String>,
    /// `web.cors_origin`: an anchored expression of origins whose pages may read the API (this machine's own).
    pub cors_origin: String,
    /// `web.admin_api`: whether series may be deleted, and the store copied, over HTTP (no).
    pub admin_api: bool,
    /// `web.config_file`: TLS, users and headers in upstream's web configuration file, by default none.
    pub web_config_file: Option<PathBuf>,
    /// `exporters`: whether each runs, and its flags.
    pub exporters: ExporterSettings,
}

/// Most queries at a time: their threads are started with the engine.
const MAX_CONCURRENCY: usize = 1000;

impl Settings {
    /// Reads `path`; a missing file is an empty one. The error has one line for each fault, with file, line and key.
    pub fn read(path: &Path, variables: &Variables) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(e).with_context(|| path.display().to_string()),
        };
        let expanded = variables.expand(&text, path, &Unknown { keep: false, groups: &[] })?;
        match Self::parse(&expanded.text, path) {
            Ok(mut settings) => {
                if let (Some(file), Some(folder)) = (&mut settings.web_config_file, path.parent()) {
                    *file = folder.join(&*file);
                }
                Ok(settings)
            }
            Err(faults) => {
                let lines: Vec<String> = faults.into_iter().map(|e| expanded.hide(e).to_string()).collect();
                bail!("{}", lines.join("\n"))
            }
        }
    }

    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, Vec<ConfigError>> {
        let raw: Raw = reba_config::read(text, path).map_err(|e| vec![e])?;
        let mut check = Check { path, faults: Vec::new() };
        let (metrics, query) = (&raw.metrics, &raw.query);
        let retention_ms = check.positive_ms("metrics.retention", &metrics.retention, 30 * 24 * 3_600_000);
        let settings = Settings {
            retention_ms,
            retention_bytes: metrics.retention_size.0,
            retention_rules: retention::rules(&metrics.retention_rules, &mut check),
            downsampling: retention::levels(&metrics.downsampling, retention_ms, &mut check),
            fsync_interval_ms: check.ms("metrics.fsync_interval", &metrics.fsync_interval, 1000),
            max_series: metrics.max_series.as_ref().map_or(0, |v| v.value),
            log_retention_bytes: raw.logs.retention_size.0,
            trace_retention_bytes: raw.traces.retention_size.0,
            trace_anchored_regex: raw.traces.anchored_regex,
            own_spans: check.own_spans(&raw.traces.own),
            scrape_max_page_bytes: check.positive(
                "scrape.max_page_bytes",
                &raw.scrape.max_page_bytes,
                2 << 30,
            ),
            query_timeout_ms: check.positive_ms("query.timeout", &query.timeout, 120_000),
            query_max_samples: check.positive("query.max_samples", &query.max_samples, 50_000_000),
            query_max_series: check.positive("query.max_series", &query.max_series, 5_000_000),
            query_max_bytes: check.positive("query.max_bytes", &query.max_bytes, 8 << 30),
            query_max_result_series: check.positive(
                "query.max_result_series",
                &query.max_result_series,
                1_000_000,
            ),
            query_max_result_bytes: check.positive(
                "query.max_result_bytes",
                &query.max_result_bytes,
                1 << 30,
            ),
            query_max_concurrency: check.concurrency(&query.max_concurrency),
            lookback_delta_ms: check.positive_ms("query.lookback_delta", &query.lookback_delta, 300_000),
            result_cache_bytes: query.result_cache.map_or(64 << 20, |size| size.0),
            influx: raw.influx.into(),
            listen: raw.listen.addresses(),
            alertmanager: raw.alertmanager.read(&mut check),
            external_url: raw.web.external_url,
            route_prefix: raw.web.route_prefix,
            admin_api: raw.web.admin_api,
            web_config_file: raw.web.config_file,
            cors_origin: check.origins(raw.web.cors_origin),
            exporters: raw.exporters,
        };
        if check.faults.is_empty() { Ok(settings) } else { Err(check.faults) }
    }
}

impl Settings {
    /// Bytes of log entries, if there is a limit.
    pub fn log_retention_bytes(&self) -> Option<u64> {
        (self.log_retention_bytes > 0).then_some(self.log_retention_bytes)
    }

    /// Bytes of spans, if there is a limit.
    pub fn trace_retention_bytes(&self) -> Option<u64> {
        (self.trace_retention_bytes > 0).then_some(self.trace_retention_bytes)
    }

    /// The path below which Reba answers: empty, or with a slash at its start and none at its end.
    pub fn prefix(&self) -> String {
        prefix_of(self.route_prefix.as_deref(), self.external_url.as_deref())
    }
}

/// A path: empty, or with a slash at its start and none at its end.
pub fn prefix_of(route_prefix: Option<&str>, external_url: Option<&str>) -> String {
    let external: Option<http::Uri> = external_url.and_then(|url| url.parse().ok());
    let path = match (route_prefix, &external) {
        (Some(prefix), _) => prefix,
        (None, Some(url)) => url.path(),
        (None, None) => "",
    };
    match path.trim_matches('/') {
        "" => String::new(),
        path => format!("/{path}"),
    }
}

/// Collects what is wrong with values.
pub struct Check<'a> {
    path: &'a Path,
    faults: Vec<ConfigError>,
}

#[expect(clippy::ref_option, reason = "values are looked at in the structs they were read into")]
impl Check<'_> {
    /// Notes what is wrong with a value.
    pub fn fail<T>(&mut self, key: &str, value: &Spanned<T>, reason: impl fmt::Display) {
        self.fail_at(Some(value.referenced), key, reason);
    }

    /// Notes what is wrong with a key that may not be there.
    pub fn fail_at(&mut self, at: Option<Location>, key: &str, reason: impl fmt::Display) {
        let at = at.filter(|at| *at != Location::UNKNOWN).map(|at| (at.line(), at.column()));
        self.faults.push(ConfigError::invalid(self.path, at, key, reason));
    }

    /// A duration.
    pub fn ms(&mut self, key: &str, value: &Value<String>, default: i64) -> i64 {
        let Some(text) = value else { return default };
        duration::parse(&text.value).unwrap_or_else(|e| {
            self.fail(key, text, e);
            default
        })
    }

    /// A duration above zero.
    pub fn positive_ms(&mut self, key: &str, value: &Value<String>, default: i64) -> i64 {
        let ms = self.ms(key, value, default);
        if let (Some(value), true) = (value, ms <= 0) {
            self.fail(key, value, "must be above zero");
        }
        ms
    }

    fn own_spans(&mut self, raw: &RawOwnSpans) -> Option<OwnSpansPolicy> {
        let slow_ns = self.ms("traces.own.slow", &raw.slow, 1000).saturating_mul(1_000_000);
        let max_per_second = raw.max_per_second.as_ref().map_or(10, |n| n.value);
        if let (Some(n), 0) = (&raw.max_per_second, max_per_second) {
            self.fail("traces.own.max_per_second", n, "must be above zero (enabled: false records nothing)");
        }
        raw.enabled.unwrap_or(true).then_some(OwnSpansPolicy { slow_ns, max_per_second })
    }

    /// A number above zero.
    pub fn positive(&mut self, key: &str, value: &Value<u64>, default: u64) -> u64 {
        let Some(n) = value else { return default };
        if n.value == 0 {
            self.fail(key, n, "must be above zero");
        }
        n.value
    }

    /// Each admitted query has a thread of its own.
    fn concurrency(&mut self, value: &Value<usize>) -> usize {
        let Some(n) = value else { return 20 };
        if n.value == 0 {
            self.fail("query.max_concurrency", n, "must be above zero");
        }
        if n.value > MAX_CONCURRENCY {
            self.fail("query.max_concurrency", n, format!("must be {MAX_CONCURRENCY} at most"));
        }
        n.value
    }

    fn origins(&mut self, value: Value<String>) -> String {
        let Some(text) = value else {
            return r"https?://(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?".to_owned();
        };
        if let Err(e) = reba_model::GoRegex::anchored(&text.value) {
            self.fail("web.cors_origin", &text, e);
        }
        text.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, Vec<String>> {
        Settings::parse(text, Path::new("reba.yml"))
            .map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn without_a_file_everything_has_a_default() {
        let s = Settings::read(Path::new("/nonexistent/reba.yml"), &Variables::default()).unwrap();
        assert_eq!(
            (s.retention_ms, s.lookback_delta_ms, s.query_max_concurrency),
            (2_592_000_000, 300_000, 20)
        );
    }

    #[test]
    fn sizes_have_units_as_upstream_writes_them() {
        assert_eq!(parse("metrics: {retention_size: 10GB}").unwrap().retention_bytes, 10 << 30);
        assert!(parse("metrics: {retention_size: 10}").is_err());
    }

    #[test]
    fn every_fault_is_a_line_with_file_line_and_key() {
        for (text, want) in [
            ("metrics:\n  retention: 1d\n  nope: 1\n", "reba.yml:3:3: key metrics.nope: unknown key"),
            (
                "query: {timeout: soon}",
                "reba.yml:1:18: key query.timeout: not a valid duration string: \"soon\"",
            ),
            ("query:\n  timeout: 0s", "reba.yml:2:12: key query.timeout: must be above zero"),
            (
                "query: {max_concurrency: 18446744073709551615}",
                "reba.yml:1:26: key query.max_concurrency: must be 1000 at most",
            ),
            ("query: {max_samples: -1}", "reba.yml:1:22: key query.max_samples: invalid u64"),
            (
                "listen: {prometheus: here}",
                "reba.yml:1:22: key listen.prometheus: invalid socket address syntax",
            ),
        ] {
            let faults = parse(text).unwrap_err();
            assert_eq!(faults, [want], "{text}");
        }
        assert_eq!(
            parse("query: {timeout: x, max_series: 0}\nweb: {cors_origin: '('}").unwrap_err().len(),
            3
        );
    }

    #[test]
    fn what_is_recorded_of_reba_itself_can_be_changed_and_switched_off() {
        let policy = |text: &str| parse(text).map(|s| s.own_spans);
        let of = |slow_ns, max_per_second| Ok(Some(OwnSpansPolicy { slow_ns, max_per_second }));
        assert_eq!(policy(""), of(1_000_000_000, 10));
        assert_eq!(policy("traces: {own: {slow: 0s, max_per_second: 1000}}"), of(0, 1000));
        assert_eq!(policy("traces: {own: {enabled: false}}"), Ok(None));
        let fault = policy("traces: {own: {max_per_second: 0}}").unwrap_err().concat();
        assert!(fault.contains("key traces.own.max_per_second: must be above zero"), "{fault}");
    }

    #[test]
    fn the_prefix_is_the_path_of_the_external_url_unless_it_is_named() {
        for (web, want) in [
            ("{}", ""),
            ("{external_url: 'http://a/'}", ""),
            ("{external_url: 'http://a/mon/x/'}", "/mon/x"),
            ("{external_url: 'http://a/mon', route_prefix: /}", ""),
            ("{route_prefix: p}", "/p"),
        ] {
            assert_eq!(parse(&format!("web: {web}")).unwrap().prefix(), want, "{web}");
        }
    }

    #[test]
    fn variables_are_filled_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reba.yml");
        fs::write(&path, "query: {max_series: ${N}}\nweb: {external_url: '${file:url}'}\n").unwrap();
        fs::write(dir.path().join("url"), "http://a\n").unwrap();
        let variables = Variables::new([("N".to_owned(), "7".to_owned())].into());
        let settings = Settings::read(&path, &variables).unwrap();
        assert_eq!((settings.query_max_series, settings.external_url.as_deref()), (7, Some("http://a")));
        let error = Settings::read(&path, &Variables::default()).unwrap_err().to_string();
        assert!(error.contains("reba.yml:1:21: key query.max_series: ${N}: "), "{error}");
    }
}

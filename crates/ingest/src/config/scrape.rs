//! A section of `scrape_configs`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use reba_http::HttpClientConfig;
use reba_model::{NameScheme, Relabel};
use serde::{Deserialize, Serialize};

use super::{
    ByteSize, DiscoveryConfig, GlobalConfig, Limits, Millis, NameEscaping, ScrapeProtocol,
    discovery::with_discovery_keys,
    global::{self, is_zero, show_scheme},
    protocol,
    relabel::{self, RelabelYaml},
    yaml::{Invalid, List},
};

/// One job: which targets, and how they are scraped. Everything that `global` gives is filled in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScrapeConfig {
    /// The job's name.
    pub job_name: String,
    /// Whether a target's own labels win over those of the target.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub honor_labels: bool,
    /// Whether a target's timestamps are taken.
    pub honor_timestamps: bool,
    /// Whether series with timestamps of their own go stale like others.
    pub track_timestamps_staleness: bool,
    /// Parameters of the URL.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Vec<String>>,
    /// How often.
    pub scrape_interval: Millis,
    /// How long at most.
    pub scrape_timeout: Millis,
    /// Formats that are asked for, best first.
    pub scrape_protocols: Vec<ScrapeProtocol>,
    /// The format of an answer that does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_scrape_protocol: Option<ScrapeProtocol>,
    /// Whether native histograms are scraped.
    pub scrape_native_histograms: bool,
    /// Whether classic histograms are kept beside native ones.
    pub always_scrape_classic_histograms: bool,
    /// Whether classic histograms become native ones with custom buckets.
    pub convert_classic_histograms_to_nhcb: bool,
    /// Where failed scrapes are logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_failure_log_file: Option<PathBuf>,
    /// The path of the URL.
    pub metrics_path: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Whether compression is asked for.
    pub enable_compression: bool,
    /// Limits.
    #[serde(flatten)]
    pub limits: Limits,
    /// Buckets of a native histogram above which it is made coarser; zero means none.
    #[serde(skip_serializing_if = "is_zero")]
    pub native_histogram_bucket_limit: u64,
    /// Least growth from bucket to bucket, by making a native histogram coarser; zero means none.
    #[serde(skip_serializing_if = "is_zero_f64")]
    pub native_histogram_min_bucket_factor: f64,
    /// Which names are valid.
    #[serde(rename = "metric_name_validation_scheme", serialize_with = "show_scheme")]
    pub name_scheme: NameScheme,
    /// How names are asked for.
    #[serde(rename = "metric_name_escaping_scheme")]
    pub name_escaping: NameEscaping,
    /// Whether `scrape_timeout_seconds` and its like are written.
    pub extra_scrape_metrics: bool,
    /// The HTTP client.
    #[serde(flatten)]
    pub http: HttpClientConfig,
    /// How targets are found.
    #[serde(flatten)]
    pub discovery: DiscoveryConfig,
    /// Rules for targets.
    #[serde(serialize_with = "show_rules", skip_serializing_if = "Vec::is_empty")]
    pub relabel_configs: Vec<Relabel>,
    /// Rules for series.
    #[serde(serialize_with = "show_rules", skip_serializing_if = "Vec::is_empty")]
    pub metric_relabel_configs: Vec<Relabel>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero_f64(n: &f64) -> bool {
    *n == 0.0
}

pub(crate) fn show_rules<S: serde::Serializer>(rules: &[Relabel], s: S) -> Result<S::Ok, S::Error> {
    relabel::show(rules, s)
}

impl ScrapeConfig {
    pub(crate) fn set_directory(&mut self, dir: &Path) {
        self.http.set_directory(dir);
        self.discovery.set_directory(dir);
        if let Some(f) = &mut self.scrape_failure_log_file {
            *f = dir.join(&*f);
        }
    }
}

with_discovery_keys! {
    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub(crate) struct ScrapeYaml {
        job_name: Option<String>,
        honor_labels: Option<bool>,
        honor_timestamps: Option<bool>,
        track_timestamps_staleness: Option<bool>,
        params: Option<BTreeMap<String, Option<Vec<String>>>>,
        scrape_interval: Option<Millis>,
        scrape_timeout: Option<Millis>,
        scrape_protocols: Option<Vec<String>>,
        fallback_scrape_protocol: Option<String>,
        scrape_native_histograms: Option<bool>,
        always_scrape_classic_histograms: Option<bool>,
        // Its name before 3.0.
        scrape_classic_histograms: Option<bool>,
        convert_classic_histograms_to_nhcb: Option<bool>,
        scrape_failure_log_file: Option<PathBuf>,
        metrics_path: Option<String>,
        scheme: Option<String>,
        enable_compression: Option<bool>,
        body_size_limit: Option<ByteSize>,
        sample_limit: Option<u64>,
        target_limit: Option<u64>,
        label_limit: Option<u64>,
        label_name_length_limit: Option<u64>,
        label_value_length_limit: Option<u64>,
        native_histogram_bucket_limit: Option<u64>,
        native_histogram_min_bucket_factor: Option<f64>,
        keep_dropped_targets: Option<u64>,
        metric_name_validation_scheme: Option<String>,
        metric_name_escaping_scheme: Option<String>,
        extra_scrape_metrics: Option<bool>,
        relabel_configs: List<RelabelYaml>,
        metric_relabel_configs: List<RelabelYaml>,
    }
}

impl ScrapeYaml {
    /// Checks the section and fills in what `global` gives. What is not supported yet is added to `unsupported`.
    pub fn build(
        mut self,
        global: &GlobalConfig,
        unsupported: &mut Vec<Invalid>,
    ) -> Result<ScrapeConfig, Invalid> {
        let job_name = self.job_name.take().unwrap_or_default();
        if job_name.is_empty() {
            return Err(Invalid::new("job_name is empty"));
        }
        let of_job = format!("for scrape config with job name {job_name:?}");
        unsupported.extend(self.unsupported());
        let mut http = self.http_client(HttpClientConfig::default());
        http.validate()?;
        let discovery = self.discovery()?;
        if self.relabel_configs.as_ref().is_none_or(Vec::is_empty) {
            discovery.refuse_urls()?;
        }
        let (scrape_interval, scrape_timeout) = self.times(global, &of_job)?;
        let native = self.scrape_native_histograms.unwrap_or(global.scrape_native_histograms);
        let scrape_protocols = self.protocols(global, native, &of_job)?;
        let fallback = self.fallback_scrape_protocol.take().filter(|s| !s.is_empty());
        let fallback_scrape_protocol = fallback.as_deref().map(ScrapeProtocol::parse).transpose();
        let fallback_scrape_protocol = fallback_scrape_protocol.map_err(|e| {
            Invalid::new(format!("invalid fallback_scrape_protocol {of_job}: {}", e.reason))
                .within("fallback_scrape_protocol", None)
        })?;
        let (name_scheme, name_escaping) = self.names(global)?;
        let scheme = self.scheme.take().filter(|s| !s.is_empty()).unwrap_or_else(|| "http".to_owned());
        let classic = self.always_scrape_classic_histograms.or(self.scrape_classic_histograms);
        Ok(ScrapeConfig {
            job_name,
            honor_labels: self.honor_labels.unwrap_or(false),
            honor_timestamps: self.honor_timestamps.unwrap_or(true),
            track_timestamps_staleness: self.track_timestamps_staleness.unwrap_or(false),
            params: (self.params.take().unwrap_or_default().into_iter())
                .map(|(k, v)| (k, v.unwrap_or_default()))
                .collect(),
            scrape_interval,
            scrape_timeout,
            scrape_protocols,
            fallback_scrape_protocol,
            scrape_native_histograms: native,
            always_scrape_classic_histograms: classic.unwrap_or(global.always_scrape_classic_histograms),
            convert_classic_histograms_to_nhcb: self
                .convert_classic_histograms_to_nhcb
                .unwrap_or(global.convert_classic_histograms_to_nhcb),
            scrape_failure_log_file: self
                .scrape_failure_log_file
                .take()
                .or_else(|| global.scrape_failure_log_file.clone()),
            metrics_path: self.metrics_path.take().unwrap_or_else(|| "/metrics".to_owned()),
            scheme,
            enable_compression: self.enable_compression.unwrap_or(true),
            limits: self.limits().inherit(&global.limits),
            native_histogram_bucket_limit: self.native_histogram_bucket_limit.unwrap_or(0),
            native_histogram_min_bucket_factor: self.native_histogram_min_bucket_factor.unwrap_or(0.0),
            name_scheme,
            name_escaping,
            extra_scrape_metrics: self.extra_scrape_metrics.unwrap_or(global.extra_scrape_metrics),
            http,
            discovery,
            relabel_configs: relabel::rules(
                self.relabel_configs.take(),
                "relabel_configs",
                "empty or null target relabeling rule in scrape config",
                name_scheme,
            )?,
            metric_relabel_configs: relabel::rules(
                self.metric_relabel_configs.take(),
                "metric_relabel_configs",
                "empty or null metric relabeling rule in scrape config",
                name_scheme,
            )?,
        })
    }

    fn times(&self, global: &GlobalConfig, of_job: &str) -> Result<(Millis, Millis), Invalid> {
        let interval = self.scrape_interval.unwrap_or_default().or(global.scrape_interval);
        let timeout = self.scrape_timeout.unwrap_or_default();
        if timeout > interval {
            let text = format!("scrape timeout greater than scrape interval {of_job}");
            return Err(Invalid::new(text).within("scrape_timeout", None));
        }
        Ok((interval, timeout.or(global.scrape_timeout.min(interval))))
    }

    fn protocols(
        &mut self,
        global: &GlobalConfig,
        native: bool,
        of_job: &str,
    ) -> Result<Vec<ScrapeProtocol>, Invalid> {
        let own = protocol::list(self.scrape_protocols.take(), of_job)?;
        Ok(own.or_else(|| global.scrape_protocols.clone()).unwrap_or_else(|| {
            if native { ScrapeProtocol::PROTO_FIRST.to_vec() } else { ScrapeProtocol::DEFAULT.to_vec() }
        }))
    }

    fn names(&self, global: &GlobalConfig) -> Result<(NameScheme, NameEscaping), Invalid> {
        let own = global::scheme(self.metric_name_validation_scheme.as_deref())?;
        let scheme = own.unwrap_or(global.name_scheme);
        let outer = global.name_escaping.unwrap_or(NameEscaping::of(global.name_scheme));
        let escaping = match self.metric_name_escaping_scheme.as_deref() {
            Some(text) if !text.is_empty() => NameEscaping::parse(text, "scrape config")?,
            _ => own.map_or(outer, NameEscaping::of),
        };
        if escaping == NameEscaping::AllowUtf8 && scheme != NameScheme::Utf8 {
            return Err(Invalid::new("utf8 metric names requested but validation scheme is not set to UTF8")
                .within("metric_name_escaping_scheme", None));
        }
        Ok((scheme, escaping))
    }

    fn limits(&self) -> Limits {
        Limits {
            body_size_limit: self.body_size_limit.unwrap_or_default(),
            sample_limit: self.sample_limit.unwrap_or(0),
            target_limit: self.target_limit.unwrap_or(0),
            label_limit: self.label_limit.unwrap_or(0),
            label_name_length_limit: self.label_name_length_limit.unwrap_or(0),
            label_value_length_limit: self.label_value_length_limit.unwrap_or(0),
            keep_dropped_targets: self.keep_dropped_targets.unwrap_or(0),
        }
    }
}

//! The `global` section.

use std::{collections::BTreeMap, path::PathBuf};

use reba_model::NameScheme;
use serde::{Deserialize, Serialize, Serializer};

use super::{
    ByteSize, Millis,
    protocol::{self, ScrapeProtocol},
    yaml::Invalid,
};

/// How a metric name that is not of the legacy form is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NameEscaping {
    /// As it is.
    #[serde(rename = "allow-utf-8")]
    AllowUtf8,
    /// Other characters become `_`.
    #[serde(rename = "underscores")]
    Underscores,
    /// Dots become `_dot_`, other characters `__`.
    #[serde(rename = "dots")]
    Dots,
    /// Names are prefixed and characters written as their code points.
    #[serde(rename = "values")]
    Values,
}

impl NameEscaping {
    /// The value of the `escaping` parameter in an `Accept` header.
    pub fn as_str(self) -> &'static str {
        match self {
            NameEscaping::AllowUtf8 => "allow-utf-8",
            NameEscaping::Underscores => "underscores",
            NameEscaping::Dots => "dots",
            NameEscaping::Values => "values",
        }
    }

    pub(crate) fn parse(text: &str, scope: &str) -> Result<Self, Invalid> {
        let all = [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values];
        all.into_iter().find(|e| e.as_str() == text).ok_or_else(|| {
            Invalid::new(format!(
                "unknown {scope} name escaping method specified, must be one of 'allow-utf-8', 'underscores', \
                 'dots', or 'values', got {text:?}"
            ))
            .within("metric_name_escaping_scheme", None)
        })
    }

    pub(crate) fn of(scheme: NameScheme) -> Self {
        match scheme {
            NameScheme::Legacy => NameEscaping::Underscores,
            NameScheme::Utf8 => NameEscaping::AllowUtf8,
        }
    }
}

/// Limits that jobs inherit; zero means none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Bytes of a scraped body, after decompression.
    #[serde(skip_serializing_if = "ByteSize::is_zero")]
    pub body_size_limit: ByteSize,
    /// Samples of a scrape, after relabelling.
    #[serde(skip_serializing_if = "is_zero")]
    pub sample_limit: u64,
    /// Targets of a job, after relabelling.
    #[serde(skip_serializing_if = "is_zero")]
    pub target_limit: u64,
    /// Labels of a series.
    #[serde(skip_serializing_if = "is_zero")]
    pub label_limit: u64,
    /// Bytes of a label's name.
    #[serde(skip_serializing_if = "is_zero")]
    pub label_name_length_limit: u64,
    /// Bytes of a label's value.
    #[serde(skip_serializing_if = "is_zero")]
    pub label_value_length_limit: u64,
    /// How many dropped targets are remembered for the API.
    #[serde(skip_serializing_if = "is_zero")]
    pub keep_dropped_targets: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
pub(crate) fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Limits {
    /// Where a limit is not set, that of `outer` holds.
    pub(crate) fn inherit(self, outer: &Limits) -> Limits {
        let or = |own: u64, outer: u64| if own == 0 { outer } else { own };
        Limits {
            body_size_limit: ByteSize(or(self.body_size_limit.0, outer.body_size_limit.0)),
            sample_limit: or(self.sample_limit, outer.sample_limit),
            target_limit: or(self.target_limit, outer.target_limit),
            label_limit: or(self.label_limit, outer.label_limit),
            label_name_length_limit: or(self.label_name_length_limit, outer.label_name_length_limit),
            label_value_length_limit: or(self.label_value_length_limit, outer.label_value_length_limit),
            keep_dropped_targets: or(self.keep_dropped_targets, outer.keep_dropped_targets),
        }
    }
}

/// Values that other sections fall back to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GlobalConfig {
    /// How often targets are scraped.
    pub scrape_interval: Millis,
    /// How long a scrape may take.
    pub scrape_timeout: Millis,
    /// Formats that are asked for, best first; `None` leaves it to the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_protocols: Option<Vec<ScrapeProtocol>>,
    /// How often rules are evaluated; also the step of subqueries that name none.
    pub evaluation_interval: Millis,
    /// How far in the past rules are evaluated.
    #[serde(skip_serializing_if = "Millis::is_zero")]
    pub rule_query_offset: Millis,
    /// Where queries are logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_log_file: Option<PathBuf>,
    /// Where failed scrapes are logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_failure_log_file: Option<PathBuf>,
    /// Labels for everything that leaves this installation.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub external_labels: BTreeMap<String, String>,
    /// Limits.
    #[serde(flatten)]
    pub limits: Limits,
    /// Which names are valid.
    #[serde(rename = "metric_name_validation_scheme", serialize_with = "show_scheme")]
    pub name_scheme: NameScheme,
    /// How names are asked for; `None` follows the validation.
    #[serde(rename = "metric_name_escaping_scheme", skip_serializing_if = "Option::is_none")]
    pub name_escaping: Option<NameEscaping>,
    /// Whether native histograms are scraped.
    pub scrape_native_histograms: bool,
    /// Whether classic histograms become native ones with custom buckets.
    pub convert_classic_histograms_to_nhcb: bool,
    /// Whether classic histograms are kept beside native ones.
    pub always_scrape_classic_histograms: bool,
    /// Whether `scrape_timeout_seconds` and its like are written.
    pub extra_scrape_metrics: bool,
}

/// Reads `metric_name_validation_scheme`; `None` if it is not set.
pub(crate) fn scheme(text: Option<&str>) -> Result<Option<NameScheme>, Invalid> {
    match text {
        None | Some("") => Ok(None),
        Some("legacy") => Ok(Some(NameScheme::Legacy)),
        Some("utf8") => Ok(Some(NameScheme::Utf8)),
        Some(other) => {
            let text = format!(
                "unknown name validation method specified, must be either '', 'legacy' or 'utf8', got {other}"
            );
            Err(Invalid::new(text).within("metric_name_validation_scheme", None))
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
pub(crate) fn show_scheme<S: Serializer>(scheme: &NameScheme, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(scheme.as_str())
}

impl Default for GlobalConfig {
    fn default() -> Self {
        GlobalConfig {
            scrape_interval: Millis::seconds(60),
            scrape_timeout: Millis::seconds(10),
            scrape_protocols: None,
            evaluation_interval: Millis::seconds(60),
            rule_query_offset: Millis(0),
            query_log_file: None,
            scrape_failure_log_file: None,
            external_labels: BTreeMap::new(),
            limits: Limits::default(),
            name_scheme: NameScheme::Utf8,
            name_escaping: Some(NameEscaping::AllowUtf8),
            scrape_native_histograms: false,
            convert_classic_histograms_to_nhcb: false,
            always_scrape_classic_histograms: false,
            extra_scrape_metrics: false,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GlobalYaml {
    scrape_interval: Option<Millis>,
    scrape_timeout: Option<Millis>,
    scrape_protocols: Option<Vec<String>>,
    evaluation_interval: Option<Millis>,
    rule_query_offset: Option<Millis>,
    query_log_file: Option<PathBuf>,
    scrape_failure_log_file: Option<PathBuf>,
    external_labels: Option<BTreeMap<String, Option<String>>>,
    body_size_limit: Option<ByteSize>,
    sample_limit: Option<u64>,
    target_limit: Option<u64>,
    label_limit: Option<u64>,
    label_name_length_limit: Option<u64>,
    label_value_length_limit: Option<u64>,
    keep_dropped_targets: Option<u64>,
    metric_name_validation_scheme: Option<String>,
    metric_name_escaping_scheme: Option<String>,
    scrape_native_histograms: Option<bool>,
    convert_classic_histograms_to_nhcb: Option<bool>,
    always_scrape_classic_histograms: Option<bool>,
    extra_scrape_metrics: Option<bool>,
}

impl GlobalYaml {
    pub fn build(self) -> Result<GlobalConfig, Invalid> {
        let default = GlobalConfig::default();
        let name_scheme =
            scheme(self.metric_name_validation_scheme.as_deref())?.unwrap_or(default.name_scheme);
        let external_labels: BTreeMap<String, String> = self
            .external_labels
            .unwrap_or_default()
            .into_iter()
            .map(|(n, v)| (n, v.unwrap_or_default()))
            .collect();
        if let Some(name) = external_labels.keys().find(|n| !name_scheme.is_label_name(n)) {
            let text = format!("{name:?} is not a valid label name");
            return Err(Invalid::new(text).within("external_labels", None));
        }
        let scrape_interval = self.scrape_interval.unwrap_or_default().or(default.scrape_interval);
        let scrape_timeout = self.scrape_timeout.unwrap_or_default();
        if scrape_timeout > scrape_interval {
            let text = "global scrape timeout greater than scrape interval";
            return Err(Invalid::new(text).within("scrape_timeout", None));
        }
        let escaping = self.metric_name_escaping_scheme.filter(|s| !s.is_empty());
        Ok(GlobalConfig {
            scrape_interval,
            scrape_timeout: scrape_timeout.or(default.scrape_timeout.min(scrape_interval)),
            scrape_protocols: protocol::list(self.scrape_protocols, "for global config")?,
            evaluation_interval: self.evaluation_interval.unwrap_or_default().or(default.evaluation_interval),
            rule_query_offset: self.rule_query_offset.unwrap_or_default(),
            query_log_file: self.query_log_file,
            scrape_failure_log_file: self.scrape_failure_log_file,
            external_labels,
            limits: Limits {
                body_size_limit: self.body_size_limit.unwrap_or_default(),
                sample_limit: self.sample_limit.unwrap_or(0),
                target_limit: self.target_limit.unwrap_or(0),
                label_limit: self.label_limit.unwrap_or(0),
                label_name_length_limit: self.label_name_length_limit.unwrap_or(0),
                label_value_length_limit: self.label_value_length_limit.unwrap_or(0),
                keep_dropped_targets: self.keep_dropped_targets.unwrap_or(0),
            },
            name_scheme,
            name_escaping: escaping.map(|e| NameEscaping::parse(&e, "global")).transpose()?,
            scrape_native_histograms: self.scrape_native_histograms.unwrap_or(false),
            convert_classic_histograms_to_nhcb: self.convert_classic_histograms_to_nhcb.unwrap_or(false),
            always_scrape_classic_histograms: self.always_scrape_classic_histograms.unwrap_or(false),
            extra_scrape_metrics: self.extra_scrape_metrics.unwrap_or(false),
        })
    }
}
